// Evaluation and baselines on a small market, against figures worked out beside the code.

#include "rl/evaluate.h"

#include <math.h>

#include "envs/pixel/catch.h"
#include "envs/trading/trading.h"
#include "rl/config.h"
#include "tests/envs/small_market.h"
#include "tests/rl/small_run.h"

enum { WINDOW = 4, BARS_PER_YEAR = 8760 };

// A market with times, and an arena over bars [0, end) of it.
typedef struct stage {
    small_market small;
    int64_t time_ns[SMALL_BARS];
    rl_config *config;
    rl_arena arena;
} stage;

static void stage_open(stage *self, uint64_t end, const char *const *flag)
{
    small_market_make(&self->small, 3, 0.02);
    for (int64_t t = 0; t < SMALL_BARS; t++)
        self->time_ns[t] = t * 3600 * INT64_C(1000000000);
    self->small.bars.time_ns = self->time_ns;
    self->small.bars.bars_per_year = BARS_PER_YEAR;
    self->small.market.range.end = end;
    self->config = config_of(flag);
    self->arena = (rl_arena){ .seed = 1, .episodes = 3, .market = &self->small.market };
    expect_ok(rl_config_env(self->config, &self->arena.kind, &self->arena.config));
}

#define STAGE_OPEN(self, end, ...) \
    stage_open(self, end, \
               (const char *const[]){ "run.data", "x", "trading.window", "4", __VA_ARGS__, NULL })

static void stage_close(stage *self)
{
    rl_config_destroy(&self->config);
}

// --- policies

static gn_status always(void *user, const float *observation, uint64_t bar, int32_t *ret_action)
{
    (void)bar;
    assert_null(observation);
    *ret_action = *(const int32_t *)user;
    return GN_OK;
}

// Turns over the position every `user` bars.
static gn_status alternate(void *user, const float *observation, uint64_t bar, int32_t *ret_action)
{
    (void)observation;
    *ret_action = bar / *(const uint64_t *)user % 2 ? 2 : 0;
    return GN_OK;
}

static rl_result evaluate(const stage *self,
                          gn_status (*act)(void *, const float *, uint64_t, int32_t *), void *user)
{
    rl_policy policy = { .act = act, .user = user };
    rl_result result;
    expect_ok(rl_evaluate(&result, &self->arena, &policy));
    return result;
}

static void baselines(const stage *self, const rl_result *agent, rl_result *ret_result)
{
    expect_ok(rl_evaluate_baselines(ret_result, &self->arena, agent));
}

static const rl_result *baseline(const rl_result *results, const char *name)
{
    for (int i = 0; i < RL_BASELINE_COUNT; i++)
        if (strcmp(rl_baselines[i].name, name) == 0)
            return &results[i];
    fail_msg("no baseline is called %s", name);
    return NULL;
}

// --- figures by hand

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-9 * (1 + fabs(b));
}

// All figures are 8 bytes each but the last, so that no padding is compared.
static bool same(const rl_result *a, const rl_result *b)
{
    return memcmp(a, b, offsetof(rl_result, ruined)) == 0 && a->ruined == b->ruined;
}

static void flat_is_nothing_at_all(void **state)
{
    (void)state;
    stage self;
    int32_t action = 1;
    STAGE_OPEN(&self, SMALL_BARS, "run.seed", "1");
    rl_result result = evaluate(&self, always, &action);
    uint64_t steps = SMALL_BARS - 1 - (SMALL_WARMUP + WINDOW - 1);
    const rl_result nothing = { .mean_length = (double)steps,
                                .episodes = 1,
                                .years = result.years,
                                .performance = { .bars = steps } };
    assert_true(same(&result, &nothing));
    assert_true(near(result.years, (double)steps / 24 / 365.25));
    stage_close(&self);
}

static void buy_and_hold_is_the_ledger_with_its_costs(void **state)
{
    (void)state;
    stage self;
    int32_t action = 2;
    STAGE_OPEN(&self, SMALL_BARS, "trading.fee_bps", "10", "trading.half_spread_bps", "2",
               "trading.slippage_bps", "3");
    rl_result result = evaluate(&self, always, &action);

    // The whole capital buys at the open of the bar after the first observed one, 5 bps above it.
    const uint64_t first = SMALL_WARMUP + WINDOW - 1;
    double open = self.small.open[first + 1], close = self.small.close[SMALL_BARS - 1];
    double units = 1 / (open * (1 + 5e-4) * (1 + 10e-4));
    double years = (SMALL_BARS - 1 - (double)first) / BARS_PER_YEAR * (8760 / (365.25 * 24));
    assert_true(near(result.performance.total_return, units * close - 1));
    assert_true(near(result.performance.cagr, pow(units * close, 1 / years) - 1));
    assert_true(near(result.costs, units * open * (5e-4 + 10e-4 * (1 + 5e-4))));
    // Reward: 100 times the log return, each step rounded to float32.
    assert_true(fabs(result.mean_return - 100 * log(units * close)) < 1e-3);
    assert_true(near(result.exposure, 1) && near(result.turnover, 1));
    assert_int_equal(result.trades, 1);
    assert_false(result.ruined);
    stage_close(&self);
}

static void funding_and_borrow_are_costs(void **state)
{
    (void)state;
    stage self;
    int32_t action = 0; // short
    STAGE_OPEN(&self, SMALL_BARS, "trading.fee_bps", "0", "trading.half_spread_bps", "0",
               "trading.slippage_bps", "0", "trading.borrow_bps", "2");
    rl_result result = evaluate(&self, always, &action);
    const uint64_t first = SMALL_WARMUP + WINDOW - 1;
    double open = self.small.open[first + 1], paid = 0;
    for (uint64_t t = first + 1; t < SMALL_BARS; t++)
        paid += 2e-4 * self.small.close[t] / open;
    assert_true(near(result.costs, paid));
    assert_true(
        near(result.performance.total_return, 1 - self.small.close[SMALL_BARS - 1] / open - paid));
    stage_close(&self);
}

// The curve, walked through the environment by hand.
static void performance_is_that_of_the_equity_curve(void **state)
{
    (void)state;
    stage self;
    uint64_t period = 7;
    void *env = NULL;
    const uint32_t copy = 0;
    double equity[SMALL_BARS];
    uint64_t marks = 1, in_market = 0;
    uint8_t terminated = 0, truncated = 0;
    float reward;
    STAGE_OPEN(&self, 250, "run.seed", "1");
    rl_result result = evaluate(&self, alternate, &period);

    const env_context context = { .copies = 1,
                                  .seed = 1,
                                  .purpose = GN_RANDOM_EVAL,
                                  .mode = ENV_EVALUATE,
                                  .market = &self.small.market };
    expect_ok(self.arena.kind->create(&env, self.arena.config, &context));
    self.arena.kind->reset(env, &copy, 1);
    trading_state now = trading_state_of(env, 0);
    uint64_t first = now.bar;
    equity[0] = now.capital;
    while (!terminated && !truncated) {
        int32_t action = -1;
        expect_ok(alternate(&period, NULL, now.bar, &action));
        self.arena.kind->step(env, &action, &reward, &terminated, &truncated);
        now = trading_state_of(env, 0);
        equity[marks++] = now.equity;
        in_market += now.account->units != 0;
    }
    market_performance expected;
    double years = (double)(now.bar - first) * 3600 / (365.25 * 86400);
    expect_ok(market_performance_measure(&expected, equity, marks, BARS_PER_YEAR, years));
    assert_memory_equal(&result.performance, &expected, sizeof expected);
    assert_int_equal(now.bar, 249);
    assert_int_equal(result.trades, now.account->trades);
    assert_true(result.trades > 20);
    assert_true(near(result.turnover, now.account->turnover));
    assert_true(near(result.exposure, (double)in_market / (double)(marks - 1)));
    self.arena.kind->destroy(env);
    stage_close(&self);
}

static void ruin_ends_it_and_is_told(void **state)
{
    (void)state;
    stage self;
    int32_t action = 0;
    STAGE_OPEN(&self, SMALL_BARS, "trading.leverage", "50", "trading.exposures", "-50,0,50");
    rl_result result = evaluate(&self, always, &action);
    assert_true(result.ruined);
    assert_true(result.performance.bars < 200);
    assert_true(result.performance.total_return < -0.5);
    stage_close(&self);
}

// --- baselines

static void baselines_stand_in_order_with_their_rules(void **state)
{
    (void)state;
    stage self;
    int32_t action = 2, none = 1;
    rl_result found[RL_BASELINE_COUNT];
    STAGE_OPEN(&self, SMALL_BARS, "run.seed", "1");
    rl_result held = evaluate(&self, always, &action), flat = evaluate(&self, always, &none);
    baselines(&self, &held, found);
    assert_true(same(baseline(found, "buy_and_hold"), &held));
    assert_true(same(baseline(found, "flat"), &flat));
    assert_null(rl_baselines[RL_BASELINE_COUNT].name);
    stage_close(&self);
}

static void random_trades_about_as_much_as_the_agent(void **state)
{
    (void)state;
    static const uint64_t periods[] = { 3, 10, 30 };
    for (int i = 0; i < 3; i++) {
        stage self;
        uint64_t period = periods[i];
        rl_result found[RL_BASELINE_COUNT], again[RL_BASELINE_COUNT];
        STAGE_OPEN(&self, SMALL_BARS, "run.seed", "1");
        rl_result agent = evaluate(&self, alternate, &period);
        baselines(&self, &agent, found);
        const rl_result *random = baseline(found, "random");
        assert_true(fabs(random->turnover / agent.turnover - 1) < 0.2);
        assert_int_equal(random->episodes, RL_RANDOM_RUNS);
        baselines(&self, &agent, again);
        assert_true(same(random, baseline(again, "random")));
        stage_close(&self);
    }
}

static void random_stays_flat_beside_a_flat_agent(void **state)
{
    (void)state;
    stage self;
    int32_t action = 1;
    rl_result found[RL_BASELINE_COUNT];
    STAGE_OPEN(&self, SMALL_BARS, "run.seed", "1");
    rl_result agent = evaluate(&self, always, &action);
    baselines(&self, &agent, found);
    assert_int_equal(baseline(found, "random")->trades, 0);
    assert_true(baseline(found, "random")->performance.total_return == 0);
    stage_close(&self);
}

// The slow average of 50 closes exists at bar 49; its order fills at bar 50.
static void sma_cross_waits_for_fifty_bars(void **state)
{
    (void)state;
    static const uint64_t ends[] = { 50, 51 };
    for (int i = 0; i < 2; i++) {
        stage self;
        int32_t action = 1;
        rl_result found[RL_BASELINE_COUNT];
        STAGE_OPEN(&self, ends[i], "run.seed", "1");
        rl_result agent = evaluate(&self, always, &action);
        baselines(&self, &agent, found);
        assert_int_equal(baseline(found, "sma_cross")->trades, i);
        stage_close(&self);
    }
}

static double mean_of_last(const double *close, uint64_t bar, uint64_t n)
{
    double sum = 0;
    for (uint64_t t = bar + 1 - n; t <= bar; t++)
        sum += close[t];
    return sum / (double)n;
}

// The rules once more, for exposures -1, 0, 1 (actions 0, 1, 2).
static gn_status naive_sma(void *user, const float *observation, uint64_t bar, int32_t *ret_action)
{
    (void)observation;
    const double *close = user;
    *ret_action = 1;
    if (bar >= 49)
        *ret_action = mean_of_last(close, bar, 20) > mean_of_last(close, bar, 50) ? 2 : 0;
    return GN_OK;
}

static gn_status naive_last_return(void *user, const float *observation, uint64_t bar,
                                   int32_t *ret_action)
{
    (void)observation;
    const double *close = user;
    *ret_action = close[bar] > close[bar - 1] ? 2 : close[bar] < close[bar - 1] ? 0 : 1;
    return GN_OK;
}

static void rules_trade_what_they_say(void **state)
{
    (void)state;
    stage self;
    int32_t action = 1;
    rl_result found[RL_BASELINE_COUNT];
    STAGE_OPEN(&self, SMALL_BARS, "run.seed", "1");
    rl_result agent = evaluate(&self, always, &action);
    rl_result sma = evaluate(&self, naive_sma, self.small.close);
    rl_result last = evaluate(&self, naive_last_return, self.small.close);
    baselines(&self, &agent, found);
    assert_true(same(baseline(found, "sma_cross"), &sma));
    assert_true(same(baseline(found, "last_return"), &last));
    stage_close(&self);
}

// With exposures 0 and 1 a rule that wants to be short stands aside: action 0.
static gn_status long_only(void *user, const float *observation, uint64_t bar, int32_t *ret_action)
{
    gn_status status = naive_last_return(user, observation, bar, ret_action);
    *ret_action = *ret_action == 2;
    return status;
}

static void the_nearest_exposure_is_taken(void **state)
{
    (void)state;
    stage self;
    int32_t action = 0;
    rl_result found[RL_BASELINE_COUNT];
    STAGE_OPEN(&self, SMALL_BARS, "trading.exposures", "0,1");
    rl_result agent = evaluate(&self, always, &action);
    rl_result expected = evaluate(&self, long_only, self.small.close);
    baselines(&self, &agent, found);
    assert_true(same(baseline(found, "last_return"), &expected));
    assert_true(same(baseline(found, "flat"), &agent));
    stage_close(&self);
}

// --- environments without a market

static void episodes_without_a_market_are_averaged(void **state)
{
    (void)state;
    rl_config *config = CONFIG_OF("run.env", "cartpole");
    rl_arena arena = { .seed = 1, .episodes = 20 };
    rl_result result, again, found[RL_BASELINE_COUNT];
    int32_t left = 0;
    const rl_policy policy = { .act = always, .user = &left };
    expect_ok(rl_config_env(config, &arena.kind, &arena.config));
    expect_ok(rl_evaluate(&result, &arena, &policy));
    expect_ok(rl_evaluate(&again, &arena, &policy));
    assert_true(same(&result, &again));
    assert_int_equal(result.episodes, 20);
    assert_true(result.min_return >= 8 && result.max_return <= 11); // the pole falls at once
    assert_true(result.min_return <= result.mean_return && result.mean_return <= result.max_return);
    assert_true(result.mean_length == result.mean_return); // reward 1 a step
    expect_fails(GN_ERR_ARG, "need a market", rl_evaluate_baselines(found, &arena, &result));
    rl_config_destroy(&config);
}

// First pixel of this grey in a frame as a policy gets it.
static int find(const float *frame, int grey)
{
    for (int i = 0; i < CATCH_PIXELS; i++)
        if (frame[i] == (float)grey / 255)
            return i;
    fail_msg("no pixel of %d", grey);
    return 0;
}

// Follows the ball, and expects it four pixels higher in each older frame, down to the first.
static gn_status follow_the_ball(void *user, const float *observation, uint64_t bar,
                                 int32_t *ret_action)
{
    (void)bar;
    enum { STACK = 4, CELL = 4, STEPS = 20 };
    int *steps = user, step = (*steps)++ % STEPS, ball = 0;
    for (int i = 0; i < STACK; i++) {
        int age = STACK - 1 - i;
        ball = find(observation + i * CATCH_PIXELS, CATCH_BALL);
        assert_int_equal(ball / CATCH_SIDE, age < step ? CELL * (step - age) : 0);
    }
    int paddle = find(observation + (STACK - 1) * CATCH_PIXELS, CATCH_PADDLE);
    int distance = ball % CATCH_SIDE - paddle % CATCH_SIDE;
    *ret_action = distance < 0 ? CATCH_LEFT : distance > 0 ? CATCH_RIGHT : CATCH_STAY;
    return GN_OK;
}

// What chose the weights is not what they are judged by.
static void a_final_evaluation_has_other_episodes(void **state)
{
    (void)state;
    rl_config *config = CONFIG_OF("run.env", "cartpole");
    rl_arena arena = { .seed = 1, .episodes = 20 };
    int32_t left = 0;
    const rl_policy policy = { .act = always, .user = &left };
    rl_result first, again, final;
    expect_ok(rl_config_env(config, &arena.kind, &arena.config));
    expect_ok(rl_evaluate(&first, &arena, &policy));
    expect_ok(rl_evaluate(&again, &arena, &policy));
    arena.final = true;
    expect_ok(rl_evaluate(&final, &arena, &policy));
    assert_true(same(&first, &again));
    assert_false(same(&first, &final));
    rl_config_destroy(&config);
}

static void a_policy_sees_the_last_frames_of_its_episode(void **state)
{
    (void)state;
    rl_config *config = CONFIG_OF("run.env", "catch");
    rl_arena arena = { .seed = 1, .episodes = 30 };
    int steps = 0;
    const rl_policy policy = { .act = follow_the_ball, .user = &steps, .observes = true };
    rl_result result;
    expect_ok(rl_config_env(config, &arena.kind, &arena.config));
    expect_ok(rl_evaluate(&result, &arena, &policy));
    assert_true(result.min_return == 1 && result.mean_return == 1 && result.mean_length == 20);
    rl_config_destroy(&config);
}

static void a_failed_allocation_leaves_nothing_behind(void **state)
{
    (void)state;
    stage self;
    int32_t action = 2;
    rl_result found[RL_BASELINE_COUNT];
    gn_status status = GN_ERR_MEMORY;
    STAGE_OPEN(&self, SMALL_BARS, "run.seed", "1");
    rl_result agent = evaluate(&self, always, &action);
    uint64_t live = gn_mem_live();
    for (uint64_t n = 1; status != GN_OK; n++) {
        gn_mem_fail_at(n);
        status = rl_evaluate_baselines(found, &self.arena, &agent);
        gn_mem_fail_at(0);
        assert_true(status == GN_OK || status == GN_ERR_MEMORY);
        assert_int_equal(gn_mem_live(), live);
    }
    stage_close(&self);
}

TEST_MAIN(flat_is_nothing_at_all, buy_and_hold_is_the_ledger_with_its_costs,
          funding_and_borrow_are_costs, performance_is_that_of_the_equity_curve,
          ruin_ends_it_and_is_told, baselines_stand_in_order_with_their_rules,
          random_trades_about_as_much_as_the_agent, random_stays_flat_beside_a_flat_agent,
          sma_cross_waits_for_fifty_bars, rules_trade_what_they_say, the_nearest_exposure_is_taken,
          episodes_without_a_market_are_averaged, a_final_evaluation_has_other_episodes,
          a_policy_sees_the_last_frames_of_its_episode, a_failed_allocation_leaves_nothing_behind)
