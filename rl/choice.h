// From values of actions to probabilities and choices.

#ifndef RL_CHOICE_H
#define RL_CHOICE_H

#include <stddef.h>
#include <stdint.h>

#include "base/random.h"

// The largest of `value` [n]; ties go to the lower index. n is above 0.
int32_t rl_choice_argmax(const float *value, size_t n);

// Probabilities of a greedy choice: 1 at the largest, 0 elsewhere.  Shapes: [n].
void rl_choice_greedy(const float *value, size_t n, float *ret_policy);

// Probabilities proportional to exp(value / temperature), and temperature times their logarithms,
// which stay finite where a probability becomes 0.  Shapes: [n]; ret_log may be NULL.
void rl_choice_softmax(const float *value, size_t n, double temperature, float *ret_policy,
                       float *ret_log);

// An index drawn with these probabilities; takes two words.
int32_t rl_choice_draw(const float *policy, size_t n, gn_random *random);

#endif
