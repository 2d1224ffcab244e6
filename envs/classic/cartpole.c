// CartPole: the physics in double precision, the observation in float32.

#include "envs/classic/cartpole.h"

#include <math.h>

enum { STATE = 4 };

static const env_field cartpole_fields[] = {
    { "x", ENV_FIELD_F32, 0 },
    { "x_velocity", ENV_FIELD_F32, sizeof(float) },
    { "angle", ENV_FIELD_F32, 2 * sizeof(float) },
    { "angular_velocity", ENV_FIELD_F32, 3 * sizeof(float) },
    { 0 },
};

const gn_option cartpole_options[] = {
    GN_OPTION_INT(cartpole_config, max_steps, "500", 1, 1e9,
                  "steps after which an episode is truncated"),
    { 0 },
};

int cartpole_dynamics(double *state, int32_t action)
{
    const double gravity = 9.8, mass_pole = 0.1, mass = 0.1 + 1.0;
    const double half_length = 0.5, pole_moment = mass_pole * half_length;
    const double tau = 0.02; // seconds a step
    const double x_limit = 2.4, theta_limit = 12 * 2 * 3.14159265358979323846 / 360;

    double x_dot = state[1], theta = state[2], theta_dot = state[3];
    double force = action == 1 ? 10.0 : -10.0;
    double cosine = cos(theta), sine = sin(theta);
    double push = (force + pole_moment * (theta_dot * theta_dot) * sine) / mass;
    double theta_acc = (gravity * sine - cosine * push) /
                       (half_length * (4.0 / 3.0 - mass_pole * (cosine * cosine) / mass));
    double x_acc = push - pole_moment * theta_acc * cosine / mass;

    state[0] += tau * x_dot;
    state[1] += tau * x_acc;
    state[2] += tau * theta_dot;
    state[3] += tau * theta_acc;
    return fabs(state[0]) > x_limit || fabs(state[2]) > theta_limit;
}

static void cartpole_start(double *ret_state, gn_random *random)
{
    for (int k = 0; k < STATE; k++)
        ret_state[k] = gn_random_uniform(random, -0.05, 0.05);
}

static void cartpole_observe(const double *state, float *ret_observation)
{
    for (int k = 0; k < STATE; k++)
        ret_observation[k] = (float)state[k];
}

const classic_kind cartpole_kind = {
    .name = "cartpole",
    .options = cartpole_options,
    .state = STATE,
    .observation = STATE,
    .actions = 2,
    .reward = 1,
    .last_reward = 1,
    .start = cartpole_start,
    .dynamics = cartpole_dynamics,
    .observe = cartpole_observe,
};

static gn_status cartpole_create(void **ret_env, const void *config, const env_context *context)
{
    return classic_create(ret_env, &cartpole_kind, config, context);
}

const env_class cartpole_class = {
    .name = "cartpole",
    .summary = "balance a pole on a cart: Gymnasium's CartPole-v1",
    .options = cartpole_options,
    .config_size = sizeof(cartpole_config),
    .fields = cartpole_fields,
    .create = cartpole_create,
    .destroy = classic_destroy,
    .spec = classic_spec,
    .reset = classic_reset,
    .step = classic_step,
    .record = classic_record,
    .decode = classic_decode,
    .save = classic_save,
    .load = classic_load,
};
