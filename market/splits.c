// Splits by time: two boundaries, each followed by the embargo. See market/splits.h.

#include "market/splits.h"

#include <assert.h>
#include <math.h>

#include "base/text.h"

const gn_option market_split_options[] = {
    GN_OPTION_REAL(market_split_config, train, "0.7", 0, 1, "share of the bars to train on"),
    GN_OPTION_REAL(market_split_config, validation, "0.15", 0, 1,
                   "share of the bars to choose the best checkpoint on; the rest is the test"),
    GN_OPTION_INT(market_split_config, embargo, "64", 0, 1e9, "bars left out between two splits"),
    { 0 },
};

const char *const market_split_names[] = { "train", "validation", "test", "all", NULL };

gn_status market_split_range(market_range *ret_range, const market_split_config *config,
                             market_split split, uint64_t warmup, uint64_t count, uint64_t least)
{
    assert(split <= MARKET_ALL);
    if (config->train + config->validation > 1)
        return gn_fail(GN_ERR_CONFIG,
                       "split.train %g + split.validation %g is above 1; the test gets the rest",
                       config->train, config->validation);
    uint64_t usable = count > warmup ? count - warmup : 0;
    uint64_t embargo = (uint64_t)config->embargo;
    uint64_t train_end = warmup + (uint64_t)round(config->train * (double)usable);
    uint64_t validation_end =
        warmup + (uint64_t)round((config->train + config->validation) * (double)usable);
    const market_range ranges[] = {
        [MARKET_TRAIN] = { warmup, train_end },
        [MARKET_VALIDATION] = { train_end + embargo, validation_end },
        [MARKET_TEST] = { validation_end + embargo, count },
        [MARKET_ALL] = { warmup, count },
    };
    market_range range = ranges[split];
    if (range.first > range.end)
        range.first = range.end;
    uint64_t bars = range.end - range.first;
    if (bars < least)
        return gn_fail(
            GN_ERR_CONFIG,
            "split %s has %llu bar%s of the %llu needed (%llu bars, %llu of them warm-up): "
            "give more data, or change split.train, split.validation, split.embargo",
            market_split_names[split], (unsigned long long)bars, gn_plural(bars),
            (unsigned long long)least, (unsigned long long)count,
            (unsigned long long)(warmup < count ? warmup : count));
    *ret_range = range;
    return GN_OK;
}
