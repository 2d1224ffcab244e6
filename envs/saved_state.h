// Internal to envs/: what saved states of environments have in common. The options an environment
// was made with, so that a state is loaded only where every option is the same; and its copies,
// which are taken over only if all of them are sound.

#ifndef ENVS_SAVED_STATE_H
#define ENVS_SAVED_STATE_H

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

// Whether copies as they were saved may go on in `env`. Errors: GN_ERR_CORRUPT.
typedef gn_status (*saved_copies_check)(const void *env, const void *copies);

// Reads section `section` into `copies`, which is `size` bytes of `env`, if `check` accepts it.
// Errors: GN_ERR_CORRUPT, GN_ERR_MEMORY; then nothing changed.
gn_status saved_copies_read(gn_blob *in, const char *section, const void *env, void *copies,
                            size_t size, saved_copies_check check);

#endif
