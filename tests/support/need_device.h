// A device for a test that needs one: that of the machine, or the emulated one that
// tests/meson.build gives to a second run of the test.

#ifndef TESTS_SUPPORT_NEED_DEVICE_H
#define TESTS_SUPPORT_NEED_DEVICE_H

#include <stdlib.h>

#include "shim/cuda.h"
#include "tests/support/check.h"

// What the emulated one's table finds the error by that all its calls return: an int.
#define EMULATION_ERROR "emulation_error"

// Says SKIP and why where there is none; an emulated one must be there.
static inline const cuda_runtime *need_device(void)
{
    const cuda_runtime *cuda = NULL;
    gn_status status = cuda_open(&cuda, NULL, 0);
    if (status == GN_OK)
        return cuda;
    assert_int_equal(status, GN_ERR_UNSUPPORTED);
    if (getenv("GANNET_EMULATED_DEVICE"))
        fail_msg("the emulated device was not opened: %s", gn_error_text());
    print_message("SKIP: %s\n", gn_error_text());
    skip();
    return NULL;
}

#endif
