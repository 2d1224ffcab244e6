// A buffer that draws on a device and one that draws on the CPU, filled and trained alike: every
// batch, checksum and commit is the same. Run twice: with the library of an emulated device, and
// with the real one, where each test is skipped on a machine without device.

#include <stdio.h>

#include "tests/replay/mixed.h"
#include "tests/support/need_device.h"

enum { KINDS = 30, ROUNDS = 12, BATCH_MAX = 600 };

// Two buffers of the same options, and what they hear.
typedef struct both {
    mixed kind;
    char folder[2][GN_PATH_SIZE];
    replay_buffer *buffer[2]; // on the CPU, on the device
    replay_batch *batch[2];
    step_feed feed[2];
    gn_random random[2];
    uint64_t generation, committed; // and its checksum
} both;

static void set_device(mixed *kind, bool on_device)
{
    snprintf(kind->config.device, GN_OPTION_TEXT_SIZE, "%s", on_device ? "cuda:0" : "cpu");
}

static void open_both(both *self, uint64_t i)
{
    static const double shares[] = { 0, 0.3, 0, 0.25 };
    test_rng rng = test_rng_seed(i + 900);
    *self = (both){ .kind = mixed_draw(&rng, i) };
    self->kind.config.prioritized = true;
    self->kind.config.uniform = shares[i % 4];
    self->kind.config.evict_lowest = shares[i / 2 % 4];
    self->kind.config.weight_max = i % 3 ? REPLAY_BATCH_MAX : REPLAY_BUFFER_MAX;
    self->kind.config.durability = 2;
    for (int d = 0; d < 2; d++) {
        set_device(&self->kind, d == 1);
        test_temp_folder(self->folder[d]);
        self->buffer[d] = mixed_open(&self->kind, self->folder[d]);
        expect_ok(replay_batch_create(&self->batch[d], &self->kind.spec, BATCH_MAX, 1));
        self->feed[d] = feed_seed(i, self->kind.spec.streams);
        self->random[d] = gn_random_stream(i, GN_RANDOM_SAMPLE, 0);
    }
}

static void close_both(both *self)
{
    for (int d = 0; d < 2; d++) {
        replay_buffer_destroy(&self->buffer[d]);
        replay_batch_destroy(&self->batch[d]);
        test_temp_remove(self->folder[d]);
    }
}

static void expect_same_batch(const both *self)
{
    const replay_batch *a = self->batch[0], *b = self->batch[1];
    size_t n = a->size, row = a->spec.record_size * a->spec.stack;
    assert_memory_equal(a->item, b->item, n * sizeof *a->item);
    assert_memory_equal(a->weight, b->weight, n * sizeof *a->weight);
    assert_memory_equal(a->reward, b->reward, n * sizeof *a->reward);
    for (size_t i = 0; i < n; i++)
        assert_memory_equal(a->record + i * a->stride, b->record + i * b->stride, row);
}

static void train_both(both *self, test_rng *rng, double beta)
{
    size_t n = 1 + test_rng_below(rng, BATCH_MAX);
    float priority[BATCH_MAX];
    for (size_t i = 0; i < n; i++)
        priority[i] = (float)(4 * test_rng_unit(rng));
    for (int d = 0; d < 2; d++) {
        self->batch[d]->size = n;
        expect_ok(replay_buffer_sample(self->buffer[d], &(replay_draw){ { 3 }, 1, 0.9, beta },
                                       &self->random[d], self->batch[d]));
        expect_ok(replay_buffer_set_priorities(self->buffer[d], self->batch[d]->item, priority, n));
    }
    expect_same_batch(self);
}

static void commit_both(both *self)
{
    uint64_t sum[2];
    self->generation++;
    for (int d = 0; d < 2; d++)
        expect_ok(feed_commit(self->buffer[d], self->generation, self->generation, &sum[d]));
    assert_int_equal(sum[0], sum[1]);
    self->committed = sum[0];
}

static void add_to_both(both *self, size_t steps)
{
    for (int d = 0; d < 2; d++)
        mixed_add(&self->feed[d], self->buffer[d], steps, NULL, NULL);
}

// Abandons what came after the commit; what each goes on from was drawn on the other device.
static void roll_back(both *self, test_rng *rng)
{
    uint64_t sum = feed_checksum(self->buffer[0]);
    step_feed here[] = { self->feed[0], self->feed[1] };
    assert_int_equal(sum, feed_checksum(self->buffer[1]));
    add_to_both(self, 30);
    train_both(self, rng, 1);
    for (int d = 0; d < 2; d++) {
        self->feed[d] = here[d];
        replay_buffer_destroy(&self->buffer[d]);
        set_device(&self->kind, d == 0);
        self->buffer[d] = mixed_open(&self->kind, self->folder[d]);
        expect_ok(replay_buffer_rollback(self->buffer[d], self->generation, self->committed));
        assert_int_equal(feed_checksum(self->buffer[d]), sum);
    }
}

static void what_is_drawn_is_the_same(void **state)
{
    (void)state;
    need_device();
    for (uint64_t i = 0; i < (uint64_t)mixed_rounds(KINDS); i++) {
        both self;
        open_both(&self, i);
        test_rng rng = test_rng_seed(i);
        for (int round = 0; round < ROUNDS; round++) {
            add_to_both(&self, 20 + test_rng_below(&rng, 300));
            train_both(&self, &rng, test_rng_unit(&rng));
            train_both(&self, &rng, 1);
            if (round % 4 == 2)
                for (int d = 0; d < 2; d++)
                    expect_ok(replay_buffer_set_alpha(self.buffer[d], 0.1 * round));
            if (round % 3 == 1)
                commit_both(&self);
            if (round == 7)
                roll_back(&self, &rng);
        }
        assert_int_equal(feed_checksum(self.buffer[0]), feed_checksum(self.buffer[1]));
        close_both(&self);
    }
}

static void its_memory_is_told(void **state)
{
    (void)state;
    need_device();
    replay_buffer_stats stats[2];
    for (int d = 0; d < 2; d++) {
        replay_buffer *buffer;
        replay_config config = feed_config(100000, 64, true);
        snprintf(config.device, sizeof config.device, "%s", d ? "cuda" : "cpu");
        expect_ok(replay_buffer_create(&buffer, &config, &(replay_spec){ 1, 8, 1 }, NULL, NULL));
        expect_ok(replay_buffer_measure(buffer, &stats[d]));
        replay_buffer_destroy(&buffer);
    }
    assert_int_equal(stats[0].device_bytes, 0);
    assert_in_range(stats[1].device_bytes, 100000 * sizeof(double), 4000000);
}

static replay_buffer *open_small(bool on_device, double evict_lowest)
{
    replay_buffer *buffer;
    replay_config config = feed_config(200, 16, true);
    config.evict_lowest = evict_lowest;
    snprintf(config.device, sizeof config.device, "%s", on_device ? "cuda" : "cpu");
    expect_ok(
        replay_buffer_create(&buffer, &config, &(replay_spec){ 1, FEED_RECORD, 1 }, NULL, NULL));
    return buffer;
}

// What every call of the device returns: only an emulated one has it.
static int *device_error(void)
{
    int *error = (int *)(uintptr_t)need_device()->find(EMULATION_ERROR);
    if (!error)
        skip();
    return error;
}

static void a_failed_draw_loses_nothing(void **state)
{
    (void)state;
    int *error = device_error();
    replay_buffer *buffer[2];
    replay_batch *batch;
    gn_random random = gn_random_stream(1, GN_RANDOM_SAMPLE, 0);
    expect_ok(replay_batch_create(&batch, &(replay_spec){ 1, FEED_RECORD, 1 }, 4, 1));
    for (int d = 0; d < 2; d++) {
        step_feed feed = feed_seed(5, 1);
        buffer[d] = open_small(d == 1, 0);
        feed_add(&feed, buffer[d], 500);
        feed_train(&feed, buffer[d]);
        *error = d;
        feed_add(&feed, buffer[d], 100);
        if (d == 1)
            expect_fails(GN_ERR_BACKEND, "cuda: ",
                         replay_buffer_sample(buffer[d], &(replay_draw){ { 1 }, 1, 0.9, 1 },
                                              &random, batch));
        *error = 0;
        feed_train(&feed, buffer[d]);
    }
    assert_int_equal(feed_checksum(buffer[0]), feed_checksum(buffer[1]));
    for (int d = 0; d < 2; d++)
        replay_buffer_destroy(&buffer[d]);
    replay_batch_destroy(&batch);
}

static void a_step_is_added_where_none_could_be_given_up(void **state)
{
    (void)state;
    enum { MOST = 50 };
    int *error = device_error();
    replay_buffer *buffer = open_small(true, 0.25);
    step_feed feed = feed_seed(5, 1);
    feed_add(&feed, buffer, 500);
    *error = 1;
    gn_status status = GN_OK;
    for (int i = 0; i < MOST && status == GN_OK; i++) {
        feed_step step = feed_draw(&feed);
        status = feed_put(buffer, &step);
    }
    expect_fails(GN_ERR_BACKEND, "cuda: ", status);
    assert_int_equal(replay_buffer_count(buffer), 200 - 200 / 4 + 1);
    *error = 0;
    feed_add(&feed, buffer, 50);
    feed_train(&feed, buffer);
    replay_buffer_destroy(&buffer);
}

static void a_device_that_is_not_there_is_named(void **state)
{
    (void)state;
    need_device();
    replay_buffer *buffer = NULL;
    replay_config config = feed_config(100, 8, true);
    const replay_spec spec = { 1, 8, 1 };
    snprintf(config.device, sizeof config.device, "cuda:100");
    expect_fails(GN_ERR_UNSUPPORTED, "replay.device: cuda:100: ",
                 replay_buffer_create(&buffer, &config, &spec, NULL, NULL));
    snprintf(config.device, sizeof config.device, "gpu");
    expect_fails(GN_ERR_CONFIG, "replay.device: 'gpu' is none of cpu, cuda, cuda:N",
                 replay_buffer_create(&buffer, &config, &spec, NULL, NULL));
    assert_null(buffer);
}

TEST_MAIN(what_is_drawn_is_the_same, a_failed_draw_loses_nothing,
          a_step_is_added_where_none_could_be_given_up, its_memory_is_told,
          a_device_that_is_not_there_is_named)
