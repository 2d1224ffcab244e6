// gannet plot: a picture and a page from runs, what they hold, what is refused.

#include "tests/cli/command.h"
#include "tests/report/run_files.h"

#include <jansson.h>

static char folder[GN_PATH_SIZE];

// Three groups; the name of one run is hostile.
static void enter(void)
{
    test_temp_folder(folder);
    assert_int_equal(chdir(folder), 0);
    put_flat_run("a1", "dqn", 1, "", 50, 10);
    put_flat_run("a2", "dqn", 2, "", 50, 20);
    put_flat_run("<b>&\"1\xff", "iqn", 1, "", 40, 30);
    put_flat_run("c1", "dqn", 1, "[agent]\nn_step = 3\n", 50, 40);
}

static void leave(void)
{
    assert_int_equal(chdir("/"), 0);
    test_temp_remove(folder);
}

// 0 if Python's parser takes the file as XML.
static int parse_xml(const char *path)
{
    pid_t child = fork();
    if (child == 0) {
        execlp("python3", "python3", "-c",
               "import sys, xml.etree.ElementTree as e; e.parse(sys.argv[1])", path, NULL);
        _exit(127);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static size_t count_in(const char *text, const char *part)
{
    size_t count = 0;
    for (; (text = strstr(text, part)) != NULL; text++)
        count++;
    return count;
}

static void draws_a_picture(void **state)
{
    (void)state;
    enter();
    command_result result = RUN("plot", "a1", "a2", "<b>&\"1\xff", "c1", "--out", "x.svg");
    EXPECT_EXIT(0, result);
    assert_non_null(strstr(result.out, "dqn, agent.n_step unset       2     500        15"));
    for (const char *line = result.out; *line; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= 80);
    assert_int_equal(parse_xml("x.svg"), 0);
    file_bytes first = read_bytes("x.svg");
    assert_int_equal(count_in(first.data, "<polyline"), 3);
    assert_int_equal(count_in(first.data, "<polygon"), 1);
    assert_non_null(strstr(first.data, "prefers-color-scheme:dark"));
    assert_null(strstr(first.data, "<script"));
    EXPECT_EXIT(0, RUN("plot", "a1", "a2", "<b>&\"1\xff", "c1", "--out=again.svg"));
    file_bytes second = read_bytes("again.svg");
    assert_int_equal(first.size, second.size);
    assert_memory_equal(first.data, second.data, first.size);
    gn_free(&first.data);
    gn_free(&second.data);
    leave();
}

static void writes_a_page(void **state)
{
    (void)state;
    enter();
    EXPECT_EXIT(0, RUN("plot", "a1", "<b>&\"1\xff", "--out", "x.html", "--points", "3"));
    file_bytes page = read_bytes("x.html");
    assert_non_null(strstr(page.data, "1: &lt;b&gt;&amp;&quot;1\xEF\xBF\xBD"));
    assert_null(strstr(page.data, "<b>"));
    assert_non_null(strstr(page.data, "One run, so no band"));
    assert_non_null(strstr(page.data, "run.agent = iqn"));
    assert_int_equal(count_in(page.data, "<svg"), 1);
    gn_free(&page.data);
    leave();
}

static void prints_json(void **state)
{
    (void)state;
    enter();
    command_result result = RUN("plot", "a1", "<b>&\"1\xff", "a2", "--out", "x.svg", "--json");
    EXPECT_EXIT(0, result);
    json_t *root = json_loads(result.out, 0, NULL);
    assert_non_null(root);
    const char *label, *path;
    double iqm;
    int seed, steps;
    json_t *low;
    assert_int_equal(json_unpack(root, "{s:[{s:s, s:[i, i!], s:{s:F}, s:i}, {s:[s], s:{s:o}}]}",
                                 "groups", "label", &label, "seeds", &seed, &seed, "final", "iqm",
                                 &iqm, "steps", &steps, "runs", &path, "final", "low", &low),
                     0);
    assert_string_equal(label, "dqn");
    assert_int_equal(seed, 2);
    assert_true(iqm == 15 && steps == 500 && json_is_null(low));
    assert_string_equal(path, "<b>&\"1\xEF\xBF\xBD");
    json_decref(root);
    leave();
}

static void expect_refusal(int status, const char *part, command_result result)
{
    EXPECT_EXIT(status, result);
    assert_string_equal(result.out, "");
    assert_int_equal(count_lines(result.err), 1);
    if (!strstr(result.err, part))
        fail_msg("'%s' is not in: %s", part, result.err);
}

static void refuses_bad_usage(void **state)
{
    (void)state;
    enter();
    expect_refusal(2, "which runs?", RUN("plot", "--out", "x.svg"));
    expect_refusal(2, "--out FILE.svg or FILE.html", RUN("plot", "a1"));
    expect_refusal(2, "'x.png' does not end with .svg or .html",
                   RUN("plot", "a1", "--out", "x.png"));
    expect_refusal(2, "'svg' does not end", RUN("plot", "a1", "--out", "svg"));
    expect_refusal(2, "there is: episode.episode",
                   RUN("plot", "a1", "--metric", "x", "--out", "x.svg"));
    expect_refusal(2, "--points: '1' is no number from 2 to 10000",
                   RUN("plot", "a1", "--points", "1", "--out", "x.svg"));
    expect_refusal(2, "--window: '9x' is no number",
                   RUN("plot", "a1", "--window=9x", "--out=x.svg"));
    expect_refusal(2, "a1: is given twice", RUN("plot", "a1", "a1", "--out", "x.svg"));
    assert_false(gn_path_exists("x.svg"));
    leave();
}

// Not wrong usage: the same command may work a minute later.
static void fails_without_runs_or_room(void **state)
{
    (void)state;
    enter();
    put_run("torn", "dqn", 9, "", "{\"type\":\"train\",\"step\":1}\n{\"ty\n");
    put_run("fresh", "dqn", 8, "", "");
    expect_refusal(1, "no/x.svg", RUN("plot", "a1", "--out", "no/x.svg"));
    expect_refusal(1, "nowhere: is not the folder of a run",
                   RUN("plot", "nowhere", "--out", "x.svg"));
    expect_refusal(1, "torn/metrics.jsonl:2: not JSON", RUN("plot", "torn", "--out", "x.svg"));
    expect_refusal(1, "fresh: no episode has ended yet",
                   RUN("plot", "a1", "fresh", "--out", "x.svg"));
    assert_false(gn_path_exists("x.svg"));
    leave();
}

// What training writes is what is read.
static void draws_what_training_wrote(void **state)
{
    (void)state;
    enter();
    small_run small;
    small_run_open(&small);
    command_words words = small_train(&small, COMMAND_CARTPOLE, "trained");
    EXPECT_EXIT(0, run_command(words.word));
    static const char *const metrics[] = { "return", "eval", "loss", "mean_q", "episode.length" };
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++) {
        command_result result = RUN("plot", "trained", "--metric", metrics[i], "--out", "x.svg");
        EXPECT_EXIT(0, result);
        assert_non_null(strstr(result.out, "dueling-dqn on cartpole"));
        assert_int_equal(parse_xml("x.svg"), 0);
    }
    test_temp_remove(small.folder);
    leave();
}

TEST_MAIN(draws_a_picture, writes_a_page, prints_json, refuses_bad_usage,
          fails_without_runs_or_room, draws_what_training_wrote)
