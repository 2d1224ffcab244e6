// Options: one table per component drives defaults, run files, flags, --help, docs/options.md and
// checkpoint metadata.
//
//     typedef struct replay_config { int64_t capacity; double alpha; bool prioritized; }
//     replay_config; const gn_option replay_options[] = {
//         GN_OPTION_INT(replay_config, capacity, "100000", 1, 1e12, "steps kept"),
//         GN_OPTION_REAL(replay_config, alpha, "0.6", 0, 1, "exponent of the priorities"),
//         GN_OPTION_BOOL(replay_config, prioritized, "false", "sample in proportion to
//         priorities"), { 0 },
//     };
//
// A section joins a table with the struct it fills; a set is an array of sections that ends with
// {0}. Key `alpha` of section `replay` is "replay.alpha": `--replay.alpha 0.5` as a flag, and
//     [replay]
//     alpha = 0.5
// in a run file.
//
// Threads: a set belongs to one thread at a time.

#ifndef BASE_OPTION_H
#define BASE_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

enum { GN_OPTION_TEXT_SIZE = 1024, GN_OPTION_LIST_MAX = 32 };
enum { GN_OPTION_NAME_SIZE = GN_TEXT_WORD_SIZE }; // no "section.key" is longer

typedef enum gn_option_type {
    GN_OPTION_TYPE_BOOL, // bool; "true" or "false"
    GN_OPTION_TYPE_INT, // int64_t; decimal, also 1e6 or 100k or 2M
    GN_OPTION_TYPE_REAL, // double
    GN_OPTION_TYPE_TEXT, // char[GN_OPTION_TEXT_SIZE]; UTF-8 that a line of a run file can hold
    GN_OPTION_TYPE_CHOICE, // int; index into choices
    GN_OPTION_TYPE_LIST, // gn_option_list; comma separated numbers, at least one
} gn_option_type;

typedef struct gn_option_list {
    size_t count;
    double value[GN_OPTION_LIST_MAX];
} gn_option_list;

typedef struct gn_option {
    const char *key;
    gn_option_type type;
    size_t offset; // of the field in the component's struct
    const char *fallback; // default, as it would be typed
    double min, max; // INT, REAL and every LIST item, both inclusive
    size_t most; // LIST: items, GN_OPTION_LIST_MAX at most
    const char *const *choices; // CHOICE: names, NULL-terminated
    const char *help; // one sentence without final full stop, with the unit
} gn_option;

#define GN_OPTION_FIELD(TYPE, STRUCT, FIELD) \
    .key = #FIELD, .type = TYPE, .offset = offsetof(STRUCT, FIELD)
#define GN_OPTION_BOOL(STRUCT, FIELD, FALLBACK, HELP) \
    { \
        GN_OPTION_FIELD(GN_OPTION_TYPE_BOOL, STRUCT, FIELD), .fallback = FALLBACK, .help = HELP \
    }
#define GN_OPTION_INT(STRUCT, FIELD, FALLBACK, MIN, MAX, HELP) \
    { \
        GN_OPTION_FIELD(GN_OPTION_TYPE_INT, STRUCT, FIELD), .fallback = FALLBACK, .min = MIN, \
                                                            .max = MAX, .help = HELP \
    }
#define GN_OPTION_REAL(STRUCT, FIELD, FALLBACK, MIN, MAX, HELP) \
    { \
        GN_OPTION_FIELD(GN_OPTION_TYPE_REAL, STRUCT, FIELD), .fallback = FALLBACK, .min = MIN, \
                                                             .max = MAX, .help = HELP \
    }
#define GN_OPTION_TEXT(STRUCT, FIELD, FALLBACK, HELP) \
    { \
        GN_OPTION_FIELD(GN_OPTION_TYPE_TEXT, STRUCT, FIELD), .fallback = FALLBACK, .help = HELP \
    }
#define GN_OPTION_CHOICE(STRUCT, FIELD, FALLBACK, CHOICES, HELP) \
    { \
        GN_OPTION_FIELD(GN_OPTION_TYPE_CHOICE, STRUCT, FIELD), .fallback = FALLBACK, \
                                                               .choices = CHOICES, .help = HELP \
    }
#define GN_OPTION_LIST(STRUCT, FIELD, FALLBACK, MOST, MIN, MAX, HELP) \
    { \
        GN_OPTION_FIELD(GN_OPTION_TYPE_LIST, STRUCT, FIELD), .fallback = FALLBACK, .most = MOST, \
                                                             .min = MIN, .max = MAX, .help = HELP \
    }

typedef struct gn_option_section {
    const char *name; // "replay"
    const char *help; // one sentence: what the section is about
    const gn_option *options; // ends with {0}
    void *values; // the component's struct; NULL where only help is wanted
} gn_option_section;

// Sets every option to its default.
void gn_options_reset(const gn_option_section *sections);

// Sets "section.key" from text.
// Errors: GN_ERR_CONFIG: unknown key (names the nearest known one), not a value of the type, out of
// range; the text names key, value and what is allowed. Then nothing changed.
gn_status gn_options_set(const gn_option_section *sections, const char *key, const char *value);

// Checks a struct that a program filled itself: its single numbers and choices.
// Errors: GN_ERR_CONFIG: out of range; the text names section, key, value and what is allowed.
gn_status gn_options_check(const char *section, const gn_option *options, const void *values);

// The row of "section.key" and where its value lies (both may be NULL); false if there is none.
bool gn_options_find(const gn_option_section *sections, const char *key,
                     const gn_option **ret_option, void **ret_value);

// The "section.key" that is nearest to a key, which may be typed without its section. Returns by
// how many edits, SIZE_MAX where there are no options; then ret_name is as it was.
size_t gn_options_nearest(const gn_option_section *sections, const char *key,
                          char ret_name[GN_OPTION_NAME_SIZE]);

// Sets options from an INI file, in order. Sections not in the set are an error.
// Errors: those of gn_options_set with "path:line: " in front; GN_ERR_NOT_FOUND; GN_ERR_IO.
gn_status gn_options_load(const gn_option_section *sections, const char *path);

// One `key = value` of a file; key is "section.key". Anything but GN_OK ends the reading.
typedef gn_status (*gn_option_visit)(void *user, const char *key, const char *value);

// Reads an INI file whatever its keys are, for who has no table of them: `visit` gets every line in
// order, a repeated key again.
// Errors: those of `visit`, with "path:line: " in front; GN_ERR_CONFIG; GN_ERR_NOT_FOUND;
// GN_ERR_IO.
gn_status gn_options_scan(const char *path, gn_option_visit visit, void *user);

// One value as it would be typed: it reads back as exactly the same value.
void gn_option_format(gn_text *out, const gn_option *option, const void *value);

// All values as an INI file with each help text as a comment; loads back to the same values.
void gn_options_ini(gn_text *out, const gn_option_section *sections);

// The same as one line of JSON, {"section": {"key": value, ...}, ...}.
void gn_options_json(gn_text *out, const gn_option_section *sections);

// One section for --help: flags, defaults, ranges, help; lines of at most `width` columns.
void gn_options_help(gn_text *out, const gn_option_section *section, size_t width);

// All sections as Markdown tables (docs/options.md).
void gn_options_markdown(gn_text *out, const gn_option_section *sections);

#endif
