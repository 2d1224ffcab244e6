// All options of a run in one object: the sections of every component, the agent presets, and the
// names a run goes by. Precedence: default < preset < file < flag.

#ifndef RL_CONFIG_H
#define RL_CONFIG_H

#include "base/option.h"
#include "envs/env.h"
#include "market/bars.h"
#include "market/features.h"
#include "market/splits.h"
#include "nn/head.h"
#include "nn/layout.h"
#include "nn/optimizer.h"
#include "replay/buffer.h"

// Section [run].
typedef struct rl_run_config {
    char env[GN_OPTION_TEXT_SIZE]; // name of an environment
    char data[GN_OPTION_TEXT_SIZE]; // bars file, for environments that trade
    char agent[GN_OPTION_TEXT_SIZE]; // name of a preset
    int64_t seed;
    char device[GN_OPTION_TEXT_SIZE];
} rl_run_config;

// Section [agent]. docs/algorithms.md has the formulas.
typedef struct rl_agent_config {
    double gamma;
    int64_t n_step;
    bool double_q, dueling, noisy, munchausen;
    double munchausen_alpha, munchausen_temperature, munchausen_clip;
    double rescale; // epsilon of h; 0: outputs are returns
    double reward_scale, reward_clip; // clip: 0 does not
    int exploration; // rl_exploration
    double temperature; // of RL_EXPLORE_SOFTMAX
    double epsilon_start, epsilon_end, epsilon_fraction;
    int epsilon_schedule; // rl_epsilon_schedule
    int risk; // nn_risk_kind
    double risk_level, risk_aversion;
    int64_t target_every; // environment steps between target updates
    double tau; // 1: copy
} rl_agent_config;
typedef enum rl_exploration { RL_EXPLORE_GREEDY, RL_EXPLORE_SOFTMAX } rl_exploration;
typedef enum rl_epsilon_schedule { RL_EPSILON_LINEAR, RL_EPSILON_EXPONENTIAL } rl_epsilon_schedule;

// Section [train]. A round is `every` steps of each of `envs` copies, then `updates` updates.
typedef struct rl_train_config {
    int64_t steps; // environment steps in total, over all copies
    int64_t envs, every, updates;
    int64_t batch; // steps in a batch; with a schedule in the first and smallest one
    int batch_schedule; // rl_batch_schedule
    int64_t batch_max; // steps in the largest batch; 0: 8 times batch
    int64_t starts; // steps before the first update
    int64_t log_every; // steps between lines of metrics.jsonl
} rl_train_config;
typedef enum rl_batch_schedule { RL_BATCH_FIXED, RL_BATCH_LINEAR, RL_BATCH_AUTO } rl_batch_schedule;
extern const char *const rl_batch_schedule_names[]; // ends with NULL
enum { RL_MAX_BATCH = 65536 };

// Section [eval].
typedef struct rl_eval_config {
    int64_t every; // steps; 0 never
    int64_t episodes; // of environments without a market
    int metric; // rl_eval_metric
} rl_eval_config;
typedef enum rl_eval_metric { RL_METRIC_RETURN, RL_METRIC_SHARPE } rl_eval_metric;

// Section [checkpoint].
typedef struct rl_checkpoint_config {
    int64_t every; // steps; 0 only at the end
    int64_t keep; // newest checkpoints kept
    int64_t compression; // zstd level
} rl_checkpoint_config;

typedef struct rl_config {
    rl_run_config run;
    rl_agent_config agent;
    nn_head_config head;
    nn_network_config network;
    nn_optimizer_config optimizer;
    replay_config replay;
    rl_train_config train;
    rl_eval_config eval;
    rl_checkpoint_config checkpoint;
    market_config market;
    market_features_config features;
    market_split_config split;
    void **env; // option struct of each row of env_classes
    gn_option_section *sections; // all of the above, ends with {0}
} rl_config;

// A preset: options that make up a named agent.
typedef struct rl_preset {
    const char *name, *summary, *source;
    const char *const *settings; // "section.key", "value", ..., NULL
} rl_preset;

// Ends with {0}.
extern const rl_preset rl_presets[];

// Errors: GN_ERR_CONFIG lists the presets.
gn_status rl_preset_find(const rl_preset **ret_preset, const char *name);

gn_status rl_config_create(rl_config **ret_config);
void rl_config_destroy(rl_config **config);

// Flags as typed: flag[2i] is "section.key", flag[2i + 1] its value. file may be NULL. Sets
// everything in order of precedence.
gn_status rl_config_resolve(rl_config *config, const char *file, const char *const *flag,
                            size_t flags);

// What no single range can say: combinations that make no sense.  Errors: GN_ERR_CONFIG.
gn_status rl_config_check(const rl_config *config);

// Class and option struct of run.env.
gn_status rl_config_env(const rl_config *config, const env_class **ret_class,
                        const void **ret_config);

// Name of the run: 32 hexadecimal digits from all options that shape it (not its length, nor where
// data and cache lie) and the hash of its data ("" without). Two runs of one name are the same run.
gn_status rl_config_name(const rl_config *config, const char *data_hash, char ret_name[33]);

#endif
