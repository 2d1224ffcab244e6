// Heads whose outputs are logits of atoms: fixed values, evenly spread from v_min to v_max. The
// categorical head learns the distribution of the return on them (C51), the two-hot head only its
// mean, as the two atoms around it.

#include <assert.h>
#include <float.h>
#include <string.h>

#include "nn/head_internal.h"
#include "nn/simd_math.h"

enum { MAX_VECTORS = NN_MAX_HEAD_WIDTH / NN_LANES };

static size_t width(const nn_head_config *config)
{
    return (size_t)config->atoms;
}

// To whole vectors.
static size_t round_up(size_t n)
{
    return (n + NN_LANES - 1) / NN_LANES * NN_LANES;
}

static double gap(const nn_head_config *config)
{
    return (config->v_max - config->v_min) / (double)(config->atoms - 1);
}

static double atom(const nn_head_config *config, size_t j)
{
    return config->v_min + gap(config) * (double)j;
}

// How a row is cut into vectors: the last one has `rest` floats, 1..NN_LANES.
typedef struct cut {
    size_t width, vectors, rest;
} cut;

static cut cut_of(size_t row_width)
{
    size_t vectors = round_up(row_width) / NN_LANES;
    return (cut){ row_width, vectors, row_width - (vectors - 1) * NN_LANES };
}

NN_INLINE nn_vector load(const cut *c, const float *row, size_t vector, float fill)
{
    row += vector * NN_LANES;
    return vector + 1 < c->vectors ? nn_vector_load(row) : nn_vector_load_part(row, c->rest, fill);
}

NN_INLINE void store(const cut *c, const nn_vector *x, float *ret_row)
{
    size_t last = c->vectors - 1;
    for (size_t v = 0; v < last; v++)
        nn_vector_store(ret_row + v * NN_LANES, x[v]);
    nn_vector_store_part(ret_row + last * NN_LANES, x[last], c->rest);
}

NN_INLINE float largest_of(const cut *c, const float *row)
{
    nn_vector top = load(c, row, c->vectors - 1, -INFINITY);
    for (size_t v = 0; v + 1 < c->vectors; v++)
        top = nn_vector_larger(nn_vector_load(row + v * NN_LANES), top);
    return nn_vector_largest(top);
}

// Sets x[v] = logits - largest, at least -FLT_MAX, and e[v] = exp(x[v]), 0 behind the row. Returns
// the sum of e.
NN_INLINE float exponentials(const cut *c, const float *row, float largest, nn_vector *x,
                             nn_vector *e)
{
    nn_vector sum = { 0 };
    for (size_t v = 0; v < c->vectors; v++) {
        x[v] = nn_vector_at_least(load(c, row, v, -INFINITY) - largest, -FLT_MAX);
        e[v] = nn_vector_exp(x[v]);
        sum += e[v];
    }
    return nn_vector_sum(sum);
}

// What rows become: the atoms' values as returns, or for two-hot as they are.
typedef struct support {
    cut cut;
    float value[NN_MAX_HEAD_WIDTH]; // 0 behind the last atom, up to a whole vector
} support;

static void support_fill(support *s, const nn_head_config *config, double rescale)
{
    s->cut = cut_of(width(config));
    memset(s->value, 0, round_up(s->cut.width) * sizeof *s->value);
    for (size_t j = 0; j < s->cut.width; j++)
        s->value[j] = (float)nn_output_to_return(atom(config, j), rescale);
}

// Sum of e times the atoms.
NN_INLINE float dot_atoms(const support *s, const nn_vector *e)
{
    nn_vector sum = { 0 };
    for (size_t v = 0; v < s->cut.vectors; v++)
        sum += e[v] * nn_vector_load(s->value + v * NN_LANES);
    return nn_vector_sum(sum);
}

static double variance(const support *s, const nn_vector *e, float total, float mean)
{
    nn_vector sum = { 0 };
    for (size_t v = 0; v < s->cut.vectors; v++) {
        nn_vector d = nn_vector_load(s->value + v * NN_LANES) - mean;
        sum += e[v] * d * d;
    }
    return nn_vector_sum(sum) / total;
}

// Atoms ascend: the worst share is that of the first ones, the last of them perhaps in part.
static double worst_mean(const support *s, const nn_vector *e, float total, double level)
{
    if (isnan(total))
        return NAN;
    float mass[NN_MAX_HEAD_WIDTH];
    store(&s->cut, e, mass);
    double left = level * total, sum = 0;
    size_t j = 0;
    for (; j + 1 < s->cut.width && mass[j] < left; j++) {
        sum += (double)mass[j] * s->value[j];
        left -= mass[j];
    }
    return (sum + left * s->value[j]) / (level * total);
}

NN_INLINE float value_of(const support *s, const float *row, float largest, const nn_risk *risk)
{
    nn_vector x[MAX_VECTORS], e[MAX_VECTORS];
    float sum = exponentials(&s->cut, row, largest, x, e), mean = dot_atoms(s, e) / sum;
    if (risk->kind == NN_RISK_CVAR)
        return (float)worst_mean(s, e, sum, risk->level);
    if (risk->kind == NN_RISK_MEAN_VARIANCE)
        return (float)(mean - risk->aversion * variance(s, e, sum, mean));
    return mean;
}

// The largest logits of a few rows first: finding one is a chain of instructions, each waiting for
// the one before, and chains of several rows run at the same time.
static void categorical_values(const nn_head *head, const float *out, size_t rows, size_t row_width,
                               const nn_risk *risk, double rescale, float *ret_value)
{
    enum { BLOCK = 8 };
    support s;
    support_fill(&s, &head->config, rescale);
    assert(row_width == s.cut.width);
    for (size_t first = 0; first < rows; first += BLOCK) {
        size_t end = rows - first < BLOCK ? rows : first + BLOCK;
        float largest[BLOCK];
        for (size_t i = first; i < end; i++)
            largest[i - first] = largest_of(&s.cut, out + i * row_width);
        for (size_t i = first; i < end; i++)
            ret_value[i] = value_of(&s, out + i * row_width, largest[i - first], risk);
    }
}

static size_t categorical_target_width(const nn_head *head, uint32_t actions)
{
    (void)actions;
    return width(&head->config);
}

// What a point gets of a cell's masses, and what the next point gets: added in one step.
typedef float pair __attribute__((vector_size(2 * sizeof(float)), may_alias));

// Loops so simple that gcc makes vectors of them, over whole vectors, so that nothing is left over.
void nn_head_project(const double *position, const float *mass, size_t n, size_t points,
                     float *ret_mass)
{
    assert(n <= NN_MAX_HEAD_WIDTH && points >= 2 && points <= NN_MAX_HEAD_WIDTH);
    float part[NN_MAX_HEAD_WIDTH][2], room[1 + NN_MAX_HEAD_WIDTH][2];
    float(*cell)[2] = room + 1; // cell[-1] is empty; of the last point nothing goes to the next
    double place[NN_MAX_HEAD_WIDTH], end = (double)(points - 1);
    int32_t lower[NN_MAX_HEAD_WIDTH];
    size_t whole_n = round_up(n);
    for (size_t j = 0; j < whole_n; j++) {
        double x = position[j] > end ? end : position[j];
        place[j] = x < 0 ? 0 : x;
    }
    for (size_t j = 0; j < whole_n; j++) {
        double known = place[j] == place[j] ? place[j] : 0; // no index comes from a NaN
        lower[j] = (int32_t)known;
    }
    for (size_t j = 0; j < whole_n; j++) {
        float above = mass[j] * (float)(place[j] - lower[j]);
        part[j][0] = mass[j] - above;
        part[j][1] = above;
    }
    memset(room, 0, (1 + round_up(points)) * sizeof *room);
    for (size_t j = 0; j < n; j++)
        *(pair *)cell[lower[j]] += *(const pair *)part[j];
    for (size_t j = 0; j < round_up(points); j++)
        ret_mass[j] += cell[j][0] + room[j][1];
}

// Where the atoms' returns lie after a step, in units of atoms: position[j] of R + gamma^k z_j.
static void positions(const nn_head_config *config, const nn_backup *backup, size_t row,
                      const double *value, double *ret_position)
{
    size_t i = row / backup->actions, n = round_up(width(config));
    double discount = backup->discount[i], rescale = backup->rescale;
    double shift = backup->reward[i] + discount * nn_backup_bonus(backup, row);
    double scale = 1 / gap(config), first = config->v_min;
    if (rescale > 0)
        for (size_t j = 0; j < n; j++)
            ret_position[j] = (nn_rescale(shift + discount * value[j], rescale) - first) * scale;
    else
        for (size_t j = 0; j < n; j++)
            ret_position[j] = (shift + discount * value[j] - first) * scale;
}

// Probability at positions too far from every atom to be part of it.
static double cut_off(const double *position, const float *mass, size_t n)
{
    double sum = 0, last = (double)(n - 1) + 0.5;
    for (size_t j = 0; j < n; j++)
        sum += position[j] < -0.5 || position[j] > last ? mass[j] : 0;
    return sum;
}

static void categorical_target(const nn_head *head, const nn_backup *backup, float *ret_target)
{
    const nn_head_config *config = &head->config;
    cut c = cut_of(width(config));
    assert(backup->width == c.width);
    double value[NN_MAX_HEAD_WIDTH] = { 0 }, position[NN_MAX_HEAD_WIDTH];
    for (size_t j = 0; j < c.width; j++)
        value[j] = nn_output_to_return(atom(config, j), backup->rescale);
    size_t row = 0;
    double beyond = 0;
    for (size_t i = 0; i < backup->n; i++, ret_target += c.width) {
        float sum[NN_MAX_HEAD_WIDTH], mass[NN_MAX_HEAD_WIDTH];
        memset(sum, 0, round_up(c.width) * sizeof *sum);
        for (uint32_t a = 0; a < backup->actions; a++, row++) {
            if (backup->policy[row] == 0)
                continue;
            nn_vector x[MAX_VECTORS], e[MAX_VECTORS];
            const float *logit = backup->out + row * c.width;
            float total = exponentials(&c, logit, largest_of(&c, logit), x, e);
            float share = backup->policy[row] / total;
            for (size_t v = 0; v < c.vectors; v++)
                nn_vector_store(mass + v * NN_LANES, e[v] * share);
            positions(config, backup, row, value, position);
            nn_head_project(position, mass, c.width, c.width, sum);
            beyond += backup->ret_cut ? cut_off(position, mass, c.width) : 0;
        }
        memcpy(ret_target, sum, c.width * sizeof *ret_target);
    }
    if (backup->ret_cut)
        *backup->ret_cut = beyond;
}

// Of one row: x and e as of `exponentials`, t the target, S its sum.
//     loss   = -sum_j t_j log p_j = S log sum e - sum_j t_j x_j
//     error  = sum_j t_j log t_j + loss
//     d/dx_j = S p_j - t_j,  times scale
NN_INLINE double categorical_row(const cut *c, const float *row, const float *target, float scale,
                                 float *ret_error, float *ret_grad)
{
    nn_vector x[MAX_VECTORS], e[MAX_VECTORS];
    float sum = exponentials(c, row, largest_of(c, row), x, e);
    nn_vector goals = { 0 }, dots = { 0 }, logs = { 0 };
    for (size_t v = 0; v < c->vectors; v++) {
        nn_vector t = load(c, target, v, 0);
        goals += t;
        dots += t * x[v];
        logs += t * nn_vector_log(nn_vector_at_least(t, FLT_MIN));
    }
    float goal_sum = nn_vector_sum(goals);
    double loss = goal_sum * log(sum) - nn_vector_sum(dots);
    double distance = loss + nn_vector_sum(logs);
    *ret_error = (float)(distance < 0 ? 0 : distance); // rounding; keeps a NaN
    float share = goal_sum / sum;
    for (size_t v = 0; v < c->vectors; v++)
        e[v] = (e[v] * share - load(c, target, v, 0)) * scale;
    store(c, e, ret_grad);
    return loss;
}

static double categorical_loss(const nn_head *head, const nn_head_batch *batch)
{
    cut c = cut_of(width(&head->config));
    assert(batch->width == c.width && batch->target_width == c.width);
    double sum = 0, scale = 1 / (double)batch->n;
    for (size_t i = 0; i < batch->n; i++) {
        size_t row = i * c.width;
        double weight = batch->weight[i] * scale;
        sum += weight * categorical_row(&c, batch->out + row, batch->target + row, (float)weight,
                                        batch->ret_error + i, batch->ret_grad + row);
    }
    return sum;
}

const nn_head_class nn_head_categorical = {
    "categorical",    true, width, categorical_target_width, categorical_values, categorical_target,
    categorical_loss,
};

static size_t two_hot_target_width(const nn_head *head, uint32_t actions)
{
    (void)head;
    (void)actions;
    return 1;
}

// The mean of the outputs is what was learned, so it is what is scaled back, not the atoms.
static void two_hot_values(const nn_head *head, const float *out, size_t rows, size_t row_width,
                           const nn_risk *risk, double rescale, float *ret_value)
{
    categorical_values(head, out, rows, row_width, risk, 0, ret_value);
    if (rescale > 0)
        for (size_t i = 0; i < rows; i++)
            ret_value[i] = (float)nn_rescale_inverse(ret_value[i], rescale);
}

static void two_hot_target(const nn_head *head, const nn_backup *backup, float *ret_target)
{
    const nn_head_config *config = &head->config;
    const nn_risk mean = { .kind = NN_RISK_MEAN };
    size_t row = 0;
    double beyond = 0, near = gap(config) / 2;
    for (size_t i = 0; i < backup->n; i++) {
        double next = 0;
        for (uint32_t a = 0; a < backup->actions; a++, row++) {
            if (backup->policy[row] == 0)
                continue;
            float value;
            two_hot_values(head, backup->out + row * backup->width, 1, backup->width, &mean,
                           backup->rescale, &value);
            next += backup->policy[row] * (value + nn_backup_bonus(backup, row));
        }
        double y =
            nn_return_to_output(backup->reward[i] + backup->discount[i] * next, backup->rescale);
        beyond += y < config->v_min - near || y > config->v_max + near;
        y = y < config->v_min ? config->v_min : y > config->v_max ? config->v_max : y;
        ret_target[i] = (float)y;
    }
    if (backup->ret_cut)
        *backup->ret_cut = beyond;
}

// Like categorical_row with a target on two atoms, whose logits are all that is read of x.
static double two_hot_row(const support *s, const nn_head_config *config, const float *row,
                          float target, float scale, float *ret_error, float *ret_grad)
{
    nn_vector x[MAX_VECTORS], e[MAX_VECTORS];
    float below[NN_MAX_HEAD_WIDTH];
    float sum = exponentials(&s->cut, row, largest_of(&s->cut, row), x, e);
    *ret_error = fabsf(dot_atoms(s, e) / sum - target);
    store(&s->cut, x, below);

    double end = (double)(s->cut.width - 1), place = (target - config->v_min) / gap(config);
    place = place < 0 ? 0 : place > end ? end : place;
    size_t lower = place > 0 ? (size_t)(place < end - 1 ? place : end - 1) : 0; // of a NaN: 0
    double upper_share = place - (double)lower, lower_share = 1 - upper_share;
    float factor = scale / sum;
    for (size_t v = 0; v < s->cut.vectors; v++)
        e[v] *= factor;
    store(&s->cut, e, ret_grad);
    ret_grad[lower] -= (float)lower_share * scale;
    ret_grad[lower + 1] -= (float)upper_share * scale;
    return log(sum) - lower_share * below[lower] - upper_share * below[lower + 1];
}

static double two_hot_loss(const nn_head *head, const nn_head_batch *batch)
{
    support s;
    support_fill(&s, &head->config, 0);
    assert(batch->width == s.cut.width && batch->target_width == 1);
    double sum = 0, scale = 1 / (double)batch->n;
    for (size_t i = 0; i < batch->n; i++) {
        size_t row = i * batch->width;
        double weight = batch->weight[i] * scale;
        sum += weight * two_hot_row(&s, &head->config, batch->out + row, batch->target[i],
                                    (float)weight, batch->ret_error + i, batch->ret_grad + row);
    }
    return sum;
}

const nn_head_class nn_head_two_hot = {
    "two-hot", false, width, two_hot_target_width, two_hot_values, two_hot_target, two_hot_loss,
};
