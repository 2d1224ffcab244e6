// Steps for replay tests: a feed adds random steps to random streams of a buffer, the same from the
// same state. A feed is a plain value: copy it to add the same steps again.

#ifndef TESTS_REPLAY_FEED_H
#define TESTS_REPLAY_FEED_H

#include <string.h>

#include "replay/buffer.h"
#include "tests/support/check.h"

enum { FEED_STREAMS_MAX = 8, FEED_RECORD = 12 };

typedef struct step_feed {
    test_rng rng;
    uint32_t streams;
    bool running[FEED_STREAMS_MAX];
    uint64_t written; // slots, over all streams: makes every record different
} step_feed;

// What one call of feed_next adds.
typedef struct feed_step {
    uint32_t stream;
    bool begins; // only `record` counts
    int32_t action;
    float reward;
    bool terminated, truncated;
    unsigned char record[FEED_RECORD];
} feed_step;

static inline step_feed feed_seed(uint64_t seed, uint32_t streams)
{
    return (step_feed){ .rng = test_rng_seed(seed), .streams = streams };
}

static inline feed_step feed_draw(step_feed *from)
{
    feed_step step = { .stream = (uint32_t)test_rng_below(&from->rng, from->streams) };
    memcpy(step.record, &from->written, sizeof from->written);
    from->written++;
    step.begins = !from->running[step.stream];
    from->running[step.stream] = true;
    if (step.begins)
        return step;
    step.action = (int32_t)test_rng_below(&from->rng, 100) - 50;
    step.reward = (float)test_rng_below(&from->rng, 1000) / 8;
    uint64_t end = test_rng_below(&from->rng, 12);
    step.terminated = end == 0 || end == 2;
    step.truncated = end == 1 || end == 2;
    from->running[step.stream] = !step.terminated && !step.truncated;
    return step;
}

static inline gn_status feed_put(replay_buffer *buffer, const feed_step *step)
{
    if (step->begins)
        return replay_buffer_begin(buffer, step->stream, step->record);
    return replay_buffer_add(buffer, step->stream, step->action, step->reward, step->terminated,
                             step->truncated, step->record);
}

static inline void feed_add(step_feed *from, replay_buffer *buffer, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        feed_step step = feed_draw(from);
        expect_ok(feed_put(buffer, &step));
    }
}

// Samples and sets priorities a few times, as training does.
static inline void feed_train(step_feed *from, replay_buffer *buffer)
{
    enum { BATCH = 16, ROUNDS = 4 };
    if (replay_buffer_count(buffer) == 0)
        return;
    replay_batch *batch;
    gn_random random = gn_random_stream(test_rng_next(&from->rng), GN_RANDOM_SAMPLE, 0);
    expect_ok(replay_batch_create(&batch, &(replay_spec){ 1, FEED_RECORD, 1 }, BATCH, 1));
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

// Checksum of what a buffer holds.
static inline uint64_t feed_checksum(replay_buffer *buffer)
{
    uint64_t checksum = 0;
    expect_ok(replay_buffer_checksum(buffer, &checksum));
    return checksum;
}

// Commits and waits until it is done.
static inline gn_status feed_commit(replay_buffer *buffer, uint64_t generation, uint64_t oldest,
                                    uint64_t *ret_checksum)
{
    GN_TRY(replay_buffer_commit(buffer, generation, oldest));
    return replay_buffer_await(buffer, ret_checksum);
}

static inline replay_config feed_config(int64_t capacity, int64_t chunk, bool prioritized)
{
    replay_config config;
    const gn_option_section sections[] = {
        { .name = "replay", .options = replay_options, .values = &config },
        { 0 },
    };
    gn_options_reset(sections);
    config.capacity = capacity;
    config.chunk = chunk;
    config.prioritized = prioritized;
    return config;
}

#endif
