// Heap memory of the library: zeroed, 64-byte aligned, overflow-checked, countable, able to fail
// on demand. Everything we allocate comes from here; nothing is allocated in the step loop.
//
// Threads: all functions may be called from any thread.

#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { GN_MEM_ALIGNMENT = 64 };

// Allocates count * size zeroed bytes (at least 1) and stores the address in *ret_block, which is
// a pointer to any object pointer.
//     gn_status status = gn_alloc(&buffer->reward, capacity, sizeof *buffer->reward);
// Errors: GN_ERR_MEMORY (text names the size); then *ret_block is untouched.
gn_status gn_alloc(void *ret_block, size_t count, size_t size);

// Grows *block from `old_count` to `count` elements of `size` bytes; contents kept, new part zero.
// Errors: GN_ERR_MEMORY; then *block still holds the old contents.
gn_status gn_grow(void *block, size_t old_count, size_t count, size_t size);

// Copies a string. Errors: GN_ERR_MEMORY.
gn_status gn_copy_text(char **ret_text, const char *text);

// Frees *block, a pointer to any object pointer, and sets it to NULL; NULL-safe.
void gn_free(void *block);

// For the size of a block that serves two uses.
static inline size_t gn_larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

// Allocations made since the process started (never decreases).
uint64_t gn_mem_allocations(void);

// Allocations not yet freed.
uint64_t gn_mem_live(void);

// Tests: the n-th allocation from now on fails (1 = the next), and only that one. 0 switches off.
void gn_mem_fail_at(uint64_t n);

#endif
