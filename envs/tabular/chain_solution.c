#include "envs/tabular/chain_solution.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

// Expected reward of arriving, and what is worth having from there.
static double worth(const chain_solution *solution, const double *value, uint32_t state)
{
    const chain_config *config = &solution->config;
    if (state == chain_goal(config))
        return 1;
    if (state == chain_exit(config))
        return config->exit;
    return solution->gamma * value[state];
}

// From below and with no reward below 0, values only ever grow, in rounded numbers too: they come
// to rest.
static void iterate_values(chain_solution *solution)
{
    const chain_config *config = &solution->config;
    double value[CHAIN_STATES_MAX] = { 0 };
    bool grew = true;
    while (grew) {
        grew = false;
        for (uint32_t s = 0; s < (uint32_t)config->states; s++) {
            double back = worth(solution, value, chain_neighbour(config, s, CHAIN_BACK));
            double forth = worth(solution, value, chain_neighbour(config, s, CHAIN_FORTH));
            double *q = solution->q[s];
            q[CHAIN_BACK] = (1 - config->slip) * back + config->slip * forth;
            q[CHAIN_FORTH] = (1 - config->slip) * forth + config->slip * back;
            solution->best[s] = q[CHAIN_FORTH] > q[CHAIN_BACK];
            double best = q[solution->best[s]];
            grew = grew || best > value[s];
            value[s] = best;
        }
    }
}

gn_status chain_solve(chain_solution *ret_solution, const chain_config *config, double gamma)
{
    if (!(gamma >= 0 && gamma <= 0.9999))
        return gn_fail(GN_ERR_ARG, "chain: gamma %g is not in 0 .. 0.9999", gamma);
    if (config->states < 2 || config->states > CHAIN_STATES_MAX)
        return gn_fail(GN_ERR_ARG, "chain.states: %lld is not in 2 .. %d",
                       (long long)config->states, CHAIN_STATES_MAX);
    if (!(config->slip >= 0 && config->slip <= 0.5 && config->exit >= 0 && config->exit <= 1))
        return gn_fail(GN_ERR_ARG, "chain: slip %g is not in 0 .. 0.5, or exit %g not in 0 .. 1",
                       config->slip, config->exit);
    *ret_solution = (chain_solution){ .config = *config, .gamma = gamma };
    iterate_values(ret_solution);
    return GN_OK;
}

// --- distributions ---

enum { ENDINGS = 3 }; // atoms a step adds: exit, goal with either noise

// Where an episode may be after some steps, and what it may have returned.
typedef struct spread {
    double mass[CHAIN_STATES_MAX]; // probability of each state
    double left; // their sum
    double discount; // of the next reward
    chain_atom ending[ENDINGS]; // of the last step
} spread;

// One step: `action` in every state, or the best one where it is below 0.
static void spread_step(spread *now, const chain_solution *solution, int32_t action)
{
    const chain_config *config = &solution->config;
    double before[CHAIN_STATES_MAX], arrived[CHAIN_STATES_MAX + 2] = { 0 };
    memcpy(before, now->mass, sizeof before);
    for (uint32_t s = 0; s < (uint32_t)config->states; s++) {
        int way = action < 0 ? solution->best[s] : action;
        arrived[chain_neighbour(config, s, way)] += (1 - config->slip) * before[s];
        arrived[chain_neighbour(config, s, !way)] += config->slip * before[s];
    }
    double goal = arrived[chain_goal(config)] / 2;
    now->ending[0] = (chain_atom){ now->discount * config->exit, arrived[chain_exit(config)] };
    now->ending[1] = (chain_atom){ now->discount * (1 - config->noise), goal };
    now->ending[2] = (chain_atom){ now->discount * (1 + config->noise), goal };
    now->left = 0;
    for (uint32_t s = 0; s < (uint32_t)config->states; s++) {
        now->mass[s] = arrived[s];
        now->left += arrived[s];
    }
    now->discount *= solution->gamma;
}

static gn_status append(chain_returns *returns, size_t *capacity, const chain_atom *atom)
{
    if (atom->probability <= 0)
        return GN_OK;
    if (returns->count == *capacity) {
        size_t more = *capacity ? 2 * *capacity : 64;
        GN_TRY(gn_grow(&returns->atom, *capacity, more, sizeof *returns->atom));
        *capacity = more;
    }
    returns->atom[returns->count++] = *atom;
    return GN_OK;
}

static int by_value(const void *a, const void *b)
{
    const chain_atom *x = a, *y = b;
    return (x->value > y->value) - (x->value < y->value);
}

// Sorts, and joins atoms that differ by less than rounding may explain.
static void tidy(chain_returns *returns)
{
    const double same = 1e-9;
    qsort(returns->atom, returns->count, sizeof *returns->atom, by_value);
    size_t kept = 0;
    for (size_t i = 1; i < returns->count; i++) {
        if (returns->atom[i].value - returns->atom[kept].value < same)
            returns->atom[kept].probability += returns->atom[i].probability;
        else
            returns->atom[++kept] = returns->atom[i];
    }
    returns->count = kept + 1;
}

static gn_status collect(chain_returns *returns, const chain_solution *solution, uint32_t state,
                         int32_t action)
{
    size_t capacity = 0;
    spread now = { .left = 1, .discount = 1 };
    now.mass[state] = 1;
    while (now.left > 1e-15 && now.discount > 1e-12) {
        spread_step(&now, solution, action);
        action = -1;
        for (int i = 0; i < ENDINGS; i++)
            GN_TRY(append(returns, &capacity, &now.ending[i]));
    }
    return append(returns, &capacity, &(chain_atom){ 0, now.left });
}

gn_status chain_returns_create(chain_returns *ret_returns, const chain_solution *solution,
                               uint32_t state, int32_t action)
{
    if (state >= (uint32_t)solution->config.states || action < 0 || action >= CHAIN_ACTIONS)
        return gn_fail(GN_ERR_ARG, "chain: state %u or action %d is none", state, action);
    chain_returns returns = { 0 };
    gn_status status = collect(&returns, solution, state, action);
    if (status != GN_OK) {
        chain_returns_destroy(&returns);
        return status;
    }
    tidy(&returns);
    *ret_returns = returns;
    return GN_OK;
}

void chain_returns_destroy(chain_returns *returns)
{
    if (!returns)
        return;
    gn_free(&returns->atom);
    returns->count = 0;
}

double chain_returns_mean(const chain_returns *returns)
{
    double mean = 0;
    for (size_t i = 0; i < returns->count; i++)
        mean += returns->atom[i].value * returns->atom[i].probability;
    return mean;
}
