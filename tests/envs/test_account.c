// The money: what must hold for any fill, checked on random ones, then single rules by hand.

#include "envs/trading/account.h"

#include <math.h>
#include <string.h>

#include "tests/support/check.h"

static const trading_costs free_of_costs = { 0 };

static double between(test_rng *rng, double low, double high)
{
    return low + (high - low) * test_rng_unit(rng);
}

// An account with a random position, drifted away from its target, and a random fill to come.
static void random_case(test_rng *rng, trading_account *ret_account, trading_costs *ret_costs,
                        double *ret_target, double *ret_price)
{
    *ret_costs = (trading_costs){
        .fee = between(rng, 0, 0.01),
        .half_spread = between(rng, 0, 0.005),
        .slippage = between(rng, 0, 0.005),
    };
    double price = exp(between(rng, -5, 10));
    trading_account_open(ret_account, 1000);
    trading_account_fill(ret_account, ret_costs, between(rng, -3, 3), price);
    *ret_target = between(rng, -3, 3);
    *ret_price = price * between(rng, 0.9, 1.1);
}

static void exposure_is_exact_after_costs(void **state)
{
    (void)state;
    test_rng rng = test_rng_seed(1);
    for (int round = 0; round < 10000; round++) {
        trading_account account;
        trading_costs costs;
        double target, price;
        random_case(&rng, &account, &costs, &target, &price);
        trading_account_fill(&account, &costs, target, price);
        double equity = trading_account_equity(&account, price);
        assert_true(equity > 0);
        assert_true(fabs(account.units * price - target * equity) < 1e-10 * equity);
    }
}

static void a_fill_costs_what_the_books_say_and_never_gains(void **state)
{
    (void)state;
    test_rng rng = test_rng_seed(2);
    for (int round = 0; round < 10000; round++) {
        trading_account account;
        trading_costs costs;
        double target, price;
        random_case(&rng, &account, &costs, &target, &price);
        trading_account before = account;
        double equity = trading_account_equity(&account, price);
        trading_account_fill(&account, &costs, target, price);

        double lost = equity - trading_account_equity(&account, price);
        double traded = fabs(account.units - before.units) * price;
        double fees = account.fees_paid - before.fees_paid;
        double spread = account.spread_paid - before.spread_paid;
        assert_true(lost >= -1e-12 * equity);
        assert_true(fees >= 0 && spread >= 0);
        assert_true(fabs(lost - fees - spread) < 1e-9 * equity);
        assert_true(fabs(spread - traded * (costs.half_spread + costs.slippage)) < 1e-9 * equity);
        double side = account.units > before.units ? 1 : -1;
        double fill_notional = traded * (1 + side * (costs.half_spread + costs.slippage));
        assert_true(fabs(fees - costs.fee * fill_notional) < 1e-9 * equity);
    }
}

static void same_target_holds_the_position(void **state)
{
    (void)state;
    const trading_costs costs = { .fee = 0.001 };
    trading_account account;
    trading_account_open(&account, 1000);
    trading_account_fill(&account, &costs, 1, 100);
    trading_account held = account;
    trading_account_fill(&account, &costs, 1, 150);
    assert_memory_equal(&account, &held, sizeof account);
}

static void the_first_position_is_not_free(void **state)
{
    (void)state;
    const trading_costs costs = { .fee = 0.001, .half_spread = 0.002 };
    trading_account account;
    trading_account_open(&account, 1000);
    trading_account_fill(&account, &costs, 1, 100);
    // 1000 = units * 100 * (1.002 + 0.001 * 1.002)
    assert_true(fabs(account.units - 10 / 1.003002) < 1e-12);
    assert_true(fabs(account.cash) < 1e-9);
    assert_int_equal(account.trades, 1);
}

static void closing_leaves_cash_only(void **state)
{
    (void)state;
    const trading_costs costs = { .fee = 0.001 };
    trading_account account;
    trading_account_open(&account, 1000);
    trading_account_fill(&account, &costs, -1, 0.3);
    trading_account_fill(&account, &costs, 0, 0.7 / 3);
    assert_true(account.units == 0);
    assert_true(account.entry_equity == account.cash);
    assert_int_equal(account.trades, 2);
    assert_true(account.turnover == 2);
}

// Equity is marked with the notional of the open position, and profits compound.
static void long_and_short_profits_compound(void **state)
{
    (void)state;
    trading_account account;
    trading_account_open(&account, 1000);
    trading_account_fill(&account, &free_of_costs, 1, 100);
    assert_true(fabs(trading_account_equity(&account, 110) - 1100) < 1e-9);
    trading_account_fill(&account, &free_of_costs, -1, 110);
    assert_true(fabs(trading_account_equity(&account, 99) - 1210) < 1e-9);
}

static void funding_is_charged_each_bar_and_borrow_to_shorts_only(void **state)
{
    (void)state;
    const trading_costs costs = { .funding = 0.001, .borrow = 0.003 };
    trading_account account;
    trading_account_open(&account, 1000);
    trading_account_close_bar(&account, &costs, 100);
    assert_true(account.cash == 1000 && account.bars_held == 0);

    trading_account_fill(&account, &costs, 1, 100);
    trading_account_close_bar(&account, &costs, 200); // 10 units worth 2000
    assert_true(fabs(account.funding_paid - 2) < 1e-12);
    trading_account_close_bar(&account, &costs, 100);
    assert_true(fabs(account.funding_paid - 3) < 1e-12);
    assert_int_equal(account.bars_held, 2);

    trading_account_open(&account, 1000);
    trading_account_fill(&account, &costs, -1, 100);
    trading_account_close_bar(&account, &costs, 100); // receives 1, pays 3
    trading_account_close_bar(&account, &costs, 100);
    assert_true(fabs(account.funding_paid - 4) < 1e-12);
    assert_true(fabs(trading_account_equity(&account, 100) - 996) < 1e-9);
}

static void entry_is_where_the_position_was_opened_or_turned(void **state)
{
    (void)state;
    trading_account account;
    trading_account_open(&account, 1000);
    trading_account_fill(&account, &free_of_costs, 0.5, 100);
    trading_account_close_bar(&account, &free_of_costs, 120);
    trading_account_fill(&account, &free_of_costs, 1, 120); // same side: still the same position
    assert_true(account.entry_equity == 1000);
    assert_int_equal(account.bars_held, 1);
    trading_account_fill(&account, &free_of_costs, -1, 120);
    assert_true(fabs(account.entry_equity - 1100) < 1e-9);
    assert_int_equal(account.bars_held, 0);
}

static void an_account_that_cannot_pay_the_trade_is_closed(void **state)
{
    (void)state;
    const trading_costs costs = { .fee = 0.1 };
    trading_account account;
    trading_account_open(&account, 1000);
    trading_account_fill(&account, &costs, -2, 100);
    double broke = 1.01 * account.cash / -account.units;
    assert_true(trading_account_equity(&account, broke) < 0);
    trading_account_fill(&account, &costs, 1, broke);
    assert_true(account.units == 0 && account.target == 0 && account.cash < 0);
    trading_account_fill(&account, &costs, 1, 100);
    assert_true(account.units == 0);
}

static void liquidation_price_leaves_the_maintenance_margin(void **state)
{
    (void)state;
    const double targets[] = { 5, 2, -1, -4 };
    for (int i = 0; i < 4; i++) {
        trading_account account;
        trading_account_open(&account, 1000);
        trading_account_fill(&account, &free_of_costs, targets[i], 100);
        double price = trading_account_liquidation_price(&account, 0.01);
        assert_true(targets[i] > 0 ? price < 100 : price > 100);
        double notional = fabs(account.units) * price;
        assert_true(fabs(trading_account_equity(&account, price) - 0.01 * notional) < 1e-9);
    }
}

static void what_owes_nothing_has_no_liquidation_price(void **state)
{
    (void)state;
    trading_account account;
    trading_account_open(&account, 1000);
    assert_true(trading_account_liquidation_price(&account, 0.01) == 0);
    trading_account_fill(&account, &free_of_costs, 0.8, 100);
    assert_true(trading_account_liquidation_price(&account, 0.01) == 0);
}

TEST_MAIN(exposure_is_exact_after_costs, a_fill_costs_what_the_books_say_and_never_gains,
          same_target_holds_the_position, the_first_position_is_not_free, closing_leaves_cash_only,
          long_and_short_profits_compound, funding_is_charged_each_bar_and_borrow_to_shorts_only,
          entry_is_where_the_position_was_opened_or_turned,
          an_account_that_cannot_pay_the_trade_is_closed,
          liquidation_price_leaves_the_maintenance_margin,
          what_owes_nothing_has_no_liquidation_price)
