// Every head learns the chain (examples/chain.ini) and is held against the exact solution: values
// of all states and actions within 2 %, distributions of returns within 0.05 in the Wasserstein-1
// distance, over several seeds. Prints the worst figures of each head; docs/algorithms.md has them.

#include "tests/rl/chain_proof.h"

static const double value_limit = 0.02, distance_limit = 0.05;

// Where outputs are logits or drawn quantiles, more has to move than for a mean: larger steps. A
// quantile on the wrong side of a gap of 1 between two humps moves the mean by 1 / quantiles.
static const proof_head heads[] = {
    [NN_HEAD_SCALAR] = { "scalar", { NULL } },
    [NN_HEAD_CATEGORICAL] = { "categorical", { "optimizer.learning_rate", "1e-4" } },
    [NN_HEAD_TWO_HOT] = { "two-hot", { "optimizer.learning_rate", "1e-4" } },
    [NN_HEAD_QUANTILE] = { "quantile", { "train.batch_max", "256" } },
    [NN_HEAD_IMPLICIT_QUANTILE] = { "implicit-quantile",
                                    { "optimizer.learning_rate", "3e-4", "train.batch_max", "128",
                                      "head.quantiles", "16", "head.target_quantiles", "16" } },
    [NN_HEAD_GAUSSIAN_MIXTURE] = { "gaussian-mixture", { "optimizer.learning_rate", "1e-4" } },
};

static void prove(const proof_head *head)
{
    errors worst = { 0 };
    double seconds = 0;
    for (uint64_t seed = 1; seed <= PROOF_SEEDS; seed++) {
        proof_run run = proof_train(chain_recipe, head, seed);
        errors_widen(&worst, compare(&run));
        seconds += run.seconds;
        proof_run_close(&run);
    }
    print_message("%-18s values within %.2f %%, distributions within %.4f, %.0f s\n", head->name,
                  100 * worst.value, worst.distance, seconds);
    assert_true(worst.value <= value_limit);
    assert_true(worst.distance <= distance_limit);
}

static void scalar(void **state)
{
    (void)state;
    prove(&heads[NN_HEAD_SCALAR]);
}

static void categorical(void **state)
{
    (void)state;
    prove(&heads[NN_HEAD_CATEGORICAL]);
}

static void two_hot(void **state)
{
    (void)state;
    prove(&heads[NN_HEAD_TWO_HOT]);
}

static void quantile(void **state)
{
    (void)state;
    prove(&heads[NN_HEAD_QUANTILE]);
}

static void implicit_quantile(void **state)
{
    (void)state;
    prove(&heads[NN_HEAD_IMPLICIT_QUANTILE]);
}

static void gaussian_mixture(void **state)
{
    (void)state;
    prove(&heads[NN_HEAD_GAUSSIAN_MIXTURE]);
}

TEST_MAIN(scalar, categorical, two_hot, quantile, implicit_quantile, gaussian_mixture)
