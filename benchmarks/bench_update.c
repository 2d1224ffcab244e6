// One gradient update with double learning and one greedy action, in the shapes of the peers'
// benchmark; and the product inside them beside LibTorch's. One thread.
//
//     a  4-64-64-2, B=64      b  4-120-84-2, B=128      c  652-256-256-3 dueling, B=256
//     d  82-128-128-3 dueling, B=128, C51 with 51 atoms in -10..10; the others have the mean alone
//
// An update is: outputs for next observations (both networks) and for observations, as far as they
// count, targets, loss, backward, clipping, Adam. Its batches are prepared beforehand and taken in
// turn.
//
//     bench_update [--seconds S] [--cases abcd]

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "benchmarks/bench.h"
#include "nn/head.h"
#include "nn/matmul.h"
#include "nn/net.h"
#include "nn/optimizer.h"
#include "rl/choice.h"
#include "shim/torch.h"

static const struct {
    const char *name;
    size_t rows;
    nn_head_kind head;
    nn_spec spec;
} cases[] = {
    { "a",
      64,
      NN_HEAD_SCALAR,
      { .inputs = 4, .actions = 2, .hidden_layers = 2, .hidden = { 64, 64 } } },
    { "b",
      128,
      NN_HEAD_SCALAR,
      { .inputs = 4, .actions = 2, .hidden_layers = 2, .hidden = { 120, 84 } } },
    { "c",
      256,
      NN_HEAD_SCALAR,
      { .inputs = 652,
        .actions = 3,
        .hidden_layers = 2,
        .hidden = { 256, 256 },
        .dueling = true } },
    { "d",
      128,
      NN_HEAD_CATEGORICAL,
      { .inputs = 82, .actions = 3, .hidden_layers = 2, .hidden = { 128, 128 }, .dueling = true } },
};
enum { CASES = sizeof cases / sizeof *cases, BATCHES = 16 };
static const float gamma_of_targets = 0.99f;

typedef struct learner {
    nn_layout layout;
    nn_net *net;
    nn_optimizer *optimizer;
    nn_head head;
    size_t rows;
    float *online, *target, *gradient;
    float *next_out; // [rows, actions, width]
    float *out, *grad_out; // [rows, width]
    float *value, *one, *goal, *error; // [rows, actions], [rows], [rows, target width], [rows]
    int32_t *next_action; // [rows]
    // Of BATCHES batches: observations before next observations.
    float *observation, *reward, *discount, *weight;
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

static nn_head head_of(nn_head_kind kind)
{
    nn_head head;
    nn_head_config config;
    const gn_option_section sections[] = {
        { .name = "head", .options = nn_head_options, .values = &config },
        { 0 },
    };
    gn_options_reset(sections);
    config.kind = kind;
    bench_need(nn_head_create(&head, &config));
    return head;
}

static learner create(nn_spec spec, nn_head_kind kind, size_t rows)
{
    learner l = { .rows = rows, .head = head_of(kind) };
    size_t outputs = spec.actions * l.head.width;
    spec.width = (uint32_t)l.head.width;
    gn_random random = gn_random_stream(1, GN_RANDOM_INIT, 0);
    nn_optimizer_config config;
    const gn_option_section sections[] = {
        { .name = "optimizer", .options = nn_optimizer_options, .values = &config },
        { 0 },
    };
    gn_options_reset(sections);
    bench_need(nn_layout_create(&l.layout, &spec));
    bench_need(nn_net_create(&l.net, &l.layout, rows, 1));
    l.online = allocate(l.layout.size);
    l.target = allocate(l.layout.size);
    l.gradient = allocate(l.layout.size);
    l.next_out = allocate(rows * outputs);
    l.out = allocate(rows * l.head.width);
    l.grad_out = allocate(rows * l.head.width);
    l.value = allocate(rows * spec.actions);
    l.one = allocate(rows);
    l.goal = allocate(rows * nn_head_target_width(&l.head, 1));
    l.error = allocate(rows);
    bench_need(nn_optimizer_create(&l.optimizer, &config, l.online, l.gradient, l.layout.size));
    nn_layout_initialise(&l.layout, &random, l.online);
    nn_target_update(l.target, l.online, l.layout.size, 1);
    l.observation = random_floats(&random, BATCHES * 2 * rows * spec.inputs);
    l.reward = random_floats(&random, BATCHES * rows);
    l.weight = allocate(BATCHES * rows);
    l.discount = allocate(BATCHES * rows);
    bench_need(gn_alloc(&l.action, BATCHES * rows, sizeof *l.action));
    bench_need(gn_alloc(&l.next_action, rows, sizeof *l.next_action));
    for (size_t i = 0; i < rows; i++)
        l.one[i] = 1;
    for (size_t i = 0; i < BATCHES * rows; i++) {
        l.weight[i] = 1;
        l.discount[i] = gamma_of_targets;
        l.action[i] = (int32_t)gn_random_below(&random, spec.actions);
    }
    return l;
}

static void destroy(learner *l)
{
    nn_net_destroy(&l->net);
    nn_optimizer_destroy(&l->optimizer);
    float **const blocks[] = { &l->online,   &l->target,  &l->gradient,    &l->out,
                               &l->next_out, &l->value,   &l->one,         &l->goal,
                               &l->grad_out, &l->error,   &l->observation, &l->reward,
                               &l->weight,   &l->discount };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        gn_free(blocks[i]);
    gn_free(&l->action);
    gn_free(&l->next_action);
}

static void update(learner *l, size_t batch)
{
    uint32_t actions = l->layout.spec.actions;
    size_t rows = l->rows, inputs = l->layout.spec.inputs, width = l->head.width;
    const float *observation = l->observation + batch * 2 * rows * inputs;
    const float *next_observation = observation + rows * inputs;
    const int32_t *action = l->action + batch * rows;
    const nn_fractions none = { 0 };
    const nn_risk mean = { .kind = NN_RISK_MEAN };
    bench_need(nn_net_forward(l->net, l->online, next_observation, rows, none, l->next_out));
    nn_head_values(&l->head, l->next_out, rows * actions, width, &mean, 0, l->value);
    for (size_t i = 0; i < rows; i++)
        l->next_action[i] = rl_choice_argmax(l->value + i * actions, actions);
    bench_need(nn_net_forward_chosen(l->net, l->target, next_observation, rows, none,
                                     l->next_action, l->next_out));
    const nn_backup backup = { .n = rows,
                               .actions = 1,
                               .width = width,
                               .out = l->next_out,
                               .reward = l->reward + batch * rows,
                               .discount = l->discount + batch * rows,
                               .policy = l->one };
    nn_head_target(&l->head, &backup, l->goal);
    bench_need(nn_net_forward_chosen(l->net, l->online, observation, rows, none, action, l->out));
    const nn_head_batch loss = { .n = rows,
                                 .width = width,
                                 .target_width = nn_head_target_width(&l->head, 1),
                                 .out = l->out,
                                 .target = l->goal,
                                 .weight = l->weight + batch * rows,
                                 .ret_error = l->error,
                                 .ret_grad = l->grad_out };
    nn_head_loss(&l->head, &loss);
    bench_need(
        nn_net_backward(l->net, l->online, observation, action, l->grad_out, rows, l->gradient));
    bench_need(nn_optimizer_step(l->optimizer, NULL));
}

static int32_t act(learner *l, size_t row)
{
    const nn_risk mean = { .kind = NN_RISK_MEAN };
    const nn_spec *spec = &l->layout.spec;
    bench_need(nn_net_act(l->net, l->online, l->observation + row * spec->inputs,
                          (nn_fractions){ 0 }, l->next_out));
    nn_head_values(&l->head, l->next_out, spec->actions, l->head.width, &mean, 0, l->value);
    return rl_choice_argmax(l->value, spec->actions);
}

static void measure_case(size_t index, double budget_s)
{
    learner l = create(cases[index].spec, cases[index].head, cases[index].rows);
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
            act(&l, i % l.rows);
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
    const char *chosen = "abcd";
    for (int i = 1; i < count; i += 2) {
        bool seconds = strcmp(argument[i], "--seconds") == 0;
        if (i + 1 == count || (!seconds && strcmp(argument[i], "--cases") != 0)) {
            fprintf(stderr, "usage: %s [--seconds S] [--cases abcd]\n", argument[0]);
            return 2;
        }
        if (seconds)
            budget_s = atof(argument[i + 1]);
        else
            chosen = argument[i + 1];
    }
    bench_need(torch_set_threads(1));
    for (size_t i = 0; i < CASES; i++) {
        if (!strstr(chosen, cases[i].name))
            continue;
        measure_case(i, budget_s);
        measure_product(i, budget_s);
    }
    return 0;
}
