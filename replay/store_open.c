// Opening a store: who may, whose it is, what its bytes mean.
//
// Nothing here uses LMDB's own writer lock against a second run; `writer.lock` does, held while the
// store is open.

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "replay/chunk.h"
#include "replay/codec.h"
#include "replay/store_check.h"
#include "replay/store_lmdb_internal.h"

enum { DATABASES = 5 };

typedef struct store_about {
    replay_stored_layout layout;
    const char *owner;
} store_about;

static MDB_val name_key(const char *name)
{
    return (MDB_val){ strlen(name), (void *)name };
}

static int open_handles(replay_store *store, MDB_txn *txn, unsigned flags)
{
    int code = mdb_dbi_open(txn, REPLAY_CHUNKS, flags | MDB_INTEGERKEY, &store->chunks);
    if (code == 0)
        code = mdb_dbi_open(txn, REPLAY_BODIES, flags | MDB_INTEGERKEY, &store->bodies);
    if (code == 0)
        code = mdb_dbi_open(txn, REPLAY_MODELS, flags | MDB_INTEGERKEY, &store->models);
    if (code == 0)
        code = mdb_dbi_open(txn, REPLAY_GENERATIONS, flags | MDB_INTEGERKEY, &store->generations);
    if (code == 0)
        code = mdb_dbi_open(txn, REPLAY_ABOUT, flags, &store->about);
    return code;
}

// Opens the databases; in a new store also writes what it is about.
static int open_databases(replay_store *store, MDB_txn *txn, const void *arg)
{
    const store_about *about = arg;
    int code = open_handles(store, txn, MDB_CREATE);
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
    code = replay_store_put(txn, store->about, name_key(REPLAY_LAYOUT), &about->layout,
                            sizeof about->layout, 0);
    if (code == 0)
        code = replay_store_put(txn, store->about, name_key(REPLAY_OWNER), about->owner,
                                strlen(about->owner), 0);
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
    int code = replay_store_get(txn, store->about, name_key(REPLAY_OWNER), &data, &size);
    if (code != 0)
        return replay_store_fail(store, code == MDB_NOTFOUND ? MDB_CORRUPTED : code, "owner");
    if (size != strlen(owner) || memcmp(data, owner, size) != 0)
        return fail_stranger(store, "owner", (int)size, data, owner);
    return GN_OK;
}

static void describe_layout(char ret_text[160], const replay_stored_layout *layout)
{
    const char *packing = layout->packed ? replay_codec_name(layout->packed - 1) : "a column";
    snprintf(ret_text, 160,
             "%u streams, %" PRIu64
             " slots a stream, %u slots a chunk, %u bytes a record, coded as "
             "%s, %u bits a float",
             layout->streams, layout->capacity, layout->chunk, layout->record_size,
             packing ? packing : "?", layout->quantized);
}

static gn_status compare_layout(replay_store *store, MDB_txn *txn,
                                const replay_stored_layout *layout)
{
    const void *data;
    size_t size;
    int code = replay_store_get(txn, store->about, name_key(REPLAY_LAYOUT), &data, &size);
    if (code != 0)
        return replay_store_fail(store, code == MDB_NOTFOUND ? MDB_CORRUPTED : code, "layout");
    replay_stored_layout found;
    GN_TRY(replay_layout_decode(&found, store->path, data, size));
    if (memcmp(&found, layout, sizeof found) == 0)
        return GN_OK;
    char there[160], wanted[160];
    describe_layout(there, &found);
    describe_layout(wanted, layout);
    return fail_stranger(store, "layout", (int)strlen(there), there, wanted);
}

static gn_status check_about(replay_store *store, const store_about *about)
{
    MDB_txn *txn;
    int code = replay_store_begin(store, MDB_RDONLY, &txn);
    if (code != 0)
        return replay_store_fail(store, code, "read");
    gn_status status = compare_owner(store, txn, about->owner);
    if (status == GN_OK)
        status = compare_layout(store, txn, &about->layout);
    mdb_txn_abort(txn);
    return status;
}

// Map for a file of its present size and as much again.
int replay_store_open_env(replay_store *store)
{
    struct stat about;
    store->map_size = REPLAY_MAP_START;
    while (stat(store->path, &about) == 0 && store->map_size / 2 < (uint64_t)about.st_size)
        store->map_size *= 2;
    int code = mdb_env_create(&store->env);
    if (code == 0)
        code = mdb_env_set_maxdbs(store->env, DATABASES);
    if (code == 0)
        code = mdb_env_set_mapsize(store->env, store->map_size);
    if (code == 0)
        code = mdb_env_open(store->env, store->folder, MDB_NOTLS, 0644);
    MDB_envinfo info;
    if (code == 0)
        code = mdb_env_info(store->env, &info);
    if (code == 0)
        store->map_size = info.me_mapsize;
    return code;
}

int replay_store_reopen(replay_store *store)
{
    MDB_txn *txn = NULL;
    if (store->env)
        mdb_env_close(store->env);
    store->env = NULL;
    int code = replay_store_open_env(store);
    if (code == 0)
        code = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (code == 0)
        code = open_handles(store, txn, 0);
    if (code == 0)
        code = mdb_txn_commit(txn); // keeps the handles
    else if (txn)
        mdb_txn_abort(txn);
    if (code != 0 && store->env) {
        mdb_env_close(store->env);
        store->env = NULL;
    }
    return code;
}

static gn_status open_locked(replay_store *store, const store_about *about)
{
    GN_TRY(replay_store_check(store->path));
    int code = replay_store_open_env(store);
    if (code != 0)
        return replay_store_fail(store, code, "open");
    GN_TRY(gn_path_sync(store->folder)); // the entries of files that are new
    GN_TRY(replay_store_transact(store, open_databases, about, 0, "open"));
    store->file = open(store->path, O_RDONLY | O_CLOEXEC);
    if (store->file < 0)
        return gn_fail_errno(errno, "%s: open", store->path);
    (void)posix_fadvise(store->file, 0, 0, POSIX_FADV_RANDOM); // single records are read
    return check_about(store, about);
}

// A file that was begun and could not be finished would pass for a damaged one: it goes.
static gn_status open_store(replay_store *store, const char *folder, const store_about *about)
{
    char lock_path[GN_PATH_SIZE];
    struct stat before;
    GN_TRY(gn_path_join(store->path, folder, "data.mdb"));
    GN_TRY(gn_path_join(lock_path, folder, "writer.lock"));
    snprintf(store->folder, sizeof store->folder, "%s", folder);
    GN_TRY(gn_folder_create(folder));
    GN_TRY(gn_file_lock(&store->lock, lock_path));
    bool fresh = stat(store->path, &before) != 0 || before.st_size == 0;
    gn_status status = open_locked(store, about);
    if (status != GN_OK && fresh)
        (void)unlink(store->path);
    return status;
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
                                      .capacity = layout->capacity,
                                      .packed = layout->packed,
                                      .quantized = layout->quantized },
                          .owner = owner };
    replay_store *store;
    GN_TRY(gn_alloc(&store, 1, sizeof *store));
    store->lock = store->file = -1;
    store->streams = layout->streams;
    store->chunk_max = replay_chunk_bound(layout->chunk, layout->record_size, layout->packed > 0);
    store->body_max = layout->packed ? gn_compress_bound(layout->record_size) * layout->chunk : 0;
    store->queue_capacity =
        REPLAY_QUEUE_SIZE + 2 * sizeof(replay_queued) + store->chunk_max + store->body_max;
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
    if ((*store)->file >= 0)
        close((*store)->file);
    gn_file_unlock(&(*store)->lock);
    gn_free(&(*store)->queue);
    gn_free(store);
}
