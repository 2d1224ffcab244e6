#include "envs/classic/mountain_car.h"

#include <math.h>

static const env_field mountain_car_fields[] = {
    { "position", ENV_FIELD_F32, 0 },
    { "velocity", ENV_FIELD_F32, sizeof(float) },
    { 0 },
};

const gn_option mountain_car_options[] = {
    GN_OPTION_INT(mountain_car_config, max_steps, "200", 1, 1e9,
                  "steps after which an episode is truncated"),
    { 0 },
};

static double clip(double value, double low, double high)
{
    return fmin(fmax(value, low), high);
}

static int mountain_car_dynamics(double *state, int32_t action)
{
    const double left = -1.2, right = 0.6, goal = 0.5, max_speed = 0.07;
    const double force = 0.001, gravity = 0.0025;

    double position = state[0], velocity = state[1];
    velocity += (action - 1) * force + cos(3 * position) * -gravity;
    velocity = clip(velocity, -max_speed, max_speed);
    position = clip(position + velocity, left, right);
    if (position == left && velocity < 0)
        velocity = 0;

    state[0] = position;
    state[1] = velocity;
    return position >= goal && velocity >= 0;
}

static void mountain_car_start(double *ret_state, gn_random *random)
{
    ret_state[0] = gn_random_uniform(random, -0.6, -0.4);
    ret_state[1] = 0;
}

static void mountain_car_observe(const double *state, float *ret_observation)
{
    ret_observation[0] = (float)state[0];
    ret_observation[1] = (float)state[1];
}

const classic_kind mountain_car_kind = {
    .name = "mountain-car",
    .options = mountain_car_options,
    .state = 2,
    .observation = 2,
    .actions = 3,
    .reward = -1,
    .last_reward = -1,
    .start = mountain_car_start,
    .dynamics = mountain_car_dynamics,
    .observe = mountain_car_observe,
};

static gn_status mountain_car_create(void **ret_env, const void *config, const env_context *context)
{
    return classic_create(ret_env, &mountain_car_kind, config, context);
}

const env_class mountain_car_class = {
    .name = "mountain-car",
    .summary = "drive a weak car out of a valley by swinging: Gymnasium's MountainCar-v0",
    .options = mountain_car_options,
    .config_size = sizeof(mountain_car_config),
    .fields = mountain_car_fields,
    .create = mountain_car_create,
    .destroy = classic_destroy,
    .spec = classic_spec,
    .reset = classic_reset,
    .step = classic_step,
    .record = classic_record,
    .decode = classic_decode,
    .save = classic_save,
    .load = classic_load,
};
