// Internal to nn/: one convolution, as the layers that are made of them use it.
//
//     y[o, p] = b[o] + sum_k W[o, k] c[k, p],   k = (channel, ky, kx),   p = (y, x, row of the
//     batch)
//
// c is the picture's pixels under the kernel, gathered for a few positions at a time. Pictures are
// [channels, height, width, rows]: the rows of a pixel, and with a step of 1 the pixels of a line,
// are gathered in one piece. Pixels beyond the picture count as 0.

#ifndef NN_CONVOLUTION_H
#define NN_CONVOLUTION_H

#include "nn/layer.h"

typedef struct nn_convolve {
    const nn_layer *layer; // in, out, kernel, step, border
    const float *weight, *bias; // [out.channels, K]; [out.channels]
    const float *x; // [in, filled]
    size_t n, filled; // the call is about the first n rows of `filled`
    bool relu_input; // of max(x, 0)
    float *scratch; // [nn_convolve_scratch]
} nn_convolve;

// Floats for at most `rows` rows.
size_t nn_convolve_scratch(const nn_layer *layer, size_t rows);

// Shape: ret_y: [out, n], n = filled. add: to what ret_y holds; relu: at the very end.
void nn_convolve_forward(const nn_convolve *c, bool add, bool relu, float *ret_y);

// Shapes: grad_y: [out, n]; ret_grad_weight, ret_grad_bias: as those; ret_grad_x: [in, n], the
// gradient of max(x, 0) with relu_input; NULL: not wanted.
void nn_convolve_backward(const nn_convolve *c, const float *grad_y, float *ret_grad_weight,
                          float *ret_grad_bias, float *ret_grad_x);

#endif
