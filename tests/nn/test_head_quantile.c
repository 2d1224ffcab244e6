// Quantiles: the loss by hand, targets and values against naive double precision.

#include <math.h>
#include <stdlib.h>

#include "nn/head.h"
#include "nn/head_internal.h"
#include "tests/support/head_case.h"

static head_case c;

// Loss of one row; implicit where fractions are given.
static double row_loss(const float *theta, size_t width, const float *target, size_t target_width,
                       const float *fraction, double kappa, float *ret_error, float *ret_grad)
{
    nn_head head;
    nn_head_config config =
        head_case_config(fraction ? NN_HEAD_IMPLICIT_QUANTILE : NN_HEAD_QUANTILE);
    config.quantiles = (int64_t)width;
    config.target_quantiles = (int64_t)target_width;
    config.kappa = kappa;
    expect_ok(nn_head_create(&head, &config));
    return nn_head_loss(&head, &(nn_head_batch){ .n = 1,
                                                 .width = width,
                                                 .target_width = target_width,
                                                 .out = theta,
                                                 .target = target,
                                                 .fraction = fraction,
                                                 .weight = &(float){ 1 },
                                                 .ret_error = ret_error,
                                                 .ret_grad = ret_grad });
}

// Errors u = t - theta are -2, 5, 3 for -1 and -6, 1, -1 for 3.
static void by_hand(void **state)
{
    (void)state;
    const float theta[] = { -1, 3 }, target[] = { -3, 4, 2 };
    const float tau[] = { 0.2f, 0.7f }, other[] = { 0, 0.4f };
    float error, grad[2];
    assert_float_equal(row_loss(theta, 2, target, 3, tau, 0, &error, grad), 2.0, 1e-6);
    assert_float_equal(error, 3, 1e-6); // mean of 2, 5, 3, 6, 1, 1
    assert_float_equal(grad[0], (0.8 - 0.2 - 0.2) / 3, 1e-6);
    assert_float_equal(grad[1], (0.3 - 0.7 + 0.3) / 3, 1e-6);
    assert_float_equal(row_loss(theta, 2, target, 3, tau, 2, &error, grad), 2.5, 1e-6);
    assert_float_equal(grad[0], (0.8 * 2 - 0.2 * 2 - 0.2 * 2) / 3, 1e-6);
    assert_float_equal(grad[1], (0.3 * 2 - 0.7 * 1 + 0.3 * 1) / 3, 1e-6);
    assert_float_equal(row_loss(theta, 2, target, 3, other, 0, &error, grad), 2.2, 1e-6);
    assert_float_equal(row_loss(theta, 2, target, 3, other, 2, &error, grad), 8.5 / 3, 1e-6);
}

// Zeros against ones: 10 quantiles of 1/2 u^2 times tau, whose sum is 5.
static void zeros_and_ones(void **state)
{
    (void)state;
    const float zeros[10] = { 0 }, ones[10] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
    float error, grad[10];
    double loss = row_loss(zeros, 10, ones, 10, NULL, 1, &error, grad);
    assert_float_equal(loss, 2.5, 1e-6);
    assert_float_equal(loss / 10, 0.25, 1e-7);
    assert_true(error == 1);
    assert_float_equal(grad[0], -0.05, 1e-7);
    assert_float_equal(grad[9], -0.95, 1e-7);
    row_loss(ones, 10, zeros, 10, NULL, 1, &error, grad); // errors below 0 count as such
    assert_true(error == 1);
    assert_float_equal(grad[0], 0.95, 1e-7);
    row_loss(ones, 10, ones, 10, NULL, 0, &error, grad); // the kink: the slope of u > 0
    assert_true(error == 0);
    assert_float_equal(grad[0], -0.05, 1e-7);
}

static void targets_equal_naive_ones(void **state)
{
    (void)state;
    nn_head_config config;
    for (int v = 0; head_case_variant(v, &config); v++) {
        if (config.kind != NN_HEAD_QUANTILE && config.kind != NN_HEAD_IMPLICIT_QUANTILE)
            continue;
        for (int way = 0; way < 4; way++) {
            double rescale = way / 2 ? 0.01 : 0;
            head_case_fill(&c, &config, (uint64_t)(10 * v + way));
            nn_backup backup = head_case_backup(&c, way % 2, rescale);
            nn_head_target(&c.head, &backup, c.target);
            for (size_t i = 0; i < HEAD_STEPS; i++) {
                for (size_t j = 0; j < c.target_width; j++) {
                    double next = 0;
                    for (size_t row = i * HEAD_ACTIONS; row < (i + 1) * HEAD_ACTIONS; row++) {
                        double z = c.next_out[row * c.next_width + j];
                        z = rescale > 0 ? nn_rescale_inverse(z, rescale) : z;
                        next += c.policy[row] * (z + (way % 2 ? c.bonus[row] : 0));
                    }
                    double y = c.reward[i] + c.discount[i] * next;
                    y = rescale > 0 ? nn_rescale(y, rescale) : y;
                    assert_float_equal(c.target[i * c.target_width + j], y, 2e-6);
                }
            }
        }
    }
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double naive_value(const float *out, size_t n, const nn_risk *risk, double rescale)
{
    double z[NN_MAX_HEAD_WIDTH], mean = 0, variance = 0, worst = 0;
    double left = risk->level * (double)n;
    for (size_t j = 0; j < n; j++) {
        z[j] = rescale > 0 ? nn_rescale_inverse(out[j], rescale) : out[j];
        mean += z[j] / (double)n;
    }
    qsort(z, n, sizeof *z, compare_doubles);
    for (size_t j = 0; j < n; j++, left = fmax(0, left - 1)) {
        variance += (z[j] - mean) * (z[j] - mean) / (double)n;
        worst += fmin(1, left) * z[j] / (risk->level * (double)n);
    }
    return risk->kind == NN_RISK_CVAR            ? worst
           : risk->kind == NN_RISK_MEAN_VARIANCE ? mean - risk->aversion * variance
                                                 : mean;
}

// Any number of quantiles, in any order.
static void values_equal_naive_ones(void **state)
{
    (void)state;
    static const nn_risk risks[] = {
        { NN_RISK_MEAN, 0, 0 },      { NN_RISK_CVAR, 0.001, 0 }, { NN_RISK_CVAR, 0.25, 0 },
        { NN_RISK_CVAR, 0.999f, 0 }, { NN_RISK_CVAR, 1, 0 },     { NN_RISK_MEAN_VARIANCE, 0, 0.5 },
    };
    static const size_t widths[] = { 1, 2, 7, 16, 32, 51, NN_MAX_HEAD_WIDTH };
    nn_head head;
    nn_head_config config = head_case_config(NN_HEAD_IMPLICIT_QUANTILE);
    expect_ok(nn_head_create(&head, &config));
    static float out[2 * NN_MAX_HEAD_WIDTH];
    test_rng rng = test_rng_seed(4);
    for (int i = 0; i < 2 * NN_MAX_HEAD_WIDTH; i++)
        out[i] = (float)(20 * test_rng_unit(&rng) - 10);
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        for (size_t r = 0; r < sizeof risks / sizeof *risks; r++) {
            for (int rescaled = 0; rescaled < 2; rescaled++) {
                double rescale = rescaled ? 0.01 : 0;
                float value[2];
                nn_head_values(&head, out, 2, widths[w], &risks[r], rescale, value);
                for (size_t i = 0; i < 2; i++) {
                    double expected =
                        naive_value(out + i * widths[w], widths[w], &risks[r], rescale);
                    assert_float_equal(value[i], expected, 1e-6 * (10 + fabs(expected)));
                }
            }
        }
    }
}

TEST_MAIN(by_hand, zeros_and_ones, targets_equal_naive_ones, values_equal_naive_ones)
