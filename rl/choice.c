#include "rl/choice.h"

#include <math.h>
#include <string.h>

int32_t rl_choice_argmax(const float *value, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (value[i] > value[best])
            best = i;
    return (int32_t)best;
}

void rl_choice_greedy(const float *value, size_t n, float *ret_policy)
{
    memset(ret_policy, 0, n * sizeof *ret_policy);
    ret_policy[rl_choice_argmax(value, n)] = 1;
}

// log-sum-exp around the largest: temperature log p = value - max - temperature log sum.
void rl_choice_softmax(const float *value, size_t n, double temperature, float *ret_policy,
                       float *ret_log)
{
    double largest = value[rl_choice_argmax(value, n)], sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += exp((value[i] - largest) / temperature);
    for (size_t i = 0; i < n; i++) {
        ret_policy[i] = (float)(exp((value[i] - largest) / temperature) / sum);
        if (ret_log)
            ret_log[i] = (float)(value[i] - largest - temperature * log(sum));
    }
}

int32_t rl_choice_draw(const float *policy, size_t n, gn_random *random)
{
    double left = gn_random_unit(random);
    int32_t last = 0; // with a probability above 0
    for (size_t i = 0; i < n; i++) {
        if (policy[i] <= 0)
            continue;
        last = (int32_t)i;
        left -= policy[i];
        if (left < 0)
            break;
    }
    return last;
}
