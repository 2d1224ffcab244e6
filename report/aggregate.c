#include "report/aggregate.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void aggregate_sort(double *value, size_t n)
{
    qsort(value, n, sizeof *value, compare);
}

// Value k occurs count[k] times; the counts add up to n, and so much of `sorted` is looked at.
static double iqm_of_counts(const double *sorted, const uint32_t *count, size_t n)
{
    const size_t first = n / 4, last = n - n / 4;
    double sum = 0;
    for (size_t k = 0, before = 0, after; before < last; k++, before = after) {
        after = before + count[k];
        size_t from = before > first ? before : first, to = after < last ? after : last;
        if (to > from)
            sum += (double)(to - from) * sorted[k];
    }
    return sum / (double)(last - first);
}

double aggregate_iqm(const double *sorted, size_t n)
{
    uint32_t count[AGGREGATE_MAX_RUNS];
    assert(n >= 1 && n <= AGGREGATE_MAX_RUNS);
    for (size_t k = 0; k < n; k++)
        count[k] = 1;
    return iqm_of_counts(sorted, count, n);
}

double aggregate_quantile(const double *sorted, size_t n, double q)
{
    assert(n >= 1 && q >= 0 && q <= 1);
    double place = q * (double)(n - 1);
    size_t below = (size_t)place;
    if (below + 1 >= n)
        return sorted[n - 1];
    return sorted[below] + (place - (double)below) * (sorted[below + 1] - sorted[below]);
}

aggregate aggregate_of(double *value, size_t n)
{
    aggregate_sort(value, n);
    aggregate result = { aggregate_iqm(value, n), NAN, NAN };
    if (n == 1)
        return result;
    uint32_t count[AGGREGATE_MAX_RUNS];
    double resampled[AGGREGATE_RESAMPLES];
    gn_random random = gn_random_stream(0, GN_RANDOM_BOOTSTRAP, 0);
    for (size_t i = 0; i < AGGREGATE_RESAMPLES; i++) {
        memset(count, 0, n * sizeof *count);
        for (size_t draw = 0; draw < n; draw++)
            count[gn_random_below(&random, (uint32_t)n)]++;
        resampled[i] = iqm_of_counts(value, count, n);
    }
    aggregate_sort(resampled, AGGREGATE_RESAMPLES);
    result.low = aggregate_quantile(resampled, AGGREGATE_RESAMPLES, 0.025);
    result.high = aggregate_quantile(resampled, AGGREGATE_RESAMPLES, 0.975);
    return result;
}
