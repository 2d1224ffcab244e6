// Mountain car with the exact dynamics of Gymnasium's MountainCar-v0 in double precision, truncated
// after 200 steps. A car between two hills is too weak to climb the right one from rest: it has to
// swing. Actions push left, not, right. Reward -1 a step; reaching position 0.5 terminates.
//
// Observation and record: position and velocity, rounded to float32.
// Source: Moore 1990; Gymnasium 1.x, classic_control/mountain_car.

#ifndef ENVS_CLASSIC_MOUNTAIN_CAR_H
#define ENVS_CLASSIC_MOUNTAIN_CAR_H

#include "envs/classic/classic.h"

// Section [mountain-car].
typedef classic_config mountain_car_config;

extern const gn_option mountain_car_options[];
extern const classic_kind mountain_car_kind; // state: position, velocity
extern const env_class mountain_car_class;

#endif
