// Forward and backward of every kind of layer and head against autograd and finite differences,
// both in double precision.

#include "nn/net.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "nn/loss.h"
#include "nn/noise.h"
#include "nn/optimizer.h"
#include "shim/torch.h"
#include "tests/support/autograd_oracle.h"
#include "tests/support/check.h"

// Rows of nn_encoders.
enum { CONV1D = 1, LSTM, GRU, NATURE, IMPALA };

static const nn_spec specs[] = {
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
enum { SPECS = sizeof specs / sizeof *specs, IMPLICIT = 13 };

enum { QUANTILES = 5 };

// A network with random parameters and a random batch.
typedef struct fixture {
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
} fixture;

static void fill(test_rng *rng, float *data, size_t count)
{
    for (size_t i = 0; i < count; i++)
        data[i] = (float)(2 * test_rng_unit(rng) - 1);
}

// The factors are the weights that come of deviations of 1 around 0.
static void draw_noise(fixture *f, uint64_t seed)
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

static fixture set_up(const nn_spec *spec, size_t n, uint64_t seed)
{
    fixture f = { .n = n };
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

static void tear_down(fixture *f)
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

// What the network computes with.
static const float *used(const fixture *f)
{
    return f->noise ? nn_noise_apply(f->noise, f->parameter) : f->parameter;
}

static void forward(fixture *f, const float *x, size_t n, float *ret_out)
{
    nn_fractions fractions = f->fractions;
    size_t first = (size_t)(x - f->x) / f->layout.spec.inputs;
    fractions.value += fractions.value ? first * QUANTILES : 0;
    expect_ok(nn_net_forward(f->net, used(f), x, n, fractions, ret_out));
}

// The outputs of f->action alone.
static void forward_chosen(fixture *f, size_t n, float *ret_out)
{
    expect_ok(nn_net_forward_chosen(f->net, used(f), f->x, n, f->fractions, f->action, ret_out));
}

static void backward(fixture *f, const float *grad, size_t n, float *ret_gradient)
{
    expect_ok(nn_net_backward(f->net, used(f), f->x, f->action, grad, n, ret_gradient));
    if (f->noise)
        nn_noise_backward(f->noise, ret_gradient);
}

// Differences are relative to the largest expected value.
static void check_close(const float *actual, const double *expected, size_t count, double limit,
                        const char *what)
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

static void run_oracle(const fixture *f, reference *r)
{
    oracle_network(&f->layout, r->parameter, f->factor, f->x, f->fractions, f->action, f->grad,
                   f->n, r->out, r->gradient);
}

static reference reference_of(const fixture *f)
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

static void reference_free(reference *r)
{
    gn_free(&r->parameter);
    gn_free(&r->out);
    gn_free(&r->gradient);
}

static void equals_autograd(void **state)
{
    (void)state;
    const size_t rows[] = { 1, 7, 32, 100 };
    for (size_t s = 0; s < SPECS; s++)
        for (size_t r = 0; r < 4; r++) {
            fixture f = set_up(&specs[s], rows[r], s + 1);
            reference expected = reference_of(&f);
            memset(f.gradient, 0xff, f.layout.size * sizeof *f.gradient);
            forward(&f, f.x, f.n, f.out);
            backward(&f, f.grad, f.n, f.gradient);
            check_close(f.out, expected.out, f.n * f.values, 1e-5, "outputs");
            check_close(f.gradient, expected.gradient, f.layout.size, 1e-5, "gradient");
            for (uint32_t i = 0; i < f.layout.slice_count; i++) {
                const nn_slice *slice = &f.layout.slice[i];
                check_close(f.gradient + slice->offset, expected.gradient + slice->offset,
                            nn_slice_size(slice), 1e-5, slice->name);
            }
            reference_free(&expected);
            tear_down(&f);
        }
}

static double sum_with(const fixture *f, reference *r, size_t index, double value)
{
    double before = r->parameter[index], sum = 0;
    r->parameter[index] = value;
    run_oracle(f, r);
    r->parameter[index] = before;
    for (size_t i = 0; i < f->n; i++)
        for (size_t k = 0; k < f->width; k++)
            sum += f->grad[i * f->width + k] *
                   r->out[i * f->values + (size_t)f->action[i] * f->width + k];
    return sum;
}

static void equals_finite_differences(void **state)
{
    (void)state;
    const double h = 1e-6;
    for (size_t s = 0; s < SPECS; s++) {
        fixture f = set_up(&specs[s], 5, s + 100);
        reference r = reference_of(&f);
        forward(&f, f.x, f.n, f.out);
        backward(&f, f.grad, f.n, f.gradient);
        test_rng rng = test_rng_seed(s);
        for (int round = 0; round < 100; round++) {
            size_t i = test_rng_below(&rng, f.layout.size);
            double above = sum_with(&f, &r, i, f.parameter[i] + h);
            double below = sum_with(&f, &r, i, f.parameter[i] - h);
            double expected = (above - below) / (2 * h);
            if (!(fabs(f.gradient[i] - expected) < 2e-5 * (1 + fabs(expected))))
                fail_msg("spec %zu, parameter %zu: %g, must be %g", s, i, f.gradient[i], expected);
        }
        reference_free(&r);
        tear_down(&f);
    }
}

static void a_row_is_the_same_in_any_batch(void **state)
{
    (void)state;
    enum { N = 75 };
    for (size_t s = 0; s < SPECS; s++) {
        fixture f = set_up(&specs[s], N, s + 1);
        float part[N * 153];
        assert_true(f.values <= 153);
        forward(&f, f.x, N, f.out);
        test_rng rng = test_rng_seed(s);
        for (int round = 0; round < 20; round++) {
            size_t first = test_rng_below(&rng, N), n = 1 + test_rng_below(&rng, N - first);
            forward(&f, f.x + first * specs[s].inputs, n, part);
            assert_memory_equal(part, f.out + first * f.values, n * f.values * sizeof *part);
        }
        tear_down(&f);
    }
}

static void chosen_outputs_are_those_of_all_actions(void **state)
{
    (void)state;
    for (size_t s = 0; s < SPECS; s++) {
        fixture f = set_up(&specs[s], 40, s + 1);
        float chosen[40 * 51];
        assert_true(f.width <= 51);
        forward(&f, f.x, f.n, f.out);
        for (size_t n = 1; n <= f.n; n += 13) {
            forward_chosen(&f, n, chosen);
            for (size_t i = 0; i < n; i++)
                assert_memory_equal(chosen + i * f.width,
                                    f.out + i * f.values + (size_t)f.action[i] * f.width,
                                    f.width * sizeof *chosen);
        }
        tear_down(&f);
    }
}

static void act_gives_the_values_of_forward(void **state)
{
    (void)state;
    for (size_t s = 0; s < SPECS; s++) {
        fixture f = set_up(&specs[s], 20, s + 1);
        forward(&f, f.x, f.n, f.out);
        for (size_t row = 0; row < f.n; row++) {
            float out[153], again[153];
            const float *x = f.x + row * specs[s].inputs;
            nn_fractions fractions = f.fractions;
            fractions.value += fractions.value ? row * QUANTILES : 0;
            expect_ok(nn_net_act(f.net, used(&f), x, fractions, out));
            expect_ok(nn_net_act(f.net, used(&f), x, fractions, again));
            assert_memory_equal(out, again, f.values * sizeof *out);
            for (size_t i = 0; i < f.values; i++)
                assert_float_equal(out[i], f.out[row * f.values + i], 1e-5);
        }
        tear_down(&f);
    }
}

static void backward_of_the_first_rows(void **state)
{
    (void)state;
    for (size_t s = 0; s < SPECS; s++) {
        fixture f = set_up(&specs[s], 60, s + 1);
        float *whole;
        expect_ok(gn_alloc(&whole, f.layout.size, sizeof *whole));
        forward(&f, f.x, 60, f.out);
        backward(&f, f.grad, 30, whole);
        forward_chosen(&f, 30, f.out);
        backward(&f, f.grad, 30, f.gradient);
        assert_memory_equal(whole, f.gradient, f.layout.size * sizeof *whole);
        // Again from the same activations, after a gradient of other values.
        backward(&f, f.out, 30, f.gradient);
        backward(&f, f.grad, 30, f.gradient);
        assert_memory_equal(whole, f.gradient, f.layout.size * sizeof *whole);
        gn_free(&whole);
        tear_down(&f);
    }
}

static void an_update_allocates_nothing(void **state)
{
    (void)state;
    enum { N = 32 };
    fixture f = set_up(&specs[3], N, 1);
    const nn_optimizer_config config = { 1e-3, 0.9, 0.999, 1e-8, 0, false, 10, 0 };
    nn_optimizer *optimizer;
    expect_ok(nn_optimizer_create(&optimizer, &config, f.parameter, f.gradient, f.layout.size));
    float target[N] = { 0 }, weight[N], error[N];
    for (int i = 0; i < N; i++)
        weight[i] = 1;
    torch_count_storage(true);
    uint64_t allocations = gn_mem_allocations(), tensors = torch_tensors_created();
    double first = 0, loss = 0;
    for (int update = 0; update < 100; update++) {
        forward_chosen(&f, N, f.out);
        loss = nn_huber_loss(f.out, target, weight, N, 1, error, f.grad);
        backward(&f, f.grad, N, f.gradient);
        expect_ok(nn_optimizer_step(optimizer, NULL));
        if (update == 0)
            first = loss;
    }
    assert_int_equal(gn_mem_allocations(), allocations);
    assert_int_equal(torch_tensors_created(), tensors);
    torch_count_storage(false);
    assert_true(loss < first / 100); // and it learns
    nn_optimizer_destroy(&optimizer);
    tear_down(&f);
}

static void refuses_wrong_row_counts(void **state)
{
    (void)state;
    fixture f = set_up(&specs[2], 8, 1);
    nn_net *net = NULL;
    const nn_fractions none = { 0 };
    expect_fails(GN_ERR_ARG, "max_batch 0", nn_net_create(&net, &f.layout, 0, 1));
    expect_fails(GN_ERR_ARG, "max_batch 131073 is not in 1..131072",
                 nn_net_create(&net, &f.layout, 131073, 1));
    expect_fails(GN_ERR_ARG, "0 rows are not in 1..8",
                 nn_net_forward(f.net, f.parameter, f.x, 0, none, f.out));
    expect_fails(GN_ERR_ARG, "9 rows are not in 1..8",
                 nn_net_forward(f.net, f.parameter, f.x, 9, none, f.out));
    forward(&f, f.x, 4, f.out);
    expect_fails(GN_ERR_ARG, "5 rows are not in 1..4",
                 nn_net_backward(f.net, f.parameter, f.x, f.action, f.grad, 5, f.gradient));
    expect_fails(
        GN_ERR_ARG, "5 quantile fractions are not in 0..0",
        nn_net_forward(f.net, f.parameter, f.x, 4, (nn_fractions){ f.fraction, QUANTILES }, f.out));
    tear_down(&f);
    f = set_up(&specs[IMPLICIT], 8, 1);
    expect_fails(GN_ERR_ARG, "0 quantile fractions are not in 1..5",
                 nn_net_forward(f.net, f.parameter, f.x, 4, none, f.out));
    expect_fails(GN_ERR_ARG, "6 quantile fractions are not in 1..5",
                 nn_net_act(f.net, f.parameter, f.x, (nn_fractions){ f.fraction, 6 }, f.out));
    tear_down(&f);
}

static void create_survives_each_failing_allocation(void **state)
{
    (void)state;
    nn_layout layout;
    expect_ok(nn_layout_create(&layout, &specs[2]));
    uint64_t live = gn_mem_live();
    gn_status status = GN_ERR_MEMORY;
    for (uint64_t nth = 1; status != GN_OK; nth++) {
        nn_net *net = NULL;
        gn_mem_fail_at(nth);
        status = nn_net_create(&net, &layout, 8, 1);
        gn_mem_fail_at(0);
        if (status != GN_OK) {
            assert_int_equal(status, GN_ERR_MEMORY);
            assert_null(net);
        }
        nn_net_destroy(&net);
        assert_int_equal(gn_mem_live(), live);
    }
}

TEST_MAIN(equals_autograd, equals_finite_differences, a_row_is_the_same_in_any_batch,
          chosen_outputs_are_those_of_all_actions, act_gives_the_values_of_forward,
          backward_of_the_first_rows, an_update_allocates_nothing, refuses_wrong_row_counts,
          create_survives_each_failing_allocation)
