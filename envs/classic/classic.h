// What the classic control problems share: a state of a few doubles, dynamics without chance, a
// random start, an observation in float32 that is also the record, and a limit of steps. A problem
// is a classic_kind; the functions below are those of its env_class.

#ifndef ENVS_CLASSIC_CLASSIC_H
#define ENVS_CLASSIC_CLASSIC_H

#include "envs/env.h"

enum { CLASSIC_STATE = 4, CLASSIC_OBSERVATION = 6 }; // the most there may be

// The options of every problem.
typedef struct classic_config {
    int64_t max_steps; // after which an episode is truncated
} classic_config;

typedef struct classic_kind {
    const char *name; // of the class
    const gn_option *options; // of a classic_config
    uint32_t state, observation, actions; // how many
    float reward, last_reward; // of a step, of one that terminates

    // Draws the state an episode starts from.  Shape: ret_state: [state].
    void (*start)(double *ret_state, gn_random *random);
    // One step in place; returns 1 if it terminates the episode.  Shape: state: [state].
    int (*dynamics)(double *state, int32_t action);
    // Shapes: state: [state]; ret_observation: [observation].
    void (*observe)(const double *state, float *ret_observation);
} classic_kind;

// create of a class calls this; `kind` must outlive the environment. Errors: GN_ERR_MEMORY.
gn_status classic_create(void **ret_env, const classic_kind *kind, const classic_config *config,
                         const env_context *context);

void classic_destroy(void *env);
void classic_spec(const void *env, env_spec *ret_spec);
void classic_reset(void *env, const uint32_t *copy, size_t n);
void classic_step(void *env, const int32_t *action, float *ret_reward, uint8_t *ret_terminated,
                  uint8_t *ret_truncated);
void classic_record(const void *env, unsigned char *ret_record);
void classic_decode(const void *env, const unsigned char *record, size_t stride, size_t n,
                    void *ret_observation);
void classic_save(const void *env, gn_blob *out);

// Errors: as load in envs/env.h; GN_ERR_CORRUPT also for a state no episode gets to.
gn_status classic_load(void *env, gn_blob *in);

#endif
