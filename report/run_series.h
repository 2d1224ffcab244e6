// One run as it lies on disk: its options (run.ini) and one figure over its steps (metrics.jsonl).
// Nothing of rl/ is needed, so runs of other versions can be read as well.

#ifndef REPORT_RUN_SERIES_H
#define REPORT_RUN_SERIES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

// Which figure: a field of the lines of one type.
typedef struct run_metric {
    char line[32], field[64]; // "episode", "return"
} run_metric;

// From its name: `return` is episode.return, `eval` is eval.return, TYPE.FIELD is itself, any other
// NAME is train.NAME. Errors: GN_ERR_ARG if it is empty or too long.
gn_status run_metric_parse(run_metric *ret_metric, const char *name);

// The shortest name that is read as this metric.
enum { RUN_METRIC_NAME_SIZE = 112 };
void run_metric_name(char ret_name[RUN_METRIC_NAME_SIZE], const run_metric *metric);

// Whether a name stands in a list "return, loss, mean_q".
bool run_metric_listed(const char *list, const char *name);

typedef struct run_option {
    char *key, *value; // "agent.gamma", "0.99"
} run_option;

typedef struct run_series {
    char *path; // of the folder, without a '/' at its end
    run_option *option; // in the order of run.ini
    size_t options;
    double *step, *value; // finite; steps never descend, several episodes may end at one
    size_t points;
    double last_step; // of any line
} run_series;

// Reads a run, and appends to the list `fields` the name of each figure it has that is not there
// yet. Values that are null are left out. A last line that a run is still writing (without a
// newline, and not JSON) is ignored.
// Errors: GN_ERR_NOT_FOUND: not the folder of a run; GN_ERR_FORMAT: a line that is not one of
// metrics.jsonl ("FILE:LINE: why"), steps that go back; those of gn_options_scan and gn_file_read.
// A run without the figure is no error: it has no points.
gn_status run_series_read(run_series **ret_series, const char *folder, const run_metric *metric,
                          gn_text *fields);
void run_series_destroy(run_series **series);

// Value of an option, NULL if the run has none of that name.
const char *run_series_option(const run_series *series, const char *key);

// Replaces each value by the mean of the last `window` >= 1 ones up to it.
void run_series_smooth(run_series *series, size_t window);

// The value at `step`: on the straight line between points; NAN before the first point; after the
// last one its value.
double run_series_at(const run_series *series, double step);

#endif
