// Lossy 8- or 16-bit records of float32 values, each with its own range.
//
//     quantized record:  [low f32][step f32][code u8 or u16, little-endian: floats]
//     value = low + code * step
//
// The error of a value is at most step / 2 and the rounding of float32, step being the range of the
// record / (2^bits - 1). A record of equal values comes back exactly; quantising what came back
// gives the same codes.

#ifndef REPLAY_QUANTIZE_H
#define REPLAY_QUANTIZE_H

#include <stddef.h>

#include "base/status.h"

// Bytes of a quantized record. bits: 8 or 16.
size_t replay_quantized_size(size_t floats, int bits);

// Values of a quantized record of `size` bytes; 0 if none has this size.
size_t replay_quantized_floats(size_t size, int bits);

// Shapes:  record: [floats]; ret_bytes: [replay_quantized_size(floats, bits)].
// Errors:  GN_ERR_NUMERIC naming the first value that is not finite, or a range beyond float32.
gn_status replay_quantize(const float *record, size_t floats, int bits, unsigned char *ret_bytes);

void replay_dequantize(const unsigned char *bytes, size_t floats, int bits, float *ret_record);

#endif
