// Records of every codec come back, alone and in runs; damage never gives other records.

#include "replay/codec.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/replay/frames.h"
#include "tests/support/check.h"

enum { N = 128, LEVEL = 3 };
static const uint64_t WALL = 0x5A3C96F00F69C3A5;

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// Counts what zstd allocates too.
void *__libc_malloc(size_t size);
static size_t mallocs;

void *malloc(size_t size)
{
    mallocs++;
    return __libc_malloc(size);
}
#else
static const size_t mallocs;
#endif

typedef struct chunk {
    replay_coder *coder;
    replay_model *model; // NULL: none
    unsigned char *record, *body, *back;
    uint8_t starts[N];
    replay_place place[N];
    size_t n, record_size, capacity, size;
    replay_codec_kind kind;
} chunk;

static void encode(chunk *c)
{
    expect_ok(replay_coder_encode(c->coder, c->model, c->record, c->starts, c->n, c->body,
                                  c->capacity, c->place, &c->size));
}

static chunk make_chunk(replay_codec_kind kind, size_t n, size_t record_size)
{
    chunk c = { .kind = kind, .n = n, .record_size = record_size };
    expect_ok(replay_coder_create(&c.coder, kind, LEVEL, record_size));
    c.capacity = replay_coder_bound(c.coder, n);
    expect_ok(gn_alloc(&c.record, n, record_size));
    expect_ok(gn_alloc(&c.back, n, record_size));
    expect_ok(gn_alloc(&c.body, c.capacity, 1));
    return c;
}

static void train(chunk *c, replay_model_kind kind)
{
    expect_ok(replay_model_train(&c->model, kind, LEVEL, c->record, c->n, c->record_size));
    assert_non_null(c->model);
}

// A kind of codec, and the model it has.
typedef struct codec_case {
    replay_codec_kind kind;
    enum { NO_MODEL, DICTIONARY, BOOK } model;
    double share; // most of the raw size that the frames may take
} codec_case;

static const codec_case kinds[] = {
    { REPLAY_CODEC_NONE, NO_MODEL, 1 },         { REPLAY_CODEC_ZSTD, NO_MODEL, 0.06 },
    { REPLAY_CODEC_ZSTD_DICT, NO_MODEL, 0.06 }, { REPLAY_CODEC_ZSTD_DICT, DICTIONARY, 0.025 },
    { REPLAY_CODEC_DELTA, NO_MODEL, 0.03 },     { REPLAY_CODEC_DELTA, DICTIONARY, 0.03 },
    { REPLAY_CODEC_PATCH, NO_MODEL, 0.06 },     { REPLAY_CODEC_PATCH, DICTIONARY, 0.025 },
    { REPLAY_CODEC_PATCH, BOOK, 0.025 },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void train_for(chunk *c, const codec_case *of)
{
    if (of->model != NO_MODEL)
        train(c, of->model == BOOK ? REPLAY_MODEL_BOOK : REPLAY_MODEL_DICTIONARY);
}

// A chunk of game frames, encoded.
static chunk make_frames(const codec_case *of)
{
    chunk c = make_chunk(of->kind, N, FRAME_SIZE);
    frames_catch(7, WALL, N, c.record, c.starts);
    train_for(&c, of);
    encode(&c);
    return c;
}

static const codec_case delta = { REPLAY_CODEC_DELTA, NO_MODEL, 0 };

static void free_chunk(chunk *c)
{
    replay_coder_destroy(&c->coder);
    assert_null(c->coder);
    replay_coder_destroy(&c->coder);
    replay_model_destroy(&c->model);
    gn_free(&c->record);
    gn_free(&c->back);
    gn_free(&c->body);
}

// Decodes records i .. i+n-1 from a copy of just the bytes they need, so that the address sanitizer
// sees any other byte read.
static gn_status decode_run(chunk *c, size_t i, size_t n)
{
    size_t from = 0, to = 0;
    replay_coder_need(c->kind, c->place, i, n, &from, &to);
    unsigned char *bytes = malloc(to - from);
    assert_non_null(bytes);
    memcpy(bytes, c->body + from, to - from);
    memset(c->back, 0xAA, n * c->record_size);
    gn_status status =
        replay_coder_decode_run(c->coder, c->model, c->place, i, n, bytes, from, to, c->back);
    free(bytes);
    return status;
}

static void check_round_trip(chunk *c)
{
    assert_true(replay_places_fit(c->place, c->n, c->size));
    test_rng rng = test_rng_seed(c->size);
    for (size_t round = 0; round < 3 * c->n; round++) {
        size_t i = test_rng_below(&rng, c->n), n = 1 + test_rng_below(&rng, c->n - i);
        if (round % 3 > 0)
            n = 1;
        expect_ok(decode_run(c, i, n));
        assert_memory_equal(c->back, c->record + i * c->record_size, n * c->record_size);
    }
    expect_ok(decode_run(c, 0, c->n));
    assert_memory_equal(c->back, c->record, c->n * c->record_size);
}

static void frames_come_back(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        chunk c = make_frames(&kinds[k]);
        assert_true((double)c.size <= kinds[k].share * N * FRAME_SIZE);
        check_round_trip(&c);
        free_chunk(&c);
    }
}

static void noise_and_small_records_come_back(void **state)
{
    (void)state;
    const size_t sizes[] = { 1, 2, 4, 16, 328, 7056 };
    for (size_t k = 0; k < KINDS; k++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            chunk c = make_chunk(kinds[k].kind, 50, sizes[s]);
            test_rng rng = test_rng_seed(s);
            for (size_t i = 0; i < c.n * c.record_size; i++)
                c.record[i] = (unsigned char)test_rng_next(&rng);
            encode(&c);
            // Nothing grows, and what does not shrink needs no key record.
            assert_int_equal(c.size, c.n * c.record_size);
            for (size_t i = 0; i < c.n; i++)
                assert_int_equal(c.place[i].back, 0);
            check_round_trip(&c);
            free_chunk(&c);
        }
}

// Records that zstd makes just smaller, just as large or just larger: size alone tells raw ones.
static void records_at_the_edge_of_paying_come_back(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++)
        for (size_t size = 8; size < 72; size += 3) {
            chunk c = make_chunk(kinds[k].kind, 72, size);
            test_rng rng = test_rng_seed(size);
            for (size_t i = 0; i < c.n; i++)
                for (size_t j = 0; j < size; j++)
                    c.record[i * size + j] = j < i ? 5 : (unsigned char)test_rng_next(&rng);
            encode(&c);
            check_round_trip(&c);
            free_chunk(&c);
        }
}

static void noise_among_frames_comes_back(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        chunk c = make_frames(&kinds[k]);
        uint8_t unused[N];
        for (size_t i = 0; i < N; i += 9)
            frames_noise(i, 1, c.record + i * FRAME_SIZE, unused);
        encode(&c);
        check_round_trip(&c);
        free_chunk(&c);
    }
}

static void deltas_stay_within_their_episode(void **state)
{
    (void)state;
    chunk c = make_frames(&delta);
    size_t deltas = 0;
    for (size_t i = 0, begin = 0; i < N; i++) {
        if (c.starts[i])
            begin = i;
        assert_true(i - c.place[i].back >= begin);
        assert_true(c.place[i].back < REPLAY_KEY_DISTANCE);
        deltas += c.place[i].back > 0;
    }
    assert_true(deltas > N * 3 / 4);
    // No starts: keys at fixed distances.
    expect_ok(replay_coder_encode(c.coder, NULL, c.record, NULL, N, c.body, c.capacity, c.place,
                                  &c.size));
    for (size_t i = 0; i < N; i++)
        assert_int_equal(c.place[i].back, i % REPLAY_KEY_DISTANCE);
    check_round_trip(&c);
    free_chunk(&c);
}

static void the_same_records_give_the_same_bytes(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        chunk a = make_frames(&kinds[k]);
        chunk b = make_frames(&kinds[k]);
        // Other work in between leaves no trace.
        frames_noise(3, N, b.record, b.starts);
        encode(&b);
        frames_catch(7, WALL, N, b.record, b.starts);
        encode(&b);
        assert_int_equal(a.size, b.size);
        assert_memory_equal(a.body, b.body, a.size);
        assert_memory_equal(a.place, b.place, sizeof a.place);
        free_chunk(&a);
        free_chunk(&b);
    }
}

static void no_flipped_byte_gives_other_records(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        chunk c = make_chunk(kinds[k].kind, 40, 300);
        for (size_t i = 0; i < c.n * c.record_size; i++)
            c.record[i] = (unsigned char)(i % 300 / 40 + (i % 7 == i / 300 % 7));
        train_for(&c, &kinds[k]);
        encode(&c);
        for (size_t at = 0; at < c.size; at++)
            for (int bits = 1; bits < 256; bits = 4 * bits + 3) {
                size_t i = 0;
                while (c.place[i].end <= at)
                    i++;
                c.body[at] ^= (unsigned char)bits;
                expect_fails(GN_ERR_CORRUPT, "of its chunk", decode_run(&c, i, 1));
                c.body[at] ^= (unsigned char)bits;
            }
        check_round_trip(&c);
        // The check itself, and the key record of a delta.
        c.place[5].check ^= 1;
        expect_fails(GN_ERR_CORRUPT, "record 5 of its chunk", decode_run(&c, 5, 1));
        c.place[5].check ^= 1;
        c.body[0] ^= 1;
        if (c.place[5].back == 5)
            expect_fails(GN_ERR_CORRUPT, "record 0 of its chunk", decode_run(&c, 5, 1));
        free_chunk(&c);
    }
}

static void missing_bytes_are_noticed(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        chunk c = make_frames(&kinds[k]);
        size_t from = 0, to = 0;
        for (size_t i = 1; i < 20; i++) {
            replay_coder_need(c.kind, c.place, i, 1, &from, &to);
            expect_ok(
                replay_coder_decode(c.coder, c.model, c.place, i, c.body + from, from, to, c.back));
            assert_memory_equal(c.back, c.record + i * FRAME_SIZE, FRAME_SIZE);
            expect_fails(GN_ERR_CORRUPT, "of its chunk",
                         replay_coder_decode(c.coder, c.model, c.place, i, c.body + from, from,
                                             to - 1, c.back));
            expect_fails(GN_ERR_CORRUPT, "of its chunk",
                         replay_coder_decode(c.coder, c.model, c.place, i, c.body + from + 1,
                                             from + 1, to, c.back));
        }
        free_chunk(&c);
    }
}

// Places that lie, with checks that match: still no record, and no byte outside.
static void wrong_places_are_refused(void **state)
{
    (void)state;
    chunk c = make_frames(&delta);
    assert_true(replay_places_fit(c.place, N, c.size));
    assert_true(replay_places_fit(c.place, 0, 0));
    assert_false(replay_places_fit(c.place, N, c.size + 1));
    assert_false(replay_places_fit(c.place, N - 1, c.size));
    replay_place good[N];
    memcpy(good, c.place, sizeof good);
    const replay_place wrong[] = {
        { good[3].end, good[3].check, 4 }, // before the chunk
        { good[3].end, good[3].check, 1 }, // no key record
        { good[2].end, good[3].check, 3 }, // nothing
        { good[2].end - 1, good[3].check, 3 }, // ends before it begins
        { good[3].end, good[3].check, UINT32_MAX },
    };
    for (size_t w = 0; w < sizeof wrong / sizeof *wrong; w++) {
        c.place[3] = wrong[w];
        assert_false(replay_places_fit(c.place, N, c.size));
        expect_fails(GN_ERR_CORRUPT, "of its chunk",
                     replay_coder_decode(c.coder, NULL, c.place, 3, c.body, 0, c.size, c.back));
    }
    memcpy(c.place, good, sizeof good);
    c.place[0].end = good[1].end;
    assert_false(replay_places_fit(c.place, N, c.size));
    memcpy(c.place, good, sizeof good);
    c.place[20].back = REPLAY_KEY_DISTANCE;
    assert_false(replay_places_fit(c.place, N, c.size));
    free_chunk(&c);
}

// Bytes that match their check but are no record: of any length, first bytes of another frame. The
// first patches of a record are one, of another frame.
static void bytes_that_are_no_record_are_refused(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        chunk c = make_frames(&kinds[k]);
        size_t whole = c.place[0].end;
        for (size_t size = 1; size < whole; size++) {
            c.place[0].end = (uint32_t)size;
            c.place[0].check = (uint32_t)gn_checksum(c.body, size);
            gn_status status = decode_run(&c, 0, 1);
            assert_true(status == GN_ERR_CORRUPT || (status == GN_OK && kinds[k].model == BOOK));
        }
        free_chunk(&c);
    }
}

static void a_steady_coder_allocates_nothing(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        chunk c = make_frames(&kinds[k]);
        expect_ok(
            replay_coder_decode_run(c.coder, c.model, c.place, 0, N, c.body, 0, c.size, c.back));
        uint64_t before = gn_mem_allocations();
        size_t mallocs_before = mallocs;
        for (int round = 0; round < 3; round++) {
            encode(&c);
            expect_ok(replay_coder_decode_run(c.coder, c.model, c.place, 1, N - 1, c.body, 0,
                                              c.size, c.back));
        }
        assert_int_equal(gn_mem_allocations(), before);
        assert_int_equal(mallocs, mallocs_before);
        free_chunk(&c);
    }
}

static void wrong_arguments_are_named(void **state)
{
    (void)state;
    replay_coder *none = NULL;
    expect_fails(GN_ERR_ARG, "record size 0", replay_coder_create(&none, REPLAY_CODEC_ZSTD, 3, 0));
    expect_fails(GN_ERR_ARG, "level 0", replay_coder_create(&none, REPLAY_CODEC_ZSTD, 0, 5));
    for (uint64_t n = 1; n <= 4; n++) {
        gn_mem_fail_at(n);
        expect_fails(GN_ERR_MEMORY, "allocate",
                     replay_coder_create(&none, REPLAY_CODEC_ZSTD, 3, 5));
    }
    assert_null(none);
    chunk c = make_frames(&kinds[3]);
    size_t size = 5;
    expect_fails(GN_ERR_ARG, "no room",
                 replay_coder_encode(c.coder, NULL, c.record, c.starts, N, c.body, c.capacity - 1,
                                     c.place, &size));
    expect_fails(GN_ERR_ARG, "no room",
                 replay_coder_encode(c.coder, NULL, c.record, c.starts, UINT32_MAX, c.body,
                                     SIZE_MAX, c.place, &size));
    expect_ok(replay_coder_create(&none, REPLAY_CODEC_ZSTD, 3, FRAME_SIZE));
    expect_fails(GN_ERR_ARG, "takes no such model",
                 replay_coder_encode(none, c.model, c.record, c.starts, N, c.body, c.capacity,
                                     c.place, &size));
    replay_coder_destroy(&none);
    replay_model_destroy(&c.model);
    train(&c, REPLAY_MODEL_BOOK);
    expect_fails(GN_ERR_ARG, "takes no such model",
                 replay_coder_encode(c.coder, c.model, c.record, c.starts, N, c.body, c.capacity,
                                     c.place, &size));
    expect_ok(replay_coder_create(&none, REPLAY_CODEC_PATCH, 3, FRAME_SIZE - 1));
    expect_fails(GN_ERR_ARG, "takes no such model",
                 replay_coder_encode(none, c.model, c.record, c.starts, N, c.body, c.capacity,
                                     c.place, &size));
    replay_coder_destroy(&none);
    assert_int_equal(size, 5);
    free_chunk(&c);
}

// A wall of one motive, another one in each record: thousands of patches, a few bytes for zstd.
// Such of noise are kept as they are.
static void what_is_too_much_to_patch_is_not(void **state)
{
    (void)state;
    chunk c = make_frames(&kinds[KINDS - 1]);
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < FRAME_SIZE / 5; k++)
            c.record[i * FRAME_SIZE + k] = (unsigned char)(k % 31 * (i + 3) + i);
    encode(&c);
    assert_true(c.size < N * FRAME_SIZE / 20);
    check_round_trip(&c);
    frames_noise(3, N, c.record, c.starts);
    encode(&c);
    assert_int_equal(c.size, N * FRAME_SIZE);
    check_round_trip(&c);
    free_chunk(&c);
}

TEST_MAIN(what_is_too_much_to_patch_is_not, frames_come_back, noise_and_small_records_come_back,
          records_at_the_edge_of_paying_come_back, noise_among_frames_comes_back,
          deltas_stay_within_their_episode, the_same_records_give_the_same_bytes,
          no_flipped_byte_gives_other_records, missing_bytes_are_noticed, wrong_places_are_refused,
          bytes_that_are_no_record_are_refused, a_steady_coder_allocates_nothing,
          wrong_arguments_are_named)
