// Layers in the order of the forward pass; their slices follow each other in the same order, each
// rounded up to 64 bytes.

#include "nn/layout.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"
#include "nn/encoder.h"
#include "nn/layer.h"

const gn_option nn_network_options[] = {
    GN_OPTION_CHOICE(nn_network_config, encoder, "none", nn_encoder_names,
                     "layers in front of the hidden ones"),
    GN_OPTION_LIST(nn_network_config, channels, "32,32", NN_MAX_HIDDEN, 1, NN_MAX_WIDTH,
                   "features of each convolution of encoder conv1d"),
    GN_OPTION_INT(nn_network_config, kernel, "5", 1, 1024,
                  "bars that a convolution of encoder conv1d looks at"),
    GN_OPTION_INT(nn_network_config, stride, "2", 1, 1024,
                  "bars between two places of such a convolution"),
    GN_OPTION_INT(nn_network_config, recurrent_width, "64", 1, 4096,
                  "features that encoders lstm and gru remember"),
    GN_OPTION_LIST(nn_network_config, hidden, "128,128", NN_MAX_HIDDEN, 1, NN_MAX_WIDTH,
                   "widths of the hidden layers"),
    GN_OPTION_BOOL(nn_network_config, layer_norm, "false",
                   "normalise the features of each hidden layer over themselves before its ReLU"),
    GN_OPTION_REAL(nn_network_config, noise_scale, "0.5", 0, 100,
                   "initial deviation of noisy layers (agent.noisy), times the root of their "
                   "inputs"),
    { 0 },
};

// --- from options to a spec

static gn_status read_widths(const char *key, const gn_option_list *list, uint32_t *ret_count,
                             uint32_t ret_width[NN_MAX_HIDDEN])
{
    if (list->count > NN_MAX_HIDDEN)
        return gn_fail(GN_ERR_CONFIG, "network.%s: %zu layers, at most %d are possible", key,
                       list->count, NN_MAX_HIDDEN);
    for (size_t i = 0; i < list->count; i++) {
        double width = list->value[i];
        if (!(width >= 1 && width <= NN_MAX_WIDTH && width == floor(width)))
            return gn_fail(GN_ERR_CONFIG, "network.%s: %g is not a whole number in 1..%d", key,
                           width, NN_MAX_WIDTH);
        ret_width[i] = (uint32_t)width;
    }
    *ret_count = (uint32_t)list->count;
    return GN_OK;
}

gn_status nn_spec_configure(nn_spec *spec, const nn_network_config *config)
{
    nn_spec filled = *spec;
    GN_TRY(read_widths("hidden", &config->hidden, &filled.hidden_layers, filled.hidden));
    GN_TRY(read_widths("channels", &config->channels, &filled.channel_layers, filled.channels));
    filled.encoder = config->encoder;
    filled.kernel = (uint32_t)config->kernel;
    filled.stride = (uint32_t)config->stride;
    filled.recurrent_width = (uint32_t)config->recurrent_width;
    filled.layer_norm = config->layer_norm;
    filled.noise_scale = config->noise_scale;
    *spec = filled;
    return GN_OK;
}

// --- building blocks

uint32_t nn_layout_outputs(const nn_layout *layout)
{
    return layout->layer_count ? layout->layer[layout->layer_count - 1].outputs
                               : layout->spec.inputs;
}

gn_status nn_layout_append(nn_layout *layout, nn_layer layer)
{
    if (layout->layer_count == NN_MAX_LAYERS)
        return gn_fail(GN_ERR_CONFIG, "network: more than %d layers", NN_MAX_LAYERS);
    if (layer.outputs > NN_MAX_INPUTS)
        return gn_fail(GN_ERR_CONFIG, "network: a layer of %u outputs, at most %d are possible",
                       layer.outputs, NN_MAX_INPUTS);
    layer.inputs = nn_layout_outputs(layout);
    layer.slice = layout->slice_count;
    layout->layer[layout->layer_count++] = layer;
    return GN_OK;
}

void nn_layout_slice(nn_layout *layout, const char *layer, const char *name, nn_slice_kind kind,
                     uint32_t fan_in, const uint32_t shape[4])
{
    assert(layout->slice_count < NN_MAX_SLICES);
    nn_slice *slice = &layout->slice[layout->slice_count++];
    snprintf(slice->name, sizeof slice->name, "%s.%s", layer, name);
    slice->kind = kind;
    slice->fan_in = fan_in;
    for (int d = 0; d < 4; d++) {
        slice->rank += d == (int)slice->rank && shape[d] > 0;
        slice->shape[d] = (int)slice->rank > d ? shape[d] : 1;
    }
    slice->offset = layout->size;
    size_t count = nn_slice_size(slice);
    layout->parameters += count;
    layout->size += nn_padded(count);
}

gn_status nn_layout_dense(nn_layout *layout, const char *name, uint32_t outputs, bool relu)
{
    uint32_t inputs = nn_layout_outputs(layout);
    const uint32_t weight[4] = { inputs, outputs }, bias[4] = { outputs };
    nn_layer layer = {
        .kind = &nn_dense, .outputs = outputs, .relu = relu, .noisy = layout->spec.noisy
    };
    GN_TRY(nn_layout_append(layout, layer));
    nn_layout_slice(layout, name, "weight", NN_SLICE_UNIFORM, inputs, weight);
    nn_layout_slice(layout, name, "bias", NN_SLICE_UNIFORM, inputs, bias);
    if (layer.noisy) {
        nn_layout_slice(layout, name, "weight_deviation", NN_SLICE_DEVIATION, inputs, weight);
        nn_layout_slice(layout, name, "bias_deviation", NN_SLICE_DEVIATION, inputs, bias);
    }
    return GN_OK;
}

size_t nn_slice_size(const nn_slice *slice)
{
    return (size_t)slice->shape[0] * slice->shape[1] * slice->shape[2] * slice->shape[3];
}

// --- the network

static gn_status check_width(const char *what, uint32_t width, int most)
{
    if (width >= 1 && width <= (uint32_t)most)
        return GN_OK;
    return gn_fail(GN_ERR_CONFIG, "network: %s is %u, must be in 1..%d", what, width, most);
}

static gn_status check_spec(const nn_spec *spec)
{
    if (spec->hidden_layers > NN_MAX_HIDDEN)
        return gn_fail(GN_ERR_CONFIG, "network: %u hidden layers, at most %d are possible",
                       spec->hidden_layers, NN_MAX_HIDDEN);
    GN_TRY(check_width("number of inputs", spec->inputs, NN_MAX_INPUTS));
    GN_TRY(check_width("number of actions", spec->actions, NN_MAX_WIDTH));
    GN_TRY(check_width("number of outputs an action", spec->width, NN_MAX_OUTPUTS));
    GN_TRY(check_width("number of outputs", (spec->actions + spec->dueling) * spec->width,
                       NN_MAX_INPUTS));
    for (uint32_t i = 0; i < spec->hidden_layers; i++)
        GN_TRY(check_width("width of a hidden layer", spec->hidden[i], NN_MAX_WIDTH));
    return GN_OK;
}

static gn_status append_cosines(nn_layout *layout)
{
    uint32_t width = nn_layout_outputs(layout), cosines = layout->spec.cosines;
    nn_layer layer = { .kind = &nn_cosine, .outputs = width, .cosines = cosines };
    GN_TRY(nn_layout_append(layout, layer));
    nn_layout_slice(layout, "fraction", "weight", NN_SLICE_UNIFORM, cosines,
                    (uint32_t[4]){ cosines, width });
    nn_layout_slice(layout, "fraction", "bias", NN_SLICE_UNIFORM, cosines, (uint32_t[4]){ width });
    return GN_OK;
}

static gn_status append_hidden(nn_layout *layout, uint32_t index)
{
    const nn_spec *spec = &layout->spec;
    uint32_t width = spec->hidden[index];
    char name[NN_SLICE_NAME_SIZE / 2];
    snprintf(name, sizeof name, "layer%u", index);
    GN_TRY(nn_layout_dense(layout, name, width, !spec->layer_norm));
    if (!spec->layer_norm) { // a wide head picks its rows
        layout->layer[layout->layer_count - 1].rows_first = spec->width > 1;
        return GN_OK;
    }
    nn_layer norm = { .kind = &nn_layer_norm, .outputs = width, .relu = true };
    GN_TRY(nn_layout_append(layout, norm));
    nn_layout_slice(layout, name, "gain", NN_SLICE_ONE, width, (uint32_t[4]){ width });
    nn_layout_slice(layout, name, "shift", NN_SLICE_ZERO, width, (uint32_t[4]){ width });
    return GN_OK;
}

// Wide heads are stored as the loss reads them; of narrow ones the rows would not fill vectors.
static gn_status append_head(nn_layout *layout)
{
    const nn_spec *spec = &layout->spec;
    GN_TRY(nn_layout_dense(layout, "head", (spec->actions + spec->dueling) * spec->width, false));
    if (spec->width == 1)
        return GN_OK;
    nn_layer *layer = &layout->layer[layout->layer_count - 1];
    layer->kind = &nn_wide_head;
    layer->actions = spec->actions;
    layer->width = spec->width;
    layer->rows_first = true;
    return GN_OK;
}

static gn_status build(nn_layout *layout)
{
    const nn_spec *spec = &layout->spec;
    GN_TRY(nn_encoders[spec->encoder].append(layout));
    bool only = spec->hidden_layers == 1 && layout->layer_count == 0;
    for (uint32_t i = 0; i <= spec->hidden_layers; i++) {
        bool last = i + 1 == spec->hidden_layers, head = i == spec->hidden_layers;
        bool expands = only || spec->hidden_layers == 0 ? head : last;
        if (spec->cosines > 0 && expands)
            GN_TRY(append_cosines(layout));
        GN_TRY(head ? append_head(layout) : append_hidden(layout, i));
    }
    return GN_OK;
}

gn_status nn_layout_create(nn_layout *ret_layout, const nn_spec *spec)
{
    nn_layout layout = { .spec = *spec };
    layout.spec.width += spec->width == 0;
    GN_TRY(check_spec(&layout.spec));
    GN_TRY(build(&layout));
    if (layout.size > NN_MAX_PARAMETERS)
        return gn_fail(GN_ERR_CONFIG, "network: %zu parameters, at most %d are possible",
                       layout.size, NN_MAX_PARAMETERS);
    *ret_layout = layout;
    return GN_OK;
}

void nn_layout_initialise(const nn_layout *layout, gn_random *random, float *ret_parameter)
{
    memset(ret_parameter, 0, layout->size * sizeof *ret_parameter);
    for (uint32_t i = 0; i < layout->slice_count; i++) {
        const nn_slice *slice = &layout->slice[i];
        float *value = ret_parameter + slice->offset;
        double bound = 1 / sqrt(slice->fan_in);
        const double constant[] = { [NN_SLICE_DEVIATION] = layout->spec.noise_scale * bound,
                                    [NN_SLICE_ONE] = 1,
                                    [NN_SLICE_ZERO] = 0 };
        for (size_t j = 0; j < nn_slice_size(slice); j++)
            value[j] = slice->kind == NN_SLICE_UNIFORM
                           ? (float)gn_random_uniform(random, -bound, bound)
                           : (float)constant[slice->kind];
    }
}
