// Random input for every kind of head of nn/head.h, in the shapes its functions take.

#ifndef TESTS_SUPPORT_HEAD_CASE_H
#define TESTS_SUPPORT_HEAD_CASE_H

#include "nn/head.h"
#include "tests/support/check.h"

enum {
    HEAD_STEPS = 24,
    HEAD_ACTIONS = 3,
    HEAD_ROWS = HEAD_STEPS * HEAD_ACTIONS,
    HEAD_WIDTH = 72,
    HEAD_TARGET = 240
};

// Outputs for values are of all actions; the first HEAD_STEPS of them serve a loss as those of the
// chosen ones. Every fourth step is terminal, every fifth policy greedy, rewards pass the atoms'
// range.
typedef struct head_case {
    nn_head head;
    size_t width, next_width, target_width;
    float out[HEAD_ROWS * HEAD_WIDTH], next_out[HEAD_ROWS * HEAD_WIDTH];
    float target[HEAD_STEPS * HEAD_TARGET], fraction[HEAD_STEPS * HEAD_WIDTH];
    float reward[HEAD_STEPS], discount[HEAD_STEPS], weight[HEAD_STEPS], error[HEAD_STEPS];
    float policy[HEAD_ROWS], bonus[HEAD_ROWS], grad[HEAD_STEPS * HEAD_WIDTH];
} head_case;

// What every option is by default.
nn_head_config head_case_config(nn_head_kind kind);

// Fills all but target, error and grad. Widths must fit.
void head_case_fill(head_case *c, const nn_head_config *config, uint64_t seed);

// From next_out; bonus: with bonuses.
nn_backup head_case_backup(const head_case *c, bool bonus, double rescale);

nn_head_batch head_case_batch(head_case *c);

// Each of the configurations that tests go through, by number; false past the last.
bool head_case_variant(int number, nn_head_config *ret_config);

// |a - b| / max(|b|, floor) over the whole arrays, by their Euclidean norms.
double head_case_distance(const float *a, const double *b, size_t count, double floor);

#endif
