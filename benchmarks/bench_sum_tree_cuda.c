// The sum tree on a CUDA device: microseconds to set and to find a batch, of 256 and of 65,536, in
// trees of 1 and 10 million items. Operations follow each other in a graph, as in an update, so
// what is measured is the device's time of one. Without a device there is nothing to measure.
//
//     bench_sum_tree_cuda [--seconds S]

#include <stdio.h>

#include "base/mem.h"
#include "base/random.h"
#include "benchmarks/bench.h"
#include "replay/sum_tree_cuda.h"

enum { IN_GRAPH = 32, NAME_SIZE = 64 };

// The batches of a graph: [IN_GRAPH * n] each; what is found: [n], for nobody reads it.
typedef struct batches {
    uint64_t *item, *found;
    double *weight, *u, *found_weight;
} batches;

static void *on_device(const cuda_runtime *cuda, size_t count, size_t size)
{
    void *block = NULL;
    bench_need(cuda_need(cuda, cuda->allocate(&block, count * size), "batches"));
    return block;
}

// Items drawn evenly, weights in (0, 1], and each batch's draws stratified.
static batches make_batches(const cuda_runtime *cuda, size_t capacity, size_t n)
{
    size_t count = IN_GRAPH * n;
    batches here = { 0 }, there;
    bench_need(gn_alloc(&here.item, count, sizeof *here.item));
    bench_need(gn_alloc(&here.weight, count, sizeof *here.weight));
    bench_need(gn_alloc(&here.u, count, sizeof *here.u));
    gn_random random = gn_random_stream(1, GN_RANDOM_TEST, 0);
    for (size_t i = 0; i < count; i++) {
        here.item[i] = gn_random_below(&random, (uint32_t)capacity);
        here.weight[i] = 1 - gn_random_unit(&random);
        here.u[i] = ((double)(i % n) + gn_random_unit(&random)) / (double)n;
    }
    there.item = on_device(cuda, count, sizeof *here.item);
    there.weight = on_device(cuda, count, sizeof *here.weight);
    there.u = on_device(cuda, count, sizeof *here.u);
    there.found = on_device(cuda, n, sizeof *here.found);
    there.found_weight = on_device(cuda, n, sizeof *here.found_weight);
    int error = cuda->copy(there.item, here.item, count * sizeof *here.item, NULL);
    error = error ? error : cuda->copy(there.weight, here.weight, count * sizeof(double), NULL);
    error = error ? error : cuda->copy(there.u, here.u, count * sizeof *here.u, NULL);
    error = error ? error : cuda->wait(NULL);
    bench_need(cuda_need(cuda, error, "batches"));
    gn_free(&here.item);
    gn_free(&here.weight);
    gn_free(&here.u);
    return there;
}

static void measure(const cuda_runtime *cuda, const char *name, void *graph, void *stream,
                    double budget_s)
{
    enum { LAUNCHES = 20 };
    bench run = bench_begin(name, "us", budget_s);
    while (bench_next(&run)) {
        int error = 0;
        for (int i = 0; i < LAUNCHES && error == 0; i++)
            error = cuda->graph_launch(graph, stream);
        error = error ? error : cuda->wait(stream);
        bench_need(cuda_need(cuda, error, name));
        bench_sample(&run, bench_elapsed(&run) * 1e6 / (LAUNCHES * IN_GRAPH));
    }
    bench_report(&run);
}

static void *capture(const cuda_runtime *cuda, sum_tree_cuda *tree, const batches *of, size_t n,
                     bool finds, void *stream)
{
    void *graph = NULL;
    bench_need(cuda_need(cuda, cuda->capture_begin(stream), "graph"));
    for (size_t first = 0; first < IN_GRAPH * n; first += n) {
        if (finds)
            bench_need(
                sum_tree_cuda_find(tree, of->u + first, n, of->found, of->found_weight, stream));
        else
            bench_need(sum_tree_cuda_set(tree, of->item + first, of->weight + first, n, stream));
    }
    bench_need(cuda_need(cuda, cuda->capture_end(stream, &graph), "graph"));
    return graph;
}

// Sets first: they fill the tree that finds look into.
static void measure_tree(const cuda_runtime *cuda, size_t millions, size_t n, double budget_s)
{
    size_t capacity = millions * 1000000;
    void *stream = NULL;
    sum_tree_cuda *tree;
    bench_need(cuda_need(cuda, cuda->stream_create(&stream), "stream"));
    bench_need(sum_tree_cuda_create(&tree, cuda, capacity));
    batches of = make_batches(cuda, capacity, n);
    for (int finds = 0; finds < 2; finds++) {
        char name[NAME_SIZE];
        snprintf(name, sizeof name, "replay.sum_tree_cuda.%s.%zu.%zuM", finds ? "find" : "set", n,
                 millions);
        void *graph = capture(cuda, tree, &of, n, finds, stream);
        measure(cuda, name, graph, stream, budget_s);
        cuda->graph_destroy(graph);
    }
    bench_need(sum_tree_cuda_check(tree, stream));
    cuda->release(of.item);
    cuda->release(of.weight);
    cuda->release(of.u);
    cuda->release(of.found);
    cuda->release(of.found_weight);
    sum_tree_cuda_destroy(&tree);
    cuda->stream_destroy(stream);
}

int main(int count, char **argument)
{
    double budget_s = bench_seconds(count, argument);
    const cuda_runtime *cuda;
    gn_status status = cuda_open(&cuda, NULL, 0);
    if (status == GN_ERR_UNSUPPORTED) {
        fprintf(stderr, "%s: nothing to measure: %s\n", argument[0], gn_error_text());
        return 0;
    }
    bench_need(status);
    static const size_t millions[] = { 1, 10 }, sizes[] = { 256, 65536 };
    for (size_t m = 0; m < 2; m++)
        for (size_t s = 0; s < 2; s++)
            measure_tree(cuda, millions[m], sizes[s], budget_s);
    return 0;
}
