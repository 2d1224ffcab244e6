// Filling a buffer from its saved state (replay/state.h) and, on disk, from its sealed chunks. What
// is read may be damaged: nothing is believed that a checksum or a bound does not confirm.

#include "replay/buffer_internal.h"

#include <float.h>
#include <string.h>

#include "base/mem.h"
#include "replay/state.h"

// Scratch of loading: a chunk's columns, coded bytes, numbers of a run.
typedef struct loader {
    replay_buffer *buffer;
    gn_compressor *compressor;
    replay_columns columns; // [chunk]
    unsigned char *plain, *coded;
    size_t coded_size;
    gn_blob *in;
    uint32_t end_model;
} loader;

static gn_status open_loader(loader *self, replay_buffer *buffer, gn_blob *in)
{
    size_t n = buffer->chunk, record_size = buffer->layout.record_size;
    size_t plain = replay_chunk_scratch(n, true);
    self->buffer = buffer;
    self->in = in;
    self->coded_size = replay_chunk_bound(n, record_size, false) + gn_compress_bound(plain);
    GN_TRY(replay_columns_create(&self->columns, n, record_size, true, false));
    GN_TRY(gn_alloc(&self->plain, plain, 1));
    GN_TRY(gn_alloc(&self->coded, self->coded_size, 1));
    return gn_compressor_create(&self->compressor, 1);
}

static void close_loader(loader *self)
{
    replay_columns_free(&self->columns);
    gn_free(&self->plain);
    gn_free(&self->coded);
    gn_compressor_destroy(&self->compressor);
}

static gn_status fail_state(uint32_t stream, const char *what)
{
    return gn_fail(GN_ERR_CORRUPT, "replay state: stream %u: %s", stream, what);
}

// Puts decoded slots that are in the ring there.
static void take_steps(loader *self, uint32_t stream, uint64_t first, size_t n)
{
    replay_buffer *buffer = self->buffer;
    uint64_t oldest = replay_oldest(&buffer->layout, buffer->stream[stream].head);
    for (size_t i = first < oldest ? oldest - first : 0; i < n; i++)
        buffer->step[replay_slot(buffer, stream, first + i)] =
            (replay_step){ .action = self->columns.action[i],
                           .reward = self->columns.reward[i],
                           .flags = self->columns.flags[i] };
}

static void take_records(loader *self, uint32_t stream, uint64_t first, size_t n)
{
    replay_buffer *buffer = self->buffer;
    size_t size = buffer->layout.record_size;
    uint64_t oldest = replay_oldest(&buffer->layout, buffer->stream[stream].head);
    for (size_t i = first < oldest ? oldest - first : 0; i < n; i++)
        memcpy(replay_records_place(buffer->records, stream, first + i),
               self->columns.record + i * size, size);
}

// A sealed chunk whose records are packed: its places go to the records' table.
static gn_status load_packed(loader *self, uint32_t stream, uint64_t chunk, const void *bytes,
                             size_t size, unsigned char *body, replay_chunk_about *ret_about)
{
    replay_buffer *buffer = self->buffer;
    uint64_t first = chunk * buffer->chunk, offset = 0;
    unsigned char *own = body; // until the records have it
    replay_columns packed = self->columns;
    gn_status status = gn_alloc(&packed.place, buffer->chunk, sizeof *packed.place);
    const replay_model *model = NULL;
    packed.record = NULL;
    if (status == GN_OK)
        status = replay_chunk_decode(self->compressor, bytes, size, buffer->chunk, first,
                                     self->plain, &packed, ret_about);
    if (status == GN_OK && body == NULL)
        status = replay_store_find_body(buffer->store, chunk, stream, &offset);
    if (status == GN_OK)
        status = replay_writer_model(buffer->writer, ret_about->model, &model);
    if (status == GN_OK) {
        replay_place *place =
            replay_records_adopt(buffer->records, stream, chunk, ret_about, model, offset, own);
        memcpy(place, packed.place, buffer->chunk * sizeof *place);
        own = NULL;
    }
    gn_free(&packed.place);
    gn_free(&own);
    return status;
}

static gn_status load_chunk(loader *self, uint32_t stream, uint64_t chunk, uint64_t contents)
{
    replay_buffer *buffer = self->buffer;
    uint64_t first = chunk * buffer->chunk;
    size_t size = 0;
    replay_chunk_about about;
    GN_TRY(
        replay_store_get_chunk(buffer->store, chunk, stream, self->coded, self->coded_size, &size));
    if (buffer->layout.packed) {
        GN_TRY(load_packed(self, stream, chunk, self->coded, size, NULL, &about));
    } else {
        GN_TRY(replay_chunk_decode(self->compressor, self->coded, size, buffer->chunk, first,
                                   self->plain, &self->columns, &about));
        about.contents = replay_chunk_contents(&self->columns, buffer->chunk);
        take_records(self, stream, first, buffer->chunk);
    }
    if (about.contents != contents)
        return fail_state(stream, "a chunk holds other slots than the state says");
    take_steps(self, stream, first, buffer->chunk);
    replay_writer_set_contents(buffer->writer, stream, chunk, contents);
    return GN_OK;
}

// The live sealed chunks of a stream, whose checksums come next.
static gn_status load_chunks(loader *self, uint32_t stream)
{
    replay_buffer *buffer = self->buffer;
    const replay_stream *at = &buffer->stream[stream];
    uint64_t chunk = replay_oldest(&buffer->layout, at->head) / buffer->chunk;
    uint64_t live = at->sealed > chunk ? at->sealed - chunk : 0;
    size_t size = 0;
    const unsigned char *contents = gn_blob_next(self->in, "contents", &size);
    GN_TRY(gn_blob_status(self->in));
    if (size != live * sizeof(uint64_t))
        return fail_state(stream, "checksums of other chunks than there are");
    for (uint64_t i = 0; i < live; i++) {
        uint64_t sum;
        memcpy(&sum, contents + i * sizeof sum, sizeof sum);
        if (buffer->store)
            GN_TRY(load_chunk(self, stream, chunk + i, sum));
        else
            replay_writer_set_contents(buffer->writer, stream, chunk + i, sum);
    }
    return GN_OK;
}

// RAM only: chunks and their bodies are part of the state.
static gn_status load_body(loader *self, uint32_t stream, uint64_t chunk)
{
    replay_buffer *buffer = self->buffer;
    size_t size = 0, body_size = 0;
    replay_chunk_about about;
    const void *bytes = gn_blob_next(self->in, "chunk", &size);
    const void *body = gn_blob_next(self->in, "body", &body_size);
    GN_TRY(gn_blob_status(self->in));
    unsigned char *own;
    GN_TRY(gn_alloc(&own, body_size, 1));
    memcpy(own, body, body_size);
    GN_TRY(load_packed(self, stream, chunk, bytes, size, own, &about));
    if (about.body_size != body_size)
        return fail_state(stream, "a chunk whose body has another size");
    take_steps(self, stream, chunk * buffer->chunk, buffer->chunk);
    return GN_OK;
}

static gn_status load_bodies(loader *self)
{
    replay_buffer *buffer = self->buffer;
    uint64_t models = 0;
    gn_blob_read(self->in, "models", &models, sizeof models);
    for (uint64_t id = 1; id <= models; id++) {
        size_t size = 0;
        const void *bytes = gn_blob_next(self->in, "model", &size);
        GN_TRY(gn_blob_status(self->in));
        GN_TRY(replay_writer_adopt(buffer->writer, (uint32_t)id, bytes, size));
    }
    GN_TRY(gn_blob_status(self->in));
    for (uint32_t stream = 0; stream < buffer->streams; stream++) {
        const replay_stream *at = &buffer->stream[stream];
        uint64_t chunk = replay_oldest(&buffer->layout, at->head) / buffer->chunk;
        for (; chunk < at->sealed; chunk++)
            GN_TRY(load_body(self, stream, chunk));
    }
    return GN_OK;
}

// Opens the chunk of records that are not sealed.
static void open_chunk(replay_buffer *buffer, uint32_t stream, uint64_t position)
{
    if (buffer->layout.packed && !replay_records_ready(buffer->records, stream, position))
        replay_records_open(buffer->records, stream, position, replay_writer_take(buffer->writer));
}

static gn_status load_slots(loader *self, uint32_t stream)
{
    replay_buffer *buffer = self->buffer;
    uint64_t head = buffer->stream[stream].head;
    uint64_t position = buffer->writer ? buffer->stream[stream].sealed * buffer->chunk
                                       : replay_oldest(&buffer->layout, head);
    while (position < head) {
        size_t n = head - position < buffer->chunk ? head - position : buffer->chunk, size = 0;
        replay_chunk_about about;
        const void *bytes = gn_blob_next(self->in, "slots", &size);
        GN_TRY(gn_blob_status(self->in));
        GN_TRY(replay_chunk_decode(self->compressor, bytes, size, n, position, self->plain,
                                   &self->columns, &about));
        open_chunk(buffer, stream, position);
        take_records(self, stream, position, n);
        take_steps(self, stream, position, n);
        position += n;
    }
    if (head > 0 && replay_has_step(buffer->step[replay_slot(buffer, stream, head - 1)].flags))
        return fail_state(stream, "the last slot has a step");
    return GN_OK;
}

// Numbers of `size` bytes of a stream's live slots; take gets each.
typedef gn_status (*take_number)(loader *self, uint32_t stream, uint64_t slot, const void *number);

static gn_status load_runs(loader *self, uint32_t stream, const char *name, size_t size,
                           take_number take)
{
    replay_buffer *buffer = self->buffer;
    uint64_t head = buffer->stream[stream].head, at = replay_oldest(&buffer->layout, head);
    while (at < head) {
        size_t n = head - at < buffer->chunk ? head - at : buffer->chunk, coded = 0;
        const void *bytes = gn_blob_next(self->in, name, &coded);
        GN_TRY(gn_blob_status(self->in));
        GN_TRY(gn_decompress(self->compressor, bytes, coded, self->plain, n * size));
        for (size_t i = 0; i < n; i++)
            GN_TRY(take(self, stream, replay_slot(buffer, stream, at + i), self->plain + i * size));
        at += n;
    }
    return GN_OK;
}

static gn_status take_priority(loader *self, uint32_t stream, uint64_t slot, const void *number)
{
    replay_buffer *buffer = self->buffer;
    replay_step *step = &buffer->step[slot];
    memcpy(&step->priority, number, sizeof step->priority);
    if (!(step->priority >= 0 && step->priority <= FLT_MAX) && step->priority != REPLAY_EVICTED)
        return fail_state(stream, "a priority is negative or not finite");
    if (step->priority != 0 && !replay_has_step(step->flags))
        return fail_state(stream, "a slot without step has a priority");
    if (!replay_is_drawn(step) || !replay_is_sampled(buffer, slot))
        return GN_OK;
    buffer->zeros += step->priority == 0;
    if (buffer->ranks)
        rank_weights_add(buffer->ranks, step->priority);
    return GN_OK;
}

static gn_status take_weight(loader *self, uint32_t stream, uint64_t slot, const void *number)
{
    double weight;
    memcpy(&weight, number, sizeof weight);
    if (!(weight >= 0 && weight <= 1))
        return fail_state(stream, "a weight is not in 0 .. 1");
    weight_tree_set(self->buffer->tree, &slot, &weight, 1);
    return GN_OK;
}

static gn_status load_streams(loader *self)
{
    replay_buffer *buffer = self->buffer;
    double max_priority = 0;
    gn_blob_read(self->in, "streams", buffer->stream, buffer->streams * sizeof *buffer->stream);
    gn_blob_read(self->in, "max priority", &max_priority, sizeof max_priority);
    gn_blob_read(self->in, "alpha", &buffer->alpha, sizeof buffer->alpha);
    GN_TRY(gn_blob_status(self->in));
    if (!(max_priority >= 1 && max_priority <= FLT_MAX))
        return gn_fail(GN_ERR_CORRUPT, "replay state: largest priority %g", max_priority);
    if (!(buffer->alpha >= 0 && buffer->alpha <= 1))
        return gn_fail(GN_ERR_CORRUPT, "replay state: alpha %g", buffer->alpha);
    buffer->max_priority = (float)max_priority;
    for (uint32_t stream = 0; stream < buffer->streams; stream++) {
        const replay_stream *at = &buffer->stream[stream];
        uint64_t used = at->head < buffer->sampled ? at->head : buffer->sampled;
        bool fits = at->sealed == 0;
        if (buffer->writer) // not more than a chunk is left to the state
            fits = at->sealed <= at->head / buffer->chunk &&
                   at->head - at->sealed * buffer->chunk <= buffer->chunk;
        if (!fits)
            return fail_state(stream, "chunks and slots do not fit together");
        buffer->draws = used > buffer->draws ? used : buffer->draws;
    }
    return GN_OK;
}

static void count_steps(replay_buffer *buffer)
{
    for (uint32_t stream = 0; stream < buffer->streams; stream++)
        for (uint64_t at = replay_tail(buffer, stream); at < buffer->stream[stream].head; at++)
            buffer->count += replay_is_drawn(&buffer->step[replay_slot(buffer, stream, at)]);
}

static gn_status load_priorities(loader *self)
{
    replay_buffer *buffer = self->buffer;
    for (uint32_t stream = 0; stream < buffer->streams; stream++)
        GN_TRY(load_runs(self, stream, "priorities", sizeof(float), take_priority));
    if (!buffer->ranks) {
        replay_weigh_all(buffer);
        return GN_OK;
    }
    gn_blob_read(self->in, "unranked", &buffer->unranked, sizeof buffer->unranked);
    for (uint32_t stream = 0; stream < buffer->streams; stream++)
        GN_TRY(load_runs(self, stream, "weights", sizeof(double), take_weight));
    return gn_blob_status(self->in);
}

static gn_status load_parts(loader *self)
{
    replay_buffer *buffer = self->buffer;
    GN_TRY(load_streams(self));
    if (buffer->writer) {
        GN_TRY(replay_writer_load(buffer->writer, self->in, &self->end_model));
        for (uint32_t stream = 0; stream < buffer->streams; stream++)
            GN_TRY(load_chunks(self, stream));
        if (!buffer->store)
            GN_TRY(load_bodies(self));
    }
    for (uint32_t stream = 0; stream < buffer->streams; stream++)
        GN_TRY(load_slots(self, stream));
    if (buffer->tree)
        GN_TRY(load_priorities(self));
    count_steps(buffer);
    return GN_OK;
}

gn_status replay_load_state(replay_buffer *buffer, gn_blob *in, uint32_t *ret_end_model)
{
    loader self = { 0 };
    gn_status status = open_loader(&self, buffer, in);
    if (status == GN_OK)
        status = load_parts(&self);
    *ret_end_model = self.end_model;
    close_loader(&self);
    return status;
}
