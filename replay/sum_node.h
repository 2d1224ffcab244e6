// One node of the sum tree: 8 doubles in a cache line. Internal to the trees and their tests.
//
// Every operation exists as portable C, here, which is also the code of a CUDA device, and, where
// AVX-512 or AVX2 is compiled in, as vector code (replay/sum_node_avx512.h,
// replay/sum_node_avx2.h). All add in the same order, so they agree to the last bit and a tree is
// the same on every machine. SUM_NODE_NO_AVX512 and SUM_NODE_PORTABLE, where defined, leave out
// what their names say.

#ifndef REPLAY_SUM_NODE_H
#define REPLAY_SUM_NODE_H

#include <assert.h>
#include <math.h>
#include <stdalign.h>
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

// Limits of a tree. 8^14 = 2^42 items are above the largest capacity; a weight may be so large that
// 2^40 of them still have a finite sum.
enum { SUM_NODE_WIDTH = 8, SUM_NODE_LEVELS_MAX = 14 };
enum { SUM_NODE_LANES = 8 }; // draws that are looked for in a node at a time
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

// Sum of the children up to each, in the order in which the vector code forms them: of the last 2,
// then 4, then 8.
GN_DEVICE void sum_node_prefix(double *ret_prefix, const double *child)
{
    const double *c = child;
    double two[] = { c[0],        c[0] + c[1], c[1] + c[2], c[2] + c[3],
                     c[3] + c[4], c[4] + c[5], c[5] + c[6], c[6] + c[7] };
    double four[] = { two[0],          two[1],          two[2] + two[0], two[3] + two[1],
                      two[4] + two[2], two[5] + two[3], two[6] + two[4], two[7] + two[5] };
    GN_DEVICE_UNROLL
    for (int i = 0; i < SUM_NODE_WIDTH; i++)
        ret_prefix[i] = i < 4 ? four[i] : four[i] + four[i - 4];
}

// The child whose interval of the cumulated sums holds *x; takes what lies before it off *x.
// Rounding may put *x past the end or between two sums that are not in order, so only children
// above 0 are looked at, and the last of them stands in when none is left. Needs a child above 0.
GN_DEVICE unsigned sum_node_find_portable(const double *child, double *x)
{
    double prefix[SUM_NODE_WIDTH];
    sum_node_prefix(prefix, child);
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

// A node in which many draws are looked for. Rounding is taken out of the ends, so that they never
// fall (within each half: a search in the second one is past the first), a child of 0 ends where
// the one before it does, and from the last child above 0 on they are infinite. So the first whose
// end is past x is the child that sum_node_find finds.
typedef struct sum_node_intervals {
    alignas(64) double before[SUM_NODE_WIDTH]; // sum of the children before each
    alignas(64) double end[SUM_NODE_WIDTH];
} sum_node_intervals;

static inline void sum_node_cut_portable(const double *child, sum_node_intervals *ret)
{
    double prefix[SUM_NODE_WIDTH], end = -INFINITY;
    sum_node_prefix(prefix, child);
    unsigned last = 0;
    for (unsigned i = 0; i < SUM_NODE_WIDTH; i++) {
        last = child[i] > 0 ? i : last;
        end = child[i] > 0 && prefix[i] > end ? prefix[i] : end;
        ret->before[i] = i > 0 ? prefix[i - 1] : 0;
        ret->end[i] = end;
    }
    for (unsigned i = last; i < SUM_NODE_WIDTH; i++)
        ret->end[i] = INFINITY;
}

// Finds as sum_node_find does, a halving search for each x. Returns how many draws are in this
// node. Shapes: at, x, ret_below, ret_x: [SUM_NODE_LANES]; at: nodes, ret_below: of the level
// below.
static inline unsigned sum_node_find_lanes_portable(const sum_node_intervals *in, uint64_t node,
                                                    const uint64_t *at, const double *x,
                                                    uint64_t *ret_below, double *ret_x)
{
    unsigned same = 0;
    for (int i = 0; i < SUM_NODE_LANES; i++) {
        unsigned found = in->end[3] <= x[i] ? 4 : 0;
        found += in->end[found + 1] <= x[i] ? 2 : 0;
        found += in->end[found] <= x[i] ? 1 : 0;
        same += at[i] == node;
        ret_below[i] = node * SUM_NODE_WIDTH + found;
        ret_x[i] = x[i] - in->before[found];
    }
    return same;
}

#include "replay/sum_node_avx2.h"
#include "replay/sum_node_avx512.h"

#if defined(SUM_NODE_AVX512)
#define sum_node_total sum_node_total_avx512
#define sum_node_low sum_node_low_avx512
#define sum_node_find sum_node_find_avx512
#define sum_node_cut sum_node_cut_avx512
#define sum_node_find_lanes sum_node_find_lanes_avx512
#else
#if defined(SUM_NODE_AVX2)
#define sum_node_total sum_node_total_avx2
#define sum_node_low sum_node_low_avx2
#define sum_node_find sum_node_find_avx2
#else
#define sum_node_total sum_node_total_portable
#define sum_node_low sum_node_low_portable
#define sum_node_find sum_node_find_portable
#endif
#define sum_node_cut sum_node_cut_portable
#define sum_node_find_lanes sum_node_find_lanes_portable
#endif

#endif
