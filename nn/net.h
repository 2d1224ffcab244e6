// Forward and backward of the network of a layout, explicit, over preallocated activations. One
// nn_net serves any number of parameter buffers (online, target, with noise): parameters are an
// argument.
//
// Nothing of ours is allocated after create. Threads: one nn_net per thread.

#ifndef NN_NET_H
#define NN_NET_H

#include "nn/layout.h"

enum { NN_MAX_BATCH = 131072 };

typedef struct nn_net nn_net;

// Implicit quantiles: the fractions at which each row's distribution is asked for. `width` of the
// outputs is then `count`. Empty ({ 0 }) for all other networks.
typedef struct nn_fractions {
    const float *value; // [n, count] in (0, 1)
    size_t count;
} nn_fractions;

// max_batch: most rows of a forward, 1..NN_MAX_BATCH; max_quantiles: most fractions of a row.
// Errors: GN_ERR_ARG, GN_ERR_MEMORY.
gn_status nn_net_create(nn_net **ret_net, const nn_layout *layout, size_t max_batch,
                        size_t max_quantiles);
void nn_net_destroy(nn_net **net);

// Outputs for n observations; keeps the activations for nn_net_backward.
// Shapes: parameter: [layout->size]; x: [n, inputs]; ret_out: [n, actions, width].
// Errors: GN_ERR_ARG for the number of rows or fractions; GN_ERR_BACKEND of an encoder.
gn_status nn_net_forward(nn_net *net, const float *parameter, const float *x, size_t n,
                         nn_fractions fractions, float *ret_out);

// The same for one action of each row, bit for bit; with wide outputs that is far less to compute.
// Shapes: action: [n]; ret_out: [n, width].
gn_status nn_net_forward_chosen(nn_net *net, const float *parameter, const float *x, size_t n,
                                nn_fractions fractions, const int32_t *action, float *ret_out);

// Gradient of sum(grad * out) with respect to the parameters, where out are the outputs of one
// action of each row: a loss touches no others. For the first n rows of the last forward of either
// kind, which must have had the same parameter and x (more rows are fine). It may be called again
// with other actions and gradients. Shapes: action: [n]; grad: [n, width]; ret_gradient:
// [layout->size], overwritten whole, padding 0; of noisy layers the gradients of the deviations are
// left 0 (nn/noise.h).
gn_status nn_net_backward(nn_net *net, const float *parameter, const float *x,
                          const int32_t *action, const float *grad, size_t n, float *ret_gradient);

// Outputs for one observation, for acting. Networks of dense layers leave the activations of the
// last forward alone; with an encoder or implicit quantiles a backward needs a new forward first.
// Shapes: x: [inputs]; ret_out: [actions, width].
gn_status nn_net_act(nn_net *net, const float *parameter, const float *x, nn_fractions fractions,
                     float *ret_out);

#endif
