#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"
#include "report/curves_page.h"
#include "report/line_chart.h"
#include "report/svg.h"

static const cli_flag flags[] = {
    { "--out", "FILE", NULL, "FILE.svg: the chart; FILE.html: the chart and its tables" },
    { "--metric", "NAME", NULL,
      "return: of training episodes (default); eval: of greedy evaluation; loss, mean_q, ...: any "
      "number in the lines \"train\" of metrics.jsonl; TYPE.NAME: in others, eval.sharpe" },
    { "--window", "N", NULL,
      "a point is the mean of the last N episodes or lines, 1 to 1000 (default 20 episodes, 1 "
      "line)" },
    { "--points", "N", NULL, "steps at which curves are computed, 2 to 10000 (default 100)" },
    { "--json", NULL, NULL, "print one JSON object instead of the table" },
    { 0 },
};

static const char usage[] = "gannet plot RUN... --out FILE.svg|FILE.html [--metric NAME] [--json]";
static const char about[] =
    "Draws learning curves of run folders. Runs that differ only in their seed are one line: the "
    "interquartile mean over seeds, with its 95 % bootstrap interval as a band (Agarwal et al. "
    "2021, arXiv:2108.13264). Between lines of metrics.jsonl values are interpolated; a line ends "
    "with the shortest run of its group.";

// What is drawn, and where it goes.
typedef struct plot {
    curves_config config;
    const char *out;
    gn_status (*write)(gn_text *out, const curves *figure);
    curves *figure;
} plot;

static gn_status parse_count(const char *flag, const char *text, size_t least, size_t most,
                             size_t *ret_count)
{
    char *end;
    if (text == NULL)
        return GN_OK;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || value < (long long)least || value > (long long)most)
        return gn_fail(GN_ERR_ARG, "%s: '%s' is no number from %zu to %zu", flag, text, least,
                       most);
    *ret_count = (size_t)value;
    return GN_OK;
}

static gn_status choose_writer(plot *self)
{
    const char *dot = strrchr(self->out, '.');
    if (dot != NULL && strcmp(dot, ".svg") == 0)
        self->write = curves_svg;
    else if (dot != NULL && strcmp(dot, ".html") == 0)
        self->write = curves_html;
    else
        return gn_fail(GN_ERR_ARG, "--out: '%s' does not end with .svg or .html", self->out);
    return GN_OK;
}

static gn_status prepare(plot *self, const cli_line *line)
{
    const char *metric = cli_value(line, flags, "--metric");
    self->config = (curves_config){ .metric = metric ? metric : "return", .points = 100 };
    self->out = cli_value(line, flags, "--out");
    if (line->positionals == 0)
        return gn_fail(GN_ERR_ARG, "which runs? gannet plot RUN... --out FILE.svg");
    if (self->out == NULL)
        return gn_fail(GN_ERR_ARG, "where to? --out FILE.svg or FILE.html");
    GN_TRY(choose_writer(self));
    GN_TRY(parse_count("--points", cli_value(line, flags, "--points"), 2, CURVES_MAX_POINTS,
                       &self->config.points));
    return parse_count("--window", cli_value(line, flags, "--window"), 1, CURVES_MAX_WINDOW,
                       &self->config.window);
}

static gn_status write_page(const plot *self)
{
    gn_text page = { 0 };
    gn_status status = self->write(&page, self->figure);
    if (status == GN_OK)
        status = gn_file_write(self->out, page.data, page.size);
    gn_text_free(&page);
    return status;
}

// --- the same as text

static void append_notes(gn_text *out, const char *note)
{
    while (*note != '\0') {
        size_t length = strcspn(note, "\n");
        char paragraph[1024];
        snprintf(paragraph, sizeof paragraph, "%.*s", (int)length, note);
        gn_text_append_wrapped(out, paragraph, 0, 0, CLI_WIDTH);
        gn_text_append(out, "\n");
        note += length + (note[length] == '\n');
    }
}

static void append_row(gn_text *out, const curves_group *group)
{
    enum { LABEL_WIDTH = 25 };
    char steps[LINE_CHART_NUMBER_SIZE], final[LINE_CHART_NUMBER_SIZE], mean[LINE_CHART_NUMBER_SIZE];
    char interval[CURVES_INTERVAL_SIZE];
    size_t characters = svg_characters(group->label);
    line_chart_number_text(steps, group->step[group->points - 1]);
    line_chart_number_text(final, group->final.iqm);
    line_chart_number_text(mean, group->mean.iqm);
    curves_interval_text(interval, &group->final);
    if (characters > LABEL_WIDTH) // a line of its own
        gn_text_append(out, "%s\n%*s", group->label, LABEL_WIDTH, "");
    else
        gn_text_append(out, "%s%*s", group->label, (int)(LABEL_WIDTH - characters), "");
    gn_text_append(out, "%6zu%8s%10s%21s%10s\n", group->runs, steps, final, interval, mean);
}

static gn_status print_table(const plot *self)
{
    gn_text out = { 0 };
    const curves *figure = self->figure;
    gn_text_append_wrapped(&out, figure->title, 0, 0, CLI_WIDTH);
    gn_text_append(&out, "\n%s\n\n", figure->y_label);
    gn_text_append(&out, "%-25s%6s%8s%10s%21s%10s\n", "group", "seeds", "steps", "final",
                   "95 % interval", "mean");
    for (size_t i = 0; i < figure->groups; i++)
        append_row(&out, &figure->group[i]);
    gn_text_append(&out, "\n");
    append_notes(&out, figure->note);
    gn_text_append(&out, "written: %s\n", self->out);
    return cli_print(&out);
}

// --- and as JSON

static json_t *number_json(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *text_json(const char *bytes)
{
    gn_text text = { 0 };
    svg_utf8(&text, bytes);
    json_t *json = json_string(gn_text_data(&text));
    gn_text_free(&text);
    return json;
}

static json_t *result_json(const aggregate *result)
{
    return json_pack("{s:f, s:o, s:o}", "iqm", result->iqm, "low", number_json(result->low), "high",
                     number_json(result->high));
}

static json_t *group_json(const curves *figure, const curves_group *group)
{
    json_t *runs = json_array(), *seeds = json_array(), *options = json_object();
    for (size_t i = 0; i < group->runs; i++) {
        const char *seed = run_series_option(group->run[i], "run.seed");
        json_array_append_new(runs, text_json(group->run[i]->path));
        json_array_append_new(seeds, seed ? json_integer(strtoll(seed, NULL, 10)) : json_null());
    }
    for (size_t i = 0; i < figure->keys; i++)
        json_object_set_new(options, figure->key[i],
                            text_json(curves_option(group, figure->key[i])));
    return json_pack("{s:s, s:o, s:o, s:o, s:I, s:o, s:o}", "label", group->label, "options",
                     options, "runs", runs, "seeds", seeds, "steps",
                     (json_int_t)group->step[group->points - 1], "final",
                     result_json(&group->final), "mean", result_json(&group->mean));
}

static gn_status print_json(const plot *self)
{
    const curves *figure = self->figure;
    json_t *groups = json_array(), *root = json_object();
    char metric[RUN_METRIC_NAME_SIZE];
    run_metric_name(metric, &figure->metric);
    for (size_t i = 0; i < figure->groups; i++)
        json_array_append_new(groups, group_json(figure, &figure->group[i]));
    json_object_set_new(root, "metric", json_string(metric));
    json_object_set_new(root, "window", json_integer((json_int_t)figure->window));
    json_object_set_new(root, "groups", groups);
    json_object_set_new(root, "note", json_string(figure->note));
    json_object_set_new(root, "out", text_json(self->out));
    return cli_print_json(root);
}

int cmd_plot(int argc, char **argv)
{
    plot self = { 0 };
    cli_line line;
    gn_status status = cli_parse(&line, argc, argv, flags, NULL, CLI_MAX_WORDS);
    if (status == GN_OK && line.help)
        return cli_help(usage, about, flags, NULL) == GN_OK ? 0 : cli_fail(GN_ERR_IO);
    if (status == GN_OK)
        status = prepare(&self, &line);
    if (status == GN_OK)
        status = curves_read(&self.figure, line.positional, line.positionals, &self.config);
    if (status == GN_OK)
        status = write_page(&self);
    if (status == GN_OK)
        status = cli_value(&line, flags, "--json") ? print_json(&self) : print_table(&self);
    int exit_status = status == GN_OK ? 0 : cli_fail(status);
    curves_destroy(&self.figure);
    return exit_status;
}
