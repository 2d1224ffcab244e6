// What the outputs of a network say about the return of an action, and how they are learned. A head
// is a row of nn_head_classes; all of them have the same four operations, so that double learning,
// dueling, n-step returns, priorities and Munchausen know nothing of the kind.
//
//     scalar             the mean                                 Mnih et al. 2015
//     categorical        probabilities of fixed atoms (C51)       Bellemare et al. 2017
//     two-hot            the same, learned from the mean alone    Schrittwieser et al. 2020
//     quantile           values of fixed quantiles (QR-DQN)       Dabney et al. 2018
//     implicit-quantile  values of quantiles that are drawn (IQN) Dabney et al. 2018
//     gaussian-mixture   weights, means, deviations of components Choi et al. 2019
//
// An action has `width` outputs, contiguous. Nothing is allocated, no function keeps a pointer.
// Threads: any, a head is constant.

#ifndef NN_HEAD_H
#define NN_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/option.h"

typedef enum nn_head_kind {
    NN_HEAD_SCALAR,
    NN_HEAD_CATEGORICAL,
    NN_HEAD_TWO_HOT,
    NN_HEAD_QUANTILE,
    NN_HEAD_IMPLICIT_QUANTILE,
    NN_HEAD_GAUSSIAN_MIXTURE,
} nn_head_kind;

enum { NN_MAX_HEAD_WIDTH = 1024, NN_MAX_COMPONENTS = 64 };

// Section [head].
typedef struct nn_head_config {
    int kind; // nn_head_kind
    double huber_delta; // scalar: error beyond which the loss is linear; infinity: squared error
    int64_t atoms; // categorical, two-hot
    double v_min, v_max; // of the first and the last atom
    int64_t quantiles; // quantile: all of them; implicit: drawn for a step in an update
    int64_t target_quantiles; // implicit: drawn for what follows a step
    int64_t acting_quantiles; // implicit: evenly spread, where an action is chosen
    int64_t cosines; // implicit: features of a quantile fraction
    double kappa; // quantiles: error beyond which the loss is linear; 0: no quadratic part
    int64_t components; // gaussian-mixture
} nn_head_config;

extern const gn_option nn_head_options[];

// How a distribution of returns becomes the value an action is chosen by.
//     mean           E Z
//     cvar           E[Z | Z <= its level-quantile]: the mean of the worst `level` share
//     mean-variance  E Z - aversion Var Z
// Source: Dabney et al. 2018, arXiv:1806.06923; Markowitz 1952.
typedef enum nn_risk_kind { NN_RISK_MEAN, NN_RISK_CVAR, NN_RISK_MEAN_VARIANCE } nn_risk_kind;
typedef struct nn_risk {
    nn_risk_kind kind;
    double level; // (0, 1]
    double aversion; // >= 0
} nn_risk;

// What is known of what follows each of n steps, for the target
//     Z_i = R_i + gamma^k_i sum_a policy[i, a] (Z'(s_i', a) + bonus[i, a])
// as a mixture of distributions (categorical, gaussian-mixture) or a mean of values (the others).
// With rescale = e > 0 outputs are h(return),  h(x) = sign(x)(sqrt(|x| + 1) - 1) + e x,  and the
// target is h(R + gamma^k (h^-1(Z') + bonus)).  Source: Pohlen et al. 2018, arXiv:1805.11593.
typedef struct nn_backup {
    size_t n;
    uint32_t actions; // those that may follow; 1 where it is known which one does
    size_t width; // of out: that of the head, implicit: target_quantiles
    const float *out; // [n, actions, width] of the target network
    const float *reward, *discount; // [n] R and gamma^k
    // [n, actions] sums to 1; greedy: one of them is 1. What has 0 is not looked at, NaN or not.
    const float *policy;
    const float *bonus; // [n, actions], or NULL: none
    double rescale; // 0: outputs are returns
    // NULL: not wanted. What v_min and v_max cut off, summed over the steps: of a distribution the
    // probability that lies more than half a gap of atoms beyond them, of a mean 1 where it does.
    double *ret_cut;
} nn_backup;

// One batch for the loss, and where its results go.
typedef struct nn_head_batch {
    size_t n;
    size_t width, target_width;
    const float *out; // [n, width] of the online network, of the chosen actions
    const float *target; // [n, target_width] from nn_head_target
    const float *fraction; // [n, width] quantile fractions of out; implicit only, else NULL
    const float *weight; // [n] importance weights
    // [n] what priorities are made of, >= 0 and without weights.  scalar, two-hot: |TD| of outputs;
    // categorical: KL(target || output); quantiles: mean |TD| over all pairs; gaussian-mixture: the
    // energy distance, which is |TD| where both are certain.
    float *ret_error;
    float *ret_grad; // [n, width] d loss / d out
} nn_head_batch;

// A head with its numbers worked out from options. Plain data; treat as read-only.
typedef struct nn_head {
    nn_head_config config;
    const struct nn_head_class *kind;
    size_t width; // outputs an action, in learning
} nn_head;

// Errors: GN_ERR_CONFIG: v_min is not below v_max.
gn_status nn_head_create(nn_head *ret_head, const nn_head_config *config);

// Floats of one target, where so many actions may follow; their meaning is the head's own.
size_t nn_head_target_width(const nn_head *head, uint32_t actions);

// Whether a head's targets are cut to v_min and v_max.
bool nn_head_is_bounded(const nn_head_config *config);

// Whether outputs describe a distribution, so that other risks than the mean have a meaning. Those
// of two-hot do not: only their mean is learned.
bool nn_head_is_distribution(const nn_head *head);

// Values of `rows` actions.  Shapes: out: [rows, width]; ret_value: [rows]. width: that of the
// head, for implicit quantiles any. rescale: as in nn_backup; values are returns again: of atoms,
// quantiles and components each by itself, of two-hot the mean.
void nn_head_values(const nn_head *head, const float *out, size_t rows, size_t width,
                    const nn_risk *risk, double rescale, float *ret_value);

// Shape: ret_target: [n, nn_head_target_width].
void nn_head_target(const nn_head *head, const nn_backup *backup, float *ret_target);

// Weighted mean loss  1/n sum_i weight_i loss_i,  its gradient and the errors. A NaN in an output
// or in its target shows in all three.
double nn_head_loss(const nn_head *head, const nn_head_batch *batch);

// A row of the table.
typedef struct nn_head_class {
    const char *name; // as in head.kind
    bool distribution;
    size_t (*width)(const nn_head_config *config);
    size_t (*target_width)(const nn_head *head, uint32_t actions);
    void (*values)(const nn_head *head, const float *out, size_t rows, size_t width,
                   const nn_risk *risk, double rescale, float *ret_value);
    void (*target)(const nn_head *head, const nn_backup *backup, float *ret_target);
    double (*loss)(const nn_head *head, const nn_head_batch *batch);
} nn_head_class;

// In the order of nn_head_kind.
extern const nn_head_class *const nn_head_classes[];
extern const nn_head_class nn_head_scalar, nn_head_categorical, nn_head_two_hot, nn_head_quantile,
    nn_head_implicit_quantile, nn_head_gaussian_mixture;

#endif
