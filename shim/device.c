#include "shim/device.h"

#include <string.h>

#include "shim/cuda.h"
#include "shim/torch.h"

static gn_status take_best(device *ret_device, bool large, const gn_log *log)
{
    if (!large) {
        gn_log_info(log, "computing on the CPU (run.device auto; the network has no encoder)");
        *ret_device = (device){ .kind = DEVICE_CPU };
    } else if (torch_cuda_open(0) == GN_OK) {
        gn_log_info(log, "computing on cuda:0 (run.device auto)");
        *ret_device = (device){ .kind = DEVICE_CUDA };
    } else {
        gn_log_info(log, "computing on the CPU (run.device auto; %s)", gn_error_text());
        *ret_device = (device){ .kind = DEVICE_CPU };
    }
    return GN_OK;
}

gn_status device_resolve(device *ret_device, const char *name, bool large, const gn_log *log)
{
    int index;
    if (strcmp(name, "auto") == 0)
        return take_best(ret_device, large, log);
    if (cuda_parse_name(name, &index)) {
        gn_status status = torch_cuda_open(index);
        if (status != GN_OK)
            return gn_fail_within(status, "run.device: %s", name);
        *ret_device = (device){ .kind = DEVICE_CUDA, .index = index };
        return GN_OK;
    }
    if (strcmp(name, "cpu") != 0 && strcmp(name, "torch") != 0)
        return gn_fail(GN_ERR_CONFIG, "run.device: '%s' is none of cpu, torch, cuda, cuda:N, auto",
                       name);
    *ret_device = (device){ .kind = name[0] == 'c' ? DEVICE_CPU : DEVICE_TORCH };
    return GN_OK;
}
