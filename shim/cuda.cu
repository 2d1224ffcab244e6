// The CUDA runtime behind the table of shim/cuda.h.

#include "shim/cuda.h"

#include <cuda_runtime_api.h>
#include <dlfcn.h>

namespace
{

const char *text(int error)
{
    return cudaGetErrorString(static_cast<cudaError_t>(error));
}

// Tables are looked up in the library that holds this function.
const void *find(const char *symbol)
{
    Dl_info info;
    if (dladdr(reinterpret_cast<void *>(find), &info) == 0)
        return nullptr;
    void *self = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    if (!self)
        return nullptr;
    const void *table = dlsym(self, symbol);
    dlclose(self);
    return table;
}

// An error that a later call would report as its own is taken off the runtime.
int taken(cudaError_t error)
{
    if (error != cudaSuccess)
        (void)cudaGetLastError();
    return error;
}

int count(int *ret_devices)
{
    return taken(cudaGetDeviceCount(ret_devices));
}

int select(int device)
{
    return taken(cudaSetDevice(device)); // makes the context, since CUDA 12
}

int allocate(void **ret_block, size_t bytes)
{
    void *block;
    cudaError_t error = cudaMalloc(&block, bytes);
    if (error != cudaSuccess)
        return taken(error);
    error = cudaMemset(block, 0, bytes);
    // Memset of device memory returns early, and streams need not wait for it.
    if (error == cudaSuccess)
        error = cudaStreamSynchronize(nullptr);
    if (error == cudaSuccess)
        *ret_block = block;
    else
        (void)cudaFree(block);
    return taken(error);
}

void release(void *block)
{
    (void)taken(cudaFree(block));
}

int copy(void *to, const void *from, size_t bytes, void *stream)
{
    return taken(
        cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, static_cast<cudaStream_t>(stream)));
}

int stream_create(void **ret_stream)
{
    cudaStream_t stream;
    cudaError_t error = cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    if (error == cudaSuccess)
        *ret_stream = stream;
    return taken(error);
}

void stream_destroy(void *stream)
{
    if (stream)
        (void)taken(cudaStreamDestroy(static_cast<cudaStream_t>(stream)));
}

int wait(void *stream)
{
    return taken(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)));
}

int capture_begin(void *stream)
{
    return taken(cudaStreamBeginCapture(static_cast<cudaStream_t>(stream),
                                        cudaStreamCaptureModeThreadLocal));
}

int capture_end(void *stream, void **ret_graph)
{
    cudaGraph_t graph;
    cudaError_t error = cudaStreamEndCapture(static_cast<cudaStream_t>(stream), &graph);
    if (error != cudaSuccess)
        return taken(error);
    cudaGraphExec_t executable;
    error = cudaGraphInstantiate(&executable, graph, 0);
    if (error == cudaSuccess)
        *ret_graph = executable;
    (void)cudaGraphDestroy(graph);
    return taken(error);
}

int graph_launch(void *graph, void *stream)
{
    return taken(
        cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), static_cast<cudaStream_t>(stream)));
}

void graph_destroy(void *graph)
{
    if (graph)
        (void)taken(cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)));
}

} // namespace

extern "C" __attribute__((visibility("default"))) const cuda_runtime gannet_cuda_runtime = {
    GANNET_VERSION, text,          find,        count,         select,
    allocate,       release,       copy,        stream_create, stream_destroy,
    wait,           capture_begin, capture_end, graph_launch,  graph_destroy,
};
