#include "replay/writer.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "base/queue.h"
#include "base/thread.h"
#include "replay/model_choice.h"
#include "replay/state.h"

// Coded chunks that make a transaction. Half of those on the way at most: who waits for the oldest
// of them never waits for one that is not sealed yet.
enum { FLUSH_AT = REPLAY_JOBS / 2 };

struct replay_writer {
    replay_writer_config config;
    bool packed;
    uint32_t chunk; // slots
    size_t entries; // chunks a stream that can be live, and one on the way
    replay_store *store; // NULL: RAM only
    gn_queue *queue;

    // The thread's, and the owner's while it is idle.
    replay_state_parts parts;
    replay_coder *coder;
    replay_model_choice *choice; // when a model is trained
    replay_model **model; // [models] all there are, of id i + 1; NULL: not loaded
    size_t models;
    unsigned char *body; // [body_size] of the chunk being coded
    size_t body_size;
    uint8_t *starts; // [chunk]
    unsigned char *joined; // [chunk, record_size] lent in two pieces
    uint64_t *contents; // [streams, entries]
    uint64_t *first_chunk; // [streams] those before it are not kept in the store
    replay_job *unflushed[FLUSH_AT];
    size_t unflushed_count;
    gn_blob state;
    _Atomic uint64_t checksum; // of the last commit; any thread's
    bool committed; // it is in the store; its chunks may wait to be located
    _Atomic uint64_t stored; // ticket of the last chunk that is where it stays

    // The owner's.
    replay_job **free; // [jobs]
    size_t jobs, free_count;
    replay_job *all; // [jobs]
    replay_job *outstanding[REPLAY_JOBS]; // sealed, oldest first
    size_t outstanding_count;
    uint64_t put; // tickets handed out
    _Atomic uint64_t commit_ticket; // any thread's
    const replay_staged *staged;
    double stalled;
};

// --- the thread

// Keeps a model that came into use, ours from here on.
static gn_status keep_model(replay_writer *writer, uint64_t id, replay_model *model)
{
    gn_status status = GN_OK;
    if (id > writer->models)
        status = gn_grow(&writer->model, writer->models, id, sizeof(replay_model *));
    if (status != GN_OK) {
        replay_model_destroy(&model);
        return status;
    }
    writer->models = id > writer->models ? id : writer->models;
    writer->model[id - 1] = model;
    return GN_OK;
}

static gn_status store_model(replay_writer *writer, uint64_t id, const replay_model *model)
{
    void *bytes;
    size_t size;
    if (!writer->store)
        return GN_OK;
    GN_TRY(replay_model_pack(model, &bytes, &size));
    gn_status status = replay_store_put_model(writer->store, (uint32_t)id, bytes, size);
    gn_free(&bytes);
    return status;
}

static const replay_model *known_model(const replay_writer *writer, uint64_t id)
{
    return id > 0 && id <= writer->models ? writer->model[id - 1] : NULL;
}

static gn_status encode_body(replay_writer *writer, replay_job *job)
{
    const replay_columns *columns = &job->columns;
    for (uint32_t i = 0; i < writer->chunk; i++)
        writer->starts[i] = i == 0 || columns->flags[i - 1] & REPLAY_FINAL;
    size_t size;
    uint64_t id = replay_model_choice_save(writer->choice).id;
    replay_model *fresh;
    GN_TRY(replay_model_choice_encode(writer->choice, writer->coder, known_model(writer, id),
                                      columns->record, writer->starts, writer->chunk, writer->body,
                                      writer->body_size, columns->place, &size, &fresh));
    if (fresh) {
        id = replay_model_choice_save(writer->choice).id;
        GN_TRY(keep_model(writer, id, fresh));
        GN_TRY(store_model(writer, id, fresh));
    }
    job->model = known_model(writer, id);
    job->model_id = (uint32_t)id;
    job->body_size = (uint32_t)size;
    return GN_OK;
}

// Columns of a chunk with its records in one piece.
static replay_columns whole_columns(replay_writer *writer, const replay_job *job)
{
    replay_columns columns = job->columns;
    size_t size = columns.record_size, first = job->pieces[0] * size;
    if (!writer->config.lent)
        return columns;
    columns.record = (unsigned char *)(uintptr_t)job->record[0]; // only read
    if (job->pieces[1] > 0) {
        memcpy(writer->joined, job->record[0], first);
        memcpy(writer->joined + first, job->record[1], job->pieces[1] * size);
        columns.record = writer->joined;
    }
    return columns;
}

static gn_status try_to_code_chunk(replay_writer *writer, replay_job *job)
{
    const replay_columns columns = whole_columns(writer, job);
    job->contents = replay_chunk_contents(&columns, writer->chunk);
    job->model = NULL;
    job->model_id = job->body_size = 0;
    if (writer->packed)
        GN_TRY(encode_body(writer, job));
    if (!writer->store) {
        GN_TRY(gn_alloc(&job->body, job->body_size, 1));
        memcpy(job->body, writer->body, job->body_size);
    } else {
        const replay_chunk_about about = { .first_position = job->chunk * writer->chunk,
                                           .contents = job->contents,
                                           .model = job->model_id,
                                           .body_size = job->body_size };
        size_t size;
        GN_TRY(replay_chunk_encode(writer->parts.compressor, &columns, writer->chunk, &about,
                                   writer->parts.scratch, writer->parts.coded,
                                   writer->parts.coded_size, &size));
        GN_TRY(replay_store_put_chunk(writer->store, job->chunk, job->stream, writer->parts.coded,
                                      size, writer->packed ? writer->body : NULL, job->body_size));
    }
    replay_writer_set_contents(writer, job->stream, job->chunk, job->contents);
    job->coded = true;
    return GN_OK;
}

// What failed is as if it had not been tried: a second try decides the same.
static gn_status code_chunk(replay_writer *writer, replay_job *job)
{
    if (!writer->packed)
        return try_to_code_chunk(writer, job);
    const replay_model_choice_state before = replay_model_choice_save(writer->choice);
    gn_status status = try_to_code_chunk(writer, job);
    if (status != GN_OK) {
        replay_model_choice_load(writer->choice, &before);
        while (writer->models > before.id)
            replay_model_destroy(&writer->model[--writer->models]);
    }
    return status;
}

// Finds where the chunks of the last transaction lie: from now on they are read from there. Those
// that were overwritten before their commit are nowhere, and nobody reads them.
static gn_status locate(replay_writer *writer)
{
    for (size_t i = 0; i < writer->unflushed_count; i++) {
        replay_job *job = writer->unflushed[i];
        if (job->chunk >= writer->first_chunk[job->stream])
            GN_TRY(replay_store_find_body(writer->store, job->chunk, job->stream, &job->offset));
    }
    if (writer->unflushed_count > 0)
        writer->stored = writer->unflushed[writer->unflushed_count - 1]->ticket;
    writer->unflushed_count = 0;
    return GN_OK;
}

static gn_status flush(replay_writer *writer)
{
    GN_TRY(replay_store_flush(writer->store));
    return locate(writer);
}

// What can fail comes first, so that a chunk is coded once however often its writing is tried.
static gn_status work_off_chunk(replay_writer *writer, replay_job *job)
{
    if (!job->coded) {
        if (writer->store && !replay_store_has_room(writer->store))
            GN_TRY(flush(writer));
        GN_TRY(code_chunk(writer, job));
        if (writer->store && writer->packed)
            writer->unflushed[writer->unflushed_count++] = job;
    }
    if (!writer->store || !writer->packed)
        writer->stored = job->ticket;
    else if (writer->unflushed_count == FLUSH_AT)
        GN_TRY(flush(writer));
    return GN_OK;
}

static gn_status write_generation(replay_writer *writer)
{
    const replay_staged *staged = writer->staged;
    gn_blob_clear(&writer->state);
    GN_TRY(replay_state_encode(staged, &writer->parts, writer, &writer->state));
    GN_TRY(replay_state_first_chunks(staged, &writer->config.layout, writer->store,
                                     writer->first_chunk));
    GN_TRY(replay_store_commit(writer->store, staged->generation, writer->state.data,
                               writer->state.size, staged->oldest, writer->first_chunk));
    writer->checksum = gn_checksum(writer->state.data, writer->state.size);
    writer->committed = true;
    return GN_OK;
}

static gn_status work_off_commit(replay_writer *writer)
{
    if (!writer->committed)
        GN_TRY(write_generation(writer));
    GN_TRY(locate(writer));
    writer->committed = false;
    return GN_OK;
}

static gn_status work_off(void *user, void *item)
{
    replay_writer *writer = user;
    return item == user ? work_off_commit(writer) : work_off_chunk(writer, item);
}

// --- creating

static gn_status allocate(replay_writer *writer)
{
    const replay_layout *layout = &writer->config.layout;
    size_t n = layout->chunk, record_size = layout->record_size;
    writer->parts.layout = layout;
    GN_TRY(replay_state_open_parts(&writer->parts, writer->config.level));
    GN_TRY(
        gn_alloc(&writer->contents, layout->streams * writer->entries, sizeof *writer->contents));
    GN_TRY(gn_alloc(&writer->first_chunk, layout->streams, sizeof *writer->first_chunk));
    writer->parts.contents = writer->contents;
    if (writer->packed) {
        replay_codec_kind kind = (replay_codec_kind)(layout->packed - 1);
        GN_TRY(replay_coder_create(&writer->coder, kind, writer->config.level, record_size));
        writer->body_size = replay_coder_bound(writer->coder, n);
        GN_TRY(gn_alloc(&writer->body, writer->body_size, 1));
        GN_TRY(gn_alloc(&writer->starts, n, sizeof *writer->starts));
        GN_TRY(replay_model_choice_create(&writer->choice, kind, writer->config.level,
                                          writer->config.high_level, record_size, n));
    }
    if (writer->config.lent)
        GN_TRY(gn_alloc(&writer->joined, n, record_size));
    writer->jobs = REPLAY_JOBS + (writer->packed ? 2 * (size_t)layout->streams : 1);
    GN_TRY(gn_alloc(&writer->all, writer->jobs, sizeof *writer->all));
    GN_TRY(gn_alloc(&writer->free, writer->jobs, sizeof *writer->free));
    for (size_t i = 0; i < writer->jobs; i++)
        GN_TRY(replay_columns_create(&writer->all[i].columns, n, record_size, !writer->config.lent,
                                     writer->packed));
    return gn_queue_create(&writer->queue, REPLAY_JOBS + 1, work_off, writer);
}

gn_status replay_writer_create(replay_writer **ret_writer, const replay_writer_config *config,
                               replay_store *store)
{
    replay_writer *writer;
    GN_TRY(gn_alloc(&writer, 1, sizeof *writer));
    writer->config = *config;
    writer->store = store;
    writer->packed = config->layout.packed > 0;
    writer->chunk = config->layout.chunk;
    writer->entries = replay_layout_entries(&config->layout);
    gn_status status = allocate(writer);
    if (status != GN_OK) {
        replay_writer_destroy(&writer);
        return status;
    }
    replay_writer_reset(writer);
    *ret_writer = writer;
    return GN_OK;
}

static void forget_models(replay_writer *writer)
{
    for (size_t i = 0; i < writer->models; i++)
        replay_model_destroy(&writer->model[i]);
    writer->models = 0;
    replay_model_choice_load(writer->choice, &(replay_model_choice_state){ 0 });
}

void replay_writer_destroy(replay_writer **writer)
{
    replay_writer *self = *writer;
    if (!self)
        return;
    gn_queue_destroy(&self->queue);
    for (size_t i = 0; self->all && i < self->jobs; i++) {
        replay_columns_free(&self->all[i].columns);
        gn_free(&self->all[i].body);
    }
    gn_free(&self->all);
    gn_free(&self->free);
    if (self->choice)
        forget_models(self);
    gn_free(&self->model);
    replay_model_choice_destroy(&self->choice);
    replay_coder_destroy(&self->coder);
    replay_state_close_parts(&self->parts);
    gn_free(&self->body);
    gn_free(&self->starts);
    gn_free(&self->joined);
    gn_free(&self->contents);
    gn_free(&self->first_chunk);
    gn_blob_free(&self->state);
    gn_free(writer);
}

// --- the owner

bool replay_writer_is_full(const replay_writer *writer)
{
    return writer->outstanding_count == REPLAY_JOBS;
}

gn_status replay_writer_wait_oldest(replay_writer *writer)
{
    assert(writer->outstanding_count > 0);
    uint64_t enough = writer->outstanding[0]->ticket + FLUSH_AT - 1;
    double since = gn_seconds();
    gn_status status = gn_queue_wait(writer->queue, enough < writer->put ? enough : writer->put);
    writer->stalled += gn_seconds() - since;
    return status;
}

replay_job *replay_writer_take(replay_writer *writer)
{
    assert(writer->free_count > 0);
    return writer->free[--writer->free_count];
}

bool replay_writer_holds(const replay_writer *writer, uint32_t stream, uint64_t chunk)
{
    for (size_t i = 0; i < writer->outstanding_count; i++)
        if (writer->outstanding[i]->stream == stream && writer->outstanding[i]->chunk == chunk)
            return true;
    return false;
}

gn_status replay_writer_seal(replay_writer *writer, replay_job *job)
{
    job->coded = false;
    job->ticket = writer->put + 1;
    uint64_t ticket;
    gn_status status = gn_queue_put(writer->queue, job, &ticket);
    if (status != GN_OK) {
        job->ticket = 0;
        return status;
    }
    assert(ticket == job->ticket && writer->outstanding_count < REPLAY_JOBS);
    writer->put = ticket;
    writer->outstanding[writer->outstanding_count++] = job;
    return GN_OK;
}

replay_job *replay_writer_harvest(replay_writer *writer)
{
    if (writer->outstanding_count == 0 || writer->outstanding[0]->ticket > writer->stored)
        return NULL;
    replay_job *job = writer->outstanding[0];
    writer->outstanding_count--;
    memmove(writer->outstanding, writer->outstanding + 1,
            writer->outstanding_count * sizeof(replay_job *));
    return job;
}

void replay_writer_give(replay_writer *writer, replay_job *job)
{
    job->ticket = 0;
    gn_free(&job->body);
    writer->free[writer->free_count++] = job;
}

gn_status replay_writer_commit(replay_writer *writer, const replay_staged *staged)
{
    uint64_t ticket;
    writer->staged = staged;
    GN_TRY(gn_queue_put(writer->queue, writer, &ticket));
    writer->put = ticket;
    writer->commit_ticket = ticket;
    return GN_OK;
}

gn_status replay_writer_await(replay_writer *writer, uint64_t *ret_checksum)
{
    GN_TRY(gn_queue_wait(writer->queue, writer->commit_ticket));
    *ret_checksum = writer->checksum;
    return GN_OK;
}

bool replay_writer_committed(const replay_writer *writer)
{
    return gn_queue_finished(writer->queue) >= writer->commit_ticket;
}

gn_status replay_writer_drain(replay_writer *writer)
{
    return gn_queue_wait(writer->queue, writer->put);
}

void replay_writer_reset(replay_writer *writer)
{
    gn_queue_drop(writer->queue);
    writer->committed = false;
    memset(writer->first_chunk, 0, writer->config.layout.streams * sizeof *writer->first_chunk);
    writer->unflushed_count = writer->outstanding_count = 0;
    writer->put = gn_queue_finished(writer->queue);
    writer->stored = writer->put;
    writer->commit_ticket = writer->put;
    writer->free_count = 0;
    for (size_t i = writer->jobs; i-- > 0;)
        replay_writer_give(writer, &writer->all[i]);
    if (writer->choice)
        forget_models(writer);
}

void replay_writer_set_contents(replay_writer *writer, uint32_t stream, uint64_t chunk,
                                uint64_t contents)
{
    writer->contents[stream * writer->entries + chunk % writer->entries] = contents;
}

gn_status replay_writer_model(replay_writer *writer, uint32_t id, const replay_model **ret_model)
{
    enum { MOST = 1 << 20 }; // more chunks would be more than a terabyte
    *ret_model = known_model(writer, id);
    if (id == 0 || *ret_model)
        return GN_OK;
    if (id > MOST)
        return gn_fail(GN_ERR_CORRUPT, "model %u: there are never so many", id);
    void *bytes;
    size_t size;
    GN_TRY(replay_store_get_model(writer->store, id, &bytes, &size));
    gn_status status = replay_writer_adopt(writer, id, bytes, size);
    gn_free(&bytes);
    GN_TRY(status);
    *ret_model = known_model(writer, id);
    return GN_OK;
}

gn_status replay_writer_adopt(replay_writer *writer, uint32_t id, const void *bytes, size_t size)
{
    replay_model *model;
    uint64_t level =
        replay_model_choice_save(writer->choice).level; // of those that code no more, any does
    GN_TRY(replay_model_unpack(&model, bytes, size, level ? (int)level : writer->config.level));
    return keep_model(writer, id, model);
}

void replay_writer_save(const replay_writer *writer, gn_blob *out)
{
    if (!writer->packed)
        return;
    replay_model_choice_state state = replay_model_choice_save(writer->choice);
    gn_blob_write(out, "coder", &state, sizeof state);
}

gn_status replay_writer_load(replay_writer *writer, gn_blob *in, uint32_t *ret_end_model)
{
    *ret_end_model = 0;
    if (!writer->packed)
        return GN_OK;
    replay_model_choice_state state;
    gn_blob_read(in, "coder", &state, sizeof state);
    GN_TRY(gn_blob_status(in));
    if (state.id >= UINT32_MAX)
        return gn_fail(GN_ERR_CORRUPT, "replay state: model %llu", (unsigned long long)state.id);
    replay_model_choice_load(writer->choice, &state);
    *ret_end_model = (uint32_t)state.id + 1;
    return GN_OK;
}

uint64_t replay_writer_models(const replay_writer *writer)
{
    return writer->models;
}

void replay_writer_contents(const replay_writer *writer, replay_state_parts *parts)
{
    parts->contents = writer->contents;
}

double replay_writer_stalled(const replay_writer *writer)
{
    return writer->stalled + gn_queue_stalled(writer->queue);
}

uint64_t replay_writer_ram(const replay_writer *writer)
{
    size_t record_size = writer->config.layout.record_size;
    size_t slot = replay_chunk_scratch(1, writer->packed) + (writer->config.lent ? 0 : record_size);
    size_t joined = writer->config.lent ? writer->chunk * record_size : 0;
    return writer->jobs * writer->chunk * slot + joined + writer->parts.coded_size +
           2 * writer->body_size +
           writer->config.layout.streams * writer->entries * sizeof *writer->contents;
}
