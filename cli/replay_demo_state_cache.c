// gannet replay demo state-cache: decoded frames that are drawn again and again.

#include "base/mem.h"
#include "cli/replay_demo.h"

enum { SLOTS = 8192, CHUNK = 256, BATCH = 256, WARM = 40, ROUNDS = 40, HOT_EVERY = 20 };
enum { COLUMNS = 3 };

static const int64_t budget_mb[COLUMNS] = { 0, 8, 80 };
static const replay_draw draw = { .n_step = { 1 }, .horizons = 1, .gamma = 0.99, .beta = 0.4 };

typedef struct demo_cached {
    replay_input *input;
    replay_buffer *buffer[COLUMNS];
    replay_batch *batch[COLUMNS];
    uint64_t item[SLOTS]; // of the steps
    float priority[SLOTS];
    size_t steps;
} demo_cached;

static gn_status open_buffers(demo_cached *self, bool without)
{
    GN_TRY(replay_input_create(&self->input, REPLAY_INPUT_CHART, 0, 1));
    const replay_spec spec = { 1, (uint32_t)replay_input_record_size(self->input), 1 };
    for (int i = 0; i < COLUMNS; i++) {
        replay_config config = replay_input_config(SLOTS, REPLAY_ZSTD_DICT);
        config.chunk = CHUNK;
        config.prioritized = true;
        config.cache_mb = without ? 0 : budget_mb[i];
        GN_TRY(replay_buffer_create(&self->buffer[i], &config, &spec, NULL, NULL));
        GN_TRY(replay_batch_create(&self->batch[i], &spec, BATCH, 1));
    }
    return GN_OK;
}

static void close_buffers(demo_cached *self)
{
    for (int i = 0; i < COLUMNS; i++) {
        replay_batch_destroy(&self->batch[i]);
        replay_buffer_destroy(&self->buffer[i]);
    }
    replay_input_destroy(&self->input);
}

// Every 20th step gets a priority 1000 times that of the others, as after some training.
static gn_status fill(demo_cached *self)
{
    for (uint64_t slot = 0; slot < SLOTS; slot++) {
        replay_input_step step = replay_input_next(self->input);
        for (int i = 0; i < COLUMNS; i++)
            GN_TRY(replay_input_put(self->buffer[i], &step));
        if (step.begins)
            continue;
        self->item[self->steps] = slot - 1; // it was taken from the slot before
        self->priority[self->steps++] = slot % HOT_EVERY == 0 ? 1 : 0.001f;
    }
    for (int i = 0; i < COLUMNS; i++)
        GN_TRY(
            replay_buffer_set_priorities(self->buffer[i], self->item, self->priority, self->steps));
    return GN_OK;
}

// Draws the same batches from all.
static gn_status compare(demo_cached *self, demo_report *report)
{
    gn_random start = gn_random_stream(1, GN_RANDOM_SAMPLE, 0), random[COLUMNS];
    bool same = true;
    for (int i = 0; i < COLUMNS; i++)
        random[i] = start;
    for (int round = 0; round < WARM && same; round++) {
        for (int i = 0; i < COLUMNS; i++)
            GN_TRY(replay_buffer_sample(self->buffer[i], &draw, &random[i], self->batch[i]));
        for (int i = 1; i < COLUMNS; i++)
            same = same && demo_same_batch(self->batch[0], self->batch[i]);
    }
    demo_expect(report, same, "a batch from the cache differs from the one without");
    return GN_OK;
}

static gn_status measure(demo_cached *self, demo_report *report)
{
    double hits[COLUMNS], us[COLUMNS], bytes[COLUMNS], saved[COLUMNS], read[COLUMNS];
    for (int i = 0; i < COLUMNS; i++) {
        replay_buffer_stats before, after;
        GN_TRY(replay_buffer_measure(self->buffer[i], &before));
        GN_TRY(demo_time_batches(self->buffer[i], &draw, self->batch[i], ROUNDS, &us[i]));
        GN_TRY(replay_buffer_measure(self->buffer[i], &after));
        double hit = (double)(after.cache_hits - before.cache_hits);
        double miss = (double)(after.cache_misses - before.cache_misses);
        hits[i] = hit + miss > 0 ? 100 * hit / (hit + miss) : 0;
        bytes[i] = (double)after.cache_bytes / 1e6;
        read[i] = (double)(after.read_bytes - before.read_bytes) / 1e3 / ROUNDS;
        saved[i] = us[0] - us[i];
        demo_expect(report, after.cache_bytes <= (uint64_t)budget_mb[i] << 20,
                    "the cache takes %.3g MB, more than %d", bytes[i], (int)budget_mb[i]);
    }
    demo_row(report, "cache, MB", bytes);
    demo_row(report, "found in the cache, %", hits);
    demo_row(report, "packed kB read a batch", read);
    demo_row(report, "us a batch of 256", us);
    demo_row(report, "us saved a batch", saved);
    demo_expect(report, hits[1] > 50, "a cache of the hot set finds %.3g %%, not above 50 %%",
                hits[1]);
    demo_expect(report, hits[2] > hits[1], "a cache of everything finds no more: %.3g %%", hits[2]);
    return GN_OK;
}

static gn_status run_state_cache(const demo_setting *setting, demo_report *report)
{
    demo_cached *self = NULL;
    GN_TRY(gn_alloc(&self, 1, sizeof *self));
    gn_status status = open_buffers(self, setting->without);
    if (status == GN_OK)
        status = fill(self);
    if (status == GN_OK)
        status = compare(self, report);
    if (status == GN_OK)
        status = measure(self, report);
    close_buffers(self);
    gn_free(&self);
    return status;
}

const replay_demo demo_state_cache = {
    .name = "state-cache",
    .summary = "frames that are drawn again and again, decoded once",
    .says = "8192 charts of a market are packed in RAM, and every 20th step has a priority 1000 "
            "times that of the others, so prioritized sampling draws a hot set again and again. A "
            "cache of decoded frames as large as that set, and one that holds all, must give the "
            "same batches as none, byte for byte.",
    .column = { "no cache", "hot set", "everything" },
    .run = run_state_cache,
};
