// A chain of states whose best actions, values and return distributions are known exactly
// (envs/tabular/chain_solution.h): what a learner of values, or of distributions, is judged by.
//
//     exit  <-  0 - 1 - 2 - ... - states-1  ->  goal
//
// An episode starts in any state alike. Actions step back or forth; with probability `slip` the
// step goes the other way. Leaving at the back pays `exit` for certain, leaving at the front 1 +
// noise or 1 - noise, each as likely; both terminate, all other steps pay nothing. So a return is
// one of a few sums, discounted by when the episode ended: near the goal it has two humps.
//
// Record: the number of the state, also of an end. Observation: one-hot, all 0 at the ends.

#ifndef ENVS_TABULAR_CHAIN_H
#define ENVS_TABULAR_CHAIN_H

#include "envs/env.h"

enum { CHAIN_BACK, CHAIN_FORTH, CHAIN_ACTIONS };
enum { CHAIN_STATES_MAX = 64 };

// Section [chain].
typedef struct chain_config {
    int64_t states;
    double slip; // probability
    double exit; // reward
    double noise; // of the goal's reward
    int64_t max_steps; // after which an episode is truncated
} chain_config;

extern const gn_option chain_options[];
extern const env_class chain_class;

// Where a step that really goes this way leads: a state, or one of the two ends after them.
uint32_t chain_neighbour(const chain_config *config, uint32_t state, int way);

static inline uint32_t chain_goal(const chain_config *config)
{
    return (uint32_t)config->states;
}

static inline uint32_t chain_exit(const chain_config *config)
{
    return (uint32_t)config->states + 1;
}

#endif
