// What coding with a book of patches and learning one share.

#ifndef REPLAY_PATCH_INTERNAL_H
#define REPLAY_PATCH_INTERNAL_H

#include <stdbool.h>
#include <string.h>

#include "replay/patch.h"

enum {
    PATCH_LENGTH = 7, // most bytes of a pattern
    PATCH_FIRST = 8, // id of the first pattern; below it a literal of so many bytes
    PATCH_WIDE = 192, // ids from here on take two bytes
    PATCH_SLOTS = 16384, // of the index
};

// As stored; frames [frames, record_size] follow, padded to 8 bytes, then patterns [patterns].
typedef struct patch_header {
    uint32_t magic, record_size;
    uint32_t stride; // of a row: records are XORed with the row above; 0: they are not
    uint32_t frames, patterns, unused;
} patch_header;

_Static_assert(sizeof(patch_header) == 24, "as on disk");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "patterns are words of bytes");

struct patch_book {
    unsigned char *bytes; // [size] as stored; the rest points into it
    size_t size;
    patch_header *header;
    unsigned char *frame; // [frames, record_size]
    uint64_t *pattern; // [patterns]: bytes, from the lowest on; the highest says how many
    uint16_t *index; // [PATCH_SLOTS] ids by pattern; 0: free
};

static inline uint64_t patch_mask(uint64_t length)
{
    return ((uint64_t)1 << 8 * length) - 1;
}

// A pattern: the first `length` bytes of a word.
static inline uint64_t patch_key(uint64_t word, uint64_t length)
{
    return (word & patch_mask(length)) | length << 56;
}

// The next bytes of a record, 0 behind its end.
static inline uint64_t patch_word(const unsigned char *record, size_t at, size_t size)
{
    uint64_t word = 0;
    if (at + sizeof word <= size)
        memcpy(&word, record + at, sizeof word);
    else
        memcpy(&word, record + at, size - at);
    return word;
}

// Where a record differs from a frame next, from `at` on; `size` if nowhere.
static inline size_t patch_next(const unsigned char *record, const unsigned char *frame, size_t at,
                                size_t size)
{
    while (at < size) {
        uint64_t differs = patch_word(record, at, size) ^ patch_word(frame, at, size);
        if (differs)
            return at + (size_t)__builtin_ctzll(differs) / 8;
        at += sizeof differs;
    }
    return size;
}

// Bit i: byte at + i differs from the frame, i < PATCH_LENGTH.
static inline unsigned patch_changes(const unsigned char *record, const unsigned char *frame,
                                     size_t at, size_t size)
{
    const uint64_t low = 0x7F7F7F7F7F7F7F7F, gather = 0x0102040810204080;
    uint64_t differs = patch_word(record, at, size) ^ patch_word(frame, at, size);
    differs = (((differs & low) + low) | differs) & ~low; // the highest bit of each byte
    return (unsigned)((differs >> 7) * gather >> 56) & ((1 << PATCH_LENGTH) - 1);
}

static inline size_t patch_slot(uint64_t key)
{
    key *= 0x9E3779B97F4A7C15;
    return (size_t)((key ^ key >> 29) * 0xBF58476D1CE4E5B9 >> 50);
}

// The id of a pattern, 0 if the book has none.
static inline uint32_t patch_find(const patch_book *book, uint64_t key)
{
    for (size_t slot = patch_slot(key);; slot = (slot + 1) % PATCH_SLOTS) {
        uint32_t id = book->index[slot];
        if (id == 0 || book->pattern[id - PATCH_FIRST] == key)
            return id;
    }
}

// A patch of an image; id below PATCH_FIRST: a literal of so many bytes.
typedef struct patch_step {
    uint32_t at, id, length;
} patch_step;

enum { PATCH_WINDOW = 64 }; // changes of an image that are looked at together

// The patches of the next PATCH_WINDOW changes, from `at` on, that are coded in the fewest bytes
// and decoded fastest. Returns how many; *at becomes the end of the last.
size_t patch_plan(const patch_book *book, const unsigned char *image, const unsigned char *frame,
                  size_t *at, patch_step ret_step[PATCH_WINDOW]);

// What a record is coded as: itself, or in `scratch` what its rows differ in.
const unsigned char *patch_image(const patch_book *book, const unsigned char *record,
                                 unsigned char *scratch);

// Bytes in which two differ.
size_t patch_count(const unsigned char *image, const unsigned char *frame, size_t size);

// The frame that an image differs from least.
uint32_t patch_choose(const patch_book *book, const unsigned char *image);

// A book with frames to be filled in and room for PATCH_PATTERNS. Errors: GN_ERR_MEMORY.
gn_status patch_book_make(patch_book **ret_book, size_t record_size, size_t stride, size_t frames);

// Gives it other patterns, all different.
void patch_book_set(patch_book *book, const uint64_t *pattern, size_t n);

#endif
