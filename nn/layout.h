// Where each array of a network lies in its flat parameter buffer. One float32 buffer holds all
// parameters; gradients, optimizer moments and the target network have the same layout, so that
// each whole-network operation is one pass over one array.
//
//     [layer0.weight 4x120 | pad][layer0.bias 120 | pad][layer1.weight ...] ...
//
// Every slice starts on a 64-byte boundary; the padding between slices is always 0. Weights are
// [inputs, outputs], row-major: y = x W + b.

#ifndef NN_LAYOUT_H
#define NN_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/option.h"
#include "base/random.h"

// Inputs are pixels too: 16 frames of 84 x 84 are 112,896.
enum { NN_MAX_HIDDEN = 8, NN_MAX_WIDTH = 65536, NN_MAX_INPUTS = 1 << 20, NN_SLICE_NAME_SIZE = 32 };

// Section [network].
typedef struct nn_network_config {
    gn_option_list hidden; // widths of the hidden layers
} nn_network_config;

extern const gn_option nn_network_options[];

// Multilayer perceptron with ReLU and a head of one value an action; a dueling head has one more
// output, the state value:  Q(s, a) = V(s) + A(s, a) - mean_a' A(s, a').
// Source: Wang et al. 2016, arXiv:1511.06581.
typedef struct nn_spec {
    uint32_t inputs, actions;
    uint32_t hidden_layers, hidden[NN_MAX_HIDDEN];
    bool dueling;
} nn_spec;

typedef struct nn_slice {
    char name[NN_SLICE_NAME_SIZE]; // "layer0.weight", "head.bias"
    uint32_t rank, shape[2]; // weight: [inputs, outputs]; bias: [outputs], shape[1] = 1
    size_t offset; // floats
} nn_slice;

typedef struct nn_layout {
    nn_spec spec;
    size_t size; // floats in a buffer, a multiple of 16
    size_t parameters; // floats that are parameters
    uint32_t slice_count;
    nn_slice slice[2 * (NN_MAX_HIDDEN + 1)]; // weight and bias of each layer in order, head last
} nn_layout;

// Errors: GN_ERR_CONFIG if a width is not in 1..NN_MAX_WIDTH, the inputs are not in
// 1..NN_MAX_INPUTS, or there are too many layers.
gn_status nn_layout_create(nn_layout *ret_layout, const nn_spec *spec);

// Floats in a slice.
size_t nn_slice_size(const nn_slice *slice);

// Spec from options. Errors: GN_ERR_CONFIG: too many layers, a width that is not a whole number.
gn_status nn_spec_from_config(nn_spec *ret_spec, const nn_network_config *config, uint32_t inputs,
                              uint32_t actions, bool dueling);

// PyTorch's default for linear layers: weights and biases uniform in +-1/sqrt(inputs); padding 0.
// Shape: ret_parameter: [layout->size].
void nn_layout_initialise(const nn_layout *layout, gn_random *random, float *ret_parameter);

#endif
