// Spacing, gaps and bars a year of the calendars there are.

#include "market/calendar.h"

#include <string.h>

#include "market/time_text.h"
#include "tests/support/check.h"

enum { MOST = 60000 };

static const int64_t second_ns = 1000000000;

// Times of bars from Monday 2024-01-01 on, `spacing_s` apart, that `is_open` lets through.
typedef struct series {
    uint64_t count;
    int64_t time_ns[MOST];
} series;

static series generated;

static series *make_series(int64_t spacing_s, int days, bool (*is_open)(market_time_parts))
{
    generated.count = 0;
    const int64_t first = INT64_C(1704067200) * second_ns;
    for (int64_t t = 0; t < days * 86400 * second_ns; t += spacing_s * second_ns)
        if (is_open(market_time_split(first + t))) {
            assert_true(generated.count < MOST);
            generated.time_ns[generated.count++] = first + t;
        }
    return &generated;
}

static bool always(market_time_parts now)
{
    (void)now;
    return true;
}

static bool on_weekdays(market_time_parts now)
{
    return now.weekday < 5;
}

// New York in winter: 14:30 to 21:00 UTC.
static bool in_stock_hours(market_time_parts now)
{
    int64_t minute = now.nanosecond_of_day / second_ns / 60;
    return now.weekday < 5 && minute >= 870 && minute < 1260;
}

// Sunday 22:00 to Friday 22:00 UTC.
static bool in_currency_hours(market_time_parts now)
{
    int64_t hour = now.nanosecond_of_day / second_ns / 3600;
    return now.weekday < 4 || (now.weekday == 4 && hour < 22) || (now.weekday == 6 && hour >= 22);
}

static void expect_bars_per_year(const series *s, double wanted, const char *finding)
{
    int64_t spacing;
    double bars;
    gn_text findings = { 0 };
    expect_ok(market_calendar_spacing(s->time_ns, s->count, &spacing));
    expect_ok(market_calendar_bars_per_year(s->time_ns, s->count, spacing, &bars, &findings));
    if (bars != wanted)
        fail_msg("%g bars a year instead of %g", bars, wanted);
    assert_non_null(strstr(gn_text_data(&findings), finding));
    assert_true((findings.size > 0) == (*finding != '\0'));
    gn_text_free(&findings);
}

static void markets_have_their_bars_a_year(void **state)
{
    (void)state;
    expect_bars_per_year(make_series(900, 30, always), 35040, "");
    expect_bars_per_year(make_series(3600, 30, always), 8760, "");
    expect_bars_per_year(make_series(60, 30, always), 525600, "");
    expect_bars_per_year(make_series(86400, 30, always), 365, "");
    expect_bars_per_year(make_series(86400, 300, on_weekdays), 252, "");
    expect_bars_per_year(make_series(900, 60, in_stock_hours), 6552, "");
    expect_bars_per_year(make_series(60, 60, in_stock_hours), 98280, "");
    expect_bars_per_year(make_series(3600, 60, in_currency_hours), 6240, "");
    expect_bars_per_year(make_series(7 * 86400, 700, always), 52, "");
    expect_bars_per_year(make_series(31 * 86400, 700, always), 12, "");
}

// Bars a year are a matter of the calendar, never of how many rows there are.
static void the_number_of_rows_does_not_matter(void **state)
{
    (void)state;
    expect_bars_per_year(make_series(900, 10, always), 35040, "");
    expect_bars_per_year(make_series(900, 600, always), 35040, "");
    expect_bars_per_year(make_series(86400, 30, on_weekdays), 252, "");
    expect_bars_per_year(make_series(86400, 3000, on_weekdays), 252, "");
}

static void a_series_without_a_saturday_says_what_it_assumes(void **state)
{
    (void)state;
    expect_bars_per_year(make_series(900, 3, always), 35040,
                         "too short to tell the calendar: 35040 bars a year assume");
    expect_bars_per_year(make_series(900, 3, in_stock_hours), 6552, "");
}

static void spacing_is_the_most_frequent_step(void **state)
{
    (void)state;
    int64_t spacing;
    const int64_t majority[] = { 0, 5, 10, 15, 100, 105 };
    expect_ok(market_calendar_spacing(majority, 6, &spacing));
    assert_int_equal(spacing, 5);
    const int64_t plurality[] = { 0, 5, 10, 17, 25, 34 }; // 5 5 7 8 9
    expect_ok(market_calendar_spacing(plurality, 6, &spacing));
    assert_int_equal(spacing, 5);
    const int64_t tie[] = { 0, 7, 14, 17, 20 }; // 7 7 3 3
    expect_ok(market_calendar_spacing(tie, 5, &spacing));
    assert_int_equal(spacing, 3);
    const int64_t last[] = { 0, 1, 3, 6, 10, 14 }; // 1 2 3 4 4
    expect_ok(market_calendar_spacing(last, 6, &spacing));
    assert_int_equal(spacing, 4);
    const int64_t pair[] = { 10, 13 };
    expect_ok(market_calendar_spacing(pair, 2, &spacing));
    assert_int_equal(spacing, 3);
}

static void gaps_are_steps_above_the_spacing(void **state)
{
    (void)state;
    const int64_t time[] = { 0, 5, 10, 30, 35, 36, 50 };
    market_gaps gaps = market_calendar_gaps(time, 7, 5);
    assert_int_equal(gaps.count, 2);
    assert_int_equal(gaps.first, 3);
    assert_int_equal(gaps.largest_ns, 20);
    gaps = market_calendar_gaps(time, 3, 5);
    assert_int_equal(gaps.count, 0);
}

TEST_MAIN(markets_have_their_bars_a_year, the_number_of_rows_does_not_matter,
          a_series_without_a_saturday_says_what_it_assumes, spacing_is_the_most_frequent_step,
          gaps_are_steps_above_the_spacing)
