// Distributions of returns that are learned in a second are near the exact ones; test_chain_proof.c
// has all heads, longer and closer.

#include "tests/rl/chain_proof.h"

static void short_runs_come_near_the_exact_solution(void **state)
{
    (void)state;
    static const char *const kinds[] = { "categorical", "quantile", "gaussian-mixture" };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const proof_head head = { kinds[i],
                                  { "optimizer.learning_rate", "1e-3", "train.steps", "48000",
                                    "train.batch_max", "256", "head.quantiles", "32" } };
        proof_run run = proof_train(chain_recipe, &head, 1);
        errors e = compare(&run);
        print_message("%s: values within %.2f %%, distributions within %.4f\n", kinds[i],
                      100 * e.value, e.distance);
        assert_true(e.value <= 0.05);
        assert_true(e.distance <= 0.06);
        proof_run_close(&run);
    }
}

TEST_MAIN(short_runs_come_near_the_exact_solution)
