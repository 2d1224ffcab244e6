// A device that is none: the table of shim/cuda.h over host memory, and the kernels of the sum tree
// run by loops in an order of the test's choice. What is enqueued is done at once; while a graph is
// captured launches are recorded, and everything else is an error as on a device. Its memory can be
// touched by kernels and copies alone: whoever else does crashes.

#ifndef TESTS_REPLAY_DEVICE_EMULATION_H
#define TESTS_REPLAY_DEVICE_EMULATION_H

#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"
#include "replay/sum_tree_device.h"
#include "tests/support/need_device.h"

typedef enum emulation_order { FORWARD, REVERSE, SHUFFLED, EMULATION_ORDERS } emulation_order;

enum { EMULATION_MEMORY = 2, EMULATION_CAPTURING, EMULATION_OTHER };
enum {
    EMULATION_DEVICES = 2,
    EMULATION_BLOCKS = 64,
    EMULATION_THREADS_MAX = 1 << 17,
    EMULATION_RECORDS_MAX = 32
};

typedef struct emulation_record {
    sum_tree_view tree;
    sum_tree_batch batch;
    sum_tree_step step[SUM_TREE_STEPS_MAX];
    int steps;
} emulation_record;

typedef struct emulation_block {
    void *memory; // NULL: free
    size_t size;
    char *token; // of ours, so that allocations can be counted and fail
} emulation_block;

// Tests run one after the other.
static emulation_block emulation_blocks[EMULATION_BLOCKS];
static emulation_order emulation_threads;
static test_rng emulation_rng;
static uint64_t emulation_launches;
static int emulation_error; // what every call returns ...
static uint64_t emulation_good_calls; // ... after so many more that work
static bool emulation_capturing;
static emulation_record emulation_graph[EMULATION_RECORDS_MAX]; // the only graph
static int emulation_records;

static inline void emulation_begin(emulation_order order)
{
    emulation_threads = order;
    emulation_rng = test_rng_seed(7);
    emulation_error = 0;
    emulation_good_calls = 0;
    emulation_capturing = false;
}

static int emulation_failure(void)
{
    if (emulation_error == 0 || emulation_good_calls == 0)
        return emulation_error;
    emulation_good_calls--;
    return 0;
}

// Lets kernels and copies in, or nobody.
static void emulation_protect(int protection)
{
    for (size_t i = 0; i < EMULATION_BLOCKS; i++)
        if (emulation_blocks[i].memory)
            assert_int_equal(
                mprotect(emulation_blocks[i].memory, emulation_blocks[i].size, protection), 0);
}

static void emulation_step(const emulation_record *launch, const sum_tree_step *step)
{
    static uint64_t order[EMULATION_THREADS_MAX];
    uint64_t n = step->threads;
    assert_in_range(n, 1, launch->steps == 1 ? EMULATION_THREADS_MAX : SUM_TREE_BLOCK);
    for (uint64_t i = 0; i < n; i++)
        order[i] = emulation_threads == REVERSE ? n - 1 - i : i;
    for (uint64_t i = n - 1; emulation_threads == SHUFFLED && i > 0; i--) {
        uint64_t j = test_rng_below(&emulation_rng, i + 1), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
    for (uint64_t i = 0; i < n; i++)
        sum_tree_step_run(&launch->tree, &launch->batch, step, order[i]);
}

static void emulation_run(const emulation_record *launch)
{
    emulation_launches++;
    emulation_protect(PROT_READ | PROT_WRITE);
    for (int s = 0; s < launch->steps; s++)
        emulation_step(launch, &launch->step[s]);
    emulation_protect(PROT_NONE);
}

static int emulation_launch(const sum_tree_view *tree, const sum_tree_batch *batch,
                            const sum_tree_step *step, int steps, void *stream)
{
    (void)stream;
    emulation_record launch = { .tree = *tree, .batch = *batch, .steps = steps };
    assert_in_range(steps, 1, SUM_TREE_STEPS_MAX);
    memcpy(launch.step, step, (size_t)steps * sizeof *step);
    int error = emulation_failure();
    if (error == 0 && !emulation_capturing)
        emulation_run(&launch);
    if (error == 0 && emulation_capturing) {
        assert_in_range(emulation_records, 0, EMULATION_RECORDS_MAX - 1);
        emulation_graph[emulation_records++] = launch;
    }
    return error;
}

static const char *emulation_text(int error)
{
    return error == EMULATION_MEMORY      ? "out of memory"
           : error == EMULATION_CAPTURING ? "not while a graph is captured"
                                          : "error of the emulation";
}

static const void *emulation_find(const char *symbol)
{
    static const sum_tree_kernels kernels = { emulation_launch };
    if (strcmp(symbol, EMULATION_ERROR) == 0)
        return &emulation_error;
    return strcmp(symbol, SUM_TREE_KERNELS) == 0 ? &kernels : NULL;
}

static int emulation_allowed(void)
{
    return emulation_capturing ? EMULATION_CAPTURING : emulation_failure();
}

static int emulation_count(int *ret_devices)
{
    *ret_devices = EMULATION_DEVICES;
    return emulation_failure();
}

static int emulation_select(int device)
{
    return device < EMULATION_DEVICES ? emulation_failure() : EMULATION_OTHER;
}

static int emulation_allocate(void **ret_block, size_t bytes)
{
    emulation_block *block = emulation_blocks;
    int error = emulation_allowed();
    while (block->memory)
        assert_true(++block < emulation_blocks + EMULATION_BLOCKS);
    if (error == 0 && gn_alloc(&block->token, 1, 1) != GN_OK)
        return EMULATION_MEMORY;
    if (error != 0)
        return error;
    block->size = bytes;
    block->memory = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(block->memory != MAP_FAILED);
    *ret_block = block->memory;
    return 0;
}

static void emulation_release(void *memory)
{
    for (emulation_block *block = emulation_blocks; memory; block++) {
        assert_true(block < emulation_blocks + EMULATION_BLOCKS);
        if (block->memory != memory)
            continue;
        assert_int_equal(munmap(memory, block->size), 0);
        gn_free(&block->token);
        block->memory = NULL;
        return;
    }
}

static int emulation_copy(void *to, const void *from, size_t bytes, void *stream)
{
    (void)stream;
    int error = emulation_allowed();
    if (error != 0)
        return error;
    emulation_protect(PROT_READ | PROT_WRITE);
    memcpy(to, from, bytes);
    emulation_protect(PROT_NONE);
    return 0;
}

static int emulation_stream_create(void **ret_stream)
{
    *ret_stream = &emulation_records; // something that is not NULL
    return emulation_failure();
}

static void emulation_stream_destroy(void *stream)
{
    (void)stream;
}

static int emulation_wait(void *stream)
{
    (void)stream;
    return emulation_allowed();
}

static int emulation_capture_begin(void *stream)
{
    (void)stream;
    emulation_capturing = true;
    emulation_records = 0;
    return emulation_error;
}

static int emulation_capture_end(void *stream, void **ret_graph)
{
    (void)stream;
    emulation_capturing = false;
    *ret_graph = emulation_graph;
    return emulation_error;
}

static int emulation_graph_launch(void *graph, void *stream)
{
    (void)stream;
    const emulation_record *launch = graph;
    for (int i = 0; i < emulation_records; i++)
        emulation_run(&launch[i]);
    return emulation_error;
}

static void emulation_graph_destroy(void *graph)
{
    (void)graph;
}

// The table, for this device and for the library of it.
#define EMULATION_RUNTIME \
    { \
        .version = GANNET_VERSION, .text = emulation_text, .find = emulation_find, \
        .count = emulation_count, .select = emulation_select, .allocate = emulation_allocate, \
        .release = emulation_release, .copy = emulation_copy, \
        .stream_create = emulation_stream_create, .stream_destroy = emulation_stream_destroy, \
        .wait = emulation_wait, .capture_begin = emulation_capture_begin, \
        .capture_end = emulation_capture_end, .graph_launch = emulation_graph_launch, \
        .graph_destroy = emulation_graph_destroy, \
    }

static const cuda_runtime emulation = EMULATION_RUNTIME;

#endif
