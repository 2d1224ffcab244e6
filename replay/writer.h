// The background thread that codes sealed chunks and writes them, and commits. The owner hands it
// raw chunks and gets them back when they are where they stay; it never waits unless all of them
// are on the way.
//
//     owner     take -> fill -> seal ................................... harvest -> give
//     thread                         code -> store's queue -> flush -> locate
//
// Chunks are worked off in the order they were sealed, so what is written, and which model
// codes it, is a function of that order alone.
//
// Internal to replay/buffer*.c. Threads: one owner; the thread is inside.

#ifndef REPLAY_WRITER_H
#define REPLAY_WRITER_H

#include "base/blob.h"
#include "replay/chunk.h"
#include "replay/store.h"

typedef struct replay_writer replay_writer;
struct replay_state_parts;

enum { REPLAY_JOBS = 4 }; // chunks on the way, at most

// A chunk on its way: raw slots first, then also where its records lie when packed.
typedef struct replay_job {
    uint64_t ticket; // of the queue; 0: not sealed
    uint32_t stream;
    uint64_t chunk;
    replay_columns columns; // [chunk] slots; records unless they are lent, places once it is coded
    const unsigned char *record[2]; // lent records, in two pieces
    uint32_t pieces[2]; // records of each
    uint64_t contents; // replay_chunk_contents
    const replay_model *model; // NULL: none
    uint32_t model_id;
    unsigned char *body; // RAM only: [body_size], the owner's from harvest on
    uint32_t body_size;
    uint64_t offset; // of the body in the file
    bool coded;
} replay_job;

typedef struct replay_stream {
    uint64_t head; // position of the next slot to write: slots ever written
    uint64_t sealed; // chunks handed to the writer
} replay_stream;

// What a commit writes, staged by the owner.
typedef struct replay_staged {
    uint64_t generation, oldest;
    double max_priority, alpha;
    replay_stream *stream; // [streams]
    replay_columns *tail; // [streams], what is not sealed; record may point into a job
    float *priority; // of all live slots, stream after stream; NULL in uniform mode
    double *weight; // likewise; rank-based only
    uint64_t unranked; // rank-based only
} replay_staged;

typedef struct replay_writer_config {
    replay_layout layout;
    int level, high_level; // zstd; the higher one for records where it pays (replay/model_choice.h)
    bool lent; // records stay where they are as long as their chunk is on its way; not packed ones
} replay_writer_config;

// store: NULL for RAM only; it belongs to the thread while anything is on the way.
gn_status replay_writer_create(replay_writer **ret_writer, const replay_writer_config *config,
                               replay_store *store);
void replay_writer_destroy(replay_writer **writer);

// Whether no chunk can be sealed before one is harvested, and waiting for that.
// Errors: what the thread failed at; then try again.
bool replay_writer_is_full(const replay_writer *writer);
gn_status replay_writer_wait_oldest(replay_writer *writer);

// A raw chunk to fill: one for each chunk on the way, and where records are packed two more a
// stream.
replay_job *replay_writer_take(replay_writer *writer);

// Whether a chunk is on its way: records that are lent must stay as they are.
bool replay_writer_holds(const replay_writer *writer, uint32_t stream, uint64_t chunk);

// Hands a filled chunk to the thread.  Errors: what the thread failed at; then seal it again.
gn_status replay_writer_seal(replay_writer *writer, replay_job *job);

// The next sealed chunk, in order, that is where it stays; NULL if none is. Give it back.
replay_job *replay_writer_harvest(replay_writer *writer);
void replay_writer_give(replay_writer *writer, replay_job *job);

// Hands a commit to the thread. staged must stay as it is until it is done.
gn_status replay_writer_commit(replay_writer *writer, const replay_staged *staged);

// Waits for the last commit; any thread.  ret_checksum: of its state.
gn_status replay_writer_await(replay_writer *writer, uint64_t *ret_checksum);

// Whether the last commit is done.
bool replay_writer_committed(const replay_writer *writer);

// Waits until all that was handed over is done.
gn_status replay_writer_drain(replay_writer *writer);

// Abandons all that is on the way, a commit too. All chunks are free again, models are
// forgotten, and the thread is idle.
void replay_writer_reset(replay_writer *writer);

// While the thread is idle: what a generation says of it.
void replay_writer_set_contents(replay_writer *writer, uint32_t stream, uint64_t chunk,
                                uint64_t contents);
gn_status replay_writer_model(replay_writer *writer, uint32_t id, const replay_model **ret_model);

// State of the thread's decisions, part of a generation; while the thread is idle.
void replay_writer_save(const replay_writer *writer, gn_blob *out);
gn_status replay_writer_load(replay_writer *writer, gn_blob *in, uint32_t *ret_end_model);

// A model that lies elsewhere than in the store.
gn_status replay_writer_adopt(replay_writer *writer, uint32_t id, const void *bytes, size_t size);

// Models there are, of ids from 1 on; and the checksums of chunks, for parts. While idle.
uint64_t replay_writer_models(const replay_writer *writer);
void replay_writer_contents(const replay_writer *writer, struct replay_state_parts *parts);

double replay_writer_stalled(const replay_writer *writer);
uint64_t replay_writer_ram(const replay_writer *writer);

#endif
