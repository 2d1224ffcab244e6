// Chain: one number a copy.

#include "envs/tabular/chain.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "envs/saved_state.h"

static const env_field chain_fields[] = { { "state", ENV_FIELD_U32, 0 }, { 0 } };

// One copy. All fields are multiples of 8 bytes: no padding in saved bytes.
typedef struct chain_copy {
    uint64_t state; // number
    uint64_t steps;
    gn_random random;
} chain_copy;

typedef struct chain_env {
    chain_config options;
    uint32_t copies;
    chain_copy copy[];
} chain_env;

const gn_option chain_options[] = {
    GN_OPTION_INT(chain_config, states, "5", 2, CHAIN_STATES_MAX, "states between the two ends"),
    GN_OPTION_REAL(chain_config, slip, "0.1", 0, 0.5, "probability that a step goes the other way"),
    GN_OPTION_REAL(chain_config, exit, "0.875", 0, 1, "reward for leaving at the back"),
    GN_OPTION_REAL(chain_config, noise, "0.5", 0, 10,
                   "the goal pays 1 plus or minus this, each as likely"),
    GN_OPTION_INT(chain_config, max_steps, "100", 1, 1e9,
                  "steps after which an episode is truncated"),
    { 0 },
};

uint32_t chain_neighbour(const chain_config *config, uint32_t state, int way)
{
    if (way == CHAIN_FORTH)
        return state + 1; // after the last state comes the goal
    return state > 0 ? state - 1 : chain_exit(config);
}

static gn_status chain_create(void **ret_env, const void *config, const env_context *context)
{
    chain_env *env;
    GN_TRY(gn_alloc(&env, 1, sizeof *env + context->copies * sizeof *env->copy));
    env->options = *(const chain_config *)config;
    env->copies = context->copies;
    for (uint32_t i = 0; i < env->copies; i++)
        env->copy[i].random = gn_random_stream(context->seed, context->purpose, i);
    *ret_env = env;
    return GN_OK;
}

static void chain_destroy(void *env)
{
    gn_free(&env);
}

static void chain_spec(const void *object, env_spec *ret_spec)
{
    const chain_env *env = object;
    uint32_t states = (uint32_t)env->options.states;
    *ret_spec = (env_spec){
        .copies = env->copies,
        .actions = CHAIN_ACTIONS,
        .dtype = ENV_FLOAT32,
        .rank = 1,
        .shape = { states },
        .observation_elements = states,
        .observation_size = states * sizeof(float),
        .record_size = sizeof(uint32_t),
        .stack = 1,
    };
}

static void chain_reset(void *object, const uint32_t *index, size_t n)
{
    chain_env *env = object;
    for (size_t i = 0; i < n; i++) {
        assert(index[i] < env->copies);
        chain_copy *copy = &env->copy[index[i]];
        copy->steps = 0;
        copy->state = gn_random_below(&copy->random, (uint32_t)env->options.states);
    }
}

static double reward_of(const chain_config *config, uint32_t state, gn_random *random)
{
    if (state == chain_exit(config))
        return config->exit;
    if (state == chain_goal(config))
        return gn_random_u32(random) & 1 ? 1 + config->noise : 1 - config->noise;
    return 0;
}

static void chain_step(void *object, const int32_t *action, float *ret_reward,
                       uint8_t *ret_terminated, uint8_t *ret_truncated)
{
    chain_env *env = object;
    const chain_config *options = &env->options;
    for (uint32_t i = 0; i < env->copies; i++) {
        chain_copy *copy = &env->copy[i];
        assert(copy->state < (uint64_t)options->states);
        int slips = gn_random_unit(&copy->random) < options->slip;
        uint32_t next = chain_neighbour(options, (uint32_t)copy->state, action[i] ^ slips);
        copy->state = next;
        copy->steps++;
        ret_reward[i] = (float)reward_of(options, next, &copy->random);
        ret_terminated[i] = next >= chain_goal(options);
        ret_truncated[i] = !ret_terminated[i] && copy->steps >= (uint64_t)options->max_steps;
    }
}

static void chain_record(const void *object, unsigned char *ret_record)
{
    const chain_env *env = object;
    for (uint32_t i = 0; i < env->copies; i++) {
        uint32_t state = (uint32_t)env->copy[i].state;
        memcpy(ret_record + i * sizeof state, &state, sizeof state);
    }
}

static void chain_decode(const void *object, const unsigned char *record, size_t stride, size_t n,
                         void *ret_observation)
{
    const chain_env *env = object;
    size_t states = (size_t)env->options.states;
    float *out = ret_observation;
    memset(out, 0, n * states * sizeof *out);
    for (size_t i = 0; i < n; i++) {
        uint32_t state;
        memcpy(&state, record + i * stride, sizeof state);
        if (state < states)
            out[i * states + state] = 1;
    }
}

static void chain_save(const void *object, gn_blob *out)
{
    const chain_env *env = object;
    saved_options_write(out, "chain", &env->options, sizeof env->options);
    gn_blob_write(out, "chain.copies", env->copy, env->copies * sizeof *env->copy);
}

static gn_status check_copies(const void *object, const void *copies)
{
    const chain_env *env = object;
    const chain_copy *copy = copies;
    for (uint32_t i = 0; i < env->copies; i++) {
        if (copy[i].state >= (uint64_t)env->options.states)
            return gn_fail(GN_ERR_CORRUPT, "chain.copies: the state of copy %u is outside", i);
    }
    return GN_OK;
}

static gn_status chain_load(void *object, gn_blob *in)
{
    chain_env *env = object;
    GN_TRY(saved_options_check(in, "chain", chain_options, &env->options, sizeof env->options));
    return saved_copies_read(in, "chain.copies", env, env->copy, env->copies * sizeof *env->copy,
                             check_copies);
}

const env_class chain_class = {
    .name = "chain",
    .summary = "leave a chain of states, surely at the back or for more at the front: values and "
               "return distributions are known",
    .options = chain_options,
    .config_size = sizeof(chain_config),
    .fields = chain_fields,
    .create = chain_create,
    .destroy = chain_destroy,
    .spec = chain_spec,
    .reset = chain_reset,
    .step = chain_step,
    .record = chain_record,
    .decode = chain_decode,
    .save = chain_save,
    .load = chain_load,
};
