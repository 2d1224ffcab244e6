// Chunks, bodies, models and generations over LMDB. What a database holds is a function of
// what was added and committed only: no times, no process numbers, no order of arrival.

#define _GNU_SOURCE // preadv2
#include "replay/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"
#include "replay/store_check.h"
#include "replay/store_lmdb_internal.h"

// --- chunks, bodies, models

// Of a transaction that a commit will follow, and of a commit. Without syncing the meta page a
// power cut may undo the transaction; without syncing anything it may leave a torn one.
static unsigned batch_flags(const replay_store *store)
{
    return store->durability == REPLAY_DURABLE_NONE ? MDB_NOSYNC : MDB_NOMETASYNC;
}

static unsigned commit_flags(const replay_store *store)
{
    return store->durability == REPLAY_DURABLE_COMMIT ? 0 : batch_flags(store);
}

void replay_store_set_durability(replay_store *store, replay_durability durability)
{
    store->durability = durability;
}

static int write_queue(replay_store *store, MDB_txn *txn, const void *arg)
{
    (void)arg;
    int code = 0;
    for (size_t at = 0; at < store->queue_size && code == 0;) {
        replay_queued item;
        memcpy(&item, store->queue + at, sizeof item);
        at += sizeof item;
        code = replay_store_put(txn, item.database, replay_number_key(&item.key), store->queue + at,
                                item.size, item.database == store->bodies ? REPLAY_BODY_MIN : 0);
        at += item.size;
    }
    return code;
}

gn_status replay_store_flush(replay_store *store)
{
    if (store->queue_size == 0)
        return GN_OK;
    GN_TRY(replay_store_transact(store, write_queue, NULL, batch_flags(store), "write chunks"));
    store->queue_size = 0;
    return GN_OK;
}

bool replay_store_has_room(const replay_store *store)
{
    enum { MODEL = 1 << 17 };
    size_t most = 3 * sizeof(replay_queued) + store->chunk_max + store->body_max + MODEL;
    return store->queue_capacity - store->queue_size >= most;
}

// Writes the queue where these many bytes more do not fit.
static gn_status make_room(replay_store *store, size_t size)
{
    return store->queue_capacity - store->queue_size < size ? replay_store_flush(store) : GN_OK;
}

static void enqueue(replay_store *store, MDB_dbi database, uint64_t key, const void *bytes,
                    size_t size)
{
    replay_queued item = { key, size, database };
    memcpy(store->queue + store->queue_size, &item, sizeof item);
    memcpy(store->queue + store->queue_size + sizeof item, bytes, size);
    store->queue_size += sizeof item + size;
}

gn_status replay_store_put_chunk(replay_store *store, uint64_t chunk, uint32_t stream,
                                 const void *bytes, size_t size, const void *body, size_t body_size)
{
    if (stream >= store->streams || size > store->chunk_max || body_size > store->body_max)
        return gn_fail(GN_ERR_ARG,
                       "%s: chunk of %zu bytes with a body of %zu for stream %u: must be at most "
                       "%zu, %zu, below %u",
                       store->path, size, body_size, stream, store->chunk_max, store->body_max,
                       store->streams);
    uint64_t key = chunk * store->streams + stream;
    GN_TRY(make_room(store, 2 * sizeof(replay_queued) + size + body_size));
    enqueue(store, store->chunks, key, bytes, size);
    if (body)
        enqueue(store, store->bodies, key, body, body_size);
    return GN_OK;
}

gn_status replay_store_put_model(replay_store *store, uint32_t id, const void *bytes, size_t size)
{
    if (size > REPLAY_QUEUE_SIZE)
        return gn_fail(GN_ERR_ARG, "%s: model of %zu bytes: must be at most %d", store->path, size,
                       REPLAY_QUEUE_SIZE);
    GN_TRY(make_room(store, sizeof(replay_queued) + size));
    enqueue(store, store->models, id, bytes, size);
    return GN_OK;
}

gn_status replay_store_find_body(replay_store *store, uint64_t chunk, uint32_t stream,
                                 uint64_t *ret_offset)
{
    MDB_txn *txn;
    int code = replay_store_begin(store, MDB_RDONLY, &txn);
    if (code != 0)
        return replay_store_fail(store, code, "read");
    uint64_t number = chunk * store->streams + stream, page_offset = 0;
    MDB_val key = replay_number_key(&number), value;
    code = mdb_get(txn, store->bodies, &key, &value);
    gn_status status = GN_OK;
    if (code != 0)
        status = replay_store_fail(store, code, "body");
    else if (!replay_store_locate(value.mv_data, value.mv_size, &page_offset))
        status = gn_fail(GN_ERR_CORRUPT, "%s: body: is not in pages of its own", store->path);
    else
        replay_store_forget((const unsigned char *)value.mv_data - page_offset, store->map_size,
                            page_offset, value.mv_size);
    mdb_txn_abort(txn);
    if (status != GN_OK)
        return gn_fail_within(status, "chunk %" PRIu64 " of stream %u", chunk, stream);
    *ret_offset = page_offset + sizeof(uint64_t) + sizeof number; // checksum, key
    return GN_OK;
}

gn_status replay_store_read(const replay_store *store, uint64_t offset, void *ret_bytes,
                            size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n =
            pread(store->file, (char *)ret_bytes + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return gn_fail_errno(errno, "%s: read", store->path);
        if (n == 0)
            return gn_fail(GN_ERR_CORRUPT, "%s: ends before byte %" PRIu64, store->path,
                           offset + size);
        done += (size_t)n;
    }
    return GN_OK;
}

gn_status replay_store_get_chunk(replay_store *store, uint64_t chunk, uint32_t stream,
                                 void *ret_bytes, size_t capacity, size_t *ret_size)
{
    MDB_txn *txn;
    int code = replay_store_begin(store, MDB_RDONLY, &txn);
    if (code != 0)
        return replay_store_fail(store, code, "read");
    uint64_t key = chunk * store->streams + stream;
    const void *data;
    size_t size;
    code = replay_store_get(txn, store->chunks, replay_number_key(&key), &data, &size);
    gn_status status = GN_OK;
    if (code != 0) {
        status = replay_store_fail(store, code, "chunk");
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

bool replay_store_read_now(const replay_store *store, uint64_t offset, void *ret_bytes, size_t size)
{
    const struct iovec part = { ret_bytes, size };
    return preadv2(store->file, &part, 1, (off_t)offset, RWF_NOWAIT) == (ssize_t)size;
}

void replay_store_will_read(const replay_store *store, uint64_t offset, size_t size)
{
    (void)posix_fadvise(store->file, (off_t)offset, (off_t)size, POSIX_FADV_WILLNEED);
}

// --- generations

// Deletes the entries numbered row * width + column whose row lies outside
// [first[column], end[column]); NULL is no bound. Without `end` it looks at no row that stays: each
// page it touched would count as memory of this process.
static int keep_rows(MDB_txn *txn, MDB_dbi database, uint64_t width, const uint64_t *first,
                     const uint64_t *end)
{
    MDB_cursor *cursor;
    int code = mdb_cursor_open(txn, database, &cursor);
    if (code != 0)
        return code;
    uint64_t stop = end ? UINT64_MAX : 0; // row that stays, and all after it
    for (uint64_t i = 0; i < width && !end; i++)
        stop = first[i] > stop ? first[i] : stop;
    MDB_val key;
    code = mdb_cursor_get(cursor, &key, NULL, MDB_FIRST);
    while (code == 0) {
        uint64_t row = replay_key_number(key) / width, column = replay_key_number(key) % width;
        if (row >= stop)
            break;
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
    int code = replay_store_begin(store, MDB_RDONLY, &txn);
    if (code != 0)
        return replay_store_fail(store, code, "read");
    size_t count = 0;
    uint64_t newest = 0;
    code = mdb_cursor_open(txn, store->generations, &cursor);
    if (code == 0) {
        MDB_val key;
        while ((code = mdb_cursor_get(cursor, &key, NULL, MDB_NEXT)) == 0) {
            newest = replay_key_number(key);
            if (count < capacity)
                ret_generations[count] = newest;
            count++;
        }
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    if (code != MDB_NOTFOUND)
        return replay_store_fail(store, code, "generations");
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
        code = replay_store_put(txn, store->generations, replay_number_key(&job->generation),
                                job->state, job->size, 0);
    if (code == 0)
        code = keep_rows(txn, store->generations, 1, &job->oldest, NULL);
    if (code == 0 && job->first_chunk)
        code = keep_rows(txn, store->chunks, store->streams, job->first_chunk, NULL);
    if (code == 0 && job->first_chunk)
        code = keep_rows(txn, store->bodies, store->streams, job->first_chunk, NULL);
    return code;
}

gn_status replay_store_commit(replay_store *store, uint64_t generation, const void *state,
                              size_t size, uint64_t oldest, const uint64_t *first_chunk)
{
    uint64_t newest;
    size_t count;
    GN_TRY(list_generations(store, NULL, 0, &count, &newest));
    if (generation > 0 && generation == newest && generation == store->uncertain) {
        // It is there, though its last write was said to have failed.
        int code = store->durability == REPLAY_DURABLE_COMMIT ? mdb_env_sync(store->env, 1) : 0;
        if (code != 0)
            return replay_store_fail(store, code, "commit");
        store->queue_size = store->uncertain = 0;
        return GN_OK;
    }
    if (generation <= newest) // 0 is none
        return gn_fail(GN_ERR_ARG, "%s: generation %" PRIu64 ": must be above %" PRIu64,
                       store->path, generation, newest);
    if (oldest > generation)
        return gn_fail(GN_ERR_ARG,
                       "%s: oldest generation %" PRIu64 ": must be at most the new one, %" PRIu64,
                       store->path, oldest, generation);
    commit_job job = { generation, oldest, state, size, first_chunk };
    store->uncertain = generation;
    GN_TRY(replay_store_transact(store, write_generation, &job, commit_flags(store), "commit"));
    store->uncertain = 0;
    store->queue_size = 0;
    return GN_OK;
}

// Copies a value; release *ret_data with gn_free.
static int copy_value(replay_store *store, MDB_dbi database, uint64_t number, void **ret_data,
                      size_t *ret_size, gn_status *ret_status)
{
    MDB_txn *txn;
    int code = replay_store_begin(store, MDB_RDONLY, &txn);
    if (code != 0)
        return code;
    const void *data;
    size_t size;
    code = replay_store_get(txn, database, replay_number_key(&number), &data, &size);
    *ret_status = code == 0 ? gn_alloc(ret_data, size, 1) : GN_OK;
    if (code == 0 && *ret_status == GN_OK) {
        memcpy(*ret_data, data, size);
        *ret_size = size;
    }
    mdb_txn_abort(txn);
    return code;
}

gn_status replay_store_get_generation(replay_store *store, uint64_t generation, void **ret_state,
                                      size_t *ret_size)
{
    gn_status status;
    int code = copy_value(store, store->generations, generation, ret_state, ret_size, &status);
    if (code == 0)
        return status;
    if (code == MDB_NOTFOUND)
        return fail_missing(store, generation);
    status = replay_store_fail(store, code, "generation");
    return gn_fail_within(status, "generation %" PRIu64, generation);
}

gn_status replay_store_get_model(replay_store *store, uint32_t id, void **ret_bytes,
                                 size_t *ret_size)
{
    gn_status status;
    int code = copy_value(store, store->models, id, ret_bytes, ret_size, &status);
    if (code == 0)
        return status;
    status = replay_store_fail(store, code, "model");
    return gn_fail_within(status, "model %u", id);
}

gn_status replay_store_generations(replay_store *store, uint64_t *ret_generations, size_t capacity,
                                   size_t *ret_count)
{
    uint64_t newest;
    return list_generations(store, ret_generations, capacity, ret_count, &newest);
}

typedef struct rollback_job {
    uint64_t generation, end_model;
    const uint64_t *end_chunk;
} rollback_job;

static int remove_future(replay_store *store, MDB_txn *txn, const void *arg)
{
    const rollback_job *job = arg;
    uint64_t end = job->generation + 1;
    int code = end > 0 ? keep_rows(txn, store->generations, 1, NULL, &end) : 0;
    if (code == 0)
        code = keep_rows(txn, store->chunks, store->streams, NULL, job->end_chunk);
    if (code == 0)
        code = keep_rows(txn, store->bodies, store->streams, NULL, job->end_chunk);
    if (code == 0)
        code = keep_rows(txn, store->models, 1, NULL, &job->end_model);
    return code;
}

gn_status replay_store_rollback(replay_store *store, uint64_t generation, const uint64_t *end_chunk,
                                uint32_t end_model)
{
    store->queue_size = 0; // what is queued belongs to the abandoned future
    store->uncertain = 0;
    rollback_job job = { generation, end_model, end_chunk };
    return replay_store_transact(store, remove_future, &job, 0, "roll back");
}

gn_status replay_store_size(const replay_store *store, uint64_t *ret_bytes)
{
    struct stat about;
    if (fstat(store->file, &about) != 0)
        return gn_fail_errno(errno, "%s: size", store->path);
    *ret_bytes = (uint64_t)about.st_size;
    return GN_OK;
}
