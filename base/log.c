// Formats one line and hands it to the sink.

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static void write_line(const gn_log *log, gn_log_level level, const char *format, va_list arguments)
{
    if (log == NULL || log->write == NULL)
        return;
    char line[1024];
    vsnprintf(line, sizeof line, format, arguments);
    log->write(log->user, level, line);
}

void gn_log_info(const gn_log *log, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    write_line(log, GN_LOG_INFO, format, arguments);
    va_end(arguments);
}

void gn_log_warning(const gn_log *log, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    write_line(log, GN_LOG_WARNING, format, arguments);
    va_end(arguments);
}
