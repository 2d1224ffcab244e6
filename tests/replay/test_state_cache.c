// The state cache against algorithm 1 of the S3-FIFO paper on plain arrays, which must hold the
// very same keys, and against LRU on traces that tell the two apart.

#include "replay/state_cache.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "tests/support/check.h"

// --- the naive twin

enum { TWIN_MAX = 128, NO_KEY = -1 };

typedef struct twin_queue {
    int key[TWIN_MAX], uses[TWIN_MAX]; // oldest first
    size_t length;
} twin_queue;

typedef struct twin {
    twin_queue small, main, ghost; // a ghost that was put again leaves NO_KEY behind
    size_t capacity, small_target, ghosts;
} twin;

static twin twin_create(size_t capacity)
{
    return (twin){
        .capacity = capacity,
        .small_target = capacity / 10,
        .ghosts = capacity - capacity / 10,
    };
}

static int twin_index(const twin_queue *queue, int key)
{
    for (size_t i = 0; i < queue->length; i++)
        if (queue->key[i] == key)
            return (int)i;
    return -1;
}

static void twin_push(twin_queue *queue, int key, int uses)
{
    queue->key[queue->length] = key;
    queue->uses[queue->length++] = uses;
}

static void twin_drop(twin_queue *queue, size_t at)
{
    queue->length--;
    for (size_t i = at; i < queue->length; i++) {
        queue->key[i] = queue->key[i + 1];
        queue->uses[i] = queue->uses[i + 1];
    }
}

static bool twin_get(twin *cache, int key)
{
    twin_queue *queues[] = { &cache->small, &cache->main };
    for (int q = 0; q < 2; q++) {
        int at = twin_index(queues[q], key);
        if (at >= 0) {
            queues[q]->uses[at] += queues[q]->uses[at] < 3;
            return true;
        }
    }
    return false;
}

static void twin_evict(twin *cache)
{
    for (;;) {
        bool small = cache->small.length >= cache->small_target;
        twin_queue *queue = small ? &cache->small : &cache->main;
        int key = queue->key[0], uses = queue->uses[0];
        twin_drop(queue, 0);
        if (small && uses > 1) {
            twin_push(&cache->main, key, 0);
        } else if (!small && uses > 0) {
            twin_push(&cache->main, key, uses - 1);
        } else {
            if (small && cache->ghost.length == cache->ghosts)
                twin_drop(&cache->ghost, 0);
            if (small)
                twin_push(&cache->ghost, key, 0);
            return;
        }
    }
}

static void twin_put(twin *cache, int key)
{
    bool known = twin_index(&cache->ghost, key) >= 0;
    if (cache->small.length + cache->main.length == cache->capacity)
        twin_evict(cache);
    int at = twin_index(&cache->ghost, key);
    if (at >= 0)
        cache->ghost.key[at] = NO_KEY;
    twin_push(known ? &cache->main : &cache->small, key, 0);
}

static void twin_remove(twin *cache, int key)
{
    twin_queue *queues[] = { &cache->small, &cache->main };
    for (int q = 0; q < 2; q++) {
        int at = twin_index(queues[q], key);
        if (at >= 0)
            twin_drop(queues[q], (size_t)at);
    }
}

// --- help

// The true value of a key: differs from key to key and from put to put.
static void make_value(uint64_t key, uint64_t version, unsigned char *ret_value, size_t size)
{
    test_rng rng = test_rng_seed(key * 1000003 + version);
    for (size_t i = 0; i < size; i++)
        ret_value[i] = (unsigned char)test_rng_next(&rng);
}

// Neighbours, and keys that differ only in high bits.
static uint64_t spread_key(int key)
{
    return key % 2 ? (uint64_t)key : (uint64_t)key << 40 | 2;
}

// The smallest budget that holds this many values.
static size_t budget_for(uint64_t values, size_t value_size)
{
    for (size_t budget = values * value_size;; budget += 16) {
        state_cache *cache;
        if (state_cache_create(&cache, budget, value_size) != GN_OK)
            continue;
        uint64_t capacity = state_cache_capacity(cache);
        state_cache_destroy(&cache);
        if (capacity >= values)
            return budget;
    }
}

// Reads a key and puts it where it is missing. Whether it was there.
static bool use_key(state_cache *cache, uint64_t key)
{
    const unsigned char *value = state_cache_get(cache, key);
    if (value) {
        assert_memory_equal(value, &key, sizeof key);
        return true;
    }
    memcpy(state_cache_put(cache, key), &key, sizeof key);
    return false;
}

// Which accesses of a trace of keys below `keys` hit an LRU cache of that capacity. The trace is
// its own list of uses: what is oldest was last used where the tail stands.
static void trace_lru(const uint64_t *trace, size_t n, uint64_t keys, uint64_t capacity,
                      bool *ret_hit)
{
    size_t *last_use; // [keys] 1 + index of the last access; 0: not held
    expect_ok(gn_alloc(&last_use, keys, sizeof *last_use));
    size_t tail = 0;
    uint64_t held = 0;
    for (size_t i = 0; i < n; i++) {
        ret_hit[i] = last_use[trace[i]] > 0;
        if (!ret_hit[i] && held == capacity) {
            while (last_use[trace[tail]] != tail + 1)
                tail++;
            last_use[trace[tail]] = 0;
            held--;
        }
        held += !ret_hit[i];
        last_use[trace[i]] = i + 1;
    }
    gn_free(&last_use);
}

static double share(const bool *hit, const bool *counted, size_t n)
{
    size_t hits = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        hits += hit[i] && counted[i];
        all += counted[i];
    }
    return (double)hits / (double)all;
}

// --- tests

static void holds_what_the_naive_cache_holds_byte_for_byte(void **state)
{
    (void)state;
    enum { KEYS = 300, OPERATIONS = 60000, SIZE_MAX_TRIED = 100 };
    static const struct {
        uint64_t capacity;
        size_t size;
    } tries[] = { { 10, 1 }, { 11, 16 }, { 37, 48 }, { 64, 17 }, { 100, 100 } };
    for (size_t t = 0; t < sizeof tries / sizeof *tries; t++) {
        test_rng rng = test_rng_seed(t);
        size_t size = tries[t].size, budget = budget_for(tries[t].capacity, size);
        state_cache *cache;
        expect_ok(state_cache_create(&cache, budget, size));
        assert_int_equal(state_cache_capacity(cache), tries[t].capacity);
        twin naive = twin_create(tries[t].capacity);
        uint64_t version[KEYS] = { 0 };
        unsigned char expected[SIZE_MAX_TRIED];
        for (uint64_t i = 1; i <= OPERATIONS; i++) {
            double u = test_rng_unit(&rng); // squared: some keys are hot
            int key = (int)(u * u * KEYS);
            uint64_t what = test_rng_below(&rng, 10000);
            if (what == 0) {
                state_cache_clear(cache);
                naive = twin_create(tries[t].capacity);
            } else if (what < 300) {
                state_cache_remove(cache, spread_key(key));
                twin_remove(&naive, key);
            }
            const unsigned char *value = state_cache_get(cache, spread_key(key));
            assert_int_equal(value != NULL, twin_get(&naive, key));
            if (value) {
                make_value((uint64_t)key, version[key], expected, size);
                assert_memory_equal(value, expected, size);
            } else {
                version[key] = i;
                unsigned char *room = state_cache_put(cache, spread_key(key));
                assert_int_equal((uintptr_t)room % 16, 0);
                make_value((uint64_t)key, i, room, size);
                twin_put(&naive, key);
            }
            state_cache_stats stats = state_cache_measure(cache);
            assert_int_equal(stats.values, naive.small.length + naive.main.length);
            assert_true(stats.bytes <= budget);
        }
        state_cache_destroy(&cache);
    }
}

static void budget_is_used_up_but_never_exceeded(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1, 16, 48, 1000, 7056 };
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        size_t stride = (sizes[s] + 15) / 16 * 16;
        for (size_t budget = 100000; budget < 3000000; budget += 271828) {
            state_cache *cache;
            expect_ok(state_cache_create(&cache, budget, sizes[s]));
            state_cache_stats stats = state_cache_measure(cache);
            assert_true(stats.bytes <= budget);
            assert_true(stats.bytes >= state_cache_capacity(cache) * sizes[s]);
            enum { INDEX = 55, ROUNDING = 3 * 64 }; // of one value more
            assert_true(budget - stats.bytes < stride + INDEX + ROUNDING);
            state_cache_destroy(&cache);
        }
    }
}

static void no_allocation_after_create(void **state)
{
    (void)state;
    state_cache *cache;
    expect_ok(state_cache_create(&cache, 10000, 8));
    uint64_t before = gn_mem_allocations();
    for (uint64_t key = 0; key < 5000; key++)
        use_key(cache, key * key % 997);
    state_cache_clear(cache);
    assert_int_equal(gn_mem_allocations(), before);
    state_cache_destroy(&cache);
}

static void hot_states_survive_a_scan(void **state)
{
    (void)state;
    enum { CAPACITY = 1000, HOT = 200, WARM = 5, ROUNDS = 50, SCAN = 2000 };
    enum { LENGTH = HOT * WARM + ROUNDS * (SCAN + HOT), KEYS = HOT + ROUNDS * SCAN };
    static uint64_t trace[LENGTH];
    static bool counted[LENGTH], hit[LENGTH], lru_hit[LENGTH];
    size_t n = 0;
    uint64_t next_cold = HOT;
    for (size_t i = 0; i < HOT * WARM; i++)
        trace[n++] = i % HOT;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < SCAN; i++)
            trace[n++] = next_cold++;
        for (uint64_t i = 0; i < HOT; i++) {
            counted[n] = true;
            trace[n++] = i;
        }
    }
    state_cache *cache;
    expect_ok(state_cache_create(&cache, budget_for(CAPACITY, 8), 8));
    for (size_t i = 0; i < n; i++)
        hit[i] = use_key(cache, trace[i]);
    trace_lru(trace, n, KEYS, CAPACITY, lru_hit);
    assert_true(share(hit, counted, n) > 0.9);
    assert_true(share(lru_hit, counted, n) < 0.1);
    state_cache_destroy(&cache);
}

// Ranks drawn with probability ~ 1 / rank^exponent; keys scattered over the ranks.
static void draw_zipf(test_rng *rng, double exponent, uint64_t keys, uint64_t *ret_trace, size_t n)
{
    double *cumulated;
    expect_ok(gn_alloc(&cumulated, keys, sizeof *cumulated));
    double sum = 0;
    for (uint64_t i = 0; i < keys; i++)
        cumulated[i] = sum += pow((double)(i + 1), -exponent);
    for (size_t i = 0; i < n; i++) {
        double target = test_rng_unit(rng) * sum;
        uint64_t low = 0, high = keys - 1;
        while (low < high) {
            uint64_t middle = (low + high) / 2;
            if (cumulated[middle] > target)
                high = middle;
            else
                low = middle + 1;
        }
        ret_trace[i] = low * 7919 % keys;
    }
    gn_free(&cumulated);
}

static void zipf_hits_at_least_as_often_as_lru(void **state)
{
    (void)state;
    enum { KEYS = 20000, LENGTH = 200000 };
    static const double exponents[] = { 0.6, 0.8, 1.0, 1.2 };
    static const uint64_t capacities[] = { 20, 200, 2000 };
    static uint64_t trace[LENGTH];
    static bool hit[LENGTH], lru_hit[LENGTH], all[LENGTH];
    memset(all, true, sizeof all);
    test_rng rng = test_rng_seed(1);
    for (size_t e = 0; e < sizeof exponents / sizeof *exponents; e++) {
        draw_zipf(&rng, exponents[e], KEYS, trace, LENGTH);
        for (size_t c = 0; c < sizeof capacities / sizeof *capacities; c++) {
            state_cache *cache;
            expect_ok(state_cache_create(&cache, budget_for(capacities[c], 8), 8));
            for (size_t i = 0; i < LENGTH; i++)
                hit[i] = use_key(cache, trace[i]);
            trace_lru(trace, LENGTH, KEYS, capacities[c], lru_hit);
            assert_true(share(hit, all, LENGTH) >= share(lru_hit, all, LENGTH));
            state_cache_destroy(&cache);
        }
    }
}

static void same_sequence_has_the_same_hits_also_after_clear(void **state)
{
    (void)state;
    enum { LENGTH = 20000 };
    static bool first_hit[LENGTH];
    state_cache *cache;
    expect_ok(state_cache_create(&cache, 10000, 8));
    for (int round = 0; round < 3; round++) {
        test_rng rng = test_rng_seed(5);
        for (size_t i = 0; i < LENGTH; i++) {
            double u = test_rng_unit(&rng);
            bool hit = use_key(cache, (uint64_t)(u * u * 500));
            if (round == 0)
                first_hit[i] = hit;
            assert_int_equal(hit, first_hit[i]);
        }
        state_cache_clear(cache);
        assert_int_equal(state_cache_measure(cache).values, 0);
        assert_int_equal(state_cache_measure(cache).hits, 0);
        assert_int_equal(state_cache_measure(cache).misses, 0);
        assert_null(state_cache_get(cache, 0));
        state_cache_clear(cache);
    }
    state_cache_destroy(&cache);
}

static void counts_and_removes(void **state)
{
    (void)state;
    enum { CAPACITY = 10 };
    state_cache *cache;
    expect_ok(state_cache_create(&cache, budget_for(CAPACITY, 8), 8));
    for (uint64_t key = 0; key < CAPACITY; key++)
        assert_false(use_key(cache, key));
    assert_true(use_key(cache, 3));
    state_cache_remove(cache, 3);
    state_cache_remove(cache, 3);
    state_cache_remove(cache, 99);
    assert_null(state_cache_get(cache, 3));
    state_cache_stats stats = state_cache_measure(cache);
    assert_int_equal(stats.hits, 1);
    assert_int_equal(stats.misses, CAPACITY + 1);
    assert_int_equal(stats.values, CAPACITY - 1);
    assert_int_equal(stats.evictions, 0);
    use_key(cache, 100); // takes the free place
    assert_int_equal(state_cache_measure(cache).evictions, 0);
    use_key(cache, 101); // takes the oldest one's
    assert_int_equal(state_cache_measure(cache).evictions, 1);
    assert_null(state_cache_get(cache, 0));
    for (uint64_t key = 1; key < CAPACITY; key++)
        assert_int_equal(state_cache_get(cache, key) != NULL, key != 3);
    state_cache_destroy(&cache);
}

static void refuses_what_cannot_work(void **state)
{
    (void)state;
    state_cache *cache = NULL;
    expect_fails(GN_ERR_ARG, "values of 0 bytes: must be 1", state_cache_create(&cache, 1000, 0));
    expect_fails(GN_ERR_ARG, "must be 1 to 2^40", state_cache_create(&cache, 1000, SIZE_MAX));
    expect_fails(GN_ERR_ARG, "state cache of 0 bytes", state_cache_create(&cache, 0, 8));
    size_t least = budget_for(10, 7056);
    expect_fails(GN_ERR_ARG, "or more for 10 values of 7056 bytes",
                 state_cache_create(&cache, least - 16, 7056));
    gn_mem_fail_at(1); // sanitizers stop at the real thing
    expect_fails(GN_ERR_MEMORY, "cannot allocate",
                 state_cache_create(&cache, SIZE_MAX, (size_t)1 << 36));
    assert_null(cache);
}

static void failed_allocations_leak_nothing(void **state)
{
    (void)state;
    uint64_t live = gn_mem_live();
    state_cache *cache = NULL;
    for (uint64_t n = 1;; n++) {
        gn_mem_fail_at(n);
        gn_status status = state_cache_create(&cache, 10000, 8);
        gn_mem_fail_at(0);
        if (status == GN_OK)
            break;
        assert_int_equal(status, GN_ERR_MEMORY);
        assert_null(cache);
        assert_int_equal(gn_mem_live(), live);
    }
    state_cache_destroy(&cache);
    state_cache_destroy(&cache);
    assert_int_equal(gn_mem_live(), live);
}

TEST_MAIN(holds_what_the_naive_cache_holds_byte_for_byte, budget_is_used_up_but_never_exceeded,
          no_allocation_after_create, hot_states_survive_a_scan, zipf_hits_at_least_as_often_as_lru,
          same_sequence_has_the_same_hits_also_after_clear, counts_and_removes,
          refuses_what_cannot_work, failed_allocations_leak_nothing)
