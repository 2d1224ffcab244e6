// Range, step and codes of a record, in loops that vectorise.

#include "replay/quantize.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { HEAD = 2 * sizeof(float), LANES = 16 };

typedef uint16_t code16 __attribute__((aligned(1), may_alias)); // behind a head of any address

size_t replay_quantized_size(size_t floats, int bits)
{
    assert(bits == 8 || bits == 16);
    return HEAD + floats * (size_t)bits / 8;
}

size_t replay_quantized_floats(size_t size, int bits)
{
    size_t code_size = (size_t)bits / 8;
    return size > HEAD && (size - HEAD) % code_size == 0 ? (size - HEAD) / code_size : 0;
}

static bool all_finite(const float *record, size_t floats)
{
    uint32_t bad = 0;
    for (size_t i = 0; i < floats; i++)
        bad |= !(fabsf(record[i]) <= FLT_MAX);
    return bad == 0;
}

// Lane by lane: a minimum over all of a record would keep the order of the text, one at a time.
static void find_range(const float *record, size_t floats, float *ret_low, float *ret_high)
{
    float low[LANES], high[LANES];
    for (size_t lane = 0; lane < LANES; lane++)
        low[lane] = high[lane] = record[0];
    size_t i = 0;
    for (; i + LANES <= floats; i += LANES)
        for (size_t lane = 0; lane < LANES; lane++) {
            low[lane] = record[i + lane] < low[lane] ? record[i + lane] : low[lane];
            high[lane] = record[i + lane] > high[lane] ? record[i + lane] : high[lane];
        }
    for (; i < floats; i++) {
        low[0] = record[i] < low[0] ? record[i] : low[0];
        high[0] = record[i] > high[0] ? record[i] : high[0];
    }
    for (size_t lane = 1; lane < LANES; lane++) {
        low[0] = low[lane] < low[0] ? low[lane] : low[0];
        high[0] = high[lane] > high[0] ? high[lane] : high[0];
    }
    *ret_low = low[0];
    *ret_high = high[0];
}

// In double, where differences and products of a code and a step are exact: otherwise codes near a
// half would change when quantized again.
static inline uint32_t code_of(float value, float low, double inverse, double most)
{
    double code = ((double)value - low) * inverse + 0.5;
    return (uint32_t)(int32_t)(code < most ? code : most);
}

gn_status replay_quantize(const float *restrict record, size_t floats, int bits,
                          unsigned char *restrict ret_bytes)
{
    assert(bits == 8 || bits == 16);
    if (!all_finite(record, floats)) {
        size_t i = 0;
        while (isfinite(record[i]))
            i++;
        return gn_fail(GN_ERR_NUMERIC, "quantize: value %zu of the record is %g", i, record[i]);
    }
    float low = 0, high = 0;
    if (floats > 0)
        find_range(record, floats, &low, &high);
    double most = bits == 8 ? UINT8_MAX : UINT16_MAX;
    float step = (float)(((double)high - low) / most);
    if (!isfinite((float)(low + most * step)))
        return gn_fail(GN_ERR_NUMERIC, "quantize: a record from %g to %g: too wide for float32",
                       low, high);
    double inverse = step > 0 ? 1.0 / step : 0;
    memcpy(ret_bytes, &low, sizeof low);
    memcpy(ret_bytes + sizeof low, &step, sizeof step);
    if (bits == 8) {
        unsigned char *code = ret_bytes + HEAD;
        for (size_t i = 0; i < floats; i++)
            code[i] = (uint8_t)code_of(record[i], low, inverse, most);
    } else {
        code16 *code = (code16 *)(ret_bytes + HEAD);
        for (size_t i = 0; i < floats; i++)
            code[i] = (uint16_t)code_of(record[i], low, inverse, most);
    }
    return GN_OK;
}

void replay_dequantize(const unsigned char *restrict bytes, size_t floats, int bits,
                       float *restrict ret_record)
{
    assert(bits == 8 || bits == 16);
    float low, step;
    memcpy(&low, bytes, sizeof low);
    memcpy(&step, bytes + sizeof low, sizeof step);
    if (bits == 8) {
        const unsigned char *code = bytes + HEAD;
        for (size_t i = 0; i < floats; i++)
            ret_record[i] = (float)((double)low + (double)step * code[i]);
    } else {
        const code16 *code = (const code16 *)(bytes + HEAD);
        for (size_t i = 0; i < floats; i++)
            ret_record[i] = (float)((double)low + (double)step * code[i]);
    }
}
