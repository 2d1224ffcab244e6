// The trading environment: the worked ledger, no look-ahead, starts and ends, and what must hold on
// the wildest market.

#include "envs/trading/trading.h"

#include <math.h>
#include <string.h>

#include "envs/vec_env.h"
#include "tests/envs/small_market.h"
#include "tests/support/check.h"

static trading_config default_config(void)
{
    trading_config config;
    const gn_option_section sections[] = {
        { .name = "trading", .options = trading_options, .values = &config },
        { 0 },
    };
    gn_options_reset(sections);
    return config;
}

static gn_status create(vec_env **ret_env, const trading_config *config, const env_market *market,
                        env_mode mode, uint32_t copies, uint64_t seed)
{
    const env_context context = {
        .copies = copies,
        .seed = seed,
        .purpose = GN_RANDOM_ENV,
        .mode = mode,
        .market = market,
    };
    return vec_env_create(ret_env, &trading_class, config, &context);
}

// Steps one copy with the action of this exposure.
static void step_one(vec_env *env, int32_t action)
{
    expect_ok(vec_env_step(env, &action));
}

static trading_state state_of(const vec_env *env)
{
    return trading_state_of(vec_env_object(env), 0);
}

// Twelve bars with their ledger by tests/golden/make_ledger.py; the table of docs/trading.md.
static const double ledger_open[] = { 100, 101.5, 102.25, 103.5, 103,   100.5,
                                      98,  97.25, 98.5,   103,   104.5, 102 };
static const double ledger_close[] = { 101, 102, 104, 103, 100, 98, 97, 99, 103, 104, 102, 103 };
static const struct {
    int target;
    double trade, units, cash, carry, equity, gain;
} ledger[] = {
    { 0, 0, 0, 10000, 0, 10000, 0 },
    { 1, 97.6529827019008, 97.6529827019008, -1.01559102009977, 1.01559102009977, 10154.8946099776,
      0.0154894609977582 },
    { 1, 0, 97.6529827019008, -2.02141674192935, 1.00582572182958, 10056.2358015539,
      -0.00971539461638471 },
    { -1, -194.99394657565, -97.3409638737491, 20050.2917387148, 1.94681927747498, 10316.1953513399,
      0.0258505821577807 },
    { -1, 0, -97.3409638737491, 20048.3838558229, 1.90788289192548, 10508.9693961955,
      0.0186865446310625 },
    { 0, 97.3409638737491, 0, 10494.6555047988, 0, 10494.6555047988, -0.00136206423836888 },
    { -1, -107.752620367854, -107.752620367854, 20955.7511596644, 2.13350188328352,
      10288.2417432468, -0.0196684647206989 },
    { 1, 212.429991535411, 104.677371167556, -1.07817692302583, 1.07817692302583, 10780.6910533353,
      0.0478652545671089 },
    { 1, 0, 104.677371167556, -2.16682158316842, 1.08864466014259, 10884.2797798427,
      0.00960872786307757 },
    { 0, -104.677371167556, 0, 10920.2157568886, 0, 10920.2157568886, 0.00330164032648806 },
    { 0, 0, 0, 10920.2157568886, 0, 10920.2157568886, 0 },
};

static void agrees_with_the_hand_computed_ledger(void **state)
{
    (void)state;
    enum { BARS = 12 };
    const float feature[BARS] = { 0 };
    const market_bars_view bars = {
        .count = BARS,
        .open = ledger_open,
        .high = ledger_open, // not looked at without leverage
        .low = ledger_open,
        .close = ledger_close,
        .hash = "ledger",
    };
    const market_features_view features = {
        .rows = BARS, .columns = 1, .data = feature, .hash = "none"
    };
    const env_market market = { &bars, &features, { 0, BARS } };
    trading_config config = default_config();
    config.window = 1;
    config.fee_bps = 10;
    config.half_spread_bps = 2;
    config.slippage_bps = 3;
    config.funding_bps = 1;
    config.borrow_bps = 3;
    config.reward = TRADING_SIMPLE_RETURN;
    config.reward_scale = 1;
    vec_env *env;
    expect_ok(create(&env, &config, &market, ENV_EVALUATE, 1, 0));

    trading_account before = *state_of(env).account;
    for (int i = 0; i < BARS - 2; i++) {
        step_one(env, ledger[i].target + 1);
        trading_account now = *state_of(env).account;
        assert_true(fabs(now.units - before.units - ledger[i].trade) < 1e-9);
        assert_true(fabs(now.units - ledger[i].units) < 1e-9);
        assert_true(fabs(now.cash - ledger[i].cash) < 1e-9);
        assert_true(fabs(now.funding_paid - before.funding_paid - ledger[i].carry) < 1e-9);
        assert_true(fabs(state_of(env).equity - ledger[i].equity) < 1e-9);
        assert_true(fabs((double)vec_env_last(env)->reward[0] - ledger[i].gain) < 1e-8);
        before = now;
    }
    step_one(env, ledger[BARS - 2].target + 1); // the last step: the next episode stands already
    assert_int_equal(vec_env_last(env)->truncated[0], 1);
    double sum = 0;
    for (int i = 0; i < BARS - 1; i++)
        sum += ledger[i].gain;
    assert_true(fabs(vec_env_last(env)->episode_return[0] - sum) < 1e-7);
    vec_env_destroy(&env);
}

// Everything an agent gets to see, step by step: observations and rewards.
typedef struct trace {
    float observation[SMALL_BARS][16 * SMALL_FEATURES + TRADING_ACCOUNT_FEATURES];
    float reward[SMALL_BARS];
    size_t steps;
} trace;

static void follow(trace *ret_trace, const small_market *small, int fill)
{
    trading_config config = default_config();
    config.fill = fill;
    config.leverage = 3;
    config.exposures = (gn_option_list){ .count = 4, .value = { -1, 0, 1, 3 } };
    vec_env *env;
    expect_ok(create(&env, &config, &small->market, ENV_EVALUATE, 1, 0));
    test_rng rng = test_rng_seed(1);
    memset(ret_trace, 0, sizeof *ret_trace);
    const vec_env_step_view *last = vec_env_last(env);
    while (!last->terminated[0] && !last->truncated[0]) {
        vec_env_observe(env, ret_trace->observation[ret_trace->steps]);
        step_one(env, (int32_t)test_rng_below(&rng, 4));
        ret_trace->reward[ret_trace->steps++] = last->reward[0];
    }
    vec_env_destroy(&env);
}

static void nothing_after_a_bar_changes_what_was_seen_up_to_it(void **state)
{
    (void)state;
    static small_market true_market, other_market;
    static trace truth, other;
    small_market_make(&true_market, 1, 0.01);
    for (int fill = TRADING_NEXT_OPEN; fill <= TRADING_SAME_CLOSE; fill++) {
        follow(&truth, &true_market, fill);
        for (uint64_t bar = 40; bar < SMALL_BARS - 1; bar += 37) {
            small_market_make(&other_market, 1, 0.01);
            small_market_fill(&other_market, 2, 0.01, bar + 1);
            follow(&other, &other_market, fill);
            size_t seen = bar - (SMALL_WARMUP + 16 - 1); // steps that end at or before `bar`
            assert_memory_equal(truth.reward, other.reward, seen * sizeof truth.reward[0]);
            assert_memory_equal(truth.observation, other.observation,
                                (seen + 1) * sizeof truth.observation[0]);
            assert_true(memcmp(&truth, &other, sizeof truth) != 0);
        }
    }
}

// A step's profit starts at the price of its fill, in both modes.
static void fills_at_the_next_open_or_at_the_close_it_saw(void **state)
{
    (void)state;
    static small_market small;
    small_market_make(&small, 3, 0.01);
    for (int fill = TRADING_NEXT_OPEN; fill <= TRADING_SAME_CLOSE; fill++) {
        trading_config config = default_config();
        config.fill = fill;
        config.fee_bps = config.half_spread_bps = config.slippage_bps = 0;
        vec_env *env;
        expect_ok(create(&env, &config, &small.market, ENV_EVALUATE, 1, 0));
        uint64_t bar = state_of(env).bar;
        step_one(env, 2);
        double price = fill == TRADING_NEXT_OPEN ? small.open[bar + 1] : small.close[bar];
        double reward = 100 * log(small.close[bar + 1] / price);
        assert_true(fabs((double)vec_env_last(env)->reward[0] - reward) < 1e-5);
        vec_env_destroy(&env);
    }
}

static void an_observation_is_the_window_and_the_account(void **state)
{
    (void)state;
    static small_market small;
    small_market_make(&small, 4, 0.01);
    trading_config config = default_config();
    vec_env *env;
    expect_ok(create(&env, &config, &small.market, ENV_TRAIN, 1, 7));
    const env_spec *spec = vec_env_spec(env);
    assert_int_equal(spec->observation_elements, 16 * SMALL_FEATURES + 3);
    assert_int_equal(spec->window, 16);
    assert_int_equal(spec->features, SMALL_FEATURES);
    assert_int_equal(spec->record_size, 16);
    for (int i = 0; i < 5; i++)
        step_one(env, 0);

    float observation[16 * SMALL_FEATURES + 3];
    vec_env_observe(env, observation);
    trading_state now = state_of(env);
    assert_memory_equal(observation, small.feature[now.bar - 15], 16 * sizeof small.feature[0]);
    const float *account = observation + 16 * SMALL_FEATURES;
    double exposure = now.account->units * small.close[now.bar] / now.equity;
    assert_true(fabs((double)account[0] - exposure) < 1e-6);
    double gain = 10 * log(now.equity / now.account->entry_equity);
    assert_true(fabs((double)account[1] - gain) < 1e-6);
    assert_true(fabs((double)account[2] - log(1 + 5) / 5) < 1e-6);
    vec_env_destroy(&env);
}

static void training_starts_at_random_bars_that_fit_an_episode(void **state)
{
    (void)state;
    enum { COPIES = 512, EPISODE = 250 };
    static small_market small;
    small_market_make(&small, 5, 0.001);
    trading_config config = default_config();
    config.episode_bars = EPISODE;
    vec_env *env;
    expect_ok(create(&env, &config, &small.market, ENV_TRAIN, COPIES, 1));
    const uint64_t first = SMALL_WARMUP + 15, last = SMALL_BARS - 1 - EPISODE;
    uint64_t seen[SMALL_BARS] = { 0 };
    for (uint32_t i = 0; i < COPIES; i++)
        seen[trading_state_of(vec_env_object(env), i).bar]++;
    for (uint64_t bar = 0; bar < SMALL_BARS; bar++)
        assert_true(bar >= first && bar <= last ? seen[bar] > 0 : seen[bar] == 0);

    const int32_t flat[COPIES] = { 0 };
    for (int step = 1; step <= EPISODE; step++) {
        expect_ok(vec_env_step(env, flat));
        for (uint32_t i = 0; i < COPIES; i++)
            assert_int_equal(vec_env_last(env)->truncated[i], step == EPISODE);
    }
    vec_env_destroy(&env);
}

// Bars and features outside the range and before the warm-up are NaN: one look would show.
static void evaluation_covers_the_whole_range_and_nothing_else(void **state)
{
    (void)state;
    static small_market small;
    small_market_make(&small, 6, 0.01);
    const market_range range = { 100, 200 };
    for (uint64_t t = 0; t < SMALL_BARS; t++) {
        if (t >= range.first && t < range.end)
            continue;
        small.open[t] = small.high[t] = small.low[t] = small.close[t] = NAN;
        small.feature[t][0] = NAN;
    }
    small.market.range = range;
    trading_config config = default_config();
    config.episode_bars = 10; // of training only
    vec_env *env;
    expect_ok(create(&env, &config, &small.market, ENV_EVALUATE, 1, 0));
    assert_int_equal(state_of(env).bar, trading_first_bar(&range, config.window));
    const vec_env_step_view *last = vec_env_last(env);
    float observation[16 * SMALL_FEATURES + 3];
    test_rng rng = test_rng_seed(1);
    while (!last->truncated[0]) {
        vec_env_observe(env, observation);
        for (size_t k = 0; k < 16 * SMALL_FEATURES + 3; k++)
            assert_true(isfinite(observation[k]));
        step_one(env, (int32_t)test_rng_below(&rng, 3));
        assert_true(isfinite(last->reward[0]));
    }
    assert_int_equal(last->episode_length[0], 100 - 16);
    vec_env_destroy(&env);
}

static void an_episode_longer_than_the_range_ends_with_it(void **state)
{
    (void)state;
    static small_market small;
    small_market_make(&small, 6, 0.001);
    trading_config config = default_config();
    vec_env *env;
    expect_ok(create(&env, &config, &small.market, ENV_TRAIN, 1, 0));
    while (!vec_env_last(env)->truncated[0])
        step_one(env, 1);
    assert_int_equal(vec_env_last(env)->episode_length[0], SMALL_BARS - SMALL_WARMUP - 16);
    vec_env_destroy(&env);
}

// Two bars beside each other: the position is opened at the first and meets the second.
static double reward_of_a_bar(int32_t action, double leverage, double open, double high, double low,
                              double close, uint8_t *ret_terminated)
{
    enum { BARS = 4 };
    const double opens[BARS] = { 100, 100, 100, open }, highs[BARS] = { 100, 100, 100, high };
    const double lows[BARS] = { 100, 100, 100, low }, closes[BARS] = { 100, 100, 100, close };
    const float feature[BARS] = { 0 };
    const market_bars_view bars = {
        .count = BARS,
        .open = opens,
        .high = highs,
        .low = lows,
        .close = closes,
        .hash = "",
    };
    const market_features_view features = {
        .rows = BARS, .columns = 1, .data = feature, .hash = ""
    };
    const env_market market = { &bars, &features, { 0, BARS } };
    trading_config config = default_config();
    config.window = 1;
    config.exposures = (gn_option_list){ .count = 3, .value = { -leverage, 0, leverage } };
    config.leverage = leverage;
    config.capital = 1000;
    config.maintenance_margin = 0.1;
    config.fee_bps = config.half_spread_bps = config.slippage_bps = 0;
    vec_env *env;
    expect_ok(create(&env, &config, &market, ENV_EVALUATE, 1, 0));
    step_one(env, action);
    step_one(env, action);
    step_one(env, action);
    *ret_terminated = vec_env_last(env)->terminated[0];
    double reward = (double)vec_env_last(env)->reward[0];
    vec_env_destroy(&env);
    return reward;
}

static void leverage_is_liquidated_within_the_bar(void **state)
{
    (void)state;
    uint8_t terminated;
    const int32_t to_short = 0, to_long = 2;
    // Long 2: 20 units, debt 1000: 20 P - 1000 = 0.1 * 20 P at P = 1000 / 18.
    double at_limit = 100 * log((20 * 1000 / 18.0 - 1000) / 1000);
    double reward = reward_of_a_bar(to_long, 2, 100, 101, 55, 100, &terminated);
    assert_true(terminated && fabs(reward - at_limit) < 1e-3);

    // The bar opens beyond it: closed at the open.
    reward = reward_of_a_bar(to_long, 2, 53, 60, 53, 60, &terminated);
    assert_true(terminated && fabs(reward - 100 * log((20 * 53.0 - 1000) / 1000)) < 1e-3);

    // Not touched: the bar counts at its close.
    reward = reward_of_a_bar(to_long, 2, 100, 101, 56, 99, &terminated);
    assert_true(!terminated && fabs(reward - 100 * log(980.0 / 1000)) < 1e-3);

    // Short 2: -20 units, cash 3000: 3000 - 20 P = 0.1 * 20 P at P = 3000 / 22.
    at_limit = 100 * log((3000 - 20 * 3000 / 22.0) / 1000);
    reward = reward_of_a_bar(to_short, 2, 100, 137, 99, 100, &terminated);
    assert_true(terminated && fabs(reward - at_limit) < 1e-3);
    reward = reward_of_a_bar(to_short, 2, 100, 136, 99, 99, &terminated);
    assert_true(!terminated && fabs(reward - 100 * log(1020.0 / 1000)) < 1e-3);

    // Without leverage only the close counts.
    reward = reward_of_a_bar(to_short, 1, 100, 500, 99, 99, &terminated);
    assert_true(!terminated && fabs(reward - 100 * log(1.01)) < 1e-3);
}

static void ruin_terminates_with_a_bounded_reward(void **state)
{
    (void)state;
    uint8_t terminated;
    double reward = reward_of_a_bar(0, 1, 100, 1000, 100, 1000, &terminated); // equity below 0
    assert_true(terminated && fabs(reward - 100 * log(0.01)) < 1e-3);
    reward = reward_of_a_bar(2, 1, 100, 100, 9, 9, &terminated);
    assert_true(terminated && fabs(reward - 100 * log(0.09)) < 1e-3);
    reward = reward_of_a_bar(2, 1, 100, 100, 11, 11, &terminated);
    assert_true(!terminated);
}

enum { WILD_COPIES = 16, WILD_ELEMENTS = 16 * SMALL_FEATURES + TRADING_ACCOUNT_FEATURES };

static void expect_finite(const float *value, size_t n)
{
    for (size_t k = 0; k < n; k++)
        assert_true(isfinite(value[k]));
}

static void trade_wildly(const small_market *small, const trading_config *config)
{
    static float observation[WILD_COPIES * WILD_ELEMENTS];
    vec_env *env;
    expect_ok(create(&env, config, &small->market, ENV_TRAIN, WILD_COPIES, 3));
    const vec_env_step_view *last = vec_env_last(env);
    test_rng rng = test_rng_seed(2);
    uint64_t deaths = 0;
    for (int step = 0; step < 2000; step++) {
        int32_t action[WILD_COPIES];
        for (int i = 0; i < WILD_COPIES; i++)
            action[i] = (int32_t)test_rng_below(&rng, 4);
        expect_ok(vec_env_step(env, action));
        vec_env_observe(env, observation);
        expect_finite(observation, WILD_COPIES * WILD_ELEMENTS);
        expect_finite(last->reward, WILD_COPIES);
        for (int i = 0; i < WILD_COPIES; i++) {
            assert_true((double)last->reward[i] >= 100 * log(0.01) - 1e-3);
            if (!last->terminated[i])
                continue;
            deaths++;
            vec_env_decode(env, last->final_record + i * 16, 16, 1, observation);
            expect_finite(observation, WILD_ELEMENTS);
        }
    }
    assert_true(deaths > 100);
    vec_env_destroy(&env);
}

static void nothing_is_ever_not_finite(void **state)
{
    (void)state;
    static small_market small;
    small_market_make(&small, 8, 3); // bars up to 20 times their open, or a 20th
    for (int reward = TRADING_LOG_RETURN; reward <= TRADING_SIMPLE_RETURN; reward++) {
        for (double leverage = 1; leverage < 30; leverage += 19) {
            trading_config config = default_config();
            config.reward = reward;
            config.exposures =
                (gn_option_list){ .count = 4, .value = { -leverage, 0, 1, leverage / 2 } };
            config.leverage = leverage;
            config.ruin = 0;
            config.fee_bps = 100;
            trade_wildly(&small, &config);
        }
    }
}

static void refuses_what_cannot_work_and_says_why(void **state)
{
    (void)state;
    static small_market small;
    small_market_make(&small, 9, 0.01);
    vec_env *env = NULL;
    trading_config config = default_config();
    expect_fails(GN_ERR_ARG, "trading: needs a market",
                 create(&env, &config, NULL, ENV_TRAIN, 1, 0));

    config.exposures = (gn_option_list){ .count = 2, .value = { 0, 1.5 } };
    expect_fails(GN_ERR_CONFIG, "trading.exposures: 1.5 is beyond trading.leverage 1",
                 create(&env, &config, &small.market, ENV_TRAIN, 1, 0));
    config.exposures = (gn_option_list){ .count = 2, .value = { 1, 1 } };
    expect_fails(GN_ERR_CONFIG, "trading.exposures: needs at least 2 distinct values",
                 create(&env, &config, &small.market, ENV_TRAIN, 1, 0));
    config = default_config();
    config.fee_bps = -1;
    expect_fails(GN_ERR_CONFIG, "trading.fee_bps: -1 is not in 0 .. 1000",
                 create(&env, &config, &small.market, ENV_TRAIN, 1, 0));
    config = default_config();
    config.exposures = (gn_option_list){ .count = 2, .value = { 0, -20 } };
    config.leverage = 20;
    config.fee_bps = 500;
    expect_fails(GN_ERR_CONFIG, "trading.exposures: -20 costs the whole account",
                 create(&env, &config, &small.market, ENV_TRAIN, 1, 0));

    config = default_config();
    small.market.range = (market_range){ 100, 117 };
    expect_fails(GN_ERR_CONFIG, "trading.window: 16 bars and a step need 18 bars, the range has 17",
                 create(&env, &config, &small.market, ENV_TRAIN, 1, 0));
    small.market.range = (market_range){ 0, SMALL_BARS + 1 };
    expect_fails(GN_ERR_ARG, "bars 0 to 301 are not a range of 300 bars",
                 create(&env, &config, &small.market, ENV_TRAIN, 1, 0));
    assert_null(env);
}

static void a_state_of_other_options_or_bars_is_refused(void **state)
{
    (void)state;
    static small_market small, other;
    small_market_make(&small, 10, 0.01);
    small_market_make(&other, 11, 0.01);
    other.bars.hash = "other bars";
    trading_config config = default_config(), other_config = config;
    other_config.fee_bps = 6;
    vec_env *env, *target;
    expect_ok(create(&env, &config, &small.market, ENV_TRAIN, 2, 0));
    gn_blob blob = { 0 };
    vec_env_save(env, &blob);
    expect_ok(gn_blob_status(&blob));

    gn_blob in = { .data = blob.data, .size = blob.size };
    expect_ok(create(&target, &other_config, &small.market, ENV_TRAIN, 2, 0));
    expect_fails(GN_ERR_CONFIG, "the saved state is of other options", vec_env_load(target, &in));
    vec_env_destroy(&target);
    in.cursor = 0;
    expect_ok(create(&target, &config, &other.market, ENV_TRAIN, 2, 0));
    expect_fails(GN_ERR_CONFIG, "the saved state is of other options", vec_env_load(target, &in));
    vec_env_destroy(&target);
    in.cursor = 0;
    expect_ok(create(&target, &config, &small.market, ENV_TRAIN, 3, 0));
    expect_fails(GN_ERR_CONFIG, "trading: 2 copies in the saved state, 3 here",
                 vec_env_load(target, &in));
    vec_env_destroy(&target);
    gn_blob_free(&blob);
    vec_env_destroy(&env);
}

TEST_MAIN(agrees_with_the_hand_computed_ledger, nothing_after_a_bar_changes_what_was_seen_up_to_it,
          fills_at_the_next_open_or_at_the_close_it_saw,
          an_observation_is_the_window_and_the_account,
          training_starts_at_random_bars_that_fit_an_episode,
          evaluation_covers_the_whole_range_and_nothing_else,
          an_episode_longer_than_the_range_ends_with_it, leverage_is_liquidated_within_the_bar,
          ruin_terminates_with_a_bounded_reward, nothing_is_ever_not_finite,
          refuses_what_cannot_work_and_says_why, a_state_of_other_options_or_bars_is_refused)
