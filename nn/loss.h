// Huber loss of the chosen actions' values, weighted by sample.
//     loss = 1/B sum_i w_i h(d_i),  d_i = q[i, a_i] - y_i
//     h(d) = d^2/2 where |d| <= delta, delta (|d| - delta/2) beyond;  delta = infinity: d^2/2
// Source: Huber 1964; importance weights as in Schaul et al. 2016, arXiv:1511.05952.

#ifndef NN_LOSS_H
#define NN_LOSS_H

#include <stddef.h>
#include <stdint.h>

// Shapes: q, ret_grad_q: [n, actions]; action, target, weight: [n]; ret_error: [n], |d_i|.
// Returns the loss. ret_grad_q is d loss / d q: 0 but at the chosen actions.
double nn_huber_loss(const float *q, const int32_t *action, const float *target,
                     const float *weight, size_t n, size_t actions, double delta, float *ret_error,
                     float *ret_grad_q);

#endif
