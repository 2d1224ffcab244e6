#include "shim/device.h"

#include <string.h>

#include "tests/support/check.h"

static void keep_line(void *user, gn_log_level level, const char *line)
{
    assert_int_equal(level, GN_LOG_INFO);
    strncat(user, line, 255);
}

static void resolves_names(void **state)
{
    (void)state;
    char lines[256] = "";
    gn_log log = { keep_line, lines };
    device_kind device = (device_kind)-1;
    expect_ok(device_resolve(&device, "cpu", &log));
    assert_int_equal(device, DEVICE_CPU);
    assert_string_equal(lines, "");
    device = (device_kind)-1;
    expect_ok(device_resolve(&device, "auto", &log));
    assert_int_equal(device, DEVICE_CPU);
    assert_non_null(strstr(lines, "computing on the CPU"));
    expect_ok(device_resolve(&device, "auto", NULL));
}

static void refuses_what_there_is_not(void **state)
{
    (void)state;
    device_kind device = (device_kind)-1;
    expect_fails(GN_ERR_UNSUPPORTED, "run.device: cuda: ", device_resolve(&device, "cuda", NULL));
    expect_fails(GN_ERR_UNSUPPORTED,
                 "run.device: cuda:1: ", device_resolve(&device, "cuda:1", NULL));
    static const char *const names[] = { "", "gpu", "cuda:", "cuda:x", "cuda1", "CPU" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        expect_fails(GN_ERR_CONFIG, "is none of cpu, cuda, cuda:N, auto",
                     device_resolve(&device, names[i], NULL));
    assert_int_equal(device, (device_kind)-1);
}

TEST_MAIN(resolves_names, refuses_what_there_is_not)
