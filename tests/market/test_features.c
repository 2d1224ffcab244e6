// Features: none looks ahead, values follow their formulas, errors name feature and option.

#include "market/features.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "market/generate.h"
#include "market/indicators.h"
#include "market/time_text.h"
#include "tests/support/check.h"

enum { BARS = 700 };

// A generated market, its bars, and a configuration whose cache is the test's own.
typedef struct scene {
    char folder[GN_PATH_SIZE];
    market_config config;
    market_features_config list;
    market_generated market;
} scene;

static void generate(market_generated *ret_market)
{
    market_generate_config config;
    const gn_option_section sections[] = { { "generate", "", market_generate_options, &config },
                                           { 0 } };
    gn_options_reset(sections);
    config.bars = BARS;
    expect_ok(market_generate(ret_market, &config));
}

static void set_up(scene *ret_s)
{
    *ret_s = (scene){ 0 };
    test_temp_folder(ret_s->folder);
    const gn_option_section sections[] = {
        { "market", "", market_options, &ret_s->config },
        { "features", "", market_features_options, &ret_s->list },
        { 0 },
    };
    gn_options_reset(sections);
    generate(&ret_s->market);
}

static void tear_down(scene *s)
{
    market_generated_free(&s->market);
    test_temp_remove(s->folder);
}

static market_bars *bars_of(const scene *s, const market_generated *m, uint64_t count)
{
    market_bars *bars;
    expect_ok(market_bars_create(&bars, "m", count, m->time_ns, m->open, m->high, m->low, m->close,
                                 m->volume, &s->config));
    return bars;
}

static gn_status open_features(const scene *s, const market_bars *bars, const char *list,
                               market_features **ret_features)
{
    market_features_config config;
    snprintf(config.list, sizeof config.list, "%s", list);
    return market_features_open(ret_features, bars, &config, s->folder, NULL);
}

// --- No look-ahead ------------------------------------------------------------------------------

// Every feature of the table with its default period, and a few others.
static void all_features(char *ret_list, size_t size)
{
    size_t used = 0;
    for (const market_feature *f = market_feature_table; f->name; f++)
        used += (size_t)snprintf(ret_list + used, size - used, "%s,", f->name);
    snprintf(ret_list + used, size - used, "return_7,sma_3,volume_z_5,rsi_2,deviation_33");
}

// Changes every value of the bars after t, prices and times alike.
static void perturb_after(market_generated *m, uint64_t t, test_rng *rng)
{
    for (uint64_t i = t + 1; i < m->count; i++) {
        m->low[i] = 1 + test_rng_unit(rng);
        m->open[i] = m->low[i] + test_rng_unit(rng);
        m->close[i] = m->low[i] + test_rng_unit(rng);
        m->high[i] = m->low[i] + 2;
        m->volume[i] = 1000 * test_rng_unit(rng);
        m->time_ns[i] += INT64_C(12345678901) * (int64_t)(i - t);
    }
}

static void no_feature_sees_a_later_bar(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    char list[GN_OPTION_TEXT_SIZE];
    all_features(list, sizeof list);
    market_bars *bars = bars_of(&s, &s.market, BARS);
    market_features *features;
    expect_ok(open_features(&s, bars, list, &features));
    const market_features_view *whole = market_features_get(features);
    size_t row = whole->columns * sizeof *whole->data;

    test_rng rng = test_rng_seed(1);
    for (int round = 0; round < 60; round++) {
        uint64_t t = whole->warmup + test_rng_below(&rng, BARS - 1 - whole->warmup);
        market_generated changed;
        generate(&changed);
        perturb_after(&changed, t, &rng);

        market_bars *other[] = { bars_of(&s, &changed, BARS), bars_of(&s, &s.market, t + 1) };
        for (int i = 0; i < 2; i++) { // perturbed, truncated
            market_features *again;
            expect_ok(open_features(&s, other[i], list, &again));
            const market_features_view *part = market_features_get(again);
            assert_int_equal(part->warmup, whole->warmup);
            for (uint64_t u = 0; u <= t; u++)
                for (uint32_t c = 0; c < whole->columns; c++)
                    if (memcmp(part->data + u * whole->columns + c,
                               whole->data + u * whole->columns + c, sizeof(float)) != 0)
                        fail_msg("%s at %d changes when bars after %d %s", whole->names[c], (int)u,
                                 (int)t, i ? "are cut off" : "change");
            if (i == 0)
                assert_memory_not_equal(part->data + (BARS - 1) * whole->columns,
                                        whole->data + (BARS - 1) * whole->columns, row);
            market_features_destroy(&again);
            market_bars_destroy(&other[i]);
        }
        market_generated_free(&changed);
    }
    market_features_destroy(&features);
    market_bars_destroy(&bars);
    tear_down(&s);
}

// --- Values -------------------------------------------------------------------------------------

static void warm_up_rows_are_nan_and_the_rest_is_of_order_one(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    market_bars *bars = bars_of(&s, &s.market, BARS);
    market_features *features;
    expect_ok(market_features_open(&features, bars, &s.list, s.folder, NULL));
    const market_features_view *v = market_features_get(features);
    assert_int_equal(v->rows, BARS);
    assert_int_equal(v->columns, 14);
    assert_int_equal(v->warmup, 256);
    assert_string_equal(v->names[0], "return_1");
    assert_string_equal(v->names[6], "macd");
    for (uint32_t c = 0; c < v->columns; c++) {
        double squares = 0;
        for (uint64_t t = 0; t < v->rows; t++) {
            float x = v->data[t * v->columns + c];
            if (t < v->warmup) {
                assert_true(isnan(x));
                continue;
            }
            assert_true(isfinite(x) && fabsf(x) <= 10);
            squares += x * x;
        }
        double scale = sqrt(squares / (double)(v->rows - v->warmup));
        if (scale < 0.05 || scale > 3)
            fail_msg("%s has a root mean square of %g", v->names[c], scale);
    }
    market_features_destroy(&features);
    market_bars_destroy(&bars);
    tear_down(&s);
}

static void values_follow_their_formulas(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    const market_generated *m = &s.market;
    market_bars *bars = bars_of(&s, m, BARS);
    market_features *features;
    enum { RETURN, VOLATILITY, RSI, MACD, BOLLINGER, ATR, VOLUME, HOUR, WEEK, SMA, COLUMNS };
    expect_ok(open_features(&s, bars,
                            " return_4 , volatility_16,rsi,macd,bollinger_z,atr_percent,volume_z_8,"
                            "hour_sin,week_cos,sma_5",
                            &features));
    const market_features_view *v = market_features_get(features);
    assert_int_equal(v->columns, COLUMNS);
    static double v16[BARS], v64[BARS], v256[BARS], rsi[BARS], macd[BARS], signal[BARS];
    static double histogram[BARS], atr[BARS], z[BARS], size[BARS], size_z[BARS], sma[BARS];
    expect_ok(market_volatility(m->close, BARS, 16, v16));
    expect_ok(market_volatility(m->close, BARS, 64, v64));
    expect_ok(market_volatility(m->close, BARS, 256, v256));
    expect_ok(market_rsi(m->close, BARS, 14, rsi));
    expect_ok(market_macd(m->close, BARS, 12, 26, 9, macd, signal, histogram));
    expect_ok(market_atr(m->high, m->low, m->close, BARS, 14, atr));
    expect_ok(market_bollinger_z(m->close, BARS, 20, z));
    for (int t = 0; t < BARS; t++)
        size[t] = log(1 + m->volume[t]);
    expect_ok(market_zscore(size, BARS, 8, size_z));
    expect_ok(market_sma(m->close, BARS, 5, sma));
    for (uint64_t t = v->warmup; t < BARS; t++) {
        market_time_parts at = market_time_split(m->time_ns[t]);
        double day = (double)at.nanosecond_of_day / 86400e9;
        const double wanted[COLUMNS] = {
            [RETURN] = log(m->close[t] / m->close[t - 4]) / (2 * v64[t]),
            [VOLATILITY] = log(v16[t] / v256[t]),
            [RSI] = rsi[t] / 50 - 1,
            [MACD] = histogram[t] / atr[t],
            [BOLLINGER] = z[t] / 2,
            [ATR] = log(atr[t] / m->close[t] / v256[t]),
            [VOLUME] = size_z[t],
            [HOUR] = sin(2 * M_PI * day),
            [WEEK] = cos(2 * M_PI * (at.weekday + day) / 7),
            [SMA] = sma[t],
        };
        for (int c = 0; c < COLUMNS; c++)
            if (!(fabs(v->data[t * COLUMNS + (uint64_t)c] - wanted[c]) <
                  1e-6 * fmax(1, fabs(wanted[c]))))
                fail_msg("%s at %d: %g instead of %g", v->names[c], (int)t,
                         v->data[t * COLUMNS + (uint64_t)c], wanted[c]);
    }
    market_features_destroy(&features);
    market_bars_destroy(&bars);
    tear_down(&s);
}

// A market that moves and then stands still, without volume and with one price a bar, has finite
// features, and no rounding error is taken for a move.
static void nothing_moves_and_nothing_breaks(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    double close[BARS];
    for (int t = 0; t < BARS; t++)
        close[t] = t < 100 ? 100 + sin(t) : 100;
    market_bars *bars;
    expect_ok(market_bars_create(&bars, "flat", BARS, s.market.time_ns, NULL, NULL, NULL, close,
                                 NULL, &s.config));
    char list[GN_OPTION_TEXT_SIZE];
    all_features(list, sizeof list);
    market_features *features;
    expect_ok(open_features(&s, bars, list, &features));
    const market_features_view *v = market_features_get(features);
    for (uint64_t i = v->warmup * v->columns; i < v->rows * v->columns; i++)
        assert_true(isfinite(v->data[i]));
    for (uint32_t c = 0; c < v->columns; c++)
        if (strcmp(v->names[c], "macd") == 0)
            assert_true(v->data[(BARS - 1) * v->columns + c] == 0);
    market_features_destroy(&features);
    market_bars_destroy(&bars);
    tear_down(&s);
}

// --- Errors -------------------------------------------------------------------------------------

static void refuses_lists_by_name(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    market_bars *bars = bars_of(&s, &s.market, BARS);
    market_features *f = NULL;
    expect_fails(GN_ERR_CONFIG, "features.list: no feature \"retrun_1\"; there are return, ",
                 open_features(&s, bars, "rsi,retrun_1", &f));
    expect_fails(GN_ERR_CONFIG, "no feature \"_5\"", open_features(&s, bars, "_5", &f));
    expect_fails(GN_ERR_CONFIG, "no feature \"5\"", open_features(&s, bars, "5", &f));
    expect_fails(GN_ERR_CONFIG, "features.list: macd_5: macd takes no period",
                 open_features(&s, bars, "macd_5", &f));
    expect_fails(GN_ERR_CONFIG, "return_0: the period is outside 1 to 1000000",
                 open_features(&s, bars, "return_0", &f));
    expect_fails(GN_ERR_CONFIG, "the period is outside 1 to 1000000",
                 open_features(&s, bars, "return_99999999999999999999", &f));
    expect_fails(GN_ERR_CONFIG, "features.list: rsi: period 1 is below 2",
                 open_features(&s, bars, "rsi_1", &f));
    expect_fails(GN_ERR_CONFIG, "features.list: return_1 stands there twice",
                 open_features(&s, bars, "return,return_1", &f));
    expect_fails(GN_ERR_CONFIG, "features.list: names no feature",
                 open_features(&s, bars, " ,", &f));
    expect_fails(GN_ERR_EMPTY, "feature sma_5000: 700 bars are not enough for one value",
                 open_features(&s, bars, "return_1,sma_5000", &f));
    char many[GN_OPTION_TEXT_SIZE] = "";
    for (int i = 1; i <= 65; i++)
        sprintf(many + strlen(many), "sma_%d,", i);
    expect_fails(GN_ERR_CONFIG, "more than 64 features", open_features(&s, bars, many, &f));
    assert_null(f);
    market_bars_destroy(&bars);
    tear_down(&s);
}

// Prices this large are finite as doubles, but not as the float32 of a raw indicator.
static void names_the_feature_and_row_that_is_not_finite(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    double close[50];
    for (int t = 0; t < 50; t++)
        close[t] = t < 30 ? 1 : 1e300;
    market_bars *bars;
    expect_ok(market_bars_create(&bars, "big", 50, s.market.time_ns, NULL, NULL, NULL, close, NULL,
                                 &s.config));
    market_features *f;
    expect_fails(GN_ERR_NUMERIC, "feature sma_1: row 31 is 1e+300",
                 open_features(&s, bars, "sma_1", &f));
    market_bars_destroy(&bars);
    tear_down(&s);
}

static void every_failing_allocation_is_reported_and_leaks_nothing(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    char list[GN_OPTION_TEXT_SIZE];
    all_features(list, sizeof list);
    market_bars *bars = bars_of(&s, &s.market, BARS);
    uint64_t live = gn_mem_live();
    gn_status status = GN_ERR_MEMORY;
    for (uint64_t n = 1; status != GN_OK; n++) {
        market_features *features;
        gn_mem_fail_at(n);
        status = open_features(&s, bars, list, &features);
        gn_mem_fail_at(0);
        if (status == GN_OK)
            market_features_destroy(&features);
        else
            assert_int_equal(status, GN_ERR_MEMORY);
        assert_true(gn_mem_live() == live);
    }
    market_bars_destroy(&bars);
    tear_down(&s);
}

// --- Export -------------------------------------------------------------------------------------

static void writes_whole_rows_with_their_times(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    market_bars *bars = bars_of(&s, &s.market, BARS);
    market_features *features;
    char path[GN_PATH_SIZE];
    void *text;
    size_t size;
    expect_ok(open_features(&s, bars, "sma_2,hour_cos", &features));
    const market_features_view *v = market_features_get(features);
    expect_ok(gn_path_join(path, s.folder, "f.parquet"));
    expect_ok(market_features_write(features, bars, path));
    expect_ok(gn_path_join(path, s.folder, "f.csv"));
    expect_ok(market_features_write(features, bars, path));
    expect_ok(gn_file_read(&text, &size, path));
    const char *line = text;
    const char *header = "time,sma_2,hour_cos\n";
    assert_memory_equal(line, header, strlen(header));
    line += strlen(header);
    for (uint64_t t = v->warmup; t < BARS; t++) {
        char time[40];
        float sma, cosine;
        int length;
        assert_int_equal(sscanf(line, "%39[^,],%f,%f%n", time, &sma, &cosine, &length), 3);
        char wanted[40];
        market_time_format_iso(s.market.time_ns[t], wanted);
        assert_string_equal(time, wanted);
        assert_true(sma == v->data[t * 2] && cosine == v->data[t * 2 + 1]);
        line += length + 1;
    }
    assert_int_equal(*line, '\0');
    gn_free(&text);
    market_features_destroy(&features);
    market_bars_destroy(&bars);
    tear_down(&s);
}

TEST_MAIN(no_feature_sees_a_later_bar, warm_up_rows_are_nan_and_the_rest_is_of_order_one,
          values_follow_their_formulas, nothing_moves_and_nothing_breaks, refuses_lists_by_name,
          names_the_feature_and_row_that_is_not_finite,
          every_failing_allocation_is_reported_and_leaks_nothing,
          writes_whole_rows_with_their_times)
