// Inside the shim: what a tensor of shim/torch.h is, and the guard around every call of LibTorch.

#ifndef SHIM_TORCH_INTERNAL_H
#define SHIM_TORCH_INTERNAL_H

extern "C" {
#include "shim/torch.h"
}

#include <atomic>
#include <cstdio>
#include <cstring>
#include <new>

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>

struct torch_tensor {
    at::Tensor tensor;
};

namespace torch_internal
{
extern std::atomic<uint64_t> created; // tensors, and storage where that is counted

inline gn_status fail_first_line(gn_status status, const char *operation, const char *text)
{
    return gn_fail(status, "%s: %.*s", operation, static_cast<int>(std::strcspn(text, "\n")), text);
}

// No exception leaves, and LibTorch's are one line of text.
template <class Work> gn_status caught(const char *operation, Work &&work) noexcept
{
    try {
        return work();
    } catch (const c10::OutOfMemoryError &error) {
        return fail_first_line(GN_ERR_MEMORY, operation, error.what_without_backtrace());
    } catch (const c10::Error &error) {
        return fail_first_line(GN_ERR_BACKEND, operation, error.what_without_backtrace());
    } catch (const std::bad_alloc &) {
        return gn_fail(GN_ERR_MEMORY, "%s: out of memory", operation);
    } catch (const std::exception &error) {
        return fail_first_line(GN_ERR_BACKEND, operation, error.what());
    } catch (...) {
        return gn_fail(GN_ERR_BACKEND, "%s: unknown exception", operation);
    }
}

// The same, and nothing in it can record gradients.
template <class Work> gn_status guarded(const char *operation, Work &&work) noexcept
{
    return caught(operation, [&]() -> gn_status {
        at::AutoDispatchBelowADInplaceOrView no_gradients;
        return work();
    });
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

inline gn_status check_shape(const char *operation, const char *name, const torch_tensor *tensor,
                             at::IntArrayRef expected)
{
    at::IntArrayRef shape = tensor->tensor.sizes();
    if (shape == expected)
        return GN_OK;
    return gn_fail(GN_ERR_ARG, "%s: %s has shape [%s], must be [%s]", operation, name,
                   shape_text(shape).text, shape_text(expected).text);
}
// LibTorch warns of what costs time, such as weights that do not lie side by side for cuDNN, and of
// drivers that are missing. The library prints nothing.
class silence : public c10::WarningHandler
{
    void process(const c10::Warning &) override
    {
    }
};

inline c10::Device place(device on)
{
    if (on.kind == DEVICE_CUDA)
        return c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(on.index));
    return c10::Device(c10::kCPU);
}

// A view of the caller's memory, which is only read.
inline at::Tensor on_host(const float *data, at::IntArrayRef shape)
{
    return at::from_blob(const_cast<float *>(data), shape, at::kFloat);
}
} // namespace torch_internal

#endif
