// What holds for every environment behind vec_env: automatic reset, records, saved state, memory.

#include "envs/vec_env.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "envs/classic/acrobot.h"
#include "envs/classic/cartpole.h"
#include "envs/classic/mountain_car.h"
#include "envs/observe.h"
#include "envs/pixel/catch.h"
#include "envs/tabular/chain.h"
#include "envs/toy_market/ar1.h"
#include "envs/trading/trading.h"
#include "tests/envs/small_market.h"
#include "tests/support/check.h"

enum { COPIES = 7, STACK = 3 }; // STACK: of catch

static small_market small;

// An environment of each class with short episodes.
static gn_status create(vec_env **ret_env, const env_class *class, uint64_t seed)
{
    union {
        trading_config trading;
        classic_config classic;
        catch_config catch;
        chain_config chain;
        ar1_config ar1;
    } config;
    const gn_option_section sections[] = {
        { .name = class->name, .options = class->options, .values = &config },
        { 0 },
    };
    gn_options_reset(sections);
    if (class == &trading_class)
        config.trading.episode_bars = 40;
    if (class == &catch_class)
        config.catch = (catch_config){ .rows = 7, .columns = 7, .noise = 0.1, .stack = STACK };
    if (class == &acrobot_class || class == &mountain_car_class)
        config.classic.max_steps = 30;
    if (class == &ar1_class)
        config.ar1.length = 20;
    small_market_make(&small, 1, 0.02);
    const env_context context = {
        .copies = COPIES,
        .seed = seed,
        .purpose = GN_RANDOM_ENV,
        .mode = ENV_TRAIN,
        .market = &small.market,
    };
    return vec_env_create(ret_env, class, &config, &context);
}

static void step_randomly(vec_env *env, test_rng *rng)
{
    int32_t action[COPIES];
    for (int i = 0; i < COPIES; i++)
        action[i] = (int32_t)test_rng_below(rng, vec_env_spec(env)->actions);
    expect_ok(vec_env_step(env, action));
}

static void resets_what_ended_and_keeps_how_it_ended(void **state)
{
    (void)state;
    for (const env_class *const *class = env_classes; *class; class ++) {
        vec_env *env;
        expect_ok(create(&env, *class, 1));
        const vec_env_step_view *last = vec_env_last(env);
        size_t size = vec_env_spec(env)->record_size;
        double sum[COPIES] = { 0 };
        uint64_t length[COPIES] = { 0 }, ended = 0;
        test_rng rng = test_rng_seed(1);
        for (int step = 0; step < 300; step++) {
            step_randomly(env, &rng);
            for (int i = 0; i < COPIES; i++) {
                sum[i] += (double)last->reward[i];
                length[i]++;
                if (!last->terminated[i] && !last->truncated[i])
                    continue;
                assert_true(last->episode_return[i] == sum[i]);
                assert_int_equal(last->episode_length[i], length[i]);
                assert_true(memcmp(last->record + i * size, last->final_record + i * size, size));
                sum[i] = 0;
                length[i] = 0;
                ended++;
            }
        }
        assert_true(ended > COPIES);
        vec_env_destroy(&env);
    }
}

static void windows_decode_to_what_was_observed(void **state)
{
    (void)state;
    enum { STEPS = 50 };
    for (const env_class *const *class = env_classes; *class; class ++) {
        vec_env *env;
        expect_ok(create(&env, *class, 2));
        const env_spec *spec = vec_env_spec(env);
        size_t window_size = env_window_size(spec), size = spec->observation_size;
        unsigned char *window, *observed, *decoded;
        expect_ok(gn_alloc(&window, STEPS * COPIES, window_size));
        expect_ok(gn_alloc(&observed, STEPS * COPIES, size));
        expect_ok(gn_alloc(&decoded, STEPS * COPIES, size));
        test_rng rng = test_rng_seed(2);
        for (uint32_t step = 0; step < STEPS; step++) {
            for (uint32_t i = 0; i < COPIES; i++)
                memcpy(window + (step * COPIES + i) * window_size, vec_env_window(env, i),
                       window_size);
            vec_env_observe(env, observed + step * COPIES * size);
            step_randomly(env, &rng);
        }
        vec_env_decode(env, window, window_size, STEPS * COPIES, decoded);
        assert_memory_equal(decoded, observed, STEPS * COPIES * size);
        // Every third row, at three times the distance.
        vec_env_decode(env, window, 3 * window_size, STEPS * COPIES / 3, decoded);
        for (size_t i = 0; i < STEPS * COPIES / 3; i++)
            assert_memory_equal(decoded + i * size, observed + 3 * i * size, size);
        gn_free(&window);
        gn_free(&observed);
        gn_free(&decoded);
        vec_env_destroy(&env);
    }
}

// A row of the history of an episode, its first record repeated before it, is rows of windows that
// overlap: what a replay has in memory.
static void windows_are_the_last_records_of_the_episode(void **state)
{
    (void)state;
    enum { STEPS = 30 };
    for (const env_class *const *class = env_classes; *class; class ++) {
        vec_env *env;
        expect_ok(create(&env, *class, 3));
        const env_spec *spec = vec_env_spec(env);
        const vec_env_step_view *last = vec_env_last(env);
        size_t record_size = spec->record_size, size = spec->observation_size, length = 0;
        unsigned char *history, *observed, *decoded;
        expect_ok(gn_alloc(&history, STEPS + spec->stack, record_size));
        expect_ok(gn_alloc(&observed, COPIES, size));
        expect_ok(gn_alloc(&decoded, STEPS, size));
        test_rng rng = test_rng_seed(3);
        uint32_t copy = COPIES - 1, episodes = 0;
        for (int step = 0; step < STEPS; step++) {
            const unsigned char *record = last->record + copy * record_size;
            if (length == 0)
                for (uint32_t i = 0; i + 1 < spec->stack; i++)
                    memcpy(history + i * record_size, record, record_size);
            memcpy(history + (spec->stack - 1 + length) * record_size, record, record_size);
            assert_memory_equal(vec_env_window(env, copy), history + length * record_size,
                                env_window_size(spec));
            vec_env_observe(env, observed);
            vec_env_decode(env, history, record_size, ++length, decoded);
            assert_memory_equal(observed + copy * size, decoded + (length - 1) * size, size);
            step_randomly(env, &rng);
            if (last->terminated[copy] || last->truncated[copy]) {
                length = 0;
                episodes++;
            }
        }
        assert_true(episodes > 0 || *class == &trading_class);
        gn_free(&history);
        gn_free(&observed);
        gn_free(&decoded);
        vec_env_destroy(&env);
    }
}

static void expect_same_view(const vec_env *a, const vec_env *b)
{
    const vec_env_step_view *left = vec_env_last(a), *right = vec_env_last(b);
    size_t records_size = COPIES * vec_env_spec(a)->record_size;
    assert_memory_equal(left->reward, right->reward, COPIES * sizeof *left->reward);
    assert_memory_equal(left->terminated, right->terminated, COPIES);
    assert_memory_equal(left->truncated, right->truncated, COPIES);
    assert_memory_equal(left->record, right->record, records_size);
    assert_memory_equal(left->final_record, right->final_record, records_size);
    assert_memory_equal(left->episode_return, right->episode_return, COPIES * sizeof(double));
    for (uint32_t i = 0; i < COPIES; i++)
        assert_memory_equal(vec_env_window(a, i), vec_env_window(b, i),
                            env_window_size(vec_env_spec(a)));
    assert_memory_equal(left->episode_length, right->episode_length, COPIES * sizeof(uint64_t));
}

static void a_loaded_environment_continues_bit_for_bit(void **state)
{
    (void)state;
    test_rng rng = test_rng_seed(3);
    for (const env_class *const *class = env_classes; *class; class ++) {
        vec_env *env, *twin;
        expect_ok(create(&env, *class, 3));
        expect_ok(create(&twin, *class, 99)); // the seed comes with the state
        uint64_t saved_at = test_rng_below(&rng, 400);
        for (uint64_t step = 0; step < saved_at; step++)
            step_randomly(env, &rng);

        gn_blob blob = { 0 }, again = { 0 };
        vec_env_save(env, &blob);
        expect_ok(gn_blob_status(&blob));
        gn_blob in = { .data = blob.data, .size = blob.size };
        expect_ok(vec_env_load(twin, &in));
        expect_same_view(env, twin);
        vec_env_save(twin, &again);
        assert_int_equal(again.size, blob.size);
        assert_memory_equal(again.data, blob.data, blob.size);

        for (uint64_t step = saved_at; step < 500; step++) {
            test_rng same = rng;
            step_randomly(env, &rng);
            step_randomly(twin, &same);
            expect_same_view(env, twin);
        }
        gn_blob_free(&blob);
        gn_blob_free(&again);
        vec_env_destroy(&env);
        vec_env_destroy(&twin);
    }
}

static void a_torn_state_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    for (const env_class *const *class = env_classes; *class; class ++) {
        vec_env *env, *target;
        expect_ok(create(&env, *class, 4));
        expect_ok(create(&target, *class, 5));
        gn_blob blob = { 0 }, before = { 0 }, after = { 0 };
        vec_env_save(env, &blob);
        vec_env_save(target, &before);
        for (size_t size = 0; size < blob.size; size += 97) {
            gn_blob in = { .data = blob.data, .size = size };
            assert_true(vec_env_load(target, &in) != GN_OK);
        }
        vec_env_save(target, &after);
        assert_memory_equal(after.data, before.data, before.size);
        gn_blob_free(&blob);
        gn_blob_free(&before);
        gn_blob_free(&after);
        vec_env_destroy(&env);
        vec_env_destroy(&target);
    }
}

// What each copy records in TRAIL steps, all taking the same actions.
// Shape: ret_trail: [COPIES, TRAIL, record_size]; the caller frees it.
enum { TRAIL = 40 };
static size_t record_trail(const env_class *class, uint64_t seed, unsigned char **ret_trail)
{
    vec_env *env;
    expect_ok(create(&env, class, seed));
    size_t size = vec_env_spec(env)->record_size;
    expect_ok(gn_alloc(ret_trail, COPIES * TRAIL, size));
    for (uint32_t step = 0; step < TRAIL; step++) {
        for (uint32_t i = 0; i < COPIES; i++)
            memcpy(*ret_trail + (i * TRAIL + step) * size, vec_env_last(env)->record + i * size,
                   size);
        int32_t action[COPIES];
        for (uint32_t i = 0; i < COPIES; i++)
            action[i] = (int32_t)(step % vec_env_spec(env)->actions);
        expect_ok(vec_env_step(env, action));
    }
    vec_env_destroy(&env);
    return TRAIL * size;
}

static void seeds_name_the_episodes_and_copies_differ(void **state)
{
    (void)state;
    for (const env_class *const *class = env_classes; *class; class ++) {
        unsigned char *trail, *same, *other;
        size_t size = record_trail(*class, 6, &trail);
        record_trail(*class, 6, &same);
        record_trail(*class, 7, &other);
        assert_memory_equal(trail, same, COPIES * size);
        assert_true(memcmp(trail, other, COPIES * size) != 0);
        for (int i = 1; i < COPIES; i++)
            assert_true(memcmp(trail, trail + i * size, size) != 0);
        gn_free(&trail);
        gn_free(&same);
        gn_free(&other);
    }
}

static void a_bad_action_steps_nothing(void **state)
{
    (void)state;
    vec_env *env, *twin;
    expect_ok(create(&env, &cartpole_class, 8));
    expect_ok(create(&twin, &cartpole_class, 8));
    const int32_t action[COPIES] = { 0, 1, 0, 2, 0, 0, 0 };
    expect_fails(GN_ERR_ARG, "cartpole: action 2 of copy 3 is not in 0 .. 1",
                 vec_env_step(env, action));
    expect_same_view(env, twin);
    vec_env_destroy(&env);
    vec_env_destroy(&twin);
}

static void no_copies_is_an_error(void **state)
{
    (void)state;
    vec_env *env = NULL;
    const cartpole_config config = { .max_steps = 500 };
    const env_context context = { .copies = 0, .purpose = GN_RANDOM_ENV };
    expect_fails(GN_ERR_ARG, "cartpole: 0 copies are not in 1 ..",
                 vec_env_create(&env, &cartpole_class, &config, &context));
    assert_null(env);
}

static void steps_allocate_nothing(void **state)
{
    (void)state;
    for (const env_class *const *class = env_classes; *class; class ++) {
        vec_env *env;
        expect_ok(create(&env, *class, 9));
        test_rng rng = test_rng_seed(9);
        uint64_t before = gn_mem_allocations();
        for (int step = 0; step < 200; step++)
            step_randomly(env, &rng);
        assert_int_equal(gn_mem_allocations(), before);
        vec_env_destroy(&env);
    }
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    for (const env_class *const *class = env_classes; *class; class ++) {
        uint64_t live = gn_mem_live();
        vec_env *env = NULL;
        gn_status status = GN_ERR_MEMORY;
        for (uint64_t n = 1; status != GN_OK; n++) {
            assert_true(n < 100);
            gn_mem_fail_at(n);
            status = create(&env, *class, 10);
            gn_mem_fail_at(0);
            assert_true(status == GN_OK || (status == GN_ERR_MEMORY && !env));
            assert_true(status == GN_OK || gn_mem_live() == live);
        }
        vec_env_destroy(&env);
        assert_int_equal(gn_mem_live(), live);
    }
}

TEST_MAIN(resets_what_ended_and_keeps_how_it_ended, windows_decode_to_what_was_observed,
          windows_are_the_last_records_of_the_episode, a_loaded_environment_continues_bit_for_bit,
          a_torn_state_is_refused_and_changes_nothing, seeds_name_the_episodes_and_copies_differ,
          a_bad_action_steps_nothing, no_copies_is_an_error, steps_allocate_nothing,
          survives_every_failing_allocation)
