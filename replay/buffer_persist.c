// Saved state of the buffer, its generations on disk, and its checksum. What the state holds:
// replay/state.h.

#include "replay/buffer_internal.h"

#include <string.h>

#include "base/mem.h"
#include "replay/buffer_draw_internal.h"
#include "replay/state.h"

enum { REPLAY_SAVE_LEVEL = 3 }; // zstd, of a checkpoint of a buffer in RAM

// --- staging

// Everything a commit writes that may change meanwhile.
static void stage_heads(replay_buffer *buffer)
{
    replay_staged *staged = &buffer->staged;
    staged->max_priority = (double)buffer->max_priority;
    staged->alpha = buffer->alpha;
    staged->unranked = buffer->unranked;
    memcpy(staged->stream, buffer->stream, buffer->streams * sizeof *staged->stream);
}

static void stage_tails(replay_buffer *buffer)
{
    for (uint32_t i = 0; i < buffer->streams; i++) {
        replay_columns *tail = &buffer->staged.tail[i];
        uint64_t first = buffer->stream[i].sealed * buffer->chunk;
        size_t n = buffer->stream[i].head - first;
        if (n == 0)
            continue;
        replay_copy_steps(buffer, i, first, n, tail);
        if (buffer->layout.packed) // its chunk is not given back before the commit is done
            tail->record =
                replay_records_raw(buffer->records, i, first / buffer->chunk)->columns.record;
        else
            replay_records_copy(buffer->records, i, first, n, tail->record);
    }
}

// Slots are staged in the order of their positions: a ring is two runs.
static void stage_priorities(replay_buffer *buffer)
{
    replay_staged *staged = &buffer->staged;
    const double *weight = buffer->tree ? weight_tree_weights(buffer->tree) : NULL;
    size_t n = 0;
    for (uint32_t i = 0; i < buffer->streams && staged->priority; i++) {
        uint64_t head = buffer->stream[i].head, at = replay_oldest(&buffer->layout, head);
        while (at < head) {
            uint64_t slot = replay_slot(buffer, i, at), left = buffer->ring - at % buffer->ring;
            uint64_t run = head - at < left ? head - at : left;
            for (uint64_t k = 0; k < run; k++)
                staged->priority[n + k] = buffer->step[slot + k].priority;
            if (staged->weight)
                memcpy(staged->weight + n, weight + slot, run * sizeof *weight);
            n += run;
            at += run;
        }
    }
}

static gn_status need_store(const replay_buffer *buffer)
{
    return buffer->store ? GN_OK : gn_fail(GN_ERR_STATE, "replay: the buffer is in RAM only");
}

gn_status replay_buffer_commit(replay_buffer *buffer, uint64_t generation, uint64_t oldest)
{
    GN_TRY(need_store(buffer));
    if (buffer->rollback_due)
        return gn_fail(GN_ERR_STATE,
                       "replay: the store holds generations: roll back to one before committing");
    if (generation <= buffer->generation)
        return gn_fail(GN_ERR_ARG, "replay: generation %llu: must be above %llu",
                       (unsigned long long)generation, (unsigned long long)buffer->generation);
    if (oldest > generation)
        return gn_fail(GN_ERR_ARG,
                       "replay: oldest generation %llu: must be at most the new one, %llu",
                       (unsigned long long)oldest, (unsigned long long)generation);
    for (uint32_t stream = 0; stream < buffer->streams; stream++)
        GN_TRY(replay_seal_chunks(buffer, stream));
    uint64_t checksum; // the one before may still read what is staged
    GN_TRY(replay_writer_await(buffer->writer, &checksum));
    replay_wait_reader(buffer); // what is evicted may be removed from disk
    buffer->staged.generation = generation;
    buffer->staged.oldest = oldest;
    stage_heads(buffer);
    stage_tails(buffer);
    stage_priorities(buffer);
    GN_TRY(replay_writer_commit(buffer->writer, &buffer->staged));
    buffer->generation = generation;
    return GN_OK;
}

gn_status replay_buffer_await(replay_buffer *buffer, uint64_t *ret_checksum)
{
    GN_TRY(need_store(buffer));
    return replay_writer_await(buffer->writer, ret_checksum);
}

// --- RAM only

// Sealed chunks with their bodies, and the models these are coded with.
static gn_status save_bodies(replay_buffer *buffer, const replay_state_parts *parts, gn_blob *out)
{
    uint64_t models = replay_writer_models(buffer->writer);
    gn_blob_write(out, "models", &models, sizeof models);
    for (uint32_t id = 1; id <= models; id++) {
        const replay_model *model;
        size_t size;
        void *bytes;
        GN_TRY(replay_writer_model(buffer->writer, id, &model));
        GN_TRY(replay_model_pack(model, &bytes, &size));
        gn_blob_write(out, "model", bytes, size);
        gn_free(&bytes);
    }
    replay_columns columns = { .record_size = buffer->layout.record_size };
    gn_status status =
        replay_columns_create(&columns, buffer->chunk, columns.record_size, false, true);
    for (uint32_t stream = 0; stream < buffer->streams; stream++) {
        const replay_stream *at = &buffer->stream[stream];
        uint64_t chunk = replay_oldest(&buffer->layout, at->head) / buffer->chunk;
        for (; chunk < at->sealed && status == GN_OK; chunk++) {
            const unsigned char *body;
            size_t size = 0;
            replay_chunk_about about = { 0 };
            const replay_place *place =
                replay_records_chunk(buffer->records, stream, chunk, &about, &body);
            memcpy(columns.place, place, buffer->chunk * sizeof *place);
            replay_copy_steps(buffer, stream, chunk * buffer->chunk, buffer->chunk, &columns);
            status = replay_chunk_encode(parts->compressor, &columns, buffer->chunk, &about,
                                         parts->scratch, parts->coded, parts->coded_size, &size);
            gn_blob_write(out, "chunk", parts->coded, size);
            gn_blob_write(out, "body", body, about.body_size);
        }
    }
    replay_columns_free(&columns);
    return status;
}

// What is not sealed, in runs of at most a chunk.
static gn_status save_slots(const replay_buffer *buffer, const replay_state_parts *parts,
                            replay_columns *run, gn_blob *out)
{
    for (uint32_t stream = 0; stream < buffer->streams; stream++) {
        uint64_t head = buffer->stream[stream].head;
        uint64_t at = buffer->writer ? buffer->stream[stream].sealed * buffer->chunk
                                     : replay_oldest(&buffer->layout, head);
        while (at < head) {
            size_t n = head - at < buffer->chunk ? head - at : buffer->chunk;
            replay_copy_steps(buffer, stream, at, n, run);
            for (size_t i = 0; i < n; i++)
                memcpy(run->record + i * run->record_size,
                       replay_records_at(buffer->records, stream, at + i), run->record_size);
            GN_TRY(replay_state_write_slots(parts, run, at, n, out));
            at += n;
        }
    }
    return GN_OK;
}

static gn_status save_parts(replay_buffer *buffer, const replay_state_parts *parts,
                            replay_columns *run, gn_blob *out)
{
    stage_heads(buffer);
    stage_priorities(buffer);
    replay_state_write_heads(&buffer->staged, parts, buffer->writer, out);
    if (buffer->writer)
        GN_TRY(save_bodies(buffer, parts, out));
    GN_TRY(save_slots(buffer, parts, run, out));
    GN_TRY(replay_state_write_priorities(&buffer->staged, parts, out));
    return gn_blob_status(out);
}

static gn_status save(replay_buffer *buffer, gn_blob *out)
{
    size_t n = buffer->chunk, record_size = buffer->layout.record_size;
    replay_state_parts parts = { .layout = &buffer->layout };
    replay_columns run = { 0 };
    if (buffer->store)
        return gn_fail(GN_ERR_STATE, "replay: a buffer on disk is committed, not saved");
    for (uint32_t stream = 0; stream < buffer->streams;
         stream++) // at most a chunk is left to slots
        GN_TRY(replay_seal_chunks(buffer, stream));
    if (buffer->writer) {
        GN_TRY(replay_writer_drain(buffer->writer));
        replay_harvest(buffer);
    }
    gn_status status = replay_columns_create(&run, n, record_size, true, false);
    if (status == GN_OK)
        status = replay_state_open_parts(&parts, REPLAY_SAVE_LEVEL);
    if (status == GN_OK && buffer->writer)
        replay_writer_contents(buffer->writer, &parts);
    if (status == GN_OK)
        status = save_parts(buffer, &parts, &run, out);
    replay_state_close_parts(&parts);
    replay_columns_free(&run);
    return status;
}

void replay_buffer_save(replay_buffer *buffer, gn_blob *out)
{
    gn_status status = save(buffer, out);
    if (out->status == GN_OK)
        out->status = status;
}

gn_status replay_buffer_load(replay_buffer *buffer, gn_blob *in)
{
    uint32_t end_model;
    if (buffer->store)
        return gn_fail(GN_ERR_STATE, "replay: a buffer on disk is rolled back, not loaded");
    replay_clear(buffer);
    gn_status status = replay_load_state(buffer, in, &end_model);
    if (status != GN_OK)
        replay_clear(buffer);
    return status;
}

// --- generations

gn_status replay_buffer_rollback(replay_buffer *buffer, uint64_t generation, uint64_t checksum)
{
    GN_TRY(need_store(buffer));
    void *bytes;
    uint32_t end_model = 0;
    gn_blob state = { 0 };
    if (replay_writer_drain(buffer->writer) != GN_OK) { // what it holds cannot be kept
        replay_clear(buffer);
        buffer->rollback_due = true;
    }
    gn_status status = replay_store_get_generation(buffer->store, generation, &bytes, &state.size);
    if (status != GN_OK)
        return status;
    state.data = bytes;
    replay_clear(buffer);
    uint64_t found = gn_checksum(state.data, state.size);
    if (found != checksum)
        status =
            gn_fail(GN_ERR_CORRUPT, "replay: generation %llu has checksum %016llx, not %016llx",
                    (unsigned long long)generation, (unsigned long long)found,
                    (unsigned long long)checksum);
    if (status == GN_OK)
        status = replay_load_state(buffer, &state, &end_model);
    gn_free(&bytes);
    for (uint32_t stream = 0; stream < buffer->streams; stream++)
        buffer->bounds[stream] = buffer->stream[stream].sealed;
    if (status == GN_OK)
        status = replay_store_rollback(buffer->store, generation, buffer->bounds, end_model);
    if (status != GN_OK)
        replay_clear(buffer);
    buffer->rollback_due = status != GN_OK;
    buffer->generation = status == GN_OK ? generation : 0;
    return status;
}

gn_status replay_buffer_clear(replay_buffer *buffer)
{
    memset(buffer->bounds, 0, buffer->streams * sizeof *buffer->bounds);
    if (buffer->store) {
        GN_TRY(replay_writer_drain(buffer->writer));
        GN_TRY(replay_store_rollback(buffer->store, 0, buffer->bounds, 0));
    }
    replay_clear(buffer);
    buffer->rollback_due = false;
    buffer->generation = 0;
    return GN_OK;
}

// --- checksum

static void fold(uint64_t *sum, const void *data, size_t size)
{
    uint64_t pair[] = { *sum, gn_checksum(data, size) };
    *sum = gn_checksum(pair, sizeof pair);
}

static gn_status fold_slot(replay_buffer *buffer, uint32_t stream, uint64_t position,
                           unsigned char *record, uint64_t *sum)
{
    uint64_t slot = replay_slot(buffer, stream, position);
    const unsigned char *stored = replay_records_at(buffer->records, stream, position);
    if (stored) {
        replay_record_restore(buffer->fetcher, stored, record);
    } else {
        replay_read read = replay_records_read(buffer->records, stream, position, 1);
        read.to = record;
        GN_TRY(replay_fetch(buffer->fetcher, &read, 1));
    }
    fold(sum, &buffer->step[slot], sizeof(replay_step));
    fold(sum, record, buffer->spec.record_size);
    if (buffer->tree)
        fold(sum, weight_tree_weights(buffer->tree) + slot, sizeof(double));
    return GN_OK;
}

gn_status replay_buffer_checksum(replay_buffer *buffer, uint64_t *ret_checksum)
{
    uint64_t sum = 0;
    unsigned char *record;
    GN_TRY(gn_alloc(&record, buffer->spec.record_size, 1));
    replay_wait_reader(buffer);
    fold(&sum, &buffer->max_priority, sizeof buffer->max_priority);
    fold(&sum, &buffer->alpha, sizeof buffer->alpha);
    gn_status status = GN_OK;
    for (uint32_t stream = 0; stream < buffer->streams; stream++) {
        uint64_t head = buffer->stream[stream].head, at = replay_oldest(&buffer->layout, head);
        fold(&sum, &head, sizeof head);
        for (; at < head && status == GN_OK; at++)
            status = fold_slot(buffer, stream, at, record, &sum);
    }
    gn_free(&record);
    if (status == GN_OK)
        *ret_checksum = sum;
    return status;
}
