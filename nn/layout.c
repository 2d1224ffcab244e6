// Slices follow each other in the order of the forward pass, each rounded up to 64 bytes.

#include "nn/layout.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"

enum { ALIGNMENT = 16 }; // floats in 64 bytes

const gn_option nn_network_options[] = {
    GN_OPTION_LIST(nn_network_config, hidden, "128,128", 1, NN_MAX_WIDTH,
                   "widths of the hidden layers, at most 8 of them"),
    { 0 },
};

gn_status nn_spec_from_config(nn_spec *ret_spec, const nn_network_config *config, uint32_t inputs,
                              uint32_t actions, bool dueling)
{
    const gn_option_list *hidden = &config->hidden;
    if (hidden->count > NN_MAX_HIDDEN)
        return gn_fail(GN_ERR_CONFIG, "network.hidden: %zu layers, at most %d are possible",
                       hidden->count, NN_MAX_HIDDEN);
    nn_spec spec = { .inputs = inputs,
                     .actions = actions,
                     .hidden_layers = (uint32_t)hidden->count,
                     .dueling = dueling };
    for (size_t i = 0; i < hidden->count; i++) {
        double width = hidden->value[i];
        if (!(width >= 1 && width <= NN_MAX_WIDTH && width == floor(width)))
            return gn_fail(GN_ERR_CONFIG, "network.hidden: %g is not a whole number in 1..%d",
                           width, NN_MAX_WIDTH);
        spec.hidden[i] = (uint32_t)width;
    }
    *ret_spec = spec;
    return GN_OK;
}

static gn_status check_width(const char *what, uint32_t width, int most)
{
    if (width >= 1 && width <= (uint32_t)most)
        return GN_OK;
    return gn_fail(GN_ERR_CONFIG, "network: %s is %u, must be in 1..%d", what, width, most);
}

static void append_slice(nn_layout *layout, const char *layer, const char *kind, uint32_t rank,
                         uint32_t rows, uint32_t columns)
{
    nn_slice *slice = &layout->slice[layout->slice_count++];
    snprintf(slice->name, sizeof slice->name, "%s.%s", layer, kind);
    slice->rank = rank;
    slice->shape[0] = rank == 2 ? rows : columns;
    slice->shape[1] = rank == 2 ? columns : 1;
    slice->offset = layout->size;
    size_t count = nn_slice_size(slice);
    layout->parameters += count;
    layout->size += (count + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

gn_status nn_layout_create(nn_layout *ret_layout, const nn_spec *spec)
{
    if (spec->hidden_layers > NN_MAX_HIDDEN)
        return gn_fail(GN_ERR_CONFIG, "network: %u hidden layers, at most %d are possible",
                       spec->hidden_layers, NN_MAX_HIDDEN);
    GN_TRY(check_width("number of inputs", spec->inputs, NN_MAX_INPUTS));
    GN_TRY(check_width("number of actions", spec->actions, NN_MAX_WIDTH));
    for (uint32_t i = 0; i < spec->hidden_layers; i++)
        GN_TRY(check_width("width of a hidden layer", spec->hidden[i], NN_MAX_WIDTH));

    nn_layout layout = { .spec = *spec };
    uint32_t inputs = spec->inputs;
    for (uint32_t i = 0; i <= spec->hidden_layers; i++) {
        bool head = i == spec->hidden_layers;
        uint32_t outputs = head ? spec->actions + spec->dueling : spec->hidden[i];
        char name[NN_SLICE_NAME_SIZE / 2] = "head";
        if (!head)
            snprintf(name, sizeof name, "layer%u", i);
        append_slice(&layout, name, "weight", 2, inputs, outputs);
        append_slice(&layout, name, "bias", 1, 1, outputs);
        inputs = outputs;
    }
    *ret_layout = layout;
    return GN_OK;
}

size_t nn_slice_size(const nn_slice *slice)
{
    return (size_t)slice->shape[0] * slice->shape[1];
}

void nn_layout_initialise(const nn_layout *layout, gn_random *random, float *ret_parameter)
{
    memset(ret_parameter, 0, layout->size * sizeof *ret_parameter);
    for (uint32_t i = 0; i < layout->slice_count; i++) {
        const nn_slice *slice = &layout->slice[i];
        const nn_slice *weight = &layout->slice[i - i % 2]; // of the same layer
        double bound = 1 / sqrt(weight->shape[0]);
        for (size_t j = 0; j < nn_slice_size(slice); j++)
            ret_parameter[slice->offset + j] = (float)gn_random_uniform(random, -bound, bound);
    }
}
