// What a head learned of the chain (examples/chain.ini) against the exact solution: values, and
// distributions of returns.

#ifndef TESTS_RL_CHAIN_PROOF_H
#define TESTS_RL_CHAIN_PROOF_H

#include <math.h>

#include "envs/tabular/chain_solution.h"
#include "nn/head.h"
#include "tests/rl/proof_run.h"

enum { FRACTIONS = 256 }; // of implicit quantiles, where their distribution is looked at

static const char chain_recipe[] = "examples/chain.ini";

// --- distributions ---

// What a head says of a return: atoms, or components of a mixture where deviation is not NULL.
typedef struct learned {
    size_t count;
    double *value, *weight, *deviation; // [count]
} learned;

static inline double learned_below(const learned *z, double x)
{
    double sum = 0;
    for (size_t i = 0; i < z->count; i++) {
        if (z->deviation)
            sum += z->weight[i] * 0.5 * erfc((z->value[i] - x) / z->deviation[i] * sqrt(0.5));
        else if (z->value[i] <= x)
            sum += z->weight[i];
    }
    return sum;
}

static inline double exact_below(const chain_returns *returns, double x)
{
    double sum = 0;
    for (size_t i = 0; i < returns->count && returns->atom[i].value <= x; i++)
        sum += returns->atom[i].probability;
    return sum;
}

// Wasserstein-1 is the area between both distribution functions: by the midpoint rule, right to a
// cell for each of them.
static inline double distance_between(const learned *z, const chain_returns *exact)
{
    enum { CELLS = 20000 };
    double low = exact->atom[0].value, high = exact->atom[exact->count - 1].value, area = 0;
    for (size_t i = 0; i < z->count; i++) {
        double reach = z->deviation ? 9 * z->deviation[i] : 0;
        low = fmin(low, z->value[i] - reach);
        high = fmax(high, z->value[i] + reach);
    }
    double cell = (high - low) / CELLS;
    for (int i = 0; i < CELLS; i++) {
        double x = low + (i + 0.5) * cell;
        area += cell * fabs(learned_below(z, x) - exact_below(exact, x));
    }
    return area;
}

// From logits to weights.
static inline void soften(const float *logit, size_t n, double *ret_weight)
{
    double top = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++)
        top = fmax(top, (double)logit[i]);
    for (size_t i = 0; i < n; i++)
        sum += ret_weight[i] = exp((double)logit[i] - top);
    for (size_t i = 0; i < n; i++)
        ret_weight[i] /= sum;
}

typedef struct learned_room {
    double value[NN_MAX_HEAD_WIDTH], weight[NN_MAX_HEAD_WIDTH], deviation[NN_MAX_HEAD_WIDTH];
} learned_room;

// out: [width] of one action, as nn/head.h and nn/head_mixture.c say.
static inline learned learned_of(const nn_head_config *head, const float *out, size_t width,
                                 learned_room *room)
{
    learned z = { width, room->value, room->weight, NULL };
    if (head->kind == NN_HEAD_CATEGORICAL) {
        soften(out, width, z.weight);
        for (size_t i = 0; i < width; i++)
            z.value[i] =
                head->v_min + (head->v_max - head->v_min) * (double)i / (double)(width - 1);
    } else if (head->kind == NN_HEAD_GAUSSIAN_MIXTURE) {
        z.count = width / 3;
        z.deviation = room->deviation;
        soften(out, z.count, z.weight);
        for (size_t i = 0; i < z.count; i++) {
            z.value[i] = (double)out[z.count + i];
            z.deviation[i] = log1p(exp((double)out[2 * z.count + i])) + 1e-6;
        }
    } else {
        for (size_t i = 0; i < width; i++) {
            z.value[i] = (double)out[i];
            z.weight[i] = 1 / (double)width;
        }
    }
    return z;
}

// --- a trained head against the solution ---

// Largest over states and actions.
typedef struct errors {
    double value; // |Q - Q*| / Q*
    double distance; // Wasserstein-1; 0 for heads without a distribution
} errors;

static inline void errors_widen(errors *worst, errors e)
{
    worst->value = fmax(worst->value, e.value);
    worst->distance = fmax(worst->distance, e.distance);
}

static inline double distance_of(const nn_head_config *head, const chain_solution *solution,
                                 uint32_t s, int32_t a, const float *out, size_t width)
{
    learned_room *room;
    chain_returns exact;
    expect_ok(gn_alloc(&room, 1, sizeof *room));
    expect_ok(chain_returns_create(&exact, solution, s, a));
    const learned z = learned_of(head, out, width, room);
    double distance = distance_between(&z, &exact);
    chain_returns_destroy(&exact);
    gn_free(&room);
    return distance;
}

static inline errors compare_state(const proof_run *run, const chain_solution *solution,
                                   nn_net *net, uint32_t s)
{
    float observation[CHAIN_STATES_MAX] = { 0 }, value[CHAIN_ACTIONS], fraction[FRACTIONS];
    float out[CHAIN_ACTIONS * NN_MAX_HEAD_WIDTH];
    errors worst = { 0 };
    nn_head head;
    expect_ok(nn_head_create(&head, &run->config->head));
    bool implicit = head.config.kind == NN_HEAD_IMPLICIT_QUANTILE;
    for (int i = 0; i < FRACTIONS; i++)
        fraction[i] = ((float)i + 0.5f) / FRACTIONS;
    size_t width = implicit ? FRACTIONS : head.width;
    observation[s] = 1;
    expect_ok(
        rl_learner_values(run->learner, rl_learner_parameters(run->learner), observation, value));
    expect_ok(nn_net_act(net, rl_learner_parameters(run->learner), observation,
                         implicit ? (nn_fractions){ fraction, FRACTIONS } : (nn_fractions){ 0 },
                         out));
    for (int32_t a = 0; a < CHAIN_ACTIONS; a++) {
        double exact = solution->q[s][a];
        errors e = { .value = fabs((double)value[a] - exact) / exact };
        if (nn_head_is_distribution(&head))
            e.distance = distance_of(&head.config, solution, s, a, out + (size_t)a * width, width);
        assert_true(isfinite(e.value) && isfinite(e.distance));
        errors_widen(&worst, e);
    }
    return worst;
}

// All states and actions of a run.
static inline errors compare(const proof_run *run)
{
    const env_class *kind = NULL;
    const void *options = NULL;
    chain_solution solution;
    nn_net *net = NULL;
    errors worst = { 0 };
    expect_ok(rl_config_env(run->config, &kind, &options));
    expect_ok(chain_solve(&solution, options, run->config->agent.gamma));
    expect_ok(nn_net_create(&net, rl_learner_layout(run->learner), 1, FRACTIONS));
    for (uint32_t s = 0; s < (uint32_t)solution.config.states; s++)
        errors_widen(&worst, compare_state(run, &solution, net, s));
    nn_net_destroy(&net);
    return worst;
}

#endif
