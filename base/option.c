// Values of options: find, parse, check, set and format. Files are in option_file.c, help in
// option_help.c.

#include "base/option.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- Finding an option ----

bool gn_options_find(const gn_option_section *sections, const char *key,
                     const gn_option **ret_option, void **ret_value)
{
    for (const gn_option_section *section = sections; section->name != NULL; section++) {
        size_t length = strlen(section->name);
        if (strncmp(key, section->name, length) != 0 || key[length] != '.')
            continue;
        for (const gn_option *option = section->options; option->key != NULL; option++) {
            if (strcmp(key + length + 1, option->key) != 0)
                continue;
            if (ret_option != NULL)
                *ret_option = option;
            if (ret_value != NULL)
                *ret_value = section->values ? (char *)section->values + option->offset : NULL;
            return true;
        }
    }
    return false;
}

size_t gn_options_nearest(const gn_option_section *sections, const char *key,
                          char ret_name[GN_OPTION_NAME_SIZE])
{
    bool bare = strchr(key, '.') == NULL;
    size_t best = SIZE_MAX;
    for (const gn_option_section *section = sections; section->name != NULL; section++)
        for (const gn_option *option = section->options; option->key != NULL; option++) {
            char name[GN_OPTION_NAME_SIZE];
            snprintf(name, sizeof name, "%s.%s", section->name, option->key);
            size_t distance = gn_text_distance(key, bare ? option->key : name);
            if (distance < best) {
                best = distance;
                memcpy(ret_name, name, sizeof name);
            }
        }
    return best;
}

// ---- Parsing: all of the text or nothing ----

// An exact integer: [sign] digits [. digits] [e exponent] [k | M]. The digits are gathered as one
// number and shifted by a power of ten, so that 1.5e3 is 1500 and 1.5 is refused.
static bool parse_int(const char *text, int64_t *ret_value)
{
    bool negative = *text == '-', fraction = false;
    const char *c = text + (*text == '-' || *text == '+');
    uint64_t magnitude = 0;
    long shift = 0;
    bool digits = false;
    for (; isdigit((unsigned char)*c) || (*c == '.' && !fraction); c++) {
        if (*c == '.') {
            fraction = true;
            continue;
        }
        digits = true;
        shift -= fraction;
        if (__builtin_mul_overflow(magnitude, 10, &magnitude) ||
            __builtin_add_overflow(magnitude, (uint64_t)(*c - '0'), &magnitude))
            return false;
    }
    if (digits && (*c == 'e' || *c == 'E') && !isspace((unsigned char)c[1])) {
        char *end;
        long exponent = strtol(c + 1, &end, 10);
        if (end == c + 1 || labs(exponent) > 100)
            return false;
        shift += exponent;
        c = end;
    }
    if (*c == 'k' || *c == 'M')
        shift += *c++ == 'k' ? 3 : 6;
    if (!digits || *c != '\0')
        return false;
    for (; shift > 0 && magnitude > 0; shift--)
        if (__builtin_mul_overflow(magnitude, 10, &magnitude))
            return false;
    for (; shift < 0 && magnitude > 0; shift++) {
        if (magnitude % 10 != 0)
            return false;
        magnitude /= 10;
    }
    if (magnitude > (uint64_t)INT64_MAX + negative)
        return false;
    *ret_value = (int64_t)(negative ? -magnitude : magnitude);
    return true;
}

// strtod would also take blanks, hexadecimal digits and "nan", and make 1e999 infinite.
static bool parse_real(const char *text, double *ret_value)
{
    bool infinite = strcmp(text, "inf") == 0 || strcmp(text, "-inf") == 0;
    if (!infinite && text[strspn(text, "0123456789+-.eE")] != '\0')
        return false;
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || (isinf(value) && !infinite))
        return false;
    *ret_value = value;
    return true;
}

static bool parse_choice(const gn_option *option, const char *text, int *ret_value)
{
    for (int i = 0; option->choices[i] != NULL; i++)
        if (strcmp(text, option->choices[i]) == 0) {
            *ret_value = i;
            return true;
        }
    return false;
}

// Numbers between commas; blanks around them do not matter.
static bool parse_list(const gn_option *option, const char *text, gn_option_list *ret_list)
{
    ret_list->count = 0;
    for (const char *item = text;; item++) {
        item += strspn(item, " ");
        size_t length = strcspn(item, ", ");
        char number[64];
        if (ret_list->count == option->most || length >= sizeof number)
            return false;
        memcpy(number, item, length);
        number[length] = '\0';
        if (!parse_real(number, &ret_list->value[ret_list->count++]))
            return false;
        item += length;
        item += strspn(item, " ");
        if (*item != ',')
            return *item == '\0';
    }
}

// Why a text cannot be kept, NULL if it can. A run file holds a value on one line between blanks,
// where " ;" starts a comment; JSON holds UTF-8.
static const char *text_problem(const char *text)
{
    size_t length = strlen(text);
    if (length >= GN_OPTION_TEXT_SIZE)
        return "is longer than 1023 bytes";
    if (length > 0 && (isspace((unsigned char)text[0]) || isspace((unsigned char)text[length - 1])))
        return "begins or ends with a blank";
    if (text[0] == ';' || strstr(text, " ;") != NULL)
        return "has a ';' at its start or after a blank";
    for (const char *c = text; *c != '\0'; c++)
        if (iscntrl((unsigned char)*c))
            return "holds a control character";
    json_t *utf8 = json_string(text);
    json_decref(utf8);
    return utf8 == NULL ? "is not UTF-8" : NULL;
}

// ---- Setting a value ----

static void append_interval(gn_text *out, const gn_option *option)
{
    gn_text_append(out, "[");
    gn_text_append_number(out, option->min);
    gn_text_append(out, ", ");
    gn_text_append_number(out, option->max);
    gn_text_append(out, "]");
}

// Values are cut here so that what is allowed always fits into the error line.
static gn_status refuse_range(const gn_option *option, const char *key, const char *value)
{
    gn_text allowed = { 0 };
    append_interval(&allowed, option);
    gn_fail(GN_ERR_CONFIG, "%s: %.200s is outside %s", key, value, gn_text_data(&allowed));
    gn_text_free(&allowed);
    return GN_ERR_CONFIG;
}

static gn_status refuse_form(const gn_option *option, const char *key, const char *value)
{
    gn_text allowed = { 0 };
    switch (option->type) {
    case GN_OPTION_TYPE_BOOL:
        gn_text_append(&allowed, "true or false");
        break;
    case GN_OPTION_TYPE_INT:
        gn_text_append(&allowed, "an integer in ");
        append_interval(&allowed, option);
        break;
    case GN_OPTION_TYPE_REAL:
        gn_text_append(&allowed, "a number in ");
        append_interval(&allowed, option);
        break;
    case GN_OPTION_TYPE_CHOICE:
        gn_text_append(&allowed, "one of %s", option->choices[0]);
        for (int i = 1; option->choices[i] != NULL; i++)
            gn_text_append(&allowed, ", %s", option->choices[i]);
        break;
    case GN_OPTION_TYPE_LIST:
        gn_text_append(&allowed, "1 to %zu numbers with commas, each in ", option->most);
        append_interval(&allowed, option);
        break;
    case GN_OPTION_TYPE_TEXT:
        assert(!"a text has its own reasons");
    }
    gn_fail(GN_ERR_CONFIG, "%s: '%.200s' is not %s", key, value, gn_text_data(&allowed));
    gn_text_free(&allowed);
    return GN_ERR_CONFIG;
}

static bool in_range(const gn_option *option, double value)
{
    return value >= option->min && value <= option->max;
}

static gn_status set_int(const gn_option *option, const char *key, const char *text, int64_t *field)
{
    int64_t value;
    if (!parse_int(text, &value))
        return refuse_form(option, key, text);
    if (!in_range(option, (double)value))
        return refuse_range(option, key, text);
    *field = value;
    return GN_OK;
}

static gn_status set_real(const gn_option *option, const char *key, const char *text, double *field)
{
    double value;
    if (!parse_real(text, &value))
        return refuse_form(option, key, text);
    if (!in_range(option, value))
        return refuse_range(option, key, text);
    *field = value;
    return GN_OK;
}

static gn_status set_text(const char *key, const char *text, char *field)
{
    const char *problem = text_problem(text);
    if (problem != NULL)
        return gn_fail(GN_ERR_CONFIG, "%s: '%.200s' %s", key, text, problem);
    strcpy(field, text);
    return GN_OK;
}

static gn_status set_list(const gn_option *option, const char *key, const char *text,
                          gn_option_list *field)
{
    gn_option_list list = { 0 };
    if (!parse_list(option, text, &list))
        return refuse_form(option, key, text);
    for (size_t i = 0; i < list.count; i++)
        if (!in_range(option, list.value[i]))
            return refuse_range(option, key, text);
    *field = list;
    return GN_OK;
}

static gn_status set_value(const gn_option *option, const char *key, const char *text, void *field)
{
    switch (option->type) {
    case GN_OPTION_TYPE_BOOL:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
            return refuse_form(option, key, text);
        *(bool *)field = text[0] == 't';
        return GN_OK;
    case GN_OPTION_TYPE_INT:
        return set_int(option, key, text, field);
    case GN_OPTION_TYPE_REAL:
        return set_real(option, key, text, field);
    case GN_OPTION_TYPE_TEXT:
        return set_text(key, text, field);
    case GN_OPTION_TYPE_CHOICE:
        return parse_choice(option, text, field) ? GN_OK : refuse_form(option, key, text);
    case GN_OPTION_TYPE_LIST:
        return set_list(option, key, text, field);
    }
    return gn_fail(GN_ERR_CONFIG, "%s: unknown type %d", key, (int)option->type);
}

gn_status gn_options_set(const gn_option_section *sections, const char *key, const char *value)
{
    const gn_option *option;
    void *field;
    if (gn_options_find(sections, key, &option, &field)) {
        assert(field != NULL);
        return set_value(option, key, value, field);
    }
    char nearest[GN_OPTION_NAME_SIZE] = "none";
    gn_options_nearest(sections, key, nearest);
    return gn_fail(GN_ERR_CONFIG, "%.200s: unknown option (nearest: %s)", key, nearest);
}

static int last_choice(const gn_option *option)
{
    int last = 0;
    while (option->choices[last + 1] != NULL)
        last++;
    return last;
}

gn_status gn_options_check(const char *section, const gn_option *options, const void *values)
{
    for (const gn_option *option = options; option->key != NULL; option++) {
        const void *field = (const char *)values + option->offset;
        double value, min = option->min, max = option->max;
        switch (option->type) {
        case GN_OPTION_TYPE_INT:
            value = (double)*(const int64_t *)field;
            break;
        case GN_OPTION_TYPE_REAL:
            value = *(const double *)field;
            break;
        case GN_OPTION_TYPE_CHOICE:
            value = *(const int *)field;
            min = 0;
            max = last_choice(option);
            break;
        default:
            continue;
        }
        if (!(value >= min && value <= max))
            return gn_fail(GN_ERR_CONFIG, "%s.%s: %g must be %g to %g", section, option->key, value,
                           min, max);
    }
    return GN_OK;
}

void gn_options_reset(const gn_option_section *sections)
{
    for (const gn_option_section *section = sections; section->name != NULL; section++)
        for (const gn_option *option = section->options; option->key != NULL; option++) {
            void *field = (char *)section->values + option->offset;
            gn_status status = set_value(option, option->key, option->fallback, field);
            assert(status == GN_OK);
            (void)status;
        }
}

// ---- Formatting ----

void gn_option_format(gn_text *out, const gn_option *option, const void *value)
{
    const gn_option_list *list = value;
    switch (option->type) {
    case GN_OPTION_TYPE_BOOL:
        gn_text_append(out, "%s", *(const bool *)value ? "true" : "false");
        break;
    case GN_OPTION_TYPE_INT:
        gn_text_append(out, "%" PRId64, *(const int64_t *)value);
        break;
    case GN_OPTION_TYPE_REAL:
        gn_text_append_number(out, *(const double *)value);
        break;
    case GN_OPTION_TYPE_TEXT:
        gn_text_append(out, "%s", (const char *)value);
        break;
    case GN_OPTION_TYPE_CHOICE:
        gn_text_append(out, "%s", option->choices[*(const int *)value]);
        break;
    case GN_OPTION_TYPE_LIST:
        for (size_t i = 0; i < list->count; i++) {
            gn_text_append(out, "%s", i > 0 ? "," : "");
            gn_text_append_number(out, list->value[i]);
        }
        break;
    }
}
