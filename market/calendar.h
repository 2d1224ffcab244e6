// The rhythm of a series of bars: its spacing, its gaps, and how many bars its market has a year.

#ifndef MARKET_CALENDAR_H
#define MARKET_CALENDAR_H

#include <stdint.h>

#include "base/status.h"
#include "base/text.h"

// The most frequent distance of two neighbours (of equally frequent ones the smallest).
// Shapes: time_ns [count], strictly increasing, count >= 2.  Errors: GN_ERR_MEMORY.
gn_status market_calendar_spacing(const int64_t *time_ns, uint64_t count, int64_t *ret_spacing_ns);

// Steps longer than the spacing: closing hours, holidays, missing bars.
typedef struct market_gaps {
    uint64_t count;
    uint64_t first; // index of the bar after the first gap
    int64_t largest_ns; // the longest step
} market_gaps;
market_gaps market_calendar_gaps(const int64_t *time_ns, uint64_t count, int64_t spacing_ns);

// Bars a year, from spacing and opening hours:
//     more than a day apart          365 days / spacing, rounded
//     Saturdays as good as weekdays  365 days / spacing
//     daily, weekdays                252
//     intraday, weekdays, 20 h on    260 days / spacing (foreign exchange, futures)
//     intraday, weekdays             252 * median bars of a day
// A series too short to hold a Saturday is taken for a market that never closes if it runs round
// the clock; the finding says so.
// Errors: GN_ERR_MEMORY.
gn_status market_calendar_bars_per_year(const int64_t *time_ns, uint64_t count, int64_t spacing_ns,
                                        double *ret_bars_per_year, gn_text *findings);

#endif
