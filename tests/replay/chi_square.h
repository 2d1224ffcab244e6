// How far counts are from what they should be, for tests of draws.

#ifndef TESTS_REPLAY_CHI_SQUARE_H
#define TESTS_REPLAY_CHI_SQUARE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

// A standard normal variable stays below this with probability 1 - 1e-6.
#define CHI_SQUARE_FAR 4.7534

// Pearson's chi-square of counts against draws in proportion to weights, as the standard normal
// variable that Wilson and Hilferty (1931) make of it: large where they do not fit, very negative
// where they fit too well to be random. Infinite if an item of weight 0 was counted.
// Shapes: count, weight: [n]; each expected count should be 5 or more.
static inline double chi_square_z(const uint64_t *count, const double *weight, size_t n)
{
    double sum = 0, draws = 0, statistic = 0, freedom = -1;
    for (size_t i = 0; i < n; i++) {
        sum += weight[i];
        draws += (double)count[i];
    }
    for (size_t i = 0; i < n; i++) {
        if (weight[i] <= 0 && count[i] > 0)
            return INFINITY;
        if (weight[i] <= 0)
            continue;
        double expected = draws * weight[i] / sum, off = (double)count[i] - expected;
        statistic += off * off / expected;
        freedom++;
    }
    double spread = 2 / (9 * freedom);
    return (cbrt(statistic / freedom) - (1 - spread)) / sqrt(spread);
}

#endif
