// kill -9 at random instants of runs of every kind: codecs, durabilities, priorities, streams,
// stacks. After each: the store verifies clean, the last promised generation is there and holds
// what a twin in RAM holds, and the run goes on from it to the same.
//
// Builds with sanitizers make a fifth of the kills.

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "replay/verify.h"
#include "tests/replay/mixed.h"

typedef struct promise {
    uint64_t generation, state; // of it: its checksum
} promise;

// The child: a run that goes on from a promise until it is killed, and says what it committed.
// Every other commit is waited for only after the next steps.
static void run_until_killed(const mixed *kind, const char *folder, promise from, step_feed feed,
                             int out)
{
    replay_buffer *buffer = mixed_open(kind, folder);
    if (from.generation > 0)
        expect_ok(replay_buffer_rollback(buffer, from.generation, from.state));
    else
        expect_ok(replay_buffer_clear(buffer)); // generations nobody was told of
    bool pending = false;
    for (;;) {
        mixed_round(&feed, buffer, NULL, NULL);
        if (pending) {
            expect_ok(replay_buffer_await(buffer, &from.state));
            if (write(out, &from, sizeof from) != sizeof from)
                _exit(1);
        }
        from.generation++;
        expect_ok(replay_buffer_commit(buffer, from.generation,
                                       from.generation > 2 ? from.generation - 2 : 0));
        pending = from.generation % 2;
        if (!pending) {
            expect_ok(replay_buffer_await(buffer, &from.state));
            if (write(out, &from, sizeof from) != sizeof from)
                _exit(1);
        }
    }
}

// Starts a run, kills it some time after its first promises, or before any; returns the last.
static promise kill_a_run(const mixed *kind, const char *folder, promise from, step_feed feed,
                          test_rng *rng)
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        run_until_killed(kind, folder, from, feed, ends[1]);
    }
    close(ends[1]);
    promise last = from;
    for (uint64_t heard = test_rng_below(rng, 5); heard > 0; heard--)
        assert_int_equal(read(ends[0], &last, sizeof last), sizeof last);
    volatile uint64_t spin = test_rng_below(rng, 4000000); // up to about two rounds
    while (spin > 0)
        spin--;
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    while (read(ends[0], &last, sizeof last) == sizeof last)
        ;
    close(ends[0]);
    return last;
}

// ret_models: those in the store.
static void expect_sound(const char *folder, promise last, size_t *ret_models)
{
    *ret_models = 0;
    replay_findings findings = { 0 };
    replay_verified verified = { 0 };
    gn_status status = replay_verify(folder, &findings, &verified);
    if (last.generation == 0 && (status == GN_ERR_NOT_FOUND || status == GN_ERR_EMPTY))
        return; // killed before there was anything
    expect_ok(status);
    if (findings.count > 0)
        fail_msg("%s", findings.line[0]);
    replay_view *view;
    expect_ok(replay_view_open(&view, folder, NULL));
    *ret_models = view->models;
    replay_view_close(&view);
}

static void promised_generations_survive_kill_9(void **state)
{
    (void)state;
    enum { KINDS = 25, KILLS = 8 };
    test_rng rng = test_rng_seed(4);
    uint64_t generations = 0;
    size_t models = 0;
    for (int i = 0; i < mixed_rounds(KINDS); i++) {
        char folder[GN_PATH_SIZE];
        test_temp_folder(folder);
        mixed kind = mixed_draw(&rng, (uint64_t)i);
        replay_buffer *twin = mixed_open_twin(&kind);
        step_feed feed = feed_seed(100 + (uint64_t)i, kind.spec.streams);
        promise last = { 0 };
        for (int kills = 0; kills < KILLS; kills++) {
            uint64_t generation = last.generation;
            last = kill_a_run(&kind, folder, last, feed, &rng);
            for (; generation < last.generation; generation++)
                mixed_round(&feed, twin, NULL, NULL);
            size_t there;
            expect_sound(folder, last, &there);
            models += there;
            if (last.generation == 0)
                continue;
            replay_buffer *buffer = mixed_open(&kind, folder);
            expect_ok(replay_buffer_rollback(buffer, last.generation, last.state));
            assert_int_equal(feed_checksum(buffer), feed_checksum(twin));
            replay_buffer_destroy(&buffer);
        }
        generations += last.generation;
        replay_buffer_destroy(&twin);
        test_temp_remove(folder);
    }
    assert_true(generations > 0 && models > 0);
}

TEST_MAIN(promised_generations_survive_kill_9)
