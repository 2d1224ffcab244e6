#include "cli/replay_demo.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/thread.h"
#include "cli/replay_verbs.h"

static const replay_demo *const demos[] = { &demo_disk,   &demo_prioritized,
                                            &demo_frames, &demo_state_cache,
                                            &demo_n_step, &demo_variable_batch };
enum { DEMOS = sizeof demos / sizeof *demos, NAME_COLUMN = 18 };

// --- what a demo reports

void demo_row(demo_report *report, const char *label, const double *value)
{
    size_t row = 0;
    while (report->label[row])
        row++;
    if (row == DEMO_ROWS)
        return;
    report->label[row] = label;
    for (size_t i = 0; report->column[i]; i++)
        report->value[row][i] = value[i];
}

void demo_expect(demo_report *report, bool holds, const char *otherwise, ...)
{
    char reason[256];
    va_list arguments;
    if (holds)
        return;
    va_start(arguments, otherwise);
    vsnprintf(reason, sizeof reason, otherwise, arguments);
    va_end(arguments);
    gn_text_append(&report->why, "%s%s", report->why.size > 0 ? "; " : "", reason);
}

bool demo_same_batch(const replay_batch *a, const replay_batch *b)
{
    size_t n = a->size, window = (size_t)a->spec.stack * a->spec.record_size;
    bool same = n == b->size && memcmp(a->item, b->item, n * sizeof *a->item) == 0 &&
                memcmp(a->action, b->action, n * sizeof *a->action) == 0 &&
                memcmp(a->reward, b->reward, n * sizeof *a->reward) == 0 &&
                memcmp(a->discount, b->discount, n * sizeof *a->discount) == 0 &&
                memcmp(a->weight, b->weight, n * sizeof *a->weight) == 0;
    for (size_t i = 0; i < n && same; i++)
        same = memcmp(a->record + i * a->stride, b->record + i * b->stride, window) == 0 &&
               memcmp(a->next_record[0] + i * a->stride, b->next_record[0] + i * b->stride,
                      window) == 0;
    return same;
}

gn_status demo_time_batches(replay_buffer *buffer, const replay_draw *draw, replay_batch *batch,
                            int rounds, double *ret_us)
{
    gn_random random = gn_random_stream(1, GN_RANDOM_SAMPLE, 0);
    double begin = gn_seconds();
    for (int i = 0; i < rounds; i++)
        GN_TRY(replay_buffer_sample(buffer, draw, &random, batch));
    *ret_us = (gn_seconds() - begin) * 1e6 / rounds;
    return GN_OK;
}

// --- printing

// Three digits, or all of a whole number.
static void format_value(char ret_text[32], double value)
{
    int decimals = fabs(value) >= 100 || value == floor(value) ? 0 : fabs(value) >= 10 ? 1 : 2;
    if (isnan(value))
        snprintf(ret_text, 32, "-");
    else if (value != 0 && fabs(value) < 0.1)
        snprintf(ret_text, 32, "%.2g", value);
    else
        snprintf(ret_text, 32, "%.*f", decimals, value);
}

static void print_table(gn_text *out, const demo_report *report)
{
    char cell[32];
    size_t left = 0, width[DEMO_COLUMNS];
    for (size_t row = 0; report->label[row]; row++)
        left = strlen(report->label[row]) > left ? strlen(report->label[row]) : left;
    gn_text_append(out, "%-*s", (int)left, "");
    for (size_t i = 0; report->column[i]; i++) {
        width[i] = strlen(report->column[i]);
        for (size_t row = 0; report->label[row]; row++) {
            format_value(cell, report->value[row][i]);
            width[i] = strlen(cell) > width[i] ? strlen(cell) : width[i];
        }
        gn_text_append(out, "  %*s", (int)width[i], report->column[i]);
    }
    gn_text_append(out, "\n");
    for (size_t row = 0; report->label[row]; row++) {
        gn_text_append(out, "%-*s", (int)left, report->label[row]);
        for (size_t i = 0; report->column[i]; i++) {
            format_value(cell, report->value[row][i]);
            gn_text_append(out, "  %*s", (int)width[i], cell);
        }
        gn_text_append(out, "\n");
    }
}

static gn_status print_report(const replay_demo *demo, const demo_report *report, double seconds)
{
    gn_text out = { 0 }, verdict = { 0 };
    gn_text_append(&out, "%s\n\n", demo->name);
    gn_text_append_wrapped(&out, demo->says, 0, 0, CLI_WIDTH);
    gn_text_append(&out, "\n\n");
    print_table(&out, report);
    if (report->why.size > 0)
        gn_text_append(&verdict, "does NOT work: %s", gn_text_data(&report->why));
    else
        gn_text_append(&verdict, "works (%.1f s)", seconds);
    gn_text_append(&out, "\n");
    gn_text_append_wrapped(&out, gn_text_data(&verdict), 0, 0, CLI_WIDTH);
    gn_text_append(&out, "\n");
    gn_text_free(&verdict);
    return cli_print(&out);
}

static json_t *report_json(const replay_demo *demo, const demo_report *report, double seconds)
{
    json_t *rows = json_array();
    for (size_t row = 0; report->label[row]; row++) {
        json_t *values = json_object();
        for (size_t i = 0; report->column[i]; i++)
            json_object_set_new(values, report->column[i],
                                isfinite(report->value[row][i]) ? json_real(report->value[row][i])
                                                                : json_null());
        json_array_append_new(
            rows, json_pack("{s:s, s:o}", "name", report->label[row], "values", values));
    }
    return json_pack("{s:s, s:b, s:s, s:f, s:o}", "demo", demo->name, "works",
                     report->why.size == 0, "why", gn_text_data(&report->why), "seconds", seconds,
                     "rows", rows);
}

// --- running

// ret_json: NULL prints the report as text.
static gn_status run_demo(cli_request *request, const replay_demo *demo, json_t **ret_json)
{
    char folder[GN_PATH_SIZE];
    demo_report report = { 0 };
    GN_TRY(cli_replay_scratch(request, folder));
    const demo_setting setting = { folder, cli_verb_value(request, "--without") };
    memcpy(report.column, demo->column, sizeof report.column);
    double begin = gn_seconds();
    gn_status status = demo->run(&setting, &report);
    double seconds = gn_seconds() - begin;
    if (status != GN_OK)
        gn_fail_within(status, "demo %s", demo->name);
    else if (ret_json)
        *ret_json = report_json(demo, &report, seconds);
    else
        status = print_report(demo, &report, seconds);
    request->unsound = request->unsound || report.why.size > 0;
    gn_text_free(&report.why);
    return cli_replay_discard(folder, status);
}

static gn_status find_demo(const char *name, size_t *ret_index)
{
    gn_text known = { 0 };
    for (size_t i = 0; i < DEMOS; i++) {
        if (strcmp(name, demos[i]->name) == 0) {
            *ret_index = i;
            gn_text_free(&known);
            return GN_OK;
        }
        gn_text_append(&known, "%s%s", i ? ", " : "", demos[i]->name);
    }
    gn_status status =
        gn_fail(GN_ERR_ARG, "replay demo '%s': the demos are %s", name, gn_text_data(&known));
    gn_text_free(&known);
    return status;
}

gn_status cli_replay_demo(cli_request *request)
{
    size_t first = 0, end = DEMOS;
    gn_status status = GN_OK;
    json_t *all = NULL;
    if (request->line.positionals > 0) {
        GN_TRY(find_demo(request->line.positional[0], &first));
        end = first + 1;
    }
    if (cli_verb_value(request, "--json"))
        all = json_array();
    for (size_t i = first; i < end && status == GN_OK; i++) {
        json_t *one = NULL;
        gn_text gap = { 0 };
        if (i > first && !all) {
            gn_text_append(&gap, "\n\n");
            status = cli_print(&gap);
        }
        if (status == GN_OK)
            status = run_demo(request, demos[i], all ? &one : NULL);
        if (one)
            json_array_append_new(all, one);
    }
    if (all && status == GN_OK)
        return cli_print_json(json_pack("{s:b, s:o}", "works", !request->unsound, "demos", all));
    json_decref(all);
    return status;
}

gn_status cli_replay_demo_list(void)
{
    gn_text out = { 0 };
    gn_text_append(&out, "\ndemos\n");
    for (size_t i = 0; i < DEMOS; i++) {
        gn_text_append(&out, "  %-*s", NAME_COLUMN - 2, demos[i]->name);
        gn_text_append_wrapped(&out, demos[i]->summary, NAME_COLUMN, NAME_COLUMN, CLI_WIDTH);
        gn_text_append(&out, "\n");
    }
    return cli_print(&out);
}
