// zstd behind two calls and one reusable context, plus the checksum used for everything on disk.
//
// Threads: one context per thread.

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

// XXH3 (64 bits): checksum of records and files.
uint64_t gn_checksum(const void *data, size_t size);

// XXH3 (128 bits) of several blocks fed in order, as 32 hexadecimal digits: names of contents.
typedef struct gn_digest gn_digest;
gn_status gn_digest_create(gn_digest **ret_digest);
void gn_digest_destroy(gn_digest **digest);
void gn_digest_add(gn_digest *digest, const void *data, size_t size);
void gn_digest_text(const gn_digest *digest, char ret_text[33]);

#endif
