// Where the cache lies and how its entries are named: FOLDER/KIND-KEY.arrow, KEY being a digest of
// everything the entry is made from.

#ifndef MARKET_CACHE_H
#define MARKET_CACHE_H

#include "base/compress.h"
#include "market/table.h"

// ret_path: [GN_PATH_SIZE]. Creates the folder; "" is $XDG_CACHE_HOME/gannet or ~/.cache/gannet.
// Errors: GN_ERR_CONFIG if "" and neither variable is set; those of gn_folder_create.
gn_status market_cache_path(char *ret_path, const char *folder, const char *kind, const char *key);

// Adds the bytes of a file. Errors: GN_ERR_NOT_FOUND, GN_ERR_IO.
gn_status market_cache_add_file(gn_digest *digest, const char *path);

// market_table_write, its errors saying which option chooses the folder.
gn_status market_cache_write(const char *path, const market_column *columns, size_t count,
                             uint64_t rows, const char *note);

#endif
