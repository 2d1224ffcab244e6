// What is particular to encoders: which layers they become and which observations they refuse.
// Their mathematics is compared with autograd in test_net.c; here where equal pixels meet.

#include "nn/encoder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "nn/net.h"
#include "nn/safetensors.h"
#include "nn/sigmoid.h"
#include "shim/torch.h"
#include "tests/support/autograd_oracle.h"
#include "tests/support/check.h"

static int encoder(const char *name)
{
    for (int i = 0; nn_encoders[i].name; i++)
        if (strcmp(nn_encoders[i].name, name) == 0)
            return i;
    fail_msg("no encoder %s", name);
    return -1;
}

static nn_spec picture_spec(const char *name, uint32_t channels, uint32_t height, uint32_t width)
{
    return (nn_spec){ .inputs = channels * height * width,
                      .picture = { channels, height, width },
                      .actions = 2,
                      .encoder = encoder(name) };
}

// A window with 3 numbers behind it.
static nn_spec window_spec(const char *name, uint32_t window, uint32_t features)
{
    return (nn_spec){ .inputs = window * features + 3,
                      .window = window,
                      .features = features,
                      .actions = 2,
                      .encoder = encoder(name),
                      .channel_layers = 2,
                      .channels = { 6, 8 },
                      .kernel = 5,
                      .stride = 2,
                      .recurrent_width = 16 };
}

static nn_layout layout_of(nn_spec spec)
{
    nn_layout layout;
    expect_ok(nn_layout_create(&layout, &spec));
    return layout;
}

static void check_slice(const nn_layout *layout, uint32_t index, const char *name, uint32_t fan_in,
                        uint32_t rank, const uint32_t *shape)
{
    const nn_slice *slice = &layout->slice[index];
    assert_string_equal(slice->name, name);
    assert_int_equal(slice->fan_in, fan_in);
    assert_int_equal(slice->rank, rank);
    for (uint32_t d = 0; d < 4; d++)
        assert_int_equal(slice->shape[d], d < rank ? shape[d] : 1);
}

static void layers_are_those_of_the_papers(void **state)
{
    (void)state;
    nn_layout nature = layout_of(picture_spec("nature", 4, 84, 84));
    assert_int_equal(nature.slice_count, 8);
    check_slice(&nature, 0, "encoder.conv0.weight", 256, 4, (uint32_t[]){ 32, 4, 8, 8 });
    check_slice(&nature, 1, "encoder.conv0.bias", 256, 1, (uint32_t[]){ 32 });
    check_slice(&nature, 2, "encoder.conv1.weight", 512, 4, (uint32_t[]){ 64, 32, 4, 4 });
    check_slice(&nature, 4, "encoder.conv2.weight", 576, 4, (uint32_t[]){ 64, 64, 3, 3 });
    check_slice(&nature, 6, "head.weight", 3136, 2, (uint32_t[]){ 3136, 2 });
    assert_int_equal(nature.parameters, 8224 + 32832 + 36928 + 3137 * 2);

    nn_layout impala = layout_of(picture_spec("impala", 4, 84, 84));
    assert_int_equal(impala.slice_count, 3 * 10 + 2);
    check_slice(&impala, 0, "encoder.stage0.weight", 36, 4, (uint32_t[]){ 16, 4, 3, 3 });
    check_slice(&impala, 2, "encoder.stage0.block0.first_weight", 144, 4,
                (uint32_t[]){ 16, 16, 3, 3 });
    check_slice(&impala, 29, "encoder.stage2.block1.second_bias", 288, 1, (uint32_t[]){ 32 });
    check_slice(&impala, 30, "head.weight", 3872, 2, (uint32_t[]){ 32 * 11 * 11, 2 });

    nn_layout conv1d = layout_of(window_spec("conv1d", 20, 7));
    check_slice(&conv1d, 0, "encoder.conv0.weight", 35, 3, (uint32_t[]){ 6, 7, 5 });
    check_slice(&conv1d, 2, "encoder.conv1.weight", 30, 3, (uint32_t[]){ 8, 6, 5 });
    check_slice(&conv1d, 4, "head.weight", 19, 2, (uint32_t[]){ 8 * 2 + 3, 2 });

    nn_layout gru = layout_of(window_spec("gru", 20, 7));
    check_slice(&gru, 0, "encoder.gru.input_weight", 16, 2, (uint32_t[]){ 7, 48 });
    check_slice(&gru, 1, "encoder.gru.hidden_weight", 16, 2, (uint32_t[]){ 16, 48 });
    check_slice(&gru, 3, "encoder.gru.hidden_bias", 16, 1, (uint32_t[]){ 48 });
    check_slice(&gru, 4, "head.weight", 19, 2, (uint32_t[]){ 19, 2 });
    nn_layout lstm = layout_of(window_spec("lstm", 20, 7));
    check_slice(&lstm, 2, "encoder.lstm.input_bias", 16, 1, (uint32_t[]){ 64 });
}

static void refuse(const char *text, nn_spec spec)
{
    nn_layout layout = { .size = 77 };
    expect_fails(GN_ERR_CONFIG, text, nn_layout_create(&layout, &spec));
    assert_int_equal(layout.size, 77);
}

static void refuses_what_it_cannot_see(void **state)
{
    (void)state;
    refuse("network.encoder: nature needs observations that are pictures, not 143 numbers",
           window_spec("nature", 20, 7));
    refuse("network.encoder: impala needs observations that are pictures",
           (nn_spec){ .inputs = 4, .actions = 2, .encoder = encoder("impala") });
    refuse("network.encoder: nature: pictures of 35 x 36 are too small, must be 36 x 36 at least",
           picture_spec("nature", 4, 35, 36));
    refuse("network.encoder: nature: pictures of 84 x 35 are too small",
           picture_spec("nature", 1, 84, 35));
    layout_of(picture_spec("nature", 1, 36, 36));
    layout_of(picture_spec("impala", 1, 1, 1));
    nn_spec wrong = picture_spec("impala", 3, 10, 10);
    wrong.inputs = 299;
    refuse("network: a picture of 3 x 10 x 10 is not 299 inputs", wrong);
    refuse("network.encoder: a layer of 16 x 700 x 700 outputs, at most 1048576 are possible",
           picture_spec("impala", 1, 700, 700));

    const char *const windows[] = { "conv1d", "lstm", "gru" };
    for (int i = 0; i < 3; i++) {
        char text[80];
        snprintf(text, sizeof text,
                 "network.encoder: %s needs observations that are windows of bars", windows[i]);
        refuse(text, picture_spec(windows[i], 4, 84, 84));
        wrong = window_spec(windows[i], 20, 7);
        wrong.inputs = 139;
        refuse("network: a window of 20 x 7 features is more than 139 inputs", wrong);
    }
    refuse("network.kernel: 5: convolution 2 of 2 has only 4 of the bars left (a window of 12, "
           "network.stride 2)",
           window_spec("conv1d", 12, 7));
    layout_of(window_spec("conv1d", 13, 7));
    wrong = window_spec("lstm", 20, 7);
    wrong.recurrent_width = 0;
    refuse("network.recurrent_width: 0 is not in 1..4096", wrong);
    wrong = window_spec("conv1d", 20, 7);
    wrong.stride = 0;
    refuse("network.encoder: conv1d needs channels, kernel and stride above 0", wrong);
}

static void weights_survive_a_file(void **state)
{
    (void)state;
    const nn_spec specs[] = { picture_spec("nature", 2, 36, 36), window_spec("conv1d", 20, 7) };
    const char *const shapes[] = { "\"shape\":[32,2,8,8]", "\"shape\":[6,7,5]" };
    for (int i = 0; i < 2; i++) {
        nn_layout layout = layout_of(specs[i]);
        float *parameter, *decoded;
        void *bytes;
        size_t size;
        expect_ok(gn_alloc(&parameter, layout.size, sizeof *parameter));
        expect_ok(gn_alloc(&decoded, layout.size, sizeof *decoded));
        gn_random random = gn_random_stream(1, GN_RANDOM_TEST, 0);
        nn_layout_initialise(&layout, &random, parameter);
        char header[2048] = { 0 }; // after its length, at the beginning of the file
        expect_ok(nn_safetensors_encode(&layout, parameter, &bytes, &size));
        assert_true(size > sizeof header);
        memcpy(header, (char *)bytes + 8, sizeof header - 1);
        assert_non_null(strstr(header, shapes[i]));
        expect_ok(nn_safetensors_decode(&layout, bytes, size, decoded));
        assert_memory_equal(decoded, parameter, layout.size * sizeof *decoded);
        gn_free(&parameter);
        gn_free(&decoded);
        gn_free(&bytes);
    }
}

// --- running one

enum { ROWS = 9 };

// The actions whose outputs have a gradient.
static const int32_t taken[ROWS] = { 0, 1, 1 };

typedef struct fixture {
    nn_layout layout;
    nn_net *net;
    float *parameter, *gradient, *x;
    float out[2 * ROWS], grad_out[2 * ROWS];
} fixture;

static fixture set_up(nn_spec spec)
{
    fixture f = { .layout = layout_of(spec) };
    expect_ok(nn_net_create(&f.net, &f.layout, ROWS, 1));
    expect_ok(gn_alloc(&f.parameter, f.layout.size, sizeof(float)));
    expect_ok(gn_alloc(&f.gradient, f.layout.size, sizeof(float)));
    expect_ok(gn_alloc(&f.x, ROWS * spec.inputs, sizeof(float)));
    gn_random random = gn_random_stream(3, GN_RANDOM_TEST, 0);
    nn_layout_initialise(&f.layout, &random, f.parameter);
    for (size_t i = 0; i < ROWS * spec.inputs; i++)
        f.x[i] = (float)gn_random_uniform(&random, 0, 1);
    for (size_t i = 0; i < 2 * ROWS; i++)
        f.grad_out[i] = (float)gn_random_uniform(&random, -1, 1);
    return f;
}

static void tear_down(fixture *f)
{
    nn_net_destroy(&f->net);
    gn_free(&f->parameter);
    gn_free(&f->gradient);
    gn_free(&f->x);
}

static void forward(fixture *f)
{
    expect_ok(nn_net_forward(f->net, f->parameter, f->x, ROWS, (nn_fractions){ 0 }, f->out));
}

static nn_spec spec_of(int index)
{
    switch (index) {
    case 0:
        return window_spec("conv1d", 20, 7);
    case 1:
        return window_spec("lstm", 20, 7);
    case 2:
        return window_spec("gru", 20, 7);
    case 3:
        return picture_spec("nature", 3, 40, 36);
    default:
        return picture_spec("impala", 3, 10, 13);
    }
}

// On a plain picture the pooled pixels are equal: the gradient is the first one's.
static void gradients_of_equal_pixels(void **state)
{
    (void)state;
    fixture f = set_up(picture_spec("impala", 2, 12, 9));
    double *parameter, *gradient, out[2 * ROWS], largest = 0;
    expect_ok(gn_alloc(&parameter, f.layout.size, sizeof *parameter));
    expect_ok(gn_alloc(&gradient, f.layout.size, sizeof *gradient));
    for (size_t i = 0; i < ROWS * 2 * 12 * 9; i++)
        f.x[i] = 0.5f;
    for (size_t i = 0; i < f.layout.size; i++)
        parameter[i] = f.parameter[i];
    forward(&f);
    expect_ok(nn_net_backward(f.net, f.parameter, f.x, taken, f.grad_out, ROWS, f.gradient));
    oracle_network(&f.layout, parameter, NULL, f.x, (nn_fractions){ 0 }, taken, f.grad_out, ROWS,
                   out, gradient);
    for (size_t i = 0; i < f.layout.size; i++)
        largest = fmax(largest, fabs(gradient[i]));
    for (size_t i = 0; i < f.layout.size; i++)
        assert_float_equal(f.gradient[i], gradient[i], 1e-5 * largest);
    gn_free(&parameter);
    gn_free(&gradient);
    tear_down(&f);
}

static void a_step_allocates_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        fixture f = set_up(spec_of(i));
        torch_count_storage(true);
        uint64_t allocations = gn_mem_allocations(), tensors = torch_tensors_created();
        forward(&f);
        expect_ok(nn_net_backward(f.net, f.parameter, f.x, taken, f.grad_out, ROWS, f.gradient));
        expect_ok(nn_net_act(f.net, f.parameter, f.x, (nn_fractions){ 0 }, f.out));
        assert_int_equal(gn_mem_allocations(), allocations);
        assert_int_equal(torch_tensors_created(), tensors);
        torch_count_storage(false);
        tear_down(&f);
    }
}

static void backward_after_act_needs_a_forward(void **state)
{
    (void)state;
    fixture f = set_up(spec_of(1));
    forward(&f);
    expect_ok(nn_net_act(f.net, f.parameter, f.x, (nn_fractions){ 0 }, f.out));
    expect_fails(GN_ERR_ARG, "1 rows are not in 1..0",
                 nn_net_backward(f.net, f.parameter, f.x, taken, f.grad_out, 1, f.gradient));
    tear_down(&f);
}

static void a_nan_comes_through(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        fixture f = set_up(spec_of(i));
        f.x[f.layout.spec.inputs + 6] = NAN;
        forward(&f);
        assert_true(isfinite(f.out[0]) && isfinite(f.out[1]));
        assert_true(isnan(f.out[2]) && isnan(f.out[3]));
        tear_down(&f);
    }
}

static void sigmoid_and_tanh_are_exact_to_float(void **state)
{
    (void)state;
    for (double at = -120; at < 120; at += 0.0037) {
        float x = (float)at, small = x * 1e-4f;
        double one = 1 / (1 + exp(-(double)x));
        assert_true(fabs(nn_sigmoid(x) - one) <= 3e-7 * one + 1e-37);
        assert_true(fabs(nn_tanh(x) - tanh(x)) <= 4e-7 * fabs(tanh(x)));
        assert_true(fabs(nn_tanh(small) - tanh(small)) <= 4e-7 * fabs(tanh(small)));
    }
    assert_true(nn_tanh(0) == 0 && nn_tanh(INFINITY) == 1 && nn_tanh(-INFINITY) == -1);
    assert_true(nn_sigmoid(INFINITY) == 1 && nn_sigmoid(-INFINITY) < 1e-37f);
    assert_true(isnan(nn_sigmoid(NAN)) && isnan(nn_tanh(NAN)));
}

TEST_MAIN(layers_are_those_of_the_papers, refuses_what_it_cannot_see, weights_survive_a_file,
          gradients_of_equal_pixels, a_step_allocates_nothing, backward_after_act_needs_a_forward,
          a_nan_comes_through, sigmoid_and_tanh_are_exact_to_float)
