#include "report/run_series.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/option.h"

static const struct {
    const char *name, *line, *field;
} aliases[] = { { "return", "episode", "return" }, { "eval", "eval", "return" } };
enum { ALIASES = sizeof aliases / sizeof *aliases };

gn_status run_metric_parse(run_metric *ret_metric, const char *name)
{
    const char *dot = strchr(name, '.');
    const char *line = "train", *field = dot != NULL ? dot + 1 : name;
    size_t line_size = strlen(line);
    for (size_t i = 0; i < ALIASES; i++) {
        if (strcmp(name, aliases[i].name) == 0) {
            line = aliases[i].line;
            line_size = strlen(line);
            field = aliases[i].field;
        }
    }
    if (dot != NULL) {
        line = name;
        line_size = (size_t)(dot - name);
    }
    run_metric metric = { 0 };
    if (line_size == 0 || line_size >= sizeof metric.line || *field == '\0' ||
        strlen(field) >= sizeof metric.field)
        return gn_fail(GN_ERR_ARG, "metric '%s': not NAME or TYPE.NAME", name);
    memcpy(metric.line, line, line_size);
    memcpy(metric.field, field, strlen(field));
    *ret_metric = metric;
    return GN_OK;
}

void run_metric_name(char ret_name[RUN_METRIC_NAME_SIZE], const run_metric *metric)
{
    for (size_t i = 0; i < ALIASES; i++) {
        if (strcmp(metric->line, aliases[i].line) == 0 &&
            strcmp(metric->field, aliases[i].field) == 0) {
            snprintf(ret_name, RUN_METRIC_NAME_SIZE, "%s", aliases[i].name);
            return;
        }
    }
    bool train = strcmp(metric->line, "train") == 0;
    snprintf(ret_name, RUN_METRIC_NAME_SIZE, "%s%s%s", train ? "" : metric->line, train ? "" : ".",
             metric->field);
}

bool run_metric_listed(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; (at = strstr(at, name)) != NULL; at++)
        if ((at == list || at[-1] == ' ') && (at[length] == '\0' || at[length] == ','))
            return true;
    return false;
}

// --- options

static gn_status add_option(void *user, const char *key, const char *value)
{
    run_series *series = user;
    for (size_t i = 0; i < series->options; i++) {
        if (strcmp(series->option[i].key, key) == 0) { // the last one counts, as for a run
            gn_free(&series->option[i].value);
            return gn_copy_text(&series->option[i].value, value);
        }
    }
    GN_TRY(gn_grow(&series->option, series->options, series->options + 1, sizeof *series->option));
    run_option *option = &series->option[series->options++];
    GN_TRY(gn_copy_text(&option->key, key));
    return gn_copy_text(&option->value, value);
}

const char *run_series_option(const run_series *series, const char *key)
{
    for (size_t i = 0; i < series->options; i++)
        if (strcmp(series->option[i].key, key) == 0)
            return series->option[i].value;
    return NULL;
}

// --- lines

// A file on its way into a series.
typedef struct line_reader {
    run_series *series;
    const run_metric *metric;
    char path[GN_PATH_SIZE];
    size_t number; // of the line, from 1
    size_t capacity; // of step and value
    gn_text *fields;
} line_reader;

static gn_status add_point(line_reader *reader, double step, double value)
{
    run_series *series = reader->series;
    if (series->points > 0 && series->step[series->points - 1] > step)
        return gn_fail(GN_ERR_FORMAT, "%s:%zu: step %.0f comes after step %.0f", reader->path,
                       reader->number, step, series->step[series->points - 1]);
    if (series->points == reader->capacity) {
        size_t capacity = 2 * reader->capacity + 256;
        GN_TRY(gn_grow(&series->step, reader->capacity, capacity, sizeof *series->step));
        GN_TRY(gn_grow(&series->value, reader->capacity, capacity, sizeof *series->value));
        reader->capacity = capacity;
    }
    series->step[series->points] = step;
    series->value[series->points++] = value;
    return GN_OK;
}

// null may become a number later.
static void list_field(line_reader *reader, const char *type, const char *field,
                       const json_t *value)
{
    char name[RUN_METRIC_NAME_SIZE];
    run_metric metric = { 0 };
    if ((!json_is_number(value) && !json_is_null(value)) || strcmp(field, "step") == 0 ||
        strlen(type) >= sizeof metric.line || strlen(field) >= sizeof metric.field)
        return;
    memcpy(metric.line, type, strlen(type));
    memcpy(metric.field, field, strlen(field));
    run_metric_name(name, &metric);
    if (!run_metric_listed(gn_text_data(reader->fields), name))
        gn_text_append(reader->fields, "%s%s", reader->fields->size > 0 ? ", " : "", name);
}

static gn_status take_object(line_reader *reader, json_t *root)
{
    const char *type = json_string_value(json_object_get(root, "type"));
    const json_t *step = json_object_get(root, "step");
    if (type == NULL || !json_is_number(step) || json_number_value(step) < 0)
        return gn_fail(GN_ERR_FORMAT,
                       "%s:%zu: not a line of metrics: it needs a \"type\" and a "
                       "\"step\"",
                       reader->path, reader->number);
    const char *field;
    json_t *value;
    json_object_foreach(root, field, value) list_field(reader, type, field, value);
    reader->series->last_step = fmax(reader->series->last_step, json_number_value(step));
    if (strcmp(type, reader->metric->line) != 0)
        return GN_OK;
    value = json_object_get(root, reader->metric->field);
    if (!json_is_number(value) || !isfinite(json_number_value(value)))
        return GN_OK;
    return add_point(reader, json_number_value(step), json_number_value(value));
}

static gn_status take_line(line_reader *reader, const char *line, size_t size, bool is_whole)
{
    json_error_t error;
    json_t *root = json_loadb(line, size, 0, &error);
    if (root == NULL && !is_whole)
        return GN_OK;
    if (root == NULL)
        return gn_fail(GN_ERR_FORMAT, "%s:%zu: not JSON: %s", reader->path, reader->number,
                       error.text);
    gn_status status = take_object(reader, root);
    json_decref(root);
    return status;
}

static gn_status read_lines(line_reader *reader)
{
    void *data;
    size_t size;
    GN_TRY(gn_file_read(&data, &size, reader->path));
    gn_status status = GN_OK;
    const char *line = data, *end = line + size;
    while (status == GN_OK && line < end) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *line_end = newline != NULL ? newline : end;
        reader->number++;
        status = take_line(reader, line, (size_t)(line_end - line), newline != NULL);
        line = line_end + 1;
    }
    gn_free(&data);
    return status;
}

static gn_status read_run(run_series *series, const char *folder, const run_metric *metric,
                          gn_text *fields)
{
    line_reader reader = { .series = series, .metric = metric, .fields = fields };
    GN_TRY(gn_copy_text(&series->path, folder));
    for (size_t size = strlen(folder); size > 1 && series->path[size - 1] == '/'; size--)
        series->path[size - 1] = '\0';
    GN_TRY(gn_path_join(reader.path, series->path, "run.ini"));
    if (!gn_path_exists(reader.path))
        return gn_fail(GN_ERR_NOT_FOUND, "%s: is not the folder of a run (it has no run.ini)",
                       folder);
    GN_TRY(gn_options_scan(reader.path, add_option, series));
    GN_TRY(gn_path_join(reader.path, series->path, "metrics.jsonl"));
    if (!gn_path_exists(reader.path))
        return gn_fail(GN_ERR_NOT_FOUND, "%s: has no metrics.jsonl: nothing was trained yet",
                       folder);
    GN_TRY(read_lines(&reader));
    return gn_text_status(fields);
}

gn_status run_series_read(run_series **ret_series, const char *folder, const run_metric *metric,
                          gn_text *fields)
{
    run_series *series = NULL;
    GN_TRY(gn_alloc(&series, 1, sizeof *series));
    gn_status status = read_run(series, folder, metric, fields);
    if (status != GN_OK)
        run_series_destroy(&series);
    else
        *ret_series = series;
    return status;
}

void run_series_destroy(run_series **series)
{
    if (*series == NULL)
        return;
    for (size_t i = 0; i < (*series)->options; i++) {
        gn_free(&(*series)->option[i].key);
        gn_free(&(*series)->option[i].value);
    }
    gn_free(&(*series)->option);
    gn_free(&(*series)->path);
    gn_free(&(*series)->step);
    gn_free(&(*series)->value);
    gn_free(series);
}

// --- the curve

void run_series_smooth(run_series *series, size_t window)
{
    // From the end, so that what is still needed is not yet replaced.
    for (size_t i = series->points; i-- > 0;) {
        size_t n = i + 1 < window ? i + 1 : window;
        double sum = 0;
        for (size_t j = i + 1 - n; j <= i; j++)
            sum += series->value[j];
        series->value[i] = sum / (double)n;
    }
}

double run_series_at(const run_series *series, double step)
{
    const double *x = series->step, *y = series->value;
    if (series->points == 0 || step < x[0])
        return NAN;
    size_t low = 0, high = series->points; // x[low] <= step, and below x[high]
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (x[middle] <= step)
            low = middle;
        else
            high = middle;
    }
    if (high == series->points)
        return y[low];
    double share = (step - x[low]) / (x[high] - x[low]);
    return y[low] + share * (y[high] - y[low]);
}
