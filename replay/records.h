// Where the records of a buffer's slots are.
//
//     mirrored   all of them in RAM, as a ring a stream
//     packed     raw until their chunk is sealed, coded and written; then in the chunk's body, on
//                disk or in RAM, coded one by one
//
// Knows no steps and no episodes. Internal to replay/buffer*.c.

#ifndef REPLAY_RECORDS_H
#define REPLAY_RECORDS_H

#include "replay/fetch.h"
#include "replay/writer.h"

typedef struct replay_records replay_records;

// writer: NULL where nothing is packed.
gn_status replay_records_create(replay_records **ret_records, const replay_layout *layout,
                                replay_writer *writer);
void replay_records_destroy(replay_records **records);

// Packed: whether a chunk is open for a record at this position, and opening it.
bool replay_records_ready(const replay_records *records, uint32_t stream, uint64_t position);
void replay_records_open(replay_records *records, uint32_t stream, uint64_t position,
                         replay_job *job);

// The chunk that was opened and not written yet.
replay_job *replay_records_raw(const replay_records *records, uint32_t stream, uint64_t chunk);

// Where to write the record of a new position.
unsigned char *replay_records_place(replay_records *records, uint32_t stream, uint64_t position);

// The record of a position as it is stored, or NULL where it is packed.
const unsigned char *replay_records_at(const replay_records *records, uint32_t stream,
                                       uint64_t position);

// Mirrored: tells a job where the records of its chunk are; they stay until their slots are written
// again.
void replay_records_lend(const replay_records *records, replay_job *job);

// Mirrored: copies n records from a position on.
void replay_records_copy(const replay_records *records, uint32_t stream, uint64_t position,
                         size_t n, unsigned char *ret_records);

// Takes over where the records of a harvested chunk are; the job is free afterwards.
void replay_records_settle(replay_records *records, replay_job *job);

// A chunk that was loaded; body (RAM only) is ours from here on. The caller writes its places to
// the result.
replay_place *replay_records_adopt(replay_records *records, uint32_t stream, uint64_t chunk,
                                   const replay_chunk_about *about, const replay_model *model,
                                   uint64_t offset, unsigned char *body);

// How to read n packed records from a position on; they lie in one chunk.
replay_read replay_records_read(const replay_records *records, uint32_t stream, uint64_t position,
                                size_t n);

// RAM only: places and body of a chunk.
const replay_place *replay_records_chunk(const replay_records *records, uint32_t stream,
                                         uint64_t chunk, replay_chunk_about *ret_about,
                                         const unsigned char **ret_body);

// Forgets all chunks.
void replay_records_clear(replay_records *records);

uint64_t replay_records_ram(const replay_records *records);

#endif
