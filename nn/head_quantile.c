// Heads whose outputs are values of quantiles of the return, equally likely: at fixed fractions
// (k + 1/2) / K, or at fractions that are drawn. Targets are values of quantiles too.
//
// With fractions tau_k, values theta_k and targets t_j, u = t_j - theta_k:
//     loss  = 1/J sum_j sum_k |tau_k - [u < 0]| L(u)
//     L(u)  = u^2/2 where |u| <= kappa, kappa (|u| - kappa/2) beyond;  kappa = 0: |u|
//     error = 1/(J K) sum_j sum_k |u|
// L is that of QR-DQN; IQN divides it by kappa. With kappa = 0 the loss has a kink at u = 0: its
// slope there is that of u > 0.
//
// Sources: Dabney et al. 2018, arXiv:1710.10044 (QR-DQN) and arXiv:1806.06923 (IQN); the policy in
// the target: Vieillard et al. 2020, arXiv:2007.14430.

#include <assert.h>
#include <string.h>

#include "nn/head_internal.h"
#include "nn/simd.h"

static size_t width(const nn_head_config *config)
{
    return (size_t)config->quantiles;
}

static size_t quantile_target_width(const nn_head *head, uint32_t actions)
{
    (void)actions;
    return width(&head->config);
}

static size_t implicit_target_width(const nn_head *head, uint32_t actions)
{
    (void)actions;
    return (size_t)head->config.target_quantiles;
}

// Shell's sort: no memory, no recursion, and one pass where values are almost in order, as outputs
// of neighbouring quantiles are.  Source: gaps of Ciura 2001.
static void sort(float *value, size_t n)
{
    static const size_t gaps[] = { 701, 301, 132, 57, 23, 10, 4, 1 };
    for (size_t g = 0; g < sizeof gaps / sizeof *gaps; g++) {
        size_t gap = gaps[g];
        for (size_t i = gap; i < n; i++) {
            float x = value[i];
            size_t j = i;
            for (; j >= gap && value[j - gap] > x; j -= gap)
                value[j] = value[j - gap];
            value[j] = x;
        }
    }
}

// Mean of the worst `level` share of n equally likely values; sorts them.
static double worst_mean(float *value, size_t n, double level)
{
    double all = 0, sum = 0, left = level * (double)n; // how many values the worst share has
    for (size_t i = 0; i < n; i++)
        all += value[i];
    if (isnan(all)) // it may not be among the worst
        return NAN;
    sort(value, n);
    size_t i = 0;
    for (; i + 1 < n && left > 1; i++, left--)
        sum += value[i];
    return (sum + left * value[i]) / (level * (double)n);
}

static double mean_of(const float *value, size_t n)
{
    nn_vector sum = { 0 };
    size_t j = 0;
    for (; j + NN_LANES <= n; j += NN_LANES)
        sum += nn_vector_load(value + j);
    sum += nn_vector_load_part(value + j, n - j, 0);
    return (double)nn_vector_sum(sum) / (double)n;
}

static double variance_of(const float *value, size_t n, double mean)
{
    double sum = 0;
    for (size_t j = 0; j < n; j++)
        sum += (value[j] - mean) * (value[j] - mean);
    return sum / (double)n;
}

static void values(const nn_head *head, const float *out, size_t rows, size_t row_width,
                   const nn_risk *risk, double rescale, float *ret_value)
{
    (void)head;
    assert(row_width >= 1 && row_width <= NN_MAX_HEAD_WIDTH);
    float room[NN_MAX_HEAD_WIDTH];
    for (size_t i = 0; i < rows; i++, out += row_width) {
        const float *value = out;
        if (rescale > 0 || risk->kind == NN_RISK_CVAR) {
            for (size_t j = 0; j < row_width; j++)
                room[j] = (float)nn_output_to_return(out[j], rescale);
            value = room;
        }
        double result;
        if (risk->kind == NN_RISK_CVAR)
            result = worst_mean(room, row_width, risk->level);
        else
            result = mean_of(value, row_width);
        if (risk->kind == NN_RISK_MEAN_VARIANCE)
            result -= risk->aversion * variance_of(value, row_width, result);
        ret_value[i] = (float)result;
    }
}

// The j-th target is the mean over actions of what their j-th quantiles become.
static void target(const nn_head *head, const nn_backup *backup, float *ret_target)
{
    (void)head;
    size_t count = backup->width, row = 0;
    assert(count >= 1 && count <= NN_MAX_HEAD_WIDTH);
    double rescale = backup->rescale;
    for (size_t i = 0; i < backup->n; i++, ret_target += count) {
        double next[NN_MAX_HEAD_WIDTH];
        memset(next, 0, count * sizeof *next);
        for (uint32_t a = 0; a < backup->actions; a++, row++) {
            double share = backup->policy[row], bonus = nn_backup_bonus(backup, row);
            if (share == 0)
                continue;
            const float *value = backup->out + row * count;
            for (size_t j = 0; j < count; j++)
                next[j] += share * (nn_output_to_return(value[j], rescale) + bonus);
        }
        double reward = backup->reward[i], discount = backup->discount[i];
        for (size_t j = 0; j < count; j++)
            ret_target[j] = (float)nn_return_to_output(reward + discount * next[j], rescale);
    }
}

typedef struct quantile_sums {
    nn_vector loss, size;
} quantile_sums;

// One vector of quantiles against all targets. ret_slope: d loss / d theta, not divided by J.
NN_INLINE quantile_sums compare(nn_vector theta, nn_vector tau, const float *target, size_t count,
                                float kappa, nn_vector *ret_slope)
{
    quantile_sums sums = { { 0 }, { 0 } };
    nn_vector slope = { 0 }, less = 1 - tau;
    for (size_t j = 0; j < count; j++) {
        nn_vector u = target[j] - theta, size = nn_vector_abs(u);
        nn_mask negative = u < 0;
        nn_vector share = nn_vector_select(negative, less, tau);
        nn_vector part = share + 0 * size, height = size; // |u| itself; a NaN stays one
        if (kappa > 0) {
            nn_vector inner = nn_vector_at_most(size, kappa);
            part = share * inner;
            height = size - inner * 0.5f;
        }
        sums.loss += part * height;
        sums.size += size;
        slope += (nn_vector)((nn_mask)part ^ (~negative & INT32_MIN)); // -part where u >= 0
    }
    *ret_slope = slope;
    return sums;
}

// fraction: [width] of this row. Returns the loss of the row.
NN_INLINE double quantile_row(const float *theta, const float *fraction, size_t row_width,
                              const float *target, size_t count, float kappa, double weight,
                              float *ret_error, float *ret_grad)
{
    double loss = 0, size = 0;
    for (size_t k = 0; k < row_width; k += NN_LANES) {
        size_t lanes = row_width - k < NN_LANES ? row_width - k : NN_LANES;
        nn_mask counts = nn_mask_first(lanes);
        nn_vector slope;
        quantile_sums sums =
            compare(nn_vector_load_part(theta + k, lanes, 0),
                    nn_vector_load_part(fraction + k, lanes, 0), target, count, kappa, &slope);
        nn_vector_store_part(ret_grad + k, slope * (float)(weight / (double)count), lanes);
        loss += nn_vector_sum((nn_vector)((nn_mask)sums.loss & counts));
        size += nn_vector_sum((nn_vector)((nn_mask)sums.size & counts));
    }
    *ret_error = (float)(size / (double)(row_width * count));
    return loss / (double)count;
}

static double loss_at(const nn_head *head, const nn_head_batch *batch, const float *fraction,
                      size_t stride)
{
    size_t count = batch->target_width;
    float kappa = (float)head->config.kappa;
    double sum = 0, scale = 1 / (double)batch->n;
    for (size_t i = 0; i < batch->n; i++, fraction += stride) {
        size_t row = i * batch->width;
        double weight = batch->weight[i] * scale;
        sum += weight * quantile_row(batch->out + row, fraction, batch->width,
                                     batch->target + i * count, count, kappa, weight,
                                     batch->ret_error + i, batch->ret_grad + row);
    }
    return sum;
}

static double quantile_loss(const nn_head *head, const nn_head_batch *batch)
{
    float fraction[NN_MAX_HEAD_WIDTH];
    assert(batch->width == width(&head->config) && batch->target_width == batch->width);
    for (size_t k = 0; k < batch->width; k++)
        fraction[k] = (float)(((double)k + 0.5) / (double)batch->width);
    return loss_at(head, batch, fraction, 0);
}

static double implicit_loss(const nn_head *head, const nn_head_batch *batch)
{
    return loss_at(head, batch, batch->fraction, batch->width);
}

const nn_head_class nn_head_quantile = {
    "quantile", true, width, quantile_target_width, values, target, quantile_loss,
};

const nn_head_class nn_head_implicit_quantile = {
    "implicit-quantile", true, width, implicit_target_width, values, target, implicit_loss,
};
