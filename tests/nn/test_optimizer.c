#include "nn/optimizer.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "tests/support/autograd_oracle.h"
#include "tests/support/check.h"

enum { SIZE = 208, STEPS = 100 };

static const nn_optimizer_config plain = { 1e-3, 0.9, 0.999, 1e-8, 0, false, 0, 0 };

static void fill(test_rng *rng, float *data, size_t count, double size)
{
    for (size_t i = 0; i < count; i++)
        data[i] = (float)(size * (2 * test_rng_unit(rng) - 1));
}

// 100 steps with random gradients, next to torch::optim in double precision.
static void check_steps(const nn_optimizer_config *config)
{
    static float parameter[SIZE], gradient[SIZE], gradients[STEPS * SIZE];
    double expected[SIZE];
    test_rng rng = test_rng_seed(1);
    fill(&rng, parameter, SIZE, 1);
    fill(&rng, gradients, STEPS * SIZE, 1);
    for (int i = 0; i < SIZE; i++)
        expected[i] = parameter[i];
    const torch_adam_config adam = {
        config->learning_rate, config->beta1,        config->beta2,
        config->epsilon,       config->weight_decay, config->decoupled
    };
    oracle_adam(expected, gradients, SIZE, STEPS, &adam, config->max_grad_norm);

    nn_optimizer *optimizer;
    expect_ok(nn_optimizer_create(&optimizer, config, parameter, gradient, SIZE));
    for (int step = 0; step < STEPS; step++) {
        memcpy(gradient, gradients + step * SIZE, sizeof gradient);
        expect_ok(nn_optimizer_step(optimizer, NULL));
    }
    for (int i = 0; i < SIZE; i++)
        assert_float_equal(parameter[i], expected[i], 1e-5);
    nn_optimizer_destroy(&optimizer);
}

static void equals_torch_optim(void **state)
{
    (void)state;
    check_steps(&plain);
    check_steps(&(nn_optimizer_config){ 0.01, 0.8, 0.95, 1e-3, 0.1, false, 0, 0 });
    check_steps(&(nn_optimizer_config){ 0.01, 0.8, 0.95, 1e-3, 0.1, true, 0, 0 });
    check_steps(&(nn_optimizer_config){ 0.01, 0.9, 0.999, 1e-2, 0, false, 5, 0 }); // clips
}

static void clips_the_norm(void **state)
{
    (void)state;
    float parameter[16] = { 0 }, gradient[16] = { 3, 0, -4 };
    nn_optimizer_config config = plain;
    config.max_grad_norm = 2.5;
    nn_optimizer *optimizer;
    expect_ok(nn_optimizer_create(&optimizer, &config, parameter, gradient, 16));
    double norm;
    expect_ok(nn_optimizer_step(optimizer, &norm));
    assert_float_equal(norm, 5, 1e-12);
    assert_float_equal(gradient[0], 1.5, 1e-6);
    assert_float_equal(gradient[2], -2, 1e-6);
    expect_ok(nn_optimizer_step(optimizer, &norm)); // 2.5 is not above 2.5
    assert_float_equal(norm, 2.5, 1e-6);
    assert_float_equal(gradient[0], 1.5, 1e-6);
    nn_optimizer_destroy(&optimizer);
}

// The first step of Adam is as long as the learning rate, whatever the gradient.
static void the_learning_rate_follows_the_batch_as_told(void **state)
{
    (void)state;
    static const double factor[] = {
        [NN_BATCH_SCALING_NONE] = 1, [NN_BATCH_SCALING_SQRT] = 2, [NN_BATCH_SCALING_LINEAR] = 4
    };
    for (int scaling = 0; scaling < 3; scaling++) {
        for (int quarter = 0; quarter < 2; quarter++) { // of the rows, or four times as many
            float parameter[16] = { 0 }, gradient[16] = { 3 };
            nn_optimizer_config config = plain;
            config.batch_scaling = scaling;
            nn_optimizer *optimizer;
            expect_ok(nn_optimizer_create(&optimizer, &config, parameter, gradient, 16));
            nn_optimizer_set_batch_ratio(optimizer, quarter ? 0.25 : 4);
            expect_ok(nn_optimizer_step(optimizer, NULL));
            double expected = quarter ? 1 / factor[scaling] : factor[scaling];
            assert_float_equal(parameter[0], -config.learning_rate * expected, 1e-9);
            nn_optimizer_destroy(&optimizer);
        }
    }
}

static void a_bad_gradient_changes_nothing(void **state)
{
    (void)state;
    float parameter[16] = { 1, 2 }, gradient[16] = { 0, NAN };
    nn_optimizer *optimizer;
    expect_ok(nn_optimizer_create(&optimizer, &plain, parameter, gradient, 16));
    expect_fails(GN_ERR_NUMERIC, "norm of the gradient is", nn_optimizer_step(optimizer, NULL));
    gradient[1] = INFINITY;
    expect_fails(GN_ERR_NUMERIC, "norm of the gradient is inf", nn_optimizer_step(optimizer, NULL));
    assert_true(parameter[0] == 1 && parameter[1] == 2);
    gradient[1] = 3e38f; // its square is beyond float
    double norm;
    expect_ok(nn_optimizer_step(optimizer, &norm));
    assert_float_equal(norm / 3e38, 1, 1e-6);
    nn_optimizer_destroy(&optimizer);
}

static void saved_state_continues_bit_for_bit(void **state)
{
    (void)state;
    float parameter[32], gradient[32], copy[32];
    test_rng rng = test_rng_seed(5);
    fill(&rng, parameter, 32, 1);
    nn_optimizer *optimizer, *resumed;
    expect_ok(nn_optimizer_create(&optimizer, &plain, parameter, gradient, 32));
    expect_ok(nn_optimizer_create(&resumed, &plain, copy, gradient, 32));
    for (int step = 0; step < 10; step++) {
        fill(&rng, gradient, 32, 1);
        expect_ok(nn_optimizer_step(optimizer, NULL));
    }
    gn_blob blob = { 0 };
    expect_ok(nn_optimizer_save(optimizer, &blob));
    expect_ok(gn_blob_status(&blob));
    memcpy(copy, parameter, sizeof copy);
    expect_ok(nn_optimizer_load(resumed, &blob));
    for (int step = 0; step < 10; step++) {
        fill(&rng, gradient, 32, 1);
        expect_ok(nn_optimizer_step(optimizer, NULL));
        expect_ok(nn_optimizer_step(resumed, NULL));
    }
    assert_memory_equal(copy, parameter, sizeof copy);

    gn_blob cut = { .data = blob.data, .size = blob.size - 1 };
    expect_fails(GN_ERR_CORRUPT, "optimizer.variance", nn_optimizer_load(resumed, &cut));
    gn_blob_free(&blob);
    nn_optimizer_destroy(&optimizer);
    nn_optimizer_destroy(&resumed);
}

static void target_follows(void **state)
{
    (void)state;
    float target[3] = { 0, 4, -8 }, online[3] = { 1, 0, 8 };
    nn_target_update(target, online, 3, 0.25);
    const float quarter[3] = { 0.25f, 3, -4 };
    assert_memory_equal(target, quarter, sizeof target);
    nn_target_update(target, online, 3, 1);
    assert_memory_equal(target, online, sizeof target);
}

static void create_fails_whole(void **state)
{
    (void)state;
    float parameter[16], gradient[16];
    nn_optimizer *optimizer = NULL;
    expect_fails(GN_ERR_ARG, "size 8 is not a multiple of 16",
                 nn_optimizer_create(&optimizer, &plain, parameter, gradient, 8));
    uint64_t live = gn_mem_live();
    gn_status status = GN_ERR_MEMORY;
    for (uint64_t nth = 1; status != GN_OK; nth++) {
        gn_mem_fail_at(nth);
        status = nn_optimizer_create(&optimizer, &plain, parameter, gradient, 16);
        gn_mem_fail_at(0);
        assert_true((status == GN_OK) == (optimizer != NULL));
        nn_optimizer_destroy(&optimizer);
        assert_int_equal(gn_mem_live(), live);
    }
}

TEST_MAIN(equals_torch_optim, clips_the_norm, the_learning_rate_follows_the_batch_as_told,
          a_bad_gradient_changes_nothing, saved_state_continues_bit_for_bit, target_follows,
          create_fails_whole)
