// libgannet_cuda.so of a machine with two devices that are none: tests/replay/device_emulation.h as
// a library, which a test has the loader find. So the whole command runs as on a device.

#include "tests/replay/device_emulation.h"

__attribute__((visibility("default"))) const cuda_runtime gannet_cuda_runtime = {
    .version = GANNET_VERSION,
    .text = emulation_text,
    .find = emulation_find,
    .count = emulation_count,
    .select = emulation_select,
    .allocate = emulation_allocate,
    .release = emulation_release,
    .copy = emulation_copy,
    .stream_create = emulation_stream_create,
    .stream_destroy = emulation_stream_destroy,
    .wait = emulation_wait,
    .capture_begin = emulation_capture_begin,
    .capture_end = emulation_capture_end,
    .graph_launch = emulation_graph_launch,
    .graph_destroy = emulation_graph_destroy,
};
