// Our side of tests/envs/compare_gymnasium.py: reads trajectories, takes starts and actions from
// them and prints the trajectories that the dynamics here give.
//
//     classic_steps acrobot|cartpole|mountain-car < THEIRS > OURS

#include "envs/classic/acrobot.h"
#include "envs/classic/cartpole.h"
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
    const classic_kind *const kinds[] = { &acrobot_kind, &cartpole_kind, &mountain_car_kind };
    const classic_kind *kind = NULL;
    for (size_t i = 0; argc == 2 && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(argv[1], kinds[i]->name) == 0)
            kind = kinds[i];
    if (!kind)
        return 2;
    double state[CLASSIC_STATE] = { 0 };
    trajectory_line line;
    while (trajectory_read(stdin, kind, &line)) {
        trajectory_step(kind, state, &line);
        print(kind, &line);
    }
    return 0;
}
