// The learner: one update on a batch from the replay buffer, for every head and all its options.
//
//     target   Z_i = R_i + gamma^k sum_a pi(a | s_{i+k}) (Z'(s_{i+k}, a) - tau log pi(a | s_{i+k}))
//     loss     1/B sum_i w_i L(Z(s_i, a_i), Z_i),   priority_i = the head's error
//
// pi is greedy (and the log-term absent) unless agent.munchausen: then it is a softmax, and
// alpha [tau log pi(a_i | s_i)] is added to R_i. Its values are the online network's with
// agent.double_q, otherwise the target network's (Z'). Z, L and the error are nn/head.h's; R_i and
// gamma^k (0 after a termination) come from the buffer. The loss is a mean: where B changes from
// update to update the gradient keeps its size, and optimizer.batch_scaling says what becomes of
// the learning rate. Nothing of ours is allocated after create.
// Source: Mnih et al. 2015; van Hasselt et al. 2016, arXiv:1509.06461; Vieillard et al. 2020,
// arXiv:2007.14430.

#ifndef RL_LEARNER_H
#define RL_LEARNER_H

#include "envs/vec_env.h"
#include "nn/net.h"
#include "replay/sampler.h"
#include "rl/config.h"
#include "shim/device.h"

typedef struct rl_learner rl_learner;

// A freshly initialised network for environments of `spec` (stream INIT of the seed).
// Observations of bytes are learned from as float32, divided by 255.
// Errors: those of nn_layout_create, nn_head_create and nn_model_create.
gn_status rl_learner_create(rl_learner **ret_learner, const rl_config *config, const env_spec *spec,
                            device on);
void rl_learner_destroy(rl_learner **learner);

// How the next update is to be made.
typedef struct rl_update_plan {
    double beta; // exponent of the importance weights
    uint64_t batch; // steps, 1 to rl_batch_size_largest; even where it measures
    bool measure; // the gradients of the halves; only where train.batch_schedule is auto
} rl_update_plan;

// What an update reports.
typedef struct rl_update {
    double loss, gradient_norm, mean_q; // mean_q: of the chosen actions in the batch
    double target_cut; // share of what the targets say that head.v_min and head.v_max cut off
    double half_square; // |G_b|^2 of rl/batch_size.h if it was measured, else 0; |G_B| is
                        // gradient_norm
} rl_update;

// Takes the batch that is due from the sampler, learns, writes priorities back. env rebuilds
// observations from records; it is of the learner's spec. Where batches are drawn ahead,
// plan->batch is the size of the one drawn now; only one of this size is measured. What is measured
// changes nothing in what is learnt. Errors: GN_ERR_ARG: no such batch; GN_ERR_EMPTY (no steps
// yet); GN_ERR_NUMERIC if loss or gradient is not finite: then the parameters are as before;
// GN_ERR_BACKEND; those of replay_sampler_next.
gn_status rl_learner_update(rl_learner *learner, replay_sampler *sampler, const vec_env *env,
                            const rl_update_plan *plan, gn_random *random, rl_update *ret_update);

// target = tau * online + (1 - tau) * target.
gn_status rl_learner_update_target(rl_learner *learner);

// What actions are chosen by: the risk measure of the options over each action's return.
// parameter: [layout->size], the online network's or those with noise.
// Shapes: observation: [inputs]; ret_value: [actions]. Errors: GN_ERR_BACKEND.
gn_status rl_learner_values(rl_learner *learner, const float *parameter, const float *observation,
                            float *ret_value);

// Greedy action of one observation [inputs], without noise; ties go to the lower action.
gn_status rl_learner_greedy(rl_learner *learner, const float *observation, int32_t *ret_action);

const nn_layout *rl_learner_layout(const rl_learner *learner);

// The online network [layout->size]; of another device than the CPU a copy, as it was when fetched
// last. Written to only before rl_learner_load, which takes it over, or to act by.
float *rl_learner_parameters(rl_learner *learner);
gn_status rl_learner_fetch(rl_learner *learner);

// Everything but the online network, which a checkpoint keeps as weights.
gn_status rl_learner_save(const rl_learner *learner, gn_blob *out);
gn_status rl_learner_load(rl_learner *learner, gn_blob *in);

#endif
