// A head that learned the AR(1) market (examples/ar1.ini) as a table that the exact solution
// judges.

#ifndef TESTS_RL_AR1_PROOF_H
#define TESTS_RL_AR1_PROOF_H

#include "envs/toy_market/ar1_solution.h"
#include "tests/rl/proof_run.h"

enum { AR1_PROOF_POINTS = 801 };

static const char ar1_proof_recipe[] = "examples/ar1.ini";

static const proof_head ar1_proof_heads[] = {
    { "scalar", { NULL } },
    { "categorical", { NULL } },
    { "two-hot", { NULL } },
    { "quantile", { NULL } },
    { "implicit-quantile", { "head.quantiles", "8", "head.target_quantiles", "8" } },
    { "gaussian-mixture", { NULL } },
};
enum { AR1_PROOF_HEADS = sizeof ar1_proof_heads / sizeof *ar1_proof_heads };

// Greedy actions at all signals and positions.
typedef struct ar1_proof_policy {
    uint8_t action[AR1_PROOF_POINTS * AR1_POSITIONS];
} ar1_proof_policy;

// Of the recipe's market. discount: 0 is the recipe's.
static inline ar1_solution *ar1_proof_solve(double discount)
{
    rl_config *config = NULL;
    const env_class *kind = NULL;
    const void *options = NULL;
    ar1_solution *solution = NULL;
    expect_ok(rl_config_create(&config));
    expect_ok(rl_config_resolve(config, ar1_proof_recipe, NULL, 0));
    expect_ok(rl_config_env(config, &kind, &options));
    double gamma = discount > 0 ? discount : config->agent.gamma;
    expect_ok(ar1_solution_create(&solution, options, gamma, AR1_PROOF_POINTS));
    rl_config_destroy(&config);
    return solution;
}

// Trains a head and asks it. Returns the seconds that training took.
static inline double ar1_proof_train(ar1_proof_policy *ret_policy, const proof_head *head,
                                     uint64_t seed, const ar1_solution *solution)
{
    proof_run run = proof_train(ar1_proof_recipe, head, seed);
    for (size_t i = 0; i < solution->points; i++) {
        for (size_t p = 0; p < AR1_POSITIONS; p++) {
            const float observation[] = { (float)solution->x[i], (float)p - AR1_FLAT };
            int32_t action = 0;
            expect_ok(rl_learner_greedy(run.learner, observation, &action));
            ret_policy->action[i * AR1_POSITIONS + p] = (uint8_t)action;
        }
    }
    double seconds = run.seconds;
    proof_run_close(&run);
    return seconds;
}

// The largest mean reward a step of all policies: that of the best one where the future counts in
// full, almost. The recipe's discount alone costs 0.07 %.
static inline double ar1_proof_best_reward(void)
{
    ar1_solution *solution = ar1_proof_solve(0.999);
    double best;
    expect_ok(ar1_policy_reward(solution, solution->best, &best));
    ar1_solution_destroy(&solution);
    return best;
}

static inline double ar1_proof_reward(const ar1_solution *solution, const ar1_proof_policy *policy)
{
    double reward;
    expect_ok(ar1_policy_reward(solution, policy->action, &reward));
    return reward;
}

#endif
