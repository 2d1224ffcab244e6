// The actor: chooses actions for the copies of a training environment by what the learner knows
// now. A share epsilon of them is random; the others are greedy or drawn by a softmax over the
// values. With noisy layers the noise is drawn anew for every step of the copies.
//
// All randomness is from streams of the actor (EXPLORE, one a copy, and NOISE) and is saved.

#ifndef RL_ACTOR_H
#define RL_ACTOR_H

#include "envs/vec_env.h"
#include "rl/learner.h"

typedef struct rl_actor rl_actor;

// Keeps config, env and learner; they must outlive the actor.
gn_status rl_actor_create(rl_actor **ret_actor, const rl_config *config, const vec_env *env,
                          rl_learner *learner);
void rl_actor_destroy(rl_actor **actor);

// Share of random actions where `progress` (0 to 1) of the run is done.
double rl_actor_epsilon(const rl_agent_config *agent, double progress);

// An action for each copy; progress: share of the run that is done.  Shape: ret_action: [copies].
// Errors: GN_ERR_BACKEND.
gn_status rl_actor_choose(rl_actor *actor, double progress, int32_t *ret_action);

void rl_actor_save(const rl_actor *actor, gn_blob *out);
gn_status rl_actor_load(rl_actor *actor, gn_blob *in);

#endif
