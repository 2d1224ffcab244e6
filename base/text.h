// A string that grows: for files, help and messages composed in memory. Errors are sticky: append
// as often as you like and check once with gn_text_status.

#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// {0} is an empty text.
typedef struct gn_text {
    char *data; // NUL-terminated, or NULL while nothing was appended
    size_t size, capacity;
    gn_status status;
} gn_text;

__attribute__((format(printf, 2, 3))) void gn_text_append(gn_text *text, const char *format, ...);
void gn_text_append_bytes(gn_text *text, const void *bytes, size_t size);

// Appends `words` filled into lines of at most `width` columns, each indented by `indent` spaces.
// The text stands at `column` now: the first line is padded to the indent, or begins on a new line
// where column is past it. A word wider than a line stands alone.
void gn_text_append_wrapped(gn_text *text, const char *words, size_t column, size_t indent,
                            size_t width);

// The same, but each line begins with `prefix` instead, and the text stands at the start of one.
void gn_text_append_prefixed(gn_text *text, const char *words, const char *prefix, size_t width);

// The shortest decimal that reads back as exactly `value`.
void gn_text_append_number(gn_text *text, double value);

// What makes a noun the right number: "%d step%s", n, gn_plural(n).
const char *gn_plural(uint64_t n);

// Edits of one character that make `word`, shorter than GN_TEXT_WORD_SIZE, of what was typed.
enum { GN_TEXT_WORD_SIZE = 128 };
size_t gn_text_distance(const char *typed, const char *word);

// The contents; "" while nothing was appended.
const char *gn_text_data(const gn_text *text);

// GN_OK or GN_ERR_MEMORY.
gn_status gn_text_status(const gn_text *text);

void gn_text_free(gn_text *text);

#endif
