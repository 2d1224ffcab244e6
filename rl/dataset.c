#include "rl/dataset.h"

#include "base/mem.h"

struct rl_dataset {
    market_split_config split;
    market_bars *bars;
    market_features *features;
    env_market market[MARKET_ALL + 1]; // by split
};

gn_status rl_dataset_open(rl_dataset **ret_dataset, const rl_config *config, const gn_log *log)
{
    const env_class *class = NULL;
    GN_TRY(env_class_find(&class, config->run.env));
    rl_dataset *dataset = NULL;
    GN_TRY(gn_alloc(&dataset, 1, sizeof *dataset));
    dataset->split = config->split;
    gn_status status = GN_OK;
    if (class->needs_market)
        status = market_bars_open(&dataset->bars, config->run.data, &config->market, log);
    if (status == GN_OK && dataset->bars)
        status = market_features_open(&dataset->features, dataset->bars, &config->features,
                                      config->market.cache, log);
    if (status != GN_OK) {
        rl_dataset_close(&dataset);
        return status;
    }
    *ret_dataset = dataset;
    return GN_OK;
}

void rl_dataset_close(rl_dataset **dataset)
{
    if (!*dataset)
        return;
    market_features_destroy(&(*dataset)->features);
    market_bars_destroy(&(*dataset)->bars);
    gn_free(dataset);
}

gn_status rl_dataset_market(rl_dataset *dataset, market_split split, const env_market **ret_market)
{
    enum { LEAST_BARS = 2 };
    if (!dataset->bars) {
        *ret_market = NULL;
        return GN_OK;
    }
    env_market *market = &dataset->market[split];
    market->bars = market_bars_get(dataset->bars);
    market->features = market_features_get(dataset->features);
    GN_TRY(market_split_range(&market->range, &dataset->split, split, market->features->warmup,
                              market->bars->count, LEAST_BARS));
    *ret_market = market;
    return GN_OK;
}

const char *rl_dataset_hash(const rl_dataset *dataset)
{
    return dataset->bars ? market_bars_get(dataset->bars)->hash : "";
}
