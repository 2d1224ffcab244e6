// The actor on chains of five states: schedules, the shares of random, greedy and drawn actions,
// noise, risk, and what is saved.

#include "rl/actor.h"

#include <math.h>
#include <stdlib.h>

#include "rl/choice.h"
#include "tests/rl/small_learner.h"

// The chain with all copies in state 0; an observation does not change.
typedef struct stage {
    bench b;
    rl_actor *actor;
} stage;

static stage stage_open(const char *const *flag)
{
    stage self = { .b = bench_open(&chain_class, flag) };
    expect_ok(rl_actor_create(&self.actor, self.b.config, self.b.env, self.b.learner));
    return self;
}

#define STAGE_OPEN(...) \
    stage_open((const char *const[]){ "run.env", "cartpole", "network.hidden", "16", \
                                      "replay.capacity", "1000", __VA_ARGS__, NULL })

static void stage_close(stage *self)
{
    rl_actor_destroy(&self->actor);
    bench_close(&self->b);
}

static int32_t choose(stage *self, double progress)
{
    int32_t action = -1;
    expect_ok(rl_actor_choose(self->actor, progress, &action));
    assert_true(action == LEFT || action == RIGHT);
    return action;
}

static int32_t greedy(stage *self)
{
    const float observation[STATES] = { 1 };
    int32_t action = -1;
    expect_ok(rl_learner_greedy(self->b.learner, observation, &action));
    return action;
}

static void epsilon_follows_its_schedule(void **state)
{
    (void)state;
    rl_agent_config agent = { .epsilon_start = 1, .epsilon_end = 0.01, .epsilon_fraction = 0.5 };
    assert_true(rl_actor_epsilon(&agent, 0) == 1);
    assert_float_equal(rl_actor_epsilon(&agent, 0.25), 0.505, 1e-12);
    assert_true(rl_actor_epsilon(&agent, 0.5) == 0.01 && rl_actor_epsilon(&agent, 2) == 0.01);
    agent.epsilon_schedule = RL_EPSILON_EXPONENTIAL;
    assert_true(rl_actor_epsilon(&agent, 0) == 1);
    assert_float_equal(rl_actor_epsilon(&agent, 0.25), 0.1, 1e-12);
    assert_true(rl_actor_epsilon(&agent, 0.5) == 0.01);
    agent.epsilon_fraction = 0;
    assert_true(rl_actor_epsilon(&agent, 0) == 0.01);
}

// A random action is the greedy one half the time.
static void the_share_of_random_actions_is_epsilon(void **state)
{
    (void)state;
    enum { STEPS = 20000 };
    static const double epsilons[] = { 0, 0.3, 1 };
    static const char *const texts[] = { "0", "0.3", "1" };
    for (int i = 0; i < 3; i++) {
        stage self = STAGE_OPEN("agent.epsilon_start", texts[i], "agent.epsilon_end", texts[i]);
        int32_t best = greedy(&self);
        double other = 0, expected = STEPS * epsilons[i] / 2;
        for (int step = 0; step < STEPS; step++)
            other += choose(&self, 0) != best;
        assert_true(fabs(other - expected) <= 5 * sqrt(expected));
        stage_close(&self);
    }
}

static void a_softmax_draws_by_the_values(void **state)
{
    (void)state;
    enum { STEPS = 20000 };
    stage self = STAGE_OPEN("agent.epsilon_start", "0", "agent.epsilon_end", "0",
                            "agent.exploration", "softmax", "agent.temperature", "0.1");
    const float observation[STATES] = { 1 };
    float value[2];
    expect_ok(rl_learner_values(self.b.learner, rl_learner_parameters(self.b.learner), observation,
                                value));
    double right = 1 / (1 + exp((value[LEFT] - value[RIGHT]) / 0.1)), taken = 0;
    assert_true(right > 0.02 && right < 0.98);
    for (int step = 0; step < STEPS; step++)
        taken += choose(&self, 0) == RIGHT;
    assert_true(fabs(taken - STEPS * right) < 5 * sqrt(STEPS * right * (1 - right)));
    stage_close(&self);
}

// Noise of a deviation far above the weights makes both actions the best now and then; the greedy
// policy has none.
static void noise_is_drawn_for_every_step(void **state)
{
    (void)state;
    stage self = STAGE_OPEN("agent.noisy", "true", "network.noise_scale", "20",
                            "agent.epsilon_start", "0", "agent.epsilon_end", "0");
    int right = 0, changes = 0;
    int32_t before = -1, best = greedy(&self);
    for (int step = 0; step < 200; step++) {
        int32_t action = choose(&self, 0);
        right += action == RIGHT;
        changes += step > 0 && action != before;
        before = action;
    }
    assert_true(right > 20 && right < 180 && changes > 20);
    assert_int_equal(greedy(&self), best);
    stage_close(&self);
}

static void a_loaded_actor_goes_on_with_the_same_actions(void **state)
{
    (void)state;
    const char *const flag[] = { "run.env",
                                 "cartpole",
                                 "network.hidden",
                                 "16",
                                 "agent.noisy",
                                 "true",
                                 "agent.epsilon_start",
                                 "0.5",
                                 "agent.exploration",
                                 "softmax",
                                 "network.noise_scale",
                                 "5",
                                 "replay.capacity",
                                 "1000",
                                 NULL };
    stage a = stage_open(flag), b = stage_open(flag);
    gn_blob saved = { 0 };
    for (int step = 0; step < 77; step++)
        choose(&a, 0);
    rl_actor_save(a.actor, &saved);
    expect_ok(gn_blob_status(&saved));
    expect_ok(rl_actor_load(b.actor, &saved));
    int right = 0;
    for (int step = 0; step < 100; step++) {
        int32_t action = choose(&a, 0);
        assert_int_equal(choose(&b, 0), action);
        right += action == RIGHT;
    }
    assert_true(right > 5 && right < 95);
    gn_blob_free(&saved);
    stage_close(&a), stage_close(&b);
}

// --- risk

// Teaches two actions: a sure 0.3, and 1 or 0 with equal chances (mean 0.5).
static void teach(bench *b)
{
    for (int i = 0; i < 40; i++) {
        add_step(b, 0, LEFT, 0.3f, true, 1);
        add_step(b, 0, RIGHT, i % 2 ? 1 : 0, true, 1);
    }
    learn(b, 1500);
}

#define RISK_STAGE(head, risk, level, aversion) \
    STAGE_OPEN("head.kind", head, "agent.risk", risk, "agent.risk_level", level, \
               "agent.risk_aversion", aversion, "head.v_min", "-1", "head.v_max", "2", \
               "optimizer.learning_rate", "0.002", "train.batch", "64", "agent.epsilon_start", \
               "0", "agent.epsilon_end", "0", "head.kappa", "0.1", "head.quantiles", "8", \
               "head.target_quantiles", "8")

static void risk_decides_between_mean_and_safety(void **state)
{
    (void)state;
    static const struct {
        const char *risk, *level, *aversion;
        int32_t best;
    } cases[] = {
        { "mean", "0.25", "1", RIGHT }, // 0.5 against 0.3
        { "cvar", "0.25", "1", LEFT }, // 0 against 0.3
        { "cvar", "1", "1", RIGHT }, // the mean again
        { "mean-variance", "0.25", "1", LEFT }, // 0.5 - 0.25 against 0.3
        { "mean-variance", "0.25", "0.1", RIGHT },
    };
    static const char *const heads[] = { "quantile", "categorical", "implicit-quantile",
                                         "gaussian-mixture" };
    for (int h = 0; h < 4; h++) {
        stage taught = RISK_STAGE(heads[h], "mean", "1", "1");
        size_t size = rl_learner_layout(taught.b.learner)->size * sizeof(float);
        teach(&taught.b);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            stage self = RISK_STAGE(heads[h], cases[i].risk, cases[i].level, cases[i].aversion);
            memcpy(rl_learner_parameters(self.b.learner), rl_learner_parameters(taught.b.learner),
                   size);
            if (choose(&self, 0) != cases[i].best || greedy(&self) != cases[i].best)
                fail_msg("%s, %s: not action %d", heads[h], cases[i].risk, cases[i].best);
            stage_close(&self);
        }
        stage_close(&taught);
    }
}

// The mean of the quantiles of the worst share, however small that is.
static void implicit_quantiles_look_at_the_worst_share_alone(void **state)
{
    (void)state;
    enum { QUANTILES = 32 };
    static const char *const levels[] = { "0.001", "0.1", "0.77", "1" };
    const float observation[STATES] = { 0, 1 };
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        stage self = RISK_STAGE("implicit-quantile", "cvar", levels[i], "1");
        const float *parameter = rl_learner_parameters(self.b.learner);
        float fraction[QUANTILES], out[2 * QUANTILES], value[2];
        for (int k = 0; k < QUANTILES; k++)
            fraction[k] = (float)(atof(levels[i]) * (k + 0.5) / QUANTILES);
        nn_net *net;
        expect_ok(nn_net_create(&net, rl_learner_layout(self.b.learner), 1, QUANTILES));
        expect_ok(nn_net_forward(net, parameter, observation, 1,
                                 (nn_fractions){ fraction, QUANTILES }, out));
        expect_ok(rl_learner_values(self.b.learner, parameter, observation, value));
        for (int action = 0; action < 2; action++) {
            double sum = 0;
            for (int k = 0; k < QUANTILES; k++)
                sum += out[action * QUANTILES + k];
            assert_float_equal(value[action], sum / QUANTILES, 1e-5);
        }
        nn_net_destroy(&net);
        stage_close(&self);
    }
}

static void a_failed_allocation_leaves_nothing_behind(void **state)
{
    (void)state;
    stage self = STAGE_OPEN("agent.noisy", "true");
    uint64_t live = gn_mem_live();
    gn_status status = GN_ERR_MEMORY;
    for (uint64_t nth = 1; status != GN_OK; nth++) {
        rl_actor *actor = NULL;
        gn_mem_fail_at(nth);
        status = rl_actor_create(&actor, self.b.config, self.b.env, self.b.learner);
        gn_mem_fail_at(0);
        assert_true(status == GN_OK || status == GN_ERR_MEMORY);
        rl_actor_destroy(&actor);
        assert_int_equal(gn_mem_live(), live);
    }
    stage_close(&self);
}

TEST_MAIN(epsilon_follows_its_schedule, the_share_of_random_actions_is_epsilon,
          a_softmax_draws_by_the_values, noise_is_drawn_for_every_step,
          a_loaded_actor_goes_on_with_the_same_actions, risk_decides_between_mean_and_safety,
          implicit_quantiles_look_at_the_worst_share_alone,
          a_failed_allocation_leaves_nothing_behind)
