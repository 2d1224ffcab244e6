// Files and folders: whole reads, atomic writes, locks. An atomic write is temp file, fsync,
// rename, fsync of the folder: at every instant the path holds the old contents or the new ones.
//
// Every error names the path. Full disk (also a quota or file size limit) is GN_ERR_FULL.

#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { GN_PATH_SIZE = 4096 };

// Joins by one '/'. ret_path: [GN_PATH_SIZE]. Errors: GN_ERR_ARG if the result is too long.
gn_status gn_path_join(char *ret_path, const char *folder, const char *name);

bool gn_path_exists(const char *path);
bool gn_path_is_folder(const char *path);

// Reads a whole file; release *ret_data with gn_free. A NUL byte (not counted) follows the data.
gn_status gn_file_read(void **ret_data, size_t *ret_size, const char *path);

// Replaces the contents of `path` atomically and durably. A left-over temp file of a killed
// writer ("path.tmp") is overwritten.
gn_status gn_file_write(const char *path, const void *data, size_t size);

// Writes all bytes to an open file, retrying short writes and EINTR. `path` is for the error.
gn_status gn_file_write_all(int file, const void *data, size_t size, const char *path);

// fsync of a file or folder by path.
gn_status gn_path_sync(const char *path);

// fsync of the folder that holds `path`: makes a new name in it durable.
gn_status gn_path_sync_parent(const char *path);

// rename, then fsync of the folder that holds `to`.
gn_status gn_path_rename(const char *from, const char *to);

// Creates a folder and its parents, durably; no error if it exists.
gn_status gn_folder_create(const char *path);

// Creates a folder "gannet-XXXXXX" of its own, with other letters for the X, in `within`, or where
// that is NULL in $TMPDIR, or where that is not set in /tmp. ret_path: [GN_PATH_SIZE], "" after an
// error.
gn_status gn_folder_create_temporary(char *ret_path, const char *within);

// Removes a file or a folder with everything in it; no error if it does not exist.
gn_status gn_path_remove(const char *path);

// Names in a folder, sorted bytewise, without "." and "..". Release with gn_free(ret_names): one
// block holds array and strings.
gn_status gn_folder_list(char ***ret_names, size_t *ret_count, const char *path);

// Exclusive lock of a file (created if missing) for the life of the process or until unlock.
// Errors: GN_ERR_BUSY if another process, or another lock of this one, holds it.
gn_status gn_file_lock(int *ret_lock, const char *path);
void gn_file_unlock(int *lock); // -1 is "none"; sets -1

// Tests: the n-th write, fsync or rename of this process from now on fails with `error` (and all
// after it, as on a full disk). n = 0 switches off.
void gn_file_fail_at(uint64_t n, int error);

#endif
