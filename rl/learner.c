// Per update, with B rows and W outputs an action (implicit quantiles: as many as are drawn):
//
//     what followed --online network (double_q), or target network--> values --> policy
//          |                                                                       |
//          +---- target network: next_out [B, W'] of the actions that follow, <----+
//                       |        or with Munchausen [B, A, W'] of all
//                       v
//                 nn_head_target --> goal [B, T] --------+
//                                                        v
//     sampled steps --online network--> out [B, W] --> nn_head_loss --> error --> priorities
//                                                        |
//                                                        v
//                                           grad_out [B, W] --> backward, optimizer
//
// Only actions that count are computed: those taken, and with double_q those that follow.

#include "rl/learner.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "envs/observe.h"
#include "nn/head.h"
#include "nn/model.h"
#include "rl/batch_size.h"
#include "rl/choice.h"

// Streams of the quantile fractions: of sampled steps and of what followed them.
enum { FRACTIONS_HERE, FRACTIONS_NEXT, FRACTIONS };

struct rl_learner {
    rl_agent_config agent;
    nn_risk risk; // of outputs, for implicit quantiles those at acting_fraction
    nn_head head;
    nn_layout layout;
    nn_model *model;

    size_t usual_batch, largest_batch; // usual: the one learning_rate is for
    const replay_batch *batch; // of the last update, of the size B

    // For the largest B. A: actions, W: most outputs an action, T: width of a target.
    float *observation, *next_observation; // [B, inputs]
    float *out; // [B, W] online network's, of the actions taken
    float *next_out; // [B, A, W] of what followed, whichever network's were computed last
    float *value, *next_value; // [B, A] target network's (Munchausen), and those that choose
    int32_t *next_action; // [B] that follow
    float *policy, *bonus; // [B, A]
    float *reward; // [B] with what Munchausen adds
    float *goal, *error, *grad_out; // [B, T], [B], [B, W]
    float *half_grad_out; // [B, W]; NULL: never measured

    float *fraction[FRACTIONS]; // [B, quantiles]; implicit quantiles only
    float *even_fraction; // [B, acting quantiles] the same for each row: midpoints
    float *acting_fraction; // [acting quantiles] midpoints of what the risk looks at
    gn_random fraction_random[FRACTIONS];
    gn_random noise_random[NN_WHICH];
};

// --- creation

static nn_spec spec_of(const rl_config *config, const nn_head *head, const env_spec *env)
{
    bool picture = env->rank == 3;
    bool implicit = head->config.kind == NN_HEAD_IMPLICIT_QUANTILE;
    return (nn_spec){
        .inputs = (uint32_t)env->observation_elements,
        .picture =
            picture ? (nn_shape){ env->shape[0], env->shape[1], env->shape[2] } : (nn_shape){ 0 },
        .window = env->window,
        .features = env->features,
        .actions = env->actions,
        .width = implicit ? 1 : (uint32_t)head->width,
        .cosines = implicit ? (uint32_t)head->config.cosines : 0,
        .dueling = config->agent.dueling,
        .noisy = config->agent.noisy,
    };
}

static bool is_implicit(const rl_learner *learner)
{
    return learner->layout.spec.cosines > 0;
}

// Most outputs an action of any forward.
static size_t widest(const nn_head *head)
{
    const nn_head_config *config = &head->config;
    if (config->kind != NN_HEAD_IMPLICIT_QUANTILE)
        return head->width;
    return gn_larger((size_t)config->quantiles,
                     gn_larger((size_t)config->target_quantiles, (size_t)config->acting_quantiles));
}

static gn_status allocate(rl_learner *learner, bool measures)
{
    size_t rows = learner->largest_batch;
    size_t inputs = learner->layout.spec.inputs, actions = learner->layout.spec.actions;
    size_t width = widest(&learner->head), quantiles = is_implicit(learner) ? width : 0;
    const struct {
        float **block;
        size_t count;
    } blocks[] = {
        { &learner->observation, rows * inputs },
        { &learner->next_observation, rows * inputs },
        { &learner->out, rows * width },
        { &learner->next_out, rows * actions * width },
        { &learner->value, rows * actions },
        { &learner->next_value, rows * actions },
        { &learner->policy, rows * actions },
        { &learner->bonus, rows * actions },
        { &learner->reward, rows },
        { &learner->goal, rows * nn_head_target_width(&learner->head, (uint32_t)actions) },
        { &learner->error, rows },
        { &learner->grad_out, rows * width },
        { &learner->half_grad_out, measures ? rows * width : 0 },
        { &learner->fraction[FRACTIONS_HERE], rows * quantiles },
        { &learner->fraction[FRACTIONS_NEXT], rows * quantiles },
        { &learner->even_fraction, rows * quantiles },
        { &learner->acting_fraction, quantiles },
    };
    GN_TRY(gn_alloc(&learner->next_action, rows, sizeof *learner->next_action));
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (blocks[i].count)
            GN_TRY(gn_alloc(blocks[i].block, blocks[i].count, sizeof(float)));
    return GN_OK;
}

// Implicit quantiles are asked for in the worst share itself: their mean is the CVaR. Source:
// Dabney et al. 2018, arXiv:1806.06923, section 3.1.
static void create_fractions(rl_learner *learner)
{
    const rl_agent_config *agent = &learner->agent;
    size_t even = (size_t)learner->head.config.acting_quantiles;
    float share = agent->risk == NN_RISK_CVAR ? (float)agent->risk_level : 1;
    for (size_t i = 0; i < learner->largest_batch * even; i++)
        learner->even_fraction[i] = ((float)(i % even) + 0.5f) / (float)even;
    for (size_t i = 0; i < even; i++)
        learner->acting_fraction[i] = share * learner->even_fraction[i];
    if (agent->risk == NN_RISK_CVAR)
        learner->risk.kind = NN_RISK_MEAN; // of what acting_fraction asks for
}

static void create_randomness(rl_learner *learner, uint64_t seed)
{
    for (uint32_t i = 0; i < FRACTIONS; i++)
        learner->fraction_random[i] = gn_random_stream(seed, GN_RANDOM_FRACTION, i);
    for (uint32_t i = 0; i < NN_WHICH; i++)
        learner->noise_random[i] = gn_random_stream(seed, GN_RANDOM_NOISE, i);
}

static gn_status create(rl_learner *learner, const rl_config *config, const env_spec *env,
                        device on)
{
    uint64_t seed = (uint64_t)config->run.seed;
    learner->agent = config->agent;
    learner->risk = (nn_risk){ .kind = (nn_risk_kind)config->agent.risk,
                               .level = config->agent.risk_level,
                               .aversion = config->agent.risk_aversion };
    learner->usual_batch = (size_t)config->train.batch;
    learner->largest_batch = rl_batch_size_largest(&config->train);
    GN_TRY(nn_head_create(&learner->head, &config->head));
    nn_spec spec = spec_of(config, &learner->head, env);
    GN_TRY(nn_spec_configure(&spec, &config->network));
    GN_TRY(nn_layout_create(&learner->layout, &spec));
    bool measures = config->train.batch_schedule == RL_BATCH_AUTO;
    const nn_model_config model = { .on = on,
                                    .optimizer = config->optimizer,
                                    .max_batch = learner->largest_batch,
                                    .max_quantiles = widest(&learner->head),
                                    .halves = measures };
    gn_random random = gn_random_stream(seed, GN_RANDOM_INIT, 0);
    GN_TRY(nn_model_create(&learner->model, &learner->layout, &model, &random));
    GN_TRY(allocate(learner, measures));
    if (is_implicit(learner))
        create_fractions(learner);
    create_randomness(learner, seed);
    return GN_OK;
}

gn_status rl_learner_create(rl_learner **ret_learner, const rl_config *config, const env_spec *spec,
                            device on)
{
    rl_learner *learner = NULL;
    GN_TRY(gn_alloc(&learner, 1, sizeof *learner));
    gn_status status = create(learner, config, spec, on);
    if (status == GN_OK)
        *ret_learner = learner;
    else
        rl_learner_destroy(&learner);
    return status;
}

void rl_learner_destroy(rl_learner **learner)
{
    rl_learner *self = *learner;
    if (!self)
        return;
    nn_model_destroy(&self->model);
    float **const blocks[] = {
        &self->observation,
        &self->next_observation,
        &self->out,
        &self->next_out,
        &self->value,
        &self->next_value,
        &self->policy,
        &self->bonus,
        &self->reward,
        &self->goal,
        &self->error,
        &self->grad_out,
        &self->half_grad_out,
        &self->fraction[FRACTIONS_HERE],
        &self->fraction[FRACTIONS_NEXT],
        &self->even_fraction,
        &self->acting_fraction,
    };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        gn_free(blocks[i]);
    gn_free(&self->next_action);
    gn_free(learner);
}

// --- outputs and values

// Fresh quantile fractions for `rows` rows, or none where the head has none.
static nn_fractions draw_fractions(rl_learner *learner, int which, size_t rows)
{
    const nn_head_config *head = &learner->head.config;
    if (!is_implicit(learner))
        return (nn_fractions){ 0 };
    size_t count = (size_t)(which == FRACTIONS_HERE ? head->quantiles : head->target_quantiles);
    enum { SOME = 256 };
    for (size_t first = 0; first < rows * count; first += SOME) {
        double unit[SOME];
        size_t some = rows * count - first < SOME ? rows * count - first : SOME;
        gn_random_units(&learner->fraction_random[which], unit, some);
        for (size_t i = 0; i < some; i++)
            learner->fraction[which][first + i] = (float)unit[i];
    }
    return (nn_fractions){ learner->fraction[which], count };
}

// Those that actions are chosen by, even_fraction or acting_fraction; none likewise.
static nn_fractions choosing_fractions(const rl_learner *learner, const float *fraction)
{
    if (!is_implicit(learner))
        return (nn_fractions){ 0 };
    return (nn_fractions){ fraction, (size_t)learner->head.config.acting_quantiles };
}

// Outputs an action of a forward with these fractions.
static size_t width_of(const rl_learner *learner, nn_fractions fractions)
{
    return is_implicit(learner) ? fractions.count : learner->head.width;
}

// Expected returns.  Shapes: out: [rows, width]; ret_value: [rows].
static void expected_values(const rl_learner *learner, const float *out, size_t rows, size_t width,
                            float *ret_value)
{
    const nn_risk mean = { .kind = NN_RISK_MEAN };
    nn_head_values(&learner->head, out, rows, width, &mean, learner->agent.rescale, ret_value);
}

// Noise for a network's passes of this update.
static gn_status draw_noise(rl_learner *learner, nn_which which)
{
    return nn_model_draw_noise(learner->model, which, &learner->noise_random[which]);
}

// --- the target

// Expected values of all actions; their outputs stay in next_out.
static gn_status run_all_actions(rl_learner *learner, nn_which which, const float *observation,
                                 nn_fractions fractions, float *ret_value)
{
    size_t rows = learner->batch->size, actions = learner->layout.spec.actions;
    GN_TRY(nn_model_forward(learner->model, which, observation, rows, fractions, NULL,
                            learner->next_out));
    expected_values(learner, learner->next_out, rows * actions, width_of(learner, fractions),
                    ret_value);
    return GN_OK;
}

// The actions with the largest values, which follow with certainty.
static void choose_next(rl_learner *learner)
{
    size_t actions = learner->layout.spec.actions;
    for (size_t i = 0; i < learner->batch->size; i++) {
        learner->next_action[i] = rl_choice_argmax(learner->next_value + i * actions, actions);
        learner->policy[i] = 1;
    }
}

// Fills next_value, and next_out with the target network's outputs: of the actions that follow, or
// with Munchausen of all. Quantiles are drawn for these, but even where an action is chosen: the
// mean of a few drawn ones often belongs to another action.
static gn_status run_next(rl_learner *learner, nn_fractions fractions)
{
    const rl_agent_config *agent = &learner->agent;
    const float *observation = learner->next_observation;
    size_t rows = learner->batch->size, actions = learner->layout.spec.actions;
    size_t width = width_of(learner, fractions);
    float *out = learner->next_out;
    if (!agent->double_q && !is_implicit(learner)) {
        GN_TRY(run_all_actions(learner, NN_TARGET, observation, fractions, learner->next_value));
        if (agent->munchausen)
            return GN_OK;
        choose_next(learner);
        for (size_t i = 0; i < rows; i++)
            memmove(out + i * width, out + (i * actions + (size_t)learner->next_action[i]) * width,
                    width * sizeof *out);
        return GN_OK;
    }
    GN_TRY(run_all_actions(learner, agent->double_q ? NN_ONLINE : NN_TARGET, observation,
                           choosing_fractions(learner, learner->even_fraction),
                           learner->next_value));
    if (!agent->munchausen)
        choose_next(learner);
    return nn_model_forward(learner->model, NN_TARGET, observation, rows, fractions,
                            agent->munchausen ? NULL : learner->next_action, out);
}

// Fills policy, bonus and reward.
static void soften(rl_learner *learner)
{
    const rl_agent_config *agent = &learner->agent;
    const replay_batch *batch = learner->batch;
    size_t actions = learner->layout.spec.actions;
    double temperature = agent->munchausen_temperature;
    for (size_t i = 0; i < batch->size; i++) {
        float *policy = learner->policy + i * actions, *log_policy = learner->bonus + i * actions;
        rl_choice_softmax(learner->value + i * actions, actions, temperature, policy, log_policy);
        double added = fmax(log_policy[batch->action[i]], agent->munchausen_clip);
        learner->reward[i] = (float)(batch->reward[i] + agent->munchausen_alpha * added);
        rl_choice_softmax(learner->next_value + i * actions, actions, temperature, policy,
                          log_policy);
        for (size_t a = 0; a < actions; a++)
            log_policy[a] = -log_policy[a];
    }
}

// Fills goal. ret_width: floats of a goal.
static gn_status compute_goals(rl_learner *learner, size_t *ret_width, rl_update *update)
{
    double cut = 0;
    const replay_batch *batch = learner->batch;
    bool munchausen = learner->agent.munchausen;
    GN_TRY(draw_noise(learner, NN_TARGET));
    if (munchausen)
        GN_TRY(run_all_actions(learner, NN_TARGET, learner->observation,
                               draw_fractions(learner, FRACTIONS_NEXT, batch->size),
                               learner->value));
    nn_fractions fractions = draw_fractions(learner, FRACTIONS_NEXT, batch->size);
    GN_TRY(run_next(learner, fractions));
    if (munchausen)
        soften(learner);
    const nn_backup backup = { .n = batch->size,
                               .actions = munchausen ? learner->layout.spec.actions : 1,
                               .width = width_of(learner, fractions),
                               .out = learner->next_out,
                               .reward = munchausen ? learner->reward : batch->reward,
                               .discount = batch->discount,
                               .policy = learner->policy,
                               .bonus = munchausen ? learner->bonus : NULL,
                               .rescale = learner->agent.rescale,
                               .ret_cut = &cut };
    nn_head_target(&learner->head, &backup, learner->goal);
    *ret_width = nn_head_target_width(&learner->head, backup.actions);
    update->target_cut = cut / (double)batch->size;
    return GN_OK;
}

// --- the update

// Mean of the squared norms of the gradients of the two halves of a batch. The even rows are one,
// the odd rows the other: prioritized replay draws in the order of its slots, so that the first
// rows are not steps like the last ones. The second gradient is what the first leaves of the whole
// one. width: outputs of a step.
static gn_status measure_halves(rl_learner *learner, size_t width, double *ret_square)
{
    double square;
    size_t rows = learner->batch->size;
    memcpy(learner->half_grad_out, learner->grad_out, rows * width * sizeof *learner->grad_out);
    for (size_t i = 1; i < rows; i += 2)
        memset(learner->half_grad_out + i * width, 0, width * sizeof *learner->grad_out);
    GN_TRY(nn_model_half_square(learner->model, learner->observation, learner->batch->action,
                                learner->half_grad_out, rows, &square));
    // Both were divided by the rows of the whole batch: the means over the halves are twice as
    // long.
    *ret_square = 4 * square / 2;
    return GN_OK;
}

static gn_status check_plan(const rl_learner *learner, const rl_update_plan *plan)
{
    if (plan->batch < 1 || plan->batch > learner->largest_batch)
        return gn_fail(GN_ERR_ARG, "rl_learner_update: a batch of %llu steps is not in 1..%zu",
                       (unsigned long long)plan->batch, learner->largest_batch);
    if (plan->measure && (plan->batch % 2 || !learner->half_grad_out))
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
                         learner->next_observation);
    return GN_OK;
}

// The online network's outputs of the sampled steps, whose activations stay for the backward pass;
// their loss and gradients. goal_width: floats of a goal.
static gn_status compute_loss(rl_learner *learner, nn_fractions fractions, size_t goal_width,
                              rl_update *update)
{
    const replay_batch *batch = learner->batch;
    const nn_head_batch head_batch = {
        .n = batch->size,
        .width = width_of(learner, fractions),
        .target_width = goal_width,
        .out = learner->out,
        .target = learner->goal,
        .fraction = fractions.value,
        .weight = batch->weight,
        .ret_error = learner->error,
        .ret_grad = learner->grad_out,
    };
    GN_TRY(nn_model_forward(learner->model, NN_ONLINE, learner->observation, batch->size, fractions,
                            batch->action, learner->out));
    update->loss = nn_head_loss(&learner->head, &head_batch);
    expected_values(learner, learner->out, batch->size, head_batch.width, learner->value);
    for (size_t i = 0; i < batch->size; i++)
        update->mean_q += learner->value[i] / (double)batch->size;
    if (!isfinite(update->loss))
        return gn_fail(GN_ERR_NUMERIC, "loss is %g; a smaller optimizer.learning_rate may help",
                       update->loss);
    return GN_OK;
}

gn_status rl_learner_update(rl_learner *learner, replay_sampler *sampler, const vec_env *env,
                            const rl_update_plan *plan, gn_random *random, rl_update *ret_update)
{
    GN_TRY(check_plan(learner, plan));
    GN_TRY(take_batch(learner, sampler, env, plan, random));
    size_t rows = learner->batch->size, goal_width = 0;
    rl_update update = { 0 };
    GN_TRY(draw_noise(learner, NN_ONLINE));
    GN_TRY(compute_goals(learner, &goal_width, &update));
    nn_fractions fractions = draw_fractions(learner, FRACTIONS_HERE, rows);
    GN_TRY(compute_loss(learner, fractions, goal_width, &update));
    GN_TRY(nn_model_backward(learner->model, learner->observation, learner->batch->action,
                             learner->grad_out, rows));
    if (plan->measure && rows == plan->batch)
        GN_TRY(measure_halves(learner, width_of(learner, fractions), &update.half_square));
    GN_TRY(nn_model_step(learner->model, (double)rows / (double)learner->usual_batch,
                         &update.gradient_norm));
    GN_TRY(replay_buffer_set_priorities(replay_sampler_buffer(sampler), learner->batch->item,
                                        learner->error, rows));
    *ret_update = update;
    return GN_OK;
}

gn_status rl_learner_update_target(rl_learner *learner)
{
    return nn_model_update_target(learner->model, learner->agent.tau);
}

// --- acting

gn_status rl_learner_values(rl_learner *learner, const float *parameter, const float *observation,
                            float *ret_value)
{
    nn_fractions fractions = choosing_fractions(learner, learner->acting_fraction);
    GN_TRY(nn_model_act(learner->model, parameter, observation, fractions, learner->next_out));
    nn_head_values(&learner->head, learner->next_out, learner->layout.spec.actions,
                   width_of(learner, fractions), &learner->risk, learner->agent.rescale, ret_value);
    return GN_OK;
}

gn_status rl_learner_greedy(rl_learner *learner, const float *observation, int32_t *ret_action)
{
    GN_TRY(rl_learner_fetch(learner));
    GN_TRY(rl_learner_values(learner, rl_learner_parameters(learner), observation, learner->value));
    *ret_action = rl_choice_argmax(learner->value, learner->layout.spec.actions);
    return GN_OK;
}

const nn_layout *rl_learner_layout(const rl_learner *learner)
{
    return &learner->layout;
}

float *rl_learner_parameters(rl_learner *learner)
{
    return nn_model_parameters(learner->model);
}

gn_status rl_learner_fetch(rl_learner *learner)
{
    return nn_model_fetch(learner->model);
}

// --- saving

gn_status rl_learner_save(const rl_learner *learner, gn_blob *out)
{
    for (int i = 0; i < FRACTIONS; i++)
        gn_random_save(&learner->fraction_random[i], "fraction", out);
    for (int i = 0; i < NN_WHICH; i++)
        gn_random_save(&learner->noise_random[i], "noise", out);
    return nn_model_save(learner->model, out);
}

gn_status rl_learner_load(rl_learner *learner, gn_blob *in)
{
    for (int i = 0; i < FRACTIONS; i++)
        gn_random_load(&learner->fraction_random[i], "fraction", in);
    for (int i = 0; i < NN_WHICH; i++)
        gn_random_load(&learner->noise_random[i], "noise", in);
    GN_TRY(gn_blob_status(in));
    return nn_model_load(learner->model, in);
}
