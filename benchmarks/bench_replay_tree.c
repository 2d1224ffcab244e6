// The sum tree alone on one core: drawing items, drawing them with importance weights, and changing
// weights, for N items and batches of B.
//
//     bench_replay_tree [--seconds S]
//
//     find     B stratified u, drawn beforehand -> items
//     sample   u drawn too, and weights (least / weight)^beta
//     set      B random items, new weights; sums and least weights of all nodes above are renewed
//
// Names with `avx2` are the same code without its AVX-512 instructions, for other processors.

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "benchmarks/bench.h"
#include "replay/sum_tree.h"

// The twin for processors without AVX-512, under other names.
#define SUM_NODE_NO_AVX512
#define sum_tree avx2_tree
#define sum_tree_create avx2_tree_create
#define sum_tree_destroy avx2_tree_destroy
#define sum_tree_set avx2_tree_set
#define sum_tree_find avx2_tree_find
#define sum_tree_weights avx2_tree_weights
#define sum_tree_total avx2_tree_total
#define sum_tree_min avx2_tree_min
#define sum_tree_size avx2_tree_size
#define sum_tree_capacity avx2_tree_capacity
#define sum_tree_lowest avx2_tree_lowest
#undef REPLAY_SUM_TREE_H
#include "replay/sum_tree.c"
#undef sum_tree
#undef sum_tree_create
#undef sum_tree_destroy
#undef sum_tree_set
#undef sum_tree_find
#undef sum_tree_weights
#undef sum_tree_total
#undef sum_tree_min
#undef sum_tree_size
#undef sum_tree_capacity
#undef sum_tree_lowest

typedef struct tree_calls {
    const char *label; // "" or ".avx2"
    gn_status (*set)(void *tree, const uint64_t *item, const double *weight, size_t n);
    gn_status (*find)(const void *tree, const double *u, size_t n, uint64_t *ret_item,
                      double *ret_weight);
} tree_calls;

static gn_status set_ours(void *tree, const uint64_t *item, const double *weight, size_t n)
{
    return sum_tree_set(tree, item, weight, n);
}

static gn_status find_ours(const void *tree, const double *u, size_t n, uint64_t *ret_item,
                           double *ret_weight)
{
    return sum_tree_find(tree, u, n, ret_item, ret_weight);
}

static gn_status set_avx2(void *tree, const uint64_t *item, const double *weight, size_t n)
{
    return avx2_tree_set(tree, item, weight, n);
}

static gn_status find_avx2(const void *tree, const double *u, size_t n, uint64_t *ret_item,
                           double *ret_weight)
{
    return avx2_tree_find(tree, u, n, ret_item, ret_weight);
}

typedef struct tree_bench {
    const tree_calls *calls;
    void *tree;
    uint64_t capacity;
    size_t batch, rounds; // more items than any cache of a core holds
    uint64_t *item; // [rounds, batch]
    double *weight, *u; // [rounds, batch]
    uint64_t *found; // [batch]
    double *found_weight; // [batch]
    float *is; // [batch]
    gn_random random;
    double seconds;
    const char *size_label;
} tree_bench;

static void prepare(tree_bench *self)
{
    enum { ITEMS = 1 << 20, BLOCK_ITEMS = 4096 };
    self->rounds = ITEMS / self->batch;
    size_t n = self->rounds * self->batch;
    bench_need(gn_alloc(&self->item, n, sizeof *self->item));
    bench_need(gn_alloc(&self->weight, n, sizeof *self->weight));
    bench_need(gn_alloc(&self->u, n, sizeof *self->u));
    bench_need(gn_alloc(&self->found, self->batch, sizeof *self->found));
    bench_need(gn_alloc(&self->found_weight, self->batch, sizeof *self->found_weight));
    bench_need(gn_alloc(&self->is, self->batch, sizeof *self->is));
    for (uint64_t first = 0; first < self->capacity; first += BLOCK_ITEMS) {
        size_t count = self->capacity - first < BLOCK_ITEMS ? self->capacity - first : BLOCK_ITEMS;
        for (size_t i = 0; i < count; i++) {
            self->item[i] = first + i;
            self->weight[i] = gn_random_uniform(&self->random, 0.1, 1);
        }
        bench_need(self->calls->set(self->tree, self->item, self->weight, count));
    }
    for (size_t i = 0; i < n; i++) {
        self->item[i] = gn_random_u64(&self->random) % self->capacity;
        self->weight[i] = gn_random_uniform(&self->random, 0.1, 1);
        self->u[i] =
            ((double)(i % self->batch) + gn_random_unit(&self->random)) / (double)self->batch;
    }
}

static void release(tree_bench *self)
{
    gn_free(&self->item);
    gn_free(&self->weight);
    gn_free(&self->u);
    gn_free(&self->found);
    gn_free(&self->found_weight);
    gn_free(&self->is);
}

static void do_find(tree_bench *self, size_t round)
{
    bench_need(self->calls->find(self->tree, self->u + round * self->batch, self->batch,
                                 self->found, NULL));
}

static void do_set(tree_bench *self, size_t round)
{
    bench_need(self->calls->set(self->tree, self->item + round * self->batch,
                                self->weight + round * self->batch, self->batch));
}

static void do_sample(tree_bench *self, size_t round)
{
    double *u = self->u + round * self->batch, least = INFINITY;
    gn_random_units(&self->random, u, self->batch);
    for (size_t i = 0; i < self->batch; i++)
        u[i] = ((double)i + u[i]) / (double)self->batch;
    bench_need(self->calls->find(self->tree, u, self->batch, self->found, self->found_weight));
    for (size_t i = 0; i < self->batch; i++)
        least = self->found_weight[i] < least ? self->found_weight[i] : least;
    for (size_t i = 0; i < self->batch; i++)
        self->is[i] = powf((float)(least / self->found_weight[i]), 0.4f);
}

static void measure(tree_bench *self, const char *what, void (*work)(tree_bench *, size_t))
{
    char name[96];
    snprintf(name, sizeof name, "replay.tree%s.%s.%s.b%zu", self->calls->label, what,
             self->size_label, self->batch);
    bench run = bench_begin(name, "us", self->seconds);
    while (bench_next(&run)) {
        for (size_t round = 0; round < self->rounds; round++)
            work(self, round);
        bench_sample(&run, bench_elapsed(&run) * 1e6 / (double)self->rounds);
    }
    bench_report(&run);
}

static void measure_tree(const tree_calls *calls, void *tree, uint64_t capacity,
                         const char *size_label, size_t batch, double seconds)
{
    tree_bench self = { .calls = calls,
                        .tree = tree,
                        .capacity = capacity,
                        .batch = batch,
                        .random = gn_random_stream(1, GN_RANDOM_TEST, 0),
                        .seconds = seconds,
                        .size_label = size_label };
    prepare(&self);
    measure(&self, "find", do_find);
    measure(&self, "sample", do_sample);
    measure(&self, "set", do_set);
    release(&self);
}

int main(int count, char **argument)
{
    static const tree_calls ours = { "", set_ours, find_ours };
    static const tree_calls avx2 = { ".avx2", set_avx2, find_avx2 };
    static const struct {
        uint64_t capacity;
        const char *label;
    } sizes[] = { { 1000000, "1M" }, { 10000000, "10M" } };
    double seconds = count == 3 && strcmp(argument[1], "--seconds") == 0 ? atof(argument[2]) : 1;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        sum_tree *tree;
        avx2_tree *twin;
        bench_need(sum_tree_create(&tree, sizes[i].capacity));
        bench_need(avx2_tree_create(&twin, sizes[i].capacity));
        measure_tree(&ours, tree, sizes[i].capacity, sizes[i].label, 256, seconds);
        measure_tree(&ours, tree, sizes[i].capacity, sizes[i].label, 65536, seconds);
        measure_tree(&avx2, twin, sizes[i].capacity, sizes[i].label, 256, seconds);
        sum_tree_destroy(&tree);
        avx2_tree_destroy(&twin);
    }
    return 0;
}
