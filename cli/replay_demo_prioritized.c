// gannet replay demo prioritized: one reward among two thousand steps.
//
// The chain is Blind Cliffwalk: in each of n states one of two actions leads on and the other one
// ends the episode without reward; only the last state's right action is rewarded. The buffer holds
// the steps of all 2^n sequences of actions, so all rights come once.
// Source: Schaul, Quan, Antonoglou & Silver 2016, arXiv:1511.05952, section 3.1.

#include <string.h>

#include "base/mem.h"
#include "cli/replay_demo.h"

enum { STATES = 10, SEQUENCES = 1 << STATES, SLOTS = 4 * SEQUENCES, BATCH = 32 };
enum { SHARE_ROUNDS = 4000, UPDATES_MAX = 200000 };

static const double discount = 1 - 1.0 / STATES, step_size = 0.25, near = 0.02;

typedef struct demo_chain {
    replay_buffer *uniform, *prioritized;
    replay_batch *batch;
    uint64_t item[SLOTS]; // of the steps
    float priority[SLOTS];
    size_t steps;
    uint64_t rewarded; // item of the one step with a reward
} demo_chain;

static gn_status put(demo_chain *self, bool begins, int32_t action, float reward, bool ends,
                     int32_t state, uint64_t slot)
{
    replay_buffer *const both[] = { self->uniform, self->prioritized };
    unsigned char record[sizeof state];
    memcpy(record, &state, sizeof state);
    for (int i = 0; i < 2; i++)
        GN_TRY(begins ? replay_buffer_begin(both[i], 0, record)
                      : replay_buffer_add(both[i], 0, action, reward, ends, false, record));
    if (begins)
        return GN_OK;
    self->rewarded = reward > 0 ? slot - 1 : self->rewarded;
    self->priority[self->steps] = reward > 0 ? 1 : 0.001f;
    self->item[self->steps++] = slot - 1;
    return GN_OK;
}

// Right is action 0 in even states, 1 in odd ones.
static gn_status fill(demo_chain *self)
{
    uint64_t slot = 0;
    for (uint32_t sequence = 0; sequence < SEQUENCES; sequence++) {
        GN_TRY(put(self, true, 0, 0, false, 0, slot++));
        for (int32_t state = 0; state < STATES; state++) {
            int32_t action = sequence >> state & 1;
            bool right = action == (state & 1), last = state == STATES - 1;
            GN_TRY(
                put(self, false, action, right && last ? 1 : 0, !right || last, state + 1, slot++));
            if (!right)
                break;
        }
    }
    return GN_OK;
}

static double largest_error(const double value[STATES + 1][2])
{
    double largest = 0;
    for (int state = 0; state < STATES; state++)
        for (int action = 0; action < 2; action++) {
            bool right = action == (state & 1);
            double truth = right ? pow(discount, STATES - 1 - state) : 0;
            largest = fmax(largest, fabs(value[state][action] - truth));
        }
    return largest;
}

static int32_t state_of(const unsigned char *record)
{
    int32_t state;
    memcpy(&state, record, sizeof state);
    return state;
}

// Q-learning on a table.  ret_updates: batches until every value is near the true one.
static gn_status learn(demo_chain *self, replay_buffer *buffer, double *ret_updates)
{
    const replay_draw draw = { .n_step = { 1 }, .gamma = discount, .beta = 0.4 };
    double value[STATES + 1][2] = { 0 };
    float priority[BATCH];
    gn_random random = gn_random_stream(1, GN_RANDOM_SAMPLE, 0);
    int updates = 0;
    for (; largest_error(value) > near && updates < UPDATES_MAX; updates++) {
        const replay_batch *batch = self->batch;
        GN_TRY(replay_buffer_sample(buffer, &draw, &random, self->batch));
        for (size_t i = 0; i < BATCH; i++) {
            const double *next = value[state_of(batch->next_record[0] + i * batch->stride)];
            double *now = &value[state_of(batch->record + i * batch->stride)][batch->action[i]];
            double target =
                (double)batch->reward[i] + (double)batch->discount[i] * fmax(next[0], next[1]);
            priority[i] = (float)fabs(target - *now);
            *now += step_size * (double)batch->weight[i] * (target - *now);
        }
        GN_TRY(replay_buffer_set_priorities(buffer, batch->item, priority, BATCH));
    }
    *ret_updates = updates;
    return GN_OK;
}

// What many batches say with priorities as they are.
typedef struct demo_drawn {
    double share; // of the rewarded step, in %
    double mean, weighted_mean; // reward, estimated without and with importance weights
} demo_drawn;

static gn_status draw_many(demo_chain *self, replay_buffer *buffer, demo_drawn *ret_drawn)
{
    const replay_draw draw = { .n_step = { 1 }, .gamma = discount, .beta = 1 };
    gn_random random = gn_random_stream(2, GN_RANDOM_SAMPLE, 0);
    double found = 0, weighted = 0, weights = 0, draws = (double)SHARE_ROUNDS * BATCH;
    for (int round = 0; round < SHARE_ROUNDS; round++) {
        GN_TRY(replay_buffer_sample(buffer, &draw, &random, self->batch));
        for (size_t i = 0; i < BATCH; i++) {
            double weight = (double)self->batch->weight[i];
            found += self->batch->item[i] == self->rewarded;
            weighted += weight * (double)self->batch->reward[i];
            weights += weight;
        }
    }
    *ret_drawn = (demo_drawn){ 100 * found / draws, found / draws, weighted / weights };
    return GN_OK;
}

// The share that P(i) promises, in %.
static double promised_share(const demo_chain *self, const replay_config *config)
{
    double rewarded = 0, total = 0;
    for (size_t i = 0; i < self->steps; i++) {
        double weight = pow((double)self->priority[i] + config->priority_epsilon, config->alpha);
        total += weight;
        rewarded += self->item[i] == self->rewarded ? weight : 0;
    }
    return 100 * rewarded / total;
}

static gn_status measure(demo_chain *self, const replay_config *config, demo_report *report)
{
    double updates[2];
    demo_drawn uniform, prioritized;
    double truth = 1 / (double)self->steps, promised = promised_share(self, config);
    GN_TRY(learn(self, self->uniform, &updates[0]));
    GN_TRY(learn(self, self->prioritized, &updates[1]));
    GN_TRY(
        replay_buffer_set_priorities(self->prioritized, self->item, self->priority, self->steps));
    GN_TRY(draw_many(self, self->uniform, &uniform));
    GN_TRY(draw_many(self, self->prioritized, &prioritized));
    DEMO_ROW(report, "batches until all values are learnt", updates[0], updates[1], NAN);
    DEMO_ROW(report, "rewarded step in batches, %", uniform.share, prioritized.share, promised);
    DEMO_ROW(report, "mean reward by batches, 1e-3", 1e3 * uniform.mean, 1e3 * prioritized.mean,
             1e3 * truth);
    DEMO_ROW(report, "the same, importance-weighted", 1e3 * uniform.weighted_mean,
             1e3 * prioritized.weighted_mean, 1e3 * truth);
    demo_expect(report, fabs(prioritized.share / promised - 1) < 0.05,
                "%.3g %% of draws are the rewarded step, P(i) says %.3g %%", prioritized.share,
                promised);
    demo_expect(report, fabs(prioritized.weighted_mean / truth - 1) < 0.05,
                "the weighted mean reward is %.3g, the true one %.3g", prioritized.weighted_mean,
                truth);
    demo_expect(report, 2 * updates[1] < updates[0],
                "learning takes %g batches, uniformly drawn %g", updates[1], updates[0]);
    return GN_OK;
}

static gn_status open_buffers(demo_chain *self, const replay_config *prioritized)
{
    const replay_config uniform = replay_input_config(SLOTS, REPLAY_RAM);
    const replay_spec spec = { 1, sizeof(int32_t), 1 };
    GN_TRY(replay_buffer_create(&self->uniform, &uniform, &spec, NULL, NULL));
    GN_TRY(replay_buffer_create(&self->prioritized, prioritized, &spec, NULL, NULL));
    return replay_batch_create(&self->batch, &spec, BATCH, 1);
}

static gn_status run_prioritized(const demo_setting *setting, demo_report *report)
{
    demo_chain *self = NULL;
    replay_config config = replay_input_config(SLOTS, REPLAY_RAM);
    config.prioritized = !setting->without;
    config.weight_max = REPLAY_BUFFER_MAX; // one scale over all batches, so their mean makes sense
    GN_TRY(gn_alloc(&self, 1, sizeof *self));
    gn_status status = open_buffers(self, &config);
    if (status == GN_OK)
        status = fill(self);
    if (status == GN_OK)
        status = measure(self, &config, report);
    replay_batch_destroy(&self->batch);
    replay_buffer_destroy(&self->uniform);
    replay_buffer_destroy(&self->prioritized);
    gn_free(&self);
    return status;
}

const replay_demo demo_prioritized = {
    .name = "prioritized",
    .summary = "one reward among two thousand steps, found and learnt sooner",
    .says = "2046 steps of a chain of 10 states (Blind Cliffwalk), of which one is rewarded, are "
            "learnt from by uniform and by prioritized batches of 32. Then the rewarded step gets "
            "a priority 1000 times that of the others: batches must hold it as often as P(i) says, "
            "and importance weights must bring the mean reward back to the true one.",
    .column = { "uniform", "prioritized", "theory" },
    .run = run_prioritized,
};
