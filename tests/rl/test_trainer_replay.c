// Training with each way to keep records and to draw them: stopped after every round and continued,
// it ends with the same bytes as a run that was left alone. And what is learned from is what was
// seen.

#include "envs/vec_env.h"
#include "replay/sampler.h"
#include "tests/rl/small_training.h"

static void expect_rounds_do_not_matter(const char *const *options, uint64_t steps)
{
    two_runs runs;
    volatile sig_atomic_t stop = 1;
    const rl_hooks hooks = { .stop = &stop };
    two_runs_open(&runs, CARTPOLE, options);
    expect_ok(train(runs.config, runs.b, &hooks));
    uint64_t at = newest_step(runs.b, "checkpoints");
    assert_true(at < steps / 4);
    while (at < steps) {
        expect_ok(resume(runs.b, &hooks));
        assert_true(newest_step(runs.b, "checkpoints") > at);
        at = newest_step(runs.b, "checkpoints");
    }
    expect_same_outcome(runs.a, runs.b);
    two_runs_close(&runs);
}

#define EXPECT_ROUNDS_DO_NOT_MATTER(steps, ...) \
    expect_rounds_do_not_matter((const char *const[]){ __VA_ARGS__, NULL }, steps)

#define SMALL_CATCH \
    "run.env", "catch", "catch.rows", "7", "catch.columns", "7", "catch.noise", "0.05", \
        "train.envs", "2", "train.steps", "400", "replay.capacity", "300"

static void stacks_of_packed_pictures_drawn_ahead(void **state)
{
    (void)state;
    EXPECT_ROUNDS_DO_NOT_MATTER(400, SMALL_CATCH, "replay.codec", "zstd-dict", "replay.ahead", "2",
                                "replay.prioritized", "true");
    EXPECT_ROUNDS_DO_NOT_MATTER(400, SMALL_CATCH, "replay.codec", "delta", "replay.cache_mb", "0",
                                "replay.chunk", "7", "replay.ahead", "5");
}

static void packed_pictures_in_ram(void **state)
{
    (void)state;
    EXPECT_ROUNDS_DO_NOT_MATTER(400, SMALL_CATCH, "replay.path", "none", "replay.codec",
                                "zstd-dict");
    EXPECT_ROUNDS_DO_NOT_MATTER(400, SMALL_CATCH, "replay.path", "none", "replay.codec", "none",
                                "replay.chunk", "5", "replay.priority", "rank");
}

static void priorities_by_rank_with_a_uniform_share(void **state)
{
    (void)state;
    EXPECT_ROUNDS_DO_NOT_MATTER(1000, "replay.priority", "rank", "train.envs", "2");
    EXPECT_ROUNDS_DO_NOT_MATTER(1000, "replay.priority", "rank", "replay.uniform", "0.25",
                                "replay.weight_max", "buffer", "replay.ahead", "1");
    EXPECT_ROUNDS_DO_NOT_MATTER(1000, "replay.uniform", "0.25", "replay.path", "none");
}

static void quantised_records(void **state)
{
    (void)state;
    EXPECT_ROUNDS_DO_NOT_MATTER(1000, "replay.quantize", "8", "train.envs", "2");
    EXPECT_ROUNDS_DO_NOT_MATTER(1000, "replay.quantize", "8", "replay.path", "none");
    EXPECT_ROUNDS_DO_NOT_MATTER(1000, "replay.quantize", "16", "replay.codec", "zstd",
                                "replay.ahead", "3");
}

static void an_exponent_that_moves(void **state)
{
    (void)state;
    EXPECT_ROUNDS_DO_NOT_MATTER(1000, "replay.alpha", "0.9", "replay.alpha_final", "0.1");
    EXPECT_ROUNDS_DO_NOT_MATTER(1000, "replay.alpha", "0.1", "replay.alpha_final", "0.9",
                                "replay.priority", "rank", "replay.ahead", "2");
}

static bool same_weights(const char *a, const char *b)
{
    char path[GN_PATH_SIZE];
    run_path(path, a, "checkpoints/1000/weights.safetensors");
    file_bytes from = read_bytes(path);
    run_path(path, b, "checkpoints/1000/weights.safetensors");
    file_bytes to = read_bytes(path);
    bool same = from.size == to.size && memcmp(from.data, to.data, from.size) == 0;
    gn_free(&from.data);
    gn_free(&to.data);
    return same;
}

// None of these options is without effect, and none is but the cache, the codec and the chunk.
static void what_changes_the_run_and_what_does_not(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value;
        bool same;
    } cases[] = {
        { "replay.codec", "zstd-dict", true },    { "replay.chunk", "5", true },
        { "replay.path", "none", true },          { "replay.ahead", "1", false },
        { "replay.priority", "rank", false },     { "replay.alpha_final", "0.1", false },
        { "replay.uniform", "0.2", false },       { "replay.quantize", "8", false },
        { "replay.weight_max", "buffer", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        two_runs runs;
        TWO_RUNS_OPEN(&runs, CARTPOLE, "replay.ahead", "0");
        set_option(runs.config, cases[i].key, cases[i].value);
        expect_ok(train(runs.config, runs.b, NULL));
        if (same_weights(runs.a, runs.b) != cases[i].same)
            fail_msg("%s = %s", cases[i].key, cases[i].value);
        two_runs_close(&runs);
    }
}

// --- observations

enum { SEEN_STEPS = 300, COPIES = 2, BATCH = 32 };

typedef struct seen_step {
    unsigned char *before, *after; // observations around the step of an item
} seen_step;

static vec_env *open_catch(env_spec *ret_spec)
{
    const env_class *class;
    const void *values;
    vec_env *env;
    rl_config *config = CONFIG_OF("run.env", "catch", "catch.rows", "7", "catch.columns", "7",
                                  "catch.noise", "0.05", "catch.stack", "4");
    expect_ok(rl_config_env(config, &class, &values));
    const env_context context = { .copies = COPIES, .seed = 3, .purpose = GN_RANDOM_ENV };
    expect_ok(vec_env_create(&env, class, values, &context));
    *ret_spec = *vec_env_spec(env);
    rl_config_destroy(&config);
    return env;
}

static replay_buffer *open_buffer(const env_spec *spec, const char *folder)
{
    replay_config config;
    const gn_option_section sections[] = { { "replay", "", replay_options, &config }, { 0 } };
    replay_buffer *buffer;
    gn_options_reset(sections);
    config.capacity = 2 * 2 * SEEN_STEPS;
    config.chunk = 16;
    config.codec = REPLAY_ZSTD_DICT;
    const replay_spec stored = { COPIES, (uint32_t)spec->record_size, spec->stack };
    expect_ok(replay_buffer_create(&buffer, &config, &stored, folder, "run"));
    return buffer;
}

// Steps at random; what was observed before and after each goes to its item.
static void step_and_see(vec_env *env, replay_buffer *buffer, const env_spec *spec,
                         seen_step *ret_seen)
{
    size_t size = spec->observation_size;
    unsigned char *now = NULL;
    uint64_t head[COPIES] = { 0 };
    test_rng rng = test_rng_seed(5);
    expect_ok(gn_alloc(&now, COPIES, size));
    vec_env_reset(env);
    for (uint32_t c = 0; c < COPIES; c++, head[c - 1]++)
        expect_ok(
            replay_buffer_begin(buffer, c, vec_env_last(env)->record + c * spec->record_size));
    for (int i = 0; i < SEEN_STEPS; i++) {
        int32_t action[COPIES];
        vec_env_observe(env, now);
        for (uint32_t c = 0; c < COPIES; c++) {
            seen_step *seen = &ret_seen[(head[c] - 1) * COPIES + c];
            expect_ok(gn_alloc(&seen->before, size, 1));
            memcpy(seen->before, now + c * size, size);
            action[c] = (int32_t)test_rng_below(&rng, spec->actions);
        }
        expect_ok(vec_env_step(env, action));
        vec_env_observe(env, now);
        const vec_env_step_view *last = vec_env_last(env);
        for (uint32_t c = 0; c < COPIES; c++) {
            const unsigned char *record = last->record + c * spec->record_size;
            bool ended = last->terminated[c] || last->truncated[c];
            seen_step *seen = &ret_seen[(head[c] - 1) * COPIES + c];
            if (!ended) { // of the end only the record is left
                expect_ok(gn_alloc(&seen->after, size, 1));
                memcpy(seen->after, now + c * size, size);
            }
            expect_ok(replay_buffer_add(
                buffer, c, action[c], last->reward[c], last->terminated[c], last->truncated[c],
                ended ? last->final_record + c * spec->record_size : record));
            head[c]++;
            if (ended) {
                expect_ok(replay_buffer_begin(buffer, c, record));
                head[c]++;
            }
        }
    }
    gn_free(&now);
}

static void the_learner_sees_what_was_observed(void **state)
{
    (void)state;
    env_spec spec;
    static seen_step seen[2 * SEEN_STEPS * COPIES];
    char folder[GN_PATH_SIZE];
    replay_sampler *sampler;
    unsigned char *decoded;
    size_t after = 0;
    test_temp_folder(folder);
    vec_env *env = open_catch(&spec);
    assert_int_equal(spec.stack, 4);
    replay_buffer *buffer = open_buffer(&spec, folder);
    step_and_see(env, buffer, &spec, seen);
    size_t size = spec.observation_size;
    gn_random random = gn_random_stream(6, GN_RANDOM_SAMPLE, 0);
    expect_ok(replay_sampler_create(&sampler, buffer, BATCH, 1, 2));
    expect_ok(gn_alloc(&decoded, BATCH, size));
    for (int round = 0; round < 100; round++) {
        const replay_batch *batch;
        const replay_draw draw = { .n_step = { 1 + round % 2 }, .gamma = 0.9, .beta = 0.5 };
        expect_ok(replay_sampler_next(sampler, BATCH, &draw, &random, &batch));
        vec_env_decode(env, batch->record, batch->stride, BATCH, decoded);
        for (size_t i = 0; i < BATCH; i++)
            assert_memory_equal(decoded + i * size, seen[batch->item[i]].before, size);
        if (batch->next_record[0] - batch->record != (ptrdiff_t)spec.record_size)
            continue; // returned by a call that asked for one step, drawn for two
        vec_env_decode(env, batch->next_record[0], batch->stride, BATCH, decoded);
        for (size_t i = 0; i < BATCH; i++)
            if (seen[batch->item[i]].after) {
                assert_memory_equal(decoded + i * size, seen[batch->item[i]].after, size);
                after++;
            }
    }
    assert_true(after > 1000);
    for (size_t i = 0; i < sizeof seen / sizeof *seen; i++) {
        gn_free(&seen[i].before);
        gn_free(&seen[i].after);
    }
    gn_free(&decoded);
    replay_sampler_destroy(&sampler);
    replay_buffer_destroy(&buffer);
    vec_env_destroy(&env);
    test_temp_remove(folder);
}

TEST_MAIN(stacks_of_packed_pictures_drawn_ahead, packed_pictures_in_ram,
          priorities_by_rank_with_a_uniform_share, quantised_records, an_exponent_that_moves,
          what_changes_the_run_and_what_does_not, the_learner_sees_what_was_observed)
