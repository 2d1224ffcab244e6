// Counts of the buckets, and beside them a Fenwick tree of these counts with the highest bucket
// first: its prefix sums are the numbers of priorities above a bucket.
//
// Source of the tree: Fenwick, "A new data structure for cumulative frequency tables", 1994.

#include "replay/rank_weights.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"

enum { BUCKET_SHIFT = 16, BUCKETS = 1 << 15 }; // the sign bit is 0

struct rank_weights {
    uint64_t total;
    uint64_t count[BUCKETS]; // of each bucket; the highest priorities are in bucket 0
    uint64_t tree[BUCKETS + 1]; // tree[i]: count of the (i & -i) buckets that end before bucket i
    double weight[BUCKETS]; // scratch of rank_weights_all
};

gn_status rank_weights_create(rank_weights **ret_ranks)
{
    return gn_alloc(ret_ranks, 1, sizeof **ret_ranks);
}

void rank_weights_destroy(rank_weights **ranks)
{
    gn_free(ranks);
}

void rank_weights_clear(rank_weights *ranks)
{
    memset(ranks, 0, sizeof *ranks);
}

static uint32_t bucket_of(float priority)
{
    assert(isfinite(priority) && priority >= 0);
    uint32_t bits;
    memcpy(&bits, &priority, sizeof bits);
    return BUCKETS - 1 - (bits << 1 >> (BUCKET_SHIFT + 1)); // without the sign of -0
}

static void change_count(rank_weights *ranks, uint32_t bucket, uint64_t difference)
{
    ranks->total += difference;
    ranks->count[bucket] += difference;
    for (uint32_t i = bucket + 1; i <= BUCKETS; i += i & -i)
        ranks->tree[i] += difference;
}

void rank_weights_add(rank_weights *ranks, float priority)
{
    change_count(ranks, bucket_of(priority), 1);
}

void rank_weights_remove(rank_weights *ranks, float priority)
{
    uint32_t bucket = bucket_of(priority);
    assert(ranks->count[bucket] > 0);
    change_count(ranks, bucket, UINT64_MAX); // less one
}

uint64_t rank_weights_count(const rank_weights *ranks)
{
    return ranks->total;
}

// `count` items stand at the ranks above + 1 .. above + count.
static double middle_rank(uint64_t above, uint64_t count)
{
    return (double)above + ((double)count + 1) / 2;
}

double rank_weights_rank(const rank_weights *ranks, float priority)
{
    uint32_t bucket = bucket_of(priority);
    assert(ranks->count[bucket] > 0);
    uint64_t above = 0;
    for (uint32_t i = bucket; i > 0; i -= i & -i)
        above += ranks->tree[i];
    return middle_rank(above, ranks->count[bucket]);
}

double rank_weights_weight(const rank_weights *ranks, float priority, double alpha)
{
    assert(isfinite(alpha) && alpha >= 0);
    return pow(rank_weights_rank(ranks, priority), -alpha);
}

void rank_weights_all(rank_weights *ranks, const float *priority, size_t n, double alpha,
                      double *ret_weight)
{
    assert(isfinite(alpha) && alpha >= 0);
    uint64_t above = 0;
    for (uint32_t bucket = 0; bucket < BUCKETS; bucket++) {
        uint64_t count = ranks->count[bucket];
        if (count > 0)
            ranks->weight[bucket] = pow(middle_rank(above, count), -alpha);
        above += count;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t bucket = bucket_of(priority[i]);
        assert(ranks->count[bucket] > 0);
        ret_weight[i] = ranks->weight[bucket];
    }
}
