// Forward and backward of every kind of layer and head against autograd and finite differences,
// both in double precision.

#include "nn/net.h"

#include "nn/loss.h"
#include "nn/optimizer.h"
#include "shim/torch.h"
#include "tests/nn/net_case.h"

// What the network computes with.
static const float *used(const net_case *f)
{
    return f->noise ? nn_noise_apply(f->noise, f->parameter) : f->parameter;
}

static void forward(net_case *f, const float *x, size_t n, float *ret_out)
{
    nn_fractions fractions = f->fractions;
    size_t first = (size_t)(x - f->x) / f->layout.spec.inputs;
    fractions.value += fractions.value ? first * QUANTILES : 0;
    expect_ok(nn_net_forward(f->net, used(f), x, n, fractions, ret_out));
}

// The outputs of f->action alone.
static void forward_chosen(net_case *f, size_t n, float *ret_out)
{
    expect_ok(nn_net_forward_chosen(f->net, used(f), f->x, n, f->fractions, f->action, ret_out));
}

static void backward(net_case *f, const float *grad, size_t n, float *ret_gradient)
{
    expect_ok(nn_net_backward(f->net, used(f), f->x, f->action, grad, n, ret_gradient));
    if (f->noise)
        nn_noise_backward(f->noise, ret_gradient);
}

static void equals_autograd(void **state)
{
    (void)state;
    const size_t rows[] = { 1, 7, 32, 100 };
    for (size_t s = 0; s < SPECS; s++)
        for (size_t r = 0; r < 4; r++) {
            net_case f = net_case_create(&net_specs[s], rows[r], s + 1);
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
            net_case_destroy(&f);
        }
}

static double sum_with(const net_case *f, reference *r, size_t index, double value)
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
        net_case f = net_case_create(&net_specs[s], 5, s + 100);
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
        net_case_destroy(&f);
    }
}

static void a_row_is_the_same_in_any_batch(void **state)
{
    (void)state;
    enum { N = 75 };
    for (size_t s = 0; s < SPECS; s++) {
        net_case f = net_case_create(&net_specs[s], N, s + 1);
        float part[N * 153];
        assert_true(f.values <= 153);
        forward(&f, f.x, N, f.out);
        test_rng rng = test_rng_seed(s);
        for (int round = 0; round < 20; round++) {
            size_t first = test_rng_below(&rng, N), n = 1 + test_rng_below(&rng, N - first);
            forward(&f, f.x + first * net_specs[s].inputs, n, part);
            assert_memory_equal(part, f.out + first * f.values, n * f.values * sizeof *part);
        }
        net_case_destroy(&f);
    }
}

static void chosen_outputs_are_those_of_all_actions(void **state)
{
    (void)state;
    for (size_t s = 0; s < SPECS; s++) {
        net_case f = net_case_create(&net_specs[s], 40, s + 1);
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
        net_case_destroy(&f);
    }
}

static void act_gives_the_values_of_forward(void **state)
{
    (void)state;
    for (size_t s = 0; s < SPECS; s++) {
        net_case f = net_case_create(&net_specs[s], 20, s + 1);
        forward(&f, f.x, f.n, f.out);
        for (size_t row = 0; row < f.n; row++) {
            float out[153], again[153];
            const float *x = f.x + row * net_specs[s].inputs;
            nn_fractions fractions = f.fractions;
            fractions.value += fractions.value ? row * QUANTILES : 0;
            expect_ok(nn_net_act(f.net, used(&f), x, fractions, out));
            expect_ok(nn_net_act(f.net, used(&f), x, fractions, again));
            assert_memory_equal(out, again, f.values * sizeof *out);
            for (size_t i = 0; i < f.values; i++)
                assert_float_equal(out[i], f.out[row * f.values + i], 1e-5);
        }
        net_case_destroy(&f);
    }
}

static void backward_of_the_first_rows(void **state)
{
    (void)state;
    for (size_t s = 0; s < SPECS; s++) {
        net_case f = net_case_create(&net_specs[s], 60, s + 1);
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
        net_case_destroy(&f);
    }
}

static void an_update_allocates_nothing(void **state)
{
    (void)state;
    enum { N = 32 };
    net_case f = net_case_create(&net_specs[3], N, 1);
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
    net_case_destroy(&f);
}

static void refuses_wrong_row_counts(void **state)
{
    (void)state;
    net_case f = net_case_create(&net_specs[2], 8, 1);
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
    net_case_destroy(&f);
    f = net_case_create(&net_specs[IMPLICIT], 8, 1);
    expect_fails(GN_ERR_ARG, "0 quantile fractions are not in 1..5",
                 nn_net_forward(f.net, f.parameter, f.x, 4, none, f.out));
    expect_fails(GN_ERR_ARG, "6 quantile fractions are not in 1..5",
                 nn_net_act(f.net, f.parameter, f.x, (nn_fractions){ f.fraction, 6 }, f.out));
    net_case_destroy(&f);
}

static void create_survives_each_failing_allocation(void **state)
{
    (void)state;
    nn_layout layout;
    expect_ok(nn_layout_create(&layout, &net_specs[2]));
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
