// Inside of the store: LMDB's environment, values with checksums, transactions. Shared by
// replay/store*.c.

#ifndef REPLAY_STORE_LMDB_INTERNAL_H
#define REPLAY_STORE_LMDB_INTERNAL_H

#include <lmdb.h>

#include "base/file.h"
#include "replay/store.h"
#include "replay/store_internal.h"

enum { REPLAY_MAP_START = 1 << 20, REPLAY_QUEUE_SIZE = 4 << 20 };

struct replay_store {
    char path[GN_PATH_SIZE]; // of the data file
    char folder[GN_PATH_SIZE];
    MDB_env *env; // NULL after a failure; opened again by replay_store_begin
    MDB_dbi chunks, bodies, models, generations, about;
    replay_durability durability;
    uint32_t streams;
    int lock;
    int file; // the data file, for replay_store_read
    uint64_t map_size;
    size_t chunk_max, body_max; // bytes of the largest chunk, and of its body
    unsigned char *queue; // [queue_capacity]: replay_queued, its bytes, ...
    size_t queue_size, queue_capacity;
    uint64_t uncertain; // generation whose commit failed, but may be there; 0: none
};

typedef struct replay_queued {
    uint64_t key, size;
    MDB_dbi database;
} replay_queued;

static inline MDB_val replay_number_key(const uint64_t *number)
{
    return (MDB_val){ sizeof *number, (void *)number };
}

static inline uint64_t replay_key_number(MDB_val key)
{
    uint64_t number;
    memcpy(&number, key.mv_data, sizeof number);
    return number;
}

// The status of LMDB's code, with its text.
gn_status replay_store_fail(const replay_store *store, int code, const char *doing);

// Stores a value. least: bytes it has at least; zeros fill it up.
int replay_store_put(MDB_txn *txn, MDB_dbi database, MDB_val key, const void *data, size_t size,
                     size_t least);

// The data of a value, in place. MDB_CORRUPTED if checksum or key do not fit.
int replay_store_get(MDB_txn *txn, MDB_dbi database, MDB_val key, const void **ret_data,
                     size_t *ret_size);

// Begins a transaction. LMDB gives up an environment whose last page it could not write, or whose
// map it could not grow: then it is opened anew, so that what failed can be tried again.
int replay_store_begin(replay_store *store, unsigned flags, MDB_txn **ret_txn);

// Opens the environment, and the databases of one that was opened before; LMDB's code.
int replay_store_open_env(replay_store *store);
int replay_store_reopen(replay_store *store);

// What a transaction does; returns LMDB's code.
typedef int (*replay_store_job)(replay_store *store, MDB_txn *txn, const void *arg);

// Runs a job in a transaction; once more in a larger map whenever it was full.
// flags: MDB_NOSYNC or MDB_NOMETASYNC, for what is not synced.
gn_status replay_store_transact(replay_store *store, replay_store_job job, const void *arg,
                                unsigned flags, const char *doing);

#endif
