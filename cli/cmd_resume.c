#include "cli/cli.h"
#include "cli/training.h"
#include "rl/run_folder.h"
#include "rl/trainer.h"

static const cli_flag flags[] = {
    { "--steps", "N", "train.steps",
      "train to this many steps in total instead of the number the run began with; schedules "
      "follow the new number" },
    { "--from", "STEP", NULL, "continue from this checkpoint; newer ones are removed" },
    { "--device", "D", "run.device",
      "where the networks learn from here on: cpu, torch, cuda, cuda:N or auto; each rounds "
      "differently" },
    { "--replay.device", "D", "replay.device",
      "where steps are drawn from here on: cpu, cuda or cuda:N; all draw the same" },
    { 0 },
};

static const char usage[] = "gannet resume DIR [--steps N] [--from STEP] [--device D]";
static const char about[] =
    "Continues a run exactly where its newest whole checkpoint stands, whatever ended it. What was "
    "written after that checkpoint is taken back first; the result is the same, byte for byte, as "
    "if the run had never stopped. A damaged checkpoint is passed over and reported.";

// A step number given as text goes through the option table, which knows 100k and 2M.
static gn_status parse_step(const char *text, uint64_t *ret_step)
{
    struct {
        int64_t from;
    } value;
    const gn_option options[] = {
        { .key = "from", .type = GN_OPTION_TYPE_INT, .fallback = "0", .max = 1e15 }, { 0 }
    };
    const gn_option_section sections[] = { { "resume", "", options, &value }, { 0 } };
    GN_TRY(gn_options_set(sections, "resume.from", text));
    *ret_step = (uint64_t)value.from;
    return GN_OK;
}

static gn_status prepare(rl_config *config, const cli_line *line, uint64_t *ret_from)
{
    if (line->positionals == 0)
        return gn_fail(GN_ERR_ARG, "which run? gannet resume DIR");
    GN_TRY(rl_run_folder_read(line->positional[0], config));
    for (size_t i = 0; i < line->options; i++)
        GN_TRY(gn_options_set(config->sections, line->option[2 * i], line->option[2 * i + 1]));
    const char *from = cli_value(line, flags, "--from");
    *ret_from = RL_NEWEST;
    return from ? parse_step(from, ret_from) : GN_OK;
}

static int resume(const rl_config *config, const char *folder, uint64_t from)
{
    rl_hooks hooks = cli_training_hooks();
    rl_trainer *trainer = NULL;
    gn_status status = rl_trainer_resume(&trainer, config, folder, from, &hooks);
    if (status != GN_OK)
        return cli_fail(status);
    int exit_status = cli_training_run(trainer, folder);
    rl_trainer_destroy(&trainer);
    return exit_status;
}

int cmd_resume(int argc, char **argv)
{
    rl_config *config = NULL;
    cli_line line;
    uint64_t from = RL_NEWEST;
    int exit_status = 0;
    gn_status status = cli_parse(&line, argc, argv, flags, NULL, 1);
    if (status == GN_OK && line.help) {
        return cli_help(usage, about, flags, NULL) == GN_OK ? 0 : cli_fail(GN_ERR_IO);
    }
    if (status == GN_OK)
        status = rl_config_create(&config);
    if (status == GN_OK)
        status = prepare(config, &line, &from);
    exit_status = status == GN_OK ? resume(config, line.positional[0], from) : cli_fail(status);
    rl_config_destroy(&config);
    return exit_status;
}
