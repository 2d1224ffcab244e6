// Options as help: for the terminal and for docs/options.md.

#include "base/option.h"

#include <math.h>
#include <string.h>

static const char *type_word(gn_option_type type)
{
    static const char *const words[] = {
        [GN_OPTION_TYPE_BOOL] = "BOOL",   [GN_OPTION_TYPE_INT] = "INT",
        [GN_OPTION_TYPE_REAL] = "REAL",   [GN_OPTION_TYPE_TEXT] = "TEXT",
        [GN_OPTION_TYPE_CHOICE] = "NAME", [GN_OPTION_TYPE_LIST] = "LIST",
    };
    return words[type];
}

// "0 to 1", "at least 0", "true or false", "a, b, c"; nothing where everything is allowed.
static void append_allowed(gn_text *out, const gn_option *option)
{
    switch (option->type) {
    case GN_OPTION_TYPE_BOOL:
        gn_text_append(out, "true or false");
        return;
    case GN_OPTION_TYPE_TEXT:
        return;
    case GN_OPTION_TYPE_CHOICE:
        for (int i = 0; option->choices[i] != NULL; i++)
            gn_text_append(out, "%s%s", i > 0 ? ", " : "", option->choices[i]);
        return;
    case GN_OPTION_TYPE_LIST:
        gn_text_append(out, "1 to %zu numbers, each ", option->most);
        break;
    case GN_OPTION_TYPE_INT:
    case GN_OPTION_TYPE_REAL:
        break;
    }
    if (isinf(option->max) && isinf(option->min)) {
        gn_text_append(out, "any number");
    } else if (isinf(option->max)) {
        gn_text_append(out, "at least ");
        gn_text_append_number(out, option->min);
    } else if (isinf(option->min)) {
        gn_text_append(out, "at most ");
        gn_text_append_number(out, option->max);
    } else {
        gn_text_append_number(out, option->min);
        gn_text_append(out, " to ");
        gn_text_append_number(out, option->max);
    }
}

// "exponent of the priorities (default 0.6; 0 to 1)"
static void append_description(gn_text *out, const gn_option *option)
{
    const char *fallback = *option->fallback != '\0' ? option->fallback : "empty";
    gn_text_append(out, "%s (default %s", option->help, fallback);
    if (option->type != GN_OPTION_TYPE_TEXT) {
        gn_text_append(out, "; ");
        append_allowed(out, option);
    }
    gn_text_append(out, ")");
}

// "  --section.key TYPE" with two blanks after it.
static size_t flag_width(const gn_option_section *section, const gn_option *option)
{
    return strlen("  --. ") + strlen(section->name) + strlen(option->key) +
           strlen(type_word(option->type)) + 2;
}

// Descriptions start in one column, right of the flags; flags longer than half the width stand on
// a line of their own.
static size_t description_column(const gn_option_section *section, size_t width)
{
    size_t column = 0;
    for (const gn_option *option = section->options; option->key != NULL; option++) {
        size_t size = flag_width(section, option);
        if (size > column && size <= width / 2)
            column = size;
    }
    return column > 0 ? column : width / 4;
}

void gn_options_help(gn_text *out, const gn_option_section *section, size_t width)
{
    size_t column = description_column(section, width);
    gn_text_append_wrapped(out, section->help, 0, 0, width);
    gn_text_append(out, "\n");
    for (const gn_option *option = section->options; option->key != NULL; option++) {
        size_t size = flag_width(section, option);
        gn_text_append(out, "  --%s.%s %s", section->name, option->key, type_word(option->type));
        gn_text description = { 0 };
        append_description(&description, option);
        gn_text_append_wrapped(out, gn_text_data(&description), size > column ? size : size - 2,
                               column, width);
        if (gn_text_status(&description) != GN_OK)
            out->status = gn_text_status(&description);
        gn_text_free(&description);
        gn_text_append(out, "\n");
    }
}

void gn_options_markdown(gn_text *out, const gn_option_section *sections)
{
    for (const gn_option_section *section = sections; section->name != NULL; section++) {
        gn_text_append(out, "%s## %s\n\n%s\n\n", section == sections ? "" : "\n", section->name,
                       section->help);
        gn_text_append(out, "| option | default | allowed | meaning |\n|---|---|---|---|\n");
        for (const gn_option *option = section->options; option->key != NULL; option++) {
            const char *quote = *option->fallback != '\0' ? "`" : "";
            gn_text_append(out, "| `--%s.%s` | %s%s%s | ", section->name, option->key, quote,
                           option->fallback, quote);
            append_allowed(out, option);
            gn_text_append(out, " | %s |\n", option->help);
        }
    }
}
