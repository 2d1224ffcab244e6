#include "nn/noise.h"

#include <string.h>

#include "base/mem.h"
#include "nn/simd_math.h"

struct nn_noise {
    nn_layout layout;
    size_t half; // of the factors, up to a whole vector of any machine
    float *parameter; // [layout.size] with noise
    uint32_t *word; // [2 * half] what the factors are made of
    float *factor; // [2 * half] f(e_in) and f(e_out) of each noisy layer, one after the other
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
    noise->half = (factor_count(layout) / 32 + 1) * 16;
    gn_status status = gn_alloc(&noise->parameter, layout->size, sizeof(float));
    if (status == GN_OK)
        status = gn_alloc(&noise->word, 2 * noise->half, sizeof(uint32_t));
    if (status == GN_OK)
        status = gn_alloc(&noise->factor, 2 * noise->half, sizeof(float));
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
    gn_free(&(*noise)->word);
    gn_free(&(*noise)->factor);
    gn_free(noise);
}

// Two words to f(e) of two independent normal numbers e, by Box-Muller:
//     e = +-r cos t, +-r sin t,   r^2 = -2 ln u,  u in (0, 1],   t in [0, pi/2)
// The lowest bits of the angle's word are the signs. sin and cos are Taylor's polynomials, off by
// less than 1e-7.
NN_INLINE void to_factors(nn_bits radius, nn_bits angle, nn_vector *ret_first,
                          nn_vector *ret_second)
{
    nn_vector u = __builtin_convertvector((nn_mask)(radius >> 1), nn_vector) * 0x1p-31f + 0x1p-32f;
    nn_vector r = nn_vector_sqrt(nn_vector_log(u) * -2);
    const float turn = 1.57079633f * 0x1p-30f;
    nn_vector t = __builtin_convertvector((nn_mask)(angle >> 2), nn_vector) * turn, square = t * t;
    nn_vector cosine = square * (1 / 479001600.0f) - 1 / 3628800.0f;
    cosine = cosine * square + 1 / 40320.0f;
    cosine = cosine * square - 1 / 720.0f;
    cosine = cosine * square + 1 / 24.0f;
    cosine = cosine * square - 0.5f;
    cosine = cosine * square + 1;
    nn_vector sine = square * (-1 / 39916800.0f) + 1 / 362880.0f;
    sine = sine * square - 1 / 5040.0f;
    sine = sine * square + 1 / 120.0f;
    sine = sine * square - 1 / 6.0f;
    sine = sine * square * t + t;
    nn_mask first = (nn_mask)nn_vector_sqrt(nn_vector_abs(cosine) * r);
    nn_mask second = (nn_mask)nn_vector_sqrt(sine * r);
    *ret_first = (nn_vector)(first | (nn_mask)(angle << 31));
    *ret_second = (nn_vector)(second | ((nn_mask)(angle << 30) & INT32_MIN));
}

void nn_noise_draw(nn_noise *noise, gn_random *random)
{
    const uint32_t *radius = noise->word, *angle = noise->word + noise->half;
    float *first = noise->factor, *second = noise->factor + noise->half;
    gn_random_words(random, noise->word, 2 * noise->half);
    for (size_t i = 0; i < noise->half; i += NN_LANES) {
        nn_bits r, a;
        nn_vector x, y;
        memcpy(&r, radius + i, sizeof r);
        memcpy(&a, angle + i, sizeof a);
        to_factors(r, a, &x, &y);
        nn_vector_store(first + i, x);
        nn_vector_store(second + i, y);
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

// What has no noise; the rest is written by for_each_noisy, or not read by a network.
static void copy_plain_layers(const nn_layout *layout, const float *parameter, float *ret_parameter)
{
    for (uint32_t i = 0; i < layout->layer_count; i++) {
        const nn_layer *layer = &layout->layer[i];
        if (layer->noisy)
            continue;
        size_t begin = layout->slice[layer->slice].offset, end = layout->size;
        if (i + 1 < layout->layer_count)
            end = layout->slice[layer[1].slice].offset;
        memcpy(ret_parameter + begin, parameter + begin, (end - begin) * sizeof *parameter);
    }
}

const float *nn_noise_apply(nn_noise *noise, const float *parameter)
{
    copy_plain_layers(&noise->layout, parameter, noise->parameter);
    for_each_noisy(noise, parameter, parameter, noise->parameter);
    return noise->parameter;
}

void nn_noise_backward(const nn_noise *noise, float *gradient)
{
    for_each_noisy(noise, NULL, gradient, gradient);
}
