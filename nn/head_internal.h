// Internal to nn/: what the kinds of heads share.

#ifndef NN_HEAD_INTERNAL_H
#define NN_HEAD_INTERNAL_H

#include <math.h>

#include "nn/head.h"

// h(x), its slope, and its inverse, for e > 0, in forms in which nothing cancels.
//     h(x)    = sign(x) (sqrt(|x| + 1) - 1) + e x
//     h^-1(x) = sign(x) (t^2 - 1),  t = (sqrt(1 + 4 e (|x| + 1 + e)) - 1) / (2 e) = 1 + |x| u
static inline double nn_rescale(double x, double e)
{
    return x / (sqrt(fabs(x) + 1) + 1) + e * x;
}

static inline double nn_rescale_slope(double x, double e)
{
    return 0.5 / sqrt(fabs(x) + 1) + e;
}

static inline double nn_rescale_inverse(double x, double e)
{
    double size = fabs(x), u = 2 / (sqrt(1 + 4 * e * (size + 1 + e)) + 1 + 2 * e);
    return x * u * (size * u + 2);
}

// The return that an output stands for, and back. rescale: as in nn_backup.
static inline double nn_output_to_return(double output, double rescale)
{
    return rescale > 0 ? nn_rescale_inverse(output, rescale) : output;
}

static inline double nn_return_to_output(double value, double rescale)
{
    return rescale > 0 ? nn_rescale(value, rescale) : value;
}

static inline double nn_backup_bonus(const nn_backup *backup, size_t row)
{
    return backup->bonus ? backup->bonus[row] : 0;
}

// Spreads masses over the points 0, 1, .. points - 1 so that each keeps its mean: a mass between
// two points goes to both, one outside to the nearest. A NaN anywhere shows in ret_mass.
//     ret_mass[l] += (l + 1 - x) mass,  ret_mass[l + 1] += (x - l) mass,  l = floor(x)
// Shapes:  position, mass: [n]; ret_mass: [points], added to; each with room up to a multiple of 16
//          where any number may stand.  n and points: 2..NN_MAX_HEAD_WIDTH.
// Source:  Bellemare et al. 2017, arXiv:1707.06887, algorithm 1.
void nn_head_project(const double *position, const float *mass, size_t n, size_t points,
                     float *ret_mass);

#endif
