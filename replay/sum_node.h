// One node of the sum tree: 8 doubles in a cache line. Internal to the trees and their tests.
//
// Every operation exists as portable C, which is also the code of a CUDA device, and, where AVX-512
// or AVX2 is compiled in, as vector code. All add in the same order, so they agree to the last bit
// and a tree is the same on every machine. SUM_NODE_NO_AVX512 and SUM_NODE_PORTABLE, where defined,
// leave out what their names say.

#ifndef REPLAY_SUM_NODE_H
#define REPLAY_SUM_NODE_H

#include <assert.h>
#include <math.h>
#include <stdint.h>

#include "base/device_code.h"

#if !defined(__CUDACC__) && !defined(SUM_NODE_PORTABLE)
#if defined(__AVX512F__) && !defined(SUM_NODE_NO_AVX512)
#define SUM_NODE_AVX512
#endif
#ifdef __AVX2__
#define SUM_NODE_AVX2
#endif
#endif

#if defined(SUM_NODE_AVX512) || defined(SUM_NODE_AVX2)
#include <immintrin.h>
#endif

// Limits of a tree. 8^14 = 2^42 items are above the largest capacity; a weight may be so large that
// 2^40 of them still have a finite sum.
enum { SUM_NODE_WIDTH = 8, SUM_NODE_LEVELS_MAX = 14 };
#define SUM_NODE_CAPACITY_MAX ((uint64_t)1 << 40)
#define SUM_NODE_WEIGHT_MAX 1e290

GN_DEVICE double sum_node_total_portable(const double *child)
{
    return ((child[0] + child[4]) + (child[2] + child[6])) +
           ((child[1] + child[5]) + (child[3] + child[7]));
}

// Smallest child above 0, +infinity where there is none.
GN_DEVICE double sum_node_low_portable(const double *child)
{
    double low = INFINITY;
    GN_DEVICE_UNROLL
    for (int i = 0; i < SUM_NODE_WIDTH; i++)
        low = child[i] > 0 && child[i] < low ? child[i] : low;
    return low;
}

// The first child in `past`; where there is none the last in `filled`. Bit i is child i.
GN_DEVICE unsigned sum_node_pick(unsigned filled, unsigned past)
{
#ifdef __CUDA_ARCH__
    return (unsigned)(past ? __ffs((int)past) - 1 : 31 - __clz((int)(filled | 1)));
#else
    return (unsigned)(past ? __builtin_ctz(past) : 31 - __builtin_clz(filled | 1));
#endif
}

// The child whose interval of the cumulated sums holds *x; takes what lies before it off *x.
// Rounding may put *x past the end or between two sums that are not in order, so only children
// above 0 are looked at, and the last of them stands in when none is left. Needs a child above 0.
GN_DEVICE unsigned sum_node_find_portable(const double *child, double *x)
{
    const double *c = child;
    // Sums of the last 2, then 4, then 8 up to each child, as the vector code forms them.
    double two[] = { c[0],        c[0] + c[1], c[1] + c[2], c[2] + c[3],
                     c[3] + c[4], c[4] + c[5], c[5] + c[6], c[6] + c[7] };
    double four[] = { two[0],          two[1],          two[2] + two[0], two[3] + two[1],
                      two[4] + two[2], two[5] + two[3], two[6] + two[4], two[7] + two[5] };
    double prefix[] = {
        four[0],           four[1],           four[2],           four[3],
        four[4] + four[0], four[5] + four[1], four[6] + four[2], four[7] + four[3]
    };
    unsigned filled = 0, past = 0;
    GN_DEVICE_UNROLL
    for (unsigned i = 0; i < SUM_NODE_WIDTH; i++) {
        filled |= (unsigned)(child[i] > 0) << i;
        past |= (unsigned)(prefix[i] > *x) << i;
    }
    unsigned found = sum_node_pick(filled, filled & past);
#ifdef __CUDA_ARCH__
    // Picked by comparing: an index known only at run time would put the sums into local memory.
    double before = 0;
    GN_DEVICE_UNROLL
    for (unsigned i = 1; i < SUM_NODE_WIDTH; i++)
        before = i == found ? prefix[i - 1] : before;
    *x -= before;
#else
    *x -= found > 0 ? prefix[found - 1] : 0;
#endif
    return found;
}

// Sum of the children before `count`, 0 to 8, as find takes it off.
static inline double sum_node_before(const double *child, unsigned count)
{
    const double *c = child;
    switch (count) {
    case 0:
        return 0;
    case 1:
        return c[0];
    case 2:
        return c[0] + c[1];
    case 3:
        return (c[1] + c[2]) + c[0];
    case 4:
        return (c[2] + c[3]) + (c[0] + c[1]);
    case 5:
        return ((c[3] + c[4]) + (c[1] + c[2])) + c[0];
    case 6:
        return ((c[4] + c[5]) + (c[2] + c[3])) + (c[0] + c[1]);
    case 7:
        return ((c[5] + c[6]) + (c[3] + c[4])) + ((c[1] + c[2]) + c[0]);
    default:
        return ((c[6] + c[7]) + (c[4] + c[5])) + ((c[2] + c[3]) + (c[0] + c[1]));
    }
}

#ifdef SUM_NODE_AVX512

static inline double sum_node_total_avx512(const double *child)
{
    __m512d all = _mm512_load_pd(child);
    __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(all), _mm512_extractf64x4_pd(all, 1));
    __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(two) + _mm_cvtsd_f64(_mm_unpackhi_pd(two, two));
}

static inline double sum_node_low_avx512(const double *child)
{
    __m512d all = _mm512_load_pd(child);
    __mmask8 filled = _mm512_cmp_pd_mask(all, _mm512_setzero_pd(), _CMP_GT_OQ);
    return _mm512_reduce_min_pd(_mm512_mask_mov_pd(_mm512_set1_pd(INFINITY), filled, all));
}

// Adds to each lane the one `SHIFT` below it.
#define SUM_NODE_ADD_SHIFTED(v, SHIFT) \
    _mm512_add_pd(v, _mm512_castsi512_pd(_mm512_alignr_epi64( \
                         _mm512_castpd_si512(v), _mm512_setzero_si512(), 8 - (SHIFT))))

static inline unsigned sum_node_find_avx512(const double *child, double *x)
{
    __m512d all = _mm512_load_pd(child);
    __m512d prefix = SUM_NODE_ADD_SHIFTED(all, 1);
    prefix = SUM_NODE_ADD_SHIFTED(prefix, 2);
    prefix = SUM_NODE_ADD_SHIFTED(prefix, 4);
    unsigned filled = _mm512_cmp_pd_mask(all, _mm512_setzero_pd(), _CMP_GT_OQ);
    unsigned past = filled & _mm512_cmp_pd_mask(prefix, _mm512_set1_pd(*x), _CMP_GT_OQ);
    unsigned found = sum_node_pick(filled, past);
    __m512i before = _mm512_alignr_epi64(_mm512_castpd_si512(prefix), _mm512_setzero_si512(), 7);
    *x -= _mm512_cvtsd_f64(
        _mm512_castsi512_pd(_mm512_permutexvar_epi64(_mm512_set1_epi64(found), before)));
    return found;
}

#endif

#ifdef SUM_NODE_AVX2

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

#if defined(SUM_NODE_AVX512)
#define sum_node_total sum_node_total_avx512
#define sum_node_low sum_node_low_avx512
#define sum_node_find sum_node_find_avx512
#elif defined(SUM_NODE_AVX2)
#define sum_node_total sum_node_total_avx2
#define sum_node_low sum_node_low_avx2
#define sum_node_find sum_node_find_avx2
#else
#define sum_node_total sum_node_total_portable
#define sum_node_low sum_node_low_portable
#define sum_node_find sum_node_find_portable
#endif

#endif
