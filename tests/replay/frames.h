// Generated 84x84 grey frames for tests and benchmarks of record codecs: a game like Catch, with a
// wall of bricks behind it or not, and noise.

#ifndef TESTS_REPLAY_FRAMES_H
#define TESTS_REPLAY_FRAMES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { FRAME_SIDE = 84, FRAME_SIZE = FRAME_SIDE * FRAME_SIDE };

// SplitMix64.
static inline uint64_t frames_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
}

static inline void frames_box(unsigned char *frame, size_t row, size_t column, size_t rows,
                              size_t columns, unsigned char grey)
{
    for (size_t i = row; i < row + rows && i < FRAME_SIDE; i++)
        for (size_t j = column; j < column + columns && j < FRAME_SIDE; j++)
            frame[i * FRAME_SIDE + j] = grey;
}

// A ball falls, a paddle wanders below it; an episode is 40 frames. Bit i of `wall`: brick i of 64
// stands behind them.
static inline void frames_catch(uint64_t seed, uint64_t wall, size_t n, unsigned char *ret_frame,
                                uint8_t *ret_start)
{
    uint64_t random = seed;
    size_t column = 0, paddle = 40, step = 0;
    for (size_t i = 0; i < n; i++, step = (step + 1) % 40) {
        unsigned char *frame = ret_frame + i * FRAME_SIZE;
        ret_start[i] = step == 0;
        if (step == 0)
            column = frames_random(&random) % 80;
        memset(frame, 0, FRAME_SIZE);
        for (size_t brick = 0; brick < 64; brick++)
            if (wall >> brick & 1)
                frames_box(frame, 10 + brick / 8 * 7, brick % 8 * 10 + 1, 6, 9,
                           (unsigned char)(60 + brick * 3));
        paddle = (paddle + 82 + frames_random(&random) % 5) % 80;
        frames_box(frame, step * 2, column, 3, 3, 236);
        frames_box(frame, 80, paddle, 2, 12, 148);
    }
}

static inline void frames_noise(uint64_t seed, size_t n, unsigned char *ret_frame,
                                uint8_t *ret_start)
{
    uint64_t random = seed;
    memset(ret_start, 0, n);
    for (size_t i = 0; i < n * FRAME_SIZE; i++)
        ret_frame[i] = (unsigned char)frames_random(&random);
}

#endif
