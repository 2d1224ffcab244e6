// Technical indicators. Recursive ones (EMA, Wilder) follow TA-Lib step by step. Windowed ones do
// not add the new value and subtract the old one, as TA-Lib does: that sum drifts, and a variance
// from sums of squares loses all its digits on prices far from 0. Instead (van Herk 1992, for
// sums) the series is cut into blocks of `period`, and a window is the end of one block plus the
// start of the next:
//
//     | . . . . . . | . . . . . . |        b = start of the block that holds t
//           [ suffix | prefix ]            window of `period` values ending at t
//                     b     t
//
// The suffix sums are made once, at b; the prefix sum grows with t. No value is ever subtracted, a
// sum has at most `period` terms, and everything is measured from the anchor x_b, which lies in
// each of these windows and is known at each t. So errors neither grow with t nor with the level
// of x, a constant window has exactly deviation 0, and element t is causal bit for bit.

#include "market/indicators.h"

#include <math.h>
#include <stdbool.h>

#include "base/mem.h"

static gn_status check_period(const char *name, size_t period, size_t least)
{
    if (period < least)
        return gn_fail(GN_ERR_ARG, "%s: period %zu is below %zu", name, period, least);
    return GN_OK;
}

// Fills the elements before `first`; returns true if the series reaches it.
static bool fill_warmup(double *column, size_t n, size_t first)
{
    for (size_t t = 0; t < first && t < n; t++)
        column[t] = NAN;
    return n > first;
}

// The block of values up to b, as sums measured from the anchor x_b.
//     sum[j] = sum of (x_i - x_b), square[j] = of (x_i - x_b)^2, over the last j values before b
typedef struct suffix_sums {
    double *sum, *square; // [period], both in one allocation that starts at sum
} suffix_sums;

static gn_status suffix_sums_create(suffix_sums *ret_suffix, size_t period)
{
    GN_TRY(gn_alloc(&ret_suffix->sum, period, 2 * sizeof *ret_suffix->sum));
    ret_suffix->square = ret_suffix->sum + period;
    return GN_OK;
}

static void suffix_sums_fill(suffix_sums *suffix, const double *x, size_t b, size_t period)
{
    double sum = 0, square = 0;
    suffix->sum[0] = suffix->square[0] = 0;
    for (size_t j = 1; j < period; j++) {
        double d = x[b - j] - x[b];
        sum += d;
        square += d * d;
        suffix->sum[j] = sum;
        suffix->square[j] = square;
    }
}

// Mean and variance of a window, the mean measured from `anchor`.
typedef struct moments {
    double anchor, mean, variance;
} moments;

// What a windowed indicator makes of the value at t and its window.
typedef double (*window_function)(double x, moments window);

// Calls `f` on every window of `period` values; first at period - 1.
static inline gn_status for_each_window(const double *x, size_t n, size_t period,
                                        double *ret_column, window_function f)
{
    if (!fill_warmup(ret_column, n, period - 1))
        return GN_OK;
    suffix_sums suffix;
    GN_TRY(suffix_sums_create(&suffix, period));
    double scale = 1 / (double)period;
    for (size_t b = 0; b < n; b += period) {
        size_t end = b + period < n ? b + period : n;
        if (b > 0)
            suffix_sums_fill(&suffix, x, b, period);
        double sum = 0, square = 0;
        for (size_t t = b; t < end; t++) {
            double d = x[t] - x[b];
            sum += d;
            square += d * d;
            size_t before = b + period - 1 - t; // values of the window that lie before b
            if (b == 0 && before > 0)
                continue;
            double mean = (suffix.sum[before] + sum) * scale;
            double variance = (suffix.square[before] + square) * scale - mean * mean;
            ret_column[t] = f(x[t], (moments){ x[b], mean, variance });
        }
    }
    gn_free(&suffix.sum);
    return GN_OK;
}

static inline double window_mean(double x, moments window)
{
    (void)x;
    return window.anchor + window.mean;
}

static inline double window_deviation(double x, moments window)
{
    (void)x;
    return window.variance > 0 ? sqrt(window.variance) : 0;
}

static inline double window_zscore(double x, moments window)
{
    double deviation = window_deviation(x, window);
    return deviation > 0 ? (x - window.anchor - window.mean) / deviation : 0;
}

gn_status market_sma(const double *x, size_t n, size_t period, double *ret_sma)
{
    GN_TRY(check_period("sma", period, 1));
    return for_each_window(x, n, period, ret_sma, window_mean);
}

gn_status market_deviation(const double *x, size_t n, size_t period, double *ret_deviation)
{
    GN_TRY(check_period("deviation", period, 1));
    return for_each_window(x, n, period, ret_deviation, window_deviation);
}

gn_status market_zscore(const double *x, size_t n, size_t period, double *ret_z)
{
    GN_TRY(check_period("zscore", period, 1));
    return for_each_window(x, n, period, ret_z, window_zscore);
}

gn_status market_bollinger_z(const double *close, size_t n, size_t period, double *ret_z)
{
    GN_TRY(check_period("bollinger_z", period, 1));
    return for_each_window(close, n, period, ret_z, window_zscore);
}

// Mean of x[first, first + period).
static double plain_mean(const double *x, size_t first, size_t period)
{
    double sum = 0;
    for (size_t i = first; i < first + period; i++)
        sum += x[i];
    return sum / (double)period;
}

// e_t = (1 - a) e_{t-1} + a x_t: written so, one multiply-add a bar waits for the bar before.
static double ema_step(double ema, double x, double alpha)
{
    return (1 - alpha) * ema + alpha * x;
}

static double ema_alpha(size_t period)
{
    return 2 / ((double)period + 1);
}

// EMA whose first value, at first + period - 1, is the mean of the `period` values that end there.
static void ema_from(const double *x, size_t n, size_t first, size_t period, double *ret_ema)
{
    if (!fill_warmup(ret_ema, n, first + period - 1))
        return;
    double alpha = ema_alpha(period), ema = plain_mean(x, first, period);
    ret_ema[first + period - 1] = ema;
    for (size_t t = first + period; t < n; t++)
        ret_ema[t] = ema = ema_step(ema, x[t], alpha);
}

gn_status market_ema(const double *x, size_t n, size_t period, double *ret_ema)
{
    GN_TRY(check_period("ema", period, 1));
    ema_from(x, n, 0, period, ret_ema);
    return GN_OK;
}

//     g_t = ((p - 1) g_{t-1} + max(c_t - c_{t-1}, 0)) / p, seeded with the mean of the first p; l
//     likewise of the losses;  RSI = 100 g / (g + l), and 0 while nothing ever moved, as in TA-Lib
// Source: Wilder, "New Concepts in Technical Trading Systems", 1978.
gn_status market_rsi(const double *close, size_t n, size_t period, double *ret_rsi)
{
    GN_TRY(check_period("rsi", period, 2));
    if (!fill_warmup(ret_rsi, n, period))
        return GN_OK;
    double scale = 1 / (double)period, keep = 1 - scale, gain = 0, loss = 0;
    for (size_t t = 1; t < n; t++) {
        double change = close[t] - close[t - 1], before = t <= period ? 1 : keep;
        gain = before * gain + scale * (change > 0 ? change : 0);
        loss = before * loss + scale * (change < 0 ? -change : 0);
        if (t >= period)
            ret_rsi[t] = gain + loss > 0 ? 100 * gain / (gain + loss) : 0;
    }
    return GN_OK;
}

// Both EMAs start at slow - 1: the fast one from the `fast` values that end there.
gn_status market_macd(const double *close, size_t n, size_t fast, size_t slow, size_t signal,
                      double *ret_macd, double *ret_signal, double *ret_histogram)
{
    GN_TRY(check_period("macd fast", fast, 1));
    GN_TRY(check_period("macd signal", signal, 1));
    if (slow <= fast)
        return gn_fail(GN_ERR_ARG, "macd: slow period %zu is not above the fast one, %zu", slow,
                       fast);
    if (n >= slow) {
        double fast_alpha = ema_alpha(fast), slow_alpha = ema_alpha(slow);
        double fast_ema = plain_mean(close, slow - fast, fast);
        double slow_ema = plain_mean(close, 0, slow);
        ret_macd[slow - 1] = fast_ema - slow_ema;
        for (size_t t = slow; t < n; t++) {
            fast_ema = ema_step(fast_ema, close[t], fast_alpha);
            slow_ema = ema_step(slow_ema, close[t], slow_alpha);
            ret_macd[t] = fast_ema - slow_ema;
        }
    }
    ema_from(ret_macd, n, slow - 1, signal, ret_signal);
    (void)fill_warmup(ret_macd, n, slow + signal - 2);
    for (size_t t = 0; t < n; t++)
        ret_histogram[t] = ret_macd[t] - ret_signal[t];
    return GN_OK;
}

//     TR_t = max(h_t - l_t, |h_t - c_{t-1}|, |l_t - c_{t-1}|), t >= 1
//     ATR_p = mean of TR_1..TR_p;  ATR_t = ((p - 1) ATR_{t-1} + TR_t) / p
// Source: Wilder 1978.
gn_status market_atr(const double *high, const double *low, const double *close, size_t n,
                     size_t period, double *ret_atr)
{
    GN_TRY(check_period("atr", period, 1));
    if (!fill_warmup(ret_atr, n, period))
        return GN_OK;
    double scale = 1 / (double)period, keep = 1 - scale, atr = 0;
    for (size_t t = 1; t < n; t++) {
        double top = high[t] > close[t - 1] ? high[t] : close[t - 1];
        double bottom = low[t] < close[t - 1] ? low[t] : close[t - 1];
        atr = (t <= period ? 1 : keep) * atr + scale * (top - bottom);
        if (t >= period)
            ret_atr[t] = atr;
    }
    return GN_OK;
}

gn_status market_log_return(const double *x, size_t n, size_t horizon, double *ret_return)
{
    GN_TRY(check_period("log_return", horizon, 1));
    (void)fill_warmup(ret_return, n, horizon);
    for (size_t t = horizon; t < n; t++)
        ret_return[t] = log(x[t] / x[t - horizon]);
    return GN_OK;
}

// The window of returns r_{t-p+1}..r_t is a window over the series r_1.., which has n - 1 elements.
// The mean square is the variance around the mean plus the mean's square.
static inline double window_root_mean_square(double x, moments window)
{
    (void)x;
    double mean = window.anchor + window.mean;
    double variance = window.variance > 0 ? window.variance : 0;
    return sqrt(variance + mean * mean);
}

gn_status market_volatility(const double *close, size_t n, size_t period, double *ret_volatility)
{
    GN_TRY(check_period("volatility", period, 1));
    if (!fill_warmup(ret_volatility, n, period))
        return GN_OK;
    double *returns;
    GN_TRY(gn_alloc(&returns, n, sizeof *returns));
    gn_status status = market_log_return(close, n, 1, returns);
    if (status == GN_OK)
        status = for_each_window(returns + 1, n - 1, period, ret_volatility + 1,
                                 window_root_mean_square);
    gn_free(&returns);
    return status;
}
