// kill -9 at random instants, then resume: the run ends with the same bytes as one that nothing
// interrupted.

#include "tests/cli/command.h"
#include "tests/rl/compare_runs.h"

enum { KILLED_RUNS = 5, MAX_KILLS = 4 };

// Starts or continues the run; kills it at `after` seconds unless that is 0. Returns whether it was
// killed before its end.
static bool go_on(const small_run *small, int kind, const char *folder, double after)
{
    const command_plan plan = { .signal = after > 0 ? SIGKILL : 0, .after = after };
    command_words words = { 0 };
    char ini[GN_PATH_SIZE];
    run_path(ini, folder, "run.ini");
    if (gn_path_exists(ini))
        ADD_WORDS(&words, "resume", folder);
    else // also where it was killed before there was a run
        words = small_train(small, kind, folder);
    command_result result = run_planned(&plan, words.word);
    if (result.status == 1000 + SIGKILL)
        return true;
    EXPECT_EXIT(0, result);
    return false;
}

// The run from its start to its end; returns the seconds it took.
static double run_whole(const small_run *small, int kind, const char *folder)
{
    double begin = gn_seconds();
    assert_false(go_on(small, kind, folder, 0));
    return gn_seconds() - begin;
}

// Kills the run once or more at instants uniform over `duration`, then lets it end. Where the
// machine is now faster than `duration` says, the run may end first: then it begins again.
static int run_killed(const small_run *small, int kind, const char *folder, double duration,
                      test_rng *rng)
{
    int kills = 0;
    while (!go_on(small, kind, folder, duration * test_rng_unit(rng)))
        expect_ok(gn_path_remove(folder));
    do
        kills++;
    while (kills < MAX_KILLS && test_rng_below(rng, 2) &&
           go_on(small, kind, folder, duration * test_rng_unit(rng)));
    assert_false(go_on(small, kind, folder, 0));
    return kills;
}

static void killed_runs_end_like_the_one_that_was_not(int kind)
{
    small_run small;
    char whole[GN_PATH_SIZE], killed[GN_PATH_SIZE];
    test_rng rng = test_rng_seed((uint64_t)kind + 1);
    int kills = 0;
    small_run_open(&small);
    small_run_market(&small);
    run_path(whole, small.folder, "whole");
    run_path(killed, small.folder, "killed");
    double duration = run_whole(&small, kind, whole);
    for (int run = 0; run < KILLED_RUNS; run++) {
        kills += run_killed(&small, kind, killed, duration, &rng);
        expect_same_outcome(whole, killed);
        expect_same_replay(whole, killed);
        expect_same_file(whole, killed, "run.ini");
        expect_ok(gn_path_remove(killed));
    }
    print_message("%d kills in %d runs of %.2f s\n", kills, KILLED_RUNS, duration);
    test_temp_remove(small.folder);
}

static void a_killed_trading_run_ends_the_same(void **state)
{
    (void)state;
    killed_runs_end_like_the_one_that_was_not(COMMAND_TRADING);
}

static void a_killed_cartpole_run_ends_the_same(void **state)
{
    (void)state;
    killed_runs_end_like_the_one_that_was_not(COMMAND_CARTPOLE);
}

TEST_MAIN(a_killed_trading_run_ends_the_same, a_killed_cartpole_run_ends_the_same)
