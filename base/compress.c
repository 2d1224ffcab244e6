// zstd frames and XXH3 sums.
//
// Frames of records leave out the magic number, 4 of what is often less than 100 bytes, and do not
// compress literals. Both have no name in the part of zstd.h that is open by default, but are old,
// and only named here: no function is used that a shared library may lack.

#define XXH_INLINE_ALL // compiled for this machine: the library's is for any
#define ZSTD_STATIC_LINKING_ONLY // ZSTD_c_format, ZSTD_d_format, ZSTD_c_literalCompressionMode

#include "base/compress.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>
#include <zdict.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/mem.h"

struct gn_compressor {
    ZSTD_CCtx *compressing;
    ZSTD_DCtx *decompressing;
    ZSTD_CCtx *record_compressing;
    ZSTD_DCtx *record_decompressing;
};

struct gn_dictionary {
    unsigned char *bytes; // [size]
    size_t size;
    ZSTD_CDict *compressing;
    ZSTD_DDict *decompressing;
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
    compressor->record_compressing = ZSTD_createCCtx();
    compressor->record_decompressing = ZSTD_createDCtx();
    if (compressor->compressing == NULL || compressor->decompressing == NULL ||
        compressor->record_compressing == NULL || compressor->record_decompressing == NULL) {
        gn_compressor_destroy(&compressor);
        return gn_fail(GN_ERR_MEMORY, "cannot allocate a zstd context");
    }
    ZSTD_CCtx_setParameter(compressor->compressing, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(compressor->compressing, ZSTD_c_checksumFlag, 1);
    ZSTD_CCtx *record = compressor->record_compressing;
    ZSTD_CCtx_setParameter(record, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(record, ZSTD_c_checksumFlag, 0);
    ZSTD_CCtx_setParameter(record, ZSTD_c_dictIDFlag, 0);
    ZSTD_CCtx_setParameter(record, ZSTD_c_format, ZSTD_f_zstd1_magicless);
    // Literals as they are: 3 % more bytes of a game's frames, and 15 % less time to decode one.
    ZSTD_CCtx_setParameter(record, ZSTD_c_literalCompressionMode, ZSTD_ps_disable);
    ZSTD_DCtx_setParameter(compressor->record_decompressing, ZSTD_d_format, ZSTD_f_zstd1_magicless);
    *ret_compressor = compressor;
    return GN_OK;
}

void gn_compressor_destroy(gn_compressor **compressor)
{
    if (*compressor == NULL)
        return;
    ZSTD_freeCCtx((*compressor)->compressing);
    ZSTD_freeDCtx((*compressor)->decompressing);
    ZSTD_freeCCtx((*compressor)->record_compressing);
    ZSTD_freeDCtx((*compressor)->record_decompressing);
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

enum { PACK_LEVEL = 9, PACKED_MAX = 1 << 24 };

gn_status gn_pack(const void *bytes, size_t size, void **ret_packed, size_t *ret_size)
{
    size_t capacity = ZSTD_compressBound(size);
    unsigned char *out;
    GN_TRY(gn_alloc(&out, capacity, 1));
    size_t packed = ZSTD_compress(out, capacity, bytes, size, PACK_LEVEL);
    if (ZSTD_isError(packed)) {
        gn_free(&out);
        return gn_fail(GN_ERR_BACKEND, "zstd: %s", ZSTD_getErrorName(packed));
    }
    *ret_packed = out;
    *ret_size = packed;
    return GN_OK;
}

gn_status gn_unpack(const void *packed, size_t packed_size, void **ret_bytes, size_t *ret_size)
{
    uint64_t whole = 0;
    unsigned char *out;
    GN_TRY(gn_decompressed_size(packed, packed_size, &whole));
    if (whole == 0 || whole > PACKED_MAX)
        return gn_fail(GN_ERR_CORRUPT, "zstd: a block of %" PRIu64 " bytes: must be 1 to %d", whole,
                       PACKED_MAX);
    GN_TRY(gn_alloc(&out, whole, 1));
    size_t found = ZSTD_decompress(out, whole, packed, packed_size);
    if (ZSTD_isError(found) || found != whole) {
        gn_free(&out);
        return gn_fail(GN_ERR_CORRUPT, "zstd: the block does not decompress");
    }
    *ret_bytes = out;
    *ret_size = whole;
    return GN_OK;
}

gn_status gn_dictionary_create(gn_dictionary **ret_dictionary, const void *bytes, size_t size,
                               int level)
{
    if (level < 1 || level > 19)
        return gn_fail(GN_ERR_ARG, "compression level %d is outside [1, 19]", level);
    if (size == 0 || ZDICT_getDictID(bytes, size) == 0)
        return gn_fail(GN_ERR_CORRUPT, "dictionary: %zu bytes are none", size);
    gn_dictionary *dictionary = NULL;
    GN_TRY(gn_alloc(&dictionary, 1, sizeof *dictionary));
    dictionary->size = size;
    gn_status status = gn_alloc(&dictionary->bytes, size, 1);
    if (status == GN_OK) {
        memcpy(dictionary->bytes, bytes, size);
        dictionary->compressing = ZSTD_createCDict(bytes, size, level);
        dictionary->decompressing = ZSTD_createDDict(bytes, size);
        if (dictionary->compressing == NULL || dictionary->decompressing == NULL)
            status = gn_fail(GN_ERR_CORRUPT, "dictionary: %zu bytes are damaged", size);
    }
    if (status != GN_OK)
        gn_dictionary_destroy(&dictionary);
    else
        *ret_dictionary = dictionary;
    return status;
}

void gn_dictionary_destroy(gn_dictionary **dictionary)
{
    if (*dictionary == NULL)
        return;
    ZSTD_freeCDict((*dictionary)->compressing);
    ZSTD_freeDDict((*dictionary)->decompressing);
    gn_free(&(*dictionary)->bytes);
    gn_free(dictionary);
}

const void *gn_dictionary_bytes(const gn_dictionary *dictionary, size_t *ret_size)
{
    *ret_size = dictionary->size;
    return dictionary->bytes;
}

// Whole samples, evenly picked, are the content; zstd adds the entropy tables. Bytes a frame at
// level 3 with 64 kB from the first 1024 frames of a file, on its frames 4000 to 6047:
//                                       Pong  Breakout  MsPacman
//     whole frames                       101        73       210
//     ZDICT_trainFromBuffer              181       289       278
//     ZDICT fastCover, k = 2000, d = 8   102       106       267
// The trainers take 2 to 10 times as long. Other segment lengths than 200 (worse) and 2000 were not
// tried, nor other data; picking the frames that compress worst was better on Pong, worse on both
// others.
gn_status gn_dictionary_train(const void *samples, const size_t *sample_size, size_t n,
                              void *ret_bytes, size_t capacity, size_t *ret_size)
{
    enum { TABLES = 512 }; // more than they take
    size_t total = 0, room = capacity > TABLES ? capacity - TABLES : 0;
    for (size_t i = 0; i < n; i++)
        total += sample_size[i];
    size_t most = n == 0 || total == 0 ? 0 : room / ((total - 1) / n + 1);
    size_t picks = n / GN_DICTIONARY_SHARE < most ? n / GN_DICTIONARY_SHARE : most;
    if (picks == 0 || n > UINT_MAX)
        return gn_fail(GN_ERR_EMPTY, "dictionary: %zu samples of %zu bytes give none of %zu bytes",
                       n, total, capacity);
    unsigned char *content = NULL;
    GN_TRY(gn_alloc(&content, room, 1));
    size_t used = 0, at = 0, picked = 0;
    for (size_t i = 0; i < n && picked < picks; at += sample_size[i], i++)
        if (i == (2 * picked + 1) * n / (2 * picks)) {
            picked++;
            if (sample_size[i] <= room - used) {
                memcpy(content + used, (const unsigned char *)samples + at, sample_size[i]);
                used += sample_size[i];
            }
        }
    ZDICT_params_t parameters = { .compressionLevel = 3 }; // that the tables are made for
    size_t size = ZDICT_finalizeDictionary(ret_bytes, capacity, content, used, samples, sample_size,
                                           (unsigned)n, parameters);
    gn_free(&content);
    if (ZDICT_isError(size))
        return gn_fail(GN_ERR_EMPTY, "dictionary: %zu samples of %zu bytes give none: %s", n, total,
                       ZDICT_getErrorName(size));
    *ret_size = size;
    return GN_OK;
}

gn_status gn_compress_record(gn_compressor *compressor, const gn_dictionary *dictionary,
                             const void *data, size_t size, void *ret_out, size_t capacity,
                             size_t *ret_size)
{
    ZSTD_CCtx *context = compressor->record_compressing;
    ZSTD_CCtx_refCDict(context, dictionary ? dictionary->compressing : NULL);
    size_t written = ZSTD_compress2(context, ret_out, capacity, data, size);
    if (ZSTD_isError(written)) {
        if (ZSTD_getErrorCode(written) != ZSTD_error_dstSize_tooSmall)
            return gn_fail(GN_ERR_BACKEND, "zstd: %s", ZSTD_getErrorName(written));
        ZSTD_CCtx_reset(context, ZSTD_reset_session_only);
        written = 0;
    }
    *ret_size = written;
    return GN_OK;
}

gn_status gn_decompress_record(gn_compressor *compressor, const gn_dictionary *dictionary,
                               const void *frame, size_t frame_size, void *ret_data, size_t size)
{
    ZSTD_DCtx *context = compressor->record_decompressing;
    size_t written = dictionary ? ZSTD_decompress_usingDDict(context, ret_data, size, frame,
                                                             frame_size, dictionary->decompressing)
                                : ZSTD_decompressDCtx(context, ret_data, size, frame, frame_size);
    if (ZSTD_isError(written))
        return gn_fail(GN_ERR_CORRUPT, "zstd: %s", ZSTD_getErrorName(written));
    if (written != size || frame_size == 0)
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
