// Performance figures against values worked out by hand.

#include "market/performance.h"

#include <math.h>

#include "tests/support/check.h"

static void expect_near(double found, double wanted)
{
    if (!(fabs(found - wanted) < 1e-12))
        fail_msg("%.17g instead of %.17g", found, wanted);
}

// Equity 100, 110, 99, 108.9: returns 0.1, -0.1, 0.1.
//     mean 1/30; deviations 1/15, -2/15, 1/15; squares 6/225; variance 3/225, std 0.2 / sqrt(3)
//     downside sqrt(0.01 / 3) = 0.1 / sqrt(3); drawdown 1 - 99/110 = 0.1
//     four bars a year: Sharpe = (1/30) / (0.2 / sqrt(3)) * 2 = sqrt(3) / 3;  Sortino is twice that
//     two years: CAGR = sqrt(1.089) - 1
static void measures_a_small_curve(void **state)
{
    (void)state;
    const double equity[] = { 100, 110, 99, 108.9 };
    market_performance p;
    expect_ok(market_performance_measure(&p, equity, 4, 4, 2));
    assert_int_equal(p.bars, 3);
    expect_near(p.total_return, 0.089);
    expect_near(p.volatility, 0.2 / sqrt(3) * 2);
    expect_near(p.sharpe, sqrt(3) / 3);
    expect_near(p.sortino, 2 * sqrt(3) / 3);
    expect_near(p.max_drawdown, 0.1);
    expect_near(p.cagr, sqrt(1.089) - 1);
    expect_near(p.calmar, (sqrt(1.089) - 1) / 0.1);
}

// The start counts as a top: 100, 80, 90, 72 falls by 28 % although no later mark is above 90.
static void measures_drawdown_from_the_start(void **state)
{
    (void)state;
    const double equity[] = { 100, 80, 90, 72 };
    market_performance p;
    expect_ok(market_performance_measure(&p, equity, 4, 252, 1));
    expect_near(p.max_drawdown, 0.28);
    expect_near(p.cagr, -0.28);
    expect_near(p.calmar, -1);
}

static void figures_that_do_not_exist_are_zero(void **state)
{
    (void)state;
    market_performance p;
    expect_ok(market_performance_measure(&p, (double[]){ 5, 5, 5 }, 3, 252, 1));
    assert_true(p.sharpe == 0 && p.sortino == 0 && p.max_drawdown == 0 && p.calmar == 0);
    assert_true(p.total_return == 0 && p.cagr == 0 && p.volatility == 0);
    expect_ok(market_performance_measure(&p, (double[]){ 5, 6 }, 2, 252, 0));
    assert_true(p.cagr == 0 && p.volatility == 0 && p.sharpe == 0); // one return, no time
    expect_near(p.total_return, 0.2);
}

static void ruin_is_a_loss_of_everything(void **state)
{
    (void)state;
    market_performance p;
    expect_ok(market_performance_measure(&p, (double[]){ 100, 50, 0, 0 }, 4, 252, 3));
    expect_near(p.total_return, -1);
    expect_near(p.cagr, -1);
    expect_near(p.max_drawdown, 1);
    assert_true(isfinite(p.sharpe) && p.sharpe < 0);
    expect_ok(market_performance_measure(&p, (double[]){ 100, -20 }, 2, 252, 3));
    expect_near(p.total_return, -1.2);
    expect_near(p.cagr, -1);
}

static void refuses_what_is_no_curve(void **state)
{
    (void)state;
    market_performance p;
    expect_fails(GN_ERR_ARG, "1 marks; at least 2",
                 market_performance_measure(&p, (double[]){ 1 }, 1, 252, 1));
    expect_fails(GN_ERR_ARG, "first mark 0 is not above 0",
                 market_performance_measure(&p, (double[]){ 0, 1 }, 2, 252, 1));
    expect_fails(GN_ERR_NUMERIC, "mark 2 is nan",
                 market_performance_measure(&p, (double[]){ 1, 1, NAN }, 3, 252, 1));
    expect_fails(GN_ERR_NUMERIC, "mark 1 is inf",
                 market_performance_measure(&p, (double[]){ 1, INFINITY, 2 }, 3, 252, 1));
}

TEST_MAIN(measures_a_small_curve, measures_drawdown_from_the_start,
          figures_that_do_not_exist_are_zero, ruin_is_a_loss_of_everything,
          refuses_what_is_no_curve)
