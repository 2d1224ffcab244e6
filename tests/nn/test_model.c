// A model on the CPU beside one of LibTorch's layers: the same passes, steps and noise.

#include "nn/model.h"

#include "tests/nn/net_case.h"

enum { ROWS = 16, NOISY = 16, MODELS = 2 };

static const nn_optimizer_config optimizer = { 1e-3, 0.9, 0.999, 1e-3, 0, false, 0.5, 0 };

static nn_model *open_model(const net_case *f, device_kind kind)
{
    const nn_model_config config = { .on = { .kind = kind },
                                     .optimizer = optimizer,
                                     .max_batch = ROWS,
                                     .max_quantiles = QUANTILES,
                                     .halves = true };
    gn_random random = gn_random_stream(1, GN_RANDOM_INIT, 0);
    nn_model *model;
    expect_ok(nn_model_create(&model, &f->layout, &config, &random));
    return model;
}

// What an update reports.
typedef struct report {
    double half, norm;
} report;

static report update(nn_model *model, net_case *f, uint64_t number)
{
    report r;
    gn_random random = gn_random_stream(number, GN_RANDOM_NOISE, 0);
    expect_ok(nn_model_draw_noise(model, NN_ONLINE, &random));
    expect_ok(nn_model_draw_noise(model, NN_TARGET, &random));
    expect_ok(nn_model_forward(model, NN_TARGET, f->x, f->n, f->fractions, NULL, f->out));
    expect_ok(nn_model_forward(model, NN_ONLINE, f->x, f->n, f->fractions, f->action, f->out));
    expect_ok(nn_model_backward(model, f->x, f->action, f->grad, f->n));
    memset(f->out, 0, f->n * f->width * sizeof *f->out);
    memcpy(f->out, f->grad, f->n / 2 * f->width * sizeof *f->out);
    expect_ok(nn_model_half_square(model, f->x, f->action, f->out, f->n, &r.half));
    expect_ok(nn_model_step(model, 1, &r.norm));
    if (number % 3 == 0)
        expect_ok(nn_model_update_target(model, number % 2 ? 1 : 0.25));
    return r;
}

static void check_near(double actual, double expected, const char *what, size_t s)
{
    if (!(fabs(actual - expected) <= 1e-4 * fabs(expected)))
        fail_msg("network %zu, %s: %.9g, must be %.9g", s, what, actual, expected);
}

static void check_outputs(nn_model *ours, nn_model *theirs, net_case *f, size_t s)
{
    float *out;
    expect_ok(gn_alloc(&out, f->n * f->values, sizeof *out));
    for (int which = 0; which < NN_WHICH; which++) {
        double sum = 0, size = 0;
        gn_random one = gn_random_stream(9, GN_RANDOM_NOISE, 0), two = one;
        expect_ok(nn_model_draw_noise(ours, (nn_which)which, &one));
        expect_ok(nn_model_draw_noise(theirs, (nn_which)which, &two));
        expect_ok(nn_model_forward(ours, (nn_which)which, f->x, f->n, f->fractions, NULL, f->out));
        expect_ok(nn_model_forward(theirs, (nn_which)which, f->x, f->n, f->fractions, NULL, out));
        for (size_t i = 0; i < f->n * f->values; i++) {
            sum += fabs(out[i] - f->out[i]);
            size += fabs(f->out[i]);
        }
        if (!(sum <= 1e-3 * size))
            fail_msg("network %zu, outputs of %d: %g of %g", s, which, sum, size);
    }
    gn_free(&out);
}

static void learns_as_on_the_cpu(void **state)
{
    (void)state;
    for (size_t s = 0; s < SPECS; s++) {
        net_case f = net_case_create(&net_specs[s], ROWS, s + 1);
        nn_model *ours = open_model(&f, DEVICE_CPU), *theirs = open_model(&f, DEVICE_TORCH);
        for (uint64_t number = 1; number <= 6; number++) {
            report expected = update(ours, &f, number), actual = update(theirs, &f, number);
            check_near(actual.half, expected.half, "half", s);
            check_near(actual.norm, expected.norm, "norm", s);
        }
        check_outputs(ours, theirs, &f, s);
        nn_model_destroy(&ours);
        nn_model_destroy(&theirs);
        net_case_destroy(&f);
    }
}

static void parameters_come_when_fetched(void **state)
{
    (void)state;
    net_case f = net_case_create(&net_specs[2], ROWS, 1);
    size_t bytes = f.layout.size * sizeof(float);
    nn_model *model = open_model(&f, DEVICE_TORCH);
    memcpy(f.parameter, nn_model_parameters(model), bytes);
    update(model, &f, 1);
    assert_memory_equal(f.parameter, nn_model_parameters(model), bytes);
    expect_ok(nn_model_fetch(model));
    assert_memory_not_equal(f.parameter, nn_model_parameters(model), bytes);
    float out[8], all[8 * ROWS];
    expect_ok(nn_model_act(model, nn_model_parameters(model), f.x, f.fractions, out));
    expect_ok(nn_model_forward(model, NN_ONLINE, f.x, ROWS, f.fractions, NULL, all));
    for (size_t i = 0; i < f.values; i++)
        assert_float_equal(out[i], all[i], 1e-5);
    nn_model_destroy(&model);
    net_case_destroy(&f);
}

static void copy_into(nn_model *from, nn_model *to, const net_case *f)
{
    gn_blob saved = { 0 };
    expect_ok(nn_model_fetch(from));
    expect_ok(nn_model_save(from, &saved));
    memcpy(nn_model_parameters(to), nn_model_parameters(from), f->layout.size * sizeof(float));
    expect_ok(nn_model_load(to, &saved));
    gn_blob_free(&saved);
}

// From each kind of device to the same, bit for bit, and to the other.
static void a_saved_model_goes_on(void **state)
{
    (void)state;
    static const device_kind kinds[MODELS] = { DEVICE_CPU, DEVICE_TORCH };
    for (int from = 0; from < MODELS; from++)
        for (int to = 0; to < MODELS; to++) {
            net_case f = net_case_create(&net_specs[NOISY], ROWS, 1);
            nn_model *a = open_model(&f, kinds[from]), *b = open_model(&f, kinds[to]);
            for (uint64_t number = 1; number <= 4; number++)
                update(a, &f, number);
            copy_into(a, b, &f);
            for (uint64_t number = 5; number <= 8; number++) {
                report expected = update(a, &f, number), actual = update(b, &f, number);
                if (from == to)
                    assert_memory_equal(&actual, &expected, sizeof expected);
                check_near(actual.half, expected.half, "half", NOISY);
                check_near(actual.norm, expected.norm, "norm", NOISY);
            }
            check_outputs(a, b, &f, NOISY);
            nn_model_destroy(&a);
            nn_model_destroy(&b);
            net_case_destroy(&f);
        }
}

static void create_survives_each_failing_allocation(void **state)
{
    (void)state;
    for (int kind = DEVICE_CPU; kind <= DEVICE_TORCH; kind++) {
        net_case f = net_case_create(&net_specs[NOISY], ROWS, 1);
        const nn_model_config config = { .on = { .kind = (device_kind)kind },
                                         .optimizer = optimizer,
                                         .max_batch = ROWS,
                                         .max_quantiles = 1,
                                         .halves = true };
        uint64_t live = gn_mem_live();
        gn_status status = GN_ERR_MEMORY;
        nn_model *model = NULL;
        for (uint64_t n = 1; status != GN_OK; n++) {
            gn_random random = gn_random_stream(1, GN_RANDOM_INIT, 0);
            gn_mem_fail_at(n);
            status = nn_model_create(&model, &f.layout, &config, &random);
            gn_mem_fail_at(0);
            assert_true(status == GN_OK || status == GN_ERR_MEMORY);
            if (status != GN_OK)
                assert_int_equal(gn_mem_live(), live);
        }
        nn_model_destroy(&model);
        assert_int_equal(gn_mem_live(), live);
        net_case_destroy(&f);
    }
}

TEST_MAIN(learns_as_on_the_cpu, parameters_come_when_fetched, a_saved_model_goes_on,
          create_survives_each_failing_allocation)
