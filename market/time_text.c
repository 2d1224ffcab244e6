// Dates and times of day to nanoseconds and back, in the proleptic Gregorian calendar without leap
// seconds. Calendar arithmetic: Howard Hinnant, "chrono-compatible low-level date algorithms",
// https://howardhinnant.github.io/date_algorithms.html

#include "market/time_text.h"

#include <inttypes.h>
#include <stdio.h>

static const int64_t second_ns = 1000000000;
static const int64_t day_ns = 86400 * INT64_C(1000000000);

// Days since 1970-01-01. Years are counted from March, so that the leap day is a year's last.
static int64_t days_from_date(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

market_time_parts market_time_split(int64_t time_ns)
{
    int64_t days = time_ns / day_ns - (time_ns % day_ns < 0);
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted_month = (5 * day_of_year + 2) / 153;
    int month = (int)(shifted_month + (shifted_month < 10 ? 3 : -9));
    return (market_time_parts){
        .year = (int)(year_of_era + era * 400 + (month <= 2)),
        .month = month,
        .day = (int)(day_of_year - (153 * shifted_month + 2) / 5 + 1),
        .weekday = (int)(((days + 3) % 7 + 7) % 7), // 1970-01-01 was a Thursday
        .nanosecond_of_day = time_ns - days * day_ns,
    };
}

static int days_in_month(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

// What is left to parse.
typedef struct cursor {
    const char *at, *end;
} cursor;

// A number of least..most digits.
static bool take_number(cursor *text, int least, int most, int *ret_number)
{
    int digits = 0, number = 0;
    for (; digits < most && text->at < text->end; text->at++, digits++) {
        unsigned digit = (unsigned)(*text->at - '0');
        if (digit > 9)
            break;
        number = number * 10 + (int)digit;
    }
    *ret_number = number;
    return digits >= least;
}

static bool take(cursor *text, char wanted)
{
    if (text->at == text->end || *text->at != wanted)
        return false;
    text->at++;
    return true;
}

static bool take_date(cursor *text, market_date_order order, int64_t *ret_days)
{
    int field[3];
    bool year_first = order == MARKET_YEAR_FIRST;
    if (!take_number(text, year_first ? 4 : 1, year_first ? 4 : 2, &field[0]))
        return false;
    char separator = text->at < text->end ? *text->at : '\0';
    if (separator != '-' && separator != '/' && separator != '.')
        return false;
    if (!take(text, separator) || !take_number(text, 1, 2, &field[1]) || !take(text, separator) ||
        !take_number(text, year_first ? 1 : 4, year_first ? 2 : 4, &field[2]))
        return false;
    int year = year_first ? field[0] : field[2];
    int month = order == MARKET_MONTH_FIRST ? field[0] : field[1];
    int day = order == MARKET_YEAR_FIRST ? field[2] : field[order == MARKET_MONTH_FIRST];
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return false;
    *ret_days = days_from_date(year, month, day);
    return true;
}

static bool take_time_of_day(cursor *text, int64_t *ret_ns)
{
    int hour, minute, second = 0, fraction = 0;
    if (!take_number(text, 1, 2, &hour) || !take(text, ':') || !take_number(text, 2, 2, &minute))
        return false;
    if (take(text, ':')) {
        if (!take_number(text, 2, 2, &second))
            return false;
        if (take(text, '.')) {
            const char *start = text->at;
            if (!take_number(text, 1, 9, &fraction))
                return false;
            for (int64_t digits = text->at - start; digits < 9; digits++)
                fraction *= 10;
        }
    }
    if (hour > 23 || minute > 59 || second > 59)
        return false;
    *ret_ns = ((hour * INT64_C(60) + minute) * 60 + second) * second_ns + fraction;
    return true;
}

// "Z", "+02:00", "+0200", "+02" or nothing.
static bool take_offset(cursor *text, int64_t *ret_ns)
{
    *ret_ns = 0;
    if (text->at == text->end || take(text, 'Z'))
        return true;
    int hour, minute = 0;
    bool west = take(text, '-');
    if ((!west && !take(text, '+')) || !take_number(text, 2, 2, &hour))
        return false;
    if (text->at < text->end) {
        (void)take(text, ':');
        if (!take_number(text, 2, 2, &minute))
            return false;
    }
    if (hour > 14 || minute > 59)
        return false;
    *ret_ns = (west ? -1 : 1) * (hour * INT64_C(60) + minute) * 60 * second_ns;
    return true;
}

bool market_time_parse(const char *text, size_t size, market_date_order order, int64_t *ret_time_ns)
{
    cursor rest = { text, text + size };
    int64_t days, time_of_day = 0, offset = 0, time_ns;
    if (!take_date(&rest, order, &days))
        return false;
    if (rest.at < rest.end) {
        if (!take(&rest, 'T') && !take(&rest, ' '))
            return false;
        if (!take_time_of_day(&rest, &time_of_day) || !take_offset(&rest, &offset))
            return false;
    }
    // Nanoseconds in 64 bits reach from 1677 to 2262.
    if (rest.at != rest.end || __builtin_mul_overflow(days, day_ns, &time_ns) ||
        __builtin_add_overflow(time_ns, time_of_day - offset, &time_ns))
        return false;
    *ret_time_ns = time_ns;
    return true;
}

void market_time_format_iso(int64_t time_ns, char *ret_text)
{
    market_time_parts parts = market_time_split(time_ns);
    int64_t seconds = parts.nanosecond_of_day / second_ns;
    int64_t fraction = parts.nanosecond_of_day % second_ns;
    int size =
        snprintf(ret_text, 40, "%04d-%02d-%02dT%02d:%02d:%02d", parts.year, parts.month, parts.day,
                 (int)(seconds / 3600), (int)(seconds / 60 % 60), (int)(seconds % 60));
    if (fraction) {
        size += snprintf(ret_text + size, 40 - (size_t)size, ".%09" PRId64, fraction);
        while (ret_text[size - 1] == '0')
            size--;
    }
    ret_text[size] = 'Z';
    ret_text[size + 1] = '\0';
}

void market_time_format_span(int64_t span_ns, char *ret_text)
{
    static const struct {
        double seconds;
        const char *name;
    } units[] = { { 86400, "days" }, { 3600, "h" }, { 60, "min" }, { 1, "s" } };
    double seconds = (double)span_ns * 1e-9;
    size_t i = 0;
    while (i < 3 && seconds < units[i].seconds)
        i++;
    double count = seconds / units[i].seconds;
    snprintf(ret_text, 32, "%.4g %s", count, i == 0 && count == 1 ? "day" : units[i].name);
}
