// A trained agent: the weights of a run, ready to act greedily.

#ifndef RL_TRAINED_H
#define RL_TRAINED_H

#include "rl/dataset.h"
#include "rl/evaluate.h"

typedef enum rl_weights { RL_WEIGHTS_BEST, RL_WEIGHTS_LAST } rl_weights;

typedef struct rl_trained rl_trained;

// Loads weights of the run in `folder`, whose options `config` holds: those best in evaluation (if
// there are none: the last), or those of the newest whole checkpoint. market: what the agent will
// act on, NULL without one. Errors: GN_ERR_NOT_FOUND if no weights were written yet;
// GN_ERR_CORRUPT; GN_ERR_FORMAT if they do not fit the options.
gn_status rl_trained_open(rl_trained **ret_trained, const rl_config *config, const char *folder,
                          rl_weights which, const env_market *market, const gn_log *log);
void rl_trained_close(rl_trained **trained);

// Valid until close.
rl_policy rl_trained_policy(rl_trained *trained);

// Name of the run the weights are from (rl_config_name).
const char *rl_trained_run(const rl_trained *trained);

// Step the weights are from, and which they are.
uint64_t rl_trained_step(const rl_trained *trained);
rl_weights rl_trained_which(const rl_trained *trained);

#endif
