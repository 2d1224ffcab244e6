// Options as files: read from INI (inih), written as INI and as JSON.

#include <assert.h>
#include <ini.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/option.h"

// ---- Reading ----

// inih holds about 200 bytes of a line (a limit compiled into it), which a list of features or a
// path may exceed. So it gets lines cut to what it holds, decides what each one is, and the handler
// takes the value of a cut line from the file's own text.
typedef struct ini_source {
    const gn_option_section *sections; // NULL: any
    gn_option_visit visit;
    void *user;
    const char *path;
    char *line, *line_end, *next; // line: without blanks around it; next: start of the one after
    size_t number; // of the line, from 1
    bool cut;
    gn_status status; // the first failure; nothing more is read then
} ini_source;

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

// "[section]" must be known even if no key follows.
static void check_section(ini_source *source)
{
    const char *name = source->line + 1;
    const char *end = memchr(name, ']', (size_t)(source->line_end - name));
    if (end == NULL)
        return; // inih reports it
    size_t length = (size_t)(end - name);
    for (const gn_option_section *section = source->sections; section->name != NULL; section++)
        if (strlen(section->name) == length && memcmp(section->name, name, length) == 0)
            return;
    source->status = gn_fail(GN_ERR_CONFIG, "%s:%zu: [%.*s]: unknown section", source->path,
                             source->number, length < 64 ? (int)length : 64, name);
}

// fgets for inih: the next line, cut to `size`. Blanks in front are dropped because inih would take
// an indented line for more of the value above it.
static char *next_line(char *buffer, int size, void *stream)
{
    ini_source *source = stream;
    if (source->status != GN_OK || *source->next == '\0')
        return NULL;
    source->line = source->next;
    source->number++;
    source->line_end = source->line + strcspn(source->line, "\n");
    source->next = source->line_end + (*source->line_end == '\n');
    while (source->line < source->line_end && is_blank(*source->line))
        source->line++;
    while (source->line_end > source->line && is_blank(source->line_end[-1]))
        source->line_end--;
    if (*source->line == '[' && source->sections != NULL)
        check_section(source);

    size_t length = (size_t)(source->line_end - source->line), room = (size_t)size - 2;
    source->cut = length > room;
    if (source->cut)
        length = room;
    memcpy(buffer, source->line, length);
    memcpy(buffer + length, "\n", 2);
    return buffer;
}

// The value of the current line where inih saw only its beginning. `seen` is what it saw: shorter
// than that beginning if a comment starts there.
static const char *whole_value(const ini_source *source, const char *seen)
{
    char *value = source->line + strcspn(source->line, "=:") + 1;
    while (value < source->line_end && is_blank(*value))
        value++;
    char *end = source->line_end;
    for (char *c = value; c < source->line_end; c++)
        if (*c == ';' && is_blank(c[-1])) {
            end = c;
            break;
        }
    while (end > value && is_blank(end[-1]))
        end--;
    *end = '\0';
    assert(strncmp(value, seen, strlen(seen)) == 0);
    (void)seen;
    return value;
}

// Returns 1 to go on, 0 to stop, as inih wants it.
static int visit_line(void *user, const char *section, const char *name, const char *value)
{
    ini_source *source = user;
    if (source->status != GN_OK)
        return 0;
    char key[128];
    snprintf(key, sizeof key, "%s%s%s", section, *section != '\0' ? "." : "", name);
    source->status =
        source->visit(source->user, key, source->cut ? whole_value(source, value) : value);
    if (source->status != GN_OK)
        gn_fail_within(source->status, "%s:%zu", source->path, source->number);
    return source->status == GN_OK;
}

static gn_status read_ini(ini_source *source)
{
    void *data;
    size_t size;
    GN_TRY(gn_file_read(&data, &size, source->path));
    source->next = data;
    if (strlen(data) != size)
        source->status =
            gn_fail(GN_ERR_CONFIG, "%s: holds a NUL byte at %zu", source->path, strlen(data));
    int bad_line = ini_parse_stream(next_line, source, visit_line, source);
    // inih goes on after a line it cannot read, so that the failure of a later one may be recorded.
    if (bad_line > 0 && (source->status == GN_OK || (size_t)bad_line < source->number))
        source->status =
            gn_fail(GN_ERR_CONFIG, "%s:%d: not 'key = value', '[section]' or a comment",
                    source->path, bad_line);
    gn_free(&data);
    return source->status;
}

static gn_status set_option(void *user, const char *key, const char *value)
{
    return gn_options_set(user, key, value);
}

gn_status gn_options_load(const gn_option_section *sections, const char *path)
{
    ini_source source = {
        .sections = sections, .visit = set_option, .user = (void *)sections, .path = path
    };
    return read_ini(&source);
}

gn_status gn_options_scan(const char *path, gn_option_visit visit, void *user)
{
    ini_source source = { .visit = visit, .user = user, .path = path };
    return read_ini(&source);
}

// ---- Writing ----

static void append_comment(gn_text *out, const char *words)
{
    enum { WIDTH = 80 };
    gn_text_append_prefixed(out, words, "# ", WIDTH);
    gn_text_append(out, "\n");
}

void gn_options_ini(gn_text *out, const gn_option_section *sections)
{
    for (const gn_option_section *section = sections; section->name != NULL; section++) {
        gn_text_append(out, "%s", section == sections ? "" : "\n");
        append_comment(out, section->help);
        gn_text_append(out, "[%s]\n", section->name);
        for (const gn_option *option = section->options; option->key != NULL; option++) {
            append_comment(out, option->help);
            gn_text_append(out, "%s = ", option->key);
            gn_option_format(out, option, (const char *)section->values + option->offset);
            gn_text_append(out, "\n");
        }
    }
}

static void append_json_string(gn_text *out, const char *string)
{
    json_t *json = json_string(string);
    char *quoted = json_dumps(json, JSON_ENCODE_ANY);
    json_decref(json);
    if (quoted == NULL) // the text is UTF-8 (gn_options_set checks): only memory can be missing
        out->status = gn_fail(GN_ERR_MEMORY, "cannot allocate the JSON text of an option");
    else
        gn_text_append(out, "%s", quoted);
    free(quoted);
}

// JSON has no infinity: it is written as the string that the option reads.
static void append_json_number(gn_text *out, double value)
{
    const char *quote = isinf(value) ? "\"" : "";
    gn_text_append(out, "%s", quote);
    gn_text_append_number(out, value);
    gn_text_append(out, "%s", quote);
}

static void append_json_value(gn_text *out, const gn_option *option, const void *value)
{
    const gn_option_list *list = value;
    switch (option->type) {
    case GN_OPTION_TYPE_BOOL:
    case GN_OPTION_TYPE_INT:
        gn_option_format(out, option, value);
        break;
    case GN_OPTION_TYPE_REAL:
        append_json_number(out, *(const double *)value);
        break;
    case GN_OPTION_TYPE_TEXT:
        append_json_string(out, value);
        break;
    case GN_OPTION_TYPE_CHOICE:
        append_json_string(out, option->choices[*(const int *)value]);
        break;
    case GN_OPTION_TYPE_LIST:
        for (size_t i = 0; i < list->count; i++) {
            gn_text_append(out, i == 0 ? "[" : ", ");
            append_json_number(out, list->value[i]);
        }
        gn_text_append(out, "]");
        break;
    }
}

void gn_options_json(gn_text *out, const gn_option_section *sections)
{
    gn_text_append(out, "{");
    for (const gn_option_section *section = sections; section->name != NULL; section++) {
        gn_text_append(out, "%s\"%s\": {", section == sections ? "" : ", ", section->name);
        for (const gn_option *option = section->options; option->key != NULL; option++) {
            gn_text_append(out, "%s\"%s\": ", option == section->options ? "" : ", ", option->key);
            append_json_value(out, option, (const char *)section->values + option->offset);
        }
        gn_text_append(out, "}");
    }
    gn_text_append(out, "}");
}
