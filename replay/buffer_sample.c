// Drawing batches and changing priorities. A batch is drawn in blocks: all its slots first, then
// their lines are asked for, then the steps are gathered.

#include "replay/buffer_internal.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

gn_status replay_batch_create(replay_batch **ret_batch, size_t size, size_t record_size)
{
    if (size == 0)
        return gn_fail(GN_ERR_ARG, "replay batch of 0 steps: must be above 0");
    replay_batch *batch;
    GN_TRY(gn_alloc(&batch, 1, sizeof *batch));
    batch->size = size;
    gn_status status = gn_alloc(&batch->item, size, sizeof *batch->item);
    if (status == GN_OK)
        status = gn_alloc(&batch->record, size, record_size);
    if (status == GN_OK)
        status = gn_alloc(&batch->next_record, size, record_size);
    if (status == GN_OK)
        status = gn_alloc(&batch->action, size, sizeof *batch->action);
    if (status == GN_OK)
        status = gn_alloc(&batch->reward, size, sizeof *batch->reward);
    if (status == GN_OK)
        status = gn_alloc(&batch->discount, size, sizeof *batch->discount);
    if (status == GN_OK)
        status = gn_alloc(&batch->weight, size, sizeof *batch->weight);
    if (status != GN_OK) {
        replay_batch_destroy(&batch);
        return status;
    }
    *ret_batch = batch;
    return GN_OK;
}

void replay_batch_destroy(replay_batch **batch)
{
    if (!*batch)
        return;
    gn_free(&(*batch)->item);
    gn_free(&(*batch)->record);
    gn_free(&(*batch)->next_record);
    gn_free(&(*batch)->action);
    gn_free(&(*batch)->reward);
    gn_free(&(*batch)->discount);
    gn_free(&(*batch)->weight);
    gn_free(batch);
}

// --- drawing

// Every slot in use is equally likely; those without step are drawn again.
static void draw_uniform(const replay_buffer *buffer, gn_random *random, uint64_t *ret_slot,
                         size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t stream = gn_random_below(random, buffer->streams);
        uint64_t position = replay_tail(buffer, stream);
        position += gn_random_below(random, (uint32_t)buffer->draws);
        if (position >= buffer->stream[stream].head)
            continue;
        ret_slot[i] = replay_slot(buffer, stream, position);
        i += replay_has_step(buffer->columns.flags[ret_slot[i]]);
    }
}

// One draw from each of the strata first .. first + n - 1 of `strata`.
static gn_status draw_prioritized(const replay_buffer *buffer, gn_random *random, size_t first,
                                  size_t strata, uint64_t *ret_slot, size_t n)
{
    double u[REPLAY_BLOCK];
    for (size_t i = 0; i < n; i++)
        u[i] = ((double)(first + i) + gn_random_unit(random)) / (double)strata;
    return sum_tree_find(buffer->tree, u, n, ret_slot, NULL);
}

static void prefetch_slots(const replay_columns *columns, const uint64_t *slot, size_t n)
{
    enum { LINE = 64 };
    for (size_t i = 0; i < n; i++) {
        __builtin_prefetch(&columns->flags[slot[i]]);
        __builtin_prefetch(&columns->action[slot[i]]);
        __builtin_prefetch(&columns->reward[slot[i]]);
        const unsigned char *record = columns->record + slot[i] * columns->record_size;
        for (size_t at = 0; at < 2 * columns->record_size; at += LINE)
            __builtin_prefetch(record + at);
    }
}

// --- gathering

// Generalised n-step return from a slot, following the stored episode.
//     R = sum_{i<k} gamma^i r_{t+i},  k = min(n_step, steps to the end of the episode, steps
//     stored)
// Source: Sutton & Barto 2018, section 7.1.
static void gather_step(const replay_buffer *buffer, uint64_t slot, int64_t n_step, double gamma,
                        replay_batch *batch, size_t i)
{
    const replay_columns *columns = &buffer->columns;
    uint64_t ring = buffer->ring, stream = slot / ring, end = (stream + 1) * ring, at = slot;
    double total = 0, discount = 1;
    uint8_t flags;
    for (int64_t k = 1;; k++) {
        flags = columns->flags[at];
        total += discount * columns->reward[at];
        discount *= gamma;
        at = at + 1 == end ? end - ring : at + 1;
        bool ended = flags & (REPLAY_TERMINATED | REPLAY_TRUNCATED);
        if (ended || k == n_step || columns->flags[at] & REPLAY_OPEN)
            break;
    }
    uint64_t newest = buffer->stream[stream].head - 1;
    uint64_t age = (newest + ring - slot % ring) % ring;
    size_t size = columns->record_size;
    batch->item[i] = (newest - age) * buffer->streams + stream;
    memcpy(batch->record + i * size, columns->record + slot * size, size);
    memcpy(batch->next_record + i * size, columns->record + at * size, size);
    batch->action[i] = columns->action[slot];
    batch->reward[i] = (float)total;
    batch->discount[i] = flags & REPLAY_TERMINATED ? 0 : (float)discount;
}

static uint64_t slot_of_item(const replay_buffer *buffer, uint64_t item)
{
    return replay_slot(buffer, (uint32_t)(item % buffer->streams), item / buffer->streams);
}

// w_i = (N P(i))^-beta / max w. N and the total cancel: (smallest weight / weight_i)^beta.
static void weigh_batch(const replay_buffer *buffer, double beta, replay_batch *batch)
{
    const double *weight = sum_tree_weights(buffer->tree);
    double least = sum_tree_min(buffer->tree);
    if (buffer->config.weight_max == REPLAY_BATCH_MAX) {
        least = INFINITY;
        for (size_t i = 0; i < batch->size; i++)
            least = fmin(least, weight[slot_of_item(buffer, batch->item[i])]);
    }
    for (size_t i = 0; i < batch->size; i++)
        batch->weight[i] = (float)pow(least / weight[slot_of_item(buffer, batch->item[i])], beta);
}

gn_status replay_buffer_sample(replay_buffer *buffer, int64_t n_step, double gamma, double beta,
                               gn_random *random, replay_batch *batch)
{
    if (n_step < 1 || !(gamma >= 0 && gamma <= 1))
        return gn_fail(GN_ERR_ARG, "replay: %lld steps with gamma %g: must be above 0, and 0 to 1",
                       (long long)n_step, gamma);
    if (buffer->count == 0)
        return gn_fail(GN_ERR_EMPTY, "replay: no step was added yet");
    for (size_t first = 0; first < batch->size; first += REPLAY_BLOCK) {
        uint64_t slot[REPLAY_BLOCK];
        size_t n = batch->size - first < REPLAY_BLOCK ? batch->size - first : REPLAY_BLOCK;
        if (buffer->tree)
            GN_TRY(draw_prioritized(buffer, random, first, batch->size, slot, n));
        else
            draw_uniform(buffer, random, slot, n);
        prefetch_slots(&buffer->columns, slot, n);
        for (size_t i = 0; i < n; i++)
            gather_step(buffer, slot[i], n_step, gamma, batch, first + i);
    }
    if (buffer->tree)
        weigh_batch(buffer, beta, batch);
    for (size_t i = 0; i < batch->size && !buffer->tree; i++)
        batch->weight[i] = 1;
    return GN_OK;
}

// --- priorities

static gn_status check_priorities(const replay_buffer *buffer, const uint64_t *item,
                                  const float *priority, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(priority[i]) || priority[i] < 0)
            return gn_fail(GN_ERR_NUMERIC,
                           "replay: priority %g of item %llu must be finite, 0 or above",
                           (double)priority[i], (unsigned long long)item[i]);
        uint64_t position = item[i] / buffer->streams;
        uint32_t stream = (uint32_t)(item[i] % buffer->streams);
        bool evicted = position < replay_tail(buffer, stream);
        if (position >= buffer->stream[stream].head ||
            (!evicted && !replay_has_step(buffer->columns.flags[slot_of_item(buffer, item[i])])))
            return gn_fail(GN_ERR_ARG, "replay: item %llu is no step", (unsigned long long)item[i]);
    }
    return GN_OK;
}

gn_status replay_buffer_set_priorities(replay_buffer *buffer, const uint64_t *item,
                                       const float *priority, size_t n)
{
    if (!buffer->tree)
        return GN_OK;
    GN_TRY(check_priorities(buffer, item, priority, n));
    for (size_t first = 0; first < n; first += REPLAY_BLOCK) {
        uint64_t slot[REPLAY_BLOCK];
        double weight[REPLAY_BLOCK];
        size_t kept = 0;
        for (size_t i = first; i < n && i < first + REPLAY_BLOCK; i++) {
            uint32_t stream = (uint32_t)(item[i] % buffer->streams);
            if (item[i] / buffer->streams < replay_tail(buffer, stream))
                continue;
            slot[kept] = slot_of_item(buffer, item[i]);
            weight[kept++] = replay_weight(buffer, priority[i]);
            buffer->max_priority = fmax(buffer->max_priority, priority[i]);
        }
        GN_TRY(sum_tree_set(buffer->tree, slot, weight, kept));
    }
    return GN_OK;
}
