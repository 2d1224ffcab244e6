// Chunk coding: columns are copied out of the ring one after the other and compressed as one frame.

#include "replay/chunk.h"

#include <assert.h>
#include <string.h>

typedef struct chunk_header {
    uint64_t checksum; // of all bytes after it
    uint32_t magic, version, slots, record_size;
    uint64_t first_position;
} chunk_header;

_Static_assert(sizeof(chunk_header) == 32, "the header has no padding");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are stored as they are");

static const uint32_t MAGIC = 0x4b434e47; // "GNCK"
enum { VERSION = 1 };

size_t replay_chunk_scratch(size_t n, size_t record_size)
{
    return n * (sizeof(uint8_t) + sizeof(int32_t) + sizeof(float) + record_size);
}

size_t replay_chunk_bound(size_t n, size_t record_size)
{
    return sizeof(chunk_header) + gn_compress_bound(replay_chunk_scratch(n, record_size));
}

// Moves n elements between a ring, where they start at index `from`, and a plain array; returns the
// end of the array.
static unsigned char *copy_out(unsigned char *array, const void *column, size_t size, uint64_t ring,
                               uint64_t from, size_t n)
{
    size_t first = n < ring - from ? n : ring - from;
    memcpy(array, (const unsigned char *)column + from * size, first * size);
    memcpy(array + first * size, column, (n - first) * size);
    return array + n * size;
}

static const unsigned char *copy_in(const unsigned char *array, void *column, size_t size,
                                    uint64_t ring, uint64_t from, size_t n)
{
    size_t first = n < ring - from ? n : ring - from;
    memcpy((unsigned char *)column + from * size, array, first * size);
    memcpy(column, array + first * size, (n - first) * size);
    return array + n * size;
}

gn_status replay_chunk_encode(gn_compressor *compressor, const replay_columns *columns,
                              uint64_t ring, uint64_t from, size_t n, uint64_t first_position,
                              void *scratch, void *ret_bytes, size_t capacity, size_t *ret_size)
{
    assert(from < ring && n <= ring && n <= UINT32_MAX);
    if (capacity < replay_chunk_bound(n, columns->record_size))
        return gn_fail(GN_ERR_ARG, "chunk of %zu slots: %zu bytes are too few, must be %zu", n,
                       capacity, replay_chunk_bound(n, columns->record_size));
    unsigned char *end = scratch;
    end = copy_out(end, columns->flags, sizeof *columns->flags, ring, from, n);
    end = copy_out(end, columns->action, sizeof *columns->action, ring, from, n);
    end = copy_out(end, columns->reward, sizeof *columns->reward, ring, from, n);
    end = copy_out(end, columns->record, columns->record_size, ring, from, n);

    chunk_header header = { .magic = MAGIC,
                            .version = VERSION,
                            .slots = (uint32_t)n,
                            .record_size = (uint32_t)columns->record_size,
                            .first_position = first_position };
    unsigned char *out = ret_bytes;
    size_t frame_size;
    GN_TRY(gn_compress(compressor, scratch, (size_t)(end - (unsigned char *)scratch),
                       out + sizeof header, capacity - sizeof header, &frame_size));
    memcpy(out, &header, sizeof header);
    size_t covered = sizeof header - sizeof header.checksum + frame_size;
    header.checksum = gn_checksum(out + sizeof header.checksum, covered);
    memcpy(out, &header.checksum, sizeof header.checksum);
    *ret_size = sizeof header + frame_size;
    return GN_OK;
}

static gn_status check_header(const unsigned char *bytes, size_t size, size_t n, size_t record_size,
                              uint64_t first_position)
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
    return GN_OK;
}

gn_status replay_chunk_decode(gn_compressor *compressor, const void *bytes, size_t size,
                              replay_columns *columns, uint64_t ring, uint64_t from, size_t n,
                              uint64_t first_position, void *scratch)
{
    assert(from < ring && n <= ring);
    GN_TRY(check_header(bytes, size, n, columns->record_size, first_position));
    GN_TRY(gn_decompress(compressor, (const unsigned char *)bytes + sizeof(chunk_header),
                         size - sizeof(chunk_header), scratch,
                         replay_chunk_scratch(n, columns->record_size)));
    const unsigned char *at = scratch;
    at = copy_in(at, columns->flags, sizeof *columns->flags, ring, from, n);
    at = copy_in(at, columns->action, sizeof *columns->action, ring, from, n);
    at = copy_in(at, columns->reward, sizeof *columns->reward, ring, from, n);
    copy_in(at, columns->record, columns->record_size, ring, from, n);
    return GN_OK;
}
