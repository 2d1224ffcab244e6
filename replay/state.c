#include "replay/state.h"

#include "base/mem.h"

// Records are a column of their own in tails, and in chunks that are not packed.
gn_status replay_state_open_parts(replay_state_parts *parts, int level)
{
    const replay_layout *layout = parts->layout;
    size_t n = layout->chunk, record_size = layout->record_size;
    parts->entries = replay_layout_entries(layout);
    size_t whole = replay_chunk_bound(n, record_size, false);
    size_t packed = replay_chunk_bound(n, record_size, true);
    parts->coded_size = whole > packed ? whole : packed;
    GN_TRY(gn_alloc(&parts->scratch, replay_chunk_scratch(n, true), 1));
    GN_TRY(gn_alloc(&parts->coded, parts->coded_size, 1));
    GN_TRY(gn_alloc(&parts->live, parts->entries, sizeof *parts->live));
    return gn_compressor_create(&parts->compressor, level);
}

void replay_state_close_parts(replay_state_parts *parts)
{
    gn_compressor_destroy(&parts->compressor);
    gn_free(&parts->scratch);
    gn_free(&parts->coded);
    gn_free(&parts->live);
}

static uint64_t first_chunk(const replay_layout *layout, const replay_stream *stream)
{
    return replay_oldest(layout, stream->head) / layout->chunk;
}

void replay_state_write_heads(const replay_staged *staged, const replay_state_parts *parts,
                              const replay_writer *writer, gn_blob *out)
{
    const replay_layout *layout = parts->layout;
    gn_blob_write(out, "streams", staged->stream, layout->streams * sizeof *staged->stream);
    gn_blob_write(out, "max priority", &staged->max_priority, sizeof staged->max_priority);
    gn_blob_write(out, "alpha", &staged->alpha, sizeof staged->alpha);
    if (!writer)
        return;
    replay_writer_save(writer, out);
    for (uint32_t i = 0; i < layout->streams; i++) {
        size_t n = 0;
        for (uint64_t at = first_chunk(layout, &staged->stream[i]); at < staged->stream[i].sealed;
             at++)
            parts->live[n++] = parts->contents[i * parts->entries + at % parts->entries];
        gn_blob_write(out, "contents", parts->live, n * sizeof *parts->live);
    }
}

gn_status replay_state_write_slots(const replay_state_parts *parts, const replay_columns *columns,
                                   uint64_t first, size_t n, gn_blob *out)
{
    const replay_chunk_about about = { .first_position = first };
    replay_columns whole = *columns;
    whole.place = NULL;
    size_t size;
    GN_TRY(replay_chunk_encode(parts->compressor, &whole, n, &about, parts->scratch, parts->coded,
                               parts->coded_size, &size));
    gn_blob_write(out, "slots", parts->coded, size);
    return GN_OK;
}

// Numbers of `size` bytes of all live slots, in runs of at most a chunk.
static gn_status write_runs(const replay_staged *staged, const replay_state_parts *parts,
                            const char *name, const void *numbers, size_t size, gn_blob *out)
{
    const unsigned char *next = numbers;
    for (uint32_t i = 0; i < parts->layout->streams; i++) {
        uint64_t head = staged->stream[i].head, at = replay_oldest(parts->layout, head);
        while (at < head) {
            size_t n = head - at < parts->layout->chunk ? head - at : parts->layout->chunk, coded;
            GN_TRY(gn_compress(parts->compressor, next, n * size, parts->coded, parts->coded_size,
                               &coded));
            gn_blob_write(out, name, parts->coded, coded);
            next += n * size;
            at += n;
        }
    }
    return GN_OK;
}

gn_status replay_state_write_priorities(const replay_staged *staged,
                                        const replay_state_parts *parts, gn_blob *out)
{
    if (staged->priority)
        GN_TRY(write_runs(staged, parts, "priorities", staged->priority, sizeof *staged->priority,
                          out));
    if (staged->weight) {
        gn_blob_write(out, "unranked", &staged->unranked, sizeof staged->unranked);
        GN_TRY(write_runs(staged, parts, "weights", staged->weight, sizeof *staged->weight, out));
    }
    return GN_OK;
}

gn_status replay_state_encode(const replay_staged *staged, const replay_state_parts *parts,
                              const replay_writer *writer, gn_blob *out)
{
    const replay_layout *layout = parts->layout;
    replay_state_write_heads(staged, parts, writer, out);
    for (uint32_t i = 0; i < layout->streams; i++) {
        uint64_t first = staged->stream[i].sealed * layout->chunk;
        size_t n = staged->stream[i].head - first;
        if (n > 0)
            GN_TRY(replay_state_write_slots(parts, &staged->tail[i], first, n, out));
    }
    GN_TRY(replay_state_write_priorities(staged, parts, out));
    return gn_blob_status(out);
}

// Heads of the streams at a generation, GN_ERR_CORRUPT if it is damaged.  Shape: [streams].
static gn_status read_heads(const replay_layout *layout, replay_store *store, uint64_t generation,
                            replay_stream *ret_stream)
{
    void *bytes;
    gn_blob state = { 0 };
    GN_TRY(replay_store_get_generation(store, generation, &bytes, &state.size));
    state.data = bytes;
    gn_blob_read(&state, "streams", ret_stream, layout->streams * sizeof *ret_stream);
    gn_status status = gn_blob_status(&state);
    gn_free(&bytes);
    return status;
}

// The oldest generation that stays: the first sound one from `oldest` on, or the staged one. No run
// can go back to a damaged one, so it needs no chunks, and must not keep others from being
// committed.
static gn_status oldest_kept(const replay_staged *staged, const replay_layout *layout,
                             replay_store *store, replay_stream *ret_stream, bool *ret_staged)
{
    size_t count;
    uint64_t *there;
    GN_TRY(replay_store_generations(store, NULL, 0, &count));
    GN_TRY(gn_alloc(&there, count, sizeof *there));
    gn_status status = replay_store_generations(store, there, count, &count);
    *ret_staged = true;
    for (size_t i = 0; i < count && status == GN_OK && *ret_staged; i++) {
        if (there[i] < staged->oldest)
            continue;
        status = read_heads(layout, store, there[i], ret_stream);
        *ret_staged = status != GN_OK;
        if (status == GN_ERR_CORRUPT)
            status = GN_OK;
    }
    gn_free(&there);
    return status;
}

gn_status replay_state_first_chunks(const replay_staged *staged, const replay_layout *layout,
                                    replay_store *store, uint64_t *ret_first_chunk)
{
    replay_stream *stream;
    bool only_staged;
    GN_TRY(gn_alloc(&stream, layout->streams, sizeof *stream));
    gn_status status = oldest_kept(staged, layout, store, stream, &only_staged);
    for (uint32_t i = 0; i < layout->streams && status == GN_OK; i++)
        ret_first_chunk[i] = first_chunk(layout, only_staged ? &staged->stream[i] : &stream[i]);
    gn_free(&stream);
    return status;
}
