// The replay buffer: steps go in as records, batches come out with stacks of records, n-step
// returns and importance weights. Prioritized or uniform; on disk (replay/store.h) or in RAM only.
//
// Each stream (one an environment copy) is a ring of slots. A slot holds the record of one
// observation and, unless it is final or open, the step taken from it:
//
//     slot     0      1      2      3 (final)  4      5      6 (open)
//     record   o0     o1     o2     o3         o0'    o1'    o2'
//     step     a r    a r    a r T  -          a r    a r    -
//
// Each observation is stored once: the next observation of a step is the record of the next slot,
// and a stack of k is the records of k slots, the first of the episode repeated where it just
// began. The final observation of an episode has a slot of its own, so truncated episodes bootstrap
// and nothing leaks into the next episode. The open slot waits for its action. Only slots with a
// step are sampled. An item is named by a number that is never used again (position * streams +
// stream), so a late priority for an evicted step is told apart and ignored.
//
// Where records are: small ones in RAM, all of them (codec `ram`); large ones packed one by one in
// compressed chunks, which a background thread writes to disk and single records are read from.
//
// Priorities: weight = (priority + epsilon)^alpha; new steps get the running maximum.
// P(i) = weight_i / total; w_i = (N P(i))^-beta / max w.
// Source: Schaul, Quan, Antonoglou & Silver 2016, arXiv:1511.05952.
//
// Steps are drawn from a sum tree in RAM, or on a CUDA device (replay.device): the same ones.
//
// Threads: one owner at a time, but for replay_buffer_await.

#ifndef REPLAY_BUFFER_H
#define REPLAY_BUFFER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/blob.h"
#include "base/option.h"
#include "base/random.h"
#include "replay/batch.h"

typedef enum replay_weight_max { REPLAY_BATCH_MAX, REPLAY_BUFFER_MAX } replay_weight_max;
typedef enum replay_priority_kind { REPLAY_PROPORTIONAL, REPLAY_RANK } replay_priority_kind;

// How records are kept. The last five pack them one by one: 2 + replay_codec_kind.
typedef enum replay_codec {
    REPLAY_AUTO, // ram below 1 kB a record, patch from there on
    REPLAY_RAM,
    REPLAY_NONE,
    REPLAY_ZSTD,
    REPLAY_ZSTD_DICT,
    REPLAY_DELTA,
    REPLAY_PATCH,
} replay_codec;

// Section [replay].
typedef struct replay_config {
    char path[GN_OPTION_TEXT_SIZE]; // folder, relative to the run; "none" keeps it in RAM
    int64_t capacity; // slots: steps plus one an episode, over all streams
    int64_t chunk; // slots a chunk, at most; always below a stream's slots
    int codec; // replay_codec
    int64_t compression; // zstd level
    int64_t quantize; // bits of a float32 of a record; 0 keeps it as it is
    int durability; // replay_durability
    int64_t cache_mb; // of decoded records
    int64_t ahead; // batches drawn ahead of their use; -1: as many as pay
    bool prioritized;
    int priority; // replay_priority_kind
    double alpha, alpha_final; // exponent of the priorities, linear over the run; final -1: stays
    double beta, beta_final; // exponent of the importance weights, linear over the run
    double priority_epsilon; // added to every priority
    double uniform; // share of draws that are uniform
    double evict_lowest; // share of stored steps that are not drawn any more
    int weight_max; // replay_weight_max: which maximum weights are divided by
    char device[GN_OPTION_TEXT_SIZE]; // cpu, cuda or cuda:N: where priorities are drawn
} replay_config;

extern const gn_option replay_options[];

typedef struct replay_buffer replay_buffer;

// Checks the options for steps of `spec`: also that each stream has slots for the records of an
// observation, a final one and an open one, that replay.cache_mb has something to cache, and that
// replay.device is there.
// Errors: GN_ERR_CONFIG; GN_ERR_ARG if there is no stream or records have no bytes;
// GN_ERR_UNSUPPORTED, the text says which of library, driver or device is missing.
gn_status replay_config_check(const replay_config *config, const replay_spec *spec);

// The capacity is split evenly over the streams. folder: where the store is, NULL for RAM only;
// owner: see replay_store_open. A store that holds generations must be rolled back to one of them
// before anything is added; one without any starts empty.
// Errors: those of replay_config_check; GN_ERR_MEMORY; GN_ERR_BACKEND of a device, which every call
// below that draws or evicts may return too; those of replay_store_open.
gn_status replay_buffer_create(replay_buffer **ret_buffer, const replay_config *config,
                               const replay_spec *spec, const char *folder, const char *owner);
void replay_buffer_destroy(replay_buffer **buffer);

// Starts an episode in a stream with its first record.  Shape: record: [record_size].
// Errors: GN_ERR_ARG if there is no such stream; GN_ERR_STATE if an episode is running or a
// rollback is due; GN_ERR_NUMERIC if it is to be quantised and not finite; what the background
// thread failed at: GN_ERR_FULL, GN_ERR_IO. Then nothing changed: it can be tried again.
gn_status replay_buffer_begin(replay_buffer *buffer, uint32_t stream, const unsigned char *record);

// Adds a step taken from the stream's open slot. next_record is the record that followed: the
// final one where the step ended the episode (begin comes next then).
// Errors: those of begin, but GN_ERR_STATE if no episode runs; GN_ERR_NUMERIC if the reward is not
// finite. Then nothing changed: it can be tried again. GN_ERR_BACKEND if a device did not say which
// step replay.evict_lowest gives up for it: the step was added, and none was given up.
gn_status replay_buffer_add(replay_buffer *buffer, uint32_t stream, int32_t action, float reward,
                            bool terminated, bool truncated, const unsigned char *next_record);

// Steps that can be sampled now.
uint64_t replay_buffer_count(const replay_buffer *buffer);

const replay_spec *replay_buffer_spec(const replay_buffer *buffer);

// Draws batch->size steps with replacement. k = min(n_step, steps to the end of the episode, steps
// stored so far). Prioritized: stratified, u_i = (i + U) / B; a step of priority 0 where epsilon is
// 0 and alpha is not is never drawn, unless a share is drawn uniformly.
// Errors: GN_ERR_EMPTY if there is no step, or all are of priority 0 like that; GN_ERR_ARG if draw
// or size make no sense; GN_ERR_CORRUPT, GN_ERR_IO if a record cannot be read.
gn_status replay_buffer_sample(replay_buffer *buffer, const replay_draw *draw, gn_random *random,
                               replay_batch *batch);

// New priorities (|TD|, before epsilon and alpha) of sampled items. Evicted ones are ignored; where
// an item occurs twice the last stands. Does nothing in uniform mode.  Shapes: [n].
// Errors: GN_ERR_NUMERIC names the item whose priority is negative or not finite; GN_ERR_ARG names
// the one that never was a step; then nothing changed.
gn_status replay_buffer_set_priorities(replay_buffer *buffer, const uint64_t *item,
                                       const float *priority, size_t n);

// Weighs all priorities anew by another exponent: for schedules, once in a while.
// Errors: GN_ERR_ARG if alpha is not 0 to 1.
gn_status replay_buffer_set_alpha(replay_buffer *buffer, double alpha);

// Makes everything added so far durable as `generation` (above all before) and removes from disk
// what no generation from `oldest` on needs. Returns at once: a background thread does it, and
// await tells when it is done. One at a time: a second one waits for the first.
// Errors: GN_ERR_STATE if the buffer is in RAM only or a rollback is due; GN_ERR_ARG if generation
// is not above all before, or below oldest; what the background thread failed at before.
gn_status replay_buffer_commit(replay_buffer *buffer, uint64_t generation, uint64_t oldest);

// Waits until the last commit is durable. ret_checksum names its contents. Any thread may call it
// while the owner goes on.
// Errors: GN_ERR_FULL, GN_ERR_IO, GN_ERR_CORRUPT. Then the commit before still stands and this one
// is tried again at the next call.
gn_status replay_buffer_await(replay_buffer *buffer, uint64_t *ret_checksum);

// Goes back to a generation: contents, priorities, counters as they were at its commit.
// Everything after it is removed from disk, and only once the generation was read and is sound.
// Errors: GN_ERR_STATE if the buffer is in RAM only; GN_ERR_NOT_FOUND; then nothing changed, but
// where the background thread had failed the buffer is empty and another rollback is due.
// GN_ERR_CORRUPT, also if the checksum is another; GN_ERR_FULL, GN_ERR_IO; then the buffer is
// empty, the disk as before, and another rollback is due.
gn_status replay_buffer_rollback(replay_buffer *buffer, uint64_t generation, uint64_t checksum);

// Empties the buffer as if it had just been created; on disk all generations and chunks go, in one
// durable transaction.  Errors: GN_ERR_FULL, GN_ERR_IO; then nothing changed.
gn_status replay_buffer_clear(replay_buffer *buffer);

// RAM only: the whole contents as part of a checkpoint. A load that fails leaves the buffer empty.
// Errors: GN_ERR_STATE if the buffer is on disk (for save, in the blob); GN_ERR_CORRUPT.
void replay_buffer_save(replay_buffer *buffer, gn_blob *out);
gn_status replay_buffer_load(replay_buffer *buffer, gn_blob *in);

// Checksum of everything that can influence training: steps, order, priorities, counters. Equal
// for a disk and a RAM buffer of the same contents. Reads every record.
// Errors: GN_ERR_CORRUPT, GN_ERR_IO.
gn_status replay_buffer_checksum(replay_buffer *buffer, uint64_t *ret_checksum);

typedef struct replay_buffer_stats {
    uint64_t steps, slots, capacity; // steps that can be sampled; slots in use
    uint64_t written; // slots ever written
    uint64_t ram_bytes, disk_bytes; // ram: all memory of the buffer
    uint64_t device_bytes; // of replay.device
    double max_priority;
    uint64_t committed; // the newest generation that is durable
    double stalled_s; // that adding waited for the background thread
    uint64_t reads, read_bytes; // of packed records from disk or memory
    uint64_t cache_hits, cache_misses, cache_bytes;
    double saved_s; // by the cache: hits times the mean time of a miss
} replay_buffer_stats;
gn_status replay_buffer_measure(replay_buffer *buffer, replay_buffer_stats *ret_stats);

#endif
