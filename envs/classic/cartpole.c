// CartPole: the physics in double precision, the observation in float32.

#include "envs/classic/cartpole.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"

enum { STATE = 4, OBSERVATION_SIZE = STATE * sizeof(float) };

static const env_field cartpole_fields[] = {
    { "x", ENV_FIELD_F32, 0 },
    { "x_velocity", ENV_FIELD_F32, sizeof(float) },
    { "angle", ENV_FIELD_F32, 2 * sizeof(float) },
    { "angular_velocity", ENV_FIELD_F32, 3 * sizeof(float) },
    { 0 },
};

// One copy. All fields are multiples of 8 bytes: no padding in saved bytes.
typedef struct cartpole_copy {
    double state[STATE]; // x, x_dot, theta, theta_dot
    uint64_t steps;
    gn_random random;
} cartpole_copy;

typedef struct cartpole {
    uint32_t copies;
    uint64_t max_steps;
    cartpole_copy copy[];
} cartpole;

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

static gn_status cartpole_create(void **ret_env, const void *config, const env_context *context)
{
    const cartpole_config *options = config;
    cartpole *env;
    size_t size = sizeof *env + context->copies * sizeof *env->copy;
    GN_TRY(gn_alloc(&env, 1, size));
    env->copies = context->copies;
    env->max_steps = (uint64_t)options->max_steps;
    for (uint32_t i = 0; i < env->copies; i++)
        env->copy[i].random = gn_random_stream(context->seed, context->purpose, i);
    *ret_env = env;
    return GN_OK;
}

static void cartpole_destroy(void *env)
{
    gn_free(&env);
}

static void cartpole_spec(const void *object, env_spec *ret_spec)
{
    const cartpole *env = object;
    *ret_spec = (env_spec){
        .copies = env->copies,
        .actions = 2,
        .dtype = ENV_FLOAT32,
        .rank = 1,
        .shape = { STATE },
        .observation_elements = STATE,
        .observation_size = OBSERVATION_SIZE,
        .record_size = OBSERVATION_SIZE,
        .stack = 1,
    };
}

static void cartpole_reset(void *object, const uint32_t *index, size_t n)
{
    cartpole *env = object;
    for (size_t i = 0; i < n; i++) {
        assert(index[i] < env->copies);
        cartpole_copy *copy = &env->copy[index[i]];
        copy->steps = 0;
        for (int k = 0; k < STATE; k++)
            copy->state[k] = gn_random_uniform(&copy->random, -0.05, 0.05);
    }
}

static void cartpole_step(void *object, const int32_t *action, float *ret_reward,
                          uint8_t *ret_terminated, uint8_t *ret_truncated)
{
    cartpole *env = object;
    for (uint32_t i = 0; i < env->copies; i++) {
        cartpole_copy *copy = &env->copy[i];
        copy->steps++;
        ret_reward[i] = 1;
        ret_terminated[i] = cartpole_dynamics(copy->state, action[i]) != 0;
        ret_truncated[i] = !ret_terminated[i] && copy->steps >= env->max_steps;
    }
}

static void cartpole_record(const void *object, unsigned char *ret_record)
{
    const cartpole *env = object;
    for (uint32_t i = 0; i < env->copies; i++) {
        float observed[STATE];
        for (int k = 0; k < STATE; k++)
            observed[k] = (float)env->copy[i].state[k];
        memcpy(ret_record + i * sizeof observed, observed, sizeof observed);
    }
}

static void cartpole_decode(const void *object, const unsigned char *record, size_t stride,
                            size_t n, void *ret_observation)
{
    (void)object;
    unsigned char *out = ret_observation;
    for (size_t i = 0; i < n; i++)
        memcpy(out + i * OBSERVATION_SIZE, record + i * stride, OBSERVATION_SIZE);
}

static void cartpole_save(const void *object, gn_blob *out)
{
    const cartpole *env = object;
    gn_blob_write(out, "cartpole.max_steps", &env->max_steps, sizeof env->max_steps);
    gn_blob_write(out, "cartpole.copies", env->copy, env->copies * sizeof *env->copy);
}

static gn_status cartpole_load(void *object, gn_blob *in)
{
    cartpole *env = object;
    uint64_t max_steps;
    gn_blob_read(in, "cartpole.max_steps", &max_steps, sizeof max_steps);
    GN_TRY(gn_blob_status(in));
    if (max_steps != env->max_steps)
        return gn_fail(GN_ERR_CONFIG, "cartpole.max_steps: %llu in the saved state, %llu here",
                       (unsigned long long)max_steps, (unsigned long long)env->max_steps);
    cartpole_copy *loaded;
    GN_TRY(gn_alloc(&loaded, env->copies, sizeof *loaded));
    gn_blob_read(in, "cartpole.copies", loaded, env->copies * sizeof *loaded);
    if (gn_blob_status(in) == GN_OK)
        memcpy(env->copy, loaded, env->copies * sizeof *loaded);
    gn_free(&loaded);
    return gn_blob_status(in);
}

const env_class cartpole_class = {
    .name = "cartpole",
    .summary = "balance a pole on a cart: Gymnasium's CartPole-v1",
    .options = cartpole_options,
    .config_size = sizeof(cartpole_config),
    .fields = cartpole_fields,
    .create = cartpole_create,
    .destroy = cartpole_destroy,
    .spec = cartpole_spec,
    .reset = cartpole_reset,
    .step = cartpole_step,
    .record = cartpole_record,
    .decode = cartpole_decode,
    .save = cartpole_save,
    .load = cartpole_load,
};
