// Which device a run computes on: `cpu`, `cuda`, `cuda:N` or `auto`.

#ifndef SHIM_DEVICE_H
#define SHIM_DEVICE_H

#include "base/log.h"
#include "base/status.h"

typedef enum device_kind { DEVICE_CPU } device_kind;

// Resolves a device name. `auto` takes the CPU and says so in one line to `log`.
// Errors: GN_ERR_CONFIG for a name that is none; GN_ERR_UNSUPPORTED for cuda, which this build
// cannot use.
gn_status device_resolve(device_kind *ret_device, const char *name, const gn_log *log);

#endif
