// The state of a buffer as bytes: what a generation on disk and a checkpoint of a buffer in RAM
// hold beside sealed chunks.
//
//     streams        head and sealed chunks of each
//     max priority, alpha
//     coder          which model codes records, and how well (zstd-dict and patch only)
//     contents ...   checksums of the live sealed chunks, u64 each, a section a stream
//     slots ...      the slots that are not sealed, as runs of at most a chunk
//     priorities ... f32, zstd, of the live slots, as runs of at most a chunk; prioritized only
//     unranked, weights ...   f64, likewise; rank-based only
//
// Internal to replay/.

#ifndef REPLAY_STATE_H
#define REPLAY_STATE_H

#include "base/blob.h"
#include "replay/writer.h"

// What coding needs.
typedef struct replay_state_parts {
    const replay_layout *layout;
    gn_compressor *compressor;
    unsigned char *scratch, *coded; // a chunk's columns without records, and what is coded
    size_t coded_size;
    const uint64_t *contents; // [streams, entries], of chunk: chunk % entries
    size_t entries;
    uint64_t *live; // [entries], scratch
} replay_state_parts;

// Allocates what coding needs but contents. parts->layout is set; close is safe where open failed.
gn_status replay_state_open_parts(replay_state_parts *parts, int level);
void replay_state_close_parts(replay_state_parts *parts);

// Oldest position whose record is still there.
static inline uint64_t replay_oldest(const replay_layout *layout, uint64_t head)
{
    return head > layout->capacity ? head - layout->capacity : 0;
}

// Everything up to and including contents.
void replay_state_write_heads(const replay_staged *staged, const replay_state_parts *parts,
                              const replay_writer *writer, gn_blob *out);

// A run of n slots from position `first`.
gn_status replay_state_write_slots(const replay_state_parts *parts, const replay_columns *columns,
                                   uint64_t first, size_t n, gn_blob *out);

// Priorities and weights of all streams.
gn_status replay_state_write_priorities(const replay_staged *staged,
                                        const replay_state_parts *parts, gn_blob *out);

// The whole state of a generation.
gn_status replay_state_encode(const replay_staged *staged, const replay_state_parts *parts,
                              const replay_writer *writer, gn_blob *out);

// The first chunk of each stream that a generation from staged->oldest on needs, the staged one
// included.  Shape: ret_first_chunk: [streams].
gn_status replay_state_first_chunks(const replay_staged *staged, const replay_layout *layout,
                                    replay_store *store, uint64_t *ret_first_chunk);

#endif
