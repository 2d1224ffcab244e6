// Forward and backward against autograd and finite differences, both in double precision.

#include "nn/net.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "nn/loss.h"
#include "nn/optimizer.h"
#include "shim/torch.h"
#include "tests/support/autograd_oracle.h"
#include "tests/support/check.h"

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
};
enum { SPECS = sizeof specs / sizeof *specs };

// A network with random parameters and a random batch.
typedef struct fixture {
    nn_layout layout;
    nn_net *net;
    size_t n;
    float *parameter, *gradient, *x, *q, *grad_q;
} fixture;

static void fill(test_rng *rng, float *data, size_t count)
{
    for (size_t i = 0; i < count; i++)
        data[i] = (float)(2 * test_rng_unit(rng) - 1);
}

static fixture set_up(const nn_spec *spec, size_t n, uint64_t seed)
{
    fixture f = { .n = n };
    expect_ok(nn_layout_create(&f.layout, spec));
    expect_ok(nn_net_create(&f.net, &f.layout, n));
    expect_ok(gn_alloc(&f.parameter, f.layout.size, sizeof(float)));
    expect_ok(gn_alloc(&f.gradient, f.layout.size, sizeof(float)));
    expect_ok(gn_alloc(&f.x, n * spec->inputs, sizeof(float)));
    expect_ok(gn_alloc(&f.q, n * spec->actions, sizeof(float)));
    expect_ok(gn_alloc(&f.grad_q, n * spec->actions, sizeof(float)));
    gn_random random = gn_random_stream(seed, GN_RANDOM_TEST, 0);
    nn_layout_initialise(&f.layout, &random, f.parameter);
    test_rng rng = test_rng_seed(seed);
    fill(&rng, f.x, n * spec->inputs);
    fill(&rng, f.grad_q, n * spec->actions);
    return f;
}

static void tear_down(fixture *f)
{
    nn_net_destroy(&f->net);
    gn_free(&f->parameter);
    gn_free(&f->gradient);
    gn_free(&f->x);
    gn_free(&f->q);
    gn_free(&f->grad_q);
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

static void equals_autograd(void **state)
{
    (void)state;
    const size_t rows[] = { 1, 7, 32, 100 };
    for (size_t s = 0; s < SPECS; s++)
        for (size_t r = 0; r < 4; r++) {
            fixture f = set_up(&specs[s], rows[r], s + 1);
            size_t values = f.n * specs[s].actions;
            double *q, *gradient;
            expect_ok(gn_alloc(&q, values, sizeof *q));
            expect_ok(gn_alloc(&gradient, f.layout.size, sizeof *gradient));
            memset(f.gradient, 0xff, f.layout.size * sizeof *f.gradient);
            oracle_network(&f.layout, f.parameter, f.x, f.grad_q, f.n, q, gradient);
            expect_ok(nn_net_forward(f.net, f.parameter, f.x, f.n, f.q));
            expect_ok(nn_net_backward(f.net, f.parameter, f.x, f.grad_q, f.n, f.gradient));
            check_close(f.q, q, values, 1e-5, "values");
            check_close(f.gradient, gradient, f.layout.size, 1e-5, "gradient");
            for (uint32_t i = 0; i < f.layout.slice_count; i++) {
                const nn_slice *slice = &f.layout.slice[i];
                check_close(f.gradient + slice->offset, gradient + slice->offset,
                            nn_slice_size(slice), 1e-5, slice->name);
            }
            gn_free(&q);
            gn_free(&gradient);
            tear_down(&f);
        }
}

// sum(grad_q * q) by a naive forward in double precision.
static double naive_sum(const fixture *f, const double *parameter)
{
    const nn_spec *spec = &f->layout.spec;
    double total = 0, in[256], out[256];
    for (size_t row = 0; row < f->n; row++) {
        for (size_t i = 0; i < spec->inputs; i++)
            in[i] = f->x[row * spec->inputs + i];
        for (uint32_t l = 0; l <= spec->hidden_layers; l++) {
            const nn_slice *weight = &f->layout.slice[2 * l], *bias = weight + 1;
            for (size_t j = 0; j < weight->shape[1]; j++) {
                out[j] = parameter[bias->offset + j];
                for (size_t i = 0; i < weight->shape[0]; i++)
                    out[j] += in[i] * parameter[weight->offset + i * weight->shape[1] + j];
                if (l < spec->hidden_layers && out[j] < 0)
                    out[j] = 0;
            }
            memcpy(in, out, sizeof in);
        }
        double mean = 0;
        for (size_t a = 0; spec->dueling && a < spec->actions; a++)
            mean += in[1 + a] / spec->actions;
        for (size_t a = 0; a < spec->actions; a++)
            total += f->grad_q[row * spec->actions + a] *
                     (spec->dueling ? in[0] + in[1 + a] - mean : in[a]);
    }
    return total;
}

static void equals_finite_differences(void **state)
{
    (void)state;
    const double h = 1e-6;
    for (size_t s = 0; s < SPECS; s++) {
        fixture f = set_up(&specs[s], 5, s + 100);
        double *parameter;
        expect_ok(gn_alloc(&parameter, f.layout.size, sizeof *parameter));
        for (size_t i = 0; i < f.layout.size; i++)
            parameter[i] = f.parameter[i];
        expect_ok(nn_net_forward(f.net, f.parameter, f.x, f.n, f.q));
        expect_ok(nn_net_backward(f.net, f.parameter, f.x, f.grad_q, f.n, f.gradient));
        test_rng rng = test_rng_seed(s);
        for (int round = 0; round < 200; round++) {
            size_t i = test_rng_below(&rng, f.layout.size);
            double centre = parameter[i];
            parameter[i] = centre + h;
            double above = naive_sum(&f, parameter);
            parameter[i] = centre - h;
            double below = naive_sum(&f, parameter);
            parameter[i] = centre;
            bool padding = above == below && f.gradient[i] == 0;
            if (!padding)
                assert_float_equal(f.gradient[i], (above - below) / (2 * h), 2e-5);
        }
        gn_free(&parameter);
        tear_down(&f);
    }
}

static void a_row_is_the_same_in_any_batch(void **state)
{
    (void)state;
    enum { N = 75 };
    for (size_t s = 0; s < SPECS; s++) {
        fixture f = set_up(&specs[s], N, s + 1);
        size_t inputs = specs[s].inputs, actions = specs[s].actions;
        float part[N * 17];
        expect_ok(nn_net_forward(f.net, f.parameter, f.x, N, f.q));
        test_rng rng = test_rng_seed(s);
        for (int round = 0; round < 20; round++) {
            size_t first = test_rng_below(&rng, N), n = 1 + test_rng_below(&rng, N - first);
            expect_ok(nn_net_forward(f.net, f.parameter, f.x + first * inputs, n, part));
            assert_memory_equal(part, f.q + first * actions, n * actions * sizeof *part);
        }
        tear_down(&f);
    }
}

static void act_gives_the_values_of_forward(void **state)
{
    (void)state;
    for (size_t s = 0; s < SPECS; s++) {
        fixture f = set_up(&specs[s], 20, s + 1);
        size_t actions = specs[s].actions;
        expect_ok(nn_net_forward(f.net, f.parameter, f.x, f.n, f.q));
        for (size_t row = 0; row < f.n; row++) {
            float q[17], again[17];
            nn_net_act(f.net, f.parameter, f.x + row * specs[s].inputs, q);
            nn_net_act(f.net, f.parameter, f.x + row * specs[s].inputs, again);
            assert_memory_equal(q, again, actions * sizeof *q);
            for (size_t a = 0; a < actions; a++)
                assert_float_equal(q[a], f.q[row * actions + a], 1e-5);
        }
        tear_down(&f);
    }
}

// The learner forwards observations and next observations in one call and goes back through the
// first half.
static void backward_of_the_first_rows(void **state)
{
    (void)state;
    for (size_t s = 0; s < SPECS; s++) {
        fixture f = set_up(&specs[s], 60, s + 1);
        float *whole;
        expect_ok(gn_alloc(&whole, f.layout.size, sizeof *whole));
        expect_ok(nn_net_forward(f.net, f.parameter, f.x, 60, f.q));
        expect_ok(nn_net_backward(f.net, f.parameter, f.x, f.grad_q, 30, whole));
        expect_ok(nn_net_forward(f.net, f.parameter, f.x, 30, f.q));
        expect_ok(nn_net_backward(f.net, f.parameter, f.x, f.grad_q, 30, f.gradient));
        assert_memory_equal(whole, f.gradient, f.layout.size * sizeof *whole);
        // Again from the same activations, after a gradient of other values.
        expect_ok(nn_net_backward(f.net, f.parameter, f.x, f.q, 30, f.gradient));
        expect_ok(nn_net_backward(f.net, f.parameter, f.x, f.grad_q, 30, f.gradient));
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
    int32_t action[N] = { 0 };
    float target[N] = { 0 }, weight[N], error[N];
    for (int i = 0; i < N; i++)
        weight[i] = 1;
    torch_count_storage(true);
    uint64_t allocations = gn_mem_allocations(), tensors = torch_tensors_created();
    double first = 0, loss = 0;
    for (int update = 0; update < 100; update++) {
        expect_ok(nn_net_forward(f.net, f.parameter, f.x, N, f.q));
        loss = nn_huber_loss(f.q, action, target, weight, N, specs[3].actions, 1, error, f.grad_q);
        expect_ok(nn_net_backward(f.net, f.parameter, f.x, f.grad_q, N, f.gradient));
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
    expect_fails(GN_ERR_ARG, "max_batch 0", nn_net_create(&net, &f.layout, 0));
    expect_fails(GN_ERR_ARG, "max_batch 131073 is not in 1..131072",
                 nn_net_create(&net, &f.layout, 131073));
    expect_fails(GN_ERR_ARG, "0 rows are not in 1..8",
                 nn_net_forward(f.net, f.parameter, f.x, 0, f.q));
    expect_fails(GN_ERR_ARG, "9 rows are not in 1..8",
                 nn_net_forward(f.net, f.parameter, f.x, 9, f.q));
    expect_ok(nn_net_forward(f.net, f.parameter, f.x, 4, f.q));
    expect_fails(GN_ERR_ARG, "5 rows are not in 1..4",
                 nn_net_backward(f.net, f.parameter, f.x, f.grad_q, 5, f.gradient));
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
        status = nn_net_create(&net, &layout, 8);
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
          act_gives_the_values_of_forward, backward_of_the_first_rows, an_update_allocates_nothing,
          refuses_wrong_row_counts, create_survives_each_failing_allocation)
