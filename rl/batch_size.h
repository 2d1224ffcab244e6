// How many steps the next training batch has: always the same, more as the run goes on, or led by
// the noise of the gradient. Arithmetic only; rl/learner measures, rl/trainer asks.
//
// With b = B/2 steps in each half of a batch of B, |G_b|^2 the mean of the squared norms of the two
// halves' gradients and |G_B|^2 the squared norm of the whole one's, unbiased estimates of the
// squared length of the true gradient and of the trace of the covariance of one step's gradient are
//
//     signal = (B |G_B|^2 - b |G_b|^2) / (B - b),   noise = (|G_b|^2 - |G_B|^2) / (1/b - 1/B)
//
// and noise / signal, each averaged over time, is the simple noise scale: below it a batch twice as
// large saves nearly half the updates, above it hardly any.
// Source: McCandlish et al. 2018, arXiv:1812.06162, appendix A.1.

#ifndef RL_BATCH_SIZE_H
#define RL_BATCH_SIZE_H

#include "rl/config.h"

enum {
    RL_NOISE_EVERY = 16, // updates between measurements
    RL_NOISE_DECIDE = 32, // measurements between decisions
};

// State of a run; saved as it is, so it holds 8-byte fields only.
typedef struct rl_batch_size {
    uint64_t steps; // in the next batch
    uint64_t measurements;
    double signal, noise; // running means, which start at 0: only their ratio is used
} rl_batch_size;

// Errors: GN_ERR_CONFIG: bounds that the schedule cannot keep.
gn_status rl_batch_size_check(const rl_train_config *train);

// Steps in the largest batch of a run.
uint64_t rl_batch_size_largest(const rl_train_config *train);

rl_batch_size rl_batch_size_start(const rl_train_config *train);

// The size that the schedule `linear` gives once this share (0 to 1) of the run is done; of other
// schedules nothing changes. The exponent is what rises linearly: each power of two from
// train.batch to train.batch_max lasts the same share of the run.
void rl_batch_size_follow(rl_batch_size *batch, const rl_train_config *train, double share);

// Whether the update after this many is to measure its halves.
bool rl_batch_size_measures(const rl_train_config *train, uint64_t updates);

// A measurement at the size of now: |G_b|^2 and |G_B|^2 as above. Every RL_NOISE_DECIDE-th decides:
// the size doubles where the noise scale is above 2^0.75 of it, and halves where it is below
// 2^-0.75, from train.batch to train.batch_max. Rounding to the nearest power of two would change
// it at 2^0.5 and back at the same noise scale: the gap keeps one that lies there from swinging the
// size. Norms that are not finite are no measurement.
void rl_batch_size_measure(rl_batch_size *batch, const rl_train_config *train, double half_square,
                           double whole_square);

// Infinite where no signal is left of the noise, NaN before the first measurement.
double rl_batch_size_noise_scale(const rl_batch_size *batch);

#endif
