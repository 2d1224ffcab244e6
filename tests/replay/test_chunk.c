// Chunks: what goes in comes out, wherever in the ring it lies; nothing else ever does.

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
} slots;

static replay_columns columns_of(slots *ring)
{
    return (replay_columns){ ring->flags, ring->action, ring->reward, ring->record[0], RECORD };
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
    }
}

typedef struct chunk_coder {
    gn_compressor *compressor;
    unsigned char *scratch, *bytes;
    size_t capacity, size;
} chunk_coder;

static chunk_coder open_coder(void)
{
    chunk_coder coder = { .capacity = replay_chunk_bound(RING, RECORD) };
    expect_ok(gn_compressor_create(&coder.compressor, 3));
    expect_ok(gn_alloc(&coder.scratch, replay_chunk_scratch(RING, RECORD), 1));
    expect_ok(gn_alloc(&coder.bytes, coder.capacity, 1));
    return coder;
}

static void close_coder(chunk_coder *coder)
{
    gn_compressor_destroy(&coder->compressor);
    gn_free(&coder->scratch);
    gn_free(&coder->bytes);
}

static void encode(chunk_coder *coder, slots *from, uint64_t at, size_t n)
{
    replay_columns columns = columns_of(from);
    expect_ok(replay_chunk_encode(coder->compressor, &columns, RING, at, n, 1000 + at,
                                  coder->scratch, coder->bytes, coder->capacity, &coder->size));
}

static gn_status decode(chunk_coder *coder, slots *to, uint64_t at, size_t n, uint64_t position)
{
    replay_columns columns = columns_of(to);
    // In a block of its exact size, where the address sanitizer watches the end.
    unsigned char *exact = malloc(coder->size);
    memcpy(exact, coder->bytes, coder->size);
    gn_status status = replay_chunk_decode(coder->compressor, exact, coder->size, &columns, RING,
                                           at, n, position, coder->scratch);
    free(exact);
    return status;
}

static void slots_come_back_from_anywhere_in_the_ring(void **state)
{
    (void)state;
    chunk_coder coder = open_coder();
    slots from, to;
    fill(&from, 1);
    for (uint64_t at = 0; at < RING; at++) {
        for (size_t n = 1; n <= RING; n++) {
            memset(&to, 0xee, sizeof to);
            slots expected = to;
            for (size_t i = 0; i < n; i++) {
                size_t slot = (at + i) % RING;
                expected.flags[slot] = from.flags[slot];
                expected.action[slot] = from.action[slot];
                expected.reward[slot] = from.reward[slot];
                memcpy(expected.record[slot], from.record[slot], RECORD);
            }
            encode(&coder, &from, at, n);
            expect_ok(decode(&coder, &to, at, n, 1000 + at));
            assert_memory_equal(&to, &expected, sizeof to);
        }
    }
    close_coder(&coder);
}

static void a_flipped_or_missing_byte_is_an_error(void **state)
{
    (void)state;
    chunk_coder coder = open_coder();
    slots from, to = { 0 }, untouched = to;
    fill(&from, 2);
    encode(&coder, &from, 3, RING - 3);
    for (size_t at = 0; at < coder.size; at++) {
        for (int bit = 0; bit < 8; bit++) {
            coder.bytes[at] ^= (unsigned char)(1 << bit);
            expect_fails(GN_ERR_CORRUPT, "", decode(&coder, &to, 3, RING - 3, 1003));
            coder.bytes[at] ^= (unsigned char)(1 << bit);
        }
    }
    size_t whole = coder.size;
    for (coder.size = 0; coder.size < whole; coder.size++)
        expect_fails(GN_ERR_CORRUPT, "", decode(&coder, &to, 3, RING - 3, 1003));
    assert_memory_equal(&to, &untouched, sizeof to);
    close_coder(&coder);
}

static void another_chunk_is_not_taken_for_it(void **state)
{
    (void)state;
    chunk_coder coder = open_coder();
    slots from, to;
    fill(&from, 3);
    encode(&coder, &from, 0, 10);
    expect_fails(GN_ERR_CORRUPT, "holds 10 records of 5 bytes from position 1000, not 9 of 5",
                 decode(&coder, &to, 0, 9, 1000));
    expect_fails(GN_ERR_CORRUPT, "from position 1000", decode(&coder, &to, 0, 10, 1001));
    replay_columns columns = columns_of(&from);
    expect_fails(GN_ERR_ARG, "bytes are too few",
                 replay_chunk_encode(coder.compressor, &columns, RING, 0, 10, 0, coder.scratch,
                                     coder.bytes, 10, &coder.size));
    close_coder(&coder);
}

TEST_MAIN(slots_come_back_from_anywhere_in_the_ring, a_flipped_or_missing_byte_is_an_error,
          another_chunk_is_not_taken_for_it)
