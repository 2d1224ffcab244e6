// Environment steps a second on one core, with random actions drawn beforehand: trading (window 64,
// the default features) with and without building observations, the same seen as a chart, CartPole
// and Catch; and one chart drawn.
//
//     bench_env [--data FILE] [--seconds S]      without a file: 33,000 generated bars

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "benchmarks/bench.h"
#include "envs/classic/cartpole.h"
#include "envs/pixel/catch.h"
#include "envs/trading/chart.h"
#include "envs/trading/trading.h"
#include "envs/vec_env.h"
#include "market/generate.h"

enum { BARS = 33000, WINDOW = 64, ACTIONS = 1 << 14, STEPS_A_SAMPLE = 1 << 18 };

static const uint32_t copies_to_try[] = { 1, 64, 1024 };

static void set_defaults(const char *name, const gn_option *options, void *values)
{
    const gn_option_section sections[] = {
        { .name = name, .options = options, .values = values },
        { 0 },
    };
    gn_options_reset(sections);
}

static market_bars *open_bars(const char *path, const market_config *config)
{
    market_bars *bars;
    if (path) {
        bench_need(market_bars_open(&bars, path, config, NULL));
        return bars;
    }
    market_generate_config generate;
    set_defaults("generate", market_generate_options, &generate);
    generate.bars = BARS;
    market_generated made;
    bench_need(market_generate(&made, &generate));
    bench_need(market_bars_create(&bars, "generated", made.count, made.time_ns, made.open,
                                  made.high, made.low, made.close, made.volume, config));
    market_generated_free(&made);
    return bars;
}

// Steps N copies; observation is NULL where only the step is measured.
static void measure(const char *name, vec_env *env, void *observation, double budget_s)
{
    static int32_t action[ACTIONS];
    const env_spec *spec = vec_env_spec(env);
    gn_random random = gn_random_stream(1, GN_RANDOM_EXPLORE, 0);
    for (size_t i = 0; i < ACTIONS; i++)
        action[i] = (int32_t)gn_random_below(&random, spec->actions);

    bench run = bench_begin(name, "steps/s", budget_s);
    size_t n = spec->copies, rounds = STEPS_A_SAMPLE / n;
    while (bench_next(&run)) {
        for (size_t round = 0; round < rounds; round++) {
            bench_need(vec_env_step(env, action + round * n % ACTIONS));
            if (observation)
                vec_env_observe(env, observation);
        }
        bench_sample(&run, (double)(rounds * n) / bench_elapsed(&run));
    }
    bench_report(&run);
}

static void measure_class(const char *label, const env_class *class, const void *config,
                          const env_market *market, double budget_s)
{
    for (size_t i = 0; i < sizeof copies_to_try / sizeof *copies_to_try; i++) {
        const env_context context = {
            .copies = copies_to_try[i],
            .seed = 1,
            .purpose = GN_RANDOM_ENV,
            .mode = ENV_TRAIN,
            .market = market,
        };
        vec_env *env;
        bench_need(vec_env_create(&env, class, config, &context));
        void *observation;
        bench_need(gn_alloc(&observation, context.copies, vec_env_spec(env)->observation_size));
        char name[64];
        snprintf(name, sizeof name, "env.%s.step.n%u", label, context.copies);
        measure(name, env, NULL, budget_s);
        snprintf(name, sizeof name, "env.%s.observe.n%u", label, context.copies);
        measure(name, env, observation, budget_s);
        gn_free(&observation);
        vec_env_destroy(&env);
    }
}

// Bar after bar, with a position.
static void measure_chart(const market_bars_view *bars, double budget_s)
{
    enum { CHARTS = 20000 };
    static unsigned char image[TRADING_CHART_PIXELS];
    const float account[TRADING_CHART_ACCOUNT] = { 1, 0.5f, 0.3f };
    bench run = bench_begin("env.trading.chart", "ns", budget_s);
    while (bench_next(&run)) {
        for (uint64_t i = 0; i < CHARTS; i++)
            trading_chart_draw(bars, TRADING_CHART_BARS + i % (bars->count - TRADING_CHART_BARS),
                               account, image);
        bench_sample(&run, bench_elapsed(&run) / CHARTS * 1e9);
    }
    bench_report(&run);
}

int main(int count, char **argument)
{
    const char *path = NULL;
    double budget_s = 1;
    for (int i = 1; i < count; i += 2) {
        if (i + 1 < count && strcmp(argument[i], "--data") == 0) {
            path = argument[i + 1];
        } else if (i + 1 < count && strcmp(argument[i], "--seconds") == 0) {
            budget_s = atof(argument[i + 1]);
        } else {
            fprintf(stderr, "usage: %s [--data FILE] [--seconds S]\n", argument[0]);
            return 2;
        }
    }
    market_config market;
    market_features_config features_config;
    trading_config trading;
    cartpole_config cartpole;
    catch_config catch;
    set_defaults("market", market_options, &market);
    set_defaults("features", market_features_options, &features_config);
    set_defaults("trading", trading_options, &trading);
    set_defaults("cartpole", cartpole_options, &cartpole);
    set_defaults("catch", catch_options, &catch);
    trading.window = WINDOW;

    market_bars *bars = open_bars(path, &market);
    market_features *features;
    bench_need(market_features_open(&features, bars, &features_config, market.cache, NULL));
    const market_bars_view *view = market_bars_get(bars);
    const env_market whole = { view, market_features_get(features), { 0, view->count } };
    measure_class("trading", &trading_class, &trading, &whole, budget_s);
    trading.observation = TRADING_CHART;
    measure_class("trading-chart", &trading_class, &trading, &whole, budget_s);
    measure_class("cartpole", &cartpole_class, &cartpole, NULL, budget_s);
    measure_class("catch", &catch_class, &catch, NULL, budget_s);
    measure_chart(view, budget_s);
    market_features_destroy(&features);
    market_bars_destroy(&bars);
    return 0;
}
