// Bars: the price history every other part reads. A file is imported once (parsed, validated,
// written to the cache as an uncompressed Arrow IPC file) and memory-mapped from then on.
//
// The cache is content-addressed: its key is the hash of the file's bytes, the options that change
// the reading, and the version of this code. A changed file is another key, never a stale hit.
//
// Nothing is repaired silently. What import changes (rows reversed because the file is newest
// first) or notices (gaps) is a finding; what it cannot accept is an error that names the row.

#ifndef MARKET_BARS_H
#define MARKET_BARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/option.h"

// Section [market].
typedef struct market_config {
    char cache[GN_OPTION_TEXT_SIZE]; // folder; "" is $XDG_CACHE_HOME/gannet or ~/.cache/gannet
    int layout; // market_layout
    int time_format; // market_time_format
    char time_column[GN_OPTION_TEXT_SIZE]; // "" finds the column by its usual names
    char open_column[GN_OPTION_TEXT_SIZE];
    char high_column[GN_OPTION_TEXT_SIZE];
    char low_column[GN_OPTION_TEXT_SIZE];
    char close_column[GN_OPTION_TEXT_SIZE];
    char volume_column[GN_OPTION_TEXT_SIZE];
    int swapped_volume; // market_swapped_volume
    double spacing; // seconds between bars where time_format is none
    double bars_per_year; // 0 derives it from spacing and calendar
} market_config;

typedef enum market_layout { MARKET_OHLCV, MARKET_CLOSE_ONLY } market_layout;
typedef enum market_time_format {
    MARKET_TIME_AUTO,
    MARKET_TIME_ISO,
    MARKET_TIME_DAY_FIRST,
    MARKET_TIME_MONTH_FIRST,
    MARKET_TIME_UNIX, // seconds, milliseconds, microseconds or nanoseconds, told by magnitude
    MARKET_TIME_NONE, // no time column: bar i is at 1970-01-01 + i * spacing
} market_time_format;
typedef enum market_swapped_volume { MARKET_VOLUME_KEEP, MARKET_VOLUME_SWAP } market_swapped_volume;

extern const gn_option market_options[];

typedef struct market_bars market_bars;

// Columns of `count` bars in time order, in memory-mapped read-only pages. A close-only import has
// open = high = low = close. Prices are above 0 and finite, low <= open, close <= high.
typedef struct market_bars_view {
    uint64_t count;
    const int64_t *time_ns; // start of the bar, UTC, nanoseconds since 1970, strictly increasing
    const double *open, *high, *low, *close;
    const double *volume; // all 0 where the file has none
    bool close_only;
    int64_t spacing_ns; // the most frequent distance of two bars
    double bars_per_year; // for annualisation; from spacing and calendar, or as configured
    const char *hash; // 32 hexadecimal digits of the columns' contents
} market_bars_view;

// What import noticed, in the order of its checks.
typedef struct market_finding {
    const char *text; // one line, names the first row (1 = first data row) and how many
} market_finding;

// Opens `path` through the cache. Findings go to `log` as warnings when the file is imported.
// Errors: GN_ERR_NOT_FOUND, GN_ERR_EMPTY (no bytes or fewer than 2 bars), GN_ERR_FORMAT (names row
// and value; for a column that cannot be told, the option to pass), GN_ERR_IO, GN_ERR_FULL.
gn_status market_bars_open(market_bars **ret_bars, const char *path, const market_config *config,
                           const gn_log *log);

// Bars from columns in memory (copied), validated like a file's rows; `name` is for the errors.
// open, high, low, volume may be NULL (close-only; no volume).
gn_status market_bars_create(market_bars **ret_bars, const char *name, uint64_t count,
                             const int64_t *time_ns, const double *open, const double *high,
                             const double *low, const double *close, const double *volume,
                             const market_config *config);
void market_bars_destroy(market_bars **bars);

// All three are valid until the bars are destroyed.
const market_bars_view *market_bars_get(const market_bars *bars);

// Path of the cache entry the bars are mapped from; "" for bars made in memory.
const char *market_bars_cached(const market_bars *bars);

size_t market_bars_findings(const market_bars *bars, const market_finding **ret_findings);

#endif
