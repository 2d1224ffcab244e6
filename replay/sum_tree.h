// Sum tree: draw an item in proportion to its weight, change weights in batches, both in
// O(log capacity).
//
//     level 2   [ s0 s1 .. s7 ]                        8 sums, one cache line
//     level 1   [ .. 8 .. ][ .. 8 .. ] ...             one line for each sum above
//     level 0   [ w0 .. w7 ][ w8 .. w15 ] ...          weight of item i, fp64
//
// A descent reads one line a level. Parents are recomputed from their children, never adjusted by a
// difference, so sums do not drift however many updates there were.
//
// Not here: priorities, exponents, importance weights (replay/buffer.h); what an item is (also
// there). Threads: one owner at a time; readers may share it while nobody writes.

#ifndef REPLAY_SUM_TREE_H
#define REPLAY_SUM_TREE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct sum_tree sum_tree;

// Creates a tree of `capacity` items, all of weight 0.
// Errors: GN_ERR_ARG if capacity is 0 or above 2^40; GN_ERR_MEMORY.
gn_status sum_tree_create(sum_tree **ret_tree, uint64_t capacity);

// NULL-safe; sets *tree to NULL.
void sum_tree_destroy(sum_tree **tree);

// Sets weights in order: where an item occurs twice, its last weight stands.
// Shapes: item, weight: [n].
// Errors: GN_ERR_ARG if an item is not below the capacity, or a weight is negative, NaN, infinite
// or above 1e290 (so that sums stay finite); then nothing changed.
gn_status sum_tree_set(sum_tree *tree, const uint64_t *item, const double *weight, size_t n);

// Finds, for each u, the item whose interval of the cumulated weights holds u * total. Items of
// weight 0 are never found. Ascending u walk the tree in memory order: pass stratified draws
// sorted. Shapes: u: [n], in [0, 1); ret_item: [n]; ret_weight: [n] or NULL. Errors: GN_ERR_EMPTY
// if the total is 0.
gn_status sum_tree_find(const sum_tree *tree, const double *u, size_t n, uint64_t *ret_item,
                        double *ret_weight);

uint64_t sum_tree_capacity(const sum_tree *tree);

// Weights of all items; valid as long as the tree.  Shape: [capacity].
const double *sum_tree_weights(const sum_tree *tree);

// Sum of all weights; exact to the rounding of one summation, the same for every history that led
// to the same weights.
double sum_tree_total(const sum_tree *tree);

// Smallest weight above 0, or +infinity where there is none. O(1).
double sum_tree_min(const sum_tree *tree);

// The first item of the smallest weight above 0.  Errors: GN_ERR_EMPTY if all are 0.
gn_status sum_tree_lowest(const sum_tree *tree, uint64_t *ret_item);

// Bytes of memory the tree takes.
uint64_t sum_tree_size(const sum_tree *tree);

#endif
