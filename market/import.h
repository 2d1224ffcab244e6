// From a data file to clean columns, in two steps: finding and reading the columns, then checking
// them row by row. What is noticed on the way is appended to `findings`, one line each.

#ifndef MARKET_IMPORT_H
#define MARKET_IMPORT_H

#include "base/text.h"
#include "market/bars.h"

// Rows in the order of the file; {0} is none. All columns lie in one block.
typedef struct market_rows {
    uint64_t count;
    int64_t *time_ns;
    double *open, *high, *low, *close, *volume;
} market_rows;

gn_status market_rows_create(market_rows *ret_rows, uint64_t count);
void market_rows_free(market_rows *rows);

// Reads the columns of `path` as `config` says.
// Errors: those of arrow_read; GN_ERR_EMPTY for fewer than 2 rows; GN_ERR_FORMAT for columns that
// are missing (names the option that helps), empty cells and what is no number or time.
gn_status market_import(market_rows *ret_rows, const char *path, const market_config *config,
                        gn_text *findings);

// Puts the rows into time order if they are newest first, and checks them.
// Errors: GN_ERR_FORMAT names `name`, the row and its values: times out of order, twice or more
// than 292 years apart, prices that are not finite or not above 0, high < low, open or close
// outside low..high, volume below 0.
gn_status market_validate(market_rows *rows, const char *name, gn_text *findings);

#endif
