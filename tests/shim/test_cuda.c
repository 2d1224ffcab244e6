// Opening the library of CUDA code: what is missing is named, and nothing crashes without it.

#include "shim/cuda.h"

#include <string.h>

#include "tests/support/check.h"

static void names_a_library_that_is_missing_or_none(void **state)
{
    (void)state;
    const cuda_runtime *cuda = NULL;
    expect_fails(GN_ERR_UNSUPPORTED, "no library of CUDA code: /nowhere/libgannet_cuda.so",
                 cuda_open(&cuda, "/nowhere/libgannet_cuda.so", 0));
    expect_fails(GN_ERR_UNSUPPORTED, "libm.so.6: is no library of Gannet",
                 cuda_open(&cuda, "libm.so.6", 0));
    assert_null(cuda);
}

static void opens_a_device_or_says_what_is_missing(void **state)
{
    (void)state;
    const cuda_runtime *cuda = NULL;
    gn_status status = cuda_open(&cuda, NULL, 0);
    if (status == GN_OK) {
        assert_string_equal(cuda->version, GANNET_VERSION);
        expect_fails(GN_ERR_UNSUPPORTED, "cuda:1000: no device: there are ",
                     cuda_open(&cuda, NULL, 1000));
        expect_ok(cuda_need(cuda, 0, "nothing"));
        expect_fails(GN_ERR_BACKEND, "cuda: something: ", cuda_need(cuda, 1, "something"));
        return;
    }
    assert_int_equal(status, GN_ERR_UNSUPPORTED);
    assert_null(cuda);
    const char *text = gn_error_text();
    assert_true(strstr(text, "no library of CUDA code: libgannet_cuda.so") ||
                strstr(text, "cuda: no device: "));
}

TEST_MAIN(names_a_library_that_is_missing_or_none, opens_a_device_or_says_what_is_missing)
