// Weights as a safetensors file: opens in Python (safetensors, Hugging Face) without running code.
//     [u64 header length][JSON header, padded with spaces to 8][slices without padding, in order]
// Source: https://github.com/huggingface/safetensors (format section).

#ifndef NN_SAFETENSORS_H
#define NN_SAFETENSORS_H

#include "nn/layout.h"

// The file's bytes for one parameter buffer, appended to memory of gn_alloc (release with gn_free).
// The same parameters give the same bytes.
gn_status nn_safetensors_encode(const nn_layout *layout, const float *parameter, void **ret_bytes,
                                size_t *ret_size);

// Reads the slices of `layout` out of a file's bytes; padding 0.
// Errors: GN_ERR_CORRUPT (not the format, sizes), GN_ERR_FORMAT names a slice that is missing, has
// another shape or type, or is not in the layout.
gn_status nn_safetensors_decode(const nn_layout *layout, const void *bytes, size_t size,
                                float *ret_parameter);

#endif
