// gannet replay demo variable-batch: batches that grow with the noise of the gradient.
//
// No network: the loss of a point theta is the mean of |theta - x|^2 / 2 over the buffer's records
// x, so that the true gradient, its noise and the true noise scale are known.

#include <string.h>

#include "base/mem.h"
#include "base/thread.h"
#include "cli/replay_demo.h"
#include "rl/batch_size.h"

enum { SLOTS = 8192, FLOATS = 64, BATCH = 16, BATCH_MAX = 256, UPDATES_MAX = 25000 };
enum { MEASUREMENTS = 2000, RUNS = 4 };

static const double step_size = 0.0005, start = 10, target = 0.00025;

typedef struct demo_descent {
    replay_buffer *buffer;
    replay_batch *batch;
    double mean[FLOATS], noise; // of the records: the best point; trace of their covariance
} demo_descent;

typedef struct demo_course {
    double theta[FLOATS];
    double updates, samples, seconds, loss; // loss above the best one, at the end
    uint64_t smallest, largest, last; // batch
    bool powers; // all batches were powers of two
    bool reached;
} demo_course;

static rl_train_config training(int schedule, int64_t batch)
{
    bool fixed = schedule == RL_BATCH_FIXED;
    return (rl_train_config){ .batch = batch,
                              .batch_schedule = schedule,
                              .batch_max = fixed ? 0 : BATCH_MAX };
}

static double square(const double *vector)
{
    double sum = 0;
    for (size_t i = 0; i < FLOATS; i++)
        sum += vector[i] * vector[i];
    return sum;
}

static double loss_above_best(const demo_descent *self, const double *theta)
{
    double away[FLOATS];
    for (size_t i = 0; i < FLOATS; i++)
        away[i] = theta[i] - self->mean[i];
    return square(away) / 2;
}

// Records x of normal numbers, and what they come to.
static gn_status fill(demo_descent *self)
{
    float record[FLOATS] = { 0 };
    double squares = 0;
    gn_random random = gn_random_stream(1, GN_RANDOM_ENV, 0);
    const unsigned char *bytes = (const unsigned char *)record;
    GN_TRY(replay_buffer_begin(self->buffer, 0, bytes));
    for (size_t slot = 1; slot < SLOTS; slot++) {
        for (size_t i = 0; i < FLOATS; i++)
            record[i] = (float)gn_random_normal(&random);
        GN_TRY(replay_buffer_add(self->buffer, 0, 0, 0, false, false, bytes));
        for (size_t i = 0; i < FLOATS; i++) {
            self->mean[i] += (double)record[i] / (SLOTS - 1);
            squares += (double)record[i] * (double)record[i] / (SLOTS - 1);
        }
    }
    self->noise = squares - square(self->mean);
    return GN_OK;
}

// The gradient at theta by a batch, and the mean of the squared norms of its halves'.
static gn_status gradient(demo_descent *self, const double *theta, uint64_t size, gn_random *random,
                          double *ret_gradient, double *ret_half_square)
{
    const replay_draw draw = { .n_step = { 1 }, .horizons = 1, .gamma = 1 };
    double half[2][FLOATS] = { 0 };
    self->batch->size = size;
    GN_TRY(replay_buffer_sample(self->buffer, &draw, random, self->batch));
    for (size_t k = 0; k < size; k++) {
        float x[FLOATS];
        double *sum = half[2 * k / size];
        memcpy(x, self->batch->next_record[0] + k * self->batch->stride, sizeof x);
        for (size_t i = 0; i < FLOATS; i++)
            sum[i] += theta[i] - (double)x[i];
    }
    for (size_t i = 0; i < FLOATS; i++) {
        half[0][i] /= (double)size / 2;
        half[1][i] /= (double)size / 2;
        ret_gradient[i] = (half[0][i] + half[1][i]) / 2;
    }
    *ret_half_square = (square(half[0]) + square(half[1])) / 2;
    return GN_OK;
}

static bool is_power_of_two(uint64_t n)
{
    return n > 0 && (n & (n - 1)) == 0;
}

// Descends to the target, or until it is clear that it will not.
static gn_status descend(demo_descent *self, const rl_train_config *train, demo_course *ret_course)
{
    demo_course course = { .smallest = UINT64_MAX, .powers = true };
    rl_batch_size batch = rl_batch_size_start(train);
    gn_random random = gn_random_stream(1, GN_RANDOM_SAMPLE, 0);
    double begin = gn_seconds();
    uint64_t updates = 0;
    for (size_t i = 0; i < FLOATS; i++)
        course.theta[i] = start;
    for (; updates < UPDATES_MAX && !course.reached; updates++) {
        double slope[FLOATS], half_square;
        GN_TRY(gradient(self, course.theta, batch.steps, &random, slope, &half_square));
        course.samples += (double)batch.steps;
        course.smallest = batch.steps < course.smallest ? batch.steps : course.smallest;
        course.largest = batch.steps > course.largest ? batch.steps : course.largest;
        course.powers = course.powers && is_power_of_two(batch.steps);
        if (rl_batch_size_measures(train, updates))
            rl_batch_size_measure(&batch, train, half_square, square(slope));
        for (size_t i = 0; i < FLOATS; i++)
            course.theta[i] -= step_size * slope[i];
        course.loss = loss_above_best(self, course.theta);
        course.reached = course.loss < target;
    }
    course.updates = (double)updates;
    course.seconds = gn_seconds() - begin;
    course.last = batch.steps;
    *ret_course = course;
    return GN_OK;
}

// The noise scale at a point where the true one is BATCH_MAX / 2.
static gn_status estimate(demo_descent *self, double *ret_estimated, double *ret_known)
{
    const rl_train_config train = training(RL_BATCH_AUTO, BATCH_MAX / 2);
    rl_batch_size batch = rl_batch_size_start(&train);
    gn_random random = gn_random_stream(2, GN_RANDOM_SAMPLE, 0);
    double theta[FLOATS], slope[FLOATS], half_square;
    *ret_known = BATCH_MAX / 2;
    memcpy(theta, self->mean, sizeof theta);
    theta[0] += sqrt(self->noise / *ret_known);
    for (int i = 0; i < MEASUREMENTS; i++) {
        GN_TRY(gradient(self, theta, batch.steps, &random, slope, &half_square));
        rl_batch_size_measure(&batch, &train, half_square, square(slope));
    }
    *ret_estimated = rl_batch_size_noise_scale(&batch);
    return GN_OK;
}

static void expect(demo_report *report, const demo_course *course, double estimated, double known)
{
    const demo_course *led = &course[2], *again = &course[3];
    demo_expect(report, led->powers && led->smallest >= BATCH && led->largest <= BATCH_MAX,
                "batches of %d to %d are no powers of two from %d to %d", (int)led->smallest,
                (int)led->largest, BATCH, BATCH_MAX);
    demo_expect(report, led->largest > BATCH, "batches never grew");
    demo_expect(report,
                led->samples == again->samples && led->updates == again->updates &&
                    memcmp(led->theta, again->theta, sizeof led->theta) == 0,
                "two runs of the same seed differ");
    demo_expect(report, led->reached && led->samples < course[1].samples,
                "it takes no fewer samples than batches of %d to the target", BATCH_MAX);
    demo_expect(report, estimated > known / 1.5 && estimated < known * 1.5,
                "the noise scale is estimated as %.3g, it is %.3g", estimated, known);
}

static gn_status measure(demo_descent *self, const demo_setting *setting, demo_report *report)
{
    demo_course course[RUNS]; // small, large, led by the noise, and that again
    double estimated, known;
    const rl_train_config train[RUNS] = {
        training(RL_BATCH_FIXED, BATCH),
        training(RL_BATCH_FIXED, BATCH_MAX),
        training(setting->without ? RL_BATCH_FIXED : RL_BATCH_AUTO, BATCH),
        training(setting->without ? RL_BATCH_FIXED : RL_BATCH_AUTO, BATCH),
    };
    for (int i = 0; i < RUNS; i++)
        GN_TRY(descend(self, &train[i], &course[i]));
    GN_TRY(estimate(self, &estimated, &known));
    const demo_course *a = &course[0], *b = &course[1], *c = &course[2];
    DEMO_ROW(report, "loss above the best at the end, 1e-3", 1e3 * a->loss, 1e3 * b->loss,
             1e3 * c->loss);
    DEMO_ROW(report, "updates", a->updates, b->updates, c->updates);
    DEMO_ROW(report, "thousand samples drawn", a->samples / 1e3, b->samples / 1e3,
             c->samples / 1e3);
    DEMO_ROW(report, "ms", 1e3 * a->seconds, 1e3 * b->seconds, 1e3 * c->seconds);
    DEMO_ROW(report, "samples in the first batch", BATCH, BATCH_MAX, BATCH);
    DEMO_ROW(report, "samples in the last batch", (double)a->last, (double)b->last,
             (double)c->last);
    DEMO_ROW(report, "noise scale where it is 128", NAN, NAN, estimated);
    expect(report, course, estimated, known);
    return GN_OK;
}

static gn_status run_variable_batch(const demo_setting *setting, demo_report *report)
{
    demo_descent *self = NULL;
    const replay_config config = replay_input_config(SLOTS, REPLAY_RAM);
    const replay_spec spec = { 1, FLOATS * sizeof(float), 1 };
    GN_TRY(gn_alloc(&self, 1, sizeof *self));
    gn_status status = replay_buffer_create(&self->buffer, &config, &spec, NULL, NULL);
    if (status == GN_OK)
        status = replay_batch_create(&self->batch, &spec, BATCH_MAX, 1);
    if (status == GN_OK)
        status = fill(self);
    if (status == GN_OK)
        status = measure(self, setting, report);
    replay_batch_destroy(&self->batch);
    replay_buffer_destroy(&self->buffer);
    gn_free(&self);
    return status;
}

const replay_demo demo_variable_batch = {
    .name = "variable-batch",
    .summary = "batches that grow with the noise of the gradient",
    .says = "The mean of 8191 records of 64 floats is found by gradient descent of a fixed step "
            "size, with batches of 16, of 256, and from 16 to 256 as train.batch_schedule = auto "
            "grows them, down to a loss that batches of 16 are too noisy for. It is no network and "
            "measures samples and updates, not a score; the true noise scale is known, and the "
            "estimate must be within a factor of 1.5 of it.",
    .column = { "16", "256", "16 to 256" },
    .run = run_variable_batch,
};
