#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int cli_fail(gn_status status)
{
    fprintf(stderr, "gannet: %s\n", gn_error_text());
    return status == GN_ERR_CONFIG || status == GN_ERR_ARG ? 2 : 1;
}

static void write_line(void *user, gn_log_level level, const char *line)
{
    (void)user;
    const char *erase = isatty(STDERR_FILENO) ? "\r\033[K" : "";
    fprintf(stderr, "%sgannet: %s%s\n", erase, level == GN_LOG_WARNING ? "warning: " : "", line);
}

const gn_log cli_log = { .write = write_line };

static size_t find_flag(const cli_flag *flags, const char *name, size_t length)
{
    size_t i = 0;
    while (flags[i].name &&
           (strlen(flags[i].name) != length || strncmp(flags[i].name, name, length) != 0))
        i++;
    return i;
}

// Names the nearest flag where one is near: own flags, and options also by their bare key.
static gn_status refuse_flag(const char *flag, size_t length, const cli_flag *flags,
                             const gn_option_section *sections)
{
    enum { FEW = 2 }; // two letters in each other's place
    char name[GN_TEXT_WORD_SIZE], nearest[GN_OPTION_NAME_SIZE] = "";
    snprintf(name, sizeof name, "%.*s", (int)length - 2, flag + 2);
    size_t best = sections ? gn_options_nearest(sections, name, nearest) : SIZE_MAX;
    for (; flags->name; flags++) {
        size_t distance = gn_text_distance(name, flags->name + 2);
        if (distance <= best) {
            best = distance;
            snprintf(nearest, sizeof nearest, "%s", flags->name + 2);
        }
    }
    if (best <= FEW && best <= strlen(name) / 2)
        return gn_fail(GN_ERR_ARG, "%.*s: unknown flag (nearest: --%s)", (int)length, flag,
                       nearest);
    return gn_fail(GN_ERR_ARG, "%.*s: unknown flag (--help lists them)", (int)length, flag);
}

static gn_status add_option(cli_line *line, const char *key, const char *value)
{
    if (line->options == CLI_MAX_FLAGS)
        return gn_fail(GN_ERR_ARG, "more than %d options", CLI_MAX_FLAGS);
    line->option[2 * line->options] = key;
    line->option[2 * line->options + 1] = value;
    line->options++;
    return GN_OK;
}

// One flag, its value in the same word or the next. Words that are section options keep their key
// in place: the '=' is overwritten.
static gn_status take_flag(cli_line *line, char **argv, int argc, int *i, const cli_flag *flags,
                           const gn_option_section *sections)
{
    char *word = argv[*i];
    char *equals = strchr(word, '=');
    size_t length = equals ? (size_t)(equals - word) : strlen(word);
    size_t index = find_flag(flags, word, length);
    const cli_flag *flag = flags[index].name ? &flags[index] : NULL;
    bool is_option = !flag && sections && memchr(word, '.', length);
    if (!flag && !is_option)
        return refuse_flag(word, length, flags, sections);

    const char *value = equals ? equals + 1 : NULL;
    bool takes_value = is_option || flag->value;
    if (!takes_value && value)
        return gn_fail(GN_ERR_ARG, "%s: takes no value", flag->name);
    if (takes_value && !value) {
        if (*i + 1 >= argc)
            return gn_fail(GN_ERR_ARG, "%s: needs a value", word);
        value = argv[++*i];
    }
    if (is_option) {
        word[length] = '\0';
        return add_option(line, word + 2, value);
    }
    line->own[index] = value ? value : "";
    return flag->option ? add_option(line, flag->option, value) : GN_OK;
}

gn_status cli_parse(cli_line *ret_line, int argc, char **argv, const cli_flag *flags,
                    const gn_option_section *sections, size_t max_positionals)
{
    cli_line line = { 0 };
    bool flags_ended = false;
    for (int i = 1; i < argc; i++) {
        if (!flags_ended && strcmp(argv[i], "--") == 0) {
            flags_ended = true;
        } else if (!flags_ended && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
            line.help = true;
        } else if (!flags_ended && strncmp(argv[i], "--", 2) == 0) {
            GN_TRY(take_flag(&line, argv, argc, &i, flags, sections));
        } else if (line.positionals < max_positionals) {
            line.positional[line.positionals++] = argv[i];
        } else {
            return gn_fail(GN_ERR_ARG, "'%s': not expected here (--help)", argv[i]);
        }
    }
    *ret_line = line;
    return GN_OK;
}

static void help_flag(gn_text *out, const cli_flag *flag)
{
    enum { HELP_COLUMN = 24 };
    char left[64];
    int length = snprintf(left, sizeof left, "  %s%s%s", flag->name, flag->value ? " " : "",
                          flag->value ? flag->value : "");
    gn_text_append(out, "%-*s", HELP_COLUMN, left);
    if (length >= HELP_COLUMN)
        gn_text_append(out, "\n%*s", HELP_COLUMN, "");
    gn_text_append_wrapped(out, flag->help, HELP_COLUMN, HELP_COLUMN, CLI_WIDTH);
    gn_text_append(out, "\n");
}

gn_status cli_help(const char *usage, const char *text, const cli_flag *flags,
                   const gn_option_section *sections)
{
    gn_text out = { 0 };
    gn_text_append(&out, "usage: %s\n\n", usage);
    gn_text_append_wrapped(&out, text, 0, 0, CLI_WIDTH);
    gn_text_append(&out, "\n\n");
    for (const cli_flag *flag = flags; flag->name; flag++)
        help_flag(&out, flag);
    help_flag(&out, &(cli_flag){ .name = "--help", .help = "this text" });
    for (const gn_option_section *section = sections; section && section->name; section++) {
        gn_text_append(&out, "\n");
        gn_options_help(&out, section, CLI_WIDTH);
    }
    return cli_print(&out);
}

const char *cli_value(const cli_line *line, const cli_flag *flags, const char *name)
{
    return line->own[find_flag(flags, name, strlen(name))];
}

gn_status cli_print(gn_text *text)
{
    gn_status status = gn_text_status(text);
    if (status == GN_OK && (fputs(gn_text_data(text), stdout) == EOF || fflush(stdout) != 0))
        status = gn_fail_errno(errno, "standard output");
    gn_text_free(text);
    return status;
}

gn_status cli_print_json(json_t *root)
{
    enum { DIGITS = 15 };
    char *dump = root ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(DIGITS)) : NULL;
    json_decref(root);
    if (!dump)
        return gn_fail(GN_ERR_MEMORY, "no memory for the result");
    gn_text text = { 0 };
    gn_text_append(&text, "%s\n", dump);
    free(dump);
    return cli_print(&text);
}
