#include "nn/model.h"

#include <string.h>

#include "base/mem.h"
#include "nn/noise.h"
#include "nn/torch_net.h"

// What lies on a device; `network` is NULL on the CPU.
typedef struct remote {
    torch_network *network;
    torch_tensor *parameter[NN_WHICH], *gradient, *half_gradient;
    torch_tensor *noise[NN_WHICH]; // what deviations are multiplied with, where the weights lie
    float *unit; // [size] deviations of 1 around 0, whose noisy weights are just that
    bool ahead; // of the online parameters on the host
} remote;

struct nn_model {
    nn_layout layout;
    nn_net *net; // with a device only for acting
    nn_optimizer *optimizer;
    nn_noise *noise[NN_WHICH]; // NULL where no layer is noisy
    // [layout.size] each. On a device the target is only staged here, and the rest is absent.
    float *parameter[NN_WHICH], *gradient, *half_gradient;
    const float *used[NN_WHICH]; // the parameters, with noise if there is any
    remote remote;
};

// --- creation

static gn_status create_remote(nn_model *model, const nn_model_config *config)
{
    remote *r = &model->remote;
    size_t size = model->layout.size;
    torch_tensor **const tensors[] = {
        &r->parameter[NN_ONLINE],
        &r->parameter[NN_TARGET],
        &r->gradient,
        config->halves ? &r->half_gradient : NULL,
        model->layout.spec.noisy ? &r->noise[NN_ONLINE] : NULL,
        model->layout.spec.noisy ? &r->noise[NN_TARGET] : NULL,
    };
    GN_TRY(nn_torch_net_create(&r->network, &model->layout, config->on));
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
        if (tensors[i])
            GN_TRY(torch_tensor_create(tensors[i], config->on, 1, &(int64_t){ (int64_t)size }));
    GN_TRY(nn_optimizer_create_on(&model->optimizer, &config->optimizer, r->parameter[NN_ONLINE],
                                  r->gradient, size, config->on));
    if (!model->layout.spec.noisy)
        return GN_OK;
    GN_TRY(gn_alloc(&r->unit, size, sizeof *r->unit));
    for (uint32_t i = 0; i < model->layout.slice_count; i++) {
        const nn_slice *slice = &model->layout.slice[i];
        for (size_t j = 0; j < nn_slice_size(slice); j++)
            r->unit[slice->offset + j] = slice->kind == NN_SLICE_DEVIATION;
    }
    return GN_OK;
}

static gn_status create_local(nn_model *model, const nn_model_config *config)
{
    size_t size = model->layout.size;
    GN_TRY(gn_alloc(&model->gradient, size, sizeof *model->gradient));
    if (config->halves)
        GN_TRY(gn_alloc(&model->half_gradient, size, sizeof *model->half_gradient));
    return nn_optimizer_create(&model->optimizer, &config->optimizer, model->parameter[NN_ONLINE],
                               model->gradient, size);
}

// Takes over what lies on the host.
static gn_status put(nn_model *model)
{
    if (!model->remote.network)
        return GN_OK;
    for (int which = 0; which < NN_WHICH; which++)
        GN_TRY(torch_tensor_write(model->remote.parameter[which], model->parameter[which]));
    model->remote.ahead = false;
    return GN_OK;
}

static gn_status create(nn_model *model, const nn_model_config *config, gn_random *random)
{
    const nn_layout *layout = &model->layout;
    bool here = config->on.kind == DEVICE_CPU;
    for (int which = 0; which < NN_WHICH; which++) {
        GN_TRY(gn_alloc(&model->parameter[which], layout->size, sizeof(float)));
        if (layout->spec.noisy)
            GN_TRY(nn_noise_create(&model->noise[which], layout));
        model->used[which] = model->parameter[which];
    }
    GN_TRY(nn_net_create(&model->net, layout, here ? config->max_batch : 1, config->max_quantiles));
    GN_TRY(here ? create_local(model, config) : create_remote(model, config));
    nn_layout_initialise(layout, random, model->parameter[NN_ONLINE]);
    memcpy(model->parameter[NN_TARGET], model->parameter[NN_ONLINE], layout->size * sizeof(float));
    return put(model);
}

gn_status nn_model_create(nn_model **ret_model, const nn_layout *layout,
                          const nn_model_config *config, gn_random *random)
{
    nn_model *model;
    GN_TRY(gn_alloc(&model, 1, sizeof *model));
    model->layout = *layout;
    gn_status status = create(model, config, random);
    if (status == GN_OK)
        *ret_model = model;
    else
        nn_model_destroy(&model);
    return status;
}

void nn_model_destroy(nn_model **model)
{
    nn_model *self = *model;
    if (!self)
        return;
    remote *r = &self->remote;
    nn_net_destroy(&self->net);
    nn_optimizer_destroy(&self->optimizer);
    torch_network_destroy(&r->network);
    for (int which = 0; which < NN_WHICH; which++) {
        nn_noise_destroy(&self->noise[which]);
        gn_free(&self->parameter[which]);
        torch_tensor_destroy(&r->parameter[which]);
        torch_tensor_destroy(&r->noise[which]);
    }
    torch_tensor_destroy(&r->gradient);
    torch_tensor_destroy(&r->half_gradient);
    gn_free(&r->unit);
    gn_free(&self->gradient);
    gn_free(&self->half_gradient);
    gn_free(model);
}

// --- passes

gn_status nn_model_draw_noise(nn_model *model, nn_which which, gn_random *random)
{
    nn_noise *noise = model->noise[which];
    if (!noise)
        return GN_OK;
    nn_noise_draw(noise, random);
    if (model->remote.network)
        return torch_tensor_write(model->remote.noise[which],
                                  nn_noise_apply(noise, model->remote.unit));
    model->used[which] = nn_noise_apply(noise, model->parameter[which]);
    return GN_OK;
}

gn_status nn_model_forward(nn_model *model, nn_which which, const float *x, size_t n,
                           nn_fractions fractions, const int32_t *action, float *ret_out)
{
    const remote *r = &model->remote;
    if (r->network) {
        const torch_pass pass = { .parameter = r->parameter[which],
                                  .noise = r->noise[which],
                                  .x = x,
                                  .n = (int64_t)n,
                                  .fraction = fractions.value,
                                  .fractions = (int64_t)fractions.count };
        return torch_network_forward(r->network, &pass, action, ret_out);
    }
    if (action)
        return nn_net_forward_chosen(model->net, model->used[which], x, n, fractions, action,
                                     ret_out);
    return nn_net_forward(model->net, model->used[which], x, n, fractions, ret_out);
}

static gn_status backward(nn_model *model, const float *x, const int32_t *action, const float *grad,
                          size_t n, float *ret_gradient)
{
    GN_TRY(nn_net_backward(model->net, model->used[NN_ONLINE], x, action, grad, n, ret_gradient));
    if (model->noise[NN_ONLINE])
        nn_noise_backward(model->noise[NN_ONLINE], ret_gradient);
    return GN_OK;
}

gn_status nn_model_backward(nn_model *model, const float *x, const int32_t *action,
                            const float *grad, size_t n)
{
    const remote *r = &model->remote;
    if (r->network)
        return torch_network_backward(r->network, action, grad, (int64_t)n, r->gradient);
    return backward(model, x, action, grad, n, model->gradient);
}

// |a|^2 + |whole - a|^2; the sums run side by side so that they fill vectors. size: a multiple of
// LANES.
static double split_square(const float *a, const float *whole, size_t size)
{
    enum { LANES = 16 };
    double lane[LANES] = { 0 }, sum = 0;
    for (size_t i = 0; i < size; i += LANES) {
        for (size_t j = 0; j < LANES; j++) {
            double x = a[i + j], y = (double)whole[i + j] - x;
            lane[j] += x * x + y * y;
        }
    }
    for (size_t j = 0; j < LANES; j++)
        sum += lane[j];
    return sum;
}

gn_status nn_model_half_square(nn_model *model, const float *x, const int32_t *action,
                               const float *grad, size_t n, double *ret_square)
{
    const remote *r = &model->remote;
    if (r->network) {
        GN_TRY(torch_network_backward(r->network, action, grad, (int64_t)n, r->half_gradient));
        return torch_split_square(r->half_gradient, r->gradient, ret_square);
    }
    GN_TRY(backward(model, x, action, grad, n, model->half_gradient));
    *ret_square = split_square(model->half_gradient, model->gradient, model->layout.size);
    return GN_OK;
}

gn_status nn_model_step(nn_model *model, double ratio, double *ret_norm)
{
    nn_optimizer_set_batch_ratio(model->optimizer, ratio);
    GN_TRY(nn_optimizer_step(model->optimizer, ret_norm));
    model->remote.ahead = model->remote.network != NULL;
    return GN_OK;
}

gn_status nn_model_update_target(nn_model *model, double tau)
{
    const remote *r = &model->remote;
    if (r->network)
        return torch_mix(r->parameter[NN_TARGET], r->parameter[NN_ONLINE], tau);
    nn_target_update(model->parameter[NN_TARGET], model->parameter[NN_ONLINE], model->layout.size,
                     tau);
    return GN_OK;
}

// --- on the host

gn_status nn_model_act(nn_model *model, const float *parameter, const float *x,
                       nn_fractions fractions, float *ret_out)
{
    return nn_net_act(model->net, parameter, x, fractions, ret_out);
}

float *nn_model_parameters(nn_model *model)
{
    return model->parameter[NN_ONLINE];
}

gn_status nn_model_fetch(nn_model *model)
{
    if (!model->remote.ahead)
        return GN_OK;
    GN_TRY(torch_tensor_read(model->remote.parameter[NN_ONLINE], model->parameter[NN_ONLINE]));
    model->remote.ahead = false;
    return GN_OK;
}

gn_status nn_model_save(const nn_model *model, gn_blob *out)
{
    const remote *r = &model->remote;
    if (r->network)
        GN_TRY(torch_tensor_read(r->parameter[NN_TARGET], model->parameter[NN_TARGET]));
    gn_blob_write(out, "target", model->parameter[NN_TARGET], model->layout.size * sizeof(float));
    return nn_optimizer_save(model->optimizer, out);
}

gn_status nn_model_load(nn_model *model, gn_blob *in)
{
    gn_blob_read(in, "target", model->parameter[NN_TARGET], model->layout.size * sizeof(float));
    GN_TRY(gn_blob_status(in));
    GN_TRY(put(model));
    return nn_optimizer_load(model->optimizer, in);
}
