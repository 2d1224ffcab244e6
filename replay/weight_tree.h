// The weights of all slots of a buffer: a sum tree in RAM, or its twin on a CUDA device. Both draw
// the same items to the last bit: where a tree is decides how fast a run is, never what comes out.
//
// Changes wait until somebody looks, so many cost little more than one, and a device hears of them
// once a draw:
//
//     cpu     set -> [ waiting ] -> sums and weights
//     cuda    set -> [ waiting ] -> sums and weights there
//              \---> weights here, for whoever asks what an item weighs
//
// Internal to replay/. Threads: one owner at a time, any thread.

#ifndef REPLAY_WEIGHT_TREE_H
#define REPLAY_WEIGHT_TREE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "shim/cuda.h"

typedef struct weight_tree weight_tree;

// Creates a tree of `capacity` items, all of weight 0. cuda: NULL for a tree in RAM, else opened
// for device `index`.
// Errors: those of sum_tree_create and sum_tree_cuda_create.
gn_status weight_tree_create(weight_tree **ret_tree, uint64_t capacity, const cuda_runtime *cuda,
                             int index);

// NULL-safe; sets *tree to NULL.
void weight_tree_destroy(weight_tree **tree);

// Sets weights in order: where an item occurs twice, its last weight stands. What a device fails at
// is told by whoever looks next, and nothing is lost.
// Shapes: item, weight: [n]; items below the capacity, weights 0 to SUM_NODE_WEIGHT_MAX.
void weight_tree_set(weight_tree *tree, const uint64_t *item, const double *weight, size_t n);

// As sum_tree_find.  Errors: GN_ERR_EMPTY, and GN_ERR_BACKEND of a device, as below.
gn_status weight_tree_find(weight_tree *tree, const double *u, size_t n, uint64_t *ret_item);

// Sum of all weights, and the smallest above 0: infinite where there is none.
gn_status weight_tree_sums(weight_tree *tree, double *ret_total, double *ret_min);

// As sum_tree_lowest.  Errors: GN_ERR_EMPTY, GN_ERR_BACKEND.
gn_status weight_tree_lowest(weight_tree *tree, uint64_t *ret_item);

// Weights of all items, until the next set.  Shape: [capacity].
const double *weight_tree_weights(weight_tree *tree);

// Bytes of RAM, and of device memory.
uint64_t weight_tree_size(const weight_tree *tree);
uint64_t weight_tree_device_size(const weight_tree *tree);

#endif
