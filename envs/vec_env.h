// N copies of an environment with automatic reset: after a step that ends an episode the copy
// already stands at the start of the next one, and the final state is kept beside it.
//
// Observations are built only when asked for. Nothing is allocated after create.

#ifndef ENVS_VEC_ENV_H
#define ENVS_VEC_ENV_H

#include "envs/env.h"

typedef struct vec_env vec_env;

// Result of the last step. Pointers into the vec_env, valid until the next step.
typedef struct vec_env_step_view {
    const float *reward; // [N]
    const uint8_t *terminated, *truncated; // [N]
    const unsigned char *record; // [N, record_size], current state, after auto-reset
    const unsigned char *final_record; // [N, record_size], valid where an episode ended
    const double *episode_return; // [N], undiscounted, valid where an episode ended
    const uint64_t *episode_length; // [N], steps, valid where an episode ended
} vec_env_step_view;

// Creates the copies, each at the start of an episode. `config` is the struct of the class's
// options. Errors: GN_ERR_ARG for the number of copies; GN_ERR_CONFIG names an option outside its
// range; those of the class's create.
gn_status vec_env_create(vec_env **ret_env, const env_class *kind, const void *config,
                         const env_context *context);
void vec_env_destroy(vec_env **env);

const env_spec *vec_env_spec(const vec_env *env);

// The environment object behind it, for what only one class has (trading: the account).
const void *vec_env_object(const vec_env *env);

// Starts the next episode in every copy.
void vec_env_reset(vec_env *env);

// Errors: GN_ERR_ARG names copy and action if an action is out of range; then nothing was stepped.
gn_status vec_env_step(vec_env *env, const int32_t *action);

// The last step, or after reset the current records with no rewards.
const vec_env_step_view *vec_env_last(const vec_env *env);

// Current observations.  Shape: ret_observation: [N, observation_elements].
void vec_env_observe(const vec_env *env, void *ret_observation);

// The records the current observation of a copy is made of, valid until the next step.
// Shape: [stack, record_size].
const unsigned char *vec_env_window(const vec_env *env, uint32_t copy);

// Rebuilds n observations from rows of records: see decode in envs/env.h.
void vec_env_decode(const vec_env *env, const unsigned char *record, size_t stride, size_t n,
                    void *ret_observation);

// The same as a network takes them: see env_decode_float in envs/observe.h.
void vec_env_decode_float(const vec_env *env, const unsigned char *record, size_t stride, size_t n,
                          float *ret_observation);

// A loaded environment continues bit for bit. Errors: GN_ERR_CONFIG if the state is of other
// options, another market or number of copies; GN_ERR_CORRUPT; GN_ERR_MEMORY. Then nothing changed.
void vec_env_save(const vec_env *env, gn_blob *out);
gn_status vec_env_load(vec_env *env, gn_blob *in);

#endif
