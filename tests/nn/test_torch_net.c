// The network of LibTorch's layers against autograd in double precision: on the CPU, and on CUDA
// where there is a device.

#include "nn/torch_net.h"

#include "tests/nn/net_case.h"

// A case on a device.
typedef struct there {
    device on;
    torch_network *network;
    torch_tensor *parameter, *noise, *gradient;
} there;

static torch_tensor *send(device on, const float *data, size_t size)
{
    torch_tensor *tensor;
    expect_ok(torch_tensor_create(&tensor, on, 1, &(int64_t){ (int64_t)size }));
    expect_ok(torch_tensor_write(tensor, data));
    return tensor;
}

static there take_there(const net_case *f, device on)
{
    there t = { .on = on };
    expect_ok(nn_torch_net_create(&t.network, &f->layout, on));
    t.parameter = send(on, f->parameter, f->layout.size);
    t.gradient = send(on, f->parameter, f->layout.size); // nothing of it may stay
    if (f->factor)
        t.noise = send(on, f->factor, f->layout.size);
    return t;
}

static void leave(there *t)
{
    torch_network_destroy(&t->network);
    torch_tensor_destroy(&t->parameter);
    torch_tensor_destroy(&t->noise);
    torch_tensor_destroy(&t->gradient);
}

static void forward(const net_case *f, const there *t, const int32_t *action, float *ret_out)
{
    const torch_pass pass = { .parameter = t->parameter,
                              .noise = t->noise,
                              .x = f->x,
                              .n = (int64_t)f->n,
                              .fraction = f->fractions.value,
                              .fractions = (int64_t)f->fractions.count };
    expect_ok(torch_network_forward(t->network, &pass, action, ret_out));
}

static void backward(net_case *f, const there *t, const float *grad)
{
    expect_ok(torch_network_backward(t->network, f->action, grad, (int64_t)f->n, t->gradient));
    expect_ok(torch_tensor_read(t->gradient, f->gradient));
}

static void check_slices(const net_case *f, const double *expected)
{
    for (uint32_t i = 0; i < f->layout.slice_count; i++) {
        const nn_slice *slice = &f->layout.slice[i];
        check_close(f->gradient + slice->offset, expected + slice->offset, nn_slice_size(slice),
                    1e-5, slice->name);
    }
}

static void compare(const nn_spec *spec, size_t rows, device on)
{
    net_case f = net_case_create(spec, rows, rows + 1);
    there t = take_there(&f, on);
    reference expected = reference_of(&f);
    forward(&f, &t, NULL, f.out);
    check_close(f.out, expected.out, f.n * f.values, 1e-5, "outputs");
    float *chosen;
    expect_ok(gn_alloc(&chosen, f.n * f.width, sizeof *chosen));
    forward(&f, &t, f.action, chosen);
    for (size_t i = 0; i < f.n; i++)
        assert_memory_equal(chosen + i * f.width,
                            f.out + i * f.values + (size_t)f.action[i] * f.width,
                            f.width * sizeof *chosen);
    // Twice from the same activations, the first time with other gradients.
    backward(&f, &t, chosen);
    backward(&f, &t, f.grad);
    check_slices(&f, expected.gradient);
    gn_free(&chosen);
    reference_free(&expected);
    leave(&t);
    net_case_destroy(&f);
}

static void compare_all(device on)
{
    for (size_t s = 0; s < SPECS; s++)
        for (size_t rows = 1; rows <= 33; rows += 16)
            compare(&net_specs[s], rows, on);
}

static void equals_autograd(void **state)
{
    (void)state;
    compare_all((device){ .kind = DEVICE_TORCH });
}

// First of all tests: CUDA cannot be found later.
static void equals_autograd_on_cuda(void **state)
{
    (void)state;
    if (torch_cuda_open(0) != GN_OK) {
        print_message("no CUDA: %s\n", gn_error_text());
        skip();
    }
    compare_all((device){ .kind = DEVICE_CUDA });
}

static void refuses_rows_that_were_not_seen(void **state)
{
    (void)state;
    const device on = { .kind = DEVICE_TORCH };
    net_case f = net_case_create(&net_specs[2], 8, 1);
    there t = take_there(&f, on);
    expect_fails(GN_ERR_ARG, "8 rows, the last forward had 0",
                 torch_network_backward(t.network, f.action, f.grad, 8, t.gradient));
    forward(&f, &t, NULL, f.out);
    expect_fails(GN_ERR_ARG, "5 rows, the last forward had 8",
                 torch_network_backward(t.network, f.action, f.grad, 5, t.gradient));
    f.action[3] = 2; // of 2: LibTorch says so
    expect_fails(GN_ERR_BACKEND, "torch_network_backward: ",
                 torch_network_backward(t.network, f.action, f.grad, 8, t.gradient));
    leave(&t);
    torch_network_destroy(&t.network);
    net_case_destroy(&f);
}

TEST_MAIN(equals_autograd_on_cuda, equals_autograd, refuses_rows_that_were_not_seen)
