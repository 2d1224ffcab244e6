#include "report/svg.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

// A hundredth of a pixel is more than a screen shows; "12.50" is written 12.5.
static void append_coordinate(gn_text *out, double value)
{
    char number[64];
    int length = snprintf(number, sizeof number, "%.2f", value);
    while (number[length - 1] == '0')
        length--;
    if (number[length - 1] == '.')
        length--;
    gn_text_append(out, "%.*s", length, number);
}

static void append_attribute(gn_text *out, const char *name, double value)
{
    gn_text_append(out, " %s=\"", name);
    append_coordinate(out, value);
    gn_text_append(out, "\"");
}

// Whether XML 1.0 knows the character; surrogates are no UTF-8 either.
static bool is_character(uint32_t code)
{
    return code == '\t' || code == '\n' || code == '\r' || (code >= 0x20 && code < 0xD800) ||
           (code >= 0xE000 && code < 0xFFFE) || (code >= 0x10000 && code < 0x110000);
}

// Bytes of the character at `text`, which is not at its end; 0 if it is none.
static size_t character_size(const char *text)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 }; // shorter forms are not allowed
    const unsigned char *byte = (const unsigned char *)text;
    size_t size = *byte < 0x80 ? 1 : *byte < 0xC0 ? 0 : *byte < 0xE0 ? 2 : *byte < 0xF0 ? 3 : 4;
    if (size == 0 || *byte >= 0xF8)
        return 0;
    uint32_t code = size == 1 ? *byte : *byte & (0x7Fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((byte[i] & 0xC0) != 0x80)
            return 0;
        code = code << 6 | (byte[i] & 0x3F);
    }
    return code >= least[size] && is_character(code) ? size : 0;
}

static const char *escape_of(char c)
{
    switch (c) {
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '&':
        return "&amp;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

static void append_text(gn_text *out, const char *text, bool escape)
{
    while (*text != '\0') {
        size_t size = character_size(text);
        const char *escaped = escape ? escape_of(*text) : NULL;
        if (size == 0)
            gn_text_append(out, "\xEF\xBF\xBD");
        else if (escaped != NULL)
            gn_text_append(out, "%s", escaped);
        else
            gn_text_append_bytes(out, text, size);
        text += size > 0 ? size : 1;
    }
}

void svg_escape(gn_text *out, const char *text)
{
    append_text(out, text, true);
}

void svg_utf8(gn_text *out, const char *bytes)
{
    append_text(out, bytes, false);
}

size_t svg_characters(const char *text)
{
    size_t count = 0;
    while (*text != '\0') {
        size_t size = character_size(text);
        text += size > 0 ? size : 1;
        count++;
    }
    return count;
}

void svg_begin(gn_text *out, double width, double height, const char *title, const char *css)
{
    gn_text_append(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" role=\"img\"");
    append_attribute(out, "width", width);
    append_attribute(out, "height", height);
    gn_text_append(out, " viewBox=\"0 0 ");
    append_coordinate(out, width);
    gn_text_append(out, " ");
    append_coordinate(out, height);
    gn_text_append(out, "\">\n<title>");
    svg_escape(out, title);
    gn_text_append(out, "</title>\n<style>\n%s</style>\n", css);
}

void svg_end(gn_text *out)
{
    gn_text_append(out, "</svg>\n");
}

void svg_rectangle(gn_text *out, const char *style, double x, double y, double width, double height)
{
    gn_text_append(out, "<rect class=\"%s\"", style);
    append_attribute(out, "x", x);
    append_attribute(out, "y", y);
    append_attribute(out, "width", width);
    append_attribute(out, "height", height);
    gn_text_append(out, "/>\n");
}

void svg_line(gn_text *out, const char *style, double x1, double y1, double x2, double y2)
{
    gn_text_append(out, "<line class=\"%s\"", style);
    append_attribute(out, "x1", x1);
    append_attribute(out, "y1", y1);
    append_attribute(out, "x2", x2);
    append_attribute(out, "y2", y2);
    gn_text_append(out, "/>\n");
}

void svg_text(gn_text *out, const char *style, svg_anchor anchor, double x, double y,
              const char *text)
{
    static const char *const anchors[] = { "start", "middle", "end" };
    gn_text_append(out, "<text class=\"%s\" text-anchor=\"%s\"", style, anchors[anchor]);
    append_attribute(out, "x", x);
    append_attribute(out, "y", y);
    gn_text_append(out, ">");
    svg_escape(out, text);
    gn_text_append(out, "</text>\n");
}

static void append_points(gn_text *out, const char *element, const char *style, const double *x,
                          const double *y, size_t n)
{
    gn_text_append(out, "<%s class=\"%s\" points=\"", element, style);
    for (size_t i = 0; i < n; i++) {
        gn_text_append(out, i > 0 ? " " : "");
        append_coordinate(out, x[i]);
        gn_text_append(out, ",");
        append_coordinate(out, y[i]);
    }
    gn_text_append(out, "\"/>\n");
}

void svg_polyline(gn_text *out, const char *style, const double *x, const double *y, size_t n)
{
    append_points(out, "polyline", style, x, y, n);
}

void svg_polygon(gn_text *out, const char *style, const double *x, const double *y, size_t n)
{
    append_points(out, "polygon", style, x, y, n);
}

void svg_circle(gn_text *out, const char *style, double x, double y, double radius)
{
    gn_text_append(out, "<circle class=\"%s\"", style);
    append_attribute(out, "cx", x);
    append_attribute(out, "cy", y);
    append_attribute(out, "r", radius);
    gn_text_append(out, "/>\n");
}
