// Inside the training loop: its parts, and their saving and loading. Only trainer.c and
// trainer_checkpoint.c include this.

#ifndef RL_TRAINER_STATE_H
#define RL_TRAINER_STATE_H

#include "base/thread.h"
#include "envs/vec_env.h"
#include "replay/sampler.h"
#include "rl/actor.h"
#include "rl/batch_size.h"
#include "rl/dataset.h"
#include "rl/learner.h"
#include "rl/metrics.h"
#include "rl/run_folder.h"
#include "rl/snapshot.h"
#include "rl/trainer.h"

enum { RL_RETURN_WINDOW = 100 };

// Counters and running figures; saved as it is, so it holds 8-byte fields only.
typedef struct rl_counters {
    uint64_t steps, updates, episodes;
    double recent_return[RL_RETURN_WINDOW]; // ring of the last episodes' returns
    double loss_sum, q_sum, norm_sum, cut_sum; // since the last line of metrics
    uint64_t loss_count;
    double last_loss, last_cut; // of that line; NaN before the first
    double best_metric; // NaN before the first evaluation
    rl_batch_size batch;
} rl_counters;

// What the checkpoint worker writes; owned by it while it runs.
typedef struct rl_staged {
    rl_snapshot_info info;
    void *weights;
    size_t weights_size;
    gn_blob state;
} rl_staged;

struct rl_trainer {
    const rl_config *config; // the caller's
    rl_hooks hooks;
    char name[33]; // rl_config_name

    rl_dataset *dataset;
    rl_run_folder *folder;
    vec_env *env;
    rl_learner *learner;
    replay_buffer *buffer;
    replay_sampler *sampler;
    bool on_disk; // the buffer has a store
    rl_metrics *metrics;
    rl_actor *actor;
    gn_random sample;

    int32_t *action; // [envs]
    rl_counters counters;

    gn_worker *worker;
    rl_staged staged;
    uint64_t staged_step; // of the newest checkpoint that was started; 0 for none
    uint64_t durable_step; // of the newest that is known to be whole
    double started; // gn_seconds when this process began
    uint64_t started_steps;
    double shown; // gn_seconds of the last progress call
};

// Makes everything up to now durable: metrics, replay generation, snapshot (in the background).
gn_status rl_trainer_write_checkpoint(rl_trainer *trainer);

// Waits for the snapshot being written.
gn_status rl_trainer_finish_checkpoint(rl_trainer *trainer);

// Restores the state of a snapshot. *ret_restored is false where the folder has none: then it was
// emptied, and the run is to begin.
gn_status rl_trainer_restore(rl_trainer *trainer, uint64_t from, bool *ret_restored);

// Weights of now as a snapshot without state.
gn_status rl_trainer_write_weights(rl_trainer *trainer, const char *folder);

// Errors: GN_ERR_STATE if the newest readable checkpoint is of other options or data.
gn_status rl_trainer_check_name(const rl_trainer *trainer);

#endif
