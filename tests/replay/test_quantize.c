// Quantised records: the error is what is promised, codes survive, bad numbers are named.

#include "replay/quantize.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/check.h"

enum { FLOATS = 83, SIZE_MAX_16 = 8 + 2 * FLOATS };

static void hand_made_record(void **state)
{
    (void)state;
    const float record[] = { -1, 0, 0.25f, 254, 127 };
    float back[5], head[2];
    unsigned char bytes[8 + 10];
    assert_int_equal(replay_quantized_size(5, 8), 13);
    assert_int_equal(replay_quantized_size(5, 16), 18);
    expect_ok(replay_quantize(record, 5, 8, bytes));
    memcpy(head, bytes, 8);
    assert_true(head[0] == -1 && head[1] == 1);
    const unsigned char codes[] = { 0, 1, 1, 255, 128 };
    assert_memory_equal(bytes + 8, codes, 5);
    replay_dequantize(bytes, 5, 8, back);
    assert_true(back[0] == -1 && back[1] == 0 && back[2] == 0 && back[3] == 254 && back[4] == 127);

    const float wide[] = { 0, 65535, 258, 258.4f, 1 };
    expect_ok(replay_quantize(wide, 5, 16, bytes));
    const unsigned char codes16[] = { 0, 0, 255, 255, 2, 1, 2, 1, 1, 0 }; // little-endian
    assert_memory_equal(bytes + 8, codes16, 10);
    replay_dequantize(bytes, 5, 16, back);
    assert_true(back[1] == 65535 && back[2] == 258 && back[3] == 258 && back[4] == 1);
}

// Random records of many ranges and offsets, at any address.
static void errors_stay_below_half_a_step(void **state)
{
    (void)state;
    test_rng rng = test_rng_seed(1);
    unsigned char bytes[SIZE_MAX_16 + 3], again[SIZE_MAX_16 + 3];
    float record[FLOATS], back[FLOATS];
    for (int round = 0; round < 40000; round++) {
        int bits = round % 2 ? 16 : 8;
        size_t floats = 1 + test_rng_below(&rng, FLOATS), at = test_rng_below(&rng, 4);
        double range = exp2(test_rng_unit(&rng) * 60 - 30);
        double offset = range * exp2(test_rng_unit(&rng) * 30 - 6) * (round % 3 - 1);
        for (size_t i = 0; i < floats; i++)
            record[i] = (float)(offset + range * test_rng_unit(&rng));
        expect_ok(replay_quantize(record, floats, bits, bytes + at));
        replay_dequantize(bytes + at, floats, bits, back);
        float step;
        memcpy(&step, bytes + at + 4, 4);
        for (size_t i = 0; i < floats; i++) {
            double rounding = ldexp(fabs(record[i]) + step, -22);
            assert_true(fabs((double)back[i] - record[i]) <= 0.5 * step + rounding);
        }
        expect_ok(replay_quantize(back, floats, bits, again + at));
        assert_memory_equal(again + at + 8, bytes + at + 8,
                            replay_quantized_size(floats, bits) - 8);
    }
}

static void equal_values_come_back_exactly(void **state)
{
    (void)state;
    const float values[] = { 0, 1, -3.14159f, 1e-42f, 1e30f, FLT_MAX, -FLT_MAX };
    unsigned char bytes[SIZE_MAX_16];
    float record[FLOATS], back[FLOATS];
    for (size_t v = 0; v < sizeof values / sizeof *values; v++)
        for (int bits = 8; bits <= 16; bits += 8) {
            for (size_t i = 0; i < FLOATS; i++)
                record[i] = values[v];
            expect_ok(replay_quantize(record, FLOATS, bits, bytes));
            replay_dequantize(bytes, FLOATS, bits, back);
            assert_memory_equal(back, record, sizeof back);
        }
    expect_ok(replay_quantize(record, 0, 8, bytes)); // nothing is no error
}

// Ranges below what a float32 step can tell: no code wraps around.
static void the_smallest_ranges_do_no_harm(void **state)
{
    (void)state;
    unsigned char bytes[SIZE_MAX_16];
    float record[FLOATS], back[FLOATS];
    for (float range = 1e-45f; range < 1e-35f; range *= 1.7f)
        for (int bits = 8; bits <= 16; bits += 8) {
            for (size_t i = 0; i < FLOATS; i++)
                record[i] = range * ((float)i / (FLOATS - 1));
            expect_ok(replay_quantize(record, FLOATS, bits, bytes));
            replay_dequantize(bytes, FLOATS, bits, back);
            for (size_t i = 0; i < FLOATS; i++)
                assert_true(fabsf(back[i] - record[i]) <= range / 255 + 1e-40f);
        }
}

static void bad_numbers_are_named(void **state)
{
    (void)state;
    unsigned char bytes[SIZE_MAX_16];
    for (int bits = 8; bits <= 16; bits += 8)
        for (size_t at = 0; at < FLOATS; at++) {
            float record[FLOATS] = { 1, 2 };
            char text[64];
            record[FLOATS - 1] = NAN;
            record[at] = at % 3 == 0 ? NAN : at % 3 == 1 ? INFINITY : -INFINITY;
            snprintf(text, sizeof text, "value %zu of the record is", at);
            expect_fails(GN_ERR_NUMERIC, text, replay_quantize(record, FLOATS, bits, bytes));
        }
    const float wide[] = { -FLT_MAX, FLT_MAX, 0 };
    float back[3];
    if (replay_quantize(wide, 3, 8, bytes) == GN_OK) {
        replay_dequantize(bytes, 3, 8, back);
        assert_true(isfinite(back[0]) && isfinite(back[1]) && fabsf(back[2]) <= FLT_MAX / 255);
    }
}

TEST_MAIN(hand_made_record, errors_stay_below_half_a_step, equal_values_come_back_exactly,
          the_smallest_ranges_do_no_harm, bad_numbers_are_named)
