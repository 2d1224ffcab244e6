// Performance figures of an equity curve, by the conventions of docs/trading.md: simple returns of
// equity marked at closes; Sharpe = mean / std (ddof 1) * sqrt(bars per year), risk-free 0; Sortino
// with downside deviation sqrt(sum(min(r, 0)^2) / N); CAGR by calendar time; drawdown from the
// running maximum including the start. All are fractions, not percent.

#ifndef MARKET_PERFORMANCE_H
#define MARKET_PERFORMANCE_H

#include <stdint.h>

#include "base/status.h"

typedef struct market_performance {
    uint64_t bars; // steps between the marks: marks - 1
    double total_return, cagr, volatility, sharpe, sortino, max_drawdown, calmar;
} market_performance;

// Figures that do not exist are 0: Sharpe of a flat curve, CAGR of no time. CAGR is -1 at ruin.
// Shapes: equity: [marks], marks >= 2, the first is the start; years: calendar time covered.
// Errors: GN_ERR_ARG for fewer than 2 marks, a first mark not above 0; GN_ERR_NUMERIC names a mark
// that is not finite.
gn_status market_performance_measure(market_performance *ret_performance, const double *equity,
                                     uint64_t marks, double bars_per_year, double years);

#endif
