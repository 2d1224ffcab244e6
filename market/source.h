// A data file as named columns of whatever type it has, and their conversion to prices and times.

#ifndef MARKET_SOURCE_H
#define MARKET_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text.h"
#include "market/bars.h"
#include "shim/arrow.h"

// An open file; {0} is none.
typedef struct market_source {
    const char *path; // the caller's, for errors
    struct ArrowSchema schema; // struct of the columns
    struct ArrowArray *batches;
    size_t batch_count;
    uint64_t rows;
} market_source;

gn_status market_source_open(market_source *ret_source, const char *path);
void market_source_close(market_source *source);

// Number of columns, and the name of one.
size_t market_source_columns(const market_source *source);
const char *market_source_name(const market_source *source, size_t column);

// Whether no row of the column has a value.
bool market_source_is_void(const market_source *source, size_t column);

// The column as numbers.  Shapes: ret_values [rows].
// Errors: GN_ERR_FORMAT names the row that is empty or no number.
gn_status market_source_numbers(const market_source *source, size_t column, double *ret_values);

// The column as nanoseconds since 1970. Findings: which order of day and month the rows prove.
// Errors: GN_ERR_FORMAT names the row that is empty or no time, or the option that decides.
gn_status market_source_times(const market_source *source, size_t column, market_time_format format,
                              int64_t *ret_time_ns, gn_text *findings);

#endif
