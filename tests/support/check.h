// What every test program uses: cmocka, checks of a gn_status, random numbers that do not come from
// the code under test, folders, and main.

#ifndef TESTS_SUPPORT_CHECK_H
#define TESTS_SUPPORT_CHECK_H

// cmocka.h needs the first four.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>

#include "base/file.h"
#include "base/status.h"

// The call returns GN_OK; prints its error text if not.
#define expect_ok(call) \
    do { \
        gn_status test_status_ = (call); \
        if (test_status_ != GN_OK) \
            test_failed_call(test_status_, #call, __FILE__, __LINE__); \
    } while (0)

// The call fails with this status, and the error text contains `part`.
#define expect_fails(status, part, call) \
    test_check_failure((status), (part), (call), #call, __FILE__, __LINE__)

// main of a test program: runs the test functions named, in this order.
#define TEST_MAIN(...) \
    int main(void) \
    { \
        const CMUnitTestFunction tests[] = { __VA_ARGS__ }; \
        return test_main(__FILE__, #__VA_ARGS__, tests, sizeof tests / sizeof *tests); \
    }

// A random stream (SplitMix64).
typedef struct test_rng {
    uint64_t state;
} test_rng;

test_rng test_rng_seed(uint64_t seed);
uint64_t test_rng_next(test_rng *rng);
uint64_t test_rng_below(test_rng *rng, uint64_t bound); // [0, bound)
double test_rng_unit(test_rng *rng); // [0, 1)

// Path of a shared file, such as "data/x.csv", below $GANNET_SHARED or else ../shared (tests run in
// the source root). Where it is missing, says so and returns false; then call skip().
bool test_shared_path(char ret_path[GN_PATH_SIZE], const char *name);

// A fresh folder below $TMPDIR or /tmp, and its removal with everything in it.
void test_temp_folder(char ret_path[GN_PATH_SIZE]);
void test_temp_remove(const char *path);

// Root may write whatever permissions say. Makes permissions count for this thread and those it
// starts, until test_disobey_permissions; the owner of files stays the same. Where the system does
// not let it, says so and returns false. Programs that are executed meanwhile are not bound.
bool test_obey_permissions(void);
void test_disobey_permissions(void);

// Behind the macros.
_Noreturn void test_failed_call(gn_status status, const char *call, const char *file, int line);
void test_check_failure(gn_status expected, const char *part, gn_status status, const char *call,
                        const char *file, int line);
int test_main(const char *file, const char *names, const CMUnitTestFunction *tests, size_t count);

#endif
