// What the records of a run have in common, learned from them: a dictionary for zstd or a book of
// patches. Chunks name theirs by an id; the store keeps it as packed bytes.
//
// Internal to replay/. Threads: a model never changes and is shared.

#ifndef REPLAY_MODEL_H
#define REPLAY_MODEL_H

#include "base/compress.h"
#include "replay/patch.h"

// One of them, the other one is NULL.
typedef struct replay_model {
    gn_dictionary *dictionary;
    patch_book *book;
} replay_model;

typedef enum replay_model_kind { REPLAY_MODEL_DICTIONARY, REPLAY_MODEL_BOOK } replay_model_kind;

// Most bytes of a dictionary.
enum { REPLAY_DICTIONARY_SIZE_MAX = 65536 };

// Learns one from n records that lie one after another. level: of zstd, for a dictionary.
// Same records: same bytes. *ret_model is NULL if the records are too few, too large or no good.
// Errors: GN_ERR_MEMORY.
gn_status replay_model_train(replay_model **ret_model, replay_model_kind kind, int level,
                             const unsigned char *record, size_t n, size_t record_size);

// One of the bytes that replay_model_bytes gave (copied).
// Errors: GN_ERR_CORRUPT if they are none, GN_ERR_ARG (the level), GN_ERR_MEMORY.
gn_status replay_model_create(replay_model **ret_model, const void *bytes, size_t size, int level);
void replay_model_destroy(replay_model **model);

// The bytes it is made of; valid as long as it lives.
const void *replay_model_bytes(const replay_model *model, size_t *ret_size);

// The same bytes packed, and back. Release *ret_bytes with gn_free.
gn_status replay_model_pack(const replay_model *model, void **ret_bytes, size_t *ret_size);
gn_status replay_model_unpack(replay_model **ret_model, const void *packed, size_t size, int level);

#endif
