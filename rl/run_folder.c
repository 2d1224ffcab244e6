#include "rl/run_folder.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

struct rl_run_folder {
    int lock;
    char path[GN_PATH_SIZE], ini[GN_PATH_SIZE], metrics[GN_PATH_SIZE];
    char checkpoints[GN_PATH_SIZE], best[GN_PATH_SIZE], last_good[GN_PATH_SIZE];
};

static gn_status name_paths(rl_run_folder *folder, const char *path)
{
    if (snprintf(folder->path, sizeof folder->path, "%s", path) >= GN_PATH_SIZE)
        return gn_fail(GN_ERR_ARG, "%s: path is too long", path);
    GN_TRY(gn_path_join(folder->ini, path, "run.ini"));
    GN_TRY(gn_path_join(folder->metrics, path, "metrics.jsonl"));
    GN_TRY(gn_path_join(folder->checkpoints, path, "checkpoints"));
    GN_TRY(gn_path_join(folder->last_good, path, "last-good"));
    return gn_path_join(folder->best, path, "best");
}

static gn_status take_lock(rl_run_folder *folder)
{
    char path[GN_PATH_SIZE];
    GN_TRY(gn_path_join(path, folder->path, "lock"));
    return gn_file_lock(&folder->lock, path);
}

// What a start that was killed before run.ini was there leaves behind.
static bool is_leftover(const char *name)
{
    return strcmp(name, "lock") == 0 || strcmp(name, "run.ini.tmp") == 0;
}

gn_status rl_run_folder_check_new(const char *path)
{
    if (!gn_path_exists(path))
        return GN_OK;
    if (!gn_path_is_folder(path))
        return gn_fail(GN_ERR_EXISTS, "%s: is a file; a run needs a folder of its own", path);
    char **names = NULL;
    size_t count = 0, others = 0;
    GN_TRY(gn_folder_list(&names, &count, path));
    for (size_t i = 0; i < count; i++)
        others += !is_leftover(names[i]);
    gn_free(&names);
    if (others)
        return gn_fail(GN_ERR_EXISTS,
                       "%s: exists and is not empty (--out another folder, or gannet resume)",
                       path);
    return GN_OK;
}

static gn_status create(rl_run_folder *folder, const char *path, const rl_config *config)
{
    GN_TRY(name_paths(folder, path));
    GN_TRY(rl_run_folder_check_new(path));
    GN_TRY(gn_folder_create(path));
    GN_TRY(take_lock(folder));
    GN_TRY(rl_run_folder_check_new(path)); // nobody came in between
    return rl_run_folder_write(folder, config);
}

static gn_status open_existing(rl_run_folder *folder, const char *path)
{
    GN_TRY(name_paths(folder, path));
    if (!gn_path_exists(folder->ini))
        return gn_fail(GN_ERR_NOT_FOUND, "%s: is not the folder of a run (it has no run.ini)",
                       path);
    return take_lock(folder);
}

static gn_status finish(rl_run_folder **ret_folder, rl_run_folder *folder, gn_status status)
{
    if (status == GN_OK)
        *ret_folder = folder;
    else
        rl_run_folder_close(&folder);
    return status;
}

gn_status rl_run_folder_create(rl_run_folder **ret_folder, const char *path,
                               const rl_config *config)
{
    rl_run_folder *folder = NULL;
    GN_TRY(gn_alloc(&folder, 1, sizeof *folder));
    folder->lock = -1;
    return finish(ret_folder, folder, create(folder, path, config));
}

gn_status rl_run_folder_open(rl_run_folder **ret_folder, const char *path)
{
    rl_run_folder *folder = NULL;
    GN_TRY(gn_alloc(&folder, 1, sizeof *folder));
    folder->lock = -1;
    return finish(ret_folder, folder, open_existing(folder, path));
}

void rl_run_folder_discard(rl_run_folder *folder)
{
    (void)gn_path_remove(folder->path); // a failure leaves a folder that says what it is
}

void rl_run_folder_close(rl_run_folder **folder)
{
    if (!*folder)
        return;
    gn_file_unlock(&(*folder)->lock);
    gn_free(folder);
}

gn_status rl_run_folder_read(const char *path, rl_config *config)
{
    char ini[GN_PATH_SIZE];
    GN_TRY(gn_path_join(ini, path, "run.ini"));
    if (!gn_path_exists(ini))
        return gn_fail(GN_ERR_NOT_FOUND, "%s: is not the folder of a run (it has no run.ini)",
                       path);
    return rl_config_resolve(config, ini, NULL, 0);
}

gn_status rl_run_folder_replay(const char *path, const rl_config *config, char *ret_path)
{
    const char *replay = config->replay.path;
    if (replay[0] == '/')
        return gn_path_join(ret_path, "/", replay + 1);
    return gn_path_join(ret_path, path, replay);
}

gn_status rl_run_folder_write(rl_run_folder *folder, const rl_config *config)
{
    gn_text text = { 0 };
    gn_options_ini(&text, config->sections);
    gn_status status = gn_text_status(&text);
    if (status == GN_OK)
        status = gn_file_write(folder->ini, text.data, text.size);
    gn_text_free(&text);
    return status;
}

const char *rl_run_folder_path(const rl_run_folder *folder)
{
    return folder->path;
}

const char *rl_run_folder_checkpoints(const rl_run_folder *folder)
{
    return folder->checkpoints;
}

const char *rl_run_folder_best(const rl_run_folder *folder)
{
    return folder->best;
}

const char *rl_run_folder_last_good(const rl_run_folder *folder)
{
    return folder->last_good;
}

const char *rl_run_folder_metrics(const rl_run_folder *folder)
{
    return folder->metrics;
}
