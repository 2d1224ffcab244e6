// A mixture of normal distributions. Outputs of an action, with M components:
//     [M logits of the weights, M means, M raw deviations],  deviation = softplus(raw) + 1e-6
// The loss needs no smallest deviation, unlike a likelihood; 1e-6 only keeps quotients finite.
//
// A target holds components too, of all actions: [weights, means, deviations], each of
// `places` numbers, a whole number of vectors. What the policy leaves out comes last, with weight
// 0. After a terminal step deviations are 0: all mass lies on the reward.
//
// The loss is the energy distance, also called squared Cramer distance, of the two mixtures X and
// Y:
//     D    = E|X - Y| - 1/2 E|X - X'| - 1/2 E|Y - Y'| = integral (F_X - F_Y)^2
//     E|N(m, s^2)| = s sqrt(2/pi) exp(-m^2 / 2s^2) + m erf(m / (s sqrt 2))
//     d/dm = erf(m / (s sqrt 2)),  d/ds = sqrt(2/pi) exp(-m^2 / 2s^2)
// and not the Jensen-Tsallis distance of Choi et al.: its gradient does not vanish where X and Y
// are far apart, and that of samples of Y is unbiased (Bellemare et al. 2017, arXiv:1705.10743).
// The error of a step is D itself: it has the unit of returns and is |x - y| for two certain ones.
//
// With rescale, components are mapped to first order: the mean by the function, the deviation by
// its slope at the mean.
//
// Sources: Choi, Lee & Oh 2019, ICRA (mixtures); Szekely & Rizzo 2013 (energy distance).

#include <assert.h>
#include <math.h>
#include <string.h>

#include "nn/head_internal.h"
#include "nn/simd_math.h"

enum { PLACES = 16 }; // a whole number of vectors, whatever NN_LANES
static const float smallest_deviation = 1e-6f;
static const double sqrt_2_by_pi = 0.79788456080286535588, sqrt_half = 0.70710678118654752440;

static size_t width(const nn_head_config *config)
{
    return 3 * (size_t)config->components;
}

static size_t places_of(size_t components)
{
    return (components + PLACES - 1) / PLACES * PLACES;
}

static size_t target_width(const nn_head *head, uint32_t actions)
{
    return 3 * places_of(actions * (size_t)head->config.components);
}

// The components of one action. Weights are 0 behind the last.
typedef struct mixture {
    size_t count;
    float weight[NN_MAX_COMPONENTS], mean[NN_MAX_COMPONENTS], deviation[NN_MAX_COMPONENTS];
    float slope[NN_MAX_COMPONENTS]; // d deviation / d raw
} mixture;

// softplus(x) = max(x, 0) + log(1 + exp(-|x|)), whose slope is 1 / (1 + exp(-x)).
static void decode(const float *out, size_t count, mixture *ret_mixture)
{
    mixture *m = ret_mixture;
    m->count = count;
    nn_vector largest = nn_vector_of(-INFINITY), sum = { 0 };
    for (size_t k = 0; k < count; k += NN_LANES) {
        size_t lanes = count - k < NN_LANES ? count - k : NN_LANES;
        largest = nn_vector_larger(nn_vector_load_part(out + k, lanes, -INFINITY), largest);
        nn_vector_store(m->mean + k, nn_vector_load_part(out + count + k, lanes, 0));
        nn_vector raw = nn_vector_load_part(out + 2 * count + k, lanes, 0);
        nn_vector tail = nn_vector_exp(-nn_vector_abs(raw));
        nn_vector deviation = nn_vector_at_least(raw, 0) + nn_vector_log1p(tail);
        nn_vector_store(m->deviation + k, deviation + smallest_deviation);
        nn_vector share = nn_vector_select(raw < 0, tail, nn_vector_of(1));
        nn_vector_store(m->slope + k, share / (1 + tail));
    }
    float top = nn_vector_largest(largest);
    for (size_t k = 0; k < count; k += NN_LANES) {
        size_t lanes = count - k < NN_LANES ? count - k : NN_LANES;
        nn_vector e = nn_vector_exp(nn_vector_load_part(out + k, lanes, -INFINITY) - top);
        nn_vector_store(m->weight + k, e);
        sum += e;
    }
    float total = nn_vector_sum(sum);
    for (size_t k = 0; k < count; k += NN_LANES)
        nn_vector_store(m->weight + k, nn_vector_load(m->weight + k) / total);
}

// A mixture of returns in double precision.
typedef struct returns {
    size_t count;
    double weight[NN_MAX_COMPONENTS], mean[NN_MAX_COMPONENTS], deviation[NN_MAX_COMPONENTS];
} returns;

static void to_returns(const mixture *m, double rescale, returns *ret_returns)
{
    ret_returns->count = m->count;
    for (size_t k = 0; k < m->count; k++) {
        double mean = nn_output_to_return(m->mean[k], rescale);
        ret_returns->weight[k] = m->weight[k];
        ret_returns->mean[k] = mean;
        ret_returns->deviation[k] =
            rescale > 0 ? m->deviation[k] / nn_rescale_slope(mean, rescale) : m->deviation[k];
    }
}

static double mean_of(const returns *z)
{
    double mean = 0, sum = 0;
    for (size_t k = 0; k < z->count; k++) {
        mean += z->weight[k] * z->mean[k];
        sum += z->weight[k];
    }
    return mean / sum;
}

static double variance_of(const returns *z, double mean)
{
    double variance = 0;
    for (size_t k = 0; k < z->count; k++) {
        double d = z->mean[k] - mean, s = z->deviation[k];
        variance += z->weight[k] * (s * s + d * d);
    }
    return variance;
}

// P(Z <= q), its density, and the mean shortfall E max(q - Z, 0).
typedef struct below {
    double probability, density, shortfall;
} below;

static below below_of(const returns *z, double q)
{
    below b = { 0 };
    for (size_t k = 0; k < z->count; k++) {
        double s = z->deviation[k], x = (q - z->mean[k]) / s;
        double probability = 0.5 * erfc(-x * sqrt_half);
        double density = 0.5 * sqrt_2_by_pi * exp(-x * x / 2);
        b.probability += z->weight[k] * probability;
        b.density += z->weight[k] * density / s;
        b.shortfall += z->weight[k] * ((q - z->mean[k]) * probability + s * density);
    }
    return b;
}

// Mean of the worst `level` share,  q - E max(q - Z, 0) / level  at the level-quantile q. That is
// where this has its largest value, so an error in q counts only squared. Newton's steps, halved
// intervals where they leave it.  Source: Rockafellar & Uryasev 2000.
static double worst_mean(const returns *z, double level)
{
    double low = INFINITY, high = -INFINITY;
    for (size_t k = 0; k < z->count; k++) {
        low = fmin(low, z->mean[k] - 38 * z->deviation[k]);
        high = fmax(high, z->mean[k] + 38 * z->deviation[k]);
    }
    double q = mean_of(z);
    for (int i = 0; i < 200; i++) {
        below b = below_of(z, q);
        double excess = b.probability - level;
        if (excess > 0)
            high = q;
        else
            low = q;
        double next = q - excess / b.density;
        if (!(next > low && next < high))
            next = low + (high - low) / 2;
        if (fabs(next - q) <= 1e-9 * (high - low) || fabs(excess) <= 1e-12 * level)
            break;
        q = next;
    }
    return q - below_of(z, q).shortfall / level;
}

static void values(const nn_head *head, const float *out, size_t rows, size_t row_width,
                   const nn_risk *risk, double rescale, float *ret_value)
{
    assert(row_width == width(&head->config));
    for (size_t i = 0; i < rows; i++) {
        mixture m;
        returns z;
        decode(out + i * row_width, (size_t)head->config.components, &m);
        to_returns(&m, rescale, &z);
        double value = mean_of(&z);
        if (risk->kind == NN_RISK_CVAR && risk->level < 1)
            value = worst_mean(&z, risk->level);
        if (risk->kind == NN_RISK_MEAN_VARIANCE)
            value -= risk->aversion * variance_of(&z, value);
        ret_value[i] = (float)value;
    }
}

// One action's components after a step, at place `first` of a target.
static void add_components(const nn_backup *backup, size_t row, const mixture *m, size_t places,
                           size_t first, float *ret_target)
{
    size_t i = row / backup->actions;
    double discount = backup->discount[i], rescale = backup->rescale;
    returns z;
    to_returns(m, rescale, &z);
    for (size_t k = 0; k < z.count; k++) {
        double mean = backup->reward[i] + discount * (z.mean[k] + nn_backup_bonus(backup, row));
        double deviation = discount * z.deviation[k];
        if (rescale > 0)
            deviation *= nn_rescale_slope(mean, rescale);
        float *place = ret_target + first + k;
        place[0] = backup->policy[row] * m->weight[k];
        place[places] = (float)nn_return_to_output(mean, rescale);
        place[2 * places] = (float)deviation;
    }
}

static void target(const nn_head *head, const nn_backup *backup, float *ret_target)
{
    size_t components = (size_t)head->config.components, row = 0;
    size_t places = places_of(backup->actions * components);
    assert(backup->width == width(&head->config));
    memset(ret_target, 0, backup->n * 3 * places * sizeof *ret_target);
    for (size_t i = 0; i < backup->n; i++, ret_target += 3 * places) {
        size_t used = 0;
        for (uint32_t a = 0; a < backup->actions; a++, row++) {
            if (backup->policy[row] == 0)
                continue;
            mixture m;
            decode(backup->out + row * backup->width, components, &m);
            add_components(backup, row, &m, places, used, ret_target);
            used += components;
        }
    }
}

// Components in memory, read as whole vectors.
typedef struct components {
    size_t count; // those behind have weight 0, up to a whole vector
    const float *weight, *mean, *deviation;
} components;

// A loop over arrays, for gcc has no square root of a vector but makes one of the loop.
NN_INLINE nn_vector square_root(nn_vector x)
{
    float lane[NN_LANES];
    nn_vector_store(lane, x);
    for (int i = 0; i < NN_LANES; i++)
        lane[i] = sqrtf(lane[i]);
    return nn_vector_load(lane);
}

// E|x - C| for x normal, over the components C by weight, and its slopes; lanes to be added.
typedef struct difference {
    nn_vector distance, by_mean, by_deviation;
} difference;

// A sum of two deviations is never 0, so that 0/0 is none: two certain values have 1e-20.
NN_INLINE difference compare(float mean, float deviation, const components *c)
{
    difference sum = { { 0 }, { 0 }, { 0 } };
    for (size_t j = 0; j < c->count; j += NN_LANES) {
        nn_vector weight = nn_vector_load(c->weight + j), other = nn_vector_load(c->deviation + j);
        nn_vector m = mean - nn_vector_load(c->mean + j);
        nn_vector s =
            nn_vector_at_least(square_root(deviation * deviation + other * other), 1e-20f);
        nn_vector x = m / s * (float)sqrt_half, slope = nn_vector_erf(x);
        nn_vector spread = weight * nn_vector_exp(-x * x) * (float)sqrt_2_by_pi;
        sum.distance += spread * s + weight * m * slope;
        sum.by_mean += weight * slope;
        sum.by_deviation += spread * deviation / s;
    }
    return sum;
}

// E|C - C'|.
static double own_distance(const components *c)
{
    nn_vector sum = { 0 };
    for (size_t j = 0; j < c->count; j++)
        if (c->weight[j] != 0)
            sum += c->weight[j] * compare(c->mean[j], c->deviation[j], c).distance;
    return nn_vector_sum(sum);
}

// Distance of a row and its target; times `scale`, its gradient.
static double distance(const float *out, const components *y, size_t count, float scale,
                       float *ret_grad)
{
    mixture m;
    decode(out, count, &m);
    components x = { count, m.weight, m.mean, m.deviation };
    float by_weight[NN_MAX_COMPONENTS];
    double to_y = 0, own = 0, mean = 0;
    for (size_t k = 0; k < count; k++) {
        difference d = compare(m.mean[k], m.deviation[k], y);
        difference self = compare(m.mean[k], m.deviation[k], &x);
        float far = nn_vector_sum(d.distance), near = nn_vector_sum(self.distance);
        to_y += (double)m.weight[k] * far;
        own += (double)m.weight[k] * near;
        by_weight[k] = nn_vector_sum(d.distance - self.distance);
        mean += (double)m.weight[k] * by_weight[k];
        float factor = scale * m.weight[k];
        ret_grad[count + k] = factor * nn_vector_sum(d.by_mean - self.by_mean);
        ret_grad[2 * count + k] =
            factor * nn_vector_sum(d.by_deviation - self.by_deviation) * m.slope[k];
    }
    for (size_t k = 0; k < count; k++)
        ret_grad[k] = scale * m.weight[k] * (by_weight[k] - (float)mean);
    return to_y - own / 2 - own_distance(y) / 2;
}

static double loss(const nn_head *head, const nn_head_batch *batch)
{
    size_t count = (size_t)head->config.components, places = batch->target_width / 3;
    assert(batch->width == width(&head->config) && batch->target_width == 3 * places_of(places));
    double sum = 0, scale = 1 / (double)batch->n;
    for (size_t i = 0; i < batch->n; i++) {
        size_t row = i * batch->width;
        const float *goal = batch->target + i * 3 * places;
        components y = { places, goal, goal + places, goal + 2 * places };
        while (y.count > 0 && y.weight[y.count - 1] == 0)
            y.count--;
        double weight = batch->weight[i] * scale;
        double d = distance(batch->out + row, &y, count, (float)weight, batch->ret_grad + row);
        batch->ret_error[i] = (float)(d < 0 ? 0 : d); // rounding; keeps a NaN
        sum += weight * d;
    }
    return sum;
}

const nn_head_class nn_head_gaussian_mixture = {
    "gaussian-mixture", true, width, target_width, values, target, loss,
};
