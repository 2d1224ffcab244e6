// A device that is none: the table of shim/cuda.h over host memory, and the kernels of the sum tree
// run by loops in an order of the test's choice. Launches are done when they return.

#ifndef TESTS_REPLAY_DEVICE_EMULATION_H
#define TESTS_REPLAY_DEVICE_EMULATION_H

#include <string.h>

#include "base/mem.h"
#include "replay/sum_tree_device.h"
#include "tests/support/check.h"

typedef enum emulation_order { FORWARD, REVERSE, SHUFFLED, EMULATION_ORDERS } emulation_order;

// Tests run one after the other.
static emulation_order emulation_threads;
static test_rng emulation_rng;
static uint64_t emulation_launches;
static int emulation_error; // what every call returns

enum { EMULATION_THREADS_MAX = 8192 };

static int emulation_launch(const sum_tree_view *tree, const sum_tree_batch *batch,
                            const sum_tree_step *step, int steps, void *stream)
{
    (void)stream;
    static uint64_t order[EMULATION_THREADS_MAX];
    emulation_launches++;
    for (int s = 0; s < steps; s++) {
        uint64_t n = step[s].threads;
        assert_in_range(n, 1, steps == 1 ? EMULATION_THREADS_MAX : SUM_TREE_BLOCK);
        for (uint64_t i = 0; i < n; i++)
            order[i] = emulation_threads == REVERSE ? n - 1 - i : i;
        for (uint64_t i = n - 1; emulation_threads == SHUFFLED && i > 0; i--) {
            uint64_t j = test_rng_below(&emulation_rng, i + 1), kept = order[i];
            order[i] = order[j];
            order[j] = kept;
        }
        for (uint64_t i = 0; i < n; i++)
            sum_tree_step_run(tree, batch, &step[s], order[i]);
    }
    return emulation_error;
}

static const char *emulation_text(int error)
{
    return error == 2 ? "out of memory" : "error of the emulation";
}

static const void *emulation_find(const char *symbol)
{
    static const sum_tree_kernels kernels = { emulation_launch };
    return strcmp(symbol, SUM_TREE_KERNELS) == 0 ? &kernels : NULL;
}

static int emulation_allocate(void **ret_block, size_t bytes)
{
    unsigned char *block;
    if (emulation_error != 0 || gn_alloc(&block, bytes, 1) != GN_OK)
        return 2;
    *ret_block = block;
    return 0;
}

static void emulation_release(void *block)
{
    gn_free(&block);
}

static int emulation_copy(void *to, const void *from, size_t bytes, void *stream)
{
    (void)stream;
    memcpy(to, from, bytes);
    return emulation_error;
}

static int emulation_wait(void *stream)
{
    (void)stream;
    return emulation_error;
}

// What the tree itself does not use is left out.
static const cuda_runtime emulation = {
    .version = GANNET_VERSION,
    .text = emulation_text,
    .find = emulation_find,
    .allocate = emulation_allocate,
    .release = emulation_release,
    .copy = emulation_copy,
    .wait = emulation_wait,
};

#endif
