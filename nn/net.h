// Forward and backward of the network of a layout, explicit, over preallocated activations. One
// nn_net serves any number of parameter buffers (online, target): parameters are an argument.
//
// Nothing is allocated after create. Threads: one nn_net per thread.

#ifndef NN_NET_H
#define NN_NET_H

#include "nn/layout.h"

enum { NN_MAX_BATCH = 131072 };

typedef struct nn_net nn_net;

// max_batch: most rows of a forward, 1..NN_MAX_BATCH. Errors: GN_ERR_ARG, GN_ERR_MEMORY.
gn_status nn_net_create(nn_net **ret_net, const nn_layout *layout, size_t max_batch);
void nn_net_destroy(nn_net **net);

// Values of n observations; keeps the activations for nn_net_backward.
// Shapes: parameter: [layout->size]; x: [n, inputs]; ret_q: [n, actions].
gn_status nn_net_forward(nn_net *net, const float *parameter, const float *x, size_t n,
                         float *ret_q);

// Gradient of sum(grad_q * q) with respect to the parameters, for the first n rows of the last
// forward, which must have had the same parameter and x (more rows are fine). It may be called
// again with another grad_q. Shapes: grad_q: [n, actions]; ret_gradient: [layout->size],
// overwritten whole, padding 0.
gn_status nn_net_backward(nn_net *net, const float *parameter, const float *x, const float *grad_q,
                          size_t n, float *ret_gradient);

// Values of one observation, plain C, for acting: no library call.  Shapes: x: [inputs]; ret_q:
// [actions].
void nn_net_act(nn_net *net, const float *parameter, const float *x, float *ret_q);

#endif
