// What a head costs in an update, by kind: values of all actions, targets from the actions that
// follow, loss with gradient. One thread; 128 steps, 3 actions, widths of the defaults.
//
//     bench_head [--seconds S]

#include <stdio.h>

#include "base/mem.h"
#include "base/random.h"
#include "benchmarks/bench.h"
#include "nn/head.h"

enum { STEPS = 128, ACTIONS = 3, ROWS = STEPS * ACTIONS, REPEATS = 200 };

typedef struct update {
    nn_head head;
    size_t width, target_width;
    float *out; // [ROWS, width]
    float *target; // [STEPS, target_width]
    float *fraction, *grad; // [STEPS, width]
    float reward[STEPS], discount[STEPS], weight[STEPS], error[STEPS];
    float policy[STEPS], value[ROWS];
} update;

static float *allocate(size_t count)
{
    float *block;
    bench_need(gn_alloc(&block, count, sizeof *block));
    return block;
}

static void create(update *u, nn_head_kind kind)
{
    nn_head_config config;
    const gn_option_section sections[] = {
        { .name = "head", .options = nn_head_options, .values = &config },
        { 0 },
    };
    gn_options_reset(sections);
    config.kind = (int)kind;
    bench_need(nn_head_create(&u->head, &config));
    u->width = u->head.width;
    u->target_width = nn_head_target_width(&u->head, 1);
    u->out = allocate(ROWS * u->width);
    u->target = allocate(STEPS * u->target_width);
    u->fraction = allocate(STEPS * u->width);
    u->grad = allocate(STEPS * u->width);
    gn_random random = gn_random_stream(1, GN_RANDOM_TEST, 0);
    for (size_t i = 0; i < ROWS * u->width; i++)
        u->out[i] = (float)gn_random_normal(&random);
    for (size_t i = 0; i < STEPS * u->width; i++)
        u->fraction[i] = (float)gn_random_unit(&random);
    for (size_t i = 0; i < STEPS; i++) {
        u->reward[i] = (float)gn_random_normal(&random);
        u->discount[i] = 0.99f;
        u->weight[i] = 1;
        u->policy[i] = 1;
    }
}

static void values(update *u)
{
    const nn_risk mean = { .kind = NN_RISK_MEAN };
    nn_head_values(&u->head, u->out, ROWS, u->width, &mean, 0, u->value);
}

static void worst_values(update *u)
{
    const nn_risk worst = { .kind = NN_RISK_CVAR, .level = 0.25 };
    nn_head_values(&u->head, u->out, ROWS, u->width, &worst, 0, u->value);
}

static void targets(update *u)
{
    nn_head_target(&u->head,
                   &(nn_backup){ .n = STEPS,
                                 .actions = 1,
                                 .width = u->width,
                                 .out = u->out,
                                 .reward = u->reward,
                                 .discount = u->discount,
                                 .policy = u->policy },
                   u->target);
}

static void loss(update *u)
{
    nn_head_loss(&u->head, &(nn_head_batch){ .n = STEPS,
                                             .width = u->width,
                                             .target_width = u->target_width,
                                             .out = u->out,
                                             .target = u->target,
                                             .fraction = u->fraction,
                                             .weight = u->weight,
                                             .ret_error = u->error,
                                             .ret_grad = u->grad });
}

static const struct {
    const char *name;
    void (*part)(update *u);
} parts[] = {
    { "values", values },
    { "values.cvar", worst_values },
    { "target", targets },
    { "loss", loss },
};

static void measure(nn_head_kind kind, double budget_s)
{
    update u;
    create(&u, kind);
    targets(&u);
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
        if (parts[p].part == worst_values && !nn_head_is_distribution(&u.head))
            continue;
        char name[64];
        snprintf(name, sizeof name, "head.%s.%s", u.head.kind->name, parts[p].name);
        bench run = bench_begin(name, "us", budget_s);
        while (bench_next(&run)) {
            for (int i = 0; i < REPEATS; i++)
                parts[p].part(&u);
            bench_sample(&run, bench_elapsed(&run) * 1e6 / REPEATS);
        }
        bench_report(&run);
    }
    float **const blocks[] = { &u.out, &u.target, &u.fraction, &u.grad };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        gn_free(blocks[i]);
}

int main(int count, char **argument)
{
    double budget_s = bench_seconds(count, argument);
    for (int kind = NN_HEAD_SCALAR; kind <= NN_HEAD_GAUSSIAN_MIXTURE; kind++)
        measure((nn_head_kind)kind, budget_s);
    return 0;
}
