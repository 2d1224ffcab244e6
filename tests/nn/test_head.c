// What all kinds of heads have in common: options, gradients against autograd and against finite
// differences, what is bad in shows out.

#include "nn/head.h"

#include <math.h>
#include <string.h>

#include "nn/head_internal.h"
#include "tests/support/autograd_oracle.h"
#include "tests/support/head_case.h"

static head_case c;

static void fill_target(bool bonus, double rescale)
{
    nn_backup backup = head_case_backup(&c, bonus, rescale);
    nn_head_target(&c.head, &backup, c.target);
}

static double loss(void)
{
    memset(c.grad, 0x55, sizeof c.grad);
    nn_head_batch batch = head_case_batch(&c);
    return nn_head_loss(&c.head, &batch);
}

static void options_and_names(void **state)
{
    (void)state;
    nn_head_config config = head_case_config(NN_HEAD_SCALAR);
    assert_true(config.huber_delta == 10 && config.atoms == 51 && config.v_min == -10);
    assert_true(config.v_max == 10 && config.quantiles == 32 && config.target_quantiles == 32);
    assert_true(config.acting_quantiles == 32 && config.cosines == 64 && config.kappa == 1);
    assert_int_equal(config.components, 5);
    assert_string_equal(nn_head_options[0].key, "kind");
    static const size_t widths[] = { 1, 51, 51, 32, 32, 15 };
    static const size_t target_widths[] = { 1, 51, 1, 32, 8, 48 };
    for (int kind = 0; kind <= NN_HEAD_GAUSSIAN_MIXTURE; kind++) {
        assert_string_equal(nn_head_options[0].choices[kind], nn_head_classes[kind]->name);
        config = head_case_config((nn_head_kind)kind);
        config.target_quantiles = 8;
        nn_head head;
        expect_ok(nn_head_create(&head, &config));
        assert_int_equal(head.width, widths[kind]);
        assert_int_equal(nn_head_target_width(&head, 3), target_widths[kind]);
        assert_int_equal(nn_head_is_distribution(&head),
                         kind != NN_HEAD_SCALAR && kind != NN_HEAD_TWO_HOT);
    }
    assert_null(nn_head_options[0].choices[NN_HEAD_GAUSSIAN_MIXTURE + 1]);
    config.v_min = 10;
    nn_head head = { .width = 7 };
    expect_fails(GN_ERR_CONFIG, "head.v_min: 10 is not below head.v_max = 10",
                 nn_head_create(&head, &config));
    assert_int_equal(head.width, 7);
}

static void rescaling_has_its_inverse(void **state)
{
    (void)state;
    static const double es[] = { 1e-9, 1e-3, 0.01, 1 };
    for (size_t e = 0; e < 4; e++) {
        for (double x = 1e-12; x < 1e12; x *= 3) {
            for (int sign = -1; sign <= 1; sign += 2) {
                double y = nn_rescale(sign * x, es[e]);
                double expected = sign * (sqrt(x + 1) - 1) + es[e] * sign * x;
                assert_true(fabs(y - expected) <= 1e-15 * (1 + fabs(expected)));
                assert_true(fabs(nn_rescale_inverse(y, es[e]) / (sign * x) - 1) < 1e-9);
                double h = 1e-4 * (1 + x);
                double slope = (nn_rescale(sign * x + h, es[e]) - nn_rescale(sign * x - h, es[e]));
                if (x > h)
                    assert_true(fabs(nn_rescale_slope(sign * x, es[e]) / (slope / (2 * h)) - 1) <
                                1e-6);
            }
        }
        assert_true(nn_rescale(0, es[e]) == 0 && nn_rescale_inverse(0, es[e]) == 0);
    }
}

static void equals_autograd(void **state)
{
    (void)state;
    nn_head_config config;
    for (int v = 0; head_case_variant(v, &config); v++) {
        for (int rescaled = 0; rescaled < 2; rescaled++) {
            head_case_fill(&c, &config, (uint64_t)(100 + v));
            fill_target(v % 2, rescaled ? 0.01 : 0);
            static double error[HEAD_STEPS], grad[HEAD_STEPS * HEAD_WIDTH];
            nn_head_batch batch = head_case_batch(&c);
            double found = loss(), expected = oracle_head_loss(&c.head, &batch, error, grad);
            double loss_error = fabs(found / expected - 1);
            double error_error = head_case_distance(c.error, error, HEAD_STEPS, 0);
            double grad_error = head_case_distance(c.grad, grad, HEAD_STEPS * c.width, 0);
            if (!(loss_error < 1e-5 && error_error < 1e-5 && grad_error < 1e-5))
                fail_msg("%s of %zu, rescale %d: loss %g, relative errors %g, %g, %g",
                         c.head.kind->name, c.width, rescaled, expected, loss_error, error_error,
                         grad_error);
        }
    }
}

// The loss of one row in double precision, written once more.
static double cross_entropy(const double *x, size_t width, const double *target)
{
    double top = -INFINITY, sum = 0, result = 0;
    for (size_t j = 0; j < width; j++)
        top = fmax(top, x[j]);
    for (size_t j = 0; j < width; j++)
        sum += exp(x[j] - top);
    for (size_t j = 0; j < width; j++)
        result -= target[j] * (x[j] - top - log(sum));
    return result;
}

static double naive_quantile(const double *x, size_t i)
{
    double sum = 0, kappa = c.head.config.kappa;
    bool implicit = c.head.config.kind == NN_HEAD_IMPLICIT_QUANTILE;
    for (size_t j = 0; j < c.target_width; j++)
        for (size_t k = 0; k < c.width; k++) {
            double tau =
                implicit ? c.fraction[i * c.width + k] : ((double)k + 0.5) / (double)c.width;
            double u = c.target[i * c.target_width + j] - x[k], size = fabs(u);
            double l = size <= kappa ? u * u / 2 : kappa * (size - kappa / 2);
            sum += (u < 0 ? 1 - tau : tau) * (kappa == 0 ? size : l);
        }
    return sum / (double)c.target_width;
}

static double mean_size(double m, double s)
{
    if (s == 0)
        return fabs(m);
    return s * sqrt(2 / M_PI) * exp(-m * m / (2 * s * s)) + m * erf(m / (s * M_SQRT2));
}

static double naive_mixture(const double *x, size_t i)
{
    size_t n = c.width / 3, places = c.target_width / 3, count = n + places;
    double weight[HEAD_WIDTH + HEAD_TARGET], mean[HEAD_WIDTH + HEAD_TARGET];
    double deviation[HEAD_WIDTH + HEAD_TARGET], sum = 0, result = 0;
    for (size_t k = 0; k < n; k++)
        sum += exp(x[k]);
    for (size_t k = 0; k < n; k++) {
        weight[k] = exp(x[k]) / sum;
        mean[k] = x[n + k];
        deviation[k] = log(1 + exp(x[2 * n + k])) + 1e-6;
    }
    for (size_t j = 0; j < places; j++) {
        const float *place = c.target + i * c.target_width + j;
        weight[n + j] = -place[0];
        mean[n + j] = place[places];
        deviation[n + j] = place[2 * places];
    }
    for (size_t a = 0; a < count; a++)
        for (size_t b = 0; b < count; b++)
            result -= weight[a] * weight[b] / 2 *
                      mean_size(mean[a] - mean[b], hypot(deviation[a], deviation[b]));
    return result;
}

static double naive_row(const double *x, size_t i)
{
    const nn_head_config *config = &c.head.config;
    const float *goal = c.target + i * c.target_width;
    double target[HEAD_WIDTH], size = fabs(x[0] - goal[0]);
    double gap = (config->v_max - config->v_min) / (double)(c.width - 1);
    switch (config->kind) {
    case NN_HEAD_SCALAR:
        return size <= config->huber_delta ? size * size / 2
                                           : config->huber_delta * (size - config->huber_delta / 2);
    case NN_HEAD_CATEGORICAL:
        for (size_t j = 0; j < c.width; j++)
            target[j] = goal[j];
        return cross_entropy(x, c.width, target);
    case NN_HEAD_TWO_HOT:
        for (size_t j = 0; j < c.width; j++)
            target[j] = fmax(0, 1 - fabs(goal[0] - config->v_min - gap * (double)j) / gap);
        return cross_entropy(x, c.width, target);
    case NN_HEAD_GAUSSIAN_MIXTURE:
        return naive_mixture(x, i);
    default:
        return naive_quantile(x, i);
    }
}

// Central differences of the naive loss; steps are small beside what a kink of it could add.
static void equals_finite_differences(void **state)
{
    (void)state;
    nn_head_config config;
    for (int v = 0; head_case_variant(v, &config); v++) {
        head_case_fill(&c, &config, (uint64_t)(200 + v));
        fill_target(true, 0);
        double total = 0, found = loss();
        for (size_t i = 0; i < HEAD_STEPS; i++) {
            size_t row = i * c.width;
            double x[HEAD_WIDTH], expected[HEAD_WIDTH], scale = c.weight[i] / HEAD_STEPS;
            for (size_t k = 0; k < c.width; k++)
                x[k] = c.out[row + k];
            total += scale * naive_row(x, i);
            for (size_t k = 0; k < c.width; k++) {
                double at = x[k], h = 1e-6;
                x[k] = at + h;
                double above = naive_row(x, i);
                x[k] = at - h;
                expected[k] = scale * (above - naive_row(x, i)) / (2 * h);
                x[k] = at;
            }
            double distance = head_case_distance(c.grad + row, expected, c.width, 1e-3);
            if (!(distance < 1e-4))
                fail_msg("%s of %zu, step %zu: gradient is off by %g", c.head.kind->name, c.width,
                         i, distance);
        }
        assert_true(fabs(found / total - 1) < 1e-5);
    }
}

static void each_step_has_one_gradient(void **state)
{
    (void)state;
    nn_head_config config;
    for (int v = 0; head_case_variant(v, &config); v++) {
        head_case_fill(&c, &config, (uint64_t)(300 + v));
        fill_target(true, 0);
        loss();
        for (size_t i = 0; i < HEAD_STEPS; i++) {
            bool zero = true;
            for (size_t k = 0; k < c.width; k++)
                zero = zero && c.grad[i * c.width + k] == 0;
            assert_false(zero);
        }
        for (size_t i = HEAD_STEPS * c.width; i < HEAD_STEPS * HEAD_WIDTH; i++)
            assert_int_equal(((const unsigned char *)c.grad)[i * sizeof *c.grad], 0x55);
    }
}

static void weights_multiply(void **state)
{
    (void)state;
    nn_head_config config;
    for (int v = 0; head_case_variant(v, &config); v++) {
        head_case_fill(&c, &config, (uint64_t)(400 + v));
        fill_target(false, 0);
        static float before[HEAD_STEPS * HEAD_WIDTH], error[HEAD_STEPS];
        for (int i = 0; i < HEAD_STEPS; i++)
            c.weight[i] = i == 3;
        double one = loss();
        memcpy(before, c.grad, sizeof before);
        memcpy(error, c.error, sizeof error);
        for (size_t i = 0; i < HEAD_STEPS * c.width; i++)
            assert_true((c.grad[i] == 0) || i / c.width == 3);
        c.weight[3] = 4;
        assert_float_equal(loss(), 4 * one, 1e-12 * fabs(one));
        for (size_t i = 0; i < HEAD_STEPS * c.width; i++)
            assert_true(c.grad[i] == 4 * before[i]);
        assert_memory_equal(error, c.error, sizeof error); // priorities do not know of weights
    }
}

static void a_nan_shows(void **state)
{
    (void)state;
    static const nn_risk risks[] = { { NN_RISK_MEAN, 0, 0 },
                                     { NN_RISK_CVAR, 0.1, 0 },
                                     { NN_RISK_MEAN_VARIANCE, 0, 1 } };
    nn_head_config config;
    for (int v = 0; head_case_variant(v, &config); v++) {
        for (size_t k = 0; k < 2 * (size_t)config.components + 1 || k == 0; k++) {
            head_case_fill(&c, &config, (uint64_t)(500 + v));
            size_t place = (k * 7) % c.width, next = (k * 7) % c.next_width;
            fill_target(true, 0);
            size_t row = 2 * c.width;
            c.out[row + place] = NAN;
            assert_true(isnan(loss()) && isnan(c.error[2]) && !isnan(c.error[3]));
            double sum = 0;
            for (size_t j = 0; j < c.width; j++)
                sum += c.grad[row + j];
            assert_true(isnan(sum));
            for (int risk = 0; risk < (nn_head_is_distribution(&c.head) ? 3 : 1); risk++) {
                for (int rescaled = 0; rescaled < 2; rescaled++) {
                    float value[HEAD_ROWS];
                    nn_head_values(&c.head, c.out, HEAD_ROWS, c.width, &risks[risk],
                                   rescaled ? 0.01 : 0, value);
                    // The mean of a mixture asks for no deviation.
                    bool unread = config.kind == NN_HEAD_GAUSSIAN_MIXTURE && risk == 0 &&
                                  place >= 2 * (size_t)config.components;
                    for (size_t i = 0; i < HEAD_ROWS; i++)
                        assert_int_equal(!!isnan(value[i]), i == row / c.width && !unread);
                }
            }
            c.next_out[(2 * HEAD_ACTIONS + 1) * c.next_width + next] = NAN; // policy is not 0
            c.reward[4] = NAN;
            fill_target(true, 0);
            head_case_fill(&c, &config, (uint64_t)(500 + v));
            loss();
            assert_true(isnan(c.error[2]) && isnan(c.error[4]) && !isnan(c.error[3]));
        }
    }
}

static void extremes_stay_finite(void **state)
{
    (void)state;
    nn_head_config config;
    for (int v = 0; head_case_variant(v, &config); v++) {
        head_case_fill(&c, &config, (uint64_t)(600 + v));
        for (size_t i = 0; i < HEAD_ROWS * c.width; i++)
            c.out[i] = c.out[i] > 0 ? 1e4f : -1e4f;
        for (size_t i = 0; i < HEAD_ROWS * c.next_width; i++)
            c.next_out[i] = c.next_out[i] > 0 ? 1e4f : -1e4f;
        for (int rescaled = 0; rescaled < 2; rescaled++) {
            fill_target(true, rescaled ? 0.01 : 0);
            assert_true(isfinite(loss()));
            for (size_t i = 0; i < HEAD_STEPS * c.width; i++)
                assert_true(isfinite(c.grad[i]));
            for (size_t i = 0; i < HEAD_STEPS; i++)
                assert_true(isfinite(c.error[i]) && c.error[i] >= 0);
            for (int kind = 0; kind < (nn_head_is_distribution(&c.head) ? 3 : 1); kind++) {
                float value[HEAD_ROWS];
                nn_head_values(&c.head, c.out, HEAD_ROWS, c.width,
                               &(nn_risk){ (nn_risk_kind)kind, 0.3, 0.1 }, rescaled ? 0.01 : 0,
                               value);
                for (size_t i = 0; i < HEAD_ROWS; i++)
                    assert_true(isfinite(value[i]));
            }
        }
    }
}

// What a policy of 0 leaves out may be anything.
static void actions_never_taken_do_not_count(void **state)
{
    (void)state;
    nn_head_config config;
    for (int v = 0; head_case_variant(v, &config); v++) {
        head_case_fill(&c, &config, (uint64_t)(700 + v));
        float *policy = c.policy + 5 * HEAD_ACTIONS;
        policy[0] = 0.25f;
        policy[1] = 0;
        policy[2] = 0.75f;
        fill_target(true, 0);
        double before = loss();
        for (size_t j = 0; j < c.next_width; j++)
            c.next_out[(5 * HEAD_ACTIONS + 1) * c.next_width + j] = NAN;
        fill_target(true, 0);
        assert_true(loss() == before);
    }
}

// The scalar head's target and values, by hand:  h(x) = sqrt(x + 1) - 1 + e x,  e = 0.5
//     outputs h(3) = 2.5 and h(8) = 6 at policy 1/4 and 3/4, bonus 1 and -2:
//     R + 0.5 (1/4 (3 + 1) + 3/4 (8 - 2)) = 0.25 + 2.75 = 3, so h(3) = 2.5 again
static void scalar_by_hand(void **state)
{
    (void)state;
    nn_head head;
    nn_head_config config = head_case_config(NN_HEAD_SCALAR);
    expect_ok(nn_head_create(&head, &config));
    const float out[] = { 2.5f, 6 }, policy[] = { 0.25f, 0.75f }, bonus[] = { 1, -2 };
    nn_backup backup = { .n = 1,
                         .actions = 2,
                         .width = 1,
                         .out = out,
                         .reward = &(float){ 0.25f },
                         .discount = &(float){ 0.5f },
                         .policy = policy,
                         .bonus = bonus,
                         .rescale = 0.5 };
    float target, value[2];
    nn_head_target(&head, &backup, &target);
    assert_float_equal(target, 2.5, 1e-6);
    nn_head_values(&head, out, 2, 1, &(nn_risk){ NN_RISK_MEAN, 0, 0 }, 0.5, value);
    assert_float_equal(value[0], 3, 1e-6);
    assert_float_equal(value[1], 8, 1e-6);
    backup.bonus = NULL;
    backup.rescale = 0; // 0.25 + 0.5 (2.5 / 4 + 6 * 3 / 4)
    nn_head_target(&head, &backup, &target);
    assert_float_equal(target, 2.8125, 1e-6);
}

TEST_MAIN(options_and_names, rescaling_has_its_inverse, equals_autograd, equals_finite_differences,
          each_step_has_one_gradient, weights_multiply, a_nan_shows, extremes_stay_finite,
          actions_never_taken_do_not_count, scalar_by_hand)
