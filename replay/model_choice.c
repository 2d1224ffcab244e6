// When to train a model for the chunks of a replay buffer, of which kind, and whether it pays.

#include "replay/model_choice.h"

#include "base/mem.h"

// Parts of a record that a higher level, and a dictionary instead of a book, have to save.
enum { HIGH_WORTH = 400, DICTIONARY_WORTH = 100 };

struct replay_model_choice {
    replay_model_choice_state state;
    size_t record_size, records_max;
    replay_codec_kind kind;
    int level, high_level;
};

gn_status replay_model_choice_create(replay_model_choice **ret_self, replay_codec_kind kind,
                                     int level, int high_level, size_t record_size,
                                     size_t records_max)
{
    replay_model_choice *self = NULL;
    GN_TRY(gn_alloc(&self, 1, sizeof *self));
    self->kind = kind;
    self->level = level;
    self->high_level = high_level;
    self->record_size = record_size;
    self->records_max = records_max;
    *ret_self = self;
    return GN_OK;
}

void replay_model_choice_destroy(replay_model_choice **self)
{
    gn_free(self);
}

replay_model_choice_state replay_model_choice_save(const replay_model_choice *self)
{
    return self->state;
}

void replay_model_choice_load(replay_model_choice *self, const replay_model_choice_state *state)
{
    self->state = *state;
}

static bool is_due(const replay_model_choice *self)
{
    const replay_model_choice_state *state = &self->state;
    if (self->kind != REPLAY_CODEC_ZSTD_DICT && self->kind != REPLAY_CODEC_PATCH)
        return false;
    return state->chunks == 0 ||
           (state->chunks > REPLAY_MODEL_REST && state->last > state->best + state->best / 10 * 3);
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

static gn_status encode_from(work *w, const replay_model *model, size_t first)
{
    size_t record_size = replay_coder_bound(w->coder, 1);
    return replay_coder_encode(w->coder, model, w->record + first * record_size,
                               w->starts ? w->starts + first : NULL, w->n - first, w->body,
                               w->capacity, w->place, &w->size);
}

// Bytes that the second half takes with a model of the first, and a share of the model's own;
// SIZE_MAX if there is none.
static gn_status try_half(const replay_model_choice *self, work *w, replay_model_kind kind,
                          size_t *ret_size)
{
    replay_model *trial = NULL;
    GN_TRY(replay_model_train(&trial, kind, self->level, w->record, w->n / 2, self->record_size));
    *ret_size = SIZE_MAX;
    if (trial == NULL)
        return GN_OK;
    size_t own = 0;
    void *packed = NULL; // as it will be stored
    gn_status status = replay_model_pack(trial, &packed, &own);
    gn_free(&packed);
    if (status == GN_OK)
        status = encode_from(w, trial, w->n / 2);
    *ret_size = w->size + own / REPLAY_MODEL_REST / 2;
    replay_model_destroy(&trial);
    return status;
}

// Which kind of model a chunk is to have, if any, whose second half took `size_before` bytes.
static gn_status try_halves(const replay_model_choice *self, work *w, size_t size_before,
                            bool *ret_tried, bool *ret_pays, replay_model_kind *ret_kind)
{
    size_t size, size_book = SIZE_MAX;
    GN_TRY(try_half(self, w, REPLAY_MODEL_DICTIONARY, &size));
    if (self->kind == REPLAY_CODEC_PATCH)
        GN_TRY(try_half(self, w, REPLAY_MODEL_BOOK, &size_book));
    *ret_kind = REPLAY_MODEL_DICTIONARY;
    size_t worth = (w->n - w->n / 2) * self->record_size / DICTIONARY_WORTH;
    if (size_book != SIZE_MAX &&
        (size == SIZE_MAX || size_book <= size + size / 4 || size_book <= size + worth)) {
        *ret_kind = REPLAY_MODEL_BOOK;
        size = size_book;
    }
    *ret_tried = size != SIZE_MAX;
    *ret_pays = *ret_tried && size * 100 <= size_before * 95;
    return GN_OK;
}

// Encodes the chunk with a model that comes into use, and makes it one of the higher level
// where that pays.
static gn_status choose_level(replay_model_choice *self, work *w, replay_model **fresh,
                              int *ret_level)
{
    size_t size;
    replay_model *high = NULL;
    GN_TRY(encode_from(w, *fresh, 0));
    size_t low_size = w->size;
    *ret_level = self->level;
    if (self->high_level == self->level || (*fresh)->book)
        return GN_OK;
    const void *bytes = replay_model_bytes(*fresh, &size);
    GN_TRY(replay_model_create(&high, bytes, size, self->high_level));
    gn_status status = encode_from(w, high, 0);
    size_t worth = w->n * replay_coder_bound(w->coder, 1) / HIGH_WORTH;
    if (status == GN_OK && w->size + low_size / 10 <= low_size && w->size + worth <= low_size) {
        replay_model *low = *fresh;
        *fresh = high;
        high = low;
        *ret_level = self->high_level;
    } else if (status == GN_OK) {
        status = encode_from(w, *fresh, 0);
    }
    replay_model_destroy(&high);
    return status;
}

static void note(replay_model_choice_state *state, size_t records, size_t size, bool trained)
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

gn_status replay_model_choice_encode(replay_model_choice *self, replay_coder *coder,
                                     const replay_model *current, const unsigned char *record,
                                     const uint8_t *starts, size_t n, unsigned char *ret_body,
                                     size_t capacity, replay_place *ret_place, size_t *ret_size,
                                     replay_model **ret_new)
{
    if (n == 0 || n > self->records_max)
        return gn_fail(GN_ERR_ARG, "replay model: %zu records are outside [1, %zu]", n,
                       self->records_max);
    work w = { coder, record, starts, n, ret_body, capacity, ret_place, 0 };
    GN_TRY(encode_from(&w, current, 0));
    replay_model *fresh = NULL;
    bool tried = false, pays = false;
    replay_model_kind kind;
    if (is_due(self) && n > 1)
        GN_TRY(try_halves(self, &w, w.size - ret_place[n / 2 - 1].end, &tried, &pays, &kind));
    if (pays)
        GN_TRY(replay_model_train(&fresh, kind, self->level, record, n, self->record_size));
    int level = (int)self->state.level;
    if (tried) {
        gn_status status =
            fresh ? choose_level(self, &w, &fresh, &level) : encode_from(&w, current, 0);
        if (status != GN_OK) {
            replay_model_destroy(&fresh);
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
