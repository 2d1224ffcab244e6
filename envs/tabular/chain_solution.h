// The exact solution of a chain (envs/tabular/chain.h), limit of steps aside: action values, best
// actions, and the distribution of the discounted return after any action.

#ifndef ENVS_TABULAR_CHAIN_SOLUTION_H
#define ENVS_TABULAR_CHAIN_SOLUTION_H

#include "envs/tabular/chain.h"

typedef struct chain_solution {
    chain_config config;
    double gamma;
    double q[CHAIN_STATES_MAX][CHAIN_ACTIONS]; // Q*(s, a), error below 1e-12
    int32_t best[CHAIN_STATES_MAX]; // action; the first one of equals
} chain_solution;

// Value iteration. Errors: GN_ERR_ARG for gamma outside 0 .. 0.9999 or options outside their range.
gn_status chain_solve(chain_solution *ret_solution, const chain_config *config, double gamma);

typedef struct chain_atom {
    double value, probability;
} chain_atom;

// A distribution: its atoms in ascending order of value, no two closer than 1e-9.
typedef struct chain_returns {
    size_t count;
    chain_atom *atom; // [count]
} chain_returns;

// Distribution of the return of `action` in `state`, followed by the best actions: every moment an
// episode may end at is followed until a probability below 1e-15 is left, or a discount below 1e-12
// (what is left then is an atom at 0).
// Errors: GN_ERR_ARG for a state or action that is none; GN_ERR_MEMORY.
gn_status chain_returns_create(chain_returns *ret_returns, const chain_solution *solution,
                               uint32_t state, int32_t action);
void chain_returns_destroy(chain_returns *returns); // NULL-safe, leaves it empty

double chain_returns_mean(const chain_returns *returns);

#endif
