// The rules that stand beside every trading result.

#include <math.h>

#include "base/mem.h"
#include "envs/trading/trading.h"
#include "market/indicators.h"
#include "rl/evaluate.h"

enum { SMA_FAST = 20, SMA_SLOW = 50 };

const rl_baseline rl_baselines[] = {
    { "buy_and_hold", "buy and hold" }, // long from the first bar to the last
    { "flat", "flat" }, // no position
    { "random", "random" }, // changes at random times, with the agent's turnover
    { "sma_cross", "SMA cross 20/50" }, // long while the fast average is above the slow, else short
    { "last_return", "sign of return" }, // long after a bar that rose, short after one that fell
    { 0 },
};

// What the rules know. fast, slow: averages of the closes, NaN before they exist.
typedef struct rules {
    const rl_arena *arena;
    const trading_config *config; // the agent's
    trading_config plain; // the same with exposures 0 and 1
    double *fast, *slow;
    double change_probability; // a bar, of the random rule
    gn_random random;
    int32_t held; // action the random rule holds
} rules;

static int32_t nearest_action(const trading_config *config, double exposure)
{
    size_t best = 0;
    for (size_t i = 1; i < config->exposures.count; i++)
        if (fabs(config->exposures.value[i] - exposure) <
            fabs(config->exposures.value[best] - exposure))
            best = i;
    return (int32_t)best;
}

static gn_status buy_and_hold(void *user, const float *observation, uint64_t bar,
                              int32_t *ret_action)
{
    (void)observation;
    (void)bar;
    *ret_action = nearest_action(&((const rules *)user)->plain, 1);
    return GN_OK;
}

static gn_status flat(void *user, const float *observation, uint64_t bar, int32_t *ret_action)
{
    (void)observation;
    (void)bar;
    *ret_action = nearest_action(&((const rules *)user)->plain, 0);
    return GN_OK;
}

static gn_status random_times(void *user, const float *observation, uint64_t bar,
                              int32_t *ret_action)
{
    (void)observation;
    (void)bar;
    rules *self = user;
    uint32_t actions = (uint32_t)self->config->exposures.count;
    if (gn_random_unit(&self->random) < self->change_probability) {
        int32_t other = (int32_t)gn_random_below(&self->random, actions - 1);
        self->held = other + (other >= self->held);
    }
    *ret_action = self->held;
    return GN_OK;
}

static gn_status sma_cross(void *user, const float *observation, uint64_t bar, int32_t *ret_action)
{
    (void)observation;
    const rules *self = user;
    double exposure = self->fast[bar] > self->slow[bar] ? 1 : -1;
    *ret_action = nearest_action(self->config, isnan(self->slow[bar]) ? 0 : exposure);
    return GN_OK;
}

static gn_status last_return(void *user, const float *observation, uint64_t bar,
                             int32_t *ret_action)
{
    (void)observation;
    const rules *self = user;
    const double *close = self->arena->market->bars->close;
    double change = bar > 0 ? close[bar] - close[bar - 1] : 0;
    *ret_action = nearest_action(self->config, change > 0 ? 1 : change < 0 ? -1 : 0);
    return GN_OK;
}

// Turnover of one change between two different exposures, both drawn uniformly.
static double mean_change(const gn_option_list *exposures)
{
    double sum = 0;
    size_t n = exposures->count;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            sum += fabs(exposures->value[i] - exposures->value[j]);
    return sum / (double)(n * (n - 1));
}

static gn_status rules_open(rules *self, const rl_result *agent)
{
    const market_bars_view *bars = self->arena->market->bars;
    size_t n = bars->count;
    double changes = agent->turnover / mean_change(&self->config->exposures);
    self->change_probability = fmin(1, changes / (double)agent->performance.bars);
    GN_TRY(gn_alloc(&self->fast, n, sizeof *self->fast));
    GN_TRY(gn_alloc(&self->slow, n, sizeof *self->slow));
    GN_TRY(market_sma(bars->close, n, SMA_FAST, self->fast));
    return market_sma(bars->close, n, SMA_SLOW, self->slow);
}

// sum += result / RL_RANDOM_RUNS, figure by figure.
static void add_share(rl_result *sum, const rl_result *result)
{
    const double share = 1.0 / RL_RANDOM_RUNS;
    market_performance *to = &sum->performance;
    const market_performance *from = &result->performance;
    to->bars = from->bars;
    to->total_return += share * from->total_return;
    to->volatility += share * from->volatility;
    to->sharpe += share * from->sharpe;
    to->sortino += share * from->sortino;
    to->max_drawdown += share * from->max_drawdown;
    sum->mean_return += share * result->mean_return;
    sum->mean_length += share * result->mean_length;
    sum->turnover += share * result->turnover;
    sum->costs += share * result->costs;
    sum->exposure += share * result->exposure;
    sum->years = result->years;
    sum->ruined |= result->ruined;
    sum->trades += result->trades; // divided once, at the end
}

static gn_status evaluate_random(rl_result *ret_result, rules *self)
{
    const rl_policy policy = { .act = random_times, .user = self };
    rl_result sum = { .episodes = RL_RANDOM_RUNS };
    for (uint32_t run = 0; run < RL_RANDOM_RUNS; run++) {
        self->random = gn_random_stream(self->arena->seed, GN_RANDOM_BASELINE, run);
        self->held = nearest_action(self->config, 0);
        rl_result result = { 0 };
        GN_TRY(rl_evaluate(&result, self->arena, &policy));
        add_share(&sum, &result);
    }
    // Growth is that of the mean: a mean of annualised growths would be one of its largest.
    double growth = 1 + sum.performance.total_return;
    sum.performance.cagr = sum.years > 0 ? pow(growth, 1 / sum.years) - 1 : 0;
    sum.performance.calmar =
        sum.performance.max_drawdown > 0 ? sum.performance.cagr / sum.performance.max_drawdown : 0;
    sum.trades = (sum.trades + RL_RANDOM_RUNS / 2) / RL_RANDOM_RUNS;
    *ret_result = sum;
    return GN_OK;
}

static gn_status evaluate_rules(rl_result *ret_result, rules *self, const rl_result *agent)
{
    gn_status (*const act[RL_BASELINE_COUNT])(void *, const float *, uint64_t, int32_t *) = {
        buy_and_hold, flat, random_times, sma_cross, last_return,
    };
    GN_TRY(rules_open(self, agent));
    for (size_t i = 0; i < RL_BASELINE_COUNT; i++) {
        const rl_policy policy = { .act = act[i], .user = self };
        rl_arena arena = *self->arena;
        if (act[i] == buy_and_hold || act[i] == flat)
            arena.config = &self->plain;
        if (act[i] == random_times)
            GN_TRY(evaluate_random(&ret_result[i], self));
        else
            GN_TRY(rl_evaluate(&ret_result[i], &arena, &policy));
    }
    return GN_OK;
}

gn_status rl_evaluate_baselines(rl_result *ret_result, const rl_arena *arena,
                                const rl_result *agent)
{
    if (!arena->market)
        return gn_fail(GN_ERR_ARG, "environment %s: baselines need a market", arena->kind->name);
    rules self = { .arena = arena, .config = arena->config };
    self.plain = *self.config;
    self.plain.exposures = (gn_option_list){ .count = 2, .value = { 0, 1 } };
    gn_status status = evaluate_rules(ret_result, &self, agent);
    gn_free(&self.fast);
    gn_free(&self.slow);
    return status;
}
