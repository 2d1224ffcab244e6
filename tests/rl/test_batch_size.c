// Sizes of batches without a network: schedules at their end points, the noise scale of synthetic
// gradients against its closed form, and what the size does with it.

#include "rl/batch_size.h"

#include <math.h>

#include "tests/rl/small_run.h"

static rl_train_config train_config(int schedule, int64_t batch, int64_t batch_max)
{
    return (rl_train_config){ .batch = batch, .batch_schedule = schedule, .batch_max = batch_max };
}

// --- schedules

static uint64_t size_at(const rl_train_config *train, double share)
{
    rl_batch_size batch = rl_batch_size_start(train);
    rl_batch_size_follow(&batch, train, share);
    return batch.steps;
}

static void a_fixed_size_stays(void **state)
{
    (void)state;
    const rl_train_config train = train_config(RL_BATCH_FIXED, 100, 0);
    assert_int_equal(rl_batch_size_largest(&train), 100);
    for (int i = 0; i <= 10; i++)
        assert_int_equal(size_at(&train, i / 10.0), 100);
    for (uint64_t updates = 0; updates < 100; updates++)
        assert_false(rl_batch_size_measures(&train, updates));
}

static void each_power_of_two_lasts_the_same_share_of_a_schedule(void **state)
{
    (void)state;
    const rl_train_config train = train_config(RL_BATCH_LINEAR, 32, 512);
    uint64_t count[10] = { 0 }, before = 32;
    assert_int_equal(size_at(&train, 0), 32);
    assert_int_equal(size_at(&train, 1), 512);
    assert_int_equal(size_at(&train, 1.1), 512); // the last round may pass the end
    for (int i = 0; i < 1000; i++) {
        uint64_t now = size_at(&train, i / 1000.0);
        assert_true(now == before || now == 2 * before);
        count[(int)log2((double)now)]++;
        before = now;
    }
    for (int i = 5; i <= 9; i++)
        assert_in_range(count[i], 199, 201);
    assert_false(rl_batch_size_measures(&train, RL_NOISE_EVERY - 1));
}

static void the_largest_size_is_eight_times_the_first_where_none_is_given(void **state)
{
    (void)state;
    rl_train_config train = train_config(RL_BATCH_AUTO, 128, 0);
    assert_int_equal(rl_batch_size_largest(&train), 1024);
    train.batch = 32768;
    assert_int_equal(rl_batch_size_largest(&train), RL_MAX_BATCH);
    train.batch_max = 65536;
    assert_int_equal(rl_batch_size_largest(&train), 65536);
}

static void one_update_in_a_few_measures(void **state)
{
    (void)state;
    const rl_train_config train = train_config(RL_BATCH_AUTO, 32, 64);
    uint64_t measured = 0;
    for (uint64_t updates = 0; updates < 100 * RL_NOISE_EVERY; updates++)
        measured += rl_batch_size_measures(&train, updates);
    assert_int_equal(measured, 100);
}

// --- the noise scale

// Gradients of single steps are normal with mean `length` along the first axis and covariance
// diag(sigma_i^2), so the gradients of halves are normal with the covariance over b.
enum { AXES = 400 };

typedef struct problem {
    double length, sigma[AXES];
    double scale; // tr(Sigma) / |G|^2
} problem;

static problem problem_of(double scale)
{
    problem p = { .length = 3, .scale = scale };
    double trace = 0;
    for (int i = 0; i < AXES; i++) {
        p.sigma[i] = 1 + i % 4;
        trace += p.sigma[i] * p.sigma[i];
    }
    double factor = sqrt(scale * p.length * p.length / trace);
    for (int i = 0; i < AXES; i++)
        p.sigma[i] *= factor;
    return p;
}

static double normal(test_rng *rng)
{
    return sqrt(-2 * log(1 - test_rng_unit(rng))) * cos(2 * M_PI * test_rng_unit(rng));
}

// Squared norms of the gradients of a batch of this size, and of its halves in the mean.
static void draw_gradients(const problem *p, test_rng *rng, double steps, double *ret_half,
                           double *ret_whole)
{
    double half = 0, whole = 0, spread = sqrt(2 / steps);
    for (int i = 0; i < AXES; i++) {
        double mean = i == 0 ? p->length : 0;
        double a = mean + spread * p->sigma[i] * normal(rng);
        double b = mean + spread * p->sigma[i] * normal(rng);
        half += (a * a + b * b) / 2;
        whole += (a + b) * (a + b) / 4;
    }
    *ret_half = half;
    *ret_whole = whole;
}

static void measure(rl_batch_size *batch, const rl_train_config *train, const problem *p,
                    test_rng *rng)
{
    double half, whole;
    draw_gradients(p, rng, (double)batch->steps, &half, &whole);
    rl_batch_size_measure(batch, train, half, whole);
}

static void the_formula_of_a_single_measurement(void **state)
{
    (void)state;
    // Halves (3, 1) and (1, -1) of a batch of 8: the whole is (2, 0).
    const rl_train_config train = train_config(RL_BATCH_AUTO, 8, 16);
    rl_batch_size batch = rl_batch_size_start(&train);
    assert_true(isnan(rl_batch_size_noise_scale(&batch)));
    rl_batch_size_measure(&batch, &train, (10 + 2) / 2.0, 4);
    // signal = (8 * 4 - 4 * 6) / 4 = 2, the product of the halves; noise = (6 - 4) / (1/8) = 16.
    assert_float_equal(rl_batch_size_noise_scale(&batch), 8, 1e-12);
    // Halves (1, 0) and (-1, 0): no signal at all.
    batch = rl_batch_size_start(&train);
    rl_batch_size_measure(&batch, &train, 1, 0);
    assert_true(isinf(rl_batch_size_noise_scale(&batch)));
    // What is not finite is no measurement.
    rl_batch_size_measure(&batch, &train, INFINITY, 0);
    rl_batch_size_measure(&batch, &train, 1, (double)NAN);
    assert_int_equal(batch.measurements, 1);
}

// The running means forget: their error is that of 199 measurements, so the mean of their ratio
// over a long time is what has to be right.
static void the_estimate_converges_to_the_closed_form(void **state)
{
    (void)state;
    static const double scales[] = { 10, 60, 200 };
    for (uint64_t seed = 1; seed <= 3; seed++) {
        for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) {
            const rl_train_config train = train_config(RL_BATCH_AUTO, 128, 256);
            const problem p = problem_of(scales[i]);
            test_rng rng = test_rng_seed(seed);
            rl_batch_size batch = rl_batch_size_start(&train);
            double sum = 0;
            for (int n = 0; n < 3000; n++) {
                measure(&batch, &train, &p, &rng);
                if (n >= 1000)
                    sum += rl_batch_size_noise_scale(&batch) / 2000;
            }
            if (fabs(sum / p.scale - 1) > 0.05)
                fail_msg("noise scale %g, is %g", sum, p.scale);
        }
    }
}

// --- what the size does with it

static void the_size_moves_to_the_power_of_two_beside_the_noise_scale(void **state)
{
    (void)state;
    static const struct {
        double scale;
        uint64_t start, expected;
    } cases[] = {
        { 128, 32, 128 },   { 128, 512, 128 }, { 5, 512, 32 }, // clamped below
        { 5000, 32, 512 }, // and above
        { 300, 32, 256 },   { 210, 512, 256 }, { 90.5, 64, 64 },
        { 90.5, 128, 128 }, // between two: it stays where it is
    };
    const rl_train_config train = train_config(RL_BATCH_AUTO, 32, 512);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const problem p = problem_of(cases[i].scale);
        test_rng rng = test_rng_seed(i + 1);
        rl_batch_size batch = rl_batch_size_start(&train);
        batch.steps = cases[i].start;
        for (int n = 0; n < 2000; n++) {
            uint64_t before = batch.steps;
            measure(&batch, &train, &p, &rng);
            bool decided = batch.measurements % RL_NOISE_DECIDE == 0;
            assert_true(batch.steps == before ||
                        (decided && (batch.steps == 2 * before || 2 * batch.steps == before)));
            assert_in_range(batch.steps, 32, 512);
        }
        if (batch.steps != cases[i].expected)
            fail_msg("noise scale %g from %u: size %u, expected %u", cases[i].scale,
                     (unsigned)cases[i].start, (unsigned)batch.steps, (unsigned)cases[i].expected);
    }
}

// A scale that swings by a third around the border of two sizes changes neither.
static void a_swinging_noise_scale_does_not_swing_the_size(void **state)
{
    (void)state;
    const rl_train_config train = train_config(RL_BATCH_AUTO, 32, 512);
    for (uint64_t start = 64; start <= 128; start *= 2) {
        rl_batch_size batch = rl_batch_size_start(&train);
        batch.steps = start;
        for (int n = 0; n < 4000; n++) {
            double scale = 90.5 * pow(1.15, n / 500 % 2 ? 1 : -1), steps = (double)batch.steps;
            // |G|^2 = 1, tr(Sigma) = scale, in expectation.
            rl_batch_size_measure(&batch, &train, 1 + 2 * scale / steps, 1 + scale / steps);
            assert_int_equal(batch.steps, start);
        }
    }
}

static void the_same_measurements_give_the_same_bytes(void **state)
{
    (void)state;
    const rl_train_config train = train_config(RL_BATCH_AUTO, 32, 512);
    const problem p = problem_of(200);
    rl_batch_size whole = rl_batch_size_start(&train), stopped = whole, saved;
    test_rng rng = test_rng_seed(7), again = test_rng_seed(7);
    for (int n = 0; n < 500; n++) {
        measure(&whole, &train, &p, &rng);
        measure(&stopped, &train, &p, &again);
        memcpy(&saved, &stopped, sizeof saved);
        stopped = rl_batch_size_start(&train);
        memcpy(&stopped, &saved, sizeof saved);
        assert_memory_equal(&whole, &stopped, sizeof whole);
    }
}

// --- options

static void schedules_without_sense_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *flag[9], *part; // part: NULL where the combination is fine
    } cases[] = {
        { { "train.batch", "100" }, NULL },
        { { "train.batch", "1" }, NULL },
        // What a schedule needs may stand in a run file whose schedule a flag takes away.
        { { "train.batch", "100", "train.batch_max", "50", "optimizer.batch_scaling", "sqrt" },
          NULL },
        { { "train.batch_schedule", "auto" }, NULL },
        { { "train.batch_schedule", "linear", "optimizer.batch_scaling", "linear" }, NULL },
        { { "train.batch_schedule", "linear", "train.batch", "1" }, NULL },
        { { "train.batch_schedule", "auto", "train.batch", "1" },
          "train.batch: 1: train.batch_schedule = auto doubles it, so it must be a power of two, 2 "
          "to 32768" },
        { { "train.batch_schedule", "auto", "train.batch", "100" }, "train.batch: 100: " },
        { { "train.batch_schedule", "linear", "train.batch", "32768" }, NULL },
        { { "train.batch_schedule", "linear", "train.batch", "65536" },
          "train.batch: 65536: train.batch_schedule = linear doubles it, so it must be a power of "
          "two, 1 to 32768" },
        { { "train.batch_schedule", "linear", "train.batch_max", "500" },
          "train.batch_max: 500: train.batch_schedule = linear doubles train.batch = 128 up to it, "
          "so it must be a power of two, 256 to 65536, or 0" },
        { { "train.batch_schedule", "linear", "train.batch_max", "64" }, "train.batch_max: 64: " },
        { { "train.batch_schedule", "auto", "train.batch_max", "128" }, "train.batch_max: 128: " },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rl_config *config = config_of(cases[i].flag);
        set_option(config, "run.env", "cartpole");
        if (cases[i].part)
            expect_fails(GN_ERR_CONFIG, cases[i].part, rl_config_check(config));
        else
            expect_ok(rl_config_check(config));
        rl_config_destroy(&config);
    }
}

TEST_MAIN(a_fixed_size_stays, each_power_of_two_lasts_the_same_share_of_a_schedule,
          the_largest_size_is_eight_times_the_first_where_none_is_given,
          one_update_in_a_few_measures, the_formula_of_a_single_measurement,
          the_estimate_converges_to_the_closed_form,
          the_size_moves_to_the_power_of_two_beside_the_noise_scale,
          a_swinging_noise_scale_does_not_swing_the_size, the_same_measurements_give_the_same_bytes,
          schedules_without_sense_are_refused)
