// The host's side of the tree on a device: memory, and which steps make up an operation. The steps
// themselves are in replay/sum_tree_device.h.

#include "replay/sum_tree_cuda.h"

#include "base/mem.h"
#include "replay/sum_tree_steps.h"

enum { WIDTH = SUM_NODE_WIDTH };
static const uint64_t EVERY_NODE = UINT64_MAX; // as n of a batch: levels are refreshed whole

struct sum_tree_cuda {
    const cuda_runtime *cuda;
    const sum_tree_kernels *kernels;
    sum_tree_view view; // its arrays are parts of `memory`
    unsigned char *memory; // of the device
    uint64_t size;
};

// --- memory

// Lays the arrays out from `memory` on; returns the bytes they take. Each is a whole number of
// nodes, so all are aligned to a node.
static uint64_t lay_out(sum_tree_view *view, unsigned char *memory)
{
    uint64_t used = 0;
    for (int level = 0; level < view->levels; level++) {
        uint64_t bytes = view->nodes[level] * WIDTH * sizeof(double);
        if (memory) {
            view->sum[level] = (double *)(void *)(memory + used);
            view->low[level] = level > 0 ? (double *)(void *)(memory + used + bytes) : NULL;
        }
        used += level > 0 ? 2 * bytes : bytes;
    }
    if (memory)
        view->notes = (sum_tree_notes *)(void *)(memory + used);
    return used + sizeof(sum_tree_notes);
}

static gn_status forget_notes(sum_tree_cuda *tree, void *stream)
{
    sum_tree_notes none = { .bad_item = UINT64_MAX, .bad_weight = UINT64_MAX };
    const cuda_runtime *cuda = tree->cuda;
    GN_TRY(cuda_need(cuda, cuda->copy(tree->view.notes, &none, sizeof none, stream), "copy"));
    return cuda_need(cuda, cuda->wait(stream), "copy");
}

gn_status sum_tree_cuda_create(sum_tree_cuda **ret_tree, const cuda_runtime *cuda,
                               uint64_t capacity)
{
    if (capacity == 0 || capacity > SUM_NODE_CAPACITY_MAX)
        return gn_fail(GN_ERR_ARG, "sum tree of %llu items: must be 1 to 2^40",
                       (unsigned long long)capacity);
    const sum_tree_kernels *kernels = cuda->find(SUM_TREE_KERNELS);
    if (!kernels)
        return gn_fail(GN_ERR_UNSUPPORTED, "cuda: the library has no kernels of the sum tree");
    sum_tree_cuda *tree;
    GN_TRY(gn_alloc(&tree, 1, sizeof *tree));
    tree->cuda = cuda;
    tree->kernels = kernels;
    tree->view.capacity = capacity;
    uint64_t entries = capacity;
    do {
        entries = tree->view.nodes[tree->view.levels++] = (entries + WIDTH - 1) / WIDTH;
    } while (entries > 1);
    tree->size = lay_out(&tree->view, NULL);
    void *memory = NULL;
    gn_status status = cuda_need(cuda, cuda->allocate(&memory, tree->size), "memory of a sum tree");
    if (status == GN_OK) {
        tree->memory = memory;
        lay_out(&tree->view, memory);
        status = forget_notes(tree, NULL);
    }
    if (status != GN_OK) {
        sum_tree_cuda_destroy(&tree);
        return status;
    }
    *ret_tree = tree;
    return GN_OK;
}

void sum_tree_cuda_destroy(sum_tree_cuda **tree)
{
    if (!*tree)
        return;
    (*tree)->cuda->release((*tree)->memory);
    gn_free(tree);
}

uint64_t sum_tree_cuda_size(const sum_tree_cuda *tree)
{
    return tree->size;
}

// --- operations

// Enqueues steps in order. Those of few threads that follow each other become one launch.
static gn_status enqueue(const sum_tree_cuda *tree, const sum_tree_batch *batch,
                         const sum_tree_step *step, int steps, void *stream)
{
    for (int first = 0, n; first < steps; first += n) {
        n = 1;
        while (step[first].threads <= SUM_TREE_BLOCK && first + n < steps &&
               step[first + n].threads <= SUM_TREE_BLOCK)
            n++;
        int error = tree->kernels->launch(&tree->view, batch, step + first, n, stream);
        GN_TRY(cuda_need(tree->cuda, error, "launch of a sum tree's kernel"));
    }
    return GN_OK;
}

// The steps that make the sums above n items right again.
static int plan_refresh(const sum_tree_view *view, uint64_t n, sum_tree_step *ret_step)
{
    int steps = view->levels - 1;
    for (int level = 0; level < steps; level++) {
        uint64_t nodes = view->nodes[level];
        ret_step[level] = (sum_tree_step){ SUM_TREE_REFRESH, level, n < nodes ? n : nodes };
    }
    return steps;
}

gn_status sum_tree_cuda_set(sum_tree_cuda *tree, const uint64_t *item, const double *weight,
                            size_t n, void *stream)
{
    if (n == 0)
        return GN_OK;
    sum_tree_batch batch = { .n = n, .item = item, .weight = weight };
    sum_tree_step step[SUM_TREE_STEPS_MAX] = { { SUM_TREE_CLAIM, 0, n }, { SUM_TREE_WRITE, 0, n } };
    int steps = 2 + plan_refresh(&tree->view, n, step + 2);
    return enqueue(tree, &batch, step, steps, stream);
}

gn_status sum_tree_cuda_find(sum_tree_cuda *tree, const double *u, size_t n, uint64_t *ret_item,
                             double *ret_weight, void *stream)
{
    if (n == 0)
        return GN_OK;
    sum_tree_batch batch = { .n = n, .u = u, .ret_item = ret_item, .ret_weight = ret_weight };
    return enqueue(tree, &batch, &(sum_tree_step){ SUM_TREE_FIND, 0, n }, 1, stream);
}

gn_status sum_tree_cuda_weigh(sum_tree_cuda *tree, const double *weight, size_t n,
                              const sum_tree_weighing *weighing, sum_tree_least least,
                              float *ret_importance, void *stream)
{
    if (n == 0)
        return GN_OK;
    sum_tree_batch batch = { .n = n,
                             .weight = weight,
                             .weighing = weighing,
                             .least = least,
                             .ret_importance = ret_importance };
    sum_tree_step step[] = { { SUM_TREE_LEAST_BEGIN, 0, 1 },
                             { SUM_TREE_LEAST, 0, n < SUM_TREE_BLOCK ? n : SUM_TREE_BLOCK },
                             { SUM_TREE_WEIGH, 0, n } };
    int skipped = least == SUM_TREE_LEAST_OF_BATCH ? 0 : 2;
    return enqueue(tree, &batch, step + skipped, 3 - skipped, stream);
}

gn_status sum_tree_cuda_lowest(sum_tree_cuda *tree, uint64_t *ret_item, void *stream)
{
    sum_tree_batch batch = { .n = 1, .ret_item = ret_item };
    return enqueue(tree, &batch, &(sum_tree_step){ SUM_TREE_LOWEST, 0, 1 }, 1, stream);
}

gn_status sum_tree_cuda_check(sum_tree_cuda *tree, void *stream)
{
    const cuda_runtime *cuda = tree->cuda;
    sum_tree_notes notes;
    GN_TRY(cuda_need(cuda, cuda->copy(&notes, tree->view.notes, sizeof notes, stream), "copy"));
    GN_TRY(cuda_need(cuda, cuda->wait(stream), "sum tree"));
    if (notes.bad_item == UINT64_MAX && notes.bad_weight == UINT64_MAX && !notes.empty)
        return GN_OK;
    GN_TRY(forget_notes(tree, stream));
    if (notes.bad_item != UINT64_MAX)
        return gn_fail(GN_ERR_ARG, "sum tree: an item, number %llu of a set, was not below %llu",
                       (unsigned long long)notes.bad_item, (unsigned long long)tree->view.capacity);
    if (notes.bad_weight != UINT64_MAX)
        return gn_fail(GN_ERR_ARG, "sum tree: a weight, number %llu of a set, was not 0 to %g",
                       (unsigned long long)notes.bad_weight, SUM_NODE_WEIGHT_MAX);
    return gn_fail(GN_ERR_EMPTY, "sum tree: all %llu weights were 0 when it was drawn from",
                   (unsigned long long)tree->view.capacity);
}

// --- to and from the host

gn_status sum_tree_cuda_upload(sum_tree_cuda *tree, const double *weight, void *stream)
{
    const cuda_runtime *cuda = tree->cuda;
    size_t bytes = tree->view.capacity * sizeof(double);
    GN_TRY(cuda_need(cuda, cuda->copy(tree->view.sum[0], weight, bytes, stream),
                     "upload of a sum tree"));
    sum_tree_step step[SUM_TREE_STEPS_MAX];
    int steps = plan_refresh(&tree->view, EVERY_NODE, step);
    GN_TRY(enqueue(tree, &(sum_tree_batch){ .n = EVERY_NODE }, step, steps, stream));
    return cuda_need(cuda, cuda->wait(stream), "upload of a sum tree");
}

gn_status sum_tree_cuda_sums(sum_tree_cuda *tree, double *ret_total, double *ret_min, void *stream)
{
    const cuda_runtime *cuda = tree->cuda;
    int top = tree->view.levels - 1;
    double sum[WIDTH], low[WIDTH];
    const double *from = top == 0 ? tree->view.sum[0] : tree->view.low[top];
    GN_TRY(cuda_need(cuda, cuda->copy(sum, tree->view.sum[top], sizeof sum, stream), "copy"));
    GN_TRY(cuda_need(cuda, cuda->copy(low, from, sizeof low, stream), "copy"));
    GN_TRY(cuda_need(cuda, cuda->wait(stream), "sum tree"));
    *ret_total = sum_node_total_portable(sum);
    *ret_min = sum_node_low_portable(low);
    return GN_OK;
}
