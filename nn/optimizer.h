// The optimizer: gradient-norm clipping, then one fused Adam or AdamW step over the flat buffer;
// and the target network's update.

#ifndef NN_OPTIMIZER_H
#define NN_OPTIMIZER_H

#include "base/blob.h"
#include "base/option.h"
#include "shim/torch.h"

// Section [optimizer].
typedef struct nn_optimizer_config {
    double learning_rate, beta1, beta2, epsilon, weight_decay;
    bool decoupled; // AdamW
    double max_grad_norm; // 0 does not clip
    int batch_scaling; // nn_batch_scaling
} nn_optimizer_config;

// What learning_rate is multiplied with when a batch has r times the rows it was chosen for: 1,
// sqrt(r) or r. The loss is a mean over the batch, so its gradient does not grow with r: NONE takes
// the same step with less noise. SQRT keeps the noise that a given number of rows adds under Adam
// (Malladi et al. 2022, arXiv:2205.10287), LINEAR under plain gradient descent (Goyal et al. 2017,
// arXiv:1706.02677).
typedef enum nn_batch_scaling {
    NN_BATCH_SCALING_NONE,
    NN_BATCH_SCALING_SQRT,
    NN_BATCH_SCALING_LINEAR,
} nn_batch_scaling;

extern const gn_option nn_optimizer_options[];

typedef struct nn_optimizer nn_optimizer;

// Keeps `parameter` and `gradient` [size] (the caller's; size a multiple of 16, as in every layout)
// and moments of its own.
gn_status nn_optimizer_create(nn_optimizer **ret_optimizer, const nn_optimizer_config *config,
                              float *parameter, float *gradient, size_t size);

// The same on a device: parameter and gradient are the caller's tensors there.
gn_status nn_optimizer_create_on(nn_optimizer **ret_optimizer, const nn_optimizer_config *config,
                                 torch_tensor *parameter, torch_tensor *gradient, size_t size,
                                 device on);
void nn_optimizer_destroy(nn_optimizer **optimizer);

// Steps from now on come from batches with `ratio` times the rows learning_rate was chosen for; 1
// before the first call. Not part of the saved state.
void nn_optimizer_set_batch_ratio(nn_optimizer *optimizer, double ratio);

// Scales the gradient to max_grad_norm if it is longer, then steps. ret_norm (may be NULL): the
// norm before. Errors: GN_ERR_NUMERIC if the norm is not finite; then no parameter changed.
gn_status nn_optimizer_step(nn_optimizer *optimizer, double *ret_norm);

gn_status nn_optimizer_save(const nn_optimizer *optimizer, gn_blob *out);
gn_status nn_optimizer_load(nn_optimizer *optimizer, gn_blob *in);

// target = tau * online + (1 - tau) * target; tau = 1 is a copy.
void nn_target_update(float *target, const float *online, size_t size, double tau);

#endif
