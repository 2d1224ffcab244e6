// The largest of the pixels under a kernel, channel by channel. Pixels beyond the picture do not
// take part. Going back, the gradient is the first largest pixel's, as in PyTorch.

#include <assert.h>
#include <string.h>

#include "nn/layer.h"

// The pixels [ret_first, ret_first + count) under the kernel at place `at` of an axis.
static size_t pixels_under(const nn_layer *layer, int axis, size_t at, size_t *ret_first)
{
    size_t size = axis ? layer->in.width : layer->in.height, border = layer->border[axis];
    size_t begin = at * layer->step[axis], end = begin + layer->kernel[axis]; // with the border
    *ret_first = begin > border ? begin - border : 0;
    return (end - border < size ? end - border : size) - *ret_first;
}

static void raise_to(const float *restrict x, size_t count, float *restrict y)
{
    for (size_t j = 0; j < count; j++)
        y[j] = x[j] > y[j] || x[j] != x[j] ? x[j] : y[j]; // a NaN comes through
}

static size_t pooling_scratch(const nn_layer *layer, size_t rows, size_t quantiles)
{
    (void)quantiles;
    return layer->in.width * rows;
}

// Line by line: the largest of each column of pixels, then of these side by side.
static gn_status pooling_forward(const nn_pass *pass)
{
    const nn_layer *layer = pass->layer;
    size_t n = pass->n, width = layer->in.width * n, first;
    const float *x = pass->input.data;
    float *y = pass->output, *line = pass->scratch;
    assert(!pass->input_rows_first);
    for (size_t channel = 0; channel < layer->out.channels;
         channel++, x += layer->in.height * width)
        for (size_t at = 0; at < layer->out.height; at++) {
            size_t lines = pixels_under(layer, 0, at, &first);
            memcpy(line, x + first * width, width * sizeof *line);
            for (size_t i = first + 1; i < first + lines; i++)
                raise_to(x + i * width, width, line);
            for (size_t column = 0; column < layer->out.width; column++, y += n) {
                size_t columns = pixels_under(layer, 1, column, &first);
                memcpy(y, line + first * n, n * sizeof *y);
                for (size_t i = first + 1; i < first + columns; i++)
                    raise_to(line + i * n, n, y);
            }
        }
    return GN_OK;
}

// What is left of the gradient goes to the next pixel that equals the output.
static void hand_back(size_t n, const float *restrict x, const float *restrict y,
                      float *restrict left, float *restrict grad_x)
{
    for (size_t j = 0; j < n; j++) {
        bool equal = x[j] == y[j];
        grad_x[j] += equal ? left[j] : 0;
        left[j] = equal ? 0 : left[j];
    }
}

static gn_status pooling_backward(const nn_pass *pass)
{
    const nn_layer *layer = pass->layer;
    size_t n = pass->n, filled = pass->filled,
           pixels = (size_t)layer->out.height * layer->out.width;
    if (!pass->grad_input)
        return GN_OK;
    memset(pass->grad_input, 0, layer->inputs * n * sizeof(float));
    for (size_t output = 0; output < layer->outputs; output++) {
        size_t channel = output / pixels, at = output % pixels, line, column;
        size_t lines = pixels_under(layer, 0, at / layer->out.width, &line);
        size_t columns = pixels_under(layer, 1, at % layer->out.width, &column);
        line += channel * layer->in.height;
        for (size_t i = 0; i < lines * columns; i++) {
            size_t pixel = (line + i / columns) * layer->in.width + column + i % columns;
            hand_back(n, pass->input.data + pixel * filled, pass->output + output * filled,
                      pass->grad_output + output * n, pass->grad_input + pixel * n);
        }
    }
    return GN_OK;
}

const nn_layer_class nn_pooling = {
    .name = "pooling",
    .scratch = pooling_scratch,
    .forward = pooling_forward,
    .backward = pooling_backward,
};
