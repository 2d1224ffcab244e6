// The training loop: a run is a function of options, data and seed, whatever interrupts it.

#include "rl/trainer.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>

#include "rl/run_folder.h"
#include "shim/torch.h"
#include "tests/rl/compare_runs.h"

// --- small runs

enum { RUN_FLAGS = 64 };

static const char *const cartpole_flags[] = { "run.env",
                                              "cartpole",
                                              "run.agent",
                                              "dueling-dqn",
                                              "train.steps",
                                              "1000",
                                              "train.every",
                                              "20",
                                              "train.starts",
                                              "100",
                                              "train.batch",
                                              "16",
                                              "train.log_every",
                                              "150",
                                              "network.hidden",
                                              "16",
                                              "eval.every",
                                              "300",
                                              "eval.episodes",
                                              "2",
                                              "checkpoint.every",
                                              "200",
                                              "replay.chunk",
                                              "64",
                                              "replay.capacity",
                                              "400",
                                              "replay.path",
                                              "replay",
                                              "checkpoint.keep",
                                              "2",
                                              "agent.target_every",
                                              "100",
                                              NULL };

static const char *const trading_flags[] = {
    "run.env", "trading",       "trading.window",      "4", "trading.episode_bars",
    "60",      "features.list", "return,return_4,rsi", NULL
};

enum { CARTPOLE, TRADING, KINDS };

static size_t append(const char **flags, size_t count, const char *const *more)
{
    for (; *more; more++) {
        assert_true(count < RUN_FLAGS);
        flags[count++] = *more;
    }
    return count;
}

// Options of a small run of this kind, then `more`.
static rl_config *small_config(const small_run *small, int kind, const char *const *more)
{
    const char *flags[RUN_FLAGS + 1];
    const char *const places[] = { "run.data", small->data, "market.cache", small->cache, NULL };
    size_t count = append(flags, 0, cartpole_flags);
    if (kind == TRADING) {
        if (!gn_path_exists(small->data))
            small_run_market(small);
        count = append(flags, count, trading_flags);
        count = append(flags, count, places);
    }
    count = append(flags, count, more);
    flags[count] = NULL;
    return config_of(flags);
}

#define SMALL_CONFIG(small, kind, ...) \
    small_config(small, kind, (const char *const[]){ __VA_ARGS__, NULL })

static gn_status finish(rl_trainer *trainer, gn_status status)
{
    if (status == GN_OK)
        status = rl_trainer_run(trainer);
    rl_trainer_destroy(&trainer);
    return status;
}

static gn_status train(const rl_config *config, const char *folder, const rl_hooks *hooks)
{
    rl_trainer *trainer = NULL;
    gn_status status = rl_trainer_create(&trainer, config, folder, hooks);
    return finish(trainer, status);
}

// Continues with the options the folder holds.
static gn_status resume_from(const char *folder, uint64_t from, const rl_hooks *hooks)
{
    rl_trainer *trainer = NULL;
    rl_config *config = NULL;
    expect_ok(rl_config_create(&config));
    gn_status status = rl_run_folder_read(folder, config);
    if (status == GN_OK)
        status = rl_trainer_resume(&trainer, config, folder, from, hooks);
    status = finish(trainer, status);
    rl_config_destroy(&config);
    return status;
}

static gn_status resume(const char *folder, const rl_hooks *hooks)
{
    return resume_from(folder, RL_NEWEST, hooks);
}

// A folder with a finished run "a", and the path of another, "b".
typedef struct two_runs {
    small_run small;
    rl_config *config;
    char a[GN_PATH_SIZE], b[GN_PATH_SIZE];
} two_runs;

static void two_runs_open(two_runs *runs, int kind, const char *const *more)
{
    small_run_open(&runs->small);
    run_path(runs->a, runs->small.folder, "a");
    run_path(runs->b, runs->small.folder, "b");
    runs->config = small_config(&runs->small, kind, more);
    expect_ok(train(runs->config, runs->a, NULL));
}

#define TWO_RUNS_OPEN(runs, kind, ...) \
    two_runs_open(runs, kind, (const char *const[]){ __VA_ARGS__, NULL })

static void two_runs_close(two_runs *runs)
{
    rl_config_destroy(&runs->config);
    test_temp_remove(runs->small.folder);
}

// A log that keeps what it is told.
static void keep_line(void *user, gn_log_level level, const char *line)
{
    gn_text_append(user, "%d %s\n", level, line);
}

// --- the same bytes

static void the_same_seed_gives_the_same_bytes(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
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

static void another_seed_gives_another_run(void **state)
{
    (void)state;
    two_runs runs;
    char name[64], path_a[GN_PATH_SIZE], path_b[GN_PATH_SIZE];
    TWO_RUNS_OPEN(&runs, CARTPOLE, "run.seed", "1");
    set_option(runs.config, "run.seed", "2");
    expect_ok(train(runs.config, runs.b, NULL));
    snprintf(name, sizeof name, "checkpoints/1000/weights.safetensors");
    run_path(path_a, runs.a, name);
    run_path(path_b, runs.b, name);
    file_bytes a = read_bytes(path_a), b = read_bytes(path_b);
    assert_int_equal(a.size, b.size);
    assert_memory_not_equal(a.data, b.data, a.size);
    gn_free(&a.data);
    gn_free(&b.data);
    two_runs_close(&runs);
}

// --- interruptions

static void a_run_stopped_after_every_round_ends_the_same(void **state)
{
    (void)state;
    static const char *const replay[] = { "replay", "none" };
    for (int kind = 0; kind < KINDS; kind++) {
        for (int i = 0; i < 2; i++) {
            two_runs runs;
            volatile sig_atomic_t stop = 1;
            const rl_hooks hooks = { .stop = &stop };
            TWO_RUNS_OPEN(&runs, kind, "replay.path", replay[i], "train.envs", "2");
            expect_ok(train(runs.config, runs.b, &hooks));
            assert_int_equal(newest_step(runs.b, "checkpoints"), 40);
            for (uint64_t step = 80; step <= 1000; step += 40) {
                expect_ok(resume(runs.b, &hooks));
                assert_int_equal(newest_step(runs.b, "checkpoints"), step);
            }
            expect_same_outcome(runs.a, runs.b);
            two_runs_close(&runs);
        }
    }
}

static void an_older_checkpoint_leads_to_the_same_end(void **state)
{
    (void)state;
    two_runs runs;
    TWO_RUNS_OPEN(&runs, TRADING, "checkpoint.keep", "10");
    expect_ok(train(runs.config, runs.b, NULL));
    expect_fails(GN_ERR_NOT_FOUND, "no checkpoint of step 500 (200, 400, 600, 800, 1000)",
                 resume_from(runs.b, 500, NULL));
    expect_ok(resume_from(runs.b, 400, NULL));
    expect_same_outcome(runs.a, runs.b);
    expect_same_replay(runs.a, runs.b);
    two_runs_close(&runs);
}

static void a_longer_run_goes_on_where_the_shorter_one_ended(void **state)
{
    (void)state;
    two_runs runs;
    // Schedules that do not depend on train.steps.
    TWO_RUNS_OPEN(&runs, TRADING, "agent.epsilon_start", "0.1", "agent.epsilon_end", "0.1",
                  "replay.beta", "1", "train.steps", "1400");
    set_option(runs.config, "train.steps", "800");
    expect_ok(train(runs.config, runs.b, NULL));
    assert_int_equal(newest_step(runs.b, "checkpoints"), 800);
    set_option(runs.config, "train.steps", "1400");
    rl_trainer *trainer = NULL;
    expect_ok(rl_trainer_resume(&trainer, runs.config, runs.b, RL_NEWEST, NULL));
    assert_int_equal(rl_trainer_checkpoint(trainer), 800);
    expect_ok(finish(trainer, GN_OK));
    expect_same_outcome(runs.a, runs.b);
    expect_same_replay(runs.a, runs.b);
    expect_same_file(runs.a, runs.b, "run.ini"); // with the new train.steps
    two_runs_close(&runs);
}

static void damage(const char *run, const char *name)
{
    char path[GN_PATH_SIZE];
    run_path(path, run, name);
    flip_byte(path, 100);
}

static void a_damaged_checkpoint_is_passed_over_and_reported(void **state)
{
    (void)state;
    two_runs runs;
    gn_text told = { 0 };
    const gn_log log = { .write = keep_line, .user = &told };
    const rl_hooks hooks = { .log = &log };
    TWO_RUNS_OPEN(&runs, TRADING, "run.seed", "1");
    expect_ok(train(runs.config, runs.b, NULL));
    damage(runs.b, "checkpoints/1000/train.bin.zst");
    expect_ok(resume(runs.b, &hooks));
    assert_non_null(strstr(gn_text_data(&told), "1 checkpoint 1000 is damaged"));
    assert_non_null(strstr(gn_text_data(&told), "0 continuing from checkpoint 800"));
    expect_same_outcome(runs.a, runs.b);

    damage(runs.b, "checkpoints/1000/weights.safetensors");
    damage(runs.b, "checkpoints/800/manifest.json");
    expect_fails(GN_ERR_CORRUPT, "none of its 2 checkpoints is whole", resume(runs.b, NULL));
    gn_text_free(&told);
    two_runs_close(&runs);
}

static void a_run_without_checkpoint_starts_again(void **state)
{
    (void)state;
    two_runs runs;
    char path[GN_PATH_SIZE];
    TWO_RUNS_OPEN(&runs, TRADING, "run.seed", "1");
    expect_ok(train(runs.config, runs.b, NULL));
    run_path(path, runs.b, "checkpoints"); // as if killed before the first was renamed
    expect_ok(gn_path_remove(path));
    expect_ok(resume(runs.b, NULL));
    expect_same_outcome(runs.a, runs.b);
    expect_same_replay(runs.a, runs.b);
    two_runs_close(&runs);
}

// --- refusals

static void another_run_is_not_continued(void **state)
{
    (void)state;
    static const char *const replay[] = { "replay", "none" };
    for (int i = 0; i < 2; i++) {
        two_runs runs;
        rl_trainer *trainer = NULL;
        TWO_RUNS_OPEN(&runs, TRADING, "replay.path", replay[i]);
        set_option(runs.config, "agent.gamma", "0.5");
        expect_fails(GN_ERR_STATE, "",
                     rl_trainer_resume(&trainer, runs.config, runs.a, RL_NEWEST, NULL));
        assert_null(trainer);
        expect_ok(resume(runs.a, NULL)); // the folder is as it was
        two_runs_close(&runs);
    }
}

static void changed_data_is_refused(void **state)
{
    (void)state;
    two_runs runs;
    TWO_RUNS_OPEN(&runs, TRADING, "replay.path", "none");
    file_bytes data = read_bytes(runs.small.data);
    char *last_line = (char *)data.data + data.size - 1;
    while (last_line[-1] != '\n')
        last_line--;
    expect_ok(gn_file_write(runs.small.data, data.data, (size_t)(last_line - (char *)data.data)));
    expect_fails(GN_ERR_STATE, "the options or the data of this run were changed",
                 resume(runs.a, NULL));
    expect_ok(gn_file_write(runs.small.data, data.data, data.size));
    expect_ok(resume(runs.a, NULL));
    gn_free(&data.data);
    two_runs_close(&runs);
}

static void the_replay_of_another_run_is_refused(void **state)
{
    (void)state;
    two_runs runs;
    char from[GN_PATH_SIZE], to[GN_PATH_SIZE];
    TWO_RUNS_OPEN(&runs, CARTPOLE, "run.seed", "1");
    set_option(runs.config, "run.seed", "2");
    expect_ok(train(runs.config, runs.b, NULL));
    run_path(from, runs.a, "replay");
    run_path(to, runs.b, "replay");
    expect_ok(gn_path_remove(to));
    expect_ok(gn_path_rename(from, to));
    expect_fails(GN_ERR_STATE, "owner is", resume(runs.b, NULL));
    two_runs_close(&runs);
}

static void a_lost_replay_is_reported(void **state)
{
    (void)state;
    two_runs runs;
    char path[GN_PATH_SIZE];
    TWO_RUNS_OPEN(&runs, CARTPOLE, "run.seed", "1");
    run_path(path, runs.a, "replay");
    expect_ok(gn_path_remove(path));
    expect_fails(GN_ERR_CORRUPT, "none of its 2 checkpoints is whole", resume(runs.a, NULL));
    two_runs_close(&runs);
}

static void a_folder_serves_one_run_and_one_process(void **state)
{
    (void)state;
    two_runs runs;
    rl_trainer *trainer = NULL, *second = NULL;
    TWO_RUNS_OPEN(&runs, CARTPOLE, "run.seed", "1");
    expect_fails(GN_ERR_EXISTS, "exists and is not empty", train(runs.config, runs.a, NULL));
    expect_fails(GN_ERR_NOT_FOUND, "is not the folder of a run", resume(runs.b, NULL));
    expect_ok(rl_trainer_resume(&trainer, runs.config, runs.a, RL_NEWEST, NULL));
    expect_fails(GN_ERR_BUSY, "lock",
                 rl_trainer_resume(&second, runs.config, runs.a, RL_NEWEST, NULL));
    rl_trainer_destroy(&trainer);
    two_runs_close(&runs);
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
        { "replay.capacity", "2", GN_ERR_CONFIG },
        { "replay.path", "/", GN_ERR_EXISTS },
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

// --- failures

// Every checkpoint that is there is whole.
static void expect_whole_checkpoints(const char *run)
{
    char path[GN_PATH_SIZE];
    uint64_t *steps = NULL;
    size_t count = 0;
    run_path(path, run, "checkpoints");
    expect_ok(rl_snapshot_list(&steps, &count, path));
    for (size_t i = 0; i < count; i++) {
        rl_snapshot snapshot;
        expect_ok(rl_snapshot_read(&snapshot, path, steps[i]));
        rl_snapshot_free(&snapshot);
    }
    gn_free(&steps);
}

// A run whose n-th write, sync or rename fails, and its continuation, or its second start where it
// was not even begun. Returns whether it failed.
static bool survives_failed_write(two_runs *runs, uint64_t n)
{
    char ini[GN_PATH_SIZE];
    run_path(ini, runs->b, "run.ini");
    gn_file_fail_at(n, ENOSPC);
    gn_status status = train(runs->config, runs->b, NULL);
    gn_file_fail_at(0, 0);
    if (status != GN_OK) {
        assert_int_equal(status, GN_ERR_FULL);
        expect_whole_checkpoints(runs->b);
        if (gn_path_exists(ini))
            expect_ok(resume(runs->b, NULL));
        else
            expect_ok(train(runs->config, runs->b, NULL));
    }
    expect_same_outcome(runs->a, runs->b);
    expect_same_replay(runs->a, runs->b);
    expect_ok(gn_path_remove(runs->b));
    return status != GN_OK;
}

static void a_full_disk_at_any_write_costs_nothing_that_was_safe(void **state)
{
    (void)state;
    two_runs runs;
    uint64_t n = 1;
    TWO_RUNS_OPEN(&runs, CARTPOLE, "train.steps", "320", "checkpoint.every", "160");
    while (survives_failed_write(&runs, n))
        n++;
    assert_true(n > 30);
    two_runs_close(&runs);
}

static void a_failed_allocation_anywhere_leaves_nothing_behind(void **state)
{
    (void)state;
    two_runs runs;
    gn_status status = GN_ERR_MEMORY;
    TWO_RUNS_OPEN(&runs, TRADING, "train.steps", "320");
    uint64_t live = gn_mem_live();
    for (uint64_t n = 1; status != GN_OK; n += 1 + n / 20) {
        gn_mem_fail_at(n);
        status = train(runs.config, runs.b, NULL);
        gn_mem_fail_at(0);
        assert_true(status == GN_OK || status == GN_ERR_MEMORY);
        assert_int_equal(gn_mem_live(), live);
        expect_whole_checkpoints(runs.b);
        if (status == GN_OK)
            expect_same_outcome(runs.a, runs.b);
        expect_ok(gn_path_remove(runs.b));
    }
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
    for (int kind = 0; kind < KINDS; kind++) {
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

TEST_MAIN(the_same_seed_gives_the_same_bytes, several_environments_give_the_same_bytes_too,
          another_seed_gives_another_run, a_run_stopped_after_every_round_ends_the_same,
          an_older_checkpoint_leads_to_the_same_end,
          a_longer_run_goes_on_where_the_shorter_one_ended,
          a_damaged_checkpoint_is_passed_over_and_reported, a_run_without_checkpoint_starts_again,
          another_run_is_not_continued, changed_data_is_refused,
          the_replay_of_another_run_is_refused, a_lost_replay_is_reported,
          a_folder_serves_one_run_and_one_process, refused_options_write_nothing,
          a_full_disk_at_any_write_costs_nothing_that_was_safe,
          a_failed_allocation_anywhere_leaves_nothing_behind, rounds_allocate_nothing,
          metrics_tell_what_happened, checkpoints_are_kept_as_told)
