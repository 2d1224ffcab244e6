// Learning a book: frames are picked evenly, as zstd's dictionaries are; patterns are what is put
// over them most often. Which patterns there are decides where the next one begins, so they are
// counted anew with those found before.

#include "replay/patch_internal.h"

#include <stdlib.h>

#include "base/compress.h"
#include "base/mem.h"

enum {
    RECORD_MIN = 64,
    SAMPLES = 16, // records that say which kind of book it becomes
    STRIDE_MAX = 1024,
    COUNTERS = 1 << 17,
    COUNTERS_USED = COUNTERS / 4 * 3,
    ROUNDS = 3, // the last counts only what is used
};

typedef struct counter {
    uint64_t key; // 0: free
    uint64_t count;
} counter;

typedef struct trainer {
    const unsigned char *record; // [n, size]
    size_t n, size;
    unsigned char *scratch; // [size]
    counter *counter; // [COUNTERS] by key
    size_t used;
    uint64_t *chosen; // [PATCH_PATTERNS]
    patch_book *book;
} trainer;

static const unsigned char *sample(const trainer *self, size_t i, size_t of)
{
    return self->record + (2 * i + 1) * self->n / (2 * of) * self->size;
}

// --- frames or rows

static size_t count_row_changes(const trainer *self, size_t stride)
{
    size_t changes = 0;
    for (size_t k = 0; k < SAMPLES; k++) {
        const unsigned char *record = sample(self, k, SAMPLES);
        changes += patch_count(record + stride, record, self->size - stride);
    }
    return changes;
}

static size_t choose_stride(const trainer *self, size_t *ret_changes)
{
    size_t best = 0;
    *ret_changes = SIZE_MAX;
    for (size_t stride = 1; stride <= STRIDE_MAX && stride <= self->size / 4; stride++) {
        size_t changes = count_row_changes(self, stride);
        best = changes < *ret_changes ? stride : best;
        *ret_changes = changes < *ret_changes ? changes : *ret_changes;
    }
    return best;
}

// Changes of samples that lie between the frames.
static size_t count_frame_changes(const trainer *self)
{
    size_t changes = 0;
    for (size_t k = 0; k < SAMPLES; k++) {
        const unsigned char *image = sample(self, k, SAMPLES);
        uint32_t chosen = patch_choose(self->book, image);
        changes += patch_count(image, self->book->frame + chosen * self->size, self->size);
    }
    return changes;
}

static gn_status choose_frames(trainer *self)
{
    size_t frames = self->n / GN_DICTIONARY_SHARE, most = PATCH_FRAMES_SIZE / self->size,
           row_changes;
    frames = frames < most ? frames : most;
    frames = frames < PATCH_NO_FRAME ? frames : PATCH_NO_FRAME - 1;
    GN_TRY(patch_book_make(&self->book, self->size, 0, frames));
    for (size_t i = 0; i < frames; i++)
        memcpy(self->book->frame + i * self->size, sample(self, i, frames), self->size);
    size_t stride = choose_stride(self, &row_changes);
    if (row_changes >= count_frame_changes(self))
        return GN_OK;
    patch_book_destroy(&self->book);
    return patch_book_make(&self->book, self->size, stride, 1);
}

// --- patterns

static void count_key(trainer *self, uint64_t key)
{
    size_t slot = patch_slot(key) * (COUNTERS / PATCH_SLOTS);
    while (self->counter[slot].key != key && self->counter[slot].key != 0)
        slot = (slot + 1) % COUNTERS;
    if (self->counter[slot].key == 0) {
        if (self->used == COUNTERS_USED)
            return;
        self->counter[slot].key = key;
        self->used++;
    }
    self->counter[slot].count++;
}

// Counts the patterns that may stand at each patch of a record, or the one that does.
static void count_record(trainer *self, const unsigned char *record, bool only_used)
{
    const unsigned char *image = patch_image(self->book, record, self->scratch);
    const unsigned char *frame = self->book->frame + patch_choose(self->book, image) * self->size;
    patch_step step[PATCH_WINDOW];
    size_t at = 0, n;
    while ((n = patch_plan(self->book, image, frame, &at, step)) > 0)
        for (size_t k = 0; k < n; k++) {
            uint64_t word = patch_word(image, step[k].at, self->size);
            unsigned changes = patch_changes(image, frame, step[k].at, self->size);
            if (only_used && step[k].id >= PATCH_FIRST)
                count_key(self, patch_key(word, step[k].length));
            for (unsigned i = 1; i <= PATCH_LENGTH && !only_used; i++)
                if (changes >> (i - 1) & 1)
                    count_key(self, patch_key(word, i));
        }
}

// By the bytes they put down, most first.
static int compare(const void *left, const void *right)
{
    const counter *a = left, *b = right;
    uint64_t x = a->count * (a->key >> 56), y = b->count * (b->key >> 56);
    if (x != y)
        return x > y ? -1 : 1;
    return a->key < b->key ? -1 : a->key > b->key;
}

static void choose_patterns(trainer *self, uint64_t least)
{
    size_t kept = 0, n = 0;
    for (size_t i = 0; i < COUNTERS; i++)
        if (self->counter[i].count >= least)
            self->counter[kept++] = self->counter[i];
    qsort(self->counter, kept, sizeof *self->counter, compare);
    for (; n < kept && n < PATCH_PATTERNS; n++)
        self->chosen[n] = self->counter[n].key;
    patch_book_set(self->book, self->chosen, n);
    memset(self->counter, 0, COUNTERS * sizeof *self->counter);
    self->used = 0;
}

static gn_status train(trainer *self)
{
    GN_TRY(gn_alloc(&self->scratch, self->size, 1));
    GN_TRY(gn_alloc(&self->counter, COUNTERS, sizeof *self->counter));
    GN_TRY(gn_alloc(&self->chosen, PATCH_PATTERNS, sizeof *self->chosen));
    GN_TRY(choose_frames(self));
    for (int round = 1; round <= ROUNDS; round++) {
        bool last = round == ROUNDS;
        for (size_t i = 0; i < self->n; i++)
            count_record(self, self->record + i * self->size, last);
        choose_patterns(self, last ? 1 : 2);
    }
    return GN_OK;
}

gn_status patch_book_train(patch_book **ret_book, const unsigned char *record, size_t n,
                           size_t record_size)
{
    *ret_book = NULL;
    if (n < GN_DICTIONARY_SHARE || record_size < RECORD_MIN || record_size > PATCH_FRAMES_SIZE)
        return GN_OK;
    trainer self = { .record = record, .n = n, .size = record_size };
    gn_status status = train(&self);
    if (status == GN_OK)
        *ret_book = self.book;
    else
        patch_book_destroy(&self.book);
    gn_free(&self.scratch);
    gn_free(&self.counter);
    gn_free(&self.chosen);
    return status;
}
