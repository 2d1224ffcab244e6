#include "rl/config.h"

#include <math.h>
#include <string.h>

#include "base/compress.h"
#include "base/mem.h"
#include "rl/batch_size.h"

static const gn_option run_options[] = {
    GN_OPTION_TEXT(rl_run_config, env, "trading", "environment (gannet envs)"),
    GN_OPTION_TEXT(rl_run_config, data, "", "bars file, for environments that trade"),
    GN_OPTION_TEXT(rl_run_config, agent, "dueling-dqn", "agent preset (gannet agents)"),
    GN_OPTION_INT(rl_run_config, seed, "1", 0, 9e15, "seed of every random stream"),
    GN_OPTION_TEXT(
        rl_run_config, device, "auto",
        "where the networks learn: cpu, cuda, cuda:N, torch (the CPU by LibTorch), or auto: "
        "cuda for networks with an encoder where there is a device, else cpu"),
    { 0 },
};

static const char *const exploration_names[] = { "greedy", "softmax", NULL };
static const char *const epsilon_schedule_names[] = { "linear", "exponential", NULL };
static const char *const risk_names[] = { "mean", "cvar", "mean-variance", NULL };
static const gn_option agent_options[] = {
    GN_OPTION_REAL(rl_agent_config, gamma, "0.99", 0, 1, "discount a step"),
    GN_OPTION_INT(rl_agent_config, n_step, "1", 1, 1000, "steps of a return before bootstrapping"),
    GN_OPTION_BOOL(rl_agent_config, double_q, "false",
                   "the online network picks the bootstrap action, the target network values it"),
    GN_OPTION_BOOL(rl_agent_config, dueling, "false", "separate state value and advantages"),
    GN_OPTION_BOOL(rl_agent_config, noisy, "false",
                   "noisy layers: weights with learned deviations, for exploration "
                   "(network.noise_scale); epsilon can then be 0"),
    GN_OPTION_BOOL(rl_agent_config, munchausen, "false",
                   "soft targets, and the scaled log-policy of the action taken as reward"),
    GN_OPTION_REAL(rl_agent_config, munchausen_alpha, "0.9", 0, 1,
                   "share of the log-policy that is added to the reward"),
    GN_OPTION_REAL(rl_agent_config, munchausen_temperature, "0.03", 1e-6, 1e6,
                   "temperature of the policy of munchausen"),
    GN_OPTION_REAL(rl_agent_config, munchausen_clip, "-1", -1e9, 0,
                   "least value of temperature times log-policy as reward"),
    GN_OPTION_REAL(rl_agent_config, rescale, "0", 0, 1,
                   "learn h(return), h(x) = sign(x) (sqrt(|x| + 1) - 1) + rescale x; 0 learns "
                   "returns, 0.001 is usual"),
    GN_OPTION_REAL(rl_agent_config, reward_scale, "1", 1e-9, 1e9,
                   "factor of every reward that is learned from"),
    GN_OPTION_REAL(rl_agent_config, reward_clip, "0", 0, 1e9,
                   "largest size of a scaled reward; 0 does not clip"),
    GN_OPTION_CHOICE(rl_agent_config, exploration, "greedy", exploration_names,
                     "the actions that are not random: of the largest value, or drawn by "
                     "agent.temperature"),
    GN_OPTION_REAL(rl_agent_config, temperature, "1", 1e-6, 1e9,
                   "softmax exploration: difference of values that makes an action e times as "
                   "likely"),
    GN_OPTION_REAL(rl_agent_config, epsilon_start, "1", 0, 1, "share of random actions at step 0"),
    GN_OPTION_REAL(rl_agent_config, epsilon_end, "0.05", 0, 1,
                   "share of random actions once the schedule has ended"),
    GN_OPTION_REAL(rl_agent_config, epsilon_fraction, "0.5", 0, 1,
                   "share of train.steps, counted from step 0, over which epsilon falls"),
    GN_OPTION_CHOICE(rl_agent_config, epsilon_schedule, "linear", epsilon_schedule_names,
                     "how it falls"),
    GN_OPTION_CHOICE(rl_agent_config, risk, "mean", risk_names,
                     "what actions are chosen by: expected return, the mean of its worst share, "
                     "or less its variance; heads that learn a distribution"),
    GN_OPTION_REAL(rl_agent_config, risk_level, "0.25", 1e-3, 1, "cvar: the worst share"),
    GN_OPTION_REAL(rl_agent_config, risk_aversion, "1", 0, 1e9,
                   "mean-variance: weight of the variance"),
    GN_OPTION_INT(rl_agent_config, target_every, "500", 1, 1e12,
                  "environment steps between updates of the target network"),
    GN_OPTION_REAL(rl_agent_config, tau, "1", 1e-6, 1,
                   "share of the online network in a target update; 1 copies it"),
    { 0 },
};

const char *const rl_batch_schedule_names[] = { "fixed", "linear", "auto", NULL };
static const gn_option train_options[] = {
    GN_OPTION_INT(rl_train_config, steps, "100000", 1, 1e15,
                  "environment steps in total; rounds are whole, so the last may pass it"),
    GN_OPTION_INT(rl_train_config, envs, "1", 1, 65536, "copies of the environment"),
    GN_OPTION_INT(rl_train_config, every, "4", 1, 1000000, "steps of each copy in a round"),
    GN_OPTION_INT(rl_train_config, updates, "1", 0, 1000000,
                  "gradient updates at the end of a round"),
    GN_OPTION_INT(rl_train_config, batch, "128", 1, RL_MAX_BATCH,
                  "steps in a training batch; with a schedule, in the smallest"),
    GN_OPTION_CHOICE(rl_train_config, batch_schedule, "fixed", rl_batch_schedule_names,
                     "fixed: train.batch; linear: doubles at equal distances over the run up to "
                     "train.batch_max; auto: follows the noise scale of the gradient in between"),
    GN_OPTION_INT(rl_train_config, batch_max, "0", 0, RL_MAX_BATCH,
                  "steps in the largest batch of a schedule; 0 is 8 times train.batch"),
    GN_OPTION_INT(rl_train_config, starts, "1000", 1, 1e12,
                  "environment steps before the first update"),
    GN_OPTION_INT(rl_train_config, log_every, "1000", 1, 1e12,
                  "environment steps between training lines of metrics.jsonl"),
    { 0 },
};

static const char *const metric_names[] = { "return", "sharpe", NULL };
static const gn_option eval_options[] = {
    GN_OPTION_INT(rl_eval_config, every, "5000", 0, 1e12,
                  "environment steps between evaluations on the validation split; 0 is never"),
    GN_OPTION_INT(rl_eval_config, episodes, "20", 1, 100000,
                  "episodes of an evaluation, where the environment is not a market"),
    GN_OPTION_CHOICE(rl_eval_config, metric, "return", metric_names,
                     "what the best weights are chosen by"),
    { 0 },
};

static const gn_option checkpoint_options[] = {
    GN_OPTION_INT(rl_checkpoint_config, every, "25000", 0, 1e15,
                  "environment steps between checkpoints; 0 is only at the end"),
    GN_OPTION_INT(rl_checkpoint_config, keep, "3", 1, 1000, "newest checkpoints kept"),
    GN_OPTION_INT(rl_checkpoint_config, compression, "3", 1, 19, "zstd level"),
    { 0 },
};

static const char *const dqn_settings[] = { NULL };
static const char *const double_dqn_settings[] = { "agent.double_q", "true", NULL };
static const char *const dueling_dqn_settings[] = {
    "agent.double_q", "true", "agent.dueling", "true", "agent.n_step", "3", "replay.prioritized",
    "true",           NULL,
};
static const char *const control_dqn_settings[] = {
    "agent.double_q",
    "true",
    "agent.dueling",
    "true",
    "agent.n_step",
    "3",
    "replay.prioritized",
    "true",
    "optimizer.learning_rate",
    "0.003",
    "agent.epsilon_fraction",
    "0.2",
    NULL,
};
static const char *const c51_settings[] = { "head.kind", "categorical", NULL };
static const char *const qr_dqn_settings[] = { "head.kind", "quantile", NULL };
static const char *const iqn_settings[] = {
    "head.kind", "implicit-quantile", "head.quantiles", "8", "head.target_quantiles", "8", NULL,
};
static const char *const rainbow_settings[] = {
    "head.kind",
    "categorical",
    "agent.double_q",
    "true",
    "agent.dueling",
    "true",
    "agent.n_step",
    "3",
    "replay.prioritized",
    "true",
    "agent.noisy",
    "true",
    "agent.epsilon_start",
    "0",
    "agent.epsilon_end",
    "0",
    NULL,
};
static const char *const pixel_dqn_settings[] = {
    "agent.double_q",
    "true",
    "network.encoder",
    "nature",
    "network.hidden",
    "512",
    "train.batch",
    "32",
    NULL,
};
static const char *const munchausen_dqn_settings[] = { "agent.munchausen", "true", NULL };
static const char *const munchausen_iqn_settings[] = {
    "head.kind", "implicit-quantile", "head.quantiles", "8",  "head.target_quantiles",
    "8",         "agent.munchausen",  "true",           NULL,
};
static const char *const mog_dqn_settings[] = { "head.kind", "gaussian-mixture", NULL };

const rl_preset rl_presets[] = {
    { "dqn", "Q-learning with a target network and uniform replay", "Mnih et al. 2015, Nature 518",
      dqn_settings },
    { "double-dqn", "dqn whose online network picks the bootstrap action",
      "van Hasselt, Guez & Silver 2016, arXiv:1509.06461", double_dqn_settings },
    { "dueling-dqn", "double-dqn with a dueling head, prioritized replay and 3-step returns",
      "Wang et al. 2016, arXiv:1511.06581; Schaul et al. 2016, arXiv:1511.05952",
      dueling_dqn_settings },
    { "control-dqn",
      "dueling-dqn with large steps, for small problems without noise such as CartPole",
      "as dueling-dqn", control_dqn_settings },
    { "c51", "dqn that learns the probabilities of fixed returns (head.v_min to head.v_max)",
      "Bellemare, Dabney & Munos 2017, arXiv:1707.06887", c51_settings },
    { "qr-dqn", "dqn that learns fixed quantiles of the return",
      "Dabney et al. 2018, arXiv:1710.10044", qr_dqn_settings },
    { "iqn", "dqn that learns the return at any quantile", "Dabney et al. 2018, arXiv:1806.06923",
      iqn_settings },
    { "mog-dqn", "dqn that learns the return as a mixture of normal distributions",
      "Choi, Lee & Oh 2019, ICRA", mog_dqn_settings },
    { "rainbow", "c51 with double learning, dueling, 3-step returns, prioritized replay, noise",
      "Hessel et al. 2018, arXiv:1710.02298", rainbow_settings },
    { "pixel-dqn", "double-dqn on pictures: the convolutions of the Nature paper",
      "Mnih et al. 2015, Nature 518", pixel_dqn_settings },
    { "munchausen-dqn", "dqn with soft targets and its own log-policy as reward",
      "Vieillard, Pietquin & Geist 2020, arXiv:2007.14430", munchausen_dqn_settings },
    { "munchausen-iqn", "the same with implicit quantiles",
      "Vieillard, Pietquin & Geist 2020, arXiv:2007.14430", munchausen_iqn_settings },
    { 0 },
};

gn_status rl_preset_find(const rl_preset **ret_preset, const char *name)
{
    for (const rl_preset *preset = rl_presets; preset->name; preset++) {
        if (strcmp(preset->name, name) == 0) {
            *ret_preset = preset;
            return GN_OK;
        }
    }
    gn_text names = { 0 };
    for (const rl_preset *preset = rl_presets; preset->name; preset++)
        gn_text_append(&names, "%s%s", names.size ? ", " : "", preset->name);
    gn_status status = gn_fail(GN_ERR_CONFIG, "run.agent: no preset is called '%s' (there are %s)",
                               name, gn_text_data(&names));
    gn_text_free(&names);
    return status;
}

static size_t env_class_count(void)
{
    size_t count = 0;
    while (env_classes[count])
        count++;
    return count;
}

enum { FIXED_SECTIONS = 12 };

// The fixed sections, then one for each environment that has options.
static void fill_sections(rl_config *config)
{
    const gn_option_section fixed[] = {
        { "run", "What is trained on what.", run_options, &config->run },
        { "agent", "How values are learned and actions chosen.", agent_options, &config->agent },
        { "head", "What is learned of the return of an action.", nn_head_options, &config->head },
        { "network", "Shape of the value network.", nn_network_options, &config->network },
        { "optimizer", "How gradients become steps.", nn_optimizer_options, &config->optimizer },
        { "replay", "What is remembered and how it is drawn.", replay_options, &config->replay },
        { "train", "The training loop.", train_options, &config->train },
        { "eval", "Greedy evaluation while training.", eval_options, &config->eval },
        { "checkpoint", "When the run is made safe.", checkpoint_options, &config->checkpoint },
        { "market", "How a bars file is read.", market_options, &config->market },
        { "features", "What the agent sees of the market.", market_features_options,
          &config->features },
        { "split", "Training, validation and test bars.", market_split_options, &config->split },
    };
    _Static_assert(sizeof fixed / sizeof *fixed == FIXED_SECTIONS, "room for all sections");
    size_t count = FIXED_SECTIONS;
    memcpy(config->sections, fixed, sizeof fixed);
    for (size_t i = 0; env_classes[i]; i++) {
        const env_class *class = env_classes[i];
        if (class->options)
            config->sections[count++] =
                (gn_option_section){ class->name, class->summary, class->options, config->env[i] };
    }
}

gn_status rl_config_create(rl_config **ret_config)
{
    size_t classes = env_class_count();
    rl_config *config = NULL;
    gn_status status = gn_alloc(&config, 1, sizeof *config);
    if (status != GN_OK)
        return status;
    status = gn_alloc(&config->env, classes + 1, sizeof *config->env);
    for (size_t i = 0; i < classes && status == GN_OK; i++)
        status = gn_alloc(&config->env[i], 1, env_classes[i]->config_size);
    if (status == GN_OK)
        status =
            gn_alloc(&config->sections, FIXED_SECTIONS + classes + 1, sizeof *config->sections);
    if (status != GN_OK) {
        rl_config_destroy(&config);
        return status;
    }
    fill_sections(config);
    gn_options_reset(config->sections);
    *ret_config = config;
    return GN_OK;
}

void rl_config_destroy(rl_config **config)
{
    if (!*config)
        return;
    for (size_t i = 0; (*config)->env && i < env_class_count(); i++)
        gn_free(&(*config)->env[i]);
    gn_free(&(*config)->env);
    gn_free(&(*config)->sections);
    gn_free(config);
}

static gn_status apply_file_and_flags(rl_config *config, const char *file, const char *const *flag,
                                      size_t flags)
{
    if (file)
        GN_TRY(gn_options_load(config->sections, file));
    for (size_t i = 0; i < flags; i++)
        GN_TRY(gn_options_set(config->sections, flag[2 * i], flag[2 * i + 1]));
    return GN_OK;
}

// File and flags are applied twice: first to learn which preset they name, then over the preset.
gn_status rl_config_resolve(rl_config *config, const char *file, const char *const *flag,
                            size_t flags)
{
    gn_options_reset(config->sections);
    GN_TRY(apply_file_and_flags(config, file, flag, flags));
    const rl_preset *preset = NULL;
    GN_TRY(rl_preset_find(&preset, config->run.agent));

    gn_options_reset(config->sections);
    for (const char *const *setting = preset->settings; *setting; setting += 2)
        GN_TRY(gn_options_set(config->sections, setting[0], setting[1]));
    return apply_file_and_flags(config, file, flag, flags);
}

// Whether the store can lie there: not in the run's folder itself, nor in what the run keeps there.
static bool is_replay_path(const char *path)
{
    static const char *const taken[] = {
        "", ".", "..", "best", "checkpoints", "last-good", "lock", "metrics.jsonl", "run.ini"
    };
    size_t first = strcspn(path, "/");
    for (size_t i = 0; path[0] != '/' && i < sizeof taken / sizeof *taken; i++)
        if (strlen(taken[i]) == first && strncmp(path, taken[i], first) == 0)
            return false;
    return true;
}

// Records are quantised as floats, so they must be nothing else: their fields are all of them.
static gn_status check_quantize(const rl_config *config, const env_class *class)
{
    const env_field *field = class->fields;
    if (config->replay.quantize == 0)
        return GN_OK;
    if (!field->name)
        return gn_fail(GN_ERR_CONFIG,
                       "replay.quantize: %lld: records of environment %s are no float32 numbers; "
                       "must be 0",
                       (long long)config->replay.quantize, class->name);
    for (size_t i = 0; field[i].name; i++)
        if (field[i].type != ENV_FIELD_F32 || field[i].offset != i * sizeof(float))
            return gn_fail(GN_ERR_CONFIG,
                           "replay.quantize: %lld: field %s in the records of environment %s is no "
                           "float32; must be 0",
                           (long long)config->replay.quantize, field[i].name, class->name);
    return GN_OK;
}

static gn_status check_agent(const rl_config *config)
{
    const rl_agent_config *agent = &config->agent;
    nn_head head;
    GN_TRY(nn_head_create(&head, &config->head));
    if (agent->epsilon_end > agent->epsilon_start)
        return gn_fail(GN_ERR_CONFIG, "agent.epsilon_end: %g is above agent.epsilon_start = %g",
                       agent->epsilon_end, agent->epsilon_start);
    if (agent->epsilon_schedule == RL_EPSILON_EXPONENTIAL && agent->epsilon_end <= 0)
        return gn_fail(GN_ERR_CONFIG,
                       "agent.epsilon_end: an exponential schedule never ends at 0; must be above");
    if (agent->risk != NN_RISK_MEAN && !nn_head_is_distribution(&head))
        return gn_fail(GN_ERR_CONFIG,
                       "agent.risk: head.kind %s learns no distribution of returns; must be mean",
                       head.kind->name);
    return GN_OK;
}

gn_status rl_config_check(const rl_config *config)
{
    const env_class *class = NULL;
    GN_TRY(env_class_find(&class, config->run.env));
    if (class->needs_market && !config->run.data[0])
        return gn_fail(GN_ERR_CONFIG, "run.data: environment %s needs a bars file (--data FILE)",
                       class->name);
    if (!class->needs_market && config->run.data[0])
        return gn_fail(GN_ERR_CONFIG, "run.data: environment %s takes no bars file, got '%s'",
                       class->name, config->run.data);
    if (!class->needs_market && config->eval.metric == RL_METRIC_SHARPE)
        return gn_fail(GN_ERR_CONFIG, "eval.metric: environment %s has no Sharpe ratio; use return",
                       class->name);
    if (!is_replay_path(config->replay.path))
        return gn_fail(GN_ERR_CONFIG,
                       "replay.path: '%s' is not a folder for the store alone: give a path, a name "
                       "the run does not use itself, or none",
                       config->replay.path);
    GN_TRY(check_quantize(config, class));
    GN_TRY(check_agent(config));
    return rl_batch_size_check(&config->train);
}

gn_status rl_config_env(const rl_config *config, const env_class **ret_class,
                        const void **ret_config)
{
    const env_class *class = NULL;
    GN_TRY(env_class_find(&class, config->run.env));
    size_t row = 0;
    while (env_classes[row] != class)
        row++;
    *ret_class = class;
    *ret_config = config->env[row];
    return GN_OK;
}

// Options that may change without making it another run.
static bool shapes_the_run(const char *section, const char *key)
{
    static const char *const other[][2] = {
        { "run", "data" },
        { "run", "device" },
        { "replay", "device" },
        { "market", "cache" },
        { "train", "steps" },
        { "checkpoint", "keep" },
        { "checkpoint", "compression" },
    };
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (strcmp(section, other[i][0]) == 0 && strcmp(key, other[i][1]) == 0)
            return false;
    return true;
}

gn_status rl_config_name(const rl_config *config, const char *data_hash, char ret_name[33])
{
    gn_digest *digest = NULL;
    GN_TRY(gn_digest_create(&digest));
    gn_text text = { 0 };
    gn_text_append(&text, "%s\n", data_hash);
    for (const gn_option_section *section = config->sections; section->name; section++) {
        for (const gn_option *option = section->options; option->key; option++) {
            if (!shapes_the_run(section->name, option->key))
                continue;
            gn_text_append(&text, "%s.%s=", section->name, option->key);
            gn_option_format(&text, option, (const char *)section->values + option->offset);
            gn_text_append(&text, "\n");
        }
    }
    gn_status status = gn_text_status(&text);
    if (status == GN_OK) {
        gn_digest_add(digest, text.data, text.size);
        gn_digest_text(digest, ret_name);
    }
    gn_text_free(&text);
    gn_digest_destroy(&digest);
    return status;
}
