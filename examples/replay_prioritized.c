// Prioritized replay: a walk of 64 states with one reward at its end, among 2000 steps in which
// nothing happens, learnt by TD(0) from batches that are drawn uniformly, and from batches drawn by
// |TD| error with importance weights.

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "replay/buffer.h"

enum { STATES = 64, IDLE = 2000, BATCH = 32, UPDATES_MAX = 100000 };

static const double discount = 0.95, step_size = 0.5;

static gn_status create(replay_buffer **ret_buffer, bool prioritized)
{
    replay_config config;
    const gn_option_section sections[] = {
        { .name = "replay", .options = replay_options, .values = &config },
        { 0 },
    };
    const replay_spec spec = { .streams = 1, .record_size = sizeof(uint32_t), .stack = 1 };
    gn_options_reset(sections);
    config.capacity = STATES + IDLE + 2;
    config.prioritized = prioritized;
    return replay_buffer_create(ret_buffer, &config, &spec, NULL, NULL); // NULL: in RAM only
}

// An episode that stays in the last state, then one from 0 to there: 1 for reaching it.
static gn_status walk(replay_buffer *buffer)
{
    uint32_t state = STATES;
    GN_TRY(replay_buffer_begin(buffer, 0, (const unsigned char *)&state));
    for (int step = 1; step <= IDLE; step++)
        GN_TRY(
            replay_buffer_add(buffer, 0, 0, 0, step == IDLE, false, (const unsigned char *)&state));
    state = 0;
    GN_TRY(replay_buffer_begin(buffer, 0, (const unsigned char *)&state));
    while (state < STATES) {
        bool last = ++state == STATES;
        GN_TRY(replay_buffer_add(buffer, 0, 0, last ? 1 : 0, last, false,
                                 (const unsigned char *)&state));
    }
    return GN_OK;
}

static uint32_t state_of(const unsigned char *row)
{
    uint32_t state;
    memcpy(&state, row, sizeof state);
    return state;
}

static double largest_error(const double *value)
{
    double largest = 0;
    for (int state = 0; state < STATES; state++)
        largest = fmax(largest, fabs(value[state] - pow(discount, STATES - 1 - state)));
    return largest;
}

// One update of the values by a batch, whose new errors become the priorities.
static gn_status update(replay_buffer *buffer, const replay_batch *batch, double *value)
{
    float error[BATCH];
    for (size_t i = 0; i < BATCH; i++) {
        double *now = &value[state_of(batch->record + i * batch->stride)];
        double next = value[state_of(batch->next_record[0] + i * batch->stride)];
        double td = (double)batch->reward[i] + (double)batch->discount[i] * next - *now;
        *now += step_size * (double)batch->weight[i] * td;
        error[i] = (float)fabs(td);
    }
    return replay_buffer_set_priorities(buffer, batch->item, error, BATCH);
}

static gn_status learn(replay_buffer *buffer, replay_batch *batch, int *ret_updates)
{
    double value[STATES + 1] = { 0 };
    const replay_draw draw = { .n_step = { 1 }, .horizons = 1, .gamma = discount, .beta = 0.4 };
    gn_random random = gn_random_stream(1, GN_RANDOM_SAMPLE, 0);
    int updates = 0;
    GN_TRY(walk(buffer));
    for (; largest_error(value) > 0.01; updates++) {
        if (updates == UPDATES_MAX)
            return gn_fail(GN_ERR_NUMERIC, "not learnt after %d updates", updates);
        GN_TRY(replay_buffer_sample(buffer, &draw, &random, batch));
        GN_TRY(update(buffer, batch, value));
    }
    *ret_updates = updates;
    return GN_OK;
}

static gn_status run(bool prioritized, int *ret_updates)
{
    replay_buffer *buffer = NULL;
    replay_batch *batch = NULL;
    gn_status status = create(&buffer, prioritized);
    if (status == GN_OK)
        status = replay_batch_create(&batch, replay_buffer_spec(buffer), BATCH, 1);
    if (status == GN_OK)
        status = learn(buffer, batch, ret_updates);
    replay_batch_destroy(&batch);
    replay_buffer_destroy(&buffer);
    return status;
}

int main(void)
{
    int uniform, prioritized;
    if (run(false, &uniform) != GN_OK || run(true, &prioritized) != GN_OK) {
        fprintf(stderr, "replay_prioritized: %s\n", gn_error_text());
        return 1;
    }
    printf("%d states learnt to within 0.01 after\n", STATES);
    printf("  %5d batches of %d drawn uniformly\n", uniform, BATCH);
    printf("  %5d batches of %d drawn by priority\n", prioritized, BATCH);
    return prioritized < uniform ? 0 : 1;
}
