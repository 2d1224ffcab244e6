// Our side of tests/envs/compare_gymnasium.py: reads trajectories, takes starts and actions from
// them and prints the trajectories that the dynamics here give.
//
//     classic_steps acrobot|mountain-car < THEIRS > OURS

#include "envs/classic/acrobot.h"
#include "envs/classic/mountain_car.h"
#include "tests/envs/trajectory.h"

static void print(const classic_kind *kind, const trajectory_line *line)
{
    if (line->is_start)
        printf("start");
    else
        printf("step %d %g %d", line->action, line->reward, line->terminated);
    for (uint32_t i = 0; i < kind->state; i++)
        printf(" %a", line->state[i]);
    for (uint32_t i = 0; i < kind->observation && !line->is_start; i++)
        printf(" %a", line->observation[i]);
    printf("\n");
}

int main(int argc, char **argv)
{
    const classic_kind *kind = &acrobot_kind;
    if (argc == 2 && strcmp(argv[1], mountain_car_kind.name) == 0)
        kind = &mountain_car_kind;
    double state[CLASSIC_STATE] = { 0 };
    trajectory_line line;
    while (trajectory_read(stdin, kind, &line)) {
        trajectory_step(kind, state, &line);
        print(kind, &line);
    }
    return 0;
}
