// How often a buffer draws each step, and with which importance weight, against the closed forms:
// proportional, rank-based, with a share of uniform draws; after wraps and many updates.

#include <math.h>
#include <string.h>

#include "replay/buffer_internal.h"
#include "tests/replay/chi_square.h"
#include "tests/replay/feed.h"

enum { LIVE_MAX = 64, DRAWS = 1000000 };

// All steps that can be drawn, and what the closed form says of them.
typedef struct live_steps {
    size_t count;
    uint64_t item[LIVE_MAX];
    float priority[LIVE_MAX];
    double weight[LIVE_MAX], chance[LIVE_MAX];
} live_steps;

typedef struct kind {
    int priority; // replay_priority_kind
    bool prioritized;
    double alpha, uniform, epsilon;
    uint32_t stack;
} kind;

static const kind kinds[] = {
    { REPLAY_PROPORTIONAL, true, 0.6, 0, 0, 1 },
    { REPLAY_PROPORTIONAL, true, 0.6, 0.3, 0.5, 3 },
    { REPLAY_PROPORTIONAL, true, 1, 0.05, 1e-6, 2 },
    { REPLAY_RANK, true, 0.7, 0, 0, 1 },
    { REPLAY_RANK, true, 0.6, 0.4, 0, 3 },
    { REPLAY_PROPORTIONAL, false, 0.6, 0, 0, 2 },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void find_live(const replay_buffer *buffer, live_steps *live)
{
    live->count = 0;
    for (uint32_t stream = 0; stream < buffer->streams; stream++)
        for (uint64_t at = replay_tail(buffer, stream); at < buffer->stream[stream].head; at++)
            if (replay_has_step(buffer->step[replay_slot(buffer, stream, at)].flags)) {
                assert_true(live->count < LIVE_MAX);
                live->item[live->count++] = at * buffer->streams + stream;
            }
    assert_int_equal(live->count, replay_buffer_count(buffer));
}

static double place_of(const live_steps *live, size_t i)
{
    double above = 0, alike = 0;
    for (size_t j = 0; j < live->count; j++) {
        above += live->priority[j] > live->priority[i];
        alike += live->priority[j] == live->priority[i];
    }
    return above + (alike + 1) / 2;
}

// P(i) = (1 - u) w_i / W + u / N.
static void compute_chances(live_steps *live, const kind *of)
{
    double total = 0, n = (double)live->count;
    for (size_t i = 0; i < live->count; i++) {
        live->weight[i] = !of->prioritized ? 1
                          : of->priority == REPLAY_RANK
                              ? pow(1 / place_of(live, i), of->alpha)
                              : pow((double)live->priority[i] + of->epsilon, of->alpha);
        total += live->weight[i];
    }
    for (size_t i = 0; i < live->count; i++)
        live->chance[i] = (1 - of->uniform) * live->weight[i] / total + of->uniform / n;
}

static void set_all(replay_buffer *buffer, live_steps *live, test_rng *rng, const kind *of)
{
    for (size_t i = 0; i < live->count; i++)
        live->priority[i] = (float)(1 + test_rng_below(rng, 12)) / 2;
    expect_ok(replay_buffer_set_priorities(buffer, live->item, live->priority, live->count));
    compute_chances(live, of);
}

static size_t index_of(const live_steps *live, uint64_t item)
{
    size_t i = 0;
    while (i < live->count && live->item[i] != item)
        i++;
    assert_true(i < live->count);
    return i;
}

// A buffer that has wrapped many times and been learned from all along.
static replay_buffer *trained_buffer(const kind *of, int weight_max, step_feed *feed)
{
    enum { CAPACITY = 60, STREAMS = 2, ROUNDS = 80, ADDS = 40 };
    replay_config config = feed_config(CAPACITY, 8, of->prioritized);
    config.priority = of->priority;
    config.alpha = of->alpha;
    config.uniform = of->uniform;
    config.priority_epsilon = of->epsilon;
    config.weight_max = weight_max;
    replay_buffer *buffer;
    const replay_spec spec = { STREAMS, FEED_RECORD, of->stack };
    replay_batch *batch;
    expect_ok(replay_buffer_create(&buffer, &config, &spec, NULL, NULL));
    expect_ok(replay_batch_create(&batch, &spec, 16, 1));
    gn_random random = gn_random_stream(3, GN_RANDOM_SAMPLE, 0);
    for (int round = 0; round < ROUNDS; round++) {
        float priority[16];
        feed_add(feed, buffer, ADDS);
        expect_ok(
            replay_buffer_sample(buffer, &(replay_draw){ { 3 }, 1, 0.9, 0.5 }, &random, batch));
        for (size_t i = 0; i < batch->size; i++)
            priority[i] = (float)test_rng_unit(&feed->rng);
        expect_ok(replay_buffer_set_priorities(buffer, batch->item, priority, batch->size));
    }
    replay_batch_destroy(&batch);
    return buffer;
}

// Batches of one: draws that do not depend on each other.
static void count_draws(replay_buffer *buffer, const live_steps *live, uint64_t *ret_count)
{
    replay_batch *batch;
    gn_random random = gn_random_stream(4, GN_RANDOM_SAMPLE, 0);
    memset(ret_count, 0, live->count * sizeof *ret_count);
    expect_ok(replay_batch_create(&batch, replay_buffer_spec(buffer), 1, 1));
    for (int i = 0; i < DRAWS; i++) {
        expect_ok(
            replay_buffer_sample(buffer, &(replay_draw){ { 1 }, 1, 0.9, 0.5 }, &random, batch));
        ret_count[index_of(live, batch->item[0])]++;
    }
    replay_batch_destroy(&batch);
}

static void steps_are_drawn_as_often_as_the_formula_says(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        step_feed feed = feed_seed(10 + k, 2);
        live_steps live;
        uint64_t count[LIVE_MAX];
        replay_buffer *buffer = trained_buffer(&kinds[k], REPLAY_BATCH_MAX, &feed);
        find_live(buffer, &live);
        set_all(buffer, &live, &feed.rng, &kinds[k]);
        count_draws(buffer, &live, count);
        assert_true(fabs(chi_square_z(count, live.chance, live.count)) < CHI_SQUARE_FAR);
        replay_buffer_destroy(&buffer);
    }
}

// The chances of the literature's example, of the four steps that are left of a long episode.
static void four_priorities_after_many_wraps(void **state)
{
    (void)state;
    static const double chances[] = { .1482295, .2246739, .2865546, .3405420 };
    enum { STEPS = 1000 };
    replay_config config = feed_config(5, 2, true);
    config.priority_epsilon = 0;
    replay_buffer *buffer;
    live_steps live;
    uint64_t count[LIVE_MAX];
    unsigned char record[FEED_RECORD] = { 0 };
    expect_ok(
        replay_buffer_create(&buffer, &config, &(replay_spec){ 1, FEED_RECORD, 1 }, NULL, NULL));
    expect_ok(replay_buffer_begin(buffer, 0, record));
    for (int i = 0; i < STEPS; i++)
        expect_ok(replay_buffer_add(buffer, 0, 0, 0, false, false, record));
    find_live(buffer, &live);
    assert_int_equal(live.count, 4);
    expect_ok(replay_buffer_set_priorities(buffer, live.item, (float[]){ 1, 2, 3, 4 }, 4));
    count_draws(buffer, &live, count);
    assert_true(fabs(chi_square_z(count, chances, 4)) < CHI_SQUARE_FAR);
    replay_buffer_destroy(&buffer);
}

// w_i = (N P(i))^-beta / max w.
static void check_weights(replay_buffer *buffer, const live_steps *live, bool whole, double beta)
{
    enum { BATCH = 20 };
    replay_batch *batch;
    gn_random random = gn_random_stream(5, GN_RANDOM_SAMPLE, 0);
    expect_ok(replay_batch_create(&batch, replay_buffer_spec(buffer), BATCH, 1));
    for (int round = 0; round < 50; round++) {
        double largest = 0, n = (double)live->count;
        expect_ok(
            replay_buffer_sample(buffer, &(replay_draw){ { 1 }, 1, 0.9, beta }, &random, batch));
        for (size_t i = 0; i < (whole ? live->count : BATCH); i++) {
            size_t at = whole ? i : index_of(live, batch->item[i]);
            largest = fmax(largest, pow(n * live->chance[at], -beta));
        }
        for (size_t i = 0; i < BATCH; i++) {
            double chance = live->chance[index_of(live, batch->item[i])];
            assert_true(fabs(batch->weight[i] - pow(n * chance, -beta) / largest) < 2e-6);
        }
    }
    replay_batch_destroy(&batch);
}

static void importance_weights_are_the_closed_form(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++)
        for (int weight_max = REPLAY_BATCH_MAX; weight_max <= REPLAY_BUFFER_MAX; weight_max++) {
            step_feed feed = feed_seed(20 + k, 2);
            live_steps live;
            replay_buffer *buffer = trained_buffer(&kinds[k], weight_max, &feed);
            find_live(buffer, &live);
            set_all(buffer, &live, &feed.rng, &kinds[k]);
            for (int beta = 0; beta <= 4; beta++)
                check_weights(buffer, &live, weight_max == REPLAY_BUFFER_MAX, beta / 4.0);
            replay_buffer_destroy(&buffer);
        }
}

// Only the uniform share draws a step of priority 0: it is the rarest, and its weight the largest.
static void a_step_of_priority_0_has_the_largest_weight(void **state)
{
    (void)state;
    const kind of = { REPLAY_PROPORTIONAL, true, 0.6, 0.5, 0, 1 };
    for (int weight_max = REPLAY_BATCH_MAX; weight_max <= REPLAY_BUFFER_MAX; weight_max++) {
        step_feed feed = feed_seed(30, 2);
        live_steps live;
        replay_buffer *buffer = trained_buffer(&of, weight_max, &feed);
        find_live(buffer, &live);
        set_all(buffer, &live, &feed.rng, &of);
        bool whole = weight_max == REPLAY_BUFFER_MAX;
        for (int zero = 1; zero >= 0; zero--) {
            live.priority[3] = zero ? 0 : 2;
            for (int times = 0; times < 2; times++)
                expect_ok(
                    replay_buffer_set_priorities(buffer, &live.item[3], &live.priority[3], 1));
            compute_chances(&live, &of);
            check_weights(buffer, &live, whole, 0.7);
        }
        live.priority[3] = 0;
        expect_ok(replay_buffer_set_priorities(buffer, &live.item[3], &live.priority[3], 1));
        gn_blob blob = { 0 };
        replay_buffer_save(buffer, &blob);
        expect_ok(replay_buffer_load(buffer, &blob));
        gn_blob_free(&blob);
        compute_chances(&live, &of);
        check_weights(buffer, &live, whole, 0.7);
        feed_add(&feed, buffer, 300);
        find_live(buffer, &live);
        set_all(buffer, &live, &feed.rng, &of);
        check_weights(buffer, &live, whole, 0.7);
        replay_buffer_destroy(&buffer);
    }
}

// --- alpha

static void another_alpha_weighs_the_priorities_themselves(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        step_feed feed = feed_seed(40 + k, 2);
        live_steps live;
        kind of = kinds[k];
        if (!of.prioritized)
            continue;
        replay_buffer *buffer = trained_buffer(&of, REPLAY_BATCH_MAX, &feed);
        find_live(buffer, &live);
        set_all(buffer, &live, &feed.rng, &of);
        static double before[LIVE_MAX];
        size_t slots = buffer->streams * buffer->ring;
        memcpy(before, weight_tree_weights(buffer->tree), slots * sizeof *before);
        of.alpha = 0.3;
        expect_ok(replay_buffer_set_alpha(buffer, of.alpha));
        compute_chances(&live, &of);
        check_weights(buffer, &live, false, 0.5);
        for (size_t i = 0; i < live.count; i++) {
            uint64_t slot = replay_slot(buffer, (uint32_t)(live.item[i] % buffer->streams),
                                        live.item[i] / buffer->streams);
            assert_true(fabs(weight_tree_weights(buffer->tree)[slot] - live.weight[i]) <
                        1e-6 * live.weight[i]);
        }
        expect_ok(replay_buffer_set_alpha(buffer, kinds[k].alpha));
        assert_memory_equal(before, weight_tree_weights(buffer->tree), slots * sizeof *before);
        expect_ok(replay_buffer_set_alpha(buffer, 0)); // all alike
        for (size_t i = 0; i < live.count; i++)
            live.chance[i] = 1 / (double)live.count;
        check_weights(buffer, &live, false, 1);
        expect_fails(GN_ERR_ARG, "alpha 1.5: must be 0 to 1", replay_buffer_set_alpha(buffer, 1.5));
        feed_add(&feed, buffer, 50); // new steps get the exponent of now, too
        expect_ok(replay_buffer_set_alpha(buffer, 0.3));
        find_live(buffer, &live);
        set_all(buffer, &live, &feed.rng, &of);
        check_weights(buffer, &live, false, 0.5);
        replay_buffer_destroy(&buffer);
    }
}

TEST_MAIN(steps_are_drawn_as_often_as_the_formula_says, four_priorities_after_many_wraps,
          importance_weights_are_the_closed_form, a_step_of_priority_0_has_the_largest_weight,
          another_alpha_weighs_the_priorities_themselves)
