// The store: a replay buffer's steps on disk, in one LMDB environment. Crash-proof: what a commit
// wrote is there afterwards whatever happens, and a commit is there whole or not at all.
//
//     chunk       (chunk * streams + stream) -> sealed columns, zstd      appended in order
//     body        (chunk * streams + stream) -> its records, one by one   packed records only
//     model       (id)                       -> what they are coded with
//     generation  (generation)               -> heads, tail, priorities   one a commit
//     about       "layout", "owner"                                       written once
//
// A generation is the number a checkpoint goes by (its step). Sealed chunks are immutable; the
// unsealed tail of every stream and the priorities are written whole with each generation. Going
// back to a generation removes everything after it, so no step of an abandoned future survives.
//
// A body never moves in the file while it is there, so single records are read from its place with
// pread: no search, no mapped page that would count as memory of this process.
//
// The file grows by itself. LMDB writes with pwrite, so a full disk is an error, never a signal.
// Threads: one owner at a time, but for replay_store_read. Other processes may read meanwhile
// (replay/reader.h).

#ifndef REPLAY_STORE_H
#define REPLAY_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct replay_store replay_store;

// What the bytes mean; a store opened with another layout is refused.
typedef struct replay_layout {
    uint32_t streams; // independent step sequences (one an environment copy)
    uint32_t record_size; // bytes of a record as it is stored
    uint64_t capacity; // slots a stream
    uint32_t chunk; // slots a chunk
    uint32_t packed; // 1 + replay_codec_kind where records are packed one by one; 0: as a column
    uint32_t quantized; // bits of a quantised float; 0: records are stored as they are
} replay_layout;

// Chunks of a stream that are live or on the way, at most.
static inline size_t replay_layout_entries(const replay_layout *layout)
{
    return layout->capacity / layout->chunk + 3;
}

// What a power cut may take. A kill takes nothing that was committed in any of them.
typedef enum replay_durability {
    REPLAY_DURABLE_COMMIT, // nothing that was committed
    REPLAY_DURABLE_BATCH, // the last commit, whole; what stays is consistent
    REPLAY_DURABLE_NONE, // the store may be damaged: nothing is ever synced
} replay_durability;

// Opens or creates the store in `folder`. owner: identifies the run (32 characters at most).
// Errors: GN_ERR_STATE if it belongs to another run or has another layout (names both);
// GN_ERR_CORRUPT if it is no store or damaged; GN_ERR_FULL, GN_ERR_IO, GN_ERR_BUSY (opened for
// writing elsewhere).
gn_status replay_store_open(replay_store **ret_store, const char *folder, const char *owner,
                            const replay_layout *layout);
void replay_store_close(replay_store **store);

// Commits from now on; REPLAY_DURABLE_COMMIT at first.
void replay_store_set_durability(replay_store *store, replay_durability durability);

// Queues a sealed chunk and its body (copied; body NULL: none); written with the next commit or
// flush, or earlier, in a transaction of its own, when the queue is full. On failure it is not
// queued: put it again.
// Errors: GN_ERR_ARG if it is larger than a chunk of the layout can be; GN_ERR_FULL, GN_ERR_IO.
gn_status replay_store_put_chunk(replay_store *store, uint64_t chunk, uint32_t stream,
                                 const void *bytes, size_t size, const void *body,
                                 size_t body_size);

// Queues a model.  Errors: those of put_chunk.
gn_status replay_store_put_model(replay_store *store, uint32_t id, const void *bytes, size_t size);

// Whether the largest chunk with its body and a model can be put without writing the queue.
bool replay_store_has_room(const replay_store *store);

// Writes what is queued.  Errors: GN_ERR_FULL, GN_ERR_IO; then it stays queued.
gn_status replay_store_flush(replay_store *store);

// Reads a written chunk into `ret_bytes` [capacity].  Errors: GN_ERR_NOT_FOUND, GN_ERR_CORRUPT.
gn_status replay_store_get_chunk(replay_store *store, uint64_t chunk, uint32_t stream,
                                 void *ret_bytes, size_t capacity, size_t *ret_size);

// Where the body of a written chunk begins in the file.  Errors: GN_ERR_NOT_FOUND, GN_ERR_CORRUPT.
gn_status replay_store_find_body(replay_store *store, uint64_t chunk, uint32_t stream,
                                 uint64_t *ret_offset);

// Reads bytes of the file, from any thread. What a body holds is checked by who decodes it.
// Errors: GN_ERR_IO; GN_ERR_CORRUPT if the file ends before.
gn_status replay_store_read(const replay_store *store, uint64_t offset, void *ret_bytes,
                            size_t size);

// Reads bytes that need no waiting for the disk; false: not all of them are in the page cache.
bool replay_store_read_now(const replay_store *store, uint64_t offset, void *ret_bytes,
                           size_t size);

// Asks the disk for bytes that will be read soon.
void replay_store_will_read(const replay_store *store, uint64_t offset, size_t size);

// A written model; release *ret_bytes with gn_free.  Errors: GN_ERR_NOT_FOUND, GN_ERR_CORRUPT.
gn_status replay_store_get_model(replay_store *store, uint32_t id, void **ret_bytes,
                                 size_t *ret_size);

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

// Removes, in one durable transaction, every generation after `generation`, for each stream the
// chunks from end_chunk[stream] on, and the models from end_model on; queued ones
// included.
gn_status replay_store_rollback(replay_store *store, uint64_t generation, const uint64_t *end_chunk,
                                uint32_t end_model);

// Bytes of the data file; any thread.
gn_status replay_store_size(const replay_store *store, uint64_t *ret_bytes);

#endif
