#include "nn/loss.h"

#include <math.h>

#include "tests/support/autograd_oracle.h"
#include "tests/support/check.h"

// Errors 0.5, -2 and 3 with weights 1, 0.5 and 2:
//     loss = (1 * 0.125 + 0.5 * 1.5 + 2 * 2.5) / 3,  slopes 0.5, -1 and 1 times weight / 3
static void hand_computed(void **state)
{
    (void)state;
    const float q[] = { 1.5f, -2, 3 }, target[] = { 1, 0, 0 }, weight[] = { 1, 0.5f, 2 };
    float error[3], grad[3];
    double loss = nn_huber_loss(q, target, weight, 3, 1, error, grad);
    assert_float_equal(loss, 5.875 / 3, 1e-12);
    const float errors[] = { 0.5f, 2, 3 }, grads[] = { 0.5f / 3, -0.5f / 3, 2.0f / 3 };
    for (int i = 0; i < 3; i++)
        assert_float_equal(error[i], errors[i], 1e-7);
    for (int i = 0; i < 3; i++)
        assert_float_equal(grad[i], grads[i], 1e-7);
}

static void equals_autograd(void **state)
{
    (void)state;
    enum { N = 1000 };
    float q[N], target[N], weight[N], error[N], grad[N];
    double expected[N];
    test_rng rng = test_rng_seed(1);
    for (int i = 0; i < N; i++) {
        q[i] = (float)(6 * test_rng_unit(&rng) - 3);
        target[i] = (float)(6 * test_rng_unit(&rng) - 3);
        weight[i] = (float)test_rng_unit(&rng);
    }
    const double deltas[] = { 0.5, 1, 3, INFINITY };
    for (int d = 0; d < 4; d++) {
        double loss = nn_huber_loss(q, target, weight, N, deltas[d], error, grad);
        double oracle = oracle_huber_loss(q, target, weight, N, deltas[d], expected);
        assert_float_equal(loss, oracle, 1e-9);
        for (int i = 0; i < N; i++)
            assert_float_equal(grad[i], expected[i], 1e-8);
    }
}

static void a_nan_shows_in_the_loss(void **state)
{
    (void)state;
    float error, grad;
    assert_true(
        isnan(nn_huber_loss(&(float){ NAN }, &(float){ 0 }, &(float){ 1 }, 1, 1, &error, &grad)));
    assert_true(isnan(grad));
}

TEST_MAIN(hand_computed, equals_autograd, a_nan_shows_in_the_loss)
