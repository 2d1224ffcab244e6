// LibTorch behind C: operations that write into memory we own, and the fused optimizer. Nothing
// here records gradients; forward and backward are explicit (nn/).
//
// A torch_tensor is a view of the caller's float32 memory with a shape and strides, or has memory
// of its own on a device. It is made once and used in every step; the operations allocate no
// tensor. Row-major unless strides say otherwise.
//
// Errors: what LibTorch throws becomes GN_ERR_BACKEND with its one-line text (GN_ERR_MEMORY where a
// device has no more, GN_ERR_ARG for shapes); the process lives on. Threads: calls on different
// tensors may run at the same time.

#ifndef SHIM_TORCH_H
#define SHIM_TORCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "shim/device.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct torch_tensor torch_tensor;

enum { TORCH_MAX_RANK = 4 };

// Wraps `data`, which must outlive the tensor. stride: in elements, NULL for row-major.
// Errors: GN_ERR_ARG (rank, sizes), GN_ERR_MEMORY.
gn_status torch_tensor_wrap(torch_tensor **ret_tensor, float *data, int rank, const int64_t *shape,
                            const int64_t *stride);
void torch_tensor_destroy(torch_tensor **tensor);

// A tensor of zeros with memory of its own. Errors: as above, GN_ERR_BACKEND.
gn_status torch_tensor_create(torch_tensor **ret_tensor, device on, int rank, const int64_t *shape);

// All of a tensor to and from the host, row-major; what was started on the device is waited for.
gn_status torch_tensor_read(const torch_tensor *tensor, float *ret_data);
gn_status torch_tensor_write(torch_tensor *tensor, const float *data);

// out += weight (a - out); exactly a where weight is 1.  Shapes: all the same.
gn_status torch_mix(torch_tensor *out, const torch_tensor *a, double weight);

// out *= factor.
gn_status torch_scale(torch_tensor *out, double factor);

// |a|^2 + |whole - a|^2, summed in double precision.  Shapes: all the same.
gn_status torch_split_square(const torch_tensor *a, const torch_tensor *whole, double *ret_square);

// out = a b.  Shapes: a [m, k], b [k, n], out [m, n].
gn_status torch_matmul(torch_tensor *out, const torch_tensor *a, const torch_tensor *b);

// out = a b + bias, the bias added to every row.  Shapes: as above; bias [n].
gn_status torch_matmul_bias(torch_tensor *out, const torch_tensor *a, const torch_tensor *b,
                            const torch_tensor *bias);

// out[j] = sum_i a[i, j].  Shapes: a [m, n], out [n].
gn_status torch_sum_rows(torch_tensor *out, const torch_tensor *a);

// out[0] = sqrt(sum of squares), summed in the order LibTorch uses (fixed for a thread count, or a
// device). Shapes: a [n], out [1].
gn_status torch_norm(torch_tensor *out, const torch_tensor *a);

// One step of Adam (decoupled = false: weight decay is added to the gradient) or AdamW over whole
// flat buffers. `step` is [1] and counts the steps; it is incremented first.
//     m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2
//     p -= lr (m / (1 - b1^step)) / (sqrt(v / (1 - b2^step)) + eps)
// Source: Kingma & Ba 2015, arXiv:1412.6980; Loshchilov & Hutter 2019, arXiv:1711.05101.
typedef struct torch_adam_config {
    double learning_rate, beta1, beta2, epsilon, weight_decay;
    bool decoupled;
} torch_adam_config;
gn_status torch_adam_step(torch_tensor *parameter, torch_tensor *gradient, torch_tensor *mean,
                          torch_tensor *variance, torch_tensor *step,
                          const torch_adam_config *config);

// Opens LibTorch's CUDA part, which nothing links, and makes its results repeatable: float32
// without TF32, and the same algorithms of cuDNN and cuBLAS each time (the latter unless
// CUBLAS_WORKSPACE_CONFIG is set). To be called before anything else here.
// Errors: GN_ERR_UNSUPPORTED, the text says whether the library, driver or device is missing, or
// what the device could not do.
gn_status torch_cuda_open(int index);

// Threads used inside operations, by the calling thread from now on. 1 to 1024.
gn_status torch_set_threads(int threads);

// Tensors that exist now or ever did: handles wrapped, plus storage that LibTorch allocated in a
// thread while torch_count_storage(true) held there. For the test that a step creates none.
uint64_t torch_tensors_created(void);
void torch_count_storage(bool on);

// Version of LibTorch, for example "2.11.0".
const char *torch_version(void);

#ifdef __cplusplus
}
#endif

#endif
