// The parts of check.h that are not macros.

#define _GNU_SOURCE // syscall
#include "tests/support/check.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

_Noreturn void test_failed_call(gn_status status, const char *call, const char *file, int line)
{
    print_error("%s\n    failed: %s: %s\n", call, gn_status_text(status), gn_error_text());
    _fail(file, line);
    abort(); // _fail jumps out of the test
}

void test_check_failure(gn_status expected, const char *part, gn_status status, const char *call,
                        const char *file, int line)
{
    if (status == expected && strstr(gn_error_text(), part) != NULL)
        return;
    print_error("%s\n    expected: %s: ...%s...\n    found:    %s: %s\n", call,
                gn_status_text(expected), part, gn_status_text(status),
                status == GN_OK ? "" : gn_error_text());
    _fail(file, line);
}

// `names` is the source text of the list of functions: "a, b, c".
int test_main(const char *file, const char *names, const CMUnitTestFunction *tests, size_t count)
{
    char *copy = strdup(names);
    struct CMUnitTest *table = calloc(count, sizeof *table);
    char *rest = copy;
    for (size_t i = 0; i < count; i++)
        table[i] =
            (struct CMUnitTest){ .name = strtok_r(rest, ", ", &rest), .test_func = tests[i] };
    int failures = _cmocka_run_group_tests(file, table, count, NULL, NULL);
    free(table);
    free(copy);
    return failures;
}

test_rng test_rng_seed(uint64_t seed)
{
    return (test_rng){ seed };
}

// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
uint64_t test_rng_next(test_rng *rng)
{
    uint64_t z = rng->state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

uint64_t test_rng_below(test_rng *rng, uint64_t bound)
{
    return test_rng_next(rng) % bound;
}

double test_rng_unit(test_rng *rng)
{
    return (double)(test_rng_next(rng) >> 11) * 0x1p-53;
}

bool test_shared_path(char ret_path[GN_PATH_SIZE], const char *name)
{
    const char *shared = getenv("GANNET_SHARED");
    expect_ok(gn_path_join(ret_path, shared != NULL ? shared : "../shared", name));
    if (gn_path_exists(ret_path))
        return true;
    print_message("SKIP: %s is not there (GANNET_SHARED names the folder)\n", ret_path);
    return false;
}

void test_temp_folder(char ret_path[GN_PATH_SIZE])
{
    expect_ok(gn_folder_create_temporary(ret_path, NULL));
}

void test_temp_remove(const char *path)
{
    expect_ok(gn_path_remove(path));
}

// The two capabilities by which root passes over permissions; who is not root has neither.
static bool set_override(bool on)
{
    const uint32_t override = 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH;
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    if (syscall(SYS_capget, &head, data) != 0)
        return false;
    data[0].effective &= ~override;
    if (on)
        data[0].effective |= data[0].permitted & override;
    return syscall(SYS_capset, &head, data) == 0;
}

bool test_obey_permissions(void)
{
    if (set_override(false))
        return true;
    print_message("SKIP: this system does not let root obey permissions\n");
    return false;
}

void test_disobey_permissions(void)
{
    assert_true(set_override(true));
}
