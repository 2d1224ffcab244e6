// Acrobot against trajectories of Gymnasium, its start, its rewards, what is refused.

#include "envs/classic/acrobot.h"

#include "tests/envs/classic_checks.h"

static void follows_gymnasium_bit_for_bit(void **state)
{
    (void)state;
    classic_follows_gymnasium(&acrobot_kind, "tests/golden/acrobot.txt");
}

static void starts_hanging_and_everywhere_there(void **state)
{
    (void)state;
    enum { COPIES = 2000 };
    vec_env *env = classic_create_env(&acrobot_class, COPIES, 500);
    static float observation[COPIES][6];
    vec_env_observe(env, observation);
    static const int sizes[] = { 1, 3, 4, 5 }; // sines and velocities
    for (int k = 0; k < 4; k++) {
        double least = 1, most = -1;
        for (int i = 0; i < COPIES; i++) {
            least = fmin(least, (double)observation[i][sizes[k]]);
            most = fmax(most, (double)observation[i][sizes[k]]);
            assert_true(observation[i][0] >= 0.995f && observation[i][2] >= 0.995f);
        }
        double limit = k < 2 ? sin(0.1) : 0.1;
        assert_true(least >= -limit - 1e-8 && least < -0.98 * limit);
        assert_true(most <= limit + 1e-8 && most > 0.98 * limit);
    }
    vec_env_destroy(&env);
}

static void getting_there_costs_nothing(void **state)
{
    (void)state;
    vec_env *env = classic_create_env(&acrobot_class, 1, 500);
    const vec_env_step_view *last = vec_env_last(env);
    uint64_t steps = 0;
    while (!last->terminated[0]) {
        float seen[6];
        vec_env_observe(env, seen);
        expect_ok(vec_env_step(env, (int32_t[]){ seen[5] > 0 ? 2 : 0 }));
        assert_true(last->reward[0] == (last->terminated[0] ? 0 : -1));
        assert_int_equal(last->truncated[0], 0);
        steps++;
    }
    assert_true(last->episode_return[0] == 1 - (double)steps);
    float final[6];
    vec_env_decode(env, last->final_record, sizeof final, 1, final);
    float height = -final[0] - (final[0] * final[2] - final[1] * final[3]);
    assert_true(height > 1 - 1e-6f);
    vec_env_destroy(&env);
}

static void the_limit_truncates(void **state)
{
    (void)state;
    classic_limit_truncates(&acrobot_class);
}

static void bad_options_and_states_are_refused(void **state)
{
    (void)state;
    classic_refuses(&acrobot_class);
}

TEST_MAIN(follows_gymnasium_bit_for_bit, starts_hanging_and_everywhere_there,
          getting_there_costs_nothing, the_limit_truncates, bad_options_and_states_are_refused)
