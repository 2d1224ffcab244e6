// Where implicit quantiles come in: each row x meets each of its quantile fractions tau.
//     y[i, j] = x[i] * phi(tau[i, j]),   phi(tau) = relu(V^T c(tau) + b),   c(tau)_k = cos(pi k
//     tau)
// One row of input becomes `quantiles` rows of output, those of row i one after the other.
// Source: Dabney et al. 2018, arXiv:1806.06923, equation 4.
//
// Keeps the cosines [cosines, rows] and phi [width, rows].

#include <math.h>

#include "base/mem.h"
#include "nn/layer.h"

static const double pi = 3.14159265358979323846;

static size_t cosine_memory(const nn_layer *layer, size_t rows, size_t quantiles)
{
    return (layer->cosines + layer->outputs) * rows * quantiles;
}

static size_t cosine_scratch(const nn_layer *layer, size_t rows, size_t quantiles)
{
    size_t longest = gn_larger(layer->outputs, layer->cosines);
    return nn_matmul_scratch(gn_larger(longest, rows * quantiles));
}

// cos(k a) = 2 cos(a) cos((k - 1) a) - cos((k - 2) a), in double precision, for columns side by
// side.  Shape: ret_cosine: [cosines, n].
static void fill_cosines(const float *fraction, size_t n, size_t cosines, float *ret_cosine)
{
    enum { SIDE_BY_SIDE = 16 };
    for (size_t first = 0; first < n; first += SIDE_BY_SIDE) {
        double twice[SIDE_BY_SIDE] = { 0 }, before[SIDE_BY_SIDE], now[SIDE_BY_SIDE];
        size_t count = n - first < SIDE_BY_SIDE ? n - first : SIDE_BY_SIDE;
        for (size_t j = 0; j < count; j++)
            twice[j] = 2 * cos(pi * fraction[first + j]);
        for (size_t j = 0; j < SIDE_BY_SIDE; j++) {
            now[j] = 1;
            before[j] = twice[j] / 2; // cos(-a)
        }
        for (size_t k = 0; k < cosines; k++) {
            for (size_t j = 0; j < count; j++)
                ret_cosine[k * n + first + j] = (float)now[j];
            for (size_t j = 0; j < SIDE_BY_SIDE; j++) {
                double next = twice[j] * now[j] - before[j];
                before[j] = now[j];
                now[j] = next;
            }
        }
    }
}

static gn_status cosine_forward(const nn_pass *pass)
{
    size_t width = pass->layer->outputs, cosines = pass->layer->cosines;
    size_t quantiles = pass->quantiles, n = pass->n * quantiles;
    float *cosine = pass->memory, *phi = cosine + cosines * n;
    const float *weight = pass->parameter + pass->slice[0].offset;
    const float *bias = pass->parameter + pass->slice[1].offset;
    fill_cosines(pass->fraction, n, cosines, cosine);
    nn_matmul(width, n, cosines, (nn_matrix){ weight, 1, width }, (nn_matrix){ cosine, n, 1 },
              (nn_bias){ .row = bias }, true, phi, n, pass->scratch);
    for (size_t f = 0; f < width; f++)
        for (size_t i = 0; i < pass->n; i++) {
            float x = pass->input.data[f * pass->input.row + i * pass->input.column];
            size_t at = f * n + i * quantiles;
            for (size_t j = 0; j < quantiles; j++)
                pass->output[at + j] = x * phi[at + j];
        }
    return GN_OK;
}

// Turns the gradient of y into that of phi, in place, and adds up the one of x.
static void backward_feature(const nn_pass *pass, size_t f, const float *phi)
{
    size_t width = pass->layer->inputs, quantiles = pass->quantiles, n = pass->n;
    float *g = pass->grad_output + f * n * quantiles;
    const float *phi_f = phi + f * pass->filled * quantiles;
    for (size_t i = 0; i < n; i++, g += quantiles, phi_f += quantiles) {
        float x = pass->input.data[f * pass->input.row + i * pass->input.column], sum = 0;
        for (size_t j = 0; j < quantiles; j++) {
            sum += g[j] * phi_f[j];
            g[j] = phi_f[j] > 0 ? g[j] * x : 0;
        }
        if (pass->grad_input)
            pass->grad_input[pass->input_rows_first ? i * width + f : f * n + i] = sum;
    }
}

static gn_status cosine_backward(const nn_pass *pass)
{
    size_t width = pass->layer->outputs, cosines = pass->layer->cosines;
    size_t n = pass->n * pass->quantiles, filled = pass->filled * pass->quantiles;
    const float *cosine = pass->memory, *phi = cosine + cosines * filled;
    for (size_t f = 0; f < width; f++)
        backward_feature(pass, f, phi);
    nn_matmul(cosines, width, n, (nn_matrix){ cosine, filled, 1 },
              (nn_matrix){ pass->grad_output, 1, n }, (nn_bias){ 0 }, false,
              pass->gradient + pass->slice[0].offset, width, pass->scratch);
    nn_sum_rows(pass->grad_output, width, n, pass->gradient + pass->slice[1].offset);
    return GN_OK;
}

const nn_layer_class nn_cosine = {
    .name = "cosine",
    .memory = cosine_memory,
    .scratch = cosine_scratch,
    .forward = cosine_forward,
    .backward = cosine_backward,
};
