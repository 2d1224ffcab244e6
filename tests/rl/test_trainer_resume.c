// Interrupting the training loop: stopped, killed, damaged, out of space, it ends with the same
// bytes; and it does not continue what is another run.

#include "rl/trainer.h"

#include <errno.h>

#include "tests/rl/small_training.h"

// --- interruptions

static void a_run_stopped_after_every_round_ends_the_same(void **state)
{
    (void)state;
    static const char *const replay[] = { "replay", "none" };
    for (int kind = 0; kind <= TRADING; kind++) {
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

// Everything LibTorch keeps of a device is saved too.
static void a_run_on_another_device_ends_the_same(void **state)
{
    (void)state;
    two_runs runs;
    volatile sig_atomic_t stop = 1;
    TWO_RUNS_OPEN(&runs, TRADING, "run.device", "torch", "network.encoder", "lstm", "agent.noisy",
                  "true", "trading.window", "4", "train.batch_schedule", "auto");
    expect_ok(train(runs.config, runs.b, &(rl_hooks){ .stop = &stop }));
    for (uint64_t step = 80; step <= 400; step += 40)
        expect_ok(resume(runs.b, &(rl_hooks){ .stop = &stop }));
    expect_ok(resume(runs.b, NULL));
    expect_same_outcome(runs.a, runs.b);
    two_runs_close(&runs);
}

static void pixels_continue_with_the_same_bytes_too(void **state)
{
    (void)state;
    static const char *const options[][8] = {
        { "run.env", "catch", "catch.rows", "7", "catch.columns", "7", "catch.noise", "0.05" },
        { "trading.observation", "chart", "trading.window", "1", "train.envs", "2", "split.embargo",
          "4" },
    };
    for (int kind = 0; kind <= TRADING; kind++) {
        const char *const *o = options[kind];
        two_runs runs;
        volatile sig_atomic_t stop = 1;
        TWO_RUNS_OPEN(&runs, kind, "catch.stack", "1", o[0], o[1], o[2], o[3], o[4], o[5], o[6],
                      o[7], "train.steps", "400");
        expect_ok(train(runs.config, runs.b, &(rl_hooks){ .stop = &stop }));
        expect_ok(resume(runs.b, &(rl_hooks){ .stop = &stop }));
        expect_ok(resume(runs.b, NULL));
        expect_same_outcome(runs.a, runs.b);
        two_runs_close(&runs);
    }
}

// The size is part of what a checkpoint keeps, and so are the means that lead it.
static void a_batch_of_changing_size_survives_interruptions(void **state)
{
    (void)state;
    static const char *const schedule[] = { "auto", "linear" };
    for (int i = 0; i < 2; i++) {
        two_runs runs;
        volatile sig_atomic_t stop = 1;
        const rl_hooks hooks = { .stop = &stop };
        TWO_RUNS_OPEN(&runs, TRADING, "train.batch_schedule", schedule[i], "train.updates", "40",
                      "optimizer.batch_scaling", "sqrt");
        char *metrics = metrics_without_timing(runs.a);
        assert_non_null(strstr(metrics, "\"batch\":16"));
        assert_non_null(strstr(metrics, "\"batch\":64"));
        assert_int_equal(strstr(metrics, "\"noise_scale\":") != NULL, i == 0);
        expect_ok(train(runs.config, runs.b, &hooks));
        for (uint64_t step = 40; step <= 1000; step += 20)
            expect_ok(resume(runs.b, &hooks));
        expect_same_outcome(runs.a, runs.b);
        gn_free(&metrics);
        two_runs_close(&runs);
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
    volatile sig_atomic_t stop = 1;
    expect_ok(resume_from(runs.b, 400, &(rl_hooks){ .stop = &stop }));
    assert_int_equal(newest_step(runs.b, "checkpoints"), 420); // those after 400 are gone,
    assert_int_equal(newest_step(runs.b, "best"), 300); // the weights of 600 and 900 too
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

static void lost_metrics_are_reported_and_the_run_goes_on(void **state)
{
    (void)state;
    two_runs runs;
    gn_text told = { 0 };
    const gn_log log = { .write = keep_line, .user = &told };
    char path[GN_PATH_SIZE];
    TWO_RUNS_OPEN(&runs, TRADING, "run.seed", "1");
    for (int i = 0; i < 2; i++) {
        expect_ok(train(runs.config, runs.b, NULL));
        run_path(path, runs.b, "metrics.jsonl");
        if (i == 0)
            expect_ok(gn_path_remove(path));
        else
            write_text(path, "{}\n");
        expect_ok(resume_from(runs.b, 800, &(rl_hooks){ .log = &log }));
        assert_non_null(strstr(gn_text_data(&told), i == 0 ? "metrics.jsonl: 0 bytes of the "
                                                           : "metrics.jsonl: 3 bytes of the "));
        expect_same_file(runs.a, runs.b, "checkpoints/1000/weights.safetensors");
        gn_text_free(&told);
        expect_ok(gn_path_remove(runs.b));
    }
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
    volatile sig_atomic_t stop = 1;
    expect_ok(resume(runs.b, &(rl_hooks){ .stop = &stop }));
    run_path(path, runs.b, "best");
    assert_false(gn_path_exists(path));
    expect_ok(gn_path_remove(runs.b));
    expect_ok(train(runs.config, runs.b, NULL));
    run_path(path, runs.b, "checkpoints");
    expect_ok(gn_path_remove(path));
    expect_ok(resume(runs.b, NULL));
    expect_same_outcome(runs.a, runs.b);
    expect_same_replay(runs.a, runs.b);
    two_runs_close(&runs);
}

// --- refusals

// The checkpoint of `step`, whole in itself, whose replay store is said to be another.
static void rename_replay(const char *run, uint64_t step)
{
    char folder[GN_PATH_SIZE];
    rl_snapshot snapshot;
    run_path(folder, run, "checkpoints");
    expect_ok(rl_snapshot_read(&snapshot, folder, step));
    snapshot.info.replay_checksum ^= 1;
    expect_ok(rl_snapshot_write(folder, &snapshot.info, snapshot.weights, snapshot.weights_size,
                                &snapshot.state, 1));
    rl_snapshot_free(&snapshot);
}

static void remove_generation(const char *run, uint64_t step)
{
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    MDB_dbi generations;
    char path[GN_PATH_SIZE];
    run_path(path, run, "replay");
    EXPECT_LMDB(mdb_env_create(&env));
    EXPECT_LMDB(mdb_env_set_maxdbs(env, 16));
    EXPECT_LMDB(mdb_env_open(env, path, MDB_NOLOCK, 0));
    EXPECT_LMDB(mdb_txn_begin(env, NULL, 0, &txn));
    EXPECT_LMDB(mdb_dbi_open(txn, "generation", 0, &generations));
    EXPECT_LMDB(mdb_del(txn, generations, &(MDB_val){ sizeof step, &step }, NULL));
    EXPECT_LMDB(mdb_txn_commit(txn));
    mdb_env_close(env);
}

static void a_continuation_that_fails_takes_nothing_back(void **state)
{
    (void)state;
    static const struct {
        void (*harm)(const char *run, uint64_t step);
        gn_status status;
        const char *part;
    } cases[] = {
        { rename_replay, GN_ERR_CORRUPT, "" },
        { remove_generation, GN_ERR_NOT_FOUND, "no generation 800" },
    };
    char path[GN_PATH_SIZE];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        two_runs runs;
        TWO_RUNS_OPEN(&runs, TRADING, "run.seed", "1");
        expect_ok(train(runs.config, runs.b, NULL));
        run_path(path, runs.b, "metrics.jsonl");
        file_bytes before = read_bytes(path);
        cases[i].harm(runs.b, 800);
        expect_fails(cases[i].status, cases[i].part, resume_from(runs.b, 800, NULL));
        file_bytes after = read_bytes(path);
        assert_int_equal(after.size, before.size);
        assert_memory_equal(after.data, before.data, before.size);
        expect_same_outcome(runs.a, runs.b);
        expect_ok(resume(runs.b, NULL));
        expect_same_outcome(runs.a, runs.b);
        gn_free(&before.data);
        gn_free(&after.data);
        two_runs_close(&runs);
    }
}

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
    TWO_RUNS_OPEN(&runs, CARTPOLE, "replay.path", "none"); // whose own lock would hide ours
    expect_fails(GN_ERR_EXISTS, "exists and is not empty", train(runs.config, runs.a, NULL));
    expect_fails(GN_ERR_NOT_FOUND, "is not the folder of a run", resume(runs.b, NULL));
    expect_ok(rl_trainer_resume(&trainer, runs.config, runs.a, RL_NEWEST, NULL));
    expect_fails(GN_ERR_BUSY, "lock",
                 rl_trainer_resume(&second, runs.config, runs.a, RL_NEWEST, NULL));
    rl_trainer_destroy(&trainer);
    two_runs_close(&runs);
}

// --- failures

// The checkpoint of `step` with weights so large that no loss of theirs is finite.
static void enlarge_weights(const char *run, uint64_t step)
{
    char folder[GN_PATH_SIZE];
    rl_snapshot snapshot;
    uint64_t header = 0;
    const float large = 1e30f;
    run_path(folder, run, "checkpoints");
    expect_ok(rl_snapshot_read(&snapshot, folder, step));
    memcpy(&header, snapshot.weights, sizeof header);
    for (size_t at = sizeof header + header; at < snapshot.weights_size; at += sizeof large)
        memcpy((char *)snapshot.weights + at, &large, sizeof large);
    expect_ok(rl_snapshot_write(folder, &snapshot.info, snapshot.weights, snapshot.weights_size,
                                &snapshot.state, 1));
    rl_snapshot_free(&snapshot);
}

static void numbers_gone_wrong_leave_the_weights_of_before(void **state)
{
    (void)state;
    two_runs runs;
    char from[GN_PATH_SIZE], to[GN_PATH_SIZE];
    TWO_RUNS_OPEN(&runs, CARTPOLE, "eval.every", "0");
    enlarge_weights(runs.a, 800);
    expect_fails(GN_ERR_NUMERIC, "loss is", resume_from(runs.a, 800, NULL));
    assert_int_equal(newest_step(runs.a, "checkpoints"), 800);
    assert_int_equal(newest_step(runs.a, "last-good"), 820);
    run_path(from, runs.a, "checkpoints/800/weights.safetensors");
    run_path(to, runs.a, "last-good/820/weights.safetensors");
    file_bytes before = read_bytes(from), kept = read_bytes(to);
    assert_int_equal(kept.size, before.size);
    assert_memory_equal(kept.data, before.data, before.size);
    gn_free(&before.data);
    gn_free(&kept.data);
    two_runs_close(&runs);
}

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

TEST_MAIN(a_run_stopped_after_every_round_ends_the_same, a_run_on_another_device_ends_the_same,
          pixels_continue_with_the_same_bytes_too, a_batch_of_changing_size_survives_interruptions,
          an_older_checkpoint_leads_to_the_same_end,
          a_longer_run_goes_on_where_the_shorter_one_ended,
          a_damaged_checkpoint_is_passed_over_and_reported, a_run_without_checkpoint_starts_again,
          lost_metrics_are_reported_and_the_run_goes_on,
          a_continuation_that_fails_takes_nothing_back, another_run_is_not_continued,
          changed_data_is_refused, the_replay_of_another_run_is_refused, a_lost_replay_is_reported,
          a_folder_serves_one_run_and_one_process, numbers_gone_wrong_leave_the_weights_of_before,
          a_full_disk_at_any_write_costs_nothing_that_was_safe,
          a_failed_allocation_anywhere_leaves_nothing_behind)
