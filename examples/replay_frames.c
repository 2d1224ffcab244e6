// Frames, stored once each and packed by the codec of choice: what the network is given from the
// buffer is what the game showed, pixel by pixel.

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "envs/pixel/catch.h"
#include "envs/vec_env.h"
#include "replay/buffer.h"

enum {
    STEPS = 2048,
    SLOTS = STEPS + STEPS / 8,
    STACK = 4,
    BATCH = 64,
    SHOWN = STACK * CATCH_PIXELS
};

static const struct {
    const char *name;
    replay_codec codec;
} codecs[] = {
    { "ram", REPLAY_RAM },     { "none", REPLAY_NONE },
    { "zstd", REPLAY_ZSTD },   { "zstd-dict", REPLAY_ZSTD_DICT },
    { "delta", REPLAY_DELTA }, { "patch", REPLAY_PATCH },
};

typedef struct example {
    vec_env *env;
    replay_buffer *buffer;
    replay_batch *batch;
    unsigned char *shown; // [SLOTS, SHOWN] what the game showed, by slot
} example;

static gn_status open_example(example *self, replay_codec codec)
{
    replay_config config;
    catch_config game;
    const gn_option_section sections[] = {
        { .name = "replay", .options = replay_options, .values = &config },
        { .name = "catch", .options = catch_options, .values = &game },
        { 0 },
    };
    const env_context context = { .copies = 1, .seed = 1, .purpose = GN_RANDOM_ENV };
    const replay_spec spec = { .streams = 1, .record_size = CATCH_PIXELS, .stack = STACK };
    gn_options_reset(sections);
    config.capacity = SLOTS;
    config.chunk = 64;
    config.codec = codec;
    config.cache_mb = 0; // every frame is decoded anew
    game.stack = STACK;
    GN_TRY(vec_env_create(&self->env, &catch_class, &game, &context));
    GN_TRY(gn_alloc(&self->shown, SLOTS, SHOWN));
    GN_TRY(replay_batch_create(&self->batch, &spec, BATCH, 1));
    return replay_buffer_create(&self->buffer, &config, &spec, NULL, NULL);
}

static void close_example(example *self)
{
    replay_buffer_destroy(&self->buffer);
    replay_batch_destroy(&self->batch);
    vec_env_destroy(&self->env);
    gn_free(&self->shown);
}

// Plays at random. An observation is written down before the step that is taken from it.
static gn_status play(example *self)
{
    const vec_env_step_view *last = vec_env_last(self->env);
    gn_random random = gn_random_stream(1, GN_RANDOM_EXPLORE, 0);
    size_t slot = 0;
    vec_env_reset(self->env);
    GN_TRY(replay_buffer_begin(self->buffer, 0, last->record));
    for (int step = 0; step < STEPS; step++, slot++) {
        int32_t action = (int32_t)gn_random_below(&random, CATCH_ACTIONS);
        vec_env_observe(self->env, self->shown + slot * SHOWN);
        GN_TRY(vec_env_step(self->env, &action));
        bool ended = last->terminated[0];
        GN_TRY(replay_buffer_add(self->buffer, 0, action, last->reward[0], ended, false,
                                 ended ? last->final_record : last->record));
        if (!ended)
            continue;
        GN_TRY(replay_buffer_begin(self->buffer, 0, last->record));
        slot++; // the final frame's, from which no step is taken
    }
    return GN_OK;
}

// Draws a batch; its observations must be those that were shown.
static gn_status check(example *self, gn_random *random)
{
    static unsigned char observation[BATCH * SHOWN];
    const replay_draw draw = { .n_step = { 1 }, .horizons = 1, .gamma = 0.99 };
    GN_TRY(replay_buffer_sample(self->buffer, &draw, random, self->batch));
    vec_env_decode(self->env, self->batch->record, self->batch->stride, BATCH, observation);
    for (size_t i = 0; i < BATCH; i++)
        if (memcmp(observation + i * SHOWN, self->shown + self->batch->item[i] * SHOWN, SHOWN) != 0)
            return gn_fail(GN_ERR_CORRUPT, "step %llu is not what was shown",
                           (unsigned long long)self->batch->item[i]);
    return GN_OK;
}

static gn_status show(example *self, const char *name)
{
    replay_buffer_stats stats;
    gn_random random = gn_random_stream(1, GN_RANDOM_SAMPLE, 0);
    GN_TRY(play(self));
    for (int i = 0; i < 20; i++)
        GN_TRY(check(self, &random));
    GN_TRY(replay_buffer_measure(self->buffer, &stats));
    printf("%-10s %14.0f %19.0f\n", name, (double)stats.ram_bytes / (double)stats.steps,
           stats.reads ? (double)stats.read_bytes / (double)stats.reads : 0);
    return GN_OK;
}

int main(void)
{
    gn_status status = GN_OK;
    printf("codec      memory a step  bytes read at once   (an observation: %d)\n", SHOWN);
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs && status == GN_OK; i++) {
        example self = { 0 };
        status = open_example(&self, codecs[i].codec);
        if (status == GN_OK)
            status = show(&self, codecs[i].name);
        close_example(&self);
    }
    if (status != GN_OK)
        fprintf(stderr, "replay_frames: %s\n", gn_error_text());
    return status == GN_OK ? 0 : 1;
}
