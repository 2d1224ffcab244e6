// Where messages go. The library never prints: who calls it hands over a sink, and no sink means
// silence.

#ifndef BASE_LOG_H
#define BASE_LOG_H

typedef enum gn_log_level { GN_LOG_INFO, GN_LOG_WARNING } gn_log_level;

// write: called with one line without its newline; may be called from any thread of the library.
typedef struct gn_log {
    void (*write)(void *user, gn_log_level level, const char *line);
    void *user;
} gn_log;

// log may be NULL. Lines are cut at 1023 bytes.
__attribute__((format(printf, 2, 3))) void gn_log_info(const gn_log *log, const char *format, ...);
__attribute__((format(printf, 2, 3))) void gn_log_warning(const gn_log *log, const char *format,
                                                          ...);

#endif
