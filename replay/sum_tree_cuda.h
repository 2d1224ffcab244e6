// The sum tree on a CUDA device: the twin of replay/sum_tree.h, bit for bit, for runs that draw and
// update there. All pointers of set, find and weigh are device memory, and so are all results.
//
// set, find and weigh enqueue kernels on the caller's stream: they allocate nothing, never wait,
// and can be captured into a CUDA graph. Only n and the pointers are frozen in a graph; everything
// that changes from step to step is read from device memory.
//
// A stream is a cudaStream_t as void *; NULL is the default stream. All operations of a tree must
// be ordered among themselves: one stream, or streams that wait for each other.
// Threads: one owner at a time, with the tree's device selected (shim/cuda.h).

#ifndef REPLAY_SUM_TREE_CUDA_H
#define REPLAY_SUM_TREE_CUDA_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "shim/cuda.h"

typedef struct sum_tree_cuda sum_tree_cuda;

// Creates a tree of `capacity` items, all of weight 0.
// Errors: GN_ERR_ARG if capacity is 0 or above 2^40; GN_ERR_MEMORY; GN_ERR_UNSUPPORTED if the
// library of kernels does not hold these; GN_ERR_BACKEND.
gn_status sum_tree_cuda_create(sum_tree_cuda **ret_tree, const cuda_runtime *cuda,
                               uint64_t capacity);

// NULL-safe; sets *tree to NULL. Waits for the device.
void sum_tree_cuda_destroy(sum_tree_cuda **tree);

// Sets weights in order: where an item occurs twice, its last weight stands. A pair that
// sum_tree_set would refuse is passed over and found by sum_tree_cuda_check.
// Shapes: item, weight: [n].  Errors: GN_ERR_BACKEND, as everywhere below.
gn_status sum_tree_cuda_set(sum_tree_cuda *tree, const uint64_t *item, const double *weight,
                            size_t n, void *stream);

// Finds, for each u, the item whose interval of the cumulated weights holds u * total, as
// sum_tree_find does. Without any weight every item found is 0, which sum_tree_cuda_check tells.
// Shapes: u: [n], in [0, 1); ret_item: [n]; ret_weight: [n] or NULL.
gn_status sum_tree_cuda_find(sum_tree_cuda *tree, const double *u, size_t n, uint64_t *ret_item,
                             double *ret_weight, void *stream);

// Which weight gets importance 1: the smallest of the tree above 0, or the smallest of the batch.
typedef enum sum_tree_least { SUM_TREE_LEAST_OF_TREE, SUM_TREE_LEAST_OF_BATCH } sum_tree_least;

// What importance weights depend on, in device memory.
typedef struct sum_tree_weighing {
    double beta;
    double uniform; // share of draws that are uniform, 0 to below 1
    double count; // items that a uniform draw may find
} sum_tree_weighing;

// Importance weights of items that were drawn with these weights.
//     ((least + c) / (weight_i + c))^beta,  c = uniform / (1 - uniform) total / count
// Up to powf, which differs between libraries in the last bits, as in replay/buffer_sample.c.
// Shapes: weight: [n]; weighing: [1]; ret_importance: [n].
gn_status sum_tree_cuda_weigh(sum_tree_cuda *tree, const double *weight, size_t n,
                              const sum_tree_weighing *weighing, sum_tree_least least,
                              float *ret_importance, void *stream);

// Waits for the stream, then says what went wrong since the last check, and forgets it.
// Errors: GN_ERR_ARG for bad pairs, GN_ERR_EMPTY for a find or lowest in a tree without weight.
gn_status sum_tree_cuda_check(sum_tree_cuda *tree, void *stream);

// The first item of the smallest weight above 0, as sum_tree_lowest. Without any weight it is item
// 0, which sum_tree_cuda_check tells.  Shape: ret_item: [1].
gn_status sum_tree_cuda_lowest(sum_tree_cuda *tree, uint64_t *ret_item, void *stream);

// Takes over all weights from the host, those sum_tree_set would take. Waits for the stream.
// Shape: weight: [capacity], in host memory.
gn_status sum_tree_cuda_upload(sum_tree_cuda *tree, const double *weight, void *stream);

// Sum of all weights and smallest weight above 0, as sum_tree_total and sum_tree_min. Waits.
gn_status sum_tree_cuda_sums(sum_tree_cuda *tree, double *ret_total, double *ret_min, void *stream);

// Bytes of device memory the tree takes.
uint64_t sum_tree_cuda_size(const sum_tree_cuda *tree);

#endif
