// Batches that follow the noise of the gradient: a short training run on CartPole with
// train.batch_schedule = auto, and which batches it took, read from its metrics.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "rl/trainer.h"

enum { BATCH = 16, BATCH_MAX = 256 };

// What would stand in a run file or behind `gannet train --`.
static const char *const options[] = {
    "run.env",         "cartpole", "run.agent",       "double-dqn", "train.steps",          "6000",
    "train.envs",      "8",        "train.every",     "1",          "train.updates",        "4",
    "train.starts",    "500",      "train.batch",     "16",         "train.batch_schedule", "auto",
    "train.batch_max", "256",      "train.log_every", "400",        "network.hidden",       "32",
    "eval.every",      "0",
};

static gn_status train(const char *folder)
{
    rl_config *config = NULL;
    rl_trainer *trainer = NULL;
    GN_TRY(rl_config_create(&config));
    gn_status status =
        rl_config_resolve(config, NULL, options, sizeof options / sizeof *options / 2);
    if (status == GN_OK)
        status = rl_trainer_create(&trainer, config, folder, &(rl_hooks){ 0 });
    if (status == GN_OK)
        status = rl_trainer_run(trainer);
    rl_trainer_destroy(&trainer);
    rl_config_destroy(&config);
    return status;
}

// The number of a key in a line of metrics.jsonl; false if it is not there (or null).
static bool number_of(const char *line, const char *key, double *ret_value)
{
    char *end;
    const char *at = strstr(line, key);
    if (!at)
        return false;
    at += strlen(key);
    *ret_value = strtod(at, &end);
    return end > at;
}

// A row for each line that has a batch.  Each must be a power of two within the bounds.
static gn_status show(char *metrics)
{
    int rows = 0;
    double step, batch, scale;
    printf(" step  batch  noise scale\n");
    for (char *line = strtok(metrics, "\n"); line; line = strtok(NULL, "\n")) {
        if (!number_of(line, "\"step\":", &step) || !number_of(line, "\"batch\":", &batch))
            continue;
        unsigned size = (unsigned)batch;
        if (size < BATCH || size > BATCH_MAX || (size & (size - 1)) != 0)
            return gn_fail(GN_ERR_STATE, "a batch of %u steps", size);
        printf("%5.0f  %5u", step, size);
        if (number_of(line, "\"noise_scale\":", &scale))
            printf("  %11.1f\n", scale);
        else
            printf("  %11s\n", "-");
        rows++;
    }
    return rows > 0 ? GN_OK : gn_fail(GN_ERR_EMPTY, "no line of the metrics has a batch");
}

static gn_status run(const char *folder)
{
    char run[GN_PATH_SIZE], path[GN_PATH_SIZE];
    void *metrics = NULL;
    size_t size;
    GN_TRY(gn_path_join(run, folder, "run"));
    GN_TRY(gn_path_join(path, run, "metrics.jsonl"));
    GN_TRY(train(run));
    GN_TRY(gn_file_read(&metrics, &size, path));
    gn_status status = show(metrics);
    gn_free(&metrics);
    return status;
}

int main(void)
{
    char folder[GN_PATH_SIZE] = "";
    gn_status status = gn_folder_create_temporary(folder, NULL);
    if (status == GN_OK)
        status = run(folder);
    if (status != GN_OK)
        fprintf(stderr, "replay_variable_batch: %s\n", gn_error_text());
    return gn_path_remove(folder) == GN_OK && status == GN_OK ? 0 : 1;
}
