// The generated market: same options, same bytes; and its regimes are really there.

#include "market/generate.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "market/bars.h"
#include "tests/support/check.h"

static void defaults(market_generate_config *ret_config)
{
    const gn_option_section sections[] = { { "generate", "", market_generate_options, ret_config },
                                           { 0 } };
    gn_options_reset(sections);
}

static bool same(const market_generated *a, const market_generated *b, uint64_t count)
{
    return memcmp(a->time_ns, b->time_ns, count * 8) == 0 &&
           memcmp(a->open, b->open, count * 8) == 0 && memcmp(a->high, b->high, count * 8) == 0 &&
           memcmp(a->low, b->low, count * 8) == 0 && memcmp(a->close, b->close, count * 8) == 0 &&
           memcmp(a->volume, b->volume, count * 8) == 0 &&
           memcmp(a->regime, b->regime, count * 4) == 0;
}

static void is_a_function_of_its_options(void **state)
{
    (void)state;
    market_generate_config config;
    defaults(&config);
    market_generated a, b, longer, other;
    expect_ok(market_generate(&a, &config));
    expect_ok(market_generate(&b, &config));
    assert_true(same(&a, &b, a.count));
    config.bars = (int64_t)a.count + 10000;
    expect_ok(market_generate(&longer, &config));
    assert_true(same(&a, &longer, a.count)); // a longer market begins with the shorter one
    config.seed = 2;
    expect_ok(market_generate(&other, &config));
    assert_false(same(&a, &other, a.count));
    market_generated_free(&a);
    market_generated_free(&b);
    market_generated_free(&longer);
    market_generated_free(&other);
}

static void bars_are_whole(void **state)
{
    (void)state;
    market_generate_config config;
    defaults(&config);
    market_generated m;
    expect_ok(market_generate(&m, &config));
    assert_int_equal(m.count, config.bars);
    assert_true(m.open[0] == config.price);
    for (uint64_t t = 0; t < m.count; t++) {
        assert_true(m.low[t] > 0 && m.low[t] <= m.open[t] && m.low[t] <= m.close[t]);
        assert_true(m.high[t] >= m.open[t] && m.high[t] >= m.close[t] && m.volume[t] > 0);
        if (t > 0) {
            assert_true(m.open[t] == m.close[t - 1]);
            assert_true(m.time_ns[t] - m.time_ns[t - 1] == INT64_C(900000000000));
        }
    }
    market_config import = { 0 };
    market_bars *bars;
    expect_ok(market_bars_create(&bars, "generated", m.count, m.time_ns, m.open, m.high, m.low,
                                 m.close, m.volume, &import));
    assert_true(market_bars_get(bars)->bars_per_year == 35040);
    market_bars_destroy(&bars);
    market_generated_free(&m);
}

// What the returns of each regime must show, over two million bars (standard errors below 0.3 % of
// the volatility).
static void regimes_are_there(void **state)
{
    (void)state;
    market_generate_config config;
    defaults(&config);
    config.bars = 2000000;
    market_generated m;
    expect_ok(market_generate(&m, &config));
    double count[3] = { 0 }, square[3] = { 0 }, product[3] = { 0 }, pairs[3] = { 0 };
    uint64_t changes = 0;
    for (uint64_t t = 1; t < m.count; t++) {
        int regime = m.regime[t];
        double r = log(m.close[t] / m.open[t]), before = log(m.close[t - 1] / m.open[t - 1]);
        count[regime]++;
        square[regime] += r * r;
        changes += regime != m.regime[t - 1];
        if (regime == m.regime[t - 1]) {
            product[regime] += r * before;
            pairs[regime]++;
        }
    }
    double v2 = config.volatility * config.volatility;
    for (int k = 0; k < 3; k++)
        assert_true(fabs(count[k] / (double)m.count - 1.0 / 3) < 0.02);
    // A new regime is drawn with probability `change` and is another kind in two cases of three.
    assert_true(fabs((double)changes / (double)m.count - config.change * 2 / 3) < 2e-4);

    // Trend: variance v^2 + drift^2, autocovariance drift^2 (signs change only with the regime).
    double drift2 = config.drift * config.drift;
    assert_true(fabs(square[MARKET_TREND] / count[MARKET_TREND] / v2 - 1 - drift2 / v2) < 0.01);
    assert_true(fabs(product[MARKET_TREND] / pairs[MARKET_TREND] / v2 - drift2 / v2) < 0.005);
    // Noise: variance v^2, autocovariance 0.
    assert_true(fabs(square[MARKET_NOISE] / count[MARKET_NOISE] / v2 - 1) < 0.01);
    assert_true(fabs(product[MARKET_NOISE] / pairs[MARKET_NOISE] / v2) < 0.005);
    // Mean reversion: an AR(1) distance with factor 1 - k has returns of variance 2 v^2 / (2 - k)
    // and autocovariance -k v^2 / (2 - k), up to the start of each regime.
    double k = config.pull;
    assert_true(fabs(square[MARKET_MEAN_REVERSION] / count[MARKET_MEAN_REVERSION] / v2 -
                     2 / (2 - k)) < 0.01);
    assert_true(fabs(product[MARKET_MEAN_REVERSION] / pairs[MARKET_MEAN_REVERSION] / v2 +
                     k / (2 - k)) < 0.01);
    market_generated_free(&m);
}

// The highest point of a Brownian path of one step lies sigma sqrt(2 / pi) above its start on
// average.
static void ranges_are_those_of_brownian_paths(void **state)
{
    (void)state;
    market_generate_config config;
    defaults(&config);
    config.bars = 1000000;
    config.drift = config.pull = 0;
    market_generated m;
    expect_ok(market_generate(&m, &config));
    double up = 0;
    for (uint64_t t = 0; t < m.count; t++)
        up += log(m.high[t] / m.open[t]);
    assert_true(fabs(up / (double)m.count / config.volatility - sqrt(2 / M_PI)) < 0.005);
    market_generated_free(&m);
}

static void files_read_back_as_the_same_bars(void **state)
{
    (void)state;
    char folder[GN_PATH_SIZE], path[GN_PATH_SIZE];
    test_temp_folder(folder);
    market_generate_config config;
    defaults(&config);
    config.bars = 500;
    market_generated m;
    expect_ok(market_generate(&m, &config));
    market_config import;
    const gn_option_section sections[] = { { "market", "", market_options, &import }, { 0 } };
    gn_options_reset(sections);
    expect_ok(gn_path_join(import.cache, folder, "cache"));
    const char *const names[] = { "m.csv", "m.parquet", "m.arrow" };
    for (size_t i = 0; i < 3; i++) {
        expect_ok(gn_path_join(path, folder, names[i]));
        expect_ok(market_generated_write(&m, path));
        market_bars *bars;
        expect_ok(market_bars_open(&bars, path, &import, NULL));
        const market_bars_view *view = market_bars_get(bars);
        assert_int_equal(view->count, m.count);
        assert_memory_equal(view->time_ns, m.time_ns, m.count * 8);
        assert_memory_equal(view->open, m.open, m.count * 8);
        assert_memory_equal(view->high, m.high, m.count * 8);
        assert_memory_equal(view->low, m.low, m.count * 8);
        assert_memory_equal(view->close, m.close, m.count * 8);
        assert_memory_equal(view->volume, m.volume, m.count * 8);
        market_bars_destroy(&bars);
    }
    expect_ok(gn_path_join(path, folder, "m.txt"));
    expect_fails(GN_ERR_ARG, "does not end with .csv", market_generated_write(&m, path));
    assert_false(gn_path_exists(path));
    market_generated_free(&m);
    test_temp_remove(folder);
}

static void refuses_prices_that_run_away(void **state)
{
    (void)state;
    market_generate_config config;
    defaults(&config);
    config.drift = 0.1;
    config.change = 0;
    config.bars = 100000;
    market_generated m;
    uint64_t live = gn_mem_live();
    bool refused = false;
    for (config.seed = 1; config.seed < 20 && !refused; config.seed++) {
        if (market_generate(&m, &config) != GN_OK)
            refused = strstr(gn_error_text(), "leaves the range of numbers at bar") != NULL;
        else
            market_generated_free(&m);
    }
    assert_true(refused);
    assert_true(gn_mem_live() == live);
}

TEST_MAIN(is_a_function_of_its_options, bars_are_whole, regimes_are_there,
          ranges_are_those_of_brownian_paths, files_read_back_as_the_same_bars,
          refuses_prices_that_run_away)
