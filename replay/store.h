// The store: a replay buffer's steps on disk, in one LMDB environment. Crash-proof: what a commit
// wrote is there afterwards whatever happens, and a commit is there whole or not at all.
//
//     chunk       (chunk * streams + stream) -> sealed columns, zstd      appended in order
//     generation  (generation)               -> heads, tail, priorities   one a commit
//     about       "layout", "owner"                                       written once
//
// A generation is the number a checkpoint goes by (its step). Sealed chunks are immutable; the
// unsealed tail of every stream and the priorities are written whole with each generation. Going
// back to a generation removes everything after it, so no step of an abandoned future survives.
//
// The file grows by itself. LMDB writes with pwrite, so a full disk is an error, never a signal.
// Threads: one owner at a time. Other processes may read meanwhile (replay/reader.h).

#ifndef REPLAY_STORE_H
#define REPLAY_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct replay_store replay_store;

// What the bytes mean; a store opened with another layout is refused.
typedef struct replay_layout {
    uint32_t streams; // independent step sequences (one an environment copy)
    uint32_t record_size; // bytes of a compact record
    uint64_t capacity; // slots a stream
    uint32_t chunk; // slots a chunk
} replay_layout;

// Opens or creates the store in `folder`. owner: identifies the run (32 characters at most).
// Errors: GN_ERR_STATE if it belongs to another run or has another layout (names both);
// GN_ERR_CORRUPT if it is no store or damaged; GN_ERR_FULL, GN_ERR_IO, GN_ERR_BUSY (opened for
// writing elsewhere).
gn_status replay_store_open(replay_store **ret_store, const char *folder, const char *owner,
                            const replay_layout *layout);
void replay_store_close(replay_store **store);

// Queues a sealed chunk (copied); written with the next commit, or earlier, in a transaction of its
// own, when the queue is full. On failure it is not queued: put it again.
// Errors: GN_ERR_ARG if it is larger than a chunk of the layout can be; GN_ERR_FULL, GN_ERR_IO.
gn_status replay_store_put_chunk(replay_store *store, uint64_t chunk, uint32_t stream,
                                 const void *bytes, size_t size);

// Reads a written chunk into `ret_bytes` [capacity].  Errors: GN_ERR_NOT_FOUND, GN_ERR_CORRUPT.
gn_status replay_store_get_chunk(replay_store *store, uint64_t chunk, uint32_t stream,
                                 void *ret_bytes, size_t capacity, size_t *ret_size);

// One durable transaction: the queued chunks, the generation's state, and the removal of what no
// generation from `oldest` on needs: older generations, and for each stream the chunks before
// first_chunk[stream] (NULL: none).
// Errors: GN_ERR_ARG if generation is not above 0 and all there are, or below oldest; GN_ERR_FULL,
// GN_ERR_IO. Then the store is as it was and the chunks stay queued.
gn_status replay_store_commit(replay_store *store, uint64_t generation, const void *state,
                              size_t size, uint64_t oldest, const uint64_t *first_chunk);

// State of a generation; release *ret_state with gn_free.
// Errors: GN_ERR_NOT_FOUND names it and the generations there are; GN_ERR_CORRUPT.
gn_status replay_store_get_generation(replay_store *store, uint64_t generation, void **ret_state,
                                      size_t *ret_size);

// Generations there are, ascending. ret_generations: [capacity]; *ret_count may exceed capacity.
gn_status replay_store_generations(replay_store *store, uint64_t *ret_generations, size_t capacity,
                                   size_t *ret_count);

// Removes, in one durable transaction, every generation after `generation`, and for each stream
// the chunks from end_chunk[stream] on, queued ones included.
gn_status replay_store_rollback(replay_store *store, uint64_t generation,
                                const uint64_t *end_chunk);

// Bytes of the data file in use.
gn_status replay_store_size(replay_store *store, uint64_t *ret_bytes);

#endif
