#include "nn/simd_math.h"

#include <math.h>

#include "tests/support/check.h"

typedef nn_vector (*of_vector)(nn_vector x);
typedef double (*of_double)(double x);

static nn_vector vector_exp(nn_vector x)
{
    return nn_vector_exp(x);
}

static nn_vector vector_log(nn_vector x)
{
    return nn_vector_log(x);
}

static nn_vector vector_log1p(nn_vector x)
{
    return nn_vector_log1p(x);
}

static nn_vector vector_erf(nn_vector x)
{
    return nn_vector_erf(x);
}

// Largest relative error over a million arguments between low and high, evenly spread or by ratio.
static double largest_error(of_vector vector, of_double exact, double low, double high, bool ratio)
{
    enum { COUNT = 1 << 20 };
    double worst = 0;
    for (int i = 0; i < COUNT; i += NN_LANES) {
        nn_vector x;
        for (int j = 0; j < NN_LANES; j++) {
            double share = (double)(i + j) / (COUNT - 1);
            x[j] = (float)(ratio ? low * pow(high / low, share) : low + share * (high - low));
        }
        nn_vector y = vector(x);
        for (int j = 0; j < NN_LANES; j++) {
            double expected = exact(x[j]);
            double error = expected == 0 ? fabs(y[j]) : fabs(y[j] / expected - 1);
            worst = error > worst || error != error ? error : worst;
        }
    }
    print_message("largest relative error in [%g, %g]: %.3g\n", low, high, worst);
    return worst;
}

static void equals_libm(void **state)
{
    (void)state;
    assert_true(largest_error(vector_exp, exp, -87, 0, false) < 2e-7);
    assert_true(largest_error(vector_exp, exp, 0, 88, false) < 2e-7);
    assert_true(largest_error(vector_exp, exp, -1, 1, false) < 2e-7);
    assert_true(largest_error(vector_log, log, 1.2e-38, 3e38, true) < 2e-7);
    assert_true(largest_error(vector_log, log, 0.5, 2, false) < 2e-7);
    assert_true(largest_error(vector_log1p, log1p, 1e-30, 1, true) < 4e-7);
    assert_true(largest_error(vector_log1p, log1p, 0, 1, false) < 4e-7);
    assert_true(largest_error(vector_erf, erf, -6, 6, false) < 3e-7);
    assert_true(largest_error(vector_erf, erf, 1e-30, 1, true) < 3e-7);
}

static void extremes(void **state)
{
    (void)state;
    assert_true(nn_vector_exp(nn_vector_of(-87.5f))[0] == 0);
    assert_true(nn_vector_exp(nn_vector_of(-1e30f))[0] == 0);
    assert_true(nn_vector_exp(nn_vector_of(-INFINITY))[0] == 0);
    assert_true(nn_vector_exp(nn_vector_of(0))[0] == 1);
    assert_true(nn_vector_erf(nn_vector_of(INFINITY))[0] == 1);
    assert_true(nn_vector_erf(nn_vector_of(-1e30f))[0] == -1);
    assert_true(nn_vector_log(nn_vector_of(1))[0] == 0);
    float nan = NAN;
    assert_true(isnan(nn_vector_exp(nn_vector_of(nan))[0]));
    assert_true(isnan(nn_vector_exp(nn_vector_of(-nan))[0]));
    assert_true(isnan(nn_vector_erf(nn_vector_of(nan))[0]));
    assert_true(isnan(nn_vector_log1p(nn_vector_of(nan))[0]));
    assert_true(isnan(nn_vector_at_least(nn_vector_of(nan), 1)[0]));
    assert_true(isnan(nn_vector_at_most(nn_vector_of(nan), 1)[0]));
}

static void folds_and_parts(void **state)
{
    (void)state;
    float x[NN_LANES];
    for (int largest = 0; largest < NN_LANES; largest++) {
        float sum = 0;
        for (int i = 0; i < NN_LANES; i++) {
            x[i] = i == largest ? 50 : (float)(-i - 1);
            sum += x[i];
        }
        assert_true(nn_vector_sum(nn_vector_load(x)) == sum);
        assert_true(nn_vector_largest(nn_vector_load(x)) == 50);
    }
    for (size_t count = 0; count <= NN_LANES; count++) {
        nn_vector part = nn_vector_load_part(x, count, -7);
        for (size_t i = 0; i < NN_LANES; i++)
            assert_true(part[i] == (i < count ? x[i] : -7));
        float out[NN_LANES] = { 0 };
        nn_vector_store_part(out, nn_vector_load(x), count);
        for (size_t i = 0; i < NN_LANES; i++)
            assert_true(out[i] == (i < count ? x[i] : 0));
    }
}

TEST_MAIN(equals_libm, extremes, folds_and_parts)
