#include "rl/learner.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "envs/observe.h"
#include "nn/loss.h"

struct rl_learner {
    rl_agent_config agent;
    nn_layout layout;
    nn_net *net;
    nn_optimizer *optimizer;
    float *online, *target, *gradient; // [layout.size]

    size_t batch_size;
    replay_batch *batch;
    size_t record_stride; // bytes from a row of records in the batch to the next
    // Rows 0..B-1 are the sampled steps, rows B..2B-1 what followed them: one forward serves both.
    float *observation; // [2B, inputs]
    float *q; // [2B, actions] online
    float *target_q; // [B, actions] target network, what followed
    float *goal, *error, *grad_q; // [B], [B], [B, actions]
};

gn_status rl_learner_create(rl_learner **ret_learner, const rl_config *config, const env_spec *spec)
{
    nn_spec shape;
    GN_TRY(nn_spec_from_config(&shape, &config->network, (uint32_t)spec->observation_elements,
                               spec->actions, config->agent.dueling));
    rl_learner *learner = NULL;
    GN_TRY(gn_alloc(&learner, 1, sizeof *learner));
    learner->agent = config->agent;
    size_t rows = learner->batch_size = (size_t)config->train.batch;
    learner->record_stride = env_window_size(spec);
    size_t inputs = shape.inputs, actions = shape.actions;

    gn_status status = nn_layout_create(&learner->layout, &shape);
    size_t size = learner->layout.size;
    if (status == GN_OK)
        status = nn_net_create(&learner->net, &learner->layout, 2 * rows);
    if (status == GN_OK)
        status = replay_batch_create(&learner->batch, rows, spec->record_size);

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
    };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks && status == GN_OK; i++)
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
    replay_batch_destroy(&self->batch);
    gn_free(&self->online);
    gn_free(&self->target);
    gn_free(&self->gradient);
    gn_free(&self->observation);
    gn_free(&self->q);
    gn_free(&self->target_q);
    gn_free(&self->goal);
    gn_free(&self->error);
    gn_free(&self->grad_q);
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
    size_t rows = learner->batch_size, actions = layout->spec.actions;
    const float *next_observation = learner->observation + rows * layout->spec.inputs;
    size_t online_rows = learner->agent.double_q ? 2 * rows : rows;

    GN_TRY(
        nn_net_forward(learner->net, learner->target, next_observation, rows, learner->target_q));
    GN_TRY(nn_net_forward(learner->net, learner->online, learner->observation, online_rows,
                          learner->q));
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
    for (size_t i = 0; i < learner->batch_size; i++)
        sum += learner->q[i * actions + (size_t)learner->batch->action[i]];
    return sum / (double)learner->batch_size;
}

gn_status rl_learner_update(rl_learner *learner, replay_buffer *buffer, const vec_env *env,
                            double beta, gn_random *random, rl_update *ret_update)
{
    const nn_layout *layout = &learner->layout;
    replay_batch *batch = learner->batch;
    size_t rows = learner->batch_size;

    GN_TRY(replay_buffer_sample(buffer, learner->agent.n_step, learner->agent.gamma, beta, random,
                                batch));
    size_t stride = learner->record_stride;
    vec_env_decode_float(env, batch->record, stride, rows, learner->observation);
    vec_env_decode_float(env, batch->next_record, stride, rows,
                         learner->observation + rows * layout->spec.inputs);

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
    GN_TRY(nn_optimizer_step(learner->optimizer, &update.gradient_norm));
    GN_TRY(replay_buffer_set_priorities(buffer, batch->item, learner->error, rows));
    *ret_update = update;
    return GN_OK;
}

void rl_learner_update_target(rl_learner *learner)
{
    nn_target_update(learner->target, learner->online, learner->layout.size, learner->agent.tau);
}

int32_t rl_learner_greedy(rl_learner *learner, const float *observation)
{
    nn_net_act(learner->net, learner->online, observation, learner->q);
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
