// Performance figures of an equity curve: one pass for drawdown and moments, by the formulas of
// market/performance.h.

#include "market/performance.h"

#include <math.h>

// Simple return of a mark on the one before; 0 once nothing is left to earn a return on.
static double simple_return(const double *equity, uint64_t mark)
{
    return equity[mark - 1] > 0 ? equity[mark] / equity[mark - 1] - 1 : 0;
}

static double annual_growth(double growth, double years)
{
    if (growth <= 0)
        return -1;
    return years > 0 ? pow(growth, 1 / years) - 1 : 0;
}

gn_status market_performance_measure(market_performance *ret_performance, const double *equity,
                                     uint64_t marks, double bars_per_year, double years)
{
    if (marks < 2)
        return gn_fail(GN_ERR_ARG, "performance: %llu marks; at least 2 are needed",
                       (unsigned long long)marks);
    if (!(equity[0] > 0))
        return gn_fail(GN_ERR_ARG, "performance: the first mark %g is not above 0", equity[0]);
    for (uint64_t t = 0; t < marks; t++)
        if (!isfinite(equity[t]))
            return gn_fail(GN_ERR_NUMERIC, "performance: mark %llu is %g", (unsigned long long)t,
                           equity[t]);

    uint64_t bars = marks - 1;
    double sum = 0, downside = 0, top = equity[0], drawdown = 0;
    for (uint64_t t = 1; t < marks; t++) {
        double r = simple_return(equity, t);
        sum += r;
        downside += r < 0 ? r * r : 0;
        top = fmax(top, equity[t]);
        drawdown = fmax(drawdown, 1 - equity[t] / top);
    }
    double mean = sum / (double)bars, squares = 0;
    for (uint64_t t = 1; t < marks; t++) {
        double deviation = simple_return(equity, t) - mean;
        squares += deviation * deviation;
    }
    double deviation = bars > 1 ? sqrt(squares / (double)(bars - 1)) : 0;
    double downside_deviation = sqrt(downside / (double)bars);
    double annual = sqrt(bars_per_year);
    double growth = equity[marks - 1] / equity[0];
    double cagr = annual_growth(growth, years);
    *ret_performance = (market_performance){
        .bars = bars,
        .total_return = growth - 1,
        .cagr = cagr,
        .volatility = deviation * annual,
        .sharpe = deviation > 0 ? mean / deviation * annual : 0,
        .sortino = downside_deviation > 0 ? mean / downside_deviation * annual : 0,
        .max_drawdown = drawdown,
        .calmar = drawdown > 0 ? cagr / drawdown : 0,
    };
    return GN_OK;
}
