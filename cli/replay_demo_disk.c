// gannet replay demo disk: a buffer of frames on disk beside one in RAM.

#include "base/file.h"
#include "base/mem.h"
#include "base/thread.h"
#include "cli/replay_demo.h"
#include "replay/sampler.h"

enum { SLOTS = 12000, STACK = 4, BATCH = 256, ROUNDS = 40, CHUNK = 128, CACHE_MB = 8 };

static const char owner[] = "demo";
static const double work_s = 0.005; // between batches drawn ahead
static const replay_draw draw = { .n_step = { 1 }, .horizons = 1, .gamma = 0.99 };

typedef struct demo_stores {
    replay_input *input;
    replay_config ram_config, disk_config;
    replay_spec spec;
    replay_buffer *ram, *disk;
    replay_batch *batch, *twin;
    replay_sampler *sampler;
} demo_stores;

static gn_status open_stores(demo_stores *self, const char *folder)
{
    GN_TRY(replay_input_create(&self->input, REPLAY_INPUT_CATCH, 0, 1));
    size_t record_size = replay_input_record_size(self->input);
    self->spec = (replay_spec){ 1, (uint32_t)record_size, STACK };
    self->ram_config = replay_input_config(SLOTS, REPLAY_RAM);
    self->disk_config = replay_input_config(SLOTS, REPLAY_PATCH);
    self->disk_config.chunk = CHUNK;
    self->disk_config.cache_mb = CACHE_MB;
    GN_TRY(replay_buffer_create(&self->ram, &self->ram_config, &self->spec, NULL, NULL));
    GN_TRY(replay_buffer_create(&self->disk, &self->disk_config, &self->spec, folder, owner));
    GN_TRY(replay_batch_create(&self->batch, &self->spec, BATCH, 1));
    return replay_batch_create(&self->twin, &self->spec, BATCH, 1);
}

static void close_stores(demo_stores *self)
{
    replay_sampler_destroy(&self->sampler);
    replay_batch_destroy(&self->batch);
    replay_batch_destroy(&self->twin);
    replay_buffer_destroy(&self->ram);
    replay_buffer_destroy(&self->disk);
    replay_input_destroy(&self->input);
}

// As a process that starts again after the last one was killed.  without: nothing was kept.
static gn_status reopen(demo_stores *self, const demo_setting *setting, uint64_t checksum)
{
    replay_buffer_destroy(&self->disk);
    if (setting->without)
        return replay_buffer_create(&self->disk, &self->disk_config, &self->spec, NULL, NULL);
    GN_TRY(
        replay_buffer_create(&self->disk, &self->disk_config, &self->spec, setting->folder, owner));
    return replay_buffer_rollback(self->disk, 1, checksum);
}

// Looks at every pixel of a batch again and again, as long as a learner might take.
static uint64_t work_on(const replay_batch *batch)
{
    uint64_t sum = 0;
    size_t window = (size_t)STACK * batch->spec.record_size;
    for (double end = gn_seconds() + work_s; gn_seconds() < end;)
        for (size_t i = 0; i < batch->size; i++)
            for (size_t k = 0; k < window; k++)
                sum += batch->record[i * batch->stride + k];
    return sum;
}

// ret_us: that a call waited for its records, with work between the calls.
static gn_status measure_ahead(demo_stores *self, double *ret_us)
{
    const replay_batch *batch;
    gn_random random = gn_random_stream(2, GN_RANDOM_SAMPLE, 0);
    uint64_t pixels = 0;
    GN_TRY(replay_sampler_create(&self->sampler, self->disk, BATCH, 1, -1));
    for (int i = 0; i < ROUNDS && (i == 0 || pixels > 0); i++) {
        GN_TRY(replay_sampler_next(self->sampler, BATCH, &draw, &random, &batch));
        pixels += work_on(batch);
    }
    replay_sampler_stats stats = replay_sampler_measure(self->sampler);
    *ret_us = stats.waited_s * 1e6 / (double)stats.batches;
    return GN_OK;
}

static gn_status compare(demo_stores *self, demo_report *report)
{
    uint64_t in_ram, on_disk;
    gn_random one = gn_random_stream(3, GN_RANDOM_SAMPLE, 0), two = one;
    GN_TRY(replay_buffer_checksum(self->ram, &in_ram));
    GN_TRY(replay_buffer_checksum(self->disk, &on_disk));
    demo_expect(report, in_ram == on_disk, "the reopened buffer holds other contents");
    if (replay_buffer_count(self->disk) == 0)
        return GN_OK;
    GN_TRY(replay_buffer_sample(self->ram, &draw, &one, self->batch));
    GN_TRY(replay_buffer_sample(self->disk, &draw, &two, self->twin));
    demo_expect(report, demo_same_batch(self->batch, self->twin),
                "a batch from disk differs from the same one from RAM");
    return GN_OK;
}

static gn_status measure(demo_stores *self, const demo_setting *setting, demo_report *report)
{
    uint64_t checksum;
    double us_ram, us_disk = NAN, us_ahead = NAN;
    replay_buffer_stats ram, disk;
    replay_buffer *const both[] = { self->ram, self->disk };
    GN_TRY(replay_input_fill(self->input, both, 2, SLOTS));
    GN_TRY(replay_buffer_commit(self->disk, 1, 1));
    GN_TRY(replay_buffer_await(self->disk, &checksum));
    GN_TRY(reopen(self, setting, checksum));
    GN_TRY(compare(self, report));
    GN_TRY(demo_time_batches(self->ram, &draw, self->batch, ROUNDS, &us_ram));
    if (replay_buffer_count(self->disk) > 0) {
        GN_TRY(demo_time_batches(self->disk, &draw, self->batch, ROUNDS, &us_disk));
        GN_TRY(measure_ahead(self, &us_ahead));
    }
    GN_TRY(replay_buffer_measure(self->ram, &ram));
    GN_TRY(replay_buffer_measure(self->disk, &disk));
    double steps = (double)ram.steps, raw = 2.0 * STACK * self->spec.record_size * steps;
    DEMO_ROW(report, "memory, MB", raw / 1e6, (double)ram.ram_bytes / 1e6,
             (double)disk.ram_bytes / 1e6);
    DEMO_ROW(report, "on disk, MB", NAN, NAN, (double)disk.disk_bytes / 1e6);
    DEMO_ROW(report, "bytes a step, memory and disk", raw / steps, (double)ram.ram_bytes / steps,
             (double)(disk.ram_bytes + disk.disk_bytes) / steps);
    DEMO_ROW(report, "steps there after a restart", NAN, 0, (double)disk.steps);
    DEMO_ROW(report, "us a batch of 256", NAN, us_ram, us_disk);
    DEMO_ROW(report, "us waited for it, drawn ahead", NAN, NAN, us_ahead);
    demo_expect(report, disk.disk_bytes > 0 && (double)disk.disk_bytes < 0.02 * raw,
                "%.3g MB on disk are not below 2 %% of the %.3g MB of raw stacks",
                (double)disk.disk_bytes / 1e6, raw / 1e6);
    demo_expect(report, disk.ram_bytes * 2 < ram.ram_bytes,
                "it takes more than half the memory of the buffer in RAM");
    return GN_OK;
}

static gn_status run_disk(const demo_setting *setting, demo_report *report)
{
    demo_stores self = { 0 };
    gn_status status = open_stores(&self, setting->folder);
    if (status == GN_OK)
        status = measure(&self, setting, report);
    close_stores(&self);
    return status;
}

const replay_demo demo_disk = {
    .name = "disk",
    .summary = "a buffer larger than its memory, on disk, sampled and reopened",
    .says = "12000 steps of Catch, each an observation of 4 frames of 84 x 84 bytes and the next "
            "one, are kept as both stacks (counted, not built), as one frame each in RAM, and as "
            "frames packed on disk by a background thread. The one on disk is closed, reopened and "
            "rolled back to its commit, and must hold the same steps and give the same batches.",
    .column = { "stacks", "frames in RAM", "on disk" },
    .run = run_disk,
};
