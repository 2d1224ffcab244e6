// zstd behind a few calls and one reusable context, plus the checksum used for everything on disk.
//
// Threads: one context per thread; a dictionary never changes and is shared.

#ifndef BASE_COMPRESS_H
#define BASE_COMPRESS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct gn_compressor gn_compressor;

// level: 1 (fast) to 19. Errors: GN_ERR_ARG, GN_ERR_MEMORY.
gn_status gn_compressor_create(gn_compressor **ret_compressor, int level);
void gn_compressor_destroy(gn_compressor **compressor);

// Largest size that `size` bytes can become.
size_t gn_compress_bound(size_t size);

// Compresses into [capacity] bytes; the frame carries the content size and a checksum.
// Same input, level and library version: same bytes.
// Errors: GN_ERR_ARG if capacity is below gn_compress_bound(size).
gn_status gn_compress(gn_compressor *compressor, const void *data, size_t size, void *ret_out,
                      size_t capacity, size_t *ret_size);

// Content size of a frame. Errors: GN_ERR_CORRUPT if it is none.
gn_status gn_decompressed_size(const void *frame, size_t frame_size, uint64_t *ret_size);

// Decompresses exactly `size` bytes. Errors: GN_ERR_CORRUPT if the frame is damaged or holds
// another size.
gn_status gn_decompress(gn_compressor *compressor, const void *frame, size_t frame_size,
                        void *ret_data, size_t size);

// Bytes as a compressed block of their own, and back. Release *ret_bytes and *ret_packed with
// gn_free. Errors of unpack: GN_ERR_CORRUPT if they are no such block or above 16 MB;
// GN_ERR_MEMORY.
gn_status gn_pack(const void *bytes, size_t size, void **ret_packed, size_t *ret_size);
gn_status gn_unpack(const void *packed, size_t packed_size, void **ret_bytes, size_t *ret_size);

// --- records: small frames, each decoded alone, alike enough for a dictionary to pay

typedef struct gn_dictionary gn_dictionary;

// A dictionary of these bytes (copied), as gn_dictionary_train gives them; frames made with it have
// this level. Errors: GN_ERR_ARG (the level), GN_ERR_CORRUPT if they are none, GN_ERR_MEMORY.
gn_status gn_dictionary_create(gn_dictionary **ret_dictionary, const void *bytes, size_t size,
                               int level);
void gn_dictionary_destroy(gn_dictionary **dictionary);

// The bytes it was made of; valid as long as it lives.
const void *gn_dictionary_bytes(const gn_dictionary *dictionary, size_t *ret_size);

// A dictionary holds at most this share of its samples: too little to pay by being tried on them.
enum { GN_DICTIONARY_SHARE = 32 };

// Trains a dictionary of at most `capacity` bytes on n samples that lie one after another, in about
// the time that compressing them takes. Same samples and library version: same bytes.
// Errors: GN_ERR_EMPTY if the samples are fewer than GN_DICTIONARY_SHARE, larger than capacity or
// no good for one; GN_ERR_MEMORY.
gn_status gn_dictionary_train(const void *samples, const size_t *sample_size, size_t n,
                              void *ret_bytes, size_t capacity, size_t *ret_size);

// Compresses into a frame without checksum. dictionary: NULL: none. *ret_size is 0 if the frame
// does not fit in [capacity] bytes. Allocates nothing once it has seen such a record. Errors:
// GN_ERR_BACKEND.
gn_status gn_compress_record(gn_compressor *compressor, const gn_dictionary *dictionary,
                             const void *data, size_t size, void *ret_out, size_t capacity,
                             size_t *ret_size);

// Decompresses exactly `size` bytes of a frame of gn_compress_record. What damage it does not
// notice gives other data: keep a checksum beside it. Errors: GN_ERR_CORRUPT.
gn_status gn_decompress_record(gn_compressor *compressor, const gn_dictionary *dictionary,
                               const void *frame, size_t frame_size, void *ret_data, size_t size);

// XXH3 (64 bits): checksum of records and files.
uint64_t gn_checksum(const void *data, size_t size);

// XXH3 (128 bits) of several blocks fed in order, as 32 hexadecimal digits: names of contents.
typedef struct gn_digest gn_digest;
gn_status gn_digest_create(gn_digest **ret_digest);
void gn_digest_destroy(gn_digest **digest);
void gn_digest_add(gn_digest *digest, const void *data, size_t size);
void gn_digest_text(const gn_digest *digest, char ret_text[33]);

#endif
