// The money of one trading account: fills with costs, funding, marking, ruin. Pure arithmetic on a
// plain struct; docs/trading.md explains it with a worked ledger.
//
// A fill at mid price P towards target exposure e (share of equity, negative is short) trades d
// units at P (1 + c) when buying, P (1 - c) when selling, c = half spread + slippage, and pays
// fee * |d| * fill price. d is chosen so that after all costs the position is worth exactly
// e * equity at P. Costs can never help the trader. Where d would cost more than the account has,
// the position is closed instead.

#ifndef ENVS_TRADING_ACCOUNT_H
#define ENVS_TRADING_ACCOUNT_H

#include <stdint.h>

// All as fractions (1 bps = 1e-4).
typedef struct trading_costs {
    double fee; // of the traded notional
    double half_spread; // of the price
    double slippage; // of the price, always against the trader
    double funding; // a bar, of the notional at its close: longs pay, shorts receive (if > 0)
    double borrow; // a bar, of the notional at its close: shorts pay
} trading_costs;

// Every field has 8 bytes: without padding, saved bytes are a function of the state.
typedef struct trading_account {
    double cash, units; // units below 0 is a short position
    double target; // target exposure of the last fill
    double entry_equity; // just before the fill that opened or turned the position
    uint64_t bars_held; // closes since then; 0 while flat
    // Costs since the start: spread includes slippage, funding includes borrow.
    double fees_paid, spread_paid, funding_paid;
    double traded; // sum of |traded notional|, at mid price
    double turnover; // sum of |change of target exposure|
    uint64_t trades; // fills
} trading_account;

// An account of `capital` in cash.
void trading_account_open(trading_account *account, double capital);

double trading_account_equity(const trading_account *account, double price);

// Trades to `target` at mid price `price`. Nothing happens where the target is the last one:
// a position is held, not rebalanced, until the target changes.
void trading_account_fill(trading_account *account, const trading_costs *costs, double target,
                          double price);

// Charges funding and borrow at a bar's close and counts the bar.
void trading_account_close_bar(trading_account *account, const trading_costs *costs, double close);

// Price at which equity falls to `maintenance` times the notional of the position, or 0 if none
// can (no position, or a long one without debt).
double trading_account_liquidation_price(const trading_account *account, double maintenance);

#endif
