// Creating the buffer and writing to it. A slot is evicted by the slot that overwrites it; a chunk
// is handed to the store once all its slots are closed, at the start of the next write, so that a
// full disk fails that write before it changed anything.

#include "replay/buffer_internal.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

static const char *const weight_max_names[] = { "batch", "buffer", NULL };

const gn_option replay_options[] = {
    GN_OPTION_TEXT(replay_config, path, "replay",
                   "folder of the replay store, relative to the run; none keeps steps in RAM"),
    GN_OPTION_INT(replay_config, capacity, "100000", 2, 1e12,
                  "slots over all environments: steps plus one an episode"),
    GN_OPTION_INT(replay_config, chunk, "1024", 1, 1048576,
                  "slots a chunk on disk, at most; always below the slots of an environment"),
    GN_OPTION_INT(replay_config, compression, "3", 1, 19, "zstd level of chunks"),
    GN_OPTION_BOOL(replay_config, prioritized, "false",
                   "sample in proportion to priorities instead of uniformly"),
    GN_OPTION_REAL(replay_config, alpha, "0.6", 0, 1, "exponent of the priorities"),
    GN_OPTION_REAL(replay_config, beta, "0.4", 0, 1,
                   "exponent of the importance weights at the start of the run"),
    GN_OPTION_REAL(replay_config, beta_final, "1", 0, 1,
                   "exponent of the importance weights at the end of the run"),
    GN_OPTION_REAL(replay_config, priority_epsilon, "1e-6", 0, 1, "added to every priority"),
    GN_OPTION_CHOICE(replay_config, weight_max, "batch", weight_max_names,
                     "largest importance weight is 1 over the batch or over the whole buffer"),
    { 0 },
};

// --- creating

static gn_status check_config(const replay_config *config, uint32_t streams, size_t record_size)
{
    if (streams == 0 || record_size == 0 || record_size > UINT32_MAX)
        return gn_fail(GN_ERR_ARG,
                       "replay buffer of %u streams, %zu bytes a record: must be above 0", streams,
                       record_size);
    if (config->capacity / streams < 2 || config->capacity / streams > UINT32_MAX)
        return gn_fail(GN_ERR_CONFIG,
                       "replay.capacity: %lld leaves each of %u environments %lld slots; must be 2 "
                       "to %u",
                       (long long)config->capacity, streams,
                       (long long)(config->capacity / streams), UINT32_MAX);
    if (config->chunk < 1 || config->chunk > 1048576)
        return gn_fail(GN_ERR_CONFIG, "replay.chunk: %lld must be 1 to 1048576",
                       (long long)config->chunk);
    if (!(config->alpha >= 0 && config->alpha <= 1))
        return gn_fail(GN_ERR_CONFIG, "replay.alpha: %g must be 0 to 1", config->alpha);
    if (!(config->priority_epsilon >= 0 && config->priority_epsilon <= 1))
        return gn_fail(GN_ERR_CONFIG, "replay.priority_epsilon: %g must be 0 to 1",
                       config->priority_epsilon);
    return GN_OK;
}

static gn_status allocate(replay_buffer *buffer)
{
    size_t slots = buffer->streams * buffer->ring, record_size = buffer->columns.record_size;
    GN_TRY(gn_alloc(&buffer->stream, buffer->streams, sizeof *buffer->stream));
    GN_TRY(gn_alloc(&buffer->bounds, buffer->streams, sizeof *buffer->bounds));
    GN_TRY(gn_alloc(&buffer->columns.flags, slots, sizeof *buffer->columns.flags));
    GN_TRY(gn_alloc(&buffer->columns.action, slots, sizeof *buffer->columns.action));
    GN_TRY(gn_alloc(&buffer->columns.reward, slots, sizeof *buffer->columns.reward));
    GN_TRY(gn_alloc(&buffer->columns.record, slots, record_size));
    if (buffer->config.prioritized)
        GN_TRY(sum_tree_create(&buffer->tree, slots));
    // Both scratch blocks also take the weights of a chunk's slots.
    size_t plain = replay_chunk_scratch(buffer->chunk, record_size);
    size_t weights = buffer->chunk * sizeof(double);
    size_t coded_weights = gn_compress_bound(weights);
    buffer->coded_size = replay_chunk_bound(buffer->chunk, record_size);
    if (buffer->coded_size < coded_weights)
        buffer->coded_size = coded_weights;
    GN_TRY(gn_alloc(&buffer->coded, buffer->coded_size, 1));
    GN_TRY(gn_alloc(&buffer->plain, plain > weights ? plain : weights, 1));
    return gn_compressor_create(&buffer->compressor, (int)buffer->config.compression);
}

// Where no generation was ever committed, chunks of a run that died early are of no use.
static gn_status open_store(replay_buffer *buffer, const char *folder, const char *owner)
{
    replay_layout layout = { buffer->streams, (uint32_t)buffer->columns.record_size, buffer->ring,
                             buffer->chunk };
    GN_TRY(replay_store_open(&buffer->store, folder, owner, &layout));
    size_t generations;
    GN_TRY(replay_store_generations(buffer->store, NULL, 0, &generations));
    buffer->rollback_due = generations > 0;
    return generations > 0 ? GN_OK : replay_store_rollback(buffer->store, 0, buffer->bounds);
}

gn_status replay_buffer_create(replay_buffer **ret_buffer, const replay_config *config,
                               uint32_t streams, size_t record_size, const char *folder,
                               const char *owner)
{
    GN_TRY(check_config(config, streams, record_size));
    replay_buffer *buffer;
    GN_TRY(gn_alloc(&buffer, 1, sizeof *buffer));
    buffer->config = *config;
    buffer->streams = streams;
    buffer->ring = (uint64_t)config->capacity / streams;
    // Below the ring: a chunk is complete before its first slot is overwritten.
    uint64_t chunk = (uint64_t)config->chunk;
    buffer->chunk = (uint32_t)(chunk < buffer->ring ? chunk : buffer->ring - 1);
    buffer->columns.record_size = record_size;
    buffer->max_priority = 1;
    gn_status status = allocate(buffer);
    if (status == GN_OK && folder)
        status = open_store(buffer, folder, owner);
    if (status != GN_OK) {
        replay_buffer_destroy(&buffer);
        return status;
    }
    *ret_buffer = buffer;
    return GN_OK;
}

void replay_buffer_destroy(replay_buffer **buffer)
{
    if (!*buffer)
        return;
    replay_store_close(&(*buffer)->store);
    gn_compressor_destroy(&(*buffer)->compressor);
    sum_tree_destroy(&(*buffer)->tree);
    gn_free(&(*buffer)->stream);
    gn_free(&(*buffer)->bounds);
    gn_free(&(*buffer)->columns.flags);
    gn_free(&(*buffer)->columns.action);
    gn_free(&(*buffer)->columns.reward);
    gn_free(&(*buffer)->columns.record);
    gn_free(&(*buffer)->coded);
    gn_free(&(*buffer)->plain);
    gn_free(buffer);
}

// --- writing

double replay_weight(const replay_buffer *buffer, double priority)
{
    return pow(priority + buffer->config.priority_epsilon, buffer->config.alpha);
}

double replay_priority(double weight, double alpha, double epsilon)
{
    double priority = pow(weight, 1 / alpha) - epsilon;
    return priority > 0 ? priority : 0; // where rounding leaves less than nothing
}

gn_status replay_seal_chunks(replay_buffer *buffer, uint32_t stream)
{
    replay_stream *at = &buffer->stream[stream];
    uint64_t closed = at->head - replay_is_open(buffer, stream);
    while (buffer->store && at->sealed < closed / buffer->chunk) {
        replay_columns columns = replay_stream_columns(buffer, stream);
        uint64_t first = at->sealed * buffer->chunk;
        size_t size;
        GN_TRY(replay_chunk_encode(buffer->compressor, &columns, buffer->ring, first % buffer->ring,
                                   buffer->chunk, first, buffer->plain, buffer->coded,
                                   buffer->coded_size, &size));
        GN_TRY(replay_store_put_chunk(buffer->store, at->sealed, stream, buffer->coded, size));
        at->sealed++;
    }
    return GN_OK;
}

// Checks that a write may come and does all of it that can fail.
static gn_status before_write(replay_buffer *buffer, uint32_t stream, bool open)
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
    return replay_seal_chunks(buffer, stream);
}

// Writes the next slot of a stream over the oldest. Its weight must become 0.
static void write_slot(replay_buffer *buffer, uint32_t stream, uint8_t flags,
                       const unsigned char *record)
{
    replay_columns *columns = &buffer->columns;
    uint64_t head = buffer->stream[stream].head++;
    uint64_t slot = replay_slot(buffer, stream, head);
    if (head >= buffer->ring && replay_has_step(columns->flags[slot]))
        buffer->count--;
    columns->flags[slot] = flags;
    columns->action[slot] = 0;
    columns->reward[slot] = 0;
    memcpy(columns->record + slot * columns->record_size, record, columns->record_size);
    if (head < buffer->ring && head + 1 > buffer->draws)
        buffer->draws = head + 1;
}

static void set_weights(replay_buffer *buffer, const uint64_t *slot, const double *weight, size_t n)
{
    if (!buffer->tree)
        return;
    gn_status status = sum_tree_set(buffer->tree, slot, weight, n);
    assert(status == GN_OK);
    (void)status;
}

gn_status replay_buffer_begin(replay_buffer *buffer, uint32_t stream, const unsigned char *record)
{
    GN_TRY(before_write(buffer, stream, false));
    uint64_t slot = replay_slot(buffer, stream, buffer->stream[stream].head);
    write_slot(buffer, stream, REPLAY_OPEN, record);
    set_weights(buffer, &slot, &(double){ 0 }, 1);
    return GN_OK;
}

gn_status replay_buffer_add(replay_buffer *buffer, uint32_t stream, int32_t action, float reward,
                            bool terminated, bool truncated, const unsigned char *next_record)
{
    if (!isfinite(reward))
        return gn_fail(GN_ERR_NUMERIC, "replay: stream %u: reward %g is not finite", stream,
                       (double)reward);
    GN_TRY(before_write(buffer, stream, true));
    uint64_t head = buffer->stream[stream].head;
    uint64_t slot = replay_slot(buffer, stream, head - 1);
    buffer->columns.flags[slot] =
        (uint8_t)((terminated ? REPLAY_TERMINATED : 0) | (truncated ? REPLAY_TRUNCATED : 0));
    buffer->columns.action[slot] = action;
    buffer->columns.reward[slot] = reward;
    buffer->count++;
    write_slot(buffer, stream, terminated || truncated ? REPLAY_FINAL : REPLAY_OPEN, next_record);
    uint64_t slots[] = { slot, replay_slot(buffer, stream, head) };
    set_weights(buffer, slots, (double[]){ replay_weight(buffer, buffer->max_priority), 0 }, 2);
    return GN_OK;
}

void replay_clear(replay_buffer *buffer)
{
    memset(buffer->stream, 0, buffer->streams * sizeof *buffer->stream);
    buffer->count = buffer->draws = 0;
    buffer->max_priority = 1;
    uint64_t slots = buffer->streams * buffer->ring;
    for (uint64_t first = 0; buffer->tree && first < slots; first += REPLAY_BLOCK) {
        uint64_t slot[REPLAY_BLOCK];
        double weight[REPLAY_BLOCK] = { 0 };
        size_t n = slots - first < REPLAY_BLOCK ? slots - first : REPLAY_BLOCK;
        for (size_t i = 0; i < n; i++)
            slot[i] = first + i;
        set_weights(buffer, slot, weight, n);
    }
}

// --- looking

uint64_t replay_buffer_count(const replay_buffer *buffer)
{
    return buffer->count;
}

gn_status replay_buffer_measure(replay_buffer *buffer, replay_buffer_stats *ret_stats)
{
    uint64_t capacity = buffer->streams * buffer->ring;
    size_t slot_size = replay_chunk_scratch(1, buffer->columns.record_size);
    replay_buffer_stats stats = { .steps = buffer->count,
                                  .capacity = capacity,
                                  .ram_bytes = capacity * slot_size,
                                  .max_priority = buffer->max_priority };
    if (buffer->tree)
        stats.ram_bytes += sum_tree_size(buffer->tree);
    for (uint32_t stream = 0; stream < buffer->streams; stream++) {
        stats.slots += buffer->stream[stream].head - replay_tail(buffer, stream);
        stats.written += buffer->stream[stream].head;
    }
    if (buffer->store)
        GN_TRY(replay_store_size(buffer->store, &stats.disk_bytes));
    *ret_stats = stats;
    return GN_OK;
}
