// Atoms: the projection by hand, targets and values against naive double precision.

#include <math.h>
#include <string.h>

#include "nn/head.h"
#include "nn/head_internal.h"
#include "tests/support/head_case.h"

static head_case c;

// Projects n masses at `value` onto `points` atoms from first to last.
static void check_projection(const double *value, const float *mass, size_t n, double first,
                             double last, size_t points, const float *expected)
{
    double position[16] = { 0 }, gap = (last - first) / (double)(points - 1);
    float padded[16] = { 0 }, found[16] = { 0 };
    memcpy(padded, mass, n * sizeof *mass);
    for (size_t j = 0; j < n; j++)
        position[j] = (value[j] - first) / gap;
    nn_head_project(position, padded, n, points, found);
    for (size_t j = 0; j < points; j++)
        assert_float_equal(found[j], expected[j], 1e-6);
}

// Vectors of rlax's test of categorical_l2_project.
static void projects_between_grids(void **state)
{
    (void)state;
    double value[8];
    float even[8] = { 0 }, odd[8] = { 0 };
    for (int j = 0; j < 8; j++) {
        value[j] = -1 + 0.25 * j;
        if (j % 2)
            even[j] = (float)value[j];
    }
    check_projection(value, even, 8, -1, 0.5, 4, (const float[]){ -0.375f, -0.5f, 0, 0.875f });
    for (int j = 0; j < 8; j++) {
        value[j] += 1;
        if (j % 2 == 0)
            odd[j] = (float)value[j];
    }
    check_projection(value, odd, 8, 0, 1.5, 4, (const float[]){ 0, 0.5f, 1, 1.5f });
    check_projection((const double[]){ -1e300, 1e300, INFINITY }, (const float[]){ 1, 2, 4 }, 3, 0,
                     1, 2, (const float[]){ 1, 6 });
}

static nn_head five_atoms(nn_head_kind kind)
{
    nn_head head;
    nn_head_config config = head_case_config(kind);
    config.atoms = 5;
    config.v_min = -2;
    config.v_max = 2;
    expect_ok(nn_head_create(&head, &config));
    return head;
}

// Equal probabilities on -2..2, one action.
static void check_step(float reward, float discount, const float *expected)
{
    nn_head head = five_atoms(NN_HEAD_CATEGORICAL);
    const float logit[5] = { 3, 3, 3, 3, 3 };
    float target[5];
    nn_head_target(&head,
                   &(nn_backup){ .n = 1,
                                 .actions = 1,
                                 .width = 5,
                                 .out = logit,
                                 .reward = &reward,
                                 .discount = &discount,
                                 .policy = &(float){ 1 } },
                   target);
    for (int j = 0; j < 5; j++)
        assert_float_equal(target[j], expected[j], 1e-6);
}

static void projects_by_hand(void **state)
{
    (void)state;
    check_step(1, 0.9f, (const float[]){ 0, 0.16f, 0.22f, 0.24f, 0.38f });
    check_step(1, 0, (const float[]){ 0, 0, 0, 1, 0 });
    check_step(0.25f, 0, (const float[]){ 0, 0, 0.75f, 0.25f, 0 });
    check_step(10, 0.9f, (const float[]){ 0, 0, 0, 0, 1 });
    check_step(-10, 0.9f, (const float[]){ 1, 0, 0, 0, 0 });
    check_step(0, 1, (const float[]){ 0.2f, 0.2f, 0.2f, 0.2f, 0.2f });
}

static void two_hot_by_hand(void **state)
{
    (void)state;
    nn_head head = five_atoms(NN_HEAD_TWO_HOT);
    // p = 1/8, 1/8, 1/4, 1/4, 1/4: mean 0.375; target 0.25 is 3/4 of atom 0 and 1/4 of atom 1.
    const float l = logf(2), out[5] = { 0, 0, l, l, l };
    float value, target, error, grad[5];
    nn_head_values(&head, out, 1, 5, &(nn_risk){ NN_RISK_MEAN, 0, 0 }, 0, &value);
    assert_float_equal(value, 0.375, 1e-6);
    nn_backup backup = { .n = 1,
                         .actions = 1,
                         .width = 5,
                         .out = out,
                         .reward = &(float){ 0.0625f },
                         .discount = &(float){ 0.5f },
                         .policy = &(float){ 1 } };
    nn_head_target(&head, &backup, &target);
    assert_float_equal(target, 0.25, 1e-6);
    nn_head_batch batch = { .n = 1,
                            .width = 5,
                            .target_width = 1,
                            .out = out,
                            .target = &target,
                            .weight = &(float){ 1 },
                            .ret_error = &error,
                            .ret_grad = grad };
    assert_float_equal(nn_head_loss(&head, &batch), log(4), 1e-6);
    assert_float_equal(error, 0.125, 1e-6);
    const float expected[] = { 0.125f, 0.125f, -0.5f, 0, 0.25f };
    for (int j = 0; j < 5; j++)
        assert_float_equal(grad[j], expected[j], 1e-6);
    backup.reward = &(float){ -9 };
    nn_head_target(&head, &backup, &target);
    assert_true(target == -2);
}

// Of row `row`, in double precision: probabilities and what the atoms stand for.
static void naive_row(const float *out, size_t row, double rescale, double *ret_p, double *ret_z)
{
    size_t n = c.width;
    double top = -INFINITY, sum = 0;
    for (size_t j = 0; j < n; j++)
        top = fmax(top, out[row * n + j]);
    for (size_t j = 0; j < n; j++)
        sum += exp(out[row * n + j] - top);
    for (size_t j = 0; j < n; j++) {
        ret_p[j] = exp(out[row * n + j] - top) / sum;
        ret_z[j] = c.head.config.v_min +
                   (c.head.config.v_max - c.head.config.v_min) * (double)j / (double)(n - 1);
        if (rescale > 0)
            ret_z[j] = nn_rescale_inverse(ret_z[j], rescale);
    }
}

static bool is_cut(double y, double gap)
{
    return y < c.head.config.v_min - gap / 2 || y > c.head.config.v_max + gap / 2;
}

// Each mass alone, by its distance from every atom. Adds what the ends cut off to *cut.
static void naive_categorical_target(size_t i, bool bonus, double rescale, double *ret_target,
                                     double *cut)
{
    double gap = (c.head.config.v_max - c.head.config.v_min) / (double)(c.width - 1);
    memset(ret_target, 0, c.width * sizeof *ret_target);
    for (size_t row = i * HEAD_ACTIONS; row < (i + 1) * HEAD_ACTIONS; row++) {
        double p[HEAD_WIDTH], z[HEAD_WIDTH];
        naive_row(c.next_out, row, rescale, p, z);
        for (size_t j = 0; j < c.width; j++) {
            double y = c.reward[i] + c.discount[i] * (z[j] + (bonus ? c.bonus[row] : 0));
            if (rescale > 0)
                y = nn_rescale(y, rescale);
            *cut += is_cut(y, gap) ? c.policy[row] * p[j] : 0;
            y = fmin(fmax(y, c.head.config.v_min), c.head.config.v_max);
            for (size_t k = 0; k < c.width; k++) {
                double atom = c.head.config.v_min + gap * (double)k;
                ret_target[k] += c.policy[row] * p[j] * fmax(0, 1 - fabs(y - atom) / gap);
            }
        }
    }
}

static double naive_two_hot_target(size_t i, bool bonus, double rescale, double *cut)
{
    double next = 0;
    for (size_t row = i * HEAD_ACTIONS; row < (i + 1) * HEAD_ACTIONS; row++) {
        double p[HEAD_WIDTH], z[HEAD_WIDTH], mean = 0;
        naive_row(c.next_out, row, 0, p, z);
        for (size_t j = 0; j < c.width; j++)
            mean += p[j] * z[j];
        mean = rescale > 0 ? nn_rescale_inverse(mean, rescale) : mean;
        next += c.policy[row] * (mean + (bonus ? c.bonus[row] : 0));
    }
    double y = c.reward[i] + c.discount[i] * next;
    y = rescale > 0 ? nn_rescale(y, rescale) : y;
    *cut += is_cut(y, (c.head.config.v_max - c.head.config.v_min) / (double)(c.width - 1));
    return fmin(fmax(y, c.head.config.v_min), c.head.config.v_max);
}

static void targets_equal_naive_ones(void **state)
{
    (void)state;
    nn_head_config config;
    double most_cut = 0;
    for (int v = 0; head_case_variant(v, &config); v++) {
        if (config.kind != NN_HEAD_CATEGORICAL && config.kind != NN_HEAD_TWO_HOT)
            continue;
        config.v_min = -7;
        for (int way = 0; way < 4; way++) {
            bool bonus = way % 2;
            double rescale = way / 2 ? 0.01 : 0;
            head_case_fill(&c, &config, (uint64_t)(10 * v + way));
            nn_backup backup = head_case_backup(&c, bonus, rescale);
            double cut, expected_cut = 0;
            backup.ret_cut = &cut;
            nn_head_target(&c.head, &backup, c.target);
            for (size_t i = 0; i < HEAD_STEPS; i++) {
                double expected[HEAD_WIDTH];
                if (config.kind == NN_HEAD_CATEGORICAL)
                    naive_categorical_target(i, bonus, rescale, expected, &expected_cut);
                else
                    expected[0] = naive_two_hot_target(i, bonus, rescale, &expected_cut);
                for (size_t k = 0; k < c.target_width; k++)
                    assert_float_equal(c.target[i * c.target_width + k], expected[k], 2e-6);
            }
            assert_float_equal(cut, expected_cut, 1e-5);
            most_cut = fmax(most_cut, cut);
        }
    }
    assert_true(most_cut > 0);
}

// The largest grid: positions need more than single precision.
static void a_thousand_atoms_keep_the_mean(void **state)
{
    (void)state;
    enum { ATOMS = NN_MAX_HEAD_WIDTH };
    nn_head head;
    nn_head_config config = head_case_config(NN_HEAD_CATEGORICAL);
    config.atoms = ATOMS;
    expect_ok(nn_head_create(&head, &config));
    static float out[ATOMS], target[ATOMS];
    test_rng rng = test_rng_seed(1);
    for (int j = 0; j < ATOMS; j++)
        out[j] = (float)test_rng_unit(&rng);
    nn_backup backup = { .n = 1,
                         .actions = 1,
                         .width = ATOMS,
                         .out = out,
                         .reward = &(float){ 0.123f },
                         .discount = &(float){ 0.9f },
                         .policy = &(float){ 1 } };
    nn_head_target(&head, &backup, target);
    float value;
    nn_head_values(&head, out, 1, ATOMS, &(nn_risk){ NN_RISK_MEAN, 0, 0 }, 0, &value);
    double mean = 0, sum = 0;
    for (int j = 0; j < ATOMS; j++) {
        mean += target[j] * (-10 + 20.0 * j / (ATOMS - 1));
        sum += target[j];
    }
    assert_float_equal(sum, 1, 1e-6);
    assert_float_equal(mean, 0.123 + 0.9 * value, 2e-6);
}

static double naive_value(size_t row, const nn_risk *risk, double rescale)
{
    double p[HEAD_WIDTH], z[HEAD_WIDTH], mean = 0, variance = 0, worst = 0;
    bool two_hot = c.head.config.kind == NN_HEAD_TWO_HOT;
    naive_row(c.out, row, two_hot ? 0 : rescale, p, z);
    double left = risk->level;
    for (size_t j = 0; j < c.width; j++) {
        mean += p[j] * z[j];
        worst += fmin(p[j], left) * z[j];
        left = fmax(0, left - p[j]);
    }
    for (size_t j = 0; j < c.width; j++)
        variance += p[j] * (z[j] - mean) * (z[j] - mean);
    if (two_hot && rescale > 0)
        return nn_rescale_inverse(mean, rescale);
    return risk->kind == NN_RISK_CVAR            ? worst / risk->level
           : risk->kind == NN_RISK_MEAN_VARIANCE ? mean - risk->aversion * variance
                                                 : mean;
}

static void values_equal_naive_ones(void **state)
{
    (void)state;
    static const nn_risk risks[] = {
        { NN_RISK_MEAN, 0, 0 },         { NN_RISK_CVAR, 0.01, 0 },
        { NN_RISK_CVAR, 0.25, 0 },      { NN_RISK_CVAR, 0.999f, 0 },
        { NN_RISK_CVAR, 1, 0 },         { NN_RISK_MEAN_VARIANCE, 0, 0.5 },
        { NN_RISK_MEAN_VARIANCE, 0, 0 }
    };
    nn_head_config config;
    for (int v = 0; head_case_variant(v, &config); v++) {
        if (config.kind != NN_HEAD_CATEGORICAL && config.kind != NN_HEAD_TWO_HOT)
            continue;
        head_case_fill(&c, &config, (uint64_t)v);
        for (size_t r = 0; r < (config.kind == NN_HEAD_TWO_HOT ? 1 : 7); r++) {
            for (int rescaled = 0; rescaled < 2; rescaled++) {
                double rescale = rescaled ? 0.01 : 0;
                float value[HEAD_ROWS];
                nn_head_values(&c.head, c.out, HEAD_ROWS, c.width, &risks[r], rescale, value);
                for (size_t i = 0; i < HEAD_ROWS; i++) {
                    double expected = naive_value(i, &risks[r], rescale);
                    assert_float_equal(value[i], expected, 2e-6 * (10 + fabs(expected)));
                }
            }
        }
    }
}

// KL(target || p) is 0 where they are the same, and what it is by hand.
static void the_error_is_the_divergence(void **state)
{
    (void)state;
    nn_head head = five_atoms(NN_HEAD_CATEGORICAL);
    const float half = logf(0.5f), quarter = logf(0.25f);
    const float out[] = { half, quarter, quarter, -100, -100 };
    const float same[] = { 0.5f, 0.25f, 0.25f, 0, 0 }, other[] = { 0, 1, 0, 0, 0 };
    float error, grad[5];
    nn_head_batch batch = { .n = 1,
                            .width = 5,
                            .target_width = 5,
                            .out = out,
                            .target = same,
                            .weight = &(float){ 1 },
                            .ret_error = &error,
                            .ret_grad = grad };
    assert_float_equal(nn_head_loss(&head, &batch), 1.5 * log(2), 1e-6);
    assert_true(error >= 0 && error < 1e-6);
    batch.target = other;
    assert_float_equal(nn_head_loss(&head, &batch), 2 * log(2), 1e-6);
    assert_float_equal(error, 2 * log(2), 1e-6);
    batch.target = (const float[]){ 0, 0.5f, 0, 0, 0 }; // of any sum S the gradient is S p - t
    assert_float_equal(nn_head_loss(&head, &batch), log(2), 1e-6);
    assert_float_equal(grad[0], 0.25, 1e-6);
    assert_float_equal(grad[1], -0.375, 1e-6);
}

TEST_MAIN(projects_between_grids, projects_by_hand, two_hot_by_hand, targets_equal_naive_ones,
          a_thousand_atoms_keep_the_mean, values_equal_naive_ones, the_error_is_the_divergence)
