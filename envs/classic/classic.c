// Copies in a row, each stepped by the dynamics of the kind.

#include "envs/classic/classic.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "envs/saved_state.h"

// One copy. All fields are multiples of 8 bytes: no padding in saved bytes.
typedef struct classic_copy {
    double state[CLASSIC_STATE]; // what the kind does not use is 0
    uint64_t steps;
    gn_random random;
} classic_copy;

typedef struct classic_env {
    const classic_kind *kind;
    classic_config options;
    uint32_t copies;
    classic_copy copy[];
} classic_env;

gn_status classic_create(void **ret_env, const classic_kind *kind, const classic_config *config,
                         const env_context *context)
{
    assert(kind->state <= CLASSIC_STATE && kind->observation <= CLASSIC_OBSERVATION);
    classic_env *env;
    GN_TRY(gn_alloc(&env, 1, sizeof *env + context->copies * sizeof *env->copy));
    env->kind = kind;
    env->options = *config;
    env->copies = context->copies;
    for (uint32_t i = 0; i < env->copies; i++)
        env->copy[i].random = gn_random_stream(context->seed, context->purpose, i);
    *ret_env = env;
    return GN_OK;
}

void classic_destroy(void *env)
{
    gn_free(&env);
}

void classic_spec(const void *object, env_spec *ret_spec)
{
    const classic_env *env = object;
    const classic_kind *kind = env->kind;
    *ret_spec = (env_spec){
        .copies = env->copies,
        .actions = kind->actions,
        .dtype = ENV_FLOAT32,
        .rank = 1,
        .shape = { kind->observation },
        .observation_elements = kind->observation,
        .observation_size = kind->observation * sizeof(float),
        .record_size = kind->observation * sizeof(float),
        .stack = 1,
    };
}

void classic_reset(void *object, const uint32_t *index, size_t n)
{
    classic_env *env = object;
    for (size_t i = 0; i < n; i++) {
        assert(index[i] < env->copies);
        classic_copy *copy = &env->copy[index[i]];
        copy->steps = 0;
        env->kind->start(copy->state, &copy->random);
    }
}

void classic_step(void *object, const int32_t *action, float *ret_reward, uint8_t *ret_terminated,
                  uint8_t *ret_truncated)
{
    classic_env *env = object;
    const classic_kind kind = *env->kind; // a copy cannot change while results are written
    const uint64_t max_steps = (uint64_t)env->options.max_steps;
    for (uint32_t i = 0; i < env->copies; i++) {
        classic_copy *copy = &env->copy[i];
        copy->steps++;
        int terminated = kind.dynamics(copy->state, action[i]);
        ret_reward[i] = terminated ? kind.last_reward : kind.reward;
        ret_terminated[i] = terminated != 0;
        ret_truncated[i] = !terminated && copy->steps >= max_steps;
    }
}

// Rows of floats begin where floats may: callers give blocks from base/mem.h.
void classic_record(const void *object, unsigned char *ret_record)
{
    const classic_env *env = object;
    const classic_kind *kind = env->kind;
    float *out = (float *)(void *)ret_record;
    for (uint32_t i = 0; i < env->copies; i++)
        kind->observe(env->copy[i].state, out + (size_t)i * kind->observation);
}

void classic_decode(const void *object, const unsigned char *record, size_t stride, size_t n,
                    void *ret_observation)
{
    const classic_env *env = object;
    size_t size = env->kind->observation * sizeof(float);
    unsigned char *out = ret_observation;
    if (stride == size) {
        memcpy(out, record, n * size);
        return;
    }
    for (size_t i = 0; i < n; i++)
        memcpy(out + i * size, record + i * stride, size);
}

void classic_save(const void *object, gn_blob *out)
{
    const classic_env *env = object;
    saved_options_write(out, env->kind->name, &env->options, sizeof env->options);
    gn_blob_write(out, "classic.copies", env->copy, env->copies * sizeof *env->copy);
}

// Far beyond what any of the problems reaches; dynamics need not bear more.
static gn_status check_copies(const void *object, const void *copies)
{
    const classic_env *env = object;
    const classic_copy *copy = copies;
    const double limit = 1000;
    for (uint32_t i = 0; i < env->copies; i++) {
        for (int k = 0; k < CLASSIC_STATE; k++) {
            if (!(fabs(copy[i].state[k]) < limit))
                return gn_fail(GN_ERR_CORRUPT, "%s: %g in the state of copy %u is out of reach",
                               env->kind->name, copy[i].state[k], i);
        }
    }
    return GN_OK;
}

gn_status classic_load(void *object, gn_blob *in)
{
    classic_env *env = object;
    GN_TRY(saved_options_check(in, env->kind->name, env->kind->options, &env->options,
                               sizeof env->options));
    return saved_copies_read(in, "classic.copies", env, env->copy, env->copies * sizeof *env->copy,
                             check_copies);
}
