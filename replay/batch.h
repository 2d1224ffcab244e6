// A batch of steps drawn from a replay buffer, and what is asked for. Plain data; filled by
// replay_buffer_sample (replay/buffer.h) and replay_sampler_next (replay/sampler.h).

#ifndef REPLAY_BATCH_H
#define REPLAY_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// What the steps of a buffer look like.
typedef struct replay_spec {
    uint32_t streams; // independent step sequences (one an environment copy)
    uint32_t record_size; // bytes
    uint32_t stack; // records an observation is made of; 0 counts as 1
} replay_spec;

enum { REPLAY_HORIZONS_MAX = 4 };

// What is drawn. Several horizons give several returns of the same steps, without storing them
// twice.
typedef struct replay_draw {
    int64_t n_step[REPLAY_HORIZONS_MAX]; // steps of each return before bootstrapping
    uint32_t horizons; // in use; 0 counts as 1
    double gamma; // discount a step
    double beta; // exponent of the importance weights now
} replay_draw;

// Shapes: B = size, H = horizons of the draw. A row of records is [stack, record_size], oldest
// first; rows are `stride` bytes apart. Rows of record and next_record overlap where n_step is 1.
typedef struct replay_batch {
    size_t size; // steps to draw, up to capacity
    size_t capacity;
    replay_spec spec;
    uint32_t horizons; // H at most
    uint64_t *item; // [B]
    size_t stride; // bytes from a row of records to the next one
    const unsigned char *record; // [B rows] at the step
    const unsigned char *next_record[REPLAY_HORIZONS_MAX]; // [H][B rows] k steps on
    int32_t *action; // [B]
    float *reward; // [H, B] n-step return: sum_{i<k} gamma^i r_{t+i}
    float *discount; // [H, B] gamma^k, 0 where the episode terminated within the k steps
    float *weight; // [B] importance weight; 1 in uniform mode
    struct replay_plan *plan; // where the records come from; the buffer's
} replay_batch;

// horizons: at most this many in a draw.
// Errors: GN_ERR_ARG if capacity, record_size or horizons is 0, or horizons above the maximum.
gn_status replay_batch_create(replay_batch **ret_batch, const replay_spec *spec, size_t capacity,
                              uint32_t horizons);
void replay_batch_destroy(replay_batch **batch);

#endif
