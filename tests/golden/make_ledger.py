#!/usr/bin/env python3
"""The ledger of docs/trading.md and tests/envs/test_trading.c, in exact fractions.

Written from the rules in docs/trading.md, not from the C code: a fill is found as the root of the
balance "value of the position - target share of the equity left", one step is one line of the table.
Prints the C array, then the Markdown table.
"""
from fractions import Fraction as F

BPS = F(1, 10000)
FEE, HALF_SPREAD, SLIPPAGE, FUNDING, BORROW = 10 * BPS, 2 * BPS, 3 * BPS, 1 * BPS, 3 * BPS
OPEN = [100, 101.5, 102.25, 103.5, 103, 100.5, 98, 97.25, 98.5, 103, 104.5, 102]  # exact in binary
CLOSE = [101, 102, 104, 103, 100, 98, 97, 99, 103, 104, 102, 103]
TARGET = [0, 1, 1, -1, -1, 0, -1, 1, 1, 0, 0]  # decided at the close of bars 0 to 10


def trade_for(target, cash, units, price):
    """The trade after which the position is worth `target` times the equity that is left."""
    if target == 0:
        return -units
    side = 1 if target * (cash + units * price) > units * price else -1
    fill_price = price * (1 + side * (HALF_SPREAD + SLIPPAGE))

    def surplus(trade):
        cash_left = cash - trade * fill_price - abs(trade) * fill_price * FEE
        return (units + trade) * price - target * (cash_left + (units + trade) * price)

    at_0, at_1 = surplus(F(0)), surplus(F(side))
    return side * at_0 / (at_0 - at_1)  # surplus is linear on this side


def main():
    cash, units, target, equity = F(10000), F(0), 0, F(10000)
    rows = []
    for bar, wanted in enumerate(TARGET, start=1):
        price, close = F(OPEN[bar]), F(CLOSE[bar])
        trade = F(0)
        if wanted != target:
            trade = trade_for(wanted, cash, units, price)
            side = 1 if trade > 0 else -1
            fill_price = price * (1 + side * (HALF_SPREAD + SLIPPAGE))
            cash -= trade * fill_price + abs(trade) * fill_price * FEE
            units += trade
            target = wanted
        carry = units * close * FUNDING + (-units * close * BORROW if units < 0 else 0)
        cash -= carry
        before, equity = equity, cash + units * close
        rows.append((bar, wanted, trade, units, cash, carry, equity, equity / before - 1))

    for row in rows:
        print("    { %s }," % ", ".join(f"{float(cell):.15g}" for cell in row[1:]))
    print("\n| bar | open | close | target | trade | units | cash | carry | equity | return |")
    print("|" + "---:|" * 10)
    for bar, wanted, trade, units, cash, carry, equity, gain in rows:
        print(f"| {bar} | {OPEN[bar]} | {CLOSE[bar]} | {wanted:+d} | {float(trade):.6f} "
              f"| {float(units):.6f} | {float(cash):.4f} | {float(carry):.4f} "
              f"| {float(equity):.4f} | {float(gain) * 100:+.4f} % |")


main()
