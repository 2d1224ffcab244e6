// A residual block of two convolutions that keep the picture's size:
//     m = relu(W1 * relu(x) + b1),   y = x + W2 * m + b2
// Keeps m [outputs, rows].
// Source: He et al. 2016, arXiv:1603.05027; as in Espeholt et al. 2018, arXiv:1802.01561, figure 3.

#include <assert.h>
#include <string.h>

#include "nn/convolution.h"

static size_t residual_memory(const nn_layer *layer, size_t rows, size_t quantiles)
{
    (void)quantiles;
    return layer->outputs * rows;
}

static size_t residual_scratch(const nn_layer *layer, size_t rows, size_t quantiles)
{
    (void)quantiles;
    return nn_convolve_scratch(layer, rows) + layer->outputs * rows;
}

static nn_convolve convolve_of(const nn_pass *pass, int which)
{
    const nn_slice *slice = pass->slice + 2 * which;
    return (nn_convolve){ .layer = pass->layer,
                          .weight = pass->parameter + slice[0].offset,
                          .bias = pass->parameter + slice[1].offset,
                          .x = which ? pass->memory : pass->input.data,
                          .n = pass->n,
                          .filled = pass->filled,
                          .relu_input = which == 0,
                          .scratch = pass->scratch };
}

static gn_status residual_forward(const nn_pass *pass)
{
    nn_convolve first = convolve_of(pass, 0), second = convolve_of(pass, 1);
    assert(!pass->input_rows_first);
    nn_convolve_forward(&first, false, true, pass->memory);
    memcpy(pass->output, pass->input.data, pass->layer->outputs * pass->n * sizeof(float));
    nn_convolve_forward(&second, true, pass->layer->relu, pass->output);
    return GN_OK;
}

static gn_status residual_backward(const nn_pass *pass)
{
    nn_convolve first = convolve_of(pass, 0), second = convolve_of(pass, 1);
    size_t outputs = pass->layer->outputs, n = pass->n, filled = pass->filled;
    float *grad_m = pass->scratch + nn_convolve_scratch(pass->layer, n), *g = pass->grad_output;
    float *slice[4], *grad_x = pass->grad_input;
    for (int i = 0; i < 4; i++)
        slice[i] = pass->gradient + pass->slice[i].offset;
    if (pass->layer->relu)
        nn_relu_backward(pass->output, filled, outputs, n, g);
    nn_convolve_backward(&second, g, slice[2], slice[3], grad_m);
    nn_relu_backward(pass->memory, filled, outputs, n, grad_m);
    nn_convolve_backward(&first, grad_m, slice[0], slice[1], grad_x);
    if (!grad_x)
        return GN_OK;
    nn_relu_backward(pass->input.data, filled, outputs, n, grad_x);
    for (size_t i = 0; i < outputs * n; i++)
        grad_x[i] += g[i];
    return GN_OK;
}

const nn_layer_class nn_residual = {
    .name = "residual",
    .memory = residual_memory,
    .scratch = residual_scratch,
    .forward = residual_forward,
    .backward = residual_backward,
};
