#define _GNU_SOURCE // faccessat
#include "replay/store_view.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <lmdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "replay/codec.h"
#include "replay/quantize.h"
#include "replay/store_check.h"
#include "replay/store_internal.h"

enum { MAP_START = 8 << 20 }; // LMDB's own map, of which it reads the first two pages

typedef struct value_list {
    replay_value *value;
    size_t count, capacity;
} value_list;

typedef struct replay_view_state {
    replay_store_file file;
    MDB_env *env; // NULL where LMDB cannot open it; then `lock` keeps writers out
    MDB_txn *pin;
    int lock;
    value_list chunks, bodies, models, generations;
    replay_value layout, owner; // bytes NULL: not found
    replay_findings *findings;
} replay_view_state;

// --- findings

void replay_findings_add(replay_findings *findings, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (findings->count < REPLAY_FINDINGS_KEPT &&
        gn_copy_text(&findings->line[findings->count], text) != GN_OK)
        findings->line[findings->count] = NULL;
    findings->count++;
}

void replay_findings_free(replay_findings *findings)
{
    for (size_t i = 0; i < REPLAY_FINDINGS_KEPT; i++)
        gn_free(&findings->line[i]);
    *findings = (replay_findings){ 0 };
}

// --- the walk

static gn_status note_damage(void *self)
{
    replay_view *view = self;
    replay_findings_add(view->state->findings, "%s", gn_error_text());
    return GN_OK;
}

static gn_status add_value(value_list *list, replay_value value)
{
    enum { FIRST_CAPACITY = 64 };
    if (list->count == list->capacity) {
        size_t capacity = 2 * list->capacity + FIRST_CAPACITY;
        GN_TRY(gn_grow(&list->value, list->count, capacity, sizeof value));
        list->capacity = capacity;
    }
    list->value[list->count++] = value;
    return GN_OK;
}

static bool named(const void *name, size_t size, const char *wanted)
{
    return size == strlen(wanted) && memcmp(name, wanted, size) == 0;
}

// Keys of another size than their database has were refused by the walk.
static gn_status note_value(void *self, const char *name, size_t name_size, const void *key,
                            size_t key_size, const void *bytes, size_t size)
{
    replay_view *view = self;
    replay_view_state *state = view->state;
    replay_value value = { .bytes = bytes, .size = size };
    if (named(name, name_size, REPLAY_ABOUT)) {
        if (named(key, key_size, REPLAY_LAYOUT))
            state->layout = value;
        if (named(key, key_size, REPLAY_OWNER))
            state->owner = value;
        return GN_OK;
    }
    const struct {
        const char *name;
        value_list *list;
    } numbered[] = { { REPLAY_CHUNKS, &state->chunks },
                     { REPLAY_BODIES, &state->bodies },
                     { REPLAY_MODELS, &state->models },
                     { REPLAY_GENERATIONS, &state->generations } };
    for (size_t i = 0; i < sizeof numbered / sizeof *numbered; i++) {
        if (!named(name, name_size, numbered[i].name) || key_size != sizeof value.key)
            continue;
        memcpy(&value.key, key, sizeof value.key);
        return add_value(numbered[i].list, value);
    }
    gn_fail(GN_ERR_CORRUPT, "%s: a value in an unknown place", view->path);
    return state->findings ? note_damage(view) : GN_ERR_CORRUPT;
}

static gn_status walk(replay_view *view, uint64_t transaction)
{
    const replay_store_visitor visitor = { .self = view,
                                           .value = note_value,
                                           .damage = view->state->findings ? note_damage : NULL };
    return replay_store_walk(&view->state->file, transaction, &visitor);
}

// --- opening

// LMDB keeps the readers of a store in its lock.mdb; on a read-only medium it does without.
static gn_status fail_lmdb(const replay_view *view, const char *folder, int code)
{
    char lock[GN_PATH_SIZE];
    GN_TRY(gn_path_join(lock, folder, "lock.mdb"));
    if (code == EACCES && faccessat(AT_FDCWD, lock, R_OK | W_OK, AT_EACCESS) != 0)
        return gn_fail_errno(errno,
                             "%s: open for writing (who reads a store that a run may be writing "
                             "registers there)",
                             lock);
    if (code > 0)
        return gn_fail_errno(code, "%s: open for reading", view->path);
    return gn_fail(GN_ERR_BACKEND, "%s: open for reading: %s", view->path, mdb_strerror(code));
}

// Begins a read transaction; the run may have grown the file since it was opened.
static int begin_pin(replay_view_state *state)
{
    int code;
    while ((code = mdb_txn_begin(state->env, NULL, MDB_RDONLY, &state->pin)) == MDB_MAP_RESIZED) {
        code = mdb_env_set_mapsize(state->env, 0);
        if (code != 0)
            break;
    }
    return code;
}

// Maps the file as it is now: all that the held transaction sees lies in it.
static gn_status map_again(replay_view *view)
{
    replay_store_unmap(&view->state->file);
    return replay_store_map(&view->state->file, view->path);
}

// The head is sound, so LMDB can open the file: it reads no other page before it is asked to.
static gn_status walk_pinned(replay_view *view, const char *folder)
{
    enum { TRIES = 100 };
    replay_view_state *state = view->state;
    int code = mdb_env_create(&state->env);
    if (code == 0)
        code = mdb_env_set_mapsize(state->env, MAP_START + 2 * state->file.size);
    if (code == 0)
        code = mdb_env_open(state->env, folder, MDB_RDONLY | MDB_NOTLS, 0);
    gn_status status = GN_ERR_NOT_FOUND;
    for (int i = 0; i < TRIES && code == 0 && status == GN_ERR_NOT_FOUND; i++) {
        // Two commits between the transaction's begin and the walk overwrite its meta page.
        mdb_txn_abort(state->pin);
        state->pin = NULL;
        code = begin_pin(state);
        if (code != 0)
            break;
        GN_TRY(map_again(view));
        uint64_t transaction = mdb_txn_id(state->pin);
        status = transaction == 0 ? gn_fail(GN_ERR_EMPTY, "%s: nothing was written yet", view->path)
                                  : walk(view, transaction);
    }
    return code == 0 ? status : fail_lmdb(view, folder, code);
}

// LMDB would refuse this file, and so would a run: it can be kept from opening it.
static gn_status walk_locked(replay_view *view, const char *folder)
{
    char path[GN_PATH_SIZE];
    GN_TRY(gn_path_join(path, folder, "writer.lock"));
    GN_TRY(gn_file_lock(&view->state->lock, path));
    GN_TRY(map_again(view));
    return walk(view, 0);
}

static bool quantized_fits(const replay_stored_layout *stored)
{
    return stored->quantized == 0 ||
           ((stored->quantized == 8 || stored->quantized == 16) &&
            replay_quantized_floats(stored->record_size, (int)stored->quantized) > 0);
}

static gn_status read_about(replay_view *view)
{
    replay_view_state *state = view->state;
    const void *layout, *owner;
    size_t layout_size, owner_size;
    if (!state->layout.bytes || !state->owner.bytes)
        return gn_fail(GN_ERR_CORRUPT, "%s: layout or owner are lost", view->path);
    if (!replay_value_data(state->layout.bytes, state->layout.size, REPLAY_LAYOUT,
                           strlen(REPLAY_LAYOUT), &layout, &layout_size) ||
        !replay_value_data(state->owner.bytes, state->owner.size, REPLAY_OWNER,
                           strlen(REPLAY_OWNER), &owner, &owner_size) ||
        owner_size > REPLAY_OWNER_MAX)
        return gn_fail(GN_ERR_CORRUPT, "%s: layout or owner are damaged", view->path);
    replay_stored_layout stored = { 0 };
    GN_TRY(replay_layout_decode(&stored, view->path, layout, layout_size));
    if (stored.streams == 0 || stored.record_size == 0 || stored.chunk == 0 ||
        stored.chunk > stored.capacity || stored.capacity > UINT32_MAX ||
        stored.packed > 1 + REPLAY_CODEC_PATCH || !quantized_fits(&stored))
        return gn_fail(GN_ERR_CORRUPT, "%s: the layout is none", view->path);
    view->layout = (replay_layout){ .streams = stored.streams,
                                    .record_size = stored.record_size,
                                    .capacity = stored.capacity,
                                    .chunk = stored.chunk,
                                    .packed = stored.packed,
                                    .quantized = stored.quantized };
    memcpy(view->owner, owner, owner_size);
    return GN_OK;
}

static int compare_values(const void *a, const void *b)
{
    uint64_t left = ((const replay_value *)a)->key, right = ((const replay_value *)b)->key;
    return (left > right) - (left < right);
}

// The keys of a damaged page may be out of order.
static size_t sort_values(value_list *list, replay_value **ret_value)
{
    if (list->count > 1)
        qsort(list->value, list->count, sizeof *list->value, compare_values);
    *ret_value = list->value;
    return list->count;
}

static gn_status open_view(replay_view *view, const char *folder)
{
    replay_view_state *state = view->state;
    GN_TRY(gn_path_join(view->path, folder, "data.mdb"));
    GN_TRY(replay_store_map(&state->file, view->path));
    if (state->file.size == 0)
        return gn_fail(GN_ERR_EMPTY, "%s: nothing was written yet", view->path);
    gn_status head = replay_store_check_head(&state->file);
    if (head == GN_OK)
        GN_TRY(walk_pinned(view, folder));
    else if (head == GN_ERR_CORRUPT && state->findings)
        GN_TRY(walk_locked(view, folder));
    else
        return head;
    GN_TRY(read_about(view));
    view->chunks = sort_values(&state->chunks, &view->chunk);
    view->bodies = sort_values(&state->bodies, &view->body);
    view->models = sort_values(&state->models, &view->model);
    view->generations = sort_values(&state->generations, &view->generation);
    view->file_bytes = state->file.size;
    return GN_OK;
}

gn_status replay_view_open(replay_view **ret_view, const char *folder, replay_findings *findings)
{
    replay_view *view;
    GN_TRY(gn_alloc(&view, 1, sizeof *view + sizeof *view->state));
    view->state = (replay_view_state *)(view + 1);
    view->state->file.file = view->state->lock = -1;
    view->state->findings = findings;
    gn_status status = open_view(view, folder);
    if (status != GN_OK) {
        replay_view_close(&view);
        return status;
    }
    *ret_view = view;
    return GN_OK;
}

void replay_view_close(replay_view **view)
{
    if (!*view)
        return;
    replay_view_state *state = (*view)->state;
    replay_store_unmap(&state->file);
    if (state->pin)
        mdb_txn_abort(state->pin);
    if (state->env)
        mdb_env_close(state->env);
    gn_file_unlock(&state->lock);
    gn_free(&state->chunks.value);
    gn_free(&state->bodies.value);
    gn_free(&state->models.value);
    gn_free(&state->generations.value);
    gn_free(view);
}

// --- values

gn_status replay_value_read(const replay_value *value, const void **ret_data, size_t *ret_size)
{
    if (!value->damaged && replay_value_data(value->bytes, value->size, &value->key,
                                             sizeof value->key, ret_data, ret_size))
        return GN_OK;
    return gn_fail(GN_ERR_CORRUPT, "its checksum does not match");
}

void replay_value_forget(const replay_view *view, const replay_value *value)
{
    const replay_store_file *file = &view->state->file;
    replay_store_forget(file->map, file->size, (uint64_t)(value->bytes - file->map), value->size);
}

replay_value *replay_value_find(replay_value *values, size_t count, uint64_t key)
{
    const replay_value wanted = { .key = key };
    return count ? bsearch(&wanted, values, count, sizeof *values, compare_values) : NULL;
}
