// Error lines: what is recorded, for whom, and how errno maps.

#include "base/status.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "tests/support/check.h"

static void every_status_has_its_text(void **state)
{
    (void)state;
    assert_string_equal(gn_status_text(GN_OK), "success");
    assert_string_equal(gn_status_text(GN_ERR_UNSUPPORTED), "not supported");
    for (int status = GN_OK; status <= GN_ERR_UNSUPPORTED; status++)
        assert_true(strlen(gn_status_text((gn_status)status)) > 0);
    assert_string_equal(gn_status_text((gn_status)1000), "unknown status");
}

static void records_the_reason_as_one_line(void **state)
{
    (void)state;
    assert_int_equal(gn_fail(GN_ERR_FORMAT, "row %d:\nbad\r%s", 7, "end"), GN_ERR_FORMAT);
    assert_string_equal(gn_error_text(), "row 7: bad end");
}

static void long_reasons_are_cut(void **state)
{
    (void)state;
    char text[3000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    gn_fail(GN_ERR_ARG, "%s", text);
    assert_int_equal(strlen(gn_error_text()), 1023);
    gn_fail_within(GN_ERR_ARG, "%s", text);
    assert_int_equal(strlen(gn_error_text()), 1023);
    gn_fail_errno(EIO, "%s", text);
    assert_int_equal(strlen(gn_error_text()), 1023);
}

static void context_goes_in_front(void **state)
{
    (void)state;
    gn_fail(GN_ERR_CONFIG, "alpha: 2 is outside [0, 1]");
    assert_int_equal(gn_fail_within(GN_ERR_CONFIG, "%s:%d", "run.ini", 3), GN_ERR_CONFIG);
    assert_string_equal(gn_error_text(), "run.ini:3: alpha: 2 is outside [0, 1]");
}

static void its_own_text_may_be_an_argument(void **state)
{
    (void)state;
    gn_fail(GN_ERR_IO, "reason");
    gn_fail(GN_ERR_IO, "first %s, then %s", gn_error_text(), gn_error_text());
    assert_string_equal(gn_error_text(), "first reason, then reason");
}

static void errno_becomes_a_status(void **state)
{
    (void)state;
    static const struct {
        int error;
        gn_status status;
    } cases[] = {
        { ENOSPC, GN_ERR_FULL }, { EDQUOT, GN_ERR_FULL },      { EFBIG, GN_ERR_FULL },
        { EIO, GN_ERR_IO },      { ENOENT, GN_ERR_NOT_FOUND }, { EEXIST, GN_ERR_EXISTS },
        { EACCES, GN_ERR_IO },   { ENOMEM, GN_ERR_MEMORY },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_fails(cases[i].status, strerror(cases[i].error),
                     gn_fail_errno(cases[i].error, "%s: cannot write", "a/b"));
    assert_memory_equal(gn_error_text(), "a/b: cannot write: ", 19);
}

static void *fail_elsewhere(void *seen)
{
    *(size_t *)seen = strlen(gn_error_text());
    gn_fail(GN_ERR_IO, "elsewhere");
    return NULL;
}

static void each_thread_has_its_own_reason(void **state)
{
    (void)state;
    gn_fail(GN_ERR_ARG, "here");
    pthread_t thread;
    size_t seen = 1;
    assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, &seen), 0);
    pthread_join(thread, NULL);
    assert_int_equal(seen, 0);
    assert_string_equal(gn_error_text(), "here");
}

static gn_status two_steps(gn_status first, int *ret_reached)
{
    GN_TRY(first);
    *ret_reached = 1;
    return GN_OK;
}

static void try_returns_at_the_first_failure(void **state)
{
    (void)state;
    int reached = 0;
    assert_int_equal(two_steps(GN_ERR_EMPTY, &reached), GN_ERR_EMPTY);
    assert_int_equal(reached, 0);
    expect_ok(two_steps(GN_OK, &reached));
    assert_int_equal(reached, 1);
}

TEST_MAIN(every_status_has_its_text, records_the_reason_as_one_line, long_reasons_are_cut,
          context_goes_in_front, its_own_text_may_be_an_argument, errno_becomes_a_status,
          each_thread_has_its_own_reason, try_returns_at_the_first_failure)
