// Noisy layers: weights with a learned deviation, so that exploration is learned too.
//     W = M + S * (f(e_in) f(e_out)^T),   b = m + s * f(e_out),   f(x) = sign(x) sqrt(|x|)
// with e standard normal, drawn anew for each update and each step. M and S are slices of the
// parameter buffer (weight, weight_deviation); W goes where M lies in a buffer of the same layout,
// and all of nn/net.h works on that buffer and knows nothing of noise.
// Source: Fortunato et al. 2018, arXiv:1706.10295, factorised.

#ifndef NN_NOISE_H
#define NN_NOISE_H

#include "nn/layout.h"

typedef struct nn_noise nn_noise;

// Errors: GN_ERR_MEMORY.
gn_status nn_noise_create(nn_noise **ret_noise, const nn_layout *layout);
void nn_noise_destroy(nn_noise **noise);

// Draws e for every noisy layer, about a word a number.
void nn_noise_draw(nn_noise *noise, gn_random *random);

// Parameters with the noise drawn last, for nn/net.h: deviations are left out, as 0. Valid until
// the next call. Shapes: parameter and result: [layout->size].
const float *nn_noise_apply(nn_noise *noise, const float *parameter);

// Fills the gradients of the deviations from those of the noisy parameters, for the noise that was
// applied last.
void nn_noise_backward(const nn_noise *noise, float *gradient);

#endif
