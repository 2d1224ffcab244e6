// What moves along a run: exponents, shares.

#ifndef RL_SCHEDULE_H
#define RL_SCHEDULE_H

// Linear from `start` to `end` while x goes from 0 to 1.
static inline double rl_linear(double start, double end, double x)
{
    return x >= 1 ? end : start + (end - start) * x;
}

#endif
