// The options of a run: precedence, presets, combinations that make no sense, and the run's name.

#include "rl/config.h"

#include "base/text.h"
#include "rl/option_use.h"
#include "tests/rl/small_run.h"

static void later_sources_override_earlier_ones(void **state)
{
    (void)state;
    small_run small;
    char path[GN_PATH_SIZE];
    const char *const preset[] = { "run.agent", "dueling-dqn" };
    const char *const flags[] = { "agent.n_step", "7", "run.agent", "dueling-dqn" };
    small_run_open(&small);
    expect_ok(gn_path_join(path, small.folder, "run.ini"));
    write_text(path, "[agent]\nn_step = 5\n");

    rl_config *config = NULL;
    expect_ok(rl_config_create(&config));
    assert_int_equal(config->agent.n_step, 1);
    expect_ok(rl_config_resolve(config, NULL, preset, 1));
    assert_int_equal(config->agent.n_step, 3);
    expect_ok(rl_config_resolve(config, path, preset, 1));
    assert_int_equal(config->agent.n_step, 5);
    expect_ok(rl_config_resolve(config, path, flags, 2));
    assert_int_equal(config->agent.n_step, 7);
    assert_true(config->agent.double_q); // the rest of the preset stays
    rl_config_destroy(&config);
    test_temp_remove(small.folder);
}

static void a_flag_replaces_the_preset_of_the_file(void **state)
{
    (void)state;
    small_run small;
    char path[GN_PATH_SIZE];
    const char *const flag[] = { "run.agent", "dqn" };
    small_run_open(&small);
    expect_ok(gn_path_join(path, small.folder, "run.ini"));
    write_text(path, "[run]\nagent = dueling-dqn\n");

    rl_config *config = NULL;
    expect_ok(rl_config_create(&config));
    expect_ok(rl_config_resolve(config, path, NULL, 0));
    assert_true(config->agent.dueling);
    expect_ok(rl_config_resolve(config, path, flag, 1));
    assert_string_equal(config->run.agent, "dqn");
    assert_false(config->agent.dueling);
    assert_int_equal(config->agent.n_step, 1);
    rl_config_destroy(&config);
    test_temp_remove(small.folder);
}

static void every_preset_sets_what_it_says(void **state)
{
    (void)state;
    for (const rl_preset *preset = rl_presets; preset->name; preset++) {
        rl_config *config = CONFIG_OF("run.agent", preset->name);
        for (const char *const *setting = preset->settings; *setting; setting += 2) {
            const gn_option *option = NULL;
            void *value = NULL;
            gn_text text = { 0 };
            assert_true(gn_options_find(config->sections, setting[0], &option, &value));
            gn_option_format(&text, option, value);
            assert_string_equal(gn_text_data(&text), setting[1]);
            gn_text_free(&text);
        }
        rl_config_destroy(&config);
    }
}

static void an_unknown_preset_is_refused_with_the_known_ones(void **state)
{
    (void)state;
    const char *const flag[] = { "run.agent", "dqnn" };
    rl_config *config = NULL;
    expect_ok(rl_config_create(&config));
    expect_fails(GN_ERR_CONFIG, "'dqnn' (there are dqn, double-dqn, dueling-dqn, control-dqn, ",
                 rl_config_resolve(config, NULL, flag, 1));
    rl_config_destroy(&config);
}

static void combinations_without_sense_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *flag[9], *part; // part: NULL where the combination is fine
    } cases[] = {
        { { "run.env", "cartpole" }, NULL },
        { { "run.env", "trading", "run.data", "x.csv" }, NULL },
        { { "run.env", "trading", "run.data", "x.csv", "eval.metric", "sharpe" }, NULL },
        { { "run.env", "cartpole", "agent.epsilon_start", "0.05" }, NULL },
        { { "run.env", "cartpol" }, "cartpol" },
        { { "run.env", "trading" }, "run.data: environment trading needs a bars file" },
        { { "run.env", "cartpole", "run.data", "x.csv" }, "takes no bars file, got 'x.csv'" },
        { { "run.env", "cartpole", "eval.metric", "sharpe" }, "has no Sharpe ratio" },
        { { "run.env", "cartpole", "agent.epsilon_start", "0.01" },
          "agent.epsilon_end: 0.05 is above agent.epsilon_start = 0.01" },
        { { "run.env", "cartpole", "agent.epsilon_schedule", "exponential" }, NULL },
        { { "run.env", "cartpole", "agent.epsilon_schedule", "exponential", "agent.epsilon_end",
            "0" },
          "agent.epsilon_end: an exponential schedule never ends at 0" },
        { { "run.env", "cartpole", "run.agent", "qr-dqn", "agent.risk", "cvar" }, NULL },
        { { "run.env", "cartpole", "agent.risk", "cvar" },
          "agent.risk: head.kind scalar learns no distribution of returns; must be mean" },
        { { "run.env", "cartpole", "head.kind", "two-hot", "agent.risk", "mean-variance" },
          "agent.risk: head.kind two-hot learns no distribution" },
        { { "run.env", "cartpole", "run.agent", "c51", "head.v_min", "10" },
          "head.v_min: 10 is not below head.v_max = 10" },
        { { "run.env", "cartpole", "replay.quantize", "8" }, NULL },
        { { "run.env", "cartpole", "replay.quantize", "16", "replay.ahead", "5" }, NULL },
        { { "run.env", "trading", "run.data", "x.csv", "replay.quantize", "16" },
          "replay.quantize: 16: field bar in the records of environment trading is no float32" },
        { { "run.env", "catch", "replay.quantize", "8" },
          "replay.quantize: 8: records of environment catch are no float32 numbers" },
        { { "run.env", "cartpole", "replay.path", "none" }, NULL },
        { { "run.env", "cartpole", "replay.path", "/best" }, NULL },
        { { "run.env", "cartpole", "replay.path", "better/best" }, NULL },
        { { "run.env", "cartpole", "replay.path", "" }, "replay.path: ''" },
        { { "run.env", "cartpole", "replay.path", "." }, "replay.path: '.'" },
        { { "run.env", "cartpole", "replay.path", "../b" }, "replay.path: '../b'" },
        { { "run.env", "cartpole", "replay.path", "best" }, "replay.path: 'best'" },
        { { "run.env", "cartpole", "replay.path", "checkpoints/x" },
          "replay.path: 'checkpoints/x'" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rl_config *config = config_of(cases[i].flag);
        if (cases[i].part)
            expect_fails(GN_ERR_CONFIG, cases[i].part, rl_config_check(config));
        else
            expect_ok(rl_config_check(config));
        rl_config_destroy(&config);
    }
}

static void flags_that_change_nothing_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *flag[9], *part; // part: NULL where every flag changes something
    } cases[] = {
        { { "run.env", "cartpole", "agent.exploration", "softmax", "agent.temperature", "2" },
          NULL },
        { { "run.env", "cartpole", "agent.temperature", "1", "agent.exploration", "softmax" },
          NULL },
        { { "run.env", "cartpole", "agent.temperature", "2" },
          "agent.temperature: changes nothing where agent.exploration is greedy; needs softmax" },
        { { "run.env", "cartpole", "run.agent", "rainbow", "head.v_max", "100" }, NULL },
        { { "run.env", "cartpole", "run.agent", "qr-dqn", "head.v_max", "100" },
          "head.v_max: changes nothing where head.kind is quantile; needs categorical or two-hot" },
        { { "run.env", "cartpole", "optimizer.decoupled", "true" },
          "optimizer.decoupled: changes nothing where optimizer.weight_decay is 0" },
        { { "run.env", "cartpole", "optimizer.decoupled", "true", "optimizer.weight_decay", "0.1" },
          NULL },
        { { "run.env", "cartpole", "train.batch_max", "512" },
          "train.batch_max: changes nothing where train.batch_schedule is fixed; needs linear or "
          "auto" },
        { { "run.env", "cartpole", "optimizer.batch_scaling", "sqrt" },
          "optimizer.batch_scaling: changes nothing where train.batch_schedule is fixed" },
        { { "run.env", "cartpole", "optimizer.batch_scaling", "sqrt", "train.batch_schedule",
            "linear" },
          NULL },
        { { "run.env", "cartpole", "run.agent", "dqn", "replay.alpha", "0.5" },
          "replay.alpha: changes nothing where replay.prioritized is false; needs true" },
        { { "run.env", "cartpole", "replay.priority", "rank", "replay.priority_epsilon", "0.1" },
          "replay.priority_epsilon: changes nothing where replay.priority is rank" },
        { { "run.env", "cartpole", "acrobot.max_steps", "9" },
          "acrobot.max_steps: changes nothing in environment cartpole" },
        { { "run.env", "cartpole", "split.train", "0.5" }, "in environment cartpole" },
        { { "run.env", "trading", "split.train", "0.5", "trading.fee_bps", "1" }, NULL },
        { { "run.env", "trading", "eval.episodes", "5" }, "in environment trading" },
        { { "run.env", "trading", "trading.observation", "chart", "trading.window", "5" },
          "trading.window: changes nothing where trading.observation is chart" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rl_config *config = config_of(cases[i].flag);
        size_t count = 0;
        while (cases[i].flag[count])
            count++;
        gn_text told = { 0 };
        const gn_log log = { .write = keep_line, .user = &told };
        expect_ok(rl_option_use_tell(config, cases[i].flag, count / 2, &log));
        if (cases[i].part)
            assert_non_null(strstr(gn_text_data(&told), cases[i].part));
        else
            assert_int_equal(gn_text_data(&told)[0], '\0');
        gn_text_free(&told);
        rl_config_destroy(&config);
    }
}

static void the_environment_comes_with_its_own_options(void **state)
{
    (void)state;
    const env_class *class = NULL;
    const void *values = NULL;
    rl_config *config = CONFIG_OF("run.env", "cartpole", "cartpole.max_steps", "77");
    expect_ok(rl_config_env(config, &class, &values));
    assert_string_equal(class->name, "cartpole");
    assert_int_equal(*(const int64_t *)values, 77); // cartpole_config has this one field
    rl_config_destroy(&config);
}

// Another value the option may have.
static void other_value(const gn_option *option, const void *value, char ret_text[64])
{
    switch (option->type) {
    case GN_OPTION_TYPE_BOOL:
        strcpy(ret_text, *(const bool *)value ? "false" : "true");
        return;
    case GN_OPTION_TYPE_INT:
        snprintf(ret_text, 64, "%.0f",
                 (double)*(const int64_t *)value == option->min ? option->max : option->min);
        return;
    case GN_OPTION_TYPE_REAL:
        snprintf(ret_text, 64, "%.17g",
                 *(const double *)value == option->min ? option->max : option->min);
        return;
    case GN_OPTION_TYPE_CHOICE:
        strcpy(ret_text, option->choices[*(const int *)value == 0]);
        return;
    case GN_OPTION_TYPE_LIST:
        snprintf(ret_text, 64, "%.17g,%.17g", option->min, option->max);
        return;
    case GN_OPTION_TYPE_TEXT:
        strcpy(ret_text, "another");
    }
}

// Whether the run may go by the same name when this option changes.
static bool is_free(const char *key)
{
    static const char *const free_keys[] = {
        "run.data",    "run.device",      "replay.device",         "market.cache",
        "train.steps", "checkpoint.keep", "checkpoint.compression"
    };
    for (size_t i = 0; i < sizeof free_keys / sizeof *free_keys; i++)
        if (strcmp(free_keys[i], key) == 0)
            return true;
    return false;
}

static void the_name_follows_every_option_that_shapes_the_run(void **state)
{
    (void)state;
    rl_config *config = CONFIG_OF("run.env", "cartpole");
    char name[33], changed[33];
    size_t checked = 0;
    expect_ok(rl_config_name(config, "", name));
    assert_int_equal(strlen(name), 32);
    for (const gn_option_section *section = config->sections; section->name; section++) {
        for (const gn_option *option = section->options; option->key; option++) {
            char key[128], value[64];
            gn_text before = { 0 };
            void *field = (char *)section->values + option->offset;
            snprintf(key, sizeof key, "%s.%s", section->name, option->key);
            gn_option_format(&before, option, field);
            other_value(option, field, value);
            set_option(config, key, value);
            expect_ok(rl_config_name(config, "", changed));
            if (is_free(key) != (strcmp(name, changed) == 0))
                fail_msg("%s = %s: name %s, before %s", key, value, changed, name);
            set_option(config, key, gn_text_data(&before));
            gn_text_free(&before);
            checked++;
        }
    }
    assert_true(checked > 40);
    expect_ok(rl_config_name(config, "", changed));
    assert_string_equal(name, changed);
    rl_config_destroy(&config);
}

static void the_name_follows_the_data(void **state)
{
    (void)state;
    rl_config *config = CONFIG_OF("run.data", "x.csv");
    char one[33], other[33];
    expect_ok(rl_config_name(config, "0123", one));
    expect_ok(rl_config_name(config, "0124", other));
    assert_string_not_equal(one, other);
    rl_config_destroy(&config);
}

static void a_failed_allocation_leaves_nothing_behind(void **state)
{
    (void)state;
    uint64_t live = gn_mem_live();
    rl_config *config = NULL;
    gn_status status = GN_ERR_MEMORY;
    uint64_t n = 0;
    while (status != GN_OK) {
        gn_mem_fail_at(++n);
        status = rl_config_create(&config);
        gn_mem_fail_at(0);
        if (status != GN_OK) {
            assert_int_equal(status, GN_ERR_MEMORY);
            assert_null(config);
            assert_int_equal(gn_mem_live(), live);
        }
    }
    assert_true(n > 3);
    rl_config_destroy(&config);
    assert_int_equal(gn_mem_live(), live);
}

TEST_MAIN(flags_that_change_nothing_are_told, later_sources_override_earlier_ones,
          a_flag_replaces_the_preset_of_the_file, every_preset_sets_what_it_says,
          an_unknown_preset_is_refused_with_the_known_ones, combinations_without_sense_are_refused,
          the_environment_comes_with_its_own_options,
          the_name_follows_every_option_that_shapes_the_run, the_name_follows_the_data,
          a_failed_allocation_leaves_nothing_behind)
