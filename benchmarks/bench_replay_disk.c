// A replay buffer larger than its memory: stacks of four 84x84 frames, packed on disk.
//
//     bench_replay_disk --frames WHAT [--folder DIR] [--gigabytes G] [--codec NAME] [--name NAME]
//                       [--pace US] [--seconds S]
//
// WHAT: catch, chart, noise or a file (benchmarks/frame_source.h). G gigabytes of frames, as they
// are before compression (default 10), are added and committed; then batches of 256 stacks with
// their next stacks are drawn, by priorities that are all alike: by one thread with the file in the
// page cache; ahead, with a second core, while the caller works US microseconds a batch (default:
// as long as the first figure says); and by one thread with the page cache dropped before each
// batch. NAME stands in the names of the figures (default disk). Resident memory counts anonymous
// and file pages of the process.

#define _GNU_SOURCE // sched_setaffinity
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/thread.h"
#include "benchmarks/bench.h"
#include "benchmarks/frame_source.h"
#include "replay/sampler.h"

enum { BATCH = 256, STACK = 4 };

typedef struct disk_bench {
    const char *frames, *folder, *codec, *name;
    double gigabytes, seconds, pace_us;
    frame_source *source;
    replay_buffer *buffer;
    gn_random random;
    char label[128];
} disk_bench;

static const replay_draw draw = { .n_step = { 1 }, .gamma = 0.99, .beta = 0.4 };

static const char *label(disk_bench *self, const char *what)
{
    snprintf(self->label, sizeof self->label, "replay.%s.%s.%s.%s", self->name,
             frame_source_name(self->source), self->codec, what);
    return self->label;
}

static void report(disk_bench *self, const char *what, const char *unit, double value)
{
    bench one = bench_begin(label(self, what), unit, 0);
    while (bench_next(&one))
        bench_sample(&one, value);
    bench_report(&one);
}

// kB of a line of /proc/self/status.
static double status_kb(const char *key)
{
    char line[256];
    double kb = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0)
            kb = strtod(line + strlen(key), NULL);
    if (file)
        fclose(file);
    return kb;
}

static double resident_mb(void)
{
    return (status_kb("RssAnon:") + status_kb("RssFile:") + status_kb("RssShmem:")) / 1000;
}

static void open_buffer(disk_bench *self, uint64_t slots)
{
    replay_config config;
    const gn_option_section sections[] = {
        { .name = "replay", .options = replay_options, .values = &config },
        { 0 },
    };
    const replay_spec spec = { .streams = 1, .record_size = FRAME_BYTES, .stack = STACK };
    char capacity[32];
    snprintf(capacity, sizeof capacity, "%llu", (unsigned long long)slots);
    gn_options_reset(sections);
    bench_need(gn_options_set(sections, "replay.capacity", capacity));
    bench_need(gn_options_set(sections, "replay.codec", self->codec));
    bench_need(gn_options_set(sections, "replay.prioritized", "true"));
    bench_need(replay_buffer_create(&self->buffer, &config, &spec, self->folder, "bench"));
}

static void fill(disk_bench *self, uint64_t slots)
{
    uint64_t checksum;
    double since = gn_seconds();
    for (uint64_t i = 0; i < slots; i++)
        frame_source_add(self->source, self->buffer, 0);
    double added = gn_seconds() - since;
    since = gn_seconds();
    bench_need(replay_buffer_commit(self->buffer, 1, 0));
    double staged = gn_seconds() - since;
    bench_need(replay_buffer_await(self->buffer, &checksum));
    replay_buffer_stats stats;
    bench_need(replay_buffer_measure(self->buffer, &stats));
    report(self, "add", "steps/s", (double)slots / added);
    report(self, "add.stalled", "share", stats.stalled_s / added);
    report(self, "commit.loop_stands", "ms", 1000 * staged);
    report(self, "raw", "GB", (double)slots * FRAME_BYTES / 1e9);
    report(self, "bytes.disk", "B/step", (double)stats.disk_bytes / (double)stats.steps);
    report(self, "bytes.ram", "B/step", (double)stats.ram_bytes / (double)stats.steps);
}

// Drops the file from the page cache.
static void drop_cache(const disk_bench *self)
{
    char path[GN_PATH_SIZE];
    bench_need(gn_path_join(path, self->folder, "data.mdb"));
    int file = open(path, O_RDONLY);
    (void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    close(file);
}

static double measure_sample(disk_bench *self, replay_batch *batch, const char *what, bool cold)
{
    enum { WARM_ROUNDS = 16 };
    size_t rounds = cold ? 1 : WARM_ROUNDS;
    bench run = bench_begin(label(self, what), "us", self->seconds);
    double sum = 0;
    size_t samples = 0;
    if (cold)
        run.budget_s *= 2;
    for (;;) {
        if (cold)
            drop_cache(self);
        if (!bench_next(&run))
            break;
        for (size_t i = 0; i < rounds; i++)
            bench_need(replay_buffer_sample(self->buffer, &draw, &self->random, batch));
        double us = bench_elapsed(&run) * 1e6 / (double)rounds;
        bench_sample(&run, us);
        sum += us;
        samples++;
    }
    bench_report(&run);
    return sum / (double)samples;
}

// The caller works for `pace_us` after each batch.
static void measure_ahead(disk_bench *self, int64_t ahead, double pace_us)
{
    enum { ROUNDS = 64 };
    char what[32];
    replay_sampler *sampler;
    const replay_batch *batch;
    bench_free_cores(); // the reader needs one of its own
    bench_need(replay_sampler_create(&sampler, self->buffer, BATCH, 1, ahead));
    snprintf(what, sizeof what, "ahead%d.wait.b256", (int)ahead);
    bench run = bench_begin(label(self, what), "us", self->seconds);
    while (bench_next(&run)) {
        double waited = 0;
        for (int i = 0; i < ROUNDS; i++) {
            double since = gn_seconds();
            bench_need(replay_sampler_next(sampler, BATCH, &draw, &self->random, &batch));
            waited += gn_seconds() - since;
            for (since = gn_seconds(); (gn_seconds() - since) * 1e6 < pace_us;)
                ;
        }
        bench_sample(&run, waited * 1e6 / ROUNDS);
    }
    bench_report(&run);
    replay_sampler_destroy(&sampler);
}

int main(int argc, char **argv)
{
    disk_bench self = { .frames = "catch",
                        .folder = "replay-bench",
                        .codec = "patch",
                        .name = "disk",
                        .gigabytes = 10,
                        .seconds = 2,
                        .random = gn_random_stream(1, GN_RANDOM_SAMPLE, 0) };
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--frames") == 0)
            self.frames = argv[i + 1];
        else if (strcmp(argv[i], "--folder") == 0)
            self.folder = argv[i + 1];
        else if (strcmp(argv[i], "--codec") == 0)
            self.codec = argv[i + 1];
        else if (strcmp(argv[i], "--name") == 0)
            self.name = argv[i + 1];
        else if (strcmp(argv[i], "--gigabytes") == 0)
            self.gigabytes = strtod(argv[i + 1], NULL);
        else if (strcmp(argv[i], "--pace") == 0)
            self.pace_us = strtod(argv[i + 1], NULL);
        else if (strcmp(argv[i], "--seconds") == 0)
            self.seconds = strtod(argv[i + 1], NULL);
    }
    replay_batch *batch;
    const replay_spec spec = { .streams = 1, .record_size = FRAME_BYTES, .stack = STACK };
    uint64_t slots = (uint64_t)(self.gigabytes * 1e9 / FRAME_BYTES);
    self.source = frame_source_open(self.frames);
    bench_need(gn_path_remove(self.folder));
    open_buffer(&self, slots);
    fill(&self, slots);
    bench_need(replay_batch_create(&batch, &spec, BATCH, 1));
    double us = measure_sample(&self, batch, "sample.warm.b256", false);
    cpu_set_t pinned;
    sched_getaffinity(0, sizeof pinned, &pinned);
    for (int64_t ahead = 1; ahead <= 4; ahead *= 2)
        measure_ahead(&self, ahead, self.pace_us > 0 ? self.pace_us : us);
    sched_setaffinity(0, sizeof pinned, &pinned);
    (void)measure_sample(&self, batch, "sample.cold.b256", true);
    report(&self, "resident", "MB", resident_mb());
    replay_batch_destroy(&batch);
    replay_buffer_destroy(&self.buffer);
    frame_source_close(&self.source);
    bench_need(gn_path_remove(self.folder));
    return 0;
}
