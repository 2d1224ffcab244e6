// The sum tree against a plain array searched from the left, its two kinds of node code against
// each other, then the edges.

#include "replay/sum_tree.h"

#include <math.h>
#include <stdalign.h>
#include <string.h>

#include "base/mem.h"
#include "replay/sum_node.h"
#include "tests/support/check.h"

// The naive twin.
static uint64_t naive_find(const double *weight, size_t n, double target)
{
    double sum = 0;
    size_t last = 0;
    for (size_t i = 0; i < n; i++) {
        if (weight[i] <= 0)
            continue;
        sum += weight[i];
        last = i;
        if (target < sum)
            return i;
    }
    return last; // rounding put the target past the end: the last item that has weight
}

static double naive_min(const double *weight, size_t n)
{
    double min = INFINITY;
    for (size_t i = 0; i < n; i++)
        min = weight[i] > 0 ? fmin(min, weight[i]) : min;
    return min;
}

static void finds_what_the_naive_search_finds(void **state)
{
    (void)state;
    enum { MOST = 5000, ROUNDS = 200, BATCH = 700 }; // several blocks, every number of levels
    static const size_t capacities[] = { 1, 2, 7, 8, 9, 64, 65, 511, 513, 1000, MOST };
    static double twin[MOST], weight[BATCH], u[BATCH], found_weight[BATCH];
    static uint64_t item[BATCH], found[BATCH];
    test_rng rng = test_rng_seed(1);
    for (size_t c = 0; c < sizeof capacities / sizeof *capacities; c++) {
        size_t n = capacities[c];
        memset(twin, 0, sizeof twin);
        sum_tree *tree;
        expect_ok(sum_tree_create(&tree, n));
        for (int round = 0; round < ROUNDS; round++) {
            size_t count = test_rng_below(&rng, BATCH);
            for (size_t i = 0; i < count; i++) {
                item[i] = test_rng_below(&rng, n);
                weight[i] = (double)test_rng_below(&rng, 4); // integers: exact sums, many zeros
                twin[item[i]] = weight[i];
                u[i] = test_rng_unit(&rng);
            }
            expect_ok(sum_tree_set(tree, item, weight, count));
            assert_true(sum_tree_min(tree) == naive_min(twin, n));
            assert_memory_equal(sum_tree_weights(tree), twin, n * sizeof *twin);
            double total = sum_tree_total(tree);
            if (total == 0 || count == 0)
                continue;
            expect_ok(sum_tree_find(tree, u, count, found, found_weight));
            for (size_t i = 0; i < count; i += 7) {
                assert_int_equal(found[i], naive_find(twin, n, u[i] * total));
                assert_true(found_weight[i] == twin[found[i]]);
            }
        }
        sum_tree_destroy(&tree);
    }
}

static void never_finds_weight_0_whatever_the_rounding(void **state)
{
    (void)state;
    enum { N = 4096, ROUNDS = 300, BATCH = 256 };
    static double weight[N];
    static uint64_t item[N];
    test_rng rng = test_rng_seed(2);
    sum_tree *tree;
    expect_ok(sum_tree_create(&tree, N));
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < N; i++) { // magnitudes far apart: every sum rounds
            item[i] = i;
            bool some = test_rng_below(&rng, 10) == 0;
            weight[i] = some ? exp(60 * test_rng_unit(&rng) - 30) : 0;
        }
        expect_ok(sum_tree_set(tree, item, weight, N));
        double u[BATCH], found_weight[BATCH];
        uint64_t found[BATCH];
        for (size_t i = 0; i < BATCH; i++)
            u[i] = test_rng_unit(&rng);
        u[0] = 0;
        u[1] = 1 - 0x1p-53;
        u[2] = 1; // what (i + U) / B may round to
        expect_ok(sum_tree_find(tree, u, BATCH, found, found_weight));
        for (size_t i = 0; i < BATCH; i++) {
            assert_true(found[i] < N);
            assert_true(found_weight[i] > 0);
        }
    }
    sum_tree_destroy(&tree);
}

// Draws of a large batch that ascend share their way down; each must end where it would alone, in
// order, nearly or not at all.
static void a_large_batch_finds_what_each_draw_finds_alone(void **state)
{
    (void)state;
    enum { N = 20000, DRAWS = 9000 };
    static double weight[N], u[DRAWS], together_weight[DRAWS];
    static uint64_t item[N], together[DRAWS];
    test_rng rng = test_rng_seed(12);
    sum_tree *tree;
    expect_ok(sum_tree_create(&tree, N));
    for (int round = 0; round < 12; round++) {
        for (size_t i = 0; i < N; i++) { // every sum rounds, and many children are 0
            item[i] = i;
            bool some = test_rng_below(&rng, 3) == 0;
            weight[i] = some ? exp((round % 4) * 12 * test_rng_unit(&rng)) : 0;
        }
        expect_ok(sum_tree_set(tree, item, weight, N));
        for (size_t i = 0; i < DRAWS; i++) {
            bool in_order = round % 3 == 0 || (round % 3 == 1 && test_rng_below(&rng, 99) > 0);
            u[i] = in_order ? ((double)i + test_rng_unit(&rng)) / DRAWS : test_rng_unit(&rng);
        }
        u[0] = 0;
        u[DRAWS - 1] = 1; // what rounding may make of the last one
        expect_ok(sum_tree_find(tree, u, DRAWS, together, together_weight));
        for (size_t i = 0; i < DRAWS; i++) {
            uint64_t alone;
            expect_ok(sum_tree_find(tree, &u[i], 1, &alone, NULL));
            assert_int_equal(together[i], alone);
            assert_true(together_weight[i] == weight[alone]);
        }
    }
    sum_tree_destroy(&tree);
}

static void same_weights_give_the_same_total_whatever_the_history(void **state)
{
    (void)state;
    enum { N = 1000, UPDATES = 20000 };
    test_rng rng = test_rng_seed(3);
    sum_tree *worn, *fresh;
    expect_ok(sum_tree_create(&worn, N));
    expect_ok(sum_tree_create(&fresh, N));
    for (int i = 0; i < UPDATES; i++) {
        uint64_t item = test_rng_below(&rng, N);
        double weight = exp(40 * test_rng_unit(&rng));
        expect_ok(sum_tree_set(worn, &item, &weight, 1));
    }
    for (uint64_t item = N; item-- > 0;)
        expect_ok(sum_tree_set(fresh, &item, &sum_tree_weights(worn)[item], 1));
    assert_true(sum_tree_total(worn) == sum_tree_total(fresh));
    assert_true(sum_tree_min(worn) == sum_tree_min(fresh));
    sum_tree_destroy(&worn);
    sum_tree_destroy(&fresh);
}

static void last_of_two_weights_for_one_item_stands(void **state)
{
    (void)state;
    sum_tree *tree;
    expect_ok(sum_tree_create(&tree, 4));
    expect_ok(sum_tree_set(tree, (uint64_t[]){ 2, 2 }, (double[]){ 5, 3 }, 2));
    assert_true(sum_tree_total(tree) == 3);
    sum_tree_destroy(&tree);
}

static void largest_weights_have_a_finite_sum(void **state)
{
    (void)state;
    enum { N = 100 };
    sum_tree *tree;
    expect_ok(sum_tree_create(&tree, N));
    for (uint64_t item = 0; item < N; item++)
        expect_ok(sum_tree_set(tree, &item, &(double){ 1e290 }, 1));
    assert_true(isfinite(sum_tree_total(tree)));
    sum_tree_destroy(&tree);
}

static void refuses_bad_input_and_changes_nothing(void **state)
{
    (void)state;
    sum_tree *tree;
    expect_fails(GN_ERR_ARG, "0 items", sum_tree_create(&tree, 0));
    expect_fails(GN_ERR_ARG, "1 to 2^40", sum_tree_create(&tree, ((uint64_t)1 << 40) + 1));
    expect_ok(sum_tree_create(&tree, 4));
    uint64_t found;
    expect_fails(GN_ERR_EMPTY, "weights are 0",
                 sum_tree_find(tree, (double[]){ 0.5 }, 1, &found, NULL));
    expect_ok(sum_tree_set(tree, (uint64_t[]){ 0 }, (double[]){ 1 }, 1));
    static const struct {
        uint64_t item;
        double weight;
        const char *text;
    } bad[] = {
        { 1, -2, "weight 1: -2 is negative" },
        { 1, NAN, "is not finite" },
        { 1, INFINITY, "is not finite" },
        { 1, 1e300, "too large" },
        { 4, 1, "item 1: 4 is not below the capacity 4" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_fails(
            GN_ERR_ARG, bad[i].text,
            sum_tree_set(tree, (uint64_t[]){ 0, bad[i].item }, (double[]){ 9, bad[i].weight }, 2));
    assert_true(sum_tree_total(tree) == 1);
    sum_tree_destroy(&tree);
}

// A node's arithmetic in one of its forms.
typedef struct node_code {
    double (*total)(const double *child);
    double (*low)(const double *child);
    unsigned (*find)(const double *child, double *x);
    void (*cut)(const double *child, sum_node_intervals *ret);
    unsigned (*find_lanes)(const sum_node_intervals *in, uint64_t node, const uint64_t *at,
                           const double *x, uint64_t *ret_below, double *ret_x);
} node_code;

// Of eight draws `same` are in node 77; what each finds there is what it finds alone.
static void expect_lanes_agree(const node_code *code, const double *child, double total,
                               test_rng *rng)
{
    enum { NODE = 77, LANES = SUM_NODE_LANES };
    uint64_t at[LANES], below[LANES];
    double x[LANES], left[LANES];
    size_t same = 1 + test_rng_below(rng, LANES);
    for (size_t i = 0; i < LANES; i++) {
        at[i] = i < same ? NODE : NODE + 1;
        x[i] = 1.1 * test_rng_unit(rng) * total;
    }
    double prefix[SUM_NODE_WIDTH];
    sum_node_prefix(prefix, child);
    x[test_rng_below(rng, LANES)] = prefix[test_rng_below(rng, SUM_NODE_WIDTH)]; // an end itself
    sum_node_intervals intervals;
    code->cut(child, &intervals);
    assert_int_equal(code->find_lanes(&intervals, NODE, at, x, below, left), same);
    for (size_t i = 0; i < LANES; i++) {
        unsigned alone = sum_node_find_portable(child, &x[i]);
        assert_int_equal(below[i], NODE * SUM_NODE_WIDTH + alone);
        assert_true(left[i] == x[i]);
    }
}

static void expect_agreement(const node_code *code)
{
    test_rng rng = test_rng_seed(4);
    for (int round = 0; round < 200000; round++) {
        alignas(64) double child[SUM_NODE_WIDTH] = { 0 };
        unsigned filled = 1 + (unsigned)test_rng_below(&rng, 255);
        for (int i = 0; i < SUM_NODE_WIDTH; i++)
            if (filled & 1u << i)
                child[i] = exp(80 * test_rng_unit(&rng) - 40);
        double total = sum_node_total_portable(child);
        assert_true(code->total(child) == total);
        assert_true(code->low(child) == sum_node_low_portable(child));
        double x = 1.1 * test_rng_unit(&rng) * total, y = x;
        unsigned found = sum_node_find_portable(child, &x);
        assert_int_equal(code->find(child, &y), found);
        assert_true(x == y);
        assert_true(child[found] > 0);
        expect_lanes_agree(code, child, total, &rng);
    }
}

static void vector_and_portable_nodes_agree_to_the_last_bit(void **state)
{
    (void)state;
    const node_code portable = { sum_node_total_portable, sum_node_low_portable,
                                 sum_node_find_portable, sum_node_cut_portable,
                                 sum_node_find_lanes_portable };
    expect_agreement(&portable); // its lanes, with its own find
#ifdef SUM_NODE_AVX512
    expect_agreement(&(node_code){ sum_node_total_avx512, sum_node_low_avx512, sum_node_find_avx512,
                                   sum_node_cut_avx512, sum_node_find_lanes_avx512 });
#endif
#ifdef SUM_NODE_AVX2
    expect_agreement(&(node_code){ sum_node_total_avx2, sum_node_low_avx2, sum_node_find_avx2,
                                   sum_node_cut_portable, sum_node_find_lanes_portable });
#endif
}

static void failed_allocations_leak_nothing(void **state)
{
    (void)state;
    uint64_t live = gn_mem_live();
    sum_tree *tree;
    for (uint64_t n = 1;; n++) {
        gn_mem_fail_at(n);
        gn_status status = sum_tree_create(&tree, 1000);
        gn_mem_fail_at(0);
        if (status == GN_OK)
            break;
        assert_int_equal(status, GN_ERR_MEMORY);
        assert_int_equal(gn_mem_live(), live);
    }
    sum_tree_destroy(&tree);
    sum_tree_destroy(&tree);
    assert_int_equal(gn_mem_live(), live);
}

TEST_MAIN(finds_what_the_naive_search_finds, a_large_batch_finds_what_each_draw_finds_alone,
          never_finds_weight_0_whatever_the_rounding,
          same_weights_give_the_same_total_whatever_the_history,
          last_of_two_weights_for_one_item_stands, largest_weights_have_a_finite_sum,
          refuses_bad_input_and_changes_nothing, vector_and_portable_nodes_agree_to_the_last_bit,
          failed_allocations_leak_nothing)
