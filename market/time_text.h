// Time as text: parsing the date formats of market data files, and printing ISO 8601.

#ifndef MARKET_TIME_TEXT_H
#define MARKET_TIME_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Order of the fields in a date of three numbers.
typedef enum market_date_order {
    MARKET_YEAR_FIRST,
    MARKET_DAY_FIRST,
    MARKET_MONTH_FIRST
} market_date_order;

// Parses "2024-08-03", "2024-08-03T18:15:00Z", "2024-08-03 18:15:00.123+02:00",
// "03.08.2024 18:15:00.000", "3/8/2024 18:15" (order as given). UTC where no offset is written.
// ret_time_ns: nanoseconds since 1970. Returns false if the text is none of these or no real date.
bool market_time_parse(const char *text, size_t size, market_date_order order,
                       int64_t *ret_time_ns);

// "2024-08-03T18:15:00Z", with fraction only where there is one. ret_text: [40].
void market_time_format_iso(int64_t time_ns, char *ret_text);

// A span of time as people say it: "90 s", "15 min", "50 h", "4 days". ret_text: [32].
void market_time_format_span(int64_t span_ns, char *ret_text);

// Calendar parts in UTC; weekday 0 is Monday.
typedef struct market_time_parts {
    int year, month, day, weekday;
    int64_t nanosecond_of_day;
} market_time_parts;
market_time_parts market_time_split(int64_t time_ns);

#endif
