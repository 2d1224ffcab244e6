// State cache: decoded states (frames, observation windows) by key, within a budget of bytes. A
// hit returns exactly the bytes that were put; what to keep is decided by S3-FIFO, so a long scan
// of states that are read once does not push out the ones that are read again and again.
//
//     put -->[ small FIFO, 10 % ]--read twice there-->[ main FIFO, 90 % ]--not read--> out
//                   |                  ^                  ^       |
//                   v                  |                  +-read--+
//              [ ghosts: keys only ]---put again
//
// The same calls lead to the same hits: no clock, no random number, no address decides anything.
//
// Values do not move: a value lies at its place from its put until it is evicted, and only put,
// remove and clear may take its place away. So a pointer of get is good until the next of these,
// and nothing can be pinned or has to be: a sampled row of k states is k times
//
//     const unsigned char *value = state_cache_get(cache, key);
//     if (!value) {
//         unsigned char *room = state_cache_put(cache, key);
//         ... decode into room; if that fails: state_cache_remove(cache, key) and give up ...
//         value = room;
//     }
//     memcpy(row, value, value_size);
//
// each copied out before the next is asked for, so a put for the row's second state may well evict
// its first.
//
// Not here: how a state is decoded, what a key means (the caller's: a position, a stream and a
// position). Threads: one at a time; get counts the use, so it writes too.
//
// Source: Yang, Zhang, Qiu, Yue, Rashmi, "FIFO queues are all you need for cache eviction", SOSP
// 2023, algorithm 1.

#ifndef REPLAY_STATE_CACHE_H
#define REPLAY_STATE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct state_cache state_cache;

// What a cache did since it was created or cleared, and what it takes.
typedef struct state_cache_stats {
    uint64_t hits, misses; // of get
    uint64_t values; // held now
    uint64_t evictions;
    uint64_t bytes; // all memory of the cache, index included; never above the budget
} state_cache_stats;

// Creates a cache of as many values as fit into the budget with their index (at most 2^30). All
// memory is taken here; nothing is allocated later.
// Errors: GN_ERR_ARG if value_size is 0 or above 2^40, or fewer than 10 values fit; GN_ERR_MEMORY.
gn_status state_cache_create(state_cache **ret_cache, size_t budget_bytes, size_t value_size);

// NULL-safe; sets *cache to NULL.
void state_cache_destroy(state_cache **cache);

// The value of a key, or NULL. Valid until the next put, remove or clear. Shape: [value_size].
const unsigned char *state_cache_get(state_cache *cache, uint64_t key);

// Whether the value of a key is there; counts no use.
bool state_cache_holds(const state_cache *cache, uint64_t key);

// Room for the value of a key that the cache does not hold; the caller fills all of it. May evict
// one other value. Starts at a multiple of 16 bytes. Shape: [value_size].
unsigned char *state_cache_put(state_cache *cache, uint64_t key);

// Forgets the value of a key, if it is there: after a put whose value could not be decoded, or
// where the state behind the key changed.
void state_cache_remove(state_cache *cache, uint64_t key);

// Empties the cache: as it was created.
void state_cache_clear(state_cache *cache);

// Number of values the cache can hold.
uint64_t state_cache_capacity(const state_cache *cache);

state_cache_stats state_cache_measure(const state_cache *cache);

#endif
