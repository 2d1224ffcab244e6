// The interquartile mean by hand, the bootstrap against what it promises.

#include "report/aggregate.h"

#include <math.h>
#include <string.h>

#include "base/random.h"
#include "tests/support/check.h"

static double iqm_of(size_t n, const double *value)
{
    return aggregate_iqm(value, n);
}
#define IQM(...) \
    iqm_of(sizeof((double[]){ __VA_ARGS__ }) / sizeof(double), (double[]){ __VA_ARGS__ })

static void takes_the_mean_of_the_middle_half(void **state)
{
    (void)state;
    assert_true(IQM(7) == 7);
    assert_true(IQM(1, 2) == 1.5);
    assert_true(IQM(1, 2, 9) == 4);
    assert_true(IQM(-100, 2, 4, 1000) == 3);
    assert_float_equal(IQM(0, 1, 5, 7, 100), (1 + 5 + 7) / 3., 1e-14);
    assert_float_equal(IQM(0, 1, 5, 7, 20, 100), (1 + 5 + 7 + 20) / 4., 1e-14);
    assert_float_equal(IQM(0, 1, 5, 7, 20, 30, 100), (1 + 5 + 7 + 20 + 30) / 5., 1e-14);
    assert_true(IQM(1, 2, 3, 4, 5, 6, 7, 8) == 4.5);
    assert_true(IQM(-1e9, -1e9, 3, 4, 5, 6, 1e9, 1e9) == 4.5);
}

static void takes_quantiles_as_numpy_does(void **state)
{
    (void)state;
    const double value[] = { 1, 2, 4, 8 };
    assert_true(aggregate_quantile(value, 4, 0) == 1);
    assert_true(aggregate_quantile(value, 4, 1) == 8);
    assert_true(aggregate_quantile(value, 4, 0.5) == 3);
    assert_float_equal(aggregate_quantile(value, 4, 0.1), 1.3, 1e-14);
    assert_float_equal(aggregate_quantile(value, 4, 0.9), 6.8, 1e-14);
    assert_true(aggregate_quantile(value, 1, 0.3) == 1);
}

static void is_the_same_for_any_order(void **state)
{
    (void)state;
    double a[] = { 3, 1, 4, 1.5, 9, 2.6 }, b[] = { 9, 2.6, 1.5, 4, 3, 1 };
    aggregate first = aggregate_of(a, 6), second = aggregate_of(b, 6);
    assert_memory_equal(&first, &second, sizeof first);
    assert_true(first.low < first.iqm && first.iqm < first.high);
    assert_true(first.low >= 1 && first.high <= 9);
}

static void has_no_interval_of_one_value_and_none_wide_of_equal_ones(void **state)
{
    (void)state;
    double one[] = { 5 }, equal[] = { 2, 2, 2, 2, 2 };
    aggregate result = aggregate_of(one, 1);
    assert_true(result.iqm == 5 && isnan(result.low) && isnan(result.high));
    result = aggregate_of(equal, 5);
    assert_true(result.iqm == 2 && result.low == 2 && result.high == 2);
}

// Of two values {0, 1} a resample's mean is 0 or 1 with a quarter each: the interval is all of it.
static void spans_both_of_two_values(void **state)
{
    (void)state;
    double two[] = { 1, 0 };
    aggregate result = aggregate_of(two, 2);
    assert_true(result.iqm == 0.5 && result.low == 0 && result.high == 1);
}

// Share of samples of a normal distribution whose interval holds its mean.
static double coverage(size_t n)
{
    enum { SAMPLES = 1000 };
    gn_random random = gn_random_stream(11, GN_RANDOM_TEST, (uint32_t)n);
    size_t held = 0;
    for (size_t i = 0; i < SAMPLES; i++) {
        double value[64];
        for (size_t k = 0; k < n; k++)
            value[k] = 3 + gn_random_normal(&random);
        aggregate result = aggregate_of(value, n);
        held += result.low <= 3 && 3 <= result.high;
    }
    return (double)held / SAMPLES;
}

static void covers_what_it_promises(void **state)
{
    (void)state;
    double three = coverage(3), five = coverage(5), ten = coverage(10), fifty = coverage(50);
    print_message("# coverage: 3 seeds %.3f, 5 seeds %.3f, 10 seeds %.3f, 50 seeds %.3f\n", three,
                  five, ten, fifty);
    assert_true(three > 0.65 && three < 0.85); // no draw leaves what was seen
    assert_true(five > 0.8 && five < 0.95);
    assert_true(ten > 0.9 && ten < 0.97);
    assert_true(fifty > 0.92 && fifty < 0.975);
}

TEST_MAIN(takes_the_mean_of_the_middle_half, takes_quantiles_as_numpy_does,
          is_the_same_for_any_order, has_no_interval_of_one_value_and_none_wide_of_equal_ones,
          spans_both_of_two_values, covers_what_it_promises)
