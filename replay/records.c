#include "replay/records.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

// A chunk of packed records; the table is a ring of the last chunks of each stream.
typedef struct chunk_entry {
    uint64_t number; // of the chunk, from 1; 0: none
    replay_job *raw; // until it is where it stays
    const replay_model *model;
    uint32_t model_id;
    uint64_t offset; // of the body in the file
    unsigned char *body; // RAM only: ours
    size_t body_size;
} chunk_entry;

struct replay_records {
    replay_layout layout;
    replay_writer *writer;
    unsigned char *mirror; // [streams, ring, record_size]; NULL: packed
    size_t entries;
    chunk_entry *entry; // [streams, entries]
    replay_place *place; // [streams, entries, chunk]
    uint64_t bodies; // bytes of bodies in RAM
};

gn_status replay_records_create(replay_records **ret_records, const replay_layout *layout,
                                replay_writer *writer)
{
    replay_records *records;
    GN_TRY(gn_alloc(&records, 1, sizeof *records));
    records->layout = *layout;
    records->writer = writer;
    records->entries = replay_layout_entries(layout);
    gn_status status = GN_OK;
    size_t chunks = layout->streams * records->entries;
    if (!layout->packed) {
        status =
            gn_alloc(&records->mirror, layout->streams * layout->capacity, layout->record_size);
    } else {
        status = gn_alloc(&records->entry, chunks, sizeof *records->entry);
        if (status == GN_OK)
            status = gn_alloc(&records->place, chunks * layout->chunk, sizeof *records->place);
    }
    if (status != GN_OK) {
        replay_records_destroy(&records);
        return status;
    }
    *ret_records = records;
    return GN_OK;
}

void replay_records_destroy(replay_records **records)
{
    if (!*records)
        return;
    if ((*records)->entry)
        replay_records_clear(*records);
    gn_free(&(*records)->mirror);
    gn_free(&(*records)->entry);
    gn_free(&(*records)->place);
    gn_free(records);
}

static chunk_entry *entry_of(const replay_records *records, uint32_t stream, uint64_t chunk)
{
    return &records->entry[stream * records->entries + chunk % records->entries];
}

static replay_place *places_of(const replay_records *records, const chunk_entry *entry)
{
    return records->place + (size_t)(entry - records->entry) * records->layout.chunk;
}

// Empties an entry for another chunk.
static void reset_entry(replay_records *records, chunk_entry *entry, uint64_t chunk)
{
    records->bodies -= entry->body_size;
    gn_free(&entry->body);
    *entry = (chunk_entry){ .number = chunk + 1 };
}

bool replay_records_ready(const replay_records *records, uint32_t stream, uint64_t position)
{
    uint64_t chunk = position / records->layout.chunk;
    return entry_of(records, stream, chunk)->number == chunk + 1;
}

void replay_records_open(replay_records *records, uint32_t stream, uint64_t position,
                         replay_job *job)
{
    uint64_t chunk = position / records->layout.chunk;
    chunk_entry *entry = entry_of(records, stream, chunk);
    reset_entry(records, entry, chunk);
    entry->raw = job;
    job->stream = stream;
    job->chunk = chunk;
}

replay_job *replay_records_raw(const replay_records *records, uint32_t stream, uint64_t chunk)
{
    chunk_entry *entry = entry_of(records, stream, chunk);
    assert(entry->number == chunk + 1 && entry->raw);
    return entry->raw;
}

static unsigned char *mirrored(const replay_records *records, uint32_t stream, uint64_t position)
{
    const replay_layout *layout = &records->layout;
    return records->mirror +
           (stream * layout->capacity + position % layout->capacity) * layout->record_size;
}

// Asks for the lines of the next record: of a ring larger than the caches they come from memory,
// and writing to them would wait. After a few lines the processor sees the pattern itself.
static void ask_for(const unsigned char *record, size_t size)
{
    enum { LINE = 64, LINES = 8 };
    for (size_t at = 0; at < size && at < LINES * LINE; at += LINE)
        __builtin_prefetch(record + at, 1);
}

unsigned char *replay_records_place(replay_records *records, uint32_t stream, uint64_t position)
{
    const replay_layout *layout = &records->layout;
    if (records->mirror) {
        ask_for(mirrored(records, stream, position + 1), layout->record_size);
        return mirrored(records, stream, position);
    }
    replay_job *raw = replay_records_raw(records, stream, position / layout->chunk);
    return raw->columns.record + position % layout->chunk * layout->record_size;
}

const unsigned char *replay_records_at(const replay_records *records, uint32_t stream,
                                       uint64_t position)
{
    const replay_layout *layout = &records->layout;
    if (records->mirror)
        return mirrored(records, stream, position);
    const chunk_entry *entry = entry_of(records, stream, position / layout->chunk);
    assert(entry->number == position / layout->chunk + 1);
    return entry->raw ? entry->raw->columns.record + position % layout->chunk * layout->record_size
                      : NULL;
}

void replay_records_lend(const replay_records *records, replay_job *job)
{
    const replay_layout *layout = &records->layout;
    uint64_t first = job->chunk * layout->chunk;
    uint64_t left = layout->capacity - first % layout->capacity;
    job->pieces[0] = left < layout->chunk ? (uint32_t)left : layout->chunk;
    job->pieces[1] = layout->chunk - job->pieces[0];
    job->record[0] = mirrored(records, job->stream, first);
    job->record[1] = mirrored(records, job->stream, first + job->pieces[0]);
}

void replay_records_copy(const replay_records *records, uint32_t stream, uint64_t position,
                         size_t n, unsigned char *ret_records)
{
    uint64_t ring = records->layout.capacity, left = ring - position % ring;
    size_t size = records->layout.record_size, first = n < left ? n : left;
    memcpy(ret_records, replay_records_at(records, stream, position), first * size);
    if (first < n)
        memcpy(ret_records + first * size, replay_records_at(records, stream, position + first),
               (n - first) * size);
}

void replay_records_settle(replay_records *records, replay_job *job)
{
    chunk_entry *entry = entry_of(records, job->stream, job->chunk);
    if (records->mirror || entry->raw != job)
        return; // not packed, or evicted meanwhile
    replay_place *place = places_of(records, entry);
    for (uint32_t i = 0; i < records->layout.chunk; i++)
        place[i] = job->columns.place[i];
    entry->raw = NULL;
    entry->model = job->model;
    entry->model_id = job->model_id;
    entry->offset = job->offset;
    entry->body = job->body;
    entry->body_size = job->body ? job->body_size : 0;
    records->bodies += entry->body_size;
    job->body = NULL;
}

replay_place *replay_records_adopt(replay_records *records, uint32_t stream, uint64_t chunk,
                                   const replay_chunk_about *about, const replay_model *model,
                                   uint64_t offset, unsigned char *body)
{
    chunk_entry *entry = entry_of(records, stream, chunk);
    reset_entry(records, entry, chunk);
    entry->model = model;
    entry->model_id = about->model;
    entry->offset = offset;
    entry->body = body;
    entry->body_size = body ? about->body_size : 0;
    records->bodies += entry->body_size;
    return places_of(records, entry);
}

replay_read replay_records_read(const replay_records *records, uint32_t stream, uint64_t position,
                                size_t n)
{
    const replay_layout *layout = &records->layout;
    uint64_t chunk = position / layout->chunk;
    const chunk_entry *entry = entry_of(records, stream, chunk);
    assert(entry->number == chunk + 1 && !entry->raw);
    __builtin_prefetch(places_of(records, entry) + position % layout->chunk);
    return (replay_read){ .place = places_of(records, entry),
                          .model = entry->model,
                          .body = entry->body,
                          .offset = entry->offset,
                          .index = (uint32_t)(position % layout->chunk),
                          .count = (uint32_t)n,
                          .item = position * layout->streams + stream };
}

const replay_place *replay_records_chunk(const replay_records *records, uint32_t stream,
                                         uint64_t chunk, replay_chunk_about *ret_about,
                                         const unsigned char **ret_body)
{
    const chunk_entry *entry = entry_of(records, stream, chunk);
    ret_about->first_position = chunk * records->layout.chunk;
    ret_about->model = entry->model_id;
    ret_about->body_size = (uint32_t)entry->body_size;
    *ret_body = entry->body;
    return places_of(records, entry);
}

void replay_records_clear(replay_records *records)
{
    for (size_t i = 0; records->entry && i < records->layout.streams * records->entries; i++) {
        reset_entry(records, &records->entry[i], 0);
        records->entry[i].number = 0;
    }
}

uint64_t replay_records_ram(const replay_records *records)
{
    const replay_layout *layout = &records->layout;
    if (records->mirror)
        return layout->streams * layout->capacity * layout->record_size;
    uint64_t chunks = layout->streams * records->entries;
    return records->bodies +
           chunks * (sizeof *records->entry + layout->chunk * sizeof *records->place);
}
