// Coding with a book of patches. A decoded patch is put down as eight bytes: the pattern and,
// behind it, the frame's own, which later patches overwrite. So nothing that was just written is
// read.

#include "replay/patch_internal.h"

#include <assert.h>

#include "base/mem.h"

static const uint32_t MAGIC = 0x42504e47; // "GNPB"

// --- the book

static size_t pad(size_t size)
{
    return (size + 7) / 8 * 8;
}

static gn_status allocate(patch_book *book, size_t size)
{
    book->size = size;
    GN_TRY(gn_alloc(&book->bytes, size, 1));
    return gn_alloc(&book->index, PATCH_SLOTS, sizeof *book->index);
}

static void point(patch_book *book)
{
    book->header = (patch_header *)(void *)book->bytes;
    book->frame = book->bytes + sizeof(patch_header);
    size_t frames = (size_t)book->header->frames * book->header->record_size;
    book->pattern = (uint64_t *)(void *)(book->frame + pad(frames));
}

static void make_index(patch_book *book)
{
    memset(book->index, 0, PATCH_SLOTS * sizeof *book->index);
    for (uint32_t i = 0; i < book->header->patterns; i++) {
        size_t slot = patch_slot(book->pattern[i]);
        while (book->index[slot] > 0)
            slot = (slot + 1) % PATCH_SLOTS;
        book->index[slot] = (uint16_t)(PATCH_FIRST + i);
    }
}

static size_t stored_size(const patch_header *header)
{
    return sizeof *header + pad((size_t)header->frames * header->record_size) +
           header->patterns * sizeof(uint64_t);
}

static bool header_fits(const patch_header *header, size_t size)
{
    return header->magic == MAGIC && header->record_size > 0 && header->frames > 0 &&
           header->frames < PATCH_NO_FRAME && header->stride < header->record_size &&
           (size_t)header->frames * header->record_size <= PATCH_FRAMES_SIZE &&
           header->patterns <= PATCH_PATTERNS && stored_size(header) == size;
}

static bool patterns_fit(const patch_book *book)
{
    for (uint32_t i = 0; i < book->header->patterns; i++) {
        uint64_t pattern = book->pattern[i], length = pattern >> 56;
        if (length < 1 || length > PATCH_LENGTH || patch_key(pattern, length) != pattern)
            return false;
    }
    return true;
}

int patch_book_is(const void *bytes, size_t size)
{
    return size >= sizeof MAGIC && memcmp(bytes, &MAGIC, sizeof MAGIC) == 0;
}

gn_status patch_book_create(patch_book **ret_book, const void *bytes, size_t size)
{
    patch_header header = { 0 };
    if (size >= sizeof header)
        memcpy(&header, bytes, sizeof header);
    if (!header_fits(&header, size))
        return gn_fail(GN_ERR_CORRUPT, "patch book: %zu bytes are none", size);
    patch_book *book = NULL;
    GN_TRY(gn_alloc(&book, 1, sizeof *book));
    gn_status status = allocate(book, size);
    if (status == GN_OK) {
        memcpy(book->bytes, bytes, size);
        point(book);
        if (!patterns_fit(book))
            status = gn_fail(GN_ERR_CORRUPT, "patch book: %zu bytes are damaged", size);
    }
    if (status != GN_OK) {
        patch_book_destroy(&book);
        return status;
    }
    make_index(book);
    *ret_book = book;
    return GN_OK;
}

gn_status patch_book_make(patch_book **ret_book, size_t record_size, size_t stride, size_t frames)
{
    patch_book *book = NULL;
    patch_header header = { .magic = MAGIC,
                            .record_size = (uint32_t)record_size,
                            .stride = (uint32_t)stride,
                            .frames = (uint32_t)frames,
                            .patterns = PATCH_PATTERNS };
    GN_TRY(gn_alloc(&book, 1, sizeof *book));
    gn_status status = allocate(book, stored_size(&header));
    if (status != GN_OK) {
        patch_book_destroy(&book);
        return status;
    }
    memcpy(book->bytes, &header, sizeof header);
    point(book);
    patch_book_set(book, NULL, 0);
    *ret_book = book;
    return GN_OK;
}

void patch_book_set(patch_book *book, const uint64_t *pattern, size_t n)
{
    assert(n <= PATCH_PATTERNS);
    if (n > 0)
        memcpy(book->pattern, pattern, n * sizeof *pattern);
    book->header->patterns = (uint32_t)n;
    book->size = stored_size(book->header);
    make_index(book);
}

void patch_book_destroy(patch_book **book)
{
    if (*book == NULL)
        return;
    gn_free(&(*book)->bytes);
    gn_free(&(*book)->index);
    gn_free(book);
}

const void *patch_book_bytes(const patch_book *book, size_t *ret_size)
{
    *ret_size = book->size;
    return book->bytes;
}

size_t patch_book_record_size(const patch_book *book)
{
    return book->header->record_size;
}

// --- encoding

const unsigned char *patch_image(const patch_book *book, const unsigned char *record,
                                 unsigned char *scratch)
{
    size_t size = book->header->record_size, stride = book->header->stride;
    if (stride == 0)
        return record;
    memcpy(scratch, record, stride);
    for (size_t i = stride; i < size; i++)
        scratch[i] = record[i] ^ record[i - stride];
    return scratch;
}

size_t patch_count(const unsigned char *restrict image, const unsigned char *restrict frame,
                   size_t size)
{
    enum { LANES = 64, ROUNDS = 255 }; // bytes count in bytes as long as they can
    size_t changes = 0, i = 0;
    while (i + LANES <= size) {
        uint8_t lane[LANES] = { 0 };
        for (int round = 0; round < ROUNDS && i + LANES <= size; round++, i += LANES)
            for (size_t k = 0; k < LANES; k++)
                lane[k] += image[i + k] != frame[i + k];
        for (size_t k = 0; k < LANES; k++)
            changes += lane[k];
    }
    for (; i < size; i++)
        changes += image[i] != frame[i];
    return changes;
}

uint32_t patch_choose(const patch_book *book, const unsigned char *image)
{
    size_t size = book->header->record_size, least = SIZE_MAX;
    uint32_t best = 0;
    for (uint32_t i = 0; i < book->header->frames && book->header->frames > 1; i++) {
        size_t changes = patch_count(image, book->frame + i * size, size);
        best = changes < least ? i : best;
        least = changes < least ? changes : least;
    }
    return best;
}

// A change of an image, and the patch that is best begun there.
typedef struct patch_change {
    uint32_t at;
    uint32_t cost; // of it and of those behind it
    uint16_t id;
    uint8_t length, covers; // bytes and changes of the patch
} patch_change;

// Changes behind it have their patches. A patch ends in a change and covers at most `most` of them.
static void choose_patch(const patch_book *book, const unsigned char *image,
                         const unsigned char *frame, patch_change *first, size_t most)
{
    // In bytes. What the time to decode one is worth: between 1 and 4 it matters little.
    enum { PATCH = 2, TIME = 2, LITERAL_TIME = 3 };
    size_t size = book->header->record_size;
    uint64_t word = patch_word(image, first->at, size);
    unsigned changes = patch_changes(image, frame, first->at, size), covers = 0;
    first->cost = UINT32_MAX;
    for (; changes > 0 && covers < most; changes &= changes - 1) {
        unsigned length = 1 + (unsigned)__builtin_ctz(changes);
        covers++;
        uint32_t id = patch_find(book, patch_key(word, length));
        uint32_t cost = first[covers].cost + PATCH +
                        (id > 0 ? (id >= PATCH_WIDE) + TIME : length + LITERAL_TIME);
        if (cost > first->cost)
            continue;
        first->cost = cost;
        first->id = (uint16_t)(id > 0 ? id : length);
        first->length = (uint8_t)length;
        first->covers = (uint8_t)covers;
    }
}

size_t patch_plan(const patch_book *book, const unsigned char *image, const unsigned char *frame,
                  size_t *at, patch_step ret_step[PATCH_WINDOW])
{
    patch_change change[PATCH_WINDOW + 1];
    size_t size = book->header->record_size, next = *at, n = 0, steps = 0;
    for (; n < PATCH_WINDOW && (next = patch_next(image, frame, next, size)) < size; next++)
        change[n++].at = (uint32_t)next;
    change[n].cost = 0;
    for (size_t i = n; i > 0; i--)
        choose_patch(book, image, frame, &change[i - 1], n - (i - 1));
    for (size_t i = 0; i < n; i += change[i].covers) {
        ret_step[steps++] = (patch_step){ change[i].at, change[i].id, change[i].length };
        *at = change[i].at + change[i].length;
    }
    return steps;
}

// Writes a patch; its bytes.
static size_t put_patch(unsigned char *to, size_t skip, uint32_t id, uint64_t literal)
{
    size_t size = 0;
    to[size++] = (unsigned char)skip;
    if (id < PATCH_WIDE) {
        to[size++] = (unsigned char)id;
    } else {
        to[size++] = (unsigned char)(PATCH_WIDE + ((id - PATCH_WIDE) >> 8));
        to[size++] = (unsigned char)(id - PATCH_WIDE);
    }
    if (id < PATCH_FIRST) {
        memcpy(to + size, &literal, id);
        size += id;
    }
    return size;
}

size_t patch_encode(const patch_book *book, const unsigned char *record, unsigned char *scratch,
                    unsigned char *ret_bytes, size_t capacity)
{
    enum { BLOCK = 256, PATCH_SIZE = 4 + PATCH_LENGTH };
    const unsigned char *image = patch_image(book, record, scratch);
    size_t size = book->header->record_size, used = 0, end = 0, at = 0, n;
    uint32_t chosen = patch_choose(book, image);
    const unsigned char *frame = book->frame + chosen * size;
    patch_step step[PATCH_WINDOW];
    if (capacity == 0)
        return 0;
    ret_bytes[used++] = (unsigned char)chosen;
    while ((n = patch_plan(book, image, frame, &at, step)) > 0)
        for (size_t i = 0; i < n; i++) {
            size_t skip = step[i].at - end;
            if (capacity - used < PATCH_SIZE)
                return 0;
            if (skip >= BLOCK)
                used += put_patch(ret_bytes + used, skip / BLOCK, 0, 0);
            used += put_patch(ret_bytes + used, skip % BLOCK, step[i].id,
                              patch_word(image, step[i].at, size));
            end = step[i].at + step[i].length;
        }
    return used;
}

// --- decoding

// Undoes the XOR with the row above, by blocks of columns: the row above is at hand.
static void add_rows(unsigned char *record, size_t size, size_t stride)
{
    typedef uint8_t block __attribute__((vector_size(32)));
    size_t rows = size / stride, from = 0;
    for (; stride >= sizeof(block) && from < stride; from += sizeof(block)) {
        // The last block begins earlier, and leaves alone what the one before did.
        size_t column = from + sizeof(block) <= stride ? from : stride - sizeof(block);
        block mine, row, above = { 0 };
        for (size_t i = 0; i < sizeof mine; i++)
            mine[i] = column + i >= from ? 0xFF : 0;
        for (size_t i = 0; i < rows; i++) {
            memcpy(&row, record + i * stride + column, sizeof row);
            row ^= above;
            memcpy(record + i * stride + column, &row, sizeof row);
            above = row & mine;
        }
    }
    for (size_t i = from < stride ? stride : rows * stride; i < size; i++)
        record[i] ^= record[i - stride];
}

typedef struct patch_cursor {
    const unsigned char *at; // in the coded bytes
    size_t position; // in the record
} patch_cursor;

// One patch. At least 16 bytes can be read at the cursor.
// Returns whether it can be.
static inline bool take_patch(const patch_book *book, patch_cursor *cursor,
                              const unsigned char *frame, unsigned char *record, size_t size)
{
    const unsigned char *at = cursor->at;
    uint32_t id = at[1], wide = id >= PATCH_WIDE;
    uint32_t wide_id = PATCH_WIDE + ((id - PATCH_WIDE) << 8 | at[2]);
    id = wide ? wide_id : id;
    size_t position = cursor->position + (id > 0 ? at[0] : at[0] * 256u);
    at += 2 + wide;
    uint64_t word, length, behind;
    if (id < PATCH_FIRST) {
        memcpy(&word, at, sizeof word);
        length = id;
        at += id;
    } else {
        if (id - PATCH_FIRST >= book->header->patterns)
            return false;
        word = book->pattern[id - PATCH_FIRST];
        length = word >> 56;
    }
    cursor->at = at;
    cursor->position = position + length;
    uint64_t mask = patch_mask(length);
    if (position + sizeof word <= size) {
        memcpy(&behind, frame + position, sizeof behind);
        word = (word & mask) | (behind & ~mask);
        memcpy(record + position, &word, sizeof word);
        return true;
    }
    if (position + length > size)
        return false;
    memcpy(record + position, &word, length);
    return true;
}

gn_status patch_decode(const patch_book *book, const unsigned char *bytes, size_t size,
                       unsigned char *ret_record)
{
    enum { READ = 16 }; // a patch looks at fewer bytes
    size_t record_size = book->header->record_size;
    if (size == 0 || bytes[0] >= book->header->frames)
        return gn_fail(GN_ERR_CORRUPT, "patches: %zu bytes name no frame", size);
    const unsigned char *frame = book->frame + bytes[0] * record_size, *end = bytes + size;
    memcpy(ret_record, frame, record_size);
    patch_cursor cursor = { .at = bytes + 1 };
    bool fits = true;
    while (fits && end - cursor.at >= READ)
        fits = take_patch(book, &cursor, frame, ret_record, record_size);
    // The last few from a copy with room behind it.
    unsigned char last[2 * READ] = { 0 };
    size_t left = fits ? (size_t)(end - cursor.at) : 0;
    memcpy(last, cursor.at, left);
    cursor.at = last;
    while (fits && cursor.at < last + left)
        fits = take_patch(book, &cursor, frame, ret_record, record_size);
    if (!fits || cursor.at != last + left)
        return gn_fail(GN_ERR_CORRUPT, "patches: %zu bytes are no record", size);
    if (book->header->stride > 0)
        add_rows(ret_record, record_size, book->header->stride);
    return GN_OK;
}
