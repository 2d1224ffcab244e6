#include "cli/verbs.h"

#include <inttypes.h>
#include <string.h>

#include "market/table.h"

const char *cli_verb_value(const cli_request *request, const char *flag)
{
    return cli_value(&request->line, request->verb->flags, flag);
}

gn_status cli_verb_table(const cli_request *request, const char **ret_path)
{
    const char *path = cli_verb_value(request, "--to");
    if (!path)
        return gn_fail(GN_ERR_ARG, "--to FILE is missing: where to write");
    gn_status status = market_table_check_path(path);
    if (status != GN_OK)
        return gn_fail_within(status, "--to");
    *ret_path = path;
    return GN_OK;
}

static gn_status print_verbs(const char *command, const cli_verb *verbs)
{
    gn_text out = { 0 };
    gn_text_append(&out, "usage: gannet %s VERB [...]\n\n", command);
    for (const cli_verb *verb = verbs; verb->name; verb++)
        gn_text_append(&out, "  %s\n", verb->usage);
    gn_text_append(&out, "\n`gannet %s VERB --help` tells more.\n", command);
    return cli_print(&out);
}

static gn_status unknown_verb(const char *command, const cli_verb *verbs, const char *name)
{
    gn_text known = { 0 };
    for (const cli_verb *verb = verbs; verb->name; verb++)
        gn_text_append(&known, "%s%s", verb == verbs ? "" : ", ", verb->name);
    gn_status status =
        *name
            ? gn_fail(GN_ERR_ARG, "%s '%s': the verbs are %s", command, name, gn_text_data(&known))
            : gn_fail(GN_ERR_ARG, "%s what? the verbs are %s", command, gn_text_data(&known));
    gn_text_free(&known);
    return status;
}

static gn_status run_verb(cli_request *request, const gn_option_section *all, int argc, char **argv)
{
    enum { SECTIONS_MAX = 8 };
    const cli_verb *verb = request->verb;
    gn_option_section sections[SECTIONS_MAX + 1] = { 0 };
    size_t count = 0;
    for (size_t i = 0; all[i].name; i++)
        if (verb->sections >> i & 1 && count < SECTIONS_MAX)
            sections[count++] = all[i];
    gn_options_reset(sections);
    GN_TRY(cli_parse(&request->line, argc, argv, verb->flags, count > 0 ? sections : NULL, 1));
    if (request->line.help) {
        GN_TRY(cli_help(verb->usage, verb->about, verb->flags, sections));
        return verb->more_help ? verb->more_help() : GN_OK;
    }
    for (size_t i = 0; i < request->line.options; i++)
        GN_TRY(
            gn_options_set(sections, request->line.option[2 * i], request->line.option[2 * i + 1]));
    return verb->run(request);
}

int cli_verbs_run(const char *command, const cli_verb *verbs, const gn_option_section *sections,
                  void *user, int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    cli_request request = { .verb = verbs, .user = user };
    while (request.verb->name && strcmp(name, request.verb->name) != 0)
        request.verb++;
    gn_status status;
    if (request.verb->name)
        status = run_verb(&request, sections, argc - 1, argv + 1);
    else if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        status = print_verbs(command, verbs);
    else
        status = unknown_verb(command, verbs, name);
    return status == GN_OK ? request.unsound : cli_fail(status);
}

void cli_row(gn_text *out, const char *label)
{
    gn_text_append(out, "%-14s ", label);
}

void cli_counted(gn_text *out, uint64_t n, const char *what)
{
    gn_text_append(out, "%" PRIu64 " %s%s", n, what, gn_plural(n));
}

void cli_bytes(gn_text *out, uint64_t bytes)
{
    static const char *const unit[] = { "bytes", "kB", "MB", "GB", "TB" };
    double size = (double)bytes;
    size_t i = 0;
    for (; size >= 1000 && i < 4; i++)
        size /= 1000;
    gn_text_append(out, "%.4g %s", size, unit[i]);
}
