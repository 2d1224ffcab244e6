// The checks every row passes before anything computes with it, whether from a file or from memory.

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "market/import.h"
#include "market/time_text.h"

// The rows and how to name one: they are numbered as in the file, 1 being the first.
typedef struct named_rows {
    const char *name;
    const market_rows *rows;
    bool reversed; // the rows were newest first
} named_rows;

__attribute__((format(printf, 3, 4))) static gn_status refuse(const named_rows *in, uint64_t i,
                                                              const char *format, ...)
{
    char reason[512], time[40];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    market_time_format_iso(in->rows->time_ns[i], time);
    uint64_t row = in->reversed ? in->rows->count - i : i + 1;
    return gn_fail(GN_ERR_FORMAT, "%s: row %" PRIu64 " (%s): %s", in->name, row, time, reason);
}

// A price as the file has it: 15 digits, or all 17 where that would be another number.
typedef struct price_text {
    char text[32];
} price_text;

static price_text show(double price)
{
    price_text shown;
    snprintf(shown.text, sizeof shown.text, "%.15g", price);
    if (strtod(shown.text, NULL) != price)
        snprintf(shown.text, sizeof shown.text, "%.17g", price);
    return shown;
}

static gn_status check_order(const named_rows *in)
{
    const int64_t *time_ns = in->rows->time_ns;
    for (uint64_t i = 1; i < in->rows->count; i++) {
        // The later row of the file is the one to name.
        uint64_t at = in->reversed ? i - 1 : i;
        if (time_ns[i] == time_ns[i - 1])
            return refuse(in, at, "the row before has the same time");
        if (time_ns[i] < time_ns[i - 1])
            return refuse(
                in, at, "not in the order of the rows before, which run %s; sort the file by time",
                in->reversed ? "newest first" : "oldest first");
    }
    // Any two times can be subtracted from here on.
    uint64_t last = in->rows->count - 1;
    int64_t span_ns;
    if (__builtin_sub_overflow(time_ns[last], time_ns[0], &span_ns))
        return refuse(in, last, "more than 292 years after the first bar");
    return GN_OK;
}

static gn_status check_prices(const named_rows *in)
{
    const market_rows *rows = in->rows;
    const struct {
        const char *name;
        const double *value;
    } price[] = { { "close", rows->close },
                  { "open", rows->open },
                  { "high", rows->high },
                  { "low", rows->low } };
    for (uint64_t i = 0; i < rows->count; i++) {
        for (size_t p = 0; p < sizeof price / sizeof *price; p++) {
            if (!isfinite(price[p].value[i]))
                return refuse(in, i, "%s is %g; prices are finite and above 0", price[p].name,
                              price[p].value[i]);
            if (price[p].value[i] <= 0)
                return refuse(in, i, "%s %s is not above 0, so it has no returns", price[p].name,
                              show(price[p].value[i]).text);
        }
        double high = rows->high[i], low = rows->low[i];
        if (high < low)
            return refuse(in, i, "high %s is below low %s", show(high).text, show(low).text);
        for (size_t p = 0; p < 2; p++)
            if (price[p].value[i] < low || price[p].value[i] > high)
                return refuse(in, i, "%s %s lies outside low %s to high %s", price[p].name,
                              show(price[p].value[i]).text, show(low).text, show(high).text);
        if (!(rows->volume[i] >= 0) || isinf(rows->volume[i]))
            return refuse(in, i, "volume %g is not a finite number of 0 or more", rows->volume[i]);
    }
    return GN_OK;
}

// Times and prices alike are values of 8 bytes.
static void reverse(void *column, uint64_t count)
{
    enum { SIZE = 8 };
    char kept[SIZE], *first = column, *last = first + (count - 1) * SIZE;
    for (; first < last; first += SIZE, last -= SIZE) {
        memcpy(kept, first, SIZE);
        memcpy(first, last, SIZE);
        memcpy(last, kept, SIZE);
    }
}

gn_status market_validate(market_rows *rows, const char *name, gn_text *findings)
{
    bool reversed = rows->time_ns[0] > rows->time_ns[rows->count - 1];
    if (reversed) {
        void *columns[] = { rows->time_ns, rows->open,  rows->high,
                            rows->low,     rows->close, rows->volume };
        for (size_t c = 0; c < sizeof columns / sizeof *columns; c++)
            reverse(columns[c], rows->count);
        gn_text_append(findings,
                       "row 1: the newest row comes first; all %" PRIu64
                       " rows were put into time order\n",
                       rows->count);
    }
    const named_rows in = { name, rows, reversed };
    GN_TRY(check_order(&in));
    return check_prices(&in);
}
