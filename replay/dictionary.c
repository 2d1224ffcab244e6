// When to train a dictionary for the chunks of a replay buffer, and whether it pays.

#include "replay/dictionary.h"

#include "base/mem.h"

struct replay_dictionary {
    replay_dictionary_state state;
    unsigned char *bytes; // [REPLAY_DICTIONARY_SIZE_MAX]
    size_t *sample_size; // [records_max], all record_size
    size_t records_max;
    replay_codec_kind kind;
    int level;
};

gn_status replay_dictionary_create(replay_dictionary **ret_self, replay_codec_kind kind, int level,
                                   size_t record_size, size_t records_max)
{
    replay_dictionary *self = NULL;
    GN_TRY(gn_alloc(&self, 1, sizeof *self));
    self->kind = kind;
    self->level = level;
    self->records_max = records_max;
    gn_status status = gn_alloc(&self->bytes, REPLAY_DICTIONARY_SIZE_MAX, 1);
    if (status == GN_OK)
        status = gn_alloc(&self->sample_size, records_max, sizeof *self->sample_size);
    if (status != GN_OK) {
        replay_dictionary_destroy(&self);
        return status;
    }
    for (size_t i = 0; i < records_max; i++)
        self->sample_size[i] = record_size;
    *ret_self = self;
    return GN_OK;
}

void replay_dictionary_destroy(replay_dictionary **self)
{
    if (*self == NULL)
        return;
    gn_free(&(*self)->bytes);
    gn_free(&(*self)->sample_size);
    gn_free(self);
}

replay_dictionary_state replay_dictionary_save(const replay_dictionary *self)
{
    return self->state;
}

void replay_dictionary_load(replay_dictionary *self, const replay_dictionary_state *state)
{
    self->state = *state;
}

static bool is_due(const replay_dictionary *self)
{
    const replay_dictionary_state *state = &self->state;
    if (self->kind != REPLAY_CODEC_ZSTD_DICT)
        return false;
    return state->chunks == 0 || (state->chunks > REPLAY_DICTIONARY_REST &&
                                  state->last > state->best + state->best / 10 * 3);
}

// A new dictionary from this chunk; *ret_new is NULL if it has too few records.
static gn_status train(replay_dictionary *self, const unsigned char *record, size_t n,
                       gn_dictionary **ret_new)
{
    size_t size = 0;
    gn_status status = gn_dictionary_train(record, self->sample_size, n, self->bytes,
                                           REPLAY_DICTIONARY_SIZE_MAX, &size);
    *ret_new = NULL;
    if (status == GN_OK)
        return gn_dictionary_create(ret_new, self->bytes, size, self->level);
    return status == GN_ERR_EMPTY ? GN_OK : status;
}

static bool pays(const gn_dictionary *dictionary, size_t size, size_t size_before)
{
    size_t own = 0;
    gn_dictionary_bytes(dictionary, &own);
    return (size + own / REPLAY_DICTIONARY_REST) * 100 <= size_before * 95;
}

static void note(replay_dictionary_state *state, size_t records, size_t size, bool trained)
{
    state->last = (uint64_t)size * 256 / records;
    if (trained) {
        state->chunks = 1;
        state->best = state->last;
    } else if (state->chunks > 0) {
        state->chunks++;
        state->best = state->last < state->best ? state->last : state->best;
    }
}

gn_status replay_dictionary_encode(replay_dictionary *self, replay_coder *coder,
                                   const gn_dictionary *current, const unsigned char *record,
                                   const uint8_t *starts, size_t n, unsigned char *ret_body,
                                   size_t capacity, replay_place *ret_place, size_t *ret_size,
                                   gn_dictionary **ret_new)
{
    if (n == 0 || n > self->records_max)
        return gn_fail(GN_ERR_ARG, "replay dictionary: %zu records are outside [1, %zu]", n,
                       self->records_max);
    size_t size = 0, size_before = 0;
    GN_TRY(replay_coder_encode(coder, current, record, starts, n, ret_body, capacity, ret_place,
                               &size_before));
    size = size_before;
    gn_dictionary *fresh = NULL;
    if (is_due(self))
        GN_TRY(train(self, record, n, &fresh));
    bool trained = fresh != NULL;
    if (trained) {
        gn_status status = replay_coder_encode(coder, fresh, record, starts, n, ret_body, capacity,
                                               ret_place, &size);
        if (status == GN_OK && !pays(fresh, size, size_before)) {
            gn_dictionary_destroy(&fresh);
            status = replay_coder_encode(coder, current, record, starts, n, ret_body, capacity,
                                         ret_place, &size);
        }
        if (status != GN_OK) {
            gn_dictionary_destroy(&fresh);
            return status;
        }
    }
    note(&self->state, n, size, trained);
    self->state.id += fresh != NULL;
    *ret_size = size;
    *ret_new = fresh;
    return GN_OK;
}
