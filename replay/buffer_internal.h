// Inside of the replay buffer, shared by replay/buffer*.c and replay/sampler.c.

#ifndef REPLAY_BUFFER_INTERNAL_H
#define REPLAY_BUFFER_INTERNAL_H

#include "replay/buffer.h"
#include "replay/fetch.h"
#include "replay/rank_weights.h"
#include "replay/records.h"
#include "replay/weight_tree.h"
#include "replay/writer.h"

enum { REPLAY_BLOCK = 256 }; // items handled at a time where a copy on the stack is needed

// All that sampling reads of a slot beside its record: one cache line has four of them.
typedef struct replay_step {
    int32_t action; // 0 without step
    float reward; // 0 without step
    float priority; // before epsilon and alpha; 0 without step and in uniform mode
    uint8_t flags; // replay/chunk.h
    uint8_t unused[3];
} replay_step;

_Static_assert(sizeof(replay_step) == 16, "four a cache line");

struct replay_buffer {
    replay_config config;
    replay_spec spec;
    replay_layout layout;
    uint32_t streams, chunk;
    uint64_t ring; // slots a stream; slot of a position: stream * ring + position % ring
    uint64_t sampled; // newest slots of a ring whose whole stack is there
    replay_stream *stream;
    replay_step *step; // [streams * ring]
    replay_records *records;
    weight_tree *tree; // weight of every slot; NULL in uniform mode
    rank_weights *ranks; // of all steps; NULL but in rank-based mode
    uint64_t zeros; // steps of priority 0; prioritized only
    uint64_t unranked; // priorities changed since all were ranked
    double alpha;
    float weighed_priority; // whose weight is new_weight; -1: none
    double new_weight;
    float max_priority; // before epsilon and alpha; never decays
    uint64_t count; // steps that can be sampled
    uint64_t draws; // most slots in use in any stream: bound of uniform draws

    replay_store *store; // NULL: RAM only
    replay_writer *writer; // NULL: RAM only, and records are not packed
    replay_fetcher *fetcher;
    replay_staged staged; // of the commit on its way; arrays of the whole buffer
    uint64_t generation; // the last that was handed over or rolled back to
    bool rollback_due; // the contents are not those of the store
    uint64_t *bounds; // [streams] scratch: chunk limits for the store
    void (*wait_reader)(void *user); // NULL: nobody reads in another thread
    void *reader;
};

// Returns when nothing is being read in another thread.
static inline void replay_wait_reader(const replay_buffer *buffer)
{
    if (buffer->wait_reader)
        buffer->wait_reader(buffer->reader);
}

// Whether a slot that can be sampled is: it has a step, which was not given up.
static inline bool replay_is_drawn(const replay_step *step)
{
    return replay_has_step(step->flags) && step->priority != REPLAY_EVICTED;
}

static inline uint64_t replay_slot(const replay_buffer *buffer, uint32_t stream, uint64_t position)
{
    return stream * buffer->ring + position % buffer->ring;
}

// Oldest position that can be sampled.
static inline uint64_t replay_tail(const replay_buffer *buffer, uint32_t stream)
{
    uint64_t head = buffer->stream[stream].head;
    return head > buffer->sampled ? head - buffer->sampled : 0;
}

// Whether what a slot of the rings holds can be sampled, if it is a step.
static inline bool replay_is_sampled(const replay_buffer *buffer, uint64_t slot)
{
    uint64_t head = buffer->stream[slot / buffer->ring].head;
    uint64_t age = (head + buffer->ring - 1 - slot % buffer->ring) % buffer->ring;
    return age < head && age < buffer->sampled;
}

static inline bool replay_is_open(const replay_buffer *buffer, uint32_t stream)
{
    uint64_t head = buffer->stream[stream].head;
    return head > 0 && buffer->step[replay_slot(buffer, stream, head - 1)].flags & REPLAY_OPEN;
}

// Weight of a priority in the sum tree.
double replay_weight(const replay_buffer *buffer, float priority);

// Weighs all steps anew: after loading, and by another exponent.
void replay_weigh_all(replay_buffer *buffer);

// Hands every chunk whose slots are all closed to the writer, and makes room for the next record.
gn_status replay_seal_chunks(replay_buffer *buffer, uint32_t stream);

// Columns of n slots from a position, without records.
void replay_copy_steps(const replay_buffer *buffer, uint32_t stream, uint64_t position, size_t n,
                       replay_columns *ret_columns);

// Empties the buffer; what is on its way to disk is abandoned.
void replay_clear(replay_buffer *buffer);

// Fills an empty buffer. ret_end_model: models from there on are none of this state.
// Errors: GN_ERR_CORRUPT, GN_ERR_IO; then the buffer must be emptied.
gn_status replay_load_state(replay_buffer *buffer, gn_blob *in, uint32_t *ret_end_model);

// Opens replay.device where it draws: NULL for the CPU.
// Errors: GN_ERR_CONFIG, GN_ERR_UNSUPPORTED.
gn_status replay_config_open_device(const replay_config *config, const cuda_runtime **ret_cuda,
                                    int *ret_index);

// What the options come to for these records.
replay_layout replay_config_layout(const replay_config *config, const replay_spec *spec);

#endif
