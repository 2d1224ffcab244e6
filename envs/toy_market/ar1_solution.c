// Value iteration and the march of probabilities, both over one transition matrix.

#include "envs/toy_market/ar1_solution.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

enum { P = AR1_POSITIONS };
static const double reach = 6; // standard deviations

static double exposure_of(size_t position)
{
    return (double)position - AR1_FLAT;
}

static double fee_of(const ar1_solution *solution, size_t from, size_t to)
{
    return solution->config.fee * fabs(exposure_of(from) - exposure_of(to));
}

static double normal_below(double z)
{
    return 0.5 * erfc(-z * 0.70710678118654752440);
}

// Rounding to a cell adds spacing^2 / 12 to the variance of a step, so that much is taken off first
// (Sheppard's correction): the signal keeps its variance.
static void fill_transition(ar1_solution *solution)
{
    const ar1_config *config = &solution->config;
    size_t n = solution->points;
    double spacing = solution->x[1] - solution->x[0];
    double sigma = sqrt(config->sigma * config->sigma - spacing * spacing / 12);
    for (size_t from = 0; from < n; from++) {
        double mean = config->phi * solution->x[from], below = 0;
        for (size_t to = 0; to < n; to++) {
            double upper = (solution->x[to] + spacing / 2 - mean) / sigma;
            double up_to = to == n - 1 ? 1 : normal_below(upper);
            solution->transition[to * n + from] = up_to - below;
            below = up_to;
        }
    }
}

// Expectation of a function of the next signal, for each signal now.
// Shapes: value, ret_expected: [AR1_POSITIONS, points].
static void expect(const ar1_solution *solution, const double *value, double *ret_expected)
{
    size_t n = solution->points;
    memset(ret_expected, 0, P * n * sizeof *ret_expected);
    for (size_t to = 0; to < n; to++) {
        const double *row = solution->transition + to * n;
        for (size_t p = 0; p < P; p++) {
            double *out = ret_expected + p * n, factor = value[p * n + to];
            for (size_t from = 0; from < n; from++)
                out[from] += row[from] * factor;
        }
    }
}

static uint8_t best_action(const double *q, size_t position)
{
    size_t best = position;
    for (size_t a = 0; a < P; a++) {
        if (q[a] > q[best])
            best = a;
    }
    return (uint8_t)best;
}

// One sweep; returns the largest change of a value.
static double improve(ar1_solution *solution, double *value, double *expected)
{
    size_t n = solution->points;
    double change = 0;
    expect(solution, value, expected);
    for (size_t i = 0; i < n; i++) {
        for (size_t p = 0; p < P; p++) {
            double *q = solution->q + (i * P + p) * P;
            for (size_t a = 0; a < P; a++)
                q[a] = exposure_of(a) * solution->x[i] - fee_of(solution, p, a) +
                       solution->gamma * expected[a * n + i];
            uint8_t best = best_action(q, p);
            solution->best[i * P + p] = best;
            change = fmax(change, fabs(q[best] - value[p * n + i]));
            value[p * n + i] = q[best];
        }
    }
    return change;
}

// What is wrong after a sweep is at most gamma / (1 - gamma) times its change. Changes are asked to
// fall to some hundred times the rounding of the values, and get there.
static gn_status iterate_values(ar1_solution *solution)
{
    size_t n = solution->points;
    double scale = reach * ar1_deviation(&solution->config) + solution->config.fee;
    double enough = 1e-14 * scale / (1 - solution->gamma);
    double *value;
    GN_TRY(gn_alloc(&value, 2 * P * n, sizeof *value)); // and expectations behind them
    while (improve(solution, value, value + P * n) > enough)
        continue;
    gn_free(&value);
    return GN_OK;
}

// Where an action stops being the best on the way from point `with`, where it is, to its neighbour
// `without`. Against each other action on its own, as only those differences are smooth.
static double crossing(const ar1_solution *solution, size_t with, size_t without, size_t position,
                       size_t action)
{
    const double *q = solution->q + (with * P + position) * P;
    const double *next = solution->q + (without * P + position) * P;
    double share = 1;
    for (size_t other = 0; other < P; other++) {
        double lead = q[action] - q[other], then = next[action] - next[other];
        if (other != action && then < lead)
            share = fmin(share, lead / (lead - then));
    }
    return solution->x[with] + share * (solution->x[without] - solution->x[with]);
}

static ar1_threshold find_threshold(const ar1_solution *solution, size_t position)
{
    ar1_threshold found = { -INFINITY, INFINITY };
    size_t n = solution->points;
    for (size_t i = 0; i + 1 < n; i++) {
        size_t here = solution->best[i * P + position];
        size_t next = solution->best[(i + 1) * P + position];
        if (here == AR1_SHORT && next != AR1_SHORT)
            found.to_short = crossing(solution, i, i + 1, position, AR1_SHORT);
        if (here != AR1_LONG && next == AR1_LONG)
            found.to_long = crossing(solution, i + 1, i, position, AR1_LONG);
    }
    return found;
}

// The ranges of the option table, also for a struct filled by hand.
static gn_status check_options(const ar1_config *config)
{
    for (const gn_option *option = ar1_options; option->type == GN_OPTION_TYPE_REAL; option++) {
        double value = *(const double *)((const char *)config + option->offset);
        if (!(value >= option->min && value <= option->max))
            return gn_fail(GN_ERR_ARG, "ar1.%s: %g is not in %g .. %g", option->key, value,
                           option->min, option->max);
    }
    return GN_OK;
}

static gn_status check_request(const ar1_config *config, double gamma, size_t points)
{
    GN_TRY(check_options(config));
    if (!(gamma >= 0 && gamma <= 0.999))
        return gn_fail(GN_ERR_ARG, "ar1: gamma %g is not in 0 .. 0.999", gamma);
    if (points < 11 || points > 4001 || points % 2 == 0)
        return gn_fail(GN_ERR_ARG, "ar1: %zu points are not an odd number in 11 .. 4001", points);
    double spacing = 2 * reach * ar1_deviation(config) / (double)(points - 1);
    if (spacing > config->sigma)
        return gn_fail(GN_ERR_ARG, "ar1: %zu points lie %g apart, more than sigma %g", points,
                       spacing, config->sigma);
    return GN_OK;
}

static gn_status allocate(ar1_solution *solution)
{
    size_t n = solution->points;
    GN_TRY(gn_alloc(&solution->x, n, sizeof *solution->x));
    GN_TRY(gn_alloc(&solution->q, n * P * P, sizeof *solution->q));
    GN_TRY(gn_alloc(&solution->best, n * P, sizeof *solution->best));
    return gn_alloc(&solution->transition, n * n, sizeof *solution->transition);
}

static gn_status solve(ar1_solution *solution)
{
    GN_TRY(allocate(solution));
    double half = (double)(solution->points - 1) / 2;
    double spacing = reach * ar1_deviation(&solution->config) / half;
    for (size_t i = 0; i < solution->points; i++)
        solution->x[i] = ((double)i - half) * spacing;
    fill_transition(solution);
    GN_TRY(iterate_values(solution));
    for (size_t p = 0; p < P; p++)
        solution->threshold[p] = find_threshold(solution, p);
    return GN_OK;
}

gn_status ar1_solution_create(ar1_solution **ret_solution, const ar1_config *config, double gamma,
                              size_t points)
{
    GN_TRY(check_request(config, gamma, points));
    ar1_solution *solution;
    GN_TRY(gn_alloc(&solution, 1, sizeof *solution));
    solution->config = *config;
    solution->gamma = gamma;
    solution->points = points;
    gn_status status = solve(solution);
    if (status != GN_OK) {
        ar1_solution_destroy(&solution);
        return status;
    }
    *ret_solution = solution;
    return GN_OK;
}

void ar1_solution_destroy(ar1_solution **solution)
{
    if (!*solution)
        return;
    gn_free(&(*solution)->x);
    gn_free(&(*solution)->q);
    gn_free(&(*solution)->best);
    gn_free(&(*solution)->transition);
    gn_free(solution);
}

void ar1_policy_myopic(const ar1_solution *solution, uint8_t *ret_policy)
{
    for (size_t i = 0; i < solution->points; i++) {
        for (size_t p = 0; p < P; p++) {
            double reward[P];
            for (size_t a = 0; a < P; a++)
                reward[a] = exposure_of(a) * solution->x[i] - fee_of(solution, p, a);
            ret_policy[i * P + p] = best_action(reward, p);
        }
    }
}

// --- what a policy earns ---

// Probabilities of signal and position, and where a step takes them.  Shapes: [AR1_POSITIONS,
// points].
typedef struct march {
    const ar1_solution *solution;
    const uint8_t *policy;
    double *now, *acted, *next;
} march;

// One step of the policy; returns the expected reward of it.
static double march_step(const march *m)
{
    const ar1_solution *solution = m->solution;
    size_t n = solution->points;
    double reward = 0;
    memset(m->acted, 0, P * n * sizeof *m->acted);
    for (size_t p = 0; p < P; p++) {
        for (size_t i = 0; i < n; i++) {
            size_t to = m->policy[i * P + p];
            double mass = m->now[p * n + i];
            m->acted[to * n + i] += mass;
            reward += mass * (exposure_of(to) * solution->x[i] - fee_of(solution, p, to));
        }
    }
    for (size_t to = 0; to < n; to++) {
        const double *row = solution->transition + to * n;
        double arrived[P] = { 0 };
        for (size_t i = 0; i < n; i++) {
            for (size_t p = 0; p < P; p++)
                arrived[p] += row[i] * m->acted[p * n + i];
        }
        for (size_t p = 0; p < P; p++)
            m->next[p * n + to] = arrived[p];
    }
    return reward;
}

// No position, and the signal in its stationary distribution.
static void march_start(const march *m)
{
    const ar1_solution *solution = m->solution;
    size_t n = solution->points;
    double deviation = ar1_deviation(&solution->config);
    double spacing = solution->x[1] - solution->x[0], below = 0;
    for (size_t i = 0; i < n; i++) {
        double upper = (solution->x[i] + spacing / 2) / deviation;
        double up_to = i == n - 1 ? 1 : normal_below(upper);
        m->now[AR1_FLAT * n + i] = up_to - below;
        below = up_to;
    }
}

static gn_status march_open(march *ret_march, const ar1_solution *solution, const uint8_t *policy)
{
    size_t n = solution->points;
    for (size_t i = 0; i < n * P; i++) {
        if (policy[i] >= P)
            return gn_fail(GN_ERR_ARG, "ar1: %u in a policy is not an action", policy[i]);
    }
    double *block;
    GN_TRY(gn_alloc(&block, 3 * P * n, sizeof *block));
    *ret_march = (march){ solution, policy, block, block + P * n, block + 2 * P * n };
    march_start(ret_march);
    return GN_OK;
}

static void march_close(march *m)
{
    gn_free(&m->now);
}

gn_status ar1_policy_return(const ar1_solution *solution, const uint8_t *policy, double *ret_return)
{
    march m;
    GN_TRY(march_open(&m, solution, policy));
    double total = 0;
    for (int64_t step = 0; step < solution->config.length; step++) {
        total += march_step(&m);
        memcpy(m.now, m.next, P * solution->points * sizeof *m.now);
    }
    march_close(&m);
    *ret_return = total;
    return GN_OK;
}

// Each step is taken or not, with even odds: the same long run, and policies that go in circles
// settle too.
gn_status ar1_policy_reward(const ar1_solution *solution, const uint8_t *policy, double *ret_reward)
{
    enum { STEPS_MAX = 200000 };
    march m;
    GN_TRY(march_open(&m, solution, policy));
    double moved = 1, reward = 0;
    for (int step = 0; step < STEPS_MAX && moved > 1e-12; step++) {
        reward = march_step(&m);
        moved = 0;
        for (size_t i = 0; i < P * solution->points; i++) {
            double mean = 0.5 * (m.now[i] + m.next[i]);
            moved += fabs(mean - m.now[i]);
            m.now[i] = mean;
        }
    }
    march_close(&m);
    if (moved > 1e-12)
        return gn_fail(GN_ERR_ARG, "ar1: the policy does not settle in %d steps", STEPS_MAX);
    *ret_reward = reward;
    return GN_OK;
}
