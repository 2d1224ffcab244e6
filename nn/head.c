#include "nn/head.h"

#include <assert.h>
#include <math.h>

#include "base/status.h"

static const char *const kind_names[] = {
    "scalar", "categorical", "two-hot", "quantile", "implicit-quantile", "gaussian-mixture", NULL,
};

const gn_option nn_head_options[] = {
    GN_OPTION_CHOICE(nn_head_config, kind, "scalar", kind_names,
                     "what is learned of the return of an action: its mean (scalar, two-hot) or "
                     "its distribution (the others)"),
    GN_OPTION_REAL(nn_head_config, huber_delta, "10", 1e-6, INFINITY,
                   "error beyond which the loss grows linearly; inf is the squared error"),
    GN_OPTION_INT(nn_head_config, atoms, "51", 2, NN_MAX_HEAD_WIDTH,
                  "categorical, two-hot: fixed values whose probabilities are learned"),
    GN_OPTION_REAL(nn_head_config, v_min, "-10", -1e30, 1e30,
                   "categorical, two-hot: value of the first atom"),
    GN_OPTION_REAL(nn_head_config, v_max, "10", -1e30, 1e30,
                   "categorical, two-hot: value of the last atom"),
    GN_OPTION_INT(nn_head_config, quantiles, "32", 1, NN_MAX_HEAD_WIDTH,
                  "quantile: how many there are; implicit-quantile: how many are drawn for a step"),
    GN_OPTION_INT(nn_head_config, target_quantiles, "32", 1, NN_MAX_HEAD_WIDTH,
                  "implicit-quantile: how many are drawn for what follows a step"),
    GN_OPTION_INT(nn_head_config, acting_quantiles, "32", 1, NN_MAX_HEAD_WIDTH,
                  "implicit-quantile: how many an action is chosen by"),
    GN_OPTION_INT(nn_head_config, cosines, "64", 1, NN_MAX_HEAD_WIDTH,
                  "implicit-quantile: features of a quantile fraction"),
    GN_OPTION_REAL(nn_head_config, kappa, "1", 0, 1e9,
                   "quantiles: error beyond which the loss grows linearly; 0 is linear throughout"),
    GN_OPTION_INT(nn_head_config, components, "5", 1, NN_MAX_COMPONENTS,
                  "gaussian-mixture: normal distributions in the mixture"),
    { 0 },
};

const nn_head_class *const nn_head_classes[] = {
    &nn_head_scalar,   &nn_head_categorical,       &nn_head_two_hot,
    &nn_head_quantile, &nn_head_implicit_quantile, &nn_head_gaussian_mixture,
};

gn_status nn_head_create(nn_head *ret_head, const nn_head_config *config)
{
    assert(config->kind >= 0 && config->kind <= NN_HEAD_GAUSSIAN_MIXTURE);
    if (!(config->v_min < config->v_max))
        return gn_fail(GN_ERR_CONFIG, "head.v_min: %g is not below head.v_max = %g", config->v_min,
                       config->v_max);
    const nn_head_class *kind = nn_head_classes[config->kind];
    *ret_head = (nn_head){ .config = *config, .kind = kind, .width = kind->width(config) };
    return GN_OK;
}

size_t nn_head_target_width(const nn_head *head, uint32_t actions)
{
    return head->kind->target_width(head, actions);
}

bool nn_head_is_bounded(const nn_head_config *config)
{
    return config->kind == NN_HEAD_CATEGORICAL || config->kind == NN_HEAD_TWO_HOT;
}

bool nn_head_is_distribution(const nn_head *head)
{
    return head->kind->distribution;
}

void nn_head_values(const nn_head *head, const float *out, size_t rows, size_t width,
                    const nn_risk *risk, double rescale, float *ret_value)
{
    assert(risk->kind == NN_RISK_MEAN || head->kind->distribution);
    assert(risk->kind != NN_RISK_CVAR || (risk->level > 0 && risk->level <= 1));
    head->kind->values(head, out, rows, width, risk, rescale, ret_value);
}

void nn_head_target(const nn_head *head, const nn_backup *backup, float *ret_target)
{
    head->kind->target(head, backup, ret_target);
}

double nn_head_loss(const nn_head *head, const nn_head_batch *batch)
{
    return head->kind->loss(head, batch);
}
