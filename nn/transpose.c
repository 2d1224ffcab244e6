// The first layer under an encoder: observations [n, inputs] become [inputs, n], once, for all that
// read them. A window of bars [window, features] becomes a picture of height 1 on the way, so that
// a feature's values over time are one channel; what lies behind the picture follows it as it is.

#include <assert.h>

#include "nn/layer.h"

enum { BLOCK = 16 }; // rows and inputs at a time: a cache line of each

// Where input i of the picture goes.
static size_t place_of(const nn_layer *layer, size_t i)
{
    size_t channels = layer->in.channels, pixels = (size_t)layer->in.height * layer->in.width;
    return layer->channels_last && i < channels * pixels ? i % channels * pixels + i / channels : i;
}

static gn_status transpose_forward(const nn_pass *pass)
{
    const nn_layer *layer = pass->layer;
    size_t inputs = layer->inputs, n = pass->n;
    const float *x = pass->input.data;
    assert(pass->input_rows_first);
    for (size_t first = 0; first < inputs; first += BLOCK)
        for (size_t row = 0; row < n; row += BLOCK) {
            size_t rows = n - row < BLOCK ? n - row : BLOCK;
            for (size_t i = first; i < inputs && i < first + BLOCK; i++) {
                float *out = pass->output + place_of(layer, i) * n + row;
                for (size_t j = 0; j < rows; j++)
                    out[j] = x[(row + j) * inputs + i];
            }
        }
    return GN_OK;
}

static gn_status transpose_backward(const nn_pass *pass)
{
    assert(!pass->grad_input);
    (void)pass;
    return GN_OK;
}

const nn_layer_class nn_transpose = {
    .name = "transpose",
    .forward = transpose_forward,
    .backward = transpose_backward,
};
