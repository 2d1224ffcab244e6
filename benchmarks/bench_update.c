// One gradient update of double DQN and one greedy action, in the shapes of the peers' benchmark;
// and the product inside them beside LibTorch's. One thread.
//
//     a  4-64-64-2, B=64      b  4-120-84-2, B=128      c  652-256-256-3 dueling, B=256
//     d  82-128-128-3 dueling, B=128
//
// An update is: values of next observations (both networks) and of observations, targets, Huber
// loss, backward, clipping, Adam. Its batches are prepared beforehand and taken in turn.
//
//     bench_update [--seconds S]

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "benchmarks/bench.h"
#include "nn/loss.h"
#include "nn/matmul.h"
#include "nn/net.h"
#include "nn/optimizer.h"
#include "shim/torch.h"

static const struct {
    const char *name;
    size_t rows;
    nn_spec spec;
} cases[] = {
    { "a", 64, { .inputs = 4, .actions = 2, .hidden_layers = 2, .hidden = { 64, 64 } } },
    { "b", 128, { .inputs = 4, .actions = 2, .hidden_layers = 2, .hidden = { 120, 84 } } },
    { "c",
      256,
      { .inputs = 652,
        .actions = 3,
        .hidden_layers = 2,
        .hidden = { 256, 256 },
        .dueling = true } },
    { "d",
      128,
      { .inputs = 82, .actions = 3, .hidden_layers = 2, .hidden = { 128, 128 }, .dueling = true } },
};
enum { CASES = sizeof cases / sizeof *cases, BATCHES = 16 };
static const float gamma_of_targets = 0.99f;

typedef struct learner {
    nn_layout layout;
    nn_net *net;
    nn_optimizer *optimizer;
    size_t rows;
    float *online, *target, *gradient;
    float *q, *target_q, *grad_q, *goal, *error; // q: [2 * rows, actions]
    // Of BATCHES batches: observations before next observations.
    float *observation, *reward, *weight;
    int32_t *action;
} learner;

static float *allocate(size_t count)
{
    float *block;
    bench_need(gn_alloc(&block, count, sizeof *block));
    return block;
}

static float *random_floats(gn_random *random, size_t count)
{
    float *block = allocate(count);
    for (size_t i = 0; i < count; i++)
        block[i] = (float)gn_random_normal(random);
    return block;
}

static learner create(const nn_spec *spec, size_t rows)
{
    learner l = { .rows = rows };
    gn_random random = gn_random_stream(1, GN_RANDOM_INIT, 0);
    nn_optimizer_config config;
    const gn_option_section sections[] = {
        { .name = "optimizer", .options = nn_optimizer_options, .values = &config },
        { 0 },
    };
    gn_options_reset(sections);
    bench_need(nn_layout_create(&l.layout, spec));
    bench_need(nn_net_create(&l.net, &l.layout, 2 * rows, 1));
    l.online = allocate(l.layout.size);
    l.target = allocate(l.layout.size);
    l.gradient = allocate(l.layout.size);
    l.q = allocate(2 * rows * spec->actions);
    l.target_q = allocate(rows * spec->actions);
    l.grad_q = allocate(rows * spec->actions);
    l.goal = allocate(rows);
    l.error = allocate(rows);
    bench_need(nn_optimizer_create(&l.optimizer, &config, l.online, l.gradient, l.layout.size));
    nn_layout_initialise(&l.layout, &random, l.online);
    nn_target_update(l.target, l.online, l.layout.size, 1);
    l.observation = random_floats(&random, BATCHES * 2 * rows * spec->inputs);
    l.reward = random_floats(&random, BATCHES * rows);
    l.weight = allocate(BATCHES * rows);
    bench_need(gn_alloc(&l.action, BATCHES * rows, sizeof *l.action));
    for (size_t i = 0; i < BATCHES * rows; i++) {
        l.weight[i] = 1;
        l.action[i] = (int32_t)gn_random_below(&random, spec->actions);
    }
    return l;
}

static void destroy(learner *l)
{
    nn_net_destroy(&l->net);
    nn_optimizer_destroy(&l->optimizer);
    float **const blocks[] = { &l->online,      &l->target, &l->gradient, &l->q,
                               &l->target_q,    &l->grad_q, &l->goal,     &l->error,
                               &l->observation, &l->reward, &l->weight };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        gn_free(blocks[i]);
    gn_free(&l->action);
}

static void update(learner *l, size_t batch)
{
    size_t rows = l->rows, actions = l->layout.spec.actions, inputs = l->layout.spec.inputs;
    const float *observation = l->observation + batch * 2 * rows * inputs;
    const nn_fractions none = { 0 };
    const float *next_q = l->q + rows * actions;
    bench_need(
        nn_net_forward(l->net, l->target, observation + rows * inputs, rows, none, l->target_q));
    bench_need(nn_net_forward(l->net, l->online, observation, 2 * rows, none, l->q));
    for (size_t i = 0; i < rows; i++) {
        size_t best = 0;
        for (size_t a = 1; a < actions; a++)
            if (next_q[i * actions + a] > next_q[i * actions + best])
                best = a;
        l->goal[i] =
            l->reward[batch * rows + i] + gamma_of_targets * l->target_q[i * actions + best];
    }
    nn_huber_loss(l->q, l->action + batch * rows, l->goal, l->weight + batch * rows, rows, actions,
                  1, l->error, l->grad_q);
    bench_need(nn_net_backward(l->net, l->online, observation, l->grad_q, rows, l->gradient));
    bench_need(nn_optimizer_step(l->optimizer, NULL));
}

static void measure_case(size_t index, double budget_s)
{
    learner l = create(&cases[index].spec, cases[index].rows);
    char name[32];
    // About 20 ms a sample: two multiply-adds a weight and row in each of five passes.
    size_t updates = (size_t)(4e8 / (double)(l.layout.parameters * l.rows)) + 1;
    snprintf(name, sizeof name, "update.%s", cases[index].name);
    bench run = bench_begin(name, "us", budget_s);
    while (bench_next(&run)) {
        for (size_t i = 0; i < updates; i++)
            update(&l, i % BATCHES);
        bench_sample(&run, bench_elapsed(&run) * 1e6 / (double)updates);
    }
    bench_report(&run);

    enum { ACTS = 10000 };
    snprintf(name, sizeof name, "act.%s", cases[index].name);
    run = bench_begin(name, "us", budget_s);
    while (bench_next(&run)) {
        for (size_t i = 0; i < ACTS; i++)
            bench_need(nn_net_act(l.net, l.online,
                                  l.observation + i % l.rows * l.layout.spec.inputs,
                                  (nn_fractions){ 0 }, l.q));
        bench_sample(&run, bench_elapsed(&run) * 1e6 / ACTS);
    }
    bench_report(&run);
    destroy(&l);
}

// W^T X of the middle layer: [outputs, inputs] x [inputs, rows].
static void measure_product(size_t index, double budget_s)
{
    size_t m = cases[index].spec.hidden[1], k = cases[index].spec.hidden[0];
    size_t n = 2 * cases[index].rows;
    gn_random random = gn_random_stream(2, GN_RANDOM_INIT, 0);
    float *w = random_floats(&random, k * m), *x = random_floats(&random, k * n);
    float *out = allocate(m * n), *scratch = allocate(nn_matmul_scratch(k));
    torch_tensor *a, *b, *c;
    bench_need(torch_tensor_wrap(&a, w, 2, (int64_t[]){ (int64_t)m, (int64_t)k },
                                 (int64_t[]){ 1, (int64_t)m }));
    bench_need(torch_tensor_wrap(&b, x, 2, (int64_t[]){ (int64_t)k, (int64_t)n }, NULL));
    bench_need(torch_tensor_wrap(&c, out, 2, (int64_t[]){ (int64_t)m, (int64_t)n }, NULL));
    double work = 2e-9 * (double)(m * n * k); // 1e9 operations
    size_t products = (size_t)(2 / work) + 1;
    for (int ours = 1; ours >= 0; ours--) {
        char name[32];
        snprintf(name, sizeof name, "product.%s%s", cases[index].name, ours ? "" : ".libtorch");
        bench run = bench_begin(name, "GFLOP/s", budget_s);
        while (bench_next(&run)) {
            for (size_t i = 0; i < products; i++)
                if (ours)
                    nn_matmul(m, n, k, (nn_matrix){ w, 1, m }, (nn_matrix){ x, n, 1 },
                              (nn_bias){ 0 }, false, out, n, scratch);
                else
                    bench_need(torch_matmul(c, a, b));
            bench_sample(&run, (double)products * work / bench_elapsed(&run));
        }
        bench_report(&run);
    }
    torch_tensor_destroy(&a);
    torch_tensor_destroy(&b);
    torch_tensor_destroy(&c);
    gn_free(&w);
    gn_free(&x);
    gn_free(&out);
    gn_free(&scratch);
}

int main(int count, char **argument)
{
    double budget_s = 1;
    if (count == 3 && strcmp(argument[1], "--seconds") == 0) {
        budget_s = atof(argument[2]);
    } else if (count != 1) {
        fprintf(stderr, "usage: %s [--seconds S]\n", argument[0]);
        return 2;
    }
    bench_need(torch_set_threads(1));
    for (size_t i = 0; i < CASES; i++) {
        measure_case(i, budget_s);
        measure_product(i, budget_s);
    }
    return 0;
}
