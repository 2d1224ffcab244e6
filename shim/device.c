// Only the CPU so far; the names of what is not there are known, so that they get a clear answer.

#include "shim/device.h"

#include <stdbool.h>
#include <string.h>

gn_status device_resolve(device_kind *ret_device, const char *name, const gn_log *log)
{
    bool index = strncmp(name, "cuda:", 5) == 0 && name[5] != '\0' &&
                 strspn(name + 5, "0123456789") == strlen(name + 5);
    if (strcmp(name, "cuda") == 0 || index)
        return gn_fail(GN_ERR_UNSUPPORTED, "run.device: %s: this build computes on the CPU only",
                       name);
    if (strcmp(name, "auto") == 0)
        gn_log_info(log,
                    "computing on the CPU (run.device auto; there is no CUDA part in this build)");
    else if (strcmp(name, "cpu") != 0)
        return gn_fail(GN_ERR_CONFIG, "run.device: '%s' is none of cpu, cuda, cuda:N, auto", name);
    *ret_device = DEVICE_CPU;
    return GN_OK;
}
