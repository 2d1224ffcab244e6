// Learning curves of several runs: runs that differ only in their seed are one group, whose curve
// is the interquartile mean over seeds with its bootstrap interval (report/aggregate.h).

#ifndef REPORT_CURVES_H
#define REPORT_CURVES_H

#include "report/aggregate.h"
#include "report/run_series.h"

enum {
    CURVES_MAX_GROUPS = 24,
    CURVES_MAX_POINTS = 10000,
    CURVES_MAX_WINDOW = 1000,
    CURVES_EPISODE_WINDOW = 20, // episodes a point is the mean of, unless said otherwise
    CURVES_WEAK_SEEDS = 4 // fewer make a weak interval
};

typedef struct curves_config {
    const char *metric; // see run_metric_parse
    size_t points; // of the grid of steps that all groups share, 2 to CURVES_MAX_POINTS
    size_t window; // lines a point is the mean of; 0: CURVES_EPISODE_WINDOW episodes, else 1 line
} curves_config;

// Arrays: [points]. A curve begins where the last of its runs has a first value and ends with the
// shortest of them: at every step it is made of all its seeds.
typedef struct curves_group {
    char *label; // what sets it apart from the other groups
    const run_series **run; // [runs], in the order given
    size_t runs, points;
    double *step, *iqm, *low, *high; // low, high: NAN with one run
    const run_series *shortest; // run that ends the curve before others of the group do, else NULL
    aggregate final; // at the last step
    aggregate mean; // of each run's mean over the steps of the curve (area under it / its length)
} curves_group;

typedef struct curves {
    run_metric metric;
    size_t window;
    run_series **run; // [runs]
    const char **key; // [keys]: options that differ between groups
    curves_group *group;
    size_t runs, keys, groups;
    char *title, *y_label;
    char *note; // what a reader has to know, paragraphs that end with a newline
} curves;

// Reads the runs and makes the curves. What does not make another group: seed, device, where things
// lie, how they are cached and checkpointed, how often a line of metrics.jsonl is written.
// Errors: GN_ERR_ARG: no runs or too many, a metric that no run has (lists what there is), one run
// given twice (same options, same seed), more than CURVES_MAX_GROUPS groups; GN_ERR_EMPTY: a run
// without a value yet, runs of a group without a step in common; those of run_series_read.
gn_status curves_read(curves **ret_curves, const char *const *folder, size_t folders,
                      const curves_config *config);
void curves_destroy(curves **figure);

// A value of one of `key`, "unset" where a group's runs have no such option.
const char *curves_option(const curves_group *group, const char *key);

#endif
