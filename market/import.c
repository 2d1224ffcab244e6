// Reading a data file: which column is what, and their values.

#include "market/import.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/text.h"
#include "market/source.h"

gn_status market_rows_create(market_rows *ret_rows, uint64_t count)
{
    int64_t *block;
    GN_TRY(gn_alloc(&block, count, 6 * sizeof *block));
    double *price = (double *)(block + count);
    *ret_rows = (market_rows){
        count, block, price, price + count, price + 2 * count, price + 3 * count, price + 4 * count
    };
    return GN_OK;
}

void market_rows_free(market_rows *rows)
{
    gn_free(&rows->time_ns);
    *rows = (market_rows){ 0 };
}

// --- Finding columns ----------------------------------------------------------------------------

// A column we look for: what it is, the option that names it, and its usual names in the order in
// which they are taken.
typedef struct role {
    const char *title, *option;
    const char *const *names;
} role;

#define NAMES(...) \
    (const char *const[]) \
    { \
        __VA_ARGS__, NULL \
    }

// A count since 1970 goes before text, which may be in local time or leave out the hour.
static const role time_role = { "time", "market.time_column",
                                NAMES("unix", "unix_time", "unix_timestamp", "open_time",
                                      "open time", "timestamp", "datetime", "date_time",
                                      "date time", "time", "date", "gmt time", "local time", "t") };
static const role open_role = { "open", "market.open_column",
                                NAMES("open", "<open>", "open_price", "o") };
static const role high_role = { "high", "market.high_column",
                                NAMES("high", "<high>", "high_price", "h") };
static const role low_role = { "low", "market.low_column",
                               NAMES("low", "<low>", "low_price", "l") };
static const role close_role = { "close", "market.close_column",
                                 NAMES("close", "<close>", "close_price", "c") };
static const role price_role = { "close", "market.close_column",
                                 NAMES("close", "<close>", "close_price", "c", "price", "value",
                                       "last", "settle") };
static const role volume_role = { "volume", "market.volume_column",
                                  NAMES("volume", "<vol>", "vol", "base_volume", "volume_base",
                                        "tick_volume", "v") };
static const role quote_role = { "quote volume", "",
                                 NAMES("quote_volume", "volume_quote", "quote volume",
                                       "quote_asset_volume", "quote asset volume", "turnover",
                                       "volume usd", "volume usdt", "volume usdc", "volume eur",
                                       "volume_usd", "volume_usdt", "volume_usdc") };

enum { NONE = -1 };

// Case does not matter, nor do blanks around the name.
static bool is_named(const char *column, const char *name)
{
    column += strspn(column, " ");
    size_t size = strlen(name);
    return strncasecmp(column, name, size) == 0 &&
           column[size + strspn(column + size, " ")] == '\0';
}

// The column of this name; NONE if there is none. A name in two cases is an error.
static gn_status find_name(const market_source *source, const role *wanted, const char *name,
                           int *ret_column)
{
    int found = NONE;
    for (size_t i = 0; i < market_source_columns(source); i++) {
        if (!is_named(market_source_name(source, i), name))
            continue;
        if (found != NONE)
            return gn_fail(GN_ERR_FORMAT,
                           "%s: columns %s and %s both look like the %s column; "
                           "rename one",
                           source->path, market_source_name(source, (size_t)found),
                           market_source_name(source, i), wanted->title);
        found = (int)i;
    }
    *ret_column = found;
    return GN_OK;
}

// "a, b, c": the columns of the file, for errors.
static gn_status fail_with_columns(const market_source *source, const char *what)
{
    gn_text names = { 0 };
    for (size_t i = 0; i < market_source_columns(source); i++)
        gn_text_append(&names, "%s%s", i ? ", " : "", market_source_name(source, i));
    gn_status status = gn_fail(GN_ERR_FORMAT, "%s: %s; the file has the columns %s", source->path,
                               what, gn_text_data(&names));
    gn_text_free(&names);
    return status;
}

// The column the configuration names, else the first usual name there is. A second one is a
// finding (findings may be NULL): the choice should be seen.
static gn_status find_column(const market_source *source, const role *wanted,
                             const char *configured, int *ret_column, gn_text *findings)
{
    int column = NONE, other;
    if (*configured) {
        GN_TRY(find_name(source, wanted, configured, &column));
        if (column == NONE) {
            char what[GN_OPTION_TEXT_SIZE + 64];
            snprintf(what, sizeof what, "no column \"%s\" (%s)", configured, wanted->option);
            return fail_with_columns(source, what);
        }
        *ret_column = column;
        return GN_OK;
    }
    for (const char *const *name = wanted->names; *name; name++) {
        GN_TRY(find_name(source, wanted, *name, &other));
        if (other != NONE && column != NONE && findings)
            gn_text_append(findings, "%s is read from column %s, not from %s (%s chooses)\n",
                           wanted->title, market_source_name(source, (size_t)column),
                           market_source_name(source, (size_t)other), wanted->option);
        if (column == NONE)
            column = other;
    }
    *ret_column = column;
    return GN_OK;
}

static gn_status missing(const market_source *source, const role *wanted, const char *advice)
{
    char what[512];
    snprintf(what, sizeof what, "no %s column; name it with --%s%s", wanted->title, wanted->option,
             advice);
    return fail_with_columns(source, what);
}

// --- Reading columns ----------------------------------------------------------------------------

static gn_status read_time(market_rows *rows, const market_source *source,
                           const market_config *config, gn_text *findings)
{
    if (config->time_format == MARKET_TIME_NONE) {
        if (config->spacing * 1e9 * (double)rows->count > 9e18)
            return gn_fail(GN_ERR_FORMAT,
                           "%s: %" PRIu64 " rows market.spacing %g s apart end after the year 2254",
                           source->path, rows->count, config->spacing);
        int64_t spacing_ns = (int64_t)(config->spacing * 1e9);
        for (uint64_t i = 0; i < rows->count; i++)
            rows->time_ns[i] = (int64_t)i * spacing_ns;
        gn_text_append(findings,
                       "no times are read: bars lie %g s apart from 1970 on, day and night\n",
                       config->spacing);
        return GN_OK;
    }
    int column;
    GN_TRY(find_column(source, &time_role, config->time_column, &column, findings));
    if (column == NONE)
        return missing(source, &time_role,
                       ", or for evenly spaced rows without times pass --market.time_format none "
                       "--market.spacing SECONDS (86400 is a day)");
    return market_source_times(source, (size_t)column, (market_time_format)config->time_format,
                               rows->time_ns, findings);
}

static gn_status read_price(const market_source *source, const role *wanted, const char *configured,
                            double *ret_price, gn_text *findings)
{
    int column;
    GN_TRY(find_column(source, wanted, configured, &column, findings));
    if (column == NONE)
        return missing(source, wanted,
                       wanted == &price_role
                           ? ""
                           : ", or for prices without OHLC pass --market.layout close-only");
    return market_source_numbers(source, (size_t)column, ret_price);
}

static gn_status read_prices(market_rows *rows, const market_source *source,
                             const market_config *config, gn_text *findings)
{
    if (config->layout == MARKET_CLOSE_ONLY) {
        GN_TRY(read_price(source, &price_role, config->close_column, rows->close, findings));
        for (double *const *price = (double *const[]){ rows->open, rows->high, rows->low, NULL };
             *price; price++)
            memcpy(*price, rows->close, rows->count * sizeof **price);
        return GN_OK;
    }
    GN_TRY(read_price(source, &open_role, config->open_column, rows->open, findings));
    GN_TRY(read_price(source, &high_role, config->high_column, rows->high, findings));
    GN_TRY(read_price(source, &low_role, config->low_column, rows->low, findings));
    GN_TRY(read_price(source, &close_role, config->close_column, rows->close, findings));
    for (size_t i = 0; i < market_source_columns(source); i++) {
        const char *name = market_source_name(source, i);
        if (is_named(name, "adj close") || is_named(name, "adj_close"))
            gn_text_append(findings,
                           "column %s is not used: prices are those of the close column, without "
                           "this adjustment\n",
                           name);
    }
    return GN_OK;
}

// --- Volume -------------------------------------------------------------------------------------

// Whether quote / base is a price of the bar: the mean price of a bar's trades lies between its low
// and its high (1 % is left for what the file rounded).
static bool is_mean_price(double quote, double base, double low, double high)
{
    return quote >= base * low * 0.99 && quote <= base * high * 1.01;
}

// Some sources exchange volume (in coins) and quote volume (in money) in a part of their rows.
static gn_status check_swapped(market_rows *rows, const market_source *source, int volume_column,
                               const market_config *config, gn_text *findings)
{
    int column;
    GN_TRY(find_column(source, &quote_role, "", &column, NULL));
    if (column == NONE || column == volume_column || market_source_is_void(source, (size_t)column))
        return GN_OK;
    double *quote;
    GN_TRY(gn_alloc(&quote, rows->count, sizeof *quote));
    gn_status status = market_source_numbers(source, (size_t)column, quote);
    uint64_t swapped = 0, first = 0;
    for (uint64_t i = 0; status == GN_OK && i < rows->count; i++) {
        double base = rows->volume[i];
        if (is_mean_price(quote[i], base, rows->low[i], rows->high[i]) ||
            !is_mean_price(base, quote[i], rows->low[i], rows->high[i]))
            continue;
        if (swapped++ == 0)
            first = i + 1;
        if (config->swapped_volume == MARKET_VOLUME_SWAP)
            rows->volume[i] = quote[i];
    }
    if (swapped)
        gn_text_append(findings,
                       "row %" PRIu64 ": %s and %s are exchanged here and in %" PRIu64
                       " rows in all; %s\n",
                       first, market_source_name(source, (size_t)volume_column),
                       market_source_name(source, (size_t)column), swapped,
                       config->swapped_volume == MARKET_VOLUME_SWAP
                           ? "exchanged back (market.swapped_volume)"
                           : "kept; --market.swapped_volume swap exchanges them back");
    gn_free(&quote);
    return status;
}

static gn_status read_volume(market_rows *rows, const market_source *source,
                             const market_config *config, gn_text *findings)
{
    int column;
    GN_TRY(find_column(source, &volume_role, config->volume_column, &column, findings));
    if (column == NONE || market_source_is_void(source, (size_t)column)) {
        gn_text_append(findings, "no volume: it is 0 in every bar\n");
        return GN_OK;
    }
    GN_TRY(market_source_numbers(source, (size_t)column, rows->volume));
    return check_swapped(rows, source, column, config, findings);
}

static gn_status read_rows(market_rows *rows, const market_source *source,
                           const market_config *config, gn_text *findings)
{
    GN_TRY(read_time(rows, source, config, findings));
    GN_TRY(read_prices(rows, source, config, findings));
    return read_volume(rows, source, config, findings);
}

gn_status market_import(market_rows *ret_rows, const char *path, const market_config *config,
                        gn_text *findings)
{
    market_source source;
    GN_TRY(market_source_open(&source, path));
    market_rows rows = { 0 };
    gn_status status = GN_OK;
    if (source.rows < 2)
        status = gn_fail(GN_ERR_EMPTY, "%s: %" PRIu64 " row%s of data; at least 2 are needed", path,
                         source.rows, gn_plural(source.rows));
    if (status == GN_OK)
        status = market_rows_create(&rows, source.rows);
    if (status == GN_OK)
        status = read_rows(&rows, &source, config, findings);
    market_source_close(&source);
    if (status == GN_OK)
        *ret_rows = rows;
    else
        market_rows_free(&rows);
    return status;
}
