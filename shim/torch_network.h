// A network made of LibTorch's layers, on a device: forward, and backward by explicit steps. It
// computes what nn/net.h does from the same flat parameters, with cuBLAS and cuDNN on CUDA.
//
// A layer is one row of a table; its parameters are slices of the flat buffer. Observations,
// outputs and their gradients are host memory, parameters and their gradient tensors of the device.
//
// Threads: one torch_network per thread. Memory: LibTorch's allocator of the device keeps what a
// pass needs for the next one.

#ifndef SHIM_TORCH_NETWORK_H
#define SHIM_TORCH_NETWORK_H

#include <stddef.h>

#include "shim/torch.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum torch_layer_kind {
    TORCH_DENSE, // y = x W + b; with noise W + S * noise, and b likewise
    TORCH_COSINE, // y = x * relu(cos(pi k fraction) V + b), for each fraction of a row
    TORCH_LAYER_NORM,
    TORCH_BARS, // from [bars, features] to [features, 1, bars]
    TORCH_CONVOLUTION,
    TORCH_POOLING, // the largest of each place of the kernel
    TORCH_RESIDUAL, // y = x + convolution(relu(convolution(relu(x))))
    TORCH_LSTM,
    TORCH_GRU,
} torch_layer_kind;

typedef struct torch_picture {
    int64_t channels, height, width;
} torch_picture;

// Offsets are in the flat buffer, of the layer's slices in this order: weights and biases, of noisy
// layers then their deviations, of residual layers then the second convolution's; input and hidden
// weights, then both biases, of recurrent ones.
enum { TORCH_MAX_SLICES = 4 };
typedef struct torch_layer {
    torch_layer_kind kind;
    int64_t inputs, outputs; // floats of a row
    int64_t extra; // inputs behind the picture, passed on as they are
    int64_t cosines;
    torch_picture in, out; // of encoders; bars are a picture of height 1
    int64_t kernel[2], step[2], border[2];
    int64_t offset[TORCH_MAX_SLICES];
    bool relu, noisy;
    bool lowest; // nothing below has parameters, so no gradient goes there
} torch_layer;

// The last layer's outputs are actions * width, after `width` of V with a dueling head, whose
// actions are V + A - mean A; with fractions width is 1, and each row has a row of outputs for
// every fraction.
typedef struct torch_network_spec {
    const torch_layer *layer;
    size_t layers;
    int64_t inputs, actions, width, size; // size: floats of the flat buffer
    bool dueling, fractions;
} torch_network_spec;

typedef struct torch_network torch_network;

// The layers are copied. Errors: GN_ERR_MEMORY, GN_ERR_BACKEND.
gn_status torch_network_create(torch_network **ret_network, const torch_network_spec *spec,
                               device on);
void torch_network_destroy(torch_network **network);

// What a pass is about. Parameters are those of the last forward in a backward too.
typedef struct torch_pass {
    const torch_tensor *parameter; // [size]
    const torch_tensor *noise; // [size] what deviations are multiplied with, where the weights lie;
                               // NULL: none
    const float *x; // [n, inputs]
    int64_t n;
    const float *fraction; // [n, fractions], else NULL and 0
    int64_t fractions;
} torch_pass;

// Keeps what torch_network_backward needs. Shapes: ret_out: [n, actions, width], or with `action`
// [n] the outputs of those alone, [n, width]; with fractions they are the width.
gn_status torch_network_forward(torch_network *network, const torch_pass *pass,
                                const int32_t *action, float *ret_out);

// Gradient of sum(grad * out) of the last forward with respect to the parameters, out being the
// outputs of one action of each row. May be called again with others. Shapes: action: [n]; grad:
// [n, width]; ret_gradient: [size], all slices of layers are overwritten, the rest left alone.
// Errors: GN_ERR_ARG: n is not that of the last forward.
gn_status torch_network_backward(torch_network *network, const int32_t *action, const float *grad,
                                 int64_t n, torch_tensor *ret_gradient);

#ifdef __cplusplus
}
#endif

#endif
