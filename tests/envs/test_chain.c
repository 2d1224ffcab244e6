// The chain and its solution: values by hand and against rollouts of the environment itself, return
// distributions against rollouts, what is refused.

#include "envs/tabular/chain.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "envs/tabular/chain_solution.h"
#include "envs/vec_env.h"
#include "tests/support/check.h"

static const chain_config defaults = { 5, 0.1, 0.875, 0.5, 100000 };
static const double gamma_of_tests = 0.9;

static vec_env *create(const chain_config *config, uint32_t copies, uint64_t seed)
{
    const env_context context = { .copies = copies, .seed = seed, .purpose = GN_RANDOM_ENV };
    vec_env *env;
    expect_ok(vec_env_create(&env, &chain_class, config, &context));
    return env;
}

static uint32_t state_of(const vec_env *env, uint32_t copy)
{
    uint32_t state;
    memcpy(&state, vec_env_last(env)->record + copy * sizeof state, sizeof state);
    return state;
}

static chain_solution solve(const chain_config *config, double gamma)
{
    chain_solution solution;
    expect_ok(chain_solve(&solution, config, gamma));
    return solution;
}

// Without slips each step is certain, so returns are powers of gamma.
static void values_without_slips_are_powers_of_gamma(void **state)
{
    (void)state;
    const chain_config config = { .states = 3, .exit = 0.5, .noise = 0.25, .max_steps = 9 };
    chain_solution solution = solve(&config, 0.5);
    static const double q[3][2] = { { 0.5, 0.25 }, { 0.25, 0.5 }, { 0.25, 1 } };
    for (int s = 0; s < 3; s++) {
        for (int a = 0; a < 2; a++)
            assert_true(solution.q[s][a] == q[s][a]);
        assert_int_equal(solution.best[s], s > 0);
    }
    chain_returns returns;
    expect_ok(chain_returns_create(&returns, &solution, 1, CHAIN_FORTH));
    assert_int_equal(returns.count, 2);
    assert_true(returns.atom[0].value == 0.375 && returns.atom[0].probability == 0.5);
    assert_true(returns.atom[1].value == 0.625 && returns.atom[1].probability == 0.5);
    chain_returns_destroy(&returns);
    assert_null(returns.atom);
}

static void the_best_action_is_clear_in_every_state_and_both_are_best_somewhere(void **state)
{
    (void)state;
    chain_solution solution = solve(&defaults, gamma_of_tests);
    int forth = 0;
    for (int s = 0; s < defaults.states; s++) {
        double gap = fabs(solution.q[s][CHAIN_FORTH] - solution.q[s][CHAIN_BACK]);
        assert_true(gap > 0.05);
        forth += solution.best[s] == CHAIN_FORTH;
    }
    assert_true(forth > 0 && forth < defaults.states);
}

// Bellman's equation, written out.
static void values_solve_the_equation_they_are_to_solve(void **state)
{
    (void)state;
    static const double gammas[] = { 0, 0.5, 0.9, 0.999 };
    static const chain_config configs[] = { { 5, 0.1, 0.875, 0.5, 100 },
                                            { 64, 0.3, 0.2, 0, 100 },
                                            { 2, 0.5, 1, 1, 100 } };
    for (size_t g = 0; g < 4; g++) {
        for (size_t c = 0; c < 3; c++) {
            chain_solution solution = solve(&configs[c], gammas[g]);
            int last = (int)configs[c].states - 1;
            for (int s = 0; s <= last; s++) {
                const double *before = s > 0 ? solution.q[s - 1] : NULL;
                const double *after = s < last ? solution.q[s + 1] : NULL;
                double back = before ? gammas[g] * fmax(before[0], before[1]) : configs[c].exit;
                double forth = after ? gammas[g] * fmax(after[0], after[1]) : 1;
                double slip = configs[c].slip;
                assert_true(fabs(solution.q[s][CHAIN_BACK] - (1 - slip) * back - slip * forth) <
                            1e-12);
                assert_true(fabs(solution.q[s][CHAIN_FORTH] - (1 - slip) * forth - slip * back) <
                            1e-12);
            }
        }
    }
}

static void a_mean_of_returns_is_the_value(void **state)
{
    (void)state;
    static const double gammas[] = { 0, 0.5, 0.9, 0.999 };
    for (size_t g = 0; g < 4; g++) {
        chain_solution solution = solve(&defaults, gammas[g]);
        for (uint32_t s = 0; s < defaults.states; s++) {
            for (int32_t a = 0; a < CHAIN_ACTIONS; a++) {
                chain_returns returns;
                expect_ok(chain_returns_create(&returns, &solution, s, a));
                double sum = 0;
                for (size_t i = 0; i < returns.count; i++) {
                    sum += returns.atom[i].probability;
                    assert_true(i == 0 || returns.atom[i].value > returns.atom[i - 1].value);
                }
                assert_true(fabs(sum - 1) < 1e-12);
                assert_true(fabs(chain_returns_mean(&returns) - solution.q[s][a]) < 1e-10);
                chain_returns_destroy(&returns);
            }
        }
    }
}

// --- rollouts ---

enum { ROLLOUTS = 100000, ROLLING = 1000 }; // for each state and action; copies at once

typedef struct rollouts {
    size_t count[5][CHAIN_ACTIONS];
    float (*returns)[CHAIN_ACTIONS][ROLLOUTS]; // [5]
} rollouts;

// What a copy has done in its episode.
typedef struct rolling {
    uint32_t start;
    int32_t first;
    double discount, sum;
} rolling;

static void keep(rollouts *all, const rolling *episode)
{
    size_t *count = &all->count[episode->start][episode->first];
    if (*count < ROLLOUTS)
        all->returns[episode->start][episode->first][(*count)++] = (float)episode->sum;
}

// Plays until every pair is full: the first action at random, then the best ones.
static void roll(rollouts *all, const chain_solution *solution)
{
    vec_env *env = create(&solution->config, ROLLING, 11);
    const vec_env_step_view *last = vec_env_last(env);
    static rolling episode[ROLLING];
    static int32_t action[ROLLING];
    test_rng rng = test_rng_seed(12);
    size_t least = 0;
    for (int i = 0; i < ROLLING; i++)
        episode[i].discount = 0;
    while (least < ROLLOUTS) {
        for (uint32_t i = 0; i < ROLLING; i++) {
            action[i] = solution->best[state_of(env, i)];
            if (episode[i].discount > 0)
                continue;
            action[i] = (int32_t)test_rng_below(&rng, 2);
            episode[i] = (rolling){ state_of(env, i), action[i], 1, 0 };
        }
        expect_ok(vec_env_step(env, action));
        for (uint32_t i = 0; i < ROLLING; i++) {
            episode[i].sum += episode[i].discount * (double)last->reward[i];
            episode[i].discount *= solution->gamma;
            if (!last->terminated[i])
                continue;
            keep(all, &episode[i]);
            episode[i].discount = 0;
        }
        least = ROLLOUTS;
        for (int k = 0; k < 10; k++)
            least = all->count[k / 2][k % 2] < least ? all->count[k / 2][k % 2] : least;
    }
    vec_env_destroy(&env);
}

static int ascending(const void *a, const void *b)
{
    const float *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

// Wasserstein distance: the area between both quantile functions. Sorts the sample.
static double distance(const chain_returns *returns, float *sample)
{
    qsort(sample, ROLLOUTS, sizeof *sample, ascending);
    size_t atom = 0;
    double area = 0, left = returns->atom[0].probability;
    for (size_t i = 0; i < ROLLOUTS; i++) {
        double rest = 1.0 / ROLLOUTS;
        while (rest > 0) {
            bool is_last = atom + 1 == returns->count;
            double part = is_last ? rest : fmin(rest, left);
            area += part * fabs((double)sample[i] - returns->atom[atom].value);
            rest -= part;
            left -= part;
            if (left <= 0 && !is_last)
                left = returns->atom[++atom].probability;
        }
    }
    return area;
}

static void rollouts_of_the_environment_agree(void **state)
{
    (void)state;
    chain_solution solution = solve(&defaults, gamma_of_tests);
    rollouts all = { 0 };
    expect_ok(gn_alloc(&all.returns, 5, sizeof *all.returns));
    roll(&all, &solution);
    for (uint32_t s = 0; s < 5; s++) {
        for (int32_t a = 0; a < CHAIN_ACTIONS; a++) {
            float *sample = all.returns[s][a];
            double sum = 0, squares = 0;
            for (size_t i = 0; i < ROLLOUTS; i++) {
                sum += (double)sample[i];
                squares += (double)sample[i] * (double)sample[i];
            }
            double mean = sum / ROLLOUTS;
            double error = sqrt((squares / ROLLOUTS - mean * mean) / ROLLOUTS);
            assert_true(fabs(mean - solution.q[s][a]) < 4.5 * error + 1e-7);
            chain_returns returns;
            expect_ok(chain_returns_create(&returns, &solution, s, a));
            assert_true(distance(&returns, sample) < 0.005);
            chain_returns_destroy(&returns);
        }
    }
    gn_free(&all.returns);
}

// --- the environment ---

static void observations_are_one_hot_and_dark_at_the_ends(void **state)
{
    (void)state;
    vec_env *env = create(&defaults, 1, 1);
    const uint32_t records[] = { 0, 4, 3, chain_goal(&defaults), chain_exit(&defaults) };
    float seen[5][5];
    vec_env_decode(env, (const unsigned char *)records, sizeof *records, 5, seen);
    for (int i = 0; i < 5; i++) {
        for (uint32_t s = 0; s < 5; s++)
            assert_true(seen[i][s] == (s == records[i]));
    }
    vec_env_destroy(&env);
}

static void episodes_start_in_every_state_and_are_truncated(void **state)
{
    (void)state;
    enum { COPIES = 5000 };
    chain_config config = { 5, 0, 0.5, 0, 3 };
    vec_env *env = create(&config, COPIES, 2);
    const vec_env_step_view *last = vec_env_last(env);
    static int32_t action[COPIES];
    static uint32_t start[COPIES];
    size_t seen[5] = { 0 };
    for (uint32_t i = 0; i < COPIES; i++)
        seen[start[i] = state_of(env, i)]++;
    for (int s = 0; s < 5; s++)
        assert_true(seen[s] > 850 && seen[s] < 1150); // 1000 +- 28 are expected
    for (int step = 1; step <= 3; step++) { // there and back again
        for (uint32_t i = 0; i < COPIES; i++)
            action[i] = start[i] == 4 ? step % 2 == 0 : step % 2;
        expect_ok(vec_env_step(env, action));
        for (uint32_t i = 0; i < COPIES; i++) {
            assert_int_equal(last->terminated[i], 0);
            assert_int_equal(last->truncated[i], step == 3);
        }
    }
    vec_env_destroy(&env);
}

static void bad_options_states_and_questions_are_refused(void **state)
{
    (void)state;
    const env_context context = { .copies = 1, .seed = 1, .purpose = GN_RANDOM_ENV };
    chain_config config = defaults;
    vec_env *none = NULL;
    config.states = 1;
    expect_fails(GN_ERR_CONFIG, "chain.states: 1 is not in 2 .. 64",
                 vec_env_create(&none, &chain_class, &config, &context));
    config = defaults;
    config.slip = 0.6;
    expect_fails(GN_ERR_CONFIG, "chain.slip: 0.6 is not in 0 .. 0.5",
                 vec_env_create(&none, &chain_class, &config, &context));
    chain_solution solution;
    expect_fails(GN_ERR_ARG, "chain: slip 0.6", chain_solve(&solution, &config, 0.9));
    expect_fails(GN_ERR_ARG, "chain: gamma 1 is not in", chain_solve(&solution, &defaults, 1));
    solution = solve(&defaults, 0.9);
    chain_returns returns;
    expect_fails(GN_ERR_ARG, "chain: state 5", chain_returns_create(&returns, &solution, 5, 0));
    expect_fails(GN_ERR_ARG, "action 2", chain_returns_create(&returns, &solution, 0, 2));
    assert_null(none);
}

static void bad_saved_states_are_refused(void **state)
{
    (void)state;
    chain_config config = defaults;
    config.noise = 0.25;
    vec_env *env = create(&defaults, 1, 1), *other = create(&config, 1, 1);
    gn_blob blob = { 0 };
    vec_env_save(env, &blob);
    gn_blob in = { .data = blob.data, .size = blob.size };
    expect_fails(GN_ERR_CONFIG, "chain.noise: 0.5 in the saved state, 0.25 here",
                 vec_env_load(other, &in));
    blob.data[blob.size - sizeof(gn_random) - 16] = 5; // of states 0 .. 4
    in = (gn_blob){ .data = blob.data, .size = blob.size };
    expect_fails(GN_ERR_CORRUPT, "the state of copy 0 is outside", vec_env_load(env, &in));
    gn_blob_free(&blob);
    vec_env_destroy(&env);
    vec_env_destroy(&other);
}

static void every_failing_allocation_is_survived(void **state)
{
    (void)state;
    chain_solution solution = solve(&defaults, 0.9);
    for (uint64_t n = 1;; n++) {
        uint64_t live = gn_mem_live();
        chain_returns returns = { 0 };
        gn_mem_fail_at(n);
        gn_status status = chain_returns_create(&returns, &solution, 2, CHAIN_FORTH);
        gn_mem_fail_at(0);
        if (status == GN_OK) {
            assert_true(n > 1);
            chain_returns_destroy(&returns);
            break;
        }
        assert_int_equal(status, GN_ERR_MEMORY);
        assert_int_equal(gn_mem_live(), live);
    }
}

TEST_MAIN(values_without_slips_are_powers_of_gamma,
          the_best_action_is_clear_in_every_state_and_both_are_best_somewhere,
          values_solve_the_equation_they_are_to_solve, a_mean_of_returns_is_the_value,
          rollouts_of_the_environment_agree, observations_are_one_hot_and_dark_at_the_ends,
          episodes_start_in_every_state_and_are_truncated,
          bad_options_states_and_questions_are_refused, bad_saved_states_are_refused,
          every_failing_allocation_is_survived)
