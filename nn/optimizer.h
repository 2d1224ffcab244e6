// The optimizer: gradient-norm clipping, then one fused Adam or AdamW step over the flat buffer;
// and the target network's update.

#ifndef NN_OPTIMIZER_H
#define NN_OPTIMIZER_H

#include "base/blob.h"
#include "base/option.h"

// Section [optimizer].
typedef struct nn_optimizer_config {
    double learning_rate, beta1, beta2, epsilon, weight_decay;
    bool decoupled; // AdamW
    double max_grad_norm; // 0 does not clip
} nn_optimizer_config;

extern const gn_option nn_optimizer_options[];

typedef struct nn_optimizer nn_optimizer;

// Keeps `parameter` and `gradient` [size] (the caller's; size a multiple of 16, as in every layout)
// and moments of its own.
gn_status nn_optimizer_create(nn_optimizer **ret_optimizer, const nn_optimizer_config *config,
                              float *parameter, float *gradient, size_t size);
void nn_optimizer_destroy(nn_optimizer **optimizer);

// Scales the gradient to max_grad_norm if it is longer, then steps. ret_norm (may be NULL): the
// norm before. Errors: GN_ERR_NUMERIC if the norm is not finite; then no parameter changed.
gn_status nn_optimizer_step(nn_optimizer *optimizer, double *ret_norm);

void nn_optimizer_save(const nn_optimizer *optimizer, gn_blob *out);
gn_status nn_optimizer_load(nn_optimizer *optimizer, gn_blob *in);

// target = tau * online + (1 - tau) * target; tau = 1 is a copy.
void nn_target_update(float *target, const float *online, size_t size, double tau);

#endif
