// Internal to nn/: sigmoid and tanh that loops vectorise, to about 2 units in the last place, small
// tanh too. A NaN stays one.

#ifndef NN_SIGMOID_H
#define NN_SIGMOID_H

#include <stdint.h>
#include <string.h>

// exp(x) - 1 for x in -87..87: with x = k log 2 + r, 2^k (exp(r) - 1) + (2^k - 1). Adding 1.5 *
// 2^23 rounds x / log 2 to k and leaves it in the low bits; exp(r) - 1 is its series.
static inline float nn_exp_minus_1(float x)
{
    const float shift = 0x1.8p23f;
    float shifted = x * 1.44269504f + shift, k = shifted - shift, scale;
    float r = (x - k * 0.693145752f) - k * 1.42860677e-6f; // log 2 in two pieces
    float tail = 1.f / 720 + r * (1.f / 5040);
    tail = 1.f / 6 + r * (1.f / 24 + r * (1.f / 120 + r * tail));
    float p = r + r * r * (0.5f + r * tail);
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits << 23) + (127u << 23);
    memcpy(&scale, &bits, sizeof scale);
    return scale * p + (scale - 1);
}

static inline float nn_clamp(float x, float limit)
{
    x = x > limit ? limit : x;
    return x < -limit ? -limit : x;
}

static inline float nn_sigmoid(float x)
{
    return 1 / (2 + nn_exp_minus_1(nn_clamp(-x, 87)));
}

// 1 from 10 on.
static inline float nn_tanh(float x)
{
    float e = nn_exp_minus_1(2 * nn_clamp(x, 10));
    return e / (e + 2);
}

#endif
