// Huber loss, weighted by sample.
//     loss = 1/n sum_i w_i h(d_i),  d_i = q_i - y_i
//     h(d) = d^2/2 where |d| <= delta, delta (|d| - delta/2) beyond;  delta = infinity: d^2/2
// Source: Huber 1964; importance weights as in Schaul et al. 2016, arXiv:1511.05952.

#ifndef NN_LOSS_H
#define NN_LOSS_H

#include <stddef.h>

// Shapes: all [n]. Returns the loss. ret_error: |d_i|; ret_grad_q: d loss / d q.
double nn_huber_loss(const float *q, const float *target, const float *weight, size_t n,
                     double delta, float *ret_error, float *ret_grad_q);

#endif
