// The head's layer where an action has several outputs, stored [rows, outputs]. Action a has its
// own weights W[a] and biases b[a]; those of a dueling head are made from its two parts,
//     W[a] = V + A[a] - mean_a' A[a']      (parameters: V | A of action 0 | A of action 1 ...)
// which is the same as subtracting means from outputs, only less to compute. Going back,
//     dV = sum_a dW[a],   dA[a] = dW[a] - mean_a' dW[a'].
//
// Where one action of each row counts, rows are put together by action, so that each action's rows
// meet its weights alone:
//
//     rows  0 1 2 3 4      in groups  1 4 | 0 2 3
//     of    1 0 1 1 0                 a=0   a=1
//
// An output is the same bit for bit whatever else is asked for.
//
// Keeps the weights and biases of a dueling head for the way back.

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "nn/layer.h"
#include "nn/simd.h"

static size_t all_of(const nn_layer *layer)
{
    return (size_t)layer->actions * layer->width;
}

static bool is_dueling(const nn_layer *layer)
{
    return layer->outputs > all_of(layer);
}

static size_t wide_memory(const nn_layer *layer, size_t rows, size_t quantiles)
{
    (void)rows;
    (void)quantiles;
    return is_dueling(layer) ? nn_padded((layer->inputs + (size_t)1) * all_of(layer)) : 0;
}

// --- rows in groups

// Rows of one action follow each other, in the order they had.
typedef struct groups {
    uint32_t *begin; // [actions + 1] first row of an action's group
    uint32_t *place; // [n] where row i is put
    float *input, *output; // [n, inputs], [n, width] or their gradients
    float *product; // scratch of nn_matmul
} groups;

static size_t longest_sum(const nn_layer *layer, size_t rows)
{
    return gn_larger(rows, gn_larger(layer->inputs, layer->width));
}

// Cuts up the scratch; returns the floats it needs.
static size_t cut(const nn_layer *layer, size_t rows, float *scratch, groups *ret_groups)
{
    const size_t sizes[] = { nn_matmul_scratch(longest_sum(layer, rows)), rows * layer->inputs,
                             rows * layer->width, layer->actions + (size_t)1, rows };
    size_t used = 0, at[5];
    for (int i = 0; i < 5; i++) {
        at[i] = used;
        used += nn_padded(sizes[i]);
    }
    if (scratch)
        *ret_groups = (groups){ .product = scratch + at[0],
                                .input = scratch + at[1],
                                .output = scratch + at[2],
                                .begin = (uint32_t *)(void *)(scratch + at[3]),
                                .place = (uint32_t *)(void *)(scratch + at[4]) };
    return used;
}

static size_t wide_scratch(const nn_layer *layer, size_t rows, size_t quantiles)
{
    (void)quantiles;
    return cut(layer, rows, NULL, NULL);
}

// A counting sort: begin[a + 1] counts, then is where the next row of action a goes.
static void group(const nn_pass *pass, groups *g)
{
    size_t actions = pass->layer->actions;
    memset(g->begin, 0, (actions + 1) * sizeof *g->begin);
    for (size_t i = 0; i < pass->n; i++) {
        assert(pass->action[i] >= 0 && (size_t)pass->action[i] < actions);
        g->begin[pass->action[i] + 1]++;
    }
    uint32_t before = 0;
    for (size_t a = 1; a <= actions; a++) {
        uint32_t count = g->begin[a];
        g->begin[a] = before;
        before += count;
    }
    for (size_t i = 0; i < pass->n; i++)
        g->place[i] = g->begin[pass->action[i] + 1]++;
}

static void gather(const float *row, size_t n, size_t width, const uint32_t *place, float *ret_row)
{
    for (size_t i = 0; i < n; i++)
        memcpy(ret_row + place[i] * width, row + i * width, width * sizeof *row);
}

static void scatter(const float *row, size_t n, size_t width, const uint32_t *place, float *ret_row)
{
    for (size_t i = 0; i < n; i++)
        memcpy(ret_row + i * width, row + place[i] * width, width * sizeof *row);
}

// Features that a cache line has: they are turned round together.
enum { LINE = 16 };

static void gather_input(const nn_pass *pass, groups *g)
{
    size_t inputs = pass->layer->inputs, stride = pass->input.row;
    const float *x = pass->input.data;
    if (pass->input_rows_first)
        gather(x, pass->n, inputs, g->place, g->input);
    for (size_t f = 0; !pass->input_rows_first && f < inputs; f += LINE) {
        size_t end = inputs - f < LINE ? inputs : f + LINE;
        for (size_t i = 0; i < pass->n; i++)
            for (size_t j = f; j < end; j++)
                g->input[g->place[i] * inputs + j] = x[j * stride + i];
    }
}

static void scatter_grad_input(const nn_pass *pass, const groups *g)
{
    size_t inputs = pass->layer->inputs, n = pass->n;
    if (pass->input_rows_first)
        scatter(g->input, n, inputs, g->place, pass->grad_input);
    for (size_t f = 0; !pass->input_rows_first && f < inputs; f += LINE) {
        size_t end = inputs - f < LINE ? inputs : f + LINE;
        for (size_t i = 0; i < n; i++)
            for (size_t j = f; j < end; j++)
                pass->grad_input[j * n + i] = g->input[g->place[i] * inputs + j];
    }
}

// --- dueling

// Some of the `width` numbers of an action, and how many.
typedef struct lanes {
    size_t first, count;
} lanes;

static lanes lanes_at(size_t first, size_t width)
{
    return (lanes){ first, width - first < NN_LANES ? width - first : NN_LANES };
}

// Their sum over the actions of x [actions, width].
NN_INLINE nn_vector sum_actions(const float *x, size_t actions, size_t width, lanes l)
{
    nn_vector sum = { 0 };
    for (size_t a = 0; a < actions; a++)
        sum += nn_vector_load_part(x + a * width + l.first, l.count, 0);
    return sum;
}

// ret_out[a] = x[a] + offset, of [actions, width].
NN_INLINE void add_to_actions(const float *x, nn_vector offset, size_t actions, size_t width,
                              lanes l, float *ret_out)
{
    for (size_t a = 0; a < actions; a++) {
        size_t at = a * width + l.first;
        nn_vector sum = nn_vector_load_part(x + at, l.count, 0) + offset;
        nn_vector_store_part(ret_out + at, sum, l.count);
    }
}

// From V | A to V + A - mean A, for each of `rows`.
// Shapes: split: [rows, outputs]; ret_joined: [rows, actions * width], which may be one row of it.
static void join(const nn_layer *layer, const float *split, size_t rows, float *ret_joined)
{
    size_t width = layer->width, actions = layer->actions;
    float share = 1 / (float)actions; // a division of vectors takes long
    for (size_t i = 0; i < rows; i++, split += layer->outputs, ret_joined += all_of(layer))
        for (size_t k = 0; k < width; k += NN_LANES) {
            lanes l = lanes_at(k, width);
            nn_vector mean = sum_actions(split + width, actions, width, l) * share;
            nn_vector offset = nn_vector_load_part(split + k, l.count, 0) - mean;
            add_to_actions(split + width, offset, actions, width, l, ret_joined);
        }
}

// The way back, in place: gradients [rows, outputs] whose first `width` columns are free.
static void split_gradient(const nn_layer *layer, size_t rows, float *g)
{
    size_t width = layer->width, actions = layer->actions;
    float share = 1 / (float)actions;
    for (size_t i = 0; i < rows; i++, g += layer->outputs)
        for (size_t k = 0; k < width; k += NN_LANES) {
            lanes l = lanes_at(k, width);
            nn_vector sum = sum_actions(g + width, actions, width, l);
            nn_vector_store_part(g + k, sum, l.count);
            add_to_actions(g + width, -(sum * share), actions, width, l, g + width);
        }
}

// Weights [inputs, actions * width], `stride` floats a row, and biases of the actions.
typedef struct weights {
    const float *weight, *bias;
    size_t stride;
} weights;

static weights weights_of(const nn_pass *pass, bool forward)
{
    const nn_layer *layer = pass->layer;
    size_t inputs = layer->inputs, all = all_of(layer);
    const float *weight = pass->parameter + pass->slice[0].offset;
    const float *bias = pass->parameter + pass->slice[1].offset;
    if (!is_dueling(layer))
        return (weights){ weight, bias, all };
    float *joined = pass->memory;
    if (forward) {
        join(layer, weight, inputs, joined);
        join(layer, bias, 1, joined + inputs * all);
    }
    return (weights){ joined, joined + inputs * all, all };
}

// --- the products

static gn_status wide_forward(const nn_pass *pass)
{
    const nn_layer *layer = pass->layer;
    size_t inputs = layer->inputs, width = layer->width, all = all_of(layer);
    weights w = weights_of(pass, true);
    groups g;
    cut(layer, pass->n, pass->scratch, &g);
    if (!pass->action) {
        nn_matrix x = { pass->input.data, pass->input.column, pass->input.row };
        nn_matmul(pass->n, all, inputs, x, (nn_matrix){ w.weight, w.stride, 1 },
                  (nn_bias){ .column = w.bias }, false, pass->output, all, g.product);
        return GN_OK;
    }
    group(pass, &g);
    gather_input(pass, &g);
    for (size_t a = 0; a < layer->actions; a++) {
        size_t first = g.begin[a], n = g.begin[a + 1] - first;
        if (n > 0)
            nn_matmul(n, width, inputs, (nn_matrix){ g.input + first * inputs, inputs, 1 },
                      (nn_matrix){ w.weight + a * width, w.stride, 1 },
                      (nn_bias){ .column = w.bias + a * width }, false, g.output + first * width,
                      width, g.product);
    }
    scatter(g.output, pass->n, width, g.place, pass->output);
    return GN_OK;
}

static gn_status wide_backward(const nn_pass *pass)
{
    const nn_layer *layer = pass->layer;
    size_t inputs = layer->inputs, outputs = layer->outputs, width = layer->width;
    float *grad_weight = pass->gradient + pass->slice[0].offset;
    float *grad_bias = pass->gradient + pass->slice[1].offset;
    size_t behind = is_dueling(layer) ? width : 0; // V
    weights w = weights_of(pass, false);
    const nn_bias none = { 0 };
    groups g;
    cut(layer, pass->n, pass->scratch, &g);
    group(pass, &g);
    gather(pass->grad_output, pass->n, width, g.place, g.output);
    gather_input(pass, &g);
    for (size_t a = 0; a < layer->actions; a++) {
        size_t first = g.begin[a], n = g.begin[a + 1] - first, column = behind + a * width;
        float *x = g.input + first * inputs;
        const float *grad = g.output + first * width;
        nn_matmul(inputs, width, n, (nn_matrix){ x, 1, inputs }, (nn_matrix){ grad, width, 1 },
                  none, false, grad_weight + column, outputs, g.product);
        nn_sum_columns(grad, n, width, grad_bias + column);
        if (pass->grad_input && n > 0) // x has been used
            nn_matmul(n, inputs, width, (nn_matrix){ grad, width, 1 },
                      (nn_matrix){ w.weight + a * width, 1, w.stride }, none, false, x, inputs,
                      g.product);
    }
    if (is_dueling(layer)) {
        split_gradient(layer, inputs, grad_weight);
        split_gradient(layer, 1, grad_bias);
    }
    if (pass->grad_input)
        scatter_grad_input(pass, &g);
    return GN_OK;
}

// One row: less work with the parts as they are.
static void wide_act(const nn_layer *layer, const nn_slice *slice, const float *parameter,
                     const float *x, float *y)
{
    nn_dense.act(layer, slice, parameter, x, y);
    if (is_dueling(layer))
        join(layer, y, 1, y);
}

const nn_layer_class nn_wide_head = {
    .name = "wide-head",
    .memory = wide_memory,
    .scratch = wide_scratch,
    .forward = wide_forward,
    .backward = wide_backward,
    .act = wide_act,
};
