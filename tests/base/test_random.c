// Random streams: the published vectors, positions, ranges, and the distributions they promise.

#include "base/random.h"

#include <math.h>
#include <string.h>

#include "tests/support/check.h"

// Source: Random123 1.14, tests/kat_vectors, lines "philox4x32 10".
static void philox_gives_the_published_vectors(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], block[4];
    } vectors[] = {
        { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff },
          { 0xffffffff, 0xffffffff },
          { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
          { 0xa4093822, 0x299f31d0 },
          { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        uint32_t block[4];
        gn_random_philox(vectors[i].counter, vectors[i].key, block);
        assert_memory_equal(block, vectors[i].block, sizeof block);
    }
}

static void a_stream_is_philox_of_its_name(void **state)
{
    (void)state;
    gn_random random = gn_random_stream(0x1122334455667788, GN_RANDOM_SAMPLE, 9);
    gn_random_seek(&random, 4 * 0x300000002u); // block number needs both words
    uint32_t block[4];
    gn_random_philox((const uint32_t[]){ 2, 3, GN_RANDOM_SAMPLE, 9 },
                     (const uint32_t[]){ 0x55667788, 0x11223344 }, block);
    for (int i = 0; i < 4; i++)
        assert_int_equal(gn_random_u32(&random), block[i]);
    gn_random_seek(&random, 4 * 0x300000002u);
    assert_true(gn_random_u64(&random) == (block[0] | (uint64_t)block[1] << 32));
}

static void seeking_equals_walking(void **state)
{
    (void)state;
    enum { N = 1000 };
    uint32_t word[N];
    gn_random walk = gn_random_stream(3, GN_RANDOM_TEST, 0);
    for (int i = 0; i < N; i++) {
        assert_int_equal(walk.position, i);
        word[i] = gn_random_u32(&walk);
    }
    test_rng rng = test_rng_seed(1);
    gn_random random = gn_random_stream(3, GN_RANDOM_TEST, 0);
    for (int round = 0; round < 2000; round++) {
        uint64_t at = test_rng_below(&rng, N - 3);
        gn_random_seek(&random, at);
        for (uint64_t i = at; i < at + 3; i++)
            assert_int_equal(gn_random_u32(&random), word[i]);
    }
}

// Bits that differ between two streams are Binomial(32 N, 1/2), and so is any other pair's.
static void expect_independent(gn_random a, gn_random b)
{
    enum { N = 4096 };
    int differing = 0;
    for (int i = 0; i < N; i++)
        differing += __builtin_popcount(gn_random_u32(&a) ^ gn_random_u32(&b));
    double sigma = sqrt(32.0 * N / 4);
    assert_true(fabs(differing - 16.0 * N) < 5 * sigma);
}

static void streams_are_independent(void **state)
{
    (void)state;
    gn_random base = gn_random_stream(1, GN_RANDOM_ENV, 0);
    expect_independent(base, gn_random_stream(2, GN_RANDOM_ENV, 0));
    expect_independent(base, gn_random_stream(1 + (1ull << 32), GN_RANDOM_ENV, 0));
    expect_independent(base, gn_random_stream(1, GN_RANDOM_EXPLORE, 0));
    expect_independent(base, gn_random_stream(1, GN_RANDOM_ENV, 1));
    gn_random later = base;
    gn_random_seek(&later, 1);
    expect_independent(base, later);
}

// Chi-square of `count` draws in `cells` cells: mean cells - 1, deviation sqrt(2 (cells - 1)).
static void expect_flat(const uint32_t *cell, size_t cells, size_t count)
{
    double expected = (double)count / (double)cells, sum = 0, freedom = (double)cells - 1;
    for (size_t i = 0; i < cells; i++)
        sum += (cell[i] - expected) * (cell[i] - expected) / expected;
    assert_true(fabs(sum - freedom) < 5 * sqrt(2 * freedom));
}

static void below_is_uniform(void **state)
{
    (void)state;
    enum { DRAWS = 100000 };
    static const uint32_t bounds[] = { 2, 3, 7, 64, 1000 };
    for (size_t b = 0; b < sizeof bounds / sizeof *bounds; b++) {
        uint32_t cell[1000] = { 0 };
        gn_random random = gn_random_stream(4, GN_RANDOM_TEST, bounds[b]);
        for (int i = 0; i < DRAWS; i++) {
            uint32_t value = gn_random_below(&random, bounds[b]);
            assert_true(value < bounds[b]);
            cell[value]++;
        }
        expect_flat(cell, bounds[b], DRAWS);
    }
}

// With the bound 3 * 2^30 the plain high half of a product would give every third number twice the
// probability of the others.
static void below_rejects_what_would_be_biased(void **state)
{
    (void)state;
    enum { DRAWS = 30000 };
    uint32_t cell[3] = { 0 };
    gn_random random = gn_random_stream(5, GN_RANDOM_TEST, 0);
    for (int i = 0; i < DRAWS; i++)
        cell[gn_random_below(&random, 3u << 30) % 3]++;
    expect_flat(cell, 3, DRAWS);
    assert_true(random.position > DRAWS);
    assert_int_equal(gn_random_below(&random, 1), 0);
}

static void unit_is_uniform_in_its_range(void **state)
{
    (void)state;
    enum { DRAWS = 100000, CELLS = 100 };
    uint32_t cell[CELLS] = { 0 };
    gn_random random = gn_random_stream(6, GN_RANDOM_TEST, 0);
    for (int i = 0; i < DRAWS; i++) {
        double unit = gn_random_unit(&random);
        assert_true(unit >= 0 && unit < 1);
        cell[(int)(unit * CELLS)]++;
    }
    expect_flat(cell, CELLS, DRAWS);
}

// From every place in a block, as many as fill whole blocks and some beside them.
static void many_are_those_of_one_by_one(void **state)
{
    (void)state;
    enum { MOST = 200 };
    for (uint64_t from = 0; from < 9; from++)
        for (size_t n = 0; n <= MOST; n++) {
            double unit[MOST + 1];
            gn_random many = gn_random_stream(7 + (9ull << 32), GN_RANDOM_TEST, 3), one;
            // The block's number passes 32 bits, or the position its end.
            gn_random_seek(&many, (n % 2 ? 1ull << 34 : 0) - 40 + from);
            one = many;
            unit[n] = 7;
            gn_random_units(&many, unit, n);
            for (size_t i = 0; i < n; i++)
                assert_true(unit[i] == gn_random_unit(&one));
            assert_true(unit[n] == 7);
            uint32_t word[MOST + 1];
            word[n] = 7;
            gn_random_words(&many, word, n);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(word[i], gn_random_u32(&one));
            assert_int_equal(word[n], 7);
            assert_int_equal(many.position, one.position);
            assert_int_equal(gn_random_u32(&many), gn_random_u32(&one));
        }
}

static void uniform_never_reaches_its_high_end(void **state)
{
    (void)state;
    gn_random random = gn_random_stream(7, GN_RANDOM_TEST, 0);
    double low = 1, high = nextafter(1, 2); // half of all sums round up to `high`
    for (int i = 0; i < 100; i++)
        assert_true(gn_random_uniform(&random, low, high) == low);
    for (int i = 0; i < 1000; i++) {
        double value = gn_random_uniform(&random, -3, 5);
        assert_true(value >= -3 && value < 5);
    }
}

static void normal_has_the_moments_and_takes_four_words(void **state)
{
    (void)state;
    enum { DRAWS = 200000 };
    gn_random random = gn_random_stream(8, GN_RANDOM_TEST, 0);
    double sum = 0, squares = 0, fourths = 0;
    for (int i = 0; i < DRAWS; i++) {
        double x = gn_random_normal(&random);
        assert_true(isfinite(x));
        sum += x;
        squares += x * x;
        fourths += x * x * x * x;
    }
    assert_int_equal(random.position, 4 * DRAWS);
    // Deviations of the three means: 1, sqrt(2) and sqrt(96) over sqrt(DRAWS); five of each.
    double unit = 5 / sqrt(DRAWS);
    assert_true(fabs(sum / DRAWS) < unit);
    assert_true(fabs(squares / DRAWS - 1) < sqrt(2) * unit);
    assert_true(fabs(fourths / DRAWS - 3) < sqrt(96) * unit);
}

TEST_MAIN(philox_gives_the_published_vectors, a_stream_is_philox_of_its_name,
          seeking_equals_walking, streams_are_independent, below_is_uniform,
          below_rejects_what_would_be_biased, unit_is_uniform_in_its_range,
          many_are_those_of_one_by_one, uniform_never_reaches_its_high_end,
          normal_has_the_moments_and_takes_four_words)
