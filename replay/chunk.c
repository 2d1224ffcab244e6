// Chunk coding: the columns of steps are put one after the other and compressed as one frame,
// records are compressed from where they lie.

#include "replay/chunk.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

typedef struct chunk_header {
    uint64_t checksum; // of all bytes after it
    uint32_t magic, version, slots, record_size;
    uint64_t first_position, contents;
    uint32_t model, body_size, steps_size, unused;
} chunk_header;

_Static_assert(sizeof(chunk_header) == 56, "the header has no padding");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are stored as they are");

static const uint32_t MAGIC = 0x4b434e47; // "GNCK"
enum { VERSION = 3 };

gn_status replay_columns_create(replay_columns *columns, size_t n, size_t record_size, bool records,
                                bool places)
{
    columns->record_size = record_size;
    gn_status status = gn_alloc(&columns->flags, n, sizeof *columns->flags);
    if (status == GN_OK)
        status = gn_alloc(&columns->action, n, sizeof *columns->action);
    if (status == GN_OK)
        status = gn_alloc(&columns->reward, n, sizeof *columns->reward);
    if (status == GN_OK && records)
        status = gn_alloc(&columns->record, n, record_size);
    if (status == GN_OK && places)
        status = gn_alloc(&columns->place, n, sizeof *columns->place);
    return status;
}

void replay_columns_free(replay_columns *columns)
{
    gn_free(&columns->flags);
    gn_free(&columns->action);
    gn_free(&columns->reward);
    gn_free(&columns->record);
    gn_free(&columns->place);
}

uint64_t replay_chunk_contents(const replay_columns *columns, size_t n)
{
    const uint64_t sums[] = { gn_checksum(columns->flags, n * sizeof *columns->flags),
                              gn_checksum(columns->action, n * sizeof *columns->action),
                              gn_checksum(columns->reward, n * sizeof *columns->reward),
                              gn_checksum(columns->record, n * columns->record_size) };
    return gn_checksum(sums, sizeof sums);
}

size_t replay_chunk_scratch(size_t n, bool packed)
{
    return n * (sizeof(uint8_t) + sizeof(int32_t) + sizeof(float) +
                (packed ? sizeof(replay_place) : 0));
}

size_t replay_chunk_bound(size_t n, size_t record_size, bool packed)
{
    return sizeof(chunk_header) + gn_compress_bound(replay_chunk_scratch(n, packed)) +
           (packed ? 0 : gn_compress_bound(n * record_size));
}

static unsigned char *append(unsigned char *end, const void *column, size_t size)
{
    memcpy(end, column, size);
    return end + size;
}

static const unsigned char *take(const unsigned char *at, void *column, size_t size)
{
    memcpy(column, at, size);
    return at + size;
}

gn_status replay_chunk_encode(gn_compressor *compressor, const replay_columns *columns, size_t n,
                              const replay_chunk_about *about, void *scratch, void *ret_bytes,
                              size_t capacity, size_t *ret_size)
{
    bool packed = columns->place != NULL;
    assert(n <= UINT32_MAX);
    if (capacity < replay_chunk_bound(n, columns->record_size, packed))
        return gn_fail(GN_ERR_ARG, "chunk of %zu slots: %zu bytes are too few, must be %zu", n,
                       capacity, replay_chunk_bound(n, columns->record_size, packed));
    unsigned char *end = scratch, *out = ret_bytes;
    end = append(end, columns->flags, n * sizeof *columns->flags);
    end = append(end, columns->action, n * sizeof *columns->action);
    end = append(end, columns->reward, n * sizeof *columns->reward);
    if (packed)
        end = append(end, columns->place, n * sizeof *columns->place);
    size_t steps_size, size = sizeof(chunk_header), records_size = 0;
    GN_TRY(gn_compress(compressor, scratch, (size_t)(end - (unsigned char *)scratch), out + size,
                       capacity - size, &steps_size));
    size += steps_size;
    if (!packed)
        GN_TRY(gn_compress_record(compressor, NULL, columns->record, n * columns->record_size,
                                  out + size, capacity - size, &records_size));
    size += records_size;

    chunk_header header = { .magic = MAGIC,
                            .version = VERSION,
                            .slots = (uint32_t)n,
                            .record_size = (uint32_t)columns->record_size,
                            .first_position = about->first_position,
                            .contents = about->contents,
                            .model = about->model,
                            .body_size = about->body_size,
                            .steps_size = (uint32_t)steps_size };
    memcpy(out, &header, sizeof header);
    size_t skip = sizeof header.checksum;
    header.checksum = gn_checksum(out + skip, size - skip);
    memcpy(out, &header.checksum, sizeof header.checksum);
    *ret_size = size;
    return GN_OK;
}

static gn_status read_header(chunk_header *ret_header, const unsigned char *bytes, size_t size,
                             size_t n, size_t record_size, uint64_t first_position)
{
    unsigned long long position = first_position;
    chunk_header header;
    if (size < sizeof header)
        return gn_fail(GN_ERR_CORRUPT, "chunk at position %llu: %zu bytes are no chunk", position,
                       size);
    memcpy(&header, bytes, sizeof header);
    size_t skip = sizeof header.checksum;
    if (header.checksum != gn_checksum(bytes + skip, size - skip))
        return gn_fail(GN_ERR_CORRUPT, "chunk at position %llu: checksum does not match", position);
    if (header.magic != MAGIC || header.version != VERSION)
        return gn_fail(GN_ERR_CORRUPT, "chunk at position %llu: no chunk of version %d", position,
                       VERSION);
    if (header.slots != n || header.record_size != record_size ||
        header.first_position != first_position)
        return gn_fail(GN_ERR_CORRUPT,
                       "chunk at position %llu: holds %u records of %u bytes from position %llu, "
                       "not %zu of %zu",
                       position, header.slots, header.record_size,
                       (unsigned long long)header.first_position, n, record_size);
    if (header.steps_size > size - sizeof header)
        return gn_fail(GN_ERR_CORRUPT, "chunk at position %llu: steps of %u bytes do not fit",
                       position, header.steps_size);
    *ret_header = header;
    return GN_OK;
}

gn_status replay_chunk_decode(gn_compressor *compressor, const void *bytes, size_t size, size_t n,
                              uint64_t first_position, void *scratch, replay_columns *columns,
                              replay_chunk_about *ret_about)
{
    bool packed = columns->place != NULL;
    chunk_header header = { 0 };
    GN_TRY(read_header(&header, bytes, size, n, columns->record_size, first_position));
    const unsigned char *steps = (const unsigned char *)bytes + sizeof header, *at = scratch;
    size_t records_size = size - sizeof header - header.steps_size;
    GN_TRY(gn_decompress(compressor, steps, header.steps_size, scratch,
                         replay_chunk_scratch(n, packed)));
    if (!packed)
        GN_TRY(gn_decompress_record(compressor, NULL, steps + header.steps_size, records_size,
                                    columns->record, n * columns->record_size));
    at = take(at, columns->flags, n * sizeof *columns->flags);
    at = take(at, columns->action, n * sizeof *columns->action);
    at = take(at, columns->reward, n * sizeof *columns->reward);
    if (packed)
        take(at, columns->place, n * sizeof *columns->place);
    *ret_about = (replay_chunk_about){ .first_position = first_position,
                                       .contents = header.contents,
                                       .model = header.model,
                                       .body_size = header.body_size };
    if (packed && !replay_places_fit(columns->place, n, header.body_size))
        return gn_fail(GN_ERR_CORRUPT, "chunk at position %llu: places of records do not fit",
                       (unsigned long long)first_position);
    return GN_OK;
}
