// Errors, values and transactions of the store. The map starts small and doubles whenever LMDB
// finds it full.

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/compress.h"
#include "replay/store_lmdb_internal.h"

// A short write comes back from LMDB as EIO; room for a little more tells a full disk from a broken
// one.
static int reason_of_eio(const replay_store *store)
{
    struct stat about;
    int file;
    if (!store->env || mdb_env_get_fd(store->env, &file) != 0 || fstat(file, &about) != 0)
        return EIO;
    int error = posix_fallocate(file, about.st_size, REPLAY_MAP_START);
    return error == ENOSPC || error == EDQUOT || error == EFBIG ? error : EIO;
}

gn_status replay_store_fail(const replay_store *store, int code, const char *doing)
{
    if (code == EIO)
        code = reason_of_eio(store);
    if (code > 0)
        return gn_fail_errno(code, "%s: %s", store->path, doing);
    gn_status status = GN_ERR_BACKEND;
    if (code == MDB_NOTFOUND)
        status = GN_ERR_NOT_FOUND;
    else if (code == MDB_CORRUPTED || code == MDB_PAGE_NOTFOUND || code == MDB_INVALID ||
             code == MDB_VERSION_MISMATCH || code == MDB_INCOMPATIBLE)
        status = GN_ERR_CORRUPT;
    else if (code == MDB_PANIC)
        status = GN_ERR_IO;
    // LMDB's own text speaks of a page, but it is a checksum nearly always.
    return gn_fail(status, "%s: %s: %s", store->path, doing,
                   code == MDB_CORRUPTED ? "damaged, its checksum or a page is wrong"
                                         : mdb_strerror(code));
}

int replay_store_put(MDB_txn *txn, MDB_dbi database, MDB_val key, const void *data, size_t size,
                     size_t least)
{
    uint64_t checksum;
    size_t used = sizeof checksum + key.mv_size + size;
    MDB_val value = { used < least ? least : used, NULL };
    int code = mdb_put(txn, database, &key, &value, MDB_RESERVE);
    if (code != 0)
        return code;
    unsigned char *covered = (unsigned char *)value.mv_data + sizeof checksum;
    memcpy(covered, key.mv_data, key.mv_size);
    memcpy(covered + key.mv_size, data, size);
    memset(covered + key.mv_size + size, 0, value.mv_size - used);
    checksum = gn_checksum(covered, value.mv_size - sizeof checksum);
    memcpy(value.mv_data, &checksum, sizeof checksum);
    return 0;
}

int replay_store_get(MDB_txn *txn, MDB_dbi database, MDB_val key, const void **ret_data,
                     size_t *ret_size)
{
    MDB_val value;
    int code = mdb_get(txn, database, &key, &value);
    if (code != 0)
        return code;
    bool sound = replay_value_data(value.mv_data, value.mv_size, key.mv_data, key.mv_size, ret_data,
                                   ret_size);
    return sound ? 0 : MDB_CORRUPTED;
}

int replay_store_begin(replay_store *store, unsigned flags, MDB_txn **ret_txn)
{
    int code = store->env ? mdb_txn_begin(store->env, NULL, flags, ret_txn) : MDB_PANIC;
    if (code != MDB_PANIC)
        return code;
    code = replay_store_reopen(store);
    return code == 0 ? mdb_txn_begin(store->env, NULL, flags, ret_txn) : code;
}

static int double_map(replay_store *store)
{
    int code = mdb_env_set_mapsize(store->env, store->map_size * 2);
    if (code == 0) {
        store->map_size *= 2;
    } else { // the old map is gone too
        mdb_env_close(store->env);
        store->env = NULL;
    }
    return code;
}

// What a commit syncs. LMDB 0.9 knows it of the environment only: told of a transaction it is
// passed over.
static int set_syncing(replay_store *store, unsigned flags)
{
    int code = mdb_env_set_flags(store->env, MDB_NOSYNC | MDB_NOMETASYNC, 0);
    return code == 0 && flags != 0 ? mdb_env_set_flags(store->env, flags, 1) : code;
}

// A reader that was killed would keep its pages from being used again for the rest of the run: its
// entry goes first.
gn_status replay_store_transact(replay_store *store, replay_store_job job, const void *arg,
                                unsigned flags, const char *doing)
{
    if (store->env)
        (void)mdb_reader_check(store->env, NULL);
    for (;;) {
        MDB_txn *txn;
        int code = replay_store_begin(store, 0, &txn);
        if (code == 0) {
            code = set_syncing(store, flags);
            if (code == 0)
                code = job(store, txn, arg);
            if (code == 0)
                code = mdb_txn_commit(txn);
            else
                mdb_txn_abort(txn);
        }
        if (code == MDB_MAP_FULL)
            code = double_map(store);
        else if (code == 0)
            return GN_OK;
        if (code != 0)
            return replay_store_fail(store, code, doing);
    }
}
