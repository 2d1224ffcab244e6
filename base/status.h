// Status codes and error text: how every public call of the library reports.
//
// A function that can fail returns a gn_status; results go to ret_* parameters, which are set on
// success and untouched on failure. The reason stands as one line in a buffer of the calling
// thread.
//
//     if (price <= 0)
//         return gn_fail(GN_ERR_FORMAT, "%s: row %zu: close %g is not above 0", path, row, price);

#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <stdarg.h>

#define GN_STATUS_MAP(X) \
    X(OK, "success") \
    X(ERR_ARG, "invalid argument") \
    X(ERR_CONFIG, "invalid option") \
    X(ERR_MEMORY, "out of memory") \
    X(ERR_IO, "input or output failed") \
    X(ERR_FULL, "no space left") \
    X(ERR_NOT_FOUND, "not found") \
    X(ERR_EXISTS, "exists already") \
    X(ERR_BUSY, "in use by another process") \
    X(ERR_FORMAT, "malformed data") \
    X(ERR_CORRUPT, "damaged data") \
    X(ERR_EMPTY, "nothing there") \
    X(ERR_STATE, "called out of order") \
    X(ERR_NUMERIC, "not a finite number") \
    X(ERR_BACKEND, "a library failed") \
    X(ERR_UNSUPPORTED, "not supported")

typedef enum gn_status {
#define X(name, text) GN_##name,
    GN_STATUS_MAP(X)
#undef X
} gn_status;

// Short text of a code, for example "out of memory". Never NULL.
const char *gn_status_text(gn_status status);

// Records the reason (one line, cut at 1023 bytes) for this thread and returns `status`.
__attribute__((format(printf, 2, 3))) gn_status gn_fail(gn_status status, const char *format, ...);

// Like gn_fail, with ": strerror(error)" appended; ENOSPC, EDQUOT and EFBIG become GN_ERR_FULL,
// ENOENT GN_ERR_NOT_FOUND, EEXIST GN_ERR_EXISTS, ENOMEM GN_ERR_MEMORY, everything else GN_ERR_IO.
__attribute__((format(printf, 2, 3))) gn_status gn_fail_errno(int error, const char *format, ...);

// Puts "format: " in front of the recorded reason and returns `status` (context on the way up).
__attribute__((format(printf, 2, 3))) gn_status gn_fail_within(gn_status status, const char *format,
                                                               ...);

// The last reason recorded in this thread; "" where there is none. Valid until the next failure.
const char *gn_error_text(void);

// Returns from the calling function when `call` fails.
#define GN_TRY(call) \
    do { \
        gn_status gn_try_status_ = (call); \
        if (gn_try_status_ != GN_OK) \
            return gn_try_status_; \
    } while (0)

#endif
