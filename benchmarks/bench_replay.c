// Replay on one core: sampling and updating a prioritized buffer of records of 82 floats, adding
// steps in RAM and on disk, and what a trading step takes, seen as features or as a chart.
//
//     bench_replay [--folder DIR] [--seconds S]      DIR, default replay-bench: for the store;
//     removed

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "benchmarks/bench.h"
#include "envs/trading/chart.h"
#include "market/generate.h"
#include "replay/buffer.h"

enum { BATCH = 256, ROUNDS = 200, RECORD_FLOATS = 82, RECORD_SIZE = 4 * RECORD_FLOATS };
enum { EPISODE = 500, STREAMS = 8 };

// --- the buffer

static replay_config make_config(int64_t capacity, bool prioritized)
{
    replay_config config;
    const gn_option_section sections[] = {
        { .name = "replay", .options = replay_options, .values = &config },
        { 0 },
    };
    gn_options_reset(sections);
    config.capacity = capacity;
    config.prioritized = prioritized;
    return config;
}

// Streams of steps whose records are random walks, as observations are.
typedef struct walks {
    gn_random random;
    float record[STREAMS][RECORD_FLOATS];
    size_t step[STREAMS]; // of the episode
} walks;

// Adds `n` steps in turn to all streams.
static void add_steps(replay_buffer *buffer, walks *all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t stream = i % STREAMS;
        size_t *step = &all->step[stream];
        const unsigned char *bytes = (const unsigned char *)all->record[stream];
        if (*step == 0)
            bench_need(replay_buffer_begin(buffer, stream, bytes));
        all->record[stream][gn_random_below(&all->random, RECORD_FLOATS)] += 0.5f;
        *step = (*step + 1) % EPISODE;
        bench_need(
            replay_buffer_add(buffer, stream, (int32_t)(i % 3), 0.5f, false, *step == 0, bytes));
    }
}

static void measure_sample(bool prioritized, int64_t n_step, double budget_s)
{
    enum { CAPACITY = 1000000, PRIORITIES = 64 };
    replay_config config = make_config(CAPACITY, prioritized);
    replay_buffer *buffer;
    replay_batch *batch;
    gn_random random = gn_random_stream(1, GN_RANDOM_SAMPLE, 0);
    static float priority[PRIORITIES][BATCH]; // made before, as those of the peers are
    for (size_t i = 0; i < PRIORITIES * BATCH; i++)
        priority[i / BATCH][i % BATCH] = (float)gn_random_unit(&random);
    bench_need(replay_buffer_create(&buffer, &config, &(replay_spec){ STREAMS, RECORD_SIZE, 1 },
                                    NULL, NULL));
    bench_need(replay_batch_create(&batch, &(replay_spec){ 1, RECORD_SIZE, 1 }, BATCH, 1));
    walks all = { .random = gn_random_stream(1, GN_RANDOM_TEST, 1) };
    add_steps(buffer, &all, CAPACITY);
    const replay_draw draw = { .n_step = { n_step }, .gamma = 0.99, .beta = 0.4 };
    char name[64];
    snprintf(name, sizeof name, "replay.%s.1M.b256.n%d",
             prioritized ? "sample_and_update.prioritized" : "sample.uniform", (int)n_step);
    bench run = bench_begin(name, "us", budget_s);
    while (bench_next(&run)) {
        for (size_t round = 0; round < ROUNDS; round++) {
            bench_need(replay_buffer_sample(buffer, &draw, &random, batch));
            bench_need(replay_buffer_set_priorities(buffer, batch->item,
                                                    priority[round % PRIORITIES], BATCH));
        }
        bench_sample(&run, bench_elapsed(&run) * 1e6 / ROUNDS);
    }
    bench_report(&run);
    replay_batch_destroy(&batch);
    replay_buffer_destroy(&buffer);
}

// Adds through a buffer that wraps; on disk with a commit every COMMIT steps, as a run does.
static void measure_add(const char *name, const char *folder, bool prioritized, double budget_s)
{
    enum { CAPACITY = 1000000, COMMIT = 250000 };
    replay_config config = make_config(CAPACITY, prioritized);
    replay_buffer *buffer;
    walks all = { .random = gn_random_stream(1, GN_RANDOM_TEST, 1) };
    uint64_t generation = 0;
    bench_need(replay_buffer_create(&buffer, &config, &(replay_spec){ STREAMS, RECORD_SIZE, 1 },
                                    folder, "bench"));
    bench run = bench_begin(name, "steps/s", budget_s);
    while (bench_next(&run)) {
        add_steps(buffer, &all, COMMIT);
        if (folder) {
            generation++;
            bench_need(replay_buffer_commit(buffer, generation, generation));
        }
        bench_sample(&run, COMMIT / bench_elapsed(&run));
    }
    bench_report(&run);
    replay_buffer_destroy(&buffer);
}

// Trading steps of 16 bytes, drawn with the chart of the step and of the next one. Beside them a
// step whose observation, 64 rows of 14 features and the account, is stored twice.
static void measure_trading(double budget_s)
{
    enum { CAPACITY_STEPS = 1000000, TRADING_RECORD = 16, BARS = 30000 };
    enum { OBSERVATION = 4 * (64 * 14 + TRADING_CHART_ACCOUNT) };
    static unsigned char image[TRADING_CHART_PIXELS];
    market_generate_config generate;
    market_generated market;
    const gn_option_section sections[] = {
        { .name = "generate", .options = market_generate_options, .values = &generate },
        { 0 },
    };
    gn_options_reset(sections);
    generate.bars = BARS;
    bench_need(market_generate(&market, &generate));
    const market_bars_view bars = { .count = market.count,
                                    .open = market.open,
                                    .high = market.high,
                                    .low = market.low,
                                    .close = market.close,
                                    .volume = market.volume };
    const replay_config config = make_config(CAPACITY_STEPS, true);
    const replay_spec spec = { .streams = 1, .record_size = TRADING_RECORD, .stack = 1 };
    const replay_draw draw = { .n_step = { 1 }, .gamma = 0.99, .beta = 0.4 };
    replay_buffer *buffer;
    replay_batch *batch;
    replay_buffer_stats stats;
    gn_random random = gn_random_stream(1, GN_RANDOM_SAMPLE, 0);
    bench_need(replay_buffer_create(&buffer, &config, &spec, NULL, NULL));
    bench_need(replay_batch_create(&batch, &spec, BATCH, 1));
    for (uint32_t i = 0; i < CAPACITY_STEPS; i++) {
        uint32_t record[4] = { TRADING_CHART_BARS + i % (BARS - TRADING_CHART_BARS) };
        const unsigned char *bytes = (const unsigned char *)record;
        bench_need(i == 0 ? replay_buffer_begin(buffer, 0, bytes)
                          : replay_buffer_add(buffer, 0, 0, 0, false, false, bytes));
    }
    bench run = bench_begin("replay.trading.sample_and_draw_charts.b256", "us", budget_s);
    while (bench_next(&run)) {
        bench_need(replay_buffer_sample(buffer, &draw, &random, batch));
        for (size_t i = 0; i < 2 * BATCH; i++) {
            const unsigned char *rows = i % 2 ? batch->next_record[0] : batch->record;
            uint32_t record[4];
            memcpy(record, rows + i / 2 * batch->stride, sizeof record);
            trading_chart_draw(&bars, record[0], (const float *)(record + 1), image);
        }
        bench_sample(&run, bench_elapsed(&run) * 1e6);
    }
    bench_report(&run);
    bench_need(replay_buffer_measure(buffer, &stats));
    bench bytes = bench_begin("replay.trading.ram", "B/step", 0);
    bench ratio = bench_begin("replay.trading.times_less_than_observations", "x", 0);
    while (bench_next(&bytes) && bench_next(&ratio)) {
        double step = (double)stats.ram_bytes / (double)stats.steps;
        bench_sample(&bytes, step);
        bench_sample(&ratio, 2 * OBSERVATION / step);
    }
    bench_report(&bytes);
    bench_report(&ratio);
    replay_batch_destroy(&batch);
    replay_buffer_destroy(&buffer);
    market_generated_free(&market);
}

int main(int count, char **argument)
{
    const char *folder = "replay-bench";
    double budget_s = 1;
    for (int i = 1; i < count; i += 2) {
        if (i + 1 < count && strcmp(argument[i], "--folder") == 0) {
            folder = argument[i + 1];
        } else if (i + 1 < count && strcmp(argument[i], "--seconds") == 0) {
            budget_s = atof(argument[i + 1]);
        } else {
            fprintf(stderr, "usage: %s [--folder DIR] [--seconds S]\n", argument[0]);
            return 2;
        }
    }
    measure_sample(false, 1, budget_s);
    measure_sample(true, 1, budget_s);
    measure_sample(false, 3, budget_s);
    measure_sample(true, 3, budget_s);
    measure_trading(budget_s);
    measure_add("replay.add.ram.prioritized", NULL, true, budget_s);
    measure_add("replay.add.ram.uniform", NULL, false, budget_s);
    bench_need(gn_path_remove(folder));
    measure_add("replay.add.disk.prioritized", folder, true, budget_s);
    bench_need(gn_path_remove(folder));
    bench_free_cores(); // one for the thread that codes and writes
    measure_add("replay.add.disk.prioritized.two_cores", folder, true, budget_s);
    bench_need(gn_path_remove(folder));
    return 0;
}
