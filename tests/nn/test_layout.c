#include "nn/layout.h"

#include <math.h>

#include "tests/support/check.h"

static void slices_lie_where_the_header_says(void **state)
{
    (void)state;
    nn_layout layout;
    const nn_spec spec = {
        .inputs = 4, .actions = 2, .hidden_layers = 2, .hidden = { 5, 3 }, .dueling = true
    };
    expect_ok(nn_layout_create(&layout, &spec));
    const nn_slice expected[] = {
        { "layer0.weight", 2, { 4, 5, 1, 1 }, NN_SLICE_UNIFORM, 4, 0 },
        { "layer0.bias", 1, { 5, 1, 1, 1 }, NN_SLICE_UNIFORM, 4, 32 },
        { "layer1.weight", 2, { 5, 3, 1, 1 }, NN_SLICE_UNIFORM, 5, 48 },
        { "layer1.bias", 1, { 3, 1, 1, 1 }, NN_SLICE_UNIFORM, 5, 64 },
        { "head.weight", 2, { 3, 3, 1, 1 }, NN_SLICE_UNIFORM, 3, 80 },
        { "head.bias", 1, { 3, 1, 1, 1 }, NN_SLICE_UNIFORM, 3, 96 },
    };
    assert_int_equal(layout.slice_count, 6);
    assert_int_equal(layout.size, 112);
    assert_int_equal(layout.parameters, 20 + 5 + 15 + 3 + 9 + 3);
    for (int i = 0; i < 6; i++) {
        assert_string_equal(layout.slice[i].name, expected[i].name);
        assert_int_equal(layout.slice[i].rank, expected[i].rank);
        for (int d = 0; d < 4; d++)
            assert_int_equal(layout.slice[i].shape[d], expected[i].shape[d]);
        assert_int_equal(layout.slice[i].fan_in, expected[i].fan_in);
        assert_int_equal(layout.slice[i].offset, expected[i].offset);
    }
}

static void initial_parameters_are_uniform(void **state)
{
    (void)state;
    enum { SIZE = 16 * 64 + 64 + 64 * 2 + 16 };
    float parameter[SIZE], again[SIZE];
    for (int i = 0; i < SIZE; i++)
        parameter[i] = again[i] = 9;
    nn_layout layout;
    const nn_spec spec = { .inputs = 16, .actions = 2, .hidden_layers = 1, .hidden = { 64 } };
    expect_ok(nn_layout_create(&layout, &spec));
    assert_int_equal(layout.size, SIZE);
    gn_random random = gn_random_stream(7, GN_RANDOM_INIT, 0);
    nn_layout_initialise(&layout, &random, parameter);
    random = gn_random_stream(7, GN_RANDOM_INIT, 0);
    nn_layout_initialise(&layout, &random, again);
    assert_memory_equal(parameter, again, sizeof parameter);

    // Variance of a uniform variable in +-1/4: 1/48. The deviation of its mean over 1088: 0.0044.
    double sum = 0, squares = 0;
    for (int i = 0; i < 17 * 64; i++) {
        assert_true(fabsf(parameter[i]) <= 0.25f);
        sum += parameter[i];
        squares += parameter[i] * parameter[i];
    }
    assert_float_equal(sum / (17 * 64), 0, 0.02);
    assert_float_equal(squares / (17 * 64), 1.0 / 48, 0.002);
    float largest = 0; // biases have the bound of their layer's inputs
    for (int i = 16 * 64; i < 17 * 64; i++)
        largest = fmaxf(largest, fabsf(parameter[i]));
    assert_true(largest > 0.2f);
    for (int i = 17 * 64; i < SIZE - 14; i++)
        assert_true(fabsf(parameter[i]) <= 0.125f && parameter[i] != 0);
    for (int i = SIZE - 14; i < SIZE; i++) // padding
        assert_true(parameter[i] == 0);
}

static void spec_comes_from_options(void **state)
{
    (void)state;
    nn_network_config config;
    const gn_option_section sections[] = { { "network", "test", nn_network_options, &config },
                                           { 0 } };
    gn_options_reset(sections);
    nn_spec spec = { .inputs = 10, .actions = 3, .dueling = true };
    expect_ok(nn_spec_configure(&spec, &config));
    assert_int_equal(spec.inputs, 10);
    assert_int_equal(spec.actions, 3);
    assert_true(spec.dueling);
    assert_int_equal(spec.hidden_layers, 2);
    assert_int_equal(spec.hidden[0], 128);
    assert_int_equal(spec.hidden[1], 128);

    expect_ok(gn_options_set(sections, "network.hidden", "64,1.5"));
    expect_fails(GN_ERR_CONFIG, "network.hidden: 1.5 is not a whole number",
                 nn_spec_configure(&spec, &config));
    expect_fails(GN_ERR_CONFIG, "is not 1 to 8 numbers with commas, each in [1, 65536]",
                 gn_options_set(sections, "network.hidden", "1,2,3,4,5,6,7,8,9"));
    config.hidden = (gn_option_list){ .count = 9, .value = { 1, 2, 3, 4, 5, 6, 7, 8, 9 } };
    expect_fails(GN_ERR_CONFIG, "network.hidden: 9 layers, at most 8",
                 nn_spec_configure(&spec, &config));
    assert_int_equal(spec.hidden[0], 128); // untouched by the failures
}

static void refuses_impossible_shapes(void **state)
{
    (void)state;
    nn_layout layout;
    expect_fails(GN_ERR_CONFIG, "number of inputs is 0",
                 nn_layout_create(&layout, &(nn_spec){ .actions = 1 }));
    expect_fails(GN_ERR_CONFIG, "number of inputs is 2000000, must be in 1..1048576",
                 nn_layout_create(&layout, &(nn_spec){ .inputs = 2000000, .actions = 1 }));
    expect_ok(nn_layout_create(&layout, &(nn_spec){ .inputs = 16 * 84 * 84, .actions = 1 }));
    expect_fails(GN_ERR_CONFIG, "number of actions is 70000, must be in 1..65536",
                 nn_layout_create(&layout, &(nn_spec){ .inputs = 1, .actions = 70000 }));
    expect_fails(
        GN_ERR_CONFIG, "width of a hidden layer is 0",
        nn_layout_create(&layout, &(nn_spec){ .inputs = 1, .actions = 1, .hidden_layers = 1 }));
    expect_fails(
        GN_ERR_CONFIG, "9 hidden layers, at most 8",
        nn_layout_create(&layout, &(nn_spec){ .inputs = 1, .actions = 1, .hidden_layers = 9 }));
    expect_fails(GN_ERR_CONFIG, "parameters, at most 1073741824 are possible",
                 nn_layout_create(&layout, &(nn_spec){ .inputs = 1,
                                                       .actions = 1,
                                                       .hidden = { 65536, 65536 },
                                                       .hidden_layers = 2 }));
}

TEST_MAIN(slices_lie_where_the_header_says, initial_parameters_are_uniform, spec_comes_from_options,
          refuses_impossible_shapes)
