// Ranks against sorting and against counting, and what the sum tree then draws against
// 1 / rank^alpha.

#include "replay/rank_weights.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "replay/sum_tree.h"
#include "tests/replay/chi_square.h"
#include "tests/support/check.h"

// Whether two priorities are ties, told by arithmetic instead of bits: the mantissa, in [1/2, 1),
// cut to its first bit and 7 more.
static double cut(float priority)
{
    int exponent;
    double mantissa = frexp(priority, &exponent);
    return ldexp(floor(mantissa * 256), exponent - 8);
}

static int descending(const void *left, const void *right)
{
    float a = *(const float *)left, b = *(const float *)right;
    return (a < b) - (a > b);
}

static double naive_rank(const float *priority, size_t n, float of)
{
    size_t above = 0, ties = 0;
    for (size_t i = 0; i < n; i++) {
        above += cut(priority[i]) > cut(of);
        ties += cut(priority[i]) == cut(of);
    }
    return (double)above + ((double)ties + 1) / 2;
}

static void distinct_buckets_have_exact_ranks(void **state)
{
    (void)state;
    // Every 6th bucket from 2^-126 to the largest number, in random order.
    enum { N = 5400 };
    static float sorted[N], priority[N];
    for (uint32_t i = 0; i < N; i++) {
        uint32_t bits = (0x0080 + 6 * i) << 16 | (i * 40503 & 0xffff);
        memcpy(&sorted[i], &bits, sizeof bits);
    }
    assert_true(sorted[N - 1] < FLT_MAX);
    memcpy(priority, sorted, sizeof sorted);
    test_rng rng = test_rng_seed(1);
    for (size_t i = N - 1; i > 0; i--) {
        size_t other = test_rng_below(&rng, i + 1);
        float kept = priority[i];
        priority[i] = priority[other];
        priority[other] = kept;
    }
    rank_weights *ranks;
    expect_ok(rank_weights_create(&ranks));
    for (size_t i = 0; i < N; i++)
        rank_weights_add(ranks, priority[i]);
    assert_int_equal(rank_weights_count(ranks), N);
    qsort(sorted, N, sizeof *sorted, descending);
    for (size_t i = 0; i < N; i++) {
        assert_true(rank_weights_rank(ranks, sorted[i]) == (double)(i + 1));
        assert_true(rank_weights_weight(ranks, sorted[i], 0.7) == pow((double)(i + 1), -0.7));
    }
    rank_weights_destroy(&ranks);
}

static void ranks_are_off_by_half_a_bucket_at_most(void **state)
{
    (void)state;
    enum { N = 20000 };
    static float priority[N];
    test_rng rng = test_rng_seed(2);
    rank_weights *ranks;
    expect_ok(rank_weights_create(&ranks));
    for (size_t i = 0; i < N; i++) {
        priority[i] = (float)exp(8 * test_rng_unit(&rng) - 6);
        rank_weights_add(ranks, priority[i]);
    }
    qsort(priority, N, sizeof *priority, descending);
    for (size_t i = 0; i < N; i++) {
        // Ties lie within 2^-7 of each other: [from, to) holds all that may be one.
        size_t from = i, to = i + 1;
        while (from > 0 && priority[from - 1] < priority[i] * (1 + 0x1p-7))
            from--;
        while (to < N && priority[to] > priority[i] / (1 + 0x1p-7))
            to++;
        double rank = rank_weights_rank(ranks, priority[i]);
        assert_true(rank >= (double)from + 1 && rank <= (double)to);
        size_t ties = 0, first = i;
        for (size_t j = from; j < to; j++) {
            ties += cut(priority[j]) == cut(priority[i]);
            first = cut(priority[j]) == cut(priority[i]) && j < first ? j : first;
        }
        assert_true(rank == (double)first + ((double)ties + 1) / 2);
        assert_true(fabs(rank - (double)(i + 1)) <= ((double)ties - 1) / 2);
        if (i > 0)
            assert_true(rank >= rank_weights_rank(ranks, priority[i - 1]));
    }
    rank_weights_destroy(&ranks);
}

static void follows_random_adds_and_removes(void **state)
{
    (void)state;
    enum { MOST = 400, ROUNDS = 20000 };
    float held[MOST];
    size_t n = 0;
    test_rng rng = test_rng_seed(3);
    rank_weights *ranks;
    expect_ok(rank_weights_create(&ranks));
    for (int round = 0; round < ROUNDS; round++) {
        if (n > 0 && (n == MOST || test_rng_below(&rng, 2))) {
            size_t out = test_rng_below(&rng, n);
            rank_weights_remove(ranks, held[out]);
            held[out] = held[--n];
        } else {
            bool zero = test_rng_below(&rng, 10) == 0; // the rest: many ties
            held[n] = zero ? 0 : (float)exp(test_rng_unit(&rng));
            rank_weights_add(ranks, held[n++]);
        }
        assert_int_equal(rank_weights_count(ranks), n);
        if (n == 0)
            continue;
        float one = held[test_rng_below(&rng, n)];
        assert_true(rank_weights_rank(ranks, one) == naive_rank(held, n, one));
        if (test_rng_below(&rng, 2000) == 0) {
            rank_weights_clear(ranks);
            n = 0;
        }
    }
    rank_weights_destroy(&ranks);
}

static void ties_share_the_middle_rank(void **state)
{
    (void)state;
    rank_weights *ranks;
    expect_ok(rank_weights_create(&ranks));
    for (int i = 0; i < 4; i++)
        rank_weights_add(ranks, 2);
    rank_weights_add(ranks, 5);
    rank_weights_add(ranks, 1);
    assert_true(rank_weights_rank(ranks, 5) == 1);
    assert_true(rank_weights_rank(ranks, 2) == 3.5); // of 2, 3, 4, 5
    assert_true(rank_weights_rank(ranks, 1) == 6);
    assert_true(rank_weights_weight(ranks, 5, 0.6) == 1);
    assert_true(rank_weights_weight(ranks, 1, 0) == 1);
    assert_true(rank_weights_weight(ranks, 2, 1) == 1 / 3.5);
    rank_weights_add(ranks, 5); // two first ones
    assert_true(rank_weights_rank(ranks, 5) == 1.5);
    // Buckets end where the 7 bits of mantissa change: 1 + 2^-7 is another one, what lies before
    // is not.
    rank_weights_add(ranks, 1 + 0x1p-7f);
    assert_true(rank_weights_rank(ranks, 1 + 0x1p-7f) == 7);
    rank_weights_add(ranks, nextafterf(1 + 0x1p-7f, 0));
    assert_true(rank_weights_rank(ranks, 1) == 8.5);
    rank_weights_destroy(&ranks);
}

static void zero_and_the_largest_number_have_their_places(void **state)
{
    (void)state;
    rank_weights *ranks;
    expect_ok(rank_weights_create(&ranks));
    rank_weights_add(ranks, 0.0f);
    assert_true(rank_weights_rank(ranks, 0.0f) == 1);
    rank_weights_add(ranks, FLT_MAX);
    rank_weights_add(ranks, 0x1p-130f); // below the normal numbers
    rank_weights_add(ranks, -0.0f);
    assert_true(rank_weights_rank(ranks, FLT_MAX) == 1);
    assert_true(rank_weights_rank(ranks, 0x1p-130f) == 2);
    assert_true(rank_weights_rank(ranks, 0.0f) == 3.5);
    assert_true(rank_weights_rank(ranks, -0.0f) == 3.5);
    rank_weights_remove(ranks, 0.0f);
    rank_weights_remove(ranks, 0.0f);
    assert_int_equal(rank_weights_count(ranks), 2);
    rank_weights_destroy(&ranks);
}

static void all_at_once_are_what_each_one_is(void **state)
{
    (void)state;
    enum { N = 5000 };
    static float priority[N];
    static double weight[N];
    test_rng rng = test_rng_seed(4);
    rank_weights *ranks;
    expect_ok(rank_weights_create(&ranks));
    for (int round = 0; round < 3; round++) { // the scratch of one round must not show in the next
        rank_weights_clear(ranks);
        for (size_t i = 0; i < N; i++) {
            priority[i] = (float)exp(30 * test_rng_unit(&rng) - 15);
            rank_weights_add(ranks, priority[i]);
        }
        double alpha = 0.5 * round;
        rank_weights_all(ranks, priority, N, alpha, weight);
        for (size_t i = 0; i < N; i++)
            assert_true(weight[i] == rank_weights_weight(ranks, priority[i], alpha));
    }
    rank_weights_destroy(&ranks);
}

static void the_sum_tree_draws_by_rank(void **state)
{
    (void)state;
    enum { N = 500, DRAWS = 1000000, BATCH = 1000 };
    static const double alphas[] = { 0, 0.5, 0.7, 1 };
    float priority[N];
    double weight[N], expected[N], u[BATCH];
    uint64_t item[N], found[BATCH];
    test_rng rng = test_rng_seed(5);
    rank_weights *ranks;
    sum_tree *tree;
    expect_ok(rank_weights_create(&ranks));
    expect_ok(sum_tree_create(&tree, N));
    for (size_t i = 0; i < N; i++) { // 2 % apart: ranks are exact
        item[i] = (i * 77 + 5) % N;
        priority[item[i]] = (float)pow(1.02, (double)i);
        rank_weights_add(ranks, priority[item[i]]);
    }
    for (size_t a = 0; a < sizeof alphas / sizeof *alphas; a++) {
        uint64_t count[N] = { 0 };
        for (size_t i = 0; i < N; i++)
            expected[item[i]] = 1 / pow((double)(N - i), alphas[a]);
        rank_weights_all(ranks, priority, N, alphas[a], weight);
        uint64_t in_order[N];
        for (size_t i = 0; i < N; i++)
            in_order[i] = i;
        expect_ok(sum_tree_set(tree, in_order, weight, N));
        for (size_t draw = 0; draw < DRAWS; draw += BATCH) {
            for (size_t i = 0; i < BATCH; i++)
                u[i] = test_rng_unit(&rng);
            expect_ok(sum_tree_find(tree, u, BATCH, found, NULL));
            for (size_t i = 0; i < BATCH; i++)
                count[found[i]]++;
        }
        assert_true(fabs(chi_square_z(count, expected, N)) < CHI_SQUARE_FAR);
    }
    rank_weights_destroy(&ranks);
    sum_tree_destroy(&tree);
}

static void failed_allocation_leaks_nothing(void **state)
{
    (void)state;
    uint64_t live = gn_mem_live();
    rank_weights *ranks = NULL;
    gn_mem_fail_at(1);
    expect_fails(GN_ERR_MEMORY, "cannot allocate", rank_weights_create(&ranks));
    assert_null(ranks);
    expect_ok(rank_weights_create(&ranks));
    rank_weights_destroy(&ranks);
    rank_weights_destroy(&ranks);
    assert_int_equal(gn_mem_live(), live);
}

TEST_MAIN(distinct_buckets_have_exact_ranks, ranks_are_off_by_half_a_bucket_at_most,
          follows_random_adds_and_removes, ties_share_the_middle_rank,
          zero_and_the_largest_number_have_their_places, all_at_once_are_what_each_one_is,
          the_sum_tree_draws_by_rank, failed_allocation_leaks_nothing)
