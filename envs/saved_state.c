#include "envs/saved_state.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { NAME_SIZE = 64 };

static const char *section_of(char buffer[NAME_SIZE], const char *name)
{
    snprintf(buffer, NAME_SIZE, "%s.options", name);
    return buffer;
}

void saved_options_write(gn_blob *out, const char *name, const void *config, size_t size)
{
    char section[NAME_SIZE];
    assert(size <= SAVED_OPTIONS_SIZE);
    gn_blob_write(out, section_of(section, name), config, size);
}

static double number_of(const gn_option *option, const void *config)
{
    const void *field = (const char *)config + option->offset;
    if (option->type == GN_OPTION_TYPE_INT)
        return (double)*(const int64_t *)field;
    assert(option->type == GN_OPTION_TYPE_REAL);
    return *(const double *)field;
}

gn_status saved_options_check(gn_blob *in, const char *name, const gn_option *options,
                              const void *config, size_t size)
{
    char section[NAME_SIZE];
    double saved[SAVED_OPTIONS_SIZE / sizeof(double)]; // aligned as any config
    assert(size <= sizeof saved);
    gn_blob_read(in, section_of(section, name), saved, size);
    GN_TRY(gn_blob_status(in));
    for (const gn_option *option = options; option->key; option++) {
        double there = number_of(option, saved), here = number_of(option, config);
        if (!(there == here))
            return gn_fail(GN_ERR_CONFIG, "%s.%s: %.17g in the saved state, %.17g here", name,
                           option->key, there, here);
    }
    return GN_OK;
}

gn_status saved_copies_read(gn_blob *in, const char *section, const void *env, void *copies,
                            size_t size, saved_copies_check check)
{
    void *loaded;
    GN_TRY(gn_alloc(&loaded, 1, size));
    gn_blob_read(in, section, loaded, size);
    gn_status status = gn_blob_status(in);
    if (status == GN_OK)
        status = check(env, loaded);
    if (status == GN_OK)
        memcpy(copies, loaded, size);
    gn_free(&loaded);
    return status;
}
