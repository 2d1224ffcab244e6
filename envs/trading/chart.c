#include "envs/trading/chart.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { SIDE = TRADING_CHART_SIDE, BARS = TRADING_CHART_BARS, BAR_COLUMNS = SIDE / BARS };
enum { ACCOUNT_ROWS = 2, ACCOUNT_STEP = 3 };
enum { PRICE_TOP = 9, PRICE_ROWS = 59, VOLUME_ROWS = 15 };

typedef struct price_scale {
    double low, range;
} price_scale;

static price_scale scale_of(const double *low, const double *high)
{
    double least = low[0], most = high[0];
    for (int i = 1; i < BARS; i++) {
        least = low[i] < least ? low[i] : least;
        most = high[i] > most ? high[i] : most;
    }
    return (price_scale){ least, most - least };
}

static int row_of(const price_scale *scale, double price)
{
    if (scale->range == 0)
        return PRICE_TOP + PRICE_ROWS / 2;
    double height = (price - scale->low) / scale->range;
    assert(height >= 0 && height <= 1);
    return PRICE_TOP + (int)((1 - height) * (PRICE_ROWS - 1) + 0.5);
}

// Rows top .. bottom, both included.
static void fill(unsigned char *image, int top, int bottom, int column, int columns, int grey)
{
    for (int row = top; row <= bottom; row++)
        memset(image + row * SIDE + column, grey, (size_t)columns);
}

static void draw_candle(const price_scale *scale, double open, double high, double low,
                        double close, int column, unsigned char *image)
{
    int opened = row_of(scale, open), closed = row_of(scale, close);
    int top = opened < closed ? opened : closed, bottom = opened < closed ? closed : opened;
    int grey = close > open   ? TRADING_CHART_UP
               : close < open ? TRADING_CHART_DOWN
                              : TRADING_CHART_WICK;
    fill(image, row_of(scale, high), row_of(scale, low), column + BAR_COLUMNS / 2, 1,
         TRADING_CHART_WICK);
    fill(image, top, bottom, column, BAR_COLUMNS, grey);
}

static void draw_volumes(const double *volume, unsigned char *image)
{
    double most = 0;
    for (int i = 0; i < BARS; i++)
        most = volume[i] > most ? volume[i] : most;
    for (int i = 0; i < BARS && most > 0; i++) {
        int height = (int)(volume[i] / most * VOLUME_ROWS + 0.5);
        fill(image, SIDE - height, SIDE - 1, i * BAR_COLUMNS, BAR_COLUMNS, TRADING_CHART_VOLUME);
    }
}

// A bar of |x| / (1 + |x|) of `room` columns from column `from` on, to the left where x < 0.
static void draw_account(double x, int row, int from, int room, unsigned char *image)
{
    double length = fabs(x) / (1 + fabs(x)) * room;
    int whole = (int)length;
    int rest = (int)((length - whole) * TRADING_CHART_POSITION + 0.5);
    for (int i = 0; i <= whole && i < room; i++) {
        int column = x < 0 ? from - 1 - i : from + i;
        fill(image, row, row + ACCOUNT_ROWS - 1, column, 1,
             i < whole ? TRADING_CHART_POSITION : rest);
    }
}

void trading_chart_draw(const market_bars_view *bars, uint64_t bar,
                        const float account[TRADING_CHART_ACCOUNT], unsigned char *ret_image)
{
    assert(bar + 1 >= BARS && bar < bars->count);
    uint64_t first = bar + 1 - BARS;
    memset(ret_image, 0, TRADING_CHART_PIXELS);
    draw_account((double)account[0], 0, SIDE / 2, SIDE / 2, ret_image);
    draw_account((double)account[1], ACCOUNT_STEP, SIDE / 2, SIDE / 2, ret_image);
    draw_account((double)account[2], 2 * ACCOUNT_STEP, 0, SIDE, ret_image);

    price_scale scale = scale_of(bars->low + first, bars->high + first);
    for (int i = 0; i < BARS; i++) {
        uint64_t at = first + (uint64_t)i;
        draw_candle(&scale, bars->open[at], bars->high[at], bars->low[at], bars->close[at],
                    i * BAR_COLUMNS, ret_image);
    }
    draw_volumes(bars->volume + first, ret_image);
}
