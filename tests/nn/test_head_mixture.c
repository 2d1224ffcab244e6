// Mixtures of normal distributions: the distance against its integral, targets and values against
// naive double precision.

#include <math.h>
#include <string.h>

#include "nn/head.h"
#include "nn/head_internal.h"
#include "tests/support/head_case.h"

static head_case c;

// A mixture in double precision, as the head's outputs of one row describe it.
typedef struct normals {
    size_t count;
    double weight[NN_MAX_COMPONENTS], mean[NN_MAX_COMPONENTS], deviation[NN_MAX_COMPONENTS];
} normals;

static normals normals_of(const float *out, size_t count, double rescale)
{
    normals z = { .count = count };
    double sum = 0, top = -INFINITY;
    for (size_t k = 0; k < count; k++)
        top = fmax(top, out[k]);
    for (size_t k = 0; k < count; k++)
        sum += exp(out[k] - top);
    for (size_t k = 0; k < count; k++) {
        z.weight[k] = exp(out[k] - top) / sum;
        z.mean[k] = out[count + k];
        z.deviation[k] = log1p(exp(out[2 * count + k])) + 1e-6;
        if (rescale > 0) {
            z.mean[k] = nn_rescale_inverse(z.mean[k], rescale);
            z.deviation[k] /= nn_rescale_slope(z.mean[k], rescale);
        }
    }
    return z;
}

static double probability_below(const normals *z, double x)
{
    double sum = 0;
    for (size_t k = 0; k < z->count; k++)
        sum += z->weight[k] * 0.5 * erfc((z->mean[k] - x) / (z->deviation[k] * M_SQRT2));
    return sum;
}

static double density(const normals *z, double x)
{
    double sum = 0;
    for (size_t k = 0; k < z->count; k++) {
        double s = (x - z->mean[k]) / z->deviation[k];
        sum += z->weight[k] * exp(-s * s / 2) / (z->deviation[k] * sqrt(2 * M_PI));
    }
    return sum;
}

// The loss of a mixture and a certain value r is  integral (F(x) - [x >= r])^2 dx.
static void the_loss_is_the_integral(void **state)
{
    (void)state;
    enum { CELLS = 200000 };
    nn_head head;
    nn_head_config config = head_case_config(NN_HEAD_GAUSSIAN_MIXTURE);
    config.components = 2;
    expect_ok(nn_head_create(&head, &config));
    const float out[] = { 0.5f, -0.5f, -1, 2, 0.3f, -2 };
    normals z = normals_of(out, 2, 0);
    for (int terminal = 0; terminal < 2; terminal++) {
        const float next[] = { 1, 0, 0.5f, -2, -1, 0.2f };
        float target[48], error, grad[6], reward = 0.75f, discount = terminal ? 0 : 0.5f;
        assert_int_equal(nn_head_target_width(&head, 1), 48);
        nn_head_target(&head,
                       &(nn_backup){ .n = 1,
                                     .actions = 1,
                                     .width = 6,
                                     .out = next,
                                     .reward = &reward,
                                     .discount = &discount,
                                     .policy = &(float){ 1 } },
                       target);
        normals y = normals_of(next, 2, 0);
        for (int k = 0; k < 2; k++) {
            y.mean[k] = reward + discount * y.mean[k];
            y.deviation[k] *= discount;
            assert_true(!terminal || (target[16 + k] == reward && target[32 + k] == 0));
        }
        double integral = 0, width = 40.0 / CELLS;
        for (int i = 0; i < CELLS; i++) {
            double x = -20 + (i + 0.5) * width;
            double other = terminal ? x >= reward : probability_below(&y, x);
            integral += pow(probability_below(&z, x) - other, 2) * width;
        }
        double loss = nn_head_loss(&head, &(nn_head_batch){ .n = 1,
                                                            .width = 6,
                                                            .target_width = 48,
                                                            .out = out,
                                                            .target = target,
                                                            .weight = &(float){ 1 },
                                                            .ret_error = &error,
                                                            .ret_grad = grad });
        assert_float_equal(loss, integral, 1e-5);
        assert_float_equal(error, integral, 1e-5);
    }
}

// A mixture is at no distance from itself, and a certain value moves to another along a line.
static void distance_of_the_same_and_of_certain_values(void **state)
{
    (void)state;
    nn_head_config config = head_case_config(NN_HEAD_GAUSSIAN_MIXTURE);
    head_case_fill(&c, &config, 3);
    memcpy(c.next_out, c.out, sizeof c.out);
    for (size_t i = 0; i < HEAD_STEPS; i++) {
        c.reward[i] = 0;
        c.discount[i] = 1;
        c.policy[i] = 1;
    }
    nn_backup backup = head_case_backup(&c, false, 0);
    backup.actions = 1;
    nn_head_target(&c.head, &backup, c.target);
    nn_head_batch batch = head_case_batch(&c);
    batch.target_width = nn_head_target_width(&c.head, 1);
    assert_float_equal(nn_head_loss(&c.head, &batch), 0, 1e-6);
    for (size_t i = 0; i < HEAD_STEPS; i++)
        assert_true(c.error[i] >= 0 && c.error[i] < 2e-6);
    for (size_t i = 0; i < HEAD_STEPS * c.width; i++)
        assert_float_equal(c.grad[i], 0, 1e-6);

    for (size_t i = 0; i < HEAD_ROWS * c.width; i++)
        if (i % c.width >= 5)
            c.out[i] = i % c.width >= 10 ? -100 : 4; // all means 4, no deviation to speak of
    for (size_t i = 0; i < HEAD_STEPS; i++) {
        c.reward[i] = -3;
        c.discount[i] = 0;
    }
    nn_head_target(&c.head, &backup, c.target);
    nn_head_loss(&c.head, &batch);
    for (size_t i = 0; i < HEAD_STEPS; i++)
        assert_float_equal(c.error[i], 7, 1e-5);
}

static void targets_equal_naive_ones(void **state)
{
    (void)state;
    nn_head_config config;
    for (int v = 0; head_case_variant(v, &config); v++) {
        if (config.kind != NN_HEAD_GAUSSIAN_MIXTURE)
            continue;
        size_t n = (size_t)config.components;
        for (int way = 0; way < 4; way++) {
            double rescale = way / 2 ? 0.01 : 0;
            head_case_fill(&c, &config, (uint64_t)(10 * v + way));
            nn_backup backup = head_case_backup(&c, way % 2, rescale);
            nn_head_target(&c.head, &backup, c.target);
            for (size_t i = 0; i < HEAD_STEPS; i++) {
                size_t places = c.target_width / 3, used = 0;
                const float *place = c.target + i * c.target_width;
                for (size_t row = i * HEAD_ACTIONS; row < (i + 1) * HEAD_ACTIONS; row++) {
                    normals z = normals_of(c.next_out + row * c.width, n, rescale);
                    for (size_t k = 0; c.policy[row] != 0 && k < n; k++, used++) {
                        double y = c.reward[i] +
                                   c.discount[i] * (z.mean[k] + (way % 2 ? c.bonus[row] : 0));
                        double s = c.discount[i] * z.deviation[k];
                        if (rescale > 0) {
                            s *= nn_rescale_slope(y, rescale);
                            y = nn_rescale(y, rescale);
                        }
                        assert_float_equal(place[used], c.policy[row] * z.weight[k], 1e-6);
                        assert_float_equal(place[places + used], y, 2e-6);
                        assert_float_equal(place[2 * places + used], s, 2e-6);
                    }
                }
                for (; used < places; used++)
                    assert_true(place[used] == 0);
            }
        }
    }
}

// Bisection for the quantile, then the integral of x times the density below it.
static double naive_worst_mean(const normals *z, double level)
{
    enum { CELLS = 20000 };
    double low = INFINITY, high = -INFINITY, sum = 0;
    for (size_t k = 0; k < z->count; k++) {
        low = fmin(low, z->mean[k] - 12 * z->deviation[k]);
        high = fmax(high, z->mean[k] + 12 * z->deviation[k]);
    }
    double first = low;
    for (int i = 0; i < 100; i++) {
        double middle = (low + high) / 2;
        *(probability_below(z, middle) < level ? &low : &high) = middle;
    }
    double width = (low - first) / CELLS;
    for (int i = 0; i < CELLS; i++) {
        double x = first + (i + 0.5) * width;
        sum += x * density(z, x) * width;
    }
    return sum / level;
}

static double naive_value(const normals *z, const nn_risk *risk)
{
    double mean = 0, variance = 0;
    for (size_t k = 0; k < z->count; k++)
        mean += z->weight[k] * z->mean[k];
    for (size_t k = 0; k < z->count; k++)
        variance += z->weight[k] * (z->deviation[k] * z->deviation[k] + pow(z->mean[k] - mean, 2));
    return risk->kind == NN_RISK_CVAR            ? naive_worst_mean(z, risk->level)
           : risk->kind == NN_RISK_MEAN_VARIANCE ? mean - risk->aversion * variance
                                                 : mean;
}

static void values_equal_naive_ones(void **state)
{
    (void)state;
    static const nn_risk risks[] = {
        { NN_RISK_MEAN, 0, 0 },   { NN_RISK_CVAR, 0.001, 0 }, { NN_RISK_CVAR, 0.25, 0 },
        { NN_RISK_CVAR, 0.9, 0 }, { NN_RISK_CVAR, 1, 0 },     { NN_RISK_MEAN_VARIANCE, 0, 0.5 },
    };
    nn_head_config config;
    for (int v = 0; head_case_variant(v, &config); v++) {
        if (config.kind != NN_HEAD_GAUSSIAN_MIXTURE)
            continue;
        head_case_fill(&c, &config, (uint64_t)v);
        for (size_t r = 0; r < sizeof risks / sizeof *risks; r++) {
            for (int rescaled = 0; rescaled < 2; rescaled++) {
                double rescale = rescaled ? 0.01 : 0;
                float value[HEAD_ROWS];
                nn_head_values(&c.head, c.out, HEAD_ROWS, c.width, &risks[r], rescale, value);
                for (size_t i = 0; i < HEAD_ROWS; i += 5) {
                    normals z = normals_of(c.out + i * c.width, (size_t)config.components, rescale);
                    double expected = naive_value(&z, &risks[r]);
                    assert_float_equal(value[i], expected, 2e-5 * (1 + fabs(expected)));
                }
            }
        }
    }
}

// Of N(m, s^2) the worst share q has the mean  m - s phi(Phi^-1(q)) / q.
static void worst_of_one_normal(void **state)
{
    (void)state;
    nn_head head;
    nn_head_config config = head_case_config(NN_HEAD_GAUSSIAN_MIXTURE);
    config.components = 1;
    expect_ok(nn_head_create(&head, &config));
    const float deviation = 2, out[] = { 7, 10, logf(expf(deviation - 1e-6f) - 1) };
    static const double level[] = { 0.5, 0.05, 0.01, 1e-9 };
    static const double z[] = { 0, -1.6448536269514729, -2.3263478740408408, -5.9978070150076865 };
    for (int i = 0; i < 4; i++) {
        float value;
        nn_head_values(&head, out, 1, 3, &(nn_risk){ NN_RISK_CVAR, level[i], 0 }, 0, &value);
        double phi = exp(-z[i] * z[i] / 2) / sqrt(2 * M_PI);
        assert_float_equal(value, 10 - 2 * phi / level[i], 1e-5);
    }
}

TEST_MAIN(the_loss_is_the_integral, distance_of_the_same_and_of_certain_values,
          targets_equal_naive_ones, values_equal_naive_ones, worst_of_one_normal)
