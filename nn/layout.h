// What a network is made of, and where each of its arrays lies in one flat parameter buffer. One
// float32 buffer holds all parameters; gradients, optimizer moments and the target network have the
// same layout, so that each whole-network operation is one pass over one array.
//
//     [layer0.weight 4x120 | pad][layer0.bias 120 | pad][layer1.weight ...] ...
//
// Every slice starts on a 64-byte boundary; the padding between slices is always 0. Weights of
// dense and recurrent layers are [inputs, outputs], row-major: y = x W + b; of convolutions
// [outputs, inputs, height, width], or [outputs, inputs, bars] along a window.

#ifndef NN_LAYOUT_H
#define NN_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/option.h"
#include "base/random.h"

// Inputs are pixels too: 16 frames of 84 x 84 are 112,896.
enum {
    NN_MAX_HIDDEN = 8,
    NN_MAX_WIDTH = 65536,
    NN_MAX_INPUTS = 1 << 20,
    NN_MAX_PARAMETERS = 1 << 30,
    NN_MAX_OUTPUTS = 1024, // an action
    NN_MAX_LAYERS = 48,
    NN_MAX_SLICES = 160,
    NN_SLICE_NAME_SIZE = 40
};

// Section [network].
typedef struct nn_network_config {
    int encoder; // row of nn_encoders (nn/encoder.h)
    gn_option_list channels; // conv1d
    int64_t kernel, stride; // conv1d: rows of the window
    int64_t recurrent_width; // lstm, gru
    gn_option_list hidden; // widths of the hidden layers
    bool layer_norm;
    double noise_scale; // initial deviation of noisy layers, times sqrt(inputs)
} nn_network_config;

extern const gn_option nn_network_options[];

typedef struct nn_shape {
    uint32_t channels, height, width;
} nn_shape;

// An encoder, hidden layers with ReLU, and the head's layer:
//
//     observation -> encoder -> hidden ... hidden -> head: width numbers an action
//
// A dueling head has as many outputs more, for the state's value:
//     Q(s, a) = V(s) + A(s, a) - mean_a' A(s, a')
// With implicit quantiles each row becomes one row a quantile fraction before the last hidden layer
// (nn/cosine.c), or after it where it is all there is before the head.
// Source: Wang et al. 2016, arXiv:1511.06581.
typedef struct nn_spec {
    // What is seen and asked for.
    uint32_t inputs; // floats of an observation
    nn_shape picture; // of a picture, all 0 otherwise
    uint32_t window, features; // the first window * features inputs are rows of features, oldest
                               // first; what follows has no order. 0: no window
    uint32_t actions;
    uint32_t width; // outputs an action; 0 counts as 1
    uint32_t cosines; // features of a quantile fraction; 0: no implicit quantiles
    bool dueling, noisy;

    // From section [network]: nn_spec_configure.
    int encoder;
    uint32_t channel_layers, channels[NN_MAX_HIDDEN], kernel, stride;
    uint32_t recurrent_width;
    uint32_t hidden_layers, hidden[NN_MAX_HIDDEN];
    bool layer_norm;
    double noise_scale;
} nn_spec;

// What a slice starts as.
typedef enum nn_slice_kind {
    NN_SLICE_UNIFORM, // in +-1/sqrt(fan_in)
    NN_SLICE_DEVIATION, // noise_scale / sqrt(fan_in) throughout
    NN_SLICE_ONE,
    NN_SLICE_ZERO,
} nn_slice_kind;

typedef struct nn_slice {
    char name[NN_SLICE_NAME_SIZE]; // "layer0.weight", "head.bias"
    uint32_t rank, shape[4]; // sizes beyond the rank are 1
    nn_slice_kind kind;
    uint32_t fan_in; // inputs that are summed for an output
    size_t offset; // floats
} nn_slice;

// A layer, from `inputs` floats a row to `outputs`.
typedef struct nn_layer {
    const struct nn_layer_class *kind; // nn/layer.h
    uint32_t inputs, outputs;
    uint32_t slice; // its first one
    bool relu; // the output is cut off at 0
    bool rows_first; // the output is stored [n, outputs]; otherwise [outputs, n]
    bool noisy; // the slices after weight and bias are their deviations
    uint32_t extra; // of an encoder's layer: inputs behind the picture, passed on as they are
    uint32_t cosines; // of implicit quantiles
    uint32_t actions, width; // of a wide head: outputs are [actions, width], with V before them in
                             // a dueling one
    nn_shape in, out; // of pictures; a window of bars is one of height 1, features are its channels
    bool channels_last; // the input of nn_transpose is [height, width, channels]
    uint32_t kernel[2], step[2], border[2]; // of convolutions: height, width
} nn_layer;

typedef struct nn_layout {
    nn_spec spec;
    size_t size; // floats in a buffer, a multiple of 16
    size_t parameters; // floats that are parameters
    uint32_t slice_count, layer_count;
    nn_slice slice[NN_MAX_SLICES]; // in the order of the layers
    nn_layer layer[NN_MAX_LAYERS]; // in the order of the forward pass, the head last
} nn_layout;

// Fills what section [network] says. Errors: GN_ERR_CONFIG: too many layers, a width that is not a
// whole number.
gn_status nn_spec_configure(nn_spec *spec, const nn_network_config *config);

// Errors: GN_ERR_CONFIG if a width is not in 1..NN_MAX_WIDTH, the inputs are not in
// 1..NN_MAX_INPUTS, there are too many layers or parameters, or the encoder cannot see observations
// like these.
gn_status nn_layout_create(nn_layout *ret_layout, const nn_spec *spec);

// Floats in a slice.
size_t nn_slice_size(const nn_slice *slice);

// PyTorch's defaults: weights and biases uniform in +-1/sqrt(inputs); padding 0.
// Shape: ret_parameter: [layout->size].
void nn_layout_initialise(const nn_layout *layout, gn_random *random, float *ret_parameter);

#endif
