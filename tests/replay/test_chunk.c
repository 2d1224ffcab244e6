// Chunks: what goes in comes out, records or places of records; nothing else ever does.

#include "replay/chunk.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/support/check.h"

enum { RING = 40, RECORD = 5 };

typedef struct slots {
    uint8_t flags[RING];
    int32_t action[RING];
    float reward[RING];
    unsigned char record[RING][RECORD];
    replay_place place[RING];
} slots;

static const replay_chunk_about about = { .contents = 77, .model = 3, .body_size = 4 * RING };

static replay_columns columns_of(slots *ring, bool packed)
{
    return (replay_columns){ .flags = ring->flags,
                             .action = ring->action,
                             .reward = ring->reward,
                             .record = ring->record[0],
                             .place = packed ? ring->place : NULL,
                             .record_size = RECORD };
}

static void fill(slots *ring, uint64_t seed)
{
    test_rng rng = test_rng_seed(seed);
    for (size_t i = 0; i < RING; i++) {
        ring->flags[i] = (uint8_t)test_rng_below(&rng, 3);
        ring->action[i] = (int32_t)test_rng_below(&rng, 5);
        ring->reward[i] = (float)test_rng_unit(&rng);
        for (size_t j = 0; j < RECORD; j++)
            ring->record[i][j] = (unsigned char)test_rng_below(&rng, 4);
        ring->place[i] =
            (replay_place){ .end = 4 * (uint32_t)(i + 1), .check = (uint32_t)test_rng_next(&rng) };
    }
}

typedef struct chunk_coder {
    gn_compressor *compressor;
    unsigned char *scratch, *bytes;
    size_t capacity, size;
} chunk_coder;

static chunk_coder open_coder(void)
{
    chunk_coder coder = { .capacity = replay_chunk_bound(RING, RECORD + 16, false) };
    expect_ok(gn_compressor_create(&coder.compressor, 3));
    expect_ok(gn_alloc(&coder.scratch, replay_chunk_scratch(RING, true), 1));
    expect_ok(gn_alloc(&coder.bytes, coder.capacity, 1));
    return coder;
}

static void close_coder(chunk_coder *coder)
{
    gn_compressor_destroy(&coder->compressor);
    gn_free(&coder->scratch);
    gn_free(&coder->bytes);
}

static void encode(chunk_coder *coder, slots *from, size_t n, bool packed)
{
    replay_columns columns = columns_of(from, packed);
    replay_chunk_about here = about;
    here.first_position = 1000;
    here.body_size = 4 * (uint32_t)n;
    expect_ok(replay_chunk_encode(coder->compressor, &columns, n, &here, coder->scratch,
                                  coder->bytes, coder->capacity, &coder->size));
}

static gn_status decode(chunk_coder *coder, slots *to, size_t n, uint64_t position, bool packed)
{
    replay_columns columns = columns_of(to, packed);
    replay_chunk_about found = { 0 };
    // In a block of its exact size, where the address sanitizer watches the end.
    unsigned char *exact = malloc(coder->size);
    memcpy(exact, coder->bytes, coder->size);
    gn_status status = replay_chunk_decode(coder->compressor, exact, coder->size, n, position,
                                           coder->scratch, &columns, &found);
    free(exact);
    if (status == GN_OK) {
        assert_int_equal(found.first_position, position);
        assert_int_equal(found.contents, about.contents);
        assert_int_equal(found.model, about.model);
        assert_int_equal(found.body_size, 4 * n);
    }
    return status;
}

static void slots_come_back(void **state)
{
    (void)state;
    chunk_coder coder = open_coder();
    slots from, to;
    fill(&from, 1);
    for (int packed = 0; packed < 2; packed++) {
        for (size_t n = 1; n <= RING; n++) {
            memset(&to, 0xee, sizeof to);
            slots expected = to;
            memcpy(expected.flags, from.flags, n * sizeof *from.flags);
            memcpy(expected.action, from.action, n * sizeof *from.action);
            memcpy(expected.reward, from.reward, n * sizeof *from.reward);
            if (packed)
                memcpy(expected.place, from.place, n * sizeof *from.place);
            else
                memcpy(expected.record, from.record, n * sizeof *from.record);
            encode(&coder, &from, n, packed);
            expect_ok(decode(&coder, &to, n, 1000, packed));
            assert_memory_equal(&to, &expected, sizeof to);
        }
    }
    close_coder(&coder);
}

static void places_outside_the_body_are_an_error(void **state)
{
    (void)state;
    chunk_coder coder = open_coder();
    slots from, to;
    fill(&from, 4);
    from.place[5].end = from.place[4].end - 1;
    encode(&coder, &from, RING, true);
    expect_fails(GN_ERR_CORRUPT, "places", decode(&coder, &to, RING, 1000, true));
    close_coder(&coder);
}

static void contents_name_every_column(void **state)
{
    (void)state;
    slots from;
    fill(&from, 5);
    replay_columns columns = columns_of(&from, false);
    uint64_t sum = replay_chunk_contents(&columns, RING);
    unsigned char *const bytes[] = { from.flags, (unsigned char *)from.action,
                                     (unsigned char *)from.reward, from.record[0] };
    for (size_t i = 0; i < 4; i++) {
        bytes[i][RING - 1] ^= 1;
        assert_int_not_equal(replay_chunk_contents(&columns, RING), sum);
        bytes[i][RING - 1] ^= 1;
    }
    from.place[0].check++; // how records are coded is no content
    assert_int_equal(replay_chunk_contents(&columns, RING), sum);
}

static void a_flipped_or_missing_byte_is_an_error(void **state)
{
    (void)state;
    chunk_coder coder = open_coder();
    slots from, to = { 0 }, untouched = to;
    fill(&from, 2);
    encode(&coder, &from, RING, false);
    for (size_t at = 0; at < coder.size; at++) {
        for (int bit = 0; bit < 8; bit++) {
            coder.bytes[at] ^= (unsigned char)(1 << bit);
            expect_fails(GN_ERR_CORRUPT, "", decode(&coder, &to, RING, 1000, false));
            coder.bytes[at] ^= (unsigned char)(1 << bit);
        }
    }
    size_t whole = coder.size;
    for (coder.size = 0; coder.size < whole; coder.size++)
        expect_fails(GN_ERR_CORRUPT, "", decode(&coder, &to, RING, 1000, false));
    assert_memory_equal(&to, &untouched, sizeof to);
    close_coder(&coder);
}

static void another_chunk_is_not_taken_for_it(void **state)
{
    (void)state;
    chunk_coder coder = open_coder();
    slots from, to;
    fill(&from, 3);
    encode(&coder, &from, 10, false);
    expect_fails(GN_ERR_CORRUPT, "holds 10 records of 5 bytes from position 1000, not 9 of 5",
                 decode(&coder, &to, 9, 1000, false));
    expect_fails(GN_ERR_CORRUPT, "from position 1000", decode(&coder, &to, 10, 1001, false));
    replay_columns columns = columns_of(&from, false);
    expect_fails(GN_ERR_ARG, "bytes are too few",
                 replay_chunk_encode(coder.compressor, &columns, 10, &about, coder.scratch,
                                     coder.bytes, 10, &coder.size));
    close_coder(&coder);
}

TEST_MAIN(slots_come_back, places_outside_the_body_are_an_error, contents_name_every_column,
          a_flipped_or_missing_byte_is_an_error, another_chunk_is_not_taken_for_it)
