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

enum { WIDTH = SUM_NODE_WIDTH, WIDTH_BITS = 3, BLOCK = 256 };
enum { LEVELS_MAX = SUM_NODE_LEVELS_MAX };
_Static_assert(WIDTH == 1 << WIDTH_BITS, "an item's number, bits off, is its node's");
enum { SAME_WAY = 3 }; // draws an entry of a level, from which on they go down to it together
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

// Refreshes the parents of a block of entries of a level. up: [n] out, the parents' own nodes.
static void refresh_block(sum_tree *tree, int level, uint64_t *node, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        __builtin_prefetch(&tree->sum[level + 1][node[i]], 1);
        __builtin_prefetch(&tree->low[level + 1][node[i]], 1);
    }
    for (size_t i = 0; i < n; i++)
        refresh_node(tree, level, node[i]);
}

static void write_weights(sum_tree *tree, const uint64_t *item, const double *weight, size_t n)
{
    for (size_t i = 0; i < n && i < BLOCK; i++)
        __builtin_prefetch(&tree->sum[0][item[i]], 1);
    for (size_t i = 0; i < n; i++) {
        if (i + BLOCK < n)
            __builtin_prefetch(&tree->sum[0][item[i + BLOCK]], 1);
        tree->sum[0][item[i]] = weight[i];
    }
}

// Level by level. A level of no more nodes than there are items is refreshed whole: the items would
// visit its nodes several times.
gn_status sum_tree_set(sum_tree *tree, const uint64_t *item, const double *weight, size_t n)
{
    GN_TRY(check_items(tree, item, weight, n));
    write_weights(tree, item, weight, n);
    for (int level = 0; level + 1 < tree->levels; level++) {
        if (tree->nodes[level] <= n) {
            for (uint64_t i = 0; i < tree->nodes[level]; i++)
                refresh_node(tree, level, i);
            continue;
        }
        for (size_t first = 0; first < n; first += BLOCK) {
            uint64_t node[BLOCK];
            size_t count = n - first < BLOCK ? n - first : BLOCK;
            for (size_t i = 0; i < count; i++)
                node[i] = item[first + i] >> (WIDTH_BITS * (level + 1));
            refresh_block(tree, level, node, count);
        }
    }
    return GN_OK;
}

// --- finding

// Takes the items of a block down from a level to the leaves, one level at a time.
static void descend_block(const sum_tree *tree, int top, uint64_t *item, double *x, size_t n)
{
    for (int level = top; level >= 0; level--) {
        const double *sum = tree->sum[level], *below = level ? tree->sum[level - 1] : sum;
        for (size_t i = 0; i < n; i++) {
            item[i] = item[i] * WIDTH + sum_node_find(sum + item[i] * WIDTH, &x[i]);
            if (level > 0)
                __builtin_prefetch(below + item[i] * WIDTH);
        }
    }
}

// The way down to a node, for draws that follow each other closely: as long as what is left of x at
// each level stays below `end`, the next draw goes the same way, and only `before` is taken off.
typedef struct tree_path {
    double x; // of the last draw; larger ones may go the same way
    int bottom; // the lowest level of the path
    uint64_t item[LEVELS_MAX]; // child taken at each level
    double before[LEVELS_MAX], end[LEVELS_MAX];
} tree_path;

// Follows the path as far as it holds and searches anew below. Returns the child at the bottom
// level and leaves in *x what is left; the very same as descend_block finds.
static uint64_t follow_path(const sum_tree *tree, tree_path *path, double *x)
{
    int level = tree->levels - 1;
    bool ascends = *x >= path->x, same = ascends;
    double left_over = path->x = *x;
    for (int i = level; i >= path->bottom; i--) { // one branch for all levels: most hold
        same &= left_over < path->end[i];
        left_over -= path->before[i];
    }
    if (same) {
        *x = left_over;
        return path->item[path->bottom];
    }
    while (ascends && level >= path->bottom && *x < path->end[level]) {
        *x -= path->before[level];
        level--;
    }
    for (; level >= path->bottom; level--) {
        uint64_t node = level + 1 < tree->levels ? path->item[level + 1] : 0;
        const double *child = tree->sum[level] + node * WIDTH;
        double left = *x;
        unsigned found = sum_node_find(child, &left);
        path->item[level] = node * WIDTH + found;
        path->before[level] = sum_node_before(child, found);
        path->end[level] = sum_node_before(child, found + 1);
        if (!(*x < path->end[level])) // rounding: the last one stood in
            path->end[level] = -INFINITY;
        *x = left;
    }
    return path->item[path->bottom];
}

// Few of many items: each way down is another one. Many: their ways are the same but for the last
// levels.
static void find_block(const sum_tree *tree, const double *u, size_t n, double total,
                       tree_path *path, uint64_t *ret_item)
{
    double x[BLOCK];
    for (size_t i = 0; i < n; i++) {
        x[i] = u[i] * total;
        ret_item[i] = path ? follow_path(tree, path, &x[i]) : 0;
        if (path)
            __builtin_prefetch(tree->sum[path->bottom - 1] + ret_item[i] * WIDTH);
    }
    descend_block(tree, path ? path->bottom - 1 : tree->levels - 1, ret_item, x, n);
}

gn_status sum_tree_find(const sum_tree *tree, const double *u, size_t n, uint64_t *ret_item,
                        double *ret_weight)
{
    double total = sum_tree_total(tree);
    if (!(total > 0))
        return gn_fail(GN_ERR_EMPTY, "sum tree: all %llu weights are 0",
                       (unsigned long long)tree->capacity);
    tree_path path = { .x = INFINITY };
    // The lowest level of fewer entries than draws; the top one has the root's children.
    while (path.bottom < tree->levels && tree->nodes[path.bottom] * WIDTH > n / SAME_WAY)
        path.bottom++;
    bool shared = path.bottom > 0 && path.bottom + 1 < tree->levels;
    for (size_t i = 0; i < n; i += BLOCK)
        find_block(tree, u + i, n - i < BLOCK ? n - i : BLOCK, total, shared ? &path : NULL,
                   ret_item + i);
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
