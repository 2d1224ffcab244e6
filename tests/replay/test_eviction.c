// replay.evict_lowest: what is given up is what has the lowest priority, and only drawing forgets
// it.

#include "base/mem.h"
#include "replay/buffer_internal.h"
#include "tests/replay/feed.h"

enum { CAPACITY = 200, STEPS = 900, BATCH = 64 };

static replay_buffer *open_buffer(const char *folder, double share)
{
    replay_config config = feed_config(CAPACITY, 16, true);
    replay_buffer *buffer;
    config.evict_lowest = share;
    expect_ok(
        replay_buffer_create(&buffer, &config, &(replay_spec){ 1, FEED_RECORD, 1 }, folder, "run"));
    return buffer;
}

// Steps that were given up, and those that can be drawn.
static size_t look(const replay_buffer *buffer, size_t *ret_drawn)
{
    size_t evicted = 0;
    *ret_drawn = 0;
    for (uint64_t at = replay_tail(buffer, 0); at < buffer->stream[0].head; at++) {
        const replay_step *step = &buffer->step[replay_slot(buffer, 0, at)];
        double weight = weight_tree_weights(buffer->tree)[replay_slot(buffer, 0, at)];
        if (!replay_has_step(step->flags))
            continue;
        bool gone = step->priority == REPLAY_EVICTED;
        assert_true(gone == (weight == 0));
        evicted += gone;
        *ret_drawn += !gone;
    }
    return evicted;
}

static void the_lowest_priorities_go_first(void **state)
{
    (void)state;
    static const double shares[] = { 0.25, 0.5, 0.9 };
    for (size_t k = 0; k < sizeof shares / sizeof *shares; k++) {
        replay_buffer *buffer = open_buffer(NULL, shares[k]);
        step_feed feed = feed_seed(k + 1, 1);
        size_t drawn, evicted;
        for (int i = 0; i < STEPS; i++) {
            feed_add(&feed, buffer, 1);
            evicted = look(buffer, &drawn);
            assert_int_equal(drawn, replay_buffer_count(buffer));
            assert_true((double)drawn <= CAPACITY - shares[k] * CAPACITY);
            if (i % 10 == 0)
                feed_train(&feed, buffer);
        }
        assert_true(evicted > 0);
        replay_buffer_destroy(&buffer);
    }
}

// Priorities 1 .. n are given by hand: the steps that stay are the upper ones.
static void which_go_is_known(void **state)
{
    (void)state;
    enum { N = 150 };
    replay_buffer *buffer = open_buffer(NULL, 0.5);
    unsigned char record[FEED_RECORD] = { 0 };
    expect_ok(replay_buffer_begin(buffer, 0, record));
    for (uint64_t i = 0; i < 100; i++) { // as many as may stay
        float priority = (float)((i * 37) % 100 + 1);
        expect_ok(replay_buffer_add(buffer, 0, 0, 0, false, false, record));
        expect_ok(replay_buffer_set_priorities(buffer, &i, &priority, 1));
    }
    for (int i = 0; i < 40; i++) // new ones have the largest priority: 40 of the others go
        expect_ok(replay_buffer_add(buffer, 0, 0, 0, false, false, record));
    for (uint64_t i = 0; i < 100; i++) {
        bool stays = (i * 37) % 100 + 1 > 40;
        const replay_step *step = &buffer->step[i];
        assert_true((step->priority != REPLAY_EVICTED) == stays);
    }
    // Nor is one drawn again, or brought back by a late priority.
    replay_batch *batch;
    gn_random random = gn_random_stream(1, GN_RANDOM_SAMPLE, 0);
    const replay_draw draw = { .n_step = { 3 }, .gamma = 0.9, .beta = 1 };
    expect_ok(replay_batch_create(&batch, &(replay_spec){ 1, FEED_RECORD, 1 }, BATCH, 1));
    for (uint64_t i = 0; i < 100; i++)
        expect_ok(replay_buffer_set_priorities(buffer, &i, &(float){ 50 }, 1));
    for (int round = 0; round < 100; round++) {
        expect_ok(replay_buffer_sample(buffer, &draw, &random, batch));
        for (size_t i = 0; i < BATCH; i++)
            assert_true(batch->item[i] >= 100 || (batch->item[i] * 37) % 100 + 1 > 40);
    }
    replay_batch_destroy(&batch);
    replay_buffer_destroy(&buffer);
}

static void what_was_given_up_stays_so_after_a_rollback(void **state)
{
    (void)state;
    char folder[GN_PATH_SIZE];
    test_temp_folder(folder);
    replay_buffer *buffer = open_buffer(folder, 0.5);
    step_feed feed = feed_seed(4, 1);
    for (int i = 0; i < 40; i++) {
        feed_add(&feed, buffer, 10);
        feed_train(&feed, buffer);
    }
    uint64_t state_sum, contents = feed_checksum(buffer), count = replay_buffer_count(buffer);
    expect_ok(feed_commit(buffer, 1, 0, &state_sum));
    replay_buffer_destroy(&buffer);
    buffer = open_buffer(folder, 0.5);
    expect_ok(replay_buffer_rollback(buffer, 1, state_sum));
    assert_int_equal(feed_checksum(buffer), contents);
    assert_int_equal(replay_buffer_count(buffer), count);
    replay_buffer_destroy(&buffer);
    test_temp_remove(folder);
    replay_config config = feed_config(CAPACITY, 16, false);
    config.evict_lowest = 0.5;
    expect_fails(
        GN_ERR_CONFIG, "replay.evict_lowest: 0.5 needs priorities",
        replay_buffer_create(&buffer, &config, &(replay_spec){ 1, FEED_RECORD, 1 }, NULL, NULL));
}

// With fewer than two steps of an environment, none would be left now and then where it begins an
// episode.
static void two_steps_of_each_environment_are_kept(void **state)
{
    (void)state;
    replay_buffer *buffer = NULL;
    const replay_spec spec = { 1, FEED_RECORD, 1 };
    replay_config config = feed_config(19, 16, true);
    config.evict_lowest = 0.9;
    expect_fails(GN_ERR_CONFIG,
                 "replay.evict_lowest: 0.9 leaves fewer than 2 of the 19 steps that "
                 "replay.capacity keeps of each environment; must be 0 to 0.8947",
                 replay_buffer_create(&buffer, &config, &spec, NULL, NULL));
    config = feed_config(20, 16, true);
    config.evict_lowest = 0.9;
    step_feed feed = feed_seed(3, 1);
    expect_ok(replay_buffer_create(&buffer, &config, &spec, NULL, NULL));
    for (int i = 0; i < 500; i++) {
        feed_add(&feed, buffer, 1);
        uint64_t count = replay_buffer_count(buffer);
        assert_true(i < 3 || count == 2 || count == 1);
    }
    replay_buffer_destroy(&buffer);
}

TEST_MAIN(the_lowest_priorities_go_first, which_go_is_known,
          what_was_given_up_stays_so_after_a_rollback, two_steps_of_each_environment_are_kept)
