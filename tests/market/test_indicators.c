// Indicators against TA-Lib's values, against the formulas written down naively, and on the inputs
// where running sums go wrong.

#include "market/indicators.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/check.h"

// --- TA-Lib -------------------------------------------------------------------------------------

enum { REFERENCE_BARS = 252 };

typedef struct reference {
    double high[REFERENCE_BARS], low[REFERENCE_BARS], close[REFERENCE_BARS];
} reference;

static bool read_reference(reference *ret_reference)
{
    char path[GN_PATH_SIZE];
    if (!test_shared_path(path, "data/talib-reference-252.csv"))
        return false;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*[^\n]"), 0);
    for (int i = 0; i < REFERENCE_BARS; i++)
        assert_int_equal(fscanf(file, " %*[^,],%lf,%lf,%lf,%*[^\n]", &ret_reference->high[i],
                                &ret_reference->low[i], &ret_reference->close[i]),
                         3);
    fclose(file);
    return true;
}

// Value at the first valid index, at 100 and at the end, all before being NaN.
static void expect_series(const char *name, const double *x, size_t first, double at_first,
                          double at_100, double at_end)
{
    for (size_t t = 0; t < REFERENCE_BARS; t++)
        if (isnan(x[t]) != (t < first))
            fail_msg("%s: element %zu is %g, the first valid one is %zu", name, t, x[t], first);
    const double found[] = { x[first], x[100], x[REFERENCE_BARS - 1] };
    const double wanted[] = { at_first, at_100, at_end };
    for (int i = 0; i < 3; i++)
        if (!(fabs(found[i] - wanted[i]) < 1e-9 * fmax(1, fabs(wanted[i]))))
            fail_msg("%s: %.12g instead of %.12g", name, found[i], wanted[i]);
}

// Expected: TA-Lib 0.8.1 on data/talib-reference-252.csv; the first and last values of MACD, RSI 14
// and EMA 20 also stand in TA-Lib's own regression test (ta_regtest).
static void gives_the_values_of_ta_lib(void **state)
{
    (void)state;
    enum { N = REFERENCE_BARS };
    reference in;
    if (!read_reference(&in))
        skip();
    const double *c = in.close;
    double x[N], signal[N], histogram[N];
    expect_ok(market_sma(c, N, 20, x));
    expect_series("sma 20", x, 19, 92.891, 112.7695, 110.57);
    expect_ok(market_ema(c, N, 20, x));
    expect_series("ema 20", x, 19, 92.891, 111.777204632, 108.526460979);
    expect_ok(market_ema(c, N, 1, x));
    expect_series("ema 1", x, 0, 91.5, 116, 107.87);
    expect_ok(market_rsi(c, N, 14, x));
    expect_series("rsi 14", x, 14, 49.1473396999, 60.2676394485, 49.6321020709);
    expect_ok(market_rsi(c, N, 2, x));
    expect_series("rsi 2", x, 2, 88.2822902796, 55.6341656866, 8.0177050797);
    expect_ok(market_macd(c, N, 12, 26, 9, x, signal, histogram));
    expect_series("macd", x, 33, -1.97383143114, 4.66101771762, 0.904009299501);
    expect_series("signal", signal, 33, -2.70710774204, 5.40956469565, 1.40459423017);
    expect_series("histogram", histogram, 33, 0.733276310899, -0.748546978024, -0.500584930671);
    expect_ok(market_macd(c, N, 5, 8, 3, x, signal, histogram));
    expect_series("macd 5 8 3", x, 9, -0.269108024691, 0.19786914634, -0.212758304773);
    expect_ok(market_atr(in.high, in.low, c, N, 14, x));
    expect_series("atr 14", x, 14, 3.57821428571, 4.03243392975, 3.26080948117);
    expect_ok(market_atr(in.high, in.low, c, N, 1, x));
    expect_series("atr 1", x, 1, 3.535, 5.505, 2.88);
    expect_ok(market_deviation(c, N, 20, x));
    expect_series("deviation 20", x, 19, 2.59119740661, 5.57888181, 3.01499585406);
    expect_ok(market_bollinger_z(c, N, 20, x));
    expect_series("bollinger z 20", x, 19, -1.16394065242, 0.579058691333, -0.895523619498);
}

// --- Naive twins --------------------------------------------------------------------------------

typedef struct window_moments {
    double mean, deviation, root_mean_square;
} window_moments;

static window_moments naive_moments(const double *x, size_t end, size_t period)
{
    long double sum = 0, squares = 0, variance = 0;
    for (size_t i = end + 1 - period; i <= end; i++) {
        sum += x[i];
        squares += (long double)x[i] * x[i];
    }
    for (size_t i = end + 1 - period; i <= end; i++)
        variance += (x[i] - sum / period) * (x[i] - sum / period);
    return (window_moments){ (double)(sum / period), (double)sqrtl(variance / period),
                             (double)sqrtl(squares / period) };
}

static void random_walk(double *ret_price, size_t n, double level, uint64_t seed)
{
    test_rng rng = test_rng_seed(seed);
    for (size_t t = 0; t < n; t++)
        ret_price[t] = level = level * (1 + 0.01 * (test_rng_unit(&rng) - 0.5));
}

static void expect_near(double found, double wanted, double tolerance)
{
    if (!(fabs(found - wanted) <= tolerance * fmax(1, fabs(wanted))))
        fail_msg("%.17g instead of %.17g", found, wanted);
}

static void windows_give_what_the_formulas_say(void **state)
{
    (void)state;
    enum { N = 500 };
    double price[N], returns[N], x[N];
    random_walk(price, N, 100, 2);
    expect_ok(market_log_return(price, N, 1, returns));
    for (size_t period = 1; period < 40; period++) {
        expect_ok(market_sma(price, N, period, x));
        for (size_t t = period - 1; t < N; t++)
            expect_near(x[t], naive_moments(price, t, period).mean, 1e-13);
        expect_ok(market_deviation(price, N, period, x));
        for (size_t t = period - 1; t < N; t++)
            expect_near(x[t], naive_moments(price, t, period).deviation, 1e-12);
        expect_ok(market_volatility(price, N, period, x));
        assert_true(isnan(x[period - 1]));
        for (size_t t = period; t < N; t++)
            expect_near(x[t], naive_moments(returns, t, period).root_mean_square, 1e-12);
        expect_ok(market_zscore(price, N, period, x));
        for (size_t t = period - 1; t < N; t++) {
            window_moments m = naive_moments(price, t, period);
            expect_near(x[t], period == 1 ? 0 : (price[t] - m.mean) / m.deviation, 1e-9);
        }
    }
}

static void log_returns_span_their_horizon(void **state)
{
    (void)state;
    const double price[] = { 1, 2, 4, 2 };
    double x[4];
    expect_ok(market_log_return(price, 4, 2, x));
    assert_true(isnan(x[0]) && isnan(x[1]));
    expect_near(x[2], log(4), 1e-15);
    expect_near(x[3], 0, 1e-15);
}

// --- Where sums go wrong ------------------------------------------------------------------------

// 2M bars at a level of 1e8 with moves of 1: sums of squares would lose every digit of the variance
// here, and running sums would carry the error along.
static void errors_do_not_grow_with_length_or_level(void **state)
{
    (void)state;
    enum { N = 2000000, PERIOD = 64 };
    double *price = malloc(N * sizeof *price), *x = malloc(N * sizeof *x);
    test_rng rng = test_rng_seed(3);
    for (size_t t = 0; t < N; t++)
        price[t] = 1e8 + test_rng_unit(&rng);
    expect_ok(market_deviation(price, N, PERIOD, x));
    for (size_t t = N - 1000; t < N; t++)
        expect_near(x[t], naive_moments(price, t, PERIOD).deviation, 1e-12);
    expect_ok(market_sma(price, N, PERIOD, x));
    for (size_t t = N - 1000; t < N; t++)
        expect_near(x[t], naive_moments(price, t, PERIOD).mean, 1e-15);
    free(price);
    free(x);
}

static void constant_windows_have_no_deviation_at_all(void **state)
{
    (void)state;
    enum { N = 60, PERIOD = 7 };
    double price[N], x[N];
    for (size_t t = 0; t < N; t++)
        price[t] = t < 20 ? 100 + 0.1 * (double)t : 0.3; // 0.3 has no exact binary form
    expect_ok(market_zscore(price, N, PERIOD, x));
    for (size_t t = 20 + PERIOD - 1; t < N; t++)
        assert_true(x[t] == 0);
    expect_ok(market_deviation(price, N, PERIOD, x));
    for (size_t t = 20 + PERIOD - 1; t < N; t++)
        assert_true(x[t] == 0);
    expect_ok(market_volatility(price, N, PERIOD, x));
    for (size_t t = 20 + PERIOD; t < N; t++)
        assert_true(x[t] == 0);
}

static void rsi_knows_its_extremes(void **state)
{
    (void)state;
    const double up[] = { 1, 2, 3, 4, 5 }, flat[] = { 1, 1, 1, 1, 1 };
    double x[5];
    expect_ok(market_rsi(up, 5, 3, x));
    assert_true(x[3] == 100 && x[4] == 100);
    expect_ok(market_rsi(flat, 5, 3, x));
    assert_true(x[3] == 0 && x[4] == 0); // TA-Lib's convention
}

static void series_shorter_than_the_warm_up_are_all_nan(void **state)
{
    (void)state;
    enum { N = 5 };
    const double price[N] = { 1, 2, 3, 2, 1 };
    double x[N], signal[N], histogram[N];
#define ALL_NAN(call) \
    do { \
        memset(x, 0, sizeof x); \
        expect_ok(call); \
        for (int t = 0; t < N; t++) \
            assert_true(isnan(x[t])); \
    } while (0)
    ALL_NAN(market_sma(price, N, 6, x));
    ALL_NAN(market_ema(price, N, 6, x));
    ALL_NAN(market_deviation(price, N, 6, x));
    ALL_NAN(market_zscore(price, N, 6, x));
    ALL_NAN(market_bollinger_z(price, N, 6, x));
    ALL_NAN(market_rsi(price, N, 5, x));
    ALL_NAN(market_atr(price, price, price, N, 5, x));
    ALL_NAN(market_log_return(price, N, 5, x));
    ALL_NAN(market_volatility(price, N, 5, x));
    ALL_NAN(market_macd(price, N, 2, 4, 3, x, signal, histogram));
    for (int t = 0; t < N; t++)
        assert_true(isnan(signal[t]) && isnan(histogram[t]));
#undef ALL_NAN
}

static void refuses_periods_out_of_range(void **state)
{
    (void)state;
    const double price[] = { 1, 2, 3 };
    double x[3], y[3], z[3];
    expect_fails(GN_ERR_ARG, "sma: period 0 is below 1", market_sma(price, 3, 0, x));
    expect_fails(GN_ERR_ARG, "ema: period 0", market_ema(price, 3, 0, x));
    expect_fails(GN_ERR_ARG, "deviation: period 0", market_deviation(price, 3, 0, x));
    expect_fails(GN_ERR_ARG, "zscore: period 0", market_zscore(price, 3, 0, x));
    expect_fails(GN_ERR_ARG, "bollinger_z: period 0", market_bollinger_z(price, 3, 0, x));
    expect_fails(GN_ERR_ARG, "rsi: period 1 is below 2", market_rsi(price, 3, 1, x));
    expect_fails(GN_ERR_ARG, "atr: period 0", market_atr(price, price, price, 3, 0, x));
    expect_fails(GN_ERR_ARG, "log_return: period 0", market_log_return(price, 3, 0, x));
    expect_fails(GN_ERR_ARG, "volatility: period 0", market_volatility(price, 3, 0, x));
    expect_fails(GN_ERR_ARG, "slow period 5 is not above the fast one, 5",
                 market_macd(price, 3, 5, 5, 3, x, y, z));
}

TEST_MAIN(gives_the_values_of_ta_lib, windows_give_what_the_formulas_say,
          log_returns_span_their_horizon, errors_do_not_grow_with_length_or_level,
          constant_windows_have_no_deviation_at_all, rsi_knows_its_extremes,
          series_shorter_than_the_warm_up_are_all_nan, refuses_periods_out_of_range)
