// What an operation of the sum tree on a device is made of: the tree and the operands in device
// memory, and a list of steps. Internal to replay/sum_tree_cuda.c, which lists them, the kernels,
// which run them (replay/sum_tree.cu), and tests.
//
// The threads of a step run in any order and side by side; a step begins when the one before is
// done everywhere. What a thread does is in replay/sum_tree_device.h.

#ifndef REPLAY_SUM_TREE_STEPS_H
#define REPLAY_SUM_TREE_STEPS_H

#include <stdint.h>

#include "replay/sum_node.h"
#include "replay/sum_tree_cuda.h"

// A set needs the most steps: two and one a level.
enum { SUM_TREE_STEPS_MAX = SUM_NODE_LEVELS_MAX + 2 };

// What a stream of operations leaves behind, in device memory. First bad pairs: index, UINT64_MAX
// where there was none.
typedef struct sum_tree_notes {
    uint64_t least; // bits of the smallest weight of the batch being weighed
    uint64_t bad_item, bad_weight;
    uint64_t empty; // 1 if something was to be found in a tree without weight
} sum_tree_notes;

// The tree: what struct sum_tree holds, in device memory.
typedef struct sum_tree_view {
    uint64_t capacity;
    int levels;
    uint64_t nodes[SUM_NODE_LEVELS_MAX];
    double *sum[SUM_NODE_LEVELS_MAX]; // [nodes * 8]; level 0 holds the weights
    double *low[SUM_NODE_LEVELS_MAX]; // [nodes * 8]; level 0 has none; 0 counts as no weight
    sum_tree_notes *notes;
} sum_tree_view;

// Operands of an operation, in device memory; each operation uses some.  Shapes: [n].
typedef struct sum_tree_batch {
    uint64_t n;
    const uint64_t *item;
    const double *weight, *u;
    const sum_tree_weighing *weighing; // [1]
    sum_tree_least least;
    uint64_t *ret_item;
    double *ret_weight;
    float *ret_importance;
} sum_tree_batch;

typedef enum sum_tree_step_kind {
    SUM_TREE_CLAIM,
    SUM_TREE_WRITE,
    SUM_TREE_REFRESH,
    SUM_TREE_FIND,
    SUM_TREE_LEAST_BEGIN,
    SUM_TREE_LEAST,
    SUM_TREE_WEIGH,
    SUM_TREE_LOWEST
} sum_tree_step_kind;

typedef struct sum_tree_step {
    sum_tree_step_kind kind;
    int level; // of a REFRESH: of the children
    uint64_t threads;
} sum_tree_step;

// What replay/sum_tree.cu exports. Launches steps that follow each other: one of any number of
// threads, or several of at most SUM_TREE_BLOCK threads each as one launch of one block. Returns
// the runtime's error, 0 for none. Allocates nothing and waits for nothing.
enum { SUM_TREE_BLOCK = 1024 };
typedef struct sum_tree_kernels {
    int (*launch)(const sum_tree_view *tree, const sum_tree_batch *batch, const sum_tree_step *step,
                  int steps, void *stream);
} sum_tree_kernels;
#define SUM_TREE_KERNELS "gannet_sum_tree_kernels" // the symbol: a sum_tree_kernels

#endif
