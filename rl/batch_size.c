#include "rl/batch_size.h"

#include <assert.h>
#include <math.h>

static const double noise_decay = 0.99; // of the running means, a measurement
static const double noise_margin = 1.6817928305074290; // 2^0.75

static bool is_power_of_two(int64_t n)
{
    return n > 0 && (n & (n - 1)) == 0;
}

uint64_t rl_batch_size_largest(const rl_train_config *train)
{
    if (train->batch_schedule == RL_BATCH_FIXED)
        return (uint64_t)train->batch;
    int64_t most = RL_MAX_BATCH, usual = 8 * train->batch;
    if (train->batch_max > 0)
        return (uint64_t)train->batch_max;
    return (uint64_t)(usual < most ? usual : most);
}

gn_status rl_batch_size_check(const rl_train_config *train)
{
    if (train->batch_schedule == RL_BATCH_FIXED)
        return GN_OK;
    const char *schedule = rl_batch_schedule_names[train->batch_schedule];
    // auto measures halves of a batch; the largest first one still doubles once.
    long long least = train->batch_schedule == RL_BATCH_AUTO ? 2 : 1, most = RL_MAX_BATCH / 2;
    long long batch = train->batch, batch_max = (long long)rl_batch_size_largest(train);
    if (!is_power_of_two(batch) || batch < least || batch > most)
        return gn_fail(GN_ERR_CONFIG,
                       "train.batch: %lld: train.batch_schedule = %s doubles it, so it must be a "
                       "power of two, %lld to %lld",
                       batch, schedule, least, most);
    if (!is_power_of_two(batch_max) || batch_max <= batch)
        return gn_fail(GN_ERR_CONFIG,
                       "train.batch_max: %lld: train.batch_schedule = %s doubles train.batch = "
                       "%lld up to it, so it must be a power of two, %lld to %d, or 0",
                       batch_max, schedule, batch, 2 * batch, RL_MAX_BATCH);
    return GN_OK;
}

rl_batch_size rl_batch_size_start(const rl_train_config *train)
{
    return (rl_batch_size){ .steps = (uint64_t)train->batch };
}

void rl_batch_size_follow(rl_batch_size *batch, const rl_train_config *train, double share)
{
    if (train->batch_schedule != RL_BATCH_LINEAR)
        return;
    uint64_t first = (uint64_t)train->batch, largest = rl_batch_size_largest(train), sizes = 1;
    while (first << sizes <= largest)
        sizes++;
    double doublings = fmin(floor(share * (double)sizes), (double)(sizes - 1));
    batch->steps = first << (uint64_t)doublings;
}

bool rl_batch_size_measures(const rl_train_config *train, uint64_t updates)
{
    return train->batch_schedule == RL_BATCH_AUTO && updates % RL_NOISE_EVERY == RL_NOISE_EVERY - 1;
}

static void decide(rl_batch_size *batch, const rl_train_config *train)
{
    double scale = rl_batch_size_noise_scale(batch), steps = (double)batch->steps;
    if (scale > steps * noise_margin && batch->steps < rl_batch_size_largest(train))
        batch->steps *= 2;
    else if (scale < steps / noise_margin && batch->steps > (uint64_t)train->batch)
        batch->steps /= 2;
}

void rl_batch_size_measure(rl_batch_size *batch, const rl_train_config *train, double half_square,
                           double whole_square)
{
    assert(batch->steps % 2 == 0);
    if (!isfinite(half_square) || !isfinite(whole_square))
        return;
    double whole = (double)batch->steps, half = whole / 2;
    double signal = (whole * whole_square - half * half_square) / (whole - half);
    double noise = (half_square - whole_square) / (1 / half - 1 / whole);
    batch->signal += (1 - noise_decay) * (signal - batch->signal);
    batch->noise += (1 - noise_decay) * (noise - batch->noise);
    if (++batch->measurements % RL_NOISE_DECIDE == 0)
        decide(batch, train);
}

double rl_batch_size_noise_scale(const rl_batch_size *batch)
{
    if (batch->measurements == 0)
        return NAN;
    return batch->signal > 0 ? fmax(batch->noise, 0) / batch->signal : INFINITY;
}
