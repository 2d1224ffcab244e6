// CartPole with the exact physics of Gymnasium's CartPole-v1 (Euler integration, double precision,
// observation rounded to float32), truncated after 500 steps. Reward 1 a step.
//
// Source: Barto, Sutton & Anderson 1983; Gymnasium 1.x, classic_control/cartpole.

#ifndef ENVS_CLASSIC_CARTPOLE_H
#define ENVS_CLASSIC_CARTPOLE_H

#include "envs/classic/classic.h"

// Section [cartpole].
typedef classic_config cartpole_config;

extern const gn_option cartpole_options[];
extern const classic_kind cartpole_kind;
extern const env_class cartpole_class;

// One step of the dynamics from state (x, x_dot, theta, theta_dot); returns 1 if the pole fell or
// the cart left the track.  Shape: state: [4], changed in place.
int cartpole_dynamics(double *state, int32_t action);

#endif
