// Each encoder with a head of one output on it: a forward of one row and of a batch, and forward
// and backward of the batch. One thread. peer_encoder.py measures the same networks in PyTorch.
//
//     nature, impala: pictures of 4 x 84 x 84
//     conv1d (32,32 channels, kernel 5, stride 2), lstm, gru (64 wide): windows of 64 bars of 14
//     features, and 3 numbers behind them
//
//     bench_encoder [--seconds S]

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "benchmarks/bench.h"
#include "nn/encoder.h"
#include "nn/net.h"
#include "shim/torch.h"

enum { SIDE = 84, WINDOW = 64, FEATURES = 14, ACCOUNT = 3, MOST_ROWS = 128 };

static const struct {
    const char *encoder;
    bool picture;
    size_t rows;
} cases[] = { { "nature", true, 32 },   { "nature", true, 64 }, { "impala", true, 32 },
              { "conv1d", false, 128 }, { "lstm", false, 128 }, { "gru", false, 128 } };

static nn_spec spec_of(const char *encoder, bool picture)
{
    nn_spec spec = { .actions = 1 };
    while (strcmp(nn_encoders[spec.encoder].name, encoder) != 0)
        spec.encoder++;
    if (picture) {
        spec.picture = (nn_shape){ 4, SIDE, SIDE };
        spec.inputs = 4 * SIDE * SIDE;
        return spec;
    }
    spec.inputs = WINDOW * FEATURES + ACCOUNT;
    spec.window = WINDOW;
    spec.features = FEATURES;
    spec.channel_layers = 2;
    spec.channels[0] = spec.channels[1] = 32;
    spec.kernel = 5;
    spec.stride = 2;
    spec.recurrent_width = 64;
    return spec;
}

static float *random_floats(gn_random *random, size_t count)
{
    float *block;
    bench_need(gn_alloc(&block, count, sizeof *block));
    for (size_t i = 0; i < count; i++)
        block[i] = (float)gn_random_uniform(random, 0, 1);
    return block;
}

typedef struct subject {
    nn_layout layout;
    nn_net *net;
    float *parameter, *gradient, *x, *out, *grad_out;
} subject;

// Of each row the outputs of the first action have a gradient.
static const int32_t taken[MOST_ROWS];

static void run(const subject *s, size_t rows, bool back)
{
    const nn_fractions none = { 0 };
    if (rows == 1)
        bench_need(nn_net_act(s->net, s->parameter, s->x, none, s->out));
    else
        bench_need(nn_net_forward(s->net, s->parameter, s->x, rows, none, s->out));
    if (back)
        bench_need(
            nn_net_backward(s->net, s->parameter, s->x, taken, s->grad_out, rows, s->gradient));
}

static void measure(const subject *s, const char *encoder, const char *what, size_t rows, bool back,
                    double budget_s)
{
    char name[64];
    size_t calls = rows == 1 ? 50 : 2;
    snprintf(name, sizeof name, "%s.%zu.%s", encoder, rows, what);
    bench measured = bench_begin(name, "us", budget_s);
    while (bench_next(&measured)) {
        for (size_t i = 0; i < calls; i++)
            run(s, rows, back);
        bench_sample(&measured, bench_elapsed(&measured) * 1e6 / (double)calls);
    }
    bench_report(&measured);
}

static void measure_case(size_t index, double budget_s)
{
    subject s = { 0 };
    size_t rows = cases[index].rows;
    const char *encoder = cases[index].encoder;
    nn_spec spec = spec_of(encoder, cases[index].picture);
    gn_random random = gn_random_stream(1, GN_RANDOM_INIT, 0);
    bench_need(nn_layout_create(&s.layout, &spec));
    bench_need(nn_net_create(&s.net, &s.layout, rows, 1));
    s.parameter = random_floats(&random, s.layout.size);
    s.gradient = random_floats(&random, s.layout.size);
    s.x = random_floats(&random, rows * spec.inputs);
    s.out = random_floats(&random, rows);
    s.grad_out = random_floats(&random, rows);
    nn_layout_initialise(&s.layout, &random, s.parameter);
    measure(&s, encoder, "act", 1, false, budget_s);
    measure(&s, encoder, "forward", rows, false, budget_s);
    measure(&s, encoder, "forward and backward", rows, true, budget_s);
    nn_net_destroy(&s.net);
    gn_free(&s.parameter);
    gn_free(&s.gradient);
    gn_free(&s.x);
    gn_free(&s.out);
    gn_free(&s.grad_out);
}

int main(int count, char **argument)
{
    double budget_s = bench_seconds(count, argument);
    bench_need(torch_set_threads(1));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        measure_case(i, budget_s);
    return 0;
}
