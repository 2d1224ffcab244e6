// Networks of every kind of layer, with random parameters, a random batch, and what autograd says
// of them in double precision.

#ifndef TESTS_NN_NET_CASE_H
#define TESTS_NN_NET_CASE_H

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "nn/noise.h"
#include "tests/support/autograd_oracle.h"
#include "tests/support/check.h"

// Rows of nn_encoders.
enum { CONV1D = 1, LSTM, GRU, NATURE, IMPALA };

static const nn_spec net_specs[] = {
    { .inputs = 3, .actions = 2 },
    { .inputs = 1, .actions = 1, .hidden_layers = 1, .hidden = { 1 }, .dueling = true },
    { .inputs = 4, .actions = 2, .hidden_layers = 2, .hidden = { 120, 84 } },
    { .inputs = 17, .actions = 3, .hidden_layers = 2, .hidden = { 33, 127 }, .dueling = true },
    { .inputs = 33, .actions = 17, .hidden_layers = 3, .hidden = { 3, 17, 1 } },
    { .inputs = 127, .actions = 5, .hidden_layers = 1, .hidden = { 64 }, .dueling = true },
    { .inputs = 5,
      .actions = 4,
      .hidden_layers = 8,
      .hidden = { 9, 8, 7, 16, 15, 32, 31, 10 },
      .dueling = true },
    // Wide heads.
    { .inputs = 3, .actions = 2, .width = 5 },
    { .inputs = 9,
      .actions = 3,
      .width = 51,
      .hidden_layers = 1,
      .hidden = { 33 },
      .dueling = true },
    { .inputs = 2, .actions = 17, .width = 2, .hidden_layers = 1, .hidden = { 7 } },
    // Normalised layers.
    { .inputs = 6, .actions = 3, .hidden_layers = 1, .hidden = { 17 }, .layer_norm = true },
    { .inputs = 6,
      .actions = 2,
      .width = 3,
      .hidden_layers = 3,
      .hidden = { 24, 9, 40 },
      .layer_norm = true,
      .dueling = true },
    // Implicit quantiles: after the observation, the only, and the last but one hidden layer.
    { .inputs = 5, .actions = 2, .cosines = 3 },
    { .inputs = 5, .actions = 3, .cosines = 64, .hidden_layers = 1, .hidden = { 17 } },
    { .inputs = 7,
      .actions = 3,
      .cosines = 16,
      .hidden_layers = 2,
      .hidden = { 20, 33 },
      .layer_norm = true,
      .dueling = true },
    // Noise.
    { .inputs = 4,
      .actions = 2,
      .hidden_layers = 2,
      .hidden = { 12, 9 },
      .noisy = true,
      .noise_scale = 0.5,
      .dueling = true },
    { .inputs = 4,
      .actions = 2,
      .width = 7,
      .hidden_layers = 1,
      .hidden = { 33 },
      .noisy = true,
      .noise_scale = 0.5 },
    { .inputs = 4,
      .actions = 2,
      .cosines = 8,
      .hidden_layers = 2,
      .hidden = { 8, 8 },
      .noisy = true,
      .noise_scale = 0.5,
      .layer_norm = true },
    // Windows of bars, with and without something behind them.
    { .inputs = 12 * 3 + 2,
      .window = 12,
      .features = 3,
      .actions = 2,
      .encoder = CONV1D,
      .channel_layers = 2,
      .channels = { 5, 4 },
      .kernel = 3,
      .stride = 2,
      .hidden_layers = 1,
      .hidden = { 9 },
      .dueling = true },
    { .inputs = 7 * 5,
      .window = 7,
      .features = 5,
      .actions = 3,
      .cosines = 8,
      .encoder = CONV1D,
      .channel_layers = 1,
      .channels = { 17 },
      .kernel = 7,
      .stride = 1 },
    { .inputs = 6 * 4 + 3,
      .window = 6,
      .features = 4,
      .actions = 3,
      .encoder = LSTM,
      .recurrent_width = 7,
      .hidden_layers = 1,
      .hidden = { 8 },
      .dueling = true },
    { .inputs = 1 * 5,
      .window = 1,
      .features = 5,
      .actions = 2,
      .width = 4,
      .encoder = LSTM,
      .recurrent_width = 17 },
    { .inputs = 6 * 4 + 3,
      .window = 6,
      .features = 4,
      .actions = 2,
      .cosines = 8,
      .encoder = GRU,
      .recurrent_width = 7,
      .hidden_layers = 1,
      .hidden = { 8 } },
    { .inputs = 9 * 2,
      .window = 9,
      .features = 2,
      .actions = 3,
      .width = 5,
      .encoder = GRU,
      .recurrent_width = 16,
      .hidden_layers = 2,
      .hidden = { 8, 9 },
      .layer_norm = true,
      .dueling = true },
    // Pictures.
    { .inputs = 2 * 36 * 44,
      .picture = { 2, 36, 44 },
      .actions = 2,
      .encoder = NATURE,
      .hidden_layers = 1,
      .hidden = { 16 },
      .dueling = true },
    { .inputs = 2 * 9 * 12,
      .picture = { 2, 9, 12 },
      .actions = 2,
      .width = 3,
      .encoder = IMPALA,
      .dueling = true },
    { .inputs = 3 * 5,
      .picture = { 1, 3, 5 },
      .actions = 3,
      .cosines = 4,
      .encoder = IMPALA,
      .hidden_layers = 2,
      .hidden = { 7, 8 } },
    // As Rainbow has it, with actions that no row of a small batch takes.
    { .inputs = 6,
      .actions = 9,
      .width = 17,
      .hidden_layers = 2,
      .hidden = { 20, 19 },
      .noisy = true,
      .noise_scale = 0.5,
      .dueling = true },
};
enum { SPECS = sizeof net_specs / sizeof *net_specs, IMPLICIT = 13 };

enum { QUANTILES = 5 };

// A network with random parameters and a random batch.
typedef struct net_case {
    nn_layout layout;
    nn_net *net;
    nn_noise *noise; // NULL unless the spec says so
    size_t n, width, values; // width: outputs an action; values: outputs a row
    float *parameter, *gradient, *x, *out;
    int32_t *action; // [n] that counts, and the gradient of its outputs
    float *grad; // [n, width]
    float *factor; // what the deviations are multiplied with, where the weights lie; NULL
    nn_fractions fractions;
    float *fraction;
} net_case;

static inline void fill(test_rng *rng, float *data, size_t count)
{
    for (size_t i = 0; i < count; i++)
        data[i] = (float)(2 * test_rng_unit(rng) - 1);
}

// The factors are the weights that come of deviations of 1 around 0.
static inline void draw_noise(net_case *f, uint64_t seed)
{
    gn_random random = gn_random_stream(seed, GN_RANDOM_NOISE, 0);
    expect_ok(nn_noise_create(&f->noise, &f->layout));
    expect_ok(gn_alloc(&f->factor, f->layout.size, sizeof(float)));
    nn_noise_draw(f->noise, &random);
    for (uint32_t i = 0; i < f->layout.slice_count; i++)
        for (size_t j = 0; j < nn_slice_size(&f->layout.slice[i]); j++)
            f->factor[f->layout.slice[i].offset + j] =
                f->layout.slice[i].kind == NN_SLICE_DEVIATION;
    memcpy(f->factor, nn_noise_apply(f->noise, f->factor), f->layout.size * sizeof(float));
}

static inline net_case net_case_create(const nn_spec *spec, size_t n, uint64_t seed)
{
    net_case f = { .n = n };
    expect_ok(nn_layout_create(&f.layout, spec));
    expect_ok(nn_net_create(&f.net, &f.layout, n, QUANTILES));
    f.width = spec->cosines ? QUANTILES : f.layout.spec.width;
    f.values = spec->actions * f.width;
    expect_ok(gn_alloc(&f.parameter, f.layout.size, sizeof(float)));
    expect_ok(gn_alloc(&f.gradient, f.layout.size, sizeof(float)));
    expect_ok(gn_alloc(&f.x, n * spec->inputs, sizeof(float)));
    expect_ok(gn_alloc(&f.out, n * f.values, sizeof(float)));
    expect_ok(gn_alloc(&f.grad, n * f.width, sizeof(float)));
    expect_ok(gn_alloc(&f.action, n, sizeof *f.action));
    expect_ok(gn_alloc(&f.fraction, n * QUANTILES, sizeof(float)));
    gn_random random = gn_random_stream(seed, GN_RANDOM_TEST, 0);
    nn_layout_initialise(&f.layout, &random, f.parameter);
    test_rng rng = test_rng_seed(seed);
    fill(&rng, f.x, n * spec->inputs);
    fill(&rng, f.grad, n * f.width);
    for (size_t i = 0; i < n; i++)
        f.action[i] = (int32_t)test_rng_below(&rng, spec->actions);
    for (size_t i = 0; i < n * QUANTILES; i++)
        f.fraction[i] = (float)test_rng_unit(&rng);
    if (spec->cosines)
        f.fractions = (nn_fractions){ f.fraction, QUANTILES };
    if (spec->noisy)
        draw_noise(&f, seed);
    return f;
}

static inline void net_case_destroy(net_case *f)
{
    nn_net_destroy(&f->net);
    nn_noise_destroy(&f->noise);
    gn_free(&f->parameter);
    gn_free(&f->gradient);
    gn_free(&f->x);
    gn_free(&f->out);
    gn_free(&f->grad);
    gn_free(&f->action);
    gn_free(&f->factor);
    gn_free(&f->fraction);
}

// Differences are relative to the largest expected value.
static inline void check_close(const float *actual, const double *expected, size_t count,
                               double limit, const char *what)
{
    double size = 1e-30;
    for (size_t i = 0; i < count; i++)
        size = fmax(size, fabs(expected[i]));
    for (size_t i = 0; i < count; i++)
        if (!(fabs(actual[i] - expected[i]) < limit * size)) // also a NaN
            fail_msg("%s, element %zu: %g, must be %g", what, i, actual[i], expected[i]);
}

// Outputs and gradient in double precision.
typedef struct reference {
    double *parameter, *out, *gradient;
} reference;

static inline void run_oracle(const net_case *f, reference *r)
{
    oracle_network(&f->layout, r->parameter, f->factor, f->x, f->fractions, f->action, f->grad,
                   f->n, r->out, r->gradient);
}

static inline reference reference_of(const net_case *f)
{
    reference r;
    expect_ok(gn_alloc(&r.parameter, f->layout.size, sizeof *r.parameter));
    expect_ok(gn_alloc(&r.out, f->n * f->values, sizeof *r.out));
    expect_ok(gn_alloc(&r.gradient, f->layout.size, sizeof *r.gradient));
    for (size_t i = 0; i < f->layout.size; i++)
        r.parameter[i] = f->parameter[i];
    run_oracle(f, &r);
    return r;
}

static inline void reference_free(reference *r)
{
    gn_free(&r->parameter);
    gn_free(&r->out);
    gn_free(&r->gradient);
}

#endif
