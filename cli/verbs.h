// Commands that have verbs: `gannet data info`, `gannet replay stat`. A verb is a row of a table
// with the flags and options it takes, so that one which would change nothing is refused.

#ifndef CLI_VERBS_H
#define CLI_VERBS_H

#include <stdint.h>

#include "cli/cli.h"

typedef struct cli_request cli_request;

typedef struct cli_verb {
    const char *name, *usage, *about;
    const cli_flag *flags; // ends with {0}
    unsigned sections; // bit i: takes the options of the command's section i
    gn_status (*run)(cli_request *request);
    gn_status (*more_help)(void); // printed after the flags and options; NULL: nothing
} cli_verb;

// What a verb works on.
struct cli_request {
    const cli_verb *verb;
    cli_line line;
    void *user; // the command's
    bool unsound; // set by the verb: it did its work, and what it looked at is not as it should be
};

// Value of a flag of the verb, NULL if absent.
const char *cli_verb_value(const cli_request *request, const char *flag);

// Value of --to, the table that the verb writes; its name is looked at before any work is done.
// Errors: GN_ERR_ARG if it is missing or its ending names no format.
gn_status cli_verb_table(const cli_request *request, const char **ret_path);

// Runs the verb that argv[1] names, once the options it takes are at their defaults or what was
// typed; `--help` instead of it lists all. verbs and sections end with {0}.
// Returns the exit status: 1 also where the verb found something unsound.
int cli_verbs_run(const char *command, const cli_verb *verbs, const gn_option_section *sections,
                  void *user, int argc, char **argv);

// What outputs of verbs are made of: a label in its column, "3 chunks" or "1 chunk", and bytes as
// "1.234 MB".
void cli_row(gn_text *out, const char *label);
void cli_counted(gn_text *out, uint64_t n, const char *what);
void cli_bytes(gn_text *out, uint64_t bytes);

#endif
