// Splits by time with an embargo: training, validation, test, in this order, never overlapping.
//
//     warm-up | train ............ | embargo | validation ... | embargo | test ........ |
//
// Shares are of the bars after the warm-up. The embargo belongs to nobody.

#ifndef MARKET_SPLITS_H
#define MARKET_SPLITS_H

#include <stdint.h>

#include "base/option.h"

// Section [split].
typedef struct market_split_config {
    double train, validation; // shares; test gets the rest
    int64_t embargo; // bars
} market_split_config;

extern const gn_option market_split_options[];

typedef enum market_split { MARKET_TRAIN, MARKET_VALIDATION, MARKET_TEST, MARKET_ALL } market_split;

// Names as typed: "train", "validation", "test", "all"; NULL-terminated.
extern const char *const market_split_names[];

// Bars [first, end).
typedef struct market_range {
    uint64_t first, end;
} market_range;

// Errors: GN_ERR_CONFIG if shares leave a split with fewer than `least` bars (names the split, its
// bars and what to change).
gn_status market_split_range(market_range *ret_range, const market_split_config *config,
                             market_split split, uint64_t warmup, uint64_t count, uint64_t least);

#endif
