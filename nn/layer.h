// Inside nn/: what a kind of layer can do. A network is a list of layers (nn/layout.h), run in
// order by nn/net.c; each has its own file. Activations are stored feature by feature, [width, n],
// so that the many rows of a batch fill whole vectors whatever the widths are: the pixels of a
// picture are [channels, height, width, n]. Layers that are better off otherwise (wide heads) store
// [n, width] and say so in rows_first.

#ifndef NN_LAYER_H
#define NN_LAYER_H

#include "base/status.h"
#include "nn/layout.h"
#include "nn/matmul.h"

// One call of a layer. Feature i of row j of the input is input.data[i * input.row + j *
// input.column]: [inputs, filled] or [n, inputs].
typedef struct nn_pass {
    const nn_layer *layer;
    const nn_slice *slice; // its slices
    const float *parameter; // [layout size] whole buffer
    size_t n; // rows of the input that this call is about
    size_t filled; // rows of the last forward; backward may be about the first n of them
    nn_matrix input;
    bool input_rows_first;
    float *output; // [outputs, filled], or [n, outputs]
    float *memory; // [memory(layer, most rows, most quantiles)] kept from forward to backward
    float *scratch; // [scratch(...)] at will
    const float *fraction; // [n, quantiles] implicit quantiles, else NULL
    const int32_t *action; // [n] of a wide head: its outputs and their gradients are [n, width], of
                           // these actions; NULL: [n, actions, width] of all
    size_t quantiles; // rows of output for a row of input; 1 for most

    // Backward only.
    float *grad_output; // [outputs, n] or [n, outputs], as the output; may be overwritten
    float *grad_input; // [inputs, n] or [n, inputs], as the input; NULL: no layer below has slices
    float *gradient; // [layout size]; the layer's slices are overwritten
} nn_pass;

typedef struct nn_layer_class {
    const char *name;
    // Floats for a network of at most `rows` input rows of this layer, each with at most
    // `quantiles`. NULL: none.
    size_t (*memory)(const nn_layer *layer, size_t rows, size_t quantiles);
    size_t (*scratch)(const nn_layer *layer, size_t rows, size_t quantiles);
    gn_status (*forward)(const nn_pass *pass);
    gn_status (*backward)(const nn_pass *pass);
    // One row, plain C: y = layer(x), nothing else written. NULL: by a forward of one row.
    void (*act)(const nn_layer *layer, const nn_slice *slice, const float *parameter,
                const float *x, float *ret_y);
} nn_layer_class;

extern const nn_layer_class nn_dense, nn_wide_head, nn_cosine, nn_layer_norm, nn_transpose,
    nn_convolution, nn_pooling, nn_residual, nn_lstm, nn_gru;

// --- for building a layout

// Appends a layer that continues where the last one ended: its inputs, its first slice and, unless
// given, what its picture looks like come from there. Errors: GN_ERR_CONFIG: too many layers, too
// many outputs.
gn_status nn_layout_append(nn_layout *layout, nn_layer layer);

// Appends a slice of the layer appended last: "NAME.KIND". shape ends with 0 where the rank is
// below 4.
void nn_layout_slice(nn_layout *layout, const char *layer, const char *name, nn_slice_kind kind,
                     uint32_t fan_in, const uint32_t shape[4]);

// A dense layer with its slices; noisy where the spec says so.
gn_status nn_layout_dense(nn_layout *layout, const char *name, uint32_t outputs, bool relu);

// Outputs of the last layer, or the inputs where there is none.
uint32_t nn_layout_outputs(const nn_layout *layout);

// Floats that `count` take, so that what follows them lies on a 64-byte boundary.
static inline size_t nn_padded(size_t count)
{
    return (count + 15) / 16 * 16;
}

// --- for running one

// g [rows, n]: cleared where the output [rows, stride] was not above 0.
void nn_relu_backward(const float *output, size_t stride, size_t rows, size_t n, float *g);

// ret_sum[i] = sum of row i of g [rows, n].
void nn_sum_rows(const float *g, size_t rows, size_t n, float *ret_sum);

// ret_sum[j] = sum of column j of g [n, columns].
void nn_sum_columns(const float *g, size_t n, size_t columns, float *ret_sum);

#endif
