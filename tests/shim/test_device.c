#include "shim/device.h"

#include <stdio.h>
#include <string.h>

#include "shim/torch.h"
#include "tests/support/check.h"

static void keep_line(void *user, gn_log_level level, const char *line)
{
    assert_int_equal(level, GN_LOG_INFO);
    strncat(user, line, 255);
}

static const device untouched = { .kind = (device_kind)-1 };

static void expect_kind(const char *name, bool large, device_kind expected, gn_log *log)
{
    device on = untouched;
    expect_ok(device_resolve(&on, name, large, log));
    assert_int_equal(on.kind, expected);
}

// Where there is no device; where there is one these names lead to it.
static void cuda_is_refused_or_there(void **state)
{
    (void)state;
    static const char *const names[] = { "cuda", "cuda:0", "cuda:9999" };
    char lines[256] = "";
    gn_log log = { keep_line, lines };
    bool there = torch_cuda_open(0) == GN_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        device on = untouched;
        char prefix[64];
        snprintf(prefix, sizeof prefix, "run.device: %s: %s", names[i],
                 there ? "no device" : "LibTorch ");
        if (there && i < 2)
            expect_kind(names[i], false, DEVICE_CUDA, NULL);
        else
            expect_fails(GN_ERR_UNSUPPORTED, prefix, device_resolve(&on, names[i], false, NULL));
    }
    expect_kind("auto", true, there ? DEVICE_CUDA : DEVICE_CPU, &log);
    assert_non_null(strstr(lines, there ? "computing on cuda:0" : "computing on the CPU"));
}

static void resolves_names(void **state)
{
    (void)state;
    char lines[256] = "";
    gn_log log = { keep_line, lines };
    expect_kind("cpu", true, DEVICE_CPU, &log);
    expect_kind("torch", false, DEVICE_TORCH, &log);
    assert_string_equal(lines, "");
    expect_kind("auto", false, DEVICE_CPU, &log);
    assert_non_null(strstr(lines, "the network has no encoder"));
    expect_kind("auto", false, DEVICE_CPU, NULL);
}

static void refuses_what_is_no_name(void **state)
{
    (void)state;
    static const char *const names[] = { "",           "gpu",     "cuda:",   "cuda:x",
                                         "cuda1",      "CPU",     "cuda:1x", "cuda:-1",
                                         "cuda:99999", "torch:0", "cp" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        device on = untouched;
        expect_fails(GN_ERR_CONFIG, "is none of cpu, torch, cuda, cuda:N, auto",
                     device_resolve(&on, names[i], true, NULL));
        assert_int_equal(on.kind, untouched.kind);
    }
}

TEST_MAIN(cuda_is_refused_or_there, resolves_names, refuses_what_is_no_name)
