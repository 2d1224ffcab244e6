// The cache folder.

#include "market/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

static gn_status default_folder(char *ret_path)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && *cache)
        return gn_path_join(ret_path, cache, "gannet");
    if (home && *home)
        return gn_path_join(ret_path, home, ".cache/gannet");
    return gn_fail(GN_ERR_CONFIG, "market.cache: neither XDG_CACHE_HOME nor HOME is set; name a "
                                  "folder");
}

gn_status market_cache_path(char *ret_path, const char *folder, const char *kind, const char *key)
{
    char chosen[GN_PATH_SIZE], name[64];
    if (*folder == '\0') {
        GN_TRY(default_folder(chosen));
        folder = chosen;
    }
    gn_status status = gn_folder_create(folder);
    if (status != GN_OK)
        return gn_fail_within(status, "market.cache");
    snprintf(name, sizeof name, "%s-%s.arrow", kind, key);
    return gn_path_join(ret_path, folder, name);
}

gn_status market_cache_add_file(gn_digest *digest, const char *path)
{
    enum { BLOCK_SIZE = 1 << 20 };
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return gn_fail_errno(errno, "%s", path);
    char *block;
    gn_status status = gn_alloc(&block, BLOCK_SIZE, 1);
    ssize_t size = 1;
    while (status == GN_OK && size > 0) {
        size = read(file, block, BLOCK_SIZE);
        if (size < 0)
            status = gn_fail_errno(errno, "%s", path);
        else
            gn_digest_add(digest, block, (size_t)size);
    }
    if (status != GN_ERR_MEMORY)
        gn_free(&block);
    close(file);
    return status;
}

gn_status market_cache_write(const char *path, const market_column *columns, size_t count,
                             uint64_t rows, const char *note)
{
    gn_status status = market_table_write(path, columns, count, rows, note);
    if (status != GN_OK)
        return gn_fail_within(status, "market.cache");
    return GN_OK;
}
