// What goes wrong at the command line: exit status 2 for wrong usage, 1 for what fails at run time,
// and one line that says what and what to do; and what a run survives.

#include "tests/cli/command.h"
#include "tests/rl/compare_runs.h"

static const char header[] = "time,open,high,low,close,volume\n";

// 40 bars in time order, with one line in place of bar 20.
static void write_bars(const char *path, const char *line)
{
    gn_text text = { 0 };
    gn_text_append(&text, "%s", header);
    for (int i = 0; i < 40; i++) {
        if (i == 20 && line)
            gn_text_append(&text, "%s\n", line);
        else
            gn_text_append(&text, "2024-01-%02dT%02d:00:00Z,100,101,99,100.5,7\n", 1 + i / 24,
                           i % 24);
    }
    write_text(path, gn_text_data(&text));
    gn_text_free(&text);
}

// The folder that every test works in: market.csv, a finished run "done", bad files.
static void enter(small_run *small)
{
    small_run_open(small);
    small_run_market(small);
    assert_int_equal(chdir(small->folder), 0);
    write_text("empty.csv", "");
    write_text("header.csv", header);
    write_text("one.csv", "time,open,high,low,close,volume\n2024-01-01,1,2,1,2,3\n");
    write_text("text.csv", "this is no table of prices\nat all\n");
    write_text("market.xls", "?");
    write_bars("nan.csv", "2024-01-01T20:00:00Z,100,101,99,nan,7");
    write_bars("hole.csv", "2024-01-01T20:00:00Z,100,101,99,,7");
    write_bars("negative.csv", "2024-01-01T20:00:00Z,100,101,99,-5,7");
    write_bars("low.csv", "2024-01-01T20:00:00Z,100,90,99,100,7");
    write_bars("unsorted.csv", "2024-01-01T03:30:00Z,100,101,99,100,7");
    write_bars("short.csv", NULL);
    write_text("bad.ini", "[run]\nenv = cartpole\n[agent]\ngama = 0.9\n");
    write_text("range.ini", "[run]\nenv = cartpole\n[agent]\ngamma = 9\n");
    write_text("section.ini", "[nonsense]\nx = 1\n");
}

static void leave(const small_run *small)
{
    assert_int_equal(chdir("/"), 0);
    test_temp_remove(small->folder);
}

static void finish_run(const small_run *small, const char *folder)
{
    command_words words = small_train(small, COMMAND_CARTPOLE, folder);
    EXPECT_EXIT(0, run_command(words.word));
}

typedef struct bad_line {
    const char *line; // words separated by blanks
    int status;
    const char *part; // of the message
} bad_line;

static command_result run_line(const char *line)
{
    char copy[1024], *rest = copy;
    command_words words = { 0 };
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok_r(rest, " ", &rest); word; word = strtok_r(rest, " ", &rest))
        ADD_WORDS(&words, word);
    return run_command(words.word);
}

// Exit status, nothing on stdout, a message that begins with our name, one line where it is usage.
static void expect_refusals(const bad_line *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        command_result result = run_line(cases[i].line);
        const char *message = strstr(result.err, cases[i].part);
        if (result.status != cases[i].status || !message || result.out[0] ||
            strncmp(result.err, "gannet: ", 8) != 0 ||
            (cases[i].status == 2 && count_lines(result.err) != 1))
            fail_msg("gannet %s\n    expected: %d, ...%s...\n    found:    %d, %s%s", cases[i].line,
                     cases[i].status, cases[i].part, result.status, result.out, result.err);
        if (gn_path_exists("run") || gn_path_exists("runs"))
            fail_msg("gannet %s: left a folder behind", cases[i].line);
    }
}

#define EXPECT_REFUSALS(cases) expect_refusals(cases, sizeof(cases) / sizeof *(cases))

static void wrong_usage_is_one_line_and_status_two(void **state)
{
    (void)state;
    static const bad_line cases[] = {
        { "nonsense", 2, "'nonsense': no such command" },
        { "train", 2, "nothing to train on: pass --data FILE or --env NAME" },
        { "train --env cartpole --nonsense 1", 2, "--nonsense: unknown flag (--help lists them)" },
        { "train --env cartpole --sed=2", 2, "--sed: unknown flag (nearest: --seed)" },
        { "train --gamma 1", 2, "--gamma: unknown flag (nearest: --agent.gamma)" },
        { "train --learning_rat 1", 2, "unknown flag (nearest: --optimizer.learning_rate)" },
        { "eval --spilt all", 2, "--spilt: unknown flag (nearest: --split)" },
        { "train --env cartpole --steps", 2, "--steps: needs a value" },
        { "train --env cartpole --steps ten", 2, "train.steps" },
        { "train --env cartpole --steps 0", 2, "train.steps" },
        { "train --env cartpole extra", 2, "'extra': not expected here" },
        { "train --env cartpole --agent.gama 0.9", 2, "agent.gama" },
        { "train --env cartpole --agent.gamma 1.5", 2, "agent.gamma: 1.5" },
        { "train --env cartpole --agent.gamma nan", 2, "agent.gamma" },
        { "train --env cartpole --agent.double_q maybe", 2, "agent.double_q" },
        { "train --env cartpole --eval.metric profit", 2, "eval.metric" },
        { "train --env cartpole --eval.metric sharpe", 2, "no Sharpe ratio" },
        { "train --env cartpole --network.hidden 1.5", 2, "network" },
        { "train --env cartpole --device tpu", 2, "tpu" },
        { "train --env cartpol", 2, "cartpol" },
        { "train --env cartpole --agent dqnn", 2, "there are dqn, double-dqn, dueling-dqn" },
        { "train --env cartpole --data market.csv", 2, "takes no bars file" },
        { "train --env cartpole --replay.capacity 3 --train.envs 2", 2, "replay.capacity" },
        { "train --env trading", 2, "needs a bars file" },
        { "train --env=cartpole --out=", 2, "--out" },
        { "train --config bad.ini", 2, "bad.ini:4: " },
        { "train --config range.ini", 2, "range.ini:4: agent.gamma: 9" },
        { "train --config section.ini", 2, "section.ini:1: " },
        { "resume", 2, "which run?" },
        { "resume a b", 2, "'b': not expected here" },
        { "resume --agent.gamma 0.9", 2, "--agent.gamma: unknown flag" },
        { "eval", 2, "which run?" },
        { "eval nowhere --split sometime", 2, "none of train, validation, test, all" },
        { "eval nowhere --weights worst", 2, "none of best, last" },
        { "eval nowhere --json=1", 2, "--json: takes no value" },
        { "agents nonsense", 2, "there are dqn" },
        { "envs extra", 2, "'extra': not expected here" },
        { "options --nonsense", 2, "--nonsense: unknown flag" },
        { "version 1", 2, "'1': not expected here" },
    };
    small_run small;
    enter(&small);
    EXPECT_REFUSALS(cases);
    command_result result = run_line("");
    EXPECT_EXIT(2, result);
    assert_non_null(strstr(result.err, "usage: gannet COMMAND"));
    assert_string_equal(result.out, "");
    leave(&small);
}

static void bad_data_is_refused_with_its_row(void **state)
{
    (void)state;
    static const bad_line cases[] = {
        { "train --out run --market.cache cache --data missing.csv", 1, "missing.csv" },
        { "train --out run --market.cache cache --data empty.csv", 1, "empty.csv" },
        { "train --out run --market.cache cache --data header.csv", 1, "header.csv" },
        { "train --out run --market.cache cache --data one.csv", 1, "one.csv" },
        { "train --out run --market.cache cache --data text.csv", 1, "text.csv" },
        { "train --out run --market.cache cache --data market.xls", 1, "market.xls" },
        { "train --out run --market.cache cache --data nan.csv", 1, "row 21" },
        { "train --out run --market.cache cache --data hole.csv", 1, "row 21" },
        { "train --out run --market.cache cache --data negative.csv", 1, "row 21" },
        { "train --out run --market.cache cache --data low.csv", 1, "row 21" },
        { "train --out run --market.cache cache --data unsorted.csv", 1, "row 21" },
        { "train --out run --market.cache cache --data .", 1, "" },
        { "train --out run --config missing.ini", 1, "missing.ini" },
        { "train --out run --env cartpole --device cuda", 1, "cuda" },
        { "train --out run --env cartpole --replay.device cuda:99", 1, "replay.device: cuda:99: " },
    };
    small_run small;
    enter(&small);
    EXPECT_REFUSALS(cases);
    command_result result = run_line("train --out run --market.cache cache --data short.csv");
    assert_true(result.status == 1 || result.status == 2); // too few bars for its features
    assert_false(gn_path_exists("run"));
    leave(&small);
}

static void runs_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static const bad_line cases[] = {
        { "train --env cartpole --out done", 1, "done: exists and is not empty" },
        { "train --env cartpole --out market.csv", 1, "market.csv: is a file" },
        { "resume nowhere", 1, "nowhere: is not the folder of a run" },
        { "resume done --steps 100", 2, "train.steps: 100 is below the 4000 steps done" },
        { "resume done --from 3600 --steps 100", 2, "below the 3600 steps done" },
        { "resume done --from 7", 1, "no checkpoint of step 7 (3600, 3904, 4000)" },
        { "resume done --from x", 2, "resume.from" },
        { "resume done --steps 0", 2, "train.steps" },
        { "eval nowhere", 1, "nowhere: is not the folder of a run" },
        { "eval fresh", 1, "fresh: no weights were written yet" },
        { "eval done --data market.csv", 2, "takes no bars file" },
        { "eval done --split test", 2, "--split: environment cartpole has no bars" },
        { "eval done --episodes none", 2, "eval.episodes: 'none'" },
        { "eval done --agent.gamma 0.5", 2, "agent.gamma: unknown option" },
        { "eval market --episodes 9", 2, "--episodes: environment trading is evaluated in one" },
        { "eval edited", 2, "edited/run.ini:" },
        { "resume edited", 2, "edited/run.ini:" },
    };
    small_run small;
    enter(&small);
    finish_run(&small, "done");
    expect_ok(gn_folder_create("fresh"));
    expect_ok(gn_folder_create("edited"));
    file_bytes ini = read_bytes("done/run.ini");
    expect_ok(gn_file_write("fresh/run.ini", ini.data, ini.size));
    gn_free(&ini.data);
    write_text("edited/run.ini", "[agent]\ngamma = much\n");
    expect_ok(gn_folder_create("market"));
    write_text("market/run.ini", "[run]\ndata = market.csv\n");
    EXPECT_REFUSALS(cases);
    expect_same_file("fresh", "done", "run.ini"); // no refused option stays
    leave(&small);
}

// --- what a run survives

static void a_damaged_checkpoint_is_passed_over_and_said(void **state)
{
    (void)state;
    small_run small;
    enter(&small);
    finish_run(&small, "done");
    finish_run(&small, "damaged");
    flip_byte("damaged/checkpoints/4000/weights.safetensors", 200);
    command_result result = RUN("resume", "damaged");
    EXPECT_EXIT(0, result);
    assert_non_null(strstr(result.err, "warning: checkpoint 4000 is damaged"));
    assert_non_null(strstr(result.err, "weights.safetensors"));
    expect_same_outcome("done", "damaged");
    leave(&small);
}

static void damaged_best_weights_are_replaced_by_the_last_and_said(void **state)
{
    (void)state;
    small_run small;
    char weights[GN_PATH_SIZE];
    uint64_t *steps = NULL;
    size_t count = 0;
    enter(&small);
    finish_run(&small, "done");
    expect_ok(rl_snapshot_list(&steps, &count, "done/best"));
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++) {
        snprintf(weights, sizeof weights, "done/best/%llu/weights.safetensors",
                 (unsigned long long)steps[i]);
        flip_byte(weights, 200);
    }
    gn_free(&steps);
    command_result result = RUN("eval", "done");
    EXPECT_EXIT(0, result);
    assert_non_null(strstr(result.err, "warning: weights of step"));
    assert_non_null(strstr(result.out, "weights of step 4000\n"));
    leave(&small);
}

static void the_replay_of_another_run_is_refused(void **state)
{
    (void)state;
    small_run small;
    enter(&small);
    finish_run(&small, "done");
    command_words words = small_train(&small, COMMAND_CARTPOLE, "other");
    ADD_WORDS(&words, "--seed", "2");
    EXPECT_EXIT(0, run_command(words.word));
    expect_ok(gn_path_remove("other/replay"));
    expect_ok(gn_path_rename("done/replay", "other/replay"));
    command_result result = RUN("resume", "other");
    EXPECT_EXIT(1, result);
    assert_non_null(strstr(result.err, "owner is"));
    leave(&small);
}

// A limit below what the replay store grows to.
static void a_full_disk_ends_the_run_and_costs_nothing(void **state)
{
    (void)state;
    small_run small;
    enter(&small);
    finish_run(&small, "done");
    file_bytes store = read_bytes("done/replay/data.mdb");
    for (rlim_t share = 1; share < 8; share += 2) {
        const command_plan plan = { .file_size = (rlim_t)store.size * share / 8 };
        command_words words = small_train(&small, COMMAND_CARTPOLE, "full");
        command_result result = run_planned(&plan, words.word);
        EXPECT_EXIT(1, result);
        assert_non_null(strstr(result.err, "File too large"));
        EXPECT_EXIT(0, RUN("resume", "full"));
        expect_same_outcome("done", "full");
        expect_same_replay("done", "full");
        expect_ok(gn_path_remove("full"));
    }
    gn_free(&store.data);
    leave(&small);
}

TEST_MAIN(wrong_usage_is_one_line_and_status_two, bad_data_is_refused_with_its_row,
          runs_that_do_not_fit_are_refused, a_damaged_checkpoint_is_passed_over_and_said,
          damaged_best_weights_are_replaced_by_the_last_and_said,
          the_replay_of_another_run_is_refused, a_full_disk_ends_the_run_and_costs_nothing)
