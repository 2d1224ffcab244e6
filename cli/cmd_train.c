#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/training.h"
#include "rl/option_use.h"
#include "rl/trainer.h"

static const cli_flag flags[] = {
    { "--data", "FILE", "run.data", "bars to trade: CSV, CSV.gz, CSV.zst, Parquet, Arrow" },
    { "--env", "NAME", "run.env", "environment (gannet envs); trading if there is --data" },
    { "--agent", "PRESET", "run.agent", "agent preset (gannet agents)" },
    { "--config", "FILE", NULL, "run file with options; flags override it" },
    { "--out", "DIR", NULL, "folder of the run (default runs/ENV-AGENT-SEED)" },
    { "--steps", "N", "train.steps", "environment steps in total" },
    { "--seed", "S", "run.seed", "seed of every random stream" },
    { "--device", "D", "run.device", "cpu, cuda, cuda:N, torch or auto" },
    { 0 },
};

static const char usage[] = "gannet train --data FILE | --env NAME [--agent PRESET] [--out DIR]\n"
                            "                    [--config FILE] [--SECTION.KEY VALUE ...]";
static const char about[] =
    "Trains an agent and writes run.ini, metrics.jsonl, checkpoints, the best weights and the "
    "replay buffer to its folder. It can be stopped at any time, also by Ctrl-C, and continued "
    "with gannet resume. Every option below is also a key of a run file; of a flag that changes "
    "nothing beside the others a warning tells.";

// The folder of the run: as told, or named after what is trained.
static gn_status name_folder(const rl_config *config, const char *told, char *ret_path)
{
    if (told) {
        if (!told[0] || strlen(told) >= GN_PATH_SIZE)
            return gn_fail(GN_ERR_ARG, "--out '%s': not a path", told);
        strcpy(ret_path, told);
        return GN_OK;
    }
    if (snprintf(ret_path, GN_PATH_SIZE, "runs/%s-%s-%lld", config->run.env, config->run.agent,
                 (long long)config->run.seed) >= GN_PATH_SIZE)
        return gn_fail(GN_ERR_ARG, "run.env and run.agent are too long for a folder's name");
    return GN_OK;
}

// The run finds its data and cache wherever it is resumed from. A path that does not exist stays:
// opening it will say so.
static void make_absolute(char path[GN_OPTION_TEXT_SIZE])
{
    char *absolute = path[0] ? realpath(path, NULL) : NULL;
    if (absolute && strlen(absolute) < GN_OPTION_TEXT_SIZE)
        strcpy(path, absolute);
    free(absolute);
}

static gn_status resolve(rl_config *config, const cli_line *line)
{
    const char *file = cli_value(line, flags, "--config");
    if (line->options == 0 && !file)
        return gn_fail(GN_ERR_ARG, "nothing to train on: pass --data FILE or --env NAME");
    GN_TRY(rl_config_resolve(config, file, line->option, line->options));
    make_absolute(config->run.data);
    make_absolute(config->market.cache);
    return GN_OK;
}

// A first try is often this short. The last round may pass train.steps.
static void tell_too_short(const rl_train_config *train)
{
    if (train->starts >= train->steps + train->every * train->envs)
        gn_log_warning(&cli_log,
                       "train.starts: %lld is above train.steps = %lld: nothing is learned",
                       (long long)train->starts, (long long)train->steps);
}

static int train(const rl_config *config, const cli_line *line, const char *folder)
{
    rl_hooks hooks = cli_training_hooks();
    rl_trainer *trainer = NULL;
    gn_status status = rl_trainer_create(&trainer, config, folder, &hooks);
    if (status == GN_OK)
        status = rl_option_use_tell(config, line->option, line->options, hooks.log);
    if (status == GN_OK)
        tell_too_short(&config->train);
    int exit_status = status == GN_OK ? cli_training_run(trainer, folder) : cli_fail(status);
    rl_trainer_destroy(&trainer);
    return exit_status;
}

int cmd_train(int argc, char **argv)
{
    rl_config *config = NULL;
    cli_line line;
    char folder[GN_PATH_SIZE];
    int exit_status = 0;
    gn_status status = rl_config_create(&config);
    if (status == GN_OK)
        status = cli_parse(&line, argc, argv, flags, config->sections, 0);
    if (status == GN_OK && line.help) {
        status = cli_help(usage, about, flags, config->sections);
        exit_status = status == GN_OK ? 0 : cli_fail(status);
    } else {
        if (status == GN_OK)
            status = resolve(config, &line);
        if (status == GN_OK)
            status = name_folder(config, cli_value(&line, flags, "--out"), folder);
        exit_status = status == GN_OK ? train(config, &line, folder) : cli_fail(status);
    }
    rl_config_destroy(&config);
    return exit_status;
}
