// Sampling ahead: the batch of call t + L is drawn at call t, and a thread reads its records while
// the caller works on the batches between. What is drawn depends on the calls alone, never on how
// fast the thread is: priorities that change in between do not count, L calls late, on every
// machine.
//
//     call         t            t+1          t+2
//     drawn        batch t+2    batch t+3    batch t+4         (L = 2)
//     returned     batch t      batch t+1    batch t+2
//
// With L = 0 it is replay_buffer_sample. Batches drawn and not returned are part of a checkpoint.
//
// Threads: one owner, the buffer's.

#ifndef REPLAY_SAMPLER_H
#define REPLAY_SAMPLER_H

#include "replay/buffer.h"

typedef struct replay_sampler replay_sampler;

enum { REPLAY_AHEAD_MAX = 64 };

// capacity: steps of the largest batch. horizons: of a draw, at most. ahead: L, up to
// REPLAY_AHEAD_MAX; -1 takes what the buffer's options say. The buffer must outlive the sampler,
// and has one sampler with L > 0 at a time. Errors: GN_ERR_ARG, GN_ERR_MEMORY.
gn_status replay_sampler_create(replay_sampler **ret_sampler, replay_buffer *buffer,
                                size_t capacity, uint32_t horizons, int64_t ahead);
void replay_sampler_destroy(replay_sampler **sampler);

// Draws a batch of `size` steps and returns the one drawn L calls before, which may have another
// size. The first call draws L + 1. Valid until the next call.
// Errors: those of replay_buffer_sample; the batch is given up, and the next call goes on with the
// one after it.
gn_status replay_sampler_next(replay_sampler *sampler, size_t size, const replay_draw *draw,
                              gn_random *random, const replay_batch **ret_batch);

// The buffer it draws from.
replay_buffer *replay_sampler_buffer(const replay_sampler *sampler);

// Batches that are drawn and not returned. Load needs a sampler of the same shape and lag.
// Errors: GN_ERR_CORRUPT; then none is drawn. For save, in the blob: why the records of one could
// not be read.
void replay_sampler_save(replay_sampler *sampler, gn_blob *out);
gn_status replay_sampler_load(replay_sampler *sampler, gn_blob *in);

typedef struct replay_sampler_stats {
    int64_t ahead; // L
    uint64_t batches; // returned
    double waited_s; // that next waited for records, in all
} replay_sampler_stats;
replay_sampler_stats replay_sampler_measure(const replay_sampler *sampler);

#endif
