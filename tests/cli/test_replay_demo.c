// gannet replay demo and bench: every demo works and says so, each can fail, nothing is left
// behind, and wrong usage is refused.

#include <jansson.h>
#include <math.h>

#include "tests/cli/command.h"

static const char *const demos[] = { "disk",        "prioritized", "frames",
                                     "state-cache", "n-step",      "variable-batch" };
enum { DEMOS = sizeof demos / sizeof *demos };

static void enter(char *ret_folder)
{
    test_temp_folder(ret_folder);
    assert_int_equal(chdir(ret_folder), 0);
    expect_ok(gn_folder_create("scratch"));
}

// What was written for the time of a command is gone.
static void leave(const char *folder)
{
    char **names = NULL;
    size_t count;
    expect_ok(gn_folder_list(&names, &count, "scratch"));
    assert_int_equal(count, 0);
    gn_free(&names);
    assert_int_equal(chdir("/"), 0);
    test_temp_remove(folder);
}

static void expect_eighty_columns(const char *text)
{
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
        if (strcspn(line, "\n") > 80)
            fail_msg("more than 80 columns: %.*s", (int)strcspn(line, "\n"), line);
}

static void all_demos_work_and_print_a_table_each(void **state)
{
    (void)state;
    char folder[GN_PATH_SIZE];
    enter(folder);
    command_result result = RUN("replay", "demo", "--folder", "scratch");
    if (result.status != 0)
        fail_msg("exit status %d: %s%s", result.status, result.out, result.err);
    assert_string_equal(result.err, "");
    expect_eighty_columns(result.out);
    const char *at = result.out;
    for (size_t i = 0; i < DEMOS; i++) {
        char head[32];
        snprintf(head, sizeof head, "%s\n\n", demos[i]);
        at = strstr(at, head);
        assert_non_null(at);
        at = strstr(at, "\nworks (");
        assert_non_null(at);
    }
    leave(folder);
}

static void json_holds_what_was_measured(void **state)
{
    (void)state;
    char folder[GN_PATH_SIZE];
    enter(folder);
    command_result result = RUN("replay", "demo", "n-step", "--json", "--folder=scratch");
    EXPECT_EXIT(0, result);
    assert_int_equal(count_lines(result.out), 1);
    json_t *root = json_loads(result.out, 0, NULL);
    const json_t *all = json_object_get(root, "demos"), *demo = json_array_get(all, 0);
    assert_true(json_is_true(json_object_get(root, "works")));
    assert_int_equal(json_array_size(all), 1);
    assert_string_equal(json_string_value(json_object_get(demo, "demo")), "n-step");
    const json_t *row = json_array_get(json_object_get(demo, "rows"), 0);
    const json_t *values = json_object_get(row, "values");
    double each = json_real_value(json_object_get(values, "a buffer each"));
    double one = json_real_value(json_object_get(values, "one buffer"));
    assert_string_equal(json_string_value(json_object_get(row, "name")), "bytes a step");
    assert_true(one > 64 && fabs(each / (4 * one) - 1) < 1e-9);
    json_decref(root);
    leave(folder);
}

static void a_demo_without_its_feature_fails(void **state)
{
    (void)state;
    char folder[GN_PATH_SIZE];
    enter(folder);
    for (size_t i = 0; i < DEMOS; i++) {
        command_result result =
            RUN("replay", "demo", demos[i], "--without", "--json", "--folder", "scratch");
        if (result.status != 1 || !strstr(result.out, "\"works\":false,\"why\":\""))
            fail_msg("%s: exit status %d: %s", demos[i], result.status, result.out);
    }
    command_result result = RUN("replay", "demo", "n-step", "--without", "--folder", "scratch");
    EXPECT_EXIT(1, result);
    assert_non_null(strstr(result.out, "\ndoes NOT work: "));
    leave(folder);
}

static void bench_measures_every_kind_of_record(void **state)
{
    (void)state;
    static const char *const inputs[] = { "catch", "scene", "chart", "floats", "noise" };
    char folder[GN_PATH_SIZE];
    enter(folder);
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        command_result result = RUN("replay", "bench", "--input", inputs[i], "--seconds=0.02",
                                    "--capacity=2000", "--batch=32", "--folder=scratch",
                                    "--replay.prioritized=true", "--replay.chunk=128", "--json");
        EXPECT_EXIT(0, result);
        json_t *root = json_loads(result.out, 0, NULL);
        static const char *const positive[] = { "adds_per_s",       "sample_us_median",
                                                "update_us_median", "commit_s",
                                                "ram_bytes_a_step", "disk_bytes_a_step" };
        for (size_t k = 0; k < sizeof positive / sizeof *positive; k++)
            if (!(json_real_value(json_object_get(root, positive[k])) > 0))
                fail_msg("%s: %s", positive[k], result.out);
        assert_int_equal(json_integer_value(json_object_get(root, "record_bytes")),
                         i < 3 ? 7056 : 328);
        json_decref(root);
    }
    command_result result =
        RUN("replay", "bench", "--seconds=0.02", "--capacity=2000", "--folder=scratch");
    EXPECT_EXIT(0, result);
    expect_eighty_columns(result.out);
    assert_non_null(strstr(result.out, "ms in the background; adding stood still for "));
    result = RUN("replay", "bench", "--input=floats", "--record=64", "--stack=2", "--seconds=0.02",
                 "--codec=delta", "--capacity=2000", "--replay.path=none", "--folder=scratch");
    EXPECT_EXIT(0, result);
    expect_eighty_columns(result.out);
    assert_non_null(strstr(result.out, "floats, 64 bytes, observations of 2; batches of 256\n"));
    assert_non_null(strstr(result.out, "none: in RAM only\n"));
    leave(folder);
}

static void help_names_the_demos(void **state)
{
    (void)state;
    command_result result = RUN("replay", "demo", "--help");
    EXPECT_EXIT(0, result);
    expect_eighty_columns(result.out);
    for (size_t i = 0; i < DEMOS; i++)
        assert_non_null(strstr(result.out, demos[i]));
    result = RUN("replay", "bench", "--help");
    EXPECT_EXIT(0, result);
    assert_non_null(strstr(result.out, "--replay.prioritized"));
    result = RUN("replay", "--help");
    EXPECT_EXIT(0, result);
    expect_eighty_columns(result.out);
    assert_non_null(strstr(result.out, "gannet replay bench"));
}

static void wrong_usage_is_two_and_failure_is_one(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *words[7], *error;
    } vectors[] = {
        { 2,
          { "replay", "demo", "codec" },
          "replay demo 'codec': the demos are disk, prioritized, frames, state-cache, n-step, "
          "variable-batch" },
        { 2, { "replay", "demo", "disk", "frames" }, "not expected here" },
        { 2, { "replay", "demo", "--replay.codec=zstd" }, "unknown flag" },
        { 1, { "replay", "demo", "n-step", "--folder", "nowhere" }, "--folder: nowhere" },
        { 1, { "replay", "demo", "disk", "--folder", "file" }, "--folder: file" },
        { 1, { "replay", "bench", "--folder", "nowhere" }, "--folder: nowhere" },
        { 2, { "replay", "bench", "run" }, "'run': bench works on a buffer of its own" },
        { 2, { "replay", "bench", "--codec", "lz4" }, "replay.codec: 'lz4'" },
        { 2, { "replay", "bench", "--replay.alpha=2" }, "replay.alpha" },
        { 2, { "replay", "bench", "--agent.gamma=1" }, "agent.gamma: unknown option" },
        { 2, { "replay", "bench", "--input", "pong" }, "--input pong: must be catch," },
        { 2, { "replay", "bench", "--record", "64" }, "--record: frames have their own size" },
        { 2,
          { "replay", "bench", "--input=floats", "--record", "10" },
          "records of 10 bytes: must be above 0, of floats a multiple of 4" },
        { 2,
          { "replay", "bench", "--replay.prioritized=true", "--replay.beta_final=1" },
          "replay.beta_final: changes nothing here" },
        { 2,
          { "replay", "bench", "--replay.alpha=1" },
          "replay.alpha: changes nothing where replay.prioritized is false; needs true" },
        { 2,
          { "replay", "bench", "--codec=ram", "--replay.cache_mb=1", "--folder=scratch" },
          "replay.cache_mb: 1: records of 7056 bytes are not packed" },
        { 2, { "replay", "bench", "--replay.quantize=8" }, "records of catch are no floats" },
        { 2, { "replay", "bench", "--batch", "0" }, "--batch 0: must be a whole number from 1" },
        { 2, { "replay", "bench", "--stack", "2x" }, "--stack 2x: must be a whole number" },
        { 2, { "replay", "bench", "--seconds", "-1" }, "--seconds -1: must be above 0" },
        { 2, { "replay", "bench", "--capacity", "3", "--folder=scratch" }, "replay.capacity: 3" },
    };
    char folder[GN_PATH_SIZE];
    enter(folder);
    write_text("file", "no folder");
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        command_result result = run_command(vectors[i].words);
        EXPECT_EXIT(vectors[i].status, result);
        if (!strstr(result.err, vectors[i].error) || count_lines(result.err) != 1)
            fail_msg("\"%s\" is not in: %s", vectors[i].error, result.err);
    }
    leave(folder);
}

// A disk that fills up in the middle: an error, and nothing stays behind.
static void a_full_disk_fails_and_leaves_nothing(void **state)
{
    (void)state;
    char folder[GN_PATH_SIZE];
    const command_plan plan = { .file_size = 200000 };
    enter(folder);
    const char *const words[] = { "replay", "demo", "disk", "--folder", "scratch", NULL };
    command_result result = run_planned(&plan, words);
    EXPECT_EXIT(1, result);
    assert_non_null(strstr(result.err, "demo disk: "));
    assert_int_equal(count_lines(result.err), 1);
    leave(folder);
}

static void an_interrupted_command_leaves_nothing(void **state)
{
    (void)state;
    static const char *const words[][6] = {
        { "replay", "bench", "--seconds=60", "--folder", "scratch", NULL },
        { "replay", "demo", "--folder", "scratch", NULL },
    };
    const command_plan plan = { .signal = SIGINT, .after = 0.2 };
    char folder[GN_PATH_SIZE];
    enter(folder);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        EXPECT_EXIT(1000 + SIGINT, run_planned(&plan, words[i]));
    leave(folder);
}

TEST_MAIN(all_demos_work_and_print_a_table_each, json_holds_what_was_measured,
          a_demo_without_its_feature_fails, bench_measures_every_kind_of_record,
          help_names_the_demos, wrong_usage_is_two_and_failure_is_one,
          a_full_disk_fails_and_leaves_nothing, an_interrupted_command_leaves_nothing)
