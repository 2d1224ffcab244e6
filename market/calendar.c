// Spacing and bars a year from the times themselves.

#include "market/calendar.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"
#include "market/time_text.h"

static const int64_t day_ns = 86400 * INT64_C(1000000000);

enum { SATURDAY = 5 };

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

// The most frequent value; sorts them.
static int64_t mode(int64_t *value, uint64_t count)
{
    qsort(value, count, sizeof *value, compare);
    int64_t best = value[0];
    uint64_t best_run = 0;
    for (uint64_t i = 0, run = 1; i < count; i++, run++) {
        if (i > 0 && value[i] != value[i - 1])
            run = 1;
        if (run > best_run) {
            best_run = run;
            best = value[i];
        }
    }
    return best;
}

// The step that a majority vote leaves over (Boyer & Moore 1981): the only one that can be more
// than half of all, which spares nearly every series the sorting.
static int64_t majority_candidate(const int64_t *time_ns, uint64_t count)
{
    int64_t candidate = 0;
    for (uint64_t i = 1, votes = 0; i < count; i++) {
        int64_t step = time_ns[i] - time_ns[i - 1];
        if (votes == 0)
            candidate = step;
        votes += step == candidate ? 1 : (uint64_t)-1;
    }
    return candidate;
}

gn_status market_calendar_spacing(const int64_t *time_ns, uint64_t count, int64_t *ret_spacing_ns)
{
    int64_t candidate = majority_candidate(time_ns, count);
    uint64_t times = 0;
    for (uint64_t i = 1; i < count; i++)
        times += time_ns[i] - time_ns[i - 1] == candidate;
    if (times > (count - 1) / 2) {
        *ret_spacing_ns = candidate;
        return GN_OK;
    }
    int64_t *step;
    GN_TRY(gn_alloc(&step, count - 1, sizeof *step));
    for (uint64_t i = 1; i < count; i++)
        step[i - 1] = time_ns[i] - time_ns[i - 1];
    *ret_spacing_ns = mode(step, count - 1);
    gn_free(&step);
    return GN_OK;
}

market_gaps market_calendar_gaps(const int64_t *time_ns, uint64_t count, int64_t spacing_ns)
{
    market_gaps gaps = { 0 };
    for (uint64_t i = 1; i < count; i++) {
        int64_t step = time_ns[i] - time_ns[i - 1];
        if (step <= spacing_ns)
            continue;
        if (gaps.count++ == 0)
            gaps.first = i;
        if (step > gaps.largest_ns)
            gaps.largest_ns = step;
    }
    return gaps;
}

static int64_t day_of(int64_t time_ns)
{
    return time_ns / day_ns - (time_ns % day_ns < 0);
}

// Whether the span covers a whole Saturday.
static bool holds_saturday(int64_t first_ns, int64_t last_ns)
{
    for (int64_t day = day_of(first_ns) + 1; day < day_of(last_ns); day++)
        if (market_time_split(day * day_ns).weekday == SATURDAY)
            return true;
    return false;
}

// Median number of bars on the days that have any.
static gn_status median_day(const int64_t *time_ns, uint64_t count, double *ret_bars)
{
    int64_t *bars;
    GN_TRY(gn_alloc(&bars, count, sizeof *bars));
    uint64_t days = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (i > 0 && day_of(time_ns[i]) != day_of(time_ns[i - 1]))
            days++;
        bars[days]++;
    }
    days++;
    qsort(bars, days, sizeof *bars, compare);
    *ret_bars = (double)bars[days / 2];
    gn_free(&bars);
    return GN_OK;
}

gn_status market_calendar_bars_per_year(const int64_t *time_ns, uint64_t count, int64_t spacing_ns,
                                        double *ret_bars_per_year, gn_text *findings)
{
    double bars_a_day = (double)day_ns / (double)spacing_ns;
    if (spacing_ns > day_ns) {
        *ret_bars_per_year = fmax(1, round(365 * bars_a_day));
        return GN_OK;
    }
    uint64_t saturdays = 0;
    for (uint64_t i = 0; i < count; i++)
        saturdays += market_time_split(time_ns[i]).weekday == SATURDAY;
    double median;
    GN_TRY(median_day(time_ns, count, &median));
    bool round_the_clock = median >= bars_a_day * 20 / 24;
    bool unknown = !holds_saturday(time_ns[0], time_ns[count - 1]);
    if (saturdays > count / 14 || (unknown && round_the_clock)) {
        *ret_bars_per_year = 365 * bars_a_day;
        if (saturdays <= count / 14)
            gn_text_append(findings,
                           "too short to tell the calendar: %g bars a year assume a market that "
                           "never closes (market.bars_per_year)\n",
                           365 * bars_a_day);
    } else if (spacing_ns == day_ns) {
        *ret_bars_per_year = 252;
    } else {
        *ret_bars_per_year = round_the_clock ? 260 * bars_a_day : 252 * median;
    }
    return GN_OK;
}
