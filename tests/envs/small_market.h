// A small market in memory for the tests of environments: a random walk whose opens gap away from
// the last close, and random features.

#ifndef TESTS_ENVS_SMALL_MARKET_H
#define TESTS_ENVS_SMALL_MARKET_H

#include <math.h>

#include "base/random.h"
#include "envs/env.h"

enum { SMALL_BARS = 300, SMALL_FEATURES = 3, SMALL_WARMUP = 5 };

typedef struct small_market {
    double open[SMALL_BARS], high[SMALL_BARS], low[SMALL_BARS], close[SMALL_BARS];
    double volume[SMALL_BARS];
    float feature[SMALL_BARS][SMALL_FEATURES];
    market_bars_view bars;
    market_features_view features;
    env_market market; // the whole of it
} small_market;

// Bars from `first` on, each moving by up to `swing` (in logs) from open to close; with another
// seed they are other bars.
static inline void small_market_fill(small_market *small, uint64_t seed, double swing,
                                     uint64_t first)
{
    gn_random random = gn_random_stream(seed, GN_RANDOM_TEST, 0);
    double last = first ? small->close[first - 1] : 100;
    for (uint64_t t = first; t < SMALL_BARS; t++) {
        small->open[t] = last * exp(gn_random_uniform(&random, -0.1, 0.1) * swing);
        small->close[t] = small->open[t] * exp(gn_random_uniform(&random, -1, 1) * swing);
        small->high[t] = fmax(small->open[t], small->close[t]) * (1 + 0.1 * swing);
        small->low[t] = fmin(small->open[t], small->close[t]) / (1 + 0.1 * swing);
        small->volume[t] = gn_random_uniform(&random, 0, 1000);
        for (int k = 0; k < SMALL_FEATURES; k++)
            small->feature[t][k] = (float)gn_random_uniform(&random, -1, 1);
        last = small->close[t];
    }
    for (uint64_t t = first; t < SMALL_WARMUP; t++)
        for (int k = 0; k < SMALL_FEATURES; k++)
            small->feature[t][k] = NAN;
}

static inline void small_market_make(small_market *small, uint64_t seed, double swing)
{
    small_market_fill(small, seed, swing, 0);
    small->bars = (market_bars_view){
        .count = SMALL_BARS,
        .open = small->open,
        .high = small->high,
        .low = small->low,
        .close = small->close,
        .volume = small->volume,
        .hash = "bars",
    };
    small->features = (market_features_view){
        .rows = SMALL_BARS,
        .columns = SMALL_FEATURES,
        .warmup = SMALL_WARMUP,
        .data = &small->feature[0][0],
        .hash = "features",
    };
    small->market = (env_market){
        .bars = &small->bars,
        .features = &small->features,
        .range = { 0, SMALL_BARS },
    };
}

#endif
