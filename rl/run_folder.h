// The folder of a run, and who may write to it.
//
//     DIR/run.ini           all options as resolved
//     DIR/metrics.jsonl     what happened
//     DIR/checkpoints/      snapshots to continue from
//     DIR/best/             weights that were best in evaluation
//     DIR/last-good/        weights of before a number became infinite or NaN, if one did
//     DIR/replay/           the replay store
//     DIR/lock              held while a process trains here

#ifndef RL_RUN_FOLDER_H
#define RL_RUN_FOLDER_H

#include "rl/config.h"

typedef struct rl_run_folder rl_run_folder;

// Whether `path` can become the folder of a new run.  Errors: GN_ERR_EXISTS.
gn_status rl_run_folder_check_new(const char *path);

// Creates the folder, which must not exist or be empty, locks it and writes run.ini.
// Errors: GN_ERR_EXISTS; GN_ERR_IO, GN_ERR_FULL.
gn_status rl_run_folder_create(rl_run_folder **ret_folder, const char *path,
                               const rl_config *config);

// Locks the folder of an existing run.  Errors: GN_ERR_NOT_FOUND if it is none; GN_ERR_BUSY.
gn_status rl_run_folder_open(rl_run_folder **ret_folder, const char *path);

// Removes a folder that was just created, with what is in it.
void rl_run_folder_discard(rl_run_folder *folder);

void rl_run_folder_close(rl_run_folder **folder);

// Options of the run in `path`; no lock needed.  Errors: GN_ERR_NOT_FOUND; GN_ERR_CONFIG.
gn_status rl_run_folder_read(const char *path, rl_config *config);

// Where the run in `path` with these options has its replay store: relative to the run.
// ret_path: [GN_PATH_SIZE].  Errors: GN_ERR_ARG if the path is too long.
gn_status rl_run_folder_replay(const char *path, const rl_config *config, char *ret_path);

// Replaces run.ini.
gn_status rl_run_folder_write(rl_run_folder *folder, const rl_config *config);

// Paths inside; valid until close.
const char *rl_run_folder_path(const rl_run_folder *folder);
const char *rl_run_folder_checkpoints(const rl_run_folder *folder);
const char *rl_run_folder_best(const rl_run_folder *folder);
const char *rl_run_folder_last_good(const rl_run_folder *folder);
const char *rl_run_folder_metrics(const rl_run_folder *folder);

#endif
