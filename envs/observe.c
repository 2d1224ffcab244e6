#include "envs/observe.h"

#include <string.h>

void env_window_begin(const env_spec *spec, const unsigned char *record, unsigned char *ret_window)
{
    for (uint32_t i = 0; i < spec->stack; i++)
        memcpy(ret_window + i * spec->record_size, record, spec->record_size);
}

void env_window_push(const env_spec *spec, const unsigned char *record, unsigned char *window)
{
    size_t size = spec->record_size, kept = (spec->stack - 1) * size;
    memmove(window, window + size, kept);
    memcpy(window + kept, record, size);
}

// Bytes that fill the last quarter of the floats' memory become those floats, front to back. What
// is written never reaches bytes that are still to be read, but for the block in hand: hence the
// copy of it.
static void spread_bytes(float *value, size_t n)
{
    enum { BLOCK = 256 };
    const unsigned char *byte = (const unsigned char *)value + 3 * n;
    for (size_t i = 0; i < n; i += BLOCK) {
        unsigned char block[BLOCK];
        size_t count = n - i < BLOCK ? n - i : BLOCK;
        memcpy(block, byte + i, count);
        for (size_t k = 0; k < count; k++)
            value[i + k] = (float)block[k] / 255;
    }
}

void env_decode_float(const env_class *kind, const void *env, const env_spec *spec,
                      const unsigned char *record, size_t stride, size_t n, float *ret_observation)
{
    if (spec->dtype == ENV_FLOAT32) {
        kind->decode(env, record, stride, n, ret_observation);
        return;
    }
    size_t elements = n * spec->observation_elements;
    kind->decode(env, record, stride, n, (unsigned char *)ret_observation + 3 * elements);
    spread_bytes(ret_observation, elements);
}
