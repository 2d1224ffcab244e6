// LibTorch behind shim/torch.h. Every function runs inside guarded(): no gradient recording, no
// exception out, errors as one line of text.
//
// LibTorch resizes an output that has the wrong shape; ours is the caller's memory, so shapes are
// checked before each operation.

extern "C" {
#include "shim/torch.h"
#include "base/mem.h"
}

#include <atomic>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>

#include <ATen/Parallel.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/sum.h>
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <torch/headeronly/version.h>

struct torch_tensor {
    at::Tensor tensor;
};

namespace
{
std::atomic<uint64_t> created{ 0 };

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

gn_status fail_first_line(const char *operation, const char *text)
{
    return gn_fail(GN_ERR_BACKEND, "%s: %.*s", operation,
                   static_cast<int>(std::strcspn(text, "\n")), text);
}

template <class Work> gn_status guarded(const char *operation, Work &&work) noexcept
{
    try {
        at::AutoDispatchBelowADInplaceOrView no_gradients;
        return work();
    } catch (const c10::Error &error) {
        return fail_first_line(operation, error.what_without_backtrace());
    } catch (const std::bad_alloc &) {
        return gn_fail(GN_ERR_MEMORY, "%s: out of memory", operation);
    } catch (const std::exception &error) {
        return fail_first_line(operation, error.what());
    } catch (...) {
        return gn_fail(GN_ERR_BACKEND, "%s: unknown exception", operation);
    }
}

// "[2, 3]"
struct shape_text {
    char text[96];
    explicit shape_text(at::IntArrayRef shape)
    {
        size_t end = 0;
        text[0] = '\0';
        for (size_t d = 0; d < shape.size(); d++)
            end +=
                static_cast<size_t>(std::snprintf(text + end, sizeof text - end, "%s%lld",
                                                  d ? ", " : "", static_cast<long long>(shape[d])));
    }
};

gn_status check_shape(const char *operation, const char *name, const torch_tensor *tensor,
                      at::IntArrayRef expected)
{
    at::IntArrayRef shape = tensor->tensor.sizes();
    if (shape == expected)
        return GN_OK;
    return gn_fail(GN_ERR_ARG, "%s: %s has shape [%s], must be [%s]", operation, name,
                   shape_text(shape).text, shape_text(expected).text);
}

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
} // namespace

gn_status torch_tensor_wrap(torch_tensor **ret_tensor, float *data, int rank, const int64_t *shape,
                            const int64_t *stride)
{
    return guarded("torch_tensor_wrap", [&]() -> gn_status {
        if (rank < 0 || rank > TORCH_MAX_RANK)
            return gn_fail(GN_ERR_ARG, "torch_tensor_wrap: rank %d is not in 0..%d", rank,
                           TORCH_MAX_RANK);
        for (int d = 0; d < rank; d++)
            if (shape[d] < 0 || (stride && stride[d] < 0))
                return gn_fail(GN_ERR_ARG,
                               "torch_tensor_wrap: size or stride of dimension %d is negative", d);
        at::IntArrayRef sizes(shape, static_cast<size_t>(rank));
        at::Tensor view = stride ? at::from_blob(data, sizes, { stride, sizes.size() }, at::kFloat)
                                 : at::from_blob(data, sizes, at::kFloat);
        torch_tensor *tensor;
        GN_TRY(gn_alloc(&tensor, 1, sizeof *tensor));
        *ret_tensor = new (tensor) torch_tensor{ std::move(view) };
        created++;
        return GN_OK;
    });
}

void torch_tensor_destroy(torch_tensor **tensor)
{
    if (!*tensor)
        return;
    (*tensor)->~torch_tensor();
    gn_free(tensor);
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
        *step->tensor.mutable_data_ptr<float>() += 1;
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
