// Drawing a batch apart from reading its records: for whoever reads them elsewhere
// (replay/sampler.c).

#ifndef REPLAY_BUFFER_DRAW_INTERNAL_H
#define REPLAY_BUFFER_DRAW_INTERNAL_H

#include "replay/buffer.h"
#include "replay/plan.h"

// Fills everything of the batch but packed records, which batch->plan says how to read. They must
// be read before the buffer settles another chunk: see replay_buffer_set_reader.
gn_status replay_buffer_draw(replay_buffer *buffer, const replay_draw *draw, gn_random *random,
                             replay_batch *batch);

// Chunks that are where they stay are read from there from now on.
void replay_harvest(replay_buffer *buffer);

// Who reads drawn records in another thread. wait is called before a chunk settles or its body is
// freed, and before the fetcher is used by the owner, and returns when nothing is being read. NULL:
// nobody.
void replay_buffer_set_reader(replay_buffer *buffer, void (*wait)(void *user), void *user);

// Batches that the options draw ahead.
int64_t replay_buffer_ahead(const replay_buffer *buffer);

replay_fetcher *replay_buffer_fetcher(replay_buffer *buffer);

#endif
