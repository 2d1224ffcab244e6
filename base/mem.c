// Aligned, counted allocation over posix_memalign, which (unlike aligned_alloc) takes any size, so
// that the address sanitizer sees the exact end of each block.

#include "base/mem.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static atomic_uint_fast64_t allocations;
static atomic_uint_fast64_t live;
static atomic_uint_fast64_t fail_countdown; // 1: the next allocation fails; 0: off

// Block pointers are reached as bytes: `block` may point to a pointer of any object type.
static void *load_pointer(const void *block)
{
    void *address;
    memcpy(&address, block, sizeof address);
    return address;
}

static void store_pointer(void *block, void *address)
{
    memcpy(block, &address, sizeof address);
}

static bool must_fail(void)
{
    uint_fast64_t n = atomic_load(&fail_countdown);
    while (n > 0 && !atomic_compare_exchange_weak(&fail_countdown, &n, n - 1))
        ;
    return n == 1;
}

// A large block begins on a huge page and asks for them: random access to a replay buffer is bound
// by address translation otherwise.
static int allocate(void **ret_address, size_t bytes)
{
    enum { HUGE_PAGE = 2 << 20 };
    bool large = bytes >= 2 * (size_t)HUGE_PAGE;
    int error = posix_memalign(ret_address, large ? HUGE_PAGE : GN_MEM_ALIGNMENT, bytes);
    if (error == 0 && large)
        madvise(*ret_address, bytes, MADV_HUGEPAGE); // a wish: may be refused
    return error;
}

gn_status gn_alloc(void *ret_block, size_t count, size_t size)
{
    size_t bytes;
    void *address = NULL;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX || must_fail() ||
        allocate(&address, bytes > 0 ? bytes : 1) != 0)
        return gn_fail(GN_ERR_MEMORY, "cannot allocate %zu x %zu bytes", count, size);
    memset(address, 0, bytes > 0 ? bytes : 1);
    atomic_fetch_add(&allocations, 1);
    atomic_fetch_add(&live, 1);
    store_pointer(ret_block, address);
    return GN_OK;
}

gn_status gn_grow(void *block, size_t old_count, size_t count, size_t size)
{
    assert(count >= old_count);
    void *grown = NULL;
    GN_TRY(gn_alloc(&grown, count, size));
    void *old = load_pointer(block);
    if (old != NULL)
        memcpy(grown, old, old_count * size);
    gn_free(&old);
    store_pointer(block, grown);
    return GN_OK;
}

gn_status gn_copy_text(char **ret_text, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = NULL;
    GN_TRY(gn_alloc(&copy, size, 1));
    memcpy(copy, text, size);
    *ret_text = copy;
    return GN_OK;
}

void gn_free(void *block)
{
    void *address = load_pointer(block);
    if (address == NULL)
        return;
    free(address);
    atomic_fetch_sub(&live, 1);
    store_pointer(block, NULL);
}

uint64_t gn_mem_allocations(void)
{
    return atomic_load(&allocations);
}

uint64_t gn_mem_live(void)
{
    return atomic_load(&live);
}

void gn_mem_fail_at(uint64_t n)
{
    atomic_store(&fail_countdown, n);
}
