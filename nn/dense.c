// A dense layer. With X its input and Y its output, both [features, rows],
//     Y = relu(W^T X + b)
// and going back from G = dL/dY, masked by Y > 0:
//     dL/dW = X G^T,   dL/db = sum of each row of G,   dL/dX = W G
// so that the activations of the forward pass are all it keeps. Stored row by row it is the same
// with strides exchanged.

#include <string.h>

#include "base/mem.h"
#include "nn/layer.h"

enum { LANES = 16 };

static nn_matrix transposed(nn_matrix m)
{
    return (nn_matrix){ m.data, m.column, m.row };
}

static size_t dense_scratch(const nn_layer *layer, size_t rows, size_t quantiles)
{
    (void)quantiles;
    return nn_matmul_scratch(gn_larger(rows, gn_larger(layer->inputs, layer->outputs)));
}

static gn_status dense_forward(const nn_pass *pass)
{
    const nn_layer *layer = pass->layer;
    const float *weight = pass->parameter + pass->slice[0].offset;
    const float *bias = pass->parameter + pass->slice[1].offset;
    size_t inputs = layer->inputs, outputs = layer->outputs;
    if (layer->rows_first)
        nn_matmul(pass->n, outputs, inputs, transposed(pass->input),
                  (nn_matrix){ weight, outputs, 1 }, (nn_bias){ .column = bias }, layer->relu,
                  pass->output, outputs, pass->scratch);
    else
        nn_matmul(outputs, pass->n, inputs, (nn_matrix){ weight, 1, outputs }, pass->input,
                  (nn_bias){ .row = bias }, layer->relu, pass->output, pass->n, pass->scratch);
    return GN_OK;
}

// Side by side first (vectors), then one after the other.
void nn_sum_rows(const float *g, size_t rows, size_t n, float *ret_sum)
{
    for (size_t i = 0; i < rows; i++, g += n) {
        float lane[LANES] = { 0 }, sum = 0;
        size_t whole = n - n % LANES;
        for (size_t j = 0; j < whole; j += LANES)
            for (size_t v = 0; v < LANES; v++)
                lane[v] += g[j + v];
        for (size_t v = 0; v < LANES; v++)
            sum += lane[v];
        for (size_t j = whole; j < n; j++)
            sum += g[j];
        ret_sum[i] = sum;
    }
}

void nn_sum_columns(const float *restrict g, size_t n, size_t columns, float *restrict ret_sum)
{
    memset(ret_sum, 0, columns * sizeof *ret_sum);
    for (size_t i = 0; i < n; i++, g += columns)
        for (size_t j = 0; j < columns; j++)
            ret_sum[j] += g[j];
}

void nn_relu_backward(const float *restrict output, size_t stride, size_t rows, size_t n,
                      float *restrict g)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < n; j++)
            g[i * n + j] = output[i * stride + j] > 0 ? g[i * n + j] : 0;
}

static void mask(const nn_pass *pass)
{
    const nn_layer *layer = pass->layer;
    if (!layer->relu)
        return;
    if (layer->rows_first)
        nn_relu_backward(pass->output, layer->outputs, pass->n, layer->outputs, pass->grad_output);
    else
        nn_relu_backward(pass->output, pass->filled, layer->outputs, pass->n, pass->grad_output);
}

static gn_status dense_backward(const nn_pass *pass)
{
    const nn_layer *layer = pass->layer;
    size_t inputs = layer->inputs, outputs = layer->outputs, n = pass->n;
    float *grad_weight = pass->gradient + pass->slice[0].offset;
    float *grad_bias = pass->gradient + pass->slice[1].offset;
    const nn_bias none = { 0 };
    mask(pass);
    const float *g = pass->grad_output;
    nn_matrix grad = layer->rows_first ? (nn_matrix){ g, 1, outputs } : (nn_matrix){ g, n, 1 };
    nn_matmul(inputs, outputs, n, pass->input, transposed(grad), none, false, grad_weight, outputs,
              pass->scratch);
    if (layer->rows_first)
        nn_sum_columns(g, n, outputs, grad_bias);
    else
        nn_sum_rows(g, outputs, n, grad_bias);

    nn_matrix weight = { pass->parameter + pass->slice[0].offset, outputs, 1 };
    if (pass->grad_input && pass->input_rows_first)
        nn_matmul(n, inputs, outputs, transposed(grad), transposed(weight), none, false,
                  pass->grad_input, inputs, pass->scratch);
    else if (pass->grad_input)
        nn_matmul(inputs, n, outputs, weight, grad, none, false, pass->grad_input, n,
                  pass->scratch);
    return GN_OK;
}

// Four rows of W at a time, so that y is loaded and stored less often.
static void dense_act(const nn_layer *layer, const nn_slice *slice, const float *parameter,
                      const float *x, float *restrict y)
{
    size_t inputs = layer->inputs, outputs = layer->outputs, p = 0;
    const float *weight = parameter + slice[0].offset;
    memcpy(y, parameter + slice[1].offset, outputs * sizeof *y);
    for (; p + 4 <= inputs; p += 4, weight += 4 * outputs)
        for (size_t j = 0; j < outputs; j++)
            y[j] += x[p] * weight[j] + x[p + 1] * weight[outputs + j] +
                    x[p + 2] * weight[2 * outputs + j] + x[p + 3] * weight[3 * outputs + j];
    for (; p < inputs; p++, weight += outputs)
        for (size_t j = 0; j < outputs; j++)
            y[j] += x[p] * weight[j];
    for (size_t j = 0; layer->relu && j < outputs; j++)
        y[j] = y[j] < 0 ? 0 : y[j]; // keeps a NaN
}

const nn_layer_class nn_dense = {
    .name = "dense",
    .scratch = dense_scratch,
    .forward = dense_forward,
    .backward = dense_backward,
    .act = dense_act,
};
