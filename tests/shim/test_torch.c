#include "shim/torch.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "tests/support/check.h"

static torch_tensor *wrap(float *data, int rank, const int64_t *shape)
{
    torch_tensor *tensor;
    expect_ok(torch_tensor_wrap(&tensor, data, rank, shape, NULL));
    return tensor;
}

#define VECTOR(data, n) wrap(data, 1, (int64_t[]){ n })
#define MATRIX(data, m, n) wrap(data, 2, (int64_t[]){ m, n })

static void products(void **state)
{
    (void)state;
    float a_data[] = { 1, 2, 3, 4, 5, 6 }, b_data[] = { 1, -1, 0, 1, 2, 0 },
          bias_data[] = { 10, 20 };
    float out_data[4];
    torch_tensor *a = MATRIX(a_data, 2, 3), *b = MATRIX(b_data, 3, 2), *bias = VECTOR(bias_data, 2);
    torch_tensor *out = MATRIX(out_data, 2, 2);
    expect_ok(torch_matmul(out, a, b));
    assert_memory_equal(out_data, ((float[]){ 7, 1, 16, 1 }), sizeof out_data);
    expect_ok(torch_matmul_bias(out, a, b, bias));
    assert_memory_equal(out_data, ((float[]){ 17, 21, 26, 21 }), sizeof out_data);

    torch_tensor *transposed; // the same memory as a, read as [3, 2] by columns
    expect_ok(torch_tensor_wrap(&transposed, a_data, 2, (int64_t[]){ 3, 2 }, (int64_t[]){ 1, 3 }));
    float square_data[9];
    torch_tensor *square = MATRIX(square_data, 3, 3);
    expect_ok(torch_matmul(square, transposed, a));
    assert_memory_equal(square_data, ((float[]){ 17, 22, 27, 22, 29, 36, 27, 36, 45 }),
                        sizeof square_data);
    torch_tensor_destroy(&a);
    torch_tensor_destroy(&b);
    torch_tensor_destroy(&bias);
    torch_tensor_destroy(&out);
    torch_tensor_destroy(&transposed);
    torch_tensor_destroy(&square);
    assert_null(a);
    torch_tensor_destroy(&a);
}

static void reductions(void **state)
{
    (void)state;
    float a_data[] = { 1, 2, 3, 4 }, sum_data[2], norm_data[1];
    torch_tensor *a = MATRIX(a_data, 2, 2), *flat = VECTOR(a_data, 4);
    torch_tensor *sum = VECTOR(sum_data, 2), *norm = VECTOR(norm_data, 1);
    expect_ok(torch_sum_rows(sum, a));
    assert_memory_equal(sum_data, ((float[]){ 4, 6 }), sizeof sum_data);
    expect_ok(torch_norm(norm, flat));
    assert_float_equal(norm_data[0], sqrt(30), 1e-6);
    torch_tensor_destroy(&a);
    torch_tensor_destroy(&flat);
    torch_tensor_destroy(&sum);
    torch_tensor_destroy(&norm);
}

// First step: m / (1 - b1) = g and v / (1 - b2) = g^2, so p moves by lr g / (|g| + eps).
static void adam_step_by_hand(void **state)
{
    (void)state;
    for (int decoupled = 0; decoupled <= 1; decoupled++) {
        float p[] = { 1, 2 }, g[] = { 0.5f, -4 }, m[2] = { 0 }, v[2] = { 0 }, step_data[1] = { 0 };
        torch_tensor *parameter = VECTOR(p, 2), *gradient = VECTOR(g, 2), *mean = VECTOR(m, 2);
        torch_tensor *variance = VECTOR(v, 2), *step = VECTOR(step_data, 1);
        const torch_adam_config config = { 0.1, 0.9, 0.99, 1e-8, 0.5, decoupled };
        expect_ok(torch_adam_step(parameter, gradient, mean, variance, step, &config));
        assert_true(step_data[0] == 1);
        // In the gradient, weight decay turns -4 + 0.5 * 2 into -3: the sign of the step is the
        // same.
        assert_float_equal(p[0], decoupled ? 1 - 0.05 - 0.1 : 1 - 0.1, 1e-6);
        assert_float_equal(p[1], decoupled ? 2 - 0.1 + 0.1 : 2 + 0.1, 1e-6);
        assert_float_equal(m[1], decoupled ? -0.4 : -0.3, 1e-6);
        assert_float_equal(v[1], decoupled ? 0.16 : 0.09, 1e-6);
        torch_tensor_destroy(&parameter);
        torch_tensor_destroy(&gradient);
        torch_tensor_destroy(&mean);
        torch_tensor_destroy(&variance);
        torch_tensor_destroy(&step);
    }
}

static void errors_are_one_line_and_harmless(void **state)
{
    (void)state;
    float data[6] = { 0 };
    const torch_adam_config config = { 0.1, 0.9, 0.99, 1e-8, 0, false };
    torch_tensor *a = MATRIX(data, 2, 3), *vector = VECTOR(data, 3), *one = VECTOR(data, 1);
    torch_tensor *none = NULL;
    expect_fails(GN_ERR_ARG, "torch_matmul: b has shape [2, 3], must be [3, 3]",
                 torch_matmul(a, a, a));
    expect_fails(GN_ERR_ARG, "torch_matmul: a has shape [3], must have rank 2",
                 torch_matmul(a, vector, a));
    expect_fails(GN_ERR_ARG, "torch_sum_rows: out has shape [1], must be [3]",
                 torch_sum_rows(one, a));
    expect_fails(GN_ERR_ARG, "torch_norm: a has shape [2, 3]", torch_norm(one, a));
    expect_fails(GN_ERR_ARG, "torch_adam_step: variance has shape [1], must be [3]",
                 torch_adam_step(vector, vector, vector, one, one, &config));
    expect_fails(GN_ERR_ARG, "rank 5 is not in 0..4",
                 torch_tensor_wrap(&none, data, 5, (int64_t[]){ 1, 1, 1, 1, 1 }, NULL));
    expect_fails(GN_ERR_ARG, "dimension 1 is negative",
                 torch_tensor_wrap(&none, data, 2, (int64_t[]){ 1, -1 }, NULL));
    expect_fails(GN_ERR_ARG, "0 is not in 1..1024", torch_set_threads(0));
    assert_null(none);

    // What LibTorch itself refuses: a product into memory whose elements are all the same one.
    torch_tensor *square = MATRIX(data, 2, 2), *same;
    expect_ok(torch_tensor_wrap(&same, data, 2, (int64_t[]){ 2, 2 }, (int64_t[]){ 0, 0 }));
    expect_fails(GN_ERR_BACKEND, "torch_matmul: unsupported operation",
                 torch_matmul(same, square, square));
    assert_null(strchr(gn_error_text(), '\n'));
    expect_ok(torch_sum_rows(vector, a)); // and life goes on
    torch_tensor_destroy(&a);
    torch_tensor_destroy(&vector);
    torch_tensor_destroy(&one);
    torch_tensor_destroy(&square);
    torch_tensor_destroy(&same);
}

static void counts_tensors(void **state)
{
    (void)state;
    float data[4] = { 1, 2, 3, 4 }, out_data[2];
    uint64_t before = torch_tensors_created();
    torch_tensor *a = MATRIX(data, 2, 2), *out = VECTOR(out_data, 2);
    assert_int_equal(torch_tensors_created(), before + 2);
    torch_count_storage(true);
    torch_count_storage(true); // twice is once
    before = torch_tensors_created();
    expect_ok(torch_sum_rows(out, a));
    assert_int_equal(torch_tensors_created(), before);

    // A product whose output has strides that BLAS cannot write needs a copy inside LibTorch.
    float wide[8];
    torch_tensor *strided;
    expect_ok(torch_tensor_wrap(&strided, wide, 2, (int64_t[]){ 2, 2 }, (int64_t[]){ 4, 2 }));
    before = torch_tensors_created();
    expect_ok(torch_matmul(strided, a, a));
    assert_true(torch_tensors_created() > before);
    torch_count_storage(false);
    before = torch_tensors_created();
    expect_ok(torch_matmul(strided, a, a));
    assert_int_equal(torch_tensors_created(), before);
    torch_tensor_destroy(&a);
    torch_tensor_destroy(&out);
    torch_tensor_destroy(&strided);
}

static void wrap_survives_a_failing_allocation(void **state)
{
    (void)state;
    torch_tensor *tensor = NULL;
    float data = 0;
    gn_mem_fail_at(1);
    assert_int_equal(torch_tensor_wrap(&tensor, &data, 0, NULL, NULL), GN_ERR_MEMORY);
    gn_mem_fail_at(0);
    assert_null(tensor);
    expect_ok(torch_tensor_wrap(&tensor, &data, 0, NULL, NULL));
    torch_tensor_destroy(&tensor);
}

static void tells_its_version(void **state)
{
    (void)state;
    assert_true(strncmp(torch_version(), "2.", 2) == 0);
    expect_ok(torch_set_threads(1));
}

TEST_MAIN(products, reductions, adam_step_by_hand, errors_are_one_line_and_harmless, counts_tensors,
          wrap_survives_a_failing_allocation, tells_its_version)
