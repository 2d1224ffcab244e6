// Two cursors walk a generation side by side: one over its slots (sealed chunks, then the tail in
// the state), one over its weights (all in the state, in runs that begin at the oldest slot). What
// is handed out is where both runs overlap.

#include "replay/reader.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/blob.h"
#include "base/mem.h"
#include "replay/buffer_internal.h"

// Positions [from, to) of the current stream.
typedef struct slot_run {
    uint64_t from, to;
} slot_run;

struct replay_reader {
    replay_view *view;
    replay_findings *findings; // NULL: damage is an error
    gn_compressor *compressor;
    replay_columns columns; // [chunk]: what `slots` holds
    double *weight; // [chunk]: what `weights` holds
    unsigned char *plain; // scratch of decoding

    uint64_t generation; // 0: none is begun
    bool prioritized;
    replay_stream *head; // [streams]
    gn_blob tail_state, weight_state; // the same state, each at its next section
    uint32_t stream;
    uint64_t position;
    slot_run slots, weights;
};

static gn_status allocate(replay_reader *reader)
{
    const replay_layout *layout = &reader->view->layout;
    size_t n = layout->chunk;
    reader->columns.record_size = layout->record_size;
    GN_TRY(gn_alloc(&reader->columns.flags, n, sizeof *reader->columns.flags));
    GN_TRY(gn_alloc(&reader->columns.action, n, sizeof *reader->columns.action));
    GN_TRY(gn_alloc(&reader->columns.reward, n, sizeof *reader->columns.reward));
    GN_TRY(gn_alloc(&reader->columns.record, n, layout->record_size));
    GN_TRY(gn_alloc(&reader->weight, n, sizeof *reader->weight));
    GN_TRY(gn_alloc(&reader->plain, replay_chunk_scratch(n, layout->record_size), 1));
    GN_TRY(gn_alloc(&reader->head, layout->streams, sizeof *reader->head));
    return gn_compressor_create(&reader->compressor, 1);
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
    gn_free(&(*reader)->columns.flags);
    gn_free(&(*reader)->columns.action);
    gn_free(&(*reader)->columns.reward);
    gn_free(&(*reader)->columns.record);
    gn_free(&(*reader)->weight);
    gn_free(&(*reader)->plain);
    gn_free(&(*reader)->head);
    gn_free(reader);
}

const replay_view *replay_reader_view(const replay_reader *reader)
{
    return reader->view;
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

// Reads what comes before the slots, and finds where the weights begin.
static gn_status read_state(replay_reader *reader, const void *state, size_t size,
                            replay_generation *ret_generation)
{
    const replay_layout *layout = &reader->view->layout;
    gn_blob blob = { .data = (unsigned char *)state, .size = size };
    gn_blob_read(&blob, "streams", reader->head, layout->streams * sizeof *reader->head);
    gn_blob_read(&blob, "max priority", &ret_generation->max_priority,
                 sizeof ret_generation->max_priority);
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
    reader->weight_state = blob;
    ret_generation->prioritized = blob.cursor < blob.size;
    return GN_OK;
}

// Makes a stream the current one.
static void enter_stream(replay_reader *reader, uint32_t stream)
{
    reader->stream = stream;
    reader->slots = reader->weights = (slot_run){ 0 };
    if (stream < reader->view->layout.streams) {
        reader->position = oldest(reader, stream);
        reader->weights.to = reader->position;
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

static gn_status decode(replay_reader *reader, const void *bytes, size_t size, uint64_t first,
                        size_t n)
{
    return replay_chunk_decode(reader->compressor, bytes, size, &reader->columns,
                               reader->view->layout.chunk, 0, n, first, reader->plain);
}

static gn_status load_chunk(replay_reader *reader, replay_value *value)
{
    const replay_layout *layout = &reader->view->layout;
    uint64_t chunk = value->key / layout->streams;
    const void *bytes;
    size_t size;
    gn_status status = replay_value_read(value, &bytes, &size);
    if (status == GN_OK)
        status = decode(reader, bytes, size, chunk * layout->chunk, layout->chunk);
    if (status == GN_ERR_CORRUPT) {
        value->damaged = true;
        gn_fail_within(status, "chunk %" PRIu64 " of stream %" PRIu64, chunk,
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
    gn_status status = bytes ? decode(reader, bytes, size, first, head - first)
                             : gn_blob_status(&reader->tail_state);
    return status == GN_OK ? GN_OK : gn_fail_within(status, "tail of stream %u", reader->stream);
}

static gn_status load_weights(replay_reader *reader)
{
    uint64_t left = reader->head[reader->stream].head - reader->weights.to;
    size_t chunk = reader->view->layout.chunk, n = left < chunk ? left : chunk, size = 0;
    reader->weights = (slot_run){ reader->weights.to, reader->weights.to + n };
    const void *bytes = gn_blob_next(&reader->weight_state, "weights", &size);
    gn_status status = bytes ? gn_decompress(reader->compressor, bytes, size, reader->weight,
                                             n * sizeof *reader->weight)
                             : gn_blob_status(&reader->weight_state);
    return status == GN_OK ? GN_OK : gn_fail_within(status, "weights of stream %u", reader->stream);
}

// Brings in the runs that hold the current position; its slots may be passed over instead.
static gn_status load_runs(replay_reader *reader)
{
    if (reader->position >= reader->slots.to) {
        uint64_t sealed = reader->head[reader->stream].sealed * reader->view->layout.chunk;
        GN_TRY(reader->position < sealed ? load_sealed(reader) : load_tail(reader));
    }
    // Behind slots passed over too: at the head, the next section must be the next stream's.
    while (reader->prioritized && reader->weights.to <= reader->position &&
           reader->weights.to < reader->head[reader->stream].head)
        GN_TRY(load_weights(reader));
    return GN_OK;
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
        if (reader->prioritized && reader->weights.to < end)
            end = reader->weights.to;
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
            .record = columns->record + at * columns->record_size,
            .weight =
                reader->prioritized ? reader->weight + (position - reader->weights.from) : NULL,
        };
        reader->position = end;
        return GN_OK;
    }
    const gn_blob *rest = reader->prioritized ? &reader->weight_state : &reader->tail_state;
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
                                 .record = reader->columns.record };
    return GN_OK;
}
