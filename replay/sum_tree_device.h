// The sum tree as threads without order see it: what one thread does in one step of an operation.
// Internal to the kernels (replay/sum_tree.cu) and their test, which runs these very functions on
// the host in other orders. So a set of n pairs is
//
//     CLAIM     thread i marks the leaf of item i with i; the largest mark stays
//     WRITE     thread i writes its weight where its own mark stayed: the last of an item's pairs
//     REFRESH   a level at a time: parents from their children, several threads may write the same
//
// A mark lies in the leaf itself: the old weight is lost anyway, and as bits a mark (sign bit set)
// is above every weight. Sums are made by replay/sum_node.h, never by adding atomically, hence the
// order of threads changes no bit and the tree is that of replay/sum_tree.c. A thread reads what
// others of its step write at most once, and writes after that: orders of whole threads are all
// the orders there are.

#ifndef REPLAY_SUM_TREE_DEVICE_H
#define REPLAY_SUM_TREE_DEVICE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/device_code.h"
#include "replay/sum_node.h"
#include "replay/sum_tree_steps.h"

// --- the whole tree

// The 8 entries of a node, a line at once.
GN_DEVICE void sum_tree_load_node(double *ret_child, const double *node)
{
#ifdef __CUDA_ARCH__
    GN_DEVICE_UNROLL
    for (int i = 0; i < SUM_NODE_WIDTH / 2; i++) {
        double2 pair = ((const double2 *)node)[i];
        ret_child[2 * i] = pair.x;
        ret_child[2 * i + 1] = pair.y;
    }
#else
    memcpy(ret_child, node, SUM_NODE_WIDTH * sizeof *ret_child);
#endif
}

GN_DEVICE double sum_tree_view_total(const sum_tree_view *tree)
{
    double child[SUM_NODE_WIDTH];
    sum_tree_load_node(child, tree->sum[tree->levels - 1]);
    return sum_node_total_portable(child);
}

GN_DEVICE double sum_tree_view_min(const sum_tree_view *tree)
{
    int top = tree->levels - 1;
    double child[SUM_NODE_WIDTH];
    sum_tree_load_node(child, top == 0 ? tree->sum[0] : tree->low[top]);
    return sum_node_low_portable(child);
}

// --- steps

// Above the bits of every weight, and of -0, which is a weight too.
GN_DEVICE uint64_t sum_tree_mark(uint64_t i)
{
    return ((uint64_t)1 << 63) + 1 + i;
}

GN_DEVICE void sum_tree_claim(const sum_tree_view *tree, const sum_tree_batch *batch, uint64_t i)
{
    bool known = batch->item[i] < tree->capacity;
    bool good = batch->weight[i] >= 0 && batch->weight[i] <= SUM_NODE_WEIGHT_MAX;
    if (!known)
        gn_device_lower(&tree->notes->bad_item, i);
    else if (!good)
        gn_device_lower(&tree->notes->bad_weight, i);
    else
        gn_device_raise(&tree->sum[0][batch->item[i]], sum_tree_mark(i));
}

GN_DEVICE void sum_tree_write(const sum_tree_view *tree, const sum_tree_batch *batch, uint64_t i)
{
    if (batch->item[i] >= tree->capacity)
        return;
    double *leaf = &tree->sum[0][batch->item[i]];
    if (gn_device_load_bits(leaf) == sum_tree_mark(i))
        gn_device_store(leaf, batch->weight[i]);
}

// Thread i refreshes the parent above item i, or parent i of a level with no more nodes than
// threads.
GN_DEVICE void sum_tree_refresh(const sum_tree_view *tree, const sum_tree_batch *batch, int level,
                                uint64_t i)
{
    uint64_t node = i;
    if (batch->n < tree->nodes[level]) {
        if (batch->item[i] >= tree->capacity)
            return;
        node = batch->item[i] >> 3 * (level + 1);
    }
    double child[SUM_NODE_WIDTH];
    sum_tree_load_node(child, tree->sum[level] + node * SUM_NODE_WIDTH);
    gn_device_store(&tree->sum[level + 1][node], sum_node_total_portable(child));
    if (level > 0)
        sum_tree_load_node(child, tree->low[level] + node * SUM_NODE_WIDTH);
    gn_device_store(&tree->low[level + 1][node], sum_node_low_portable(child));
}

GN_DEVICE void sum_tree_find_one(const sum_tree_view *tree, const sum_tree_batch *batch, uint64_t i)
{
    double total = sum_tree_view_total(tree), x = batch->u[i] * total;
    uint64_t item = 0;
    if (!(total > 0))
        tree->notes->empty = 1;
    for (int level = tree->levels - 1; level >= 0; level--) {
        double child[SUM_NODE_WIDTH];
        sum_tree_load_node(child, tree->sum[level] + item * SUM_NODE_WIDTH);
        item = item * SUM_NODE_WIDTH + sum_node_find_portable(child, &x);
    }
    batch->ret_item[i] = item;
    if (batch->ret_weight)
        batch->ret_weight[i] = tree->sum[0][item];
}

// Each of the step's few threads takes every so many-th weight: fewer meet at the one word.
GN_DEVICE void sum_tree_least_of(const sum_tree_view *tree, const sum_tree_batch *batch,
                                 uint64_t threads, uint64_t i)
{
    double least = INFINITY;
    for (; i < batch->n; i += threads)
        least = batch->weight[i] < least ? batch->weight[i] : least;
    gn_device_lower(&tree->notes->least, gn_double_bits(least + 0.0)); // + 0: -0 has large bits
}

// ((least + c) / (weight + c))^beta as in replay/buffer_sample.c, in the same order.
GN_DEVICE void sum_tree_weigh(const sum_tree_view *tree, const sum_tree_batch *batch, uint64_t i)
{
    const sum_tree_weighing *by = batch->weighing;
    double c = by->uniform / (1 - by->uniform) * sum_tree_view_total(tree) / by->count;
    double least = batch->least == SUM_TREE_LEAST_OF_BATCH ? gn_double_of_bits(tree->notes->least)
                                                           : sum_tree_view_min(tree);
    float ratio = (float)((least + c) / (batch->weight[i] + c));
    batch->ret_importance[i] = powf(ratio, (float)by->beta);
}

GN_DEVICE void sum_tree_lowest_of_all(const sum_tree_view *tree, const sum_tree_batch *batch)
{
    double lowest = sum_tree_view_min(tree);
    uint64_t item = 0;
    if (!(lowest < INFINITY))
        tree->notes->empty = 1;
    for (int level = tree->levels - 1; level >= 0; level--) {
        double child[SUM_NODE_WIDTH];
        sum_tree_load_node(child,
                           (level ? tree->low[level] : tree->sum[0]) + item * SUM_NODE_WIDTH);
        unsigned first = 0;
        GN_DEVICE_UNROLL
        for (unsigned i = SUM_NODE_WIDTH; i-- > 0;)
            first = child[i] == lowest ? i : first;
        item = item * SUM_NODE_WIDTH + first;
    }
    batch->ret_item[0] = item;
}

// What thread i of the step's threads does.
GN_DEVICE void sum_tree_step_run(const sum_tree_view *tree, const sum_tree_batch *batch,
                                 const sum_tree_step *step, uint64_t i)
{
    switch (step->kind) {
    case SUM_TREE_CLAIM:
        sum_tree_claim(tree, batch, i);
        break;
    case SUM_TREE_WRITE:
        sum_tree_write(tree, batch, i);
        break;
    case SUM_TREE_REFRESH:
        sum_tree_refresh(tree, batch, step->level, i);
        break;
    case SUM_TREE_FIND:
        sum_tree_find_one(tree, batch, i);
        break;
    case SUM_TREE_LEAST_BEGIN:
        tree->notes->least = gn_double_bits(INFINITY);
        break;
    case SUM_TREE_LEAST:
        sum_tree_least_of(tree, batch, step->threads, i);
        break;
    case SUM_TREE_WEIGH:
        sum_tree_weigh(tree, batch, i);
        break;
    case SUM_TREE_LOWEST:
        sum_tree_lowest_of_all(tree, batch);
        break;
    }
}

#endif
