// A synthetic market in which a signal really exists, for tests, demos and papers: a Markov chain
// switches between three named regimes, and each bar's return is predictable part plus noise.
//
//     trend           r_t = s * drift + noise,   s = +1 or -1, drawn when the regime starts
//     mean-reversion  r_t = -pull * (ln p_{t-1} - ln anchor) + noise,  anchor = price at its start
//     noise           r_t = noise
//
// Noise is normal with standard deviation `volatility`. A new regime is drawn every 1/change bars
// on average. Within a bar, high and low come from a Brownian bridge between open and close; volume
// is log-normal, larger when the bar moves more. open_t = close_{t-1}.
//
// With the defaults a learner can earn after costs (fee 1 bp, half spread 0.5 bp): pulls are
// strong, and trends mostly over before moving averages have seen them.

#ifndef MARKET_GENERATE_H
#define MARKET_GENERATE_H

#include "market/bars.h"

// Section [generate].
typedef struct market_generate_config {
    int64_t bars, seed;
    double spacing; // seconds a bar
    double price; // first open
    double volatility; // standard deviation of the noise, a bar
    double drift; // of trend, a bar
    double pull; // of mean-reversion, a bar
    double change; // probability a bar that a new regime is drawn
} market_generate_config;

extern const gn_option market_generate_options[];

typedef enum market_regime { MARKET_TREND, MARKET_MEAN_REVERSION, MARKET_NOISE } market_regime;
extern const char *const market_regime_names[];

// Columns of a generated market. Release with market_generated_free.
typedef struct market_generated {
    uint64_t count;
    int64_t *time_ns; // from 2020-01-01T00:00:00Z
    double *open, *high, *low, *close, *volume;
    int32_t *regime; // market_regime of the bar (the truth, which no agent sees)
} market_generated;

gn_status market_generate(market_generated *ret_market, const market_generate_config *config);
void market_generated_free(market_generated *market);

// Writes time, open, high, low, close, volume, regime (as text) to .csv, .parquet or .arrow,
// atomically.
gn_status market_generated_write(const market_generated *market, const char *path);

#endif
