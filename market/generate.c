// The synthetic market of market/generate.h. Each bar draws its words from one stream in a fixed
// order, so a market is a pure function of its options and longer ones begin with shorter ones.

#include "market/generate.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "market/table.h"

const gn_option market_generate_options[] = {
    GN_OPTION_INT(market_generate_config, bars, "60000", 2, 1e8, "bars to generate"),
    GN_OPTION_INT(market_generate_config, seed, "1", 0, 9e15, "seed of the random stream"),
    GN_OPTION_REAL(market_generate_config, spacing, "900", 1e-3, 1e7, "seconds between bars"),
    GN_OPTION_REAL(market_generate_config, price, "100", 1e-6, 1e9, "first open"),
    GN_OPTION_REAL(market_generate_config, volatility, "0.0015", 0, 0.1,
                   "standard deviation of the noise in a bar's log return"),
    GN_OPTION_REAL(market_generate_config, drift, "0.0004", 0, 0.1,
                   "log return a bar of a trend, up or down"),
    GN_OPTION_REAL(market_generate_config, pull, "0.4", 0, 1,
                   "share of the distance to its anchor that mean reversion closes a bar"),
    GN_OPTION_REAL(market_generate_config, change, "0.02", 0, 1,
                   "probability a bar that a new regime is drawn"),
    { 0 },
};

const char *const market_regime_names[] = { "trend", "mean-reversion", "noise", NULL };

enum { REGIMES = 3 };

static const int64_t first_time_ns = INT64_C(1577836800) * 1000000000; // 2020-01-01

// What the chain remembers from bar to bar.
typedef struct chain {
    market_regime regime;
    double sign, anchor; // of a trend; of mean reversion: the log price at its start
    double log_price; // of the last close
} chain;

static void draw_regime(chain *state, gn_random *random)
{
    state->regime = (market_regime)gn_random_below(random, REGIMES);
    state->sign = gn_random_below(random, 2) ? 1 : -1;
    state->anchor = state->log_price;
}

static double predictable_return(const chain *state, const market_generate_config *config)
{
    switch (state->regime) {
    case MARKET_TREND:
        return state->sign * config->drift;
    case MARKET_MEAN_REVERSION:
        return -config->pull * (state->log_price - state->anchor);
    default:
        return 0;
    }
}

// The largest value above max(0, move) of a Brownian bridge from 0 to `move`:
//     m = (move + sqrt(move^2 - 2 sigma^2 ln u)) / 2
// Source: Glasserman, "Monte Carlo Methods in Financial Engineering", 2003, section 6.4.
static double bridge_maximum(double move, double sigma, double unit)
{
    return (move + sqrt(move * move - 2 * sigma * sigma * log1p(-unit))) / 2;
}

static void generate_bar(market_generated *market, uint64_t t, chain *state,
                         const market_generate_config *config, gn_random *random)
{
    if (gn_random_unit(random) < config->change || t == 0)
        draw_regime(state, random);
    double sigma = config->volatility;
    double move = predictable_return(state, config) + sigma * gn_random_normal(random);
    double open = t > 0 ? market->close[t - 1] : config->price;
    double close = exp(state->log_price + move);
    double up = bridge_maximum(move, sigma, gn_random_unit(random));
    double down = bridge_maximum(-move, sigma, gn_random_unit(random));
    double surprise = sigma > 0 ? fabs(move) / sigma : 0;
    market->time_ns[t] = first_time_ns + (int64_t)((double)t * config->spacing * 1e9);
    market->open[t] = open;
    market->high[t] = fmax(exp(state->log_price + up), fmax(open, close)); // exp() may round
    market->low[t] = fmin(exp(state->log_price - down), fmin(open, close));
    market->close[t] = close;
    market->volume[t] = exp(0.5 * surprise + 0.3 * gn_random_normal(random));
    market->regime[t] = (int32_t)state->regime;
    state->log_price += move;
}

static gn_status allocate(market_generated *ret_market, uint64_t count)
{
    double *block;
    GN_TRY(gn_alloc(&block, count, 6 * sizeof *block + sizeof(int32_t)));
    *ret_market = (market_generated){
        .count = count,
        .time_ns = (int64_t *)block,
        .open = block + count,
        .high = block + 2 * count,
        .low = block + 3 * count,
        .close = block + 4 * count,
        .volume = block + 5 * count,
        .regime = (int32_t *)(block + 6 * count),
    };
    return GN_OK;
}

gn_status market_generate(market_generated *ret_market, const market_generate_config *config)
{
    market_generated market;
    GN_TRY(allocate(&market, (uint64_t)config->bars));
    gn_random random = gn_random_stream((uint64_t)config->seed, GN_RANDOM_MARKET, 0);
    chain state = { .log_price = log(config->price) };
    for (uint64_t t = 0; t < market.count; t++)
        generate_bar(&market, t, &state, config, &random);
    for (uint64_t t = 0; t < market.count; t++)
        if (!isfinite(market.high[t]) || !(market.low[t] > 0)) {
            market_generated_free(&market);
            return gn_fail(GN_ERR_NUMERIC,
                           "generate: the price leaves the range of numbers at bar %llu; lower "
                           "generate.drift or generate.volatility",
                           (unsigned long long)t);
        }
    *ret_market = market;
    return GN_OK;
}

void market_generated_free(market_generated *market)
{
    gn_free(&market->time_ns);
    *market = (market_generated){ 0 };
}

gn_status market_generated_write(const market_generated *market, const char *path)
{
    static const size_t longest = sizeof "mean-reversion" - 1;
    int32_t *offsets;
    char *names = NULL;
    GN_TRY(gn_alloc(&offsets, market->count + 1, sizeof *offsets));
    gn_status status = gn_alloc(&names, market->count, longest);
    for (uint64_t t = 0; status == GN_OK && t < market->count; t++) {
        const char *name = market_regime_names[market->regime[t]];
        size_t size = strlen(name);
        memcpy(names + offsets[t], name, size);
        offsets[t + 1] = offsets[t] + (int32_t)size;
    }
    market_column columns[] = {
        { 0 }, // the time
        { .name = "open", .format = MARKET_FORMAT_DOUBLE, .data = market->open },
        { .name = "high", .format = MARKET_FORMAT_DOUBLE, .data = market->high },
        { .name = "low", .format = MARKET_FORMAT_DOUBLE, .data = market->low },
        { .name = "close", .format = MARKET_FORMAT_DOUBLE, .data = market->close },
        { .name = "volume", .format = MARKET_FORMAT_DOUBLE, .data = market->volume },
        { .name = "regime", .format = MARKET_FORMAT_TEXT, .data = names, .offsets = offsets },
    };
    if (status == GN_OK)
        status = market_table_write_timed(path, market->time_ns, columns,
                                          sizeof columns / sizeof *columns, market->count);
    gn_free(&names);
    gn_free(&offsets);
    return status;
}
