// From records to what a network takes: the window of an episode's last records, and observations
// as float32 whatever the environment's elements are.

#ifndef ENVS_OBSERVE_H
#define ENVS_OBSERVE_H

#include "envs/env.h"

// Bytes of a window: the `stack` records an observation is made of, oldest first.
static inline size_t env_window_size(const env_spec *spec)
{
    return spec->stack * spec->record_size;
}

// The window at an episode's start: its first record, `stack` times.
// Shapes: record: [record_size]; ret_window: [stack, record_size].
void env_window_begin(const env_spec *spec, const unsigned char *record, unsigned char *ret_window);

// Drops the oldest record and takes in the newest.
void env_window_push(const env_spec *spec, const unsigned char *record, unsigned char *window);

// Decodes rows of records (see decode in envs/env.h) to float32: float32 elements as they are,
// bytes divided by 255. Needs no memory of its own. Shapes: record: [n, stack, record_size], rows
// `stride` bytes apart; ret_observation: [n, observation_elements].
void env_decode_float(const env_class *kind, const void *env, const env_spec *spec,
                      const unsigned char *record, size_t stride, size_t n, float *ret_observation);

#endif
