// Our part is what surrounds the fused step of LibTorch: the norm, the clipping and the check that
// nothing that is not a number reaches the parameters.

#include "nn/optimizer.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

enum { LANES = 8, BLOCK = 2 * LANES };

typedef double vector __attribute__((vector_size(LANES * sizeof(double))));
typedef float half __attribute__((vector_size(LANES * sizeof(float)), aligned(4)));

static const char *const batch_scaling_names[] = { "none", "sqrt", "linear", NULL };
const gn_option nn_optimizer_options[] = {
    GN_OPTION_REAL(nn_optimizer_config, learning_rate, "0.0005", 0, 1, "step size of Adam"),
    GN_OPTION_REAL(nn_optimizer_config, beta1, "0.9", 0, 0.999999,
                   "decay of the mean of the gradients"),
    GN_OPTION_REAL(nn_optimizer_config, beta2, "0.999", 0, 0.999999,
                   "decay of the mean of their squares"),
    GN_OPTION_REAL(nn_optimizer_config, epsilon, "1e-8", 1e-12, 1,
                   "added to the root of the mean square"),
    GN_OPTION_REAL(nn_optimizer_config, weight_decay, "0", 0, 1, "pull of the weights to 0"),
    GN_OPTION_BOOL(nn_optimizer_config, decoupled, "false",
                   "AdamW: weight decay beside the gradient instead of in it"),
    GN_OPTION_REAL(nn_optimizer_config, max_grad_norm, "10", 0, 1e9,
                   "longest gradient, longer ones are scaled down; 0 does not clip"),
    GN_OPTION_CHOICE(nn_optimizer_config, batch_scaling, "none", batch_scaling_names,
                     "how learning_rate follows a batch of another size than train.batch: not, "
                     "with the root of the ratio, or with the ratio"),
    { 0 },
};

// The moments lie on the host; of a device they are copies, for saving and loading.
struct nn_optimizer {
    nn_optimizer_config config;
    double learning_rate; // for the size of batch of now
    size_t size;
    float *mean, *variance, *step; // [size], [size], [1]
    float *gradient; // the caller's; NULL on a device
    torch_tensor *parameter_tensor, *gradient_tensor; // the caller's on a device
    torch_tensor *mean_tensor, *variance_tensor, *step_tensor;
};

static gn_status wrap(torch_tensor **ret_tensor, float *data, size_t size)
{
    return torch_tensor_wrap(ret_tensor, data, 1, &(int64_t){ (int64_t)size }, NULL);
}

static gn_status allocate(nn_optimizer *optimizer)
{
    size_t size = optimizer->size;
    GN_TRY(gn_alloc(&optimizer->mean, size, sizeof(float)));
    GN_TRY(gn_alloc(&optimizer->variance, size, sizeof(float)));
    return gn_alloc(&optimizer->step, 1, sizeof(float));
}

static gn_status build(nn_optimizer *optimizer, float *parameter, float *gradient)
{
    size_t size = optimizer->size;
    optimizer->gradient = gradient;
    GN_TRY(allocate(optimizer));
    GN_TRY(wrap(&optimizer->parameter_tensor, parameter, size));
    GN_TRY(wrap(&optimizer->gradient_tensor, gradient, size));
    GN_TRY(wrap(&optimizer->mean_tensor, optimizer->mean, size));
    GN_TRY(wrap(&optimizer->variance_tensor, optimizer->variance, size));
    return wrap(&optimizer->step_tensor, optimizer->step, 1);
}

static gn_status build_on(nn_optimizer *optimizer, torch_tensor *parameter, torch_tensor *gradient,
                          device on)
{
    const int64_t size = (int64_t)optimizer->size, one = 1;
    optimizer->parameter_tensor = parameter;
    optimizer->gradient_tensor = gradient;
    GN_TRY(allocate(optimizer));
    GN_TRY(torch_tensor_create(&optimizer->mean_tensor, on, 1, &size));
    GN_TRY(torch_tensor_create(&optimizer->variance_tensor, on, 1, &size));
    return torch_tensor_create(&optimizer->step_tensor, on, 1, &one);
}

static gn_status begin(nn_optimizer **ret_optimizer, const nn_optimizer_config *config, size_t size)
{
    if (size == 0 || size % BLOCK)
        return gn_fail(GN_ERR_ARG, "nn_optimizer_create: size %zu is not a multiple of %d", size,
                       BLOCK);
    GN_TRY(gn_alloc(ret_optimizer, 1, sizeof **ret_optimizer));
    (*ret_optimizer)->config = *config;
    (*ret_optimizer)->learning_rate = config->learning_rate;
    (*ret_optimizer)->size = size;
    return GN_OK;
}

static gn_status finish(nn_optimizer **ret_optimizer, nn_optimizer *optimizer, gn_status status)
{
    if (status == GN_OK)
        *ret_optimizer = optimizer;
    else
        nn_optimizer_destroy(&optimizer);
    return status;
}

gn_status nn_optimizer_create(nn_optimizer **ret_optimizer, const nn_optimizer_config *config,
                              float *parameter, float *gradient, size_t size)
{
    nn_optimizer *optimizer;
    GN_TRY(begin(&optimizer, config, size));
    return finish(ret_optimizer, optimizer, build(optimizer, parameter, gradient));
}

gn_status nn_optimizer_create_on(nn_optimizer **ret_optimizer, const nn_optimizer_config *config,
                                 torch_tensor *parameter, torch_tensor *gradient, size_t size,
                                 device on)
{
    nn_optimizer *optimizer;
    GN_TRY(begin(&optimizer, config, size));
    return finish(ret_optimizer, optimizer, build_on(optimizer, parameter, gradient, on));
}

void nn_optimizer_destroy(nn_optimizer **optimizer)
{
    nn_optimizer *self = *optimizer;
    if (!self)
        return;
    if (self->gradient) {
        torch_tensor_destroy(&self->parameter_tensor);
        torch_tensor_destroy(&self->gradient_tensor);
    }
    torch_tensor_destroy(&self->mean_tensor);
    torch_tensor_destroy(&self->variance_tensor);
    torch_tensor_destroy(&self->step_tensor);
    gn_free(&self->mean);
    gn_free(&self->variance);
    gn_free(&self->step);
    gn_free(optimizer);
}

// Squares of floats cannot overflow in double precision. The order of the sum is fixed: 16 sums
// side by side, then one after the other.
static double norm_of(const float *x, size_t size)
{
    vector low = { 0 }, high = { 0 };
    double sum = 0;
    for (size_t i = 0; i < size; i += BLOCK) {
        vector a = __builtin_convertvector(*(const half *)(x + i), vector);
        vector b = __builtin_convertvector(*(const half *)(x + i + LANES), vector);
        low += a * a;
        high += b * b;
    }
    for (size_t j = 0; j < LANES; j++)
        sum += low[j] + high[j];
    return sqrt(sum);
}

void nn_optimizer_set_batch_ratio(nn_optimizer *optimizer, double ratio)
{
    const double factor[] = { [NN_BATCH_SCALING_NONE] = 1,
                              [NN_BATCH_SCALING_SQRT] = sqrt(ratio),
                              [NN_BATCH_SCALING_LINEAR] = ratio };
    const nn_optimizer_config *config = &optimizer->config;
    optimizer->learning_rate = config->learning_rate * factor[config->batch_scaling];
}

static gn_status measure(const nn_optimizer *optimizer, double *ret_norm)
{
    const torch_tensor *gradient = optimizer->gradient_tensor;
    double square = 0;
    if (!optimizer->gradient)
        GN_TRY(torch_split_square(gradient, gradient, &square));
    *ret_norm = optimizer->gradient ? norm_of(optimizer->gradient, optimizer->size) : sqrt(square);
    return GN_OK;
}

static gn_status scale(const nn_optimizer *optimizer, double factor)
{
    if (!optimizer->gradient)
        return torch_scale(optimizer->gradient_tensor, factor);
    for (size_t i = 0; i < optimizer->size; i++)
        optimizer->gradient[i] *= (float)factor;
    return GN_OK;
}

gn_status nn_optimizer_step(nn_optimizer *optimizer, double *ret_norm)
{
    const nn_optimizer_config *config = &optimizer->config;
    double norm;
    GN_TRY(measure(optimizer, &norm));
    if (!isfinite(norm))
        return gn_fail(GN_ERR_NUMERIC, "the norm of the gradient is %g: training diverged", norm);
    if (config->max_grad_norm > 0 && norm > config->max_grad_norm)
        GN_TRY(scale(optimizer, config->max_grad_norm / norm));
    torch_adam_config adam = { .learning_rate = optimizer->learning_rate,
                               .beta1 = config->beta1,
                               .beta2 = config->beta2,
                               .epsilon = config->epsilon,
                               .weight_decay = config->weight_decay,
                               .decoupled = config->decoupled };
    GN_TRY(torch_adam_step(optimizer->parameter_tensor, optimizer->gradient_tensor,
                           optimizer->mean_tensor, optimizer->variance_tensor,
                           optimizer->step_tensor, &adam));
    if (ret_norm)
        *ret_norm = norm;
    return GN_OK;
}

// The moments of a device, to or from their copies on the host.
static gn_status copy_moments(const nn_optimizer *optimizer, bool out)
{
    const struct {
        torch_tensor *tensor;
        float *data;
    } moments[] = { { optimizer->step_tensor, optimizer->step },
                    { optimizer->mean_tensor, optimizer->mean },
                    { optimizer->variance_tensor, optimizer->variance } };
    for (int i = 0; i < 3 && !optimizer->gradient; i++)
        GN_TRY(out ? torch_tensor_read(moments[i].tensor, moments[i].data)
                   : torch_tensor_write(moments[i].tensor, moments[i].data));
    return GN_OK;
}

gn_status nn_optimizer_save(const nn_optimizer *optimizer, gn_blob *out)
{
    size_t bytes = optimizer->size * sizeof(float);
    GN_TRY(copy_moments(optimizer, true));
    gn_blob_write(out, "optimizer.step", optimizer->step, sizeof *optimizer->step);
    gn_blob_write(out, "optimizer.mean", optimizer->mean, bytes);
    gn_blob_write(out, "optimizer.variance", optimizer->variance, bytes);
    return GN_OK;
}

gn_status nn_optimizer_load(nn_optimizer *optimizer, gn_blob *in)
{
    size_t bytes = optimizer->size * sizeof(float);
    gn_blob_read(in, "optimizer.step", optimizer->step, sizeof *optimizer->step);
    gn_blob_read(in, "optimizer.mean", optimizer->mean, bytes);
    gn_blob_read(in, "optimizer.variance", optimizer->variance, bytes);
    GN_TRY(gn_blob_status(in));
    return copy_moments(optimizer, false);
}

void nn_target_update(float *target, const float *online, size_t size, double tau)
{
    if (tau == 1) {
        memcpy(target, online, size * sizeof *target);
        return;
    }
    float weight = (float)tau;
    for (size_t i = 0; i < size; i++)
        target[i] += weight * (online[i] - target[i]);
}
