// A growing string over gn_grow.

#include "base/text.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

// Makes room for `size` more bytes and the final NUL.
static bool reserve(gn_text *text, size_t size)
{
    enum { FIRST_CAPACITY = 256 };
    if (text->status != GN_OK)
        return false;
    if (text->capacity - text->size > size)
        return true;
    size_t capacity = 2 * text->capacity + FIRST_CAPACITY;
    if (capacity <= text->size + size)
        capacity = text->size + size + 1;
    text->status = gn_grow(&text->data, text->size, capacity, 1);
    if (text->status == GN_OK)
        text->capacity = capacity;
    return text->status == GN_OK;
}

void gn_text_append(gn_text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    assert(length >= 0);
    if (!reserve(text, (size_t)length))
        return;
    va_start(arguments, format);
    vsnprintf(text->data + text->size, (size_t)length + 1, format, arguments);
    va_end(arguments);
    text->size += (size_t)length;
}

void gn_text_append_bytes(gn_text *text, const void *bytes, size_t size)
{
    if (!reserve(text, size))
        return;
    if (size > 0)
        memcpy(text->data + text->size, bytes, size);
    text->size += size;
    text->data[text->size] = '\0';
}

// The first line begins at column `indent`; those after it with `prefix`, padded to there.
static void fill_lines(gn_text *text, const char *words, const char *prefix, size_t indent,
                       size_t width)
{
    size_t column = indent;
    while (*(words += strspn(words, " ")) != '\0') {
        size_t length = strcspn(words, " ");
        bool first = column == indent;
        if (!first && column + 1 + length > width) {
            gn_text_append(text, "\n%-*s", (int)indent, prefix);
            column = indent;
            first = true;
        }
        gn_text_append(text, "%s%.*s", first ? "" : " ", (int)length, words);
        column += length + !first;
        words += length;
    }
}

void gn_text_append_wrapped(gn_text *text, const char *words, size_t column, size_t indent,
                            size_t width)
{
    if (column > indent) {
        gn_text_append(text, "\n");
        column = 0;
    }
    gn_text_append(text, "%*s", (int)(indent - column), "");
    fill_lines(text, words, "", indent, width);
}

void gn_text_append_prefixed(gn_text *text, const char *words, const char *prefix, size_t width)
{
    gn_text_append(text, "%s", prefix);
    fill_lines(text, words, prefix, strlen(prefix), width);
}

void gn_text_append_number(gn_text *text, double value)
{
    if (value == floor(value) && fabs(value) < 1e7) { // plain digits read better than 1e5
        gn_text_append(text, "%.0f", value);
        return;
    }
    char number[32];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(number, sizeof number, "%.*g", digits, value);
        if (strtod(number, NULL) == value)
            break;
    }
    // The exponent as people write it: 1e12 for 1e+12, 1e-5 for 1e-05.
    char *exponent = strchr(number, 'e');
    if (exponent != NULL)
        sprintf(exponent + 1, "%d", atoi(exponent + 1));
    gn_text_append(text, "%s", number);
}

const char *gn_plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

// Levenshtein distance, one row of the table at a time.
size_t gn_text_distance(const char *typed, const char *word)
{
    size_t row[GN_TEXT_WORD_SIZE], n = strlen(word);
    assert(n < GN_TEXT_WORD_SIZE);
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; typed[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t best = diagonal + (typed[i - 1] != word[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[n];
}

const char *gn_text_data(const gn_text *text)
{
    return text->data != NULL ? text->data : "";
}

gn_status gn_text_status(const gn_text *text)
{
    return text->status;
}

void gn_text_free(gn_text *text)
{
    gn_free(&text->data);
    *text = (gn_text){ 0 };
}
