// Files and folders over POSIX calls.
//
// Every write, fsync and rename goes through one of three small wrappers, where tests can make it
// fail. A process that runs under a file size limit must ignore SIGXFSZ to see GN_ERR_FULL.

#define _XOPEN_SOURCE 700 // nftw

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"

static atomic_uint_fast64_t fail_countdown; // 1: fails from here on; 0: off
static atomic_int fail_error;

void gn_file_fail_at(uint64_t n, int error)
{
    atomic_store(&fail_error, error);
    atomic_store(&fail_countdown, n);
}

// Counts one operation; true (with errno set) if it must fail.
static bool must_fail(void)
{
    uint_fast64_t n = atomic_load(&fail_countdown);
    while (n > 1 && !atomic_compare_exchange_weak(&fail_countdown, &n, n - 1))
        ;
    if (n == 1)
        errno = atomic_load(&fail_error);
    return n == 1;
}

static ssize_t write_some(int file, const void *data, size_t size)
{
    return must_fail() ? -1 : write(file, data, size);
}

static int sync_file(int file)
{
    return must_fail() ? -1 : fsync(file);
}

static int rename_path(const char *from, const char *to)
{
    return must_fail() ? -1 : rename(from, to);
}

gn_status gn_path_join(char *ret_path, const char *folder, const char *name)
{
    size_t length = strlen(folder);
    const char *slash = length > 0 && folder[length - 1] != '/' ? "/" : "";
    char path[GN_PATH_SIZE];
    int size = snprintf(path, sizeof path, "%s%s%s", folder, slash, name);
    if (size < 0 || size >= GN_PATH_SIZE)
        return gn_fail(GN_ERR_ARG, "%.200s/%.200s: longer than %d bytes", folder, name,
                       GN_PATH_SIZE - 1);
    memcpy(ret_path, path, (size_t)size + 1);
    return GN_OK;
}

bool gn_path_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

bool gn_path_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

// Reads to the end, whatever `guess` says: files in /proc report size 0, and others may be growing.
// One byte of room beyond the guess lets the read that finds the end happen without growing.
static gn_status read_all(int file, size_t guess, const char *path, char **data, size_t *ret_size)
{
    size_t capacity = guess + 2, size = 0;
    GN_TRY(gn_alloc(data, capacity, 1));
    for (;;) {
        if (capacity - size < 2) { // the last byte stays 0
            GN_TRY(gn_grow(data, capacity, 2 * capacity + 4096, 1));
            capacity = 2 * capacity + 4096;
        }
        ssize_t count = read(file, *data + size, capacity - size - 1);
        if (count == 0)
            break;
        if (count > 0)
            size += (size_t)count;
        else if (errno != EINTR)
            return gn_fail_errno(errno, "%s: cannot read", path);
    }
    *ret_size = size;
    return GN_OK;
}

gn_status gn_file_read(void **ret_data, size_t *ret_size, const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return gn_fail_errno(errno, "%s: cannot open", path);
    struct stat info;
    size_t guess = fstat(file, &info) == 0 && S_ISREG(info.st_mode) ? (size_t)info.st_size : 0;
    char *data = NULL;
    gn_status status = read_all(file, guess, path, &data, ret_size);
    close(file);
    if (status == GN_OK)
        *ret_data = data;
    else
        gn_free(&data);
    return status;
}

gn_status gn_file_write_all(int file, const void *data, size_t size, const char *path)
{
    const char *next = data;
    while (size > 0) {
        ssize_t count = write_some(file, next, size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return gn_fail_errno(errno, "%s: cannot write", path);
        next += count;
        size -= (size_t)count;
    }
    return GN_OK;
}

// Writes, syncs and closes `file`.
static gn_status write_and_close(int file, const void *data, size_t size, const char *path)
{
    gn_status status = gn_file_write_all(file, data, size, path);
    if (status == GN_OK && sync_file(file) != 0)
        status = gn_fail_errno(errno, "%s: cannot sync", path);
    if (close(file) != 0 && status == GN_OK)
        status = gn_fail_errno(errno, "%s: cannot close", path);
    return status;
}

gn_status gn_file_write(const char *path, const void *data, size_t size)
{
    char temp[GN_PATH_SIZE];
    if (snprintf(temp, sizeof temp, "%s.tmp", path) >= GN_PATH_SIZE)
        return gn_fail(GN_ERR_ARG, "%.200s: longer than %d bytes", path, GN_PATH_SIZE - 5);
    int file = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0)
        return gn_fail_errno(errno, "%s: cannot create", path);
    gn_status status = write_and_close(file, data, size, path);
    if (status == GN_OK)
        status = gn_path_rename(temp, path);
    if (status != GN_OK)
        unlink(temp); // gone already where only the last sync failed
    return status;
}

gn_status gn_path_sync(const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return gn_fail_errno(errno, "%s: cannot open", path);
    gn_status status = GN_OK;
    if (sync_file(file) != 0)
        status = gn_fail_errno(errno, "%s: cannot sync", path);
    close(file);
    return status;
}

gn_status gn_path_sync_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[GN_PATH_SIZE] = ".";
    if (slash == path)
        strcpy(folder, "/");
    else if (slash != NULL)
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    return gn_path_sync(folder);
}

gn_status gn_path_rename(const char *from, const char *to)
{
    if (rename_path(from, to) != 0)
        return gn_fail_errno(errno, "%s: cannot rename to %s", from, to);
    return gn_path_sync_parent(to);
}

gn_status gn_folder_create(const char *path)
{
    char part[GN_PATH_SIZE];
    if (snprintf(part, sizeof part, "%s", path) >= GN_PATH_SIZE)
        return gn_fail(GN_ERR_ARG, "%.200s: longer than %d bytes", path, GN_PATH_SIZE - 1);
    for (char *end = part; *end != '\0';) {
        end += strspn(end, "/");
        end += strcspn(end, "/");
        char rest = *end;
        *end = '\0';
        bool made = mkdir(part, 0777) == 0;
        if (!made && !(errno == EEXIST && gn_path_is_folder(part)))
            return gn_fail_errno(errno, "%s: cannot create the folder", part);
        if (made)
            GN_TRY(gn_path_sync_parent(part));
        *end = rest;
    }
    return GN_OK;
}

gn_status gn_folder_create_temporary(char *ret_path, const char *within)
{
    const char *temporary = getenv("TMPDIR");
    if (!within)
        within = temporary && *temporary ? temporary : "/tmp";
    gn_status status = gn_path_join(ret_path, within, "gannet-XXXXXX");
    if (status == GN_OK && !mkdtemp(ret_path))
        status = gn_fail_errno(errno, "%s: cannot create a folder in it", within);
    if (status != GN_OK)
        ret_path[0] = '\0';
    return status;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *place)
{
    (void)info, (void)type, (void)place;
    if (remove(path) == 0 || errno == ENOENT)
        return GN_OK;
    return (int)gn_fail_errno(errno, "%s: cannot remove", path);
}

gn_status gn_path_remove(const char *path)
{
    enum { OPEN_FOLDERS = 16 };
    int result = nftw(path, remove_entry, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
    if (result >= 0)
        return (gn_status)result;
    return errno == ENOENT ? GN_OK : gn_fail_errno(errno, "%s: cannot remove", path);
}

// All names one after the other, each with its NUL.
static gn_status read_names(DIR *folder, const char *path, gn_text *names, size_t *ret_count)
{
    size_t count = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (entry == NULL && errno != 0)
            return gn_fail_errno(errno, "%s: cannot list", path);
        if (entry == NULL)
            break;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        gn_text_append_bytes(names, entry->d_name, strlen(entry->d_name) + 1);
        count++;
    }
    *ret_count = count;
    return gn_text_status(names);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

gn_status gn_folder_list(char ***ret_names, size_t *ret_count, const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        return gn_fail_errno(errno, "%s: cannot list", path);
    gn_text text = { 0 };
    size_t count = 0;
    char **names = NULL;
    gn_status status = read_names(folder, path, &text, &count);
    closedir(folder);
    if (status == GN_OK)
        status = gn_alloc(&names, count * sizeof *names + text.size, 1);
    if (status == GN_OK) {
        char *next = (char *)(names + count);
        if (text.size > 0)
            memcpy(next, text.data, text.size);
        for (size_t i = 0; i < count; i++, next += strlen(next) + 1)
            names[i] = next;
        qsort(names, count, sizeof *names, compare_names);
        *ret_names = names;
        *ret_count = count;
    }
    gn_text_free(&text);
    return status;
}

// flock belongs to the open file, not to the process: a second lock of this process conflicts too.
gn_status gn_file_lock(int *ret_lock, const char *path)
{
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (lock < 0)
        return gn_fail_errno(errno, "%s: cannot open the lock", path);
    int result;
    while ((result = flock(lock, LOCK_EX | LOCK_NB)) != 0 && errno == EINTR)
        ;
    if (result == 0) {
        *ret_lock = lock;
        return GN_OK;
    }
    int error = errno;
    close(lock);
    if (error == EWOULDBLOCK)
        return gn_fail(GN_ERR_BUSY, "%s: locked by another process", path);
    return gn_fail_errno(error, "%s: cannot lock", path);
}

void gn_file_unlock(int *lock)
{
    if (*lock >= 0)
        close(*lock);
    *lock = -1;
}
