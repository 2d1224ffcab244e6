// Table files: building and taking apart the structs of the Arrow C data interface.

#define _GNU_SOURCE // gettid

#include "market/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/compress.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "market/time_text.h"

static const char note_key[] = "gannet.note", digest_key[] = "gannet.digest";

// --- Writing ------------------------------------------------------------------------------------

static size_t column_bytes(const market_column *column, uint64_t rows)
{
    if (column->offsets)
        return (size_t)column->offsets[rows];
    if (strcmp(column->format, MARKET_FORMAT_BOOL) == 0)
        return (size_t)(rows + 7) / 8;
    static const char four_bytes[] = MARKET_FORMAT_FLOAT MARKET_FORMAT_INT32 MARKET_FORMAT_UINT32;
    size_t value_size = strpbrk(column->format, four_bytes) == column->format ? 4 : 8;
    return value_size * (column->width ? column->width : 1) * (size_t)rows;
}

static gn_status table_digest(char ret_text[33], const market_column *columns, size_t count,
                              uint64_t rows, const char *note)
{
    gn_digest *digest;
    GN_TRY(gn_digest_create(&digest));
    gn_digest_add(digest, note, strlen(note));
    for (size_t i = 0; i < count; i++)
        gn_digest_add(digest, columns[i].data, column_bytes(&columns[i], rows));
    gn_digest_text(digest, ret_text);
    gn_digest_destroy(&digest);
    return GN_OK;
}

// Everything lives in the frame of market_table_write, so there is nothing to release.
static void release_schema(struct ArrowSchema *schema)
{
    schema->release = NULL;
}

static void release_array(struct ArrowArray *array)
{
    array->release = NULL;
}

// One column as Arrow's structs; a list is a pair, the list and its values.
typedef struct arrow_column {
    struct ArrowSchema schema, value_schema, *schema_child;
    struct ArrowArray array, value_array, *array_child;
    const void *buffers[3], *value_buffers[2];
    char list_format[24];
} arrow_column;

static void describe_column(arrow_column *out, const market_column *column, int64_t rows)
{
    *out = (arrow_column){
        .schema = { .format = column->format, .name = column->name, .release = release_schema },
        .array = { .length = rows,
                   .n_buffers = column->offsets ? 3 : 2,
                   .buffers = out->buffers,
                   .release = release_array },
        .buffers = { NULL, column->offsets ? (const void *)column->offsets : column->data,
                     column->data },
    };
    if (column->width == 0)
        return;
    snprintf(out->list_format, sizeof out->list_format, "+w:%" PRIu32, column->width);
    out->value_schema = out->schema;
    out->value_schema.name = "item";
    out->schema.format = out->list_format;
    out->schema.n_children = 1;
    out->schema.children = &out->schema_child;
    out->schema_child = &out->value_schema;
    out->value_buffers[1] = column->data;
    out->value_array = out->array;
    out->value_array.length = rows * column->width;
    out->value_array.buffers = out->value_buffers;
    out->array.n_buffers = 1;
    out->array.n_children = 1;
    out->array.children = &out->array_child;
    out->array_child = &out->value_array;
}

static void append_metadata(gn_text *metadata, const char *key, const char *value)
{
    int32_t key_size = (int32_t)strlen(key), value_size = (int32_t)strlen(value);
    gn_text_append_bytes(metadata, &key_size, sizeof key_size);
    gn_text_append_bytes(metadata, key, (size_t)key_size);
    gn_text_append_bytes(metadata, &value_size, sizeof value_size);
    gn_text_append_bytes(metadata, value, (size_t)value_size);
}

static gn_status write_columns(const char *path, const market_column *columns, size_t count,
                               uint64_t rows, const char *metadata)
{
    arrow_column *column;
    GN_TRY(gn_alloc(&column, count, sizeof *column));
    struct ArrowSchema *schemas[MARKET_TABLE_COLUMNS];
    struct ArrowArray *arrays[MARKET_TABLE_COLUMNS];
    for (size_t i = 0; i < count; i++) {
        describe_column(&column[i], &columns[i], (int64_t)rows);
        schemas[i] = &column[i].schema;
        arrays[i] = &column[i].array;
    }
    struct ArrowSchema schema = { .format = "+s",
                                  .name = "",
                                  .metadata = metadata,
                                  .n_children = (int64_t)count,
                                  .children = schemas,
                                  .release = release_schema };
    const void *no_nulls = NULL;
    struct ArrowArray batch = { .length = (int64_t)rows,
                                .n_buffers = 1,
                                .buffers = &no_nulls,
                                .n_children = (int64_t)count,
                                .children = arrays,
                                .release = release_array };
    gn_status status = arrow_write(path, &schema, &batch);
    gn_free(&column);
    return status;
}

// A name beside `path`, with its ending, that no other writer uses: thread and instant.
static gn_status temporary_name(char *ret_name, const char *path)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
    int stem = (int)(dot && (!slash || dot > slash) ? (size_t)(dot - path) : strlen(path));
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int size = snprintf(ret_name, GN_PATH_SIZE, "%.*s.%d-%lld%09ld.tmp%s", stem, path,
                        (int)gettid(), (long long)now.tv_sec, now.tv_nsec, path + stem);
    if (size >= GN_PATH_SIZE)
        return gn_fail(GN_ERR_ARG, "%s: the path is too long", path);
    return GN_OK;
}

gn_status market_table_check_path(const char *path)
{
    static const char *const endings[] = { ".csv", ".parquet", ".arrow" };
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
        if (strcasecmp(dot, endings[i]) == 0)
            return GN_OK;
    return gn_fail(GN_ERR_ARG, "'%s' does not end with .csv, .parquet or .arrow", path);
}

gn_status market_table_write(const char *path, const market_column *columns, size_t count,
                             uint64_t rows, const char *note)
{
    if (count > MARKET_TABLE_COLUMNS)
        return gn_fail(GN_ERR_ARG, "%s: %zu columns; at most %d are possible", path, count,
                       MARKET_TABLE_COLUMNS);
    char temporary[GN_PATH_SIZE], digest[33];
    GN_TRY(market_table_check_path(path));
    GN_TRY(temporary_name(temporary, path));
    GN_TRY(table_digest(digest, columns, count, rows, note));
    gn_text metadata = { 0 };
    const int32_t pairs = 2;
    gn_text_append_bytes(&metadata, &pairs, sizeof pairs);
    append_metadata(&metadata, note_key, note);
    append_metadata(&metadata, digest_key, digest);
    gn_status status = gn_text_status(&metadata);
    if (status == GN_OK)
        status = write_columns(temporary, columns, count, rows, gn_text_data(&metadata));
    gn_text_free(&metadata);
    if (status == GN_OK)
        status = gn_path_rename(temporary, path);
    if (status == GN_OK)
        return GN_OK;
    (void)unlink(temporary);
    return gn_fail_within(status, "cannot write %s", path);
}

// ISO 8601 texts one after the other, as a text column.
static gn_status format_times(char **ret_texts, int32_t *ret_offsets, const int64_t *time_ns,
                              uint64_t rows)
{
    enum { LONGEST = sizeof "2020-01-01T00:00:00.000000000Z" };
    if (rows > INT32_MAX / LONGEST)
        return gn_fail(GN_ERR_UNSUPPORTED,
                       "%" PRIu64 " rows are too many for one .csv; use "
                       ".parquet",
                       rows);
    char *texts;
    GN_TRY(gn_alloc(&texts, rows + 1, LONGEST));
    for (uint64_t t = 0; t < rows; t++) {
        char text[40];
        market_time_format_iso(time_ns[t], text);
        size_t size = strlen(text);
        memcpy(texts + ret_offsets[t], text, size);
        ret_offsets[t + 1] = ret_offsets[t] + (int32_t)size;
    }
    *ret_texts = texts;
    return GN_OK;
}

gn_status market_table_write_timed(const char *path, const int64_t *time_ns, market_column *columns,
                                   size_t count, uint64_t rows)
{
    columns[0] = (market_column){ .name = "time", .format = MARKET_FORMAT_TIME, .data = time_ns };
    const char *ending = strrchr(path, '.');
    if (!ending || strcasecmp(ending, ".csv") != 0)
        return market_table_write(path, columns, count, rows, "");
    int32_t *offsets;
    char *texts = NULL;
    GN_TRY(gn_alloc(&offsets, rows + 1, sizeof *offsets));
    gn_status status = format_times(&texts, offsets, time_ns, rows);
    if (status == GN_OK) {
        columns[0] = (market_column){
            .name = "time", .format = MARKET_FORMAT_TEXT, .data = texts, .offsets = offsets
        };
        status = market_table_write(path, columns, count, rows, "");
    }
    gn_free(&texts);
    gn_free(&offsets);
    return status;
}

// --- Mapping ------------------------------------------------------------------------------------

// The value of `key` in Arrow's binary metadata as a string, "" if it is not there.
static gn_status copy_metadata(char **ret_value, const char *metadata, const char *key)
{
    gn_text value = { 0 };
    int32_t pairs = 0, size;
    if (metadata) {
        memcpy(&pairs, metadata, sizeof pairs);
        metadata += sizeof pairs;
    }
    for (; pairs > 0; pairs--) {
        memcpy(&size, metadata, sizeof size);
        metadata += sizeof size;
        bool wanted = (size_t)size == strlen(key) && memcmp(metadata, key, (size_t)size) == 0;
        metadata += size;
        memcpy(&size, metadata, sizeof size);
        metadata += sizeof size;
        if (wanted)
            gn_text_append_bytes(&value, metadata, (size_t)size);
        metadata += size;
    }
    gn_status status = gn_text_status(&value);
    if (status == GN_OK)
        status = gn_copy_text(ret_value, gn_text_data(&value));
    gn_text_free(&value);
    return status;
}

static bool schema_matches(const struct ArrowSchema *schema, const market_column *columns,
                           size_t count)
{
    if (strcmp(schema->format, "+s") != 0 || schema->n_children != (int64_t)count)
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct ArrowSchema *child = schema->children[i];
        arrow_column wanted;
        describe_column(&wanted, &columns[i], 0);
        if (strcmp(child->name, columns[i].name) != 0 || child->dictionary ||
            strcmp(child->format, wanted.schema.format) != 0)
            return false;
        if (columns[i].width && strcmp(child->children[0]->format, columns[i].format) != 0)
            return false;
    }
    return true;
}

// The values of a column whose schema matched; NULL if they do not lie there plainly.
static const void *column_values(const struct ArrowArray *array, int64_t rows, uint32_t width)
{
    if (array->length != rows || array->offset != 0 || array->null_count != 0)
        return NULL;
    if (width == 0)
        return array->buffers[1];
    return column_values(array->children[0], rows * width, 0);
}

static gn_status check_table(market_table *table, const struct ArrowSchema *schema,
                             const char *path, const market_column *columns, size_t count)
{
    if (!table->batch.release || !schema_matches(schema, columns, count))
        return gn_fail(GN_ERR_CORRUPT, "%s: not the table it should be", path);
    market_column found[MARKET_TABLE_COLUMNS];
    table->rows = (uint64_t)table->batch.length;
    for (size_t i = 0; i < count; i++) {
        found[i] = columns[i];
        found[i].data = table->column[i] =
            column_values(table->batch.children[i], table->batch.length, columns[i].width);
        if (!found[i].data)
            return gn_fail(GN_ERR_CORRUPT, "%s: column %s is not whole", path, columns[i].name);
    }
    char *expected, digest[33];
    GN_TRY(copy_metadata(&table->note, schema->metadata, note_key));
    GN_TRY(copy_metadata(&expected, schema->metadata, digest_key));
    gn_status status = table_digest(digest, found, count, table->rows, table->note);
    if (status == GN_OK && strcmp(digest, expected) != 0)
        status = gn_fail(GN_ERR_CORRUPT, "%s: the contents do not have their checksum", path);
    gn_free(&expected);
    return status;
}

gn_status market_table_map(market_table *ret_table, const char *path, const market_column *columns,
                           size_t count)
{
    struct ArrowArrayStream stream;
    gn_status status = arrow_map(&stream, path);
    if (status == GN_ERR_FORMAT || status == GN_ERR_IO)
        return gn_fail_within(GN_ERR_CORRUPT, "damaged");
    GN_TRY(status);
    market_table table = { 0 };
    struct ArrowSchema schema = { 0 };
    if (stream.get_schema(&stream, &schema) != 0 || stream.get_next(&stream, &table.batch) != 0)
        status = gn_fail(GN_ERR_CORRUPT, "%s: %s", path, stream.get_last_error(&stream));
    if (status == GN_OK)
        status = check_table(&table, &schema, path, columns, count);
    if (schema.release)
        schema.release(&schema);
    stream.release(&stream);
    if (status == GN_OK)
        *ret_table = table;
    else
        market_table_close(&table);
    return status;
}

void market_table_close(market_table *table)
{
    if (table->batch.release)
        table->batch.release(&table->batch);
    gn_free(&table->note);
    *table = (market_table){ 0 };
}
