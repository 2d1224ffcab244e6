// Axes and numbers of report/line_chart.h.

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/line_chart.h"

// Beyond, differences and powers of ten overflow.
static const double largest = 1e300;

static const struct {
    double size;
    const char *suffix;
} units[] = { { 1e12, "T" }, { 1e9, "G" }, { 1e6, "M" }, { 1e3, "k" }, { 1, "" } };
enum { UNITS = sizeof units / sizeof *units };

// The smallest of 1, 2, 5, 10 times a power of ten that is not below `least` > 0.
static double round_step(double least)
{
    double power = pow(10, floor(log10(least)));
    static const double factor[] = { 1, 2, 5 };
    for (size_t i = 0; i < sizeof factor / sizeof *factor; i++)
        if (factor[i] * power >= least * (1 - 1e-9))
            return factor[i] * power;
    return 10 * power;
}

// Makes low and high finite, and so far apart that ticks between them are different numbers.
static void widen(double *low, double *high)
{
    if (!(*low <= *high)) { // not a number, or nothing seen
        *low = 0;
        *high = 1;
    }
    *low = fmax(-largest, fmin(largest, *low));
    *high = fmax(-largest, fmin(largest, *high));
    double size = fmax(fabs(*low), fabs(*high));
    if (*high - *low > 1e-12 * size && *high - *low > 1e-290)
        return;
    double more = size > 1e-280 ? 0.1 * size : 0.5;
    *low -= more;
    *high += more;
}

line_chart_ticks line_chart_ticks_of(double low, double high, size_t most)
{
    assert(most >= 3);
    widen(&low, &high);
    line_chart_ticks ticks = { .step = round_step((high - low) / (double)most) };
    // Ends are moved out to a tick, which may need a tick more than there is room for.
    for (;;) {
        double begin = floor(low / ticks.step + 1e-9), end = ceil(high / ticks.step - 1e-9);
        ticks.count = (size_t)(end - begin) + 1;
        ticks.first = ticks.low = begin * ticks.step;
        ticks.high = end * ticks.step;
        if (ticks.count <= most)
            return ticks;
        ticks.step = round_step(1.5 * ticks.step);
    }
}

double line_chart_tick(const line_chart_ticks *ticks, size_t i)
{
    double value = ticks->first + (double)i * ticks->step;
    return fabs(value) < 1e-9 * ticks->step ? 0 : value;
}

// Writes 2e-7 for 2e-07 and 1e12 for 1e+12.
static void shorten_exponent(char *text)
{
    char *exponent = strchr(text, 'e');
    if (exponent != NULL)
        sprintf(exponent + 1, "%d", atoi(exponent + 1));
}

void line_chart_tick_text(char ret_text[LINE_CHART_NUMBER_SIZE], const line_chart_ticks *ticks,
                          double value)
{
    double size = fmax(fabs(ticks->low), fabs(ticks->high));
    int step_power = (int)floor(log10(ticks->step) + 1e-9);
    int size_power = (int)floor(log10(size) + 1e-9);
    if (value == 0) {
        snprintf(ret_text, LINE_CHART_NUMBER_SIZE, "0");
        return;
    }
    if (size >= 1e15 || size < 1e-4) {
        int digits = size_power - step_power;
        snprintf(ret_text, LINE_CHART_NUMBER_SIZE, "%.*e", digits < 15 ? digits : 15, value);
        shorten_exponent(ret_text);
        return;
    }
    // The largest unit that leaves at most one decimal.
    size_t unit = 0;
    while (unit + 1 < UNITS && (units[unit].size > size || ticks->step < 0.1 * units[unit].size))
        unit++;
    int decimals = (int)lround(log10(units[unit].size)) - step_power;
    snprintf(ret_text, LINE_CHART_NUMBER_SIZE, "%.*f%s", decimals > 0 ? decimals : 0,
             value / units[unit].size, units[unit].suffix);
}

void line_chart_number_text(char ret_text[LINE_CHART_NUMBER_SIZE], double value)
{
    double size = fabs(value);
    if (!isfinite(value)) {
        snprintf(ret_text, LINE_CHART_NUMBER_SIZE, "-");
        return;
    }
    if (size >= 999.95e12 || (size < 1e-4 && size > 0)) {
        snprintf(ret_text, LINE_CHART_NUMBER_SIZE, "%.3g", value);
        shorten_exponent(ret_text);
        return;
    }
    size_t unit = 0;
    while (unit + 1 < UNITS && size < 0.99995 * units[unit].size)
        unit++;
    if (size < 9999.5) // a return of 1234.5 reads better than 1.234k
        unit = UNITS - 1;
    snprintf(ret_text, LINE_CHART_NUMBER_SIZE, "%.4g%s", value / units[unit].size,
             units[unit].suffix);
}
