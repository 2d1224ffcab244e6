// The AR(1) market and its solution: signal and rewards of the environment, thresholds, what
// policies earn by the tables and in the environment, what is refused.

#include "envs/toy_market/ar1.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "envs/toy_market/ar1_solution.h"
#include "envs/vec_env.h"
#include "tests/support/check.h"

enum { P = AR1_POSITIONS, POINTS = 401 };

static const ar1_config defaults = { 0.9, 0.436, 1, 1.5, 256 };
static const double gamma_of_tests = 0.95;

typedef struct observation {
    float signal, position;
} observation;

static vec_env *create(const ar1_config *config, uint32_t copies, uint64_t seed)
{
    const env_context context = { .copies = copies, .seed = seed, .purpose = GN_RANDOM_ENV };
    vec_env *env;
    expect_ok(vec_env_create(&env, &ar1_class, config, &context));
    return env;
}

static ar1_solution *solve(const ar1_config *config, double gamma, size_t points)
{
    ar1_solution *solution;
    expect_ok(ar1_solution_create(&solution, config, gamma, points));
    return solution;
}

static ar1_solution *solve_fee(double fee)
{
    ar1_config config = defaults;
    config.fee = fee;
    return solve(&config, gamma_of_tests, POINTS);
}

static double reward_of(const ar1_solution *solution, const uint8_t *policy)
{
    double reward;
    expect_ok(ar1_policy_reward(solution, policy, &reward));
    return reward;
}

// --- the environment ---

static void a_reward_is_position_times_return_less_the_fee(void **state)
{
    (void)state;
    const ar1_config config = { .phi = 0.5, .sigma = 2, .noise = 0, .fee = 0.25, .length = 6 };
    static const int32_t actions[] = {
        AR1_LONG, AR1_LONG, AR1_SHORT, AR1_FLAT, AR1_FLAT, AR1_SHORT
    };
    static const double change[] = { 1, 0, 2, 1, 0, 1 };
    vec_env *env = create(&config, 1, 3);
    const vec_env_step_view *last = vec_env_last(env);
    for (int t = 0; t < 6; t++) {
        observation before, after;
        vec_env_observe(env, &before);
        expect_ok(vec_env_step(env, &actions[t]));
        memcpy(&after, t < 5 ? last->record : last->final_record, sizeof after);
        double exposure = actions[t] - 1;
        assert_true(fabs((double)last->reward[0] -
                         (exposure * (double)before.signal - 0.25 * change[t])) < 1e-6);
        assert_true((double)after.position == exposure);
        assert_int_equal(last->terminated[0], 0);
        assert_int_equal(last->truncated[0], t == 5);
    }
    observation fresh;
    vec_env_observe(env, &fresh);
    assert_true(fresh.position == 0);
    vec_env_destroy(&env);
}

// Moments of x_0, x_1 and of what a return adds to the signal, over many copies.
static void signal_and_noise_have_the_moments_of_the_options(void **state)
{
    (void)state;
    enum { COPIES = 200000 };
    vec_env *env = create(&defaults, COPIES, 4);
    observation *before, *after;
    int32_t *action;
    expect_ok(gn_alloc(&before, COPIES, sizeof *before));
    expect_ok(gn_alloc(&after, COPIES, sizeof *after));
    expect_ok(gn_alloc(&action, COPIES, sizeof *action));
    for (int i = 0; i < COPIES; i++)
        action[i] = AR1_LONG;
    vec_env_observe(env, before);
    expect_ok(vec_env_step(env, action));
    vec_env_observe(env, after);
    double mean = 0, square = 0, next = 0, both = 0, noise = 0, linked = 0;
    for (int i = 0; i < COPIES; i++) {
        double x = (double)before[i].signal, y = (double)after[i].signal;
        double u = (double)vec_env_last(env)->reward[i] + defaults.fee - x;
        mean += x / COPIES;
        square += x * x / COPIES;
        next += y * y / COPIES;
        both += x * y / COPIES;
        noise += u * u / COPIES;
        linked += u * (y - defaults.phi * x) / COPIES;
    }
    double variance = 0.436 * 0.436 / (1 - 0.81);
    double error = sqrt(2.0 / COPIES) * variance; // of a variance
    assert_true(fabs(mean) < 4.5 * sqrt(variance / COPIES));
    assert_true(fabs(square - variance) < 4.5 * error);
    assert_true(fabs(next - variance) < 4.5 * error);
    assert_true(fabs(both - 0.9 * variance) < 4.5 * error);
    assert_true(fabs(noise - 1) < 4.5 * sqrt(2.0 / COPIES));
    assert_true(fabs(linked) < 4.5 * 0.436 / sqrt(COPIES));
    gn_free(&before);
    gn_free(&after);
    gn_free(&action);
    vec_env_destroy(&env);
}

// --- the solution ---

static void rows_of_the_transition_lose_nothing_and_keep_the_variance(void **state)
{
    (void)state;
    ar1_solution *solution = solve(&defaults, 0, 101);
    for (size_t from = 20; from <= 80; from++) { // away from the edges
        double sum = 0, mean = 0, square = 0;
        for (size_t to = 0; to < 101; to++) {
            double mass = solution->transition[to * 101 + from];
            sum += mass;
            mean += mass * solution->x[to];
            square += mass * solution->x[to] * solution->x[to];
        }
        assert_true(fabs(sum - 1) < 1e-12);
        assert_true(fabs(mean - 0.9 * solution->x[from]) < 1e-6);
        assert_true(fabs(square - mean * mean - 0.436 * 0.436) < 1e-6);
    }
    ar1_solution_destroy(&solution);
    assert_null(solution);
}

// Without a future only the next reward counts.
static void without_discount_the_best_policy_is_the_myopic_one(void **state)
{
    (void)state;
    ar1_solution *solution = solve(&defaults, 0, POINTS);
    static uint8_t myopic[POINTS * P];
    ar1_policy_myopic(solution, myopic);
    assert_memory_equal(solution->best, myopic, sizeof myopic);
    const ar1_threshold *at = solution->threshold;
    assert_true(fabs(at[AR1_FLAT].to_long - 1.5) < 1e-6);
    assert_true(fabs(at[AR1_LONG].to_short + 1.5) < 1e-6);
    assert_true(fabs(at[AR1_SHORT].to_long - 1.5) < 1e-6);
    ar1_solution_destroy(&solution);
}

static void thresholds_are_symmetric(void **state)
{
    (void)state;
    ar1_solution *solution = solve_fee(1.5);
    const ar1_threshold *at = solution->threshold;
    for (int p = 0; p < P; p++)
        assert_true(fabs(at[p].to_long + at[P - 1 - p].to_short) < 1e-6);
    // Who is long stays so for longer than who is flat would buy.
    assert_true(at[AR1_LONG].to_long < -0.1 && at[AR1_FLAT].to_long > 0.1);
    assert_true(at[AR1_SHORT].to_long >= at[AR1_FLAT].to_long - 1e-9);
    for (size_t i = 0; i < POINTS; i++) {
        for (size_t p = 0; p < P; p++) {
            size_t action = solution->best[i * P + p];
            size_t mirrored = solution->best[(POINTS - 1 - i) * P + P - 1 - p];
            assert_int_equal(action, P - 1 - mirrored);
            // Thresholds say where the table changes.
            size_t expected = solution->x[i] < at[p].to_short  ? AR1_SHORT
                              : solution->x[i] > at[p].to_long ? AR1_LONG
                                                               : AR1_FLAT;
            assert_int_equal(action, expected);
        }
    }
    ar1_solution_destroy(&solution);
}

static void the_no_trade_band_widens_with_the_fee_and_vanishes_without(void **state)
{
    (void)state;
    static const double fees[] = { 0, 0.1, 0.5, 1, 1.5, 2, 3 };
    double width = -1;
    for (size_t f = 0; f < sizeof fees / sizeof *fees; f++) {
        ar1_solution *solution = solve_fee(fees[f]);
        const ar1_threshold *at = solution->threshold;
        double band = at[AR1_FLAT].to_long - at[AR1_FLAT].to_short;
        assert_true(band > width + (f == 0 ? 0 : 0.01));
        if (fees[f] == 0) {
            for (int p = 0; p < P; p++)
                assert_true(fabs(at[p].to_long) < 1e-6 && fabs(at[p].to_short) < 1e-6);
        }
        width = band;
        ar1_solution_destroy(&solution);
    }
}

// Twice the points change nothing that counts.
static void a_finer_grid_agrees(void **state)
{
    (void)state;
    ar1_solution *coarse = solve(&defaults, gamma_of_tests, 201);
    ar1_solution *fine = solve(&defaults, gamma_of_tests, POINTS);
    for (int p = 0; p < P; p++) {
        assert_true(fabs(coarse->threshold[p].to_long - fine->threshold[p].to_long) < 2e-3);
        assert_true(fabs(coarse->threshold[p].to_short - fine->threshold[p].to_short) < 2e-3);
    }
    double difference = reward_of(coarse, coarse->best) - reward_of(fine, fine->best);
    assert_true(fabs(difference) < 1e-3);
    for (int a = 0; a < P; a++) { // at signal 0
        double a_coarse = coarse->q[(100 * P + AR1_FLAT) * P + a];
        double a_fine = fine->q[(200 * P + AR1_FLAT) * P + a];
        assert_true(fabs(a_coarse - a_fine) < 1e-3 * fabs(a_fine));
    }
    ar1_solution_destroy(&coarse);
    ar1_solution_destroy(&fine);
}

// --- policies ---

static void fill(uint8_t *policy, const ar1_solution *solution, int (*of)(double x))
{
    for (size_t i = 0; i < solution->points * P; i++)
        policy[i] = (uint8_t)of(solution->x[i / P]);
}

static int never(double x)
{
    (void)x;
    return AR1_FLAT;
}

static int sign(double x)
{
    return x < 0 ? AR1_SHORT : x > 0 ? AR1_LONG : AR1_FLAT;
}

static void the_best_policy_earns_clearly_more_than_simple_ones(void **state)
{
    (void)state;
    ar1_solution *solution = solve(&defaults, gamma_of_tests, POINTS);
    static uint8_t policy[POINTS * P];
    double best = reward_of(solution, solution->best);
    assert_true(best > 0.5);
    ar1_policy_myopic(solution, policy);
    assert_true(reward_of(solution, policy) < 0.8 * best);
    fill(policy, solution, sign);
    assert_true(reward_of(solution, policy) < 0.8 * best);
    fill(policy, solution, never);
    assert_true(reward_of(solution, policy) == 0);
    ar1_solution_destroy(&solution);
}

// Without a fee: the mean of |x|. A circle short, flat, long, short pays 4 fees in 3 steps.
static void rewards_that_are_known_come_out(void **state)
{
    (void)state;
    ar1_solution *solution = solve_fee(0);
    double expected = ar1_deviation(&solution->config) * sqrt(2 / 3.14159265358979323846);
    assert_true(fabs(reward_of(solution, solution->best) - expected) < 1e-3);
    ar1_solution_destroy(&solution);

    solution = solve_fee(1.5);
    static uint8_t circle[POINTS * P];
    for (size_t i = 0; i < sizeof circle; i++)
        circle[i] = (uint8_t)((i % P + 1) % P);
    assert_true(fabs(reward_of(solution, circle) + 1.5 * 4 / 3) < 1e-6);
    ar1_solution_destroy(&solution);
}

static size_t nearest(const ar1_solution *solution, double x)
{
    double spacing = solution->x[1] - solution->x[0];
    double place = round((x - solution->x[0]) / spacing);
    return (size_t)fmin(fmax(place, 0), (double)solution->points - 1);
}

// Mean return of whole episodes that follow a table, and its standard error.
static double play(const ar1_solution *solution, const uint8_t *policy, double *ret_error)
{
    enum { COPIES = 20000 };
    vec_env *env = create(&solution->config, COPIES, 5);
    static observation seen[COPIES];
    static int32_t action[COPIES];
    for (int64_t t = 0; t < solution->config.length; t++) {
        vec_env_observe(env, seen);
        for (uint32_t i = 0; i < COPIES; i++) {
            size_t position = (size_t)(seen[i].position + 1);
            action[i] = policy[nearest(solution, (double)seen[i].signal) * P + position];
        }
        expect_ok(vec_env_step(env, action));
    }
    double sum = 0, squares = 0;
    for (uint32_t i = 0; i < COPIES; i++) {
        double r = vec_env_last(env)->episode_return[i];
        sum += r / COPIES;
        squares += r * r / COPIES;
    }
    vec_env_destroy(&env);
    *ret_error = sqrt((squares - sum * sum) / COPIES);
    return sum;
}

static void expect_played(const ar1_solution *solution, const uint8_t *policy)
{
    double expected, error, played = play(solution, policy, &error);
    expect_ok(ar1_policy_return(solution, policy, &expected));
    assert_true(fabs(played - expected) < 4.5 * error + 2e-3 * fabs(expected));
    // In the long run: all but the way in, which costs a few fees at most.
    double steps = (double)solution->config.length;
    assert_true(fabs(expected / steps - reward_of(solution, policy)) <
                3 * solution->config.fee / steps);
}

static void the_environment_pays_what_the_tables_say(void **state)
{
    (void)state;
    ar1_solution *solution = solve(&defaults, gamma_of_tests, POINTS);
    static uint8_t policy[POINTS * P];
    expect_played(solution, solution->best);
    ar1_policy_myopic(solution, policy);
    expect_played(solution, policy);
    fill(policy, solution, sign);
    expect_played(solution, policy);
    ar1_solution_destroy(&solution);
}

// --- what is refused ---

static void bad_options_and_questions_are_refused(void **state)
{
    (void)state;
    const env_context context = { .copies = 1, .seed = 1, .purpose = GN_RANDOM_ENV };
    ar1_config config = defaults;
    vec_env *none = NULL;
    ar1_solution *solution = NULL;
    config.phi = 1;
    expect_fails(GN_ERR_CONFIG, "ar1.phi: 1 is not in 0 .. 0.99",
                 vec_env_create(&none, &ar1_class, &config, &context));
    expect_fails(GN_ERR_ARG, "ar1.phi: 1 is not in 0 .. 0.99",
                 ar1_solution_create(&solution, &config, 0.9, POINTS));
    config = defaults;
    config.fee = -1;
    expect_fails(GN_ERR_CONFIG, "ar1.fee: -1 is not in 0 .. 1000",
                 vec_env_create(&none, &ar1_class, &config, &context));
    expect_fails(GN_ERR_ARG, "gamma 1 is not in",
                 ar1_solution_create(&solution, &defaults, 1, POINTS));
    expect_fails(GN_ERR_ARG, "400 points are not an odd number",
                 ar1_solution_create(&solution, &defaults, 0.9, 400));
    expect_fails(GN_ERR_ARG, "11 points lie", ar1_solution_create(&solution, &defaults, 0.9, 11));
    assert_null(solution);
    assert_null(none);

    solution = solve(&defaults, 0, 101);
    uint8_t policy[101 * P] = { [7] = P };
    double reward;
    expect_fails(GN_ERR_ARG, "3 in a policy is not an action",
                 ar1_policy_reward(solution, policy, &reward));
    ar1_solution_destroy(&solution);
}

static void bad_saved_states_are_refused(void **state)
{
    (void)state;
    ar1_config config = defaults;
    config.fee = 2;
    vec_env *env = create(&defaults, 1, 1), *other = create(&config, 1, 1);
    gn_blob blob = { 0 };
    vec_env_save(env, &blob);
    gn_blob in = { .data = blob.data, .size = blob.size };
    expect_fails(GN_ERR_CONFIG, "ar1.fee: 1.5 in the saved state, 2 here",
                 vec_env_load(other, &in));
    blob.data[blob.size - sizeof(gn_random) - 16] = 3; // position
    in = (gn_blob){ .data = blob.data, .size = blob.size };
    expect_fails(GN_ERR_CORRUPT, "of copy 0 is none", vec_env_load(env, &in));
    gn_blob_free(&blob);
    vec_env_destroy(&env);
    vec_env_destroy(&other);
}

static void every_failing_allocation_is_survived(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        uint64_t live = gn_mem_live();
        ar1_solution *solution = NULL;
        gn_mem_fail_at(n);
        gn_status status = ar1_solution_create(&solution, &defaults, 0.5, 101);
        gn_mem_fail_at(0);
        if (status == GN_OK) {
            assert_true(n > 4);
            ar1_solution_destroy(&solution);
            break;
        }
        assert_int_equal(status, GN_ERR_MEMORY);
        assert_null(solution);
        assert_int_equal(gn_mem_live(), live);
    }
}

TEST_MAIN(a_reward_is_position_times_return_less_the_fee,
          signal_and_noise_have_the_moments_of_the_options,
          rows_of_the_transition_lose_nothing_and_keep_the_variance,
          without_discount_the_best_policy_is_the_myopic_one, thresholds_are_symmetric,
          the_no_trade_band_widens_with_the_fee_and_vanishes_without, a_finer_grid_agrees,
          the_best_policy_earns_clearly_more_than_simple_ones, rewards_that_are_known_come_out,
          the_environment_pays_what_the_tables_say, bad_options_and_questions_are_refused,
          bad_saved_states_are_refused, every_failing_allocation_is_survived)
