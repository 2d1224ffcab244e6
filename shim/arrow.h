// Apache Arrow behind three calls: read a data file as a stream of record batches, map an Arrow
// IPC file without copying, write columns. Data crosses as the Arrow C data interface (the structs
// below are its ABI), so C code reads columns as plain pointers.
//
// Every function catches what the library throws: a failure is a status and one line of text.
// Source: https://arrow.apache.org/docs/format/CDataInterface.html

#ifndef SHIM_ARROW_H
#define SHIM_ARROW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

struct ArrowSchema {
    const char *format, *name, *metadata;
    int64_t flags, n_children;
    struct ArrowSchema **children, *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct ArrowArray **children, *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

#endif

#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE

struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *out);
    int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *out);
    const char *(*get_last_error)(struct ArrowArrayStream *);
    void (*release)(struct ArrowArrayStream *);
    void *private_data;
};

#endif

// Opens a data file by its ending: .csv, .tsv, .txt (also .gz, .zst), .parquet, .arrow, .feather,
// .ipc. The first row of a text file holds the column names. Text columns named in `text_columns`
// (NULL-terminated, or NULL) stay strings; the others get the type all their values have (integer,
// floating point, timestamp, string). Empty cells are null.
// Call ret_stream->release when done.
// Errors: GN_ERR_NOT_FOUND, GN_ERR_EMPTY (no bytes), GN_ERR_UNSUPPORTED (ending), GN_ERR_FORMAT.
gn_status arrow_read(struct ArrowArrayStream *ret_stream, const char *path,
                     const char *const *text_columns);

// Maps an uncompressed Arrow IPC file; the batches point into the mapping, which lives until every
// batch and the stream are released.
gn_status arrow_map(struct ArrowArrayStream *ret_stream, const char *path);

// Writes one record batch (a struct array and its schema, both consumed) to `path`, format by its
// ending: .csv, .parquet (zstd), .arrow (uncompressed IPC). Durable on return, not atomic: write to
// a temporary name that has the right ending and rename.
gn_status arrow_write(const char *path, struct ArrowSchema *schema, struct ArrowArray *batch);

// Version of the Arrow library, for example "26.0.1".
const char *arrow_version(void);

#ifdef __cplusplus
}
#endif

#endif
