// Records one by one: as patches, or through zstd, with or without a dictionary, or as difference
// to a key record.

#include "replay/codec.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

struct replay_coder {
    gn_compressor *compressor;
    unsigned char *scratch; // [record_size]: encoding: the difference; decoding: a key record
    unsigned char *other; // [record_size]: a record coded another way
    size_t record_size;
    replay_codec_kind kind;
};

const char *const replay_codec_names[] = { "auto",      "ram",   "none",  "zstd",
                                           "zstd-dict", "delta", "patch", NULL };

const char *replay_codec_name(uint32_t kind)
{
    enum { UNPACKED = 2 }; // auto, ram
    return kind <= REPLAY_CODEC_PATCH ? replay_codec_names[UNPACKED + kind] : NULL;
}

gn_status replay_coder_create(replay_coder **ret_coder, replay_codec_kind kind, int level,
                              size_t record_size)
{
    if (record_size == 0 || record_size > UINT32_MAX)
        return gn_fail(GN_ERR_ARG, "replay codec: record size %zu is outside [1, %u]", record_size,
                       UINT32_MAX);
    replay_coder *coder = NULL;
    GN_TRY(gn_alloc(&coder, 1, sizeof *coder));
    coder->kind = kind;
    coder->record_size = record_size;
    gn_status status = gn_compressor_create(&coder->compressor, level);
    if (status == GN_OK)
        status = gn_alloc(&coder->scratch, record_size, 1);
    if (status == GN_OK)
        status = gn_alloc(&coder->other, record_size, 1);
    if (status != GN_OK)
        replay_coder_destroy(&coder);
    else
        *ret_coder = coder;
    return status;
}

void replay_coder_destroy(replay_coder **coder)
{
    if (*coder == NULL)
        return;
    gn_compressor_destroy(&(*coder)->compressor);
    gn_free(&(*coder)->scratch);
    gn_free(&(*coder)->other);
    gn_free(coder);
}

size_t replay_coder_bound(const replay_coder *coder, size_t n)
{
    return n * coder->record_size;
}

static void xor_records(unsigned char *restrict record, const unsigned char *restrict key,
                        size_t size)
{
    for (size_t i = 0; i < size; i++)
        record[i] ^= key[i];
}

static uint32_t check_of(const unsigned char *bytes, size_t size)
{
    return (uint32_t)gn_checksum(bytes, size);
}

// --- encoding

// As patches, or without the book where there is too much to patch. *ret_size: 0 if it does not
// pay.
static gn_status encode_patches(replay_coder *coder, const patch_book *book,
                                const unsigned char *record, unsigned char *ret_bytes,
                                size_t *ret_size)
{
    enum { MUCH = 16 }; // part of a record
    size_t size = coder->record_size, written = 0;
    size_t patched = patch_encode(book, record, coder->scratch, ret_bytes, size - 1);
    *ret_size = patched;
    if (patched > 0 && patched <= size / MUCH)
        return GN_OK;
    GN_TRY(gn_compress_record(coder->compressor, NULL, record, size, coder->other,
                              (patched > 0 ? patched : size) - 2, &written));
    if (written == 0)
        return GN_OK;
    ret_bytes[0] = PATCH_NO_FRAME;
    memcpy(ret_bytes + 1, coder->other, written);
    *ret_size = 1 + written;
    return GN_OK;
}

// Encodes one record, or what it differs from `key` in, into [record_size] bytes. *back becomes 0
// where the difference does not pay: the record is stored as it is.
static gn_status encode_record(replay_coder *coder, const replay_model *model,
                               const unsigned char *record, const unsigned char *key,
                               unsigned char *ret_bytes, size_t *ret_size, uint32_t *back)
{
    size_t size = coder->record_size, written = 0;
    const unsigned char *data = record;
    if (*back > 0) {
        memcpy(coder->scratch, record, size);
        xor_records(coder->scratch, key, size);
        data = coder->scratch;
    }
    if (model && model->book)
        GN_TRY(encode_patches(coder, model->book, record, ret_bytes, &written));
    else if (coder->kind != REPLAY_CODEC_NONE)
        GN_TRY(gn_compress_record(coder->compressor, model ? model->dictionary : NULL, data, size,
                                  ret_bytes, size - 1, &written));
    if (written == 0) {
        memcpy(ret_bytes, record, size);
        written = size;
        *back = 0;
    }
    *ret_size = written;
    return GN_OK;
}

static bool takes_model(const replay_coder *coder, const replay_model *model)
{
    if (model->book)
        return coder->kind == REPLAY_CODEC_PATCH &&
               patch_book_record_size(model->book) == coder->record_size;
    return coder->kind == REPLAY_CODEC_ZSTD_DICT || coder->kind == REPLAY_CODEC_DELTA ||
           coder->kind == REPLAY_CODEC_PATCH;
}

gn_status replay_coder_encode(replay_coder *coder, const replay_model *model,
                              const unsigned char *record, const uint8_t *starts, size_t n,
                              unsigned char *ret_body, size_t capacity, replay_place *ret_place,
                              size_t *ret_size)
{
    size_t size = coder->record_size;
    if (n > UINT32_MAX / size || capacity < n * size)
        return gn_fail(GN_ERR_ARG,
                       "replay codec: %zu records of %zu bytes: no room in %zu bytes or 4 GiB", n,
                       size, capacity);
    if (model && !takes_model(coder, model))
        return gn_fail(GN_ERR_ARG,
                       "replay codec: kind %d of %zu bytes a record takes no such model",
                       (int)coder->kind, size);
    size_t used = 0, key = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t back = 0;
        if (coder->kind == REPLAY_CODEC_DELTA) {
            if (i - key == REPLAY_KEY_DISTANCE || (starts && starts[i]))
                key = i;
            back = (uint32_t)(i - key);
        }
        size_t written = 0;
        GN_TRY(encode_record(coder, model, record + i * size, record + key * size, ret_body + used,
                             &written, &back));
        ret_place[i] = (replay_place){
            .end = (uint32_t)(used + written),
            .check = check_of(ret_body + used, written),
            .back = back,
        };
        used += written;
    }
    *ret_size = used;
    return GN_OK;
}

// --- decoding

static size_t begin_of(const replay_place *place, size_t i)
{
    return i > 0 ? place[i - 1].end : 0;
}

// The bytes of record i, checked and decoded: the record itself, or its difference to its key.
static gn_status decode_bytes(replay_coder *coder, const replay_model *model,
                              const replay_place *place, size_t i, const unsigned char *bytes,
                              size_t from, size_t to, unsigned char *ret_record)
{
    size_t begin = begin_of(place, i), end = place[i].end;
    if (begin < from || end > to || end <= begin || end - begin > coder->record_size)
        return gn_fail(GN_ERR_CORRUPT, "replay record %zu of its chunk: lies at [%zu, %zu) of %zu",
                       i, begin, end, to);
    const unsigned char *encoded = bytes + (begin - from);
    size_t size = end - begin;
    if (check_of(encoded, size) != place[i].check)
        return gn_fail(GN_ERR_CORRUPT, "replay record %zu of its chunk: %zu bytes do not match %s",
                       i, size, "their check");
    if (size == coder->record_size) {
        memcpy(ret_record, encoded, size);
        return GN_OK;
    }
    if (coder->kind == REPLAY_CODEC_NONE)
        return gn_fail(GN_ERR_CORRUPT, "replay record %zu of its chunk: has %zu bytes, not %zu", i,
                       size, coder->record_size);
    const gn_dictionary *dictionary = model ? model->dictionary : NULL;
    if (model && model->book) {
        if (patch_book_record_size(model->book) != coder->record_size)
            return gn_fail(GN_ERR_CORRUPT, "replay record %zu of its chunk: the book is another",
                           i);
        if (encoded[0] != PATCH_NO_FRAME)
            return patch_decode(model->book, encoded, size, ret_record);
        encoded++;
        size--;
    }
    return gn_decompress_record(coder->compressor, dictionary, encoded, size, ret_record,
                                coder->record_size);
}

gn_status replay_coder_decode(replay_coder *coder, const replay_model *model,
                              const replay_place *place, size_t i, const unsigned char *bytes,
                              size_t from, size_t to, unsigned char *ret_record)
{
    return replay_coder_decode_run(coder, model, place, i, 1, bytes, from, to, ret_record);
}

gn_status replay_coder_decode_run(replay_coder *coder, const replay_model *model,
                                  const replay_place *place, size_t i, size_t n,
                                  const unsigned char *bytes, size_t from, size_t to,
                                  unsigned char *ret_records)
{
    size_t size = coder->record_size, held = SIZE_MAX; // held: the key record in scratch
    for (size_t at = i; at < i + n; at++) {
        unsigned char *record = ret_records + (at - i) * size;
        GN_TRY(decode_bytes(coder, model, place, at, bytes, from, to, record));
        if (place[at].back == 0)
            continue;
        size_t key = at - place[at].back;
        if (coder->kind != REPLAY_CODEC_DELTA || place[at].back > at || place[key].back != 0)
            return gn_fail(GN_ERR_CORRUPT,
                           "replay record %zu of its chunk: no key record %u before it", at,
                           place[at].back);
        const unsigned char *key_record = coder->scratch;
        if (key >= i) {
            key_record = ret_records + (key - i) * size;
        } else if (key != held) {
            GN_TRY(decode_bytes(coder, model, place, key, bytes, from, to, coder->scratch));
            held = key;
        }
        xor_records(record, key_record, size);
    }
    return GN_OK;
}

void replay_coder_need(replay_codec_kind kind, const replay_place *place, size_t i, size_t n,
                       size_t *ret_from, size_t *ret_to)
{
    assert(n > 0);
    size_t first = i;
    for (size_t at = i; at < i + n && kind == REPLAY_CODEC_DELTA; at++)
        if (place[at].back <= at && at - place[at].back < first)
            first = at - place[at].back;
    *ret_from = begin_of(place, first);
    *ret_to = place[i + n - 1].end;
}

bool replay_places_fit(const replay_place *place, size_t n, size_t size)
{
    for (size_t i = 0; i < n; i++) {
        if (place[i].end <= begin_of(place, i))
            return false;
        if (place[i].back > i || place[i].back >= REPLAY_KEY_DISTANCE ||
            place[i - place[i].back].back != 0)
            return false;
    }
    return begin_of(place, n) == size;
}
