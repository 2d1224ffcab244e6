#include "replay/fetch.h"

#include <string.h>

#include "base/mem.h"
#include "base/thread.h"
#include "replay/quantize.h"
#include "replay/state_cache.h"

struct replay_fetcher {
    replay_fetcher_config config;
    const replay_store *store;
    replay_codec_kind kind;
    size_t stored_size; // of a record
    replay_coder *coder; // NULL: nothing is packed
    unsigned char *bytes; // [bytes_size] a span of a body
    size_t bytes_size;
    unsigned char *stored; // [count_max, stored_size] decoded, where they are quantised
    replay_read *late; // [late_capacity] reads that have to wait for the disk
    size_t late_capacity;
    state_cache *cache; // NULL: none
    replay_fetch_stats stats;
};

static gn_status allocate(replay_fetcher *fetcher)
{
    enum { KEY_DISTANCE = 16 }; // records a key frame may lie before
    const replay_fetcher_config *config = &fetcher->config;
    if (!config->layout.packed)
        return GN_OK;
    size_t most = config->count_max + KEY_DISTANCE;
    fetcher->kind = (replay_codec_kind)(config->layout.packed - 1);
    GN_TRY(
        replay_coder_create(&fetcher->coder, fetcher->kind, config->level, fetcher->stored_size));
    fetcher->bytes_size = replay_coder_bound(fetcher->coder, most);
    GN_TRY(gn_alloc(&fetcher->bytes, fetcher->bytes_size, 1));
    if (config->layout.quantized)
        GN_TRY(gn_alloc(&fetcher->stored, config->count_max, fetcher->stored_size));
    if (config->cache_bytes == 0)
        return GN_OK;
    gn_status status =
        state_cache_create(&fetcher->cache, config->cache_bytes, config->record_size);
    if (status == GN_OK)
        return GN_OK;
    return status == GN_ERR_ARG
               ? gn_fail(GN_ERR_CONFIG,
                         "replay.cache_mb: %zu bytes: must hold a few records of %zu",
                         config->cache_bytes, config->record_size)
               : gn_fail_within(status, "replay.cache_mb");
}

gn_status replay_fetcher_create(replay_fetcher **ret_fetcher, const replay_fetcher_config *config,
                                const replay_store *store)
{
    replay_fetcher *fetcher;
    GN_TRY(gn_alloc(&fetcher, 1, sizeof *fetcher));
    fetcher->config = *config;
    fetcher->store = store;
    fetcher->stored_size = config->layout.record_size;
    gn_status status = allocate(fetcher);
    if (status != GN_OK) {
        replay_fetcher_destroy(&fetcher);
        return status;
    }
    *ret_fetcher = fetcher;
    return GN_OK;
}

void replay_fetcher_destroy(replay_fetcher **fetcher)
{
    if (!*fetcher)
        return;
    replay_coder_destroy(&(*fetcher)->coder);
    state_cache_destroy(&(*fetcher)->cache);
    gn_free(&(*fetcher)->bytes);
    gn_free(&(*fetcher)->stored);
    gn_free(&(*fetcher)->late);
    gn_free(fetcher);
}

gn_status replay_record_store(const replay_fetcher *fetcher, const unsigned char *record,
                              unsigned char *ret_stored)
{
    size_t size = fetcher->config.record_size;
    if (fetcher->config.layout.quantized)
        return replay_quantize((const float *)(const void *)record, size / sizeof(float),
                               (int)fetcher->config.layout.quantized, ret_stored);
    memcpy(ret_stored, record, size);
    return GN_OK;
}

void replay_record_restore(const replay_fetcher *fetcher, const unsigned char *stored,
                           unsigned char *ret_record)
{
    size_t size = fetcher->config.record_size;
    if (fetcher->config.layout.quantized)
        replay_dequantize(stored, size / sizeof(float), (int)fetcher->config.layout.quantized,
                          (float *)(void *)ret_record);
    else
        memcpy(ret_record, stored, size);
}

// --- one read

// The first of `count` records that cannot be decoded by itself.
static uint32_t find_bad(replay_fetcher *fetcher, const replay_read *read,
                         const unsigned char *bytes, size_t from, size_t to, unsigned char *scratch)
{
    uint32_t i = 0;
    while (i + 1 < read->count &&
           replay_coder_decode_run(fetcher->coder, read->model, read->place, read->index + i, 1,
                                   bytes, from, to, scratch) == GN_OK)
        i++;
    return i;
}

// Decodes records whose bytes [from, to) of the body are at hand.
static gn_status decode(replay_fetcher *fetcher, const replay_read *read,
                        const unsigned char *bytes, size_t from, size_t to)
{
    bool quantized = fetcher->config.layout.quantized > 0;
    unsigned char *decoded = quantized ? fetcher->stored : read->to;
    gn_status status = replay_coder_decode_run(fetcher->coder, read->model, read->place,
                                               read->index, read->count, bytes, from, to, decoded);
    if (status != GN_OK) {
        uint64_t bad = find_bad(fetcher, read, bytes, from, to, decoded);
        return gn_fail_within(
            status, "replay: item %llu",
            (unsigned long long)(read->item + bad * fetcher->config.layout.streams));
    }
    for (uint32_t i = 0; quantized && i < read->count; i++)
        replay_record_restore(fetcher, decoded + i * fetcher->stored_size,
                              read->to + i * fetcher->config.record_size);
    return GN_OK;
}

// wait: also where the disk has to be waited for; else *ret_late says that it would.
static gn_status read_records(replay_fetcher *fetcher, const replay_read *read, bool wait,
                              bool *ret_late)
{
    size_t from, to;
    replay_coder_need(fetcher->kind, read->place, read->index, read->count, &from, &to);
    *ret_late = false;
    if (!read->body && to - from > fetcher->bytes_size)
        return gn_fail(GN_ERR_CORRUPT, "replay: item %llu: its places do not fit",
                       (unsigned long long)read->item);
    if (!read->body && !wait &&
        !replay_store_read_now(fetcher->store, read->offset + from, fetcher->bytes, to - from)) {
        *ret_late = true;
        return GN_OK;
    }
    if (!read->body && wait)
        GN_TRY(replay_store_read(fetcher->store, read->offset + from, fetcher->bytes, to - from));
    fetcher->stats.reads++;
    fetcher->stats.read_bytes += to - from;
    if (read->body)
        return decode(fetcher, read, read->body + from, from, to);
    return decode(fetcher, read, fetcher->bytes, from, to);
}

// --- with the cache

// Copies the records that are cached to their place; the others become at most one read.
static bool look_up(replay_fetcher *fetcher, const replay_read *read, replay_read *ret_rest)
{
    size_t size = fetcher->config.record_size;
    uint32_t first = read->count, last = 0;
    for (uint32_t i = 0; i < read->count; i++) {
        uint64_t item = read->item + (uint64_t)i * fetcher->config.layout.streams;
        const unsigned char *value = state_cache_get(fetcher->cache, item);
        if (value) {
            memcpy(read->to + i * size, value, size);
            continue;
        }
        first = i < first ? i : first;
        last = i;
    }
    if (first == read->count)
        return false;
    *ret_rest = *read;
    ret_rest->index += first;
    ret_rest->item += (uint64_t)first * fetcher->config.layout.streams;
    ret_rest->to += first * size;
    ret_rest->count = last - first + 1;
    return true;
}

static void remember(replay_fetcher *fetcher, const replay_read *read)
{
    size_t size = fetcher->config.record_size;
    for (uint32_t i = 0; i < read->count; i++) {
        uint64_t item = read->item + (uint64_t)i * fetcher->config.layout.streams;
        if (!state_cache_holds(fetcher->cache, item))
            memcpy(state_cache_put(fetcher->cache, item), read->to + i * size, size);
    }
}

static gn_status read_cached(replay_fetcher *fetcher, const replay_read *read, bool wait,
                             replay_read *ret_rest, bool *ret_late)
{
    *ret_late = false;
    *ret_rest = *read;
    if (!fetcher->cache)
        return read_records(fetcher, read, wait, ret_late);
    if (!wait && !look_up(fetcher, read, ret_rest))
        return GN_OK;
    double since = gn_seconds();
    GN_TRY(read_records(fetcher, ret_rest, wait, ret_late));
    if (!*ret_late)
        remember(fetcher, ret_rest);
    fetcher->stats.miss_s += gn_seconds() - since;
    return GN_OK;
}

// --- all reads

// What the disk has to bring is asked for first, all of it, and waited for afterwards.
gn_status replay_fetch(replay_fetcher *fetcher, const replay_read *read, size_t n)
{
    size_t late_count = 0;
    if (fetcher->late_capacity < n) {
        GN_TRY(gn_grow(&fetcher->late, 0, n, sizeof *fetcher->late));
        fetcher->late_capacity = n;
    }
    for (size_t i = 0; i < n; i++) {
        bool late;
        replay_read rest;
        GN_TRY(read_cached(fetcher, &read[i], false, &rest, &late));
        if (!late)
            continue;
        size_t from, to;
        replay_coder_need(fetcher->kind, rest.place, rest.index, rest.count, &from, &to);
        replay_store_will_read(fetcher->store, rest.offset + from, to - from);
        fetcher->late[late_count++] = rest;
    }
    for (size_t i = 0; i < late_count; i++) {
        bool late;
        replay_read rest;
        GN_TRY(read_cached(fetcher, &fetcher->late[i], true, &rest, &late));
    }
    return GN_OK;
}

void replay_fetcher_clear(replay_fetcher *fetcher)
{
    if (fetcher->cache)
        state_cache_clear(fetcher->cache);
}

void replay_fetcher_measure(const replay_fetcher *fetcher, replay_fetch_stats *ret_stats)
{
    replay_fetch_stats stats = fetcher->stats;
    if (fetcher->cache) {
        state_cache_stats cache = state_cache_measure(fetcher->cache);
        stats.hits = cache.hits;
        stats.misses = cache.misses;
        stats.cache_bytes = cache.bytes;
    }
    *ret_stats = stats;
}
