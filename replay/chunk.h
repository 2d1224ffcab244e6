// Columns of consecutive slots as bytes and back: sealed chunks and tails.
//
//     [checksum u64][magic, version, slots, record size: u32][first position u64][zstd frame]
//     the frame holds columns: flags u8 [n], action i32 [n], reward f32 [n], record [n,
//     record_size]
//
// The checksum covers every byte after it: a flipped byte is GN_ERR_CORRUPT, never other data.
// Numbers are little-endian.

#ifndef REPLAY_CHUNK_H
#define REPLAY_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compress.h"

// Flags of a slot. A slot without step has REPLAY_FINAL or REPLAY_OPEN.
enum { REPLAY_TERMINATED = 1, REPLAY_TRUNCATED = 2, REPLAY_FINAL = 4, REPLAY_OPEN = 8 };

static inline bool replay_has_step(uint8_t flags)
{
    return !(flags & (REPLAY_FINAL | REPLAY_OPEN));
}

// Whether these are the flags of a slot.
static inline bool replay_flags_fit(uint8_t flags)
{
    return flags <= REPLAY_FINAL || flags == REPLAY_OPEN;
}

// Whether a slot may follow another one: an ended episode has a final slot, nothing follows an open
// one.
static inline bool replay_may_follow(uint8_t flags, uint8_t next)
{
    bool ended = flags & (REPLAY_TERMINATED | REPLAY_TRUNCATED);
    return !(flags & REPLAY_OPEN) && ended == ((next & REPLAY_FINAL) != 0);
}

// Columns of slots; the caller's memory.
typedef struct replay_columns {
    uint8_t *flags; // [n]
    int32_t *action; // [n], 0 without step
    float *reward; // [n], 0 without step
    unsigned char *record; // [n, record_size]
    size_t record_size;
} replay_columns;

// Bytes an encoded run of n slots may take, and of scratch its coding needs.
size_t replay_chunk_bound(size_t n, size_t record_size);
size_t replay_chunk_scratch(size_t n, size_t record_size);

// Encodes n slots starting at ring index `from` of a ring of `ring` slots (wraps).
// Errors: GN_ERR_ARG if capacity is below replay_chunk_bound.
gn_status replay_chunk_encode(gn_compressor *compressor, const replay_columns *columns,
                              uint64_t ring, uint64_t from, size_t n, uint64_t first_position,
                              void *scratch, void *ret_bytes, size_t capacity, size_t *ret_size);

// Decodes into ring indices from `from` (wraps); the header must say n slots from first_position.
// Errors: GN_ERR_CORRUPT; then the columns are untouched.
gn_status replay_chunk_decode(gn_compressor *compressor, const void *bytes, size_t size,
                              replay_columns *columns, uint64_t ring, uint64_t from, size_t n,
                              uint64_t first_position, void *scratch);

#endif
