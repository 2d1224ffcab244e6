// metrics.jsonl: one JSON object a line, in the order things happened. All fields are a function of
// the run alone, but for the object "timing", which comes last and always has the same width: the
// length of the file is a function of the run too.
//
//     {"type":"episode","step":812,"episode":9,"copy":0,"return":24,"length":24}
//     {"type":"train","step":1000,...,"loss":0.41,
//      "timing":{"seconds":1.020000e-01,"steps_per_s":9.800000e+03,...}}
//     {"type":"eval","step":10000,"split":"validation","return":201.3,...}
//
// Lines are buffered until flush; sync makes them durable and tells the length a checkpoint has to
// remember.

#ifndef RL_METRICS_H
#define RL_METRICS_H

#include <stdint.h>

#include "base/status.h"

typedef struct rl_metrics rl_metrics;

// Opens `path` for appending after cutting it to `length` bytes: what a run wrote after the
// checkpoint it continues from goes.
// Errors: GN_ERR_CORRUPT if the file is shorter than `length`; GN_ERR_IO, GN_ERR_FULL.
gn_status rl_metrics_open(rl_metrics **ret_metrics, const char *path, uint64_t length);

// Bytes in the file, 0 if there is none.
gn_status rl_metrics_length(const char *path, uint64_t *ret_length);

// Closes without writing what is still buffered (flush or sync before).
void rl_metrics_close(rl_metrics **metrics);

// What depends on the machine, since this process began.
typedef struct rl_timing {
    double seconds, steps_per_s;
    double replay_stalled; // seconds that adding waited for the replay's background thread
    double replay_waited; // seconds that updates waited for records drawn ahead
    double cache_hit_rate, cache_saved; // of decoded records: 0 to 1, seconds
} rl_timing;

// One line: begin, fields, end. Numbers are written so that they read back exactly; a number that
// is not finite becomes null.
void rl_metrics_begin(rl_metrics *metrics, const char *type, uint64_t step);
void rl_metrics_number(rl_metrics *metrics, const char *name, double value);
void rl_metrics_text(rl_metrics *metrics, const char *name, const char *value);
void rl_metrics_timing(rl_metrics *metrics, const rl_timing *timing);

// Errors: GN_ERR_FULL, GN_ERR_IO if the buffer had to be written; GN_ERR_MEMORY.
gn_status rl_metrics_end(rl_metrics *metrics);

// Writes what is buffered, for readers that follow the file.
gn_status rl_metrics_flush(rl_metrics *metrics);

// Writes and fsyncs; ret_length is the file's length then.
gn_status rl_metrics_sync(rl_metrics *metrics, uint64_t *ret_length);

#endif
