// Training runs whose outcome is compared with an exact solution: a recipe of examples/ with
// another head and seed, then the learner with the weights of its end.

#ifndef TESTS_RL_PROOF_RUN_H
#define TESTS_RL_PROOF_RUN_H

#include <inttypes.h>

#include "base/thread.h"
#include "envs/vec_env.h"
#include "nn/safetensors.h"
#include "rl/learner.h"
#include "rl/snapshot.h"
#include "tests/rl/small_training.h"

enum { PROOF_SEEDS = 5 }; // 1 .. PROOF_SEEDS

// A head, and the options it learns with beyond the recipe: "section.key", "value", ...
typedef struct proof_head {
    const char *name;
    const char *options[12]; // NULL behind the last
} proof_head;

typedef struct proof_run {
    rl_config *config;
    rl_learner *learner;
    double seconds; // of the training
} proof_run;

static inline void proof_read_weights(proof_run *run, const char *folder)
{
    char checkpoints[GN_PATH_SIZE];
    rl_snapshot snapshot = { 0 };
    run_path(checkpoints, folder, "checkpoints");
    expect_ok(rl_snapshot_read(&snapshot, checkpoints, newest_step(folder, "checkpoints")));
    expect_ok(nn_safetensors_decode(rl_learner_layout(run->learner), snapshot.weights,
                                    snapshot.weights_size, rl_learner_parameters(run->learner)));
    rl_snapshot_free(&snapshot);
}

static inline void proof_create_learner(proof_run *run)
{
    const env_class *kind = NULL;
    const void *options = NULL;
    const env_context context = { .copies = 1, .mode = ENV_EVALUATE };
    vec_env *env = NULL;
    expect_ok(rl_config_env(run->config, &kind, &options));
    expect_ok(vec_env_create(&env, kind, options, &context));
    expect_ok(rl_learner_create(&run->learner, run->config, vec_env_spec(env),
                                (device){ DEVICE_CPU, 0 }));
    vec_env_destroy(&env);
}

// Trains a head by the recipe.
static inline proof_run proof_train(const char *recipe, const proof_head *head, uint64_t seed)
{
    proof_run run = { 0 };
    small_run place;
    char seed_text[24], folder[GN_PATH_SIZE];
    const char *flag[24] = { "run.seed", seed_text, "head.kind", head->name };
    size_t count = 4;
    for (size_t i = 0; head->options[i]; i++)
        flag[count++] = head->options[i];
    snprintf(seed_text, sizeof seed_text, "%" PRIu64, seed);
    small_run_open(&place);
    run_path(folder, place.folder, "run");
    expect_ok(rl_config_create(&run.config));
    expect_ok(rl_config_resolve(run.config, recipe, flag, count / 2));
    double begin = gn_seconds();
    expect_ok(train(run.config, folder, NULL));
    run.seconds = gn_seconds() - begin;
    proof_create_learner(&run);
    proof_read_weights(&run, folder);
    test_temp_remove(place.folder);
    return run;
}

static inline void proof_run_close(proof_run *run)
{
    rl_learner_destroy(&run->learner);
    rl_config_destroy(&run->config);
}

#endif
