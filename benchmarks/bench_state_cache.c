// The state cache on one core, for frames (7056 bytes) and small observations (48 bytes) in a
// quarter of a gigabyte: a hit, and a miss with its put, each without the copy of the value and
// with it.
//
//     bench_state_cache [--seconds S]

#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "benchmarks/bench.h"
#include "replay/state_cache.h"

enum { BUDGET = 256 << 20, KEYS = 1 << 18, FRAME = 7056, SMALL = 48 };

static unsigned char row[FRAME];

static void name_bench(char ret_name[64], const char *what, size_t value_size)
{
    snprintf(ret_name, 64, "replay.state_cache.%s.%zuB", what, value_size);
}

// `key` are in the cache.
static void measure_hits(state_cache *cache, const uint64_t *key, size_t value_size, bool copy,
                         double budget_s)
{
    char name[64];
    name_bench(name, copy ? "hit_and_copy" : "hit", value_size);
    bench run = bench_begin(name, "ns", budget_s);
    while (bench_next(&run)) {
        for (size_t i = 0; i < KEYS; i++) {
            const unsigned char *value = state_cache_get(cache, key[i]);
            if (copy)
                memcpy(row, value, value_size);
            else
                row[0] ^= value[0];
        }
        bench_sample(&run, bench_elapsed(&run) * 1e9 / KEYS);
    }
    bench_report(&run);
}

// Keys that were never seen: each evicts another.
static void measure_misses(state_cache *cache, size_t value_size, bool copy, double budget_s)
{
    char name[64];
    name_bench(name, copy ? "miss_put_and_copy" : "miss_put", value_size);
    static uint64_t next = (uint64_t)1 << 40;
    bench run = bench_begin(name, "ns", budget_s);
    while (bench_next(&run)) {
        for (size_t i = 0; i < KEYS; i++, next++) {
            if (state_cache_get(cache, next))
                continue;
            unsigned char *room = state_cache_put(cache, next);
            if (copy)
                memcpy(room, row, value_size);
            else
                room[0] = (unsigned char)i;
        }
        bench_sample(&run, bench_elapsed(&run) * 1e9 / KEYS);
    }
    bench_report(&run);
}

static void measure(size_t value_size, double budget_s)
{
    static uint64_t key[KEYS];
    state_cache *cache;
    bench_need(state_cache_create(&cache, BUDGET, value_size));
    gn_random random = gn_random_stream(1, GN_RANDOM_TEST, 0);
    uint64_t capacity = state_cache_capacity(cache);
    for (uint64_t i = 0; i < capacity; i++)
        memset(state_cache_put(cache, i), (int)i, value_size);
    for (size_t i = 0; i < KEYS; i++)
        key[i] = gn_random_u64(&random) % capacity;
    for (int copy = 0; copy <= 1; copy++)
        measure_hits(cache, key, value_size, copy, budget_s);
    for (int copy = 0; copy <= 1; copy++)
        measure_misses(cache, value_size, copy, budget_s);
    state_cache_destroy(&cache);
}

int main(int count, char **argument)
{
    double budget_s = bench_seconds(count, argument);
    measure(FRAME, budget_s);
    measure(SMALL, budget_s);
    return 0;
}
