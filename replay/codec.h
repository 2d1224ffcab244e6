// Records of a chunk as bytes and back, each record encoded alone, so that any one of them is
// decoded without the others.
//
//     body:  | record 0 | record 1 | ... | record n-1 |      place[i]: where record i ends, its
//     check
//
// A record as large as record_size is stored as it is; a smaller one is a zstd frame, or where the
// model is a book of patches (replay/patch.h), those, or PATCH_NO_FRAME and a zstd frame. Places
// are not protected here: whoever stores them covers them with a checksum.
//
// Threads: one coder per thread; models are shared.

#ifndef REPLAY_CODEC_H
#define REPLAY_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "replay/model.h"

typedef enum replay_codec_kind {
    REPLAY_CODEC_NONE, // the bytes themselves
    REPLAY_CODEC_ZSTD, // each record a zstd frame
    REPLAY_CODEC_ZSTD_DICT, // the same with a dictionary where there is one (replay/model_choice.h)
    REPLAY_CODEC_DELTA, // XOR with the key record before it, then zstd, with a dictionary if any
    REPLAY_CODEC_PATCH, // patches, or zstd with a dictionary: as the model there is says
} replay_codec_kind;

// Choices of the option replay.codec: auto, ram, then the kinds in their order. Ends with NULL.
extern const char *const replay_codec_names[];

// As the option replay.codec calls it; NULL where there is no such kind.
const char *replay_codec_name(uint32_t kind);

// Delta: a key record at the beginning of a chunk, at each start, and after this many records, so
// that a key lies less than this many records back.
enum { REPLAY_KEY_DISTANCE = 16 };

// Where an encoded record lies in its chunk's body.
typedef struct replay_place {
    uint32_t end; // of its bytes; it begins where the one before ends, the first at 0
    uint32_t check; // low half of XXH3 of its encoded bytes
    uint32_t back; // delta: records back to its key record, 0: is one. Other kinds: 0
} replay_place;

typedef struct replay_coder replay_coder;

// level: of zstd, 1 to 19; with a dictionary the dictionary's level counts. record_size: at
// least 1. Errors: GN_ERR_ARG, GN_ERR_MEMORY.
gn_status replay_coder_create(replay_coder **ret_coder, replay_codec_kind kind, int level,
                              size_t record_size);
void replay_coder_destroy(replay_coder **coder);

// Largest body n records can become.
size_t replay_coder_bound(const replay_coder *coder, size_t n);

// Encodes n records. The same input gives the same bytes, whatever the coder did before.
// Shapes:  record: [n, record_size]; starts: [n], not 0 where a record is the first of an episode
//          (delta never looks across), NULL: none is; ret_body: [capacity]; ret_place: [n].
// Errors:  GN_ERR_ARG if capacity is below the bound, the bound above 4 GiB, or a model is given to
//          a kind without it; GN_ERR_BACKEND.
gn_status replay_coder_encode(replay_coder *coder, const replay_model *model,
                              const unsigned char *record, const uint8_t *starts, size_t n,
                              unsigned char *ret_body, size_t capacity, replay_place *ret_place,
                              size_t *ret_size);

// Decodes record i of a body of which the bytes [from, to) are at hand: bytes[0] is body offset
// `from`. They must hold what replay_coder_need says. `model` is the one it was encoded with.
// Errors:  GN_ERR_CORRUPT if a check does not match, the bytes do not decode to one record, or the
//          places lie outside [from, to); then ret_record may hold anything.
gn_status replay_coder_decode(replay_coder *coder, const replay_model *model,
                              const replay_place *place, size_t i, const unsigned char *bytes,
                              size_t from, size_t to, unsigned char *ret_record);

// Decodes the records i .. i+n-1 into ret_records [n, record_size]; each key record only once.
gn_status replay_coder_decode_run(replay_coder *coder, const replay_model *model,
                                  const replay_place *place, size_t i, size_t n,
                                  const unsigned char *bytes, size_t from, size_t to,
                                  unsigned char *ret_records);

// Range [*ret_from, *ret_to) of body bytes that decoding the records i .. i+n-1 (n > 0) needs.
void replay_coder_need(replay_codec_kind kind, const replay_place *place, size_t i, size_t n,
                       size_t *ret_from, size_t *ret_to);

// Whether places [n] make sense for a body of `size` bytes, for readers of damaged files: ends
// ascend and the last is `size`; key records lie within the chunk, near, and are key records.
bool replay_places_fit(const replay_place *place, size_t n, size_t size);

#endif
