// The operations on a node of the sum tree with AVX2. Internal to replay/sum_node.h, which tells
// what they do.

#ifndef REPLAY_SUM_NODE_AVX2_H
#define REPLAY_SUM_NODE_AVX2_H

#include "replay/sum_node.h"

#ifdef SUM_NODE_AVX2

#include <immintrin.h>

static inline double sum_node_total_avx2(const double *child)
{
    __m256d four = _mm256_add_pd(_mm256_load_pd(child), _mm256_load_pd(child + 4));
    __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(two) + _mm_cvtsd_f64(_mm_unpackhi_pd(two, two));
}

static inline double sum_node_low_avx2(const double *child)
{
    const __m256d none = _mm256_set1_pd(INFINITY), zero = _mm256_setzero_pd();
    __m256d low = _mm256_load_pd(child), high = _mm256_load_pd(child + 4);
    low = _mm256_blendv_pd(none, low, _mm256_cmp_pd(low, zero, _CMP_GT_OQ));
    high = _mm256_blendv_pd(none, high, _mm256_cmp_pd(high, zero, _CMP_GT_OQ));
    __m256d four = _mm256_min_pd(low, high);
    __m128d two = _mm_min_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_min_pd(two, _mm_unpackhi_pd(two, two)));
}

// Bit i: child i of the eight in `low` and `high` is greater than the same of `than`.
static inline unsigned sum_node_greater_avx2(__m256d low, __m256d high, __m256d than)
{
    unsigned first = (unsigned)_mm256_movemask_pd(_mm256_cmp_pd(low, than, _CMP_GT_OQ));
    unsigned second = (unsigned)_mm256_movemask_pd(_mm256_cmp_pd(high, than, _CMP_GT_OQ));
    return first | second << 4;
}

static inline unsigned sum_node_find_avx2(const double *child, double *x)
{
    const __m256d zero = _mm256_setzero_pd();
    __m256d low = _mm256_load_pd(child), high = _mm256_load_pd(child + 4);
    unsigned filled = sum_node_greater_avx2(low, high, zero);
    // Each child and the one before it, then the two before those, then the four.
    __m256d before = _mm256_permute2f128_pd(low, low, 0x08); // 0 0 l0 l1
    __m256d low_1 = _mm256_shuffle_pd(before, low, 0x5); // 0 l0 l1 l2
    __m256d middle = _mm256_permute2f128_pd(low, high, 0x21); // l2 l3 h0 h1
    __m256d high_1 = _mm256_shuffle_pd(middle, high, 0x5); // l3 h0 h1 h2
    low = _mm256_add_pd(low, low_1);
    high = _mm256_add_pd(high, high_1);
    before = _mm256_permute2f128_pd(low, low, 0x08);
    middle = _mm256_permute2f128_pd(low, high, 0x21);
    low = _mm256_add_pd(low, before);
    high = _mm256_add_pd(_mm256_add_pd(high, middle), low);
    unsigned past = filled & sum_node_greater_avx2(low, high, _mm256_set1_pd(*x));
    unsigned found = sum_node_pick(filled, past);
    double prefix[1 + SUM_NODE_WIDTH];
    prefix[0] = 0;
    _mm256_storeu_pd(prefix + 1, low);
    _mm256_storeu_pd(prefix + 5, high);
    *x -= prefix[found];
    return found;
}

#endif

#endif
