// The chart: pixels worked out by hand, no look-ahead, prices and volumes at their edges, and the
// trading environment that shows it.

#include "envs/trading/chart.h"

#include <math.h>
#include <string.h>

#include "envs/trading/trading.h"
#include "envs/vec_env.h"
#include "tests/envs/small_market.h"
#include "tests/support/check.h"

enum { SIDE = TRADING_CHART_SIDE, BARS = TRADING_CHART_BARS, PIXELS = TRADING_CHART_PIXELS };

static const float flat_account[TRADING_CHART_ACCOUNT] = { 0 };

// Bars 100 .. 158 apart from what a test puts there: one unit of price is one row, 158 the top one.
typedef struct drawing {
    double open[BARS], high[BARS], low[BARS], close[BARS], volume[BARS];
    unsigned char pixel[SIDE][SIDE];
} drawing;

static void draw(drawing *self, const float *account)
{
    const market_bars_view bars = {
        .count = BARS,
        .open = self->open,
        .high = self->high,
        .low = self->low,
        .close = self->close,
        .volume = self->volume,
    };
    trading_chart_draw(&bars, BARS - 1, account, &self->pixel[0][0]);
}

static drawing plain(double price)
{
    drawing self = { 0 };
    for (int i = 0; i < BARS; i++)
        self.open[i] = self.high[i] = self.low[i] = self.close[i] = price;
    return self;
}

static void put(drawing *self, int i, double open, double high, double low, double close)
{
    self->open[i] = open;
    self->high[i] = high;
    self->low[i] = low;
    self->close[i] = close;
}

// Rows `from` .. `to` of a column have this grey.
static void expect_column(const drawing *self, int column, int from, int to, int grey)
{
    for (int row = from; row <= to; row++)
        if (self->pixel[row][column] != grey)
            fail_msg("column %d, row %d: %d, not %d", column, row, self->pixel[row][column], grey);
}

static void candles_stand_where_their_prices_are(void **state)
{
    (void)state;
    drawing self = plain(100);
    put(&self, 0, 110, 130, 105, 120); // rises: rows 67 - (price - 100)
    put(&self, 1, 140, 158, 100, 120); // falls, over the whole height
    put(&self, 2, 126, 130, 126, 126); // closes where it opened
    draw(&self, flat_account);
    for (int side = 0; side <= 2; side += 2) {
        expect_column(&self, side, 9, 46, 0);
        expect_column(&self, side, 47, 57, TRADING_CHART_UP);
        expect_column(&self, side, 58, 83, 0);
        expect_column(&self, 3 + side, 9, 26, 0);
        expect_column(&self, 3 + side, 27, 47, TRADING_CHART_DOWN);
        expect_column(&self, 3 + side, 48, 83, 0);
        expect_column(&self, 6 + side, 41, 41, TRADING_CHART_WICK);
        expect_column(&self, 6 + side, 42, 83, 0);
    }
    expect_column(&self, 1, 9, 36, 0);
    expect_column(&self, 1, 37, 46, TRADING_CHART_WICK);
    expect_column(&self, 1, 47, 57, TRADING_CHART_UP);
    expect_column(&self, 1, 58, 62, TRADING_CHART_WICK);
    expect_column(&self, 1, 63, 83, 0);
    expect_column(&self, 4, 9, 26, TRADING_CHART_WICK);
    expect_column(&self, 4, 27, 47, TRADING_CHART_DOWN);
    expect_column(&self, 4, 48, 67, TRADING_CHART_WICK);
    expect_column(&self, 7, 37, 41, TRADING_CHART_WICK);
    for (int column = 9; column < SIDE; column++) { // the others, at the lowest price
        expect_column(&self, column, 0, 66, 0);
        expect_column(&self, column, 67, 67, TRADING_CHART_WICK);
        expect_column(&self, column, 68, 83, 0);
    }
}

static void volumes_are_shares_of_the_largest(void **state)
{
    (void)state;
    drawing self = plain(100);
    self.volume[0] = 5e7;
    self.volume[1] = 1e7; // 3 rows of 15
    self.volume[27] = 1;
    draw(&self, flat_account);
    for (int i = 0; i < 3; i++) {
        expect_column(&self, i, 69, 83, TRADING_CHART_VOLUME);
        expect_column(&self, i, 68, 68, 0);
        expect_column(&self, 3 + i, 81, 83, TRADING_CHART_VOLUME);
        expect_column(&self, 3 + i, 69, 80, 0);
        expect_column(&self, 81 + i, 69, 83, 0);
    }
}

static void one_price_and_no_volume_is_a_line_in_the_middle(void **state)
{
    (void)state;
    static const double prices[] = { 5e-324, 100, 1e308 };
    for (size_t i = 0; i < sizeof prices / sizeof *prices; i++) {
        drawing self = plain(prices[i]);
        draw(&self, flat_account);
        for (int column = 0; column < SIDE; column++) {
            expect_column(&self, column, 0, 37, 0);
            expect_column(&self, column, 38, 38, TRADING_CHART_WICK);
            expect_column(&self, column, 39, 83, 0);
        }
    }
}

// Exposure -1: half of 42 columns. Profit 1/3: a quarter, 10.5 columns. Holding 3: three quarters
// of 84 columns.
static void the_account_is_bars_from_the_middle_and_from_the_left(void **state)
{
    (void)state;
    drawing self = plain(100);
    draw(&self, (const float[]){ -1, 1.f / 3, 3 });
    for (int column = 0; column < SIDE; column++) {
        bool exposed = column >= 21 && column < 42;
        expect_column(&self, column, 0, 1, exposed ? 255 : 0);
        int profit = column >= 42 && column < 52 ? 255 : column == 52 ? 128 : 0;
        expect_column(&self, column, 3, 4, profit);
        expect_column(&self, column, 6, 7, column < 63 ? 255 : 0);
        expect_column(&self, column, 2, 2, 0);
        expect_column(&self, column, 5, 5, 0);
        expect_column(&self, column, 8, 8, 0);
    }
    drawing small = plain(100), large = plain(100);
    draw(&small, (const float[]){ 0.01f, -0.01f, 0.01f }); // less than a column each
    assert_true(small.pixel[0][42] > 90 && small.pixel[3][41] > 90 && small.pixel[6][0] > 200);
    draw(&large, (const float[]){ 3e38f, -3e38f, 3e38f });
    expect_column(&large, 83, 0, 1, 255);
    expect_column(&large, 0, 3, 4, 255);
    expect_column(&large, 83, 6, 7, 255);
}

// Only bars t-27 .. t are looked at: the first of them shows, the one before does not.
static void nothing_but_the_last_bars_changes_a_pixel(void **state)
{
    (void)state;
    static small_market truth, other;
    unsigned char expected[PIXELS], found[PIXELS];
    for (uint64_t t = BARS - 1; t < SMALL_BARS; t += 13) {
        small_market_make(&truth, 1, 0.02);
        small_market_make(&other, 1, 0.02);
        small_market_fill(&other, 2, 0.5, t + 1);
        for (uint64_t before = 0; before < t + 1 - BARS; before++)
            other.low[before] = other.high[before] = other.volume[before] = NAN;
        trading_chart_draw(&truth.bars, t, flat_account, expected);
        trading_chart_draw(&other.bars, t, flat_account, found);
        assert_memory_equal(found, expected, PIXELS);
        other.open[t + 1 - BARS] = other.close[t + 1 - BARS] = other.high[t + 1 - BARS] *= 2;
        trading_chart_draw(&other.bars, t, flat_account, found);
        assert_true(memcmp(found, expected, PIXELS) != 0);
    }
}

// --- the environment

static trading_config chart_config(void)
{
    trading_config config;
    const gn_option_section sections[] = {
        { .name = "trading", .options = trading_options, .values = &config }, { 0 }
    };
    gn_options_reset(sections);
    config.observation = TRADING_CHART;
    return config;
}

static gn_status create(vec_env **ret_env, const trading_config *config, const env_market *market)
{
    const env_context context = { .copies = 1, .mode = ENV_EVALUATE, .market = market };
    return vec_env_create(ret_env, &trading_class, config, &context);
}

static unsigned char seen[2][SMALL_BARS][PIXELS];

// All charts of an episode with random trades; returns how many.
static uint64_t watch(const small_market *small, unsigned char (*ret_seen)[PIXELS])
{
    const trading_config config = chart_config();
    vec_env *env;
    expect_ok(create(&env, &config, &small->market));
    const vec_env_step_view *last = vec_env_last(env);
    test_rng rng = test_rng_seed(1);
    uint64_t steps = 0;
    while (!last->terminated[0] && !last->truncated[0]) {
        vec_env_observe(env, ret_seen[steps++]);
        expect_ok(vec_env_step(env, (int32_t[]){ (int32_t)test_rng_below(&rng, 3) }));
    }
    vec_env_destroy(&env);
    return steps;
}

static void nothing_after_a_bar_changes_what_was_seen_up_to_it(void **state)
{
    (void)state;
    static small_market truth, other;
    const uint64_t first = SMALL_WARMUP + BARS - 1;
    small_market_make(&truth, 1, 0.01);
    uint64_t steps = watch(&truth, seen[0]);
    assert_int_equal(steps, SMALL_BARS - 1 - first);
    for (uint64_t bar = 60; bar < SMALL_BARS - 1; bar += 61) {
        small_market_make(&other, 1, 0.01);
        small_market_fill(&other, 2, 0.01, bar + 1);
        watch(&other, seen[1]);
        assert_memory_equal(seen[0], seen[1], (bar - first + 1) * PIXELS);
        assert_true(memcmp(seen[0], seen[1], sizeof seen[0]) != 0);
    }
}

static void an_observation_is_the_chart_of_the_record(void **state)
{
    (void)state;
    static small_market small;
    unsigned char observed[PIXELS], expected[PIXELS];
    small_market_make(&small, 3, 0.01);
    const trading_config config = chart_config();
    vec_env *env;
    expect_ok(create(&env, &config, &small.market));
    const env_spec *spec = vec_env_spec(env);
    assert_true(spec->dtype == ENV_UINT8 && spec->rank == 3 && spec->shape[0] == 1);
    assert_int_equal(spec->window, 0);
    assert_true(spec->shape[1] == SIDE && spec->shape[2] == SIDE && spec->record_size == 16);
    for (int step = 0; step < 40; step++)
        expect_ok(vec_env_step(env, (int32_t[]){ 2 }));
    vec_env_observe(env, observed);
    uint32_t bar;
    float account[TRADING_CHART_ACCOUNT];
    memcpy(&bar, vec_env_last(env)->record, sizeof bar);
    memcpy(account, vec_env_last(env)->record + sizeof bar, sizeof account);
    assert_true(account[0] > 0.5f && account[2] > 0);
    trading_chart_draw(&small.bars, bar, account, expected);
    assert_memory_equal(observed, expected, PIXELS);
    vec_env_destroy(&env);
}

static void a_range_too_short_for_a_chart_is_refused(void **state)
{
    (void)state;
    static small_market small;
    small_market_make(&small, 4, 0.01);
    const trading_config config = chart_config();
    vec_env *env = NULL;
    small.market.range = (market_range){ 100, 129 };
    expect_fails(GN_ERR_CONFIG,
                 "trading.observation: 28 bars and a step need 30 bars, the range has 29",
                 create(&env, &config, &small.market));
    small.market.range.end = 130;
    expect_ok(create(&env, &config, &small.market));
    assert_int_equal(trading_state_of(vec_env_object(env), 0).bar, 127);
    vec_env_destroy(&env);
}

TEST_MAIN(candles_stand_where_their_prices_are, volumes_are_shares_of_the_largest,
          one_price_and_no_volume_is_a_line_in_the_middle,
          the_account_is_bars_from_the_middle_and_from_the_left,
          nothing_but_the_last_bars_changes_a_pixel,
          nothing_after_a_bar_changes_what_was_seen_up_to_it,
          an_observation_is_the_chart_of_the_record, a_range_too_short_for_a_chart_is_refused)
