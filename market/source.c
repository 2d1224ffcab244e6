// Columns of a data file: Arrow's types to doubles and nanoseconds. Types Arrow recognised are
// converted; text is parsed here, because only here the ambiguity of 3/4/2024 can be decided from
// all rows.

#include "market/source.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "market/time_text.h"

static const int64_t second_ns = 1000000000;

// --- The file -----------------------------------------------------------------------------------

static gn_status collect_batches(market_source *source, struct ArrowArrayStream *stream)
{
    for (size_t capacity = 0;; source->batch_count++) {
        if (source->batch_count == capacity) {
            size_t larger = capacity ? 2 * capacity : 8;
            GN_TRY(gn_grow(&source->batches, capacity, larger, sizeof *source->batches));
            capacity = larger;
        }
        struct ArrowArray *batch = &source->batches[source->batch_count];
        if (stream->get_next(stream, batch) != 0)
            return gn_fail(GN_ERR_FORMAT, "%s: %s", source->path, stream->get_last_error(stream));
        if (!batch->release)
            return GN_OK;
        source->rows += (uint64_t)batch->length;
    }
}

gn_status market_source_open(market_source *ret_source, const char *path)
{
    struct ArrowArrayStream stream;
    GN_TRY(arrow_read(&stream, path, NULL));
    market_source source = { .path = path };
    gn_status status = GN_OK;
    if (stream.get_schema(&stream, &source.schema) != 0)
        status = gn_fail(GN_ERR_FORMAT, "%s: %s", path, stream.get_last_error(&stream));
    if (status == GN_OK)
        status = collect_batches(&source, &stream);
    stream.release(&stream);
    if (status == GN_OK)
        *ret_source = source;
    else
        market_source_close(&source);
    return status;
}

void market_source_close(market_source *source)
{
    for (size_t i = 0; i < source->batch_count; i++)
        source->batches[i].release(&source->batches[i]);
    gn_free(&source->batches);
    if (source->schema.release)
        source->schema.release(&source->schema);
    *source = (market_source){ 0 };
}

size_t market_source_columns(const market_source *source)
{
    return (size_t)source->schema.n_children;
}

const char *market_source_name(const market_source *source, size_t column)
{
    return source->schema.children[column]->name;
}

// A column's Arrow format; "?" for the dictionary-encoded, whose own format is that of the index.
static const char *column_format(const market_source *source, size_t column)
{
    const struct ArrowSchema *schema = source->schema.children[column];
    return schema->dictionary ? "?" : schema->format;
}

static bool is_null(const struct ArrowArray *array, int64_t i)
{
    const uint8_t *valid = array->n_buffers > 0 ? array->buffers[0] : NULL;
    int64_t bit = array->offset + i;
    return valid && !(valid[bit / 8] >> bit % 8 & 1);
}

bool market_source_is_void(const market_source *source, size_t column)
{
    if (strcmp(column_format(source, column), "n") == 0)
        return true;
    for (size_t b = 0; b < source->batch_count; b++)
        for (int64_t i = 0; i < source->batches[b].length; i++)
            if (!is_null(source->batches[b].children[column], i))
                return false;
    return true;
}

static gn_status check_no_nulls(const market_source *source, size_t column)
{
    bool all_null = strcmp(column_format(source, column), "n") == 0;
    uint64_t row = 1;
    for (size_t b = 0; b < source->batch_count; b++)
        for (int64_t i = 0; i < source->batches[b].length; i++, row++)
            if (all_null || is_null(source->batches[b].children[column], i))
                return gn_fail(GN_ERR_FORMAT, "%s: row %" PRIu64 ": %s is missing", source->path,
                               row, market_source_name(source, column));
    return GN_OK;
}

// --- Text ---------------------------------------------------------------------------------------

typedef struct text_value {
    const char *data;
    size_t size;
} text_value;

static bool is_text(const char *format)
{
    return strcmp(format, "u") == 0 || strcmp(format, "U") == 0;
}

// Without the blanks in front of it, which many files have after each comma.
static text_value text_at(const struct ArrowArray *array, const char *format, int64_t i)
{
    const char *bytes = array->buffers[2];
    int64_t at = array->offset + i;
    text_value text;
    if (format[0] == 'u') {
        const int32_t *offset = array->buffers[1];
        text = (text_value){ bytes + offset[at], (size_t)(offset[at + 1] - offset[at]) };
    } else {
        const int64_t *offset = array->buffers[1];
        text = (text_value){ bytes + offset[at], (size_t)(offset[at + 1] - offset[at]) };
    }
    for (; text.size > 0 && text.data[0] == ' '; text.size--)
        text.data++;
    return text;
}

// Calls `parse` on the texts of a column in order; returns the rows before the first it refuses,
// whose text is then in ret_refused (may be NULL).
static uint64_t parse_texts(const market_source *source, size_t column, void *ret_values,
                            bool (*parse)(text_value, uint64_t row, void *ret_values),
                            text_value *ret_refused)
{
    const char *format = column_format(source, column);
    uint64_t row = 0;
    for (size_t b = 0; b < source->batch_count; b++)
        for (int64_t i = 0; i < source->batches[b].length; i++, row++) {
            text_value text = text_at(source->batches[b].children[column], format, i);
            if (parse(text, row, ret_values))
                continue;
            if (ret_refused)
                *ret_refused = text;
            return row;
        }
    return row;
}

static gn_status refuse_text(const market_source *source, size_t column, uint64_t row,
                             text_value text, const char *wanted)
{
    int shown = text.size < 40 ? (int)text.size : 40;
    return gn_fail(GN_ERR_FORMAT, "%s: row %" PRIu64 ": %s \"%.*s\" is not %s", source->path,
                   row + 1, market_source_name(source, column), shown, text.data, wanted);
}

// --- Numbers ------------------------------------------------------------------------------------

static bool parse_number(text_value text, uint64_t row, void *ret_values)
{
    char copy[64], *end;
    if (text.size == 0 || text.size >= sizeof copy)
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    // strtod would also take hexadecimal digits and stop at a NUL as if the text ended there.
    if (strspn(copy, "0123456789+-.eE") != text.size)
        return false;
    ((double *)ret_values)[row] = strtod(copy, &end);
    return *end == '\0';
}

// Converts one array of a plain numeric type; false if the type is none.
static bool convert_numbers(const struct ArrowArray *array, const char *format, double *ret_values)
{
    if (format[0] == '\0' || format[1] != '\0')
        return false;
#define CONVERT(code, type) \
    case code: \
        for (int64_t i = 0; i < array->length; i++) \
            ret_values[i] = (double)((const type *)array->buffers[1])[array->offset + i]; \
        return true
    switch (format[0]) {
        CONVERT('c', int8_t);
        CONVERT('C', uint8_t);
        CONVERT('s', int16_t);
        CONVERT('S', uint16_t);
        CONVERT('i', int32_t);
        CONVERT('I', uint32_t);
        CONVERT('l', int64_t);
        CONVERT('L', uint64_t);
        CONVERT('f', float);
        CONVERT('g', double);
    default:
        return false;
    }
#undef CONVERT
}

gn_status market_source_numbers(const market_source *source, size_t column, double *ret_values)
{
    const char *format = column_format(source, column);
    GN_TRY(check_no_nulls(source, column));
    if (is_text(format)) {
        text_value refused = { 0 };
        uint64_t row = parse_texts(source, column, ret_values, parse_number, &refused);
        if (row < source->rows)
            return refuse_text(source, column, row, refused, "a number");
        return GN_OK;
    }
    for (size_t b = 0; b < source->batch_count; b++) {
        if (!convert_numbers(source->batches[b].children[column], format, ret_values))
            return gn_fail(GN_ERR_FORMAT, "%s: column %s holds no numbers (its Arrow type is %s)",
                           source->path, market_source_name(source, column), format);
        ret_values += source->batches[b].length;
    }
    return GN_OK;
}

// --- Times --------------------------------------------------------------------------------------

static bool parse_iso(text_value text, uint64_t row, void *ret_values)
{
    return market_time_parse(text.data, text.size, MARKET_YEAR_FIRST, (int64_t *)ret_values + row);
}

static bool parse_day_first(text_value text, uint64_t row, void *ret_values)
{
    return market_time_parse(text.data, text.size, MARKET_DAY_FIRST, (int64_t *)ret_values + row);
}

static bool parse_month_first(text_value text, uint64_t row, void *ret_values)
{
    return market_time_parse(text.data, text.size, MARKET_MONTH_FIRST, (int64_t *)ret_values + row);
}

// Dates of three numbers without the year in front: some row must prove which is the day.
static gn_status guess_order(const market_source *source, size_t column, int64_t *ret_time_ns,
                             gn_text *findings)
{
    const char *name = market_source_name(source, column);
    text_value day_refused = { 0 }, month_refused = { 0 };
    uint64_t month_rows =
        parse_texts(source, column, ret_time_ns, parse_month_first, &month_refused);
    uint64_t day_rows = parse_texts(source, column, ret_time_ns, parse_day_first, &day_refused);
    if (day_rows < source->rows && month_rows < source->rows)
        return day_rows > month_rows
                   ? refuse_text(source, column, day_rows, day_refused, "a time")
                   : refuse_text(source, column, month_rows, month_refused, "a time");
    if (day_rows == month_rows)
        return gn_fail(GN_ERR_FORMAT,
                       "%s: column %s: no row tells day from month; pass --market.time_format "
                       "day-first or month-first",
                       source->path, name);
    if (day_rows == source->rows) {
        gn_text_append(findings, "row %" PRIu64 ": %s is day-first, which this row proves\n",
                       month_rows + 1, name);
        return GN_OK;
    }
    parse_texts(source, column, ret_time_ns, parse_month_first, NULL);
    gn_text_append(findings, "row %" PRIu64 ": %s is month-first, which this row proves\n",
                   day_rows + 1, name);
    return GN_OK;
}

static gn_status times_from_text(const market_source *source, size_t column,
                                 market_time_format format, int64_t *ret_time_ns, gn_text *findings)
{
    text_value refused = { 0 };
    uint64_t rows = 0;
    const char *wanted = "a time";
    switch (format) {
    case MARKET_TIME_AUTO:
        rows = parse_texts(source, column, ret_time_ns, parse_iso, &refused);
        if (rows == 0)
            return guess_order(source, column, ret_time_ns, findings);
        break;
    case MARKET_TIME_ISO:
        rows = parse_texts(source, column, ret_time_ns, parse_iso, &refused);
        wanted = "a time with the year first";
        break;
    case MARKET_TIME_DAY_FIRST:
        rows = parse_texts(source, column, ret_time_ns, parse_day_first, &refused);
        wanted = "a day-first time";
        break;
    case MARKET_TIME_MONTH_FIRST:
        rows = parse_texts(source, column, ret_time_ns, parse_month_first, &refused);
        wanted = "a month-first time";
        break;
    default:
        return gn_fail(GN_ERR_FORMAT,
                       "%s: column %s holds text, which market.time_format unix does not read",
                       source->path, market_source_name(source, column));
    }
    if (rows < source->rows)
        return refuse_text(source, column, rows, refused, wanted);
    return GN_OK;
}

// Nanoseconds in a unit of Unix time, told by the magnitude of a value of our era.
static int64_t unix_unit(double magnitude)
{
    return magnitude < 1e11 ? second_ns : magnitude < 1e14 ? 1000000 : magnitude < 1e17 ? 1000 : 1;
}

// Counts of `unit` nanoseconds since 1970 in an integer or floating-point column.
static gn_status times_from_counts(const market_source *source, size_t column, int64_t unit,
                                   int64_t *ret_time_ns)
{
    const char *format = column_format(source, column);
    bool narrow = strcmp(format, "i") == 0 || strcmp(format, "tdD") == 0;
    bool real = strcmp(format, "g") == 0;
    uint64_t row = 0;
    for (size_t b = 0; b < source->batch_count; b++) {
        const struct ArrowArray *array = source->batches[b].children[column];
        for (int64_t i = 0; i < array->length; i++, row++) {
            int64_t at = array->offset + i;
            double count = real ? ((const double *)array->buffers[1])[at] : 0;
            int64_t whole = real     ? (fabs(count) < 9e18 ? (int64_t)floor(count) : INT64_MAX)
                            : narrow ? ((const int32_t *)array->buffers[1])[at]
                                     : ((const int64_t *)array->buffers[1])[at];
            int64_t part = real ? llround((count - floor(count)) * (double)unit) : 0;
            if (__builtin_mul_overflow(whole, unit, &ret_time_ns[row]) ||
                __builtin_add_overflow(ret_time_ns[row], part, &ret_time_ns[row]))
                return gn_fail(GN_ERR_FORMAT,
                               "%s: row %" PRIu64 ": %s lies outside the years 1678 to 2261",
                               source->path, row + 1, market_source_name(source, column));
        }
    }
    return GN_OK;
}

static gn_status times_from_unix(const market_source *source, size_t column,
                                 market_time_format format, int64_t *ret_time_ns)
{
    // A date such as 20240803 is an integer too: unless told, only counts that give a time between
    // 1980 and 2100 pass, which no such date does.
    static const int64_t earliest_s = 315532800, latest_s = 4102444800;
    double *count;
    GN_TRY(gn_alloc(&count, source->rows, sizeof *count));
    gn_status status = market_source_numbers(source, column, count);
    double largest = 0;
    for (uint64_t row = 0; status == GN_OK && row < source->rows; row++)
        largest = fmax(largest, fabs(count[row]));
    int64_t unit = unix_unit(largest);
    double units_per_second = (double)(second_ns / unit);
    for (uint64_t row = 0; status == GN_OK && format == MARKET_TIME_AUTO && row < source->rows;
         row++) {
        double seconds = count[row] / units_per_second;
        if (!(seconds >= (double)earliest_s && seconds <= (double)latest_s))
            status = gn_fail(GN_ERR_FORMAT,
                             "%s: row %" PRIu64 ": %s %.17g is no Unix time between 1980 and 2100; "
                             "if it is one, pass --market.time_format unix",
                             source->path, row + 1, market_source_name(source, column), count[row]);
    }
    gn_free(&count);
    return status == GN_OK ? times_from_counts(source, column, unit, ret_time_ns) : status;
}

// Nanoseconds in a unit of a typed time column; 0 if the type is none.
static int64_t typed_unit(const char *format)
{
    if (strcmp(format, "tdD") == 0)
        return 86400 * second_ns;
    if (strcmp(format, "tdm") == 0 || strncmp(format, "tsm:", 4) == 0)
        return 1000000;
    if (strncmp(format, "tss:", 4) == 0)
        return second_ns;
    if (strncmp(format, "tsu:", 4) == 0)
        return 1000;
    return strncmp(format, "tsn:", 4) == 0;
}

gn_status market_source_times(const market_source *source, size_t column, market_time_format format,
                              int64_t *ret_time_ns, gn_text *findings)
{
    assert(format != MARKET_TIME_NONE);
    const char *type = column_format(source, column);
    bool typed_is_wanted = format == MARKET_TIME_AUTO || format == MARKET_TIME_ISO;
    bool counts_are_wanted = format == MARKET_TIME_AUTO || format == MARKET_TIME_UNIX;
    GN_TRY(check_no_nulls(source, column));
    if (is_text(type))
        return times_from_text(source, column, format, ret_time_ns, findings);
    if (typed_unit(type) && typed_is_wanted)
        return times_from_counts(source, column, typed_unit(type), ret_time_ns);
    if (type[0] && strchr("ilg", type[0]) && !type[1] && counts_are_wanted)
        return times_from_unix(source, column, format, ret_time_ns);
    if (strncmp(type, "tt", 2) == 0)
        return gn_fail(GN_ERR_FORMAT,
                       "%s: column %s holds times of day without dates; join the two columns or "
                       "name another with --market.time_column",
                       source->path, market_source_name(source, column));
    return gn_fail(GN_ERR_FORMAT,
                   "%s: column %s (Arrow type %s) holds no times that market.time_format as given "
                   "can read",
                   source->path, market_source_name(source, column), type);
}
