// Saved state: named byte sections one after the other, in memory. Writer and reader walk through
// the same names in the same order; a name or size that differs is a clear error, not a crash.
//
//     [u32 name length][name][u64 size][bytes] ...        little-endian, no padding
//
// Errors are sticky: write or read as often as you like and check gn_blob_status once.

#ifndef BASE_BLOB_H
#define BASE_BLOB_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// {0} is an empty blob to write. To read: data and size set, everything else 0.
typedef struct gn_blob {
    unsigned char *data;
    size_t size, capacity;
    size_t cursor; // reading position
    gn_status status;
} gn_blob;

void gn_blob_write(gn_blob *blob, const char *name, const void *bytes, size_t size);

// Reads the next section into `ret_bytes`. On failure zeroes ret_bytes and sets GN_ERR_CORRUPT:
// another name, another size, end of data.
void gn_blob_read(gn_blob *blob, const char *name, void *ret_bytes, size_t size);

// Size of the next section, which must have this name (0 and a sticky error if not).
uint64_t gn_blob_next_size(gn_blob *blob, const char *name);

// Passes over the next section, which must have this name, and returns its bytes in place (they
// need not be aligned); NULL and a sticky error if not.
const void *gn_blob_next(gn_blob *blob, const char *name, size_t *ret_size);

// GN_OK, or the first failure. The error text is recorded when the failure happens; do not fail
// at something else in between.
gn_status gn_blob_status(const gn_blob *blob);

void gn_blob_clear(gn_blob *blob); // empty, memory kept: the next write allocates nothing
void gn_blob_free(gn_blob *blob);

#endif
