// What lies in a store's file: for its writer (store.c) and for those who read it in place
// (store_view.c).
//
// A value is [checksum u64][key][data]: the checksum covers key and data, so neither a flipped byte
// nor a value under a wrong key passes for data.

#ifndef REPLAY_STORE_INTERNAL_H
#define REPLAY_STORE_INTERNAL_H

#include <stdbool.h>
#include <string.h>

#include "base/compress.h"

// Names of the databases, and of the values of the last one.
#define REPLAY_CHUNKS "chunk"
#define REPLAY_BODIES "body"
#define REPLAY_MODELS "model"
#define REPLAY_GENERATIONS "generation"
#define REPLAY_ABOUT "about"
#define REPLAY_LAYOUT "layout"
#define REPLAY_OWNER "owner"

enum { REPLAY_OWNER_MAX = 32, REPLAY_STORE_VERSION = 5 };

// A body is made at least this long: then LMDB keeps it in pages of its own, which never move.
enum { REPLAY_BODY_MIN = 4096 };

// The layout as it is stored.
typedef struct replay_stored_layout {
    uint32_t version; // of the store's format
    uint32_t streams, record_size, chunk;
    uint64_t capacity;
    uint32_t packed, quantized;
} replay_stored_layout;

_Static_assert(sizeof(replay_stored_layout) == 32, "as on disk");

// Errors: GN_ERR_STATE if it is of another version.
static inline gn_status replay_layout_decode(replay_stored_layout *ret_layout, const char *path,
                                             const void *data, size_t size)
{
    replay_stored_layout layout = { 0 };
    if (size == sizeof layout)
        memcpy(&layout, data, size);
    if (layout.version != REPLAY_STORE_VERSION)
        return gn_fail(GN_ERR_STATE, "%s: written by another version of this program", path);
    *ret_layout = layout;
    return GN_OK;
}

// The data of a value, in place; false if its checksum or key do not fit.
static inline bool replay_value_data(const void *value, size_t size, const void *key,
                                     size_t key_size, const void **ret_data, size_t *ret_size)
{
    uint64_t checksum;
    if (size < sizeof checksum + key_size)
        return false;
    memcpy(&checksum, value, sizeof checksum);
    const unsigned char *covered = (const unsigned char *)value + sizeof checksum;
    if (checksum != gn_checksum(covered, size - sizeof checksum) ||
        memcmp(covered, key, key_size) != 0)
        return false;
    *ret_data = covered + key_size;
    *ret_size = size - sizeof checksum - key_size;
    return true;
}

#endif
