// The command as its users meet it: help, lists, training, stopping, evaluation.

#include <jansson.h>

#include "rl/evaluate.h"
#include "rl/run_folder.h"
#include "tests/cli/command.h"
#include "tests/rl/compare_runs.h"

enum { WIDTH = 80 };

// No line is longer than a terminal, but for a single long word.
static void expect_width(const char *text, const char *what)
{
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1) {
        const char *word = line + strspn(line, " ");
        bool one_word = word[strcspn(word, " \n")] != ' ';
        if (strcspn(line, "\n") > WIDTH && !one_word)
            fail_msg("%s: more than %d columns: %.*s", what, WIDTH, (int)strcspn(line, "\n"), line);
    }
}

static void every_command_has_help_that_fits(void **state)
{
    (void)state;
    static const char *const commands[] = { "train",  "resume", "eval",   "plot",    "data",
                                            "replay", "envs",   "agents", "options", "version" };
    char usage[64];
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        command_result result = RUN(commands[i], "--help");
        EXPECT_EXIT(0, result);
        snprintf(usage, sizeof usage, "usage: gannet %s", commands[i]);
        assert_non_null(strstr(result.out, usage));
        assert_string_equal(result.err, "");
        expect_width(result.out, commands[i]);
    }
    command_result all = RUN("--help");
    EXPECT_EXIT(0, all);
    expect_width(all.out, "--help");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        assert_non_null(strstr(all.out, commands[i]));
    EXPECT_EXIT(0, RUN("--version"));
}

static void lists_name_everything(void **state)
{
    (void)state;
    rl_config *config = NULL;
    char flag[128];
    expect_ok(rl_config_create(&config));
    command_result result = RUN("options", "--markdown");
    EXPECT_EXIT(0, result);
    for (const gn_option_section *section = config->sections; section->name; section++) {
        for (const gn_option *option = section->options; option->key; option++) {
            snprintf(flag, sizeof flag, "`--%s.%s`", section->name, option->key);
            if (!strstr(result.out, flag))
                fail_msg("options --markdown: %s is missing", flag);
        }
    }
    result = RUN("options");
    EXPECT_EXIT(0, result);
    expect_width(result.out, "options");

    result = RUN("agents");
    EXPECT_EXIT(0, result);
    expect_width(result.out, "agents");
    for (const rl_preset *preset = rl_presets; preset->name; preset++)
        assert_non_null(strstr(result.out, preset->name));
    result = RUN("envs");
    EXPECT_EXIT(0, result);
    expect_width(result.out, "envs");
    for (size_t i = 0; env_classes[i]; i++)
        assert_non_null(strstr(result.out, env_classes[i]->name));
    rl_config_destroy(&config);
}

static void options_are_json_too(void **state)
{
    (void)state;
    command_result result = RUN("options", "--json");
    EXPECT_EXIT(0, result);
    json_t *root = json_loads(result.out, 0, NULL);
    const json_t *gamma = json_object_get(json_object_get(root, "agent"), "gamma");
    assert_true(json_number_value(gamma) == 0.99);
    json_decref(root);
}

// All options, as text that tells any two of them apart.
static void describe(const rl_config *config, gn_text *out)
{
    gn_options_json(out, config->sections);
    expect_ok(gn_text_status(out));
}

static void a_printed_preset_loads_as_that_preset(void **state)
{
    (void)state;
    small_run small;
    char path[GN_PATH_SIZE];
    small_run_open(&small);
    run_path(path, small.folder, "preset.ini");
    for (const rl_preset *preset = rl_presets; preset->name; preset++) {
        gn_text expected = { 0 }, found = { 0 };
        command_result result = RUN("agents", preset->name);
        EXPECT_EXIT(0, result);
        write_text(path, result.out);
        rl_config *named = CONFIG_OF("run.agent", preset->name), *loaded = NULL;
        expect_ok(rl_config_create(&loaded));
        expect_ok(rl_config_resolve(loaded, path, NULL, 0));
        describe(named, &expected);
        describe(loaded, &found);
        assert_string_equal(gn_text_data(&found), gn_text_data(&expected));
        gn_text_free(&expected);
        gn_text_free(&found);
        rl_config_destroy(&named);
        rl_config_destroy(&loaded);
    }
    test_temp_remove(small.folder);
}

// --- training and evaluation

static void train_small(small_run *small, int kind, char ret_folder[GN_PATH_SIZE])
{
    small_run_open(small);
    small_run_market(small);
    run_path(ret_folder, small->folder, "run");
    command_words words = small_train(small, kind, ret_folder);
    command_result result = run_command(words.word);
    EXPECT_EXIT(0, result);
    assert_string_equal(result.out, ""); // there is no result yet
    assert_non_null(strstr(result.err, "gannet: done in"));
    assert_non_null(strstr(result.err, "gannet eval"));
}

static void the_folder_holds_the_options_as_given(void **state)
{
    (void)state;
    small_run small;
    char folder[GN_PATH_SIZE];
    rl_config *config = NULL;
    train_small(&small, COMMAND_TRADING, folder);
    expect_ok(rl_config_create(&config));
    expect_ok(rl_run_folder_read(folder, config));
    assert_string_equal(config->run.data, small.data);
    assert_string_equal(config->run.agent, "dueling-dqn");
    assert_int_equal(config->train.steps, 4000);
    assert_int_equal(config->network.hidden.count, 1);
    rl_config_destroy(&config);

    command_result again = RUN("resume", folder);
    EXPECT_EXIT(0, again);
    assert_non_null(strstr(again.err, "nothing to do"));
    test_temp_remove(small.folder);
}

static void expect_numbers(const json_t *object, const char *const *names)
{
    assert_non_null(object);
    for (; *names; names++)
        if (!json_is_number(json_object_get(object, *names)))
            fail_msg("no number is called %s", *names);
}

static void eval_prints_one_json_object(void **state)
{
    (void)state;
    static const char *const figures[] = { "total_return", "cagr",   "sharpe",   "sortino",
                                           "max_drawdown", "trades", "turnover", "costs",
                                           "exposure",     NULL };
    static const char *const baselines[] = { "buy_and_hold", "flat", "random", "sma_cross", NULL };
    static const char *const facts[] = { "bars", "bars_per_year", NULL };
    small_run small;
    char folder[GN_PATH_SIZE];
    train_small(&small, COMMAND_TRADING, folder);
    command_result result = RUN("eval", folder, "--json");
    EXPECT_EXIT(0, result);
    assert_int_equal(count_lines(result.out), 1);
    assert_string_equal(result.err, "");
    json_t *root = json_loads(result.out, 0, NULL);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "split")), "test");
    expect_numbers(root, facts);
    expect_numbers(json_object_get(root, "agent"), figures);
    for (size_t i = 0; baselines[i]; i++)
        expect_numbers(json_object_get(json_object_get(root, "baselines"), baselines[i]), figures);
    json_decref(root);

    result = RUN("eval", folder, "--json", "--split=validation", "--weights", "last");
    EXPECT_EXIT(0, result);
    root = json_loads(result.out, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(root, "split")), "validation");
    assert_int_equal(json_integer_value(json_object_get(root, "weights_step")), 4000);
    json_decref(root);

    result = RUN("eval", folder, "--split", "all");
    EXPECT_EXIT(0, result);
    expect_width(result.out + strcspn(result.out, "\n") + 1, "eval"); // the first has the path
    assert_non_null(strstr(result.out, "buy and hold"));
    test_temp_remove(small.folder);
}

// Two hours of bars a minute apart, each a tenth above the one before: held for a year, they grow
// beyond any number.
static void write_steep_market(const char *path)
{
    gn_text text = { 0 };
    double price = 1;
    gn_text_append(&text, "time,open,high,low,close,volume\n");
    for (int i = 0; i < 120; i++, price *= 1.1)
        gn_text_append(&text, "2024-01-01T%02d:%02d:00Z,%.9g,%.9g,%.9g,%.9g,7\n", i / 60, i % 60,
                       price, 1.1 * price, price, 1.1 * price);
    write_text(path, gn_text_data(&text));
    gn_text_free(&text);
}

static void a_growth_beyond_any_number_is_null_in_json(void **state)
{
    (void)state;
    static const char *const figures[] = {
        "total_return", "sharpe", "max_drawdown", "trades", "turnover", "exposure", NULL
    };
    small_run small;
    char folder[GN_PATH_SIZE], steep[GN_PATH_SIZE];
    train_small(&small, COMMAND_TRADING, folder);
    run_path(steep, small.folder, "steep.csv");
    write_steep_market(steep);
    command_result result = RUN("eval", folder, "--json", "--data", steep, "--split", "all");
    EXPECT_EXIT(0, result);
    json_t *root = json_loads(result.out, 0, NULL);
    const json_t *all = json_object_get(root, "baselines");
    expect_numbers(json_object_get(root, "agent"), figures);
    for (size_t i = 0; i < RL_BASELINE_COUNT; i++)
        expect_numbers(json_object_get(all, rl_baselines[i].name), figures);
    assert_true(json_is_null(json_object_get(json_object_get(all, "buy_and_hold"), "cagr")));
    json_decref(root);
    test_temp_remove(small.folder);
}

static void eval_without_a_market_reports_episodes(void **state)
{
    (void)state;
    static const char *const figures[] = { "mean_return", "min_return", "max_return",
                                           "mean_length", "episodes",   NULL };
    small_run small;
    char folder[GN_PATH_SIZE];
    train_small(&small, COMMAND_CARTPOLE, folder);
    command_result result = RUN("eval", folder, "--json", "--episodes", "7");
    EXPECT_EXIT(0, result);
    json_t *root = json_loads(result.out, 0, NULL);
    const json_t *agent = json_object_get(root, "agent");
    assert_string_equal(json_string_value(json_object_get(root, "env")), "cartpole");
    expect_numbers(agent, figures);
    assert_int_equal(json_integer_value(json_object_get(agent, "episodes")), 7);
    json_decref(root);
    result = RUN("eval", folder, "--episodes", "1");
    EXPECT_EXIT(0, result);
    assert_non_null(strstr(result.out, "cartpole, 1 greedy episode, weights of step "));
    test_temp_remove(small.folder);
}

// What a run was trained on is told by the run, not by how it is evaluated.
static void eval_knows_the_bars_of_the_run(void **state)
{
    (void)state;
    small_run small;
    char folder[GN_PATH_SIZE], closes[GN_PATH_SIZE];
    train_small(&small, COMMAND_TRADING, folder);
    run_path(closes, small.folder, "closes.csv");
    gn_text text = { 0 };
    gn_text_append(&text, "when,price\n");
    for (int i = 0; i < 400; i++)
        gn_text_append(&text, "%d,%.9g\n", 1700000000 + 900 * i, 100 + i % 7 * 0.5);
    write_text(closes, gn_text_data(&text));
    gn_text_free(&text);

    command_result result = RUN("eval", folder);
    EXPECT_EXIT(0, result);
    assert_string_equal(result.err, "");
    assert_null(strstr(result.out, "NOT THE"));
    result = RUN("eval", folder, "--data", small.data);
    EXPECT_EXIT(0, result);
    assert_null(strstr(result.out, "NOT THE"));
    result = RUN("eval", folder, "--data", closes, "--split", "all", "--market.layout",
                 "close-only", "--market.close_column=price", "--market.time_column=when");
    EXPECT_EXIT(0, result);
    assert_non_null(strstr(result.out, "NOT THE BARS OF THE RUN"));
    assert_non_null(strstr(result.err, "not the bars the run was trained on"));

    EXPECT_EXIT(0, RUN("eval", folder, "--market.cache", small.folder)); // found elsewhere
    run_path(closes, folder, "run.ini");
    file_bytes ini = read_bytes(closes);
    char *gamma = strstr(ini.data, "gamma = 0.99");
    assert_non_null(gamma);
    memcpy(gamma, "gamma = 0.98", 12);
    expect_ok(gn_file_write(closes, ini.data, ini.size));
    gn_free(&ini.data);
    result = RUN("eval", folder);
    EXPECT_EXIT(0, result);
    assert_non_null(strstr(result.out, "NOT THE RUN AS IT WAS TRAINED"));
    test_temp_remove(small.folder);
}

static void a_run_too_short_to_learn_is_told(void **state)
{
    (void)state;
    static const char warning[] = "warning: train.starts: 1000 is above train.steps = 990";
    small_run small;
    char folder[GN_PATH_SIZE], longer[GN_PATH_SIZE];
    small_run_open(&small);
    expect_ok(gn_path_join(folder, small.folder, "run"));
    expect_ok(gn_path_join(longer, small.folder, "longer"));
    command_result result = RUN("train", "--env=cartpole", "--steps=990", "--out", folder);
    EXPECT_EXIT(0, result);
    assert_non_null(strstr(result.err, warning));
    result = RUN("train", "--env=cartpole", "--steps=997", "--out", longer); // rounds of 4 steps
    EXPECT_EXIT(0, result);
    assert_null(strstr(result.err, "warning"));
    test_temp_remove(small.folder);
}

static void a_full_standard_output_is_a_failure(void **state)
{
    (void)state;
    if (!gn_path_exists("/dev/full")) {
        print_message("SKIP: there is no /dev/full\n");
        skip();
    }
    const command_plan plan = { .out = "/dev/full" };
    static const char *const commands[] = { "options", "version" }; // beyond a buffer, and within
    for (int i = 0; i < 2; i++) {
        command_result result = run_planned(&plan, (const char *const[]){ commands[i], NULL });
        EXPECT_EXIT(1, result);
        assert_non_null(strstr(result.err, "gannet: standard output"));
    }
}

// --- stopping

// Stops a run that would take hours once its first checkpoint is there.
static void expect_clean_stop(int signal, int status)
{
    small_run small;
    char folder[GN_PATH_SIZE], first[GN_PATH_SIZE];
    small_run_open(&small);
    run_path(folder, small.folder, "run");
    run_path(first, folder, "checkpoints/304/manifest.json");
    command_words words = small_train(&small, COMMAND_CARTPOLE, folder);
    ADD_WORDS(&words, "--steps", "1e9", "--checkpoint.keep", "1000", "--agent.epsilon_start", "0.1",
              "--agent.epsilon_end", "0.1", "--replay.beta", "1");
    const command_plan plan = { .signal = signal, .exists = first };
    command_result result = run_planned(&plan, words.word);
    EXPECT_EXIT(status, result);
    assert_non_null(strstr(result.err, "to go on: gannet resume"));
    assert_string_equal(result.out, "");

    // A little further, and the same without any stop.
    char whole[GN_PATH_SIZE], steps[32];
    run_path(whole, small.folder, "whole");
    uint64_t stopped = newest_step(folder, "checkpoints");
    snprintf(steps, sizeof steps, "%llu", (unsigned long long)stopped + 600);
    EXPECT_EXIT(0, RUN("resume", folder, "--steps", steps));
    words = small_train(&small, COMMAND_CARTPOLE, whole);
    ADD_WORDS(&words, "--steps", steps, "--checkpoint.keep", "1000", "--agent.epsilon_start", "0.1",
              "--agent.epsilon_end", "0.1", "--replay.beta", "1");
    EXPECT_EXIT(0, run_command(words.word));
    expect_same_outcome(whole, folder);
    test_temp_remove(small.folder);
}

static void interrupts_end_with_a_checkpoint(void **state)
{
    (void)state;
    expect_clean_stop(SIGINT, 130);
}

static void termination_ends_with_a_checkpoint(void **state)
{
    (void)state;
    expect_clean_stop(SIGTERM, 143);
}

TEST_MAIN(every_command_has_help_that_fits, lists_name_everything, options_are_json_too,
          a_printed_preset_loads_as_that_preset, the_folder_holds_the_options_as_given,
          eval_prints_one_json_object, a_growth_beyond_any_number_is_null_in_json,
          eval_without_a_market_reports_episodes, eval_knows_the_bars_of_the_run,
          a_run_too_short_to_learn_is_told, a_full_standard_output_is_a_failure,
          interrupts_end_with_a_checkpoint, termination_ends_with_a_checkpoint)
