// Encoders read observations feature by feature, so all begin with a transposition.

#include "nn/encoder.h"

#include <stdio.h>

#include "nn/layer.h"

enum { MAX_RECURRENT_WIDTH = 4096 };

static gn_status append_nothing(nn_layout *layout)
{
    (void)layout;
    return GN_OK;
}

// --- pictures and windows

static gn_status begin_picture(nn_layout *layout, const char *encoder, uint32_t least)
{
    nn_shape picture = layout->spec.picture;
    uint32_t inputs = layout->spec.inputs;
    if (picture.channels == 0 || picture.height == 0 || picture.width == 0)
        return gn_fail(GN_ERR_CONFIG,
                       "network.encoder: %s needs observations that are pictures, not %u numbers",
                       encoder, inputs);
    if ((double)picture.channels * picture.height * picture.width != inputs)
        return gn_fail(GN_ERR_CONFIG, "network: a picture of %u x %u x %u is not %u inputs",
                       picture.channels, picture.height, picture.width, inputs);
    if (picture.height < least || picture.width < least)
        return gn_fail(GN_ERR_CONFIG,
                       "network.encoder: %s: pictures of %u x %u are too small, must be %u x %u at "
                       "least",
                       encoder, picture.height, picture.width, least, least);
    return nn_layout_append(
        layout,
        (nn_layer){ .kind = &nn_transpose, .outputs = inputs, .in = picture, .out = picture });
}

// A window becomes a picture [features, 1, bars].
static gn_status begin_window(nn_layout *layout, const char *encoder)
{
    const nn_spec *spec = &layout->spec;
    nn_shape bars = { spec->features, 1, spec->window };
    if (spec->window == 0 || spec->features == 0)
        return gn_fail(GN_ERR_CONFIG,
                       "network.encoder: %s needs observations that are windows of bars", encoder);
    if ((uint64_t)spec->window * spec->features > spec->inputs)
        return gn_fail(GN_ERR_CONFIG,
                       "network: a window of %u x %u features is more than %u inputs", spec->window,
                       spec->features, spec->inputs);
    return nn_layout_append(layout, (nn_layer){ .kind = &nn_transpose,
                                                .outputs = spec->inputs,
                                                .in = bars,
                                                .out = bars,
                                                .channels_last = true });
}

static uint32_t inputs_behind_window(const nn_spec *spec)
{
    return spec->inputs - spec->window * spec->features;
}

static nn_shape last_picture(const nn_layout *layout)
{
    return layout->layer[layout->layer_count - 1].out;
}

// How far a kernel gets along `size` pixels with a border on both sides.
static uint32_t places(uint32_t size, uint32_t kernel, uint32_t step, uint32_t border)
{
    return (size + 2 * border - kernel) / step + 1;
}

// Fills inputs, picture and outputs of a layer with a kernel, and appends it. Callers have seen to
// it that the kernel fits.
static gn_status append_kernel(nn_layout *layout, nn_layer layer, uint32_t channels)
{
    nn_shape in = last_picture(layout);
    layer.in = in;
    layer.out =
        (nn_shape){ channels, places(in.height, layer.kernel[0], layer.step[0], layer.border[0]),
                    places(in.width, layer.kernel[1], layer.step[1], layer.border[1]) };
    double outputs = (double)channels * layer.out.height * layer.out.width + layer.extra;
    if (outputs > NN_MAX_INPUTS)
        return gn_fail(GN_ERR_CONFIG,
                       "network.encoder: a layer of %u x %u x %u outputs, at most %d are possible",
                       channels, layer.out.height, layer.out.width, NN_MAX_INPUTS);
    layer.outputs = (uint32_t)outputs;
    return nn_layout_append(layout, layer);
}

// Slices of a convolution: "NAME.PREFIXweight", "NAME.PREFIXbias".
static void slice_convolution(nn_layout *layout, const char *name, const char *prefix)
{
    const nn_layer *layer = &layout->layer[layout->layer_count - 1];
    const uint32_t *kernel = layer->kernel, inputs = layer->in.channels;
    uint32_t outputs = layer->out.channels, fan_in = inputs * kernel[0] * kernel[1];
    bool window = layout->spec.window > 0 && layer->in.height == 1;
    const uint32_t picture[4] = { outputs, inputs, kernel[0], kernel[1] };
    const uint32_t bars[4] = { outputs, inputs, kernel[1] };
    char what[NN_SLICE_NAME_SIZE];
    snprintf(what, sizeof what, "%sweight", prefix);
    nn_layout_slice(layout, name, what, NN_SLICE_UNIFORM, fan_in, window ? bars : picture);
    snprintf(what, sizeof what, "%sbias", prefix);
    nn_layout_slice(layout, name, what, NN_SLICE_UNIFORM, fan_in, (uint32_t[4]){ outputs });
}

static gn_status append_convolution(nn_layout *layout, const char *name, uint32_t channels,
                                    nn_layer layer)
{
    layer.kind = &nn_convolution;
    GN_TRY(append_kernel(layout, layer, channels));
    slice_convolution(layout, name, "");
    return GN_OK;
}

// --- nature: Mnih et al. 2015, "Human-level control through deep reinforcement learning"

static gn_status append_nature(nn_layout *layout)
{
    static const struct {
        uint32_t channels, kernel, step;
    } stages[] = { { 32, 8, 4 }, { 64, 4, 2 }, { 64, 3, 1 } };
    GN_TRY(begin_picture(layout, "nature", 36));
    for (int i = 0; i < 3; i++) {
        char name[NN_SLICE_NAME_SIZE];
        snprintf(name, sizeof name, "encoder.conv%d", i);
        nn_layer layer = { .relu = true,
                           .kernel = { stages[i].kernel, stages[i].kernel },
                           .step = { stages[i].step, stages[i].step } };
        GN_TRY(append_convolution(layout, name, stages[i].channels, layer));
    }
    return GN_OK;
}

// --- impala: the larger network of Espeholt et al. 2018, arXiv:1802.01561, without its LSTM

static gn_status append_block(nn_layout *layout, uint32_t stage, uint32_t block, bool relu)
{
    char name[NN_SLICE_NAME_SIZE];
    snprintf(name, sizeof name, "encoder.stage%u.block%u", stage, block);
    nn_layer layer = {
        .kind = &nn_residual, .relu = relu, .kernel = { 3, 3 }, .step = { 1, 1 }, .border = { 1, 1 }
    };
    GN_TRY(append_kernel(layout, layer, last_picture(layout).channels));
    slice_convolution(layout, name, "first_");
    slice_convolution(layout, name, "second_");
    return GN_OK;
}

static gn_status append_impala(nn_layout *layout)
{
    static const uint32_t channels[] = { 16, 32, 32 };
    GN_TRY(begin_picture(layout, "impala", 1));
    for (uint32_t i = 0; i < 3; i++) {
        char name[NN_SLICE_NAME_SIZE];
        snprintf(name, sizeof name, "encoder.stage%u", i);
        nn_layer convolution = { .kernel = { 3, 3 }, .step = { 1, 1 }, .border = { 1, 1 } };
        nn_layer pooling = {
            .kind = &nn_pooling, .kernel = { 3, 3 }, .step = { 2, 2 }, .border = { 1, 1 }
        };
        GN_TRY(append_convolution(layout, name, channels[i], convolution));
        GN_TRY(append_kernel(layout, pooling, channels[i]));
        GN_TRY(append_block(layout, i, 0, false));
        GN_TRY(append_block(layout, i, 1, i == 2));
    }
    return GN_OK;
}

// --- conv1d, lstm, gru: over the bars of a window

static gn_status append_conv1d(nn_layout *layout)
{
    const nn_spec *spec = &layout->spec;
    uint32_t left = spec->window;
    GN_TRY(begin_window(layout, "conv1d"));
    if (spec->channel_layers == 0 || spec->kernel == 0 || spec->stride == 0)
        return gn_fail(GN_ERR_CONFIG,
                       "network.encoder: conv1d needs channels, kernel and stride above 0");
    for (uint32_t i = 0; i < spec->channel_layers; i++) {
        char name[NN_SLICE_NAME_SIZE];
        snprintf(name, sizeof name, "encoder.conv%u", i);
        if (spec->kernel > left)
            return gn_fail(
                GN_ERR_CONFIG,
                "network.kernel: %u: convolution %u of %u has only %u of the bars left (a "
                "window of %u, network.stride %u)",
                spec->kernel, i + 1, spec->channel_layers, left, spec->window, spec->stride);
        nn_layer layer = { .relu = true,
                           .extra = inputs_behind_window(spec),
                           .kernel = { 1, spec->kernel },
                           .step = { 1, spec->stride } };
        GN_TRY(append_convolution(layout, name, spec->channels[i], layer));
        left = last_picture(layout).width;
    }
    return GN_OK;
}

// gates: blocks of recurrent_width that lie side by side in the weights.
static gn_status append_recurrent(nn_layout *layout, const nn_layer_class *kind, uint32_t gates)
{
    const nn_spec *spec = &layout->spec;
    uint32_t width = spec->recurrent_width, all = gates * width;
    GN_TRY(begin_window(layout, kind->name));
    if (width == 0 || width > MAX_RECURRENT_WIDTH)
        return gn_fail(GN_ERR_CONFIG, "network.recurrent_width: %u is not in 1..%d", width,
                       MAX_RECURRENT_WIDTH);
    uint32_t extra = inputs_behind_window(spec);
    nn_layer layer = {
        .kind = kind, .outputs = width + extra, .extra = extra, .in = last_picture(layout)
    };
    GN_TRY(nn_layout_append(layout, layer));
    const struct {
        const char *name;
        uint32_t shape[4];
    } slices[] = { { "input_weight", { spec->features, all } },
                   { "hidden_weight", { width, all } },
                   { "input_bias", { all } },
                   { "hidden_bias", { all } } };
    char name[NN_SLICE_NAME_SIZE];
    snprintf(name, sizeof name, "encoder.%s", kind->name);
    for (int i = 0; i < 4; i++) // all start in +-1/sqrt(width), as in PyTorch
        nn_layout_slice(layout, name, slices[i].name, NN_SLICE_UNIFORM, width, slices[i].shape);
    return GN_OK;
}

static gn_status append_lstm(nn_layout *layout)
{
    return append_recurrent(layout, &nn_lstm, 4);
}

static gn_status append_gru(nn_layout *layout)
{
    return append_recurrent(layout, &nn_gru, 3);
}

// --- the table

#define ENCODERS(ROW) \
    ROW("none", append_nothing) \
    ROW("conv1d", append_conv1d) \
    ROW("lstm", append_lstm) \
    ROW("gru", append_gru) \
    ROW("nature", append_nature) \
    ROW("impala", append_impala)
#define ENCODER(name, append) { name, append },
#define NAME(name, append) name,

const nn_encoder nn_encoders[] = { ENCODERS(ENCODER){ 0 } };
const char *const nn_encoder_names[] = { ENCODERS(NAME) NULL };
