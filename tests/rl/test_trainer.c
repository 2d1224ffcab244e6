// The training loop: a run is a function of options, data and seed, and does what its options say.

#include "rl/trainer.h"

#include <jansson.h>
#include <math.h>

#include "envs/classic/cartpole.h"
#include "shim/torch.h"
#include "tests/rl/small_training.h"

// --- the same bytes

static void the_same_seed_gives_the_same_bytes(void **state)
{
    (void)state;
    for (int kind = 0; kind <= TRADING; kind++) {
        two_runs runs;
        TWO_RUNS_OPEN(&runs, kind, "run.seed", "7");
        expect_ok(train(runs.config, runs.b, NULL));
        expect_same_outcome(runs.a, runs.b);
        expect_same_replay(runs.a, runs.b);
        two_runs_close(&runs);
    }
}

static void several_environments_give_the_same_bytes_too(void **state)
{
    (void)state;
    two_runs runs;
    TWO_RUNS_OPEN(&runs, TRADING, "train.envs", "3", "train.every", "5");
    expect_ok(train(runs.config, runs.b, NULL));
    expect_same_outcome(runs.a, runs.b);
    expect_same_replay(runs.a, runs.b);
    two_runs_close(&runs);
}

// --- refusals

// Of five slots four are one observation, and the newest two may be a final and an open one.
static void a_replay_without_a_step_between_episodes_is_refused(void **state)
{
    (void)state;
    rl_config *config = CONFIG_OF("run.env", "catch", "catch.stack", "4", "replay.capacity", "11",
                                  "train.envs", "2");
    rl_trainer *trainer = NULL;
    expect_fails(GN_ERR_CONFIG,
                 "replay.capacity: 11 must be 12 to 8589934591 for 2 environments, 6 slots or more "
                 "each: 2 more than an observation has records",
                 rl_trainer_create(&trainer, config, "not-made", NULL));
    rl_config_destroy(&config);
}

static void refused_options_write_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value;
        gn_status status;
    } cases[] = {
        { "run.data", "missing.csv", GN_ERR_NOT_FOUND },
        { "features.list", "return,nonsense", GN_ERR_CONFIG },
        { "trading.window", "4000", GN_ERR_CONFIG },
        { "trading.exposures", "1", GN_ERR_CONFIG },
        { "network.hidden", "1.5", GN_ERR_CONFIG },
        { "run.device", "tpu", GN_ERR_CONFIG },
        { "run.env", "nonsense", GN_ERR_CONFIG },
        { "replay.capacity", "1e12", GN_ERR_CONFIG },
        { "replay.cache_mb", "1", GN_ERR_CONFIG }, // 16 bytes are not packed
        { "replay.path", "/", GN_ERR_EXISTS },
        { "split.validation", "0", GN_ERR_CONFIG },
        { "split.validation", "0.126", GN_ERR_CONFIG }, // a few bars, fewer than the window
    };
    small_run small;
    char folder[GN_PATH_SIZE];
    small_run_open(&small);
    run_path(folder, small.folder, "run");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rl_config *config =
            SMALL_CONFIG(&small, TRADING, "train.envs", "2", cases[i].key, cases[i].value);
        rl_trainer *trainer = NULL;
        expect_fails(cases[i].status, "", rl_trainer_create(&trainer, config, folder, NULL));
        assert_null(trainer);
        if (gn_path_exists(folder))
            fail_msg("%s = %s was refused, but the folder was made", cases[i].key, cases[i].value);
        rl_config_destroy(&config);
    }
    test_temp_remove(small.folder);
}

static void a_run_without_evaluation_needs_no_validation_bars(void **state)
{
    (void)state;
    two_runs runs;
    TWO_RUNS_OPEN(&runs, TRADING, "split.validation", "0", "eval.every", "0");
    assert_int_equal(newest_step(runs.a, "checkpoints"), 1000);
    two_runs_close(&runs);
}

// --- what a run does

static uint64_t allocations_of(two_runs *runs, const char *steps)
{
    set_option(runs->config, "train.steps", steps);
    expect_ok(gn_path_remove(runs->b));
    uint64_t before = gn_mem_allocations(), tensors = torch_tensors_created();
    expect_ok(train(runs->config, runs->b, NULL));
    return gn_mem_allocations() - before + torch_tensors_created() - tensors;
}

static void rounds_allocate_nothing(void **state)
{
    (void)state;
    two_runs runs;
    torch_count_storage(true);
    for (int kind = 0; kind <= TRADING; kind++) {
        TWO_RUNS_OPEN(&runs, kind, "eval.every", "0", "checkpoint.every", "0", "train.envs", "2");
        uint64_t once = allocations_of(&runs, "1000");
        assert_int_equal(allocations_of(&runs, "2000"), once);
        assert_int_equal(allocations_of(&runs, "4000"), once);
        two_runs_close(&runs);
    }
    torch_count_storage(false);
}

// Metrics agree with the options, and the best weights are those of the best evaluation.
static void metrics_tell_what_happened(void **state)
{
    (void)state;
    two_runs runs;
    TWO_RUNS_OPEN(&runs, CARTPOLE, "train.steps", "2000");
    char *text = metrics_without_timing(runs.a), *rest = text;
    double best = -INFINITY, epsilon = 0;
    uint64_t best_step = 0, episodes = 0, trains = 0, evals = 0, updates = 0;
    for (char *line = strtok_r(rest, "\n", &rest); line; line = strtok_r(rest, "\n", &rest)) {
        json_t *object = json_loads(line, 0, NULL);
        assert_non_null(object);
        const char *type = json_string_value(json_object_get(object, "type"));
        uint64_t step = (uint64_t)json_integer_value(json_object_get(object, "step"));
        double result = json_number_value(json_object_get(object, "return"));
        if (strcmp(type, "episode") == 0) {
            episodes++;
            assert_true(json_number_value(json_object_get(object, "episode")) == (double)episodes);
            assert_true(json_number_value(json_object_get(object, "length")) == result);
        } else if (strcmp(type, "train") == 0) {
            trains++;
            updates = (uint64_t)json_number_value(json_object_get(object, "updates"));
            epsilon = json_number_value(json_object_get(object, "epsilon"));
            assert_true(fabs(epsilon - fmax(0.05, 1 - 0.95 * (double)step / 1000)) < 1e-12);
        } else {
            assert_string_equal(type, "eval");
            evals++;
            if (result > best) {
                best = result;
                best_step = step;
            }
        }
        json_decref(object);
    }
    assert_int_equal(trains, 2000 / 150);
    assert_int_equal(evals, 2000 / 300);
    assert_int_equal(updates, (1960 - 100) / 20 + 1); // the last line stands at 1960
    assert_true(episodes > 20);
    assert_int_equal(newest_step(runs.a, "best"), best_step);
    gn_free(&text);
    two_runs_close(&runs);
}

// CartPole pays 1 a step: most values are above 2, few above 40 in runs as short as these.
static void a_range_that_is_too_narrow_is_told(void **state)
{
    (void)state;
    static const char *const most[] = { "2", "40" };
    for (int i = 0; i < 2; i++) {
        two_runs runs;
        gn_text told = { 0 };
        const gn_log log = { .write = keep_line, .user = &told };
        TWO_RUNS_OPEN(&runs, CARTPOLE, "run.agent", "c51", "head.v_min", "0", "head.v_max",
                      most[i]);
        expect_ok(train(runs.config, runs.b, &(rl_hooks){ .log = &log }));
        char *text = metrics_without_timing(runs.b);
        assert_non_null(strstr(text, "\"target_cut\":"));
        const char *warning = "1 head.v_min 0, head.v_max 2: cut off ";
        assert_int_equal(strstr(gn_text_data(&told), warning) != NULL, i == 0);
        assert_int_equal(strstr(gn_text_data(&told), "cut off") != NULL, i == 0);
        gn_free(&text);
        gn_text_free(&told);
        two_runs_close(&runs);
    }
}

// The buffer of a finished run, at its last checkpoint.
static replay_buffer *open_buffer(const two_runs *runs)
{
    char folder[GN_PATH_SIZE], name[33];
    replay_buffer *buffer = NULL;
    rl_snapshot snapshot;
    run_path(folder, runs->a, "checkpoints");
    expect_ok(rl_snapshot_read(&snapshot, folder, newest_step(runs->a, "checkpoints")));
    run_path(folder, runs->a, "replay");
    expect_ok(rl_config_name(runs->config, "", name));
    expect_ok(replay_buffer_create(
        &buffer, &runs->config->replay,
        &(replay_spec){ (uint32_t)runs->config->train.envs, 4 * sizeof(float), 1 }, folder, name));
    expect_ok(replay_buffer_rollback(buffer, snapshot.info.step, snapshot.info.replay_checksum));
    rl_snapshot_free(&snapshot);
    return buffer;
}

// What a step of CartPole leads to, recomputed from its record; records are rounded to float32.
static void expect_physics(const replay_batch *batch, size_t i, uint64_t *ended)
{
    float record[4], next[4];
    double state[4];
    memcpy(record, batch->record + i * batch->stride, sizeof record);
    memcpy(next, batch->next_record[0] + i * batch->stride, sizeof next);
    for (int k = 0; k < 4; k++)
        state[k] = record[k];
    bool terminated = cartpole_dynamics(state, batch->action[i]);
    for (int k = 0; k < 4; k++)
        assert_true(fabs(state[k] - next[k]) < 1e-5);
    assert_true(batch->reward[i] == 1);
    assert_true(batch->discount[i] == (terminated ? 0 : 0.5f));
    *ended += terminated;
}

// Also where an episode was truncated: what follows is its end, not the start of the next.
static void the_replay_holds_what_the_environments_did(void **state)
{
    (void)state;
    two_runs runs;
    gn_random random = gn_random_stream(1, GN_RANDOM_TEST, 0);
    replay_batch *batch = NULL;
    uint64_t ended = 0;
    TWO_RUNS_OPEN(&runs, CARTPOLE, "cartpole.max_steps", "25", "train.envs", "2");
    replay_buffer *buffer = open_buffer(&runs);
    expect_ok(replay_batch_create(&batch, &(replay_spec){ 1, 4 * sizeof(float), 1 }, 4000, 1));
    expect_ok(replay_buffer_sample(buffer, &(replay_draw){ { 1 }, 1, 0.5, 1 }, &random, batch));
    for (size_t i = 0; i < batch->size; i++)
        expect_physics(batch, i, &ended);
    assert_true(ended > 0);
    replay_batch_destroy(&batch);
    replay_buffer_destroy(&buffer);
    two_runs_close(&runs);
}

static bool weights_differ(const two_runs *runs)
{
    char path_a[GN_PATH_SIZE], path_b[GN_PATH_SIZE];
    run_path(path_a, runs->a, "checkpoints/640/weights.safetensors");
    run_path(path_b, runs->b, "checkpoints/640/weights.safetensors");
    file_bytes a = read_bytes(path_a), b = read_bytes(path_b);
    bool differ = a.size != b.size || memcmp(a.data, b.data, a.size) != 0;
    gn_free(&a.data);
    gn_free(&b.data);
    return differ;
}

// Every change alone makes another run of the one with the options `base`.
static void expect_alive(const char *const *base, const char *const (*change)[2], size_t count)
{
    two_runs runs;
    const char *flag[16] = { "train.steps", "640" };
    size_t flags = 2;
    for (; *base; base++)
        flag[flags++] = *base;
    two_runs_open(&runs, CARTPOLE, flag);
    for (size_t i = 0; i < count; i++) {
        flag[flags] = change[i][0];
        flag[flags + 1] = change[i][1];
        rl_config *config = small_config(&runs.small, CARTPOLE, flag);
        expect_ok(train(config, runs.b, NULL));
        if (!weights_differ(&runs))
            fail_msg("%s = %s changes nothing", change[i][0], change[i][1]);
        expect_ok(gn_path_remove(runs.b));
        rl_config_destroy(&config);
    }
    two_runs_close(&runs);
}

static void no_option_of_learning_is_dead(void **state)
{
    (void)state;
    static const char *const changes[][2] = {
        { "run.seed", "2" },
        { "agent.gamma", "0.9" },
        { "agent.n_step", "1" },
        { "agent.double_q", "false" },
        { "agent.dueling", "false" },
        { "head.huber_delta", "0.01" },
        { "agent.epsilon_start", "0.9" },
        { "agent.epsilon_end", "0.1" },
        { "agent.epsilon_fraction", "0.6" },
        { "agent.target_every", "60" },
        { "agent.tau", "0.5" },
        { "network.hidden", "16,8" },
        { "optimizer.learning_rate", "0.001" },
        { "optimizer.beta1", "0.8" },
        { "optimizer.beta2", "0.99" },
        { "optimizer.epsilon", "1e-3" },
        { "optimizer.weight_decay", "0.1" },
        { "optimizer.max_grad_norm", "0.01" },
        { "replay.capacity", "300" },
        { "replay.prioritized", "false" },
        { "replay.alpha", "0.5" },
        { "replay.beta", "0.5" },
        { "replay.beta_final", "0.9" },
        { "replay.priority_epsilon", "0.1" },
        { "replay.weight_max", "buffer" },
        { "train.envs", "2" },
        { "train.every", "10" },
        { "train.updates", "2" },
        { "train.batch", "17" },
        { "train.batch_schedule", "linear" },
        { "train.starts", "200" },
        { "cartpole.max_steps", "12" },
    };
    static const char *const base[] = { NULL };
    expect_alive(base, changes, sizeof changes / sizeof *changes);
}

// Options that count only beside others: what they stand on, then a change of each.
static void no_option_of_a_variant_is_dead(void **state)
{
    (void)state;
    static const struct {
        const char *base[9], *changes[6][2];
    } variants[] = {
        { { NULL },
          { { "agent.noisy", "true" },
            { "agent.munchausen", "true" },
            { "agent.rescale", "0.001" },
            { "agent.reward_scale", "0.5" },
            { "agent.reward_clip", "0.5" },
            { "agent.exploration", "softmax" } } },
        { { "agent.munchausen", "true", "agent.munchausen_temperature", "0.5" },
          { { "agent.munchausen_alpha", "0.5" },
            { "agent.munchausen_temperature", "0.1" },
            { "agent.munchausen_clip", "-0.1" } } },
        { { "agent.exploration", "softmax" },
          { { "agent.temperature", "0.1" }, { "agent.epsilon_schedule", "exponential" } } },
        { { "head.kind", "quantile" },
          { { "head.quantiles", "8" },
            { "head.kappa", "0.1" },
            { "agent.risk", "cvar" },
            { "head.kind", "gaussian-mixture" },
            { "head.kind", "scalar" } } },
        { { "head.kind", "quantile", "agent.risk", "cvar" }, { { "agent.risk_level", "0.1" } } },
        { { "head.kind", "quantile", "agent.risk_aversion", "1e6" },
          { { "agent.risk", "mean-variance" } } },
        { { "head.kind", "quantile", "agent.risk", "mean-variance" },
          { { "agent.risk_aversion", "1e6" } } },
        { { "head.kind", "categorical", "head.v_max", "20" },
          { { "head.atoms", "21" },
            { "head.v_min", "-1" },
            { "head.v_max", "25" },
            { "head.kind", "two-hot" } } },
        { { "head.kind", "gaussian-mixture" }, { { "head.components", "2" } } },
        { { "head.kind", "implicit-quantile", "head.quantiles", "4", "head.target_quantiles", "4" },
          { { "head.quantiles", "5" },
            { "head.target_quantiles", "5" },
            { "head.cosines", "7" } } },
        { { "head.kind", "implicit-quantile", "agent.munchausen", "true" },
          { { "head.acting_quantiles", "2" } } },
        { { "agent.noisy", "true" },
          { { "network.noise_scale", "1" }, { "network.layer_norm", "true" } } },
    };
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        size_t count = 0;
        while (count < 6 && variants[i].changes[count][0])
            count++;
        expect_alive(variants[i].base, variants[i].changes, count);
    }
}

static void checkpoints_are_kept_as_told(void **state)
{
    (void)state;
    two_runs runs;
    char path[GN_PATH_SIZE];
    uint64_t *steps = NULL;
    size_t count = 0;
    TWO_RUNS_OPEN(&runs, CARTPOLE, "checkpoint.keep", "3", "train.steps", "1100");
    run_path(path, runs.a, "checkpoints");
    expect_ok(rl_snapshot_list(&steps, &count, path));
    assert_int_equal(count, 3);
    assert_int_equal(steps[0], 800);
    assert_int_equal(steps[1], 1000);
    assert_int_equal(steps[2], 1100); // the end
    gn_free(&steps);
    two_runs_close(&runs);
}

TEST_MAIN(a_range_that_is_too_narrow_is_told, a_replay_without_a_step_between_episodes_is_refused,
          the_same_seed_gives_the_same_bytes, several_environments_give_the_same_bytes_too,
          refused_options_write_nothing, a_run_without_evaluation_needs_no_validation_bars,
          rounds_allocate_nothing, metrics_tell_what_happened,
          the_replay_holds_what_the_environments_did, no_option_of_learning_is_dead,
          no_option_of_a_variant_is_dead, checkpoints_are_kept_as_told)
