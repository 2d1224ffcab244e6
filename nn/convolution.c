#include "nn/convolution.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

// Columns of c that are gathered at a time, so that they stay in the second-level cache; one
// position has as many as there are rows.
enum { COLUMNS = 256 };

// K: weights of an output.
static size_t kernel_size(const nn_layer *layer)
{
    return (size_t)layer->in.channels * layer->kernel[0] * layer->kernel[1];
}

static size_t positions(const nn_layer *layer)
{
    return (size_t)layer->out.height * layer->out.width;
}

static size_t positions_at_a_time(size_t rows)
{
    return gn_larger(COLUMNS / rows, 1);
}

size_t nn_convolve_scratch(const nn_layer *layer, size_t rows)
{
    size_t most = gn_larger(COLUMNS, rows), k = kernel_size(layer), channels = layer->out.channels;
    return nn_matmul_scratch(gn_larger(gn_larger(k, channels), most)) + k * most + k * channels;
}

// --- between a picture and the columns

// A piece of a line of the output, and the pixels one weight meets there: `count` of them, each
// `step` floats after the other, from `at` on, behind `before` and followed by `after` positions
// beyond the picture.
typedef struct piece {
    size_t before, count, after, at, step;
} piece;

// Positions in [from, to) of `size` whose pixel position * step + shift lies in the picture.
static void clip(size_t size, size_t step, ptrdiff_t shift, size_t *from, size_t *to)
{
    size_t below = shift < 0 ? ((size_t)-shift + step - 1) / step : 0;
    size_t above =
        (ptrdiff_t)size > shift ? ((size_t)((ptrdiff_t)size - shift) + step - 1) / step : 0;
    *from = below < *from ? *from : below < *to ? below : *to;
    *to = above > *to ? *to : above > *from ? above : *from;
}

// Of weight (channel, ky, kx) at positions [from, to) of line y.
static piece piece_of(const nn_convolve *c, size_t channel, const size_t k[2], size_t y,
                      size_t from, size_t to)
{
    const nn_layer *layer = c->layer;
    ptrdiff_t line = (ptrdiff_t)(y * layer->step[0] + k[0]) - (ptrdiff_t)layer->border[0];
    ptrdiff_t shift = (ptrdiff_t)k[1] - (ptrdiff_t)layer->border[1];
    size_t first = from, last = to;
    if (line < 0 || line >= (ptrdiff_t)layer->in.height)
        return (piece){ .before = to - from };
    clip(layer->in.width, layer->step[1], shift, &first, &last);
    size_t x = (size_t)((ptrdiff_t)(first * layer->step[1]) + shift);
    return (piece){
        .before = first - from,
        .count = last - first,
        .after = to - last,
        .at = ((channel * layer->in.height + (size_t)line) * layer->in.width + x) * c->filled,
        .step = layer->step[1] * c->filled,
    };
}

static void gather(const nn_convolve *c, const piece *p, float *restrict ret_column)
{
    const float *x = c->x + p->at;
    size_t n = c->n, run = n, count = p->count, step = p->step;
    memset(ret_column, 0, p->before * n * sizeof *ret_column);
    ret_column += p->before * n;
    if (step == n) {
        run = count * n;
        count = count > 0;
    }
    if (n == 1 && run == 1)
        for (size_t i = 0; i < count; i++)
            ret_column[i] = x[i * step];
    else
        for (size_t i = 0; i < count; i++)
            memcpy(ret_column + i * run, x + i * step, run * sizeof *ret_column);
    for (size_t i = 0; c->relu_input && i < p->count * n; i++)
        ret_column[i] = ret_column[i] < 0 ? 0 : ret_column[i]; // keeps a NaN
    memset(ret_column + p->count * n, 0, p->after * n * sizeof *ret_column);
}

// Adds the columns to the picture [in, n] they were gathered from. Pieces are places in the
// picture of the forward, whose rows are `filled` apart.
static void scatter(const nn_convolve *c, const piece *p, const float *restrict column,
                    float *restrict grad_x)
{
    size_t n = c->n, run = n, count = p->count, step = p->step / c->filled * n;
    grad_x += p->at / c->filled * n;
    column += p->before * n;
    if (step == n) {
        run = count * n;
        count = count > 0;
    }
    for (size_t i = 0; i < count; i++, column += run, grad_x += step)
        for (size_t j = 0; j < run; j++)
            grad_x[j] += column[j];
}

// All columns of positions [first, first + count): gathered, or with grad_x scattered to it.
// Shape: column: [K, count * n].
static void move_columns(const nn_convolve *c, size_t first, size_t count, float *column,
                         float *grad_x)
{
    const nn_layer *layer = c->layer;
    size_t width = layer->out.width, last = first + count;
    for (size_t channel = 0; channel < layer->in.channels; channel++)
        for (size_t weight = 0; weight < layer->kernel[0] * layer->kernel[1]; weight++) {
            const size_t k[] = { weight / layer->kernel[1], weight % layer->kernel[1] };
            for (size_t at = first; at < last;) {
                size_t y = at / width, end = (y + 1) * width < last ? (y + 1) * width : last;
                piece p = piece_of(c, channel, k, y, at - y * width, end - y * width);
                if (grad_x)
                    scatter(c, &p, column, grad_x);
                else
                    gather(c, &p, column);
                column += (end - at) * c->n;
                at = end;
            }
        }
}

// --- one convolution

// What lies in the scratch.
typedef struct arrays {
    float *product; // of nn_matmul
    float *column; // [K, columns]
    float *turned; // [K, out.channels] gradient of the weights
} arrays;

static arrays split(const nn_convolve *c)
{
    const nn_layer *layer = c->layer;
    size_t most = gn_larger(COLUMNS, c->n), k = kernel_size(layer);
    float *column =
        c->scratch + nn_matmul_scratch(gn_larger(gn_larger(k, layer->out.channels), most));
    return (arrays){ c->scratch, column, column + k * most };
}

void nn_convolve_forward(const nn_convolve *c, bool add, bool relu, float *ret_y)
{
    arrays s = split(c);
    size_t all = positions(c->layer), chunk = positions_at_a_time(c->n), k = kernel_size(c->layer);
    assert(c->n == c->filled);
    for (size_t first = 0; first < all; first += chunk) {
        size_t count = all - first < chunk ? all - first : chunk, columns = count * c->n;
        move_columns(c, first, count, s.column, NULL);
        nn_matmul(c->layer->out.channels, columns, k, (nn_matrix){ c->weight, k, 1 },
                  (nn_matrix){ s.column, columns, 1 }, (nn_bias){ .row = c->bias, .output = add },
                  relu, ret_y + first * c->n, all * c->n, s.product);
    }
}

void nn_convolve_backward(const nn_convolve *c, const float *grad_y, float *ret_grad_weight,
                          float *ret_grad_bias, float *ret_grad_x)
{
    arrays s = split(c);
    const nn_layer *layer = c->layer;
    size_t all = positions(layer), chunk = positions_at_a_time(c->n), k = kernel_size(layer);
    size_t channels = layer->out.channels;
    nn_sum_rows(grad_y, channels, all * c->n, ret_grad_bias);
    if (ret_grad_x)
        memset(ret_grad_x, 0,
               (size_t)layer->in.channels * layer->in.height * layer->in.width * c->n *
                   sizeof *ret_grad_x);
    for (size_t first = 0; first < all; first += chunk) {
        size_t count = all - first < chunk ? all - first : chunk, columns = count * c->n;
        const float *g = grad_y + first * c->n;
        move_columns(c, first, count, s.column, NULL);
        // The small one is transposed: g, not c.
        nn_matmul(k, channels, columns, (nn_matrix){ s.column, columns, 1 },
                  (nn_matrix){ g, 1, all * c->n }, (nn_bias){ .output = first > 0 }, false,
                  s.turned, channels, s.product);
        if (!ret_grad_x)
            continue;
        nn_matmul(k, columns, channels, (nn_matrix){ c->weight, 1, k },
                  (nn_matrix){ g, all * c->n, 1 }, (nn_bias){ 0 }, false, s.column, columns,
                  s.product);
        move_columns(c, first, count, s.column, ret_grad_x);
    }
    for (size_t o = 0; o < channels; o++)
        for (size_t i = 0; i < k; i++)
            ret_grad_weight[o * k + i] = s.turned[i * channels + o];
}

// --- the layer

static size_t convolution_scratch(const nn_layer *layer, size_t rows, size_t quantiles)
{
    (void)quantiles;
    return nn_convolve_scratch(layer, rows);
}

static nn_convolve convolve_of(const nn_pass *pass)
{
    assert(!pass->input_rows_first);
    return (nn_convolve){ .layer = pass->layer,
                          .weight = pass->parameter + pass->slice[0].offset,
                          .bias = pass->parameter + pass->slice[1].offset,
                          .x = pass->input.data,
                          .n = pass->n,
                          .filled = pass->filled,
                          .scratch = pass->scratch };
}

static gn_status convolution_forward(const nn_pass *pass)
{
    const nn_layer *layer = pass->layer;
    size_t inputs = layer->inputs - layer->extra, outputs = layer->outputs - layer->extra;
    nn_convolve c = convolve_of(pass);
    nn_convolve_forward(&c, false, layer->relu, pass->output);
    memcpy(pass->output + outputs * pass->n, pass->input.data + inputs * pass->n,
           layer->extra * pass->n * sizeof(float));
    return GN_OK;
}

static gn_status convolution_backward(const nn_pass *pass)
{
    const nn_layer *layer = pass->layer;
    size_t inputs = layer->inputs - layer->extra, outputs = layer->outputs - layer->extra;
    nn_convolve c = convolve_of(pass);
    if (layer->relu)
        nn_relu_backward(pass->output, pass->filled, outputs, pass->n, pass->grad_output);
    nn_convolve_backward(&c, pass->grad_output, pass->gradient + pass->slice[0].offset,
                         pass->gradient + pass->slice[1].offset, pass->grad_input);
    if (pass->grad_input)
        memcpy(pass->grad_input + inputs * pass->n, pass->grad_output + outputs * pass->n,
               layer->extra * pass->n * sizeof(float));
    return GN_OK;
}

const nn_layer_class nn_convolution = {
    .name = "convolution",
    .scratch = convolution_scratch,
    .forward = convolution_forward,
    .backward = convolution_backward,
};
