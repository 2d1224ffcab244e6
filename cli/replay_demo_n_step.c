// gannet replay demo n-step: returns over several horizons from one buffer.

#include <string.h>

#include "base/mem.h"
#include "cli/replay_demo.h"

enum { SLOTS = 20000, FLOATS = 16, BATCH = 256, ROUNDS = 100, HORIZONS = 4 };

static const int64_t horizon[HORIZONS] = { 1, 3, 5, 10 };
static const double gamma_ = 0.99;

// What was put, kept as plain arrays to add returns up by hand.
typedef struct demo_steps {
    replay_input *input;
    replay_buffer *one, *each[HORIZONS]; // for all horizons; a buffer a horizon
    replay_batch *all, *single;
    float reward[SLOTS]; // of the slot
    bool step[SLOTS], terminated[SLOTS];
    uint32_t first[SLOTS]; // float of the slot's record, as bits
} demo_steps;

static gn_status open_buffers(demo_steps *self)
{
    const replay_config config = replay_input_config(SLOTS, REPLAY_RAM);
    const replay_spec spec = { 1, FLOATS * sizeof(float), 1 };
    GN_TRY(replay_input_create(&self->input, REPLAY_INPUT_FLOATS, spec.record_size, 1));
    GN_TRY(replay_buffer_create(&self->one, &config, &spec, NULL, NULL));
    for (int i = 0; i < HORIZONS; i++)
        GN_TRY(replay_buffer_create(&self->each[i], &config, &spec, NULL, NULL));
    GN_TRY(replay_batch_create(&self->all, &spec, BATCH, HORIZONS));
    return replay_batch_create(&self->single, &spec, BATCH, 1);
}

static void close_buffers(demo_steps *self)
{
    replay_batch_destroy(&self->all);
    replay_batch_destroy(&self->single);
    replay_buffer_destroy(&self->one);
    for (int i = 0; i < HORIZONS; i++)
        replay_buffer_destroy(&self->each[i]);
    replay_input_destroy(&self->input);
}

static gn_status fill(demo_steps *self)
{
    for (size_t slot = 0; slot < SLOTS; slot++) {
        replay_input_step step = replay_input_next(self->input);
        GN_TRY(replay_input_put(self->one, &step));
        for (int i = 0; i < HORIZONS; i++)
            GN_TRY(replay_input_put(self->each[i], &step));
        memcpy(&self->first[slot], step.record, sizeof *self->first);
        if (step.begins)
            continue;
        self->step[slot - 1] = true;
        self->reward[slot - 1] = step.reward;
        self->terminated[slot - 1] = step.terminated;
    }
    return GN_OK;
}

// The return of a step by the list.  Returns the slot it bootstraps from.
static size_t add_up(const demo_steps *self, size_t slot, int64_t n, double *ret_return,
                     double *ret_discount)
{
    double sum = 0, factor = 1;
    bool terminated = false;
    for (int64_t i = 0; i < n && self->step[slot] && !terminated; i++, slot++) {
        sum += factor * (double)self->reward[slot];
        factor *= gamma_;
        terminated = self->terminated[slot];
    }
    *ret_return = sum;
    *ret_discount = terminated ? 0 : factor;
    return slot;
}

// Draws of the batch that differ from the list.
static size_t count_wrong(const demo_steps *self)
{
    size_t wrong = 0;
    const replay_batch *batch = self->all;
    for (int h = 0; h < HORIZONS; h++)
        for (size_t i = 0; i < BATCH; i++) {
            double expected, discount;
            uint32_t first;
            size_t at = (size_t)h * BATCH + i;
            size_t next = add_up(self, batch->item[i], horizon[h], &expected, &discount);
            memcpy(&first, batch->next_record[h] + i * batch->stride, sizeof first);
            wrong += fabs((double)batch->reward[at] - expected) > 1e-5 ||
                     fabs((double)batch->discount[at] - discount) > 1e-5 ||
                     first != self->first[next];
        }
    return wrong;
}

static gn_status compare(demo_steps *self, const replay_draw *draw, size_t *ret_wrong,
                         size_t *ret_other)
{
    gn_random one = gn_random_stream(1, GN_RANDOM_SAMPLE, 0), each[HORIZONS];
    for (int h = 0; h < HORIZONS; h++)
        each[h] = one;
    for (int round = 0; round < ROUNDS; round++) {
        GN_TRY(replay_buffer_sample(self->one, draw, &one, self->all));
        *ret_wrong += count_wrong(self);
        for (int h = 0; h < HORIZONS; h++) {
            const replay_draw single = { .n_step = { horizon[h] }, .horizons = 1, .gamma = gamma_ };
            GN_TRY(replay_buffer_sample(self->each[h], &single, &each[h], self->single));
            *ret_other += memcmp(self->single->reward, self->all->reward + (size_t)h * BATCH,
                                 BATCH * sizeof *self->single->reward) != 0;
        }
    }
    return GN_OK;
}

static gn_status measure(demo_steps *self, const demo_setting *setting, demo_report *report)
{
    replay_draw draw = { .horizons = HORIZONS, .gamma = gamma_ };
    size_t wrong = 0, other = 0;
    double together, apart = 0;
    replay_buffer_stats stats;
    for (int h = 0; h < HORIZONS; h++)
        draw.n_step[h] = setting->without ? 1 : horizon[h];
    GN_TRY(compare(self, &draw, &wrong, &other));
    GN_TRY(demo_time_batches(self->one, &draw, self->all, ROUNDS, &together));
    for (int h = 0; h < HORIZONS; h++) {
        double us;
        const replay_draw single = { .n_step = { horizon[h] }, .horizons = 1, .gamma = gamma_ };
        GN_TRY(demo_time_batches(self->each[h], &single, self->single, ROUNDS, &us));
        apart += us;
    }
    GN_TRY(replay_buffer_measure(self->one, &stats));
    double bytes = (double)stats.ram_bytes / (double)stats.steps, returns = HORIZONS * BATCH;
    DEMO_ROW(report, "bytes a step", HORIZONS * bytes, bytes);
    DEMO_ROW(report, "us for 256 steps, 4 returns each", apart, together);
    DEMO_ROW(report, "returns compared with the list", NAN, returns * ROUNDS);
    DEMO_ROW(report, "of them wrong", NAN, (double)wrong);
    demo_expect(report, wrong == 0,
                "%zu of %d returns, discounts or next records are not those of "
                "the list",
                wrong, HORIZONS * BATCH * ROUNDS);
    demo_expect(report, other == 0, "one buffer and a buffer a horizon give other returns");
    return GN_OK;
}

static gn_status run_n_step(const demo_setting *setting, demo_report *report)
{
    demo_steps *self = NULL;
    GN_TRY(gn_alloc(&self, 1, sizeof *self));
    gn_status status = open_buffers(self);
    if (status == GN_OK)
        status = fill(self);
    if (status == GN_OK)
        status = measure(self, setting, report);
    close_buffers(self);
    gn_free(&self);
    return status;
}

const replay_demo demo_n_step = {
    .name = "n-step",
    .summary = "returns over several horizons from one buffer, in one draw",
    .says = "Returns over 1, 3, 5 and 10 steps of the same drawn steps come out of one buffer that "
            "stores each step once, beside a buffer a horizon. All must equal, with their "
            "discounts and next records, what a plain list of the 20000 steps adds up to, across "
            "episode ends too.",
    .column = { "a buffer each", "one buffer" },
    .run = run_n_step,
};
