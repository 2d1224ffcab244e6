// A learner with a buffer of steps on a chain of five states, for the tests of learning: an
// environment as far as a learner needs one.
//
//     s0 <-> s1 <-> s2 <-> s3 <-> s4 -> end with reward 1;   left from s0 stays there
//     Q*(s, right) = gamma^(4 - s),   Q*(s, left) = gamma^(5 - max(s - 1, 0))

#ifndef TESTS_RL_SMALL_LEARNER_H
#define TESTS_RL_SMALL_LEARNER_H

#include "rl/batch_size.h"
#include "rl/learner.h"
#include "shim/torch.h"
#include "tests/rl/small_run.h"

enum { STATES = 5, LEFT = 0, RIGHT = 1 };

static inline gn_status chain_create(void **ret_env, const void *config, const env_context *context)
{
    (void)config;
    (void)context;
    return gn_alloc(ret_env, 1, 1);
}

static inline void chain_destroy(void *env)
{
    gn_free(&env);
}

static inline void chain_spec(const void *env, env_spec *ret_spec)
{
    (void)env;
    *ret_spec = (env_spec){
        .copies = 1,
        .actions = 2,
        .dtype = ENV_FLOAT32,
        .rank = 1,
        .shape = { STATES },
        .observation_elements = STATES,
        .observation_size = STATES * sizeof(float),
        .record_size = 1,
        .stack = 1,
    };
}

static inline void chain_reset(void *env, const uint32_t *copy, size_t n)
{
    (void)env;
    (void)copy;
    (void)n;
}

static inline void chain_record(const void *env, unsigned char *ret_record)
{
    (void)env;
    *ret_record = 0;
}

// A record is the number of the state; an observation has a 1 there. Past the end: all 0.
static inline void chain_decode(const void *env, const unsigned char *record, size_t stride,
                                size_t n, void *ret_observation)
{
    (void)env;
    float *out = ret_observation;
    memset(out, 0, n * STATES * sizeof *out);
    for (size_t i = 0; i < n; i++)
        if (record[i * stride] < STATES)
            out[i * STATES + record[i * stride]] = 1;
}

// The same chain in pixels: white is 255.
static inline void pixel_spec(const void *env, env_spec *ret_spec)
{
    chain_spec(env, ret_spec);
    ret_spec->dtype = ENV_UINT8;
    ret_spec->observation_size = STATES;
}

static inline void pixel_decode(const void *env, const unsigned char *record, size_t stride,
                                size_t n, void *ret_observation)
{
    (void)env;
    unsigned char *out = ret_observation;
    memset(out, 0, n * STATES);
    for (size_t i = 0; i < n; i++)
        if (record[i * stride] < STATES)
            out[i * STATES + record[i * stride]] = 255;
}

static const env_class pixel_class = {
    .name = "pixels",
    .config_size = 1,
    .create = chain_create,
    .destroy = chain_destroy,
    .spec = pixel_spec,
    .reset = chain_reset,
    .record = chain_record,
    .decode = pixel_decode,
};

static const env_class chain_class = {
    .name = "chain",
    .config_size = 1,
    .create = chain_create,
    .destroy = chain_destroy,
    .spec = chain_spec,
    .reset = chain_reset,
    .record = chain_record,
    .decode = chain_decode,
};

// --- a learner with a buffer of chain steps

typedef struct bench {
    rl_config *config;
    vec_env *env;
    rl_learner *learner;
    replay_buffer *buffer;
    replay_sampler *sampler;
    gn_random random;
} bench;

static inline bench bench_open(const env_class *kind, const char *const *flag)
{
    const env_context context = { .copies = 1 };
    bench b = { .config = config_of(flag), .random = gn_random_stream(1, GN_RANDOM_SAMPLE, 0) };
    expect_ok(torch_set_threads(1)); // as in a run
    expect_ok(vec_env_create(&b.env, kind, &context, &context));
    device on;
    expect_ok(device_resolve(&on, b.config->run.device, false, NULL));
    expect_ok(rl_learner_create(&b.learner, b.config, vec_env_spec(b.env), on));
    expect_ok(replay_buffer_create(&b.buffer, &b.config->replay, &(replay_spec){ 1, 1, 1 }, NULL,
                                   "test"));
    expect_ok(replay_sampler_create(&b.sampler, b.buffer, rl_batch_size_largest(&b.config->train),
                                    1, -1));
    return b;
}

#define BENCH_OPEN_OF(kind, ...) \
    bench_open(kind, \
               (const char *const[]){ "run.env", "cartpole", "run.agent", "dqn", "network.hidden", \
                                      "32", "replay.capacity", "1000", __VA_ARGS__, NULL })

#define BENCH_OPEN(...) BENCH_OPEN_OF(&chain_class, __VA_ARGS__)

static inline void bench_close(bench *b)
{
    replay_sampler_destroy(&b->sampler);
    replay_buffer_destroy(&b->buffer);
    rl_learner_destroy(&b->learner);
    vec_env_destroy(&b->env);
    rl_config_destroy(&b->config);
}

// One step as an episode of its own.
static inline void add_step(bench *b, unsigned char from, int32_t action, float reward,
                            bool terminated, unsigned char to)
{
    expect_ok(replay_buffer_begin(b->buffer, 0, &from));
    expect_ok(replay_buffer_add(b->buffer, 0, action, reward, terminated, !terminated, &to));
}

static inline void add_chain(bench *b)
{
    for (unsigned char s = 0; s < STATES; s++) {
        bool last = s == STATES - 1;
        add_step(b, s, LEFT, 0, false, s ? s - 1 : 0);
        add_step(b, s, RIGHT, last ? 1 : 0, last, s + 1);
    }
}

static inline gn_status update_into(bench *b, rl_update *ret_update)
{
    const rl_update_plan plan = { .beta = 1, .batch = (uint64_t)b->config->train.batch };
    return rl_learner_update(b->learner, b->sampler, b->env, &plan, &b->random, ret_update);
}

static inline rl_update update(bench *b)
{
    rl_update result = { 0 };
    expect_ok(update_into(b, &result));
    return result;
}

// Values of one record with these parameters.
static inline void values_of(bench *b, const float *parameter, unsigned char record, float ret_q[2])
{
    nn_net *net = NULL;
    float observation[STATES];
    expect_ok(nn_net_create(&net, rl_learner_layout(b->learner), 1, 1));
    chain_decode(NULL, &record, 1, 1, observation);
    expect_ok(nn_net_act(net, parameter, observation, (nn_fractions){ 0 }, ret_q));
    nn_net_destroy(&net);
}

static inline void expect_same_parameters(bench *a, bench *b, bool same)
{
    size_t size = rl_learner_layout(a->learner)->size * sizeof(float);
    assert_int_equal(
        memcmp(rl_learner_parameters(a->learner), rl_learner_parameters(b->learner), size) == 0,
        same);
}

static inline void learn(bench *b, int updates)
{
    for (int n = 0; n < updates; n++) {
        update(b);
        if (n % 7 == 6)
            expect_ok(rl_learner_update_target(b->learner));
    }
}

// Creating a learner for the chain until no allocation fails: each failure leaves nothing behind.
static inline void expect_create_survives(const rl_config *config)
{
    rl_learner *learner = NULL;
    env_spec spec;
    gn_status status = GN_ERR_MEMORY;
    chain_spec(NULL, &spec);
    uint64_t live = gn_mem_live();
    for (uint64_t n = 1; status != GN_OK; n++) {
        gn_mem_fail_at(n);
        status = rl_learner_create(&learner, config, &spec, (device){ DEVICE_CPU, 0 });
        gn_mem_fail_at(0);
        assert_true(status == GN_OK || status == GN_ERR_MEMORY);
        if (status != GN_OK)
            assert_int_equal(gn_mem_live(), live);
    }
    rl_learner_destroy(&learner);
    assert_int_equal(gn_mem_live(), live);
}

#endif
