// When a replay buffer trains a model for its records, and of which kind: a deterministic function
// of the chunks it is shown, in order, so that a resumed run writes the same bytes.
//
// A model is due on the first chunk, and again when at least REPLAY_MODEL_REST chunks have passed
// since one was tried and a record of the last chunk took 30 % more bytes than in the best chunk
// since then. Whether one pays shows on records it has not seen: trained on the first half of the
// chunk at hand, it must make the second half at least 5 % smaller than what was in use before, its
// own bytes counted as spread over REPLAY_MODEL_REST chunks. Then one trained on the whole chunk
// comes into use; else the chunk is encoded as before. A chunk of too few records leaves it due.
//
// REPLAY_CODEC_PATCH tries a book of patches and a dictionary for zstd, and takes the book unless
// that makes the half more than a quarter larger, and a record by more than 1/100 of its raw size:
// patches decode several times as fast.
//
// A dictionary is made for one of two zstd levels. The higher one packs better, and then there is
// less to decode; but where it finds nothing more than the lower one it finds it in pieces that
// decode slower. So it is taken where it makes the chunk that is trained on at least 10 % smaller,
// and a record by at least 1/400 of its raw size.
//
// Models in use are the caller's: chunks written earlier need theirs until they are gone.
//
// Threads: one object per writer.

#ifndef REPLAY_MODEL_CHOICE_H
#define REPLAY_MODEL_CHOICE_H

#include "replay/codec.h"

enum { REPLAY_MODEL_REST = 16 };

// What the decision depends on besides the chunk and the model in use; saved as bytes. {0}:
// nothing seen.
typedef struct replay_model_choice_state {
    uint64_t id; // of the model in use, counted from 1; 0: none
    uint64_t chunks; // since one was tried, that one included; 0: none was
    uint64_t best; // bytes a record takes * 256, smallest since then
    uint64_t last; // the same of the last chunk
    uint64_t level; // of zstd, that the model in use is made for; 0: none is
} replay_model_choice_state;

typedef struct replay_model_choice replay_model_choice;

// For chunks of at most records_max records encoded by coders of this kind and level. Only
// REPLAY_CODEC_ZSTD_DICT and REPLAY_CODEC_PATCH get models.
// Errors: GN_ERR_MEMORY.
gn_status replay_model_choice_create(replay_model_choice **ret_self, replay_codec_kind kind,
                                     int level, int high_level, size_t record_size,
                                     size_t records_max);
void replay_model_choice_destroy(replay_model_choice **self);

replay_model_choice_state replay_model_choice_save(const replay_model_choice *self);
void replay_model_choice_load(replay_model_choice *self, const replay_model_choice_state *state);

// Encodes a chunk as replay_coder_encode does, with the model `current` (NULL: none) or, where
// one comes into use, with a new one: then *ret_new is it, the caller's to keep and destroy, and
// the id of the state names it (it is to be stored, packed, under that id). Else *ret_new
// is NULL.
gn_status replay_model_choice_encode(replay_model_choice *self, replay_coder *coder,
                                     const replay_model *current, const unsigned char *record,
                                     const uint8_t *starts, size_t n, unsigned char *ret_body,
                                     size_t capacity, replay_place *ret_place, size_t *ret_size,
                                     replay_model **ret_new);

#endif
