// The weights of all slots: in RAM and on an emulated device against a sum tree that hears of every
// change at once, and what a device that fails leaves behind.

#include "replay/weight_tree.h"

#include <math.h>

#include "base/mem.h"
#include "replay/sum_tree.h"
#include "tests/replay/device_emulation.h"

enum { BATCH = 700 };

// The tree under test, and the naive one.
typedef struct pair {
    uint64_t capacity;
    weight_tree *tree;
    sum_tree *naive;
    test_rng rng;
} pair;

static pair pair_open(uint64_t capacity, const cuda_runtime *cuda)
{
    pair self = { .capacity = capacity, .rng = test_rng_seed(capacity) };
    emulation_begin(FORWARD);
    expect_ok(weight_tree_create(&self.tree, capacity, cuda, 1));
    expect_ok(sum_tree_create(&self.naive, capacity));
    return self;
}

static void pair_close(pair *self)
{
    weight_tree_destroy(&self->tree);
    sum_tree_destroy(&self->naive);
}

static void pair_set(pair *self, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t item = test_rng_below(&self->rng, self->capacity);
        double weight = test_rng_below(&self->rng, 4) ? 4 * test_rng_unit(&self->rng) : 0;
        weight_tree_set(self->tree, &item, &weight, 1);
        expect_ok(sum_tree_set(self->naive, &item, &weight, 1));
    }
}

static void pair_compare(pair *self, size_t n)
{
    double u[BATCH], total, min;
    uint64_t found[BATCH], expected[BATCH];
    for (size_t i = 0; i < n; i++)
        u[i] = test_rng_unit(&self->rng);
    expect_ok(weight_tree_sums(self->tree, &total, &min));
    assert_true(total == sum_tree_total(self->naive) && min == sum_tree_min(self->naive));
    assert_memory_equal(weight_tree_weights(self->tree), sum_tree_weights(self->naive),
                        self->capacity * sizeof(double));
    if (total == 0) {
        expect_fails(GN_ERR_EMPTY, "weights are 0", weight_tree_find(self->tree, u, n, found));
        expect_fails(GN_ERR_EMPTY, "weights are 0", weight_tree_lowest(self->tree, found));
        return;
    }
    expect_ok(weight_tree_find(self->tree, u, n, found));
    expect_ok(sum_tree_find(self->naive, u, n, expected, NULL));
    assert_memory_equal(found, expected, n * sizeof *found);
    expect_ok(weight_tree_lowest(self->tree, found));
    expect_ok(sum_tree_lowest(self->naive, expected));
    assert_int_equal(found[0], expected[0]);
}

// Also batches beyond what may wait: 5 items of 5, or 65,536.
static void agrees_with_a_tree_that_hears_at_once(const cuda_runtime *cuda)
{
    static const uint64_t capacities[] = { 1, 5, 64, 1000, 70000 };
    for (size_t c = 0; c < sizeof capacities / sizeof *capacities; c++) {
        pair both = pair_open(capacities[c], cuda);
        pair_compare(&both, 10);
        for (int round = 0; round < 20; round++) {
            pair_set(&both, test_rng_below(&both.rng, BATCH));
            pair_compare(&both, 1 + test_rng_below(&both.rng, BATCH));
        }
        if (capacities[c] == 70000)
            pair_set(&both, 140000);
        pair_compare(&both, BATCH);
        pair_close(&both);
    }
}

static void in_ram(void **state)
{
    (void)state;
    agrees_with_a_tree_that_hears_at_once(NULL);
}

static void on_a_device(void **state)
{
    (void)state;
    agrees_with_a_tree_that_hears_at_once(&emulation);
}

// It fails at any call, while changes go on; once it works again all of them are there.
static void a_device_that_failed_is_told_all_once_more(void **state)
{
    (void)state;
    pair both = pair_open(300, &emulation);
    for (int round = 0; round < 200; round++) {
        double total, min, u = 0.5;
        uint64_t item;
        pair_set(&both, test_rng_below(&both.rng, BATCH)); // up to twice what may wait
        emulation_good_calls = test_rng_below(&both.rng, 12);
        emulation_error = EMULATION_OTHER;
        (void)weight_tree_find(both.tree, &u, 1, &item);
        pair_set(&both, test_rng_below(&both.rng, BATCH));
        emulation_good_calls = 0;
        expect_fails(GN_ERR_BACKEND, "error of the emulation",
                     weight_tree_find(both.tree, &u, 1, &item));
        expect_fails(GN_ERR_BACKEND, "error of the emulation",
                     weight_tree_lowest(both.tree, &item));
        if (round % 2)
            expect_fails(GN_ERR_BACKEND, "error of the emulation",
                         weight_tree_sums(both.tree, &total, &min));
        emulation_error = 0;
        pair_compare(&both, 50);
    }
    pair_close(&both);
}

// What waits is sent when somebody looks, in one launch, and nobody looks twice.
static void many_sets_are_one_launch(void **state)
{
    (void)state;
    double total, min;
    pair both = pair_open(100000, &emulation);
    uint64_t launches = emulation_launches, allocations = gn_mem_allocations();
    pair_set(&both, 500);
    assert_int_equal(emulation_launches, launches);
    expect_ok(weight_tree_sums(both.tree, &total, &min));
    assert_int_equal(emulation_launches, launches + 1);
    expect_ok(weight_tree_sums(both.tree, &total, &min));
    assert_int_equal(emulation_launches, launches + 1);
    assert_int_equal(gn_mem_allocations(), allocations);
    assert_in_range(weight_tree_device_size(both.tree), 100000 * sizeof(double), 4000000);
    assert_in_range(weight_tree_size(both.tree), 100000 * sizeof(double), 4000000);
    pair_close(&both);
}

static void failed_allocations_leak_nothing(void **state)
{
    (void)state;
    uint64_t live = gn_mem_live();
    weight_tree *tree = NULL;
    for (int device = 0; device < 2; device++) {
        emulation_begin(FORWARD);
        for (uint64_t n = 1;; n++) {
            gn_mem_fail_at(n);
            gn_status status = weight_tree_create(&tree, 100, device ? &emulation : NULL, 0);
            gn_mem_fail_at(0);
            if (status == GN_OK)
                break;
            assert_null(tree);
            assert_int_equal(gn_mem_live(), live);
        }
        weight_tree_destroy(&tree);
        weight_tree_destroy(&tree);
        assert_int_equal(gn_mem_live(), live);
    }
}

TEST_MAIN(in_ram, on_a_device, a_device_that_failed_is_told_all_once_more, many_sets_are_one_launch,
          failed_allocations_leak_nothing)
