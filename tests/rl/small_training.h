// Small training runs for the tests of the training loop: options, starting, continuing.

#ifndef TESTS_RL_SMALL_TRAINING_H
#define TESTS_RL_SMALL_TRAINING_H

#include "rl/run_folder.h"
#include "rl/trainer.h"
#include "tests/rl/compare_runs.h"

enum { CARTPOLE, TRADING };

static const char small_ini[] =
    "[run]\nagent = dueling-dqn\n"
    "[train]\nsteps = 1000\nevery = 20\nstarts = 100\nbatch = 16\nlog_every = 150\n"
    "[network]\nhidden = 16\n"
    "[agent]\ntarget_every = 100\n"
    "[eval]\nevery = 300\nepisodes = 2\n"
    "[checkpoint]\nevery = 200\nkeep = 2\n"
    "[replay]\ncapacity = 400\nchunk = 64\n"
    "[trading]\nwindow = 4\nepisode_bars = 60\n"
    "[features]\nlist = return,return_4,rsi\n";

// Options of a small run of this kind, then `more`.
static inline rl_config *small_config(const small_run *small, int kind, const char *const *more)
{
    char ini[GN_PATH_SIZE];
    rl_config *config = NULL;
    run_path(ini, small->folder, "small.ini");
    write_text(ini, small_ini);
    if (kind == TRADING && !gn_path_exists(small->data))
        small_run_market(small);
    const char *flag[64] = {
        "run.env",      kind == TRADING ? "trading" : "cartpole",
        "run.data",     kind == TRADING ? small->data : "",
        "market.cache", small->cache,
    };
    size_t count = 6;
    for (; *more; more++) {
        assert_true(count < sizeof flag / sizeof *flag);
        flag[count++] = *more;
    }
    expect_ok(rl_config_create(&config));
    expect_ok(rl_config_resolve(config, ini, flag, count / 2));
    return config;
}

#define SMALL_CONFIG(small, kind, ...) \
    small_config(small, kind, (const char *const[]){ __VA_ARGS__, NULL })

static inline gn_status finish(rl_trainer *trainer, gn_status status)
{
    if (status == GN_OK)
        status = rl_trainer_run(trainer);
    rl_trainer_destroy(&trainer);
    return status;
}

static inline gn_status train(const rl_config *config, const char *folder, const rl_hooks *hooks)
{
    rl_trainer *trainer = NULL;
    gn_status status = rl_trainer_create(&trainer, config, folder, hooks);
    return finish(trainer, status);
}

// Continues with the options the folder holds.
static inline gn_status resume_from(const char *folder, uint64_t from, const rl_hooks *hooks)
{
    rl_trainer *trainer = NULL;
    rl_config *config = NULL;
    expect_ok(rl_config_create(&config));
    gn_status status = rl_run_folder_read(folder, config);
    if (status == GN_OK)
        status = rl_trainer_resume(&trainer, config, folder, from, hooks);
    status = finish(trainer, status);
    rl_config_destroy(&config);
    return status;
}

static inline gn_status resume(const char *folder, const rl_hooks *hooks)
{
    return resume_from(folder, RL_NEWEST, hooks);
}

// A folder with a finished run "a", and the path of another, "b".
typedef struct two_runs {
    small_run small;
    rl_config *config;
    char a[GN_PATH_SIZE], b[GN_PATH_SIZE];
} two_runs;

static inline void two_runs_open(two_runs *runs, int kind, const char *const *more)
{
    small_run_open(&runs->small);
    run_path(runs->a, runs->small.folder, "a");
    run_path(runs->b, runs->small.folder, "b");
    runs->config = small_config(&runs->small, kind, more);
    expect_ok(train(runs->config, runs->a, NULL));
}

#define TWO_RUNS_OPEN(runs, kind, ...) \
    two_runs_open(runs, kind, (const char *const[]){ __VA_ARGS__, NULL })

static inline void two_runs_close(two_runs *runs)
{
    rl_config_destroy(&runs->config);
    test_temp_remove(runs->small.folder);
}

#endif
