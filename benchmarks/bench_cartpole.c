// Environment steps a second of the whole training loop: double DQN on CartPole with the recipe of
// examples/cleanrl-dqn.ini, timed once learning has started, at the final epsilon and without
// evaluation, with the replay store on disk (as it is by default) and in RAM only; and
// examples/cleanrl-c51.ini.
//
//     bench_cartpole [--config FILE] [--folder DIR] [--seconds S]      DIR, default cartpole-bench:
//     for the runs; removed

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "benchmarks/bench.h"
#include "rl/trainer.h"

enum { TIMED_FROM = 12000 }; // steps; the recipe learns from 10,000 on
enum { STEPS_MAX = 1000000000 }; // ends with the budget, not with the run

// Cuts a run into samples, one between two calls of the progress hook.
typedef struct stopwatch {
    bench run;
    uint64_t started; // step at which the sample began; 0 before the first
    volatile sig_atomic_t stop;
} stopwatch;

static void on_progress(void *user, const rl_progress *progress)
{
    stopwatch *watch = user;
    if (progress->steps < TIMED_FROM)
        return;
    if (watch->started > 0)
        bench_sample(&watch->run,
                     (double)(progress->steps - watch->started) / bench_elapsed(&watch->run));
    watch->started = progress->steps;
    watch->stop = !bench_next(&watch->run);
}

static void measure(const char *name, const char *recipe, const char *folder,
                    const char *replay_path, double budget_s)
{
    const char *const flags[] = { "replay.path", replay_path, "agent.double_q", "true" };
    rl_config *config;
    bench_need(rl_config_create(&config));
    bench_need(rl_config_resolve(config, recipe, flags, 2));
    config->train.steps = STEPS_MAX;
    config->agent.epsilon_start = config->agent.epsilon_end;
    config->eval.every = 0;

    stopwatch watch = { .run = bench_begin(name, "steps/s", budget_s) };
    const rl_hooks hooks = { .progress = on_progress, .user = &watch, .stop = &watch.stop };
    rl_trainer *trainer;
    bench_need(gn_path_remove(folder));
    bench_need(rl_trainer_create(&trainer, config, folder, &hooks));
    bench_need(rl_trainer_run(trainer));
    bench_report(&watch.run);
    rl_trainer_destroy(&trainer);
    rl_config_destroy(&config);
    bench_need(gn_path_remove(folder));
}

int main(int count, char **argument)
{
    const char *recipe = "examples/cleanrl-dqn.ini", *folder = "cartpole-bench";
    double budget_s = 10;
    for (int i = 1; i < count; i += 2) {
        if (i + 1 < count && strcmp(argument[i], "--config") == 0) {
            recipe = argument[i + 1];
        } else if (i + 1 < count && strcmp(argument[i], "--folder") == 0) {
            folder = argument[i + 1];
        } else if (i + 1 < count && strcmp(argument[i], "--seconds") == 0) {
            budget_s = atof(argument[i + 1]);
        } else {
            fprintf(stderr, "usage: %s [--config FILE] [--folder DIR] [--seconds S]\n",
                    argument[0]);
            return 2;
        }
    }
    measure("train.cartpole.replay_disk", recipe, folder, "replay", budget_s);
    measure("train.cartpole.replay_ram", recipe, folder, "none", budget_s);
    measure("train.cartpole.c51", "examples/cleanrl-c51.ini", folder, "replay", budget_s);
    return 0;
}
