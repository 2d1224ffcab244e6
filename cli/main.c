#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static const struct {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
    { "train", "train an agent on a bars file or an environment", cmd_train },
    { "resume", "continue a run exactly where its newest checkpoint stands", cmd_resume },
    { "eval", "measure a trained agent beside the baselines", cmd_eval },
    { "plot", "draw learning curves of several runs, with bands over seeds", cmd_plot },
    { "data", "import, look at, and generate market data", cmd_data },
    { "replay", "look into a replay buffer, check it, export its steps", cmd_replay },
    { "envs", "list environments", cmd_envs },
    { "agents", "list agent presets, or print one as a run file", cmd_agents },
    { "options", "list every option with default, range and meaning", cmd_options },
    { "version", "versions of this program and its libraries", cmd_version },
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_usage(FILE *out)
{
    fprintf(out, "usage: gannet COMMAND [...]\n\n"
                 "Reinforcement learning for trading: train, resume, evaluate.\n\n");
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "\n`gannet COMMAND --help` tells more.\n");
}

// A file of ours must never become standard output or error of a process that was started without.
static void open_standard_files(void)
{
    int file;
    do
        file = open("/dev/null", O_RDWR);
    while (file >= 0 && file <= STDERR_FILENO);
    if (file >= 0)
        close(file);
}

int main(int argc, char **argv)
{
    open_standard_files();
    signal(SIGXFSZ, SIG_IGN); // a file size limit is an error like a full disk
    if (argc < 2) {
        print_usage(stderr);
        return 2;
    }
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_usage(stdout);
        return fflush(stdout) == 0 ? 0
                                   : cli_fail(gn_fail(GN_ERR_IO, "standard output: not written"));
    }
    if (strcmp(argv[1], "--version") == 0)
        return cmd_version(1, argv + 1);
    return cli_fail(gn_fail(GN_ERR_ARG, "'%s': no such command (gannet --help)", argv[1]));
}
