// LSTM and GRU over a window of bars, oldest first: the last hidden state, from a state of 0. With
// x_t the features of bar t,
//
//     a_t = Wx^T x_t + bx,   s_t = Wh^T h_{t-1} + bh
//
//     LSTM  i, f, o = sigmoid(a + s),   g = tanh(a + s)
//           c_t = f c_{t-1} + i g,   h_t = o tanh(c_t)
//     GRU   r, z = sigmoid(a + s),   n = tanh(a + r s)
//           h_t = (1 - z) n + z h_{t-1}
//
// The gates lie side by side in the weights, in PyTorch's order: i f g o; r z n. a is one product
// for the whole window. Everything else is kept bar by bar in blocks of [width, rows], so that
// gates fill whole vectors however few rows there are. Before the first bar lies a bar of zeros.
//
//     | h c tanh(c) i f g o | h c tanh(c) i f g o | ...      LSTM; GRU: | h s_n r z n |
//       0 0 0       0 0 0 0   bar 0
//
// Going back, bar by bar: the gradients of a and s, their share of the weights' gradients, and from
// s that of h_{t-1}.
// Source: Hochreiter & Schmidhuber 1997; Cho et al. 2014, arXiv:1406.1078; torch.nn.LSTM and GRU.

#include <assert.h>
#include <string.h>

#include "nn/layer.h"
#include "nn/sigmoid.h"

typedef struct cell {
    size_t gates, blocks; // blocks of a bar, the gates last
    // One bar. now: [blocks, count], with a where the gates will be; s: [gates, count].
    void (*step)(size_t count, const float *before, const float *s, float *now);
    // The gradients of a and s from that of h, in h_t, and of c, which become those of h_{t-1}
    // without what comes by s, and of c_{t-1}. Blocks of the bars are `kept` floats apart,
    // gradients `grads`.
    void (*back)(size_t count, const float *before, const float *now, size_t kept, float *grad_h,
                 float *grad_c, float *ret_grad_a, float *ret_grad_s, size_t grads);
} cell;

enum { HIDDEN = 0 }; // its block

// From a to a gate, in place.
static void open_gates(size_t count, const float *restrict s, float *restrict gate)
{
    for (size_t j = 0; j < count; j++)
        gate[j] = nn_sigmoid(gate[j] + s[j]);
}

static void squash(size_t count, const float *restrict s, float *restrict gate)
{
    for (size_t j = 0; j < count; j++)
        gate[j] = nn_tanh(gate[j] + s[j]);
}

// --- LSTM

enum { LSTM_CELL = 1, LSTM_TANH, LSTM_I, LSTM_F, LSTM_G, LSTM_O, LSTM_BLOCKS };

// Shape: gates: [4, count].
static void pass_gates(size_t count, const float *restrict gates, const float *restrict c_before,
                       float *restrict c, float *restrict tanh_c, float *restrict h)
{
    for (size_t j = 0; j < count; j++) {
        c[j] = gates[count + j] * c_before[j] + gates[j] * gates[2 * count + j];
        tanh_c[j] = nn_tanh(c[j]);
        h[j] = gates[3 * count + j] * tanh_c[j];
    }
}

static void lstm_step(size_t count, const float *before, const float *s, float *now)
{
    float *gates = now + LSTM_I * count;
    open_gates(2 * count, s, gates); // i and f
    squash(count, s + 2 * count, gates + 2 * count);
    open_gates(count, s + 3 * count, gates + 3 * count);
    pass_gates(count, gates, before + LSTM_CELL * count, now + LSTM_CELL * count,
               now + LSTM_TANH * count, now);
}

static void lstm_back(size_t count, const float *before, const float *now, size_t kept,
                      float *restrict grad_h, float *restrict grad_c, float *restrict ret_grad_a,
                      float *restrict ret_grad_s, size_t grads)
{
    const float *c_before = before + LSTM_CELL * kept, *tanh_c = now + LSTM_TANH * kept;
    const float *i = now + LSTM_I * kept, *f = now + LSTM_F * kept;
    const float *g = now + LSTM_G * kept, *o = now + LSTM_O * kept;
    for (size_t j = 0; j < count; j++) {
        float dc = grad_c[j] + grad_h[j] * o[j] * (1 - tanh_c[j] * tanh_c[j]);
        ret_grad_a[j] = dc * g[j] * i[j] * (1 - i[j]);
        ret_grad_a[grads + j] = dc * c_before[j] * f[j] * (1 - f[j]);
        ret_grad_a[2 * grads + j] = dc * i[j] * (1 - g[j] * g[j]);
        ret_grad_a[3 * grads + j] = grad_h[j] * tanh_c[j] * o[j] * (1 - o[j]);
        grad_c[j] = dc * f[j];
        grad_h[j] = 0;
    }
    for (size_t gate = 0; gate < 4; gate++)
        memcpy(ret_grad_s + gate * grads, ret_grad_a + gate * grads, count * sizeof(float));
}

static const cell lstm = { 4, LSTM_BLOCKS, lstm_step, lstm_back };

// --- GRU

enum { GRU_S_N = 1, GRU_R, GRU_Z, GRU_N, GRU_BLOCKS };

static void gru_step(size_t count, const float *restrict before, const float *restrict s,
                     float *now)
{
    float *restrict h = now, *restrict s_n = now + GRU_S_N * count;
    float *restrict n = now + GRU_N * count;
    const float *r = now + GRU_R * count, *z = now + GRU_Z * count;
    open_gates(2 * count, s, now + GRU_R * count); // and z
    for (size_t j = 0; j < count; j++) {
        s_n[j] = s[2 * count + j];
        n[j] = nn_tanh(n[j] + r[j] * s_n[j]);
        h[j] = (1 - z[j]) * n[j] + z[j] * before[j];
    }
}

static void gru_back(size_t count, const float *before, const float *now, size_t kept,
                     float *restrict grad_h, float *grad_c, float *restrict ret_grad_a,
                     float *restrict ret_grad_s, size_t grads)
{
    const float *s_n = now + GRU_S_N * kept, *r = now + GRU_R * kept;
    const float *z = now + GRU_Z * kept, *n = now + GRU_N * kept;
    (void)grad_c;
    for (size_t j = 0; j < count; j++) {
        float dn = grad_h[j] * (1 - z[j]) * (1 - n[j] * n[j]);
        float dr = dn * s_n[j] * r[j] * (1 - r[j]);
        float dz = grad_h[j] * (before[j] - n[j]) * z[j] * (1 - z[j]);
        ret_grad_a[j] = ret_grad_s[j] = dr;
        ret_grad_a[grads + j] = ret_grad_s[grads + j] = dz;
        ret_grad_a[2 * grads + j] = dn;
        ret_grad_s[2 * grads + j] = dn * r[j];
        grad_h[j] *= z[j];
    }
}

static const cell gru = { 3, GRU_BLOCKS, gru_step, gru_back };

// --- sizes and arrays

static size_t width_of(const nn_layer *layer)
{
    return layer->outputs - layer->extra;
}

static size_t memory_of(const nn_layer *layer, size_t rows, const cell *kind)
{
    return (layer->in.width + 1) * kind->blocks * width_of(layer) * rows;
}

// What lies in the scratch, for `rows` rows.
typedef struct arrays {
    float *product; // of nn_matmul
    float *a; // [gates * width, bars, rows], forward
    float *grad_a, *grad_s; // [gates * width, rows]; forward: s in the second
    float *grad_h, *grad_c; // [width, rows]
    float *sum; // [gates * width]
    size_t size;
} arrays;

static arrays split(const nn_layer *layer, size_t rows, const cell *kind, float *scratch)
{
    size_t width = width_of(layer), all = kind->gates * width, features = layer->in.channels;
    size_t longest = all > features ? all : features, used = 0;
    const size_t sizes[] = { nn_matmul_scratch(rows > longest ? rows : longest),
                             all * layer->in.width * rows,
                             all * rows,
                             all * rows,
                             width * rows,
                             width * rows,
                             all };
    float *part[7];
    for (int i = 0; i < 7; i++) {
        part[i] = scratch ? scratch + used : NULL;
        used += sizes[i];
    }
    return (arrays){ part[0], part[1], part[2], part[3], part[4], part[5], part[6], used };
}

// --- forward and backward

static gn_status forward(const nn_pass *pass, const cell *kind)
{
    const nn_layer *layer = pass->layer;
    size_t width = width_of(layer), all = kind->gates * width, bars = layer->in.width;
    size_t n = pass->n, count = width * n, bar_size = kind->blocks * count;
    const float *weight[4]; // Wx, Wh, bx, bh
    arrays s = split(layer, n, kind, pass->scratch);
    assert(!pass->input_rows_first);
    for (int i = 0; i < 4; i++)
        weight[i] = pass->parameter + pass->slice[i].offset;
    nn_matmul(all, bars * n, layer->in.channels, (nn_matrix){ weight[0], 1, all },
              (nn_matrix){ pass->input.data, bars * n, 1 }, (nn_bias){ .row = weight[2] }, false,
              s.a, bars * n, s.product);
    float *now = pass->memory;
    memset(now, 0, bar_size * sizeof *now);
    for (size_t t = 0; t < bars; t++) {
        const float *before = now;
        now += bar_size;
        nn_matmul(all, n, width, (nn_matrix){ weight[1], 1, all },
                  (nn_matrix){ before + HIDDEN * count, n, 1 }, (nn_bias){ .row = weight[3] },
                  false, s.grad_s, n, s.product);
        float *gates = now + (kind->blocks - kind->gates) * count;
        for (size_t i = 0; i < all; i++)
            for (size_t j = 0; j < n; j++)
                gates[i * n + j] = s.a[(i * bars + t) * n + j];
        kind->step(count, before, s.grad_s, now);
    }
    memcpy(pass->output, now + HIDDEN * count, count * sizeof *now);
    memcpy(pass->output + count, pass->input.data + (size_t)layer->in.channels * bars * n,
           layer->extra * n * sizeof *now);
    return GN_OK;
}

// Adds the sums of the rows of g [rows, n].
static void add_sums(const float *g, size_t rows, size_t n, float *sum, float *total)
{
    nn_sum_rows(g, rows, n, sum);
    for (size_t i = 0; i < rows; i++)
        total[i] += sum[i];
}

// The share of bar t in the gradients of Wx, Wh, bx, bh; x, h: the bar's and the last hidden state.
static void add_weights(const nn_pass *pass, const arrays *s, const float *x, const float *h,
                        size_t all, size_t width)
{
    size_t n = pass->n, filled = pass->filled, features = pass->layer->in.channels;
    const nn_bias added = { .output = true };
    float *grad[4];
    for (int i = 0; i < 4; i++)
        grad[i] = pass->gradient + pass->slice[i].offset;
    nn_matmul(features, all, n, (nn_matrix){ x, pass->layer->in.width * filled, 1 },
              (nn_matrix){ s->grad_a, 1, n }, added, false, grad[0], all, s->product);
    nn_matmul(width, all, n, (nn_matrix){ h, filled, 1 }, (nn_matrix){ s->grad_s, 1, n }, added,
              false, grad[1], all, s->product);
    add_sums(s->grad_a, all, n, s->sum, grad[2]);
    add_sums(s->grad_s, all, n, s->sum, grad[3]);
}

static gn_status backward(const nn_pass *pass, const cell *kind)
{
    const nn_layer *layer = pass->layer;
    size_t width = width_of(layer), all = kind->gates * width, n = pass->n;
    size_t block = width * pass->filled, bar_size = kind->blocks * block;
    const float *hidden_weight = pass->parameter + pass->slice[1].offset;
    arrays s = split(layer, n, kind, pass->scratch);
    assert(!pass->grad_input); // encoders begin with it
    for (int i = 0; i < 4; i++)
        memset(pass->gradient + pass->slice[i].offset, 0,
               nn_slice_size(&pass->slice[i]) * sizeof(float));
    memcpy(s.grad_h, pass->grad_output, width * n * sizeof *s.grad_h);
    memset(s.grad_c, 0, width * n * sizeof *s.grad_c);
    for (size_t t = layer->in.width; t-- > 0;) {
        const float *before = pass->memory + t * bar_size, *now = before + bar_size;
        for (size_t u = 0; u < width; u++)
            kind->back(n, before + u * pass->filled, now + u * pass->filled, block,
                       s.grad_h + u * n, s.grad_c + u * n, s.grad_a + u * n, s.grad_s + u * n,
                       width * n);
        add_weights(pass, &s, pass->input.data + t * pass->filled, before + HIDDEN * block, all,
                    width);
        nn_matmul(width, n, all, (nn_matrix){ hidden_weight, all, 1 },
                  (nn_matrix){ s.grad_s, n, 1 }, (nn_bias){ .output = true }, false, s.grad_h, n,
                  s.product);
    }
    return GN_OK;
}

#define RECURRENT(CELL) \
    static size_t CELL##_memory(const nn_layer *layer, size_t rows, size_t quantiles) \
    { \
        (void)quantiles; \
        return memory_of(layer, rows, &CELL); \
    } \
    static size_t CELL##_scratch(const nn_layer *layer, size_t rows, size_t quantiles) \
    { \
        (void)quantiles; \
        return split(layer, rows, &CELL, NULL).size; \
    } \
    static gn_status CELL##_forward(const nn_pass *pass) \
    { \
        return forward(pass, &CELL); \
    } \
    static gn_status CELL##_backward(const nn_pass *pass) \
    { \
        return backward(pass, &CELL); \
    } \
    const nn_layer_class nn_##CELL = { \
        .name = #CELL, \
        .memory = CELL##_memory, \
        .scratch = CELL##_scratch, \
        .forward = CELL##_forward, \
        .backward = CELL##_backward, \
    };

RECURRENT(lstm)
RECURRENT(gru)
