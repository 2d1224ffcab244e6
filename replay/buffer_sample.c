// Drawing batches and changing priorities. All slots of a batch are drawn first. Then it is filled
// in blocks: the returns, while the lines of what comes next are on their way from memory, then the
// records. Those that are packed are left to the plan.

#include "replay/buffer_draw_internal.h"
#include "replay/buffer_internal.h"

#include <math.h>

#include "base/mem.h"

// --- drawing

// Every slot in use is equally likely; those without step are drawn again.
static uint64_t draw_uniform(const replay_buffer *buffer, gn_random *random)
{
    for (;;) {
        uint32_t stream = gn_random_below(random, buffer->streams);
        uint64_t position = replay_tail(buffer, stream);
        position += gn_random_below(random, (uint32_t)buffer->draws);
        uint64_t slot = replay_slot(buffer, stream, position);
        if (position < buffer->stream[stream].head && replay_is_drawn(&buffer->step[slot]))
            return slot;
    }
}

// One draw from each of n strata.  Shapes: u, ret_slot: [n]; u is scratch.
static gn_status draw_slots(const replay_buffer *buffer, gn_random *random, double *u,
                            uint64_t *ret_slot, size_t n)
{
    double share = buffer->config.uniform;
    if (buffer->tree) {
        gn_random_units(random, u, n);
        for (size_t i = 0; i < n; i++)
            u[i] = ((double)i + u[i]) / (double)n;
        GN_TRY(weight_tree_find(buffer->tree, u, n, ret_slot));
    }
    for (size_t i = 0; i < n; i++)
        if (!buffer->tree || (share > 0 && gn_random_unit(random) < share))
            ret_slot[i] = draw_uniform(buffer, random);
    return GN_OK;
}

// --- returns

// A drawn step, and where its returns end.
typedef struct drawn_step {
    uint64_t slot, position;
    uint32_t stream;
    uint32_t have; // records of its episode in its stack
    uint64_t next[REPLAY_HORIZONS_MAX]; // position k steps on
} drawn_step;

// Generalised n-step return from a slot, following the stored episode; returns k.
//     R = sum_{i<k} gamma^i r_{t+i},  k = min(n_step, steps to the end of the episode, steps
//     stored)
// Source: Sutton & Barto 2018, section 7.1.
static uint64_t follow(const replay_buffer *buffer, uint64_t slot, int64_t n_step, double gamma,
                       float *ret_return, float *ret_discount)
{
    uint64_t ring = buffer->ring, end = slot - slot % ring + ring, at = slot, k = 0;
    double total = 0, discount = 1;
    uint8_t flags;
    do {
        const replay_step *step = &buffer->step[at];
        flags = step->flags;
        total += discount * step->reward;
        discount *= gamma;
        at = at + 1 == end ? end - ring : at + 1;
        k++;
    } while (!(flags & (REPLAY_TERMINATED | REPLAY_TRUNCATED)) && k < (uint64_t)n_step &&
             !(buffer->step[at].flags & REPLAY_OPEN));
    *ret_return = (float)total;
    *ret_discount = flags & REPLAY_TERMINATED ? 0 : (float)discount;
    return k;
}

// Records of an episode that lie in the stack that ends at a position: they reach back to its
// first.
static uint32_t count_stack(const replay_buffer *buffer, uint32_t stream, uint64_t position)
{
    uint32_t have = 1;
    while (have < buffer->spec.stack && have <= position &&
           !(buffer->step[replay_slot(buffer, stream, position - have)].flags & REPLAY_FINAL))
        have++;
    return have;
}

static void read_step(const replay_buffer *buffer, const replay_draw *draw, uint64_t slot,
                      replay_batch *batch, size_t i, drawn_step *ret_step)
{
    uint64_t ring = buffer->ring;
    uint32_t stream = (uint32_t)(slot / ring);
    uint64_t newest = buffer->stream[stream].head - 1;
    uint64_t position = newest - (newest + ring - slot % ring) % ring;
    drawn_step step = { .slot = slot, .position = position, .stream = stream, .have = 1 };
    for (uint32_t h = 0; h < batch->plan->horizons; h++)
        step.next[h] = position + follow(buffer, slot, draw->n_step[h], draw->gamma,
                                         &batch->reward[h * batch->size + i],
                                         &batch->discount[h * batch->size + i]);
    if (buffer->spec.stack > 1)
        step.have = count_stack(buffer, stream, position);
    batch->item[i] = position * buffer->streams + stream;
    batch->action[i] = buffer->step[slot].action;
    *ret_step = step;
}

// --- records

// Asks for the lines of a record in RAM.
static void prefetch_record(const replay_buffer *buffer, uint32_t stream, uint64_t position)
{
    enum { LINE = 64 };
    const unsigned char *record = replay_records_at(buffer->records, stream, position);
    for (size_t at = 0; record && at < buffer->layout.record_size; at += LINE)
        __builtin_prefetch(record + at);
}

static void prefetch_records(const replay_buffer *buffer, const drawn_step *step,
                             const replay_plan *plan)
{
    prefetch_record(buffer, step->stream, step->position);
    for (uint32_t h = 0; h < plan->horizons; h++)
        prefetch_record(buffer, step->stream, step->next[h]);
}

// Consecutive records: copied where they are in RAM, else left to the plan.
static void put_records(const replay_buffer *buffer, replay_plan *plan, uint32_t stream,
                        uint64_t position, size_t n, unsigned char *to)
{
    while (n > 0) {
        const unsigned char *stored = replay_records_at(buffer->records, stream, position);
        size_t done = 1;
        if (stored) {
            replay_record_restore(buffer->fetcher, stored, to);
        } else {
            size_t left = buffer->chunk - position % buffer->chunk;
            done = n < left ? n : left;
            replay_read *read = &plan->read[plan->reads++];
            *read = replay_records_read(buffer->records, stream, position, done);
            read->to = to;
        }
        to += done * plan->record_size;
        position += done;
        n -= done;
    }
}

static void put_rows(const replay_buffer *buffer, const drawn_step *step, replay_plan *plan,
                     size_t i)
{
    replay_row *row = &plan->row[i];
    uint32_t have = row->have = step->have, stack = (uint32_t)plan->stack;
    uint64_t from = step->position + 1 - have;
    put_records(buffer, plan, step->stream, from, have + plan->overlaps,
                replay_plan_record(plan, i, stack - have));
    for (uint32_t h = 0; h < plan->horizons && !plan->overlaps; h++) {
        uint64_t k = step->next[h] - step->position;
        uint32_t fresh = k < stack ? (uint32_t)k : stack;
        row->shared[h] = have < stack - fresh ? have : stack - fresh;
        row->have_next[h] = row->shared[h] + fresh;
        put_records(buffer, plan, step->stream, step->next[h] + 1 - fresh, fresh,
                    replay_plan_next(plan, i, h, stack - fresh));
    }
}

// Makes rows of drawn slots, which are in batch->item.
static void fill_block(const replay_buffer *buffer, const replay_draw *draw, replay_batch *batch,
                       size_t first, size_t n)
{
    const uint64_t *slot = batch->item + first;
    drawn_step step[REPLAY_BLOCK];
    replay_plan *plan = batch->plan;
    enum { ROWS_AHEAD = 16 }; // rows whose records are on their way from memory
    for (size_t i = 0; i < n; i++)
        __builtin_prefetch(&buffer->step[slot[i]]);
    for (size_t i = 0; i < n; i++)
        read_step(buffer, draw, slot[i], batch, first + i, &step[i]);
    for (size_t i = 0; i < n + ROWS_AHEAD; i++) {
        if (i < n)
            prefetch_records(buffer, &step[i], plan);
        if (i >= ROWS_AHEAD)
            put_rows(buffer, &step[i - ROWS_AHEAD], plan, first + i - ROWS_AHEAD);
    }
}

// --- weights

static uint64_t slot_of_item(const replay_buffer *buffer, uint64_t item)
{
    return replay_slot(buffer, (uint32_t)(item % buffer->streams), item / buffer->streams);
}

// Whether a step of weight 0 can be drawn: as part of the uniform share.
static bool draws_weightless(const replay_buffer *buffer)
{
    return buffer->config.uniform > 0 && buffer->zeros > 0 && !buffer->ranks &&
           replay_weight(buffer, 0) == 0;
}

// w_i = (N P(i))^-beta / max w, P(i) = (1 - u) weight_i / total + u / N with a share u of uniform
// draws. N and the total cancel: w_i = ((least + c) / (weight_i + c))^beta, c = u / (1 - u) total /
// N.
// total and low: of the tree.
static void weigh_batch(const replay_buffer *buffer, double beta, double total, double low,
                        replay_batch *batch)
{
    const double *weight = weight_tree_weights(buffer->tree);
    double share = buffer->config.uniform;
    double least = draws_weightless(buffer) ? 0 : low;
    double c = share / (1 - share) * total / (double)buffer->count;
    float ratio[REPLAY_BLOCK];
    if (buffer->config.weight_max == REPLAY_BATCH_MAX) {
        least = INFINITY;
        for (size_t i = 0; i < batch->size; i++)
            least = fmin(least, weight[slot_of_item(buffer, batch->item[i])]);
    }
    for (size_t first = 0; first < batch->size; first += REPLAY_BLOCK) {
        size_t n = batch->size - first < REPLAY_BLOCK ? batch->size - first : REPLAY_BLOCK;
        for (size_t i = 0; i < n; i++)
            ratio[i] =
                (float)((least + c) / (weight[slot_of_item(buffer, batch->item[first + i])] + c));
        for (size_t i = 0; i < n; i++)
            batch->weight[first + i] = powf(ratio[i], (float)beta);
    }
}

// --- the whole

static gn_status check_draw(const replay_buffer *buffer, const replay_draw *draw,
                            const replay_batch *batch)
{
    uint32_t horizons = draw->horizons ? draw->horizons : 1;
    if (batch->size == 0 || batch->size > batch->capacity || horizons > batch->horizons)
        return gn_fail(GN_ERR_ARG,
                       "replay: batch of %zu steps, %u horizons: must be 1 to %zu, at most %u",
                       batch->size, horizons, batch->capacity, batch->horizons);
    if (batch->spec.stack != buffer->spec.stack ||
        batch->spec.record_size != buffer->spec.record_size)
        return gn_fail(GN_ERR_ARG,
                       "replay: the batch is made for %u records of %u bytes, not %u of %u",
                       batch->spec.stack, batch->spec.record_size, buffer->spec.stack,
                       buffer->spec.record_size);
    for (uint32_t h = 0; h < horizons; h++)
        if (draw->n_step[h] < 1 || !(draw->gamma >= 0 && draw->gamma <= 1))
            return gn_fail(GN_ERR_ARG,
                           "replay: %lld steps with gamma %g: must be above 0, and 0 to 1",
                           (long long)draw->n_step[h], draw->gamma);
    if (!(draw->beta >= 0 && isfinite(draw->beta)))
        return gn_fail(GN_ERR_ARG, "replay: beta %g: must be finite, 0 or above", draw->beta);
    if (buffer->count == 0)
        return gn_fail(GN_ERR_EMPTY, "replay: no step was added yet");
    return GN_OK;
}

gn_status replay_buffer_draw(replay_buffer *buffer, const replay_draw *draw, gn_random *random,
                             replay_batch *batch)
{
    GN_TRY(check_draw(buffer, draw, batch));
    replay_plan *plan = batch->plan;
    double total = 1, low = 1; // where all weigh the same
    replay_harvest(buffer);
    if (buffer->tree)
        GN_TRY(weight_tree_sums(buffer->tree, &total, &low));
    if (total == 0)
        return gn_fail(GN_ERR_EMPTY,
                       "replay: all %llu steps have priority 0 and replay.priority_epsilon is 0: "
                       "none can be drawn",
                       (unsigned long long)buffer->count);
    plan->size = batch->size;
    plan->reads = 0;
    plan->horizons = draw->horizons ? draw->horizons : 1;
    plan->overlaps = plan->horizons == 1 && draw->n_step[0] == 1;
    GN_TRY(draw_slots(buffer, random, plan->u, batch->item, batch->size));
    for (size_t first = 0; first < batch->size; first += REPLAY_BLOCK) {
        size_t n = batch->size - first < REPLAY_BLOCK ? batch->size - first : REPLAY_BLOCK;
        fill_block(buffer, draw, batch, first, n);
    }
    replay_batch_point(batch);
    if (buffer->tree)
        weigh_batch(buffer, draw->beta, total, low, batch);
    for (size_t i = 0; i < batch->size && !buffer->tree; i++)
        batch->weight[i] = 1;
    return GN_OK;
}

gn_status replay_buffer_sample(replay_buffer *buffer, const replay_draw *draw, gn_random *random,
                               replay_batch *batch)
{
    GN_TRY(replay_buffer_draw(buffer, draw, random, batch));
    replay_wait_reader(buffer);
    return replay_plan_work_off(batch->plan, buffer->fetcher);
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
            (!evicted && !replay_has_step(buffer->step[slot_of_item(buffer, item[i])].flags)))
            return gn_fail(GN_ERR_ARG, "replay: item %llu is no step", (unsigned long long)item[i]);
    }
    return GN_OK;
}

static void set_priority(replay_buffer *buffer, uint64_t slot, float priority)
{
    replay_step *step = &buffer->step[slot];
    if (buffer->ranks) {
        rank_weights_remove(buffer->ranks, step->priority);
        rank_weights_add(buffer->ranks, priority);
        buffer->unranked++;
    }
    buffer->zeros -= step->priority == 0;
    buffer->zeros += priority == 0;
    step->priority = priority;
    buffer->max_priority = fmaxf(buffer->max_priority, priority);
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
            if (buffer->step[slot[kept]].priority == REPLAY_EVICTED)
                continue;
            set_priority(buffer, slot[kept++], priority[i]);
        }
        for (size_t i = 0; i < kept; i++)
            weight[i] = replay_weight(buffer, buffer->step[slot[i]].priority);
        weight_tree_set(buffer->tree, slot, weight, kept);
    }
    // Ranks shift with every change: once as many have changed as there are steps, all are weighed
    // anew.
    if (buffer->ranks && buffer->unranked >= buffer->count)
        replay_weigh_all(buffer);
    return GN_OK;
}
