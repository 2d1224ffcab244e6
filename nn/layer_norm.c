// Normalises the features of each row over themselves.
//     y = gain * (x - mean) / sqrt(variance + 1e-5) + shift,   mean and variance over the features
// Source: Ba, Kiros & Hinton 2016, arXiv:1607.06450; the constant is PyTorch's.
//
// Rows lie side by side, so sums over features are kept for all rows at once.

#include <assert.h>
#include <math.h>
#include <string.h>

#include "nn/layer.h"

static const float epsilon = 1e-5f;

// mean and 1/deviation of each row of the forward, then two sums of the backward.
enum { KEPT = 4 };

static size_t norm_memory(const nn_layer *layer, size_t rows, size_t quantiles)
{
    (void)layer;
    (void)quantiles;
    return KEPT * rows;
}

static void measure_rows(const float *restrict x, size_t width, size_t n, float *restrict ret_mean,
                         float *restrict ret_scale)
{
    memset(ret_mean, 0, n * sizeof *ret_mean);
    memset(ret_scale, 0, n * sizeof *ret_scale);
    for (size_t f = 0; f < width; f++)
        for (size_t j = 0; j < n; j++)
            ret_mean[j] += x[f * n + j];
    for (size_t j = 0; j < n; j++)
        ret_mean[j] /= (float)width;
    for (size_t f = 0; f < width; f++)
        for (size_t j = 0; j < n; j++) {
            float d = x[f * n + j] - ret_mean[j];
            ret_scale[j] += d * d;
        }
    for (size_t j = 0; j < n; j++)
        ret_scale[j] = 1 / sqrtf(ret_scale[j] / (float)width + epsilon);
}

// One feature of n rows; what falls below `least` is cut off. Keeps a NaN.
static void normalise(const float *restrict x, const float *restrict mean,
                      const float *restrict scale, float gain, float shift, float least, size_t n,
                      float *restrict ret_y)
{
    for (size_t j = 0; j < n; j++) {
        float value = gain * (x[j] - mean[j]) * scale[j] + shift;
        ret_y[j] = value < least ? least : value;
    }
}

static gn_status norm_forward(const nn_pass *pass)
{
    size_t width = pass->layer->outputs, n = pass->n;
    const float *gain = pass->parameter + pass->slice[0].offset;
    const float *shift = pass->parameter + pass->slice[1].offset;
    const float *x = pass->input.data;
    float *mean = pass->memory, *scale = mean + n, *y = pass->output;
    float least = pass->layer->relu ? 0 : -INFINITY;
    assert(!pass->input_rows_first && pass->input.row == n);
    measure_rows(x, width, n, mean, scale);
    for (size_t f = 0; f < width; f++)
        normalise(x + f * n, mean, scale, gain[f], shift[f], least, n, y + f * n);
    return GN_OK;
}

// With h the normalised x and G = gain * dL/dy:
//     dL/dx = (G - mean(G) - h mean(G h)) / deviation,   means over the features
static gn_status norm_backward(const nn_pass *pass)
{
    size_t width = pass->layer->outputs, n = pass->n, filled = pass->filled;
    const float *gain = pass->parameter + pass->slice[0].offset;
    float *grad_gain = pass->gradient + pass->slice[0].offset;
    const float *x = pass->input.data, *mean = pass->memory, *scale = mean + filled;
    float *sum = pass->memory + 2 * filled, *product = sum + filled, *g = pass->grad_output;
    if (pass->layer->relu)
        nn_relu_backward(pass->output, filled, width, n, g);
    nn_sum_rows(g, width, n, pass->gradient + pass->slice[1].offset);
    memset(sum, 0, 2 * filled * sizeof *sum);
    for (size_t f = 0; f < width; f++) {
        float total = 0;
        for (size_t j = 0; j < n; j++) {
            float h = (x[f * filled + j] - mean[j]) * scale[j], scaled = gain[f] * g[f * n + j];
            total += g[f * n + j] * h;
            sum[j] += scaled;
            product[j] += scaled * h;
        }
        grad_gain[f] = total;
    }
    float *out = pass->grad_input, share = 1 / (float)width;
    for (size_t f = 0; out && f < width; f++)
        for (size_t j = 0; j < n; j++) {
            float h = (x[f * filled + j] - mean[j]) * scale[j];
            out[f * n + j] =
                scale[j] * (gain[f] * g[f * n + j] - share * (sum[j] + h * product[j]));
        }
    return GN_OK;
}

static void norm_act(const nn_layer *layer, const nn_slice *slice, const float *parameter,
                     const float *x, float *ret_y)
{
    const float *gain = parameter + slice[0].offset, *shift = parameter + slice[1].offset;
    float mean, scale;
    measure_rows(x, layer->outputs, 1, &mean, &scale);
    for (size_t f = 0; f < layer->outputs; f++) {
        float value = gain[f] * (x[f] - mean) * scale + shift[f];
        ret_y[f] = value < 0 && layer->relu ? 0 : value;
    }
}

const nn_layer_class nn_layer_norm = {
    .name = "layer norm",
    .memory = norm_memory,
    .forward = norm_forward,
    .backward = norm_backward,
    .act = norm_act,
};
