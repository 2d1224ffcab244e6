// Acrobot: every operation in Gymnasium's order, so that rounding is the same too.

#include "envs/classic/acrobot.h"

#include <math.h>
#include <string.h>

enum { STATE = 4, OBSERVATION = 6 };

static const double pi = 3.14159265358979323846;

static const env_field acrobot_fields[] = {
    { "cos_theta1", ENV_FIELD_F32, 0 },
    { "sin_theta1", ENV_FIELD_F32, sizeof(float) },
    { "cos_theta2", ENV_FIELD_F32, 2 * sizeof(float) },
    { "sin_theta2", ENV_FIELD_F32, 3 * sizeof(float) },
    { "theta1_velocity", ENV_FIELD_F32, 4 * sizeof(float) },
    { "theta2_velocity", ENV_FIELD_F32, 5 * sizeof(float) },
    { 0 },
};

const gn_option acrobot_options[] = {
    GN_OPTION_INT(acrobot_config, max_steps, "500", 1, 1e9,
                  "steps after which an episode is truncated"),
    { 0 },
};

// As numpy squares a number: by pow, which is not always the rounded product x * x. The compiler
// must not see the exponent, or it writes the product.
static double square(double x)
{
    static const volatile double two = 2;
    return pow(x, two);
}

// Time derivatives of a state under a torque. Both links: length 1, mass 1, centre of mass 0.5,
// moment of inertia 1.
static void derive(const double *state, double torque, double *ret_derivative)
{
    const double m1 = 1, m2 = 1, l1 = 1, lc1 = 0.5, lc2 = 0.5, i1 = 1, i2 = 1, g = 9.8;
    double theta1 = state[0], theta2 = state[1], dtheta1 = state[2], dtheta2 = state[3];
    double cosine2 = cos(theta2), sine2 = sin(theta2);

    double d1 = m1 * (lc1 * lc1) + m2 * (l1 * l1 + lc2 * lc2 + 2 * l1 * lc2 * cosine2) + i1 + i2;
    double d2 = m2 * (lc2 * lc2 + l1 * lc2 * cosine2) + i2;
    double phi2 = m2 * lc2 * g * cos(theta1 + theta2 - pi / 2);
    double phi1 = -m2 * l1 * lc2 * square(dtheta2) * sine2 -
                  2 * m2 * l1 * lc2 * dtheta2 * dtheta1 * sine2 +
                  (m1 * lc1 + m2 * l1) * g * cos(theta1 - pi / 2) + phi2;
    double ddtheta2 = (torque + d2 / d1 * phi1 - m2 * l1 * lc2 * square(dtheta1) * sine2 - phi2) /
                      (m2 * (lc2 * lc2) + i2 - square(d2) / d1);

    ret_derivative[0] = dtheta1;
    ret_derivative[1] = dtheta2;
    ret_derivative[2] = -(d2 * ddtheta2 + phi1) / d1;
    ret_derivative[3] = ddtheta2;
}

static void derive_ahead(const double *state, double seconds, const double *slope, double torque,
                         double *ret_derivative)
{
    double ahead[STATE];
    for (int k = 0; k < STATE; k++)
        ahead[k] = state[k] + seconds * slope[k];
    derive(ahead, torque, ret_derivative);
}

static double wrap(double angle)
{
    while (angle > pi)
        angle -= 2 * pi;
    while (angle < -pi)
        angle += 2 * pi;
    return angle;
}

static double bound(double velocity, double limit)
{
    return fmin(fmax(velocity, -limit), limit);
}

static int acrobot_dynamics(double *state, int32_t action)
{
    const double dt = 0.2; // seconds a step
    double torque = action - 1;
    double k1[STATE], k2[STATE], k3[STATE], k4[STATE];
    derive(state, torque, k1);
    derive_ahead(state, dt / 2, k1, torque, k2);
    derive_ahead(state, dt / 2, k2, torque, k3);
    derive_ahead(state, dt, k3, torque, k4);
    for (int k = 0; k < STATE; k++)
        state[k] += dt / 6 * (k1[k] + 2 * k2[k] + 2 * k3[k] + k4[k]);

    state[0] = wrap(state[0]);
    state[1] = wrap(state[1]);
    state[2] = bound(state[2], 4 * pi);
    state[3] = bound(state[3], 9 * pi);
    return -cos(state[0]) - cos(state[1] + state[0]) > 1;
}

// Gymnasium rounds the state of a start to float32.
static void acrobot_start(double *ret_state, gn_random *random)
{
    for (int k = 0; k < STATE; k++)
        ret_state[k] = (float)gn_random_uniform(random, -0.1, 0.1);
}

static void acrobot_observe(const double *state, float *ret_observation)
{
    const float observed[OBSERVATION] = {
        (float)cos(state[0]), (float)sin(state[0]), (float)cos(state[1]),
        (float)sin(state[1]), (float)state[2],      (float)state[3],
    };
    memcpy(ret_observation, observed, sizeof observed);
}

const classic_kind acrobot_kind = {
    .name = "acrobot",
    .options = acrobot_options,
    .state = STATE,
    .observation = OBSERVATION,
    .actions = 3,
    .reward = -1,
    .last_reward = 0,
    .start = acrobot_start,
    .dynamics = acrobot_dynamics,
    .observe = acrobot_observe,
};

static gn_status acrobot_create(void **ret_env, const void *config, const env_context *context)
{
    return classic_create(ret_env, &acrobot_kind, config, context);
}

const env_class acrobot_class = {
    .name = "acrobot",
    .summary = "swing up two links by the joint between them: Gymnasium's Acrobot-v1",
    .options = acrobot_options,
    .config_size = sizeof(acrobot_config),
    .fields = acrobot_fields,
    .create = acrobot_create,
    .destroy = classic_destroy,
    .spec = classic_spec,
    .reset = classic_reset,
    .step = classic_step,
    .record = classic_record,
    .decode = classic_decode,
    .save = classic_save,
    .load = classic_load,
};
