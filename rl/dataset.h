// The market a run trades: bars, features and split of one file, opened from the options.

#ifndef RL_DATASET_H
#define RL_DATASET_H

#include "envs/env.h"
#include "rl/config.h"

typedef struct rl_dataset rl_dataset;

// Opens run.data, or nothing for an environment that needs no market (then *ret_dataset is an
// empty data set whose market is NULL and whose hash is "").
gn_status rl_dataset_open(rl_dataset **ret_dataset, const rl_config *config, const gn_log *log);
void rl_dataset_close(rl_dataset **dataset);

// What an environment gets for one split: NULL without a market. Valid until the next call with
// the same split, and until close.
// Errors: GN_ERR_CONFIG if the split has too few bars.
gn_status rl_dataset_market(rl_dataset *dataset, market_split split, const env_market **ret_market);

const char *rl_dataset_hash(const rl_dataset *dataset);

#endif
