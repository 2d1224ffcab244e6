#include "replay/weight_tree.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "replay/sum_node.h"
#include "replay/sum_tree.h"
#include "replay/sum_tree_cuda.h"

// Items that may wait: of a tree in RAM as many as stay in the cache, for a device a large batch.
enum { WAITING_MAX = 1 << 14, WAITING_MAX_DEVICE = 1 << 16 };

// Operands of an operation on a device, in its memory.  Shapes: [waiting_max].
typedef struct device_operands {
    uint64_t *item;
    double *number; // weights of a set, u of a find
} device_operands;

struct weight_tree {
    uint64_t capacity;
    sum_tree *host; // NULL where the tree is on a device
    uint64_t *waiting; // [waiting_max] items that were set since somebody looked
    double *waiting_weight; // [waiting_max]
    size_t waiting_count, waiting_max;

    const cuda_runtime *cuda; // NULL where the tree is in RAM, as all below
    int index;
    void *stream;
    sum_tree_cuda *device;
    device_operands there;
    double *weight; // [capacity], waiting ones too
    double total, min; // as they were when somebody looked
    bool behind; // the device has not heard of a set: all weights must go there
};

// --- creating

static gn_status create_device(weight_tree *tree)
{
    const cuda_runtime *cuda = tree->cuda;
    void *item = NULL, *number = NULL;
    GN_TRY(gn_alloc(&tree->weight, tree->capacity, sizeof *tree->weight));
    GN_TRY(sum_tree_cuda_create(&tree->device, cuda, tree->capacity));
    GN_TRY(cuda_need(cuda, cuda->stream_create(&tree->stream), "stream of a sum tree"));
    size_t size = tree->waiting_max * sizeof(uint64_t);
    GN_TRY(cuda_need(cuda, cuda->allocate(&item, size), "memory of a sum tree"));
    tree->there.item = item;
    GN_TRY(cuda_need(cuda, cuda->allocate(&number, size), "memory of a sum tree"));
    tree->there.number = number;
    return sum_tree_cuda_sums(tree->device, &tree->total, &tree->min, tree->stream);
}

static gn_status create_parts(weight_tree *tree)
{
    GN_TRY(gn_alloc(&tree->waiting, tree->waiting_max, sizeof *tree->waiting));
    GN_TRY(gn_alloc(&tree->waiting_weight, tree->waiting_max, sizeof *tree->waiting_weight));
    return tree->cuda ? create_device(tree) : sum_tree_create(&tree->host, tree->capacity);
}

gn_status weight_tree_create(weight_tree **ret_tree, uint64_t capacity, const cuda_runtime *cuda,
                             int index)
{
    weight_tree *tree;
    GN_TRY(gn_alloc(&tree, 1, sizeof *tree));
    tree->capacity = capacity;
    tree->waiting_max = cuda ? WAITING_MAX_DEVICE : WAITING_MAX;
    if (capacity < tree->waiting_max)
        tree->waiting_max = capacity;
    tree->cuda = cuda;
    tree->index = index;
    gn_status status = create_parts(tree);
    if (status != GN_OK) {
        weight_tree_destroy(&tree);
        return status;
    }
    *ret_tree = tree;
    return GN_OK;
}

void weight_tree_destroy(weight_tree **tree)
{
    weight_tree *self = *tree;
    if (!self)
        return;
    sum_tree_destroy(&self->host);
    gn_free(&self->waiting);
    gn_free(&self->waiting_weight);
    if (self->cuda) {
        (void)self->cuda->select(self->index);
        sum_tree_cuda_destroy(&self->device);
        self->cuda->release(self->there.item);
        self->cuda->release(self->there.number);
        self->cuda->stream_destroy(self->stream);
        gn_free(&self->weight);
    }
    gn_free(tree);
}

// --- to the device and back

static gn_status select_device(const weight_tree *tree)
{
    return cuda_need(tree->cuda, tree->cuda->select(tree->index), "device of a sum tree");
}

static gn_status copy(weight_tree *tree, void *to, const void *from, size_t n)
{
    int error = tree->cuda->copy(to, from, n * sizeof(uint64_t), tree->stream);
    return cuda_need(tree->cuda, error, "copy of a sum tree's operands");
}

static gn_status send_waiting(weight_tree *tree)
{
    size_t n = tree->waiting_count;
    GN_TRY(copy(tree, tree->there.item, tree->waiting, n));
    GN_TRY(copy(tree, tree->there.number, tree->waiting_weight, n));
    return sum_tree_cuda_set(tree->device, tree->there.item, tree->there.number, n, tree->stream);
}

// What an operation found.  Shape: ret_item: [n].
static gn_status receive_items(weight_tree *tree, uint64_t *ret_item, size_t n)
{
    GN_TRY(copy(tree, ret_item, tree->there.item, n));
    return cuda_need(tree->cuda, tree->cuda->wait(tree->stream), "items of a sum tree");
}

// The sums wait for the stream: what waited here may be overwritten then.
static gn_status settle_device(weight_tree *tree)
{
    if (tree->waiting_count == 0 && !tree->behind)
        return GN_OK;
    bool whole = tree->behind;
    tree->behind = true; // until all went well
    GN_TRY(select_device(tree));
    if (whole)
        GN_TRY(sum_tree_cuda_upload(tree->device, tree->weight, tree->stream));
    else
        GN_TRY(send_waiting(tree));
    GN_TRY(sum_tree_cuda_sums(tree->device, &tree->total, &tree->min, tree->stream));
    tree->behind = false;
    return GN_OK;
}

static gn_status settle(weight_tree *tree)
{
    gn_status status = GN_OK;
    if (tree->cuda)
        status = settle_device(tree);
    else if (tree->waiting_count > 0)
        status = sum_tree_set(tree->host, tree->waiting, tree->waiting_weight, tree->waiting_count);
    assert(status == GN_OK || tree->cuda);
    tree->waiting_count = 0;
    return status;
}

static gn_status find_on_device(weight_tree *tree, const double *u, size_t n, uint64_t *ret_item)
{
    GN_TRY(copy(tree, tree->there.number, u, n));
    GN_TRY(sum_tree_cuda_find(tree->device, tree->there.number, n, tree->there.item, NULL,
                              tree->stream));
    return receive_items(tree, ret_item, n);
}

static gn_status need_weight(const weight_tree *tree)
{
    return tree->total > 0 ? GN_OK
                           : gn_fail(GN_ERR_EMPTY, "sum tree: all %llu weights are 0",
                                     (unsigned long long)tree->capacity);
}

// --- operations

void weight_tree_set(weight_tree *tree, const uint64_t *item, const double *weight, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert(item[i] < tree->capacity && weight[i] >= 0 && weight[i] <= SUM_NODE_WEIGHT_MAX);
        if (tree->waiting_count == tree->waiting_max)
            (void)settle(tree); // a device that failed is told of everything once more
        tree->waiting[tree->waiting_count] = item[i];
        tree->waiting_weight[tree->waiting_count++] = weight[i];
        if (tree->weight)
            tree->weight[item[i]] = weight[i];
    }
}

gn_status weight_tree_find(weight_tree *tree, const double *u, size_t n, uint64_t *ret_item)
{
    GN_TRY(settle(tree));
    if (tree->host)
        return sum_tree_find(tree->host, u, n, ret_item, NULL);
    GN_TRY(need_weight(tree));
    GN_TRY(select_device(tree));
    for (size_t first = 0; first < n; first += tree->waiting_max) {
        size_t some = n - first < tree->waiting_max ? n - first : tree->waiting_max;
        GN_TRY(find_on_device(tree, u + first, some, ret_item + first));
    }
    return GN_OK;
}

gn_status weight_tree_sums(weight_tree *tree, double *ret_total, double *ret_min)
{
    GN_TRY(settle(tree));
    *ret_total = tree->host ? sum_tree_total(tree->host) : tree->total;
    *ret_min = tree->host ? sum_tree_min(tree->host) : tree->min;
    return GN_OK;
}

gn_status weight_tree_lowest(weight_tree *tree, uint64_t *ret_item)
{
    GN_TRY(settle(tree));
    if (tree->host)
        return sum_tree_lowest(tree->host, ret_item);
    GN_TRY(need_weight(tree));
    GN_TRY(select_device(tree));
    GN_TRY(sum_tree_cuda_lowest(tree->device, tree->there.item, tree->stream));
    return receive_items(tree, ret_item, 1);
}

const double *weight_tree_weights(weight_tree *tree)
{
    if (tree->weight)
        return tree->weight;
    (void)settle(tree);
    return sum_tree_weights(tree->host);
}

uint64_t weight_tree_size(const weight_tree *tree)
{
    uint64_t size = sizeof *tree + tree->waiting_max * (sizeof(uint64_t) + sizeof(double));
    return size + (tree->host ? sum_tree_size(tree->host) : tree->capacity * sizeof(double));
}

uint64_t weight_tree_device_size(const weight_tree *tree)
{
    if (!tree->device)
        return 0;
    return sum_tree_cuda_size(tree->device) +
           tree->waiting_max * (sizeof(uint64_t) + sizeof(double));
}
