// What the commands share. Each command is one cmd_NAME.c and one row of the table in main.c.
// Results go to stdout, everything else to stderr. Exit status: 0 done, 1 failed, 2 wrong usage.

#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/log.h"
#include "base/option.h"
#include "base/status.h"

enum { CLI_WIDTH = 80, CLI_MAX_FLAGS = 256, CLI_MAX_WORDS = 512 };

int cmd_train(int argc, char **argv);
int cmd_resume(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_plot(int argc, char **argv);
int cmd_data(int argc, char **argv);
int cmd_replay(int argc, char **argv);
int cmd_envs(int argc, char **argv);
int cmd_agents(int argc, char **argv);
int cmd_options(int argc, char **argv);
int cmd_version(int argc, char **argv);

// Prints "gannet: " and the recorded error; returns 2 for wrong usage, else 1.
int cli_fail(gn_status status);

// Messages of the library, one line each on stderr, never across the progress line.
extern const gn_log cli_log;

// A flag of one command that is not a section option: `--json`, `--split NAME`.
typedef struct cli_flag {
    const char *name; // "--split"
    const char *value; // what to call its value in help, NULL if it takes none
    const char *option; // "run.seed" if it is short for that option, else NULL
    const char *help;
} cli_flag;

// A command line taken apart: `--name value` and `--name=value`, in any order, `--` ends flags.
typedef struct cli_line {
    const char *positional[CLI_MAX_WORDS];
    size_t positionals;
    const char *option[2 * CLI_MAX_FLAGS]; // "section.key", value, ...
    size_t options;
    const char
        *own[32]; // value of flag i of the command's table, "" if it takes none; NULL if absent
    bool help;
} cli_line;

// Flags are those of `flags` (ends with {0}) and, with `sections`, --SECTION.KEY VALUE.
// Errors: GN_ERR_ARG: unknown flag, missing value, value where none belongs,
// more than max_positionals words.
gn_status cli_parse(cli_line *ret_line, int argc, char **argv, const cli_flag *flags,
                    const gn_option_section *sections, size_t max_positionals);

// Prints usage, text and flags, then the options of `sections` (may be NULL), to stdout.
// Errors: GN_ERR_IO.
gn_status cli_help(const char *usage, const char *text, const cli_flag *flags,
                   const gn_option_section *sections);

// Value of an own flag, NULL if absent.
const char *cli_value(const cli_line *line, const cli_flag *flags, const char *name);

// Prints a text to stdout and frees it. Errors: GN_ERR_IO if stdout does not take it.
gn_status cli_print(gn_text *text);

// Prints an object as one line of JSON and releases it; NULL is an allocation that failed.
gn_status cli_print_json(json_t *root);

#endif
