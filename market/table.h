// A table file: columns of equal length with a note beside them. Written atomically from memory we
// own, and mapped back without a copy. What the cache is made of; also how tables are exported.
//
// An .arrow table carries a digest of its note and columns, which mapping verifies: one read of the
// file at memory speed, and no damaged byte is ever used.

#ifndef MARKET_TABLE_H
#define MARKET_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "shim/arrow.h"

enum { MARKET_TABLE_COLUMNS = 96 };

// Arrow's names of the formats in use.
#define MARKET_FORMAT_TIME "tsn:UTC" // int64_t, nanoseconds since 1970
#define MARKET_FORMAT_DOUBLE "g"
#define MARKET_FORMAT_FLOAT "f"
#define MARKET_FORMAT_INT32 "i"
#define MARKET_FORMAT_UINT32 "I"
#define MARKET_FORMAT_INT64 "l"
#define MARKET_FORMAT_BOOL "b" // a bit a row, lowest first
#define MARKET_FORMAT_TEXT "u"

typedef struct market_column {
    const char *name;
    const char *format;
    uint32_t width; // 0; or the values a row of a fixed-size list
    const void *data; // [rows], [rows, width], or a text column's bytes
    const int32_t *offsets; // [rows + 1] into the bytes of a text column, else NULL
} market_column;

// Whether a table can be written under this name: its ending is .csv, .parquet or .arrow.
// Errors: GN_ERR_ARG.
gn_status market_table_check_path(const char *path);

// Replaces `path` (.csv, .parquet or .arrow) atomically and durably; a list column needs .arrow.
// note: kept in .arrow and .parquet files.
// Errors: those of arrow_write and market_table_check_path, GN_ERR_ARG for too many columns.
gn_status market_table_write(const char *path, const market_column *columns, size_t count,
                             uint64_t rows, const char *note);

// The same, without a note and with the times as column 0, which is filled in here: typed, or ISO
// 8601 text in a .csv.
gn_status market_table_write_timed(const char *path, const int64_t *time_ns, market_column *columns,
                                   size_t count, uint64_t rows);

// A mapped table; {0} is none.
typedef struct market_table {
    uint64_t rows;
    const void *column[MARKET_TABLE_COLUMNS]; // as `data` of the columns written
    char *note;
    struct ArrowArray batch; // holds the mapping
} market_table;

// Maps a table that market_table_write made with columns of these names, formats and widths.
// Errors: GN_ERR_NOT_FOUND; GN_ERR_CORRUPT for anything else than such a file, byte for byte.
gn_status market_table_map(market_table *ret_table, const char *path, const market_column *columns,
                           size_t count);
void market_table_close(market_table *table);

#endif
