// Bars: options, the cache entry of a file, and the object that holds mapped or copied columns.

#include "market/bars.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "market/cache.h"
#include "market/calendar.h"
#include "market/import.h"
#include "market/table.h"
#include "market/time_text.h"

// Part of each cache key: raise it when import gives other columns, findings or notes.
static const char import_version[] = "gannet bars 1";

static const char *const layouts[] = { "ohlcv", "close-only", NULL };
static const char *const time_formats[] = { "auto", "iso",  "day-first", "month-first",
                                            "unix", "none", NULL };
static const char *const swapped_volumes[] = { "keep", "swap", NULL };

const gn_option market_options[] = {
    GN_OPTION_TEXT(market_config, cache, "",
                   "folder of imported data; empty is $XDG_CACHE_HOME/gannet or ~/.cache/gannet"),
    GN_OPTION_CHOICE(market_config, layout, "ohlcv", layouts, "prices the file has"),
    GN_OPTION_CHOICE(market_config, time_format, "auto", time_formats,
                     "how times are written; auto asks where 3/4/2024 stays ambiguous"),
    GN_OPTION_TEXT(market_config, time_column, "", "time column; empty finds it by name"),
    GN_OPTION_TEXT(market_config, open_column, "", "open column; empty finds it by name"),
    GN_OPTION_TEXT(market_config, high_column, "", "high column; empty finds it by name"),
    GN_OPTION_TEXT(market_config, low_column, "", "low column; empty finds it by name"),
    GN_OPTION_TEXT(market_config, close_column, "", "close column; empty finds it by name"),
    GN_OPTION_TEXT(market_config, volume_column, "", "volume column; empty finds it by name"),
    GN_OPTION_CHOICE(market_config, swapped_volume, "keep", swapped_volumes,
                     "rows in which volume and quote volume are exchanged: keep or swap back"),
    GN_OPTION_REAL(market_config, spacing, "86400", 1e-3, 1e9,
                   "seconds between bars where time_format is none"),
    GN_OPTION_REAL(market_config, bars_per_year, "0", 0, 1e9,
                   "bars a year for annualisation; 0 derives it from spacing and opening hours"),
    { 0 },
};

enum { TIME, OPEN, HIGH, LOW, CLOSE, VOLUME, COLUMNS };

static const market_column bars_columns[COLUMNS] = {
    [TIME] = { .name = "time", .format = MARKET_FORMAT_TIME },
    [OPEN] = { .name = "open", .format = MARKET_FORMAT_DOUBLE },
    [HIGH] = { .name = "high", .format = MARKET_FORMAT_DOUBLE },
    [LOW] = { .name = "low", .format = MARKET_FORMAT_DOUBLE },
    [CLOSE] = { .name = "close", .format = MARKET_FORMAT_DOUBLE },
    [VOLUME] = { .name = "volume", .format = MARKET_FORMAT_DOUBLE },
};

struct market_bars {
    market_bars_view view;
    market_table table; // the columns' home if mapped,
    market_rows rows; // if made in memory
    char hash[33];
    char cached[GN_PATH_SIZE];
    char *findings_text;
    market_finding *findings;
    size_t finding_count;
};

// --- What is known about columns beside their values --------------------------------------------

// Everything import derives, kept as the note of the cache entry: the head below, then one finding
// a line.
typedef struct facts {
    char hash[33];
    int close_only;
    int64_t spacing_ns;
    double bars_per_year;
} facts;

static const char facts_format[] =
    "hash %s\nclose_only %d\nspacing_ns %" PRId64 "\nbars_per_year %.17g\n";

static gn_status hash_rows(char ret_hash[33], const market_rows *rows)
{
    gn_digest *digest;
    GN_TRY(gn_digest_create(&digest));
    gn_digest_add(digest, rows->time_ns, rows->count * sizeof *rows->time_ns);
    const double *const price[] = { rows->open, rows->high, rows->low, rows->close, rows->volume };
    for (size_t c = 0; c < sizeof price / sizeof *price; c++)
        gn_digest_add(digest, price[c], rows->count * sizeof *price[c]);
    gn_digest_text(digest, ret_hash);
    gn_digest_destroy(&digest);
    return GN_OK;
}

// Checks the rows and derives the facts about them.
static gn_status examine(facts *ret_facts, market_rows *rows, const char *name,
                         const market_config *config, bool close_only, gn_text *findings)
{
    facts found = { .close_only = close_only, .bars_per_year = config->bars_per_year };
    GN_TRY(market_validate(rows, name, findings));
    GN_TRY(market_calendar_spacing(rows->time_ns, rows->count, &found.spacing_ns));
    market_gaps gaps = market_calendar_gaps(rows->time_ns, rows->count, found.spacing_ns);
    if (gaps.count) {
        char spacing[32], longest[32], time[40];
        market_time_format_span(found.spacing_ns, spacing);
        market_time_format_span(gaps.largest_ns, longest);
        market_time_format_iso(rows->time_ns[gaps.first], time);
        gn_text_append(findings,
                       "%" PRIu64 " gap%s: steps above the spacing of %s, the longest %s, "
                       "the first before %s\n",
                       gaps.count, gn_plural(gaps.count), spacing, longest, time);
    }
    if (found.bars_per_year == 0)
        GN_TRY(market_calendar_bars_per_year(rows->time_ns, rows->count, found.spacing_ns,
                                             &found.bars_per_year, findings));
    GN_TRY(hash_rows(found.hash, rows));
    *ret_facts = found;
    return gn_text_status(findings);
}

// --- The object ---------------------------------------------------------------------------------

static gn_status adopt_findings(market_bars *bars, const char *lines)
{
    GN_TRY(gn_copy_text(&bars->findings_text, lines));
    size_t count = 0;
    for (const char *c = lines; *c; c++)
        count += *c == '\n';
    GN_TRY(gn_alloc(&bars->findings, count, sizeof *bars->findings));
    char *rest;
    for (char *line = strtok_r(bars->findings_text, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest))
        bars->findings[bars->finding_count++].text = line;
    return GN_OK;
}

static void adopt_facts(market_bars *bars, const facts *known)
{
    memcpy(bars->hash, known->hash, sizeof bars->hash);
    bars->view.hash = bars->hash;
    bars->view.close_only = known->close_only;
    bars->view.spacing_ns = known->spacing_ns;
    bars->view.bars_per_year = known->bars_per_year;
}

static void view_columns(market_bars_view *view, uint64_t count, const void *const *column)
{
    view->count = count;
    view->time_ns = column[TIME];
    view->open = column[OPEN];
    view->high = column[HIGH];
    view->low = column[LOW];
    view->close = column[CLOSE];
    view->volume = column[VOLUME];
}

void market_bars_destroy(market_bars **bars)
{
    if (!*bars)
        return;
    market_table_close(&(*bars)->table);
    market_rows_free(&(*bars)->rows);
    gn_free(&(*bars)->findings_text);
    gn_free(&(*bars)->findings);
    gn_free(bars);
}

const market_bars_view *market_bars_get(const market_bars *bars)
{
    return &bars->view;
}

const char *market_bars_cached(const market_bars *bars)
{
    return bars->cached;
}

size_t market_bars_findings(const market_bars *bars, const market_finding **ret_findings)
{
    *ret_findings = bars->findings;
    return bars->finding_count;
}

// --- From memory --------------------------------------------------------------------------------

static gn_status fill_from_memory(market_bars *bars, const char *name, const market_config *config,
                                  const market_rows *given)
{
    GN_TRY(market_rows_create(&bars->rows, given->count));
    market_rows *rows = &bars->rows;
    const double *close = given->close;
    memcpy(rows->time_ns, given->time_ns, given->count * sizeof *rows->time_ns);
    memcpy(rows->open, given->open ? given->open : close, given->count * sizeof *close);
    memcpy(rows->high, given->high ? given->high : close, given->count * sizeof *close);
    memcpy(rows->low, given->low ? given->low : close, given->count * sizeof *close);
    memcpy(rows->close, close, given->count * sizeof *close);
    if (given->volume)
        memcpy(rows->volume, given->volume, given->count * sizeof *close);
    gn_text findings = { 0 };
    facts found;
    gn_status status = examine(&found, rows, name, config, !given->open, &findings);
    if (status == GN_OK)
        status = adopt_findings(bars, gn_text_data(&findings));
    gn_text_free(&findings);
    GN_TRY(status);
    adopt_facts(bars, &found);
    view_columns(&bars->view, rows->count,
                 (const void *[]){ rows->time_ns, rows->open, rows->high, rows->low, rows->close,
                                   rows->volume });
    return GN_OK;
}

gn_status market_bars_create(market_bars **ret_bars, const char *name, uint64_t count,
                             const int64_t *time_ns, const double *open, const double *high,
                             const double *low, const double *close, const double *volume,
                             const market_config *config)
{
    if (count < 2)
        return gn_fail(GN_ERR_EMPTY, "%s: %" PRIu64 " bar%s; at least 2 are needed", name, count,
                       gn_plural(count));
    if (!time_ns || !close || !open != !high || !open != !low)
        return gn_fail(GN_ERR_ARG,
                       "%s: time_ns and close must be there, and open, high, low all "
                       "three or none",
                       name);
    const market_rows given = { count,         (int64_t *)time_ns, (double *)open,  (double *)high,
                                (double *)low, (double *)close,    (double *)volume };
    market_bars *bars;
    GN_TRY(gn_alloc(&bars, 1, sizeof *bars));
    gn_status status = fill_from_memory(bars, name, config, &given);
    if (status == GN_OK)
        *ret_bars = bars;
    else
        market_bars_destroy(&bars);
    return status;
}

// --- From a file, through the cache -------------------------------------------------------------

// Digest of all that decides what an import gives: the file's bytes, how it is read, this code.
static gn_status cache_key(char ret_key[33], const char *path, const market_config *config)
{
    gn_text reading = { 0 };
    const char *ending = strrchr(path, '.');
    gn_text_append(&reading, "%s\n%s\n", import_version, ending ? ending : "");
    for (const gn_option *option = market_options; option->key; option++) {
        if (strcmp(option->key, "cache") == 0)
            continue;
        gn_option_format(&reading, option, (const char *)config + option->offset);
        gn_text_append(&reading, "\n");
    }
    gn_digest *digest = NULL;
    gn_status status = gn_text_status(&reading);
    if (status == GN_OK)
        status = gn_digest_create(&digest);
    if (status == GN_OK) {
        gn_digest_add(digest, reading.data, reading.size);
        status = market_cache_add_file(digest, path);
    }
    if (status == GN_OK)
        gn_digest_text(digest, ret_key);
    gn_digest_destroy(&digest);
    gn_text_free(&reading);
    return status;
}

static gn_status import_to_cache(const char *cached, const char *path, const market_config *config,
                                 const gn_log *log)
{
    market_rows rows = { 0 };
    gn_text findings = { 0 }, note = { 0 };
    facts found;
    gn_status status = market_import(&rows, path, config, &findings);
    if (status == GN_OK)
        status =
            examine(&found, &rows, path, config, config->layout == MARKET_CLOSE_ONLY, &findings);
    if (status == GN_OK) {
        gn_text_append(&note, facts_format, found.hash, found.close_only, found.spacing_ns,
                       found.bars_per_year);
        gn_text_append(&note, "%s", gn_text_data(&findings));
        status = gn_text_status(&note);
    }
    if (status == GN_OK) {
        market_column columns[COLUMNS];
        memcpy(columns, bars_columns, sizeof columns);
        const void *data[] = {
            rows.time_ns, rows.open, rows.high, rows.low, rows.close, rows.volume
        };
        for (size_t c = 0; c < COLUMNS; c++)
            columns[c].data = data[c];
        status = market_cache_write(cached, columns, COLUMNS, rows.count, gn_text_data(&note));
    }
    if (status == GN_OK)
        gn_log_info(log, "%s: imported %" PRIu64 " bars", path, rows.count);
    market_rows_free(&rows);
    gn_text_free(&note);
    gn_text_free(&findings);
    return status;
}

// Opens a cache entry.  Errors: GN_ERR_NOT_FOUND, GN_ERR_CORRUPT.
static gn_status map_cached(market_bars *bars, const char *cached)
{
    GN_TRY(market_table_map(&bars->table, cached, bars_columns, COLUMNS));
    facts known;
    int head = 0;
    if (sscanf(bars->table.note,
               "hash %32s close_only %d spacing_ns %" SCNd64 " bars_per_year %lf%n", known.hash,
               &known.close_only, &known.spacing_ns, &known.bars_per_year, &head) != 4)
        return gn_fail(GN_ERR_CORRUPT, "%s: the note is not one of bars", cached);
    GN_TRY(adopt_findings(bars, bars->table.note + head + 1));
    adopt_facts(bars, &known);
    view_columns(&bars->view, bars->table.rows, bars->table.column);
    return GN_OK;
}

static gn_status open_through_cache(market_bars *bars, const char *path,
                                    const market_config *config, const gn_log *log)
{
    char key[33], *cached = bars->cached;
    GN_TRY(cache_key(key, path, config));
    GN_TRY(market_cache_path(cached, config->cache, "bars", key));
    gn_status status = gn_path_exists(cached) ? map_cached(bars, cached) : GN_ERR_NOT_FOUND;
    if (status == GN_ERR_CORRUPT)
        gn_log_warning(log, "%s; imported again", gn_error_text());
    if (status != GN_ERR_CORRUPT && status != GN_ERR_NOT_FOUND)
        return status;
    market_table_close(&bars->table);
    GN_TRY(import_to_cache(cached, path, config, log));
    GN_TRY(map_cached(bars, cached));
    for (size_t i = 0; i < bars->finding_count; i++)
        gn_log_warning(log, "%s: %s", path, bars->findings[i].text);
    return GN_OK;
}

gn_status market_bars_open(market_bars **ret_bars, const char *path, const market_config *config,
                           const gn_log *log)
{
    market_bars *bars;
    GN_TRY(gn_alloc(&bars, 1, sizeof *bars));
    gn_status status = open_through_cache(bars, path, config, log);
    if (status == GN_OK)
        *ret_bars = bars;
    else
        market_bars_destroy(&bars);
    return status;
}
