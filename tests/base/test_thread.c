// The worker: order, waiting, failures told once. Plain (not atomic) counters let the thread
// sanitizer see a missing hand-over.

#include "base/thread.h"

#include <string.h>

#include "base/mem.h"
#include "tests/support/check.h"

typedef struct log_of_jobs {
    int done[100];
    int count, next;
} log_of_jobs;

static gn_status note(void *user)
{
    log_of_jobs *jobs = user;
    jobs->done[jobs->count++] = jobs->next++;
    return GN_OK;
}

static gn_status fail_job(void *user)
{
    return gn_fail(GN_ERR_FULL, "%s: no space left", (const char *)user);
}

static void jobs_run_in_order(void **state)
{
    (void)state;
    log_of_jobs jobs = { 0 };
    gn_worker *worker = NULL;
    expect_ok(gn_worker_create(&worker));
    expect_ok(gn_worker_wait(worker)); // nothing was given
    for (int i = 0; i < 100; i++)
        expect_ok(gn_worker_start(worker, note, &jobs));
    expect_ok(gn_worker_wait(worker));
    assert_int_equal(jobs.count, 100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(jobs.done[i], i);
    gn_worker_destroy(&worker);
    assert_null(worker);
    gn_worker_destroy(&worker);
}

static void waiting_hands_the_results_over(void **state)
{
    (void)state;
    log_of_jobs jobs = { 0 };
    gn_worker *worker = NULL;
    expect_ok(gn_worker_create(&worker));
    for (int i = 0; i < 50; i++) {
        jobs.next = 2 * i; // ours while the worker is idle
        expect_ok(gn_worker_start(worker, note, &jobs));
        expect_ok(gn_worker_wait(worker));
        assert_int_equal(jobs.done[i], 2 * i);
    }
    gn_worker_destroy(&worker);
}

static void a_failure_is_told_once_with_its_text(void **state)
{
    (void)state;
    gn_worker *worker = NULL;
    expect_ok(gn_worker_create(&worker));
    expect_ok(gn_worker_start(worker, fail_job, "checkpoint 5"));
    expect_fails(GN_ERR_FULL, "checkpoint 5: no space left", gn_worker_wait(worker));
    expect_ok(gn_worker_wait(worker));
    gn_worker_destroy(&worker);
}

static void an_untold_failure_stops_the_next_job(void **state)
{
    (void)state;
    log_of_jobs jobs = { 0 };
    gn_worker *worker = NULL;
    expect_ok(gn_worker_create(&worker));
    expect_ok(gn_worker_start(worker, fail_job, "checkpoint 6"));
    expect_fails(GN_ERR_FULL, "checkpoint 6: no space left", gn_worker_start(worker, note, &jobs));
    expect_ok(gn_worker_wait(worker));
    assert_int_equal(jobs.count, 0);
    expect_ok(gn_worker_start(worker, note, &jobs));
    expect_ok(gn_worker_wait(worker));
    assert_int_equal(jobs.count, 1);
    gn_worker_destroy(&worker);
}

static void destroying_waits_for_the_job(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        log_of_jobs jobs = { 0 };
        gn_worker *worker = NULL;
        expect_ok(gn_worker_create(&worker));
        expect_ok(gn_worker_start(worker, note, &jobs));
        gn_worker_destroy(&worker);
        assert_int_equal(jobs.count, 1);
    }
}

static void workers_do_not_share_anything(void **state)
{
    (void)state;
    enum { WORKERS = 4 };
    gn_worker *worker[WORKERS] = { 0 };
    log_of_jobs jobs[WORKERS] = { 0 };
    for (int i = 0; i < WORKERS; i++)
        expect_ok(gn_worker_create(&worker[i]));
    for (int round = 0; round < 100; round++)
        for (int i = 0; i < WORKERS; i++)
            expect_ok(gn_worker_start(worker[i], note, &jobs[i]));
    for (int i = 0; i < WORKERS; i++) {
        gn_worker_destroy(&worker[i]);
        assert_int_equal(jobs[i].count, 100);
    }
}

static void a_failed_creation_leaves_nothing(void **state)
{
    (void)state;
    uint64_t live = gn_mem_live();
    gn_worker *worker = NULL;
    gn_mem_fail_at(1);
    expect_fails(GN_ERR_MEMORY, "cannot allocate", gn_worker_create(&worker));
    assert_null(worker);
    assert_int_equal(gn_mem_live(), live);
}

static void the_clock_does_not_run_backwards(void **state)
{
    (void)state;
    double last = gn_seconds();
    for (int i = 0; i < 1000; i++) {
        double now = gn_seconds();
        assert_true(now >= last);
        last = now;
    }
}

TEST_MAIN(jobs_run_in_order, waiting_hands_the_results_over, a_failure_is_told_once_with_its_text,
          an_untold_failure_stops_the_next_job, destroying_waits_for_the_job,
          workers_do_not_share_anything, a_failed_creation_leaves_nothing,
          the_clock_does_not_run_backwards)
