// CUDA without CUDA: memory, streams and graphs of a device as a table of plain C functions, which
// libgannet_cuda.so exports beside the kernels of the folders. The library is opened here, on
// demand; nothing else of Gannet needs it, a driver or the toolkit.
//
// The functions return the CUDA runtime's error, 0 for none; cuda_need makes a status of it.
// Streams and graphs are the runtime's own (cudaStream_t, cudaGraphExec_t) as void *, so streams of
// LibTorch will do. They act on the device that the calling thread selected last.

#ifndef SHIM_CUDA_H
#define SHIM_CUDA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cuda_runtime {
    const char *version; // of Gannet
    const char *(*text)(int error);
    const void *(*find)(const char *symbol); // a table of kernels, or NULL

    int (*count)(int *ret_devices);
    int (*select)(int device); // for the calling thread

    int (*allocate)(void **ret_block, size_t bytes); // zeroed
    void (*release)(void *block); // NULL-safe; waits for the device
    // Either side may be host or device memory. Ordered in the stream; host memory may be reused
    // when the stream was waited for.
    int (*copy)(void *to, const void *from, size_t bytes, void *stream);

    int (*stream_create)(void **ret_stream);
    void (*stream_destroy)(void *stream);
    int (*wait)(void *stream);

    // What is enqueued between begin and end is not run but becomes a graph.
    int (*capture_begin)(void *stream);
    int (*capture_end)(void *stream, void **ret_graph);
    int (*graph_launch)(void *graph, void *stream);
    void (*graph_destroy)(void *graph);
} cuda_runtime;

#define CUDA_LIBRARY "libgannet_cuda.so"
#define CUDA_RUNTIME "gannet_cuda_runtime" // the symbol: a cuda_runtime

// Opens the library and selects the device for the calling thread. The table stays valid to the end
// of the process. library: a path, or NULL for CUDA_LIBRARY where the loader looks for it.
// Errors: GN_ERR_UNSUPPORTED, the text says whether library, driver or device is missing.
gn_status cuda_open(const cuda_runtime **ret_cuda, const char *library, int device);

// Whether a name is "cuda" or "cuda:N", and which device that is.
bool cuda_parse_name(const char *name, int *ret_index);

// GN_OK for error 0, else GN_ERR_BACKEND with "cuda: WHAT: text".
gn_status cuda_need(const cuda_runtime *cuda, int error, const char *what);

#ifdef __cplusplus
}
#endif

#endif
