// Internal to nn/: vectors of NN_LANES floats, 16, 8 or 4 as the instruction set has them. They are
// extensions of gcc that clang knows too, so code on them is the same for all three.

#ifndef NN_SIMD_H
#define NN_SIMD_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __AVX__
#include <immintrin.h>
#endif

#if defined(__AVX512F__) && !defined(__SANITIZE_ADDRESS__) // gcc aligns its checked stack to 32
#define NN_LANES 16
#elif defined(__AVX__)
#define NN_LANES 8
#else
#define NN_LANES 4
#endif

#define NN_INLINE static inline __attribute__((always_inline))

typedef float nn_vector __attribute__((vector_size(NN_LANES * sizeof(float))));
typedef float nn_loose_vector __attribute__((vector_size(NN_LANES * sizeof(float)), aligned(4)));
typedef int32_t nn_mask __attribute__((vector_size(NN_LANES * sizeof(int32_t)))); // lanes 0 or -1
typedef uint32_t nn_bits __attribute__((vector_size(NN_LANES * sizeof(uint32_t))));

NN_INLINE nn_vector nn_vector_of(float x)
{
    nn_vector zero = { 0 };
    return zero + x;
}

NN_INLINE nn_vector nn_vector_load(const float *x)
{
    return *(const nn_loose_vector *)x;
}

NN_INLINE void nn_vector_store(float *ret_x, nn_vector x)
{
    *(nn_loose_vector *)ret_x = x;
}

NN_INLINE nn_vector nn_vector_select(nn_mask where, nn_vector a, nn_vector b)
{
    return (nn_vector)(((nn_mask)a & where) | ((nn_mask)b & ~where));
}

// Lanes before the count-th.
NN_INLINE nn_mask nn_mask_first(size_t count)
{
    nn_mask lane, zero = { 0 };
    for (int i = 0; i < NN_LANES; i++)
        lane[i] = i;
    return lane < zero + (int32_t)count;
}

// The first `count` lanes from memory, `fill` in the others. No memory behind them is read.
NN_INLINE nn_vector nn_vector_load_part(const float *x, size_t count, float fill)
{
#if NN_LANES == 16
    return (nn_vector)_mm512_mask_loadu_ps((__m512)nn_vector_of(fill),
                                           (__mmask16)((1u << count) - 1), x);
#elif NN_LANES == 8
    nn_mask first = nn_mask_first(count);
    nn_vector part = (nn_vector)_mm256_maskload_ps(x, (__m256i)first);
    return nn_vector_select(first, part, nn_vector_of(fill));
#else
    nn_vector part = nn_vector_of(fill);
    memcpy(&part, x, count * sizeof *x);
    return part;
#endif
}

// Stores the first `count` lanes.
NN_INLINE void nn_vector_store_part(float *ret_x, nn_vector x, size_t count)
{
#if NN_LANES == 16
    _mm512_mask_storeu_ps(ret_x, (__mmask16)((1u << count) - 1), (__m512)x);
#elif NN_LANES == 8
    _mm256_maskstore_ps(ret_x, (__m256i)nn_mask_first(count), (__m256)x);
#else
    memcpy(ret_x, &x, count * sizeof *ret_x);
#endif
}

NN_INLINE nn_vector nn_vector_abs(nn_vector x)
{
    return (nn_vector)((nn_mask)x & INT32_MAX);
}

NN_INLINE nn_vector nn_vector_sqrt(nn_vector x)
{
    for (int i = 0; i < NN_LANES; i++) // one instruction
        x[i] = sqrtf(x[i]);
    return x;
}

// x where it is above `least` or a NaN.
NN_INLINE nn_vector nn_vector_at_least(nn_vector x, float least)
{
    return nn_vector_select(x < least, nn_vector_of(least), x);
}

// x where it is below `most` or a NaN.
NN_INLINE nn_vector nn_vector_at_most(nn_vector x, float most)
{
    return nn_vector_select(x > most, nn_vector_of(most), x);
}

// b where one of them is a NaN.
NN_INLINE nn_vector nn_vector_larger(nn_vector a, nn_vector b)
{
    return nn_vector_select(a > b, a, b);
}

// Each lane with the one `distance` (a power of two) away, by halves.
#if NN_LANES == 16
#define NN_FOLD(x, fold) \
    do { \
        x = fold(x, __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, \
                                            6, 7)); \
        x = fold(x, __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, \
                                            10, 11)); \
        x = fold(x, __builtin_shufflevector(x, x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, \
                                            12, 13)); \
        x = fold(x, __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, \
                                            15, 14)); \
    } while (0)
#elif NN_LANES == 8
#define NN_FOLD(x, fold) \
    do { \
        x = fold(x, __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3)); \
        x = fold(x, __builtin_shufflevector(x, x, 2, 3, 0, 1, 6, 7, 4, 5)); \
        x = fold(x, __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6)); \
    } while (0)
#else
#define NN_FOLD(x, fold) \
    do { \
        x = fold(x, __builtin_shufflevector(x, x, 2, 3, 0, 1)); \
        x = fold(x, __builtin_shufflevector(x, x, 1, 0, 3, 2)); \
    } while (0)
#endif

NN_INLINE nn_vector nn_vector_plus(nn_vector a, nn_vector b)
{
    return a + b;
}

// Sum of the lanes.
NN_INLINE float nn_vector_sum(nn_vector x)
{
    NN_FOLD(x, nn_vector_plus);
    return x[0];
}

// Largest lane; any of them where there is a NaN.
NN_INLINE float nn_vector_largest(nn_vector x)
{
    NN_FOLD(x, nn_vector_larger);
    return x[0];
}

#endif
