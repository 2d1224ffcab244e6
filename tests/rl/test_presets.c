// Every row of the table of presets: its goals and loss against a naive learner that takes one row
// at a time, the same bytes from the same seed, after loading and after interruptions, and no
// allocation in an update.

#include <math.h>

#include "nn/head.h"
#include "rl/choice.h"
#include "shim/torch.h"
#include "tests/rl/small_learner.h"
#include "tests/rl/small_training.h"

// Options that every preset is tried with; more is NULL-terminated.
static bench open_preset(const rl_preset *preset, const char *const *more)
{
    const char *flag[64] = {
        "run.env",
        "cartpole",
        "run.agent",
        preset->name,
        "network.hidden",
        "16,12",
        "train.batch",
        "32",
        "replay.capacity",
        "1000",
        "head.v_min",
        "-2",
        "head.v_max",
        "4",
        "optimizer.learning_rate",
        "0.02",
        "head.quantiles",
        "5",
        "head.target_quantiles",
        "4",
        "head.acting_quantiles",
        "3",
        "head.cosines",
        "6",
        "head.atoms",
        "11",
        "network.encoder",
        "none",
    };
    size_t count = 0;
    while (flag[count])
        count++;
    for (; *more; more++)
        flag[count++] = *more;
    return bench_open(&chain_class, flag);
}

// --- the naive learner

enum { ACTIONS = 2, WIDEST = 64 };

// Streams of quantile fractions as the learner has them, and its network for one row.
typedef struct naive {
    bench *b;
    nn_head head;
    nn_net *net;
    gn_random fraction[2];
} naive;

static naive naive_open(bench *b)
{
    naive n = { .b = b };
    expect_ok(nn_head_create(&n.head, &b->config->head));
    expect_ok(nn_net_create(&n.net, rl_learner_layout(b->learner), 1, WIDEST));
    for (uint32_t i = 0; i < 2; i++)
        n.fraction[i] = gn_random_stream(1, GN_RANDOM_FRACTION, i);
    return n;
}

static bool implicit(const naive *n)
{
    return n->head.config.kind == NN_HEAD_IMPLICIT_QUANTILE;
}

// `count` fractions drawn from `random`, or evenly spread where it is NULL.
static void fractions_of(const naive *n, gn_random *random, size_t count, float *ret_fraction)
{
    for (size_t i = 0; implicit(n) && i < count; i++)
        ret_fraction[i] = random ? (float)gn_random_unit(random) : ((float)i + 0.5f) / (float)count;
}

static void outputs(naive *n, const float *parameter, unsigned char record, const float *fraction,
                    size_t count, float *ret_out)
{
    float observation[STATES];
    chain_decode(NULL, &record, 1, 1, observation);
    nn_fractions fractions = implicit(n) ? (nn_fractions){ fraction, count } : (nn_fractions){ 0 };
    expect_ok(nn_net_forward(n->net, parameter, observation, 1, fractions, ret_out));
}

static void means(const naive *n, const float *out, size_t width, float *ret_value)
{
    const nn_risk mean = { .kind = NN_RISK_MEAN };
    nn_head_values(&n->head, out, ACTIONS, width, &mean, n->b->config->agent.rescale, ret_value);
}

// What is drawn for a row of the batch.
typedef struct row_fractions {
    float here[WIDEST], next[WIDEST], target_here[WIDEST];
} row_fractions;

// Loss of row i of the batch, weighted, with the target network's parameters.
static double naive_loss(naive *n, const replay_batch *batch, size_t i, const float *target,
                         const row_fractions *fractions, double *ret_value)
{
    const rl_agent_config *agent = &n->b->config->agent;
    const nn_head_config *head = &n->head.config;
    const float *online = rl_learner_parameters(n->b->learner);
    size_t width = implicit(n) ? (size_t)head->quantiles : n->head.width;
    size_t target_width = implicit(n) ? (size_t)head->target_quantiles : n->head.width;
    size_t even_width = implicit(n) ? (size_t)head->acting_quantiles : n->head.width;
    unsigned char here = batch->record[i * batch->stride];
    unsigned char next = batch->next_record[0][i * batch->stride];
    float next_out[ACTIONS * WIDEST], out[ACTIONS * WIDEST], even[WIDEST], value[ACTIONS];
    float policy[ACTIONS], bonus[ACTIONS], goal[ACTIONS * WIDEST], error, grad[WIDEST];
    float reward = batch->reward[i];

    outputs(n, target, next, fractions->next, target_width, next_out);
    means(n, next_out, target_width, value);
    if (agent->double_q || implicit(n)) {
        fractions_of(n, NULL, even_width, even);
        outputs(n, agent->double_q ? online : target, next, even, even_width, out);
        means(n, out, even_width, value);
    }
    for (int a = 0; a < ACTIONS; a++)
        policy[a] = a == (value[1] > value[0]);
    if (agent->munchausen) {
        float old[ACTIONS];
        const double tau = agent->munchausen_temperature;
        outputs(n, target, here, fractions->target_here, target_width, out);
        means(n, out, target_width, old);
        double chosen = old[batch->action[i]], other = old[1 - batch->action[i]];
        double log_policy = -tau * log1p(exp((other - chosen) / tau));
        reward += (float)(agent->munchausen_alpha * fmax(log_policy, agent->munchausen_clip));
        for (int a = 0; a < ACTIONS; a++) {
            double gap = (value[1 - a] - value[a]) / tau;
            policy[a] = (float)(1 / (1 + exp(gap)));
            bonus[a] = (float)(tau * (gap > 500 ? gap : log1p(exp(gap))));
        }
    }
    const nn_backup backup = { .n = 1,
                               .actions = ACTIONS,
                               .width = target_width,
                               .out = next_out,
                               .reward = &reward,
                               .discount = &batch->discount[i],
                               .policy = policy,
                               .bonus = agent->munchausen ? bonus : NULL,
                               .rescale = agent->rescale };
    nn_head_target(&n->head, &backup, goal);
    outputs(n, online, here, fractions->here, width, out);
    means(n, out, width, value);
    *ret_value = value[batch->action[i]];
    const nn_head_batch loss = { .n = 1,
                                 .width = width,
                                 .target_width = nn_head_target_width(&n->head, ACTIONS),
                                 .out = out + (size_t)batch->action[i] * width,
                                 .target = goal,
                                 .fraction = fractions->here,
                                 .weight = &batch->weight[i],
                                 .ret_error = &error,
                                 .ret_grad = grad };
    return nn_head_loss(&n->head, &loss);
}

// The order of draws: the target network's for all rows (with Munchausen of the sampled steps
// first), then the online network's.
static rl_update naive_update(naive *n, const float *target)
{
    enum { ROWS = 32 };
    static row_fractions fractions[ROWS];
    bench *b = n->b;
    const rl_agent_config *agent = &b->config->agent;
    const nn_head_config *head = &n->head.config;
    gn_random random = b->random;
    replay_batch *batch = NULL;
    rl_update expected = { 0 };
    expect_ok(replay_batch_create(&batch, &(replay_spec){ 1, 1, 1 }, ROWS, 1));
    expect_ok(replay_buffer_sample(
        b->buffer, &(replay_draw){ { agent->n_step }, 1, agent->gamma, 1 }, &random, batch));
    for (size_t i = 0; agent->munchausen && i < ROWS; i++)
        fractions_of(n, &n->fraction[1], (size_t)head->target_quantiles, fractions[i].target_here);
    for (size_t i = 0; i < ROWS; i++)
        fractions_of(n, &n->fraction[1], (size_t)head->target_quantiles, fractions[i].next);
    for (size_t i = 0; i < ROWS; i++)
        fractions_of(n, &n->fraction[0], (size_t)head->quantiles, fractions[i].here);
    for (size_t i = 0; i < ROWS; i++) {
        double value = 0;
        expected.loss += naive_loss(n, batch, i, target, &fractions[i], &value) / ROWS;
        expected.mean_q += value / ROWS;
    }
    replay_batch_destroy(&batch);
    return expected;
}

// The target stays as initialised while the online network learns, so that they differ.
static void expect_naive_losses(const rl_preset *preset, const char *const *more)
{
    bench b = open_preset(preset, more);
    naive n = naive_open(&b);
    size_t size = rl_learner_layout(b.learner)->size;
    float *target = NULL;
    add_chain(&b);
    expect_ok(gn_alloc(&target, size, sizeof *target));
    memcpy(target, rl_learner_parameters(b.learner), size * sizeof *target);
    for (int i = 0; i < 8; i++) {
        rl_update expected = naive_update(&n, target), found = update(&b);
        if (!(fabs(found.loss - expected.loss) <= 2e-5 * (1 + fabs(expected.loss)) &&
              fabs(found.mean_q - expected.mean_q) <= 2e-5 * (1 + fabs(expected.mean_q))))
            fail_msg("%s, update %d: loss %g and mean %g, must be %g and %g", preset->name, i,
                     found.loss, found.mean_q, expected.loss, expected.mean_q);
    }
    gn_free(&target);
    nn_net_destroy(&n.net);
    bench_close(&b);
}

static void losses_are_those_of_the_formulas(void **state)
{
    (void)state;
    static const char *const variants[][7] = {
        { NULL },
        { "agent.double_q", "true", NULL },
        { "agent.munchausen", "true", "agent.munchausen_temperature", "0.5", NULL },
        { "agent.munchausen", "true", "agent.double_q", "true", "agent.rescale", "0.01", NULL },
        { "agent.rescale", "0.001", "agent.dueling", "true", "agent.n_step", "2", NULL },
        { "head.kind", "two-hot", "network.layer_norm", "true", NULL },
    };
    const char *const quiet[] = { "agent.noisy", "false", NULL };
    for (const rl_preset *preset = rl_presets; preset->name; preset++)
        for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
            const char *more[16] = { 0 };
            size_t count = 0;
            for (const char *const *flag = variants[i]; *flag; flag++)
                more[count++] = *flag;
            memcpy(more + count, quiet, sizeof quiet);
            expect_naive_losses(preset, more);
        }
}

// --- bytes

static const char *const nothing[] = { NULL };

static void the_same_seed_gives_the_same_bytes(void **state)
{
    (void)state;
    for (const rl_preset *preset = rl_presets; preset->name; preset++) {
        bench a = open_preset(preset, nothing), b = open_preset(preset, nothing);
        bench other = open_preset(preset, (const char *const[]){ "run.seed", "2", NULL });
        add_chain(&a), add_chain(&b), add_chain(&other);
        learn(&a, 30), learn(&b, 30), learn(&other, 30);
        expect_same_parameters(&a, &b, true);
        expect_same_parameters(&a, &other, false);
        bench_close(&a), bench_close(&b), bench_close(&other);
    }
}

// Of LibTorch's layers, which is what CUDA has.
static void learns_the_same_on_another_device(void **state)
{
    (void)state;
    for (const rl_preset *preset = rl_presets; preset->name; preset++) {
        bench ours = open_preset(preset, nothing);
        bench theirs = open_preset(preset, (const char *const[]){ "run.device", "torch", NULL });
        add_chain(&ours), add_chain(&theirs);
        for (int i = 0; i < 5; i++) {
            rl_update expected = update(&ours), actual = update(&theirs);
            assert_float_equal(actual.loss / expected.loss, 1, 1e-3);
            assert_float_equal(actual.gradient_norm / expected.gradient_norm, 1, 1e-3);
            expect_ok(rl_learner_update_target(ours.learner));
            expect_ok(rl_learner_update_target(theirs.learner));
        }
        bench_close(&ours), bench_close(&theirs);
    }
}

static void a_loaded_learner_continues_with_the_same_bytes(void **state)
{
    (void)state;
    for (const rl_preset *preset = rl_presets; preset->name; preset++) {
        bench a = open_preset(preset, nothing), b = open_preset(preset, nothing);
        gn_blob saved = { 0 };
        add_chain(&a), add_chain(&b);
        learn(&a, 30);
        expect_ok(rl_learner_save(a.learner, &saved));
        memcpy(rl_learner_parameters(b.learner), rl_learner_parameters(a.learner),
               rl_learner_layout(a.learner)->size * sizeof(float));
        expect_ok(rl_learner_load(b.learner, &saved));
        // Priorities are the buffer's.
        replay_sampler_destroy(&b.sampler);
        expect_ok(replay_sampler_create(&b.sampler, a.buffer, 32, 1, -1));
        b.random = a.random;
        rl_update one = update(&a), two = update(&b);
        // Where priorities count, a's update has changed what b draws.
        if (!b.config->replay.prioritized)
            assert_true(one.loss == two.loss && one.gradient_norm == two.gradient_norm);
        gn_blob_free(&saved);
        bench_close(&b), bench_close(&a);
    }
}

static void an_update_allocates_nothing(void **state)
{
    (void)state;
    for (const rl_preset *preset = rl_presets; preset->name; preset++) {
        bench b = open_preset(preset, nothing);
        float observation[STATES] = { 1 };
        int32_t action;
        add_chain(&b);
        learn(&b, 10);
        torch_count_storage(true);
        uint64_t allocations = gn_mem_allocations(), tensors = torch_tensors_created();
        learn(&b, 20);
        expect_ok(rl_learner_greedy(b.learner, observation, &action));
        assert_int_equal(gn_mem_allocations(), allocations);
        assert_int_equal(torch_tensors_created(), tensors);
        torch_count_storage(false);
        bench_close(&b);
    }
}

static void a_failed_allocation_leaves_nothing_behind(void **state)
{
    (void)state;
    for (const rl_preset *preset = rl_presets; preset->name; preset++) {
        rl_config *config =
            CONFIG_OF("run.env", "cartpole", "run.agent", preset->name, "network.hidden", "8,8",
                      "train.batch", "4", "network.encoder", "none");
        expect_create_survives(config);
        rl_config_destroy(&config);
    }
}

// Presets for pictures play Catch, the others CartPole.
static bool sees_pictures(const rl_preset *preset)
{
    for (const char *const *setting = preset->settings; *setting; setting += 2)
        if (strcmp(setting[0], "network.encoder") == 0)
            return true;
    return false;
}

static void a_run_stopped_after_every_round_ends_the_same(void **state)
{
    (void)state;
    for (const rl_preset *preset = rl_presets; preset->name; preset++) {
        two_runs runs;
        volatile sig_atomic_t stop = 1;
        const rl_hooks hooks = { .stop = &stop };
        bool pictures = sees_pictures(preset);
        uint64_t steps = pictures ? 300 : 1000;
        TWO_RUNS_OPEN(&runs, CARTPOLE, "run.agent", preset->name, "run.env",
                      pictures ? "catch" : "cartpole", "train.steps", pictures ? "300" : "1000",
                      "train.every", "100", "train.updates", pictures ? "2" : "5",
                      "agent.epsilon_end", "0", "agent.epsilon_start", "0.2");
        expect_ok(train(runs.config, runs.b, &hooks));
        for (uint64_t step = 200; step <= steps; step += 100)
            expect_ok(resume(runs.b, &hooks));
        expect_same_outcome(runs.a, runs.b);
        two_runs_close(&runs);
    }
}

TEST_MAIN(losses_are_those_of_the_formulas, the_same_seed_gives_the_same_bytes,
          learns_the_same_on_another_device, a_loaded_learner_continues_with_the_same_bytes,
          an_update_allocates_nothing, a_failed_allocation_leaves_nothing_behind,
          a_run_stopped_after_every_round_ends_the_same)
