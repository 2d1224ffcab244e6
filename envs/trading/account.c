// Arithmetic of one trading account. Double precision throughout; nothing here can fail.

#include "envs/trading/account.h"

#include <math.h>

void trading_account_open(trading_account *account, double capital)
{
    *account = (trading_account){ .cash = capital, .entry_equity = capital };
}

double trading_account_equity(const trading_account *account, double price)
{
    return account->cash + account->units * price;
}

// The trade d that leaves the position worth e times the equity that is left after the costs of d:
//     (u + d) P = e (E - |d| k),   k = P c + fee P (1 + s c),   s = sign(d)
//     d = (e E - u P) / (P + e s k)
// The denominator is positive (trading_create refuses exposures for which it is not), so d has the
// sign of the numerator: costs shorten a trade and never turn it round.
void trading_account_fill(trading_account *account, const trading_costs *costs, double target,
                          double price)
{
    if (target == account->target)
        return;
    double equity = trading_account_equity(account, price);
    double missing = target * equity - account->units * price;
    double side = missing < 0 ? -1 : 1;
    double concession = costs->half_spread + costs->slippage;
    double fee = costs->fee * (1 + side * concession);
    double unit_cost = price * (concession + fee);
    double units = target == 0 ? -account->units : missing / (price + target * side * unit_cost);
    double equity_after = equity - fabs(units) * unit_cost;
    if (target != 0 && equity_after <= 0) {
        trading_account_fill(account, costs, 0, price);
        return;
    }

    double notional = fabs(units) * price;
    account->cash -= units * price + fabs(units) * unit_cost;
    account->units = target == 0 ? 0 : account->units + units;
    account->fees_paid += notional * fee;
    account->spread_paid += notional * concession;
    account->traded += notional;
    account->trades += units != 0;
    account->turnover += fabs(target - account->target);
    if (target * account->target <= 0) {
        account->entry_equity = target == 0 ? equity_after : equity;
        account->bars_held = 0;
    }
    account->target = target;
}

void trading_account_close_bar(trading_account *account, const trading_costs *costs, double close)
{
    double notional = account->units * close;
    double charge = costs->funding * notional - (notional < 0 ? costs->borrow * notional : 0);
    account->cash -= charge;
    account->funding_paid += charge;
    account->bars_held += account->units != 0;
}

// Solves  cash + u P = m |u| P  for P.
double trading_account_liquidation_price(const trading_account *account, double maintenance)
{
    if (account->units == 0)
        return 0;
    double margin = account->units > 0 ? maintenance : -maintenance;
    return fmax(-account->cash / (account->units * (1 - margin)), 0);
}
