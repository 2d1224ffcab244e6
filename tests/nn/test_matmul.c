// The kernel against a naive product in double precision, over shapes around its blocks and every
// combination of strides, and against LibTorch's product.

#include "nn/matmul.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "shim/torch.h"
#include "tests/support/check.h"

static const size_t sizes[] = { 1, 2, 3, 5, 8, 16, 17, 31, 33, 64, 84, 127 };
enum { SIZES = sizeof sizes / sizeof *sizes, MAX = 130 };

static float a_data[MAX * MAX], b_data[MAX * MAX], bias[MAX], before[MAX * MAX];
static float out[MAX * MAX + 1];

static void fill(test_rng *rng, float *data, size_t count)
{
    for (size_t i = 0; i < count; i++)
        data[i] = (float)(2 * test_rng_unit(rng) - 1);
}

// rows x columns inside a_data or b_data, with some space between the lines.
static nn_matrix matrix(const float *data, size_t rows, size_t columns, bool transposed)
{
    return transposed ? (nn_matrix){ data, 1, rows + 1 } : (nn_matrix){ data, columns + 1, 1 };
}

static float *allocate_scratch(size_t k)
{
    float *scratch;
    expect_ok(gn_alloc(&scratch, nn_matmul_scratch(k), sizeof *scratch));
    return scratch;
}

static void check_product(size_t m, size_t n, size_t k, nn_matrix a, nn_matrix b, nn_bias from,
                          bool relu)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = from.row ? from.row[i] : from.column ? from.column[j] : 0;
            sum += from.output ? before[i * n + j] : 0;
            for (size_t p = 0; p < k; p++)
                sum += (double)a.data[i * a.row + p * a.column] * b.data[p * b.row + j * b.column];
            if (relu && sum < 0)
                sum = 0;
            if (fabs(sum - out[i * n + j]) > 1e-5)
                fail_msg("%zu x %zu x %zu, element %zu %zu: %g, must be %g", m, n, k, i, j,
                         out[i * n + j], sum);
        }
    assert_true(out[m * n] == 77); // nothing behind the result was touched
}

static void equals_the_naive_product(void **state)
{
    (void)state;
    test_rng rng = test_rng_seed(1);
    fill(&rng, a_data, MAX * MAX);
    fill(&rng, b_data, MAX * MAX);
    fill(&rng, bias, MAX);
    fill(&rng, before, MAX * MAX);
    float *scratch = allocate_scratch(MAX);
    for (size_t shape = 0; shape < SIZES * SIZES * SIZES; shape++) {
        size_t m = sizes[shape % SIZES], n = sizes[shape / SIZES % SIZES];
        size_t k = sizes[shape / SIZES / SIZES];
        unsigned variant = (unsigned)test_rng_below(&rng, 48);
        nn_matrix a = matrix(a_data, m, k, variant & 1), b = matrix(b_data, k, n, variant & 2);
        nn_bias from = { .output = variant & 8 };
        from.row = variant / 16 == 0 ? bias : NULL;
        from.column = variant / 16 == 1 ? bias : NULL;
        memcpy(out, before, m * n * sizeof *out);
        out[m * n] = 77;
        nn_matmul(m, n, k, a, b, from, variant & 4, out, n, scratch);
        check_product(m, n, k, a, b, from, variant & 4);
    }
    gn_free(&scratch);
}

static void equals_the_product_of_libtorch(void **state)
{
    (void)state;
    enum { M = 120, N = 84, K = 128 };
    static float reference[M * N];
    test_rng rng = test_rng_seed(2);
    fill(&rng, a_data, M * K);
    fill(&rng, b_data, K * N);
    float *scratch = allocate_scratch(K);
    nn_matmul(M, N, K, (nn_matrix){ a_data, 1, M }, (nn_matrix){ b_data, N, 1 }, (nn_bias){ 0 },
              false, out, N, scratch);

    torch_tensor *a, *b, *product;
    expect_ok(torch_tensor_wrap(&a, a_data, 2, (int64_t[]){ M, K }, (int64_t[]){ 1, M }));
    expect_ok(torch_tensor_wrap(&b, b_data, 2, (int64_t[]){ K, N }, NULL));
    expect_ok(torch_tensor_wrap(&product, reference, 2, (int64_t[]){ M, N }, NULL));
    expect_ok(torch_matmul(product, a, b));
    for (size_t i = 0; i < M * N; i++)
        assert_true(fabsf(out[i] - reference[i]) < 1e-5f);
    torch_tensor_destroy(&a);
    torch_tensor_destroy(&b);
    torch_tensor_destroy(&product);
    gn_free(&scratch);
}

// An output must not depend on what else is computed beside it, or where.
static void an_output_is_the_same_in_any_company(void **state)
{
    (void)state;
    enum { M = 37, N = 71, K = 90 };
    static float part[MAX * MAX];
    test_rng rng = test_rng_seed(3);
    fill(&rng, a_data, MAX * MAX);
    fill(&rng, b_data, MAX * MAX);
    fill(&rng, bias, MAX);
    float *scratch = allocate_scratch(K);
    nn_matrix a = { a_data, K, 1 }, b = { b_data, N, 1 };
    nn_matmul(M, N, K, a, b, (nn_bias){ .row = bias }, true, out, N, scratch);
    for (int round = 0; round < 200; round++) {
        size_t i = test_rng_below(&rng, M), j = test_rng_below(&rng, N);
        size_t m = 1 + test_rng_below(&rng, M - i), n = 1 + test_rng_below(&rng, N - j);
        float *shifted = part + test_rng_below(&rng, 16);
        nn_matmul(m, n, K, (nn_matrix){ a_data + i * K, K, 1 }, (nn_matrix){ b_data + j, N, 1 },
                  (nn_bias){ .row = bias + i }, true, shifted, n, scratch);
        for (size_t row = 0; row < m; row++)
            assert_memory_equal(shifted + row * n, out + (i + row) * N + j, n * sizeof *out);
    }
    gn_free(&scratch);
}

static void relu_keeps_a_nan(void **state)
{
    (void)state;
    float *scratch = allocate_scratch(1), minus = -1, nan = NAN, result;
    nn_matrix one = { (float[]){ 1 }, 1, 1 };
    nn_matmul(1, 1, 1, one, (nn_matrix){ &minus, 1, 1 }, (nn_bias){ 0 }, true, &result, 1, scratch);
    assert_true(result == 0);
    nn_matmul(1, 1, 1, one, (nn_matrix){ &nan, 1, 1 }, (nn_bias){ 0 }, true, &result, 1, scratch);
    assert_true(isnan(result));
    gn_free(&scratch);
}

TEST_MAIN(equals_the_naive_product, equals_the_product_of_libtorch,
          an_output_is_the_same_in_any_company, relu_keeps_a_nan)
