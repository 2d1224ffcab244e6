// Consecutive slots as bytes and back: sealed chunks and tails.
//
//     [checksum u64][magic, version, slots, record size: u32][first position u64]
//     [contents u64][model, body size, steps size, 0: u32][steps][records]
//     steps     a zstd frame of columns: flags u8 [n], action i32 [n], reward f32 [n], and where
//               records are packed one by one place [n] (end, check, back: u32) of each in the body
//               (replay/codec.h), which lies apart
//     records   else: [n, record_size] as one frame of gn_compress_record
//
// The checksum covers every byte after it: a flipped byte is GN_ERR_CORRUPT, never other data. A
// body has its own checksums, one a record. Numbers are little-endian.

#ifndef REPLAY_CHUNK_H
#define REPLAY_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compress.h"
#include "replay/codec.h"

// Flags of a slot. A slot without step has REPLAY_FINAL or REPLAY_OPEN.
enum { REPLAY_TERMINATED = 1, REPLAY_TRUNCATED = 2, REPLAY_FINAL = 4, REPLAY_OPEN = 8 };

static inline bool replay_has_step(uint8_t flags)
{
    return !(flags & (REPLAY_FINAL | REPLAY_OPEN));
}

// Priority of a step that is not drawn any more, though its slot is there.
#define REPLAY_EVICTED (-1.0f)

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

// Columns of n consecutive slots; the caller's memory. Of record and place, the other one is NULL
// in an encoded chunk.
typedef struct replay_columns {
    uint8_t *flags; // [n]
    int32_t *action; // [n], 0 without step
    float *reward; // [n], 0 without step
    unsigned char *record; // [n, record_size]
    replay_place *place; // [n]
    size_t record_size;
} replay_columns;

// Allocates the columns of n slots.
gn_status replay_columns_create(replay_columns *columns, size_t n, size_t record_size, bool records,
                                bool places);
void replay_columns_free(replay_columns *columns);

// What a chunk says of itself.
typedef struct replay_chunk_about {
    uint64_t first_position;
    uint64_t contents; // replay_chunk_contents
    uint32_t model, body_size; // of packed records: 0 is no model
} replay_chunk_about;

// Checksum of what n slots hold, however they are coded. Needs the records.
uint64_t replay_chunk_contents(const replay_columns *columns, size_t n);

// Bytes an encoded run of n slots may take. packed: with places.
size_t replay_chunk_bound(size_t n, size_t record_size, bool packed);

// Bytes of n slots without records, which is the scratch that coding needs.
size_t replay_chunk_scratch(size_t n, bool packed);

// Encodes columns from where they lie: records are not copied.
// Errors: GN_ERR_ARG if capacity is below replay_chunk_bound.
gn_status replay_chunk_encode(gn_compressor *compressor, const replay_columns *columns, size_t n,
                              const replay_chunk_about *about, void *scratch, void *ret_bytes,
                              size_t capacity, size_t *ret_size);

// Decodes into columns, records or places as these have them; the header must say n slots from
// first_position.  Errors: GN_ERR_CORRUPT; bytes that are not those that were written leave the
// columns untouched.
gn_status replay_chunk_decode(gn_compressor *compressor, const void *bytes, size_t size, size_t n,
                              uint64_t first_position, void *scratch, replay_columns *columns,
                              replay_chunk_about *ret_about);

#endif
