// What the tests of the classic control problems share: Gymnasium's trajectories, an environment
// with this limit of steps, limits, options and states that are refused.

#ifndef TESTS_ENVS_CLASSIC_CHECKS_H
#define TESTS_ENVS_CLASSIC_CHECKS_H

#include <math.h>
#include <string.h>

#include "envs/vec_env.h"
#include "tests/envs/trajectory.h"
#include "tests/support/check.h"

// Whether this libm rounds as the one that Gymnasium ran on: glibc has other last bits on a
// processor without FMA, one in a thousand.
static inline bool classic_same_libm(void)
{
    volatile double at[] = { 0x1.74448bcf01a2cp+1, 0x1.75e651f9ee9bap+1, 0x1.3017b71d42c4p-4, 2 };
    return cos(at[0]) == -0x1.f22296d1ac5d7p-1 && sin(at[1]) == 0x1.bfefab2b83817p-3 &&
           pow(at[2], at[3]) == 0x1.69385517e8ce5p-8;
}

static inline void classic_same_numbers(const double *ours, const double *theirs, uint32_t count,
                                        double tolerance)
{
    for (uint32_t i = 0; i < count; i++)
        assert_true(fabs(ours[i] - theirs[i]) <= tolerance);
}

// Every step of whole trajectories: bit for bit, or within 1e-9 where libm is another.
static inline void classic_follows_gymnasium(const classic_kind *kind, const char *path)
{
    double state[CLASSIC_STATE] = { 0 }, tolerance = classic_same_libm() ? 0 : 1e-9;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    trajectory_line theirs;
    int steps = 0, starts = 0, ends = 0;
    while (trajectory_read(file, kind, &theirs)) {
        trajectory_line ours = theirs;
        trajectory_step(kind, state, &ours);
        classic_same_numbers(ours.state, theirs.state, kind->state, tolerance);
        classic_same_numbers(ours.observation, theirs.observation, kind->observation,
                             tolerance * 100);
        assert_true(ours.reward == theirs.reward);
        assert_int_equal(ours.terminated, theirs.terminated);
        starts += ours.is_start;
        steps += !ours.is_start;
        ends += ours.terminated;
    }
    fclose(file);
    assert_true(starts >= 5 && steps > 200 && ends >= 2);
}

static inline vec_env *classic_create_env(const env_class *class, uint32_t copies,
                                          int64_t max_steps)
{
    const classic_config config = { .max_steps = max_steps };
    const env_context context = { .copies = copies, .seed = 1, .purpose = GN_RANDOM_ENV };
    vec_env *env;
    expect_ok(vec_env_create(&env, class, &config, &context));
    return env;
}

// An agent that does nothing gets nowhere: -1 a step, and the limit truncates.
static inline void classic_limit_truncates(const env_class *class)
{
    vec_env *env = classic_create_env(class, 1, 6);
    const vec_env_step_view *last = vec_env_last(env);
    for (int step = 1; step <= 12; step++) {
        expect_ok(vec_env_step(env, (int32_t[]){ 1 }));
        assert_true(last->reward[0] == -1 && !last->terminated[0]);
        assert_int_equal(last->truncated[0], step % 6 == 0);
    }
    assert_true(last->episode_return[0] == -6);
    vec_env_destroy(&env);
}

static inline void classic_refuses(const env_class *class)
{
    const env_context context = { .copies = 1, .seed = 1, .purpose = GN_RANDOM_ENV };
    char text[128];
    vec_env *none = NULL;
    snprintf(text, sizeof text, "%s.max_steps: 0 is not in 1 .. 1e+09", class->name);
    expect_fails(GN_ERR_CONFIG, text,
                 vec_env_create(&none, class, &(classic_config){ .max_steps = 0 }, &context));
    assert_null(none);

    vec_env *env = classic_create_env(class, 1, 100), *other = classic_create_env(class, 1, 200);
    gn_blob blob = { 0 };
    vec_env_save(env, &blob);
    gn_blob in = { .data = blob.data, .size = blob.size };
    snprintf(text, sizeof text, "%s.max_steps: 100 in the saved state, 200 here", class->name);
    expect_fails(GN_ERR_CONFIG, text, vec_env_load(other, &in));
    // The first number of the state, which lies at the end: 4 doubles, steps, stream.
    const double far = 1e300;
    memcpy(blob.data + blob.size - 5 * 8 - sizeof(gn_random), &far, sizeof far);
    in = (gn_blob){ .data = blob.data, .size = blob.size };
    expect_fails(GN_ERR_CORRUPT, "1e+300 in the state of copy 0 is out of reach",
                 vec_env_load(env, &in));
    gn_blob_free(&blob);
    vec_env_destroy(&env);
    vec_env_destroy(&other);
}

#endif
