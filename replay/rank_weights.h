// Rank weights: rank-based prioritization. An item's weight follows from its place among all
// priorities instead of from their size, so no outlier takes the whole batch:
//
//     P(i) ~ (1 / rank(i))^alpha,  rank 1 = the highest priority
//
// A histogram of all priorities, not of items: who owns a priority adds it, and removes it when it
// changes. Its buckets are the upper 16 bits of a priority's float32 pattern, which for numbers
// from 0 up are ordered like the numbers: 8 bits of exponent and 7 of mantissa. Within one exponent
// e the 2^7 buckets have the width 2^(e-7), so the priorities of a bucket lie less than
// 2^(e-7) / 2^e = 2^-7 = 0.8 % apart (below 2^-126, where float32 has no more exponents, less than
// 2^-133).
//
// The priorities of a bucket are ties and share the middle of their ranks. In a bucket of c this is
// off by at most (c - 1) / 2, and the weight by a factor of at most
// (1 - (c - 1) / (2 rank))^-alpha; where every bucket holds equal priorities, ranks are exact.
//
// Not here: the sum tree that draws by these weights (replay/sum_tree.h). The rank of an item also
// moves when others' priorities change, so weights in a tree grow old: rank_weights_all renews
// them now and then.
//
// Threads: one owner at a time; readers may share it while nobody writes.
//
// Source: Schaul, Quan, Antonoglou, Silver, "Prioritized experience replay", ICLR 2016, section
// 3.3. Theirs keeps an approximately sorted heap and a fixed number of segments; this has ranks of
// known error in O(log buckets), 15 steps.

#ifndef REPLAY_RANK_WEIGHTS_H
#define REPLAY_RANK_WEIGHTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct rank_weights rank_weights;

// Everywhere below a priority is finite and 0 or above (-0 is 0); others are the caller's bug and
// asserted.

// Creates an empty histogram (0.8 MB, whatever it holds).
// Errors: GN_ERR_MEMORY.
gn_status rank_weights_create(rank_weights **ret_ranks);

// NULL-safe; sets *ranks to NULL.
void rank_weights_destroy(rank_weights **ranks);

// Adds one more item of this priority; removes one (it must be there). O(log buckets).
void rank_weights_add(rank_weights *ranks, float priority);
void rank_weights_remove(rank_weights *ranks, float priority);

// Removes all.
void rank_weights_clear(rank_weights *ranks);

// Number of priorities in the histogram.
uint64_t rank_weights_count(const rank_weights *ranks);

// Rank of a priority that was added: 1 (highest) to count. Of ties, the middle: a multiple of 1/2.
double rank_weights_rank(const rank_weights *ranks, float priority);

// rank^-alpha, in (0, 1], for alpha from 0 (all alike) up.
double rank_weights_weight(const rank_weights *ranks, float priority, double alpha);

// The weight of each of n priorities that were added, bit for bit as rank_weights_weight has it,
// by one table of all buckets: O(buckets + n). Writes to scratch of the object: not for shared
// readers. Shapes: priority, ret_weight: [n].
void rank_weights_all(rank_weights *ranks, const float *priority, size_t n, double alpha,
                      double *ret_weight);

#endif
