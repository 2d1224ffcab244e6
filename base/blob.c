// Named byte sections in memory. A reader trusts nothing: each length is checked against what is
// left before it is used.

#include "base/blob.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are saved as they lie in memory");

static bool reserve(gn_blob *blob, size_t size)
{
    enum { FIRST_CAPACITY = 4096 };
    if (blob->capacity - blob->size >= size)
        return true;
    size_t capacity = 2 * blob->capacity + FIRST_CAPACITY;
    if (capacity < blob->size + size)
        capacity = blob->size + size;
    blob->status = gn_grow(&blob->data, blob->size, capacity, 1);
    if (blob->status == GN_OK)
        blob->capacity = capacity;
    return blob->status == GN_OK;
}

static void append(gn_blob *blob, const void *bytes, size_t size)
{
    if (size > 0)
        memcpy(blob->data + blob->size, bytes, size);
    blob->size += size;
}

void gn_blob_write(gn_blob *blob, const char *name, const void *bytes, size_t size)
{
    uint32_t name_size = (uint32_t)strlen(name);
    uint64_t section_size = size;
    if (blob->status != GN_OK ||
        !reserve(blob, sizeof name_size + name_size + sizeof section_size + size))
        return;
    append(blob, &name_size, sizeof name_size);
    append(blob, name, name_size);
    append(blob, &section_size, sizeof section_size);
    append(blob, bytes, size);
}

// Takes `size` bytes from the reading position; NULL if fewer are left.
static const unsigned char *take(const gn_blob *blob, size_t *cursor, size_t size)
{
    if (size > blob->size - *cursor)
        return NULL;
    const unsigned char *bytes = blob->data + *cursor;
    *cursor += size;
    return bytes;
}

// Reads the head of the next section, which must be called `name`, and checks that its contents
// are there. Returns the contents and moves nothing; NULL and a sticky error if not.
static const unsigned char *next_section(gn_blob *blob, const char *name, size_t *ret_size)
{
    if (blob->status != GN_OK)
        return NULL;
    size_t cursor = blob->cursor;
    uint32_t name_size;
    uint64_t size;
    const unsigned char *at = take(blob, &cursor, sizeof name_size);
    if (at == NULL)
        goto truncated;
    memcpy(&name_size, at, sizeof name_size);
    const unsigned char *found = take(blob, &cursor, name_size);
    if (found == NULL)
        goto truncated;
    if (name_size != strlen(name) || memcmp(found, name, name_size) != 0) {
        int shown = name_size < 64 ? (int)name_size : 64;
        blob->status = gn_fail(GN_ERR_CORRUPT, "saved state: section '%.*s' where '%s' belongs",
                               shown, (const char *)found, name);
        return NULL;
    }
    at = take(blob, &cursor, sizeof size);
    if (at == NULL)
        goto truncated;
    memcpy(&size, at, sizeof size);
    at = take(blob, &cursor, size);
    if (at == NULL)
        goto truncated;
    *ret_size = size;
    return at;

truncated:
    blob->status = gn_fail(GN_ERR_CORRUPT, "saved state: ends inside section '%s' (%zu bytes)",
                           name, blob->size);
    return NULL;
}

void gn_blob_read(gn_blob *blob, const char *name, void *ret_bytes, size_t size)
{
    size_t found = 0;
    const unsigned char *bytes = next_section(blob, name, &found);
    if (bytes != NULL && found != size)
        blob->status = gn_fail(GN_ERR_CORRUPT, "saved state: section '%s' has %zu bytes, not %zu",
                               name, found, size);
    if (blob->status == GN_OK)
        blob->cursor = (size_t)(bytes - blob->data) + size;
    if (size == 0)
        return;
    if (blob->status == GN_OK)
        memcpy(ret_bytes, bytes, size);
    else
        memset(ret_bytes, 0, size);
}

uint64_t gn_blob_next_size(gn_blob *blob, const char *name)
{
    size_t size = 0;
    next_section(blob, name, &size);
    return size;
}

const void *gn_blob_next(gn_blob *blob, const char *name, size_t *ret_size)
{
    size_t size = 0;
    const unsigned char *bytes = next_section(blob, name, &size);
    if (bytes != NULL) {
        blob->cursor = (size_t)(bytes - blob->data) + size;
        *ret_size = size;
    }
    return bytes;
}

gn_status gn_blob_status(const gn_blob *blob)
{
    return blob->status;
}

void gn_blob_clear(gn_blob *blob)
{
    blob->size = 0;
    blob->cursor = 0;
    blob->status = GN_OK;
}

void gn_blob_free(gn_blob *blob)
{
    gn_free(&blob->data);
    *blob = (gn_blob){ 0 };
}
