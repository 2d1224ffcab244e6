// Inside of the replay buffer, shared by replay/buffer*.c.

#ifndef REPLAY_BUFFER_INTERNAL_H
#define REPLAY_BUFFER_INTERNAL_H

#include "replay/buffer.h"
#include "replay/chunk.h"
#include "replay/store.h"
#include "replay/sum_tree.h"

enum { REPLAY_BLOCK = 256 }; // items handled at a time where a copy on the stack is needed

typedef struct replay_stream {
    uint64_t head; // position of the next slot to write: slots ever written
    uint64_t sealed; // chunks handed to the store
} replay_stream;

struct replay_buffer {
    replay_config config;
    uint32_t streams, chunk;
    uint64_t ring; // slots a stream; slot of a position: stream * ring + position % ring
    replay_stream *stream;
    replay_columns columns; // of all slots: [streams * ring]
    sum_tree *tree; // weight of every slot; NULL in uniform mode
    double max_priority; // before epsilon and alpha; never decays
    uint64_t count; // steps stored
    uint64_t draws; // most slots in use in any stream: bound of uniform draws

    replay_store *store; // NULL: RAM only
    bool rollback_due; // the contents are not those of the store
    uint64_t *bounds; // [streams] scratch: chunk limits for the store
    gn_compressor *compressor;
    size_t coded_size; // bytes of each of the following
    unsigned char *coded, *plain; // scratch: an encoded chunk; its columns
};

static inline uint64_t replay_slot(const replay_buffer *buffer, uint32_t stream, uint64_t position)
{
    return stream * buffer->ring + position % buffer->ring;
}

// Oldest position still in the ring.
static inline uint64_t replay_tail(const replay_buffer *buffer, uint32_t stream)
{
    uint64_t head = buffer->stream[stream].head;
    return head > buffer->ring ? head - buffer->ring : 0;
}

static inline bool replay_is_open(const replay_buffer *buffer, uint32_t stream)
{
    uint64_t head = buffer->stream[stream].head;
    return head > 0 && buffer->columns.flags[replay_slot(buffer, stream, head - 1)] & REPLAY_OPEN;
}

// The columns of one stream.
static inline replay_columns replay_stream_columns(const replay_buffer *buffer, uint32_t stream)
{
    uint64_t slot = stream * buffer->ring;
    const replay_columns *all = &buffer->columns;
    return (replay_columns){ all->flags + slot, all->action + slot, all->reward + slot,
                             all->record + slot * all->record_size, all->record_size };
}

// Weight of a priority in the sum tree.
double replay_weight(const replay_buffer *buffer, double priority);

// Hands every chunk whose slots are all closed to the store.
gn_status replay_seal_chunks(replay_buffer *buffer, uint32_t stream);

// Empties the buffer.
void replay_clear(replay_buffer *buffer);

#endif
