// The learner on a chain of five states: goals against a naive computation, values against the
// known optimum, and what an update may not do (allocate, depend on anything but the seed).

#include "rl/learner.h"

#include <math.h>

#include "shim/torch.h"
#include "tests/rl/small_learner.h"

// --- goals

// What the next update should report, from the batch it will draw.
static rl_update naive_update(bench *b, const float *target)
{
    const rl_agent_config *agent = &b->config->agent;
    const float *online = rl_learner_parameters(b->learner);
    size_t rows = (size_t)b->config->train.batch;
    gn_random random = b->random;
    replay_batch *batch = NULL;
    rl_update expected = { 0 };
    expect_ok(replay_batch_create(&batch, &(replay_spec){ 1, 1, 1 }, rows, 1));
    expect_ok(replay_buffer_sample(
        b->buffer, &(replay_draw){ { agent->n_step }, 1, agent->gamma, 1 }, &random, batch));
    for (size_t i = 0; i < rows; i++) {
        float q[2], next_online[2], next_target[2];
        values_of(b, online, batch->record[i * batch->stride], q);
        values_of(b, online, batch->next_record[0][i * batch->stride], next_online);
        values_of(b, target, batch->next_record[0][i * batch->stride], next_target);
        const float *chooser = agent->double_q ? next_online : next_target;
        double goal =
            batch->reward[i] + (double)batch->discount[i] * next_target[chooser[1] > chooser[0]];
        double error = fabs(q[batch->action[i]] - goal), delta = b->config->head.huber_delta;
        double huber = error <= delta ? error * error / 2 : delta * (error - delta / 2);
        expected.loss += batch->weight[i] * huber / (double)rows;
        expected.mean_q += q[batch->action[i]] / (double)rows;
    }
    replay_batch_destroy(&batch);
    return expected;
}

// The target stays as initialised while the online network learns, so that they differ.
static void expect_naive_goals(bench *b)
{
    size_t size = rl_learner_layout(b->learner)->size;
    float *target = NULL;
    expect_ok(gn_alloc(&target, size, sizeof *target));
    memcpy(target, rl_learner_parameters(b->learner), size * sizeof *target);
    for (int i = 0; i < 60; i++) {
        if (i == 30) {
            expect_ok(rl_learner_update_target(b->learner));
            memcpy(target, rl_learner_parameters(b->learner), size * sizeof *target);
        }
        rl_update expected = naive_update(b, target), found = update(b);
        assert_true(fabs(found.loss - expected.loss) <= 1e-5 * (1 + expected.loss));
        assert_true(fabs(found.mean_q - expected.mean_q) <= 1e-5);
    }
    gn_free(&target);
}

static void goals_are_those_of_the_formula(void **state)
{
    (void)state;
    static const char *const double_q[] = { "false", "true" };
    static const char *const delta[] = { "inf", "0.1" };
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 2; k++) {
            bench b = BENCH_OPEN("agent.double_q", double_q[i], "head.huber_delta", delta[k],
                                 "train.batch", "32", "optimizer.learning_rate", "0.02");
            add_chain(&b);
            expect_naive_goals(&b);
            bench_close(&b);
        }
    }
}

static void goals_of_dueling_prioritized_n_step_runs_too(void **state)
{
    (void)state;
    bench b = BENCH_OPEN("run.agent", "dueling-dqn", "train.batch", "16", "optimizer.learning_rate",
                         "0.02");
    const unsigned char first = 0;
    expect_ok(replay_buffer_begin(b.buffer, 0, &first));
    for (unsigned char s = 0; s < STATES; s++) {
        unsigned char next = s + 1;
        bool last = s == STATES - 1;
        expect_ok(replay_buffer_add(b.buffer, 0, RIGHT, (float)s, last, false, &next));
    }
    add_chain(&b);
    expect_naive_goals(&b);
    bench_close(&b);
}

// One step in the buffer: the loss must vanish where Q is the reward, or reward and bootstrap.
static void a_terminated_step_does_not_bootstrap_and_a_truncated_one_does(void **state)
{
    (void)state;
    for (int terminated = 0; terminated < 2; terminated++) {
        bench b = BENCH_OPEN("train.batch", "1", "agent.gamma", "0.5", "head.huber_delta", "inf");
        float q[2], next[2];
        add_step(&b, 2, LEFT, 3, terminated, 1);
        values_of(&b, rl_learner_parameters(b.learner), 2, q);
        values_of(&b, rl_learner_parameters(b.learner), 1, next);
        double goal = terminated ? 3 : 3 + 0.5 * fmaxf(next[0], next[1]);
        double error = q[LEFT] - goal;
        assert_true(fabs(update(&b).loss - error * error / 2) < 1e-5);
        bench_close(&b);
    }
}

static void new_priorities_are_the_errors(void **state)
{
    (void)state;
    bench b = BENCH_OPEN("replay.prioritized", "true", "replay.alpha", "1",
                         "replay.priority_epsilon", "0", "train.batch", "1");
    replay_buffer_stats stats;
    add_step(&b, 2, LEFT, 30, true, 1);
    float q[2];
    values_of(&b, rl_learner_parameters(b.learner), 2, q);
    update(&b);
    expect_ok(replay_buffer_measure(b.buffer, &stats));
    assert_true(fabs(stats.max_priority - fabs(30.0 - q[LEFT])) < 1e-4);
    bench_close(&b);
}

// --- batches of a changing size

static gn_status update_as(bench *b, uint64_t batch, bool measure, rl_update *ret_update)
{
    const rl_update_plan plan = { .beta = 1, .batch = batch, .measure = measure };
    return rl_learner_update(b->learner, b->sampler, b->env, &plan, &b->random, ret_update);
}

#define AUTO_BENCH(...) \
    BENCH_OPEN("train.batch_schedule", "auto", "train.batch", "32", "train.batch_max", "128", \
               "head.huber_delta", "inf", __VA_ARGS__)

// Squared norm of the gradient of the mean loss over every second row of the batch that the next
// update will draw, from row `first` on; `stride` 1 takes all. The target network is still the
// online one.
static double naive_square(bench *b, size_t rows, size_t first, size_t stride)
{
    const rl_agent_config *agent = &b->config->agent;
    const nn_layout *layout = rl_learner_layout(b->learner);
    const float *online = rl_learner_parameters(b->learner);
    gn_random random = b->random;
    replay_batch *batch = NULL;
    nn_net *net = NULL;
    float *gradient = NULL, *x = NULL, *grad_q = NULL, *q = NULL;
    int32_t *action = NULL;
    size_t n = 0;
    expect_ok(replay_batch_create(&batch, &(replay_spec){ 1, 1, 1 }, rows, 1));
    expect_ok(replay_buffer_sample(
        b->buffer, &(replay_draw){ { agent->n_step }, 1, agent->gamma, 1 }, &random, batch));
    expect_ok(nn_net_create(&net, layout, rows, 1));
    expect_ok(gn_alloc(&gradient, layout->size, sizeof *gradient));
    expect_ok(gn_alloc(&x, rows * STATES, sizeof *x));
    expect_ok(gn_alloc(&q, rows * 2, sizeof *q));
    expect_ok(gn_alloc(&grad_q, rows, sizeof *grad_q));
    expect_ok(gn_alloc(&action, rows, sizeof *action));
    for (size_t i = first; i < rows; i += stride, n++) {
        float value[2], next[2];
        values_of(b, online, batch->record[i * batch->stride], value);
        values_of(b, online, batch->next_record[0][i * batch->stride], next);
        chain_decode(NULL, &batch->record[i * batch->stride], 1, 1, x + n * STATES);
        double goal = batch->reward[i] + (double)batch->discount[i] * fmaxf(next[0], next[1]);
        action[n] = batch->action[i];
        grad_q[n] = (float)(batch->weight[i] * (value[batch->action[i]] - goal) * (double)stride /
                            (double)rows);
    }
    expect_ok(nn_net_forward(net, online, x, n, (nn_fractions){ 0 }, q));
    expect_ok(nn_net_backward(net, online, x, action, grad_q, n, gradient));
    double sum = 0;
    for (size_t i = 0; i < layout->size; i++)
        sum += (double)gradient[i] * gradient[i];
    gn_free(&gradient);
    gn_free(&x);
    gn_free(&q);
    gn_free(&grad_q);
    gn_free(&action);
    nn_net_destroy(&net);
    replay_batch_destroy(&batch);
    return sum;
}

static void the_halves_have_the_gradients_of_their_own_batches(void **state)
{
    (void)state;
    static const char *const prioritized[] = { "false", "true" };
    for (int i = 0; i < 2; i++) {
        for (uint64_t rows = 2; rows <= 128; rows *= 4) {
            bench b = AUTO_BENCH("replay.prioritized", prioritized[i]);
            rl_update found = { 0 };
            add_chain(&b);
            double half = (naive_square(&b, rows, 0, 2) + naive_square(&b, rows, 1, 2)) / 2;
            double whole = naive_square(&b, rows, 0, 1);
            expect_ok(update_as(&b, rows, true, &found));
            assert_true(fabs(found.half_square - half) <= 1e-5 * half);
            assert_true(fabs(found.gradient_norm * found.gradient_norm - whole) <= 1e-5 * whole);
            bench_close(&b);
        }
    }
}

static void measuring_changes_no_byte(void **state)
{
    (void)state;
    bench a = AUTO_BENCH("run.agent", "dueling-dqn"), b = AUTO_BENCH("run.agent", "dueling-dqn");
    add_chain(&a), add_chain(&b);
    for (uint64_t n = 0; n < 60; n++) {
        rl_update measured = { 0 }, plain = { 0 };
        uint64_t rows = 32u << n % 3;
        expect_ok(update_as(&a, rows, true, &measured));
        expect_ok(update_as(&b, rows, false, &plain));
        assert_true(measured.loss == plain.loss && measured.gradient_norm == plain.gradient_norm);
        assert_true(measured.half_square > 0 && plain.half_square == 0);
    }
    expect_same_parameters(&a, &b, true);
    bench_close(&a), bench_close(&b);
}

// A batch that holds each of its steps twice: the mean loss and its gradient are the same, and the
// learning rate is what optimizer.batch_scaling makes of it. Adam's first step is as long as the
// learning rate in every parameter that has a gradient.
static void twice_the_same_steps_are_the_same_gradient(void **state)
{
    (void)state;
    static const char *const scaling[] = { "none", "sqrt", "linear" };
    static const double factor[] = { 1, 1.4142135623730951, 2 };
    for (int i = 0; i < 3; i++) {
        bench a = AUTO_BENCH("optimizer.batch_scaling", scaling[i]);
        bench b = AUTO_BENCH("optimizer.batch_scaling", scaling[i]);
        size_t size = rl_learner_layout(a.learner)->size;
        float *before = NULL;
        rl_update once = { 0 }, twice = { 0 };
        add_step(&a, 2, LEFT, 3, true, 1);
        add_step(&b, 2, LEFT, 3, true, 1);
        expect_ok(gn_alloc(&before, size, sizeof *before));
        memcpy(before, rl_learner_parameters(a.learner), size * sizeof *before);
        expect_ok(update_as(&a, 32, false, &once));
        expect_ok(update_as(&b, 64, false, &twice));
        assert_true(fabs(once.loss - twice.loss) <= 1e-6 * once.loss);
        assert_true(fabs(once.gradient_norm - twice.gradient_norm) <= 1e-6 * once.gradient_norm);
        double moved = 0;
        for (size_t k = 0; k < size; k++) {
            double step = (double)rl_learner_parameters(a.learner)[k] - before[k];
            double other = (double)rl_learner_parameters(b.learner)[k] - before[k];
            assert_true(fabs(other - factor[i] * step) <= 1e-7);
            moved = fmax(moved, fabs(step));
        }
        assert_true(fabs(moved - a.config->optimizer.learning_rate) <= 1e-6);
        gn_free(&before);
        bench_close(&a), bench_close(&b);
    }
}

static void sizes_that_cannot_be_are_refused(void **state)
{
    (void)state;
    bench b = AUTO_BENCH("run.agent", "dqn"), fixed = BENCH_OPEN("train.batch", "32");
    rl_update result = { 0 };
    add_chain(&b), add_chain(&fixed);
    expect_fails(GN_ERR_ARG, "0 steps is not in 1..128", update_as(&b, 0, false, &result));
    expect_fails(GN_ERR_ARG, "129 steps is not in 1..128", update_as(&b, 129, false, &result));
    expect_fails(GN_ERR_ARG, "halves of a batch of 33", update_as(&b, 33, true, &result));
    expect_fails(GN_ERR_ARG, "halves of a batch of 32", update_as(&fixed, 32, true, &result));
    expect_fails(GN_ERR_ARG, "33 steps is not in 1..32", update_as(&fixed, 33, false, &result));
    expect_ok(update_as(&b, 33, false, &result));
    expect_ok(update_as(&fixed, 7, false, &result));
    bench_close(&b), bench_close(&fixed);
}

// --- learning

static double optimum(unsigned char s, int32_t action)
{
    const double gamma = 0.9;
    return action == RIGHT ? pow(gamma, STATES - 1 - s) : pow(gamma, STATES - (s ? s - 1 : 0));
}

// Adam's epsilon is large enough for gradients that nearly vanish: with the usual 1e-8 values that
// stand at their optimum are now and then thrown off it for a while.
static void values_reach_the_known_optimum(void **state)
{
    (void)state;
    static const char *const agents[] = { "dqn", "double-dqn", "dueling-dqn" };
    static const char *const seeds[] = { "1", "2", "3" };
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 3; k++) {
            bench b = BENCH_OPEN("run.agent", agents[i], "run.seed", seeds[k], "agent.gamma", "0.9",
                                 "train.batch", "32", "optimizer.learning_rate", "0.003",
                                 "optimizer.epsilon", "1e-4");
            add_chain(&b);
            for (int n = 0; n < 4000; n++) {
                update(&b);
                if (n % 20 == 19)
                    expect_ok(rl_learner_update_target(b.learner));
            }
            for (unsigned char s = 0; s < STATES; s++) {
                float q[2], observation[STATES];
                values_of(&b, rl_learner_parameters(b.learner), s, q);
                assert_true(fabs(q[LEFT] - optimum(s, LEFT)) < 0.04);
                assert_true(fabs(q[RIGHT] - optimum(s, RIGHT)) < 0.04);
                chain_decode(NULL, &s, 1, 1, observation);
                int32_t action = -1;
                expect_ok(rl_learner_greedy(b.learner, observation, &action));
                assert_int_equal(action, RIGHT);
            }
            bench_close(&b);
        }
    }
}

static void the_same_seed_gives_the_same_bytes(void **state)
{
    (void)state;
    bench a = BENCH_OPEN("run.agent", "dueling-dqn"), b = BENCH_OPEN("run.agent", "dueling-dqn");
    bench other = BENCH_OPEN("run.agent", "dueling-dqn", "run.seed", "2");
    add_chain(&a), add_chain(&b), add_chain(&other);
    expect_same_parameters(&a, &b, true);
    expect_same_parameters(&a, &other, false);
    learn(&a, 100), learn(&b, 100), learn(&other, 100);
    expect_same_parameters(&a, &b, true);
    expect_same_parameters(&a, &other, false);
    bench_close(&a), bench_close(&b), bench_close(&other);
}

static void a_loaded_learner_continues_with_the_same_bytes(void **state)
{
    (void)state;
    bench a = BENCH_OPEN("agent.double_q", "true"), b = BENCH_OPEN("agent.double_q", "true");
    gn_blob saved = { 0 };
    add_chain(&a), add_chain(&b);
    learn(&a, 50);
    expect_ok(rl_learner_save(a.learner, &saved));
    expect_ok(gn_blob_status(&saved));
    memcpy(rl_learner_parameters(b.learner), rl_learner_parameters(a.learner),
           rl_learner_layout(a.learner)->size * sizeof(float));
    expect_ok(rl_learner_load(b.learner, &saved));
    b.random = a.random;
    learn(&a, 50), learn(&b, 50);
    expect_same_parameters(&a, &b, true);
    gn_blob_free(&saved);
    bench_close(&a), bench_close(&b);
}

// --- what an update may not do

static void an_update_allocates_nothing(void **state)
{
    (void)state;
    bench b = AUTO_BENCH("run.agent", "dueling-dqn");
    rl_update result = { 0 };
    add_chain(&b);
    learn(&b, 10);
    torch_count_storage(true);
    uint64_t allocations = gn_mem_allocations(), tensors = torch_tensors_created();
    learn(&b, 50);
    expect_ok(update_as(&b, 128, true, &result));
    assert_int_equal(gn_mem_allocations(), allocations);
    assert_int_equal(torch_tensors_created(), tensors);
    torch_count_storage(false);
    bench_close(&b);
}

static void expect_numeric_failure(bench *b, const char *part)
{
    size_t size = rl_learner_layout(b->learner)->size * sizeof(float);
    rl_update result = { 0 };
    void *before = NULL;
    expect_ok(gn_alloc(&before, size, 1));
    memcpy(before, rl_learner_parameters(b->learner), size);
    expect_fails(GN_ERR_NUMERIC, part, update_into(b, &result));
    assert_memory_equal(before, rl_learner_parameters(b->learner), size);
    gn_free(&before);
}

static void numbers_that_are_not_finite_stop_it_before_any_parameter_changes(void **state)
{
    (void)state;
    const unsigned char record = 0;
    bench b = BENCH_OPEN("head.huber_delta", "inf");
    expect_ok(replay_buffer_begin(b.buffer, 0, &record));
    expect_fails(GN_ERR_NUMERIC, "nan",
                 replay_buffer_add(b.buffer, 0, LEFT, NAN, true, false, &record));
    expect_ok(replay_buffer_add(b.buffer, 0, LEFT, 3e38f, true, false, &record));
    for (size_t i = 0; i < rl_learner_layout(b.learner)->size; i++)
        rl_learner_parameters(b.learner)[i] *= 1000; // the loss is finite, its gradient is not
    expect_numeric_failure(&b, "gradient");

    rl_learner_parameters(b.learner)[0] = NAN;
    expect_numeric_failure(&b, "loss is");
    bench_close(&b);
}

static void an_empty_buffer_is_an_error(void **state)
{
    (void)state;
    bench b = BENCH_OPEN("agent.n_step", "1");
    rl_update result = { 0 };
    expect_fails(GN_ERR_EMPTY, "", update_into(&b, &result));
    bench_close(&b);
}

static void pixels_are_learned_from_as_shares_of_white(void **state)
{
    (void)state;
    bench floats = BENCH_OPEN("run.agent", "dueling-dqn");
    bench pixels = BENCH_OPEN_OF(&pixel_class, "run.agent", "dueling-dqn");
    add_chain(&floats), add_chain(&pixels);
    learn(&floats, 100), learn(&pixels, 100);
    expect_same_parameters(&floats, &pixels, true);
    bench_close(&floats), bench_close(&pixels);
}

static void a_failed_allocation_leaves_nothing_behind(void **state)
{
    (void)state;
    rl_config *config =
        CONFIG_OF("run.env", "cartpole", "network.hidden", "8,8", "train.batch_schedule", "auto");
    expect_create_survives(config);
    rl_config_destroy(&config);
}

TEST_MAIN(goals_are_those_of_the_formula, goals_of_dueling_prioritized_n_step_runs_too,
          a_terminated_step_does_not_bootstrap_and_a_truncated_one_does,
          new_priorities_are_the_errors, the_halves_have_the_gradients_of_their_own_batches,
          measuring_changes_no_byte, twice_the_same_steps_are_the_same_gradient,
          sizes_that_cannot_be_are_refused, values_reach_the_known_optimum,
          the_same_seed_gives_the_same_bytes, a_loaded_learner_continues_with_the_same_bytes,
          an_update_allocates_nothing,
          numbers_that_are_not_finite_stop_it_before_any_parameter_changes,
          an_empty_buffer_is_an_error, pixels_are_learned_from_as_shares_of_white,
          a_failed_allocation_leaves_nothing_behind)
