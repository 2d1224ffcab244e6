// The layers of a layout, one after the other, and the last step of a narrow head: from what its
// layer gives, [outputs, rows], to values of actions. A row is one of the batch, or one of its
// quantile fractions. A dueling head is one matrix, of V and of the advantages:
//
//     V    [1, rows]
//     A    [actions, rows]
//
// A wide head is all in its layer (nn/wide_head.c).

#include "nn/net.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "nn/layer.h"

struct nn_net {
    nn_layout layout;
    size_t max_batch, max_quantiles;
    size_t filled; // rows of the last forward
    nn_fractions fractions; // of the last forward
    float *arena;
    float *output[NN_MAX_LAYERS]; // of each layer
    float *memory[NN_MAX_LAYERS]; // what a layer keeps beside it
    float *grad[2]; // [widest, rows]: gradients, of this layer and of the one below
    float *act[2]; // [widest]: inputs and outputs of a layer, for nn_net_act
    float *scratch;
};

// Hands out `count` floats of an arena, on a 64-byte boundary. With no arena it only counts.
static float *take(float *arena, size_t *used, size_t count)
{
    float *part = arena ? arena + *used : NULL;
    *used += nn_padded(count);
    return part;
}

// Places all arrays; returns the floats they need.
static size_t place(nn_net *net)
{
    const nn_layout *layout = &net->layout;
    size_t used = 0, scratch = 0, widest = layout->spec.inputs, most = 0, rows = net->max_batch;
    for (uint32_t i = 0; i < layout->layer_count; i++) {
        const nn_layer *layer = &layout->layer[i];
        const nn_layer_class *kind = layer->kind;
        if (kind->memory)
            net->memory[i] = take(net->arena, &used, kind->memory(layer, rows, net->max_quantiles));
        if (kind->scratch)
            scratch = gn_larger(scratch, kind->scratch(layer, rows, net->max_quantiles));
        if (kind == &nn_cosine)
            rows *= net->max_quantiles;
        widest = gn_larger(widest, layer->outputs);
        if (kind == &nn_wide_head) { // its outputs are the caller's
            most = gn_larger(most, rows * layer->width);
            continue;
        }
        net->output[i] = take(net->arena, &used, rows * layer->outputs);
        most = gn_larger(most, rows * layer->outputs);
    }
    for (int i = 0; i < 2; i++) {
        net->grad[i] = take(net->arena, &used, most);
        net->act[i] = take(net->arena, &used, widest);
    }
    net->scratch = take(net->arena, &used, scratch);
    return used;
}

gn_status nn_net_create(nn_net **ret_net, const nn_layout *layout, size_t max_batch,
                        size_t max_quantiles)
{
    if (max_batch == 0 || max_batch > NN_MAX_BATCH)
        return gn_fail(GN_ERR_ARG, "nn_net_create: max_batch %zu is not in 1..%d", max_batch,
                       NN_MAX_BATCH);
    if (max_quantiles == 0)
        return gn_fail(GN_ERR_ARG, "nn_net_create: max_quantiles is 0");
    nn_net *net;
    GN_TRY(gn_alloc(&net, 1, sizeof *net));
    net->layout = *layout;
    net->max_batch = max_batch;
    net->max_quantiles = layout->spec.cosines ? max_quantiles : 1;
    gn_status status = gn_alloc(&net->arena, place(net), sizeof *net->arena);
    if (status != GN_OK) {
        nn_net_destroy(&net);
        return status;
    }
    place(net);
    *ret_net = net;
    return GN_OK;
}

void nn_net_destroy(nn_net **net)
{
    if (!*net)
        return;
    gn_free(&(*net)->arena);
    gn_free(net);
}

// --- the narrow head: outputs of n rows, `each` numbers an action, and their gradient

// Shapes: head: [outputs, n * each]; ret_out: [n, actions, each], or [n, each] of the actions
// given.
static void read_narrow(const nn_spec *spec, const float *head, size_t n, size_t each,
                        const int32_t *action, float *ret_out)
{
    size_t stride = n * each, count = action ? 1 : spec->actions;
    for (size_t i = 0; i < n; i++, head += each, ret_out += count * each)
        for (size_t j = 0; j < each; j++) {
            const float *advantage = head + j;
            float offset = 0; // V - mean A
            if (spec->dueling) {
                advantage += stride;
                for (size_t a = 0; a < spec->actions; a++)
                    offset += advantage[a * stride];
                offset = head[j] - offset / (float)spec->actions;
            }
            advantage += action ? (size_t)action[i] * stride : 0;
            for (size_t a = 0; a < count; a++)
                ret_out[a * each + j] = advantage[a * stride] + offset;
        }
}

// The gradient of the actions given:  dV = dq,  dA[a] = dq - mean where it is the one, else -mean.
// Shapes: grad: [n, each]; ret_head: [outputs, n * each].
static void write_narrow(const nn_spec *spec, const float *grad, size_t n, size_t each,
                         const int32_t *action, float *ret_head)
{
    size_t stride = n * each;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < each; j++, grad++, ret_head++) {
            float *advantage = ret_head, mean = 0;
            if (spec->dueling) {
                *advantage = *grad;
                advantage += stride;
                mean = *grad / (float)spec->actions;
            }
            for (size_t a = 0; a < spec->actions; a++)
                advantage[a * stride] = -mean;
            advantage[(size_t)action[i] * stride] = *grad - mean;
        }
}

// --- the layers

static gn_status check_fractions(const nn_net *net, nn_fractions fractions)
{
    bool implicit = net->layout.spec.cosines > 0;
    if (implicit ? fractions.value && fractions.count > 0 && fractions.count <= net->max_quantiles
                 : !fractions.value)
        return GN_OK;
    return gn_fail(GN_ERR_ARG, "nn_net: %zu quantile fractions are not in %d..%zu", fractions.count,
                   implicit, implicit ? net->max_quantiles : 0);
}

// Row counts and input of layer `index` for a call about n rows; the last forward had `filled`.
static nn_pass pass_at(const nn_net *net, uint32_t index, const float *parameter, const float *x,
                       size_t n, size_t filled)
{
    const nn_layout *layout = &net->layout;
    const nn_layer *layer = &layout->layer[index];
    nn_pass pass = { .layer = layer,
                     .slice = layout->slice + layer->slice,
                     .parameter = parameter,
                     .n = n,
                     .filled = filled,
                     .output = net->output[index],
                     .memory = net->memory[index],
                     .scratch = net->scratch,
                     .fraction = net->fractions.value,
                     .quantiles = 1 };
    for (uint32_t i = 0; i < index; i++)
        if (layout->layer[i].kind == &nn_cosine) {
            pass.n *= net->fractions.count;
            pass.filled *= net->fractions.count;
        }
    if (layer->kind == &nn_cosine)
        pass.quantiles = net->fractions.count;
    pass.input_rows_first = index == 0 || layout->layer[index - 1].rows_first;
    const float *input = index == 0 ? x : net->output[index - 1];
    pass.input = pass.input_rows_first ? (nn_matrix){ input, 1, layer->inputs }
                                       : (nn_matrix){ input, pass.filled, 1 };
    return pass;
}

// action: NULL for the outputs of all actions.
static gn_status forward(nn_net *net, const float *parameter, const float *x, size_t n,
                         nn_fractions fractions, const int32_t *action, float *ret_out)
{
    const nn_spec *spec = &net->layout.spec;
    if (n == 0 || n > net->max_batch)
        return gn_fail(GN_ERR_ARG, "nn_net_forward: %zu rows are not in 1..%zu", n, net->max_batch);
    GN_TRY(check_fractions(net, fractions));
    uint32_t last = net->layout.layer_count - 1;
    net->filled = 0;
    net->fractions = fractions;
    for (uint32_t i = 0; i <= last; i++) {
        nn_pass pass = pass_at(net, i, parameter, x, n, n);
        if (pass.layer->kind == &nn_wide_head) {
            pass.action = action;
            pass.output = ret_out;
        }
        GN_TRY(pass.layer->kind->forward(&pass));
    }
    if (spec->width == 1)
        read_narrow(spec, net->output[last], n, spec->cosines ? fractions.count : 1, action,
                    ret_out);
    net->filled = n;
    return GN_OK;
}

gn_status nn_net_forward(nn_net *net, const float *parameter, const float *x, size_t n,
                         nn_fractions fractions, float *ret_out)
{
    return forward(net, parameter, x, n, fractions, NULL, ret_out);
}

gn_status nn_net_forward_chosen(nn_net *net, const float *parameter, const float *x, size_t n,
                                nn_fractions fractions, const int32_t *action, float *ret_out)
{
    return forward(net, parameter, x, n, fractions, action, ret_out);
}

static void clear_padding(const nn_layout *layout, float *buffer)
{
    for (uint32_t i = 0; i < layout->slice_count; i++) {
        const nn_slice *slice = &layout->slice[i];
        size_t end = slice->offset + nn_slice_size(slice);
        size_t next = i + 1 < layout->slice_count ? slice[1].offset : layout->size;
        size_t begin = slice->kind == NN_SLICE_DEVIATION ? slice->offset : end;
        memset(buffer + begin, 0, (next - begin) * sizeof *buffer);
    }
}

gn_status nn_net_backward(nn_net *net, const float *parameter, const float *x,
                          const int32_t *action, const float *grad, size_t n, float *ret_gradient)
{
    const nn_spec *spec = &net->layout.spec;
    if (n == 0 || n > net->filled)
        return gn_fail(GN_ERR_ARG,
                       "nn_net_backward: %zu rows are not in 1..%zu, the rows of the "
                       "last forward",
                       n, net->filled);
    uint32_t count = net->layout.layer_count;
    size_t each = spec->cosines ? net->fractions.count : 1;
    if (spec->width > 1)
        memcpy(net->grad[count % 2], grad, n * spec->width * sizeof *grad);
    else
        write_narrow(spec, grad, n, each, action, net->grad[count % 2]);
    for (uint32_t i = count; i-- > 0;) {
        nn_pass pass = pass_at(net, i, parameter, x, n, net->filled);
        pass.grad_output = net->grad[(i + 1) % 2];
        pass.grad_input = pass.layer->slice > 0 ? net->grad[i % 2] : NULL;
        pass.gradient = ret_gradient;
        pass.action = action;
        GN_TRY(pass.layer->kind->backward(&pass));
    }
    clear_padding(&net->layout, ret_gradient);
    return GN_OK;
}

gn_status nn_net_act(nn_net *net, const float *parameter, const float *x, nn_fractions fractions,
                     float *ret_out)
{
    const nn_layout *layout = &net->layout;
    const nn_spec *spec = &layout->spec;
    if (layout->spec.cosines > 0)
        return nn_net_forward(net, parameter, x, 1, fractions, ret_out);
    for (uint32_t i = 0; i < layout->layer_count; i++) {
        const nn_layer *layer = &layout->layer[i];
        float *out = net->act[i % 2];
        if (layer->kind->act) {
            layer->kind->act(layer, layout->slice + layer->slice, parameter, x, out);
        } else {
            nn_pass pass = pass_at(net, i, parameter, x, 1, 1);
            pass.input.data = x;
            pass.output = out;
            net->filled = 0;
            GN_TRY(layer->kind->forward(&pass));
        }
        x = out;
    }
    if (spec->width == 1)
        read_narrow(spec, x, 1, 1, NULL, ret_out);
    else
        memcpy(ret_out, x, spec->actions * spec->width * sizeof *x);
    return GN_OK;
}
