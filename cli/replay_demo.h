// Demos of the replay buffer: a row of a table each, one replay_demo_NAME.c each. A demo fills
// buffers with generated steps, measures with and without the feature, and says what must hold for
// the feature to have worked.

#ifndef CLI_REPLAY_DEMO_H
#define CLI_REPLAY_DEMO_H

#include <math.h>

#include "base/text.h"
#include "cli/replay_input.h"

enum { DEMO_COLUMNS = 5, DEMO_ROWS = 12 };

typedef struct demo_setting {
    const char *folder; // an empty one of the demo's own
    bool without; // leave the feature out where it should help: then the demo must fail
} demo_setting;

// What a demo measured, as a table.
typedef struct demo_report {
    const char *column[DEMO_COLUMNS + 1]; // ends with NULL
    const char *label[DEMO_ROWS + 1]; // ends with NULL
    double value[DEMO_ROWS][DEMO_COLUMNS]; // NaN: nothing to measure
    gn_text why; // what did not hold; empty: it works
} demo_report;

typedef struct replay_demo {
    const char *name, *summary;
    const char *says; // what it shows, in two sentences
    const char *column[DEMO_COLUMNS + 1]; // ends with NULL
    gn_status (*run)(const demo_setting *setting, demo_report *report);
} replay_demo;

extern const replay_demo demo_disk, demo_prioritized, demo_frames, demo_state_cache, demo_n_step,
    demo_variable_batch;

// A row of the table.  value: one for each column.
void demo_row(demo_report *report, const char *label, const double *value);
#define DEMO_ROW(report, label, ...) demo_row(report, label, (const double[]){ __VA_ARGS__ })

// What must hold; else the reason is printed and the demo fails.
__attribute__((format(printf, 3, 4))) void demo_expect(demo_report *report, bool holds,
                                                       const char *otherwise, ...);

// Whether two batches of one draw and spec, of one horizon, are the same in every byte.
bool demo_same_batch(const replay_batch *a, const replay_batch *b);

// Draws `rounds` batches.  ret_us: mean time of one.
gn_status demo_time_batches(replay_buffer *buffer, const replay_draw *draw, replay_batch *batch,
                            int rounds, double *ret_us);

#endif
