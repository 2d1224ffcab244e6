// The buffer against a naive twin that keeps every slot ever written and computes by brute force:
// random operations with wraps, several streams, both modes; then single rules by hand.

#include "replay/buffer.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "tests/replay/feed.h"
#include "tests/support/check.h"

enum { TWIN_SLOTS = 4000 };

typedef enum slot_kind { STEP, FINAL, OPEN } slot_kind;

typedef struct twin_slot {
    slot_kind kind;
    feed_step step; // action, reward and end of the step taken here
    unsigned char record[FEED_RECORD];
    double weight;
} twin_slot;

typedef struct twin_buffer {
    replay_config config;
    uint32_t streams;
    uint64_t ring, head[FEED_STREAMS_MAX];
    twin_slot slot[FEED_STREAMS_MAX][TWIN_SLOTS]; // by position
    double max_priority;
} twin_buffer;

static double weight_of(const twin_buffer *twin, double priority)
{
    return pow(priority + twin->config.priority_epsilon, twin->config.alpha);
}

static void twin_add(twin_buffer *twin, const feed_step *step)
{
    twin_slot *slots = twin->slot[step->stream];
    uint64_t *head = &twin->head[step->stream];
    assert_true(*head < TWIN_SLOTS);
    if (!step->begins) {
        slots[*head - 1].kind = STEP;
        slots[*head - 1].step = *step;
        slots[*head - 1].weight = weight_of(twin, twin->max_priority);
    }
    twin_slot *next = &slots[(*head)++];
    next->kind = step->terminated || step->truncated ? FINAL : OPEN;
    memcpy(next->record, step->record, FEED_RECORD);
}

static bool twin_samples(const twin_buffer *twin, uint32_t stream, uint64_t position)
{
    uint64_t head = twin->head[stream];
    return position < head && position + twin->ring >= head &&
           twin->slot[stream][position].kind == STEP;
}

static const twin_slot *twin_item(const twin_buffer *twin, uint64_t item)
{
    return &twin->slot[item % twin->streams][item / twin->streams];
}

static uint64_t twin_count(const twin_buffer *twin, double *ret_least)
{
    uint64_t count = 0;
    *ret_least = INFINITY;
    for (uint32_t stream = 0; stream < twin->streams; stream++) {
        for (uint64_t position = 0; position < twin->head[stream]; position++) {
            if (!twin_samples(twin, stream, position))
                continue;
            count++;
            *ret_least = fmin(*ret_least, twin->slot[stream][position].weight);
        }
    }
    return count;
}

// Everything a batch says about step i, from the twin.
static void check_step(const twin_buffer *twin, int64_t n_step, double gamma,
                       const replay_batch *batch, size_t i)
{
    uint32_t stream = (uint32_t)(batch->item[i] % twin->streams);
    uint64_t position = batch->item[i] / twin->streams;
    assert_true(twin_samples(twin, stream, position));
    const twin_slot *first = &twin->slot[stream][position], *at = first;
    double total = 0, discount = 1;
    for (int64_t k = 0; k < n_step && at->kind == STEP; k++, at++) {
        total += pow(gamma, (double)k) * at->step.reward;
        discount = at->step.terminated ? 0 : pow(gamma, (double)(k + 1));
    }
    assert_memory_equal(batch->record + i * batch->stride, first->record, FEED_RECORD);
    assert_memory_equal(batch->next_record[0] + i * batch->stride, at->record, FEED_RECORD);
    assert_int_equal(batch->action[i], first->step.action);
    assert_true(fabs(batch->reward[i] - total) <= 1e-6 * fabs(total));
    assert_true(fabs(batch->discount[i] - discount) <= 1e-6);
}

static void check_weights(const twin_buffer *twin, double beta, const replay_batch *batch)
{
    double least = INFINITY;
    if (twin->config.weight_max == REPLAY_BUFFER_MAX)
        twin_count(twin, &least);
    for (size_t i = 0; i < batch->size; i++)
        least = fmin(least, twin_item(twin, batch->item[i])->weight);
    for (size_t i = 0; i < batch->size; i++) {
        double weight = twin_item(twin, batch->item[i])->weight;
        double expected = twin->config.prioritized ? pow(least / weight, beta) : 1;
        assert_true(fabs(batch->weight[i] - expected) <= 1e-6);
    }
}

static void twin_set_priorities(twin_buffer *twin, const uint64_t *item, const float *priority,
                                size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t stream = (uint32_t)(item[i] % twin->streams);
        if (!twin_samples(twin, stream, item[i] / twin->streams))
            continue;
        twin->slot[stream][item[i] / twin->streams].weight = weight_of(twin, priority[i]);
        twin->max_priority = fmax(twin->max_priority, priority[i]);
    }
}

static void run_against_twin(uint64_t seed, uint32_t streams, int64_t capacity, bool prioritized,
                             replay_weight_max weight_max)
{
    enum { ROUNDS = 400, BATCH = 300 };
    static twin_buffer twin;
    memset(&twin, 0, sizeof twin);
    twin.config = feed_config(capacity, 1024, prioritized);
    twin.config.weight_max = weight_max;
    twin.streams = streams;
    twin.ring = (uint64_t)capacity / streams;
    twin.max_priority = 1;
    step_feed feed = feed_seed(seed, streams);
    gn_random random = gn_random_stream(seed, GN_RANDOM_SAMPLE, 0);
    uint64_t late[BATCH] = { 0 }; // a batch of some rounds ago: its steps may be gone
    replay_buffer *buffer;
    replay_batch *batch;
    expect_ok(replay_buffer_create(&buffer, &twin.config, &(replay_spec){ streams, FEED_RECORD, 1 },
                                   NULL, NULL));
    expect_ok(replay_batch_create(&batch, &(replay_spec){ 1, FEED_RECORD, 1 }, BATCH, 1));
    for (int round = 0; round < ROUNDS; round++) {
        for (uint64_t n = test_rng_below(&feed.rng, 10); n > 0; n--) {
            feed_step step = feed_draw(&feed);
            expect_ok(feed_put(buffer, &step));
            twin_add(&twin, &step);
        }
        double least;
        assert_int_equal(replay_buffer_count(buffer), twin_count(&twin, &least));
        if (replay_buffer_count(buffer) == 0)
            continue;
        int64_t n_step = 1 + (int64_t)test_rng_below(&feed.rng, 6);
        double gamma = test_rng_unit(&feed.rng), beta = test_rng_unit(&feed.rng);
        expect_ok(replay_buffer_sample(buffer, &(replay_draw){ { n_step }, 1, gamma, beta },
                                       &random, batch));
        for (size_t i = 0; i < BATCH; i++)
            check_step(&twin, n_step, gamma, batch, i);
        check_weights(&twin, beta, batch);
        float priority[BATCH];
        for (size_t i = 0; i < BATCH; i++)
            priority[i] = (float)(3 * test_rng_unit(&feed.rng));
        if (round % 5 == 0)
            memcpy(late, batch->item, sizeof late);
        uint64_t *item = round % 5 == 4 ? late : batch->item;
        expect_ok(replay_buffer_set_priorities(buffer, item, priority, BATCH));
        twin_set_priorities(&twin, item, priority, BATCH);
    }
    replay_buffer_stats stats;
    expect_ok(replay_buffer_measure(buffer, &stats));
    assert_int_equal(stats.written, feed.written);
    if (prioritized)
        assert_true(stats.max_priority == twin.max_priority);
    replay_batch_destroy(&batch);
    replay_buffer_destroy(&buffer);
}

static void uniform_buffers_do_what_the_naive_twin_does(void **state)
{
    (void)state;
    static const int64_t capacities[] = { 3, 17, 64, 100, 3000 };
    for (size_t i = 0; i < sizeof capacities / sizeof *capacities; i++)
        run_against_twin(i, 1, capacities[i], false, REPLAY_BATCH_MAX);
    run_against_twin(20, 3, 50, false, REPLAY_BATCH_MAX);
    run_against_twin(21, 8, 1000, false, REPLAY_BATCH_MAX);
}

static void prioritized_buffers_do_what_the_naive_twin_does(void **state)
{
    (void)state;
    static const int64_t capacities[] = { 3, 17, 64, 100, 3000 };
    for (size_t i = 0; i < sizeof capacities / sizeof *capacities; i++)
        run_against_twin(i, 1, capacities[i], true, REPLAY_BATCH_MAX);
    run_against_twin(20, 3, 50, true, REPLAY_BUFFER_MAX);
    run_against_twin(21, 8, 1000, true, REPLAY_BUFFER_MAX);
}

// --- single rules

static replay_buffer *buffer_of(int64_t capacity, bool prioritized)
{
    replay_config config = feed_config(capacity, 1024, prioritized);
    config.priority_epsilon = 0;
    replay_buffer *buffer;
    expect_ok(replay_buffer_create(&buffer, &config, &(replay_spec){ 1, 1, 1 }, NULL, NULL));
    return buffer;
}

// One episode of rewards 1, 2, 3 ...; records are 'a', 'b', 'c' ...
static void add_episode(replay_buffer *buffer, int steps, bool terminated, bool truncated)
{
    unsigned char record = 'a';
    expect_ok(replay_buffer_begin(buffer, 0, &record));
    for (int i = 1; i <= steps; i++) {
        record++;
        bool last = i == steps;
        expect_ok(replay_buffer_add(buffer, 0, i, (float)i, last && terminated, last && truncated,
                                    &record));
    }
}

// A batch large enough to hold every step; rows[a] is a row of action a.
static replay_batch *sample_all(replay_buffer *buffer, int64_t n_step, double gamma, size_t *rows)
{
    enum { BATCH = 256 };
    replay_batch *batch;
    gn_random random = gn_random_stream(1, GN_RANDOM_SAMPLE, 0);
    expect_ok(replay_batch_create(&batch, &(replay_spec){ 1, 1, 1 }, BATCH, 1));
    expect_ok(
        replay_buffer_sample(buffer, &(replay_draw){ { n_step }, 1, gamma, 0.4 }, &random, batch));
    for (size_t i = 0; i < BATCH; i++)
        rows[batch->action[i]] = i;
    return batch;
}

static void three_step_returns_of_an_episode(void **state)
{
    (void)state;
    static const double returns[] = { 5.23, 7.94, 6.6, 4.0 };
    for (int truncated = 0; truncated < 2; truncated++) {
        static const double going_on[] = { .729, .729, .81, .9 }, ended[] = { .729, 0, 0, 0 };
        const double *discount = truncated ? going_on : ended;
        replay_buffer *buffer = buffer_of(100, false);
        add_episode(buffer, 4, !truncated, truncated);
        add_episode(buffer, 0, false, false); // the next episode: nothing of it may leak
        size_t rows[5];
        replay_batch *batch = sample_all(buffer, 3, 0.9, rows);
        for (int step = 0; step < 4; step++) {
            size_t row = rows[step + 1];
            assert_true(fabs(batch->reward[row] - returns[step]) < 1e-6);
            assert_true(fabs(batch->discount[row] - discount[step]) < 1e-6);
            assert_int_equal(batch->record[row * batch->stride], 'a' + step);
            assert_int_equal(batch->next_record[0][row * batch->stride], step < 1 ? 'd' : 'e');
        }
        replay_batch_destroy(&batch);
        replay_buffer_destroy(&buffer);
    }
}

static void n_steps_stop_at_the_newest_slot(void **state)
{
    (void)state;
    replay_buffer *buffer = buffer_of(4, false); // wraps: behind the newest slot lies the oldest
    add_episode(buffer, 5, false, false);
    size_t rows[6];
    replay_batch *batch = sample_all(buffer, 3, 0.5, rows);
    assert_int_equal(replay_buffer_count(buffer), 3);
    static const double returns[] = { 3 + 4 * .5 + 5 * .25, 4 + 5 * .5, 5 };
    static const double discounts[] = { .125, .25, .5 };
    for (int step = 0; step < 3; step++) {
        assert_true(batch->reward[rows[step + 3]] == (float)returns[step]);
        assert_true(batch->discount[rows[step + 3]] == (float)discounts[step]);
        assert_int_equal(batch->next_record[0][rows[step + 3] * batch->stride], 'f');
    }
    replay_batch_destroy(&batch);
    replay_buffer_destroy(&buffer);
}

static void weights_of_four_priorities(void **state)
{
    (void)state;
    static const double weights[] = { 1, .8467453, .7682294, .7169776 };
    static const double chances[] = { .1482295, .2246739, .2865546, .3405420 };
    enum { BATCH = 1 << 16 };
    replay_buffer *buffer = buffer_of(100, true);
    add_episode(buffer, 4, true, false);
    expect_ok(replay_buffer_set_priorities(buffer, (uint64_t[]){ 0, 1, 2, 3 },
                                           (float[]){ 1, 2, 3, 4 }, 4));
    replay_batch *batch;
    gn_random random = gn_random_stream(1, GN_RANDOM_SAMPLE, 0);
    expect_ok(replay_batch_create(&batch, &(replay_spec){ 1, 1, 1 }, BATCH, 1));
    expect_ok(replay_buffer_sample(buffer, &(replay_draw){ { 1 }, 1, 0.9, 0.4 }, &random, batch));
    size_t times[4] = { 0 };
    for (size_t i = 0; i < BATCH; i++) {
        times[batch->item[i]]++;
        assert_true(fabs(batch->weight[i] - weights[batch->item[i]]) < 1e-6);
    }
    for (int i = 0; i < 4; i++) // stratified: off by a stratum at each end of an interval
        assert_true(fabs((double)times[i] - BATCH * chances[i]) <= 2.01);
    replay_batch_destroy(&batch);
    replay_buffer_destroy(&buffer);
}

static void priority_0_is_never_drawn(void **state)
{
    (void)state;
    replay_buffer *buffer = buffer_of(100, true);
    add_episode(buffer, 6, true, false);
    expect_ok(
        replay_buffer_set_priorities(buffer, (uint64_t[]){ 0, 2, 5 }, (float[]){ 0, 0, 0 }, 3));
    size_t rows[7];
    replay_batch *batch = sample_all(buffer, 1, 0.9, rows);
    for (size_t i = 0; i < batch->size; i++)
        assert_true(batch->item[i] == 1 || batch->item[i] == 3 || batch->item[i] == 4);
    replay_batch_destroy(&batch);
    replay_buffer_destroy(&buffer);
}

static void new_steps_get_the_running_maximum(void **state)
{
    (void)state;
    replay_buffer *buffer = buffer_of(100, true);
    replay_buffer_stats stats;
    add_episode(buffer, 2, true, false); // items 0 and 1 at 1
    expect_ok(replay_buffer_set_priorities(buffer, (uint64_t[]){ 0, 0 }, (float[]){ 16, 4 }, 2));
    add_episode(buffer, 1, true, false); // item 3 at 16
    expect_ok(replay_buffer_measure(buffer, &stats));
    assert_true(stats.max_priority == 16);
    size_t rows[3];
    replay_batch *batch = sample_all(buffer, 1, 0.9, rows);
    for (size_t i = 0; i < batch->size; i++) {
        double priority = batch->item[i] == 0 ? 4 : batch->item[i] == 1 ? 1 : 16;
        assert_true(fabs(batch->weight[i] - pow(priority, -0.6 * 0.4)) < 1e-6);
    }
    replay_batch_destroy(&batch);
    replay_buffer_destroy(&buffer);
}

// Chi-square of how often each step is drawn, after many updates and wraps.
static void check_frequencies(bool prioritized)
{
    enum { CAPACITY = 240, STREAMS = 3, STEPS = 6000, DRAWS = 400, BATCH = 500 };
    static size_t times[STEPS * STREAMS];
    static uint64_t steps[STEPS];
    static float priority[STEPS];
    memset(times, 0, sizeof times);
    replay_config config = feed_config(CAPACITY, 1024, prioritized);
    config.alpha = 1;
    config.priority_epsilon = 0;
    step_feed feed = feed_seed(5, STREAMS);
    gn_random random = gn_random_stream(6, GN_RANDOM_SAMPLE, 0);
    replay_buffer *buffer;
    replay_batch *batch;
    expect_ok(replay_buffer_create(&buffer, &config, &(replay_spec){ STREAMS, FEED_RECORD, 1 },
                                   NULL, NULL));
    expect_ok(replay_batch_create(&batch, &(replay_spec){ 1, FEED_RECORD, 1 }, BATCH, 1));
    uint64_t head[STREAMS] = { 0 };
    size_t count = 0;
    while (count < STEPS) {
        feed_step step = feed_draw(&feed);
        expect_ok(feed_put(buffer, &step));
        uint64_t before = head[step.stream]++;
        if (!step.begins)
            steps[count++] = (before - 1) * STREAMS + step.stream;
        if (count % 20 == 0)
            feed_train(&feed, buffer);
    }
    for (size_t i = 0; i < STEPS; i++)
        priority[i] = (float)(1 + steps[i] % 7);
    expect_ok(replay_buffer_set_priorities(buffer, steps, priority, STEPS));
    for (int draw = 0; draw < DRAWS; draw++) {
        expect_ok(replay_buffer_sample(buffer, &(replay_draw){ { 1 }, 1, 0.9, 1 }, &random, batch));
        for (size_t i = 0; i < BATCH; i++)
            times[batch->item[i]]++;
    }
    double total = 0, chi_square = 0, live = (double)replay_buffer_count(buffer);
    for (size_t item = 0; item < STEPS * STREAMS; item++)
        total += times[item] > 0 ? (prioritized ? 1 + item % 7 : 1) : 0;
    for (size_t item = 0; item < STEPS * STREAMS; item++) {
        if (times[item] == 0)
            continue;
        double expected = (double)DRAWS * BATCH * (prioritized ? 1 + item % 7 : 1) / total;
        chi_square += pow((double)times[item] - expected, 2) / expected;
        live--;
    }
    assert_true(live == 0); // every step was drawn
    double freedom = (double)replay_buffer_count(buffer) - 1;
    assert_true(chi_square < freedom + 5 * sqrt(2 * freedom)); // about 5 standard deviations
    replay_batch_destroy(&batch);
    replay_buffer_destroy(&buffer);
}

static void steps_are_drawn_as_often_as_they_should(void **state)
{
    (void)state;
    check_frequencies(false);
    check_frequencies(true);
}

static void calls_out_of_order_and_bad_values_are_refused(void **state)
{
    (void)state;
    replay_buffer *buffer = buffer_of(10, true);
    unsigned char record = 0;
    replay_batch *batch;
    gn_random random = gn_random_stream(1, GN_RANDOM_SAMPLE, 0);
    expect_ok(replay_batch_create(&batch, &(replay_spec){ 1, 1, 1 }, 4, 1));
    expect_fails(GN_ERR_EMPTY, "no step",
                 replay_buffer_sample(buffer, &(replay_draw){ { 1 }, 1, 1, 1 }, &random, batch));
    expect_fails(GN_ERR_STATE, "stream 0: no episode is running",
                 replay_buffer_add(buffer, 0, 0, 0, false, false, &record));
    expect_fails(GN_ERR_ARG, "stream 1: must be below 1", replay_buffer_begin(buffer, 1, &record));
    expect_ok(replay_buffer_begin(buffer, 0, &record));
    expect_fails(GN_ERR_EMPTY, "no step",
                 replay_buffer_sample(buffer, &(replay_draw){ { 1 }, 1, 1, 1 }, &random, batch));
    expect_fails(GN_ERR_STATE, "an episode is running", replay_buffer_begin(buffer, 0, &record));
    expect_fails(GN_ERR_NUMERIC, "reward nan",
                 replay_buffer_add(buffer, 0, 0, NAN, false, false, &record));
    expect_ok(replay_buffer_add(buffer, 0, 0, 1, true, false, &record));
    expect_fails(GN_ERR_ARG, "0 steps",
                 replay_buffer_sample(buffer, &(replay_draw){ { 0 }, 1, 1, 1 }, &random, batch));
    expect_fails(GN_ERR_ARG, "gamma 1.5",
                 replay_buffer_sample(buffer, &(replay_draw){ { 1 }, 1, 1.5, 1 }, &random, batch));
    expect_fails(GN_ERR_ARG, "beta nan",
                 replay_buffer_sample(buffer, &(replay_draw){ { 1 }, 1, 1, NAN }, &random, batch));
    uint64_t before = feed_checksum(buffer);
    expect_fails(GN_ERR_NUMERIC, "priority -1 of item 0",
                 replay_buffer_set_priorities(buffer, (uint64_t[]){ 0, 0 }, (float[]){ 5, -1 }, 2));
    expect_fails(GN_ERR_NUMERIC, "priority nan of item 0",
                 replay_buffer_set_priorities(buffer, (uint64_t[]){ 0 }, (float[]){ NAN }, 1));
    expect_fails(GN_ERR_ARG, "item 1 is no step", // the final slot
                 replay_buffer_set_priorities(buffer, (uint64_t[]){ 1 }, (float[]){ 1 }, 1));
    expect_fails(GN_ERR_ARG, "item 2 is no step", // not written yet
                 replay_buffer_set_priorities(buffer, (uint64_t[]){ 2 }, (float[]){ 1 }, 1));
    assert_int_equal(feed_checksum(buffer), before);
    replay_batch_destroy(&batch);
    replay_buffer_destroy(&buffer);

    replay_config config = feed_config(7, 1024, false);
    expect_fails(GN_ERR_CONFIG,
                 "replay.capacity: 7 must be 12 to 17179869183 for 4 environments, 3 slots or more "
                 "each: 2 more than an observation has records",
                 replay_buffer_create(&buffer, &config, &(replay_spec){ 4, 1, 1 }, NULL, NULL));
    config = feed_config(10, 1024, true);
    config.alpha = -1;
    expect_fails(GN_ERR_CONFIG, "replay.alpha: -1 must be 0 to 1",
                 replay_buffer_create(&buffer, &config, &(replay_spec){ 1, 1, 1 }, NULL, NULL));
    expect_fails(GN_ERR_ARG, "0 steps",
                 replay_batch_create(&batch, &(replay_spec){ 1, 1, 1 }, 0, 1));
}

// Programs fill the struct without the table.
static void options_outside_their_range_are_refused(void **state)
{
    (void)state;
    const replay_config sound = feed_config(10, 1024, true);
    replay_buffer *buffer;
    replay_config config[10];
    const char *named[10] = { "replay.codec: 7",           "replay.codec: -1",
                              "replay.durability: 3",      "replay.priority: 2",
                              "replay.weight_max: -1",     "replay.cache_mb: -1",
                              "replay.ahead: 65",          "replay.compression: 20",
                              "replay.alpha_final: -0.5 ", "replay.beta: nan" };
    for (int i = 0; i < 10; i++)
        config[i] = sound;
    config[0].codec = REPLAY_PATCH + 1;
    config[1].codec = -1;
    config[2].durability = 3;
    config[3].priority = REPLAY_RANK + 1;
    config[4].weight_max = -1;
    config[5].cache_mb = -1;
    config[6].ahead = 65;
    config[7].compression = 20;
    config[8].alpha_final = -0.5;
    config[9].beta = NAN;
    for (int i = 0; i < 10; i++)
        expect_fails(
            GN_ERR_CONFIG, named[i],
            replay_buffer_create(&buffer, &config[i], &(replay_spec){ 1, 1, 1 }, NULL, NULL));
}

static void nothing_is_drawn_where_all_priorities_are_zero(void **state)
{
    (void)state;
    const unsigned char record = 0;
    replay_config config = feed_config(10, 1024, true);
    config.priority_epsilon = 0;
    replay_buffer *buffer;
    replay_batch *batch;
    const replay_draw draw = { { 1 }, 1, 1, 1 };
    gn_random random = gn_random_stream(1, GN_RANDOM_SAMPLE, 0);
    expect_ok(replay_buffer_create(&buffer, &config, &(replay_spec){ 1, 1, 1 }, NULL, NULL));
    expect_ok(replay_batch_create(&batch, &(replay_spec){ 1, 1, 1 }, 1, 1));
    expect_ok(replay_buffer_begin(buffer, 0, &record));
    expect_ok(replay_buffer_add(buffer, 0, 0, 1, false, false, &record));
    expect_ok(replay_buffer_set_priorities(buffer, (uint64_t[]){ 0 }, (float[]){ 0 }, 1));
    expect_fails(GN_ERR_EMPTY, "all 1 steps have priority 0 and replay.priority_epsilon is 0",
                 replay_buffer_sample(buffer, &draw, &random, batch));
    expect_ok(replay_buffer_add(buffer, 0, 0, 1, false, false, &record));
    expect_ok(replay_buffer_sample(buffer, &draw, &random, batch));
    assert_int_equal(batch->item[0], 1);
    expect_ok(replay_buffer_set_alpha(buffer, 0));
    expect_ok(replay_buffer_set_priorities(buffer, (uint64_t[]){ 1 }, (float[]){ 0 }, 1));
    expect_ok(replay_buffer_sample(buffer, &draw, &random, batch));
    replay_batch_destroy(&batch);
    replay_buffer_destroy(&buffer);
}

static void steady_state_allocates_nothing(void **state)
{
    (void)state;
    enum { BATCH = 600 };
    for (int prioritized = 0; prioritized < 2; prioritized++) {
        replay_config config = feed_config(500, 64, prioritized);
        replay_buffer *buffer;
        replay_batch *batch;
        float priority[BATCH] = { 0 };
        gn_random random = gn_random_stream(1, GN_RANDOM_SAMPLE, 0);
        step_feed feed = feed_seed(1, 4);
        expect_ok(replay_buffer_create(&buffer, &config, &(replay_spec){ 4, FEED_RECORD, 1 }, NULL,
                                       NULL));
        expect_ok(replay_batch_create(&batch, &(replay_spec){ 1, FEED_RECORD, 1 }, BATCH, 1));
        uint64_t allocations = gn_mem_allocations();
        for (int round = 0; round < 50; round++) {
            feed_add(&feed, buffer, 50);
            expect_ok(
                replay_buffer_sample(buffer, &(replay_draw){ { 3 }, 1, 0.9, 0.4 }, &random, batch));
            expect_ok(replay_buffer_set_priorities(buffer, batch->item, priority, BATCH));
        }
        assert_int_equal(gn_mem_allocations(), allocations);
        replay_batch_destroy(&batch);
        replay_buffer_destroy(&buffer);
    }
}

static void failed_allocations_leak_nothing(void **state)
{
    (void)state;
    uint64_t live = gn_mem_live();
    replay_config config = feed_config(500, 64, true);
    gn_status status = GN_ERR_MEMORY;
    for (uint64_t n = 1; status != GN_OK; n++) {
        replay_buffer *buffer = NULL;
        replay_batch *batch = NULL;
        gn_mem_fail_at(n);
        status =
            replay_buffer_create(&buffer, &config, &(replay_spec){ 4, FEED_RECORD, 1 }, NULL, NULL);
        if (status == GN_OK)
            status = replay_batch_create(&batch, &(replay_spec){ 1, FEED_RECORD, 1 }, 32, 1);
        gn_mem_fail_at(0);
        assert_true(status == GN_OK || status == GN_ERR_MEMORY);
        replay_batch_destroy(&batch);
        replay_buffer_destroy(&buffer);
        assert_int_equal(gn_mem_live(), live);
    }
}

TEST_MAIN(uniform_buffers_do_what_the_naive_twin_does,
          prioritized_buffers_do_what_the_naive_twin_does, three_step_returns_of_an_episode,
          n_steps_stop_at_the_newest_slot, weights_of_four_priorities, priority_0_is_never_drawn,
          new_steps_get_the_running_maximum, steps_are_drawn_as_often_as_they_should,
          calls_out_of_order_and_bad_values_are_refused, options_outside_their_range_are_refused,
          nothing_is_drawn_where_all_priorities_are_zero, steady_state_allocates_nothing,
          failed_allocations_leak_nothing)
