// Every head learns to trade the AR(1) market (examples/ar1.ini), over several seeds: its greedy
// policy earns at least 95 % of the best mean reward. Prints what each head reaches;
// docs/algorithms.md has it.

#include <math.h>

#include "tests/rl/ar1_proof.h"

static const double least_share = 0.95;

static void prove(size_t head)
{
    static ar1_proof_policy policy;
    ar1_solution *solution = ar1_proof_solve(0);
    double best = ar1_proof_best_reward();
    double least = INFINITY, sum = 0, seconds = 0;
    for (uint64_t seed = 1; seed <= PROOF_SEEDS; seed++) {
        seconds += ar1_proof_train(&policy, &ar1_proof_heads[head], seed, solution);
        double share = ar1_proof_reward(solution, &policy) / best;
        least = share < least ? share : least;
        sum += share;
    }
    ar1_solution_destroy(&solution);
    print_message("%-18s at least %.2f %% of the best reward, %.2f %% on average, %.0f s\n",
                  ar1_proof_heads[head].name, 100 * least, 100 * sum / PROOF_SEEDS, seconds);
    assert_true(least >= least_share);
}

static void scalar(void **state)
{
    (void)state;
    prove(NN_HEAD_SCALAR);
}

static void categorical(void **state)
{
    (void)state;
    prove(NN_HEAD_CATEGORICAL);
}

static void two_hot(void **state)
{
    (void)state;
    prove(NN_HEAD_TWO_HOT);
}

static void quantile(void **state)
{
    (void)state;
    prove(NN_HEAD_QUANTILE);
}

static void implicit_quantile(void **state)
{
    (void)state;
    prove(NN_HEAD_IMPLICIT_QUANTILE);
}

static void gaussian_mixture(void **state)
{
    (void)state;
    prove(NN_HEAD_GAUSSIAN_MIXTURE);
}

TEST_MAIN(scalar, categorical, two_hot, quantile, implicit_quantile, gaussian_mixture)
