// gannet data: what it prints, where it puts things, and what it refuses.

#include <jansson.h>

#include "tests/cli/command.h"

static void enter(char ret_folder[GN_PATH_SIZE])
{
    test_temp_folder(ret_folder);
    assert_int_equal(chdir(ret_folder), 0);
}

static void leave(const char *folder)
{
    assert_int_equal(chdir("/"), 0);
    test_temp_remove(folder);
}

static void info_says_what_a_generated_market_holds(void **state)
{
    (void)state;
    char folder[GN_PATH_SIZE];
    enter(folder);
    command_result made = RUN("data", "generate", "--to", "m.csv", "--generate.bars", "2000");
    EXPECT_EXIT(0, made);
    assert_string_equal(made.out, "m.csv: 2000 bars\n");
    command_result info = RUN("data", "info", "m.csv", "--market.cache", "cache");
    EXPECT_EXIT(0, info);
    assert_non_null(strstr(info.out, "bars           2000\n"
                                     "first          2020-01-01T00:00:00Z\n"
                                     "last           2020-01-21T19:45:00Z\n"
                                     "spacing        15 min\n"
                                     "bars a year    35040\n"
                                     "gaps           none\n"));
    assert_string_equal(info.err, "");
    leave(folder);
}

static void info_speaks_json(void **state)
{
    (void)state;
    char folder[GN_PATH_SIZE];
    enter(folder);
    static const char text[] = "date,price\n2024-01-05,3\n2024-01-02,2\n2024-01-01,1\n";
    expect_ok(gn_file_write("p.csv", text, sizeof text - 1));
    command_result info = RUN("data", "info", "p.csv", "--json", "--market.cache=cache",
                              "--market.layout=close-only");
    EXPECT_EXIT(0, info);
    json_t *root = json_loads(info.out, 0, NULL);
    assert_non_null(root);
    assert_int_equal(json_integer_value(json_object_get(root, "bars")), 3);
    assert_true(json_is_true(json_object_get(root, "close_only")));
    json_t *gaps = json_object_get(root, "gaps"), *price = json_object_get(root, "price");
    assert_int_equal(json_integer_value(json_object_get(gaps, "count")), 1);
    assert_true(json_number_value(json_object_get(gaps, "longest_s")) == 3 * 86400);
    assert_true(json_number_value(json_object_get(price, "high")) == 3);
    assert_int_equal(json_array_size(json_object_get(root, "findings")), 4);
    json_decref(root);
    leave(folder);
}

static void lines_fit_eighty_columns(void **state)
{
    (void)state;
    char folder[GN_PATH_SIZE];
    enter(folder);
    static const char text[] = "date,unix,price\n5,1704412800,3\n2,1704153600,2\n1,1704067200,1\n";
    expect_ok(gn_file_write("p.csv", text, sizeof text - 1));
    command_result info =
        RUN("data", "info", "p.csv", "--market.cache=cache", "--market.layout=close-only");
    EXPECT_EXIT(0, info);
    for (char *rest, *line = strtok_r(info.out, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest))
        if (strlen(line) > 80)
            fail_msg("%s", line);
    leave(folder);
}

static void import_prints_where_the_data_went(void **state)
{
    (void)state;
    char folder[GN_PATH_SIZE];
    enter(folder);
    EXPECT_EXIT(0, RUN("data", "generate", "--to", "m.parquet", "--generate.bars", "500"));
    command_result import = RUN("data", "import", "m.parquet", "--market.cache", "cache");
    EXPECT_EXIT(0, import);
    assert_non_null(strstr(import.err, "m.parquet: imported 500 bars"));
    import.out[strcspn(import.out, "\n")] = '\0';
    assert_true(gn_path_exists(import.out));
    leave(folder);
}

static void features_are_written_as_asked(void **state)
{
    (void)state;
    char folder[GN_PATH_SIZE];
    void *text;
    size_t size;
    enter(folder);
    EXPECT_EXIT(0, RUN("data", "generate", "--to", "m.arrow", "--generate.bars", "500"));
    command_result written = RUN("data", "features", "m.arrow", "--to", "f.csv", "--features.list",
                                 "return_1,rsi", "--market.cache", "cache");
    EXPECT_EXIT(0, written);
    assert_string_equal(written.out,
                        "f.csv: 2 features of 500 bars; the first 64 are warm-up, left out\n");
    expect_ok(gn_file_read(&text, &size, "f.csv"));
    assert_int_equal(count_lines(text), 1 + 500 - 64);
    gn_free(&text);
    leave(folder);
}

static void wrong_usage_is_two_and_failure_is_one(void **state)
{
    (void)state;
    char folder[GN_PATH_SIZE];
    enter(folder);
    static const struct {
        int status;
        const char *words[6], *error;
    } vectors[] = {
        { 2, { "data" }, "the verbs are info, import, features, generate" },
        { 2, { "data", "show" }, "data 'show': the verbs are" },
        { 2, { "data", "info" }, "which file?" },
        { 2, { "data", "generate" }, "--to FILE is missing" },
        { 2, { "data", "generate", "m.csv", "--to", "x.csv" }, "'m.csv': generate reads no file" },
        { 2, { "data", "info", "m.csv", "--generate.bars=5" }, "generate.bars: unknown option" },
        { 2, { "data", "generate", "--to", "x.csv", "--generate.bars=0" }, "generate.bars" },
        { 1, { "data", "info", "none.csv" }, "none.csv" },
        { 1, { "data", "generate", "--to", "no/folder.csv" }, "cannot write no/folder.csv" },
        { 2, { "data", "generate", "--to", "x.doc" }, "--to: 'x.doc' does not end with .csv" },
        { 2, { "data", "generate", "--to", "a.csv/x" }, "--to: 'a.csv/x' does not end with" },
        { 2, { "data", "features", "no.csv", "--to", "x" }, "--to: 'x' does not end with" },
    };
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        command_result result = run_command(vectors[i].words);
        EXPECT_EXIT(vectors[i].status, result);
        if (!strstr(result.err, vectors[i].error) || count_lines(result.err) != 1)
            fail_msg("\"%s\" is not in: %s", vectors[i].error, result.err);
    }
    leave(folder);
}

TEST_MAIN(info_says_what_a_generated_market_holds, info_speaks_json, lines_fit_eighty_columns,
          import_prints_where_the_data_went, features_are_written_as_asked,
          wrong_usage_is_two_and_failure_is_one)
