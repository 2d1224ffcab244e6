// Probabilities and choices from values, against closed forms and frequencies.

#include "rl/choice.h"

#include <math.h>

#include "tests/support/check.h"

static void ties_go_to_the_lower_index(void **state)
{
    (void)state;
    float policy[4];
    assert_int_equal(rl_choice_argmax((const float[]){ 1, 3, 3, 2 }, 4), 1);
    assert_int_equal(rl_choice_argmax((const float[]){ -1 }, 1), 0);
    rl_choice_greedy((const float[]){ 1, 3, 3, 2 }, 4, policy);
    assert_memory_equal(policy, ((const float[]){ 0, 1, 0, 0 }), sizeof policy);
}

static void a_softmax_is_the_closed_form(void **state)
{
    (void)state;
    const float value[3] = { 1, 2, 4 };
    const double temperature = 0.5;
    float policy[3], log_policy[3];
    double sum = exp(1 / temperature) + exp(2 / temperature) + exp(4 / temperature), total = 0;
    rl_choice_softmax(value, 3, temperature, policy, log_policy);
    for (int i = 0; i < 3; i++) {
        double expected = exp(value[i] / temperature) / sum;
        assert_float_equal(policy[i], expected, 1e-7);
        assert_float_equal(log_policy[i], temperature * log(expected), 1e-6);
        total += policy[i];
    }
    assert_float_equal(total, 1, 1e-6);
}

// A probability becomes 0 long before its logarithm ceases to be a number.
static void logarithms_stay_finite(void **state)
{
    (void)state;
    const float value[2] = { 0, 1e6f };
    float policy[2], log_policy[2];
    rl_choice_softmax(value, 2, 0.03, policy, log_policy);
    assert_true(policy[0] == 0 && policy[1] == 1);
    assert_true(log_policy[0] == -1e6f && log_policy[1] == 0);
}

static void draws_have_the_frequencies_of_the_policy(void **state)
{
    (void)state;
    enum { DRAWS = 200000 };
    const float policy[5] = { 0.1f, 0, 0.6f, 0.3f, 0 };
    uint64_t count[5] = { 0 };
    gn_random random = gn_random_stream(1, GN_RANDOM_TEST, 0);
    for (int i = 0; i < DRAWS; i++)
        count[rl_choice_draw(policy, 5, &random)]++;
    assert_int_equal(random.position, 2 * DRAWS);
    assert_true(count[1] == 0 && count[4] == 0);
    for (int i = 0; i < 5; i++) {
        double deviation = sqrt(DRAWS * policy[i] * (1 - policy[i])) + 1;
        assert_true(fabs((double)count[i] - DRAWS * policy[i]) < 5 * deviation);
    }
}

// Where rounding leaves the sum below 1, what is left goes to the last action there is.
static void a_sum_below_one_draws_no_impossible_action(void **state)
{
    (void)state;
    const float policy[3] = { 0.5f, 0.25f, 0 };
    gn_random random = gn_random_stream(2, GN_RANDOM_TEST, 0);
    int ones = 0;
    for (int i = 0; i < 1000; i++) {
        int32_t drawn = rl_choice_draw(policy, 3, &random);
        assert_true(drawn == 0 || drawn == 1);
        ones += drawn;
    }
    assert_true(ones > 400 && ones < 600);
}

TEST_MAIN(ties_go_to_the_lower_index, a_softmax_is_the_closed_form, logarithms_stay_finite,
          draws_have_the_frequencies_of_the_policy, a_sum_below_one_draws_no_impossible_action)
