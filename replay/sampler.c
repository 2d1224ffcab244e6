// A ring of L + 1 batches: `returned` and `drawn` count them, and their difference is L between
// calls.

#include "replay/sampler.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/queue.h"
#include "base/thread.h"
#include "replay/buffer_draw_internal.h"

struct replay_sampler {
    replay_buffer *buffer;
    size_t lag;
    replay_batch *batch[REPLAY_AHEAD_MAX + 1]; // [lag + 1]
    uint64_t ticket[REPLAY_AHEAD_MAX + 1]; // of the batch in the queue; 0: its records are there
    uint64_t drawn, returned;
    gn_queue *queue; // NULL where L is 0
    uint64_t last_ticket;
    double waited;
};

// In the thread. A failure is reported by the call that returns the batch.
static gn_status read_batch(void *user, void *item)
{
    replay_sampler *sampler = user;
    replay_plan *plan = ((replay_batch *)item)->plan;
    plan->status = replay_plan_work_off(plan, replay_buffer_fetcher(sampler->buffer));
    if (plan->status != GN_OK)
        snprintf(plan->error, sizeof plan->error, "%s", gn_error_text());
    return GN_OK;
}

static void wait_all(void *user)
{
    replay_sampler *sampler = user;
    (void)gn_queue_wait(sampler->queue, sampler->last_ticket);
}

static gn_status create_parts(replay_sampler *sampler, size_t capacity, uint32_t horizons)
{
    for (size_t i = 0; i <= sampler->lag; i++)
        GN_TRY(replay_batch_create(&sampler->batch[i], replay_buffer_spec(sampler->buffer),
                                   capacity, horizons));
    if (sampler->lag == 0)
        return GN_OK;
    GN_TRY(gn_queue_create(&sampler->queue, sampler->lag + 1, read_batch, sampler));
    replay_buffer_set_reader(sampler->buffer, wait_all, sampler);
    return GN_OK;
}

gn_status replay_sampler_create(replay_sampler **ret_sampler, replay_buffer *buffer,
                                size_t capacity, uint32_t horizons, int64_t ahead)
{
    if (ahead < 0)
        ahead = replay_buffer_ahead(buffer);
    if (ahead > REPLAY_AHEAD_MAX)
        return gn_fail(GN_ERR_ARG, "replay sampler: %lld batches ahead: must be at most %d",
                       (long long)ahead, REPLAY_AHEAD_MAX);
    replay_sampler *sampler;
    GN_TRY(gn_alloc(&sampler, 1, sizeof *sampler));
    sampler->buffer = buffer;
    sampler->lag = (size_t)ahead;
    gn_status status = create_parts(sampler, capacity, horizons);
    if (status != GN_OK) {
        replay_sampler_destroy(&sampler);
        return status;
    }
    *ret_sampler = sampler;
    return GN_OK;
}

void replay_sampler_destroy(replay_sampler **sampler)
{
    replay_sampler *self = *sampler;
    if (!self)
        return;
    if (self->queue)
        replay_buffer_set_reader(self->buffer, NULL, NULL);
    gn_queue_destroy(&self->queue);
    for (size_t i = 0; i <= self->lag; i++)
        replay_batch_destroy(&self->batch[i]);
    gn_free(sampler);
}

// Draws the next batch and hands it to the thread.
static gn_status draw_next(replay_sampler *sampler, size_t size, const replay_draw *draw,
                           gn_random *random)
{
    size_t at = sampler->drawn % (sampler->lag + 1);
    replay_batch *batch = sampler->batch[at];
    batch->size = size;
    sampler->ticket[at] = 0;
    if (!sampler->queue)
        GN_TRY(replay_buffer_sample(sampler->buffer, draw, random, batch));
    else
        GN_TRY(replay_buffer_draw(sampler->buffer, draw, random, batch));
    if (sampler->queue && (batch->plan->reads > 0 || batch->plan->stack > 1)) {
        GN_TRY(gn_queue_put(sampler->queue, batch, &sampler->ticket[at]));
        sampler->last_ticket = sampler->ticket[at];
    }
    sampler->drawn++;
    return GN_OK;
}

gn_status replay_sampler_next(replay_sampler *sampler, size_t size, const replay_draw *draw,
                              gn_random *random, const replay_batch **ret_batch)
{
    while (sampler->drawn - sampler->returned <= sampler->lag)
        GN_TRY(draw_next(sampler, size, draw, random));
    size_t at = sampler->returned % (sampler->lag + 1);
    if (sampler->ticket[at] > 0) {
        const replay_plan *plan = sampler->batch[at]->plan;
        double since = gn_seconds();
        GN_TRY(gn_queue_wait(sampler->queue, sampler->ticket[at]));
        sampler->waited += gn_seconds() - since;
        if (plan->status != GN_OK) {
            sampler->returned++; // given up: where its records lie may have changed since
            return gn_fail(plan->status, "%s", plan->error);
        }
    }
    *ret_batch = sampler->batch[at];
    sampler->returned++;
    return GN_OK;
}

replay_buffer *replay_sampler_buffer(const replay_sampler *sampler)
{
    return sampler->buffer;
}

// --- checkpoints

// What a batch is beside its records. Whole numbers of 8 bytes only: saved as it is.
typedef struct batch_head {
    uint64_t size, horizons, overlaps;
} batch_head;

static size_t records_size(const replay_batch *batch, const batch_head *head)
{
    size_t records =
        head->overlaps ? batch->spec.stack + 1 : (1 + head->horizons) * batch->spec.stack;
    return head->size * records * batch->spec.record_size;
}

void replay_sampler_save(replay_sampler *sampler, gn_blob *out)
{
    uint64_t waiting = sampler->drawn - sampler->returned;
    if (sampler->queue)
        wait_all(sampler);
    gn_blob_write(out, "batches", &waiting, sizeof waiting);
    for (uint64_t i = sampler->returned; i < sampler->drawn; i++) {
        const replay_batch *batch = sampler->batch[i % (sampler->lag + 1)];
        const replay_plan *plan = batch->plan;
        const batch_head head = { batch->size, plan->horizons, plan->overlaps };
        size_t n = head.size;
        if (sampler->ticket[i % (sampler->lag + 1)] > 0 && plan->status != GN_OK &&
            out->status == GN_OK)
            out->status = gn_fail(plan->status, "%s", plan->error);
        gn_blob_write(out, "batch", &head, sizeof head);
        gn_blob_write(out, "item", batch->item, n * sizeof *batch->item);
        gn_blob_write(out, "action", batch->action, n * sizeof *batch->action);
        gn_blob_write(out, "reward", batch->reward, n * head.horizons * sizeof *batch->reward);
        gn_blob_write(out, "discount", batch->discount,
                      n * head.horizons * sizeof *batch->discount);
        gn_blob_write(out, "weight", batch->weight, n * sizeof *batch->weight);
        gn_blob_write(out, "records", plan->record, records_size(batch, &head));
    }
}

static gn_status load_batch(replay_batch *batch, gn_blob *in)
{
    batch_head head;
    gn_blob_read(in, "batch", &head, sizeof head);
    GN_TRY(gn_blob_status(in));
    if (head.size == 0 || head.size > batch->capacity || head.horizons == 0 ||
        head.horizons > batch->horizons || head.overlaps > 1)
        return gn_fail(GN_ERR_CORRUPT, "saved batch of %llu steps, %llu horizons: at most %zu, %u",
                       (unsigned long long)head.size, (unsigned long long)head.horizons,
                       batch->capacity, batch->horizons);
    size_t n = batch->size = head.size;
    batch->plan->horizons = (uint32_t)head.horizons;
    batch->plan->overlaps = head.overlaps;
    batch->plan->size = n;
    batch->plan->reads = 0;
    gn_blob_read(in, "item", batch->item, n * sizeof *batch->item);
    gn_blob_read(in, "action", batch->action, n * sizeof *batch->action);
    gn_blob_read(in, "reward", batch->reward, n * head.horizons * sizeof *batch->reward);
    gn_blob_read(in, "discount", batch->discount, n * head.horizons * sizeof *batch->discount);
    gn_blob_read(in, "weight", batch->weight, n * sizeof *batch->weight);
    gn_blob_read(in, "records", batch->plan->record, records_size(batch, &head));
    replay_batch_point(batch);
    return gn_blob_status(in);
}

gn_status replay_sampler_load(replay_sampler *sampler, gn_blob *in)
{
    uint64_t waiting = 0;
    if (sampler->queue)
        wait_all(sampler);
    sampler->drawn = sampler->returned = 0;
    gn_blob_read(in, "batches", &waiting, sizeof waiting);
    GN_TRY(gn_blob_status(in));
    if (waiting != 0 && waiting != sampler->lag)
        return gn_fail(GN_ERR_CORRUPT, "%llu saved batches: must be %zu",
                       (unsigned long long)waiting, sampler->lag);
    for (uint64_t i = 0; i < waiting; i++) {
        sampler->ticket[i] = 0;
        GN_TRY(load_batch(sampler->batch[i], in));
    }
    sampler->drawn = waiting;
    return GN_OK;
}

replay_sampler_stats replay_sampler_measure(const replay_sampler *sampler)
{
    return (replay_sampler_stats){ .ahead = (int64_t)sampler->lag,
                                   .batches = sampler->returned,
                                   .waited_s = sampler->waited };
}
