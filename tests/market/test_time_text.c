// Times of data files against vectors computed with GNU date, and round trips over four centuries.

#include "market/time_text.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/check.h"

static const int64_t second_ns = 1000000000;

static void parses_the_formats_of_data_files(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        market_date_order order;
        int64_t seconds, nanoseconds;
    } vectors[] = {
        { "1970-01-01", MARKET_YEAR_FIRST, 0, 0 },
        { "2024-08-03T18:15:00Z", MARKET_YEAR_FIRST, 1722708900, 0 },
        { "2024-08-03 18:15", MARKET_YEAR_FIRST, 1722708900, 0 },
        { "2024/08/03 18:15:00", MARKET_YEAR_FIRST, 1722708900, 0 },
        { "2024.8.3 18:15", MARKET_YEAR_FIRST, 1722708900, 0 },
        { "2024-08-03 18:15:00.123+02:00", MARKET_YEAR_FIRST, 1722701700, 123000000 },
        { "2024-08-03T18:15:00-0530", MARKET_YEAR_FIRST, 1722728700, 0 },
        { "2024-08-03T18:15:00+02", MARKET_YEAR_FIRST, 1722701700, 0 },
        { "2024-08-03T18:15:00.000000001Z", MARKET_YEAR_FIRST, 1722708900, 1 },
        { "03.08.2024 18:15:00.000", MARKET_DAY_FIRST, 1722708900, 0 },
        { "3/8/2024 18:15", MARKET_DAY_FIRST, 1722708900, 0 },
        { "8/3/2024 18:15", MARKET_MONTH_FIRST, 1722708900, 0 },
        { "2000-02-29", MARKET_YEAR_FIRST, 951782400, 0 }, // a century that is a leap year
        { "2024-02-29", MARKET_YEAR_FIRST, 1709164800, 0 },
        { "2024-03-01", MARKET_YEAR_FIRST, 1709251200, 0 },
        { "1969-12-31T23:59:59.5Z", MARKET_YEAR_FIRST, -1, 500000000 },
        { "1900-03-01", MARKET_YEAR_FIRST, -2203891200, 0 },
        { "2100-03-01", MARKET_YEAR_FIRST, 4107542400, 0 },
    };
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        int64_t time_ns;
        if (!market_time_parse(vectors[i].text, strlen(vectors[i].text), vectors[i].order,
                               &time_ns))
            fail_msg("%s is refused", vectors[i].text);
        if (time_ns != vectors[i].seconds * second_ns + vectors[i].nanoseconds)
            fail_msg("%s is read as %lld ns", vectors[i].text, (long long)time_ns);
    }
}

static void refuses_what_is_no_time(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        market_date_order order;
    } vectors[] = {
        { "", MARKET_YEAR_FIRST },
        { "2023-02-29", MARKET_YEAR_FIRST }, // no leap year
        { "1900-02-29", MARKET_YEAR_FIRST }, // a century that is none
        { "2024-13-01", MARKET_YEAR_FIRST },
        { "2024-04-31", MARKET_YEAR_FIRST },
        { "2024-00-10", MARKET_YEAR_FIRST },
        { "2024-01-00", MARKET_YEAR_FIRST },
        { "2024-01/02", MARKET_YEAR_FIRST },
        { "24-01-02", MARKET_YEAR_FIRST },
        { "2024-01-02x", MARKET_YEAR_FIRST },
        { "2024-01-02T", MARKET_YEAR_FIRST },
        { "2024-01-02T24:00", MARKET_YEAR_FIRST },
        { "2024-01-02T12:60", MARKET_YEAR_FIRST },
        { "2024-01-02T12:00:60", MARKET_YEAR_FIRST },
        { "2024-01-02T12:00:00.", MARKET_YEAR_FIRST },
        { "2024-01-02T12:00:00.1234567890", MARKET_YEAR_FIRST },
        { "2024-01-02T12:00 PM", MARKET_YEAR_FIRST },
        { "2024-01-02T12:00+15:00", MARKET_YEAR_FIRST },
        { "31/12/2024", MARKET_MONTH_FIRST },
        { "12/31/2024", MARKET_DAY_FIRST },
        { "12/31/24", MARKET_MONTH_FIRST },
        { "2263-01-01", MARKET_YEAR_FIRST }, // beyond 64 bits of nanoseconds
        { "1677-01-01", MARKET_YEAR_FIRST },
    };
    int64_t untouched = 42;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        if (market_time_parse(vectors[i].text, strlen(vectors[i].text), vectors[i].order,
                              &untouched))
            fail_msg("%s is accepted", vectors[i].text);
    assert_int_equal(untouched, 42);
}

static void reads_no_byte_past_the_size(void **state)
{
    (void)state;
    int64_t time_ns;
    assert_true(market_time_parse("2024-08-03T18:15", 10, MARKET_YEAR_FIRST, &time_ns));
    assert_true(time_ns == 1722643200 * second_ns);
}

static void prints_what_parses_back_for_every_day_of_four_centuries(void **state)
{
    (void)state;
    test_rng rng = test_rng_seed(1);
    int64_t first;
    assert_true(market_time_parse("1850-01-01", 10, MARKET_YEAR_FIRST, &first));
    market_time_parts before = market_time_split(first - 1);
    assert_int_equal(before.year, 1849);
    int64_t midnight = first;
    for (int day = 0; day < 400 * 365 + 97; day++, midnight += 86400 * second_ns) {
        int64_t time_ns = midnight + (int64_t)test_rng_below(&rng, 86400 * (uint64_t)second_ns);
        char text[40];
        int64_t back;
        market_time_format_iso(time_ns, text);
        assert_true(market_time_parse(text, strlen(text), MARKET_YEAR_FIRST, &back));
        assert_true(back == time_ns);

        market_time_parts now = market_time_split(time_ns);
        assert_int_equal(now.weekday, (before.weekday + 1) % 7);
        bool next_day = now.month == before.month && now.day == before.day + 1;
        bool next_month = now.day == 1 && now.month == before.month % 12 + 1 &&
                          now.year == before.year + (now.month == 1);
        assert_true(next_day || next_month);
        before = now;
    }
    assert_int_equal(before.year, 2249); // four centuries are 146,097 days
    assert_int_equal(before.month, 12);
    assert_int_equal(before.day, 31);
}

static void names_weekdays(void **state)
{
    (void)state;
    assert_int_equal(market_time_split(0).weekday, 3); // a Thursday
    assert_int_equal(market_time_split(1722708900 * second_ns).weekday, 5); // 2024-08-03
    assert_int_equal(market_time_split(-86400 * second_ns * 3).weekday, 0); // 1969-12-29
}

static void prints_fractions_only_where_there_are_some(void **state)
{
    (void)state;
    char text[40];
    market_time_format_iso(1722708900 * second_ns, text);
    assert_string_equal(text, "2024-08-03T18:15:00Z");
    market_time_format_iso(1722708900 * second_ns + 120000000, text);
    assert_string_equal(text, "2024-08-03T18:15:00.12Z");
}

static void prints_spans(void **state)
{
    (void)state;
    static const struct {
        int64_t seconds;
        const char *text;
    } vectors[] = { { 30, "30 s" },     { 900, "15 min" },        { 5400, "1.5 h" },
                    { 86400, "1 day" }, { 180000, "2.083 days" }, { 345600, "4 days" } };
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        char text[32];
        market_time_format_span(vectors[i].seconds * second_ns, text);
        assert_string_equal(text, vectors[i].text);
    }
}

TEST_MAIN(parses_the_formats_of_data_files, refuses_what_is_no_time, reads_no_byte_past_the_size,
          prints_what_parses_back_for_every_day_of_four_centuries, names_weekdays,
          prints_fractions_only_where_there_are_some, prints_spans)
