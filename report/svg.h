// Writing SVG into a text: the few elements a chart is made of. Coordinates are pixels from the top
// left, rounded to a hundredth. What an element looks like is said by CSS: `style` is a class.

#ifndef REPORT_SVG_H
#define REPORT_SVG_H

#include <stddef.h>

#include "base/text.h"

// How a text lies at its point.
typedef enum svg_anchor { SVG_START, SVG_MIDDLE, SVG_END } svg_anchor;

// Appends text that is safe between tags and in attributes of XML and HTML: `<`, `>`, `&` and
// quotes escaped; bytes that are not UTF-8 and characters that XML does not know become U+FFFD.
void svg_escape(gn_text *out, const char *text);

// The same without escapes: any bytes as UTF-8 that JSON and XML can hold.
void svg_utf8(gn_text *out, const char *bytes);

// Characters of a text (UTF-8); what is broken counts as svg_utf8 writes it.
size_t svg_characters(const char *text);

// Begins a picture that says `title` to who cannot see it; css is its style sheet.
void svg_begin(gn_text *out, double width, double height, const char *title, const char *css);
void svg_end(gn_text *out);

void svg_rectangle(gn_text *out, const char *style, double x, double y, double width,
                   double height);
void svg_line(gn_text *out, const char *style, double x1, double y1, double x2, double y2);

// Escapes the text.
void svg_text(gn_text *out, const char *style, svg_anchor anchor, double x, double y,
              const char *text);

// Points x, y: [n], joined; the line is open, the polygon closed and filled.
void svg_polyline(gn_text *out, const char *style, const double *x, const double *y, size_t n);
void svg_polygon(gn_text *out, const char *style, const double *x, const double *y, size_t n);
void svg_circle(gn_text *out, const char *style, double x, double y, double radius);

#endif
