// Frames as patches: a record is one of a few whole frames, and what has to be put over it.
//
//     coded record:  [frame u8][patch]...          patch: [skip u8][id u8 or u8 u8][literal]
//
// A patch skips so many bytes and puts a pattern of 1 to 7 bytes there. Patterns are numbered from
// 8 on, the most used ones first: below 192 in one byte, above in two, high byte first. Ids 1 to 7
// are a literal of so many bytes; 0 skips 256 times as far. Bytes between are the frame's.
//
// A book holds the frames and the patterns, learned from records of the run. Where records are more
// like their own row above than like other frames (charts, plots), a book codes what a row differs
// from the row above in (XOR); its frame is then all 0.
//
// Games and charts come out about as small as through zstd with a dictionary of whole frames, or
// smaller, and decode 2 to 4 times as fast: a patch costs a load, a mask and a store.
//
// Internal to replay/. Threads: a book never changes and is shared.

#ifndef REPLAY_PATCH_H
#define REPLAY_PATCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct patch_book patch_book;

// Most frames of a book, in bytes, and most patterns. No coded record begins with PATCH_NO_FRAME.
enum { PATCH_FRAMES_SIZE = 65536, PATCH_PATTERNS = 4096, PATCH_NO_FRAME = 255 };

// Learns a book from n records that lie one after another. Same records: same book. *ret_book is
// NULL if they are fewer than 32, larger than PATCH_FRAMES_SIZE or smaller than 64 bytes.
// Errors: GN_ERR_MEMORY.
gn_status patch_book_train(patch_book **ret_book, const unsigned char *record, size_t n,
                           size_t record_size);

// A book of bytes that patch_book_bytes gave (copied).
// Errors: GN_ERR_CORRUPT if they are none, GN_ERR_MEMORY.
gn_status patch_book_create(patch_book **ret_book, const void *bytes, size_t size);
void patch_book_destroy(patch_book **book);

// The bytes it is made of; valid as long as it lives.
const void *patch_book_bytes(const patch_book *book, size_t *ret_size);

// Whether bytes are meant to be a book.
int patch_book_is(const void *bytes, size_t size);

size_t patch_book_record_size(const patch_book *book);

// Codes a record; the bytes it takes, or 0 if they would be more than `capacity`.
// Shapes: record, scratch: [record_size]; ret_bytes: [capacity].
size_t patch_encode(const patch_book *book, const unsigned char *record, unsigned char *scratch,
                    unsigned char *ret_bytes, size_t capacity);

// Decodes a record. Reads nothing outside [size] bytes and writes nothing outside [record_size].
// What damage it does not notice gives other data: keep a checksum beside it.
// Errors: GN_ERR_CORRUPT; then ret_record may hold anything.
gn_status patch_decode(const patch_book *book, const unsigned char *bytes, size_t size,
                       unsigned char *ret_record);

#endif
