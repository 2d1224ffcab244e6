#include "rl/learner.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "envs/observe.h"
#include "nn/loss.h"
#include "rl/batch_size.h"

struct rl_learner {
    rl_agent_config agent;
    nn_layout layout;
    nn_net *net;
    nn_optimizer *optimizer;
    float *online, *target, *gradient; // [layout.size]

    size_t usual_batch, largest_batch; // usual: the one learning_rate is for
    const replay_batch *batch; // of the last update, of the size B
    // For the largest B. Rows 0..B-1 are the sampled steps, rows B..2B-1 what followed them: one
    // forward serves both.
    float *observation; // [2B, inputs]
    float *q; // [2B, actions] online
    float *target_q; // [B, actions] target network, what followed
    float *goal, *error, *grad_q; // [B], [B], [B, actions]
    float *half_grad_q, *half_gradient; // [B, actions], [layout.size]; NULL: never measured
};

gn_status rl_learner_create(rl_learner **ret_learner, const rl_config *config, const env_spec *spec)
{
    nn_spec shape = { .inputs = (uint32_t)spec->observation_elements,
                      .actions = spec->actions,
                      .dueling = config->agent.dueling };
    GN_TRY(nn_spec_configure(&shape, &config->network));
    rl_learner *learner = NULL;
    GN_TRY(gn_alloc(&learner, 1, sizeof *learner));
    learner->agent = config->agent;
    learner->usual_batch = (size_t)config->train.batch;
    size_t rows = learner->largest_batch = rl_batch_size_largest(&config->train);
    size_t inputs = shape.inputs, actions = shape.actions;

    gn_status status = nn_layout_create(&learner->layout, &shape);
    size_t size = learner->layout.size;
    if (status == GN_OK)
        status = nn_net_create(&learner->net, &learner->layout, 2 * rows, 1);

    const struct {
        float **block;
        size_t count;
    } blocks[] = {
        { &learner->online, size },
        { &learner->target, size },
        { &learner->gradient, size },
        { &learner->observation, 2 * rows * inputs },
        { &learner->q, 2 * rows * actions },
        { &learner->target_q, rows * actions },
        { &learner->goal, rows },
        { &learner->error, rows },
        { &learner->grad_q, rows * actions },
        { &learner->half_grad_q, rows * actions },
        { &learner->half_gradient, size },
    };
    bool measures = config->train.batch_schedule == RL_BATCH_AUTO;
    size_t count = sizeof blocks / sizeof *blocks - (measures ? 0 : 2);
    for (size_t i = 0; i < count && status == GN_OK; i++)
        status = gn_alloc(blocks[i].block, blocks[i].count, sizeof(float));
    if (status == GN_OK)
        status = nn_optimizer_create(&learner->optimizer, &config->optimizer, learner->online,
                                     learner->gradient, size);
    if (status != GN_OK) {
        rl_learner_destroy(&learner);
        return status;
    }
    gn_random random = gn_random_stream((uint64_t)config->run.seed, GN_RANDOM_INIT, 0);
    nn_layout_initialise(&learner->layout, &random, learner->online);
    nn_target_update(learner->target, learner->online, size, 1);
    *ret_learner = learner;
    return GN_OK;
}

void rl_learner_destroy(rl_learner **learner)
{
    rl_learner *self = *learner;
    if (!self)
        return;
    nn_optimizer_destroy(&self->optimizer);
    nn_net_destroy(&self->net);
    gn_free(&self->online);
    gn_free(&self->target);
    gn_free(&self->gradient);
    gn_free(&self->observation);
    gn_free(&self->q);
    gn_free(&self->target_q);
    gn_free(&self->goal);
    gn_free(&self->error);
    gn_free(&self->grad_q);
    gn_free(&self->half_grad_q);
    gn_free(&self->half_gradient);
    gn_free(learner);
}

static int32_t argmax(const float *value, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (value[i] > value[best])
            best = i;
    return (int32_t)best;
}

// Fills goal[i] = y_i and leaves the online network's activations of the sampled steps in place.
static gn_status compute_goals(rl_learner *learner)
{
    const nn_layout *layout = &learner->layout;
    size_t rows = learner->batch->size, actions = layout->spec.actions;
    const float *next_observation = learner->observation + rows * layout->spec.inputs;
    size_t online_rows = learner->agent.double_q ? 2 * rows : rows;

    GN_TRY(nn_net_forward(learner->net, learner->target, next_observation, rows,
                          (nn_fractions){ 0 }, learner->target_q));
    GN_TRY(nn_net_forward(learner->net, learner->online, learner->observation, online_rows,
                          (nn_fractions){ 0 }, learner->q));
    const float *chooser =
        learner->agent.double_q ? learner->q + rows * actions : learner->target_q;
    const replay_batch *batch = learner->batch;
    for (size_t i = 0; i < rows; i++) {
        int32_t best = argmax(chooser + i * actions, actions);
        learner->goal[i] =
            batch->reward[i] + batch->discount[i] * learner->target_q[i * actions + (size_t)best];
    }
    return GN_OK;
}

static double mean_chosen_q(const rl_learner *learner)
{
    size_t actions = learner->layout.spec.actions;
    double sum = 0;
    for (size_t i = 0; i < learner->batch->size; i++)
        sum += learner->q[i * actions + (size_t)learner->batch->action[i]];
    return sum / (double)learner->batch->size;
}

// |a|^2 + |whole - a|^2; the sums run side by side so that they fill vectors. size: a multiple of
// LANES.
static double sum_of_squares(const float *a, const float *whole, size_t size)
{
    enum { LANES = 16 };
    double lane[LANES] = { 0 }, sum = 0;
    for (size_t i = 0; i < size; i += LANES) {
        for (size_t j = 0; j < LANES; j++) {
            double x = a[i + j], y = (double)whole[i + j] - x;
            lane[j] += x * x + y * y;
        }
    }
    for (size_t j = 0; j < LANES; j++)
        sum += lane[j];
    return sum;
}

// Mean of the squared norms of the gradients of the two halves of a batch. The even rows are one,
// the odd rows the other: prioritized replay draws in the order of its slots, so that the first
// rows are not steps like the last ones. The second gradient is what the first leaves of the whole
// one.
static gn_status measure_halves(rl_learner *learner, double *ret_square)
{
    const nn_layout *layout = &learner->layout;
    size_t rows = learner->batch->size, actions = layout->spec.actions;
    memcpy(learner->half_grad_q, learner->grad_q, rows * actions * sizeof *learner->grad_q);
    for (size_t i = 1; i < rows; i += 2)
        memset(learner->half_grad_q + i * actions, 0, actions * sizeof *learner->grad_q);
    GN_TRY(nn_net_backward(learner->net, learner->online, learner->observation,
                           learner->half_grad_q, rows, learner->half_gradient));
    // Both were divided by the rows of the whole batch: the means over the halves are twice as
    // long.
    *ret_square = 4 * sum_of_squares(learner->half_gradient, learner->gradient, layout->size) / 2;
    return GN_OK;
}

static gn_status check_plan(const rl_learner *learner, const rl_update_plan *plan)
{
    if (plan->batch < 1 || plan->batch > learner->largest_batch)
        return gn_fail(GN_ERR_ARG, "rl_learner_update: a batch of %llu steps is not in 1..%zu",
                       (unsigned long long)plan->batch, learner->largest_batch);
    if (plan->measure && (plan->batch % 2 || !learner->half_gradient))
        return gn_fail(GN_ERR_ARG,
                       "rl_learner_update: halves of a batch of %llu steps: it must be even, and "
                       "train.batch_schedule auto",
                       (unsigned long long)plan->batch);
    return GN_OK;
}

// The batch that is due, and the observations of its rows.
static gn_status take_batch(rl_learner *learner, replay_sampler *sampler, const vec_env *env,
                            const rl_update_plan *plan, gn_random *random)
{
    const replay_draw draw = { .n_step = { learner->agent.n_step },
                               .gamma = learner->agent.gamma,
                               .beta = plan->beta };
    GN_TRY(replay_sampler_next(sampler, plan->batch, &draw, random, &learner->batch));
    const replay_batch *batch = learner->batch;
    vec_env_decode_float(env, batch->record, batch->stride, batch->size, learner->observation);
    vec_env_decode_float(env, batch->next_record[0], batch->stride, batch->size,
                         learner->observation + batch->size * learner->layout.spec.inputs);
    return GN_OK;
}

gn_status rl_learner_update(rl_learner *learner, replay_sampler *sampler, const vec_env *env,
                            const rl_update_plan *plan, gn_random *random, rl_update *ret_update)
{
    const nn_layout *layout = &learner->layout;
    GN_TRY(check_plan(learner, plan));
    GN_TRY(take_batch(learner, sampler, env, plan, random));
    const replay_batch *batch = learner->batch;
    size_t rows = batch->size;
    nn_optimizer_set_batch_ratio(learner->optimizer, (double)rows / (double)learner->usual_batch);

    GN_TRY(compute_goals(learner));
    rl_update update = { 0 };
    update.loss = nn_huber_loss(learner->q, batch->action, learner->goal, batch->weight, rows,
                                layout->spec.actions, learner->agent.huber_delta, learner->error,
                                learner->grad_q);
    update.mean_q = mean_chosen_q(learner);
    if (!isfinite(update.loss))
        return gn_fail(GN_ERR_NUMERIC, "loss is %g; a smaller optimizer.learning_rate may help",
                       update.loss);
    GN_TRY(nn_net_backward(learner->net, learner->online, learner->observation, learner->grad_q,
                           rows, learner->gradient));
    if (plan->measure && rows == plan->batch)
        GN_TRY(measure_halves(learner, &update.half_square));
    GN_TRY(nn_optimizer_step(learner->optimizer, &update.gradient_norm));
    GN_TRY(replay_buffer_set_priorities(replay_sampler_buffer(sampler), batch->item, learner->error,
                                        rows));
    *ret_update = update;
    return GN_OK;
}

void rl_learner_update_target(rl_learner *learner)
{
    nn_target_update(learner->target, learner->online, learner->layout.size, learner->agent.tau);
}

int32_t rl_learner_greedy(rl_learner *learner, const float *observation)
{
    (void)nn_net_act(learner->net, learner->online, observation, (nn_fractions){ 0 }, learner->q);
    return argmax(learner->q, learner->layout.spec.actions);
}

const nn_layout *rl_learner_layout(const rl_learner *learner)
{
    return &learner->layout;
}

float *rl_learner_parameters(rl_learner *learner)
{
    return learner->online;
}

void rl_learner_save(const rl_learner *learner, gn_blob *out)
{
    gn_blob_write(out, "target", learner->target, learner->layout.size * sizeof(float));
    nn_optimizer_save(learner->optimizer, out);
}

gn_status rl_learner_load(rl_learner *learner, gn_blob *in)
{
    gn_blob_read(in, "target", learner->target, learner->layout.size * sizeof(float));
    GN_TRY(gn_blob_status(in));
    return nn_optimizer_load(learner->optimizer, in);
}
