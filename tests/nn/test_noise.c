// The numbers behind noisy layers: standard normal, and independent of each other. The biases of a
// layer show them, with deviations of 1 around 0.

#include "nn/noise.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "tests/support/check.h"

enum { OUTPUTS = 1001, DRAWS = 400 };

typedef struct fixture {
    nn_layout layout;
    nn_noise *noise;
    float *parameter;
    size_t bias; // its offset
} fixture;

static fixture set_up(void)
{
    const nn_spec spec = { .inputs = 1, .actions = OUTPUTS, .noisy = true, .noise_scale = 1 };
    fixture f = { 0 };
    expect_ok(nn_layout_create(&f.layout, &spec));
    expect_ok(nn_noise_create(&f.noise, &f.layout));
    expect_ok(gn_alloc(&f.parameter, f.layout.size, sizeof(float)));
    const nn_slice *bias = &f.layout.slice[f.layout.layer[0].slice + 1], *deviation = bias + 2;
    f.bias = bias->offset;
    for (size_t i = 0; i < OUTPUTS; i++)
        f.parameter[deviation->offset + i] = 1;
    return f;
}

static void tear_down(fixture *f)
{
    nn_noise_destroy(&f->noise);
    gn_free(&f->parameter);
}

// e of f(e) = sign(e) sqrt(|e|).  Shape: ret_e: [OUTPUTS].
static void draw(fixture *f, gn_random *random, double *ret_e)
{
    nn_noise_draw(f->noise, random);
    const float *factor = nn_noise_apply(f->noise, f->parameter) + f->bias;
    for (size_t i = 0; i < OUTPUTS; i++)
        ret_e[i] = (double)factor[i] * fabs((double)factor[i]);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Kolmogorov-Smirnov: 1.95 / sqrt(n) is passed once in a thousand.
static void numbers_are_normal(void **state)
{
    (void)state;
    fixture f = set_up();
    gn_random random = gn_random_stream(1, GN_RANDOM_NOISE, 0);
    double *e;
    size_t n = (size_t)OUTPUTS * DRAWS;
    expect_ok(gn_alloc(&e, n, sizeof *e));
    for (size_t i = 0; i < DRAWS; i++)
        draw(&f, &random, e + i * OUTPUTS);
    qsort(e, n, sizeof *e, by_size);
    double distance = 0;
    for (size_t i = 0; i < n; i++) {
        double share = erfc(-e[i] / sqrt(2)) / 2;
        distance = fmax(distance, fabs(share - ((double)i + 0.5) / (double)n));
    }
    print_message("distance %g of %g, numbers from %g to %g\n", distance, 1.95 / sqrt((double)n),
                  e[0], e[n - 1]);
    assert_true(distance < 1.95 / sqrt((double)n));
    assert_true(e[0] < -4 && e[n - 1] > 4);
    gn_free(&e);
    tear_down(&f);
}

// Products of two numbers of one draw, and of their squares less 1, have mean 0. At every distance,
// for numbers come in pairs.
static void numbers_are_independent(void **state)
{
    (void)state;
    fixture f = set_up();
    gn_random random = gn_random_stream(2, GN_RANDOM_NOISE, 0);
    static double product[OUTPUTS], squares[OUTPUTS];
    double e[OUTPUTS];
    for (size_t i = 0; i < DRAWS; i++) {
        draw(&f, &random, e);
        for (size_t gap = 1; gap < OUTPUTS; gap++)
            for (size_t j = 0; j + gap < OUTPUTS; j++) {
                double a = e[j], b = e[j + gap];
                product[gap] += a * b;
                squares[gap] += (a * a - 1) * (b * b - 1);
            }
    }
    for (size_t gap = 1; gap < OUTPUTS; gap++) {
        double n = (double)DRAWS * (double)(OUTPUTS - gap), deviations = 5;
        if (fabs(product[gap]) > deviations * sqrt(n) ||
            fabs(squares[gap]) > deviations * 2 * sqrt(n))
            fail_msg("gap %zu: means %g and %g of %g numbers", gap, product[gap] / n,
                     squares[gap] / n, n);
    }
    tear_down(&f);
}

static void the_same_stream_gives_the_same_numbers(void **state)
{
    (void)state;
    fixture f = set_up();
    double a[OUTPUTS], b[OUTPUTS];
    for (uint64_t seed = 1; seed <= 2; seed++) {
        gn_random random = gn_random_stream(seed, GN_RANDOM_NOISE, 0);
        draw(&f, &random, seed == 1 ? a : b);
    }
    assert_true(a[0] != b[0]);
    gn_random random = gn_random_stream(1, GN_RANDOM_NOISE, 0);
    draw(&f, &random, b);
    assert_memory_equal(a, b, sizeof a);
    draw(&f, &random, b);
    assert_true(a[0] != b[0]);
    tear_down(&f);
}

TEST_MAIN(numbers_are_normal, numbers_are_independent, the_same_stream_gives_the_same_numbers)
