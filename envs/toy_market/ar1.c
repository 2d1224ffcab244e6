// AR(1): signal and position of each copy.

#include "envs/toy_market/ar1.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "envs/saved_state.h"

enum { OBSERVATION = 2, OBSERVATION_SIZE = OBSERVATION * sizeof(float) };

static const env_field ar1_fields[] = {
    { "signal", ENV_FIELD_F32, 0 },
    { "position", ENV_FIELD_F32, sizeof(float) },
    { 0 },
};

// One copy. All fields are multiples of 8 bytes: no padding in saved bytes.
typedef struct ar1_copy {
    double signal;
    int64_t position; // AR1_SHORT ..
    uint64_t steps;
    gn_random random;
} ar1_copy;

typedef struct ar1_env {
    ar1_config options;
    uint32_t copies;
    ar1_copy copy[];
} ar1_env;

const gn_option ar1_options[] = {
    GN_OPTION_REAL(ar1_config, phi, "0.9", 0, 0.99, "share of the signal that stays a step"),
    GN_OPTION_REAL(ar1_config, sigma, "0.436", 1e-6, 1000,
                   "standard deviation of what is new in the signal each step"),
    GN_OPTION_REAL(ar1_config, noise, "1", 0, 1000,
                   "standard deviation of a return around the signal"),
    GN_OPTION_REAL(ar1_config, fee, "1.5", 0, 1000, "cost of changing the position by 1"),
    GN_OPTION_INT(ar1_config, length, "256", 1, 1e9, "steps after which an episode is truncated"),
    { 0 },
};

double ar1_deviation(const ar1_config *config)
{
    return config->sigma / sqrt(1 - config->phi * config->phi);
}

static gn_status ar1_create(void **ret_env, const void *config, const env_context *context)
{
    ar1_env *env;
    GN_TRY(gn_alloc(&env, 1, sizeof *env + context->copies * sizeof *env->copy));
    env->options = *(const ar1_config *)config;
    env->copies = context->copies;
    for (uint32_t i = 0; i < env->copies; i++)
        env->copy[i].random = gn_random_stream(context->seed, context->purpose, i);
    *ret_env = env;
    return GN_OK;
}

static void ar1_destroy(void *env)
{
    gn_free(&env);
}

static void ar1_spec(const void *object, env_spec *ret_spec)
{
    const ar1_env *env = object;
    *ret_spec = (env_spec){
        .copies = env->copies,
        .actions = AR1_POSITIONS,
        .dtype = ENV_FLOAT32,
        .rank = 1,
        .shape = { OBSERVATION },
        .observation_elements = OBSERVATION,
        .observation_size = OBSERVATION_SIZE,
        .record_size = OBSERVATION_SIZE,
        .stack = 1,
    };
}

static void ar1_reset(void *object, const uint32_t *index, size_t n)
{
    ar1_env *env = object;
    for (size_t i = 0; i < n; i++) {
        assert(index[i] < env->copies);
        ar1_copy *copy = &env->copy[index[i]];
        copy->signal = ar1_deviation(&env->options) * gn_random_normal(&copy->random);
        copy->position = AR1_FLAT;
        copy->steps = 0;
    }
}

static void ar1_step(void *object, const int32_t *action, float *ret_reward,
                     uint8_t *ret_terminated, uint8_t *ret_truncated)
{
    ar1_env *env = object;
    const ar1_config *options = &env->options;
    for (uint32_t i = 0; i < env->copies; i++) {
        ar1_copy *copy = &env->copy[i];
        double change = (double)llabs(action[i] - copy->position);
        double exposure = action[i] - AR1_FLAT;
        double gain = copy->signal + options->noise * gn_random_normal(&copy->random);
        copy->signal =
            options->phi * copy->signal + options->sigma * gn_random_normal(&copy->random);
        copy->position = action[i];
        copy->steps++;
        ret_reward[i] = (float)(exposure * gain - options->fee * change);
        ret_terminated[i] = 0;
        ret_truncated[i] = copy->steps >= (uint64_t)options->length;
    }
}

static void ar1_record(const void *object, unsigned char *ret_record)
{
    const ar1_env *env = object;
    for (uint32_t i = 0; i < env->copies; i++) {
        const ar1_copy *copy = &env->copy[i];
        const float observed[] = { (float)copy->signal, (float)(copy->position - AR1_FLAT) };
        memcpy(ret_record + i * sizeof observed, observed, sizeof observed);
    }
}

static void ar1_decode(const void *object, const unsigned char *record, size_t stride, size_t n,
                       void *ret_observation)
{
    (void)object;
    unsigned char *out = ret_observation;
    for (size_t i = 0; i < n; i++)
        memcpy(out + i * OBSERVATION_SIZE, record + i * stride, OBSERVATION_SIZE);
}

static void ar1_save(const void *object, gn_blob *out)
{
    const ar1_env *env = object;
    saved_options_write(out, "ar1", &env->options, sizeof env->options);
    gn_blob_write(out, "ar1.copies", env->copy, env->copies * sizeof *env->copy);
}

static gn_status check_copies(const void *object, const void *copies)
{
    const ar1_env *env = object;
    const ar1_copy *copy = copies;
    for (uint32_t i = 0; i < env->copies; i++) {
        if (!isfinite(copy[i].signal) || copy[i].position < AR1_SHORT ||
            copy[i].position > AR1_LONG)
            return gn_fail(GN_ERR_CORRUPT, "ar1.copies: signal or position of copy %u is none", i);
    }
    return GN_OK;
}

static gn_status ar1_load(void *object, gn_blob *in)
{
    ar1_env *env = object;
    GN_TRY(saved_options_check(in, "ar1", ar1_options, &env->options, sizeof env->options));
    return saved_copies_read(in, "ar1.copies", env, env->copy, env->copies * sizeof *env->copy,
                             check_copies);
}

const env_class ar1_class = {
    .name = "ar1",
    .summary = "trade a fading signal against a fee: the best policy is known",
    .options = ar1_options,
    .config_size = sizeof(ar1_config),
    .fields = ar1_fields,
    .create = ar1_create,
    .destroy = ar1_destroy,
    .spec = ar1_spec,
    .reset = ar1_reset,
    .step = ar1_step,
    .record = ar1_record,
    .decode = ar1_decode,
    .save = ar1_save,
    .load = ar1_load,
};
