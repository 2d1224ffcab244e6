// A market that is solved exactly (envs/toy_market/ar1_solution.h): one signal that fades, and a
// fee that makes it costly to follow every turn of it. What a trading agent is judged by.
//
//     x_{t+1} = phi x_t + sigma e_t                          the signal: the expected return
//     r_t     = p_t (x_t + noise u_t) - fee |p_t - p_{t-1}|  p_t in {-1, 0, +1}: the action at t
//
// e and u are independent standard normals. The agent sees x_t and p_{t-1}. An episode starts with
// a signal from its stationary distribution and no position; after `length` steps it is truncated.
//
// Record and observation: signal and position, float32. Not a model of prices: returns are added,
// there is no equity and no ruin (envs/trading is the market proper).

#ifndef ENVS_TOY_MARKET_AR1_H
#define ENVS_TOY_MARKET_AR1_H

#include "envs/env.h"

enum { AR1_SHORT, AR1_FLAT, AR1_LONG, AR1_POSITIONS }; // actions too: the position to take

// Section [ar1].
typedef struct ar1_config {
    double phi, sigma; // of the signal
    double noise; // standard deviation of what a return adds to it
    double fee; // of a change of position by 1
    int64_t length; // steps of an episode
} ar1_config;

extern const gn_option ar1_options[];
extern const env_class ar1_class;

// Standard deviation of the signal's stationary distribution.
double ar1_deviation(const ar1_config *config);

#endif
