// What an agent learns with: the parameters of an online and a target network, their noise, the
// gradient and the optimizer. It computes with our own layers (nn/net.h) or, on another device,
// with LibTorch's (shim/torch_network.h); then all of it stays there, and the online parameters
// come to the host when they are fetched.
//
// Threads: one nn_model per thread. On the CPU nothing of ours is allocated after create.

#ifndef NN_MODEL_H
#define NN_MODEL_H

#include "base/blob.h"
#include "nn/net.h"
#include "nn/optimizer.h"
#include "shim/device.h"

typedef struct nn_model nn_model;
typedef enum nn_which { NN_ONLINE, NN_TARGET, NN_WHICH } nn_which;

typedef struct nn_model_config {
    device on;
    nn_optimizer_config optimizer;
    size_t max_batch, max_quantiles; // of nn_net_create
    bool halves; // nn_model_half_square will be called
} nn_model_config;

// Both networks start alike, as nn_layout_initialise has it.
// Errors: GN_ERR_ARG, GN_ERR_MEMORY; GN_ERR_BACKEND of a device.
gn_status nn_model_create(nn_model **ret_model, const nn_layout *layout,
                          const nn_model_config *config, gn_random *random);
void nn_model_destroy(nn_model **model);

// Noise for the passes of a network until its parameters change, when it is to be drawn anew;
// nothing where no layer is noisy.
// Errors: GN_ERR_BACKEND of a device, as below.
gn_status nn_model_draw_noise(nn_model *model, nn_which which, gn_random *random);

// nn_net_forward, or with `action` nn_net_forward_chosen, of one of the networks.
gn_status nn_model_forward(nn_model *model, nn_which which, const float *x, size_t n,
                           nn_fractions fractions, const int32_t *action, float *ret_out);

// nn_net_backward for all n rows of the last forward, which was the online network's, into the
// gradient that nn_model_step will use.
gn_status nn_model_backward(nn_model *model, const float *x, const int32_t *action,
                            const float *grad, size_t n);

// The same with other gradients of the outputs, which changes nothing; g its result and G that of
// nn_model_backward: ret_square = |g|^2 + |G - g|^2.
gn_status nn_model_half_square(nn_model *model, const float *x, const int32_t *action,
                               const float *grad, size_t n, double *ret_square);

// nn_optimizer_step on the online network. ratio: of nn_optimizer_set_batch_ratio.
gn_status nn_model_step(nn_model *model, double ratio, double *ret_norm);

// nn_target_update.
gn_status nn_model_update_target(nn_model *model, double tau);

// Outputs of one observation on the host, for acting (nn_net_act). parameter: those of
// nn_model_parameters, or made from them.
gn_status nn_model_act(nn_model *model, const float *parameter, const float *x,
                       nn_fractions fractions, float *ret_out);

// The online parameters on the host [layout->size]; on a device those of the last fetch.
float *nn_model_parameters(nn_model *model);
gn_status nn_model_fetch(nn_model *model);

// All but the online parameters, which loading takes from nn_model_parameters.
gn_status nn_model_save(const nn_model *model, gn_blob *out);
gn_status nn_model_load(nn_model *model, gn_blob *in);

#endif
