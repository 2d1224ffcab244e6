// The store over LMDB. What a database holds is a
// function of what was added and committed only: no times, no process numbers, no order of arrival.
//
// Nothing here uses LMDB's own writer lock against a second run; `writer.lock` does, held while the
// store is open. The map starts small and doubles whenever LMDB finds it full.

#include "replay/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <lmdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/compress.h"
#include "base/file.h"
#include "base/mem.h"
#include "replay/chunk.h"
#include "replay/store_check.h"
#include "replay/store_internal.h"

enum { DATABASES = 3, MAP_START = 1 << 20, QUEUE_SIZE = 4 << 20 };

struct replay_store {
    char path[GN_PATH_SIZE]; // of the data file
    MDB_env *env; // NULL after a failure that LMDB does not come back from
    MDB_dbi chunks, generations, about;
    uint32_t streams;
    int lock;
    uint64_t map_size;
    size_t chunk_max; // bytes of the largest chunk
    unsigned char *queue; // [queue_capacity]: queue_item, its bytes, queue_item, ...
    size_t queue_size, queue_capacity;
};

typedef struct queue_item {
    uint64_t key, size;
} queue_item;

// --- LMDB: errors, values, transactions

// A short write comes back from LMDB as EIO; room for a little more tells a full disk from a broken
// one.
static int reason_of_eio(const replay_store *store)
{
    struct stat about;
    int file;
    if (!store->env || mdb_env_get_fd(store->env, &file) != 0 || fstat(file, &about) != 0)
        return EIO;
    int error = posix_fallocate(file, about.st_size, MAP_START);
    return error == ENOSPC || error == EDQUOT || error == EFBIG ? error : EIO;
}

static gn_status store_fail(const replay_store *store, int code, const char *doing)
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
    return gn_fail(status, "%s: %s: %s", store->path, doing, mdb_strerror(code));
}

static int put_value(MDB_txn *txn, MDB_dbi database, MDB_val key, const void *data, size_t size)
{
    uint64_t checksum;
    MDB_val value = { sizeof checksum + key.mv_size + size, NULL };
    int code = mdb_put(txn, database, &key, &value, MDB_RESERVE);
    if (code != 0)
        return code;
    unsigned char *covered = (unsigned char *)value.mv_data + sizeof checksum;
    memcpy(covered, key.mv_data, key.mv_size);
    memcpy(covered + key.mv_size, data, size);
    checksum = gn_checksum(covered, key.mv_size + size);
    memcpy(value.mv_data, &checksum, sizeof checksum);
    return 0;
}

// The data of a value, in place. MDB_CORRUPTED if checksum or key do not fit.
static int get_value(MDB_txn *txn, MDB_dbi database, MDB_val key, const void **ret_data,
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

static MDB_val key_of(const uint64_t *number)
{
    return (MDB_val){ sizeof *number, (void *)number };
}

static uint64_t number_of(MDB_val key)
{
    uint64_t number;
    memcpy(&number, key.mv_data, sizeof number);
    return number;
}

static int begin(replay_store *store, unsigned flags, MDB_txn **ret_txn)
{
    return store->env ? mdb_txn_begin(store->env, NULL, flags, ret_txn) : MDB_PANIC;
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

// What a transaction does; returns LMDB's code.
typedef int (*write_job)(replay_store *store, MDB_txn *txn, const void *arg);

// Runs a job in a durable transaction; once more in a larger map whenever it was full. A reader
// that was killed would keep its pages from being used again for the rest of the run: its entry
// goes first.
static gn_status write_in_txn(replay_store *store, write_job job, const void *arg,
                              const char *doing)
{
    if (store->env)
        (void)mdb_reader_check(store->env, NULL);
    for (;;) {
        MDB_txn *txn;
        int code = begin(store, 0, &txn);
        if (code == 0) {
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
            return store_fail(store, code, doing);
    }
}

// --- opening

typedef struct store_about {
    replay_stored_layout layout;
    const char *owner;
} store_about;

static MDB_val name_key(const char *name)
{
    return (MDB_val){ strlen(name), (void *)name };
}

// Opens the databases; in a new store also writes what it is about.
static int open_databases(replay_store *store, MDB_txn *txn, const void *arg)
{
    const store_about *about = arg;
    int code = mdb_dbi_open(txn, REPLAY_CHUNKS, MDB_CREATE | MDB_INTEGERKEY, &store->chunks);
    if (code == 0)
        code =
            mdb_dbi_open(txn, REPLAY_GENERATIONS, MDB_CREATE | MDB_INTEGERKEY, &store->generations);
    if (code == 0)
        code = mdb_dbi_open(txn, REPLAY_ABOUT, MDB_CREATE, &store->about);
    MDB_stat chunks = { 0 }, generations = { 0 }, texts = { 0 };
    if (code == 0)
        code = mdb_stat(txn, store->chunks, &chunks);
    if (code == 0)
        code = mdb_stat(txn, store->generations, &generations);
    if (code == 0)
        code = mdb_stat(txn, store->about, &texts);
    if (code != 0 || texts.ms_entries > 0)
        return code;
    if (chunks.ms_entries > 0 || generations.ms_entries > 0)
        return MDB_CORRUPTED;
    code =
        put_value(txn, store->about, name_key(REPLAY_LAYOUT), &about->layout, sizeof about->layout);
    if (code == 0)
        code = put_value(txn, store->about, name_key(REPLAY_OWNER), about->owner,
                         strlen(about->owner));
    return code;
}

static gn_status fail_stranger(const replay_store *store, const char *name, int size,
                               const char *there, const char *wanted)
{
    return gn_fail(GN_ERR_STATE,
                   "%s: belongs to another run or to other options: its %s is '%.*s', not '%s'",
                   store->path, name, size, there, wanted);
}

static gn_status compare_owner(replay_store *store, MDB_txn *txn, const char *owner)
{
    const void *data;
    size_t size;
    int code = get_value(txn, store->about, name_key(REPLAY_OWNER), &data, &size);
    if (code != 0)
        return store_fail(store, code == MDB_NOTFOUND ? MDB_CORRUPTED : code, "owner");
    if (size != strlen(owner) || memcmp(data, owner, size) != 0)
        return fail_stranger(store, "owner", (int)size, data, owner);
    return GN_OK;
}

static void describe_layout(char ret_text[128], const replay_stored_layout *layout)
{
    snprintf(ret_text, 128,
             "%u streams, %" PRIu64 " slots a stream, %u slots a chunk, %u bytes a record",
             layout->streams, layout->capacity, layout->chunk, layout->record_size);
}

static gn_status compare_layout(replay_store *store, MDB_txn *txn,
                                const replay_stored_layout *layout)
{
    const void *data;
    size_t size;
    int code = get_value(txn, store->about, name_key(REPLAY_LAYOUT), &data, &size);
    if (code != 0)
        return store_fail(store, code == MDB_NOTFOUND ? MDB_CORRUPTED : code, "layout");
    replay_stored_layout found;
    GN_TRY(replay_layout_decode(&found, store->path, data, size));
    if (memcmp(&found, layout, sizeof found) == 0)
        return GN_OK;
    char there[128], wanted[128];
    describe_layout(there, &found);
    describe_layout(wanted, layout);
    return fail_stranger(store, "layout", (int)strlen(there), there, wanted);
}

static gn_status check_about(replay_store *store, const store_about *about)
{
    MDB_txn *txn;
    int code = begin(store, MDB_RDONLY, &txn);
    if (code != 0)
        return store_fail(store, code, "read");
    gn_status status = compare_owner(store, txn, about->owner);
    if (status == GN_OK)
        status = compare_layout(store, txn, &about->layout);
    mdb_txn_abort(txn);
    return status;
}

// Map for a file of its present size and as much again.
static gn_status open_env(replay_store *store, const char *folder)
{
    struct stat about;
    store->map_size = MAP_START;
    while (stat(store->path, &about) == 0 && store->map_size / 2 < (uint64_t)about.st_size)
        store->map_size *= 2;
    int code = mdb_env_create(&store->env);
    if (code == 0)
        code = mdb_env_set_maxdbs(store->env, DATABASES);
    if (code == 0)
        code = mdb_env_set_mapsize(store->env, store->map_size);
    if (code == 0)
        code = mdb_env_open(store->env, folder, MDB_NOTLS, 0644);
    MDB_envinfo info;
    if (code == 0)
        code = mdb_env_info(store->env, &info);
    if (code != 0)
        return store_fail(store, code, "open");
    store->map_size = info.me_mapsize;
    return GN_OK;
}

static gn_status open_store(replay_store *store, const char *folder, const store_about *about)
{
    char lock_path[GN_PATH_SIZE];
    GN_TRY(gn_path_join(store->path, folder, "data.mdb"));
    GN_TRY(gn_path_join(lock_path, folder, "writer.lock"));
    GN_TRY(gn_folder_create(folder));
    GN_TRY(gn_file_lock(&store->lock, lock_path));
    GN_TRY(replay_store_check(store->path));
    GN_TRY(open_env(store, folder));
    GN_TRY(gn_path_sync(folder)); // the entries of files that are new
    GN_TRY(write_in_txn(store, open_databases, about, "open"));
    return check_about(store, about);
}

gn_status replay_store_open(replay_store **ret_store, const char *folder, const char *owner,
                            const replay_layout *layout)
{
    if (layout->streams == 0 || layout->record_size == 0 || layout->chunk == 0 ||
        strlen(owner) > REPLAY_OWNER_MAX)
        return gn_fail(GN_ERR_ARG,
                       "%s: %u streams, %u bytes a record, %u slots a chunk, owner '%s': must be "
                       "above 0, the owner %d characters at most",
                       folder, layout->streams, layout->record_size, layout->chunk, owner,
                       REPLAY_OWNER_MAX);
    store_about about = { .layout = { .version = REPLAY_STORE_VERSION,
                                      .streams = layout->streams,
                                      .record_size = layout->record_size,
                                      .chunk = layout->chunk,
                                      .capacity = layout->capacity },
                          .owner = owner };
    replay_store *store;
    GN_TRY(gn_alloc(&store, 1, sizeof *store));
    store->lock = -1;
    store->streams = layout->streams;
    store->chunk_max = replay_chunk_bound(layout->chunk, layout->record_size);
    store->queue_capacity = QUEUE_SIZE + sizeof(queue_item) + store->chunk_max;
    gn_status status = gn_alloc(&store->queue, store->queue_capacity, 1);
    if (status == GN_OK)
        status = open_store(store, folder, &about);
    if (status != GN_OK) {
        replay_store_close(&store);
        return status;
    }
    *ret_store = store;
    return GN_OK;
}

void replay_store_close(replay_store **store)
{
    if (!*store)
        return;
    if ((*store)->env)
        mdb_env_close((*store)->env);
    gn_file_unlock(&(*store)->lock);
    gn_free(&(*store)->queue);
    gn_free(store);
}

// --- chunks

static int write_queue(replay_store *store, MDB_txn *txn, const void *arg)
{
    (void)arg;
    int code = 0;
    for (size_t at = 0; at < store->queue_size && code == 0;) {
        queue_item item;
        memcpy(&item, store->queue + at, sizeof item);
        at += sizeof item;
        code = put_value(txn, store->chunks, key_of(&item.key), store->queue + at, item.size);
        at += item.size;
    }
    return code;
}

gn_status replay_store_put_chunk(replay_store *store, uint64_t chunk, uint32_t stream,
                                 const void *bytes, size_t size)
{
    if (stream >= store->streams || size > store->chunk_max)
        return gn_fail(GN_ERR_ARG,
                       "%s: chunk of %zu bytes for stream %u: must be at most %zu, below %u",
                       store->path, size, stream, store->chunk_max, store->streams);
    queue_item item = { chunk * store->streams + stream, size };
    if (store->queue_capacity - store->queue_size < sizeof item + size) {
        GN_TRY(write_in_txn(store, write_queue, NULL, "write chunks"));
        store->queue_size = 0;
    }
    memcpy(store->queue + store->queue_size, &item, sizeof item);
    memcpy(store->queue + store->queue_size + sizeof item, bytes, size);
    store->queue_size += sizeof item + size;
    return GN_OK;
}

gn_status replay_store_get_chunk(replay_store *store, uint64_t chunk, uint32_t stream,
                                 void *ret_bytes, size_t capacity, size_t *ret_size)
{
    MDB_txn *txn;
    int code = begin(store, MDB_RDONLY, &txn);
    if (code != 0)
        return store_fail(store, code, "read");
    uint64_t key = chunk * store->streams + stream;
    const void *data;
    size_t size;
    code = get_value(txn, store->chunks, key_of(&key), &data, &size);
    gn_status status = GN_OK;
    if (code != 0) {
        status = store_fail(store, code, "chunk");
        gn_fail_within(status, "chunk %" PRIu64 " of stream %u", chunk, stream);
    } else if (size > capacity) {
        status = gn_fail(GN_ERR_CORRUPT, "%s: chunk %" PRIu64 " of stream %u: %zu bytes, not %zu",
                         store->path, chunk, stream, size, capacity);
    } else {
        memcpy(ret_bytes, data, size);
        *ret_size = size;
    }
    mdb_txn_abort(txn);
    return status;
}

// --- generations

// Deletes the entries numbered row * width + column whose row lies outside
// [first[column], end[column]); NULL is no bound.
static int keep_rows(MDB_txn *txn, MDB_dbi database, uint64_t width, const uint64_t *first,
                     const uint64_t *end)
{
    MDB_cursor *cursor;
    int code = mdb_cursor_open(txn, database, &cursor);
    if (code != 0)
        return code;
    MDB_val key;
    code = mdb_cursor_get(cursor, &key, NULL, MDB_FIRST);
    while (code == 0) {
        uint64_t row = number_of(key) / width, column = number_of(key) % width;
        if ((first && row < first[column]) || (end && row >= end[column]))
            code = mdb_cursor_del(cursor, 0);
        if (code == 0)
            code = mdb_cursor_get(cursor, &key, NULL, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

// ret_newest is the last of all, 0 where there is none.
static gn_status list_generations(replay_store *store, uint64_t *ret_generations, size_t capacity,
                                  size_t *ret_count, uint64_t *ret_newest)
{
    MDB_txn *txn;
    MDB_cursor *cursor;
    int code = begin(store, MDB_RDONLY, &txn);
    if (code != 0)
        return store_fail(store, code, "read");
    size_t count = 0;
    uint64_t newest = 0;
    code = mdb_cursor_open(txn, store->generations, &cursor);
    if (code == 0) {
        MDB_val key;
        while ((code = mdb_cursor_get(cursor, &key, NULL, MDB_NEXT)) == 0) {
            newest = number_of(key);
            if (count < capacity)
                ret_generations[count] = newest;
            count++;
        }
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    if (code != MDB_NOTFOUND)
        return store_fail(store, code, "generations");
    *ret_count = count;
    *ret_newest = newest;
    return GN_OK;
}

static gn_status fail_missing(replay_store *store, uint64_t generation)
{
    enum { NAMED = 8 };
    uint64_t there[NAMED], newest;
    size_t count;
    GN_TRY(list_generations(store, there, NAMED, &count, &newest));
    char list[NAMED * 24] = "";
    for (size_t i = 0, at = 0; i < count && i < NAMED; i++)
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%" PRIu64, i ? ", " : "", there[i]);
    return gn_fail(GN_ERR_NOT_FOUND, "%s: no generation %" PRIu64 "; there %s %s%s", store->path,
                   generation, count == 1 ? "is" : "are", count ? list : "none",
                   count > NAMED ? ", ..." : "");
}

typedef struct commit_job {
    uint64_t generation, oldest;
    const void *state;
    size_t size;
    const uint64_t *first_chunk;
} commit_job;

static int write_generation(replay_store *store, MDB_txn *txn, const void *arg)
{
    const commit_job *job = arg;
    int code = write_queue(store, txn, NULL);
    if (code == 0)
        code = put_value(txn, store->generations, key_of(&job->generation), job->state, job->size);
    if (code == 0)
        code = keep_rows(txn, store->generations, 1, &job->oldest, NULL);
    if (code == 0 && job->first_chunk)
        code = keep_rows(txn, store->chunks, store->streams, job->first_chunk, NULL);
    return code;
}

gn_status replay_store_commit(replay_store *store, uint64_t generation, const void *state,
                              size_t size, uint64_t oldest, const uint64_t *first_chunk)
{
    uint64_t newest;
    size_t count;
    GN_TRY(list_generations(store, NULL, 0, &count, &newest));
    if (generation <= newest) // 0 is none
        return gn_fail(GN_ERR_ARG, "%s: generation %" PRIu64 ": must be above %" PRIu64,
                       store->path, generation, newest);
    if (oldest > generation)
        return gn_fail(GN_ERR_ARG,
                       "%s: oldest generation %" PRIu64 ": must be at most the new one, %" PRIu64,
                       store->path, oldest, generation);
    commit_job job = { generation, oldest, state, size, first_chunk };
    GN_TRY(write_in_txn(store, write_generation, &job, "commit"));
    store->queue_size = 0;
    return GN_OK;
}

gn_status replay_store_get_generation(replay_store *store, uint64_t generation, void **ret_state,
                                      size_t *ret_size)
{
    MDB_txn *txn;
    int code = begin(store, MDB_RDONLY, &txn);
    if (code != 0)
        return store_fail(store, code, "read");
    const void *data;
    size_t size;
    code = get_value(txn, store->generations, key_of(&generation), &data, &size);
    gn_status status = GN_OK;
    if (code == MDB_NOTFOUND) {
        status = fail_missing(store, generation);
    } else if (code != 0) {
        status = store_fail(store, code, "generation");
        gn_fail_within(status, "generation %" PRIu64, generation);
    } else {
        status = gn_alloc(ret_state, size, 1);
    }
    if (status == GN_OK) {
        memcpy(*ret_state, data, size);
        *ret_size = size;
    }
    mdb_txn_abort(txn);
    return status;
}

gn_status replay_store_generations(replay_store *store, uint64_t *ret_generations, size_t capacity,
                                   size_t *ret_count)
{
    uint64_t newest;
    return list_generations(store, ret_generations, capacity, ret_count, &newest);
}

typedef struct rollback_job {
    uint64_t generation;
    const uint64_t *end_chunk;
} rollback_job;

static int remove_future(replay_store *store, MDB_txn *txn, const void *arg)
{
    const rollback_job *job = arg;
    uint64_t end = job->generation + 1;
    int code = end > 0 ? keep_rows(txn, store->generations, 1, NULL, &end) : 0;
    return code == 0 ? keep_rows(txn, store->chunks, store->streams, NULL, job->end_chunk) : code;
}

gn_status replay_store_rollback(replay_store *store, uint64_t generation, const uint64_t *end_chunk)
{
    store->queue_size = 0; // queued chunks belong to the abandoned future
    rollback_job job = { generation, end_chunk };
    return write_in_txn(store, remove_future, &job, "roll back");
}

gn_status replay_store_size(replay_store *store, uint64_t *ret_bytes)
{
    MDB_envinfo info;
    MDB_stat stat;
    int code = store->env ? mdb_env_info(store->env, &info) : MDB_PANIC;
    if (code == 0)
        code = mdb_env_stat(store->env, &stat);
    if (code != 0)
        return store_fail(store, code, "size");
    *ret_bytes = (info.me_last_pgno + 1) * stat.ms_psize;
    return GN_OK;
}
