// Internal to nn/: exp, log and erf of vectors. libm has them, but gcc calls those only under
// -ffast-math. A NaN stays a NaN but in the logarithm.
//
// Measured against libm in double precision (tests/nn/test_simd_math.c).

#ifndef NN_SIMD_MATH_H
#define NN_SIMD_MATH_H

#include "nn/simd.h"

// e^x for x <= 88; 0 below -87.  Relative error < 2e-7.
//     x = k ln 2 + r,  |r| <= ln 2 / 2;  e^x = 2^k (1 + r + r^2 p(r))
// Adding 1.5 * 2^23 leaves k in the low bits of the float. Source of p: Moshier, Cephes, expf.
NN_INLINE nn_vector nn_vector_exp(nn_vector x)
{
    const float round = 12582912.0f;
    nn_vector shifted = x * 1.44269504f + round, k = shifted - round;
    nn_vector r = x - k * 0.693359375f + k * 2.12194440e-4f; // ln 2 in two parts
    nn_vector p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1;
    nn_vector scale = (nn_vector)(((nn_bits)shifted << 23) + 0x3f800000u);
    return (nn_vector)((nn_mask)(p * scale) & ~(x < -87.0f));
}

// ln x of a positive normal number; some number where x is anything else.  Relative error < 2e-7.
//     x = 2^k m,  m in [sqrt(1/2), sqrt(2));  f = m - 1;  ln x = k ln 2 + f - f^2/2 + f^3 p(f)
// Source of p: Moshier, Cephes, logf.
NN_INLINE nn_vector nn_vector_log(nn_vector x)
{
    nn_mask exponent = (nn_mask)((nn_bits)x - 0x3f3504f3u) >> 23;
    nn_vector f = (nn_vector)((nn_bits)x - ((nn_bits)exponent << 23)) - 1;
    nn_vector k = __builtin_convertvector(exponent, nn_vector), square = f * f;
    nn_vector p = f * 7.0376836292e-2f - 1.1514610310e-1f;
    p = p * f + 1.1676998740e-1f;
    p = p * f - 1.2420140846e-1f;
    p = p * f + 1.4249322787e-1f;
    p = p * f - 1.6668057665e-1f;
    p = p * f + 2.0000714765e-1f;
    p = p * f - 2.4999993993e-1f;
    p = p * f + 3.3333331174e-1f;
    nn_vector low = p * f * square - k * 2.12194440e-4f - square * 0.5f;
    return f + low + k * 0.693359375f;
}

// ln(1 + x) for x in [0, 1].  Relative error < 4e-7.
// What 1 + x rounds away is put back as a factor. Source: Higham 2002, Accuracy and Stability of
// Numerical Algorithms, section 1.14.1.
NN_INLINE nn_vector nn_vector_log1p(nn_vector x)
{
    nn_vector sum = x + 1, rounded = sum - 1;
    nn_vector divisor = nn_vector_select(rounded == 0, nn_vector_of(1), rounded);
    return nn_vector_select(rounded == 0, x, nn_vector_log(sum) * (x / divisor));
}

// erf x.  Relative error < 3e-7.
//     |x| <= 0.9277: x + x p(x^2);  above: 1 - exp(q(|x|))
// Polynomials fitted in single precision by N. Juffa (stackoverflow.com/questions/35148198).
NN_INLINE nn_vector nn_vector_erf(nn_vector x)
{
    nn_vector size = nn_vector_at_most(nn_vector_abs(x), 4), square = size * size;
    nn_vector q = size * -1.72853470e-5f + 3.83197126e-4f;
    q = q * square + (size * -3.88396438e-3f + 2.42546219e-2f);
    q = q * size - 1.06777877e-1f;
    q = q * size - 6.34846687e-1f;
    q = q * size - 1.28717512e-1f;
    nn_vector far = 1 - nn_vector_exp(q * size - size);
    nn_vector p = square * -5.96761703e-4f + 4.99119423e-3f;
    p = p * square - 2.67681349e-2f;
    p = p * square + 1.12819925e-1f;
    p = p * square - 3.76125336e-1f;
    p = p * square + 1.28379166e-1f;
    nn_vector near = p * size + size;
    nn_vector result = nn_vector_select(size > 0.927734375f, far, near);
    return (nn_vector)((nn_mask)result | ((nn_mask)x & INT32_MIN));
}

#endif
