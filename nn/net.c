// Activations are stored feature by feature, [width, rows]: the many rows of a batch fill whole
// vectors whatever the widths are, and a head of two actions costs two rows, not a vector a row.
//
// With X the layer's input and Y its output, both in that form, each layer is
//     Y = relu(W^T X + b),  the head without relu
// and going back from G = dL/dY, masked by Y > 0:
//     dL/dW = X G^T,   dL/db = sum of each row of G,   dL/dX = W G
// so that the activations of the forward pass are all it keeps.
//
// A dueling head is one matrix [inputs, 1 + actions]: column 0 is V, the others A.

#include "nn/net.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "nn/matmul.h"

struct nn_net {
    nn_layout layout;
    size_t max_batch, filled; // rows of the last forward
    float *arena;
    float *hidden[NN_MAX_HIDDEN]; // [width, filled]: outputs of the hidden layers
    float *head; // [actions, or 1 + actions; filled]: outputs of the head, or their gradient
    float *grad[2]; // [widest, n]: gradients, of this layer and of the one below
    float *act[2]; // [widest]: inputs and outputs of a layer, for nn_net_act
    float *scratch; // of nn_matmul
};

enum { LANES = 16 };

typedef struct layer {
    size_t inputs, outputs;
    size_t weight, bias; // offsets
    bool head;
} layer;

static layer layer_at(const nn_layout *layout, uint32_t index)
{
    const nn_slice *weight = &layout->slice[2 * index], *bias = weight + 1;
    return (layer){ .inputs = weight->shape[0],
                    .outputs = weight->shape[1],
                    .weight = weight->offset,
                    .bias = bias->offset,
                    .head = index == layout->spec.hidden_layers };
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

// Hands out `count` floats of an arena, on a 64-byte boundary. With no arena it only counts.
static float *take(float *arena, size_t *used, size_t count)
{
    float *part = arena ? arena + *used : NULL;
    *used += (count + 15) / 16 * 16;
    return part;
}

// Places all arrays; returns the floats they need.
static size_t place(nn_net *net)
{
    const nn_spec *spec = &net->layout.spec;
    size_t used = 0, widest = spec->actions + 1, longest = larger(net->max_batch, spec->inputs);
    for (uint32_t i = 0; i < spec->hidden_layers; i++) {
        net->hidden[i] = take(net->arena, &used, net->max_batch * spec->hidden[i]);
        widest = larger(widest, spec->hidden[i]);
    }
    for (int i = 0; i < 2; i++) {
        net->grad[i] = take(net->arena, &used, net->max_batch * widest);
        net->act[i] = take(net->arena, &used, widest);
    }
    net->head = take(net->arena, &used, net->max_batch * (spec->actions + 1));
    net->scratch = take(net->arena, &used, nn_matmul_scratch(larger(longest, widest)));
    return used;
}

gn_status nn_net_create(nn_net **ret_net, const nn_layout *layout, size_t max_batch)
{
    if (max_batch == 0 || max_batch > NN_MAX_BATCH)
        return gn_fail(GN_ERR_ARG, "nn_net_create: max_batch %zu is not in 1..%d", max_batch,
                       NN_MAX_BATCH);
    nn_net *net;
    GN_TRY(gn_alloc(&net, 1, sizeof *net));
    net->layout = *layout;
    net->max_batch = max_batch;
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

// Q values of one row of the head's outputs, which lie `stride` floats apart.
static void read_head(const nn_spec *spec, const float *head, size_t stride, float *ret_q)
{
    float offset = 0; // V - mean A
    if (spec->dueling) {
        const float *value = head;
        head += stride;
        for (size_t a = 0; a < spec->actions; a++)
            offset += head[a * stride];
        offset = *value - offset / (float)spec->actions;
    }
    for (size_t a = 0; a < spec->actions; a++)
        ret_q[a] = head[a * stride] + offset;
}

// The gradient of the same outputs:  dV = sum of dq,  dA[a] = dq[a] - mean dq.
static void write_head(const nn_spec *spec, const float *grad_q, size_t stride, float *ret_head)
{
    float mean = 0;
    if (spec->dueling) {
        float sum = 0;
        for (size_t a = 0; a < spec->actions; a++)
            sum += grad_q[a];
        *ret_head = sum;
        ret_head += stride;
        mean = sum / (float)spec->actions;
    }
    for (size_t a = 0; a < spec->actions; a++)
        ret_head[a * stride] = grad_q[a] - mean;
}

gn_status nn_net_forward(nn_net *net, const float *parameter, const float *x, size_t n,
                         float *ret_q)
{
    const nn_spec *spec = &net->layout.spec;
    if (n == 0 || n > net->max_batch)
        return gn_fail(GN_ERR_ARG, "nn_net_forward: %zu rows are not in 1..%zu", n, net->max_batch);
    nn_matrix input = { x, 1, spec->inputs };
    for (uint32_t i = 0; i <= spec->hidden_layers; i++) {
        layer l = layer_at(&net->layout, i);
        float *out = l.head ? net->head : net->hidden[i];
        nn_matmul(l.outputs, n, l.inputs, (nn_matrix){ parameter + l.weight, 1, l.outputs }, input,
                  parameter + l.bias, !l.head, out, n, net->scratch);
        input = (nn_matrix){ out, n, 1 };
    }
    for (size_t i = 0; i < n; i++)
        read_head(spec, net->head + i, n, ret_q + i * spec->actions);
    net->filled = n;
    return GN_OK;
}

// out[i] = sum of row i of g [rows, n]; side by side first (vectors), then one after the other.
static void sum_each_row(const float *g, size_t rows, size_t n, float *ret_sum)
{
    for (size_t i = 0; i < rows; i++, g += n) {
        float lane[LANES] = { 0 }, sum = 0;
        size_t whole = n - n % LANES;
        for (size_t j = 0; j < whole; j += LANES)
            for (size_t v = 0; v < LANES; v++)
                lane[v] += g[j + v];
        for (size_t v = 0; v < LANES; v++)
            sum += lane[v];
        for (size_t j = whole; j < n; j++)
            sum += g[j];
        ret_sum[i] = sum;
    }
}

// Clears g [rows, n] where the output [rows, stride] of the layer was not above 0.
static void relu_backward(const float *restrict output, size_t stride, size_t rows, size_t n,
                          float *restrict g)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < n; j++)
            g[i * n + j] = output[i * stride + j] > 0 ? g[i * n + j] : 0;
}

static void clear_padding(const nn_layout *layout, float *buffer)
{
    for (uint32_t i = 0; i < layout->slice_count; i++) {
        const nn_slice *slice = &layout->slice[i];
        size_t end = slice->offset + nn_slice_size(slice);
        size_t next = i + 1 < layout->slice_count ? slice[1].offset : layout->size;
        memset(buffer + end, 0, (next - end) * sizeof *buffer);
    }
}

gn_status nn_net_backward(nn_net *net, const float *parameter, const float *x, const float *grad_q,
                          size_t n, float *ret_gradient)
{
    const nn_spec *spec = &net->layout.spec;
    if (n == 0 || n > net->filled)
        return gn_fail(GN_ERR_ARG,
                       "nn_net_backward: %zu rows are not in 1..%zu, the rows of the "
                       "last forward",
                       n, net->filled);
    for (size_t i = 0; i < n; i++)
        write_head(spec, grad_q + i * spec->actions, n, net->head + i);
    const float *g = net->head;
    for (uint32_t i = spec->hidden_layers + 1; i-- > 0;) {
        layer l = layer_at(&net->layout, i);
        nn_matrix input = { x, 1, spec->inputs };
        if (i > 0)
            input = (nn_matrix){ net->hidden[i - 1], net->filled, 1 };
        nn_matmul(l.inputs, l.outputs, n, input, (nn_matrix){ g, 1, n }, NULL, false,
                  ret_gradient + l.weight, l.outputs, net->scratch);
        sum_each_row(g, l.outputs, n, ret_gradient + l.bias);
        if (i > 0) {
            float *below = net->grad[i % 2];
            nn_matmul(l.inputs, n, l.outputs, (nn_matrix){ parameter + l.weight, l.outputs, 1 },
                      (nn_matrix){ g, n, 1 }, NULL, false, below, n, net->scratch);
            relu_backward(input.data, input.row, l.inputs, n, below);
            g = below;
        }
    }
    clear_padding(&net->layout, ret_gradient);
    return GN_OK;
}

// y += x W for one row: four rows of W at a time, so that y is loaded and stored less often.
static void add_product(const float *x, size_t inputs, const float *weight, size_t outputs,
                        float *restrict y)
{
    size_t p = 0;
    for (; p + 4 <= inputs; p += 4, weight += 4 * outputs)
        for (size_t j = 0; j < outputs; j++)
            y[j] += x[p] * weight[j] + x[p + 1] * weight[outputs + j] +
                    x[p + 2] * weight[2 * outputs + j] + x[p + 3] * weight[3 * outputs + j];
    for (; p < inputs; p++, weight += outputs)
        for (size_t j = 0; j < outputs; j++)
            y[j] += x[p] * weight[j];
}

void nn_net_act(nn_net *net, const float *parameter, const float *x, float *ret_q)
{
    const nn_spec *spec = &net->layout.spec;
    for (uint32_t i = 0; i <= spec->hidden_layers; i++) {
        layer l = layer_at(&net->layout, i);
        float *out = net->act[i % 2];
        memcpy(out, parameter + l.bias, l.outputs * sizeof *out);
        add_product(x, l.inputs, parameter + l.weight, l.outputs, out);
        for (size_t j = 0; !l.head && j < l.outputs; j++)
            out[j] = out[j] < 0 ? 0 : out[j]; // keeps a NaN
        x = out;
    }
    read_head(spec, x, 1, ret_q);
}
