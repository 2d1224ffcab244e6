#include "report/line_chart.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "report/svg.h"

// Pixels, but for the two that say so.
enum {
    WIDTH = 800,
    EDGE = 16,
    TITLE_Y = 28,
    Y_LABEL_Y = 50,
    PLOT_TOP = 68,
    PLOT_BOTTOM = 402,
    TICK_Y = 420,
    X_LABEL_Y = 440,
    LEGEND_Y = 468,
    LEGEND_ROW = 20,
    LEGEND_LINE = 28, // length of a line in the legend
    NOTE_ROW = 16,
    NOTE_CHARACTERS = 112, // characters a line
    X_TICKS = 9, // at most
    Y_TICKS = 8,
};
// A character is about so wide: of a common wide sans-serif font, in tenths of its size.
static const double character_width = 0.62;
enum { TITLE_SIZE = 16, TEXT_SIZE = 12 };

// Blue, vermillion, green, purple, orange, sky blue, black (the colour of text, for dark screens),
// yellow (darkened on white, where the original cannot be seen).
static const char css[] =
    ".chart{font-family:system-ui,-apple-system,\"Segoe UI\",Roboto,sans-serif;font-size:12px;"
    "max-width:100%;height:auto}\n"
    ".chart .back{fill:#fff}.chart text{fill:#1b1f24}.chart "
    ".title{font-size:16px;font-weight:600}\n"
    ".chart .quiet{fill:#57606a}.chart .note{fill:#57606a;font-size:11px}\n"
    ".chart .grid{stroke:#e3e6ea}.chart .axis{stroke:#8c959f}\n"
    ".chart .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}\n"
    ".chart .band{stroke:none;fill-opacity:.18}\n"
    ".chart .dash1{stroke-dasharray:7 5}.chart .dash2{stroke-dasharray:1 5}\n"
    ".chart .c0{stroke:#0072b2;fill:#0072b2}.chart .c1{stroke:#d55e00;fill:#d55e00}\n"
    ".chart .c2{stroke:#009e73;fill:#009e73}.chart .c3{stroke:#cc79a7;fill:#cc79a7}\n"
    ".chart .c4{stroke:#e69f00;fill:#e69f00}.chart .c5{stroke:#56b4e9;fill:#56b4e9}\n"
    ".chart .c6{stroke:#1b1f24;fill:#1b1f24}.chart .c7{stroke:#b3a600;fill:#b3a600}\n"
    ".chart polyline.line{fill:none}.chart polygon.band{stroke:none}\n"
    "@media(prefers-color-scheme:dark){\n"
    ".chart .back{fill:#14171b}.chart text{fill:#e6e9ed}\n"
    ".chart .quiet,.chart .note{fill:#a3acb6}\n"
    ".chart .grid{stroke:#2b3036}.chart .axis{stroke:#6b747e}\n"
    ".chart .band{fill-opacity:.26}\n"
    ".chart .c0{stroke:#1a86c8;fill:#1a86c8}\n"
    ".chart .c6{stroke:#e6e9ed;fill:#e6e9ed}.chart .c7{stroke:#f0e442;fill:#f0e442}\n"
    "}\n";

const char line_chart_page_css[] =
    ":root{color-scheme:light dark}\n"
    "body{background:#fff;color:#1b1f24;font:15px/1.5 system-ui,-apple-system,\"Segoe UI\",Roboto,"
    "sans-serif;max-width:840px;margin:24px auto;padding:0 16px}\n"
    "h2{font-size:17px}\n"
    "table{border-collapse:collapse;width:100%}\n"
    "th,td{text-align:left;padding:5px 10px 5px 0;border-bottom:1px solid #e3e6ea;"
    "vertical-align:top;overflow-wrap:anywhere}\n"
    "th{font-weight:600}.n{text-align:right;white-space:nowrap;"
    "font-variant-numeric:tabular-nums}\n"
    ".quiet{color:#57606a}\n"
    "@media(prefers-color-scheme:dark){body{background:#14171b;color:#e6e9ed}"
    "th,td{border-color:#2b3036}.quiet{color:#a3acb6}}\n";

// A picture under construction.
typedef struct canvas {
    gn_text *out;
    const line_chart *picture;
    line_chart_ticks x, y;
    double left, right; // of the plot
    size_t legend_columns, legend_rows;
    gn_text note; // wrapped
    size_t note_rows;
    double *px, *py; // pixels of a polyline or polygon; [2 * longest line]
} canvas;

// At most `most` characters of a text, the last an ellipsis if there were more.
static void append_fitting(gn_text *out, const char *text, size_t most)
{
    gn_text whole = { 0 };
    svg_utf8(&whole, text);
    const char *end = gn_text_data(&whole);
    bool cut = svg_characters(end) > most;
    for (size_t left = cut ? most - 1 : most; left > 0 && *end != '\0'; left--)
        do
            end++;
        while ((*end & 0xC0) == 0x80);
    gn_text_append_bytes(out, gn_text_data(&whole), (size_t)(end - gn_text_data(&whole)));
    if (cut)
        gn_text_append(out, "\xE2\x80\xA6");
    if (whole.status != GN_OK)
        out->status = whole.status;
    gn_text_free(&whole);
}

static void draw_text(canvas *self, const char *style, svg_anchor anchor, double x, double y,
                      const char *text, double pixels, double size)
{
    gn_text fitting = { 0 };
    append_fitting(&fitting, text, (size_t)(pixels / (character_width * size)));
    if (fitting.status != GN_OK)
        self->out->status = fitting.status;
    svg_text(self->out, style, anchor, x, y, gn_text_data(&fitting));
    gn_text_free(&fitting);
}

// --- layout

static void extend(double value, double *low, double *high)
{
    if (!isfinite(value))
        return;
    *low = fmin(*low, value);
    *high = fmax(*high, value);
}

static bool is_drawn(const line_chart_series *line, size_t i)
{
    return isfinite(line->x[i]) && isfinite(line->y[i]);
}

static bool has_band(const line_chart_series *line, size_t i)
{
    return line->low && is_drawn(line, i) && isfinite(line->low[i]) && isfinite(line->high[i]);
}

static void lay_axes(canvas *self)
{
    double x_low = INFINITY, x_high = -INFINITY, y_low = INFINITY, y_high = -INFINITY;
    for (size_t k = 0; k < self->picture->lines; k++) {
        const line_chart_series *line = &self->picture->line[k];
        for (size_t i = 0; i < line->n; i++) {
            if (!is_drawn(line, i))
                continue;
            extend(line->x[i], &x_low, &x_high);
            extend(line->y[i], &y_low, &y_high);
            if (has_band(line, i)) {
                extend(line->low[i], &y_low, &y_high);
                extend(line->high[i], &y_low, &y_high);
            }
        }
    }
    self->x = line_chart_ticks_of(x_low, x_high, X_TICKS);
    self->y = line_chart_ticks_of(y_low, y_high, Y_TICKS);
    if (x_high > x_low) { // no empty stretch to the next tick, but 0 stays where it is near
        self->x.low = self->x.low == 0 ? 0 : fmax(self->x.low, x_low);
        self->x.high = fmin(self->x.high, x_high);
    }
    size_t longest = 0;
    for (size_t i = 0; i < self->y.count; i++) {
        char text[LINE_CHART_NUMBER_SIZE];
        line_chart_tick_text(text, &self->y, line_chart_tick(&self->y, i));
        if (strlen(text) > longest)
            longest = strlen(text);
    }
    self->left = EDGE + character_width * TEXT_SIZE * (double)longest + 10;
    self->right = WIDTH - EDGE - 8;
}

static void lay_legend(canvas *self)
{
    size_t longest = 1;
    for (size_t k = 0; k < self->picture->lines; k++) {
        size_t length = svg_characters(self->picture->line[k].label);
        longest = length > longest ? length : longest;
    }
    double entry = LEGEND_LINE + 24 + character_width * TEXT_SIZE * (double)longest;
    size_t columns = (size_t)((WIDTH - 2 * EDGE) / entry);
    self->legend_columns = columns > 4 ? 4 : columns < 1 ? 1 : columns;
    self->legend_rows = (self->picture->lines + self->legend_columns - 1) / self->legend_columns;
}

static void lay_note(canvas *self)
{
    const char *rest = self->picture->note ? self->picture->note : "";
    while (*rest != '\0') {
        char paragraph[1024];
        size_t length = strcspn(rest, "\n");
        snprintf(paragraph, sizeof paragraph, "%.*s", (int)length, rest);
        gn_text_append_wrapped(&self->note, paragraph, 0, 0, NOTE_CHARACTERS);
        gn_text_append(&self->note, "\n");
        rest += length + (rest[length] == '\n');
    }
    for (const char *c = gn_text_data(&self->note); *c != '\0'; c++)
        self->note_rows += *c == '\n';
}

// --- drawing

// Differences are taken of halves: a range may be as long as the largest double.
static double share(const line_chart_ticks *axis, double value)
{
    return (value / 2 - axis->low / 2) / (axis->high / 2 - axis->low / 2);
}

static double pixel_x(const canvas *self, double x)
{
    return self->left + fmax(0, fmin(1, share(&self->x, x))) * (self->right - self->left);
}

static double pixel_y(const canvas *self, double y)
{
    return PLOT_BOTTOM - fmax(0, fmin(1, share(&self->y, y))) * (PLOT_BOTTOM - PLOT_TOP);
}

static void draw_axes(canvas *self)
{
    char text[LINE_CHART_NUMBER_SIZE];
    for (size_t i = 0; i < self->y.count; i++) {
        double value = line_chart_tick(&self->y, i), y = pixel_y(self, value);
        svg_line(self->out, "grid", self->left, y, self->right, y);
        line_chart_tick_text(text, &self->y, value);
        svg_text(self->out, "quiet", SVG_END, self->left - 8, y + 4, text);
    }
    double slack = 1e-9 * self->x.step;
    for (size_t i = 0; i < self->x.count; i++) {
        double value = line_chart_tick(&self->x, i), x = pixel_x(self, value);
        if (value < self->x.low - slack || value > self->x.high + slack)
            continue;
        svg_line(self->out, "axis", x, PLOT_BOTTOM, x, PLOT_BOTTOM + 5);
        line_chart_tick_text(text, &self->x, value);
        svg_text(self->out, "quiet", SVG_MIDDLE, x, TICK_Y, text);
    }
    svg_line(self->out, "axis", self->left, PLOT_BOTTOM, self->right, PLOT_BOTTOM);
    double width = self->right - self->left;
    draw_text(self, "quiet", SVG_MIDDLE, self->left + width / 2, X_LABEL_Y, self->picture->x_label,
              width, TEXT_SIZE);
    draw_text(self, "quiet", SVG_START, EDGE, Y_LABEL_Y, self->picture->y_label, WIDTH - 2 * EDGE,
              TEXT_SIZE);
}

static void style_of(char ret_style[32], const char *what, size_t k)
{
    static const char *const dash[] = { "", " dash1", " dash2" };
    snprintf(ret_style, 32, "%s c%zu%s", what, k % LINE_CHART_COLOURS,
             strcmp(what, "line") == 0 ? dash[k / LINE_CHART_COLOURS] : "");
}

// Stretches of points that have a band: along the lower edge, back along the upper one.
static void draw_band(canvas *self, size_t k)
{
    const line_chart_series *line = &self->picture->line[k];
    char style[32];
    style_of(style, "band", k);
    for (size_t i = 0, end; i < line->n; i = end + 1) {
        for (end = i; end < line->n && has_band(line, end); end++) {
            self->px[end - i] = pixel_x(self, line->x[end]);
            self->py[end - i] = pixel_y(self, line->low[end]);
        }
        size_t n = end - i;
        for (size_t j = 0; j < n; j++) {
            self->px[n + j] = self->px[n - 1 - j];
            self->py[n + j] = pixel_y(self, line->high[end - 1 - j]);
        }
        if (n > 1)
            svg_polygon(self->out, style, self->px, self->py, 2 * n);
    }
}

static void draw_line(canvas *self, size_t k)
{
    const line_chart_series *line = &self->picture->line[k];
    char style[32], dot[32];
    style_of(style, "line", k);
    style_of(dot, "dot", k);
    for (size_t i = 0, end; i < line->n; i = end + 1) {
        for (end = i; end < line->n && is_drawn(line, end); end++) {
            self->px[end - i] = pixel_x(self, line->x[end]);
            self->py[end - i] = pixel_y(self, line->y[end]);
        }
        if (end - i > 1)
            svg_polyline(self->out, style, self->px, self->py, end - i);
        else if (end - i == 1)
            svg_circle(self->out, dot, self->px[0], self->py[0], 3.5);
    }
}

static void draw_legend(canvas *self)
{
    double column = (double)(WIDTH - 2 * EDGE) / (double)self->legend_columns;
    for (size_t k = 0; k < self->picture->lines; k++) {
        double x = EDGE + column * (double)(k / self->legend_rows);
        double y = LEGEND_Y + (double)(LEGEND_ROW * (k % self->legend_rows));
        char style[32];
        style_of(style, "line", k);
        svg_line(self->out, style, x, y - 4, x + LEGEND_LINE, y - 4);
        draw_text(self, "label", SVG_START, x + LEGEND_LINE + 8, y, self->picture->line[k].label,
                  column - LEGEND_LINE - 8, TEXT_SIZE);
    }
}

static void draw_note(canvas *self, double y)
{
    char row[1024];
    const char *rest = gn_text_data(&self->note);
    for (size_t i = 0; i < self->note_rows; i++, y += NOTE_ROW) {
        size_t length = strcspn(rest, "\n");
        snprintf(row, sizeof row, "%.*s", (int)length, rest);
        draw_text(self, "note", SVG_START, EDGE, y, row, WIDTH - 2 * EDGE, 11);
        rest += length + 1;
    }
}

static void draw(canvas *self)
{
    double note_y = LEGEND_Y + LEGEND_ROW * (double)self->legend_rows + 2;
    double height = note_y + NOTE_ROW * (double)self->note_rows;
    svg_begin(self->out, WIDTH, height, self->picture->title, css);
    svg_rectangle(self->out, "back", 0, 0, WIDTH, height);
    draw_text(self, "title", SVG_START, EDGE, TITLE_Y, self->picture->title, WIDTH - 2 * EDGE,
              TITLE_SIZE);
    draw_axes(self);
    for (size_t k = 0; k < self->picture->lines; k++)
        draw_band(self, k);
    for (size_t k = self->picture->lines; k-- > 0;) // the first on top
        draw_line(self, k);
    draw_legend(self);
    draw_note(self, note_y);
    svg_end(self->out);
}

void line_chart_draw(gn_text *out, const line_chart *picture)
{
    canvas self = { .out = out, .picture = picture };
    size_t longest = 0;
    assert(picture->lines <= LINE_CHART_MAX_LINES);
    for (size_t k = 0; k < picture->lines; k++)
        longest = picture->line[k].n > longest ? picture->line[k].n : longest;
    lay_axes(&self);
    lay_legend(&self);
    lay_note(&self);
    gn_status status = gn_text_status(&self.note);
    if (status == GN_OK)
        status = gn_alloc(&self.px, longest, 2 * sizeof *self.px);
    if (status == GN_OK)
        status = gn_alloc(&self.py, longest, 2 * sizeof *self.py);
    if (status == GN_OK)
        draw(&self);
    else
        out->status = status;
    gn_free(&self.px);
    gn_free(&self.py);
    gn_text_free(&self.note);
}
