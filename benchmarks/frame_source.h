// 84x84 grey frames for benchmarks, an endless stream of episodes: `catch` played at random,
// `chart` of a generated market, `noise` that cannot be compressed, or a file of rows of 7057 bytes
// (1 that says whether an episode starts, 7056 pixels), read again from the start whenever it ends.

#ifndef BENCHMARKS_FRAME_SOURCE_H
#define BENCHMARKS_FRAME_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "replay/buffer.h"

enum { FRAME_BYTES = 84 * 84 };

typedef struct frame_source frame_source;

// what: catch, chart, noise or a path; ends the program where it cannot be opened.
frame_source *frame_source_open(const char *what);
void frame_source_close(frame_source **source);

// "catch", or the name of the file without folder, "frames-" and ending.
const char *frame_source_name(const frame_source *source);

// Adds one slot to a stream of a buffer: begins an episode or adds a step.
void frame_source_add(frame_source *source, replay_buffer *buffer, uint32_t stream);

#endif
