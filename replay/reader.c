// Two cursors walk a generation side by side: one over its slots (sealed chunks, then the tail in
// the state), one over its priorities (all in the state, in runs that begin at the oldest slot).
// What is handed out is where both runs overlap.

#include "replay/reader.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/blob.h"
#include "base/mem.h"
#include "replay/buffer_internal.h"
#include "replay/quantize.h"

// Positions [from, to) of the current stream.
typedef struct slot_run {
    uint64_t from, to;
} slot_run;

struct replay_reader {
    replay_view *view;
    replay_findings *findings; // NULL: damage is an error
    gn_compressor *compressor;
    replay_coder *coder; // of packed records; NULL: they are columns
    replay_model *model; // of `model_id`, the last one used
    uint32_t model_id;
    replay_columns columns; // [chunk]: what `slots` holds, records as they are stored
    size_t record_size; // of a record as it was added
    unsigned char *restored; // [chunk, record_size]; NULL: records are stored as they were added
    float *priority; // [chunk]: what `priorities` holds
    unsigned char *plain; // scratch of decoding

    uint64_t generation; // 0: none is begun
    bool prioritized;
    replay_stream *head; // [streams]
    gn_blob tail_state, priority_state; // the same state, each at its next section
    uint32_t stream;
    uint64_t position;
    slot_run slots, priorities;
};

static gn_status allocate(replay_reader *reader)
{
    enum { LEVEL = 1 }; // nothing is compressed
    const replay_layout *layout = &reader->view->layout;
    size_t n = layout->chunk;
    reader->record_size = layout->record_size;
    if (layout->quantized) {
        reader->record_size =
            sizeof(float) * replay_quantized_floats(layout->record_size, (int)layout->quantized);
        GN_TRY(gn_alloc(&reader->restored, n, reader->record_size));
    }
    GN_TRY(
        replay_columns_create(&reader->columns, n, layout->record_size, true, layout->packed > 0));
    if (layout->packed)
        GN_TRY(replay_coder_create(&reader->coder, (replay_codec_kind)(layout->packed - 1), LEVEL,
                                   layout->record_size));
    GN_TRY(gn_alloc(&reader->priority, n, sizeof *reader->priority));
    GN_TRY(gn_alloc(&reader->plain, replay_chunk_scratch(n, true), 1));
    GN_TRY(gn_alloc(&reader->head, layout->streams, sizeof *reader->head));
    return gn_compressor_create(&reader->compressor, LEVEL);
}

gn_status replay_reader_open(replay_reader **ret_reader, const char *folder,
                             replay_findings *findings)
{
    replay_reader *reader;
    GN_TRY(gn_alloc(&reader, 1, sizeof *reader));
    reader->findings = findings;
    gn_status status = replay_view_open(&reader->view, folder, findings);
    if (status == GN_OK)
        status = allocate(reader);
    if (status != GN_OK) {
        replay_reader_close(&reader);
        return status;
    }
    *ret_reader = reader;
    return GN_OK;
}

void replay_reader_close(replay_reader **reader)
{
    if (!*reader)
        return;
    replay_view_close(&(*reader)->view);
    gn_compressor_destroy(&(*reader)->compressor);
    replay_coder_destroy(&(*reader)->coder);
    replay_model_destroy(&(*reader)->model);
    replay_columns_free(&(*reader)->columns);
    gn_free(&(*reader)->restored);
    gn_free(&(*reader)->priority);
    gn_free(&(*reader)->plain);
    gn_free(&(*reader)->head);
    gn_free(reader);
}

const replay_view *replay_reader_view(const replay_reader *reader)
{
    return reader->view;
}

size_t replay_reader_record_size(const replay_reader *reader)
{
    return reader->record_size;
}

// Where damage is an error, its text names the file; findings are about one file anyway.
static gn_status fail_reading(const replay_reader *reader, gn_status status, uint64_t generation)
{
    gn_fail_within(status, "generation %" PRIu64, generation);
    return reader->findings ? status : gn_fail_within(status, "%s", reader->view->path);
}

// --- beginning a generation

static uint64_t oldest(const replay_reader *reader, uint32_t stream)
{
    uint64_t head = reader->head[stream].head, ring = reader->view->layout.capacity;
    return head > ring ? head - ring : 0;
}

static gn_status check_heads(const replay_reader *reader)
{
    const replay_layout *layout = &reader->view->layout;
    for (uint32_t stream = 0; stream < layout->streams; stream++) {
        uint64_t head = reader->head[stream].head, sealed = reader->head[stream].sealed;
        if (sealed > head / layout->chunk || head - sealed * layout->chunk > layout->chunk)
            return gn_fail(GN_ERR_CORRUPT,
                           "stream %u: %" PRIu64 " slots in %" PRIu64 " chunks and a tail", stream,
                           head, sealed);
    }
    return GN_OK;
}

// Passes over what says how chunks were coded: their own heads say it too.
static void skip_coding(replay_reader *reader, gn_blob *blob)
{
    const replay_layout *layout = &reader->view->layout;
    size_t size;
    if (layout->packed)
        gn_blob_next(blob, "coder", &size);
    for (uint32_t stream = 0; stream < layout->streams; stream++)
        gn_blob_next(blob, "contents", &size);
}

// Reads what comes before the slots, and finds where the priorities begin.
static gn_status read_state(replay_reader *reader, const void *state, size_t size,
                            replay_generation *ret_generation)
{
    const replay_layout *layout = &reader->view->layout;
    gn_blob blob = { .data = (unsigned char *)state, .size = size };
    gn_blob_read(&blob, "streams", reader->head, layout->streams * sizeof *reader->head);
    gn_blob_read(&blob, "max priority", &ret_generation->max_priority,
                 sizeof ret_generation->max_priority);
    gn_blob_read(&blob, "alpha", &ret_generation->alpha, sizeof ret_generation->alpha);
    skip_coding(reader, &blob);
    GN_TRY(gn_blob_status(&blob));
    GN_TRY(check_heads(reader));
    if (!isfinite(ret_generation->max_priority) || ret_generation->max_priority < 0)
        return gn_fail(GN_ERR_CORRUPT, "largest priority %g: must be finite and not negative",
                       ret_generation->max_priority);
    reader->tail_state = blob;
    for (uint32_t stream = 0; stream < layout->streams; stream++) {
        ret_generation->slots += reader->head[stream].head - oldest(reader, stream);
        if (reader->head[stream].head > reader->head[stream].sealed * layout->chunk)
            gn_blob_next(&blob, "slots", &size);
    }
    GN_TRY(gn_blob_status(&blob));
    reader->priority_state = blob;
    ret_generation->prioritized = blob.cursor < blob.size;
    return GN_OK;
}

// Makes a stream the current one.
static void enter_stream(replay_reader *reader, uint32_t stream)
{
    reader->stream = stream;
    reader->slots = reader->priorities = (slot_run){ 0 };
    if (stream < reader->view->layout.streams) {
        reader->position = oldest(reader, stream);
        reader->priorities.to = reader->position;
    }
}

gn_status replay_reader_begin(replay_reader *reader, uint64_t generation,
                              replay_generation *ret_generation)
{
    const replay_view *view = reader->view;
    reader->generation = 0;
    if (view->generations == 0)
        return gn_fail(GN_ERR_EMPTY, "%s: no generation was committed yet", view->path);
    const replay_value *value = &view->generation[view->generations - 1];
    if (generation > 0)
        value = replay_value_find(view->generation, view->generations, generation);
    if (!value)
        return gn_fail(GN_ERR_NOT_FOUND, "%s: no generation %" PRIu64, view->path, generation);
    const void *state;
    size_t size;
    replay_generation begun = { .number = value->key };
    gn_status status = replay_value_read(value, &state, &size);
    if (status == GN_OK)
        status = read_state(reader, state, size, &begun);
    if (status != GN_OK)
        return fail_reading(reader, status, value->key);
    reader->generation = begun.number;
    reader->prioritized = begun.prioritized;
    enter_stream(reader, 0);
    *ret_generation = begun;
    return GN_OK;
}

// --- slots

// What was decoded becomes what was added.
static void restore(replay_reader *reader, size_t n)
{
    const replay_layout *layout = &reader->view->layout;
    for (size_t i = 0; reader->restored && i < n; i++)
        replay_dequantize(reader->columns.record + i * layout->record_size,
                          reader->record_size / sizeof(float), (int)layout->quantized,
                          (float *)(void *)(reader->restored + i * reader->record_size));
}

static gn_status use_model(replay_reader *reader, uint32_t id)
{
    const replay_view *view = reader->view;
    if (id == reader->model_id)
        return GN_OK;
    replay_model_destroy(&reader->model);
    reader->model_id = 0;
    if (id == 0)
        return GN_OK;
    const void *bytes;
    size_t size;
    const replay_value *value = replay_value_find(view->model, view->models, id);
    gn_status status =
        value ? replay_value_read(value, &bytes, &size) : gn_fail(GN_ERR_CORRUPT, "is missing");
    if (status == GN_OK)
        status = replay_model_unpack(&reader->model, bytes, size, 1);
    if (status != GN_OK)
        return gn_fail_within(status, "model %u", id);
    reader->model_id = id;
    return GN_OK;
}

// Decodes the records of a chunk whose places are there.
static gn_status decode_body(replay_reader *reader, uint64_t key, const replay_chunk_about *about)
{
    const replay_view *view = reader->view;
    const void *body;
    size_t size;
    const replay_value *value = replay_value_find(view->body, view->bodies, key);
    gn_status status =
        value ? replay_value_read(value, &body, &size) : gn_fail(GN_ERR_CORRUPT, "is missing");
    if (status == GN_OK && size < about->body_size)
        status = gn_fail(GN_ERR_CORRUPT, "%zu bytes, not %u", size, about->body_size);
    if (status != GN_OK)
        return gn_fail_within(status, "body");
    status = use_model(reader, about->model);
    if (status == GN_OK)
        status = replay_coder_decode_run(reader->coder, reader->model, reader->columns.place, 0,
                                         view->layout.chunk, body, 0, about->body_size,
                                         reader->columns.record);
    replay_value_forget(reader->view, value);
    return status;
}

static gn_status decode_chunk(replay_reader *reader, uint64_t key, const void *bytes, size_t size)
{
    const replay_layout *layout = &reader->view->layout;
    replay_chunk_about about;
    GN_TRY(replay_chunk_decode(reader->compressor, bytes, size, layout->chunk,
                               key / layout->streams * layout->chunk, reader->plain,
                               &reader->columns, &about));
    if (layout->packed)
        GN_TRY(decode_body(reader, key, &about));
    if (about.contents != replay_chunk_contents(&reader->columns, layout->chunk))
        return gn_fail(GN_ERR_CORRUPT, "holds other slots than it says");
    restore(reader, layout->chunk);
    return GN_OK;
}

static gn_status load_chunk(replay_reader *reader, replay_value *value)
{
    const replay_layout *layout = &reader->view->layout;
    const void *bytes;
    size_t size;
    gn_status status = replay_value_read(value, &bytes, &size);
    if (status == GN_OK)
        status = decode_chunk(reader, value->key, bytes, size);
    replay_value_forget(reader->view, value);
    if (status == GN_ERR_CORRUPT) {
        value->damaged = true;
        gn_fail_within(status, "chunk %" PRIu64 " of stream %" PRIu64, value->key / layout->streams,
                       value->key % layout->streams);
    }
    return status;
}

// Loads the chunk that holds the current position. Where it cannot be read and there are findings,
// the position moves behind it.
static gn_status load_sealed(replay_reader *reader)
{
    const replay_view *view = reader->view;
    uint64_t chunk = reader->position / view->layout.chunk;
    reader->slots = (slot_run){ chunk * view->layout.chunk, (chunk + 1) * view->layout.chunk };
    replay_value *value =
        replay_value_find(view->chunk, view->chunks, chunk * view->layout.streams + reader->stream);
    bool known = value && value->damaged; // and among the findings
    gn_status status = value ? load_chunk(reader, value)
                             : gn_fail(GN_ERR_CORRUPT, "chunk %" PRIu64 " of stream %u: is missing",
                                       chunk, reader->stream);
    if (status != GN_ERR_CORRUPT || !reader->findings)
        return status;
    if (!value)
        gn_fail_within(status, "generation %" PRIu64, reader->generation);
    if (!known)
        replay_findings_add(reader->findings, "%s", gn_error_text());
    reader->position = reader->slots.to;
    return GN_OK;
}

static gn_status load_tail(replay_reader *reader)
{
    uint64_t head = reader->head[reader->stream].head;
    uint64_t first = reader->head[reader->stream].sealed * reader->view->layout.chunk;
    reader->slots = (slot_run){ first, head };
    size_t size = 0;
    const void *bytes = gn_blob_next(&reader->tail_state, "slots", &size);
    replay_columns whole = reader->columns;
    replay_chunk_about about;
    whole.place = NULL;
    gn_status status = bytes ? replay_chunk_decode(reader->compressor, bytes, size, head - first,
                                                   first, reader->plain, &whole, &about)
                             : gn_blob_status(&reader->tail_state);
    if (status == GN_OK)
        restore(reader, head - first);
    return status == GN_OK ? GN_OK : gn_fail_within(status, "tail of stream %u", reader->stream);
}

static gn_status load_priorities(replay_reader *reader)
{
    uint64_t left = reader->head[reader->stream].head - reader->priorities.to;
    size_t chunk = reader->view->layout.chunk, n = left < chunk ? left : chunk, size = 0;
    reader->priorities = (slot_run){ reader->priorities.to, reader->priorities.to + n };
    const void *bytes = gn_blob_next(&reader->priority_state, "priorities", &size);
    gn_status status = bytes ? gn_decompress(reader->compressor, bytes, size, reader->priority,
                                             n * sizeof *reader->priority)
                             : gn_blob_status(&reader->priority_state);
    return status == GN_OK ? GN_OK
                           : gn_fail_within(status, "priorities of stream %u", reader->stream);
}

// Brings in the runs that hold the current position; its slots may be passed over instead.
static gn_status load_runs(replay_reader *reader)
{
    if (reader->position >= reader->slots.to) {
        uint64_t sealed = reader->head[reader->stream].sealed * reader->view->layout.chunk;
        GN_TRY(reader->position < sealed ? load_sealed(reader) : load_tail(reader));
    }
    // Behind slots passed over too: at the head, the next section must be the next stream's.
    while (reader->prioritized && reader->priorities.to <= reader->position &&
           reader->priorities.to < reader->head[reader->stream].head)
        GN_TRY(load_priorities(reader));
    return GN_OK;
}

static const unsigned char *record_at(const replay_reader *reader, size_t i)
{
    return reader->restored ? reader->restored + i * reader->record_size
                            : reader->columns.record + i * reader->columns.record_size;
}

// Rank-based sampling also saves weights; they follow from the priorities but for their age.
static void skip_weights(const replay_reader *reader, gn_blob *blob)
{
    const replay_layout *layout = &reader->view->layout;
    size_t size;
    if (blob->cursor == blob->size)
        return;
    gn_blob_next(blob, "unranked", &size);
    for (uint32_t stream = 0; stream < layout->streams; stream++)
        for (uint64_t at = oldest(reader, stream); at < reader->head[stream].head;
             at += layout->chunk)
            gn_blob_next(blob, "weights", &size);
}

static gn_status next_slots(replay_reader *reader, replay_slots *ret_slots)
{
    uint32_t streams = reader->view->layout.streams;
    while (reader->stream < streams) {
        uint64_t position = reader->position, head = reader->head[reader->stream].head;
        if (position == head) {
            enter_stream(reader, reader->stream + 1);
            continue;
        }
        GN_TRY(load_runs(reader));
        if (reader->position > position) // passed over
            continue;
        uint64_t end = reader->slots.to;
        if (reader->prioritized && reader->priorities.to < end)
            end = reader->priorities.to;
        const replay_columns *columns = &reader->columns;
        size_t at = position - reader->slots.from;
        *ret_slots = (replay_slots){
            .stream = reader->stream,
            .position = position,
            .head = head,
            .count = end - position,
            .flags = columns->flags + at,
            .action = columns->action + at,
            .reward = columns->reward + at,
            .record = record_at(reader, at),
            .stored = columns->record + at * columns->record_size,
            .priority = reader->prioritized
                            ? reader->priority + (position - reader->priorities.from)
                            : NULL,
        };
        reader->position = end;
        return GN_OK;
    }
    gn_blob *rest = reader->prioritized ? &reader->priority_state : &reader->tail_state;
    if (reader->prioritized)
        skip_weights(reader, rest);
    if (rest->cursor < rest->size)
        return gn_fail(GN_ERR_CORRUPT, "%zu bytes too many", rest->size - rest->cursor);
    *ret_slots = (replay_slots){ 0 };
    return GN_OK;
}

gn_status replay_reader_next(replay_reader *reader, replay_slots *ret_slots)
{
    if (reader->generation == 0)
        return gn_fail(GN_ERR_STATE, "%s: no generation was begun", reader->view->path);
    gn_status status = next_slots(reader, ret_slots);
    if (status == GN_OK)
        return GN_OK;
    fail_reading(reader, status, reader->generation);
    reader->generation = 0;
    return status;
}

gn_status replay_reader_chunk(replay_reader *reader, size_t index, replay_slots *ret_slots)
{
    const replay_layout *layout = &reader->view->layout;
    replay_value *value = &reader->view->chunk[index];
    reader->generation = 0;
    GN_TRY(load_chunk(reader, value));
    *ret_slots = (replay_slots){ .stream = (uint32_t)(value->key % layout->streams),
                                 .position = value->key / layout->streams * layout->chunk,
                                 .count = layout->chunk,
                                 .flags = reader->columns.flags,
                                 .action = reader->columns.action,
                                 .reward = reader->columns.reward,
                                 .record = record_at(reader, 0),
                                 .stored = reader->columns.record };
    return GN_OK;
}
