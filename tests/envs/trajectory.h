// Trajectories as tests/envs/compare_gymnasium.py writes them: reading a line, and what the
// dynamics here make of it.

#ifndef TESTS_ENVS_TRAJECTORY_H
#define TESTS_ENVS_TRAJECTORY_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "envs/classic/classic.h"

enum { TRAJECTORY_LINE = 1024 };

// A line "step ACTION REWARD TERMINATED STATE... OBSERVATION...", or "start STATE...".
typedef struct trajectory_line {
    int is_start;
    int32_t action;
    double reward;
    int terminated;
    double state[CLASSIC_STATE], observation[CLASSIC_OBSERVATION];
} trajectory_line;

static inline void trajectory_numbers(char **text, double *ret_number, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        ret_number[i] = strtod(*text, text);
}

// The next line that is not a comment; 0 at the end.
static inline int trajectory_read(FILE *file, const classic_kind *kind, trajectory_line *ret_line)
{
    char buffer[TRAJECTORY_LINE];
    do {
        if (!fgets(buffer, sizeof buffer, file))
            return 0;
    } while (buffer[0] == '#');
    *ret_line = (trajectory_line){ .is_start = strncmp(buffer, "start ", 6) == 0 };
    char *text = buffer + (ret_line->is_start ? 6 : 5);
    if (!ret_line->is_start) {
        double head[3];
        trajectory_numbers(&text, head, 3);
        ret_line->action = (int32_t)head[0];
        ret_line->reward = head[1];
        ret_line->terminated = (int)head[2];
    }
    trajectory_numbers(&text, ret_line->state, kind->state);
    if (!ret_line->is_start)
        trajectory_numbers(&text, ret_line->observation, kind->observation);
    return 1;
}

// Makes of `line`, in which start or action are given, what our dynamics make of it.
static inline void trajectory_step(const classic_kind *kind, double *state, trajectory_line *line)
{
    if (line->is_start) {
        memcpy(state, line->state, kind->state * sizeof *state);
        return;
    }
    float observation[CLASSIC_OBSERVATION];
    line->terminated = kind->dynamics(state, line->action);
    line->reward = (double)(line->terminated ? kind->last_reward : kind->reward);
    kind->observe(state, observation);
    memcpy(line->state, state, kind->state * sizeof *state);
    for (uint32_t i = 0; i < kind->observation; i++)
        line->observation[i] = (double)observation[i];
}

#endif
