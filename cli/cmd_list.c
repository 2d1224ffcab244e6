// The commands that tell what there is: envs, agents, options, version.

#include <stdio.h>
#include <string.h>

#include <jansson.h>
#include <lmdb.h>
#include <zstd.h>

#include "cli/cli.h"
#include "rl/config.h"
#include "shim/arrow.h"
#include "shim/torch.h"

static const cli_flag no_flags[] = { { 0 } };

// Runs `print` into a text for a command with these flags; all four commands have this shape.
static int list(int argc, char **argv, const char *usage, const char *about, const cli_flag *flags,
                size_t positionals, gn_status (*print)(gn_text *out, const cli_line *line))
{
    cli_line line;
    gn_status status = cli_parse(&line, argc, argv, flags, NULL, positionals);
    if (status == GN_OK && line.help) {
        return cli_help(usage, about, flags, NULL) == GN_OK ? 0 : cli_fail(GN_ERR_IO);
    }
    gn_text out = { 0 };
    if (status == GN_OK)
        status = print(&out, &line);
    if (status == GN_OK)
        status = cli_print(&out);
    gn_text_free(&out);
    return status == GN_OK ? 0 : cli_fail(status);
}

static gn_status print_envs(gn_text *out, const cli_line *line)
{
    enum { COLUMN = 14 };
    (void)line;
    for (const env_class *const *class = env_classes; *class; class ++) {
        gn_text_append(out, "%-*s", COLUMN, (*class)->name);
        gn_text_append_wrapped(out, (*class)->summary, COLUMN, COLUMN, CLI_WIDTH);
        gn_text_append(out, "\n");
    }
    return GN_OK;
}

int cmd_envs(int argc, char **argv)
{
    return list(argc, argv, "gannet envs", "Lists the environments an agent can train on.",
                no_flags, 0, print_envs);
}

static gn_status print_preset_file(gn_text *out, const char *name)
{
    rl_config *config = NULL;
    GN_TRY(rl_config_create(&config));
    const char *const flag[] = { "run.agent", name };
    gn_status status = rl_config_resolve(config, NULL, flag, 1);
    if (status == GN_OK)
        gn_options_ini(out, config->sections);
    rl_config_destroy(&config);
    return status;
}

static gn_status print_agents(gn_text *out, const cli_line *line)
{
    enum { COLUMN = 16 };
    if (line->positionals)
        return print_preset_file(out, line->positional[0]);
    for (const rl_preset *preset = rl_presets; preset->name; preset++) {
        gn_text_append(out, "%-*s", COLUMN, preset->name);
        gn_text_append_wrapped(out, preset->summary, COLUMN, COLUMN, CLI_WIDTH);
        gn_text_append(out, "\n%*s", COLUMN, "");
        gn_text_append_wrapped(out, preset->source, COLUMN, COLUMN, CLI_WIDTH);
        for (const char *const *setting = preset->settings; *setting; setting += 2)
            gn_text_append(out, "\n%*s%s = %s", COLUMN, "", setting[0], setting[1]);
        gn_text_append(out, "\n");
    }
    return GN_OK;
}

int cmd_agents(int argc, char **argv)
{
    return list(argc, argv, "gannet agents [NAME]",
                "Lists the agent presets with their source and the options they set; with a name, "
                "prints all options of that preset as a run file for gannet train --config.",
                no_flags, 1, print_agents);
}

static const cli_flag options_flags[] = {
    { "--markdown", NULL, NULL, "as Markdown tables (docs/options.md)" },
    { "--json", NULL, NULL, "defaults as one JSON object" },
    { 0 },
};

static gn_status print_options(gn_text *out, const cli_line *line)
{
    rl_config *config = NULL;
    GN_TRY(rl_config_create(&config));
    if (cli_value(line, options_flags, "--markdown")) {
        gn_options_markdown(out, config->sections);
    } else if (cli_value(line, options_flags, "--json")) {
        gn_options_json(out, config->sections);
    } else {
        for (const gn_option_section *section = config->sections; section->name; section++) {
            gn_text_append(out, "%s", section == config->sections ? "" : "\n");
            gn_options_help(out, section, CLI_WIDTH);
        }
    }
    rl_config_destroy(&config);
    return GN_OK;
}

int cmd_options(int argc, char **argv)
{
    return list(argc, argv, "gannet options [--markdown | --json]",
                "Lists every option of a run with its default, its range and what it does.",
                options_flags, 0, print_options);
}

static gn_status print_version(gn_text *out, const cli_line *line)
{
    (void)line;
    gn_text_append(out, "gannet %s\nLibTorch %s\nArrow %s\nLMDB %d.%d.%d\nzstd %s\njansson %s\n",
                   GANNET_VERSION, torch_version(), arrow_version(), MDB_VERSION_MAJOR,
                   MDB_VERSION_MINOR, MDB_VERSION_PATCH, ZSTD_versionString(), JANSSON_VERSION);
    return GN_OK;
}

int cmd_version(int argc, char **argv)
{
    return list(argc, argv, "gannet version", "Versions of this program and its libraries.",
                no_flags, 0, print_version);
}
