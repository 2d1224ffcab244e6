// Allocation: zeroed, aligned, counted, refusing what cannot be, failing on demand.

#include "base/mem.h"

#include <string.h>

#include "tests/support/check.h"

static void blocks_are_zero_and_aligned(void **state)
{
    (void)state;
    for (size_t size = 0; size < 300; size += 7) {
        unsigned char *block = NULL;
        expect_ok(gn_alloc(&block, size, 3));
        assert_int_equal((uintptr_t)block % GN_MEM_ALIGNMENT, 0);
        for (size_t i = 0; i < 3 * size; i++)
            assert_int_equal(block[i], 0);
        memset(block, 0xff, 3 * size); // so that the next block is not zero by luck
        gn_free(&block);
        assert_null(block);
    }
}

static void grown_blocks_keep_their_contents(void **state)
{
    (void)state;
    uint32_t *values = NULL;
    expect_ok(gn_grow(&values, 0, 5, sizeof *values));
    for (uint32_t i = 0; i < 5; i++)
        values[i] = i + 1;
    expect_ok(gn_grow(&values, 5, 1000, sizeof *values));
    assert_int_equal((uintptr_t)values % GN_MEM_ALIGNMENT, 0);
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(values[i], i < 5 ? i + 1 : 0);
    gn_free(&values);
}

static void copies_text(void **state)
{
    (void)state;
    char *copy = NULL;
    expect_ok(gn_copy_text(&copy, "close"));
    assert_string_equal(copy, "close");
    gn_free(&copy);
    expect_ok(gn_copy_text(&copy, ""));
    assert_string_equal(copy, "");
    gn_free(&copy);
}

static void impossible_sizes_fail_and_change_nothing(void **state)
{
    (void)state;
    int here = 7, *block = &here;
    expect_fails(GN_ERR_MEMORY, "18446744073709551615 x 4 bytes", gn_alloc(&block, SIZE_MAX, 4));
    expect_fails(GN_ERR_MEMORY, "bytes", gn_alloc(&block, SIZE_MAX / 2 + 2, 2)); // wraps to 2
    expect_fails(GN_ERR_MEMORY, "bytes", gn_alloc(&block, SIZE_MAX, 1));
    assert_ptr_equal(block, &here);

    expect_ok(gn_alloc(&block, 3, sizeof *block));
    block[2] = 9;
    expect_fails(GN_ERR_MEMORY, "bytes", gn_grow(&block, 3, SIZE_MAX, sizeof *block));
    assert_int_equal(block[2], 9);
    gn_free(&block);
}

static void counts_what_lives(void **state)
{
    (void)state;
    uint64_t made = gn_mem_allocations(), live = gn_mem_live();
    char *a = NULL, *b = NULL;
    expect_ok(gn_alloc(&a, 1, 1));
    expect_ok(gn_alloc(&b, 1, 1));
    expect_ok(gn_grow(&b, 1, 2, 1));
    assert_int_equal(gn_mem_allocations() - made, 3);
    assert_int_equal(gn_mem_live() - live, 2);
    gn_free(&a);
    gn_free(&a); // nothing left to free: counts nothing
    gn_free(&b);
    assert_int_equal(gn_mem_live(), live);
    assert_int_equal(gn_mem_allocations() - made, 3);
}

static void only_the_chosen_allocation_fails(void **state)
{
    (void)state;
    uint64_t made = gn_mem_allocations();
    gn_mem_fail_at(3);
    for (int i = 1; i <= 5; i++) {
        char *block = NULL;
        gn_status status = gn_alloc(&block, 8, 1);
        assert_int_equal(status, i == 3 ? GN_ERR_MEMORY : GN_OK);
        gn_free(&block);
    }
    gn_mem_fail_at(1);
    gn_mem_fail_at(0);
    char *block = NULL;
    expect_ok(gn_alloc(&block, 8, 1));
    gn_free(&block);
    assert_int_equal(gn_mem_allocations() - made, 5);
}

TEST_MAIN(blocks_are_zero_and_aligned, grown_blocks_keep_their_contents, copies_text,
          impossible_sizes_fail_and_change_nothing, counts_what_lives,
          only_the_chosen_allocation_fails)
