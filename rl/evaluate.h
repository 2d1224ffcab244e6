// Evaluation: one policy, greedy, on data or episodes training never touched; and the baselines
// that stand beside it with the same bars and the same costs.

#ifndef RL_EVALUATE_H
#define RL_EVALUATE_H

#include <stdbool.h>
#include <stdint.h>

#include "envs/env.h"
#include "market/performance.h"
#include "rl/learner.h"

// Chooses an action. observation: [inputs] of the current state as float32 (bytes divided by 255),
// NULL if the policy takes none.
// bar: last closed bar, for environments with a market.
typedef struct rl_policy {
    gn_status (*act)(void *user, const float *observation, uint64_t bar, int32_t *ret_action);
    void *user;
    bool observes;
} rl_policy;

// The learner's greedy policy; valid as long as the learner.
rl_policy rl_greedy_policy(rl_learner *learner);

// Where to evaluate.
typedef struct rl_arena {
    const env_class *kind;
    const void *config; // options of the class
    const env_market *market; // NULL for environments without
    uint64_t seed;
    int64_t episodes; // of environments without a market; a market is one episode
    bool final; // episodes that chose no weights: other ones than those seen while training
} rl_arena;

// What came out. The trading part is 0 without a market; money is a share of the capital.
typedef struct rl_result {
    double mean_return, mean_length; // of episodes, undiscounted
    double min_return, max_return;
    uint64_t episodes;

    market_performance performance;
    uint64_t trades; // fills
    double turnover; // sum of |change of exposure|
    double years; // calendar time of the bars
    double costs; // fees, spread, slippage, funding, borrow
    double exposure; // share of bars with a position
    bool ruined;
} rl_result;

// Whether an evaluation there is possible: without running it.
// Errors: those of the environment; GN_ERR_UNSUPPORTED for a market that is not the trading
// environment's, whose account nothing here can read.
gn_status rl_arena_check(const rl_arena *arena);

// Errors: those of rl_arena_check; GN_ERR_MEMORY; GN_ERR_NUMERIC.
gn_status rl_evaluate(rl_result *ret_result, const rl_arena *arena, const rl_policy *policy);

// A rule that trades without learning.
typedef struct rl_baseline {
    const char *name; // "buy_and_hold", as in JSON
    const char *label; // "buy and hold", as in tables
} rl_baseline;

// Ends with {0}.
extern const rl_baseline rl_baselines[];
enum { RL_BASELINE_COUNT = 5, RL_RANDOM_RUNS = 16 };

// All baselines in order of the table, each through the environment itself. Flat and buy and hold
// have the exposures 0 and 1 whatever the agent's are; the others take the nearest of the agent's.
// `random` changes at random times with the turnover of `agent`; its figures are means over
// RL_RANDOM_RUNS runs.  Shape: ret_result: [RL_BASELINE_COUNT]. Errors: GN_ERR_ARG without a
// market.
gn_status rl_evaluate_baselines(rl_result *ret_result, const rl_arena *arena,
                                const rl_result *agent);

#endif
