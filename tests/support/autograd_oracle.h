// What the tests of nn/ compare with: the same mathematics written with LibTorch's tensors in
// double precision, differentiated by its autograd, and its own optimizers. The only C++ of the
// tests.

#ifndef TESTS_SUPPORT_AUTOGRAD_ORACLE_H
#define TESTS_SUPPORT_AUTOGRAD_ORACLE_H

#include <stddef.h>
#include <stdint.h>

#include "nn/head.h"
#include "nn/net.h"
#include "shim/torch.h"

// Outputs of the network, and the gradient of sum(grad * chosen outputs) with respect to its
// parameters. noise: what the deviations of noisy layers are multiplied with, where the weights
// lie; NULL: none. Shapes: parameter, noise, ret_gradient: [layout->size]; x: [n, inputs]; action:
// [n]; grad: [n, width]; ret_out: [n, actions, width].
void oracle_network(const nn_layout *layout, const double *parameter, const float *noise,
                    const float *x, nn_fractions fractions, const int32_t *action,
                    const float *grad, size_t n, double *ret_out, double *ret_gradient);

// The loss of nn_huber_loss. Shapes: as there.
double oracle_huber_loss(const float *q, const float *target, const float *weight, size_t n,
                         double delta, double *ret_grad_q);

// nn_head_loss of every kind, from the formulas of nn/head_*.c.
// Shapes: ret_error: [n]; ret_grad: [n, width].
double oracle_head_loss(const nn_head *head, const nn_head_batch *batch, double *ret_error,
                        double *ret_grad);

// `steps` steps of torch::optim::Adam or AdamW; gradient: [steps, size], parameter: [size].
// max_norm: torch::nn::utils::clip_grad_norm_ before each step; 0 does not clip.
void oracle_adam(double *parameter, const float *gradient, size_t size, size_t steps,
                 const torch_adam_config *config, double max_norm);

#endif
