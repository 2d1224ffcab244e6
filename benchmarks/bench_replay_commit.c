// A commit of a million steps of 82 floats while training goes on: how long the loop stands still,
// how long until the commit is durable, and how large the file is.
//
//     bench_replay_commit [--folder DIR] [--commits N]
//
// The loop samples 256 steps prioritized, sets their priorities and adds four steps, over and over.
// What a commit costs it is the longest round from its call until it is durable, less the median
// round without one.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/thread.h"
#include "benchmarks/bench.h"
#include "replay/sampler.h"

enum { BATCH = 256, FLOATS = 82, STREAMS = 8, CAPACITY = 1000000, EPISODE = 500, ADDS = 4 };

typedef struct loop {
    replay_buffer *buffer;
    replay_batch *batch;
    gn_random random;
    float record[STREAMS][FLOATS];
    uint64_t step[STREAMS], added;
    float priority[BATCH];
} loop;

// Every number of a record is random: nothing of it compresses away.
static void add_step(loop *self)
{
    uint32_t stream = (uint32_t)(self->added++ % STREAMS);
    const unsigned char *bytes = (const unsigned char *)self->record[stream];
    for (size_t i = 0; i < FLOATS; i++)
        self->record[stream][i] = (float)gn_random_unit(&self->random);
    if (self->step[stream] == 0)
        bench_need(replay_buffer_begin(self->buffer, stream, bytes));
    self->step[stream] = (self->step[stream] + 1) % EPISODE;
    bench_need(
        replay_buffer_add(self->buffer, stream, 1, 0.5f, false, self->step[stream] == 0, bytes));
}

// Returns its seconds.
static double run_round(loop *self)
{
    const replay_draw draw = { .n_step = { 1 }, .gamma = 0.99, .beta = 0.4 };
    double since = gn_seconds();
    bench_need(replay_buffer_sample(self->buffer, &draw, &self->random, self->batch));
    for (size_t i = 0; i < BATCH; i++)
        self->priority[i] = (float)gn_random_unit(&self->random);
    bench_need(
        replay_buffer_set_priorities(self->buffer, self->batch->item, self->priority, BATCH));
    for (int i = 0; i < ADDS; i++)
        add_step(self);
    return gn_seconds() - since;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_round(loop *self)
{
    enum { ROUNDS = 4001 };
    static double round[ROUNDS];
    for (size_t i = 0; i < ROUNDS; i++)
        round[i] = run_round(self);
    qsort(round, ROUNDS, sizeof *round, compare);
    return round[ROUNDS / 2];
}

// The longest round from a commit's call on until it is durable; commit itself included.
static double commit(loop *self, uint64_t generation, double *ret_call, double *ret_durable)
{
    enum { ROUNDS = 64 }; // between looks at the clock of the other thread
    replay_buffer_stats stats;
    double begun = gn_seconds(), longest = 0;
    bench_need(replay_buffer_commit(self->buffer, generation, generation));
    *ret_call = gn_seconds() - begun;
    do {
        for (int i = 0; i < ROUNDS; i++) {
            double round = run_round(self);
            longest = round > longest ? round : longest;
        }
        bench_need(replay_buffer_measure(self->buffer, &stats));
    } while (stats.committed < generation);
    *ret_durable = gn_seconds() - begun;
    return longest;
}

int main(int argc, char **argv)
{
    const char *folder = "replay-bench";
    uint64_t commits = 8;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--folder") == 0)
            folder = argv[i + 1];
        if (strcmp(argv[i], "--commits") == 0)
            commits = strtoull(argv[i + 1], NULL, 10);
    }
    static loop self;
    self.random = gn_random_stream(1, GN_RANDOM_TEST, 0);
    replay_config config;
    const gn_option_section sections[] = {
        { .name = "replay", .options = replay_options, .values = &config },
        { 0 },
    };
    gn_options_reset(sections);
    config.capacity = CAPACITY;
    config.prioritized = true;
    const replay_spec spec = { STREAMS, FLOATS * sizeof(float), 1 };
    bench_need(gn_path_remove(folder));
    bench_need(replay_buffer_create(&self.buffer, &config, &spec, folder, "bench"));
    bench_need(replay_batch_create(&self.batch, &spec, BATCH, 1));
    while (self.added < CAPACITY)
        add_step(&self);
    bench call = bench_begin("replay.commit.1M_x_82.call", "ms", 0);
    bench stall = bench_begin("replay.commit.1M_x_82.longest_round", "ms", 0);
    bench durable = bench_begin("replay.commit.1M_x_82.until_durable", "s", 0);
    bench_free_cores(); // one for the thread that commits
    double call_s, durable_s, usual = median_round(&self), longest;
    for (uint64_t i = 1; i <= commits; i++) {
        longest = commit(&self, i, &call_s, &durable_s);
        (void)bench_next(&call), (void)bench_next(&stall), (void)bench_next(&durable);
        bench_sample(&call, 1000 * call_s);
        bench_sample(&stall, 1000 * (longest - usual));
        bench_sample(&durable, durable_s);
    }
    bench_report(&call);
    bench_report(&stall);
    bench_report(&durable);
    replay_buffer_stats stats;
    bench_need(replay_buffer_measure(self.buffer, &stats));
    bench size = bench_begin("replay.commit.1M_x_82.file", "MB", 0);
    while (bench_next(&size))
        bench_sample(&size, (double)stats.disk_bytes / 1e6);
    bench_report(&size);
    replay_batch_destroy(&self.batch);
    replay_buffer_destroy(&self.buffer);
    bench_need(gn_path_remove(folder));
    return 0;
}
