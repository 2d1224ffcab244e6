// Import of whole files: real ones as their sources describe them, and a large one.

#include <stdio.h>

#include "market/generate.h"
#include "market/time_text.h"
#include "tests/market/opened_bars.h"

static bool open_shared(scene *s, const char *name, gn_status *ret_status)
{
    market_bars_destroy(&s->bars);
    if (!test_shared_path(s->path, name))
        return false;
    *ret_status = market_bars_open(&s->bars, s->path, &s->config, NULL);
    return true;
}

static void real_files_import_as_described(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t bars;
        double bars_per_year;
        const char *first, *finding;
    } files[] = {
        { "data/btcusd-1h.csv", 33259, 8760, "2018-05-15T06:00:00Z", "put into time order" },
        { "data/btcusd-1h.csv", 33259, 8760, "2018-05-15T06:00:00Z", "20143 rows in all" },
        { "data/btcusdc-15m.csv", 40408, 35040, "2024-08-03T18:15:00Z", NULL },
        { "data/btcusdc-15m-960.csv", 960, 35040, "2024-12-01T00:00:00Z", NULL },
        { "data/btcusdt-1m-week.csv", 10081, 525600, "2025-09-23T22:00:00Z", NULL },
        { "data/eurusd-1h-2017.csv", 6225, 6240, "2017-01-01T22:00:00Z", "52 gaps" },
        { "data/eurusd-1h-2017.csv", 6225, 6240, "2017-01-01T22:00:00Z", "is day-first" },
    };
    scene s;
    set_up(&s);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        gn_status status = GN_OK;
        if (!open_shared(&s, files[i].name, &status)) {
            tear_down(&s);
            skip();
        }
        expect_ok(status);
        char first[40];
        market_time_format_iso(view(&s)->time_ns[0], first);
        assert_int_equal(view(&s)->count, files[i].bars);
        assert_true(view(&s)->bars_per_year == files[i].bars_per_year);
        assert_string_equal(first, files[i].first);
        if (files[i].finding)
            expect_finding(&s, files[i].finding);
        else
            assert_int_equal(finding_count(&s), 0);
    }
    tear_down(&s);
}

static void real_stocks_import_without_their_adjusted_close(void **state)
{
    (void)state;
    static const char *const names[] = { "AAPL", "AGFS", "AMZN", "BA",   "BABA", "CAT",
                                         "CSCO", "DIS",  "GE",   "GOOG", "HD",   "INTC",
                                         "JNJ",  "JPM",  "KO",   "MSFT", "PFE",  "PG",
                                         "T",    "VZ",   "WMT",  "XOM" };
    scene s;
    set_up(&s);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[64];
        gn_status status = GN_OK;
        snprintf(name, sizeof name, "data/stocks-1d/%s.csv", names[i]);
        if (!open_shared(&s, name, &status)) {
            tear_down(&s);
            skip();
        }
        expect_ok(status);
        assert_int_equal(view(&s)->count, strcmp(names[i], "BABA") == 0   ? 745
                                          : strcmp(names[i], "AGFS") == 0 ? 701
                                                                          : 1258);
        assert_true(view(&s)->bars_per_year == 252);
        expect_finding(&s, "column Adj Close is not used");
        if (i == 0)
            assert_true(view(&s)->close[0] == 96.424286);
    }
    tear_down(&s);
}

static void real_files_that_need_options_say_which(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    gn_status status = GN_OK;
    if (!open_shared(&s, "data/wti-1d.csv", &status)) {
        tear_down(&s);
        skip();
    }
    expect_fails(GN_ERR_FORMAT, "pass --market.layout close-only", status);
    s.config.layout = MARKET_CLOSE_ONLY;
    open_shared(&s, "data/wti-1d.csv", &status);
    expect_fails(GN_ERR_FORMAT, "row 8644 (2020-04-20T00:00:00Z): close -36.98 is not above 0",
                 status);
    s.config.layout = MARKET_OHLCV;
    open_shared(&s, "data/talib-reference-252.csv", &status);
    expect_fails(GN_ERR_FORMAT, "pass --market.time_format none --market.spacing", status);
    s.config.time_format = MARKET_TIME_NONE;
    open_shared(&s, "data/talib-reference-252.csv", &status);
    expect_ok(status);
    assert_int_equal(view(&s)->count, 252);
    tear_down(&s);
}

static void two_million_bars_import(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    market_generate_config config;
    const gn_option_section sections[] = { { "generate", "", market_generate_options, &config },
                                           { 0 } };
    gn_options_reset(sections);
    config.bars = 2000000;
    config.spacing = 60;
    market_generated market;
    expect_ok(market_generate(&market, &config));
    expect_ok(gn_path_join(s.path, s.folder, "big.csv"));
    expect_ok(market_generated_write(&market, s.path));
    expect_ok(market_bars_open(&s.bars, s.path, &s.config, NULL));
    assert_int_equal(view(&s)->count, market.count);
    assert_memory_equal(view(&s)->time_ns, market.time_ns, market.count * 8);
    assert_memory_equal(view(&s)->close, market.close, market.count * 8);
    market_generated_free(&market);
    tear_down(&s);
}

TEST_MAIN(real_files_import_as_described, real_stocks_import_without_their_adjusted_close,
          real_files_that_need_options_say_which, two_million_bars_import)
