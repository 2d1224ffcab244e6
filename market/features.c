// The feature matrix: parsing the list, computing columns into rows, the cache entry, export.

#include "market/features.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compress.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "market/cache.h"

// Part of each cache key: raise it when a formula changes.
static const char features_version[] = "gannet features 1";

enum { FEATURES_MAX = 64, NAME_SIZE = 48, PERIOD_MAX = 1000000 };

const gn_option market_features_options[] = {
    GN_OPTION_TEXT(market_features_config, list,
                   "return_1, return_4, return_16, return_64, volatility_16, rsi_14, macd, "
                   "bollinger_z_20, atr_percent_14, volume_z_64, hour_sin, hour_cos, week_sin, "
                   "week_cos",
                   "features the agent sees, comma separated; NAME_N is NAME over N bars"),
    { 0 },
};

// A column asked for.
typedef struct wanted_feature {
    const market_feature *feature;
    size_t period;
    char name[NAME_SIZE]; // in full: "return_1" also where the list says "return"
} wanted_feature;

struct market_features {
    market_features_view view;
    market_table table;
    wanted_feature wanted[FEATURES_MAX];
    const char *names[FEATURES_MAX];
    char hash[33];
};

// --- The list -----------------------------------------------------------------------------------

static const market_feature *find_feature(const char *name, size_t size)
{
    for (const market_feature *f = market_feature_table; f->name; f++)
        if (strlen(f->name) == size && memcmp(f->name, name, size) == 0)
            return f;
    return NULL;
}

static gn_status unknown_feature(const char *name)
{
    gn_text known = { 0 };
    for (const market_feature *f = market_feature_table; f->name; f++)
        gn_text_append(&known, "%s%s", f == market_feature_table ? "" : ", ", f->name);
    gn_status status = gn_fail(GN_ERR_CONFIG, "features.list: no feature \"%s\"; there are %s",
                               name, gn_text_data(&known));
    gn_text_free(&known);
    return status;
}

// "rsi_14" is feature `rsi` with period 14; without a number the period is the feature's default.
static gn_status parse_feature(wanted_feature *ret_wanted, const char *item)
{
    size_t size = strlen(item), digits = 0;
    while (digits < size && item[size - digits - 1] >= '0' && item[size - digits - 1] <= '9')
        digits++;
    bool has_period = digits > 0 && digits < size && item[size - digits - 1] == '_';
    const market_feature *feature = find_feature(item, has_period ? size - digits - 1 : size);
    if (!feature)
        return unknown_feature(item);
    if (has_period && feature->period == 0)
        return gn_fail(GN_ERR_CONFIG, "features.list: %s: %s takes no period", item, feature->name);
    double period = has_period ? strtod(item + size - digits, NULL) : (double)feature->period;
    if (has_period && (period < 1 || period > PERIOD_MAX))
        return gn_fail(GN_ERR_CONFIG, "features.list: %s: the period is outside 1 to %d", item,
                       PERIOD_MAX);
    ret_wanted->feature = feature;
    ret_wanted->period = (size_t)period;
    if (feature->period)
        snprintf(ret_wanted->name, NAME_SIZE, "%s_%zu", feature->name, ret_wanted->period);
    else
        snprintf(ret_wanted->name, NAME_SIZE, "%s", feature->name);
    return GN_OK;
}

static gn_status parse_list(market_features *features, const char *list)
{
    char copy[GN_OPTION_TEXT_SIZE], *rest;
    snprintf(copy, sizeof copy, "%s", list);
    uint32_t count = 0;
    for (char *item = strtok_r(copy, ", ", &rest); item; item = strtok_r(NULL, ", ", &rest)) {
        if (count == FEATURES_MAX)
            return gn_fail(GN_ERR_CONFIG, "features.list: more than %d features", FEATURES_MAX);
        wanted_feature *wanted = &features->wanted[count];
        GN_TRY(parse_feature(wanted, item));
        for (uint32_t i = 0; i < count; i++)
            if (strcmp(features->names[i], wanted->name) == 0)
                return gn_fail(GN_ERR_CONFIG, "features.list: %s stands there twice", wanted->name);
        features->names[count++] = wanted->name;
    }
    if (count == 0)
        return gn_fail(GN_ERR_CONFIG, "features.list: names no feature");
    features->view.names = features->names;
    features->view.columns = count;
    return GN_OK;
}

// --- The matrix ---------------------------------------------------------------------------------

// Rows before the first value of a column, all of which must be finite from there on.
static gn_status column_warmup(const double *column, uint64_t rows, const wanted_feature *wanted,
                               uint64_t *ret_warmup)
{
    uint64_t warmup = 0;
    while (warmup < rows && isnan(column[warmup]))
        warmup++;
    if (warmup == rows)
        return gn_fail(GN_ERR_EMPTY, "feature %s: %" PRIu64 " bars are not enough for one value",
                       wanted->name, rows);
    for (uint64_t t = warmup; t < rows; t++)
        if (!isfinite((float)column[t]))
            return gn_fail(GN_ERR_NUMERIC, "feature %s: row %" PRIu64 " is %g", wanted->name, t + 1,
                           column[t]);
    *ret_warmup = warmup;
    return GN_OK;
}

// Shapes: ret_matrix [rows, columns].
static gn_status compute_matrix(float *ret_matrix, uint64_t *ret_warmup,
                                const market_features *features, const market_bars_view *bars)
{
    double *column;
    GN_TRY(gn_alloc(&column, bars->count, sizeof *column));
    uint32_t columns = features->view.columns;
    uint64_t warmup = 0;
    gn_status status = GN_OK;
    for (uint32_t c = 0; status == GN_OK && c < columns; c++) {
        const wanted_feature *wanted = &features->wanted[c];
        status = wanted->feature->compute(bars, wanted->period, column);
        if (status == GN_ERR_ARG) // only a period can be wrong
            status = gn_fail_within(GN_ERR_CONFIG, "features.list");
        uint64_t before = 0;
        if (status == GN_OK)
            status = column_warmup(column, bars->count, wanted, &before);
        warmup = before > warmup ? before : warmup;
        for (uint64_t t = 0; t < bars->count; t++)
            ret_matrix[t * columns + c] = (float)column[t];
    }
    for (uint64_t i = 0; i < warmup * columns; i++)
        ret_matrix[i] = NAN;
    *ret_warmup = warmup;
    gn_free(&column);
    return status;
}

// --- The cache entry ----------------------------------------------------------------------------

static gn_status matrix_key(char ret_key[33], const market_features *features, const char *bars)
{
    gn_digest *digest;
    GN_TRY(gn_digest_create(&digest));
    gn_digest_add(digest, features_version, sizeof features_version);
    gn_digest_add(digest, bars, strlen(bars));
    for (uint32_t c = 0; c < features->view.columns; c++)
        gn_digest_add(digest, features->names[c], strlen(features->names[c]) + 1);
    gn_digest_text(digest, ret_key);
    gn_digest_destroy(&digest);
    return GN_OK;
}

static market_column matrix_column(const market_features *features, const float *data)
{
    return (market_column){ .name = "features",
                            .format = MARKET_FORMAT_FLOAT,
                            .width = features->view.columns,
                            .data = data };
}

// The note: the warm-up, then the columns' names for whoever opens the file with other tools.
static gn_status compute_to_cache(const char *cached, const market_features *features,
                                  const market_bars_view *bars)
{
    float *matrix;
    GN_TRY(gn_alloc(&matrix, bars->count, features->view.columns * sizeof *matrix));
    uint64_t warmup;
    gn_text note = { 0 };
    gn_status status = compute_matrix(matrix, &warmup, features, bars);
    if (status == GN_OK) {
        gn_text_append(&note, "warmup %" PRIu64 "\n", warmup);
        for (uint32_t c = 0; c < features->view.columns; c++)
            gn_text_append(&note, "%s\n", features->names[c]);
        status = gn_text_status(&note);
    }
    if (status == GN_OK) {
        market_column column = matrix_column(features, matrix);
        status = market_cache_write(cached, &column, 1, bars->count, gn_text_data(&note));
    }
    gn_text_free(&note);
    gn_free(&matrix);
    return status;
}

static gn_status map_cached(market_features *features, const char *cached)
{
    market_column column = matrix_column(features, NULL);
    GN_TRY(market_table_map(&features->table, cached, &column, 1));
    market_features_view *view = &features->view;
    if (sscanf(features->table.note, "warmup %" SCNu64, &view->warmup) != 1)
        return gn_fail(GN_ERR_CORRUPT, "%s: the note is not one of features", cached);
    view->rows = features->table.rows;
    view->data = features->table.column[0];
    view->hash = features->hash;
    return GN_OK;
}

static gn_status open_through_cache(market_features *features, const market_bars *bars,
                                    const market_features_config *config, const char *cache,
                                    const gn_log *log)
{
    const market_bars_view *view = market_bars_get(bars);
    char cached[GN_PATH_SIZE];
    GN_TRY(parse_list(features, config->list));
    GN_TRY(matrix_key(features->hash, features, view->hash));
    GN_TRY(market_cache_path(cached, cache, "features", features->hash));
    gn_status status = gn_path_exists(cached) ? map_cached(features, cached) : GN_ERR_NOT_FOUND;
    if (status == GN_ERR_CORRUPT)
        gn_log_warning(log, "%s; computed again", gn_error_text());
    if (status != GN_ERR_CORRUPT && status != GN_ERR_NOT_FOUND)
        return status;
    market_table_close(&features->table);
    GN_TRY(compute_to_cache(cached, features, view));
    GN_TRY(map_cached(features, cached));
    gn_log_info(log, "computed %" PRIu32 " features of %" PRIu64 " bars", features->view.columns,
                features->view.rows);
    return GN_OK;
}

gn_status market_features_open(market_features **ret_features, const market_bars *bars,
                               const market_features_config *config, const char *cache,
                               const gn_log *log)
{
    market_features *features;
    GN_TRY(gn_alloc(&features, 1, sizeof *features));
    gn_status status = open_through_cache(features, bars, config, cache, log);
    if (status == GN_OK)
        *ret_features = features;
    else
        market_features_destroy(&features);
    return status;
}

void market_features_destroy(market_features **features)
{
    if (!*features)
        return;
    market_table_close(&(*features)->table);
    gn_free(features);
}

const market_features_view *market_features_get(const market_features *features)
{
    return &features->view;
}

// --- Export -------------------------------------------------------------------------------------

gn_status market_features_write(const market_features *features, const market_bars *bars,
                                const char *path)
{
    const market_features_view *view = &features->view;
    uint64_t rows = view->rows - view->warmup;
    float *block;
    GN_TRY(gn_alloc(&block, rows, view->columns * sizeof *block));
    market_column columns[1 + FEATURES_MAX]; // the first is the time
    for (uint32_t c = 0; c < view->columns; c++) {
        float *column = block + c * rows;
        for (uint64_t t = 0; t < rows; t++)
            column[t] = view->data[(view->warmup + t) * view->columns + c];
        columns[1 + c] = (market_column){ .name = view->names[c],
                                          .format = MARKET_FORMAT_FLOAT,
                                          .data = column };
    }
    gn_status status = market_table_write_timed(path, market_bars_get(bars)->time_ns + view->warmup,
                                                columns, 1 + view->columns, rows);
    gn_free(&block);
    return status;
}
