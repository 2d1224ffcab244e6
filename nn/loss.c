// One pass in double precision: the batch is small, and the loss is what a run reports.

#include "nn/loss.h"

#include <assert.h>
#include <math.h>
#include <string.h>

double nn_huber_loss(const float *q, const int32_t *action, const float *target,
                     const float *weight, size_t n, size_t actions, double delta, float *ret_error,
                     float *ret_grad_q)
{
    double sum = 0;
    memset(ret_grad_q, 0, n * actions * sizeof *ret_grad_q);
    for (size_t i = 0; i < n; i++) {
        assert(action[i] >= 0 && (size_t)action[i] < actions);
        size_t chosen = i * actions + (size_t)action[i];
        double d = (double)q[chosen] - target[i], size = fabs(d);
        double loss = size > delta ? delta * (size - delta / 2) : d * d / 2;
        double slope = size > delta ? copysign(delta, d) : d;
        sum += weight[i] * loss;
        ret_error[i] = (float)size;
        ret_grad_q[chosen] = (float)(weight[i] * slope / (double)n);
    }
    return sum / (double)n;
}
