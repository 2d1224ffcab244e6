// Where the records of a drawn batch come from: what is left to do once its steps are known. Made
// by the owner of the buffer, worked off by a thread of its choice, with nothing but what is in it.
//
// Internal to replay/.

#ifndef REPLAY_PLAN_H
#define REPLAY_PLAN_H

#include "replay/batch.h"
#include "replay/fetch.h"

// Records of one row that come from the first of them, or from another place in the row.
typedef struct replay_row {
    uint32_t
        have; // records of the episode in the stack, at least 1; the first stands for the others
    uint32_t have_next[REPLAY_HORIZONS_MAX]; // likewise k steps on
    uint32_t shared[REPLAY_HORIZONS_MAX]; // of those: records that the stack of the step has too
} replay_row;

typedef struct replay_plan {
    unsigned char *record; // [capacity, (1 + horizons) * stack, record_size]
    size_t record_size, stack;
    uint32_t horizons; // of this draw
    bool overlaps; // rows of record and next_record are one run of stack + 1 records
    replay_row *row; // [capacity]
    replay_read *read; // [capacity * 2 * (1 + horizons)]
    size_t reads, size;
    double *u; // [capacity] where in all weights the steps were drawn
    gn_status status; // of a thread that worked it off
    char error[256];
} replay_plan;

// Where record `i` of a row goes, and record `i` of a row of next records.
static inline unsigned char *replay_plan_record(const replay_plan *plan, size_t row, size_t i)
{
    size_t records = plan->overlaps ? plan->stack + 1 : (1 + plan->horizons) * plan->stack;
    return plan->record + (row * records + i) * plan->record_size;
}

static inline unsigned char *replay_plan_next(const replay_plan *plan, size_t row, uint32_t horizon,
                                              size_t i)
{
    size_t first = plan->overlaps ? 1 : (1 + horizon) * plan->stack;
    return replay_plan_record(plan, row, first + i);
}

// Points record, next_record and stride of a batch at the rows of its plan.
void replay_batch_point(replay_batch *batch);

// Reads what is not there yet and completes the rows.  Errors: those of replay_fetch.
gn_status replay_plan_work_off(replay_plan *plan, replay_fetcher *fetcher);

#endif
