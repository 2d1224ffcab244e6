// Draws what heads learned of the AR(1) market beside the exact solution: docs/ar1-band.svg.
//     build/tests/ar1_picture docs/ar1-band.svg
// A panel for each position that is held, in it a stripe for each run of each head, coloured by the
// position it takes next; lines are the exact thresholds.

#include <math.h>
#include <stdio.h>

#include "report/svg.h"
#include "tests/rl/ar1_proof.h"

enum { PANELS = AR1_POSITIONS, TICKS = 5 };

// Pixels.
static const double width = 800, left = 128, panel_width = 210, panel_gap = 14, top = 78,
                    stripe = 6, row_gap = 10, label_y = 4;
static const double reach = 1.5; // largest signal shown

static const char css[] =
    "svg{font-family:system-ui,-apple-system,\"Segoe UI\",Roboto,sans-serif;font-size:12px}\n"
    ".back{fill:#fff}text{fill:#1b1f24}.title{font-size:16px;font-weight:600}.quiet{fill:#57606a}\n"
    ".short{fill:#d55e00}.flat{fill:#d8dde3}.long{fill:#0072b2}\n"
    ".axis{stroke:#8c959f}.exact{stroke:#1b1f24;stroke-width:1.5;stroke-dasharray:5 4}\n"
    "@media(prefers-color-scheme:dark){.back{fill:#14171b}text{fill:#e6e9ed}.quiet{fill:#a3acb6}\n"
    ".flat{fill:#4a525b}.long{fill:#1a86c8}.axis{stroke:#6b747e}.exact{stroke:#e6e9ed}}\n";

typedef struct canvas {
    gn_text out;
    const ar1_solution *solution;
    double y; // of the next stripe
} canvas;

static double panel_left(size_t position)
{
    return left + (double)position * (panel_width + panel_gap);
}

static double x_of(size_t position, double signal)
{
    double clipped = fmin(fmax(signal, -reach), reach);
    return panel_left(position) + (clipped + reach) / (2 * reach) * panel_width;
}

// Where the points i - 1 and i meet.
static double border(const ar1_solution *solution, size_t i)
{
    if (i == 0 || i == solution->points)
        return i == 0 ? -INFINITY : INFINITY;
    return (solution->x[i - 1] + solution->x[i]) / 2;
}

static void draw_stripe(canvas *self, const uint8_t *policy, double height)
{
    static const char *const style[] = { "short", "flat", "long" };
    size_t n = self->solution->points;
    for (size_t p = 0; p < PANELS; p++) {
        for (size_t from = 0, to; from < n; from = to) {
            uint8_t action = policy[from * AR1_POSITIONS + p];
            for (to = from + 1; to < n && policy[to * AR1_POSITIONS + p] == action; to++)
                ;
            double x = x_of(p, border(self->solution, from));
            double end = x_of(p, border(self->solution, to));
            if (end > x)
                svg_rectangle(&self->out, style[action], x, self->y, end - x, height);
        }
    }
    self->y += height;
}

static void draw_label(canvas *self, const char *text, double height)
{
    svg_text(&self->out, "", SVG_END, left - 12, self->y + height / 2 + label_y, text);
}

static void draw_exact_lines(canvas *self)
{
    for (size_t p = 0; p < PANELS; p++) {
        const ar1_threshold *at = &self->solution->threshold[p];
        double to_short = x_of(p, at->to_short), to_long = x_of(p, at->to_long);
        svg_line(&self->out, "exact", to_short, top, to_short, self->y);
        if (to_long > to_short)
            svg_line(&self->out, "exact", to_long, top, to_long, self->y);
    }
}

static void draw_axes(canvas *self)
{
    for (size_t p = 0; p < PANELS; p++) {
        svg_line(&self->out, "axis", x_of(p, -reach), self->y + 6, x_of(p, reach), self->y + 6);
        for (int i = 0; i < TICKS; i++) {
            double signal = (i - 2) * 0.5, x = x_of(p, signal);
            char text[16];
            snprintf(text, sizeof text, "%g", signal);
            svg_line(&self->out, "axis", x, self->y + 6, x, self->y + 10);
            svg_text(&self->out, "quiet", SVG_MIDDLE, x, self->y + 24, text);
        }
        svg_text(&self->out, "quiet", SVG_MIDDLE, x_of(p, 0), self->y + 42, "signal x");
    }
}

static void draw_legend(canvas *self)
{
    static const struct {
        const char *style, *text;
        double x;
    } entries[] = { { "short", "short", 78 },
                    { "flat", "no position", 138 },
                    { "long", "long", 238 } };
    double y = 46;
    svg_text(&self->out, "quiet", SVG_START, left, y, "takes next:");
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        svg_rectangle(&self->out, entries[i].style, left + entries[i].x, y - 10, 12, 12);
        svg_text(&self->out, "quiet", SVG_START, left + entries[i].x + 18, y, entries[i].text);
    }
    svg_line(&self->out, "exact", left + 304, y - 4, left + 328, y - 4);
    svg_text(&self->out, "quiet", SVG_START, left + 334, y, "exact threshold");
}

static void draw_panel_names(canvas *self)
{
    static const char *const panel[] = { "holds short", "holds no position", "holds long" };
    for (size_t p = 0; p < PANELS; p++)
        svg_text(&self->out, "", SVG_MIDDLE, x_of(p, 0), top - 8, panel[p]);
}

static void train_and_draw(canvas *self, const proof_head *head)
{
    static ar1_proof_policy policy;
    draw_label(self, head->name, PROOF_SEEDS * stripe);
    for (uint64_t seed = 1; seed <= PROOF_SEEDS; seed++) {
        ar1_proof_train(&policy, head, seed, self->solution);
        fprintf(stderr, "%s, seed %d: reward %.4f\n", head->name, (int)seed,
                ar1_proof_reward(self->solution, &policy));
        draw_stripe(self, policy.action, stripe);
    }
    self->y += row_gap;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s FILE.svg\n", argv[0]);
        return 2;
    }
    ar1_solution *solution = ar1_proof_solve(0);
    canvas picture = { .solution = solution, .y = top };
    double exact_height = 16;
    double bottom =
        top + exact_height + row_gap + AR1_PROOF_HEADS * (PROOF_SEEDS * stripe + row_gap);
    svg_begin(&picture.out, width, bottom + 48,
              "Positions taken by learned policies and by the exact one, by signal", css);
    svg_rectangle(&picture.out, "back", 0, 0, width, bottom + 48);
    svg_text(&picture.out, "title", SVG_START, 16, 24,
             "The AR(1) market: what five runs of each head do at a signal");
    draw_legend(&picture);
    draw_panel_names(&picture);
    draw_label(&picture, "exact", exact_height);
    draw_stripe(&picture, solution->best, exact_height);
    picture.y += row_gap;
    for (size_t head = 0; head < AR1_PROOF_HEADS; head++)
        train_and_draw(&picture, &ar1_proof_heads[head]);
    draw_exact_lines(&picture);
    draw_axes(&picture);
    svg_end(&picture.out);
    expect_ok(gn_text_status(&picture.out));
    expect_ok(gn_file_write(argv[1], picture.out.data, picture.out.size));
    gn_text_free(&picture.out);
    ar1_solution_destroy(&solution);
    return 0;
}
