#include "nn/torch_net.h"

#include "nn/layer.h"

// Wide heads are dense layers whose outputs the network reads otherwise. Pictures need no
// transposition: LibTorch has them row by row, as they come.
static torch_layer_kind kind_of(const nn_layer *layer)
{
    static const struct {
        const nn_layer_class *ours;
        torch_layer_kind theirs;
    } kinds[] = {
        { &nn_dense, TORCH_DENSE },     { &nn_wide_head, TORCH_DENSE },
        { &nn_cosine, TORCH_COSINE },   { &nn_layer_norm, TORCH_LAYER_NORM },
        { &nn_transpose, TORCH_BARS },  { &nn_convolution, TORCH_CONVOLUTION },
        { &nn_pooling, TORCH_POOLING }, { &nn_residual, TORCH_RESIDUAL },
        { &nn_lstm, TORCH_LSTM },       { &nn_gru, TORCH_GRU },
    };
    size_t i = 0;
    while (kinds[i].ours != layer->kind)
        i++;
    return kinds[i].theirs;
}

static torch_picture picture_of(nn_shape shape)
{
    return (torch_picture){ shape.channels, shape.height, shape.width };
}

static torch_layer layer_of(const nn_layout *layout, uint32_t index)
{
    const nn_layer *layer = &layout->layer[index];
    uint32_t end =
        index + 1 < layout->layer_count ? layout->layer[index + 1].slice : layout->slice_count;
    torch_layer to = {
        .kind = kind_of(layer),
        .inputs = layer->inputs,
        .outputs = layer->outputs,
        .extra = layer->extra,
        .cosines = layer->cosines,
        .in = picture_of(layer->in),
        .out = picture_of(layer->out),
        .kernel = { layer->kernel[0], layer->kernel[1] },
        .step = { layer->step[0], layer->step[1] },
        .border = { layer->border[0], layer->border[1] },
        .relu = layer->relu,
        .noisy = layer->noisy,
        .lowest = layer->slice == 0,
    };
    if (layer->kind == &nn_lstm || layer->kind == &nn_gru) // the last state: one bar
        to.out = (torch_picture){ layer->outputs - layer->extra, 1, 1 };
    for (uint32_t i = layer->slice; i < end; i++)
        to.offset[i - layer->slice] = (int64_t)layout->slice[i].offset;
    return to;
}

gn_status nn_torch_net_create(torch_network **ret_network, const nn_layout *layout, device on)
{
    const nn_spec *spec = &layout->spec;
    torch_layer layer[NN_MAX_LAYERS];
    size_t count = 0;
    for (uint32_t i = 0; i < layout->layer_count; i++)
        if (layout->layer[i].kind != &nn_transpose || layout->layer[i].channels_last)
            layer[count++] = layer_of(layout, i);
    const torch_network_spec network = {
        .layer = layer,
        .layers = count,
        .inputs = spec->inputs,
        .actions = spec->actions,
        .width = spec->width,
        .size = (int64_t)layout->size,
        .dueling = spec->dueling,
        .fractions = spec->cosines > 0,
    };
    return torch_network_create(ret_network, &network, on);
}
