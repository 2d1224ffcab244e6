// LibTorch behind shim/torch.h. Every function runs inside guarded(): no gradient recording, no
// exception out, errors as one line of text.
//
// LibTorch resizes an output that has the wrong shape; ours is the caller's memory, so shapes are
// checked before each operation.

#include "shim/torch_internal.h"

extern "C" {
#include "base/mem.h"
}

#include <cstdlib>
#include <memory>

#include <dlfcn.h>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <torch/headeronly/version.h>

std::atomic<uint64_t> torch_internal::created{ 0 };

using namespace torch_internal;

namespace
{
// LibTorch reports each allocation of its CPU allocator in this thread to this object.
struct storage_counter : c10::MemoryReportingInfoBase {
    void reportMemoryUsage(void *, int64_t size, size_t, size_t, c10::Device) override
    {
        if (size > 0)
            created++;
    }
    bool memoryProfilingEnabled() const override
    {
        return true;
    }
};

gn_status check_rank(const char *operation, const char *name, const torch_tensor *tensor,
                     int64_t rank)
{
    if (tensor->tensor.dim() == rank)
        return GN_OK;
    return gn_fail(GN_ERR_ARG, "%s: %s has shape [%s], must have rank %lld", operation, name,
                   shape_text(tensor->tensor.sizes()).text, static_cast<long long>(rank));
}

gn_status check_product(const char *operation, const torch_tensor *out, const torch_tensor *a,
                        const torch_tensor *b)
{
    GN_TRY(check_rank(operation, "a", a, 2));
    GN_TRY(check_rank(operation, "b", b, 2));
    GN_TRY(check_shape(operation, "b", b, { a->tensor.size(1), b->tensor.size(1) }));
    return check_shape(operation, "out", out, { a->tensor.size(0), b->tensor.size(1) });
}
gn_status check_sizes(const char *operation, int rank, const int64_t *shape, const int64_t *stride)
{
    if (rank < 0 || rank > TORCH_MAX_RANK)
        return gn_fail(GN_ERR_ARG, "%s: rank %d is not in 0..%d", operation, rank, TORCH_MAX_RANK);
    for (int d = 0; d < rank; d++)
        if (shape[d] < 0 || (stride && stride[d] < 0))
            return gn_fail(GN_ERR_ARG, "%s: size or stride of dimension %d is negative", operation,
                           d);
    return GN_OK;
}

gn_status own(torch_tensor **ret_tensor, at::Tensor &&tensor)
{
    torch_tensor *owner;
    GN_TRY(gn_alloc(&owner, 1, sizeof *owner));
    *ret_tensor = new (owner) torch_tensor{ std::move(tensor) };
    created++;
    return GN_OK;
}

// Inside cuDNN's recurrent layers cuBLAS may work in several streams, and is then repeatable only
// with workspaces of a fixed size (cuBLAS's manual, "Results Reproducibility"; LibTorch's manual
// warns of it at LSTM). Whether LibTorch has kernels for this device is known when one has run.
gn_status begin_cuda(int index)
{
    setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
    at::Context &context = at::globalContext();
    context.lazyInitDevice(at::kCUDA); // throws what is missing
    int count = static_cast<int>(at::getNumGPUs());
    if (index < 0 || index >= count)
        return gn_fail(GN_ERR_UNSUPPORTED, "no device %d: there are %d", index, count);
    context.setBenchmarkCuDNN(false);
    context.setDeterministicCuDNN(true);
    context.setAllowTF32CuDNN(false);
    context.setAllowTF32CuBLAS(false);
    at::Tensor probe =
        at::zeros({ 1 }, at::TensorOptions(at::kFloat).device(place({ DEVICE_CUDA, index })));
    (void)probe.add_(1).item();
    return GN_OK;
}
} // namespace

gn_status torch_tensor_wrap(torch_tensor **ret_tensor, float *data, int rank, const int64_t *shape,
                            const int64_t *stride)
{
    return guarded("torch_tensor_wrap", [&]() -> gn_status {
        GN_TRY(check_sizes("torch_tensor_wrap", rank, shape, stride));
        at::IntArrayRef sizes(shape, static_cast<size_t>(rank));
        at::Tensor view = stride ? at::from_blob(data, sizes, { stride, sizes.size() }, at::kFloat)
                                 : at::from_blob(data, sizes, at::kFloat);
        return own(ret_tensor, std::move(view));
    });
}

void torch_tensor_destroy(torch_tensor **tensor)
{
    if (!*tensor)
        return;
    (*tensor)->~torch_tensor();
    gn_free(tensor);
}

gn_status torch_tensor_create(torch_tensor **ret_tensor, device on, int rank, const int64_t *shape)
{
    return guarded("torch_tensor_create", [&]() -> gn_status {
        GN_TRY(check_sizes("torch_tensor_create", rank, shape, nullptr));
        at::IntArrayRef sizes(shape, static_cast<size_t>(rank));
        return own(ret_tensor, at::zeros(sizes, at::TensorOptions(at::kFloat).device(place(on))));
    });
}

gn_status torch_tensor_read(const torch_tensor *tensor, float *ret_data)
{
    return guarded("torch_tensor_read", [&]() -> gn_status {
        at::from_blob(ret_data, tensor->tensor.sizes(), at::kFloat).copy_(tensor->tensor);
        return GN_OK;
    });
}

gn_status torch_tensor_write(torch_tensor *tensor, const float *data)
{
    return guarded("torch_tensor_write", [&]() -> gn_status {
        tensor->tensor.copy_(on_host(data, tensor->tensor.sizes()));
        return GN_OK;
    });
}

gn_status torch_mix(torch_tensor *out, const torch_tensor *a, double weight)
{
    return guarded("torch_mix", [&]() -> gn_status {
        GN_TRY(check_shape("torch_mix", "a", a, out->tensor.sizes()));
        if (weight == 1)
            out->tensor.copy_(a->tensor);
        else
            out->tensor.lerp_(a->tensor, weight);
        return GN_OK;
    });
}

gn_status torch_scale(torch_tensor *out, double factor)
{
    return guarded("torch_scale", [&]() -> gn_status {
        out->tensor.mul_(factor);
        return GN_OK;
    });
}

gn_status torch_split_square(const torch_tensor *a, const torch_tensor *whole, double *ret_square)
{
    return guarded("torch_split_square", [&]() -> gn_status {
        GN_TRY(check_shape("torch_split_square", "a", a, whole->tensor.sizes()));
        at::Tensor part = a->tensor.to(at::kDouble);
        at::Tensor rest = whole->tensor.to(at::kDouble).sub_(part);
        *ret_square = part.square_().sum().add(rest.square_().sum()).item().toDouble();
        return GN_OK;
    });
}

gn_status torch_matmul(torch_tensor *out, const torch_tensor *a, const torch_tensor *b)
{
    return guarded("torch_matmul", [&]() -> gn_status {
        GN_TRY(check_product("torch_matmul", out, a, b));
        at::mm_out(out->tensor, a->tensor, b->tensor);
        return GN_OK;
    });
}

gn_status torch_matmul_bias(torch_tensor *out, const torch_tensor *a, const torch_tensor *b,
                            const torch_tensor *bias)
{
    return guarded("torch_matmul_bias", [&]() -> gn_status {
        GN_TRY(check_product("torch_matmul_bias", out, a, b));
        GN_TRY(check_shape("torch_matmul_bias", "bias", bias, { b->tensor.size(1) }));
        at::addmm_out(out->tensor, bias->tensor, a->tensor, b->tensor);
        return GN_OK;
    });
}

gn_status torch_sum_rows(torch_tensor *out, const torch_tensor *a)
{
    return guarded("torch_sum_rows", [&]() -> gn_status {
        GN_TRY(check_rank("torch_sum_rows", "a", a, 2));
        GN_TRY(check_shape("torch_sum_rows", "out", out, { a->tensor.size(1) }));
        at::sum_out(out->tensor, a->tensor, 0);
        return GN_OK;
    });
}

gn_status torch_norm(torch_tensor *out, const torch_tensor *a)
{
    return guarded("torch_norm", [&]() -> gn_status {
        GN_TRY(check_rank("torch_norm", "a", a, 1));
        GN_TRY(check_shape("torch_norm", "out", out, { 1 }));
        at::linalg_vector_norm_out(out->tensor, a->tensor, 2, c10::nullopt, true);
        return GN_OK;
    });
}

gn_status torch_adam_step(torch_tensor *parameter, torch_tensor *gradient, torch_tensor *mean,
                          torch_tensor *variance, torch_tensor *step,
                          const torch_adam_config *config)
{
    return guarded("torch_adam_step", [&]() -> gn_status {
        GN_TRY(check_shape("torch_adam_step", "gradient", gradient, parameter->tensor.sizes()));
        GN_TRY(check_shape("torch_adam_step", "mean", mean, parameter->tensor.sizes()));
        GN_TRY(check_shape("torch_adam_step", "variance", variance, parameter->tensor.sizes()));
        GN_TRY(check_shape("torch_adam_step", "step", step, { 1 }));
        if (step->tensor.is_cpu())
            *step->tensor.mutable_data_ptr<float>() += 1;
        else
            step->tensor.add_(1);
        auto fused = [&](auto &&update) {
            update(parameter->tensor, gradient->tensor, mean->tensor, variance->tensor,
                   at::TensorList(), step->tensor, config->learning_rate, config->beta1,
                   config->beta2, config->weight_decay, config->epsilon, false, false, std::nullopt,
                   std::nullopt);
        };
        if (config->decoupled)
            fused(at::_ops::_fused_adamw_::call);
        else
            fused(at::_ops::_fused_adam_::call);
        return GN_OK;
    });
}

gn_status torch_cuda_open(int index)
{
    return guarded("torch_cuda_open", [&]() -> gn_status {
        silence handler;
        c10::WarningUtils::WarningHandlerGuard quiet(&handler);
        if (!dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE))
            return gn_fail(GN_ERR_UNSUPPORTED, "LibTorch has no CUDA part: %s", dlerror());
        try {
            return begin_cuda(index);
        } catch (const c10::Error &error) {
            return fail_first_line(GN_ERR_UNSUPPORTED, "LibTorch cannot use CUDA",
                                   error.what_without_backtrace());
        }
    });
}

gn_status torch_set_threads(int threads)
{
    return guarded("torch_set_threads", [&]() -> gn_status {
        if (threads < 1 || threads > 1024)
            return gn_fail(GN_ERR_ARG, "torch_set_threads: %d is not in 1..1024", threads);
        at::set_num_threads(threads);
        return GN_OK;
    });
}

uint64_t torch_tensors_created(void)
{
    return created;
}

void torch_count_storage(bool on)
{
    (void)guarded("torch_count_storage", [&]() -> gn_status {
        auto kind = c10::DebugInfoKind::PROFILER_STATE;
        auto current = c10::ThreadLocalDebugInfo::get(kind);
        bool counting = dynamic_cast<storage_counter *>(current) != nullptr;
        if (on && !counting)
            c10::ThreadLocalDebugInfo::_push(kind, std::make_shared<storage_counter>());
        if (!on && counting)
            c10::ThreadLocalDebugInfo::_pop(kind);
        return GN_OK;
    });
}

const char *torch_version(void)
{
    return TORCH_VERSION;
}
