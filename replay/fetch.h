// Reads packed records: finds their bytes in memory or on disk, decodes them, and keeps decoded
// ones in a cache by a byte budget (replay/state_cache.h). A hit gives the very bytes a miss would.
//
// Everything a read needs is in it, so a thread can work off reads while the owner of the buffer
// goes on, as long as their chunks stay where they are.
//
// Internal to replay/. Threads: one at a time.

#ifndef REPLAY_FETCH_H
#define REPLAY_FETCH_H

#include "replay/codec.h"
#include "replay/store.h"

typedef struct replay_fetcher replay_fetcher;

// Consecutive records of one chunk.
typedef struct replay_read {
    const replay_place *place; // of the chunk
    const replay_model *model; // NULL: none
    const unsigned char *body; // of the chunk; NULL: in the file, from `offset` on
    uint64_t offset;
    uint32_t index, count;
    uint64_t item; // number of the first one; the next has `streams` more
    unsigned char *to; // [count, record_size], as they were added
} replay_read;

typedef struct replay_fetcher_config {
    replay_layout layout;
    size_t record_size; // as they were added
    size_t count_max; // of a read
    size_t cache_bytes; // 0: no cache
    int level; // zstd
} replay_fetcher_config;

// store: NULL where all bodies are in RAM.
// Errors: GN_ERR_CONFIG if a cache is too small for a few records; GN_ERR_MEMORY.
gn_status replay_fetcher_create(replay_fetcher **ret_fetcher, const replay_fetcher_config *config,
                                const replay_store *store);
void replay_fetcher_destroy(replay_fetcher **fetcher);

// Errors: GN_ERR_CORRUPT names the item; GN_ERR_IO.
gn_status replay_fetch(replay_fetcher *fetcher, const replay_read *read, size_t n);

// Forgets what is cached.
void replay_fetcher_clear(replay_fetcher *fetcher);

// A record as it is stored <-> as it was added: quantised or the very bytes.
// Errors of packing: GN_ERR_NUMERIC if a number to quantise is not finite.
gn_status replay_record_store(const replay_fetcher *fetcher, const unsigned char *record,
                              unsigned char *ret_stored);
void replay_record_restore(const replay_fetcher *fetcher, const unsigned char *stored,
                           unsigned char *ret_record);

typedef struct replay_fetch_stats {
    uint64_t reads, read_bytes; // from disk or memory
    uint64_t hits, misses, cache_bytes;
    double miss_s; // spent on misses, where there is a cache
} replay_fetch_stats;
void replay_fetcher_measure(const replay_fetcher *fetcher, replay_fetch_stats *ret_stats);

#endif
