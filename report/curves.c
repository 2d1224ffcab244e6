#include "report/curves.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "report/line_chart.h"
#include "report/svg.h"

const char *curves_option(const curves_group *group, const char *key)
{
    const char *value = run_series_option(group->run[0], key);
    return value != NULL ? value : "unset";
}

// --- groups

// Options that may differ between seeds of one group; "section." is a whole section.
static bool shapes_the_curve(const char *key)
{
    static const char *const other[] = { "run.seed",          "run.device",      "replay.path",
                                         "replay.durability", "replay.cache_mb", "market.cache",
                                         "train.log_every",   "checkpoint." };
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        size_t length = strlen(other[i]);
        bool section = other[i][length - 1] == '.';
        if (section ? strncmp(key, other[i], length) == 0 : strcmp(key, other[i]) == 0)
            return false;
    }
    return true;
}

// Whether every option of `a` that counts has the same value in `b`.
static bool agrees_with(const run_series *a, const run_series *b)
{
    for (size_t i = 0; i < a->options; i++) {
        const char *value = run_series_option(b, a->option[i].key);
        if (shapes_the_curve(a->option[i].key) &&
            (value == NULL || strcmp(value, a->option[i].value) != 0))
            return false;
    }
    return true;
}

static gn_status check_other_run(const curves_group *group, const run_series *run)
{
    const char *seed = run_series_option(run, "run.seed");
    for (size_t i = 0; i < group->runs; i++) {
        const char *other = run_series_option(group->run[i], "run.seed");
        if (strcmp(group->run[i]->path, run->path) == 0)
            return gn_fail(GN_ERR_ARG, "%s: is given twice", run->path);
        if (seed != NULL && other != NULL && strcmp(seed, other) == 0)
            return gn_fail(GN_ERR_ARG, "%s: is the same run as %s: same options, same seed %s",
                           run->path, group->run[i]->path, seed);
    }
    return GN_OK;
}

static gn_status group_run(curves *figure, const run_series *run)
{
    curves_group *group = figure->group, *end = group + figure->groups;
    while (group < end && !(agrees_with(group->run[0], run) && agrees_with(run, group->run[0])))
        group++;
    if (group == end && figure->groups == CURVES_MAX_GROUPS)
        return gn_fail(GN_ERR_ARG, "%s: more than %d groups of runs: too many for one picture",
                       run->path, CURVES_MAX_GROUPS);
    if (group == end)
        figure->groups++;
    GN_TRY(check_other_run(group, run));
    GN_TRY(gn_grow(&group->run, group->runs, group->runs + 1, sizeof *group->run));
    group->run[group->runs++] = run;
    return GN_OK;
}

// --- labels

static bool differs(const curves *figure, const char *key)
{
    for (size_t i = 1; i < figure->groups; i++)
        if (strcmp(curves_option(&figure->group[0], key), curves_option(&figure->group[i], key)))
            return true;
    return false;
}

static gn_status add_key(curves *figure, const char *key)
{
    for (size_t i = 0; i < figure->keys; i++)
        if (strcmp(figure->key[i], key) == 0)
            return GN_OK;
    if (!shapes_the_curve(key) || !differs(figure, key))
        return GN_OK;
    GN_TRY(gn_grow(&figure->key, figure->keys, figure->keys + 1, sizeof *figure->key));
    figure->key[figure->keys++] = key;
    return GN_OK;
}

static gn_status find_keys(curves *figure)
{
    GN_TRY(add_key(figure, "run.env"));
    GN_TRY(add_key(figure, "run.agent"));
    for (size_t i = 0; i < figure->groups; i++)
        for (size_t k = 0; k < figure->group[i].run[0]->options; k++)
            GN_TRY(add_key(figure, figure->group[i].run[0]->option[k].key));
    return GN_OK;
}

static bool is_name(const char *key)
{
    return strcmp(key, "run.env") == 0 || strcmp(key, "run.agent") == 0;
}

// Whether environment and agent say it all: no two groups that share both have two values. So is
// what a preset sets.
static bool is_implied(const curves *figure, const char *key)
{
    for (size_t i = 0; i < figure->groups; i++) {
        for (size_t j = 0; j < i; j++) {
            const curves_group *a = &figure->group[i], *b = &figure->group[j];
            if (strcmp(curves_option(a, "run.env"), curves_option(b, "run.env")) == 0 &&
                strcmp(curves_option(a, "run.agent"), curves_option(b, "run.agent")) == 0 &&
                strcmp(curves_option(a, key), curves_option(b, key)) != 0)
                return false;
        }
    }
    return true;
}

// A long value (a path, a list) is known by its end.
static void append_value(gn_text *out, const char *value)
{
    enum { MOST = 28 };
    gn_text whole = { 0 };
    svg_utf8(&whole, *value != '\0' ? value : "none");
    const char *text = gn_text_data(&whole);
    size_t length = svg_characters(text), skip = length > MOST ? length - MOST + 1 : 0;
    for (size_t i = 0; i < skip; i++)
        do
            text++;
        while ((*text & 0xC0) == 0x80);
    gn_text_append(out, "%s%s", skip > 0 ? "\xE2\x80\xA6" : "", text);
    if (whole.status != GN_OK)
        out->status = whole.status;
    gn_text_free(&whole);
}

static void append_differences(gn_text *out, const curves *figure, const curves_group *group)
{
    enum { MOST = 4 };
    size_t shown = 0;
    for (size_t i = 0; i < figure->keys && shown < MOST; i++) {
        const char *key = figure->key[i];
        if (!is_name(key) && is_implied(figure, key))
            continue;
        gn_text_append(out, "%s", shown++ > 0 ? ", " : "");
        if (!is_name(key))
            gn_text_append(out, "%s ", key);
        append_value(out, curves_option(group, key));
    }
}

static gn_status make_label(curves *figure, curves_group *group)
{
    gn_text label = { 0 };
    append_differences(&label, figure, group);
    if (figure->groups == 1)
        append_value(&label, curves_option(group, "run.agent"));
    size_t same = 0;
    for (const curves_group *other = figure->group; other < group; other++)
        same += strncmp(other->label, gn_text_data(&label), label.size) == 0 &&
                (other->label[label.size] == '\0' || other->label[label.size + 1] == '#');
    if (same > 0) // what sets it apart was cut
        gn_text_append(&label, " #%zu", same + 1);
    gn_status status = gn_text_status(&label);
    if (status == GN_OK)
        status = gn_copy_text(&group->label, gn_text_data(&label));
    gn_text_free(&label);
    return status;
}

// --- curves

// Where the figure of a run ends: an episode's return stands until the next one is done, everything
// else is known at its lines alone.
static double end_of(const curves *figure, const run_series *run)
{
    if (strcmp(figure->metric.line, "episode") == 0)
        return run->last_step;
    return run->step[run->points - 1];
}

static gn_status find_ends(const curves *figure, curves_group *group, double *ret_first,
                           double *ret_last)
{
    const run_series *latest = group->run[0], *shortest = group->run[0];
    double longest = 0;
    for (size_t i = 0; i < group->runs; i++) {
        if (group->run[i]->step[0] > latest->step[0])
            latest = group->run[i];
        if (end_of(figure, group->run[i]) < end_of(figure, shortest))
            shortest = group->run[i];
        longest = fmax(longest, end_of(figure, group->run[i]));
    }
    *ret_first = latest->step[0];
    *ret_last = end_of(figure, shortest);
    if (*ret_first > *ret_last)
        return gn_fail(GN_ERR_EMPTY,
                       "%s: its first value is at step %.0f, and %s of the same group ends at %.0f",
                       latest->path, *ret_first, shortest->path, *ret_last);
    group->shortest = longest > *ret_last ? shortest : NULL;
    return GN_OK;
}

// The steps of the grid within [first, last], and both of these.
static void place_steps(curves_group *group, double first, double last, double begin, double end,
                        size_t grid)
{
    group->step[group->points++] = first;
    for (size_t i = 0; i < grid; i++) {
        double step = begin + (end - begin) * (double)i / (double)(grid - 1);
        if (step > first && step < last)
            group->step[group->points++] = step;
    }
    if (last > first)
        group->step[group->points++] = last;
}

static double mean_over_steps(const curves_group *group, const run_series *run)
{
    const double *step = group->step;
    size_t last = group->points - 1;
    if (last == 0)
        return run_series_at(run, step[0]);
    double area = 0;
    for (size_t i = 0; i < last; i++)
        area += (step[i + 1] - step[i]) *
                (run_series_at(run, step[i]) / 2 + run_series_at(run, step[i + 1]) / 2);
    return area / (step[last] - step[0]);
}

static void draw_through(curves_group *group)
{
    double value[AGGREGATE_MAX_RUNS];
    for (size_t i = 0; i < group->points; i++) {
        for (size_t k = 0; k < group->runs; k++)
            value[k] = run_series_at(group->run[k], group->step[i]);
        group->final = aggregate_of(value, group->runs);
        group->iqm[i] = group->final.iqm;
        group->low[i] = group->final.low;
        group->high[i] = group->final.high;
    }
    for (size_t k = 0; k < group->runs; k++)
        value[k] = mean_over_steps(group, group->run[k]);
    group->mean = aggregate_of(value, group->runs);
}

static gn_status make_curves(curves *figure, size_t grid)
{
    double first[CURVES_MAX_GROUPS], last[CURVES_MAX_GROUPS], begin = INFINITY, end = 0;
    for (size_t i = 0; i < figure->groups; i++) {
        GN_TRY(find_ends(figure, &figure->group[i], &first[i], &last[i]));
        begin = fmin(begin, first[i]);
        end = fmax(end, last[i]);
    }
    for (size_t i = 0; i < figure->groups; i++) {
        curves_group *group = &figure->group[i];
        GN_TRY(gn_alloc(&group->step, grid + 2, sizeof *group->step));
        GN_TRY(gn_alloc(&group->iqm, grid + 2, sizeof *group->iqm));
        GN_TRY(gn_alloc(&group->low, grid + 2, sizeof *group->low));
        GN_TRY(gn_alloc(&group->high, grid + 2, sizeof *group->high));
        place_steps(group, first[i], last[i], begin, end, grid);
        draw_through(group);
    }
    return GN_OK;
}

// --- words

static void append_labels(gn_text *out, const curves *figure, size_t least, size_t most,
                          const char *what)
{
    size_t found = 0, written = 0;
    for (size_t i = 0; i < figure->groups; i++)
        found += figure->group[i].runs >= least && figure->group[i].runs <= most;
    if (found == 0)
        return;
    gn_text_append(out, "%s", what);
    if (found == figure->groups)
        gn_text_append(out, found > 1 ? ": all groups" : "");
    for (size_t i = 0; i < figure->groups && found < figure->groups; i++)
        if (figure->group[i].runs >= least && figure->group[i].runs <= most)
            gn_text_append(out, "%s%s", written++ > 0 ? "; " : ": ", figure->group[i].label);
    gn_text_append(out, ".\n");
}

static void write_note(gn_text *out, const curves *figure)
{
    size_t bands = 0;
    for (size_t i = 0; i < figure->groups; i++)
        bands += figure->group[i].runs > 1;
    if (bands > 0)
        gn_text_append(out,
                       "Line: interquartile mean over the seeds of a group. Band: its 95 %% "
                       "interval at each step, percentile bootstrap over seeds (%d resamples).\n",
                       AGGREGATE_RESAMPLES);
    append_labels(out, figure, 1, 1, "One run, so no band, and nothing said of other seeds");
    append_labels(out, figure, 2, CURVES_WEAK_SEEDS - 1,
                  "Fewer than 4 seeds, so the interval is weak");
    for (size_t i = 0; i < figure->groups; i++) {
        const curves_group *group = &figure->group[i];
        char step[LINE_CHART_NUMBER_SIZE];
        if (group->shortest == NULL)
            continue;
        line_chart_number_text(step, group->step[group->points - 1]);
        gn_text_append(out, "Runs of different length: %s ends at step %s with its shortest, ",
                       group->label, step);
        svg_utf8(out, group->shortest->path);
        gn_text_append(out, ".\n");
    }
}

static void write_title(gn_text *out, const curves *figure)
{
    const curves_group *group = &figure->group[0];
    bool agent = !differs(figure, "run.agent"), env = !differs(figure, "run.env");
    if (agent)
        append_value(out, curves_option(group, "run.agent"));
    if (agent && env)
        gn_text_append(out, " on ");
    if (env)
        append_value(out, curves_option(group, "run.env"));
    if (!agent && !env)
        gn_text_append(out, "Learning curves");
}

static void write_y_label(gn_text *out, const curves *figure)
{
    const run_metric *metric = &figure->metric;
    char name[RUN_METRIC_NAME_SIZE];
    run_metric_name(name, metric);
    if (strcmp(name, "return") == 0)
        gn_text_append(out, "return of training episodes");
    else if (strcmp(name, "eval") == 0)
        gn_text_append(out, "return in greedy evaluation");
    else
        gn_text_append(out, "%s", name);
    if (figure->window > 1)
        gn_text_append(out, ", mean of the last %zu %s", figure->window,
                       strcmp(metric->line, "episode") == 0 ? "episodes" : "lines");
}

static gn_status write_words(char **ret_words, void (*write)(gn_text *, const curves *),
                             const curves *figure)
{
    gn_text text = { 0 };
    write(&text, figure);
    gn_status status = gn_text_status(&text);
    if (status == GN_OK)
        status = gn_copy_text(ret_words, gn_text_data(&text));
    gn_text_free(&text);
    return status;
}

// --- all of it

static gn_status explain_missing(const curves *figure, const run_series *run, const gn_text *fields)
{
    char name[RUN_METRIC_NAME_SIZE];
    run_metric_name(name, &figure->metric);
    if (strcmp(figure->metric.line, "episode") == 0 && strcmp(name, "return") == 0)
        return gn_fail(GN_ERR_EMPTY, "%s: no episode has ended yet", run->path);
    if (strcmp(name, "eval") == 0)
        return gn_fail(GN_ERR_EMPTY, "%s: no evaluation yet (eval.every = %s)", run->path,
                       run_series_option(run, "eval.every") ? run_series_option(run, "eval.every")
                                                            : "unset");
    if (run_metric_listed(gn_text_data(fields), name))
        return gn_fail(GN_ERR_EMPTY, "%s: no value of '%s' yet", run->path, name);
    return gn_fail(GN_ERR_ARG, "metric '%s': no run has it; there is: %s", name,
                   fields->size > 0 ? gn_text_data(fields) : "nothing yet");
}

static gn_status read_runs(curves *figure, const char *const *folder, size_t folders,
                           gn_text *fields)
{
    GN_TRY(gn_alloc(&figure->run, folders, sizeof *figure->run));
    for (; figure->runs < folders; figure->runs++)
        GN_TRY(run_series_read(&figure->run[figure->runs], folder[figure->runs], &figure->metric,
                               fields));
    for (size_t i = 0; i < folders; i++) {
        if (figure->run[i]->points == 0)
            return explain_missing(figure, figure->run[i], fields);
        run_series_smooth(figure->run[i], figure->window);
        GN_TRY(group_run(figure, figure->run[i]));
    }
    return GN_OK;
}

static gn_status make(curves *figure, const char *const *folder, size_t folders,
                      const curves_config *config)
{
    gn_text fields = { 0 };
    GN_TRY(run_metric_parse(&figure->metric, config->metric));
    bool episodes = strcmp(figure->metric.line, "episode") == 0;
    figure->window = config->window > 0 ? config->window : episodes ? CURVES_EPISODE_WINDOW : 1;
    GN_TRY(gn_alloc(&figure->group, CURVES_MAX_GROUPS + 1, sizeof *figure->group));
    gn_status status = read_runs(figure, folder, folders, &fields);
    gn_text_free(&fields);
    GN_TRY(status);
    GN_TRY(find_keys(figure));
    for (size_t i = 0; i < figure->groups; i++)
        GN_TRY(make_label(figure, &figure->group[i]));
    GN_TRY(make_curves(figure, config->points));
    GN_TRY(write_words(&figure->title, write_title, figure));
    GN_TRY(write_words(&figure->y_label, write_y_label, figure));
    return write_words(&figure->note, write_note, figure);
}

gn_status curves_read(curves **ret_curves, const char *const *folder, size_t folders,
                      const curves_config *config)
{
    if (folders == 0 || folders > AGGREGATE_MAX_RUNS)
        return gn_fail(GN_ERR_ARG, "%zu runs: 1 to %d", folders, AGGREGATE_MAX_RUNS);
    if (config->points < 2 || config->points > CURVES_MAX_POINTS)
        return gn_fail(GN_ERR_ARG, "points: %zu is not in 2 to %d", config->points,
                       CURVES_MAX_POINTS);
    if (config->window > CURVES_MAX_WINDOW)
        return gn_fail(GN_ERR_ARG, "window: %zu is not in 1 to %d", config->window,
                       CURVES_MAX_WINDOW);
    curves *figure = NULL;
    GN_TRY(gn_alloc(&figure, 1, sizeof *figure));
    gn_status status = make(figure, folder, folders, config);
    if (status != GN_OK)
        curves_destroy(&figure);
    else
        *ret_curves = figure;
    return status;
}

void curves_destroy(curves **figure)
{
    if (*figure == NULL)
        return;
    for (size_t i = 0; i < (*figure)->groups; i++) {
        curves_group *group = &(*figure)->group[i];
        gn_free(&group->label);
        gn_free(&group->run);
        gn_free(&group->step);
        gn_free(&group->iqm);
        gn_free(&group->low);
        gn_free(&group->high);
    }
    for (size_t i = 0; i < (*figure)->runs; i++)
        run_series_destroy(&(*figure)->run[i]);
    gn_free(&(*figure)->group);
    gn_free(&(*figure)->run);
    gn_free(&(*figure)->key);
    gn_free(&(*figure)->title);
    gn_free(&(*figure)->y_label);
    gn_free(&(*figure)->note);
    gn_free(figure);
}
