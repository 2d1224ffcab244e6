// When models come into use: on the first chunk, not again on the same kind of frames, again
// when the frames become others; never where they do not pay.

#include "replay/model_choice.h"

#include <string.h>

#include "base/mem.h"
#include "tests/replay/frames.h"
#include "tests/support/check.h"

enum { N = 288, LEVEL = 3, RECORD = FRAME_SIZE, DICTIONARIES = 8 };

// Walls of bricks, and noise.
typedef enum scene { CATCH, BRICKS, NOISE } scene;
static const uint64_t walls[] = { 0x5A3C96F00F69C3A5, 0xC639A55A1BE47281 };

typedef struct writer {
    replay_model_choice *choice;
    replay_coder *coder;
    replay_model *kept[DICTIONARIES]; // kept[id]; kept[0]: NULL
    unsigned char *record, *body, *back;
    uint8_t starts[N];
    replay_place place[N];
    size_t capacity, size;
    uint64_t id;
} writer;

static writer make_writer(replay_codec_kind kind)
{
    writer w = { 0 };
    expect_ok(replay_model_choice_create(&w.choice, kind, LEVEL, LEVEL, RECORD, N));
    expect_ok(replay_coder_create(&w.coder, kind, LEVEL, RECORD));
    w.capacity = replay_coder_bound(w.coder, N);
    expect_ok(gn_alloc(&w.record, N, RECORD));
    expect_ok(gn_alloc(&w.back, N, RECORD));
    expect_ok(gn_alloc(&w.body, w.capacity, 1));
    return w;
}

static void free_writer(writer *w)
{
    for (size_t i = 0; i < DICTIONARIES; i++)
        replay_model_destroy(&w->kept[i]);
    replay_model_choice_destroy(&w->choice);
    assert_null(w->choice);
    replay_model_choice_destroy(&w->choice);
    replay_coder_destroy(&w->coder);
    gn_free(&w->record);
    gn_free(&w->back);
    gn_free(&w->body);
}

// Writes the chunk `number` of a scene, reads it back; whether a model came into use.
static bool write_chunk(writer *w, scene what, uint64_t number, size_t n)
{
    if (what == NOISE)
        frames_noise(number, n, w->record, w->starts);
    else
        frames_catch(number, walls[what], n, w->record, w->starts);
    replay_model *fresh = NULL;
    expect_ok(replay_model_choice_encode(w->choice, w->coder, w->kept[w->id], w->record, w->starts,
                                         n, w->body, w->capacity, w->place, &w->size, &fresh));
    uint64_t id = replay_model_choice_save(w->choice).id;
    assert_int_equal(id, w->id + (fresh != NULL));
    w->id = id;
    if (fresh)
        w->kept[id] = fresh;
    assert_true(replay_places_fit(w->place, n, w->size));
    expect_ok(replay_coder_decode_run(w->coder, w->kept[id], w->place, 0, n, w->body, 0, w->size,
                                      w->back));
    assert_memory_equal(w->back, w->record, n * RECORD);
    return fresh != NULL;
}

static void follow_the_frames(replay_codec_kind kind)
{
    writer w = make_writer(kind);
    assert_true(write_chunk(&w, CATCH, 0, N));
    size_t first_size = w.size;
    for (uint64_t i = 1; i < 40; i++) {
        assert_false(write_chunk(&w, CATCH, i, N));
        assert_true(w.size < first_size * 5 / 4);
    }
    // The first chunk of other frames shows that a model is due, the second is trained on.
    assert_false(write_chunk(&w, BRICKS, 0, N));
    size_t before = w.size;
    assert_true(write_chunk(&w, BRICKS, 1, N));
    assert_true(w.size < before * 95 / 100);
    for (uint64_t i = 2; i < 30; i++)
        assert_false(write_chunk(&w, BRICKS, i, N));
    assert_int_equal(w.id, 2);
    for (uint64_t id = 1; id <= w.id; id++)
        assert_true((w.kept[id]->book != NULL) == (kind == REPLAY_CODEC_PATCH));
    free_writer(&w);
}

static void dictionaries_follow_the_frames(void **state)
{
    (void)state;
    follow_the_frames(REPLAY_CODEC_ZSTD_DICT);
    follow_the_frames(REPLAY_CODEC_PATCH);
}

// A game whose scenery moves: what is new in a frame is elsewhere in others, which zstd finds.
static void books_give_way_to_dictionaries_where_these_pack_better(void **state)
{
    (void)state;
    writer w = make_writer(REPLAY_CODEC_PATCH);
    unsigned char scenery[2 * RECORD];
    uint8_t unused[2];
    replay_model *fresh = NULL;
    frames_noise(1, 2, scenery, unused);
    for (size_t i = 0; i < N; i++)
        memcpy(w.record + i * RECORD, scenery + (i * 677) % RECORD, RECORD);
    expect_ok(replay_model_choice_encode(w.choice, w.coder, NULL, w.record, NULL, N, w.body,
                                         w.capacity, w.place, &w.size, &fresh));
    assert_non_null(fresh);
    assert_non_null(fresh->dictionary);
    assert_null(fresh->book);
    replay_model_destroy(&fresh);
    free_writer(&w);
}

static void dictionaries_rest(void **state)
{
    (void)state;
    writer w = make_writer(REPLAY_CODEC_ZSTD_DICT);
    assert_true(write_chunk(&w, CATCH, 0, N));
    for (uint64_t i = 1; i <= REPLAY_MODEL_REST; i++)
        assert_false(write_chunk(&w, BRICKS, i, N));
    assert_true(write_chunk(&w, BRICKS, 1, N));
    free_writer(&w);
}

static void noise_and_other_kinds_get_none(void **state)
{
    (void)state;
    writer w = make_writer(REPLAY_CODEC_ZSTD_DICT);
    for (uint64_t i = 0; i < 3; i++) {
        assert_false(write_chunk(&w, NOISE, i, N));
        assert_int_equal(w.size, N * RECORD);
    }
    free_writer(&w);
    w = make_writer(REPLAY_CODEC_PATCH);
    assert_false(write_chunk(&w, NOISE, 0, N));
    assert_int_equal(w.size, N * RECORD);
    free_writer(&w);
    for (replay_codec_kind kind = REPLAY_CODEC_NONE; kind <= REPLAY_CODEC_DELTA; kind++)
        if (kind != REPLAY_CODEC_ZSTD_DICT) {
            w = make_writer(kind);
            assert_false(write_chunk(&w, CATCH, 0, N));
            free_writer(&w);
        }
}

// Too few records: none yet, but the next chunk has enough.
static void a_short_chunk_leaves_it_due(void **state)
{
    (void)state;
    writer w = make_writer(REPLAY_CODEC_ZSTD_DICT);
    assert_false(write_chunk(&w, CATCH, 0, 1));
    assert_false(write_chunk(&w, CATCH, 1, 60)); // 30 are too few to try one
    assert_true(write_chunk(&w, CATCH, 2, N));
    free_writer(&w);
}

// Stopped after chunk `stop` and continued from the saved state and model bytes: the same
// bytes.
static void resume(replay_codec_kind kind)
{
    enum { CHUNKS = 24 };
    for (uint64_t stop = 1; stop < CHUNKS; stop += 5) {
        writer a = make_writer(kind), b = make_writer(kind);
        for (uint64_t i = 0; i < CHUNKS; i++) {
            scene what = i < 18 ? CATCH : BRICKS;
            if (i == stop) {
                replay_model_choice_state saved = replay_model_choice_save(b.choice);
                size_t size = 0;
                void *packed;
                writer other = make_writer(kind);
                expect_ok(replay_model_pack(b.kept[b.id], &packed, &size));
                expect_ok(replay_model_unpack(&other.kept[b.id], packed, size, LEVEL));
                gn_free(&packed);
                other.id = b.id;
                replay_model_choice_load(other.choice, &saved);
                free_writer(&b);
                b = other;
            }
            assert_true(write_chunk(&a, what, i, N) == write_chunk(&b, what, i, N));
            assert_int_equal(a.size, b.size);
            assert_memory_equal(a.body, b.body, a.size);
            assert_memory_equal(a.place, b.place, sizeof a.place);
        }
        assert_int_equal(a.id, 2);
        free_writer(&a);
        free_writer(&b);
    }
}

static void a_resumed_writer_writes_the_same(void **state)
{
    (void)state;
    resume(REPLAY_CODEC_ZSTD_DICT);
    resume(REPLAY_CODEC_PATCH);
}

static void fail_at_each_allocation(replay_codec_kind kind)
{
    writer w = make_writer(kind);
    uint64_t before = gn_mem_allocations();
    assert_true(write_chunk(&w, CATCH, 0, N));
    uint64_t allocations = gn_mem_allocations() - before;
    free_writer(&w);
    w = make_writer(kind);
    replay_model_choice *none = NULL;
    replay_model *fresh = NULL;
    gn_mem_fail_at(1);
    expect_fails(GN_ERR_MEMORY, "allocate",
                 replay_model_choice_create(&none, kind, LEVEL, LEVEL, RECORD, N));
    assert_null(none);
    expect_fails(GN_ERR_ARG, "0 records are outside [1, 288]",
                 replay_model_choice_encode(w.choice, w.coder, NULL, w.record, NULL, 0, w.body,
                                            w.capacity, w.place, &w.size, &fresh));
    frames_catch(0, walls[0], N, w.record, w.starts);
    for (uint64_t n = 1; n <= allocations; n++) {
        uint64_t live = gn_mem_live();
        gn_mem_fail_at(n);
        expect_fails(GN_ERR_MEMORY, "allocate",
                     replay_model_choice_encode(w.choice, w.coder, NULL, w.record, w.starts, N,
                                                w.body, w.capacity, w.place, &w.size, &fresh));
        assert_int_equal(gn_mem_live(), live);
        assert_null(fresh);
    }
    replay_model_choice_state now = replay_model_choice_save(w.choice), zero = { 0 };
    assert_memory_equal(&now, &zero, sizeof now);
    assert_true(write_chunk(&w, CATCH, 0, N));
    free_writer(&w);
}

static void failures_change_nothing(void **state)
{
    (void)state;
    fail_at_each_allocation(REPLAY_CODEC_ZSTD_DICT);
    fail_at_each_allocation(REPLAY_CODEC_PATCH);
}

TEST_MAIN(dictionaries_follow_the_frames, dictionaries_rest,
          books_give_way_to_dictionaries_where_these_pack_better, noise_and_other_kinds_get_none,
          a_short_chunk_leaves_it_due, a_resumed_writer_writes_the_same, failures_change_nothing)
