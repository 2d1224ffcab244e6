#include "rl/actor.h"

#include <math.h>

#include "base/mem.h"
#include "nn/noise.h"
#include "rl/choice.h"
#include "rl/schedule.h"

enum { NOISE_STREAM = 2 }; // the learner has the streams before

struct rl_actor {
    const rl_agent_config *agent;
    const vec_env *env;
    rl_learner *learner;
    gn_random *explore; // [copies]
    gn_random noise_random;
    nn_noise *noise; // NULL unless agent.noisy
    float *observation; // [inputs]
    float *value, *policy; // [actions]
};

static gn_status create(rl_actor *actor, uint64_t seed)
{
    const env_spec *spec = vec_env_spec(actor->env);
    GN_TRY(gn_alloc(&actor->explore, spec->copies, sizeof *actor->explore));
    GN_TRY(gn_alloc(&actor->observation, spec->observation_elements, sizeof(float)));
    GN_TRY(gn_alloc(&actor->value, spec->actions, sizeof(float)));
    GN_TRY(gn_alloc(&actor->policy, spec->actions, sizeof(float)));
    for (uint32_t i = 0; i < spec->copies; i++)
        actor->explore[i] = gn_random_stream(seed, GN_RANDOM_EXPLORE, i);
    actor->noise_random = gn_random_stream(seed, GN_RANDOM_NOISE, NOISE_STREAM);
    if (!actor->agent->noisy)
        return GN_OK;
    return nn_noise_create(&actor->noise, rl_learner_layout(actor->learner));
}

gn_status rl_actor_create(rl_actor **ret_actor, const rl_config *config, const vec_env *env,
                          rl_learner *learner)
{
    rl_actor *actor = NULL;
    GN_TRY(gn_alloc(&actor, 1, sizeof *actor));
    actor->agent = &config->agent;
    actor->env = env;
    actor->learner = learner;
    gn_status status = create(actor, (uint64_t)config->run.seed);
    if (status == GN_OK)
        *ret_actor = actor;
    else
        rl_actor_destroy(&actor);
    return status;
}

void rl_actor_destroy(rl_actor **actor)
{
    rl_actor *self = *actor;
    if (!self)
        return;
    nn_noise_destroy(&self->noise);
    gn_free(&self->explore);
    gn_free(&self->observation);
    gn_free(&self->value);
    gn_free(&self->policy);
    gn_free(actor);
}

double rl_actor_epsilon(const rl_agent_config *agent, double progress)
{
    double start = agent->epsilon_start, end = agent->epsilon_end;
    double share = agent->epsilon_fraction > 0 ? progress / agent->epsilon_fraction : 1;
    if (agent->epsilon_schedule == RL_EPSILON_EXPONENTIAL && share < 1)
        return start * pow(end / start, share);
    return rl_linear(start, end, share);
}

static gn_status choose(rl_actor *actor, const float *parameter, uint32_t copy, int32_t *ret_action)
{
    const rl_agent_config *agent = actor->agent;
    uint32_t actions = vec_env_spec(actor->env)->actions;
    vec_env_decode_float(actor->env, vec_env_window(actor->env, copy), 0, 1, actor->observation);
    GN_TRY(rl_learner_values(actor->learner, parameter, actor->observation, actor->value));
    if (agent->exploration == RL_EXPLORE_GREEDY) {
        *ret_action = rl_choice_argmax(actor->value, actions);
        return GN_OK;
    }
    rl_choice_softmax(actor->value, actions, agent->temperature, actor->policy, NULL);
    *ret_action = rl_choice_draw(actor->policy, actions, &actor->explore[copy]);
    return GN_OK;
}

// Only actions that are not random rebuild an observation.
gn_status rl_actor_choose(rl_actor *actor, double progress, int32_t *ret_action)
{
    const env_spec *spec = vec_env_spec(actor->env);
    double epsilon = rl_actor_epsilon(actor->agent, progress);
    GN_TRY(rl_learner_fetch(actor->learner));
    const float *parameter = rl_learner_parameters(actor->learner);
    if (actor->noise) {
        nn_noise_draw(actor->noise, &actor->noise_random);
        parameter = nn_noise_apply(actor->noise, parameter);
    }
    for (uint32_t i = 0; i < spec->copies; i++) {
        gn_random *random = &actor->explore[i];
        if (gn_random_unit(random) < epsilon)
            ret_action[i] = (int32_t)gn_random_below(random, spec->actions);
        else
            GN_TRY(choose(actor, parameter, i, &ret_action[i]));
    }
    return GN_OK;
}

void rl_actor_save(const rl_actor *actor, gn_blob *out)
{
    uint32_t copies = vec_env_spec(actor->env)->copies;
    for (uint32_t i = 0; i < copies; i++)
        gn_random_save(&actor->explore[i], "explore", out);
    gn_random_save(&actor->noise_random, "acting_noise", out);
}

gn_status rl_actor_load(rl_actor *actor, gn_blob *in)
{
    uint32_t copies = vec_env_spec(actor->env)->copies;
    for (uint32_t i = 0; i < copies; i++)
        gn_random_load(&actor->explore[i], "explore", in);
    gn_random_load(&actor->noise_random, "acting_noise", in);
    return gn_blob_status(in);
}
