// Saved state of the buffer, its generations on disk, and its checksum.
//
//     streams        head and sealed chunks of each
//     max priority
//     slots ...      a run of at most a chunk of slots; disk: those not sealed, RAM: all
//     weights ...    fp64, zstd, a run of at most a chunk of slots; prioritized only
//
// A generation on disk is its state plus the sealed chunks of its live slots.

#include "replay/buffer_internal.h"

#include <float.h>
#include <string.h>

#include "base/mem.h"

// The first position whose slot is part of the state.
static uint64_t state_from(const replay_buffer *buffer, uint32_t stream)
{
    return buffer->store ? buffer->stream[stream].sealed * buffer->chunk
                         : replay_tail(buffer, stream);
}

static size_t run_size(const replay_buffer *buffer, uint32_t stream, uint64_t position)
{
    uint64_t left = buffer->stream[stream].head - position;
    return left < buffer->chunk ? left : buffer->chunk;
}

// --- writing

static gn_status save_slots(const replay_buffer *buffer, uint32_t stream, gn_blob *out)
{
    replay_columns columns = replay_stream_columns(buffer, stream);
    uint64_t position = state_from(buffer, stream);
    while (position < buffer->stream[stream].head) {
        size_t size, n = run_size(buffer, stream, position);
        GN_TRY(replay_chunk_encode(buffer->compressor, &columns, buffer->ring,
                                   position % buffer->ring, n, position, buffer->plain,
                                   buffer->coded, buffer->coded_size, &size));
        gn_blob_write(out, "slots", buffer->coded, size);
        position += n;
    }
    return GN_OK;
}

static gn_status save_weights(const replay_buffer *buffer, uint32_t stream, gn_blob *out)
{
    const double *weight = sum_tree_weights(buffer->tree);
    uint64_t position = replay_tail(buffer, stream);
    while (position < buffer->stream[stream].head) {
        size_t size, n = run_size(buffer, stream, position);
        double *run = (double *)buffer->plain;
        for (size_t i = 0; i < n; i++)
            run[i] = weight[replay_slot(buffer, stream, position + i)];
        GN_TRY(gn_compress(buffer->compressor, run, n * sizeof *run, buffer->coded,
                           buffer->coded_size, &size));
        gn_blob_write(out, "weights", buffer->coded, size);
        position += n;
    }
    return GN_OK;
}

static gn_status save_state(const replay_buffer *buffer, gn_blob *out)
{
    gn_blob_write(out, "streams", buffer->stream, buffer->streams * sizeof *buffer->stream);
    gn_blob_write(out, "max priority", &buffer->max_priority, sizeof buffer->max_priority);
    for (uint32_t stream = 0; stream < buffer->streams; stream++)
        GN_TRY(save_slots(buffer, stream, out));
    for (uint32_t stream = 0; buffer->tree && stream < buffer->streams; stream++)
        GN_TRY(save_weights(buffer, stream, out));
    return gn_blob_status(out);
}

// --- reading

static gn_status fail_state(uint32_t stream, const char *what)
{
    return gn_fail(GN_ERR_CORRUPT, "replay state: stream %u: %s", stream, what);
}

// Reads a section that has to fit into the scratch for coded bytes.
static gn_status read_coded(replay_buffer *buffer, const char *name, gn_blob *in, size_t *ret_size)
{
    uint64_t size = gn_blob_next_size(in, name);
    GN_TRY(gn_blob_status(in));
    if (size > buffer->coded_size)
        return gn_fail(GN_ERR_CORRUPT, "replay state: %llu bytes of %s: must be at most %zu",
                       (unsigned long long)size, name, buffer->coded_size);
    gn_blob_read(in, name, buffer->coded, size);
    *ret_size = size;
    return gn_blob_status(in);
}

// Brings in the sealed chunks in order. The oldest may begin before the ring does: what is too much
// of it is overwritten by the slots that follow.
static gn_status load_chunks(replay_buffer *buffer, uint32_t stream)
{
    replay_columns columns = replay_stream_columns(buffer, stream);
    uint64_t chunk = replay_tail(buffer, stream) / buffer->chunk;
    for (; chunk < buffer->stream[stream].sealed; chunk++) {
        uint64_t first = chunk * buffer->chunk;
        size_t size = 0;
        GN_TRY(replay_store_get_chunk(buffer->store, chunk, stream, buffer->coded,
                                      buffer->coded_size, &size));
        GN_TRY(replay_chunk_decode(buffer->compressor, buffer->coded, size, &columns, buffer->ring,
                                   first % buffer->ring, buffer->chunk, first, buffer->plain));
    }
    return GN_OK;
}

static gn_status load_slots(replay_buffer *buffer, uint32_t stream, gn_blob *in)
{
    replay_columns columns = replay_stream_columns(buffer, stream);
    uint64_t position = state_from(buffer, stream), head = buffer->stream[stream].head;
    while (position < head) {
        size_t size = 0, n = run_size(buffer, stream, position);
        GN_TRY(read_coded(buffer, "slots", in, &size));
        GN_TRY(replay_chunk_decode(buffer->compressor, buffer->coded, size, &columns, buffer->ring,
                                   position % buffer->ring, n, position, buffer->plain));
        position += n;
    }
    if (head > 0 && replay_has_step(columns.flags[(head - 1) % buffer->ring]))
        return fail_state(stream, "the last slot has a step");
    return GN_OK;
}

static gn_status load_weights(replay_buffer *buffer, uint32_t stream, gn_blob *in)
{
    uint64_t position = replay_tail(buffer, stream);
    while (position < buffer->stream[stream].head) {
        size_t size = 0, n = run_size(buffer, stream, position);
        double *run = (double *)buffer->plain;
        GN_TRY(read_coded(buffer, "weights", in, &size));
        GN_TRY(gn_decompress(buffer->compressor, buffer->coded, size, run, n * sizeof *run));
        for (size_t i = 0; i < n; i++) {
            uint64_t slot = replay_slot(buffer, stream, position + i);
            if (run[i] != 0 && !replay_has_step(buffer->columns.flags[slot]))
                return fail_state(stream, "a slot without step has a weight");
            if (run[i] != 0 && sum_tree_set(buffer->tree, &slot, &run[i], 1) != GN_OK)
                return gn_fail_within(GN_ERR_CORRUPT, "replay state: stream %u", stream);
        }
        position += n;
    }
    return GN_OK;
}

static gn_status load_streams(replay_buffer *buffer, gn_blob *in)
{
    gn_blob_read(in, "streams", buffer->stream, buffer->streams * sizeof *buffer->stream);
    gn_blob_read(in, "max priority", &buffer->max_priority, sizeof buffer->max_priority);
    GN_TRY(gn_blob_status(in));
    if (!(buffer->max_priority >= 1 && buffer->max_priority <= FLT_MAX))
        return gn_fail(GN_ERR_CORRUPT, "replay state: largest priority %g", buffer->max_priority);
    for (uint32_t stream = 0; stream < buffer->streams; stream++) {
        const replay_stream *at = &buffer->stream[stream];
        uint64_t used = at->head - replay_tail(buffer, stream);
        bool fits = at->sealed == 0;
        if (buffer->store) // not more than a chunk is left to the state
            fits = at->sealed <= at->head / buffer->chunk &&
                   at->head - at->sealed * buffer->chunk <= buffer->chunk;
        if (!fits)
            return fail_state(stream, "chunks and slots do not fit together");
        buffer->draws = used > buffer->draws ? used : buffer->draws;
    }
    return GN_OK;
}

// Fills an empty buffer.
static gn_status load_state(replay_buffer *buffer, gn_blob *in)
{
    GN_TRY(load_streams(buffer, in));
    for (uint32_t stream = 0; stream < buffer->streams; stream++) {
        if (buffer->store)
            GN_TRY(load_chunks(buffer, stream));
        GN_TRY(load_slots(buffer, stream, in));
        uint64_t head = buffer->stream[stream].head;
        for (uint64_t at = replay_tail(buffer, stream); at < head; at++)
            buffer->count +=
                replay_has_step(buffer->columns.flags[replay_slot(buffer, stream, at)]);
    }
    for (uint32_t stream = 0; buffer->tree && stream < buffer->streams; stream++)
        GN_TRY(load_weights(buffer, stream, in));
    return GN_OK;
}

// --- RAM only

void replay_buffer_save(const replay_buffer *buffer, gn_blob *out)
{
    gn_status status =
        buffer->store ? gn_fail(GN_ERR_STATE, "replay: a buffer on disk is committed, not saved")
                      : save_state(buffer, out);
    if (out->status == GN_OK)
        out->status = status;
}

gn_status replay_buffer_load(replay_buffer *buffer, gn_blob *in)
{
    if (buffer->store)
        return gn_fail(GN_ERR_STATE, "replay: a buffer on disk is rolled back, not loaded");
    replay_clear(buffer);
    gn_status status = load_state(buffer, in);
    if (status != GN_OK)
        replay_clear(buffer);
    return status;
}

// --- generations

static gn_status need_store(const replay_buffer *buffer)
{
    return buffer->store ? GN_OK : gn_fail(GN_ERR_STATE, "replay: the buffer is in RAM only");
}

// The oldest generation that stays: the first from `oldest` on, or the one about to be written.
static gn_status oldest_kept(replay_buffer *buffer, uint64_t oldest, uint64_t generation,
                             uint64_t *ret_kept)
{
    size_t count;
    uint64_t *there;
    GN_TRY(replay_store_generations(buffer->store, NULL, 0, &count));
    GN_TRY(gn_alloc(&there, count, sizeof *there));
    gn_status status = replay_store_generations(buffer->store, there, count, &count);
    *ret_kept = generation;
    for (size_t i = count; i > 0 && there[i - 1] >= oldest; i--)
        *ret_kept = there[i - 1];
    gn_free(&there);
    return status;
}

// Sets bounds to the first chunk of each stream that a generation needs.
static gn_status find_first_chunks(replay_buffer *buffer, uint64_t generation, uint64_t kept)
{
    replay_stream *stream = buffer->stream, *saved = NULL;
    if (kept != generation) {
        gn_blob state = { 0 };
        void *bytes;
        GN_TRY(gn_alloc(&saved, buffer->streams, sizeof *saved));
        gn_status status = replay_store_get_generation(buffer->store, kept, &bytes, &state.size);
        if (status == GN_OK) {
            state.data = bytes;
            gn_blob_read(&state, "streams", saved, buffer->streams * sizeof *saved);
            status = gn_blob_status(&state);
            gn_free(&bytes);
        }
        if (status != GN_OK) {
            gn_free(&saved);
            return status;
        }
        stream = saved;
    }
    for (uint32_t i = 0; i < buffer->streams; i++) {
        uint64_t head = stream[i].head, tail = head > buffer->ring ? head - buffer->ring : 0;
        buffer->bounds[i] = tail / buffer->chunk;
    }
    gn_free(&saved);
    return GN_OK;
}

gn_status replay_buffer_commit(replay_buffer *buffer, uint64_t generation, uint64_t oldest,
                               uint64_t *ret_checksum)
{
    GN_TRY(need_store(buffer));
    if (buffer->rollback_due)
        return gn_fail(GN_ERR_STATE,
                       "replay: the store holds generations: roll back to one before committing");
    for (uint32_t stream = 0; stream < buffer->streams; stream++)
        GN_TRY(replay_seal_chunks(buffer, stream));
    uint64_t kept;
    GN_TRY(oldest_kept(buffer, oldest, generation, &kept));
    GN_TRY(find_first_chunks(buffer, generation, kept));
    gn_blob state = { 0 };
    gn_status status = save_state(buffer, &state);
    if (status == GN_OK)
        status = replay_store_commit(buffer->store, generation, state.data, state.size, oldest,
                                     buffer->bounds);
    gn_blob_free(&state);
    if (status == GN_OK)
        *ret_checksum = replay_buffer_checksum(buffer);
    return status;
}

gn_status replay_buffer_rollback(replay_buffer *buffer, uint64_t generation, uint64_t checksum)
{
    GN_TRY(need_store(buffer));
    void *bytes;
    gn_blob state = { 0 };
    GN_TRY(replay_store_get_generation(buffer->store, generation, &bytes, &state.size));
    state.data = bytes;
    replay_clear(buffer);
    gn_status status = load_state(buffer, &state);
    gn_free(&bytes);
    if (status == GN_OK && replay_buffer_checksum(buffer) != checksum)
        status = gn_fail(
            GN_ERR_CORRUPT, "replay: generation %llu has checksum %016llx, not %016llx",
            (unsigned long long)generation, (unsigned long long)replay_buffer_checksum(buffer),
            (unsigned long long)checksum);
    for (uint32_t stream = 0; stream < buffer->streams; stream++)
        buffer->bounds[stream] = buffer->stream[stream].sealed;
    if (status == GN_OK)
        status = replay_store_rollback(buffer->store, generation, buffer->bounds);
    if (status != GN_OK)
        replay_clear(buffer);
    buffer->rollback_due = status != GN_OK;
    return status;
}

gn_status replay_buffer_clear(replay_buffer *buffer)
{
    memset(buffer->bounds, 0, buffer->streams * sizeof *buffer->bounds);
    if (buffer->store)
        GN_TRY(replay_store_rollback(buffer->store, 0, buffer->bounds));
    replay_clear(buffer);
    buffer->rollback_due = false;
    return GN_OK;
}

// --- checksum

static void fold(uint64_t *sum, const void *data, size_t size)
{
    uint64_t pair[] = { *sum, gn_checksum(data, size) };
    *sum = gn_checksum(pair, sizeof pair);
}

uint64_t replay_buffer_checksum(const replay_buffer *buffer)
{
    const replay_columns *all = &buffer->columns;
    uint64_t sum = 0;
    fold(&sum, &buffer->max_priority, sizeof buffer->max_priority);
    for (uint32_t stream = 0; stream < buffer->streams; stream++) {
        uint64_t head = buffer->stream[stream].head, at = replay_tail(buffer, stream);
        fold(&sum, &head, sizeof head);
        while (at < head) { // once, or twice where the live slots wrap
            uint64_t slot = replay_slot(buffer, stream, at);
            uint64_t n = buffer->ring - at % buffer->ring;
            n = n < head - at ? n : head - at;
            fold(&sum, all->flags + slot, n * sizeof *all->flags);
            fold(&sum, all->action + slot, n * sizeof *all->action);
            fold(&sum, all->reward + slot, n * sizeof *all->reward);
            fold(&sum, all->record + slot * all->record_size, n * all->record_size);
            if (buffer->tree)
                fold(&sum, sum_tree_weights(buffer->tree) + slot, n * sizeof(double));
            at += n;
        }
    }
    return sum;
}
