#include "rl/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

enum { FLUSH_SIZE = 64 * 1024, FIRST_CAPACITY = FLUSH_SIZE + 4096 };

struct rl_metrics {
    char *path;
    int file;
    uint64_t length; // bytes in the file
    gn_text buffer; // whole lines not written yet, and the one being made
};

gn_status rl_metrics_length(const char *path, uint64_t *ret_length)
{
    struct stat info;
    if (stat(path, &info) != 0 && errno != ENOENT)
        return gn_fail_errno(errno, "%s", path);
    *ret_length = gn_path_exists(path) ? (uint64_t)info.st_size : 0;
    return GN_OK;
}

static gn_status open_at(rl_metrics *metrics, const char *path, uint64_t length)
{
    GN_TRY(gn_copy_text(&metrics->path, path));
    metrics->file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (metrics->file < 0)
        return gn_fail_errno(errno, "%s", path);
    struct stat info;
    if (fstat(metrics->file, &info) != 0)
        return gn_fail_errno(errno, "%s", path);
    if ((uint64_t)info.st_size < length)
        return gn_fail(GN_ERR_CORRUPT, "%s: %lld bytes, but its checkpoint was made at %llu", path,
                       (long long)info.st_size, (unsigned long long)length);
    if (ftruncate(metrics->file, (off_t)length) != 0 ||
        lseek(metrics->file, 0, SEEK_END) == (off_t)-1)
        return gn_fail_errno(errno, "%s", path);
    metrics->length = length;
    return gn_path_sync_parent(path);
}

gn_status rl_metrics_open(rl_metrics **ret_metrics, const char *path, uint64_t length)
{
    rl_metrics *metrics = NULL;
    GN_TRY(gn_alloc(&metrics, 1, sizeof *metrics));
    metrics->file = -1;
    gn_status status = open_at(metrics, path, length);
    if (status == GN_OK)
        status = gn_alloc(&metrics->buffer.data, FIRST_CAPACITY, 1);
    if (status != GN_OK) {
        rl_metrics_close(&metrics);
        return status;
    }
    metrics->buffer.capacity = FIRST_CAPACITY;
    *ret_metrics = metrics;
    return GN_OK;
}

void rl_metrics_close(rl_metrics **metrics)
{
    if (!*metrics)
        return;
    if ((*metrics)->file >= 0)
        close((*metrics)->file);
    gn_text_free(&(*metrics)->buffer);
    gn_free(&(*metrics)->path);
    gn_free(metrics);
}

void rl_metrics_begin(rl_metrics *metrics, const char *type, uint64_t step)
{
    gn_text_append(&metrics->buffer, "{\"type\":\"%s\",\"step\":%llu", type,
                   (unsigned long long)step);
}

static void append_value(gn_text *buffer, double value)
{
    if (isfinite(value))
        gn_text_append_number(buffer, value);
    else
        gn_text_append(buffer, "null");
}

void rl_metrics_number(rl_metrics *metrics, const char *name, double value)
{
    gn_text_append(&metrics->buffer, ",\"%s\":", name);
    append_value(&metrics->buffer, value);
}

void rl_metrics_text(rl_metrics *metrics, const char *name, const char *value)
{
    gn_text_append(&metrics->buffer, ",\"%s\":\"%s\"", name, value);
}

void rl_metrics_timing(rl_metrics *metrics, const rl_timing *timing)
{
    gn_text_append(&metrics->buffer,
                   ",\"timing\":{\"seconds\":%.6e,\"steps_per_s\":%.6e,\"replay_stalled\":%.6e,"
                   "\"replay_waited\":%.6e,\"cache_hit_rate\":%.6e,\"cache_saved\":%.6e}",
                   timing->seconds, timing->steps_per_s, timing->replay_stalled,
                   timing->replay_waited, timing->cache_hit_rate, timing->cache_saved);
}

gn_status rl_metrics_flush(rl_metrics *metrics)
{
    GN_TRY(gn_text_status(&metrics->buffer));
    GN_TRY(gn_file_write_all(metrics->file, gn_text_data(&metrics->buffer), metrics->buffer.size,
                             metrics->path));
    metrics->length += metrics->buffer.size;
    metrics->buffer.size = 0;
    return GN_OK;
}

gn_status rl_metrics_end(rl_metrics *metrics)
{
    gn_text_append(&metrics->buffer, "}\n");
    return metrics->buffer.size < FLUSH_SIZE ? GN_OK : rl_metrics_flush(metrics);
}

gn_status rl_metrics_sync(rl_metrics *metrics, uint64_t *ret_length)
{
    GN_TRY(rl_metrics_flush(metrics));
    GN_TRY(gn_path_sync(metrics->path));
    *ret_length = metrics->length;
    return GN_OK;
}
