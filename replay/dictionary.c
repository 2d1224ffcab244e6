// When to train a dictionary for the chunks of a replay buffer, and whether it pays.

#include "replay/dictionary.h"

#include "base/mem.h"

enum { HIGH_WORTH = 400 }; // part of a record that a higher level has to save

struct replay_dictionary {
    replay_dictionary_state state;
    unsigned char *bytes; // [REPLAY_DICTIONARY_SIZE_MAX]
    size_t *sample_size; // [records_max], all record_size
    size_t records_max;
    replay_codec_kind kind;
    int level, high_level;
};

gn_status replay_dictionary_create(replay_dictionary **ret_self, replay_codec_kind kind, int level,
                                   int high_level, size_t record_size, size_t records_max)
{
    replay_dictionary *self = NULL;
    GN_TRY(gn_alloc(&self, 1, sizeof *self));
    self->kind = kind;
    self->level = level;
    self->high_level = high_level;
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

// A dictionary of these records; *ret_new is NULL if they are too few.
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

// A chunk on its way into a body.
typedef struct work {
    replay_coder *coder;
    const unsigned char *record; // [n, record_size]
    const uint8_t *starts; // [n]
    size_t n;
    unsigned char *body; // [capacity]
    size_t capacity;
    replay_place *place; // [n]
    size_t size; // of the body
} work;

static gn_status encode_from(work *w, const gn_dictionary *dictionary, size_t first)
{
    size_t record_size = replay_coder_bound(w->coder, 1);
    return replay_coder_encode(w->coder, dictionary, w->record + first * record_size,
                               w->starts ? w->starts + first : NULL, w->n - first, w->body,
                               w->capacity, w->place, &w->size);
}

// Tries a dictionary of the first half on the second, which took `size_before` bytes.
static gn_status try_halves(replay_dictionary *self, work *w, size_t size_before, bool *ret_tried,
                            bool *ret_pays)
{
    gn_dictionary *trial = NULL;
    GN_TRY(train(self, w->record, w->n / 2, &trial));
    *ret_tried = trial != NULL;
    *ret_pays = false;
    if (trial == NULL)
        return GN_OK;
    size_t own = 0;
    void *packed = NULL; // as it will be stored
    gn_status status = gn_dictionary_pack(trial, &packed, &own);
    gn_free(&packed);
    if (status == GN_OK)
        status = encode_from(w, trial, w->n / 2);
    *ret_pays = (w->size + own / REPLAY_DICTIONARY_REST / 2) * 100 <= size_before * 95;
    gn_dictionary_destroy(&trial);
    return status;
}

// Encodes the chunk with a dictionary that comes into use, and makes it one of the higher level
// where that pays.
static gn_status choose_level(replay_dictionary *self, work *w, gn_dictionary **fresh,
                              int *ret_level)
{
    size_t size;
    gn_dictionary *high = NULL;
    GN_TRY(encode_from(w, *fresh, 0));
    size_t low_size = w->size;
    *ret_level = self->level;
    if (self->high_level == self->level)
        return GN_OK;
    const void *bytes = gn_dictionary_bytes(*fresh, &size);
    GN_TRY(gn_dictionary_create(&high, bytes, size, self->high_level));
    gn_status status = encode_from(w, high, 0);
    size_t worth = w->n * replay_coder_bound(w->coder, 1) / HIGH_WORTH;
    if (status == GN_OK && w->size + low_size / 10 <= low_size && w->size + worth <= low_size) {
        gn_dictionary *low = *fresh;
        *fresh = high;
        high = low;
        *ret_level = self->high_level;
    } else if (status == GN_OK) {
        status = encode_from(w, *fresh, 0);
    }
    gn_dictionary_destroy(&high);
    return status;
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
    work w = { coder, record, starts, n, ret_body, capacity, ret_place, 0 };
    GN_TRY(encode_from(&w, current, 0));
    gn_dictionary *fresh = NULL;
    bool tried = false, pays = false;
    if (is_due(self) && n > 1)
        GN_TRY(try_halves(self, &w, w.size - ret_place[n / 2 - 1].end, &tried, &pays));
    if (pays)
        GN_TRY(train(self, record, n, &fresh));
    int level = (int)self->state.level;
    if (tried) {
        gn_status status =
            fresh ? choose_level(self, &w, &fresh, &level) : encode_from(&w, current, 0);
        if (status != GN_OK) {
            gn_dictionary_destroy(&fresh);
            return status;
        }
    }
    note(&self->state, n, w.size, tried);
    self->state.id += fresh != NULL;
    self->state.level = (uint64_t)level;
    *ret_size = w.size;
    *ret_new = fresh;
    return GN_OK;
}
