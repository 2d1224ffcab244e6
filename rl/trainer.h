// The training loop. A run is a pure function of (options, data, seed): started, killed at any
// instant and resumed, it ends with the same bytes as if nothing had happened.
//
//     round:  every x envs steps  ->  updates  ->  target / metrics / evaluation / checkpoint when
//     due
//
// All state that matters is in the newest checkpoint and the replay generation of the same step;
// whatever was written after it is taken back on resume. docs/architecture.md has the details.

#ifndef RL_TRAINER_H
#define RL_TRAINER_H

#include <signal.h>

#include "base/log.h"
#include "rl/config.h"

// Where training stands.
typedef struct rl_progress {
    uint64_t steps, total_steps, episodes, updates;
    double epsilon;
    double mean_return; // of the last 100 episodes; NaN before the first has ended
    double loss; // mean since the last line of metrics.jsonl, or of that line; NaN before the first
    double best_metric; // NaN before the first evaluation
    double seconds, steps_per_s; // of this process
} rl_progress;

// All may be 0. progress: called a few times a second; stop: training ends, with a checkpoint,
// after the round in which it becomes non-zero.
typedef struct rl_hooks {
    const gn_log *log;
    void (*progress)(void *user, const rl_progress *progress);
    void *user;
    const volatile sig_atomic_t *stop;
} rl_hooks;

typedef struct rl_trainer rl_trainer;

// Prepares a new run in `folder`, which must not exist or be empty. Nothing is written if the
// options or the data are refused.
// Errors: those of the options, the data and the folder.
gn_status rl_trainer_create(rl_trainer **ret_trainer, const rl_config *config, const char *folder,
                            const rl_hooks *hooks);

// Prepares to continue the run in `folder`. `config` holds its options (rl_run_folder_read), with
// train.steps as wanted now. from: step of the checkpoint, or RL_NEWEST for the newest whole one:
// damaged ones are passed over and reported. Checkpoints after it are removed.
// Errors: GN_ERR_NOT_FOUND if there is no such checkpoint; GN_ERR_STATE if options or data changed
// since; GN_ERR_CORRUPT if none is whole.
#define RL_NEWEST UINT64_MAX
gn_status rl_trainer_resume(rl_trainer **ret_trainer, const rl_config *config, const char *folder,
                            uint64_t from, const rl_hooks *hooks);

// Trains to train.steps or until stopped; either way the last act is a checkpoint. Afterwards
// rl_trainer_progress tells where it ended.
// Errors: GN_ERR_FULL, GN_ERR_IO, GN_ERR_NUMERIC: the last checkpoint is intact.
gn_status rl_trainer_run(rl_trainer *trainer);

void rl_trainer_destroy(rl_trainer **trainer);

rl_progress rl_trainer_progress(const rl_trainer *trainer);

// Step of the newest checkpoint that is whole on disk, 0 before the first.
uint64_t rl_trainer_checkpoint(const rl_trainer *trainer);

#endif
