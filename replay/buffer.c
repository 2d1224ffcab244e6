// Creating the buffer and writing to it. A slot is evicted by the slot that overwrites it; a chunk
// is handed to the writer once all its slots are closed, at the start of the next write, so that a
// full disk fails that write before it changed anything.

#include "replay/buffer_draw_internal.h"
#include "replay/buffer_internal.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"

// --- creating

enum {
    COLUMN_LEVEL = 1,
    RECORD_LEVEL = 3,
    HIGH_LEVEL = 9
}; // zstd, where the options leave it open

static gn_status allocate_staged(replay_buffer *buffer)
{
    replay_staged *staged = &buffer->staged;
    size_t slots = buffer->streams * buffer->ring;
    GN_TRY(gn_alloc(&staged->stream, buffer->streams, sizeof *staged->stream));
    GN_TRY(gn_alloc(&staged->tail, buffer->streams, sizeof *staged->tail));
    for (uint32_t i = 0; i < buffer->streams && buffer->store; i++)
        GN_TRY(replay_columns_create(&staged->tail[i], buffer->chunk, buffer->layout.record_size,
                                     !buffer->layout.packed, false));
    if (buffer->tree)
        GN_TRY(gn_alloc(&staged->priority, slots, sizeof *staged->priority));
    if (buffer->ranks)
        GN_TRY(gn_alloc(&staged->weight, slots, sizeof *staged->weight));
    return GN_OK;
}

static gn_status create_tree(replay_buffer *buffer, uint64_t slots)
{
    const cuda_runtime *cuda;
    int index;
    GN_TRY(replay_config_open_device(&buffer->config, &cuda, &index));
    return weight_tree_create(&buffer->tree, slots, cuda, index);
}

static gn_status allocate(replay_buffer *buffer)
{
    const replay_config *config = &buffer->config;
    size_t slots = buffer->streams * buffer->ring;
    int level = (int)config->compression;
    int usual_level = level ? level : buffer->layout.packed ? RECORD_LEVEL : COLUMN_LEVEL;
    GN_TRY(gn_alloc(&buffer->stream, buffer->streams, sizeof *buffer->stream));
    GN_TRY(gn_alloc(&buffer->bounds, buffer->streams, sizeof *buffer->bounds));
    gn_status status = gn_alloc(&buffer->step, slots, sizeof *buffer->step);
    if (status != GN_OK)
        return gn_fail_within(status, "replay.capacity: %lld", (long long)config->capacity);
    if (config->prioritized)
        GN_TRY(create_tree(buffer, slots));
    if (config->prioritized && config->priority == REPLAY_RANK)
        GN_TRY(rank_weights_create(&buffer->ranks));
    const replay_fetcher_config fetching = {
        .layout = buffer->layout,
        .record_size = buffer->spec.record_size,
        .count_max = buffer->spec.stack + 1,
        .cache_bytes = buffer->layout.packed ? (size_t)config->cache_mb * 1000000 : 0,
        .level = usual_level,
    };
    GN_TRY(replay_fetcher_create(&buffer->fetcher, &fetching, buffer->store));
    if (buffer->store || buffer->layout.packed) {
        const replay_writer_config writing = { buffer->layout, usual_level,
                                               level ? level : HIGH_LEVEL, !buffer->layout.packed };
        GN_TRY(replay_writer_create(&buffer->writer, &writing, buffer->store));
    }
    GN_TRY(allocate_staged(buffer));
    return replay_records_create(&buffer->records, &buffer->layout, buffer->writer);
}

// Where no generation was ever committed, chunks of a run that died early are of no use.
static gn_status open_store(replay_buffer *buffer, const char *folder, const char *owner)
{
    GN_TRY(replay_store_open(&buffer->store, folder, owner, &buffer->layout));
    replay_store_set_durability(buffer->store, (replay_durability)buffer->config.durability);
    size_t generations;
    GN_TRY(replay_store_generations(buffer->store, NULL, 0, &generations));
    buffer->rollback_due = generations > 0;
    if (generations > 0)
        return GN_OK;
    uint64_t *none;
    GN_TRY(gn_alloc(&none, buffer->streams, sizeof *none));
    gn_status status = replay_store_rollback(buffer->store, 0, none, 0);
    gn_free(&none);
    return status;
}

gn_status replay_buffer_create(replay_buffer **ret_buffer, const replay_config *config,
                               const replay_spec *spec, const char *folder, const char *owner)
{
    GN_TRY(replay_config_check(config, spec));
    replay_buffer *buffer;
    GN_TRY(gn_alloc(&buffer, 1, sizeof *buffer));
    buffer->config = *config;
    buffer->spec = *spec;
    buffer->spec.stack += spec->stack == 0;
    buffer->layout = replay_config_layout(config, &buffer->spec);
    buffer->streams = spec->streams;
    buffer->ring = buffer->layout.capacity;
    buffer->sampled = buffer->ring - (buffer->spec.stack - 1);
    buffer->chunk = buffer->layout.chunk;
    buffer->alpha = config->alpha;
    buffer->max_priority = 1;
    gn_status status = folder ? open_store(buffer, folder, owner) : GN_OK;
    if (status == GN_OK)
        status = allocate(buffer);
    if (status != GN_OK) {
        replay_buffer_destroy(&buffer);
        return status;
    }
    *ret_buffer = buffer;
    return GN_OK;
}

void replay_buffer_destroy(replay_buffer **buffer)
{
    replay_buffer *self = *buffer;
    if (!self)
        return;
    replay_writer_destroy(&self->writer);
    replay_records_destroy(&self->records);
    replay_fetcher_destroy(&self->fetcher);
    replay_store_close(&self->store);
    weight_tree_destroy(&self->tree);
    rank_weights_destroy(&self->ranks);
    gn_free(&self->stream);
    gn_free(&self->bounds);
    gn_free(&self->step);
    for (uint32_t i = 0; self->staged.tail && i < self->streams; i++) {
        if (self->layout.packed)
            self->staged.tail[i].record = NULL; // a chunk's
        replay_columns_free(&self->staged.tail[i]);
    }
    gn_free(&self->staged.stream);
    gn_free(&self->staged.tail);
    gn_free(&self->staged.priority);
    gn_free(&self->staged.weight);
    gn_free(buffer);
}

// --- sealing

void replay_copy_steps(const replay_buffer *buffer, uint32_t stream, uint64_t position, size_t n,
                       replay_columns *ret_columns)
{
    for (size_t i = 0; i < n; i++) {
        const replay_step *step = &buffer->step[replay_slot(buffer, stream, position + i)];
        ret_columns->flags[i] = step->flags;
        ret_columns->action[i] = step->action;
        ret_columns->reward[i] = step->reward;
    }
}

void replay_harvest(replay_buffer *buffer)
{
    replay_job *job;
    while (buffer->writer && (job = replay_writer_harvest(buffer->writer)) != NULL) {
        if (buffer->layout.packed)
            replay_wait_reader(buffer);
        replay_records_settle(buffer->records, job);
        replay_writer_give(buffer->writer, job);
    }
}

// Waits until a chunk can be sealed.
static gn_status make_room(replay_buffer *buffer)
{
    replay_harvest(buffer);
    while (replay_writer_is_full(buffer->writer)) {
        GN_TRY(replay_writer_wait_oldest(buffer->writer));
        replay_harvest(buffer);
    }
    return GN_OK;
}

static gn_status seal_chunk(replay_buffer *buffer, uint32_t stream)
{
    replay_stream *at = &buffer->stream[stream];
    uint64_t first = at->sealed * buffer->chunk;
    GN_TRY(make_room(buffer));
    bool packed = buffer->layout.packed > 0;
    replay_job *job = packed ? replay_records_raw(buffer->records, stream, at->sealed)
                             : replay_writer_take(buffer->writer);
    replay_copy_steps(buffer, stream, first, buffer->chunk, &job->columns);
    job->stream = stream;
    job->chunk = at->sealed;
    if (!packed)
        replay_records_lend(buffer->records, job);
    gn_status status = replay_writer_seal(buffer->writer, job);
    if (status == GN_OK)
        at->sealed++;
    else if (!packed)
        replay_writer_give(buffer->writer, job);
    return status;
}

gn_status replay_seal_chunks(replay_buffer *buffer, uint32_t stream)
{
    replay_stream *at = &buffer->stream[stream];
    if (!buffer->writer)
        return GN_OK;
    while (at->head >= (at->sealed + 1) * buffer->chunk &&
           at->head - replay_is_open(buffer, stream) >= (at->sealed + 1) * buffer->chunk)
        GN_TRY(seal_chunk(buffer, stream));
    if (!buffer->layout.packed || replay_records_ready(buffer->records, stream, at->head))
        return GN_OK;
    if (!buffer->store) // the body of the chunk that goes is freed
        replay_wait_reader(buffer);
    replay_records_open(buffer->records, stream, at->head, replay_writer_take(buffer->writer));
    return GN_OK;
}

// Waits until the slot that is written next is free: the thread reads records that are not packed
// where they are. There is nothing to wait for where a ring holds more chunks than are on the way.
static gn_status free_slot(replay_buffer *buffer, uint32_t stream)
{
    uint64_t head = buffer->stream[stream].head;
    if (!buffer->store || buffer->layout.packed || head < buffer->ring)
        return GN_OK;
    uint64_t leaving = head - buffer->ring;
    if (leaving % buffer->chunk != 0)
        return GN_OK;
    while (replay_writer_holds(buffer->writer, stream, leaving / buffer->chunk)) {
        GN_TRY(replay_writer_wait_oldest(buffer->writer));
        replay_harvest(buffer);
    }
    return GN_OK;
}

// --- writing

double replay_weight(const replay_buffer *buffer, float priority)
{
    if (buffer->ranks)
        return rank_weights_weight(buffer->ranks, priority, buffer->alpha);
    return (double)powf(priority + (float)buffer->config.priority_epsilon, (float)buffer->alpha);
}

// Checks that a write may come and does all of it that can fail.
static gn_status before_write(replay_buffer *buffer, uint32_t stream, bool open,
                              const unsigned char *record)
{
    if (stream >= buffer->streams)
        return gn_fail(GN_ERR_ARG, "replay: stream %u: must be below %u", stream, buffer->streams);
    if (buffer->rollback_due)
        return gn_fail(GN_ERR_STATE,
                       "replay: the store holds generations: roll back to one before adding");
    if (replay_is_open(buffer, stream) != open)
        return gn_fail(GN_ERR_STATE, "replay: stream %u: %s", stream,
                       open ? "no episode is running: begin one first"
                            : "an episode is running: it must end first");
    GN_TRY(replay_seal_chunks(buffer, stream));
    GN_TRY(free_slot(buffer, stream));
    // The oldest record goes where the new one is written; of a mirrored one nothing else is lost.
    return replay_record_store(
        buffer->fetcher, record,
        replay_records_place(buffer->records, stream, buffer->stream[stream].head));
}

static void set_weight(replay_buffer *buffer, uint64_t slot, double weight)
{
    if (buffer->tree)
        weight_tree_set(buffer->tree, &slot, &weight, 1);
}

// A slot leaves what can be sampled.
static void retire(replay_buffer *buffer, uint64_t slot)
{
    replay_step *step = &buffer->step[slot];
    if (!replay_is_drawn(step))
        return;
    buffer->count--;
    buffer->zeros -= buffer->tree && step->priority == 0;
    if (buffer->ranks)
        rank_weights_remove(buffer->ranks, step->priority);
}

// Takes the next slot of a stream, whose record is written, and lets go of the one that can no
// longer be sampled.
static void take_slot(replay_buffer *buffer, uint32_t stream, uint8_t flags)
{
    enum { PER_LINE = 4 };
    uint64_t head = buffer->stream[stream].head++, slot = replay_slot(buffer, stream, head);
    if (head >= buffer->sampled) {
        uint64_t leaving = replay_slot(buffer, stream, head - buffer->sampled);
        retire(buffer, leaving);
        set_weight(buffer, leaving, 0);
    }
    buffer->step[slot] = (replay_step){ .flags = flags };
    __builtin_prefetch(&buffer->step[replay_slot(buffer, stream, head + PER_LINE)], 1);
    if (head < buffer->sampled && head + 1 > buffer->draws)
        buffer->draws = head + 1;
}

// Where more steps can be drawn than the options want, those of the lowest priority are given up.
// Their slots stay until the ring takes them: what came before and after them needs their records.
static gn_status evict_lowest(replay_buffer *buffer)
{
    double all = (double)(buffer->streams * buffer->sampled);
    uint64_t slot;
    if ((double)buffer->count <= all - buffer->config.evict_lowest * all)
        return GN_OK;
    gn_status status = weight_tree_lowest(buffer->tree, &slot);
    if (status != GN_OK)
        return status == GN_ERR_EMPTY ? GN_OK : status;
    retire(buffer, slot);
    buffer->step[slot].priority = REPLAY_EVICTED;
    set_weight(buffer, slot, 0);
    return GN_OK;
}

gn_status replay_buffer_begin(replay_buffer *buffer, uint32_t stream, const unsigned char *record)
{
    GN_TRY(before_write(buffer, stream, false, record));
    take_slot(buffer, stream, REPLAY_OPEN);
    return GN_OK;
}

gn_status replay_buffer_add(replay_buffer *buffer, uint32_t stream, int32_t action, float reward,
                            bool terminated, bool truncated, const unsigned char *next_record)
{
    if (!isfinite(reward))
        return gn_fail(GN_ERR_NUMERIC, "replay: stream %u: reward %g is not finite", stream,
                       (double)reward);
    GN_TRY(before_write(buffer, stream, true, next_record));
    uint64_t slot = replay_slot(buffer, stream, buffer->stream[stream].head - 1);
    replay_step *step = &buffer->step[slot];
    step->flags =
        (uint8_t)((terminated ? REPLAY_TERMINATED : 0) | (truncated ? REPLAY_TRUNCATED : 0));
    step->action = action;
    step->reward = reward;
    buffer->count++;
    take_slot(buffer, stream, terminated || truncated ? REPLAY_FINAL : REPLAY_OPEN);
    if (!buffer->tree)
        return GN_OK;
    step->priority = buffer->max_priority;
    if (buffer->ranks)
        rank_weights_add(buffer->ranks, step->priority);
    if (buffer->weighed_priority != step->priority || buffer->ranks) {
        buffer->new_weight = replay_weight(buffer, step->priority);
        buffer->weighed_priority = step->priority;
    }
    set_weight(buffer, slot, buffer->new_weight);
    return buffer->config.evict_lowest > 0 ? evict_lowest(buffer) : GN_OK;
}

// --- weighing all

void replay_weigh_all(replay_buffer *buffer)
{
    uint64_t slots = buffer->streams * buffer->ring;
    if (!buffer->tree)
        return;
    buffer->unranked = 0;
    buffer->weighed_priority = -1;
    for (uint64_t first = 0; first < slots; first += REPLAY_BLOCK) {
        uint64_t slot[REPLAY_BLOCK];
        double weight[REPLAY_BLOCK];
        size_t n = slots - first < REPLAY_BLOCK ? slots - first : REPLAY_BLOCK;
        for (size_t i = 0; i < n; i++) {
            const replay_step *step = &buffer->step[first + i];
            slot[i] = first + i;
            bool drawn = replay_is_sampled(buffer, first + i) && replay_is_drawn(step);
            weight[i] = drawn ? replay_weight(buffer, step->priority) : 0;
        }
        weight_tree_set(buffer->tree, slot, weight, n);
    }
}

gn_status replay_buffer_set_alpha(replay_buffer *buffer, double alpha)
{
    if (!(alpha >= 0 && alpha <= 1))
        return gn_fail(GN_ERR_ARG, "replay: alpha %g: must be 0 to 1", alpha);
    if (alpha == buffer->alpha)
        return GN_OK;
    buffer->alpha = alpha;
    replay_weigh_all(buffer);
    return GN_OK;
}

void replay_clear(replay_buffer *buffer)
{
    replay_wait_reader(buffer);
    if (buffer->writer)
        replay_writer_reset(buffer->writer);
    replay_records_clear(buffer->records);
    replay_fetcher_clear(buffer->fetcher);
    memset(buffer->stream, 0, buffer->streams * sizeof *buffer->stream);
    memset(buffer->step, 0, buffer->streams * buffer->ring * sizeof *buffer->step);
    buffer->count = buffer->draws = buffer->zeros = 0;
    buffer->max_priority = 1;
    buffer->alpha = buffer->config.alpha;
    if (buffer->ranks)
        rank_weights_clear(buffer->ranks);
    replay_weigh_all(buffer);
}

// --- looking

uint64_t replay_buffer_count(const replay_buffer *buffer)
{
    return buffer->count;
}

const replay_spec *replay_buffer_spec(const replay_buffer *buffer)
{
    return &buffer->spec;
}

void replay_buffer_set_reader(replay_buffer *buffer, void (*wait)(void *user), void *user)
{
    buffer->wait_reader = wait;
    buffer->reader = user;
}

int64_t replay_buffer_ahead(const replay_buffer *buffer)
{
    enum { PACKED = 2 };
    if (buffer->config.ahead >= 0)
        return buffer->config.ahead;
    return buffer->layout.packed ? PACKED : 0;
}

replay_fetcher *replay_buffer_fetcher(replay_buffer *buffer)
{
    return buffer->fetcher;
}

gn_status replay_buffer_measure(replay_buffer *buffer, replay_buffer_stats *ret_stats)
{
    replay_buffer_stats stats = { .steps = buffer->count,
                                  .capacity = buffer->streams * buffer->ring,
                                  .ram_bytes = buffer->streams * buffer->ring * sizeof(replay_step),
                                  .max_priority = buffer->max_priority };
    replay_fetch_stats fetched;
    replay_wait_reader(buffer);
    replay_fetcher_measure(buffer->fetcher, &fetched);
    stats.reads = fetched.reads;
    stats.read_bytes = fetched.read_bytes;
    stats.cache_hits = fetched.hits;
    stats.cache_misses = fetched.misses;
    stats.cache_bytes = fetched.cache_bytes;
    if (fetched.misses > 0)
        stats.saved_s = fetched.miss_s / (double)fetched.misses * (double)fetched.hits;
    stats.ram_bytes += replay_records_ram(buffer->records) + fetched.cache_bytes;
    if (buffer->tree) {
        stats.ram_bytes += weight_tree_size(buffer->tree);
        stats.ram_bytes += stats.capacity * sizeof(float); // staged
        stats.device_bytes = weight_tree_device_size(buffer->tree);
    }
    if (buffer->writer) {
        stats.ram_bytes += replay_writer_ram(buffer->writer);
        stats.stalled_s = replay_writer_stalled(buffer->writer);
        if (replay_writer_committed(buffer->writer))
            stats.committed = buffer->generation;
    }
    for (uint32_t stream = 0; stream < buffer->streams; stream++) {
        stats.slots += buffer->stream[stream].head - replay_tail(buffer, stream);
        stats.written += buffer->stream[stream].head;
    }
    if (buffer->store)
        GN_TRY(replay_store_size(buffer->store, &stats.disk_bytes));
    *ret_stats = stats;
    return GN_OK;
}
