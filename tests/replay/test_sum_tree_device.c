// The sum tree of a device against that of the host, to the last bit, with its threads emulated in
// every order: forward, reverse and shuffled.

#include "replay/sum_tree_cuda.h"

#include <math.h>

#include "replay/sum_tree.h"
#include "tests/replay/device_emulation.h"

enum { BATCH = 5000 }; // beyond a block, so that steps are launched alone and together

typedef struct twins {
    sum_tree *host;
    sum_tree_cuda *device;
    test_rng rng;
    size_t capacity;
    uint64_t item[BATCH], found[BATCH], found_device[BATCH];
    double weight[BATCH], u[BATCH], found_weight[BATCH], found_weight_device[BATCH];
} twins;

static void create_twins(twins *t, size_t capacity, emulation_order order)
{
    emulation_threads = order;
    emulation_rng = test_rng_seed(7);
    emulation_error = 0;
    t->rng = test_rng_seed(capacity);
    t->capacity = capacity;
    expect_ok(sum_tree_create(&t->host, capacity));
    expect_ok(sum_tree_cuda_create(&t->device, &emulation, capacity));
}

static void destroy_twins(twins *t)
{
    sum_tree_destroy(&t->host);
    sum_tree_cuda_destroy(&t->device);
}

// Few items, so that they occur again and again; weights of all magnitudes, every eighth 0 or -0.
static void draw_pairs(twins *t, size_t n)
{
    size_t span = 1 + test_rng_below(&t->rng, t->capacity), from = t->capacity - span;
    for (size_t i = 0; i < n; i++) {
        t->item[i] = from + test_rng_below(&t->rng, span);
        t->weight[i] = exp(1200 * test_rng_unit(&t->rng) - 600);
        if (test_rng_below(&t->rng, 8) == 0)
            t->weight[i] = test_rng_below(&t->rng, 2) ? 0.0 : -0.0;
        t->u[i] = test_rng_unit(&t->rng);
    }
}

static void expect_the_same_sums(twins *t)
{
    double total, min;
    expect_ok(sum_tree_cuda_sums(t->device, &total, &min, NULL));
    assert_true(total == sum_tree_total(t->host));
    assert_true(min == sum_tree_min(t->host));
}

static void expect_the_same_finds(twins *t, size_t n)
{
    expect_ok(sum_tree_find(t->host, t->u, n, t->found, t->found_weight));
    expect_ok(
        sum_tree_cuda_find(t->device, t->u, n, t->found_device, t->found_weight_device, NULL));
    assert_memory_equal(t->found, t->found_device, n * sizeof *t->found);
    assert_memory_equal(t->found_weight, t->found_weight_device, n * sizeof *t->found_weight);
}

static void is_the_twin_of_the_host_in_every_order_of_threads(void **state)
{
    (void)state;
    enum { ROUNDS = 12 };
    static const size_t capacities[] = { 1, 2, 7, 8, 9, 64, 65, 511, 513, 4097, 100000 };
    static twins t;
    for (size_t c = 0; c < sizeof capacities / sizeof *capacities; c++)
        for (emulation_order order = FORWARD; order < EMULATION_ORDERS; order++) {
            create_twins(&t, capacities[c], order);
            for (int round = 0; round < ROUNDS; round++) {
                size_t n = test_rng_below(&t.rng, round % 3 ? BATCH : 20);
                draw_pairs(&t, n);
                expect_ok(sum_tree_set(t.host, t.item, t.weight, n));
                expect_ok(sum_tree_cuda_set(t.device, t.item, t.weight, n, NULL));
                expect_the_same_sums(&t);
                if (sum_tree_total(t.host) > 0)
                    expect_the_same_finds(&t, n);
            }
            expect_ok(sum_tree_cuda_check(t.device, NULL));
            destroy_twins(&t);
        }
}

static void goes_up_to_the_device_and_back(void **state)
{
    (void)state;
    static twins t;
    static const size_t capacities[] = { 1, 8, 1000, 50000 };
    for (size_t c = 0; c < sizeof capacities / sizeof *capacities; c++) {
        create_twins(&t, capacities[c], SHUFFLED);
        draw_pairs(&t, BATCH);
        expect_ok(sum_tree_set(t.host, t.item, t.weight, BATCH));
        expect_ok(sum_tree_cuda_upload(t.device, t.host, NULL));
        expect_the_same_sums(&t);
        expect_the_same_finds(&t, BATCH);
        sum_tree *back;
        expect_ok(sum_tree_create(&back, t.capacity));
        expect_ok(sum_tree_cuda_download(t.device, back, NULL));
        assert_memory_equal(sum_tree_weights(back), sum_tree_weights(t.host),
                            t.capacity * sizeof(double));
        assert_true(sum_tree_total(back) == sum_tree_total(t.host));
        sum_tree_destroy(&back);
        expect_ok(sum_tree_create(&back, t.capacity + 1));
        expect_fails(GN_ERR_ARG, "the host's has", sum_tree_cuda_upload(t.device, back, NULL));
        expect_fails(GN_ERR_ARG, "the host's has", sum_tree_cuda_download(t.device, back, NULL));
        sum_tree_destroy(&back);
        destroy_twins(&t);
    }
}

// The formula of replay/buffer_sample.c.
static void weighs_as_the_buffer_does(void **state)
{
    (void)state;
    static twins t;
    static float importance[BATCH];
    static const sum_tree_weighing weighings[] = { { 0.4, 0, 900 }, { 1, 0.1, 1000 }, { 0, 0, 1 } };
    for (emulation_order order = FORWARD; order < EMULATION_ORDERS; order++)
        for (int round = 0; round < 12; round++) {
            const sum_tree_weighing *by = &weighings[round % 3];
            sum_tree_least least = round % 2 ? SUM_TREE_LEAST_OF_BATCH : SUM_TREE_LEAST_OF_TREE;
            size_t n = round < 6 ? 256 : BATCH; // in one launch, in two
            create_twins(&t, 1000, order);
            draw_pairs(&t, BATCH);
            for (size_t i = 0; i < BATCH; i++)
                t.weight[i] = 1e-3 + test_rng_unit(&t.rng);
            expect_ok(sum_tree_set(t.host, t.item, t.weight, BATCH));
            expect_ok(sum_tree_cuda_set(t.device, t.item, t.weight, BATCH, NULL));
            expect_the_same_finds(&t, n);
            expect_ok(sum_tree_cuda_weigh(t.device, t.found_weight_device, n, by, least, importance,
                                          NULL));
            double low = sum_tree_min(t.host);
            for (size_t i = 0; least == SUM_TREE_LEAST_OF_BATCH && i < n; i++)
                low = i == 0 ? t.found_weight[0] : fmin(low, t.found_weight[i]);
            double c = by->uniform / (1 - by->uniform) * sum_tree_total(t.host) / by->count;
            for (size_t i = 0; i < n; i++)
                assert_true(importance[i] ==
                            powf((float)((low + c) / (t.found_weight[i] + c)), (float)by->beta));
            destroy_twins(&t);
        }
}

static void passes_over_bad_pairs_and_tells_of_them_once(void **state)
{
    (void)state;
    static twins t;
    static const struct {
        uint64_t item;
        double weight;
        const char *text;
    } bad[] = {
        { 9, -2, "a weight, the 2th" },      { 9, NAN, "a weight, the 2th" },
        { 9, INFINITY, "a weight, the 2th" }, { 9, 1e300, "a weight, the 2th" },
        { 100, 1, "the 2th of a set, was not below 100" },
        { UINT64_MAX, 1, "the 2th of a set, was not below 100" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (emulation_order order = FORWARD; order < EMULATION_ORDERS; order++) {
            create_twins(&t, 100, order);
            uint64_t item[] = { 9, bad[i].item, 50, bad[i].item, 50 };
            double weight[] = { 3, bad[i].weight, 5, bad[i].weight, 4 };
            expect_ok(sum_tree_cuda_set(t.device, item, weight, 5, NULL));
            expect_ok(sum_tree_set(t.host, (uint64_t[]){ 9, 50 }, (double[]){ 3, 4 }, 2));
            expect_the_same_sums(&t);
            expect_fails(GN_ERR_ARG, bad[i].text, sum_tree_cuda_check(t.device, NULL));
            expect_ok(sum_tree_cuda_check(t.device, NULL));
            destroy_twins(&t);
        }
}

static void tells_of_a_find_without_weight(void **state)
{
    (void)state;
    static twins t;
    create_twins(&t, 100, FORWARD);
    uint64_t found[2] = { 77, 77 };
    expect_ok(sum_tree_cuda_find(t.device, (double[]){ 0.2, 0.9 }, 2, found, NULL, NULL));
    assert_int_equal(found[0], 0);
    assert_int_equal(found[1], 0);
    expect_fails(GN_ERR_EMPTY, "all 100 weights were 0", sum_tree_cuda_check(t.device, NULL));
    expect_ok(sum_tree_cuda_check(t.device, NULL));
    destroy_twins(&t);
}

// Of a million items: 7 levels. 256 pairs are one launch; of 5000 only the small levels join.
static void allocates_nothing_and_launches_little(void **state)
{
    (void)state;
    static twins t;
    static const sum_tree_weighing by = { 0.5, 0, 1 };
    float importance[256];
    create_twins(&t, 1000000, FORWARD);
    draw_pairs(&t, BATCH);
    uint64_t allocations = gn_mem_allocations(), launches = emulation_launches;
    expect_ok(sum_tree_cuda_set(t.device, t.item, t.weight, 256, NULL));
    assert_int_equal(emulation_launches - launches, 1);
    expect_ok(sum_tree_cuda_find(t.device, t.u, 256, t.found, t.found_weight, NULL));
    assert_int_equal(emulation_launches - launches, 2);
    expect_ok(sum_tree_cuda_weigh(t.device, t.found_weight, 256, &by, SUM_TREE_LEAST_OF_BATCH,
                                  importance, NULL));
    assert_int_equal(emulation_launches - launches, 3);
    // Claim, write, and levels of 125000, 15625, 1954 nodes; those of 245, 31 and 4 together.
    expect_ok(sum_tree_cuda_set(t.device, t.item, t.weight, BATCH, NULL));
    assert_int_equal(emulation_launches - launches, 3 + 6);
    expect_ok(sum_tree_cuda_set(t.device, t.item, t.weight, 0, NULL));
    expect_ok(sum_tree_cuda_find(t.device, t.u, 0, t.found, NULL, NULL));
    assert_int_equal(emulation_launches - launches, 9);
    assert_int_equal(gn_mem_allocations(), allocations);
    destroy_twins(&t);
}

static void reports_what_the_runtime_reports(void **state)
{
    (void)state;
    static twins t;
    sum_tree_cuda *tree;
    expect_fails(GN_ERR_ARG, "1 to 2^40", sum_tree_cuda_create(&tree, &emulation, 0));
    create_twins(&t, 100, FORWARD);
    emulation_error = 1;
    expect_fails(GN_ERR_BACKEND, "cuda: memory of a sum tree: out of memory",
                 sum_tree_cuda_create(&tree, &emulation, 100));
    expect_fails(GN_ERR_BACKEND, "cuda: launch of a sum tree's kernel: error of the emulation",
                 sum_tree_cuda_set(t.device, (uint64_t[]){ 1 }, (double[]){ 1 }, 1, NULL));
    expect_fails(GN_ERR_BACKEND, "cuda: ", sum_tree_cuda_check(t.device, NULL));
    destroy_twins(&t);
}

static void failed_allocations_leak_nothing(void **state)
{
    (void)state;
    emulation_error = 0;
    uint64_t live = gn_mem_live();
    sum_tree_cuda *tree;
    for (uint64_t n = 1;; n++) {
        gn_mem_fail_at(n);
        gn_status status = sum_tree_cuda_create(&tree, &emulation, 1000);
        gn_mem_fail_at(0);
        if (status == GN_OK)
            break;
        assert_int_equal(gn_mem_live(), live);
    }
    sum_tree_cuda_destroy(&tree);
    sum_tree_cuda_destroy(&tree);
    assert_int_equal(gn_mem_live(), live);
}

TEST_MAIN(is_the_twin_of_the_host_in_every_order_of_threads, goes_up_to_the_device_and_back,
          weighs_as_the_buffer_does, passes_over_bad_pairs_and_tells_of_them_once,
          tells_of_a_find_without_weight, allocates_nothing_and_launches_little,
          reports_what_the_runtime_reports, failed_allocations_leak_nothing)
