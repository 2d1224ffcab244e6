// The exact solution of envs/toy_market/ar1.h by dynamic programming: best actions, where they
// change, and what any policy earns.
//
// The signal lives on an odd number of evenly spaced points, from -6 to +6 of its standard
// deviations. From a point it goes to another with the probability of the cell around that one; the
// outermost cells reach to infinity, so nothing is lost. With 401 points thresholds, values and the
// reward of the best policy are right to a thousandth (tests/envs/test_ar1.c).
//
// A policy is a table: the action at point i with position p is policy[i * AR1_POSITIONS + p]. To
// judge an agent, fill one with its greedy actions for the observations (x[i], p - AR1_FLAT). A
// table turns where cells meet: a policy that turns elsewhere is rounded by up to half a spacing,
// and where that is not about the best place, its reward is known to 1 % with 401 points, 0.3 %
// with 1601.

#ifndef ENVS_TOY_MARKET_AR1_SOLUTION_H
#define ENVS_TOY_MARKET_AR1_SOLUTION_H

#include "envs/toy_market/ar1.h"

// Signals at which the best action of somebody in a position changes: short below to_short, long
// above to_long, flat between. So the no-trade band of being flat is to_short .. to_long, that of
// being long begins at its to_long, that of being short ends at its to_short. Between grid points
// by linear interpolation; -INFINITY or INFINITY where no point asks for it.
typedef struct ar1_threshold {
    double to_short, to_long;
} ar1_threshold;

typedef struct ar1_solution {
    ar1_config config;
    double gamma;
    size_t points;
    double *x; // [points], ascending
    double *q; // [points, AR1_POSITIONS, AR1_POSITIONS]: Q*(x, position, action)
    uint8_t *best; // [points, AR1_POSITIONS]: the policy; of equal actions the one that holds
    ar1_threshold threshold[AR1_POSITIONS];
    double *transition; // [points, points]: probability of going to row from column
} ar1_solution;

// Errors: GN_ERR_ARG for gamma outside 0 .. 0.999, points that are even or outside 11 .. 4001 or
// too far apart for sigma, options outside their range; GN_ERR_MEMORY.
gn_status ar1_solution_create(ar1_solution **ret_solution, const ar1_config *config, double gamma,
                              size_t points);
void ar1_solution_destroy(ar1_solution **solution);

// Greedy on the next reward alone.  Shape: ret_policy: [points, AR1_POSITIONS].
void ar1_policy_myopic(const ar1_solution *solution, uint8_t *ret_policy);

// Mean reward a step in the long run, from no position: by power iteration over signal and
// position. Errors: GN_ERR_ARG for an action that is none; GN_ERR_NUMERIC where it does not settle;
// GN_ERR_MEMORY.
gn_status ar1_policy_reward(const ar1_solution *solution, const uint8_t *policy,
                            double *ret_reward);

// Expected return, not discounted, of an episode of config.length steps. Errors: as above.
gn_status ar1_policy_return(const ar1_solution *solution, const uint8_t *policy,
                            double *ret_return);

#endif
