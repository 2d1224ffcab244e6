// Catch: a ball falls from a random column of the top row, one row a step; a paddle on the bottom
// row moves left, stays or moves right. Reward +1 where the paddle is under the ball on the last
// row, else -1, and there the episode terminates. The best return is 1.
//
// The picture is always 84 x 84 bytes: rows and columns must divide 84, and a cell is drawn as 84 /
// rows by 84 / columns pixels. The ball is white (255), the paddle grey (160), the rest black. A
// share `noise` of the pixels, other ones in each frame, shows random greys instead: for codecs
// that are to meet input they cannot compress.
//
// Record: one frame. Observation: the last `stack` frames, [stack, 84, 84].
// Source: Mnih, Heess, Graves & Kavukcuoglu 2014, arXiv:1406.6247; bsuite, environments/catch.

#ifndef ENVS_PIXEL_CATCH_H
#define ENVS_PIXEL_CATCH_H

#include "envs/env.h"

enum { CATCH_SIDE = 84, CATCH_PIXELS = CATCH_SIDE * CATCH_SIDE };
enum { CATCH_BALL = 255, CATCH_PADDLE = 160 }; // greys
enum { CATCH_LEFT, CATCH_STAY, CATCH_RIGHT, CATCH_ACTIONS };

// Section [catch].
typedef struct catch_config {
    int64_t rows, columns; // of the grid
    double noise; // share of pixels that flicker
    int64_t stack; // frames in an observation
} catch_config;

extern const gn_option catch_options[];
extern const env_class catch_class; // create fails with GN_ERR_CONFIG where the grid does not fit

#endif
