// The cases of test_torch_twin.c: every head with every variant, and a few more. Options are those
// of a run.

#ifndef TESTS_RL_TWIN_CASES_H
#define TESTS_RL_TWIN_CASES_H

#include <stdbool.h>
#include <stdio.h>

typedef struct named_options {
    const char *name, *flag[24];
} named_options;

static const named_options every_case = {
    "", { "run.env",          "cartpole", "run.agent",          "dqn", "network.hidden", "12,8",
          "replay.capacity",  "1000",     "train.batch",        "16",  "agent.gamma",    "0.9",
          "head.huber_delta", "1",        "head.v_min",         "-5",  "head.v_max",     "5",
          "head.cosines",     "9",        "replay.prioritized", "true" }
};

static const named_options heads[] = {
    { "scalar", { 0 } },
    { "categorical", { "head.atoms", "51" } },
    { "two-hot", { "head.atoms", "21" } },
    { "quantile", { "head.quantiles", "20" } },
    { "implicit-quantile",
      { "head.quantiles", "8", "head.target_quantiles", "7", "head.acting_quantiles", "5" } },
    { "gaussian-mixture", { "head.components", "5" } },
    { 0 },
};

#define MUNCHAUSEN \
    "agent.munchausen", "true", "agent.munchausen_temperature", "0.3", "agent.munchausen_clip", \
        "-0.4"
#define DUELING "agent.dueling", "true", "agent.double_q", "true", "agent.n_step", "3"

static const named_options variants[] = {
    { "plain", { 0 } },
    { "double", { "agent.double_q", "true" } },
    { "munchausen", { MUNCHAUSEN } },
    { "rescale", { "agent.rescale", "0.01" } },
    { "dueling-double-3-step", { DUELING } },
    { "noisy", { "agent.noisy", "true", "agent.double_q", "true" } },
    { "layer-norm", { "network.layer_norm", "true" } },
    { "all",
      { MUNCHAUSEN, DUELING, "agent.rescale", "0.01", "agent.noisy", "true", "network.layer_norm",
        "true" } },
    { 0 },
};

static const named_options others[] = {
    { "scalar-squared", { "head.huber_delta", "inf" } },
    { "quantile-narrow", { "head.kind", "quantile", "head.kappa", "0.5" } },
    { "quantile-linear", { "head.kind", "quantile", "head.kappa", "0" } },
    { "implicit-quantile-one-layer",
      { "head.kind", "implicit-quantile", "network.hidden", "12", "head.quantiles", "4" } },
    { 0 },
};

typedef struct twin_case {
    char name[64];
    const char *flag[96];
    size_t flags;
} twin_case;

static inline void add_options(twin_case *c, const named_options *options)
{
    for (const char *const *flag = options->flag; *flag; flag++)
        c->flag[c->flags++] = *flag;
}

// Case `number`; false past the last.
static inline bool case_at(size_t number, twin_case *ret_case)
{
    enum {
        HEADS = sizeof heads / sizeof *heads - 1,
        VARIANTS = sizeof variants / sizeof *variants - 1
    };
    twin_case c = { 0 };
    add_options(&c, &every_case);
    if (number < HEADS * VARIANTS) {
        const named_options *head = heads + number / VARIANTS,
                            *variant = variants + number % VARIANTS;
        snprintf(c.name, sizeof c.name, "%s-%s", head->name, variant->name);
        add_options(&c, &(named_options){ "", { "head.kind", head->name } });
        add_options(&c, head);
        add_options(&c, variant);
    } else {
        const named_options *other = others + (number - HEADS * VARIANTS);
        if (!other->name)
            return false;
        snprintf(c.name, sizeof c.name, "%s", other->name);
        add_options(&c, other);
    }
    *ret_case = c;
    return true;
}

#endif
