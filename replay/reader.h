// Reads the steps of a store from outside: for a person, a statistic, an export, a check. Works on
// a store that a run is writing to and does not disturb it; shows one generation as it was
// committed. Memory: a decoded chunk, however large the buffer is.
//
//     replay_reader_open(&reader, "runs/mine/replay", NULL);
//     replay_reader_begin(reader, 0, &generation);
//     while (replay_reader_next(reader, &slots) == GN_OK && slots.count > 0)
//         for (size_t i = 0; i < slots.count; i++)
//             if (replay_has_step(slots.flags[i])) ...
//
// Threads: one at a time; not in the process that writes the store (see replay/store_view.h).

#ifndef REPLAY_READER_H
#define REPLAY_READER_H

#include "replay/chunk.h"
#include "replay/store_view.h"

typedef struct replay_reader replay_reader;

// findings: damage goes there and is passed over; NULL: damage is an error.
// Errors: those of replay_view_open; GN_ERR_MEMORY.
gn_status replay_reader_open(replay_reader **ret_reader, const char *folder,
                             replay_findings *findings);
void replay_reader_close(replay_reader **reader);

// Layout, owner, chunks and generations there are. Valid until close.
const replay_view *replay_reader_view(const replay_reader *reader);

// Bytes of a record as it was added; another number than the layout's where it is quantised.
size_t replay_reader_record_size(const replay_reader *reader);

// Consecutive slots of one stream. The memory is the reader's, until its next call.
typedef struct replay_slots {
    uint32_t stream;
    uint64_t position; // of the first
    uint64_t head; // slots written to the stream so far: the last one is head - 1
    size_t count; // 0: there are no more
    const uint8_t *flags; // [count], replay/chunk.h
    const int32_t *action; // [count]
    const float *reward; // [count]
    const unsigned char *record; // [count, replay_reader_record_size] as it was added
    const unsigned char *stored; // [count, record_size of the layout] as it is stored
    const float *priority; // [count], before epsilon and alpha; NULL where sampling is uniform
} replay_slots;

typedef struct replay_generation {
    uint64_t number;
    uint64_t slots; // of all streams
    bool prioritized;
    double max_priority; // before epsilon and alpha
    double alpha; // exponent of the priorities then
} replay_generation;

// Starts at the first slot of a generation, 0 for the newest.
// Errors: GN_ERR_EMPTY if none was committed yet; GN_ERR_NOT_FOUND; GN_ERR_CORRUPT, also with
// findings: then nothing of this generation can be read.
gn_status replay_reader_begin(replay_reader *reader, uint64_t generation,
                              replay_generation *ret_generation);

// The next slots: stream by stream, oldest first, at most a chunk of them. With findings, slots
// that cannot be read are passed over: the next position is not the one after the last. Errors:
// GN_ERR_CORRUPT; with findings only where the state of the generation makes no sense.
gn_status replay_reader_next(replay_reader *reader, replay_slots *ret_slots);

// Chunk `index` of the view, whichever generation it belongs to; without priorities, and head is 0.
// Ends the generation begun.  Errors: GN_ERR_CORRUPT, also with findings, where it is not added.
gn_status replay_reader_chunk(replay_reader *reader, size_t index, replay_slots *ret_slots);

#endif
