// zstd frames and XXH3 sums.

#include "base/compress.h"

#include <inttypes.h>
#include <stdio.h>
#include <xxhash.h>
#include <zstd.h>

#include "base/mem.h"

struct gn_compressor {
    ZSTD_CCtx *compressing;
    ZSTD_DCtx *decompressing;
};

struct gn_digest {
    XXH3_state_t *state;
};

gn_status gn_compressor_create(gn_compressor **ret_compressor, int level)
{
    if (level < 1 || level > 19)
        return gn_fail(GN_ERR_ARG, "compression level %d is outside [1, 19]", level);
    gn_compressor *compressor = NULL;
    GN_TRY(gn_alloc(&compressor, 1, sizeof *compressor));
    compressor->compressing = ZSTD_createCCtx();
    compressor->decompressing = ZSTD_createDCtx();
    if (compressor->compressing == NULL || compressor->decompressing == NULL) {
        gn_compressor_destroy(&compressor);
        return gn_fail(GN_ERR_MEMORY, "cannot allocate a zstd context");
    }
    ZSTD_CCtx_setParameter(compressor->compressing, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(compressor->compressing, ZSTD_c_checksumFlag, 1);
    *ret_compressor = compressor;
    return GN_OK;
}

void gn_compressor_destroy(gn_compressor **compressor)
{
    if (*compressor == NULL)
        return;
    ZSTD_freeCCtx((*compressor)->compressing);
    ZSTD_freeDCtx((*compressor)->decompressing);
    gn_free(compressor);
}

size_t gn_compress_bound(size_t size)
{
    return ZSTD_compressBound(size);
}

gn_status gn_compress(gn_compressor *compressor, const void *data, size_t size, void *ret_out,
                      size_t capacity, size_t *ret_size)
{
    if (capacity < gn_compress_bound(size))
        return gn_fail(GN_ERR_ARG, "compress: room for %zu bytes is below the bound %zu", capacity,
                       gn_compress_bound(size));
    size_t written = ZSTD_compress2(compressor->compressing, ret_out, capacity, data, size);
    if (ZSTD_isError(written))
        return gn_fail(GN_ERR_BACKEND, "zstd: %s", ZSTD_getErrorName(written));
    *ret_size = written;
    return GN_OK;
}

gn_status gn_decompressed_size(const void *frame, size_t frame_size, uint64_t *ret_size)
{
    unsigned long long size = ZSTD_getFrameContentSize(frame, frame_size);
    if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN)
        return gn_fail(GN_ERR_CORRUPT, "zstd: %zu bytes are not a frame of known size", frame_size);
    *ret_size = size;
    return GN_OK;
}

gn_status gn_decompress(gn_compressor *compressor, const void *frame, size_t frame_size,
                        void *ret_data, size_t size)
{
    uint64_t content = 0;
    GN_TRY(gn_decompressed_size(frame, frame_size, &content));
    if (content != size)
        return gn_fail(GN_ERR_CORRUPT, "zstd: the frame holds %" PRIu64 " bytes, not %zu", content,
                       size);
    // One frame exactly: zstd itself would go on into whatever follows.
    size_t used = ZSTD_findFrameCompressedSize(frame, frame_size);
    if (!ZSTD_isError(used) && used != frame_size)
        return gn_fail(GN_ERR_CORRUPT, "zstd: the frame has %zu bytes, not %zu", used, frame_size);
    size_t written =
        ZSTD_decompressDCtx(compressor->decompressing, ret_data, size, frame, frame_size);
    if (ZSTD_isError(written))
        return gn_fail(GN_ERR_CORRUPT, "zstd: %s", ZSTD_getErrorName(written));
    if (written != size)
        return gn_fail(GN_ERR_CORRUPT, "zstd: the frame gave %zu bytes, not %zu", written, size);
    return GN_OK;
}

uint64_t gn_checksum(const void *data, size_t size)
{
    return XXH3_64bits(data, size);
}

gn_status gn_digest_create(gn_digest **ret_digest)
{
    gn_digest *digest = NULL;
    GN_TRY(gn_alloc(&digest, 1, sizeof *digest));
    digest->state = XXH3_createState();
    if (digest->state == NULL) {
        gn_digest_destroy(&digest);
        return gn_fail(GN_ERR_MEMORY, "cannot allocate a digest");
    }
    XXH3_128bits_reset(digest->state);
    *ret_digest = digest;
    return GN_OK;
}

void gn_digest_destroy(gn_digest **digest)
{
    if (*digest == NULL)
        return;
    XXH3_freeState((*digest)->state);
    gn_free(digest);
}

void gn_digest_add(gn_digest *digest, const void *data, size_t size)
{
    XXH3_128bits_update(digest->state, data, size);
}

void gn_digest_text(const gn_digest *digest, char ret_text[33])
{
    XXH128_hash_t sum = XXH3_128bits_digest(digest->state);
    snprintf(ret_text, 33, "%016" PRIx64 "%016" PRIx64, sum.high64, sum.low64);
}
