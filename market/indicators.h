// Technical indicators over whole series, in double precision, with TA-Lib's conventions: same
// values, same first valid index. Elements before it are NaN. Each is causal: element t depends on
// inputs 0..t only. Outputs may not alias inputs. A series shorter than the warm-up is all NaN.
//
// Shapes: every input and output [n].
// Errors: GN_ERR_ARG for a period out of range.
// Source: TA-Lib 0.4 (ta-lib.org) for the conventions; the formulas stand at each function.

#ifndef MARKET_INDICATORS_H
#define MARKET_INDICATORS_H

#include <stddef.h>

#include "base/status.h"

// Simple moving average; first at period - 1. period >= 1.
gn_status market_sma(const double *x, size_t n, size_t period, double *ret_sma);

// Exponential moving average, alpha = 2 / (period + 1), seeded with the SMA of the first `period`
// values; first at period - 1.
gn_status market_ema(const double *x, size_t n, size_t period, double *ret_ema);

// Population standard deviation (ddof 0) over `period` values; first at period - 1.
gn_status market_deviation(const double *x, size_t n, size_t period, double *ret_deviation);

// Relative strength index with Wilder's smoothing, 0 to 100; first at `period`. period >= 2.
gn_status market_rsi(const double *close, size_t n, size_t period, double *ret_rsi);

// MACD: EMA(fast) - EMA(slow), its EMA(signal), and the difference; TA-Lib starts both EMAs so
// that they are valid at slow - 1, and all three outputs at slow + signal - 2.
gn_status market_macd(const double *close, size_t n, size_t fast, size_t slow, size_t signal,
                      double *ret_macd, double *ret_signal, double *ret_histogram);

// Bollinger z: (close - SMA) / deviation over `period`; 0 where the deviation is 0.
gn_status market_bollinger_z(const double *close, size_t n, size_t period, double *ret_z);

// Average true range with Wilder's smoothing; first at `period`. period >= 1.
gn_status market_atr(const double *high, const double *low, const double *close, size_t n,
                     size_t period, double *ret_atr);

// Log return over `horizon` bars: ln(x_t / x_{t-h}); first at horizon.
gn_status market_log_return(const double *x, size_t n, size_t horizon, double *ret_return);

// Root mean square of the one-bar log returns over `period` bars (volatility a bar, mean taken as
// 0); first at `period`.
gn_status market_volatility(const double *close, size_t n, size_t period, double *ret_volatility);

// (x_t - mean) / deviation (ddof 0) over `period` values; 0 where the deviation is 0; first at
// period - 1.
gn_status market_zscore(const double *x, size_t n, size_t period, double *ret_z);

#endif
