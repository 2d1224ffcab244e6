// A line chart as self-contained SVG without script, for light and dark screens: axes with round
// ticks, lines, bands around them, a legend below that covers nothing. Colours are those of Okabe
// and Ito, which people with any colour vision tell apart; after eight lines they come again,
// dashed.
//
// Source: Okabe & Ito 2008, "Color universal design".

#ifndef REPORT_LINE_CHART_H
#define REPORT_LINE_CHART_H

#include <stddef.h>

#include "base/text.h"

enum { LINE_CHART_MAX_LINES = 24, LINE_CHART_COLOURS = 8 };

// Points x, y: [n], x ascending. A point that is not finite interrupts line and band; a point that
// stands alone is a dot. low, high: [n], the band, or NULL for none.
typedef struct line_chart_series {
    const char *label;
    size_t n;
    const double *x, *y, *low, *high;
} line_chart_series;

typedef struct line_chart {
    const char *title, *x_label, *y_label;
    const char *note; // paragraphs below the legend, each ended by a newline; NULL: none
    size_t lines; // at most LINE_CHART_MAX_LINES
    const line_chart_series *line;
} line_chart;

// Appends the picture. Text that is too long for it is cut and ends with an ellipsis.
void line_chart_draw(gn_text *out, const line_chart *picture);

// Where the marks of an axis stand: first, first + step, ... first + (count - 1) * step.
typedef struct line_chart_ticks {
    double low, high; // what the axis shows
    double first, step;
    size_t count;
} line_chart_ticks;

// Ticks 1, 2 or 5 times a power of ten apart, at most `most` >= 3 of them, so that an axis holds
// low to high. Where there is no range to speak of (one value, nothing, beyond 1e300, so close
// together that a double cannot part them) the axis is widened to one that can be drawn.
line_chart_ticks line_chart_ticks_of(double low, double high, size_t most);

double line_chart_tick(const line_chart_ticks *ticks, size_t i);

// Text of a value between the marks of an axis or on one: 0, 50k, 1.5M, 0.25, 2.0e-7; all marks of
// an axis with the same unit and decimals.
enum { LINE_CHART_NUMBER_SIZE = 48 };
void line_chart_tick_text(char ret_text[LINE_CHART_NUMBER_SIZE], const line_chart_ticks *ticks,
                          double value);

// A number alone, four significant digits: 19.8k, 203.4, 1.2M, -0.0123.
void line_chart_number_text(char ret_text[LINE_CHART_NUMBER_SIZE], double value);

// Style sheet of a page around charts: its colours are theirs.
extern const char line_chart_page_css[];

#endif
