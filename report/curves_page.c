#include "report/curves_page.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "report/line_chart.h"
#include "report/svg.h"

gn_status curves_svg(gn_text *out, const curves *figure)
{
    line_chart_series line[CURVES_MAX_GROUPS] = { 0 };
    for (size_t i = 0; i < figure->groups; i++) {
        const curves_group *group = &figure->group[i];
        line[i] = (line_chart_series){ .label = group->label,
                                       .n = group->points,
                                       .x = group->step,
                                       .y = group->iqm,
                                       .low = group->low,
                                       .high = group->high };
    }
    const line_chart picture = { .title = figure->title,
                                 .x_label = "environment steps",
                                 .y_label = figure->y_label,
                                 .note = figure->note,
                                 .lines = figure->groups,
                                 .line = line };
    line_chart_draw(out, &picture);
    return gn_text_status(out);
}

void curves_interval_text(char ret_text[CURVES_INTERVAL_SIZE], const aggregate *result)
{
    char low[LINE_CHART_NUMBER_SIZE], high[LINE_CHART_NUMBER_SIZE];
    line_chart_number_text(low, result->low);
    line_chart_number_text(high, result->high);
    if (isfinite(result->low))
        snprintf(ret_text, CURVES_INTERVAL_SIZE, "%s to %s", low, high);
    else
        snprintf(ret_text, CURVES_INTERVAL_SIZE, "one run");
}

static void append_number_cell(gn_text *out, double value)
{
    char text[LINE_CHART_NUMBER_SIZE];
    line_chart_number_text(text, value);
    gn_text_append(out, "<td class=\"n\">%s</td>", text);
}

static void append_result_cells(gn_text *out, const aggregate *result)
{
    char text[CURVES_INTERVAL_SIZE];
    append_number_cell(out, result->iqm);
    curves_interval_text(text, result);
    gn_text_append(out, "<td class=\"n\">%s</td>", text);
}

static void append_groups(gn_text *out, const curves *figure)
{
    gn_text_append(out, "<table>\n<tr><th>group</th><th class=\"n\">seeds</th>"
                        "<th class=\"n\">steps</th><th class=\"n\">final</th>"
                        "<th class=\"n\">95 %% interval</th><th class=\"n\">mean</th>"
                        "<th class=\"n\">95 %% interval</th></tr>\n");
    for (size_t i = 0; i < figure->groups; i++) {
        const curves_group *group = &figure->group[i];
        gn_text_append(out, "<tr><td>");
        svg_escape(out, group->label);
        gn_text_append(out, "</td><td class=\"n\">%zu</td>", group->runs);
        append_number_cell(out, group->step[group->points - 1]);
        append_result_cells(out, &group->final);
        append_result_cells(out, &group->mean);
        gn_text_append(out, "</tr>\n");
    }
    gn_text_append(out, "</table>\n<p class=\"quiet\">final: interquartile mean over seeds at the "
                        "last step of the curve. mean: of each run's mean over the steps of the "
                        "curve, the area under it by its length.</p>\n");
}

static void append_differences(gn_text *out, const curves *figure, const curves_group *group)
{
    for (size_t i = 0; i < figure->keys; i++) {
        gn_text_append(out, "%s", i > 0 ? "<br>" : "");
        svg_escape(out, figure->key[i]);
        gn_text_append(out, " = ");
        svg_escape(out, curves_option(group, figure->key[i]));
    }
}

static void append_runs(gn_text *out, const curves *figure)
{
    gn_text_append(out,
                   "<h2>Runs</h2>\n<table>\n<tr><th>group</th><th>seed and folder</th>%s"
                   "</tr>\n",
                   figure->keys > 0 ? "<th>options that differ</th>" : "");
    for (size_t i = 0; i < figure->groups; i++) {
        const curves_group *group = &figure->group[i];
        gn_text_append(out, "<tr><td>");
        svg_escape(out, group->label);
        gn_text_append(out, "</td><td>");
        for (size_t k = 0; k < group->runs; k++) {
            const char *seed = run_series_option(group->run[k], "run.seed");
            gn_text_append(out, "%s", k > 0 ? "<br>" : "");
            svg_escape(out, seed != NULL ? seed : "?");
            gn_text_append(out, ": ");
            svg_escape(out, group->run[k]->path);
        }
        gn_text_append(out, "</td>");
        if (figure->keys > 0) {
            gn_text_append(out, "<td>");
            append_differences(out, figure, group);
            gn_text_append(out, "</td>");
        }
        gn_text_append(out, "</tr>\n");
    }
    gn_text_append(out, "</table>\n");
}

gn_status curves_html(gn_text *out, const curves *figure)
{
    gn_text_append(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                        "<meta name=\"viewport\" content=\"width=device-width\">\n<title>");
    svg_escape(out, figure->title);
    gn_text_append(out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n", line_chart_page_css);
    GN_TRY(curves_svg(out, figure));
    append_groups(out, figure);
    append_runs(out, figure);
    gn_text_append(out, "</body>\n</html>\n");
    return gn_text_status(out);
}
