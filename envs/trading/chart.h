// A market as a picture: what a trader sees, 84 x 84 greys on black, for an agent that looks.
//
//     rows  0 .. 7    account: exposure, open profit, holding time; two rows each, one between
//     rows  9 .. 67   the last 28 bars as candlesticks, 3 columns a bar, newest at the right
//     rows 69 .. 83   their volumes
//
// Exposure and open profit grow from the middle, to the right where positive; holding time grows
// from the left. A value x fills |x| / (1 + |x|) of its room, its last pixel in proportion, so
// small changes show and no value is too large. Prices are scaled from the lowest low to the
// highest high of the 28 bars (in the middle where they are one), volumes from 0 to their largest.

#ifndef ENVS_TRADING_CHART_H
#define ENVS_TRADING_CHART_H

#include "market/bars.h"

enum { TRADING_CHART_SIDE = 84, TRADING_CHART_BARS = 28, TRADING_CHART_ACCOUNT = 3 };
enum { TRADING_CHART_PIXELS = TRADING_CHART_SIDE * TRADING_CHART_SIDE };

// Greys. A bar that closes where it opened has a body of one row, as grey as its wick.
enum {
    TRADING_CHART_UP = 255,
    TRADING_CHART_DOWN = 112,
    TRADING_CHART_WICK = 176,
    TRADING_CHART_VOLUME = 80,
    TRADING_CHART_POSITION = 255,
};

// Draws the chart as it stands at the close of `bar`: reads bars bar-27 .. bar and no other. There
// must be so many.
// Shapes: account: the record's features, finite; ret_image: [84, 84], rows from top to bottom.
void trading_chart_draw(const market_bars_view *bars, uint64_t bar,
                        const float account[TRADING_CHART_ACCOUNT], unsigned char *ret_image);

#endif
