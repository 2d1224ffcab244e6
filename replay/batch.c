#include "replay/batch.h"

#include <string.h>

#include "base/mem.h"
#include "replay/plan.h"

static gn_status allocate(replay_batch *batch)
{
    size_t n = batch->capacity, horizons = batch->horizons;
    GN_TRY(gn_alloc(&batch->item, n, sizeof *batch->item));
    GN_TRY(gn_alloc(&batch->action, n, sizeof *batch->action));
    GN_TRY(gn_alloc(&batch->reward, n * horizons, sizeof *batch->reward));
    GN_TRY(gn_alloc(&batch->discount, n * horizons, sizeof *batch->discount));
    GN_TRY(gn_alloc(&batch->weight, n, sizeof *batch->weight));
    GN_TRY(gn_alloc(&batch->plan, 1, sizeof *batch->plan));
    replay_plan *plan = batch->plan;
    plan->record_size = batch->spec.record_size;
    plan->stack = batch->spec.stack;
    // A stack spans two chunks at most, or as many as it has records where chunks are tiny.
    size_t runs = batch->spec.stack + 1;
    GN_TRY(gn_alloc(&plan->record, n * (1 + horizons) * batch->spec.stack, plan->record_size));
    GN_TRY(gn_alloc(&plan->row, n, sizeof *plan->row));
    GN_TRY(gn_alloc(&plan->u, n, sizeof *plan->u));
    return gn_alloc(&plan->read, n * (1 + horizons) * runs, sizeof *plan->read);
}

gn_status replay_batch_create(replay_batch **ret_batch, const replay_spec *spec, size_t capacity,
                              uint32_t horizons)
{
    if (capacity == 0 || spec->record_size == 0 || horizons == 0 || horizons > REPLAY_HORIZONS_MAX)
        return gn_fail(
            GN_ERR_ARG,
            "replay batch of %zu steps, %u bytes a record, %u horizons: must be above 0, "
            "at most %d horizons",
            capacity, spec->record_size, horizons, REPLAY_HORIZONS_MAX);
    replay_batch *batch;
    GN_TRY(gn_alloc(&batch, 1, sizeof *batch));
    batch->size = batch->capacity = capacity;
    batch->spec = *spec;
    batch->spec.stack += spec->stack == 0;
    batch->horizons = horizons;
    gn_status status = allocate(batch);
    if (status != GN_OK) {
        replay_batch_destroy(&batch);
        return status;
    }
    *ret_batch = batch;
    return GN_OK;
}

void replay_batch_destroy(replay_batch **batch)
{
    replay_batch *self = *batch;
    if (!self)
        return;
    if (self->plan) {
        gn_free(&self->plan->record);
        gn_free(&self->plan->row);
        gn_free(&self->plan->u);
        gn_free(&self->plan->read);
    }
    gn_free(&self->plan);
    gn_free(&self->item);
    gn_free(&self->action);
    gn_free(&self->reward);
    gn_free(&self->discount);
    gn_free(&self->weight);
    gn_free(batch);
}

void replay_batch_point(replay_batch *batch)
{
    const replay_plan *plan = batch->plan;
    batch->record = replay_plan_record(plan, 0, 0);
    batch->stride = (size_t)(replay_plan_record(plan, 1, 0) - batch->record);
    for (uint32_t h = 0; h < plan->horizons; h++)
        batch->next_record[h] = replay_plan_next(plan, 0, h, 0);
}

// --- completing rows

// The first record of a stack that has only `have` stands for those before it.
static void repeat_first(unsigned char *stack, size_t records, uint32_t have, size_t size)
{
    for (size_t i = 0; i + have < records; i++)
        memcpy(stack + i * size, stack + (records - have) * size, size);
}

static void complete_row(const replay_plan *plan, size_t i)
{
    const replay_row *row = &plan->row[i];
    size_t size = plan->record_size, stack = plan->stack;
    repeat_first(replay_plan_record(plan, i, 0), stack, row->have, size);
    for (uint32_t h = 0; h < plan->horizons && !plan->overlaps; h++) {
        unsigned char *next = replay_plan_next(plan, i, h, 0);
        memcpy(next + (stack - row->have_next[h]) * size,
               replay_plan_record(plan, i, stack - row->shared[h]), row->shared[h] * size);
        repeat_first(next, stack, row->have_next[h], size);
    }
}

gn_status replay_plan_work_off(replay_plan *plan, replay_fetcher *fetcher)
{
    if (plan->reads > 0)
        GN_TRY(replay_fetch(fetcher, plan->read, plan->reads));
    plan->reads = 0;
    for (size_t i = 0; i < plan->size && plan->stack > 1; i++)
        complete_row(plan, i);
    return GN_OK;
}
