// Tests of the sum tree on a device against that on the host, to the last bit: the same bodies for
// a real device and for the emulated one, so a machine without device still runs them.

#ifndef TESTS_SUPPORT_SUM_TREE_TWINS_H
#define TESTS_SUPPORT_SUM_TREE_TWINS_H
#include "replay/sum_tree.h"
#include "replay/sum_tree_cuda.h"
#include "tests/support/check.h"

enum { TWIN_BATCH = 5000 }; // beyond a block, so that steps are launched alone and together

// Arrays that a batch needs, on either side.  Shapes: [TWIN_BATCH].
typedef struct twin_arrays {
    uint64_t item[TWIN_BATCH], found[TWIN_BATCH];
    double weight[TWIN_BATCH], u[TWIN_BATCH], found_weight[TWIN_BATCH];
    float importance[TWIN_BATCH];
    sum_tree_weighing weighing;
} twin_arrays;

typedef struct twins {
    const cuda_runtime *cuda;
    void *stream;
    sum_tree *host;
    sum_tree_cuda *device;
    size_t capacity;
    test_rng rng;
    twin_arrays here, back; // what the host computed, what came back from the device
    twin_arrays *there; // in device memory
} twins;

void twins_create(twins *t, const cuda_runtime *cuda, size_t capacity);
void twins_destroy(twins *t);

// Pairs and draws into `here`: few items, so that they occur again and again; weights of all
// magnitudes, every eighth 0 or -0.
void twins_draw_pairs(twins *t);

// Copies `here` to the device.
void twins_send(twins *t);

// Sets and finds the first n on the device.
void twins_set_device(twins *t, size_t n);
void twins_find_device(twins *t, size_t n);

// The bodies.
void twins_agree_after_random_operations(const cuda_runtime *cuda);
void twins_take_over_all_weights(const cuda_runtime *cuda);
void twins_tell_of_bad_pairs_once(const cuda_runtime *cuda);
void twins_tell_of_a_find_without_weight(const cuda_runtime *cuda);

// One graph of set, find and weigh, launched again and again with new numbers in its memory.
void twins_agree_through_a_graph(const cuda_runtime *cuda);

// Against the formula of replay/buffer_sample.c; tolerance: relative, of powf.
void twins_weigh_as_the_buffer_does(const cuda_runtime *cuda, double tolerance);

#endif
