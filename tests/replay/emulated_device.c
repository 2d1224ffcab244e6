// libgannet_cuda.so of a machine with two devices that are none: tests/replay/device_emulation.h as
// a library, which a test has the loader find. So the whole command runs as on a device.

#include "tests/replay/device_emulation.h"

__attribute__((visibility("default"))) const cuda_runtime gannet_cuda_runtime = EMULATION_RUNTIME;
