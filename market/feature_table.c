// The features: one function each, and the table that names them. A new feature is a row here.
//
// Model features divide by a quantity known at the bar (its volatility, its range) and are clipped
// to [-LIMIT, LIMIT]; where that quantity is 0 nothing moved, and the feature is 0.

#include "market/features.h"

#include <math.h>
#include <stdbool.h>

#include "base/mem.h"
#include "market/indicators.h"
#include "market/time_text.h"

static const double LIMIT = 10;

// Moves below this share of the price are rounding errors: the average true range of a market that
// stands still shrinks to nothing, but never to 0.
static const double ROUNDING = 1e-12;

enum {
    SCALE_PERIOD = 64, // volatility that returns are measured in
    BASE_PERIOD = 256, // volatility that volatility is measured in
    MACD_FAST = 12,
    MACD_SLOW = 26,
    MACD_SIGNAL = 9,
    ATR_PERIOD = 14,
};

static double clip(double x)
{
    return x > LIMIT ? LIMIT : x < -LIMIT ? -LIMIT : x; // NaN stays: the warm-up
}

// a / b, 0 where b is 0.
static double ratio(double a, double b)
{
    return b == 0 ? 0 : a / b;
}

// ln(a / b), 0 where b is 0 and the lower limit where only a is.
static double log_ratio(double a, double b)
{
    return b == 0 ? 0 : a == 0 ? -LIMIT : log(a / b);
}

static gn_status scratch(const market_bars_view *bars, size_t columns, double **ret_block)
{
    return gn_alloc(ret_block, bars->count, columns * sizeof **ret_block);
}

// --- Model features -----------------------------------------------------------------------------

static gn_status feature_return(const market_bars_view *bars, size_t period, double *ret_column)
{
    double *volatility;
    GN_TRY(scratch(bars, 1, &volatility));
    gn_status status = market_volatility(bars->close, bars->count, SCALE_PERIOD, volatility);
    if (status == GN_OK)
        status = market_log_return(bars->close, bars->count, period, ret_column);
    double root = sqrt((double)period);
    for (uint64_t t = 0; status == GN_OK && t < bars->count; t++)
        ret_column[t] = clip(ratio(ret_column[t], volatility[t] * root));
    gn_free(&volatility);
    return status;
}

static gn_status feature_volatility(const market_bars_view *bars, size_t period, double *ret_column)
{
    double *base;
    GN_TRY(scratch(bars, 1, &base));
    gn_status status = market_volatility(bars->close, bars->count, BASE_PERIOD, base);
    if (status == GN_OK)
        status = market_volatility(bars->close, bars->count, period, ret_column);
    for (uint64_t t = 0; status == GN_OK && t < bars->count; t++)
        ret_column[t] = clip(log_ratio(ret_column[t], base[t]));
    gn_free(&base);
    return status;
}

static gn_status feature_rsi(const market_bars_view *bars, size_t period, double *ret_column)
{
    GN_TRY(market_rsi(bars->close, bars->count, period, ret_column));
    for (uint64_t t = 0; t < bars->count; t++)
        ret_column[t] = (ret_column[t] - 50) / 50;
    return GN_OK;
}

static gn_status feature_macd(const market_bars_view *bars, size_t period, double *ret_column)
{
    (void)period;
    double *block;
    GN_TRY(scratch(bars, 3, &block));
    double *macd = block, *signal = block + bars->count, *atr = block + 2 * bars->count;
    gn_status status = market_macd(bars->close, bars->count, MACD_FAST, MACD_SLOW, MACD_SIGNAL,
                                   macd, signal, ret_column);
    if (status == GN_OK)
        status = market_atr(bars->high, bars->low, bars->close, bars->count, ATR_PERIOD, atr);
    for (uint64_t t = 0; status == GN_OK && t < bars->count; t++)
        ret_column[t] = atr[t] < ROUNDING * bars->close[t] ? 0 : clip(ret_column[t] / atr[t]);
    gn_free(&block);
    return status;
}

static gn_status feature_bollinger_z(const market_bars_view *bars, size_t period,
                                     double *ret_column)
{
    GN_TRY(market_bollinger_z(bars->close, bars->count, period, ret_column));
    for (uint64_t t = 0; t < bars->count; t++)
        ret_column[t] = clip(ret_column[t] / 2);
    return GN_OK;
}

static gn_status feature_atr_percent(const market_bars_view *bars, size_t period,
                                     double *ret_column)
{
    double *base;
    GN_TRY(scratch(bars, 1, &base));
    gn_status status = market_volatility(bars->close, bars->count, BASE_PERIOD, base);
    if (status == GN_OK)
        status = market_atr(bars->high, bars->low, bars->close, bars->count, period, ret_column);
    for (uint64_t t = 0; status == GN_OK && t < bars->count; t++)
        ret_column[t] = clip(log_ratio(ret_column[t] / bars->close[t], base[t]));
    gn_free(&base);
    return status;
}

static gn_status feature_volume_z(const market_bars_view *bars, size_t period, double *ret_column)
{
    double *size;
    GN_TRY(scratch(bars, 1, &size));
    for (uint64_t t = 0; t < bars->count; t++)
        size[t] = log1p(bars->volume[t]);
    gn_status status = market_zscore(size, bars->count, period, ret_column);
    for (uint64_t t = 0; status == GN_OK && t < bars->count; t++)
        ret_column[t] = clip(ret_column[t]);
    gn_free(&size);
    return status;
}

// Place in a cycle as a point on the unit circle.
static gn_status circle(const market_bars_view *bars, bool week, double (*coordinate)(double),
                        double *ret_column)
{
    static const double day_ns = 86400e9;
    for (uint64_t t = 0; t < bars->count; t++) {
        market_time_parts parts = market_time_split(bars->time_ns[t]);
        double days = (double)parts.nanosecond_of_day / day_ns;
        double turn = week ? (parts.weekday + days) / 7 : days;
        ret_column[t] = coordinate(2 * M_PI * turn);
    }
    return GN_OK;
}

static gn_status feature_hour_sin(const market_bars_view *bars, size_t period, double *ret_column)
{
    (void)period;
    return circle(bars, false, sin, ret_column);
}

static gn_status feature_hour_cos(const market_bars_view *bars, size_t period, double *ret_column)
{
    (void)period;
    return circle(bars, false, cos, ret_column);
}

static gn_status feature_week_sin(const market_bars_view *bars, size_t period, double *ret_column)
{
    (void)period;
    return circle(bars, true, sin, ret_column);
}

static gn_status feature_week_cos(const market_bars_view *bars, size_t period, double *ret_column)
{
    (void)period;
    return circle(bars, true, cos, ret_column);
}

// --- Raw indicators -----------------------------------------------------------------------------

static gn_status raw_return(const market_bars_view *bars, size_t period, double *ret_column)
{
    return market_log_return(bars->close, bars->count, period, ret_column);
}

static gn_status raw_volatility(const market_bars_view *bars, size_t period, double *ret_column)
{
    return market_volatility(bars->close, bars->count, period, ret_column);
}

static gn_status raw_sma(const market_bars_view *bars, size_t period, double *ret_column)
{
    return market_sma(bars->close, bars->count, period, ret_column);
}

static gn_status raw_ema(const market_bars_view *bars, size_t period, double *ret_column)
{
    return market_ema(bars->close, bars->count, period, ret_column);
}

static gn_status raw_deviation(const market_bars_view *bars, size_t period, double *ret_column)
{
    return market_deviation(bars->close, bars->count, period, ret_column);
}

static gn_status raw_rsi(const market_bars_view *bars, size_t period, double *ret_column)
{
    return market_rsi(bars->close, bars->count, period, ret_column);
}

static gn_status raw_atr(const market_bars_view *bars, size_t period, double *ret_column)
{
    return market_atr(bars->high, bars->low, bars->close, bars->count, period, ret_column);
}

// All three lines of MACD, of which the caller wants the one in `ret_column`.
enum { MACD_LINE, MACD_SIGNAL_LINE, MACD_HISTOGRAM_LINE, MACD_LINES };

static gn_status macd_line(const market_bars_view *bars, int wanted, double *ret_column)
{
    double *block;
    GN_TRY(scratch(bars, MACD_LINES, &block));
    double *line[MACD_LINES];
    for (int i = 0; i < MACD_LINES; i++)
        line[i] = block + (uint64_t)i * bars->count;
    line[wanted] = ret_column;
    gn_status status =
        market_macd(bars->close, bars->count, MACD_FAST, MACD_SLOW, MACD_SIGNAL, line[MACD_LINE],
                    line[MACD_SIGNAL_LINE], line[MACD_HISTOGRAM_LINE]);
    gn_free(&block);
    return status;
}

static gn_status raw_macd(const market_bars_view *bars, size_t period, double *ret_column)
{
    (void)period;
    return macd_line(bars, MACD_LINE, ret_column);
}

static gn_status raw_macd_signal(const market_bars_view *bars, size_t period, double *ret_column)
{
    (void)period;
    return macd_line(bars, MACD_SIGNAL_LINE, ret_column);
}

static gn_status raw_macd_histogram(const market_bars_view *bars, size_t period, double *ret_column)
{
    (void)period;
    return macd_line(bars, MACD_HISTOGRAM_LINE, ret_column);
}

// --- The table ----------------------------------------------------------------------------------

const market_feature market_feature_table[] = {
    { "return", 1, "ln(c_t / c_{t-N}) / (volatility_raw_64 sqrt(N))", feature_return },
    { "volatility", 16, "ln(volatility_raw_N / volatility_raw_256)", feature_volatility },
    { "rsi", 14, "(rsi_raw_N - 50) / 50", feature_rsi },
    { "macd", 0, "macd_histogram_raw / atr_raw_14", feature_macd },
    { "bollinger_z", 20, "(c - sma_N) / (2 deviation_N)", feature_bollinger_z },
    { "atr_percent", 14, "ln((atr_raw_N / c) / volatility_raw_256)", feature_atr_percent },
    { "volume_z", 64, "z-score over N bars of ln(1 + volume)", feature_volume_z },
    { "hour_sin", 0, "sin(2 pi day), day = share of the UTC day gone", feature_hour_sin },
    { "hour_cos", 0, "cos(2 pi day)", feature_hour_cos },
    { "week_sin", 0, "sin(2 pi week), week = share of the week gone since Monday 00:00 UTC",
      feature_week_sin },
    { "week_cos", 0, "cos(2 pi week)", feature_week_cos },
    { "return_raw", 1, "ln(c_t / c_{t-N})", raw_return },
    { "volatility_raw", 64, "root mean square of N one-bar log returns", raw_volatility },
    { "sma", 20, "mean of N closes", raw_sma },
    { "ema", 20, "exponential mean, alpha 2 / (N + 1)", raw_ema },
    { "deviation", 20, "standard deviation (ddof 0) of N closes", raw_deviation },
    { "rsi_raw", 14, "relative strength index, 0 to 100", raw_rsi },
    { "atr_raw", 14, "average true range", raw_atr },
    { "macd_raw", 0, "ema_12 - ema_26", raw_macd },
    { "macd_signal_raw", 0, "ema_9 of macd_raw", raw_macd_signal },
    { "macd_histogram_raw", 0, "macd_raw - macd_signal_raw", raw_macd_histogram },
    { 0 },
};
