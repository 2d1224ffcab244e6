// Acrobot with the exact dynamics of Gymnasium's Acrobot-v1 (the book's equations, one Runge-Kutta
// step of 0.2 s in double precision), truncated after 500 steps. Two links hang from a fixed joint;
// a torque of -1, 0 or +1 (actions 0, 1, 2) acts between them until the free end swings above the
// line. Reward -1 a step, 0 for the one that gets there.
//
// Observation and record: cos and sin of the first angle, cos and sin of the second, both angular
// velocities, rounded to float32.
//
// Gymnasium takes the cosines of an episode's first observation in float32, here they are rounded
// from double: that one may differ in its last bit, no other does.
//
// Source: Sutton 1996; Sutton & Barto 2018, section 11.3 of the first edition; Gymnasium 1.x,
// classic_control/acrobot.

#ifndef ENVS_CLASSIC_ACROBOT_H
#define ENVS_CLASSIC_ACROBOT_H

#include "envs/classic/classic.h"

// Section [acrobot].
typedef classic_config acrobot_config;

extern const gn_option acrobot_options[];
extern const classic_kind acrobot_kind; // state: theta1, theta2, their velocities
extern const env_class acrobot_class;

#endif
