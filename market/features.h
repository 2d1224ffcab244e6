// The feature matrix: one row a bar, one column a feature, float32, causal, memory-mapped.
//
// A feature is a row of one table: name, default period, formula, warm-up, function. The list
// `features.list` names the columns in order, "return_4" being feature `return` with period 4.
// Model features are dimensionless and of order 1 (scaled by quantities known at the bar, clipped
// to [-10, 10]); raw indicators (sma, ema, rsi_raw, macd_raw, atr_raw ...) are there to look at and
// to compare with other tools.
//
// Row t is a function of bars 0..t. The first `warmup` rows, where some feature is undefined yet,
// hold NaN and are never observed.

#ifndef MARKET_FEATURES_H
#define MARKET_FEATURES_H

#include "market/bars.h"

// Section [features].
typedef struct market_features_config {
    char list[GN_OPTION_TEXT_SIZE]; // comma separated names
} market_features_config;

extern const gn_option market_features_options[];

// One row of the table, for listings and docs.
typedef struct market_feature {
    const char *name; // "return"
    size_t period; // default period; 0 where it takes none
    const char *formula; // one line
    gn_status (*compute)(const market_bars_view *bars, size_t period, double *ret_column);
} market_feature;
extern const market_feature market_feature_table[]; // ends with {0}

typedef struct market_features market_features;

typedef struct market_features_view {
    uint64_t rows; // as many as bars
    uint32_t columns;
    uint64_t warmup; // rows before the first whole one
    const float *data; // [rows, columns]
    const char *const *names; // [columns]
    const char *hash; // key of (bars, list, code version)
} market_features_view;

// Computes or maps from the cache the features of `bars`. cache: market_config.cache; bars made in
// memory are cached too (their hash is their contents').
// Errors: GN_ERR_CONFIG names an unknown feature or period; GN_ERR_EMPTY if no row is whole;
// GN_ERR_NUMERIC names feature and row if a whole row is not finite.
gn_status market_features_open(market_features **ret_features, const market_bars *bars,
                               const market_features_config *config, const char *cache,
                               const gn_log *log);
void market_features_destroy(market_features **features);

// Valid until the features are destroyed.
const market_features_view *market_features_get(const market_features *features);

// Writes the whole rows with their times (column `time`, then one column a feature) to a .csv or
// .parquet file, atomically.
gn_status market_features_write(const market_features *features, const market_bars *bars,
                                const char *path);

#endif
