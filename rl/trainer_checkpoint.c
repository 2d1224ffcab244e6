// Saving and restoring the training loop. A checkpoint is three things of one step: the length of
// metrics.jsonl, a generation of the replay store, and a snapshot. They are made durable in this
// order, so a whole snapshot implies the other two; what lies after them is cut off on resume.

#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "nn/safetensors.h"
#include "rl/trainer_state.h"

static gn_status save_state(const rl_trainer *trainer, uint64_t metrics_length, gn_blob *out)
{
    const rl_counters *counters = &trainer->counters;
    gn_blob_write(out, "metrics_length", &metrics_length, sizeof metrics_length);
    gn_blob_write(out, "counters", counters, sizeof *counters);
    gn_random_save(&trainer->sample, "sample", out);
    rl_actor_save(trainer->actor, out);
    vec_env_save(trainer->env, out);
    GN_TRY(rl_learner_save(trainer->learner, out));
    replay_sampler_save(trainer->sampler, out);
    if (!trainer->on_disk)
        replay_buffer_save(trainer->buffer, out);
    return gn_blob_status(out);
}

static gn_status load_state(rl_trainer *trainer, gn_blob *in, uint64_t *ret_metrics_length)
{
    rl_counters *counters = &trainer->counters;
    gn_blob_read(in, "metrics_length", ret_metrics_length, sizeof *ret_metrics_length);
    gn_blob_read(in, "counters", counters, sizeof *counters);
    gn_random_load(&trainer->sample, "sample", in);
    GN_TRY(gn_blob_status(in));
    GN_TRY(rl_actor_load(trainer->actor, in));
    GN_TRY(vec_env_load(trainer->env, in));
    GN_TRY(rl_learner_load(trainer->learner, in));
    GN_TRY(replay_sampler_load(trainer->sampler, in));
    return trainer->on_disk ? GN_OK : replay_buffer_load(trainer->buffer, in);
}

// Runs in the worker: waits for the generation of the store, so that a whole snapshot implies it.
// Old snapshots go only when the new one is durable.
static gn_status write_snapshot(void *user)
{
    rl_trainer *trainer = user;
    const rl_checkpoint_config *config = &trainer->config->checkpoint;
    const char *folder = rl_run_folder_checkpoints(trainer->folder);
    rl_staged *staged = &trainer->staged;
    if (trainer->on_disk)
        GN_TRY(replay_buffer_await(trainer->buffer, &staged->info.replay_checksum));
    GN_TRY(gn_folder_create(folder));
    GN_TRY(rl_snapshot_write(folder, &staged->info, staged->weights, staged->weights_size,
                             &staged->state, (int)config->compression));
    return rl_snapshot_rotate(folder, (size_t)config->keep);
}

// The oldest snapshot there is, or `otherwise`.
static gn_status oldest_snapshot(const rl_trainer *trainer, uint64_t otherwise, uint64_t *ret_step)
{
    uint64_t *steps = NULL;
    size_t count = 0;
    GN_TRY(rl_snapshot_list(&steps, &count, rl_run_folder_checkpoints(trainer->folder)));
    *ret_step = count ? steps[0] : otherwise;
    gn_free(&steps);
    return GN_OK;
}

// Best weights are kept as long as a checkpoint might be continued that knows no better ones.
static gn_status prune_best(const rl_trainer *trainer)
{
    uint64_t oldest = 0;
    GN_TRY(oldest_snapshot(trainer, 0, &oldest));
    return rl_snapshot_prune(rl_run_folder_best(trainer->folder), oldest);
}

gn_status rl_trainer_finish_checkpoint(rl_trainer *trainer)
{
    GN_TRY(gn_worker_wait(trainer->worker));
    trainer->durable_step = trainer->staged_step;
    return prune_best(trainer);
}

gn_status rl_trainer_write_checkpoint(rl_trainer *trainer)
{
    uint64_t step = trainer->counters.steps, metrics_length = 0, oldest = 0;
    rl_staged *staged = &trainer->staged;
    GN_TRY(rl_trainer_finish_checkpoint(trainer));
    GN_TRY(rl_metrics_sync(trainer->metrics, &metrics_length));

    staged->info = (rl_snapshot_info){ .step = step, .metric = trainer->counters.best_metric };
    memcpy(staged->info.run, trainer->name, sizeof staged->info.run);
    GN_TRY(oldest_snapshot(trainer, step, &oldest));
    if (trainer->on_disk)
        GN_TRY(replay_buffer_commit(trainer->buffer, step, oldest));

    gn_free(&staged->weights);
    GN_TRY(rl_learner_fetch(trainer->learner));
    GN_TRY(nn_safetensors_encode(rl_learner_layout(trainer->learner),
                                 rl_learner_parameters(trainer->learner), &staged->weights,
                                 &staged->weights_size));
    gn_blob_clear(&staged->state);
    GN_TRY(save_state(trainer, metrics_length, &staged->state));
    GN_TRY(gn_worker_start(trainer->worker, write_snapshot, trainer));
    trainer->staged_step = step;
    return GN_OK;
}

gn_status rl_trainer_write_weights(rl_trainer *trainer, const char *folder)
{
    rl_snapshot_info info = { .step = trainer->counters.steps,
                              .metric = trainer->counters.best_metric };
    memcpy(info.run, trainer->name, sizeof info.run);
    void *weights = NULL;
    size_t size = 0;
    GN_TRY(gn_folder_create(folder));
    GN_TRY(rl_learner_fetch(trainer->learner));
    GN_TRY(nn_safetensors_encode(rl_learner_layout(trainer->learner),
                                 rl_learner_parameters(trainer->learner), &weights, &size));
    gn_status status = rl_snapshot_write(folder, &info, weights, size, NULL, 1);
    gn_free(&weights);
    return status;
}

static gn_status check_name(const rl_trainer *trainer, const rl_snapshot_info *info)
{
    if (strcmp(info->run, trainer->name) == 0)
        return GN_OK;
    return gn_fail(GN_ERR_STATE,
                   "checkpoint %" PRIu64 ": the options or the data of this run were changed after "
                   "it was written (run %s, now %s)",
                   info->step, info->run, trainer->name);
}

gn_status rl_trainer_check_name(const rl_trainer *trainer)
{
    const char *folder = rl_run_folder_checkpoints(trainer->folder);
    uint64_t *steps = NULL;
    size_t count = 0;
    GN_TRY(rl_snapshot_list(&steps, &count, folder));
    gn_status status = GN_OK;
    rl_snapshot_info info;
    while (count > 0 && rl_snapshot_read_info(&info, folder, steps[count - 1]) != GN_OK)
        count--; // damaged: restoring will say so
    if (count > 0)
        status = check_name(trainer, &info);
    gn_free(&steps);
    return status;
}

// The last round may overshoot; more than that was asked for by mistake.
static gn_status check_length(const rl_trainer *trainer, uint64_t steps)
{
    const rl_train_config *train = &trainer->config->train;
    if (steps >= (uint64_t)(train->steps + train->every * train->envs))
        return gn_fail(GN_ERR_CONFIG, "train.steps: %lld is below the %" PRIu64 " step%s done",
                       (long long)train->steps, steps, gn_plural(steps));
    return GN_OK;
}

// Takes back the lines written after the checkpoint. Lines that are missing are no reason not to go
// on.
static gn_status reopen_metrics(rl_trainer *trainer, uint64_t length)
{
    const char *path = rl_run_folder_metrics(trainer->folder);
    uint64_t there = 0;
    GN_TRY(rl_metrics_length(path, &there));
    if (there < length) {
        gn_log_warning(trainer->hooks.log,
                       "%s: %" PRIu64 " bytes of the %" PRIu64 " at the checkpoint: lines are lost",
                       path, there, length);
        length = there;
    }
    rl_metrics_close(&trainer->metrics);
    return rl_metrics_open(&trainer->metrics, path, length);
}

// Everything is read and verified before anything on disk is taken back.
static gn_status apply_snapshot(rl_trainer *trainer, rl_snapshot *snapshot)
{
    const rl_snapshot_info *info = &snapshot->info;
    uint64_t metrics_length = 0;
    GN_TRY(check_name(trainer, info));
    GN_TRY(check_length(trainer, info->step));
    GN_TRY(nn_safetensors_decode(rl_learner_layout(trainer->learner), snapshot->weights,
                                 snapshot->weights_size, rl_learner_parameters(trainer->learner)));
    GN_TRY(load_state(trainer, &snapshot->state, &metrics_length));
    if (trainer->on_disk)
        GN_TRY(replay_buffer_rollback(trainer->buffer, info->step, info->replay_checksum));
    GN_TRY(reopen_metrics(trainer, metrics_length));
    trainer->staged_step = trainer->durable_step = info->step;
    return GN_OK;
}

static gn_status restore_snapshot(rl_trainer *trainer, uint64_t step)
{
    const char *folder = rl_run_folder_checkpoints(trainer->folder);
    rl_snapshot snapshot = { 0 };
    GN_TRY(rl_snapshot_read(&snapshot, folder, step));
    gn_status status = apply_snapshot(trainer, &snapshot);
    rl_snapshot_free(&snapshot);
    if (status != GN_OK)
        return status;
    GN_TRY(rl_snapshot_remove_after(folder, step));
    GN_TRY(rl_snapshot_rotate(folder, (size_t)trainer->config->checkpoint.keep));
    gn_log_info(trainer->hooks.log, "continuing from checkpoint %" PRIu64, step);
    GN_TRY(rl_snapshot_remove_after(rl_run_folder_best(trainer->folder), step));
    return prune_best(trainer);
}

// Newest first; a damaged one is passed over and reported, any other failure ends the search.
static gn_status restore_newest(rl_trainer *trainer, const uint64_t *steps, size_t count)
{
    for (size_t i = count; i-- > 0;) {
        gn_status status = restore_snapshot(trainer, steps[i]);
        if (status != GN_ERR_CORRUPT && status != GN_ERR_NOT_FOUND)
            return status;
        gn_log_warning(trainer->hooks.log,
                       "checkpoint %" PRIu64 " is damaged, trying the one before: %s", steps[i],
                       gn_error_text());
    }
    return gn_fail(GN_ERR_CORRUPT, "%s: none of its %zu checkpoints is whole",
                   rl_run_folder_path(trainer->folder), count);
}

static gn_status restore_exactly(rl_trainer *trainer, const uint64_t *steps, size_t count,
                                 uint64_t from)
{
    for (size_t i = 0; i < count; i++)
        if (steps[i] == from)
            return restore_snapshot(trainer, from);
    gn_text known = { 0 };
    for (size_t i = 0; i < count; i++)
        gn_text_append(&known, "%s%" PRIu64, i ? ", " : "", steps[i]);
    gn_status status = gn_fail(GN_ERR_NOT_FOUND, "%s: no checkpoint of step %" PRIu64 " (%s)",
                               rl_run_folder_path(trainer->folder), from,
                               count ? gn_text_data(&known) : "there is none");
    gn_text_free(&known);
    return status;
}

// The run was killed before its first checkpoint: what it left is of no use.
static gn_status restore_nothing(rl_trainer *trainer)
{
    gn_log_info(trainer->hooks.log, "no checkpoint was written yet: starting at step 0");
    GN_TRY(gn_path_remove(rl_run_folder_best(trainer->folder)));
    GN_TRY(rl_metrics_open(&trainer->metrics, rl_run_folder_metrics(trainer->folder), 0));
    return replay_buffer_clear(trainer->buffer);
}

gn_status rl_trainer_restore(rl_trainer *trainer, uint64_t from, bool *ret_restored)
{
    uint64_t *steps = NULL;
    size_t count = 0;
    GN_TRY(rl_snapshot_list(&steps, &count, rl_run_folder_checkpoints(trainer->folder)));
    gn_status status;
    if (from != RL_NEWEST)
        status = restore_exactly(trainer, steps, count, from);
    else if (count)
        status = restore_newest(trainer, steps, count);
    else
        status = restore_nothing(trainer);
    if (status == GN_OK)
        *ret_restored = count > 0;
    gn_free(&steps);
    return status;
}
