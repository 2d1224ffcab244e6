// Matrix products of the sizes small networks need, with bias and ReLU fused into the store.
// An output is the same bit for bit whatever m and n are and wherever the arrays lie.
//
// Strides: element (i, j) of a matrix x lies at x[i * row + j * column]. One of the two is 1.

#ifndef NN_MATMUL_H
#define NN_MATMUL_H

#include <stdbool.h>
#include <stddef.h>

typedef struct nn_matrix {
    const float *data;
    size_t row, column; // strides in floats
} nn_matrix;

// What an output starts from: a value of its row, of its column, or 0 where both are NULL.
typedef struct nn_bias {
    const float *row, *column; // [m], [n]; one of them at most
    bool output; // what the output held before is added at the end
} nn_bias;

// out = a b + bias (then ReLU).
// Shapes: a [m, k], b [k, n], out [m, n] row-major with `stride` floats a row.
// scratch: nn_matmul_scratch(k) floats, 64-byte aligned.
void nn_matmul(size_t m, size_t n, size_t k, nn_matrix a, nn_matrix b, nn_bias bias, bool relu,
               float *ret_out, size_t stride, float *scratch);

size_t nn_matmul_scratch(size_t k);

#endif
