// Which device the networks of a run compute on, and by which code.
//
//     cpu            our own layers, in C
//     torch          LibTorch's layers on the CPU: what CUDA runs, where there is no device
//     cuda, cuda:N   LibTorch's layers on a device of NVIDIA's, with cuDNN
//     auto           cuda where there is one and the network is large enough to gain by it, else
//     cpu

#ifndef SHIM_DEVICE_H
#define SHIM_DEVICE_H

#include <stdbool.h>

#include "base/log.h"
#include "base/status.h"

typedef enum device_kind { DEVICE_CPU, DEVICE_TORCH, DEVICE_CUDA } device_kind;

typedef struct device {
    device_kind kind;
    int index; // of a CUDA device
} device;

// Resolves a device name. large: what auto goes by; it says in one line to `log` what it took.
// To be called before anything else of shim/torch.h, which cannot find CUDA afterwards.
// Errors: GN_ERR_CONFIG for a name that is none; GN_ERR_UNSUPPORTED for cuda, where LibTorch has no
// CUDA part, or the machine no such device.
gn_status device_resolve(device *ret_device, const char *name, bool large, const gn_log *log);

#endif
