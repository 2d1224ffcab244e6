#include "tests/support/head_case.h"

#include <math.h>

nn_head_config head_case_config(nn_head_kind kind)
{
    nn_head_config config;
    const gn_option_section sections[] = {
        { .name = "head", .options = nn_head_options, .values = &config },
        { 0 },
    };
    gn_options_reset(sections);
    config.kind = (int)kind;
    return config;
}

static float between(test_rng *rng, double low, double high)
{
    return (float)(low + (high - low) * test_rng_unit(rng));
}

static void fill_policy(test_rng *rng, bool greedy, float *ret_policy)
{
    double sum = 0, share[HEAD_ACTIONS];
    uint64_t best = test_rng_below(rng, HEAD_ACTIONS);
    for (uint64_t a = 0; a < HEAD_ACTIONS; a++) {
        share[a] = greedy ? a == best : 0.05 + test_rng_unit(rng);
        sum += share[a];
    }
    for (int a = 0; a < HEAD_ACTIONS; a++)
        ret_policy[a] = (float)(share[a] / sum);
}

void head_case_fill(head_case *c, const nn_head_config *config, uint64_t seed)
{
    test_rng rng = test_rng_seed(seed);
    expect_ok(nn_head_create(&c->head, config));
    c->width = c->head.width;
    c->target_width = nn_head_target_width(&c->head, HEAD_ACTIONS);
    c->next_width =
        config->kind == NN_HEAD_IMPLICIT_QUANTILE ? (size_t)config->target_quantiles : c->width;
    assert_true(c->width <= HEAD_WIDTH && c->next_width <= HEAD_WIDTH);
    assert_true(c->target_width <= HEAD_TARGET);
    for (size_t i = 0; i < HEAD_ROWS * c->width; i++)
        c->out[i] = between(&rng, -3, 3);
    for (size_t i = 0; i < HEAD_ROWS * c->next_width; i++)
        c->next_out[i] = between(&rng, -3, 3);
    for (size_t i = 0; i < HEAD_STEPS * c->width; i++)
        c->fraction[i] = between(&rng, 0, 1);
    for (int i = 0; i < HEAD_STEPS; i++) {
        c->reward[i] = between(&rng, -12, 12);
        c->discount[i] = i % 4 == 1 ? 0 : between(&rng, 0.5, 1);
        c->weight[i] = between(&rng, 0.1, 1);
        fill_policy(&rng, i % 5 == 0, c->policy + i * HEAD_ACTIONS);
    }
    for (int i = 0; i < HEAD_ROWS; i++)
        c->bonus[i] = between(&rng, -0.5, 0.5);
}

nn_backup head_case_backup(const head_case *c, bool bonus, double rescale)
{
    return (nn_backup){ .n = HEAD_STEPS,
                        .actions = HEAD_ACTIONS,
                        .width = c->next_width,
                        .out = c->next_out,
                        .reward = c->reward,
                        .discount = c->discount,
                        .policy = c->policy,
                        .bonus = bonus ? c->bonus : NULL,
                        .rescale = rescale };
}

nn_head_batch head_case_batch(head_case *c)
{
    bool implicit = c->head.config.kind == NN_HEAD_IMPLICIT_QUANTILE;
    return (nn_head_batch){ .n = HEAD_STEPS,
                            .width = c->width,
                            .target_width = c->target_width,
                            .out = c->out,
                            .target = c->target,
                            .fraction = implicit ? c->fraction : NULL,
                            .weight = c->weight,
                            .ret_error = c->error,
                            .ret_grad = c->grad };
}

bool head_case_variant(int number, nn_head_config *ret_config)
{
    // Widths below, at and above whole vectors of 4, 8 and 16.
    static const struct {
        nn_head_kind kind;
        int width;
        double kappa;
    } variants[] = {
        { NN_HEAD_SCALAR, 1, 1 },
        { NN_HEAD_CATEGORICAL, 2, 1 },
        { NN_HEAD_CATEGORICAL, 7, 1 },
        { NN_HEAD_CATEGORICAL, 16, 1 },
        { NN_HEAD_CATEGORICAL, 51, 1 },
        { NN_HEAD_CATEGORICAL, 64, 1 },
        { NN_HEAD_TWO_HOT, 2, 1 },
        { NN_HEAD_TWO_HOT, 17, 1 },
        { NN_HEAD_TWO_HOT, 51, 1 },
        { NN_HEAD_QUANTILE, 1, 1 },
        { NN_HEAD_QUANTILE, 32, 1 },
        { NN_HEAD_QUANTILE, 51, 0 },
        { NN_HEAD_QUANTILE, 5, 100 },
        { NN_HEAD_IMPLICIT_QUANTILE, 8, 0 },
        { NN_HEAD_IMPLICIT_QUANTILE, 51, 0.5 },
        { NN_HEAD_GAUSSIAN_MIXTURE, 1, 1 },
        { NN_HEAD_GAUSSIAN_MIXTURE, 5, 1 },
        { NN_HEAD_GAUSSIAN_MIXTURE, 17, 1 },
    };
    if (number >= (int)(sizeof variants / sizeof *variants))
        return false;
    *ret_config = head_case_config(variants[number].kind);
    ret_config->atoms = ret_config->quantiles = variants[number].width;
    ret_config->components = variants[number].width;
    ret_config->target_quantiles = 19;
    ret_config->kappa = variants[number].kappa;
    return true;
}

double head_case_distance(const float *a, const double *b, size_t count, double floor)
{
    double difference = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        difference += (a[i] - b[i]) * (a[i] - b[i]);
        size += b[i] * b[i];
    }
    return sqrt(difference) / fmax(sqrt(size), floor);
}
