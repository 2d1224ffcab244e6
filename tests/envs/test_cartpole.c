// CartPole against trajectories of Gymnasium (tests/golden/make_cartpole.py prints them).

#include "envs/classic/cartpole.h"

#include <math.h>
#include <string.h>

#include "envs/vec_env.h"
#include "tests/support/check.h"

enum { MAX_STEPS = 500 };
enum policy { PUSH_RIGHT, ALTERNATE, BALANCE, DRIFT };

static const struct {
    struct {
        enum policy policy;
        int steps, fell;
    } run;
    double start[4], end[4];
} golden[] = {
    { { PUSH_RIGHT, 10, 1 },
      { 0.01, -0.02, 0.03, 0.04 },
      { 0.18148412486073115, 1.9330643896994748, -0.2235691808247548, -2.984082745435586 } },
    { { PUSH_RIGHT, 8, 1 },
      { -0.05, 0.05, -0.05, 0.05 },
      { 0.06770854699377184, 1.6184037339837762, -0.2166252745673109, -2.501727739366435 } },
    { { PUSH_RIGHT, 9, 1 },
      { 0.0, 0.0, 0.0, 0.0 },
      { 0.14065097203306187, 1.7603811257683097, -0.21518604988500967, -2.777886494012814 } },
    { { PUSH_RIGHT, 9, 1 },
      { 0.049, 0.01, -0.02, -0.03 },
      { 0.1916421682838394, 1.7722800494558297, -0.24533547591216404, -2.86834230329844 } },
    { { ALTERNATE, 23, 1 },
      { 0.01, -0.02, 0.03, 0.04 },
      { -0.046728051794050006, -0.24497380243993103, 0.21568942494271184, 1.012645098481112 } },
    { { ALTERNATE, 71, 1 },
      { -0.05, 0.05, -0.05, 0.05 },
      { -0.09520018537024272, -0.09674981477876293, -0.22548359843373525, -0.7420509847352659 } },
    { { ALTERNATE, 33, 1 },
      { 0.0, 0.0, 0.0, 0.0 },
      { -0.06798842646536493, -0.22704193111119805, 0.21752149891109665, 1.0187864542305172 } },
    { { ALTERNATE, 52, 1 },
      { 0.049, 0.01, -0.02, -0.03 },
      { -0.046964040586387146, -0.021823982716834195, 0.21041349369452247, 0.6862143821267274 } },
    { { BALANCE, 500, 0 },
      { 0.01, -0.02, 0.03, 0.04 },
      { 1.6119117190657086, -0.03150449160692065, -0.005645274096469355, 0.2937795983244779 } },
    { { BALANCE, 500, 0 },
      { -0.05, 0.05, -0.05, 0.05 },
      { -1.2826954880009678, -0.3245529248853931, -0.0001641077064416108, 0.2891627986462111 } },
    { { BALANCE, 500, 0 },
      { 0.0, 0.0, 0.0, 0.0 },
      { 1.2878513626270877e-06, -4.925446875247985e-06, -2.8399413549766613e-05,
        0.00010865431429457617 } },
    { { BALANCE, 500, 0 },
      { 0.049, 0.01, -0.02, -0.03 },
      { 0.1056478725454144, 0.008662620994092596, -0.0054742412379525, -0.0004923136033561648 } },
    { { DRIFT, 500, 0 },
      { 0.01, -0.02, 0.03, 0.04 },
      { 1.8665114207413127, -0.03343299532569277, -0.005714988268955214, 0.33632748839275656 } },
    { { DRIFT, 500, 0 },
      { -0.05, 0.05, -0.05, 0.05 },
      { -1.0353922804414168, 0.06343124296024416, 0.0002575666149494107, -0.2463512430226918 } },
    { { DRIFT, 500, 0 },
      { 0.0, 0.0, 0.0, 0.0 },
      { 0.2693592477600951, -0.002021109467998078, -0.004730955519675563, 0.044587914616077584 } },
    { { DRIFT, 500, 0 },
      { 0.049, 0.01, -0.02, -0.03 },
      { 0.3673388472498486, 0.006496003123436067, -0.001508539519058879, 0.0473051917014754 } },
};

static int32_t action_of(enum policy policy, int t, const double *state)
{
    switch (policy) {
    case PUSH_RIGHT:
        return 1;
    case ALTERNATE:
        return t % 2;
    case BALANCE:
        return state[2] + 0.5 * state[3] > 0;
    case DRIFT:
        return state[2] + 0.5 * state[3] > 0.02;
    }
    return 0;
}

static void follows_gymnasium_to_the_last_step(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        double now[4];
        memcpy(now, golden[i].start, sizeof now);
        int steps = 0, fell = 0;
        while (!fell && steps < MAX_STEPS) {
            fell = cartpole_dynamics(now, action_of(golden[i].run.policy, steps, now));
            steps++;
        }
        assert_int_equal(steps, golden[i].run.steps);
        assert_int_equal(fell, golden[i].run.fell);
        for (int k = 0; k < 4; k++)
            assert_true(now[k] == golden[i].end[k]);
    }
}

static vec_env *create(uint32_t copies, int64_t max_steps)
{
    const cartpole_config config = { .max_steps = max_steps };
    const env_context context = { .copies = copies, .seed = 1, .purpose = GN_RANDOM_ENV };
    vec_env *env;
    expect_ok(vec_env_create(&env, &cartpole_class, &config, &context));
    return env;
}

static void starts_close_to_upright_and_everywhere_there(void **state)
{
    (void)state;
    enum { COPIES = 2000 };
    vec_env *env = create(COPIES, 500);
    static float observation[COPIES][4];
    vec_env_observe(env, observation);
    for (int k = 0; k < 4; k++) {
        double least = 1, most = -1;
        for (int i = 0; i < COPIES; i++) {
            least = fmin(least, (double)observation[i][k]);
            most = fmax(most, (double)observation[i][k]);
        }
        assert_true(least >= -0.05 && least < -0.049 && most <= 0.05 && most > 0.049);
    }
    vec_env_destroy(&env);
}

static void every_step_earns_one_and_the_limit_truncates(void **state)
{
    (void)state;
    vec_env *env = create(1, 6);
    const vec_env_step_view *last = vec_env_last(env);
    for (int step = 1; step <= 6; step++) {
        expect_ok(vec_env_step(env, (int32_t[]){ 1 }));
        assert_true(last->reward[0] == 1 && !last->terminated[0]);
        assert_int_equal(last->truncated[0], step == 6);
    }
    vec_env_destroy(&env);

    env = create(1, 500);
    last = vec_env_last(env);
    while (!last->terminated[0]) {
        expect_ok(vec_env_step(env, (int32_t[]){ 1 }));
        assert_true(last->reward[0] == 1 && !last->truncated[0]);
    }
    assert_true(last->episode_return[0] == (double)last->episode_length[0]);
    vec_env_destroy(&env);
}

static void a_state_of_another_limit_is_refused(void **state)
{
    (void)state;
    vec_env *env = create(1, 500), *other = create(1, 200);
    gn_blob blob = { 0 };
    vec_env_save(env, &blob);
    gn_blob in = { .data = blob.data, .size = blob.size };
    expect_fails(GN_ERR_CONFIG, "cartpole.max_steps: 500 in the saved state, 200 here",
                 vec_env_load(other, &in));
    gn_blob_free(&blob);
    vec_env_destroy(&env);
    vec_env_destroy(&other);
}

TEST_MAIN(follows_gymnasium_to_the_last_step, starts_close_to_upright_and_everywhere_there,
          every_step_earns_one_and_the_limit_truncates, a_state_of_another_limit_is_refused)
