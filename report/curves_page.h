// Learning curves as a picture and as a page.

#ifndef REPORT_CURVES_PAGE_H
#define REPORT_CURVES_PAGE_H

#include "report/curves.h"

// The chart, a whole SVG file.
gn_status curves_svg(gn_text *out, const curves *figure);

// A whole HTML file: the chart inline, a table of the groups, their options that differ, their
// runs. Without script, and nothing of it is fetched from elsewhere.
gn_status curves_html(gn_text *out, const curves *figure);

// "170.5 to 199.1", or "one run".
enum { CURVES_INTERVAL_SIZE = 112 };
void curves_interval_text(char ret_text[CURVES_INTERVAL_SIZE], const aggregate *result);

#endif
