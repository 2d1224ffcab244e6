// One block of memory holds everything:
//
//     [state_cache][values: n x stride][nodes: n + 3][table: 3/2 (n + ghosts)][ghosts: 0.9 n]
//
// Node i belongs to value i and always stands in one of three circular lists: FREE, SMALL or MAIN,
// whose heads are the nodes n .. n + 2. The table (linear probing, deletion by shifting back) maps
// a key to a reference: below n a value, from n on an entry of the ghost ring. It keeps 32 bits of
// the key's hash beside each reference, so a probe seldom reads a node in vain, and an entry's home
// follows from these bits alone, so that shifting reads no keys.
//
// A ghost leaves the table when its key is put again or when the ring comes round to it; the ring
// is not told of the former: an entry counts only while the table refers to it.

#include "replay/state_cache.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"

enum { FREE, SMALL, MAIN, QUEUES };
enum { VALUES_MIN = 10, USES_MAX = 3, USES_TO_STAY = 2, VALUE_ALIGNMENT = 16 };
static const uint64_t VALUES_MAX = (uint64_t)1 << 30;
static const size_t VALUE_SIZE_MAX = (size_t)1 << 40;
static const size_t BUDGET_MAX = PTRDIFF_MAX / 2; // keeps sizes far from overflow

typedef struct node {
    uint64_t key;
    uint32_t before, after; // node indices
    uint8_t queue, uses; // uses: hits since it came into its queue, less one for each turn in MAIN
} node;

typedef struct table_entry {
    uint32_t tag; // low half of the key's hash
    uint32_t reference; // 1 + value or n + ghost; 0: no entry
} table_entry;

// Sizes and places for a number of values.
typedef struct cache_layout {
    uint64_t values, ghosts, slots; // n, entries of the ghost ring, entries of the table
    size_t stride, value_at, node_at, table_at, ghost_at, size; // bytes
} cache_layout;

struct state_cache {
    cache_layout layout;
    unsigned char *value; // [n, stride]
    node *node; // [n + QUEUES]
    table_entry *table; // [slots]
    uint64_t *ghost; // [ghosts] keys
    uint64_t ghosted; // keys that ever went into the ring
    uint64_t length[QUEUES], small_target;
    uint64_t hits, misses, evictions;
};

static size_t round_up(size_t size, size_t multiple)
{
    return (size + multiple - 1) / multiple * multiple;
}

static uint64_t small_share(uint64_t values)
{
    return values / 10;
}

static cache_layout lay_out(uint64_t values, size_t value_size)
{
    cache_layout to = { .values = values, .ghosts = values - small_share(values) };
    to.slots = (values + to.ghosts) * 3 / 2;
    to.stride = round_up(value_size, VALUE_ALIGNMENT);
    to.value_at = round_up(sizeof(state_cache), GN_MEM_ALIGNMENT);
    to.node_at = round_up(to.value_at + values * to.stride, GN_MEM_ALIGNMENT);
    to.table_at = round_up(to.node_at + (values + QUEUES) * sizeof(node), GN_MEM_ALIGNMENT);
    to.ghost_at = to.table_at + to.slots * sizeof(table_entry);
    to.size = to.ghost_at + to.ghosts * sizeof(uint64_t);
    return to;
}

// The most values whose layout fits, 0 if not even one does. Sizes grow with the values.
static uint64_t fit_values(size_t budget_bytes, size_t value_size)
{
    if (budget_bytes > BUDGET_MAX)
        budget_bytes = BUDGET_MAX;
    uint64_t low = 0, high = budget_bytes / value_size;
    if (high > VALUES_MAX)
        high = VALUES_MAX;
    while (low < high) {
        uint64_t middle = high - (high - low) / 2;
        if (lay_out(middle, value_size).size <= budget_bytes)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

gn_status state_cache_create(state_cache **ret_cache, size_t budget_bytes, size_t value_size)
{
    if (value_size == 0 || value_size > VALUE_SIZE_MAX)
        return gn_fail(GN_ERR_ARG, "state cache: values of %zu bytes: must be 1 to 2^40",
                       value_size);
    uint64_t values = fit_values(budget_bytes, value_size);
    if (values < VALUES_MIN)
        return gn_fail(GN_ERR_ARG,
                       "state cache of %zu bytes: must be %zu or more for %d values of %zu bytes",
                       budget_bytes, lay_out(VALUES_MIN, value_size).size, VALUES_MIN, value_size);
    cache_layout layout = lay_out(values, value_size);
    unsigned char *block;
    GN_TRY(gn_alloc(&block, layout.size, 1));
    state_cache *cache = (state_cache *)block;
    cache->layout = layout;
    cache->value = block + layout.value_at;
    cache->node = (node *)(block + layout.node_at);
    cache->table = (table_entry *)(block + layout.table_at);
    cache->ghost = (uint64_t *)(block + layout.ghost_at);
    cache->small_target = small_share(values);
    state_cache_clear(cache);
    *ret_cache = cache;
    return GN_OK;
}

void state_cache_destroy(state_cache **cache)
{
    gn_free(cache);
}

// --- queues

static void link_first(state_cache *cache, uint32_t index, uint8_t queue)
{
    node *head = &cache->node[cache->layout.values + queue], *item = &cache->node[index];
    item->queue = queue;
    item->before = (uint32_t)(cache->layout.values + queue);
    item->after = head->after;
    cache->node[head->after].before = index;
    head->after = index;
    cache->length[queue]++;
}

static void unlink_node(state_cache *cache, uint32_t index)
{
    const node *item = &cache->node[index];
    cache->node[item->before].after = item->after;
    cache->node[item->after].before = item->before;
    cache->length[item->queue]--;
}

static uint32_t last_of(const state_cache *cache, uint8_t queue)
{
    assert(cache->length[queue] > 0);
    return cache->node[cache->layout.values + queue].before;
}

void state_cache_clear(state_cache *cache)
{
    memset(cache->table, 0, cache->layout.slots * sizeof *cache->table);
    memset(cache->length, 0, sizeof cache->length);
    cache->ghosted = cache->hits = cache->misses = cache->evictions = 0;
    uint32_t n = (uint32_t)cache->layout.values;
    for (uint32_t head = n; head < n + QUEUES; head++)
        cache->node[head].before = cache->node[head].after = head;
    for (uint32_t i = 0; i < n; i++)
        link_first(cache, i, FREE); // value 0 is taken first
}

// --- table

// The finaliser of SplitMix64: neighbouring keys land far apart.
static uint32_t tag_of(uint64_t key)
{
    key = (key ^ key >> 30) * 0xbf58476d1ce4e5b9;
    key = (key ^ key >> 27) * 0x94d049bb133111eb;
    return (uint32_t)(key ^ key >> 31);
}

static uint64_t home_of(const state_cache *cache, uint32_t tag)
{
    return (tag * cache->layout.slots) >> 32; // slots < 2^32
}

static uint64_t next_slot(const state_cache *cache, uint64_t at)
{
    return at + 1 == cache->layout.slots ? 0 : at + 1;
}

static uint64_t distance(const state_cache *cache, uint64_t from, uint64_t to)
{
    return to >= from ? to - from : to + cache->layout.slots - from;
}

static bool is_value(const state_cache *cache, table_entry entry)
{
    return entry.reference - 1 < cache->layout.values;
}

static uint64_t key_of(const state_cache *cache, table_entry entry)
{
    uint32_t index = entry.reference - 1;
    return is_value(cache, entry) ? cache->node[index].key
                                  : cache->ghost[index - cache->layout.values];
}

// Where the entry of a key is, or the empty place where it would go.
static uint64_t find_key(const state_cache *cache, uint64_t key)
{
    uint32_t tag = tag_of(key);
    uint64_t at = home_of(cache, tag);
    for (;; at = next_slot(cache, at)) {
        table_entry entry = cache->table[at];
        if (entry.reference == 0 || (entry.tag == tag && key_of(cache, entry) == key))
            return at;
    }
}

// Where the entry of a key with this reference is; an empty place if there is none.
static uint64_t find_reference(const state_cache *cache, uint64_t key, uint32_t reference)
{
    uint64_t at = home_of(cache, tag_of(key));
    while (cache->table[at].reference != 0 && cache->table[at].reference != reference)
        at = next_slot(cache, at);
    return at;
}

// Empties a place and moves back what would no longer be found behind the gap.
static void delete_entry(state_cache *cache, uint64_t gap)
{
    table_entry *table = cache->table;
    for (uint64_t at = next_slot(cache, gap); table[at].reference != 0; at = next_slot(cache, at)) {
        if (distance(cache, home_of(cache, table[at].tag), at) < distance(cache, gap, at))
            continue;
        table[gap] = table[at];
        gap = at;
    }
    table[gap].reference = 0;
}

// --- eviction

// Turns the table's entry of an evicted value into one of a ghost, in the place of the oldest.
static void remember_ghost(state_cache *cache, uint32_t index)
{
    uint64_t place = cache->ghosted % cache->layout.ghosts;
    uint32_t reference = (uint32_t)(1 + cache->layout.values + place);
    if (cache->ghosted++ >= cache->layout.ghosts) {
        uint64_t oldest = find_reference(cache, cache->ghost[place], reference);
        if (cache->table[oldest].reference == reference)
            delete_entry(cache, oldest);
    }
    uint64_t key = cache->node[index].key;
    cache->ghost[place] = key;
    cache->table[find_reference(cache, key, 1 + index)].reference = reference;
}

// Evicts one value. What was hit twice in SMALL moves to MAIN instead, what was hit in MAIN goes
// round once more for each hit; as a hit pays for each such step, their number a call is constant
// on average.
static void evict_value(state_cache *cache)
{
    for (;;) {
        bool small = cache->length[SMALL] >= cache->small_target;
        uint32_t index = last_of(cache, small ? SMALL : MAIN);
        node *item = &cache->node[index];
        unlink_node(cache, index);
        if (small && item->uses >= USES_TO_STAY) {
            item->uses = 0;
            link_first(cache, index, MAIN);
        } else if (!small && item->uses > 0) {
            item->uses--;
            link_first(cache, index, MAIN);
        } else {
            if (small)
                remember_ghost(cache, index);
            else
                delete_entry(cache, find_reference(cache, item->key, 1 + index));
            link_first(cache, index, FREE);
            cache->evictions++;
            return;
        }
    }
}

// --- use

const unsigned char *state_cache_get(state_cache *cache, uint64_t key)
{
    table_entry entry = cache->table[find_key(cache, key)];
    if (entry.reference == 0 || !is_value(cache, entry)) {
        cache->misses++;
        return NULL;
    }
    uint32_t index = entry.reference - 1;
    cache->hits++;
    node *item = &cache->node[index];
    if (item->uses < USES_MAX)
        item->uses++;
    return cache->value + index * cache->layout.stride;
}

bool state_cache_holds(const state_cache *cache, uint64_t key)
{
    table_entry entry = cache->table[find_key(cache, key)];
    return entry.reference != 0 && is_value(cache, entry);
}

unsigned char *state_cache_put(state_cache *cache, uint64_t key)
{
    table_entry known = cache->table[find_key(cache, key)];
    assert(known.reference == 0 || !is_value(cache, known));
    if (cache->length[FREE] == 0)
        evict_value(cache); // may forget the key's ghost and move entries of the table
    uint32_t index = last_of(cache, FREE);
    unlink_node(cache, index);
    link_first(cache, index, known.reference == 0 ? SMALL : MAIN);
    cache->node[index].key = key;
    cache->node[index].uses = 0;
    cache->table[find_key(cache, key)] = (table_entry){ tag_of(key), 1 + index };
    return cache->value + index * cache->layout.stride;
}

void state_cache_remove(state_cache *cache, uint64_t key)
{
    uint64_t at = find_key(cache, key);
    table_entry entry = cache->table[at];
    if (entry.reference == 0 || !is_value(cache, entry))
        return;
    delete_entry(cache, at);
    unlink_node(cache, entry.reference - 1);
    link_first(cache, entry.reference - 1, FREE);
}

uint64_t state_cache_capacity(const state_cache *cache)
{
    return cache->layout.values;
}

state_cache_stats state_cache_measure(const state_cache *cache)
{
    return (state_cache_stats){
        .hits = cache->hits,
        .misses = cache->misses,
        .values = cache->length[SMALL] + cache->length[MAIN],
        .evictions = cache->evictions,
        .bytes = cache->layout.size,
    };
}
