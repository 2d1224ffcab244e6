// Mountain car against trajectories of Gymnasium, its start, what is refused.

#include "envs/classic/mountain_car.h"

#include "tests/envs/classic_checks.h"

static void follows_gymnasium_bit_for_bit(void **state)
{
    (void)state;
    classic_follows_gymnasium(&mountain_car_kind, "tests/golden/mountain_car.txt");
}

static void starts_at_rest_in_the_valley_and_everywhere_there(void **state)
{
    (void)state;
    enum { COPIES = 2000 };
    vec_env *env = classic_create_env(&mountain_car_class, COPIES, 200);
    static float observation[COPIES][2];
    vec_env_observe(env, observation);
    double least = 1, most = -1;
    for (int i = 0; i < COPIES; i++) {
        least = fmin(least, (double)observation[i][0]);
        most = fmax(most, (double)observation[i][0]);
        assert_true(observation[i][1] == 0);
    }
    assert_true(least >= (double)-0.6f && least < -0.599 && most <= (double)-0.4f && most > -0.401);
    vec_env_destroy(&env);
}

// The wall takes the speed, and only the wall.
static void the_left_wall_stops(void **state)
{
    (void)state;
    double now[2] = { -1.19, -0.07 };
    assert_int_equal(mountain_car_kind.dynamics(now, 0), 0);
    assert_true(now[0] == -1.2 && now[1] == 0);
    assert_int_equal(mountain_car_kind.dynamics(now, 2), 0);
    assert_true(now[0] > -1.2 && now[1] > 0);
}

static void swinging_climbs_the_hill(void **state)
{
    (void)state;
    vec_env *env = classic_create_env(&mountain_car_class, 1, 200);
    const vec_env_step_view *last = vec_env_last(env);
    while (!last->terminated[0]) {
        float seen[2];
        vec_env_observe(env, seen);
        expect_ok(vec_env_step(env, (int32_t[]){ seen[1] < 0 ? 0 : 2 }));
        assert_true(last->reward[0] == -1 && !last->truncated[0]);
    }
    assert_true(last->episode_return[0] == -(double)last->episode_length[0]);
    float final[2];
    vec_env_decode(env, last->final_record, sizeof final, 1, final);
    assert_true(final[0] >= 0.5f);
    vec_env_destroy(&env);
}

static void the_limit_truncates(void **state)
{
    (void)state;
    classic_limit_truncates(&mountain_car_class);
}

static void bad_options_and_states_are_refused(void **state)
{
    (void)state;
    classic_refuses(&mountain_car_class);
}

TEST_MAIN(follows_gymnasium_bit_for_bit, starts_at_rest_in_the_valley_and_everywhere_there,
          the_left_wall_stops, swinging_climbs_the_hill, the_limit_truncates,
          bad_options_and_states_are_refused)
