#include "rl/option_use.h"

#include <string.h>

enum { VALUES_MAX = 2 };

// An option that means something only where another has one of these values, or, with `except`, any
// other one.
typedef struct option_use {
    const char *key, *other;
    const char *value[VALUES_MAX + 1];
    bool except;
} option_use;

static const option_use uses[] = {
    { "agent.munchausen_alpha", "agent.munchausen", { "true" }, false },
    { "agent.munchausen_temperature", "agent.munchausen", { "true" }, false },
    { "agent.munchausen_clip", "agent.munchausen", { "true" }, false },
    { "agent.temperature", "agent.exploration", { "softmax" }, false },
    { "agent.risk_level", "agent.risk", { "cvar" }, false },
    { "agent.risk_aversion", "agent.risk", { "mean-variance" }, false },
    { "head.huber_delta", "head.kind", { "scalar" }, false },
    { "head.atoms", "head.kind", { "categorical", "two-hot" }, false },
    { "head.v_min", "head.kind", { "categorical", "two-hot" }, false },
    { "head.v_max", "head.kind", { "categorical", "two-hot" }, false },
    { "head.quantiles", "head.kind", { "quantile", "implicit-quantile" }, false },
    { "head.target_quantiles", "head.kind", { "implicit-quantile" }, false },
    { "head.acting_quantiles", "head.kind", { "implicit-quantile" }, false },
    { "head.cosines", "head.kind", { "implicit-quantile" }, false },
    { "head.kappa", "head.kind", { "quantile", "implicit-quantile" }, false },
    { "head.components", "head.kind", { "gaussian-mixture" }, false },
    { "network.channels", "network.encoder", { "conv1d" }, false },
    { "network.kernel", "network.encoder", { "conv1d" }, false },
    { "network.stride", "network.encoder", { "conv1d" }, false },
    { "network.recurrent_width", "network.encoder", { "lstm", "gru" }, false },
    { "network.noise_scale", "agent.noisy", { "true" }, false },
    { "optimizer.decoupled", "optimizer.weight_decay", { "0" }, true },
    { "optimizer.batch_scaling", "train.batch_schedule", { "linear", "auto" }, false },
    { "train.batch_max", "train.batch_schedule", { "linear", "auto" }, false },
    { "replay.durability", "replay.path", { "none" }, true },
    { "replay.priority", "replay.prioritized", { "true" }, false },
    { "replay.alpha", "replay.prioritized", { "true" }, false },
    { "replay.alpha_final", "replay.prioritized", { "true" }, false },
    { "replay.beta", "replay.prioritized", { "true" }, false },
    { "replay.beta_final", "replay.prioritized", { "true" }, false },
    { "replay.priority_epsilon", "replay.prioritized", { "true" }, false },
    { "replay.priority_epsilon", "replay.priority", { "proportional" }, false },
    { "replay.uniform", "replay.prioritized", { "true" }, false },
    { "replay.weight_max", "replay.prioritized", { "true" }, false },
    { "replay.device", "replay.prioritized", { "true" }, false },
    { "market.spacing", "market.time_format", { "none" }, false },
    { "market.open_column", "market.layout", { "ohlcv" }, false },
    { "market.high_column", "market.layout", { "ohlcv" }, false },
    { "market.low_column", "market.layout", { "ohlcv" }, false },
    { "features.list", "trading.observation", { "features" }, false },
    { "trading.window", "trading.observation", { "features" }, false },
    { "trading.maintenance_margin", "trading.leverage", { "1" }, true },
};

static bool holds(const option_use *use, const char *is)
{
    for (const char *const *value = use->value; *value; value++)
        if (strcmp(*value, is) == 0)
            return !use->except;
    return use->except;
}

static gn_status check_use(const gn_option_section *sections, const option_use *use)
{
    const gn_option *option;
    void *value;
    gn_text is = { 0 };
    if (!gn_options_find(sections, use->other, &option, &value))
        return GN_OK;
    gn_option_format(&is, option, value);
    gn_status status = gn_text_status(&is);
    if (status == GN_OK && !holds(use, gn_text_data(&is))) {
        gn_text allowed = { 0 };
        for (size_t i = 0; use->value[i] && !use->except; i++)
            gn_text_append(&allowed, "%s%s", i ? " or " : "; needs ", use->value[i]);
        status = gn_fail(GN_ERR_CONFIG, "%s: changes nothing where %s is %s%s", use->key,
                         use->other, gn_text_data(&is), gn_text_data(&allowed));
        gn_text_free(&allowed);
    }
    gn_text_free(&is);
    return status;
}

static bool is_section(const char *key, const char *section)
{
    size_t size = strlen(section);
    return strncmp(key, section, size) == 0 && key[size] == '.';
}

static bool is_of_market(const char *key)
{
    return is_section(key, "market") || is_section(key, "features") || is_section(key, "split");
}

// Sections of another environment; those of a market where there is none.
static gn_status check_environment(const rl_config *config, const char *key)
{
    const env_class *class = NULL;
    GN_TRY(env_class_find(&class, config->run.env));
    bool other = is_of_market(key) && !class->needs_market;
    for (size_t i = 0; env_classes[i]; i++)
        other |= env_classes[i] != class && is_section(key, env_classes[i]->name);
    if (class->needs_market && strcmp(key, "eval.episodes") == 0)
        other = true;
    return other ? gn_fail(GN_ERR_CONFIG, "%s: changes nothing in environment %s", key, class->name)
                 : GN_OK;
}

static gn_status check_key(const gn_option_section *sections, const char *key)
{
    for (size_t i = 0; i < sizeof uses / sizeof *uses; i++)
        if (strcmp(uses[i].key, key) == 0)
            GN_TRY(check_use(sections, &uses[i]));
    return GN_OK;
}

gn_status rl_option_use_check_set(const gn_option_section *sections, const char *const *flag,
                                  size_t flags)
{
    for (size_t i = 0; i < flags; i++)
        GN_TRY(check_key(sections, flag[2 * i]));
    return GN_OK;
}

gn_status rl_option_use_tell(const rl_config *config, const char *const *flag, size_t flags,
                             const gn_log *log)
{
    for (size_t i = 0; i < flags; i++) {
        gn_status status = check_environment(config, flag[2 * i]);
        if (status == GN_OK)
            status = check_key(config->sections, flag[2 * i]);
        if (status == GN_ERR_CONFIG)
            gn_log_warning(log, "%s", gn_error_text());
        else if (status != GN_OK)
            return status;
    }
    return GN_OK;
}
