// Each encoder with a head of one output on it: acting on one row, a forward of a batch, forward
// and backward of it, and a whole step of Adam. One thread. peer_encoder.py measures the same
// networks in PyTorch. Acting is on the CPU whatever the device.
//
//     nature, impala: pictures of 4 x 84 x 84
//     conv1d (32,32 channels, kernel 5, stride 2), lstm, gru (64 wide): windows of 64 bars of 14
//     features, and 3 numbers behind them
//
//     bench_encoder [--device cpu|torch|cuda] [--seconds S]

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "benchmarks/bench.h"
#include "nn/encoder.h"
#include "nn/model.h"
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
    nn_model *model;
    float *x, *out, *grad_out;
} subject;

typedef enum work { ACT, FORWARD, BACKWARD, UPDATE } work;
static const char *const work_names[] = { "act", "forward", "forward and backward", "update" };

// Of each row the outputs of the first action have a gradient.
static const int32_t taken[MOST_ROWS];

static void run(const subject *s, size_t rows, work what)
{
    const nn_fractions none = { 0 };
    nn_model *model = s->model;
    if (what == ACT)
        bench_need(nn_model_act(model, nn_model_parameters(model), s->x, none, s->out));
    else
        bench_need(nn_model_forward(model, NN_ONLINE, s->x, rows, none, NULL, s->out));
    if (what >= BACKWARD)
        bench_need(nn_model_backward(model, s->x, taken, s->grad_out, rows));
    if (what == UPDATE)
        bench_need(nn_model_step(model, 1, NULL));
}

static void measure(const subject *s, const char *encoder, const char *device_name, work what,
                    size_t rows, double budget_s)
{
    char name[64];
    size_t calls = what == ACT ? 50 : 2;
    const char *suffix = strcmp(device_name, "cpu") == 0 ? "" : device_name;
    snprintf(name, sizeof name, "%s.%zu.%s%s%s", encoder, rows, work_names[what],
             *suffix ? "." : "", suffix);
    bench measured = bench_begin(name, "us", budget_s);
    while (bench_next(&measured)) {
        for (size_t i = 0; i < calls; i++)
            run(s, rows, what);
        bench_sample(&measured, bench_elapsed(&measured) * 1e6 / (double)calls);
    }
    bench_report(&measured);
}

static void measure_case(size_t index, device on, const char *device_name, double budget_s)
{
    subject s = { 0 };
    size_t rows = cases[index].rows;
    const char *encoder = cases[index].encoder;
    nn_spec spec = spec_of(encoder, cases[index].picture);
    const nn_model_config config = {
        .on = on,
        .optimizer = { .learning_rate = 1e-4, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8 },
        .max_batch = rows,
        .max_quantiles = 1,
    };
    gn_random random = gn_random_stream(1, GN_RANDOM_INIT, 0);
    bench_need(nn_layout_create(&s.layout, &spec));
    bench_need(nn_model_create(&s.model, &s.layout, &config, &random));
    s.x = random_floats(&random, rows * spec.inputs);
    s.out = random_floats(&random, rows);
    s.grad_out = random_floats(&random, rows);
    measure(&s, encoder, device_name, ACT, 1, budget_s);
    for (work what = FORWARD; what <= UPDATE; what++)
        measure(&s, encoder, device_name, what, rows, budget_s);
    nn_model_destroy(&s.model);
    gn_free(&s.x);
    gn_free(&s.out);
    gn_free(&s.grad_out);
}

int main(int count, char **argument)
{
    double budget_s = 1;
    const char *device_name = "cpu";
    device on;
    for (int i = 1; i < count; i += 2) {
        if (i + 1 < count && strcmp(argument[i], "--device") == 0)
            device_name = argument[i + 1];
        else if (i + 1 < count && strcmp(argument[i], "--seconds") == 0)
            budget_s = atof(argument[i + 1]);
        else {
            fprintf(stderr, "usage: bench_encoder [--device cpu|torch|cuda] [--seconds S]\n");
            return 2;
        }
    }
    bench_need(device_resolve(&on, device_name, true, NULL));
    bench_need(torch_set_threads(1));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        measure_case(i, on, device_name, budget_s);
    return 0;
}
