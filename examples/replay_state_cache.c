// The state cache alone: charts of a market, which take a while to draw, kept by their bar within
// a budget of bytes. Some bars are looked at far more often than others, as steps of high priority
// are.

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "base/thread.h"
#include "envs/trading/chart.h"
#include "market/generate.h"
#include "replay/state_cache.h"

enum { LOOKS = 50000, BARS = 5000, FIRST = TRADING_CHART_BARS, BUDGET = 4 << 20 };

static const float flat[TRADING_CHART_ACCOUNT] = { 0 };

// The chart of a bar: from the cache, or drawn into it.  Errors of decoding would be handled by
// state_cache_remove; drawing has none.
static const unsigned char *chart_at(state_cache *cache, const market_bars_view *bars, uint64_t bar)
{
    const unsigned char *chart = state_cache_get(cache, bar);
    if (chart)
        return chart;
    unsigned char *room = state_cache_put(cache, bar);
    trading_chart_draw(bars, bar, flat, room);
    return room;
}

// Bars near FIRST come up most often.
static uint64_t pick(gn_random *random)
{
    double unit = gn_random_unit(random);
    return FIRST + (uint64_t)(pow(unit, 6) * (BARS - FIRST));
}

// ret_sum: over all pixels looked at, which must not depend on the cache.  cache: NULL: none.
static uint64_t look(state_cache *cache, const market_bars_view *bars, double *ret_us)
{
    unsigned char drawn[TRADING_CHART_PIXELS];
    gn_random random = gn_random_stream(1, GN_RANDOM_SAMPLE, 0);
    double begin = gn_seconds();
    uint64_t sum = 0;
    for (int i = 0; i < LOOKS; i++) {
        uint64_t bar = pick(&random);
        const unsigned char *chart = cache ? chart_at(cache, bars, bar) : drawn;
        if (!cache)
            trading_chart_draw(bars, bar, flat, drawn);
        for (size_t k = 0; k < TRADING_CHART_PIXELS; k++)
            sum += chart[k] ^ (k & 255);
    }
    *ret_us = (gn_seconds() - begin) * 1e6 / LOOKS;
    return sum;
}

static gn_status compare(const market_bars_view *bars)
{
    state_cache *cache = NULL;
    double us_without, us_with;
    GN_TRY(state_cache_create(&cache, BUDGET, TRADING_CHART_PIXELS));
    uint64_t without = look(NULL, bars, &us_without), with = look(cache, bars, &us_with);
    state_cache_stats stats = state_cache_measure(cache);
    double hits = (double)stats.hits / LOOKS;
    printf("%d looks at %d bars, %llu charts in %.1f MB:\n", LOOKS, BARS - FIRST,
           (unsigned long long)state_cache_capacity(cache), (double)stats.bytes / 1e6);
    printf("  %.1f %% found, %llu evicted; %.2f us a look instead of %.2f us\n", 100 * hits,
           (unsigned long long)stats.evictions, us_with, us_without);
    state_cache_destroy(&cache);
    if (with != without)
        return gn_fail(GN_ERR_CORRUPT, "the cache gave other charts");
    if (stats.bytes > BUDGET || hits < 0.5)
        return gn_fail(GN_ERR_STATE, "%.3g %% found within %llu bytes", 100 * hits,
                       (unsigned long long)stats.bytes);
    return GN_OK;
}

static gn_status run(void)
{
    market_generate_config config;
    market_config reading;
    market_generated market;
    market_bars *bars = NULL;
    const gn_option_section sections[] = {
        { .name = "generate", .options = market_generate_options, .values = &config },
        { .name = "market", .options = market_options, .values = &reading },
        { 0 },
    };
    gn_options_reset(sections);
    config.bars = BARS;
    GN_TRY(market_generate(&market, &config));
    gn_status status =
        market_bars_create(&bars, "generated market", market.count, market.time_ns, market.open,
                           market.high, market.low, market.close, market.volume, &reading);
    market_generated_free(&market);
    if (status == GN_OK)
        status = compare(market_bars_get(bars));
    market_bars_destroy(&bars);
    return status;
}

int main(void)
{
    gn_status status = run();
    if (status != GN_OK)
        fprintf(stderr, "replay_state_cache: %s\n", gn_error_text());
    return status == GN_OK ? 0 : 1;
}
