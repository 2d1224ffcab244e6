// The one interface of environments. Batch-first: an environment object is N independent copies
// stepped together. A class is a row of env_classes (envs/registry.c); a new environment is one
// file and one row.
//
// What an agent sees is an observation; what the replay keeps is a record: the compact state an
// observation can be rebuilt from (trading: bar index and account, 16 bytes instead of a window).
// An observation may need the last few records (frames of a game): then records are still kept one
// by one, and decode gets stacks of them.
//
//     reset -> observe/record -> step -> observe/record -> ... -> step says terminated or truncated
//
// After a step that ended an episode, observe and record still show the final state until reset.
// Auto-reset is envs/vec_env.h. All randomness comes from streams (seed, purpose, index of the
// copy).

#ifndef ENVS_ENV_H
#define ENVS_ENV_H

#include <stddef.h>
#include <stdint.h>

#include "base/blob.h"
#include "base/option.h"
#include "base/random.h"
#include "market/bars.h"
#include "market/features.h"
#include "market/splits.h"

typedef enum env_dtype { ENV_FLOAT32, ENV_UINT8 } env_dtype;

// What one copy looks like.
typedef struct env_spec {
    uint32_t copies; // N
    uint32_t actions; // discrete actions 0 .. actions-1
    env_dtype dtype; // of observation elements
    uint32_t rank, shape[4]; // of one observation
    uint32_t window, features; // the first window * features elements are rows of features, oldest
                               // first; what follows has no order. 0: no window
    size_t observation_elements; // product of the shape
    size_t observation_size; // bytes
    size_t record_size; // bytes of one record
    uint32_t stack; // records an observation is made of, oldest first; 1 or more
} env_spec;

typedef enum env_mode {
    ENV_TRAIN, // random starts, episode length limit of the options
    ENV_EVALUATE, // the whole range in one episode where the environment has one (trading)
} env_mode;

// What create gets beside the options. market is NULL for environments that need none; bars and
// features must outlive the environment.
typedef struct env_market {
    const market_bars_view *bars;
    const market_features_view *features;
    market_range range; // every bar that is observed or traded lies in it
} env_market;

typedef struct env_context {
    uint32_t copies;
    uint64_t seed;
    gn_random_purpose purpose; // GN_RANDOM_ENV, GN_RANDOM_EVAL or GN_RANDOM_FINAL
    env_mode mode;
    const env_market *market;
} env_context;

// A number inside a record, for people and other programs.
typedef enum env_field_type { ENV_FIELD_U32, ENV_FIELD_F32 } env_field_type;
typedef struct env_field {
    const char *name;
    env_field_type type;
    size_t offset; // bytes from the start of the record
} env_field;

typedef struct env_class {
    const char *name; // "cartpole"; also the section of its options
    const char *summary; // one line
    const gn_option *options; // ends with {0}; NULL for none
    size_t config_size; // of the struct the options fill
    const env_field *fields; // the whole record, in order, or none (a picture); ends with {0}
    int needs_market; // create fails with GN_ERR_ARG without one

    // Errors: GN_ERR_ARG, GN_ERR_CONFIG (names option and value), GN_ERR_MEMORY.
    gn_status (*create)(void **ret_env, const void *config, const env_context *context);
    void (*destroy)(void *env);
    void (*spec)(const void *env, env_spec *ret_spec);

    // Starts a new episode in the copies copy[0..n).
    void (*reset)(void *env, const uint32_t *copy, size_t n);

    // Steps every copy.  Shapes: all [N]; action in 0 .. actions-1; flags 0 or 1.
    void (*step)(void *env, const int32_t *action, float *ret_reward, uint8_t *ret_terminated,
                 uint8_t *ret_truncated);

    // Records of the current state.  Shapes: ret_record: [N, record_size].
    void (*record)(const void *env, unsigned char *ret_record);

    // Rebuilds observations from stacks of records: the very bytes that were observed when the
    // newest of them was made. At an episode's start its first record stands in for the missing
    // older ones. Rows are `stride` bytes apart and may overlap, or have gaps between them.
    // Shapes: record: [n, stack, record_size]; ret_observation: [n, observation_elements].
    void (*decode)(const void *env, const unsigned char *record, size_t stride, size_t n,
                   void *ret_observation);

    // Whole state, so that a loaded environment continues bit for bit.
    void (*save)(const void *env, gn_blob *out);
    gn_status (*load)(void *env, gn_blob *in);
} env_class;

// All environments, NULL-terminated.
extern const env_class *const env_classes[];

// Errors: GN_ERR_CONFIG names the unknown one and lists what there is.
gn_status env_class_find(const env_class **ret_class, const char *name);

#endif
