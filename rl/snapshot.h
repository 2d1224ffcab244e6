// Snapshots: what a checkpoint is on disk. A folder named by its step:
//
//     checkpoints/25000/weights.safetensors    the online network; opens in Python
//                       train.bin.zst          everything else a run continues from (gn_blob, zstd)
//                       manifest.json          sizes and checksums; written last, sealed by its own
//
// A snapshot is written under another name, synced and renamed: it is there whole or not at all,
// and writing one never touches another. Reading verifies every checksum first. Without state (the
// best weights) there is no train.bin.zst.

#ifndef RL_SNAPSHOT_H
#define RL_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/blob.h"

enum { RL_SNAPSHOT_FORMAT = 1 };

// What a manifest says beside files and checksums.
typedef struct rl_snapshot_info {
    uint64_t step;
    char run[33]; // rl_config_name of the run
    uint64_t replay_checksum; // of the buffer's generation `step`
    double metric; // best metric so far, or of these weights; NaN for none yet
} rl_snapshot_info;

// Writes folder/STEP, replacing one of that name. state may be NULL; level: zstd.
// Errors: GN_ERR_FULL, GN_ERR_IO, GN_ERR_MEMORY; then folder is as it was, but for a left-over
// STEP.tmp that the next write or rotation removes.
gn_status rl_snapshot_write(const char *folder, const rl_snapshot_info *info, const void *weights,
                            size_t weights_size, const gn_blob *state, int level);

// The manifest alone.  Errors: GN_ERR_NOT_FOUND; GN_ERR_CORRUPT.
gn_status rl_snapshot_read_info(rl_snapshot_info *ret_info, const char *folder, uint64_t step);

// What was read. Release with rl_snapshot_free.
typedef struct rl_snapshot {
    rl_snapshot_info info;
    void *weights;
    size_t weights_size;
    gn_blob state; // ready to read; empty if the snapshot has none
} rl_snapshot;

// Errors: GN_ERR_NOT_FOUND; GN_ERR_CORRUPT names file and reason.
gn_status rl_snapshot_read(rl_snapshot *ret_snapshot, const char *folder, uint64_t step);
void rl_snapshot_free(rl_snapshot *snapshot);

// Steps of the snapshots in a folder, ascending; release *ret_steps with gn_free. A folder that
// does not exist has none.
gn_status rl_snapshot_list(uint64_t **ret_steps, size_t *ret_count, const char *folder);

gn_status rl_snapshot_remove(const char *folder, uint64_t step);

// Removes all but the newest one at or before `step` and those after it, and left-overs of killed
// writers.
gn_status rl_snapshot_prune(const char *folder, uint64_t step);

// Removes those after `step`.
gn_status rl_snapshot_remove_after(const char *folder, uint64_t step);

// Removes all but the newest `keep`, and left-overs of killed writers.
gn_status rl_snapshot_rotate(const char *folder, size_t keep);

#endif
