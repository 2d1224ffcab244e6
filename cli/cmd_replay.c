// gannet replay: look into the replay buffer of a run, check it, take its steps out; show what each
// of its features saves, and measure it on this machine. A store is read from outside, which never
// disturbs the run that may be training meanwhile.

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/replay_verbs.h"
#include "rl/run_folder.h"

// --- what verbs share

static gn_status find_run(const char *path, rl_config *config, char *ret_folder)
{
    GN_TRY(rl_run_folder_read(path, config));
    if (strcmp(config->replay.path, "none") == 0)
        return gn_fail(GN_ERR_NOT_FOUND, "%s: the run keeps its steps in RAM (replay.path = none)",
                       path);
    return rl_run_folder_replay(path, config, ret_folder);
}

// needs_config: whether run.ini must be there to understand the store.
static gn_status find_store(const char *path, bool needs_config, rl_config *config,
                            char *ret_folder)
{
    char file[GN_PATH_SIZE], run[GN_PATH_SIZE];
    GN_TRY(gn_path_join(file, path, "run.ini"));
    if (gn_path_exists(file))
        return find_run(path, config, ret_folder);
    GN_TRY(gn_path_join(file, path, "data.mdb"));
    if (!gn_path_exists(file))
        return gn_fail(GN_ERR_NOT_FOUND,
                       "%s: neither the folder of a run (no run.ini) nor of a replay store (no "
                       "data.mdb)",
                       path);
    snprintf(ret_folder, GN_PATH_SIZE, "%s", path);
    if (!needs_config)
        return GN_OK;
    GN_TRY(gn_path_join(run, path, ".."));
    GN_TRY(gn_path_join(file, run, "run.ini"));
    if (!gn_path_exists(file))
        return gn_fail(GN_ERR_NOT_FOUND,
                       "%s: no run.ini in the folder above says what its records mean; copy the "
                       "one of its run there",
                       path);
    return rl_run_folder_read(run, config);
}

gn_status cli_replay_find(const cli_request *request, char *ret_folder, rl_config **ret_config)
{
    rl_config *config = NULL;
    if (request->line.positionals == 0)
        return gn_fail(GN_ERR_ARG, "which run? gannet replay %s PATH", request->verb->name);
    GN_TRY(rl_config_create(&config));
    gn_status status = find_store(request->line.positional[0], ret_config, config, ret_folder);
    if (status == GN_OK && ret_config)
        *ret_config = config;
    else
        rl_config_destroy(&config);
    return status;
}

static sigset_t interrupts(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    return set;
}

gn_status cli_replay_scratch(const cli_request *request, char *ret_folder)
{
    const char *within = cli_verb_value(request, "--folder");
    gn_status status = gn_folder_create_temporary(ret_folder, within);
    if (status != GN_OK)
        return within ? gn_fail_within(status, "--folder") : status;
    const sigset_t waiting = interrupts();
    pthread_sigmask(SIG_BLOCK, &waiting, NULL); // before there are threads, which inherit it
    return GN_OK;
}

bool cli_replay_interrupted(void)
{
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, SIGINT) || sigismember(&pending, SIGTERM) ||
           sigismember(&pending, SIGHUP);
}

gn_status cli_replay_discard(const char *folder, gn_status status)
{
    gn_text reason = { 0 };
    const sigset_t waiting = interrupts();
    gn_text_append(&reason, "%s", gn_error_text());
    gn_status removed = gn_path_remove(folder);
    if (status == GN_OK)
        status = removed;
    else
        gn_fail(status, "%s", gn_text_data(&reason));
    gn_text_free(&reason);
    pthread_sigmask(SIG_UNBLOCK, &waiting, NULL);
    return status;
}

// --- the table

static const cli_flag stat_flags[] = {
    { "--json", NULL, NULL, "print one JSON object" },
    { 0 },
};
static const cli_flag verify_flags[] = {
    { "--json", NULL, NULL, "print one JSON object" },
    { "--salvage", "DIR", NULL, "write what can be read into a new store in this folder" },
    { 0 },
};
static const cli_flag export_flags[] = {
    { "--to", "FILE", NULL, "file to write: .parquet, .csv or .arrow" },
    { 0 },
};
static const cli_flag demo_flags[] = {
    { "--json", NULL, NULL, "print one JSON object" },
    { "--without", NULL, NULL,
      "leave the feature out where it should help: every demo must fail, which shows that its "
      "checks can" },
    { "--folder", "DIR", NULL, "where to put stores, which are removed; default $TMPDIR or /tmp" },
    { 0 },
};
static const cli_flag bench_flags[] = {
    { "--json", NULL, NULL, "print one JSON object" },
    { "--input", "NAME", NULL,
      "what records are: catch, scene and chart (frames of 84 x 84 bytes), floats (a random walk), "
      "noise; "
      "default catch" },
    { "--record", "BYTES", NULL, "size of a record of floats or noise; default 328" },
    { "--stack", "K", NULL, "records an observation is made of; default 4 for frames, else 1" },
    { "--batch", "B", NULL, "steps in a batch; default 256" },
    { "--seconds", "S", NULL, "for each measurement; default 2" },
    { "--capacity", "N", "replay.capacity", "short for --replay.capacity" },
    { "--codec", "NAME", "replay.codec", "short for --replay.codec" },
    { "--folder", "DIR", NULL,
      "where to put the store, which is removed; default $TMPDIR or /tmp" },
    { 0 },
};

static const cli_verb verbs[] = {
    { "stat", "gannet replay stat PATH [--json]",
      "Says what a replay buffer holds: steps and episodes, rewards, priorities, ages, and the "
      "bytes they take. PATH is the folder of a run or of its replay store; a run may be training "
      "there.",
      stat_flags, 0, cli_replay_stat, NULL },
    { "verify", "gannet replay verify PATH [--salvage DIR] [--json]",
      "Checks every page, checksum, chunk, flag and priority of every kept generation. PATH is the "
      "folder of a run, and then also checks that the generations are those of its checkpoints, or "
      "of a replay store. Exit status 0 if all is sound, 1 with a line for each finding.",
      verify_flags, 0, cli_replay_verify, NULL },
    { "export", "gannet replay export PATH --to FILE",
      "Writes the steps of the newest generation as a table, one row a step, oldest first: stream "
      "(the copy of the environment), step (slots of the stream before it, one more an episode "
      "that ended), episode (from 0, those in the table), action, reward, terminated, truncated, "
      "priority where sampling is prioritized, and the numbers of the record. PATH is the folder "
      "of a run or of its replay store.",
      export_flags, 0, cli_replay_export, NULL },
    { "demo", "gannet replay demo [NAME] [--json] [--without] [--folder DIR]",
      "Shows what a feature of the replay buffer does on generated input, with measured values "
      "beside those without it; all features without a name. Exit status 0 if what they promise "
      "held, else 1.",
      demo_flags, 0, cli_replay_demo, cli_replay_demo_list },
    { "bench", "gannet replay bench [--input NAME] [--seconds S] [--replay.KEY VALUE ...]",
      "Measures a replay buffer with these options on this machine: adding, sampling, updating, "
      "committing, and the bytes of a step in RAM and on disk.",
      bench_flags, 1, cli_replay_bench, NULL },
    { 0 },
};

int cmd_replay(int argc, char **argv)
{
    replay_config config;
    const gn_option_section sections[] = {
        { "replay", "the replay buffer", replay_options, &config },
        { 0 },
    };
    return cli_verbs_run("replay", verbs, sections, &config, argc, argv);
}
