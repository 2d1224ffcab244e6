#include "tests/support/sum_tree_twins.h"

#include <math.h>
#include <string.h>

#include "tests/support/check.h"

static void twins_need(const twins *t, int error)
{
    expect_ok(cuda_need(t->cuda, error, "test"));
}

void twins_create(twins *t, const cuda_runtime *cuda, size_t capacity)
{
    void *there = NULL;
    t->cuda = cuda;
    t->capacity = capacity;
    t->rng = test_rng_seed(capacity);
    expect_ok(sum_tree_create(&t->host, capacity));
    expect_ok(sum_tree_cuda_create(&t->device, cuda, capacity));
    twins_need(t, cuda->stream_create(&t->stream));
    twins_need(t, cuda->allocate(&there, sizeof *t->there));
    t->there = there;
}

void twins_destroy(twins *t)
{
    t->cuda->release(t->there);
    t->cuda->stream_destroy(t->stream);
    sum_tree_destroy(&t->host);
    sum_tree_cuda_destroy(&t->device);
}

void twins_send(twins *t)
{
    twins_need(t, t->cuda->copy(t->there, &t->here, sizeof t->here, t->stream));
    twins_need(t, t->cuda->wait(t->stream));
}

static void twins_receive(twins *t)
{
    twins_need(t, t->cuda->copy(&t->back, t->there, sizeof t->back, t->stream));
    twins_need(t, t->cuda->wait(t->stream));
}

void twins_draw_pairs(twins *t)
{
    size_t span = 1 + test_rng_below(&t->rng, t->capacity), from = t->capacity - span;
    for (size_t i = 0; i < TWIN_BATCH; i++) {
        t->here.item[i] = from + test_rng_below(&t->rng, span);
        t->here.weight[i] = exp(1200 * test_rng_unit(&t->rng) - 600);
        if (test_rng_below(&t->rng, 8) == 0)
            t->here.weight[i] = test_rng_below(&t->rng, 2) ? 0.0 : -0.0;
        t->here.u[i] = test_rng_unit(&t->rng);
    }
}

void twins_set_device(twins *t, size_t n)
{
    expect_ok(sum_tree_cuda_set(t->device, t->there->item, t->there->weight, n, t->stream));
}

void twins_find_device(twins *t, size_t n)
{
    expect_ok(sum_tree_cuda_find(t->device, t->there->u, n, t->there->found, t->there->found_weight,
                                 t->stream));
}

static void twins_expect_the_same_sums(twins *t)
{
    double total, min;
    expect_ok(sum_tree_cuda_sums(t->device, &total, &min, t->stream));
    assert_true(total == sum_tree_total(t->host));
    assert_true(min == sum_tree_min(t->host));
}

// The device has found for here.u.
static void twins_expect_the_same_finds(twins *t, size_t n)
{
    expect_ok(sum_tree_find(t->host, t->here.u, n, t->here.found, t->here.found_weight));
    twins_receive(t);
    assert_memory_equal(t->here.found, t->back.found, n * sizeof *t->here.found);
    assert_memory_equal(t->here.found_weight, t->back.found_weight,
                        n * sizeof *t->here.found_weight);
}

static void twins_expect_the_same_lowest(twins *t)
{
    uint64_t item;
    expect_ok(sum_tree_lowest(t->host, &item));
    expect_ok(sum_tree_cuda_lowest(t->device, t->there->found, t->stream));
    twins_receive(t);
    assert_int_equal(t->back.found[0], item);
}

// --- the bodies

void twins_agree_after_random_operations(const cuda_runtime *cuda)
{
    enum { ROUNDS = 12 };
    static const size_t capacities[] = { 1, 2, 7, 8, 9, 64, 65, 511, 513, 4097, 100000 };
    static twins t;
    for (size_t c = 0; c < sizeof capacities / sizeof *capacities; c++) {
        twins_create(&t, cuda, capacities[c]);
        for (int round = 0; round < ROUNDS; round++) {
            size_t n = 1 + test_rng_below(&t.rng, round % 3 ? TWIN_BATCH : 20);
            twins_draw_pairs(&t);
            twins_send(&t);
            expect_ok(sum_tree_set(t.host, t.here.item, t.here.weight, n));
            twins_set_device(&t, n);
            twins_expect_the_same_sums(&t);
            if (!(sum_tree_total(t.host) > 0))
                continue;
            twins_find_device(&t, n);
            twins_expect_the_same_finds(&t, n);
            twins_expect_the_same_lowest(&t);
        }
        expect_ok(sum_tree_cuda_check(t.device, t.stream));
        twins_destroy(&t);
    }
}

void twins_take_over_all_weights(const cuda_runtime *cuda)
{
    static const size_t capacities[] = { 1, 8, 1000, 70000 };
    static twins t;
    for (size_t c = 0; c < sizeof capacities / sizeof *capacities; c++) {
        twins_create(&t, cuda, capacities[c]);
        twins_draw_pairs(&t);
        t.here.weight[TWIN_BATCH - 1] = 1; // not all 0
        twins_send(&t);
        expect_ok(sum_tree_set(t.host, t.here.item, t.here.weight, TWIN_BATCH));
        expect_ok(sum_tree_cuda_upload(t.device, sum_tree_weights(t.host), t.stream));
        twins_expect_the_same_sums(&t);
        twins_find_device(&t, TWIN_BATCH);
        twins_expect_the_same_finds(&t, TWIN_BATCH);
        twins_destroy(&t);
    }
}

void twins_weigh_as_the_buffer_does(const cuda_runtime *cuda, double tolerance)
{
    static const sum_tree_weighing weighings[] = { { 0.4, 0, 900 }, { 1, 0.1, 1000 }, { 0, 0, 1 } };
    static twins t;
    for (int round = 0; round < 12; round++) {
        const sum_tree_weighing *by = &weighings[round % 3];
        sum_tree_least least = round % 2 ? SUM_TREE_LEAST_OF_BATCH : SUM_TREE_LEAST_OF_TREE;
        size_t n = round < 6 ? 256 : TWIN_BATCH; // in one launch, in two
        twins_create(&t, cuda, 1000);
        twins_draw_pairs(&t);
        t.here.weighing = *by;
        for (size_t i = 0; i < TWIN_BATCH; i++)
            t.here.weight[i] = 1e-3 + test_rng_unit(&t.rng);
        twins_send(&t);
        expect_ok(sum_tree_set(t.host, t.here.item, t.here.weight, TWIN_BATCH));
        twins_set_device(&t, TWIN_BATCH);
        twins_find_device(&t, n);
        expect_ok(sum_tree_cuda_weigh(t.device, t.there->found_weight, n, &t.there->weighing, least,
                                      t.there->importance, t.stream));
        twins_expect_the_same_finds(&t, n);
        double low = sum_tree_min(t.host);
        for (size_t i = 0; least == SUM_TREE_LEAST_OF_BATCH && i < n; i++)
            low = i == 0 ? t.here.found_weight[0] : fmin(low, t.here.found_weight[i]);
        double c = by->uniform / (1 - by->uniform) * sum_tree_total(t.host) / by->count;
        for (size_t i = 0; i < n; i++) {
            float ratio = (float)((low + c) / (t.here.found_weight[i] + c));
            float expected = powf(ratio, (float)by->beta);
            assert_true(fabs((double)t.back.importance[i] - expected) <= tolerance * expected);
        }
        twins_destroy(&t);
    }
}

void twins_tell_of_bad_pairs_once(const cuda_runtime *cuda)
{
    static const struct {
        uint64_t item;
        double weight;
        const char *text;
    } bad[] = {
        { 9, -2, "a weight, number 1 " },       { 9, NAN, "a weight, number 1 " },
        { 9, INFINITY, "a weight, number 1 " }, { 9, 1e300, "a weight, number 1 " },
        { 100, 1, "an item, number 1 " },       { UINT64_MAX, 1, "an item, number 1 " },
    };
    static twins t;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        twins_create(&t, cuda, 100);
        uint64_t item[] = { 9, bad[i].item, 50, bad[i].item, 50 };
        double weight[] = { 3, bad[i].weight, 5, bad[i].weight, 4 };
        memcpy(t.here.item, item, sizeof item);
        memcpy(t.here.weight, weight, sizeof weight);
        twins_send(&t);
        twins_set_device(&t, 5);
        expect_ok(sum_tree_set(t.host, (uint64_t[]){ 9, 50 }, (double[]){ 3, 4 }, 2));
        twins_expect_the_same_sums(&t);
        expect_fails(GN_ERR_ARG, bad[i].text, sum_tree_cuda_check(t.device, t.stream));
        expect_ok(sum_tree_cuda_check(t.device, t.stream));
        twins_destroy(&t);
    }
}

void twins_tell_of_a_find_without_weight(const cuda_runtime *cuda)
{
    static twins t;
    twins_create(&t, cuda, 100);
    t.here.found[0] = t.here.found[1] = 77;
    t.here.u[0] = 0.2, t.here.u[1] = 0.9;
    twins_send(&t);
    expect_ok(sum_tree_cuda_find(t.device, t.there->u, 2, t.there->found, NULL, t.stream));
    twins_receive(&t);
    assert_int_equal(t.back.found[0], 0);
    assert_int_equal(t.back.found[1], 0);
    expect_fails(GN_ERR_EMPTY, "all 100 weights were 0", sum_tree_cuda_check(t.device, t.stream));
    expect_ok(sum_tree_cuda_lowest(t.device, t.there->found, t.stream));
    expect_fails(GN_ERR_EMPTY, "all 100 weights were 0", sum_tree_cuda_check(t.device, t.stream));
    expect_ok(sum_tree_cuda_check(t.device, t.stream));
    twins_destroy(&t);
}

void twins_agree_through_a_graph(const cuda_runtime *cuda)
{
    static twins t;
    static const size_t sizes[] = { 256, TWIN_BATCH };
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        size_t n = sizes[s];
        void *graph = NULL;
        twins_create(&t, cuda, 100000);
        twins_need(&t, cuda->capture_begin(t.stream));
        twins_set_device(&t, n);
        twins_find_device(&t, n);
        expect_ok(sum_tree_cuda_weigh(t.device, t.there->found_weight, n, &t.there->weighing,
                                      SUM_TREE_LEAST_OF_BATCH, t.there->importance, t.stream));
        twins_need(&t, cuda->capture_end(t.stream, &graph));
        for (int round = 0; round < 10; round++) {
            twins_draw_pairs(&t);
            t.here.weight[n - 1] = 1; // not all 0
            t.here.weighing = (sum_tree_weighing){ 0.5, 0, 1 };
            twins_send(&t);
            twins_need(&t, cuda->graph_launch(graph, t.stream));
            expect_ok(sum_tree_set(t.host, t.here.item, t.here.weight, n));
            twins_expect_the_same_finds(&t, n);
            twins_expect_the_same_sums(&t);
        }
        cuda->graph_destroy(graph);
        twins_destroy(&t);
    }
}
