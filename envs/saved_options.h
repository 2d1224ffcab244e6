// Internal to envs/: the options an environment was made with, inside its saved state, so that a
// state is loaded only where every option is the same.

#ifndef ENVS_SAVED_OPTIONS_H
#define ENVS_SAVED_OPTIONS_H

#include <stddef.h>

#include "base/blob.h"
#include "base/option.h"

enum { SAVED_OPTIONS_SIZE = 256 }; // bytes of the largest struct

// Writes the struct as section "NAME.options"; it has no padding, INT and REAL options only.
void saved_options_write(gn_blob *out, const char *name, const void *config, size_t size);

// Reads that section and compares it with `config`.
// Errors: GN_ERR_CONFIG names the first option that differs with both values; GN_ERR_CORRUPT.
gn_status saved_options_check(gn_blob *in, const char *name, const gn_option *options,
                              const void *config, size_t size);

#endif
