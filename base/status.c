// Status texts and the error line of each thread.

#include "base/status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { ERROR_SIZE = 1024 };

static _Thread_local char error_text[ERROR_SIZE];

// Formats aside first: the arguments may point into error_text itself.
static gn_status record(gn_status status, const char *format, va_list arguments, const char *after)
{
    char line[ERROR_SIZE];
    int length = vsnprintf(line, sizeof line, format, arguments);
    if (length < 0)
        length = 0;
    if ((size_t)length < sizeof line)
        snprintf(line + length, sizeof line - (size_t)length, "%s", after);
    for (char *c = line; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    memcpy(error_text, line, sizeof line);
    return status;
}

static gn_status status_of_errno(int error)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return GN_ERR_FULL;
    case ENOENT:
        return GN_ERR_NOT_FOUND;
    case EEXIST:
        return GN_ERR_EXISTS;
    case ENOMEM:
        return GN_ERR_MEMORY;
    default:
        return GN_ERR_IO;
    }
}

const char *gn_status_text(gn_status status)
{
    static const char *const texts[] = {
#define X(name, text) [GN_##name] = text,
        GN_STATUS_MAP(X)
#undef X
    };
    if ((size_t)status >= sizeof texts / sizeof *texts)
        return "unknown status";
    return texts[status];
}

gn_status gn_fail(gn_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    record(status, format, arguments, "");
    va_end(arguments);
    return status;
}

gn_status gn_fail_errno(int error, const char *format, ...)
{
    // strerror is thread-safe since glibc 2.32.
    char reason[ERROR_SIZE];
    snprintf(reason, sizeof reason, ": %s", strerror(error));
    va_list arguments;
    va_start(arguments, format);
    gn_status status = record(status_of_errno(error), format, arguments, reason);
    va_end(arguments);
    return status;
}

gn_status gn_fail_within(gn_status status, const char *format, ...)
{
    char reason[ERROR_SIZE + 2];
    snprintf(reason, sizeof reason, ": %s", error_text);
    va_list arguments;
    va_start(arguments, format);
    record(status, format, arguments, reason);
    va_end(arguments);
    return status;
}

const char *gn_error_text(void)
{
    return error_text;
}
