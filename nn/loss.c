// One pass in double precision: the batch is small, and the loss is what a run reports.

#include "nn/loss.h"

#include <math.h>

double nn_huber_loss(const float *q, const float *target, const float *weight, size_t n,
                     double delta, float *ret_error, float *ret_grad_q)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)q[i] - target[i], size = fabs(d);
        double loss = size > delta ? delta * (size - delta / 2) : d * d / 2;
        double slope = size > delta ? copysign(delta, d) : d;
        sum += weight[i] * loss;
        ret_error[i] = (float)size;
        ret_grad_q[i] = (float)(weight[i] * slope / (double)n);
    }
    return sum / (double)n;
}
