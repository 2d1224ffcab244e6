// One kernel for all products of a layer. Operands come with strides, so a transposed one is
// read as it lies.
//
//              k              WIDTH
//          +-------+        +-------+------- ...      b is copied panel by panel, zero-padded to
//     ROWS |   a   |  x   k | panel |                 whole vectors: the inner loop then reads it
//          +-------+        |       |                 in order, from the first-level cache.
//          | ...   |        +-------+------- ...
//
// A tile of ROWS x WIDTH sums stays in registers for the whole of k:
//     sum[r][v] += a[i + r, p] (one float, broadcast) * panel[p][v] (one vector),  p = 0 .. k-1
// Enough sums are in flight to hide the latency of a multiply-add, and ROWS + VECTORS loads feed
// ROWS * VECTORS of them.
//
// Each output is one chain of multiply-adds that starts at its bias and runs over p in order. How
// many rows and columns a call has, where an output lies in a tile and who computes it changes no
// bit of it. What the output held before comes last, so that a long sum made of several calls loses
// less than one chain would.

#include "nn/matmul.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#ifdef __AVX512F__
enum { LANES = 16, ROWS = 8 }; // 16 sums in 32 registers
#else
enum { LANES = 8, ROWS = 6 }; // 12 sums in 16 registers
#endif
enum { VECTORS = 2, WIDTH = VECTORS * LANES, QUAD = 4 };

typedef float vector __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t mask __attribute__((vector_size(LANES * sizeof(int32_t))));
typedef float loose_vector __attribute__((vector_size(LANES * sizeof(float)), aligned(4)));
typedef float quad __attribute__((vector_size(QUAD * sizeof(float)), aligned(4)));

size_t nn_matmul_scratch(size_t k)
{
    return k * WIDTH;
}

// out[j][i] = in[i][j] for i, j < 4; strides in floats.
static inline void transpose_quad(const float *in, size_t in_stride, float *ret_out, size_t stride)
{
    quad r0 = *(const quad *)in, r1 = *(const quad *)(in + in_stride);
    quad r2 = *(const quad *)(in + 2 * in_stride), r3 = *(const quad *)(in + 3 * in_stride);
    quad low01 = __builtin_shufflevector(r0, r1, 0, 4, 1, 5);
    quad high01 = __builtin_shufflevector(r0, r1, 2, 6, 3, 7);
    quad low23 = __builtin_shufflevector(r2, r3, 0, 4, 1, 5);
    quad high23 = __builtin_shufflevector(r2, r3, 2, 6, 3, 7);
    *(quad *)ret_out = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
    *(quad *)(ret_out + stride) = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
    *(quad *)(ret_out + 2 * stride) = __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
    *(quad *)(ret_out + 3 * stride) = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
}

// Where k runs across memory rows, a panel row is a piece of a row of b.
static void pack_rows(nn_matrix b, size_t k, size_t columns, size_t width, float *ret_panel)
{
    for (size_t p = 0; p < k; p++, b.data += b.row, ret_panel += width) {
        if (columns == WIDTH) {
            memcpy(ret_panel, b.data, WIDTH * sizeof *ret_panel); // of constant size: two vectors
            continue;
        }
        for (size_t j = 0; j < columns; j++)
            ret_panel[j] = b.data[j];
        for (size_t j = columns; j < width; j++)
            ret_panel[j] = 0;
    }
}

// Where k runs along memory rows, it is transposed: whole quads, then what is left of both sides.
static void pack_columns(nn_matrix b, size_t k, size_t columns, size_t width, float *ret_panel)
{
    size_t whole = columns - columns % QUAD, p = 0;
    for (; p + QUAD <= k; p += QUAD)
        for (size_t j = 0; j < whole; j += QUAD)
            transpose_quad(b.data + j * b.column + p, b.column, ret_panel + p * width + j, width);
    for (size_t q = 0; q < k; q++) {
        float *row = ret_panel + q * width;
        for (size_t j = q < p ? whole : 0; j < columns; j++)
            row[j] = b.data[j * b.column + q];
        for (size_t j = columns; j < width; j++)
            row[j] = 0;
    }
}

typedef struct tile {
    size_t k, columns; // columns of the result that lie in this tile
    const float *a; // first row
    size_t row, column; // strides of a
    const float *panel;
    const float *row_bias; // of the first row, or NULL
    vector column_bias[VECTORS];
    bool add; // to what out holds
    bool relu;
    float *out;
    size_t stride;
} tile;

// The first `count` lanes, the others 0.
static __attribute__((noinline)) void load_part(const float *data, size_t count, vector *ret_value)
{
    for (size_t j = 0; j < LANES; j++)
        (*ret_value)[j] = j < count ? data[j] : 0;
}

// The first `count` lanes.
static __attribute__((noinline)) void store_part(const vector *value, size_t count, float *ret_out)
{
    for (size_t j = 0; j < LANES; j++)
        if (j < count)
            ret_out[j] = (*value)[j];
}

// rows and vectors are constants where this is inlined: then the sums are registers.
static inline __attribute__((always_inline)) void multiply(size_t rows, size_t vectors,
                                                           const tile *t)
{
    vector sum[ROWS][VECTORS];
    for (size_t r = 0; r < rows; r++)
        for (size_t v = 0; v < vectors; v++)
            sum[r][v] = t->column_bias[v] + (t->row_bias ? t->row_bias[r] : 0);

    const float *a = t->a;
    const vector *panel = (const vector *)t->panel, *end = panel + t->k * vectors;
    for (; panel < end; panel += vectors, a += t->column) {
        vector b[VECTORS];
#pragma GCC unroll 2
        for (size_t v = 0; v < vectors; v++)
            b[v] = panel[v];
#pragma GCC unroll 8
        for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 2
            for (size_t v = 0; v < vectors; v++)
                sum[r][v] += a[r * t->row] * b[v];
    }

#pragma GCC unroll 8
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (size_t v = 0; v < vectors; v++) {
            vector value = sum[r][v];
            float *out = t->out + r * t->stride + v * LANES;
            bool whole = (v + 1) * LANES <= t->columns;
            if (t->add) {
                vector before;
                if (whole)
                    before = *(loose_vector *)out;
                else
                    load_part(out, t->columns - v * LANES, &before);
                value += before;
            }
            if (t->relu)
                value = (vector)((mask)value & ~(value < 0)); // keeps a NaN
            if (whole)
                *(loose_vector *)out = value;
            else
                store_part(&value, t->columns - v * LANES, out);
        }
}

// One tile of the most rows there is a kernel for, at most `left`; returns how many.
static size_t multiply_tile(size_t left, const tile *t)
{
    bool wide = t->columns > LANES;
#define KERNEL(rows) \
    if (left >= (rows)) { \
        if (wide) \
            multiply(rows, VECTORS, t); \
        else \
            multiply(rows, 1, t); \
        return rows; \
    }
    KERNEL(ROWS)
    KERNEL(4)
    KERNEL(2)
    KERNEL(1)
#undef KERNEL
    return 0;
}

void nn_matmul(size_t m, size_t n, size_t k, nn_matrix a, nn_matrix b, nn_bias bias, bool relu,
               float *ret_out, size_t stride, float *scratch)
{
    assert((uintptr_t)scratch % sizeof(vector) == 0 && stride >= n && !(bias.row && bias.column));
    for (size_t first = 0; first < n; first += WIDTH, b.data += WIDTH * b.column) {
        size_t columns = n - first < WIDTH ? n - first : WIDTH;
        tile t = { .k = k,
                   .columns = columns,
                   .row = a.row,
                   .column = a.column,
                   .panel = scratch,
                   .add = bias.output,
                   .relu = relu,
                   .stride = stride };
        (b.column == 1 ? pack_rows : pack_columns)(b, k, columns, columns > LANES ? WIDTH : LANES,
                                                   scratch);
        if (bias.column)
            memcpy(t.column_bias, bias.column + first, columns * sizeof(float));
        for (size_t i = 0; i < m;) {
            t.a = a.data + i * a.row;
            t.row_bias = bias.row ? bias.row + i : NULL;
            t.out = ret_out + i * stride + first;
            i += multiply_tile(m - i, &t);
        }
    }
}
