// Trading one market with target exposures.
//
//     bar t closes -> observation (window of W feature rows ending at t, account) -> action
//     -> fill at the open of t+1 -> funding and mark at the close of t+1 -> reward
//
// Reward: reward_scale * ln(equity_{t+1} / equity_t), or the simple return; a step never loses more
// than 99 %, so that ruin has a finite reward. Terminated: ruin, when equity falls to `ruin` times
// the capital, or liquidation (leverage above 1). Truncated: end of the episode or of the range. In
// training, episodes start at random bars; in evaluation one episode covers the whole range.
//
// Observation: W * F features, oldest row first, then 3 account features: exposure at the mark,
// ln(equity / entry equity) * 10, ln(1 + bars held) / 5; all 0 while flat. Or, as an option, a
// chart of the last bars with the same account in it, 84 x 84 greys (envs/trading/chart.h).
// Record: bar index and those three, named bar, exposure, open_return and holding.

#ifndef ENVS_TRADING_TRADING_H
#define ENVS_TRADING_TRADING_H

#include "envs/env.h"
#include "envs/trading/account.h"

enum { TRADING_ACCOUNT_FEATURES = 3 };

typedef enum trading_fill { TRADING_NEXT_OPEN, TRADING_SAME_CLOSE } trading_fill;
typedef enum trading_observation { TRADING_FEATURES, TRADING_CHART } trading_observation;
typedef enum trading_reward { TRADING_LOG_RETURN, TRADING_SIMPLE_RETURN } trading_reward;

// Section [trading].
typedef struct trading_config {
    gn_option_list exposures; // one action each
    int observation; // trading_observation
    int64_t window; // feature rows in an observation
    int fill; // trading_fill; same-close is optimistic and marked so in results
    double fee_bps, half_spread_bps, slippage_bps;
    double funding_bps, borrow_bps; // a bar
    double capital;
    int64_t episode_bars; // steps of a training episode; 0 runs to the end of the range
    int reward; // trading_reward
    double reward_scale;
    double ruin; // share of the capital at which an episode terminates
    double leverage; // largest |exposure| allowed
    double maintenance_margin; // share of the notional; liquidation, only with leverage above 1
} trading_config;

extern const gn_option trading_options[];
extern const env_class trading_class;

// State of copy i after the last step. Valid until the next step.
typedef struct trading_state {
    uint64_t bar; // last closed bar
    double equity; // marked at its close
    double capital; // at the start
    const trading_account *account;
} trading_state;
trading_state trading_state_of(const void *env, uint32_t copy);

// First bar that an evaluation of this range observes, for a window of W feature rows or bars of a
// chart. The range starts after the warm-up of the features.
uint64_t trading_first_bar(const market_range *range, int64_t window);

#endif
