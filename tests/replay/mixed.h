// Buffers of every kind, drawn at random, and steps whose records are large enough to be packed:
// floats that are alike, so that models and deltas pay. What a mixed buffer holds, a plain
// one in RAM holds too: its twin.

#ifndef TESTS_REPLAY_MIXED_H
#define TESTS_REPLAY_MIXED_H

#include "tests/replay/feed.h"

enum { MIXED_FLOATS = 192, MIXED_RECORD = MIXED_FLOATS * sizeof(float) };

typedef struct mixed {
    replay_config config;
    replay_spec spec;
} mixed;

// The i-th kind: codecs and durabilities take turns, the rest is random.
static inline mixed mixed_draw(test_rng *rng, uint64_t i)
{
    mixed self;
    self.config = feed_config(0, 64 + (int64_t)test_rng_below(rng, 40), i % 4 != 0);
    self.config.codec = REPLAY_RAM + (int)(i % 6);
    self.config.durability = (int)(i / 6 % 3);
    self.config.priority = test_rng_below(rng, 3) == 0 ? REPLAY_RANK : REPLAY_PROPORTIONAL;
    self.config.quantize =
        (int64_t)(test_rng_below(rng, 4) == 0 ? 8 + 8 * test_rng_below(rng, 2) : 0);
    self.config.cache_mb = (int64_t)test_rng_below(rng, 2) * (self.config.codec != REPLAY_RAM);
    self.spec = (replay_spec){ 1 + (uint32_t)test_rng_below(rng, 3), MIXED_RECORD,
                               test_rng_below(rng, 2) ? 4 : 1 };
    self.config.capacity = (int64_t)(self.spec.streams * (110 + test_rng_below(rng, 200)));
    return self;
}

static inline replay_buffer *mixed_open(const mixed *self, const char *folder)
{
    replay_buffer *buffer = NULL;
    expect_ok(replay_buffer_create(&buffer, &self->config, &self->spec, folder, "run"));
    return buffer;
}

// The buffer in RAM, nothing packed, that must hold the same.
static inline replay_buffer *mixed_open_twin(const mixed *self)
{
    mixed plain = *self;
    plain.config.codec = REPLAY_RAM;
    plain.config.cache_mb = 0;
    return mixed_open(&plain, NULL);
}

// The record of a number: the first floats are the number, most others the same in all records.
static inline void mixed_record(uint64_t number, float ret_record[MIXED_FLOATS])
{
    enum { ODD = 6 };
    test_rng all = test_rng_seed(1), own = test_rng_seed(number + 2);
    for (int i = 0; i < MIXED_FLOATS; i++)
        ret_record[i] = (float)test_rng_unit(&all);
    for (int i = 0; i < ODD; i++)
        ret_record[4 + test_rng_below(&own, MIXED_FLOATS - 4)] = (float)test_rng_unit(&own);
    ret_record[0] = (float)(number % 256) / 256;
    ret_record[1] = (float)(number / 256 % 256) / 256;
}

static inline gn_status mixed_put(replay_buffer *buffer, const feed_step *step)
{
    float record[MIXED_FLOATS];
    uint64_t number;
    memcpy(&number, step->record, sizeof number);
    mixed_record(number, record);
    const unsigned char *bytes = (const unsigned char *)record;
    if (step->begins)
        return replay_buffer_begin(buffer, step->stream, bytes);
    return replay_buffer_add(buffer, step->stream, step->action, step->reward, step->terminated,
                             step->truncated, bytes);
}

// Told of a call that failed; whether to try it again. NULL: nothing may fail.
typedef bool (*mixed_refused)(void *user, gn_status status);

static inline bool mixed_again(gn_status status, mixed_refused refused, void *user)
{
    if (!refused)
        expect_ok(status);
    return refused(user, status);
}

// Adds n steps; whether all of them.
static inline bool mixed_add(step_feed *from, replay_buffer *buffer, size_t n,
                             mixed_refused refused, void *user)
{
    gn_status status;
    for (size_t i = 0; i < n; i++) {
        feed_step step = feed_draw(from);
        while ((status = mixed_put(buffer, &step)) != GN_OK)
            if (!mixed_again(status, refused, user))
                return false;
    }
    return true;
}

static inline void mixed_train(step_feed *from, replay_buffer *buffer)
{
    enum { BATCH = 16, ROUNDS = 3 };
    if (replay_buffer_count(buffer) == 0)
        return;
    replay_batch *batch;
    const replay_spec *spec = replay_buffer_spec(buffer);
    gn_random random = gn_random_stream(test_rng_next(&from->rng), GN_RANDOM_SAMPLE, 0);
    expect_ok(replay_batch_create(&batch, spec, BATCH, 1));
    for (int round = 0; round < ROUNDS; round++) {
        float priority[BATCH];
        expect_ok(
            replay_buffer_sample(buffer, &(replay_draw){ { 3 }, 1, 0.9, 0.5 }, &random, batch));
        for (int i = 0; i < BATCH; i++)
            priority[i] = (float)(4 * test_rng_unit(&from->rng));
        expect_ok(replay_buffer_set_priorities(buffer, batch->item, priority, BATCH));
    }
    replay_batch_destroy(&batch);
}

// Steps and training, as many as the feed says; whether all were added.
static inline bool mixed_round(step_feed *feed, replay_buffer *buffer, mixed_refused refused,
                               void *user)
{
    if (!mixed_add(feed, buffer, test_rng_below(&feed->rng, 400), refused, user))
        return false;
    mixed_train(feed, buffer);
    return true;
}

// Share of a number of rounds that a build with sanitizers has the time for.
static inline int mixed_rounds(int release)
{
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    return release / 5;
#else
    return release;
#endif
}

#endif
