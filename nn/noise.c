#include "nn/noise.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

struct nn_noise {
    nn_layout layout;
    float *parameter; // [layout.size] with noise
    float *factor; // f(e_in) and f(e_out) of each noisy layer, one after the other
};

static size_t factor_count(const nn_layout *layout)
{
    size_t count = 0;
    for (uint32_t i = 0; i < layout->layer_count; i++)
        if (layout->layer[i].noisy)
            count += layout->layer[i].inputs + layout->layer[i].outputs;
    return count;
}

gn_status nn_noise_create(nn_noise **ret_noise, const nn_layout *layout)
{
    nn_noise *noise;
    GN_TRY(gn_alloc(&noise, 1, sizeof *noise));
    noise->layout = *layout;
    gn_status status = gn_alloc(&noise->parameter, layout->size, sizeof(float));
    if (status == GN_OK)
        status = gn_alloc(&noise->factor, factor_count(layout) + 1, sizeof(float));
    if (status == GN_OK)
        *ret_noise = noise;
    else
        nn_noise_destroy(&noise);
    return status;
}

void nn_noise_destroy(nn_noise **noise)
{
    if (!*noise)
        return;
    gn_free(&(*noise)->parameter);
    gn_free(&(*noise)->factor);
    gn_free(noise);
}

void nn_noise_draw(nn_noise *noise, gn_random *random)
{
    size_t count = factor_count(&noise->layout);
    for (size_t i = 0; i < count; i++) {
        double e = gn_random_normal(random);
        noise->factor[i] = (float)copysign(sqrt(fabs(e)), e);
    }
}

// to = from + deviation * (in out^T); from NULL: 0.  Shapes: [inputs, outputs].
static void add_noise(const float *restrict from, const float *restrict deviation, const float *in,
                      size_t inputs, const float *restrict out, size_t outputs, float *restrict to)
{
    for (size_t i = 0; i < inputs; i++)
        for (size_t j = 0; j < outputs; j++) {
            size_t at = i * outputs + j;
            to[at] = (from ? from[at] : 0) + deviation[at] * (in[i] * out[j]);
        }
}

// Calls add_noise for weight and bias of every noisy layer. Where `base` is not NULL the results
// are base + deviations in `from` times noise, written where the weights lie; otherwise the
// gradients in `from`, where the weights lie, times noise, written where the deviations lie.
static void for_each_noisy(const nn_noise *noise, const float *base, const float *from, float *to)
{
    const nn_layout *layout = &noise->layout;
    const float *factor = noise->factor, one = 1;
    for (uint32_t i = 0; i < layout->layer_count; i++) {
        const nn_layer *layer = &layout->layer[i];
        if (!layer->noisy)
            continue;
        const nn_slice *slice = layout->slice + layer->slice; // weight, bias, their deviations
        const float *in = factor, *out = factor + layer->inputs;
        for (int part = 0; part < 2; part++) {
            size_t mean = slice[part].offset, deviation = slice[part + 2].offset;
            add_noise(base ? base + mean : NULL, from + (base ? deviation : mean), part ? &one : in,
                      part ? 1 : layer->inputs, out, layer->outputs,
                      to + (base ? mean : deviation));
        }
        factor = out + layer->outputs;
    }
}

const float *nn_noise_apply(nn_noise *noise, const float *parameter)
{
    memcpy(noise->parameter, parameter, noise->layout.size * sizeof *parameter);
    for_each_noisy(noise, parameter, parameter, noise->parameter);
    return noise->parameter;
}

void nn_noise_backward(const nn_noise *noise, float *gradient)
{
    for_each_noisy(noise, NULL, gradient, gradient);
}
