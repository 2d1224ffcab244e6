// Sum tree of 8 children a node, walked in blocks of items and level by level: while one item's
// line is on its way from memory the lines of the others are asked for, so a batch costs little
// more than its slowest miss a level.
//
// Beside the sums each level above the leaves keeps the smallest weight below it.

#include "replay/sum_tree.h"

#include <math.h>
#include <stdbool.h>

#include "base/mem.h"
#include "replay/sum_node.h"

enum { WIDTH = SUM_NODE_WIDTH, LEVELS_MAX = SUM_NODE_LEVELS_MAX, BLOCK = 256 };
static const uint64_t CAPACITY_MAX = SUM_NODE_CAPACITY_MAX;
static const double WEIGHT_MAX = SUM_NODE_WEIGHT_MAX;

struct sum_tree {
    uint64_t capacity;
    int levels;
    uint64_t nodes[LEVELS_MAX]; // of WIDTH entries each
    double *sum[LEVELS_MAX]; // [nodes * WIDTH]; level 0 holds the weights
    double *low[LEVELS_MAX]; // [nodes * WIDTH]; smallest weight above 0; level 0 has none
};

gn_status sum_tree_create(sum_tree **ret_tree, uint64_t capacity)
{
    if (capacity == 0 || capacity > CAPACITY_MAX)
        return gn_fail(GN_ERR_ARG, "sum tree of %llu items: must be 1 to 2^40",
                       (unsigned long long)capacity);
    sum_tree *tree;
    GN_TRY(gn_alloc(&tree, 1, sizeof *tree));
    tree->capacity = capacity;
    gn_status status = GN_OK;
    uint64_t entries = capacity;
    do {
        int level = tree->levels++;
        uint64_t nodes = tree->nodes[level] = (entries + WIDTH - 1) / WIDTH;
        status = gn_alloc(&tree->sum[level], nodes * WIDTH, sizeof(double));
        if (status == GN_OK && level > 0)
            status = gn_alloc(&tree->low[level], nodes * WIDTH, sizeof(double));
        for (uint64_t i = 0; status == GN_OK && level > 0 && i < nodes * WIDTH; i++)
            tree->low[level][i] = INFINITY;
        entries = nodes;
    } while (status == GN_OK && entries > 1);
    if (status != GN_OK) {
        sum_tree_destroy(&tree);
        return status;
    }
    *ret_tree = tree;
    return GN_OK;
}

void sum_tree_destroy(sum_tree **tree)
{
    if (!*tree)
        return;
    for (int level = 0; level < (*tree)->levels; level++) {
        gn_free(&(*tree)->sum[level]);
        gn_free(&(*tree)->low[level]);
    }
    gn_free(tree);
}

static gn_status check_items(const sum_tree *tree, const uint64_t *item, const double *weight,
                             size_t n)
{
    bool good = true;
    for (size_t i = 0; i < n; i++)
        good &= (item[i] < tree->capacity) & (weight[i] >= 0) & (weight[i] <= WEIGHT_MAX);
    if (good)
        return GN_OK;
    size_t i = 0;
    while (item[i] < tree->capacity && weight[i] >= 0 && weight[i] <= WEIGHT_MAX)
        i++;
    if (item[i] >= tree->capacity)
        return gn_fail(GN_ERR_ARG, "item %zu: %llu is not below the capacity %llu", i,
                       (unsigned long long)item[i], (unsigned long long)tree->capacity);
    return gn_fail(GN_ERR_ARG, "weight %zu: %g is %s; must be 0 to %g", i, weight[i],
                   weight[i] < 0         ? "negative"
                   : isfinite(weight[i]) ? "too large"
                                         : "not finite",
                   WEIGHT_MAX);
}

static void refresh_node(sum_tree *tree, int level, uint64_t node)
{
    const double *children = tree->sum[level] + node * WIDTH;
    tree->sum[level + 1][node] = sum_node_total(children);
    tree->low[level + 1][node] =
        sum_node_low(level == 0 ? children : tree->low[level] + node * WIDTH);
}

// Writes the weights, then refreshes their parents level by level. A level of no more nodes than
// there are items is refreshed whole: the items would visit its nodes several times.
static void set_block(sum_tree *tree, const uint64_t *item, const double *weight, size_t n)
{
    uint64_t node[BLOCK];
    for (size_t i = 0; i < n; i++)
        __builtin_prefetch(&tree->sum[0][item[i]], 1);
    for (size_t i = 0; i < n; i++) {
        tree->sum[0][item[i]] = weight[i];
        node[i] = item[i] / WIDTH;
    }
    for (int level = 0; level + 1 < tree->levels; level++) {
        if (tree->nodes[level] <= n) {
            for (uint64_t i = 0; i < tree->nodes[level]; i++)
                refresh_node(tree, level, i);
            continue;
        }
        for (size_t i = 0; i < n; i++) {
            __builtin_prefetch(&tree->sum[level + 1][node[i]], 1);
            __builtin_prefetch(&tree->low[level + 1][node[i]], 1);
        }
        for (size_t i = 0; i < n; i++) {
            refresh_node(tree, level, node[i]);
            node[i] /= WIDTH;
        }
    }
}

gn_status sum_tree_set(sum_tree *tree, const uint64_t *item, const double *weight, size_t n)
{
    GN_TRY(check_items(tree, item, weight, n));
    for (size_t i = 0; i < n; i += BLOCK)
        set_block(tree, item + i, weight + i, n - i < BLOCK ? n - i : BLOCK);
    return GN_OK;
}

// Takes all items of a block down one level at a time.
static void find_block(const sum_tree *tree, const double *u, size_t n, double total,
                       uint64_t *ret_item)
{
    double x[BLOCK];
    for (size_t i = 0; i < n; i++) {
        x[i] = u[i] * total;
        ret_item[i] = 0;
    }
    for (int level = tree->levels - 1; level >= 0; level--) {
        const double *sum = tree->sum[level], *below = level ? tree->sum[level - 1] : sum;
        for (size_t i = 0; i < n; i++) {
            ret_item[i] = ret_item[i] * WIDTH + sum_node_find(sum + ret_item[i] * WIDTH, &x[i]);
            if (level > 0)
                __builtin_prefetch(below + ret_item[i] * WIDTH);
        }
    }
}

gn_status sum_tree_find(const sum_tree *tree, const double *u, size_t n, uint64_t *ret_item,
                        double *ret_weight)
{
    double total = sum_tree_total(tree);
    if (!(total > 0))
        return gn_fail(GN_ERR_EMPTY, "sum tree: all %llu weights are 0",
                       (unsigned long long)tree->capacity);
    for (size_t i = 0; i < n; i += BLOCK)
        find_block(tree, u + i, n - i < BLOCK ? n - i : BLOCK, total, ret_item + i);
    for (size_t i = 0; ret_weight && i < n; i++)
        ret_weight[i] = tree->sum[0][ret_item[i]];
    return GN_OK;
}

double sum_tree_total(const sum_tree *tree)
{
    return sum_node_total(tree->sum[tree->levels - 1]);
}

double sum_tree_min(const sum_tree *tree)
{
    int top = tree->levels - 1;
    return sum_node_low(top == 0 ? tree->sum[0] : tree->low[top]);
}

uint64_t sum_tree_capacity(const sum_tree *tree)
{
    return tree->capacity;
}

const double *sum_tree_weights(const sum_tree *tree)
{
    return tree->sum[0];
}

uint64_t sum_tree_size(const sum_tree *tree)
{
    uint64_t size = sizeof *tree;
    for (int level = 0; level < tree->levels; level++)
        size += tree->nodes[level] * WIDTH * sizeof(double) * (level == 0 ? 1 : 2);
    return size;
}
