// The operations on a node of the sum tree with AVX-512. Internal to replay/sum_node.h, which tells
// what they do.

#ifndef REPLAY_SUM_NODE_AVX512_H
#define REPLAY_SUM_NODE_AVX512_H

#include "replay/sum_node.h"

#ifdef SUM_NODE_AVX512

#include <immintrin.h>

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

// Moves each lane `COUNT` up; those of `fill` come in below.
#define SUM_NODE_SHIFT(v, fill, COUNT) \
    _mm512_castsi512_pd(_mm512_alignr_epi64(_mm512_castpd_si512(v), _mm512_castpd_si512(fill), \
                                            SUM_NODE_WIDTH - (COUNT)))

static inline __m512d sum_node_prefix_avx512(__m512d child)
{
    const __m512d zero = _mm512_setzero_pd();
    __m512d two = _mm512_add_pd(child, SUM_NODE_SHIFT(child, zero, 1));
    __m512d four = _mm512_add_pd(two, SUM_NODE_SHIFT(two, zero, 2));
    return _mm512_add_pd(four, SUM_NODE_SHIFT(four, zero, 4));
}

static inline unsigned sum_node_find_avx512(const double *child, double *x)
{
    __m512d all = _mm512_load_pd(child), prefix = sum_node_prefix_avx512(all);
    __m512d at = _mm512_set1_pd(*x), before = SUM_NODE_SHIFT(prefix, _mm512_setzero_pd(), 1);
    __mmask8 filled = _mm512_cmp_pd_mask(all, _mm512_setzero_pd(), _CMP_GT_OQ);
    __mmask8 past = _mm512_mask_cmp_pd_mask(filled, prefix, at, _CMP_GT_OQ);
    if (__builtin_expect(past == 0, 0))
        past = (__mmask8)(1u << sum_node_pick(filled, 0));
    *x = _mm512_cvtsd_f64(_mm512_maskz_compress_pd(past, _mm512_sub_pd(at, before)));
    return (unsigned)__builtin_ctz(past);
}

static inline void sum_node_cut_avx512(const double *child, sum_node_intervals *ret)
{
    const __m512d none = _mm512_set1_pd(-INFINITY);
    __m512d all = _mm512_load_pd(child), prefix = sum_node_prefix_avx512(all);
    __mmask8 filled = _mm512_cmp_pd_mask(all, _mm512_setzero_pd(), _CMP_GT_OQ);
    __m512d end = _mm512_mask_mov_pd(none, filled, prefix);
    end = _mm512_max_pd(end, SUM_NODE_SHIFT(end, none, 1));
    end = _mm512_max_pd(end, SUM_NODE_SHIFT(end, none, 2));
    __mmask8 rest = (__mmask8)(0xff << sum_node_pick(filled, 0));
    _mm512_store_pd(ret->end, _mm512_mask_mov_pd(end, rest, _mm512_set1_pd(INFINITY)));
    _mm512_store_pd(ret->before, SUM_NODE_SHIFT(prefix, _mm512_setzero_pd(), 1));
}

static inline unsigned sum_node_find_lanes_avx512(const sum_node_intervals *in, uint64_t node,
                                                  const uint64_t *at, const double *x,
                                                  uint64_t *ret_below, double *ret_x)
{
    const __m512i one = _mm512_set1_epi64(1), two = _mm512_set1_epi64(2);
    __m512i all = _mm512_set1_epi64((long long)node);
    __mmask8 same = _mm512_cmpeq_epi64_mask(_mm512_loadu_epi64(at), all);
    __m512d left = _mm512_loadu_pd(x), end = _mm512_load_pd(in->end);
    __mmask8 past = _mm512_cmp_pd_mask(_mm512_set1_pd(in->end[3]), left, _CMP_LE_OQ);
    __m512i found = _mm512_maskz_mov_epi64(past, _mm512_set1_epi64(4));
    past = _mm512_cmp_pd_mask(_mm512_permutexvar_pd(_mm512_or_si512(found, one), end), left,
                              _CMP_LE_OQ);
    found = _mm512_mask_or_epi64(found, past, found, two);
    past = _mm512_cmp_pd_mask(_mm512_permutexvar_pd(found, end), left, _CMP_LE_OQ);
    found = _mm512_mask_or_epi64(found, past, found, one);
    __m512d before = _mm512_permutexvar_pd(found, _mm512_load_pd(in->before));
    _mm512_storeu_pd(ret_x, _mm512_sub_pd(left, before));
    _mm512_storeu_epi64(ret_below, _mm512_add_epi64(_mm512_slli_epi64(all, 3), found));
    return (unsigned)__builtin_popcount(same);
}

#endif

#endif
