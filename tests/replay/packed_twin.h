// A naive twin of a buffer with stacks: every slot ever written in plain arrays, and batches
// checked against them by brute force.

#ifndef TESTS_REPLAY_PACKED_TWIN_H
#define TESTS_REPLAY_PACKED_TWIN_H

#include <math.h>
#include <string.h>

#include "replay/buffer.h"
#include "replay/quantize.h"
#include "tests/replay/feed.h"
#include "tests/support/check.h"

enum { TWIN_STREAMS = 3, TWIN_SLOTS = 1500, TWIN_RECORD = 96 };

typedef enum twin_kind { TWIN_STEP, TWIN_FINAL, TWIN_OPEN } twin_kind;

typedef struct twin_slot {
    twin_kind kind;
    feed_step step; // action, reward and end of the step taken here
    unsigned char record[TWIN_RECORD]; // as it has to come back
} twin_slot;

typedef struct stack_twin {
    uint32_t streams, stack;
    uint64_t ring;
    uint64_t head[TWIN_STREAMS];
    twin_slot slot[TWIN_STREAMS][TWIN_SLOTS]; // by position
} stack_twin;

// A record that differs from all others and compresses; its bytes are finite floats.
static inline void twin_record(const feed_step *step, unsigned char *ret_record)
{
    enum { FLOATS = TWIN_RECORD / sizeof(float) };
    float value[FLOATS];
    uint64_t number;
    memcpy(&number, step->record, sizeof number);
    for (size_t i = 0; i < FLOATS; i++)
        value[i] = i < 8 ? (float)i : (float)((number * 37 + i) % 1000) / 8;
    value[0] = (float)number;
    memcpy(ret_record, value, sizeof value);
}

static inline void twin_add(stack_twin *twin, const feed_step *step, const unsigned char *record)
{
    twin_slot *slots = twin->slot[step->stream];
    uint64_t *head = &twin->head[step->stream];
    assert_true(*head < TWIN_SLOTS);
    if (!step->begins) {
        slots[*head - 1].kind = TWIN_STEP;
        slots[*head - 1].step = *step;
    }
    twin_slot *next = &slots[(*head)++];
    next->kind = step->terminated || step->truncated ? TWIN_FINAL : TWIN_OPEN;
    memcpy(next->record, record, TWIN_RECORD);
}

// Whether the step at a position can be drawn: all records its stack may need are in the ring.
static inline bool twin_samples(const stack_twin *twin, uint32_t stream, uint64_t position)
{
    uint64_t head = twin->head[stream];
    return position < head && position + twin->ring - (twin->stack - 1) >= head &&
           twin->slot[stream][position].kind == TWIN_STEP;
}

static inline uint64_t twin_count(const stack_twin *twin)
{
    uint64_t count = 0;
    for (uint32_t stream = 0; stream < twin->streams; stream++)
        for (uint64_t at = 0; at < twin->head[stream]; at++)
            count += twin_samples(twin, stream, at);
    return count;
}

// A stack that ends at a position: the first record of the episode stands for those before it.
static inline void twin_check_stack(const stack_twin *twin, uint32_t stream, uint64_t position,
                                    const unsigned char *row)
{
    uint64_t first = position;
    while (first > 0 && twin->slot[stream][first - 1].kind != TWIN_FINAL)
        first--;
    for (uint64_t s = 0; s < twin->stack; s++) {
        uint64_t back = twin->stack - 1 - s;
        uint64_t at = position - first >= back ? position - back : first;
        assert_memory_equal(row + s * TWIN_RECORD, twin->slot[stream][at].record, TWIN_RECORD);
    }
}

// Everything a batch says of its row i but the weight.
static inline void twin_check_row(const stack_twin *twin, const replay_draw *draw,
                                  const replay_batch *batch, size_t i)
{
    uint32_t stream = (uint32_t)(batch->item[i] % twin->streams);
    uint64_t position = batch->item[i] / twin->streams;
    assert_true(twin_samples(twin, stream, position));
    const twin_slot *first = &twin->slot[stream][position];
    assert_int_equal(batch->action[i], first->step.action);
    twin_check_stack(twin, stream, position, batch->record + i * batch->stride);
    for (uint32_t h = 0; h < draw->horizons; h++) {
        const twin_slot *at = first;
        double total = 0, discount = 1;
        uint64_t k = 0;
        for (; k < (uint64_t)draw->n_step[h] && at->kind == TWIN_STEP; k++, at++) {
            total += pow(draw->gamma, (double)k) * at->step.reward;
            discount = at->step.terminated ? 0 : pow(draw->gamma, (double)(k + 1));
        }
        float reward = batch->reward[h * batch->size + i];
        assert_true(fabs(reward - total) <= 1e-6 * fabs(total));
        assert_true(fabs(batch->discount[h * batch->size + i] - discount) <= 1e-6);
        twin_check_stack(twin, stream, position + k, batch->next_record[h] + i * batch->stride);
    }
}

// Whether two batches of one draw are the same, weights and records too.
static inline void expect_same_batch(const replay_batch *a, const replay_batch *b)
{
    size_t n = a->size, row = a->spec.stack * a->spec.record_size;
    uint32_t horizons = a->horizons;
    assert_int_equal(n, b->size);
    assert_memory_equal(a->item, b->item, n * sizeof *a->item);
    assert_memory_equal(a->action, b->action, n * sizeof *a->action);
    assert_memory_equal(a->reward, b->reward, n * horizons * sizeof *a->reward);
    assert_memory_equal(a->discount, b->discount, n * horizons * sizeof *a->discount);
    assert_memory_equal(a->weight, b->weight, n * sizeof *a->weight);
    assert_int_equal(a->stride, b->stride);
    for (size_t i = 0; i < n; i++) {
        assert_memory_equal(a->record + i * a->stride, b->record + i * b->stride, row);
        for (uint32_t h = 0; h < horizons; h++)
            assert_memory_equal(a->next_record[h] + i * a->stride,
                                b->next_record[h] + i * b->stride, row);
    }
}

#endif
