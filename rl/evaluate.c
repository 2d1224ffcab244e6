#include "rl/evaluate.h"

#include <math.h>

#include "base/mem.h"
#include "envs/observe.h"
#include "envs/trading/trading.h"

static gn_status act_greedily(void *user, const float *observation, uint64_t bar,
                              int32_t *ret_action)
{
    (void)bar;
    return rl_learner_greedy(user, observation, ret_action);
}

rl_policy rl_greedy_policy(rl_learner *learner)
{
    return (rl_policy){ .act = act_greedily, .user = learner, .observes = true };
}

// One copy of the environment without automatic reset, so that the account can be read when the
// episode has ended. equity: marks at each close, the first at the start.
typedef struct evaluation {
    const rl_arena *arena;
    const rl_policy *policy;
    void *env;
    env_spec spec;
    unsigned char *record, *window; // of now; the last `stack` of the episode
    float *observation;
    double *equity;
    uint64_t marks, bars_with_position, first_bar;
} evaluation;

static void evaluation_close(evaluation *self)
{
    if (self->env)
        self->arena->kind->destroy(self->env);
    gn_free(&self->record);
    gn_free(&self->window);
    gn_free(&self->observation);
    gn_free(&self->equity);
}

static gn_status evaluation_open(evaluation *self)
{
    const rl_arena *arena = self->arena;
    const env_context context = { .copies = 1,
                                  .seed = arena->seed,
                                  .purpose = arena->final ? GN_RANDOM_FINAL : GN_RANDOM_EVAL,
                                  .mode = ENV_EVALUATE,
                                  .market = arena->market };
    if (arena->market && arena->kind != &trading_class)
        return gn_fail(GN_ERR_UNSUPPORTED, "environment %s: its account cannot be evaluated",
                       arena->kind->name);
    GN_TRY(arena->kind->create(&self->env, arena->config, &context));
    arena->kind->spec(self->env, &self->spec);
    GN_TRY(gn_alloc(&self->record, 1, self->spec.record_size));
    GN_TRY(gn_alloc(&self->window, 1, env_window_size(&self->spec)));
    GN_TRY(gn_alloc(&self->observation, self->spec.observation_elements, sizeof(float)));
    if (!arena->market)
        return GN_OK;
    const market_range *range = &arena->market->range;
    return gn_alloc(&self->equity, range->end - range->first + 1, sizeof(double));
}

static void look(evaluation *self, bool begins)
{
    const env_class *kind = self->arena->kind;
    kind->record(self->env, self->record);
    if (begins)
        env_window_begin(&self->spec, self->record, self->window);
    else
        env_window_push(&self->spec, self->record, self->window);
    env_decode_float(kind, self->env, &self->spec, self->window, 0, 1, self->observation);
}

// The next action; `begins` at the start of an episode.
static gn_status choose(evaluation *self, bool begins, int32_t *ret_action)
{
    const float *observation = NULL;
    if (self->policy->observes) {
        look(self, begins);
        observation = self->observation;
    }
    uint64_t bar = self->arena->market ? trading_state_of(self->env, 0).bar : 0;
    return self->policy->act(self->policy->user, observation, bar, ret_action);
}

static void begin_curve(evaluation *self)
{
    trading_state state = trading_state_of(self->env, 0);
    self->first_bar = state.bar;
    self->equity[0] = state.capital;
    self->marks = 1;
}

static void extend_curve(evaluation *self)
{
    trading_state state = trading_state_of(self->env, 0);
    self->equity[self->marks++] = state.equity;
    self->bars_with_position += state.account->units != 0;
}

// Figures of the account as it stands at the end of its only episode.
static gn_status measure_curve(const evaluation *self, rl_result *result)
{
    const double seconds_a_year = 365.25 * 86400;
    trading_state end = trading_state_of(self->env, 0);
    const trading_account *account = end.account;
    const market_bars_view *bars = self->arena->market->bars;
    double seconds = (double)(bars->time_ns[end.bar] - bars->time_ns[self->first_bar]) * 1e-9;
    result->years = seconds / seconds_a_year;
    GN_TRY(market_performance_measure(&result->performance, self->equity, self->marks,
                                      bars->bars_per_year, result->years));
    result->trades = account->trades;
    result->turnover = account->turnover;
    result->costs =
        (account->fees_paid + account->spread_paid + account->funding_paid) / end.capital;
    result->exposure = (double)self->bars_with_position / (double)(self->marks - 1);
    return GN_OK;
}

static gn_status run_episode(evaluation *self, rl_result *result)
{
    const env_class *kind = self->arena->kind;
    const uint32_t copy = 0;
    double episode_return = 0, length = 0;
    uint8_t terminated = 0, truncated = 0;
    kind->reset(self->env, &copy, 1);
    if (self->equity)
        begin_curve(self);
    while (!terminated && !truncated) {
        float reward = 0;
        int32_t action = 0;
        GN_TRY(choose(self, length == 0, &action));
        kind->step(self->env, &action, &reward, &terminated, &truncated);
        episode_return += reward;
        length += 1;
        if (self->equity)
            extend_curve(self);
    }
    result->ruined = self->equity && terminated;
    result->mean_return += episode_return;
    result->mean_length += length;
    result->min_return = fmin(result->min_return, episode_return);
    result->max_return = fmax(result->max_return, episode_return);
    return GN_OK;
}

static gn_status run_all(evaluation *self, rl_result *ret_result)
{
    GN_TRY(evaluation_open(self));
    rl_result result = { .episodes = self->equity ? 1 : (uint64_t)self->arena->episodes,
                         .min_return = INFINITY,
                         .max_return = -INFINITY };
    for (uint64_t i = 0; i < result.episodes; i++)
        GN_TRY(run_episode(self, &result));
    result.mean_return /= (double)result.episodes;
    result.mean_length /= (double)result.episodes;
    if (self->equity)
        GN_TRY(measure_curve(self, &result));
    *ret_result = result;
    return GN_OK;
}

gn_status rl_arena_check(const rl_arena *arena)
{
    evaluation self = { .arena = arena };
    gn_status status = evaluation_open(&self);
    evaluation_close(&self);
    return status;
}

gn_status rl_evaluate(rl_result *ret_result, const rl_arena *arena, const rl_policy *policy)
{
    evaluation self = { .arena = arena, .policy = policy };
    gn_status status = run_all(&self, ret_result);
    evaluation_close(&self);
    return status;
}
