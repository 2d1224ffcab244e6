// Sum tree of 8 children a node, walked in blocks of items and level by level: while one item's
// line is on its way from memory the lines of the others are asked for, so a batch costs little
// more than its slowest miss a level.
//
// Beside the sums each level above the leaves keeps the smallest weight below it.

#include "replay/sum_tree.h"

#include <math.h>
#include <stdalign.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "replay/sum_node.h"

enum { WIDTH = SUM_NODE_WIDTH, WIDTH_BITS = 3, BLOCK = 128 };
enum { LANES = SUM_NODE_LANES, LEVELS_MAX = SUM_NODE_LEVELS_MAX };
_Static_assert(WIDTH == 1 << WIDTH_BITS, "an item's number, bits off, is its node's");
enum { CROWD = 16 }; // draws a node of a level, from which on those of a node are taken together
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

// Refreshes the parents above a level of n items, at most BLOCK; their lines are asked for first.
static void refresh_above(sum_tree *tree, int level, const uint64_t *item, size_t n)
{
    int bits = WIDTH_BITS * (level + 1);
    for (size_t i = 0; i < n; i++) {
        __builtin_prefetch(&tree->sum[level + 1][item[i] >> bits], 1);
        __builtin_prefetch(&tree->low[level + 1][item[i] >> bits], 1);
    }
    for (size_t i = 0; i < n; i++)
        refresh_node(tree, level, item[i] >> bits);
}

static size_t block_size(size_t first, size_t n)
{
    return n - first < BLOCK ? n - first : BLOCK;
}

// Refreshes what is above a level of the nodes of n items. A level of no more nodes than there are
// items is refreshed whole: the items would visit its nodes several times.
static void refresh_level(sum_tree *tree, int level, const uint64_t *item, size_t n)
{
    if (tree->nodes[level] <= n)
        for (uint64_t node = 0; node < tree->nodes[level]; node++)
            refresh_node(tree, level, node);
    else
        for (size_t first = 0; first < n; first += BLOCK)
            refresh_above(tree, level, item + first, block_size(first, n));
}

// Writes a block of weights after the other and, unless most leaves' nodes are met, refreshes the
// parents of each while its leaves are at hand. The other levels follow one by one.
gn_status sum_tree_set(sum_tree *tree, const uint64_t *item, const double *weight, size_t n)
{
    GN_TRY(check_items(tree, item, weight, n));
    bool by_block = tree->levels > 1 && tree->nodes[0] > n;
    for (size_t i = 0; i < n && i < BLOCK; i++)
        __builtin_prefetch(&tree->sum[0][item[i]], 1);
    for (size_t first = 0; first < n; first += BLOCK) {
        size_t end = first + block_size(first, n);
        for (size_t i = first; i < end; i++) {
            if (i + BLOCK < n)
                __builtin_prefetch(&tree->sum[0][item[i + BLOCK]], 1);
            tree->sum[0][item[i]] = weight[i];
        }
        if (by_block)
            refresh_above(tree, 0, item + first, end - first);
    }
    for (int level = by_block ? 1 : 0; level + 1 < tree->levels; level++)
        refresh_level(tree, level, item, n);
    return GN_OK;
}

// --- finding

// A block of draws on their way down. LANES are written at a time: those that belong to another
// node, or to none, are written again by what follows.
typedef struct draws {
    alignas(64) uint64_t node[BLOCK + LANES]; // of the level; NO_NODE after the last
    alignas(64) double x[BLOCK + LANES]; // what is left of the sum to go
} draws;
static const uint64_t NO_NODE = UINT64_MAX;

static void end_draws(draws *at, size_t n)
{
    for (size_t i = n; i < n + LANES; i++) {
        at->node[i] = NO_NODE;
        at->x[i] = 0;
    }
}

// Takes ascending draws down a level, neighbours in the same node together. As they ascend, so do
// their nodes: those of a node are in a row.
static void descend_together(const double *sum, const draws *at, size_t n, draws *ret_below)
{
    for (size_t i = 0; i < n;) {
        uint64_t node = at->node[i];
        sum_node_intervals in;
        sum_node_cut(sum + node * WIDTH, &in);
        unsigned same;
        for (;; i += LANES) {
            same = sum_node_find_lanes(&in, node, at->node + i, at->x + i, ret_below->node + i,
                                       ret_below->x + i);
            if (same < LANES)
                break;
        }
        i += same;
    }
    end_draws(ret_below, n);
}

// Takes draws down a level one by one. `below` is the next level, NULL after the last.
static void descend_each(const double *sum, draws *at, size_t n, const double *below)
{
    for (size_t i = 0; i < n; i++) {
        at->node[i] = at->node[i] * WIDTH + sum_node_find(sum + at->node[i] * WIDTH, &at->x[i]);
        if (below)
            __builtin_prefetch(below + at->node[i] * WIDTH);
    }
}

static bool ascends(const double *u, size_t n)
{
    unsigned falls = 0;
    for (size_t i = 1; i < n; i++)
        falls += u[i] < u[i - 1];
    return falls == 0;
}

// Ascending draws go together down to where their nodes have few of them each, by what part of the
// sum the block spans.
static void find_block(const sum_tree *tree, const double *u, size_t n, double total,
                       uint64_t *ret_item)
{
    draws block[2], *at = &block[0], *next = &block[1];
    for (size_t i = 0; i < n; i++) {
        at->node[i] = 0;
        at->x[i] = u[i] * total;
    }
    end_draws(at, n);
    double span = ascends(u, n) ? u[n - 1] - u[0] : INFINITY;
    int level = tree->levels - 1;
    for (; level >= 0 && (1 + (double)tree->nodes[level] * span) * CROWD <= (double)n; level--) {
        descend_together(tree->sum[level], at, n, next);
        draws *spare = at;
        at = next;
        next = spare;
    }
    for (; level >= 0; level--)
        descend_each(tree->sum[level], at, n, level > 0 ? tree->sum[level - 1] : NULL);
    memcpy(ret_item, at->node, n * sizeof *ret_item);
}

gn_status sum_tree_find(const sum_tree *tree, const double *u, size_t n, uint64_t *ret_item,
                        double *ret_weight)
{
    double total = sum_tree_total(tree);
    if (!(total > 0))
        return gn_fail(GN_ERR_EMPTY, "sum tree: all %llu weights are 0",
                       (unsigned long long)tree->capacity);
    for (size_t i = 0; i < n; i += BLOCK)
        find_block(tree, u + i, block_size(i, n), total, ret_item + i);
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

gn_status sum_tree_lowest(const sum_tree *tree, uint64_t *ret_item)
{
    double lowest = sum_tree_min(tree);
    uint64_t item = 0;
    if (!isfinite(lowest))
        return gn_fail(GN_ERR_EMPTY, "sum tree: all %llu weights are 0",
                       (unsigned long long)tree->capacity);
    for (int level = tree->levels - 1; level >= 0; level--) {
        const double *low = level ? tree->low[level] : tree->sum[0];
        item *= WIDTH;
        while (low[item] != lowest)
            item++;
    }
    *ret_item = item;
    return GN_OK;
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
