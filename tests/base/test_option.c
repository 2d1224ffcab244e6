// Options: what each type takes and refuses, files that read back, help.

#include "base/option.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tests/support/check.h"

enum { SIZES = 5 };

typedef struct toy_config {
    bool prioritized;
    int64_t capacity, seed;
    double alpha, bound;
    char path[GN_OPTION_TEXT_SIZE];
    int head;
    gn_option_list sizes;
} toy_config;

static const char *const head_names[] = { "scalar", "categorical", "quantile", NULL };

static const gn_option replay_options[] = {
    GN_OPTION_INT(toy_config, capacity, "100k", 1, 1e12, "steps kept"),
    GN_OPTION_REAL(toy_config, alpha, "0.6", 0, 1, "exponent of the priorities"),
    GN_OPTION_BOOL(toy_config, prioritized, "false", "sample in proportion to priorities"),
    GN_OPTION_TEXT(toy_config, path, "", "where records lie"),
    { 0 },
};
static const gn_option agent_options[] = {
    GN_OPTION_CHOICE(toy_config, head, "scalar", head_names, "what the network estimates"),
    GN_OPTION_INT(toy_config, seed, "-1", -9.3e18, 9.3e18, "any integer"),
    GN_OPTION_REAL(toy_config, bound, "inf", -INFINITY, INFINITY, "any number"),
    GN_OPTION_LIST(toy_config, sizes, "128, 64", SIZES, 1, 4096, "units of each layer"),
    { 0 },
};

// A set over one struct, at its defaults.
typedef struct toy_set {
    toy_config config;
    gn_option_section sections[3];
} toy_set;

static void toy_reset(toy_set *toy)
{
    memset(toy, 0, sizeof *toy);
    toy->sections[0] =
        (gn_option_section){ "replay", "How steps are kept.", replay_options, &toy->config };
    toy->sections[1] =
        (gn_option_section){ "agent", "What is learned.", agent_options, &toy->config };
    gn_options_reset(toy->sections);
}

static void defaults_are_what_the_table_says(void **state)
{
    (void)state;
    toy_set toy;
    toy_reset(&toy);
    assert_int_equal(toy.config.capacity, 100000);
    assert_true(toy.config.alpha == 0.6);
    assert_false(toy.config.prioritized);
    assert_string_equal(toy.config.path, "");
    assert_int_equal(toy.config.head, 0);
    assert_int_equal(toy.config.seed, -1);
    assert_true(toy.config.bound == INFINITY);
    assert_int_equal(toy.config.sizes.count, 2);
    assert_true(toy.config.sizes.value[0] == 128 && toy.config.sizes.value[1] == 64);
}

static void finds_rows_and_values(void **state)
{
    (void)state;
    toy_set toy;
    toy_reset(&toy);
    const gn_option *option;
    void *value;
    assert_true(gn_options_find(toy.sections, "replay.alpha", &option, &value));
    assert_ptr_equal(option, &replay_options[1]);
    assert_ptr_equal(value, &toy.config.alpha);
    assert_true(gn_options_find(toy.sections, "agent.head", NULL, NULL));
    assert_false(gn_options_find(toy.sections, "agent.alpha", &option, &value));
    assert_false(gn_options_find(toy.sections, "replay", NULL, NULL));
    assert_false(gn_options_find(toy.sections, "replay.", NULL, NULL));
    assert_false(gn_options_find(toy.sections, "replayx.alpha", NULL, NULL));
}

static void integers_are_exact(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } taken[] = {
        { "0", 0 },
        { "-7", -7 },
        { "+7", 7 },
        { "1e6", 1000000 },
        { "100k", 100000 },
        { "2M", 2000000 },
        { "1.5e3", 1500 },
        { "1.5k", 1500 },
        { "1200e-2", 12 },
        { "0.0", 0 },
        { "0e99", 0 },
        { "9223372036854775807", INT64_MAX },
        { "-9223372036854775808", INT64_MIN },
    };
    toy_set toy;
    toy_reset(&toy);
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        expect_ok(gn_options_set(toy.sections, "agent.seed", taken[i].text));
        assert_true(toy.config.seed == taken[i].value);
    }
    static const char *const refused[] = { "",
                                           " 1",
                                           "1 ",
                                           "x",
                                           "1x",
                                           "0x10",
                                           "1.5",
                                           "1e-1",
                                           "nan",
                                           "inf",
                                           "1e19",
                                           "1e99999",
                                           "1kk",
                                           "k",
                                           ".",
                                           "-",
                                           "e3",
                                           "1e",
                                           "1e 3",
                                           "1_000",
                                           "1.2.3",
                                           "--1",
                                           "9223372036854775808",
                                           "99999999999999999999999" };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        expect_fails(GN_ERR_CONFIG, "is not an integer in [-9.3e18, 9.3e18]",
                     gn_options_set(toy.sections, "agent.seed", refused[i]));
    assert_true(toy.config.seed == INT64_MIN);
    expect_fails(GN_ERR_CONFIG, "replay.capacity: 0 is outside [1, 1e12]",
                 gn_options_set(toy.sections, "replay.capacity", "0"));
    expect_fails(GN_ERR_CONFIG, "replay.capacity: 2e12 is outside [1, 1e12]",
                 gn_options_set(toy.sections, "replay.capacity", "2e12"));
}

static void reals_stay_in_their_range(void **state)
{
    (void)state;
    toy_set toy;
    toy_reset(&toy);
    expect_ok(gn_options_set(toy.sections, "replay.alpha", "1"));
    expect_ok(gn_options_set(toy.sections, "replay.alpha", "25e-2"));
    assert_true(toy.config.alpha == 0.25);
    expect_fails(GN_ERR_CONFIG, "replay.alpha: 2 is outside [0, 1]",
                 gn_options_set(toy.sections, "replay.alpha", "2"));
    expect_fails(GN_ERR_CONFIG, "replay.alpha: inf is outside [0, 1]",
                 gn_options_set(toy.sections, "replay.alpha", "inf"));
    expect_ok(gn_options_set(toy.sections, "agent.bound", "-inf"));
    assert_true(toy.config.bound == -INFINITY);
    static const char *const refused[] = { "",     "nan", "0x1p3", "1,5",      " 1", "1 ",
                                           "1.5k", "1e",  "1e999", "infinity", "--1" };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        expect_fails(GN_ERR_CONFIG, "is not a number in [0, 1]",
                     gn_options_set(toy.sections, "replay.alpha", refused[i]));
    assert_true(toy.config.alpha == 0.25);
}

static void booleans_and_choices_are_words(void **state)
{
    (void)state;
    toy_set toy;
    toy_reset(&toy);
    expect_ok(gn_options_set(toy.sections, "replay.prioritized", "true"));
    assert_true(toy.config.prioritized);
    expect_fails(GN_ERR_CONFIG, "replay.prioritized: 'yes' is not true or false",
                 gn_options_set(toy.sections, "replay.prioritized", "yes"));
    assert_true(toy.config.prioritized);
    expect_ok(gn_options_set(toy.sections, "agent.head", "quantile"));
    assert_int_equal(toy.config.head, 2);
    expect_fails(GN_ERR_CONFIG, "agent.head: 'c51' is not one of scalar, categorical, quantile",
                 gn_options_set(toy.sections, "agent.head", "c51"));
    assert_int_equal(toy.config.head, 2);
}

static void lists_hold_numbers(void **state)
{
    (void)state;
    toy_set toy;
    toy_reset(&toy);
    expect_ok(gn_options_set(toy.sections, "agent.sizes", "1 ,2.5,  4096"));
    assert_int_equal(toy.config.sizes.count, 3);
    assert_true(toy.config.sizes.value[1] == 2.5);
    static const char *const refused[] = { "", ",", "1,", ",1", "1,,2", "1 2", "a", "1;2" };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        expect_fails(GN_ERR_CONFIG, "is not 1 to 5 numbers with commas, each in [1, 4096]",
                     gn_options_set(toy.sections, "agent.sizes", refused[i]));
    expect_fails(GN_ERR_CONFIG, "agent.sizes: 1,0 is outside [1, 4096]",
                 gn_options_set(toy.sections, "agent.sizes", "1,0"));
    char long_list[2 * (SIZES + 1) + 1];
    for (size_t i = 0; i <= SIZES; i++)
        memcpy(long_list + 2 * i, "1,", 3);
    long_list[2 * SIZES + 1] = '\0';
    expect_fails(GN_ERR_CONFIG, "is not 1 to 5 numbers",
                 gn_options_set(toy.sections, "agent.sizes", long_list));
    assert_int_equal(toy.config.sizes.count, 3);
    long_list[2 * SIZES - 1] = '\0';
    expect_ok(gn_options_set(toy.sections, "agent.sizes", long_list));
    assert_int_equal(toy.config.sizes.count, SIZES);
}

static void texts_fit_into_a_run_file(void **state)
{
    (void)state;
    toy_set toy;
    toy_reset(&toy);
    char text[GN_OPTION_TEXT_SIZE + 1];
    memset(text, 'x', sizeof text);
    text[GN_OPTION_TEXT_SIZE] = '\0';
    expect_fails(GN_ERR_CONFIG, "is longer than 1023 bytes",
                 gn_options_set(toy.sections, "replay.path", text));
    text[GN_OPTION_TEXT_SIZE - 1] = '\0';
    expect_ok(gn_options_set(toy.sections, "replay.path", text));
    assert_string_equal(toy.config.path, text);
    static const char *const refused[] = { " x", "x\t", "a\nb", "a ;b", ";", "\xff", "a\x7f" };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        expect_fails(GN_ERR_CONFIG, "replay.path: '",
                     gn_options_set(toy.sections, "replay.path", refused[i]));
    assert_string_equal(toy.config.path, text);
}

static void unknown_keys_name_the_nearest(void **state)
{
    (void)state;
    toy_set toy;
    toy_reset(&toy);
    static const struct {
        const char *key, *nearest;
    } cases[] = {
        { "replay.alhpa", "replay.alpha" }, { "reply.alpha", "replay.alpha" },
        { "agent.sizs", "agent.sizes" },    { "haed", "agent.head" },
        { "capcity", "replay.capacity" },   { "agent.capacity", "replay.capacity" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char expected[128];
        snprintf(expected, sizeof expected, "%s: unknown option (nearest: %s)", cases[i].key,
                 cases[i].nearest);
        expect_fails(GN_ERR_CONFIG, expected, gn_options_set(toy.sections, cases[i].key, "1"));
    }
    char long_key[5000];
    memset(long_key, 'k', sizeof long_key);
    long_key[sizeof long_key - 1] = '\0';
    expect_fails(GN_ERR_CONFIG,
                 "unknown option (nearest: ", gn_options_set(toy.sections, long_key, "1"));
    const gn_option_section none[] = { { 0 } };
    expect_fails(GN_ERR_CONFIG, "x.y: unknown option (nearest: none)",
                 gn_options_set(none, "x.y", "1"));
}

// ---- Files ----

// Loads a file of these contents in a fresh folder.
static gn_status load(const toy_set *toy, const char *contents, size_t size)
{
    char folder[GN_PATH_SIZE], path[GN_PATH_SIZE];
    test_temp_folder(folder);
    expect_ok(gn_path_join(path, folder, "run.ini"));
    expect_ok(gn_file_write(path, contents, size));
    gn_status status = gn_options_load(toy->sections, path);
    test_temp_remove(folder);
    return status;
}

static gn_status load_text(const toy_set *toy, const char *contents)
{
    return load(toy, contents, strlen(contents));
}

static void run_files_are_read(void **state)
{
    (void)state;
    toy_set toy;
    toy_reset(&toy);
    expect_ok(load_text(&toy, "# a comment\n; another\n\n[replay]\r\nalpha = 0.5 ; why\r\n"
                              "  capacity=7\n\tprioritized = true\n\n[agent]\nhead=quantile\n"
                              "[replay]\ncapacity = 8\npath = a b#c"));
    assert_true(toy.config.alpha == 0.5);
    assert_int_equal(toy.config.capacity, 8); // the later line
    assert_true(toy.config.prioritized);
    assert_int_equal(toy.config.head, 2);
    assert_string_equal(toy.config.path, "a b#c");
    expect_ok(load_text(&toy, ""));
    expect_ok(load_text(&toy, "\n"));
}

static void mistakes_in_run_files_name_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *contents, *error;
    } cases[] = {
        { "[replay]\n\nalpha = 2\n", "run.ini:3: replay.alpha: 2 is outside [0, 1]" },
        { "[replay]\nalhpa = 1\n",
          "run.ini:2: replay.alhpa: unknown option (nearest: replay.alpha)" },
        { "[reply]\n", "run.ini:1: [reply]: unknown section" },
        { "[replay]\n [rep]\nx=1\n", "run.ini:2: [rep]: unknown section" },
        { "alpha = 1\n", "run.ini:1: alpha: unknown option (nearest: replay.alpha)" },
        { "[replay]\nalpha 1\n", "run.ini:2: not 'key = value'" },
        { "[replay]\nalpha 1\ncapacity = 0\n", "run.ini:2: not 'key = value'" },
        { "[replay]\ncapacity = 0\nalpha 1\n", "run.ini:2: replay.capacity: 0 is outside" },
        { "[replay\nalpha = 1\n", "run.ini:1: not 'key = value'" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        toy_set toy;
        toy_reset(&toy);
        expect_fails(GN_ERR_CONFIG, cases[i].error, load_text(&toy, cases[i].contents));
    }
    toy_set toy;
    toy_reset(&toy);
    expect_fails(GN_ERR_CONFIG, "run.ini: holds a NUL byte at 8", load(&toy, "[replay]\0\n", 10));
    expect_fails(GN_ERR_NOT_FOUND, "no/such/run.ini",
                 gn_options_load(toy.sections, "no/such/run.ini"));
}

// inih's own line buffer is shorter than a text may be; every length around it must survive.
static void long_lines_are_read_whole(void **state)
{
    (void)state;
    toy_set toy;
    toy_reset(&toy);
    char line[3000], text[GN_OPTION_TEXT_SIZE];
    for (size_t length = 150; length < GN_OPTION_TEXT_SIZE; length++) {
        memset(text, 'x', length);
        text[length / 2] = ' ';
        text[length] = '\0';
        snprintf(line, sizeof line, "[replay]\n  path =  %s  ; %s\nalpha = 0.5\n", text, text);
        if (length % 97 != 0 && (length < 180 || length > 210))
            continue;
        expect_ok(load_text(&toy, line));
        assert_string_equal(toy.config.path, text);
    }
    assert_true(toy.config.alpha == 0.5);

    memset(line, 'x', sizeof line);
    memcpy(line, "[replay]\npath = ", 16);
    line[2999] = '\0';
    expect_fails(GN_ERR_CONFIG, "run.ini:2: replay.path", load_text(&toy, line));
    memcpy(line, "# comment ", 10);
    expect_ok(load_text(&toy, line));
    memset(line, 'x', 20);
    expect_fails(GN_ERR_CONFIG, "run.ini:1: not 'key = value'", load_text(&toy, line));
}

static void random_values_survive_a_file(void **state)
{
    (void)state;
    test_rng rng = test_rng_seed(4);
    toy_set toy, back;
    toy_reset(&toy);
    for (int round = 0; round < 200; round++) {
        toy.config.prioritized = test_rng_below(&rng, 2) == 0;
        toy.config.capacity = (int64_t)(1 + test_rng_below(&rng, 1000000000000));
        toy.config.seed = (int64_t)test_rng_next(&rng);
        toy.config.alpha = test_rng_unit(&rng);
        toy.config.bound = ldexp(test_rng_unit(&rng) - 0.5, (int)test_rng_below(&rng, 2000) - 1000);
        toy.config.head = (int)test_rng_below(&rng, 3);
        toy.config.sizes = (gn_option_list){ .count = 1 + test_rng_below(&rng, SIZES) };
        for (size_t i = 0; i < toy.config.sizes.count; i++)
            toy.config.sizes.value[i] = 1 + 4095 * test_rng_unit(&rng);
        size_t length = test_rng_below(&rng, GN_OPTION_TEXT_SIZE);
        for (size_t i = 0; i < length; i++)
            toy.config.path[i] = "ab=[]#:.\\\""[test_rng_below(&rng, 10)];
        memset(toy.config.path + length, 0, sizeof toy.config.path - length);

        gn_text text = { 0 };
        gn_options_ini(&text, toy.sections);
        expect_ok(gn_text_status(&text));
        toy_reset(&back);
        expect_ok(load(&back, text.data, text.size));
        assert_memory_equal(&back.config, &toy.config, sizeof toy.config);
        gn_text_free(&text);
    }
}

static void comments_of_run_files_fit_a_terminal(void **state)
{
    (void)state;
    static const gn_option options[] = {
        GN_OPTION_REAL(
            toy_config, alpha, "0.6", 0, 1,
            "exactly eighty columns are filled by these words of the help of an option wxyz "
            "and the rest goes on in a line of its own"),
        { 0 },
    };
    toy_config config;
    const gn_option_section sections[] = { { "replay", "What is kept.", options, &config }, { 0 } };
    gn_text text = { 0 };
    gn_options_reset(sections);
    gn_options_ini(&text, sections);
    assert_string_equal(
        gn_text_data(&text),
        "# What is kept.\n[replay]\n"
        "# exactly eighty columns are filled by these words of the help of an option wxyz\n"
        "# and the rest goes on in a line of its own\nalpha = 0.6\n");
    gn_text_free(&text);
}

// Whatever the bytes are: an error or values in range, never a crash.
static void damaged_run_files_never_crash(void **state)
{
    (void)state;
    toy_set toy;
    toy_reset(&toy);
    gn_text text = { 0 };
    gn_options_ini(&text, toy.sections);
    expect_ok(gn_text_status(&text));
    char folder[GN_PATH_SIZE], path[GN_PATH_SIZE], bytes[2048];
    assert_true(text.size < 1000);
    test_temp_folder(folder);
    expect_ok(gn_path_join(path, folder, "run.ini"));
    test_rng rng = test_rng_seed(6);
    for (int round = 0; round < 3000; round++) {
        memcpy(bytes, text.data, text.size);
        size_t size = text.size;
        for (uint64_t edits = 1 + test_rng_below(&rng, 6); edits > 0; edits--)
            bytes[test_rng_below(&rng, size)] = "=:;#[] \n\r\tx0.\xef\0"[test_rng_below(&rng, 15)];
        if (test_rng_below(&rng, 4) == 0) { // one line much longer than inih's buffer
            size_t at = test_rng_below(&rng, size), more = test_rng_below(&rng, 600);
            memmove(bytes + at + more, bytes + at, size - at);
            memset(bytes + at, " x;="[test_rng_below(&rng, 4)], more);
            size += more;
        }
        FILE *file = fopen(path, "w");
        assert_int_equal(fwrite(bytes, 1, size, file), size);
        fclose(file);
        if (gn_options_load(toy.sections, path) != GN_OK)
            assert_true(strlen(gn_error_text()) > 0);
        assert_true(toy.config.alpha >= 0 && toy.config.alpha <= 1 && toy.config.capacity >= 1);
    }
    test_temp_remove(folder);
    gn_text_free(&text);
}

static void json_is_what_jansson_reads(void **state)
{
    (void)state;
    toy_set toy;
    toy_reset(&toy);
    expect_ok(gn_options_set(toy.sections, "replay.path", "a\"b\\c/\xc3\xa9"));
    gn_text text = { 0 };
    gn_options_json(&text, toy.sections);
    expect_ok(gn_text_status(&text));
    assert_null(strchr(gn_text_data(&text), '\n'));
    json_t *json = json_loads(gn_text_data(&text), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    const char *path, *head, *bound;
    json_int_t capacity;
    double alpha;
    int prioritized, first, second;
    assert_int_equal(json_unpack(json, "{s:{s:I, s:f, s:b, s:s}, s:{s:s, s:i, s:s, s:[i, i]}}",
                                 "replay", "capacity", &capacity, "alpha", &alpha, "prioritized",
                                 &prioritized, "path", &path, "agent", "head", &head, "seed",
                                 &first, "bound", &bound, "sizes", &first, &second),
                     0);
    assert_int_equal(capacity, 100000);
    assert_true(alpha == 0.6);
    assert_false(prioritized);
    assert_string_equal(path, "a\"b\\c/\xc3\xa9");
    assert_string_equal(head, "scalar");
    assert_string_equal(bound, "inf");
    assert_int_equal(first, 128);
    assert_int_equal(second, 64);
    json_decref(json);
    gn_text_free(&text);
}

// ---- Help ----

static void help_is_aligned_and_wrapped(void **state)
{
    (void)state;
    gn_text text = { 0 };
    const gn_option_section section = { "replay", "How steps are kept.", replay_options, NULL };
    gn_options_help(&text, &section, 72);
    expect_ok(gn_text_status(&text));
    assert_string_equal(gn_text_data(&text),
                        "How steps are kept.\n"
                        "  --replay.capacity INT      steps kept (default 100k; 1 to 1e12)\n"
                        "  --replay.alpha REAL        exponent of the priorities (default 0.6; 0\n"
                        "                             to 1)\n"
                        "  --replay.prioritized BOOL  sample in proportion to priorities (default\n"
                        "                             false; true or false)\n"
                        "  --replay.path TEXT         where records lie (default empty)\n");
    gn_text_free(&text);
}

static void long_flags_stand_alone_and_choices_are_listed(void **state)
{
    (void)state;
    gn_text text = { 0 };
    const gn_option_section section = { "agent", "What is learned.", agent_options, NULL };
    gn_options_help(&text, &section, 42);
    expect_ok(gn_text_status(&text));
    assert_string_equal(gn_text_data(&text), "What is learned.\n"
                                             "  --agent.head NAME  what the network\n"
                                             "                     estimates (default\n"
                                             "                     scalar; scalar,\n"
                                             "                     categorical,\n"
                                             "                     quantile)\n"
                                             "  --agent.seed INT   any integer (default\n"
                                             "                     -1; -9.3e18 to\n"
                                             "                     9.3e18)\n"
                                             "  --agent.bound REAL\n"
                                             "                     any number (default\n"
                                             "                     inf; any number)\n"
                                             "  --agent.sizes LIST\n"
                                             "                     units of each layer\n"
                                             "                     (default 128, 64; 1\n"
                                             "                     to 5 numbers, each 1\n"
                                             "                     to 4096)\n");
    gn_text_free(&text);
}

static void markdown_has_a_row_for_each_option(void **state)
{
    (void)state;
    gn_text text = { 0 };
    toy_set toy;
    toy_reset(&toy);
    gn_options_markdown(&text, toy.sections);
    expect_ok(gn_text_status(&text));
    static const char *const parts[] = {
        "## replay\n\nHow steps are kept.\n\n| option | default | allowed | meaning |\n",
        "| `--replay.alpha` | `0.6` | 0 to 1 | exponent of the priorities |\n",
        "| `--agent.head` | `scalar` | scalar, categorical, quantile | what the network",
        "| `--agent.bound` | `inf` | any number | any number |\n",
        "| `--agent.sizes` | `128, 64` | 1 to 5 numbers, each 1 to 4096 | units of each layer |\n",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        assert_non_null(strstr(gn_text_data(&text), parts[i]));
    gn_text_free(&text);
}

static void missing_memory_is_reported(void **state)
{
    (void)state;
    toy_set toy;
    toy_reset(&toy);
    void (*const writers[])(gn_text *, const gn_option_section *) = { gn_options_ini,
                                                                      gn_options_json,
                                                                      gn_options_markdown };
    for (size_t i = 0; i < sizeof writers / sizeof *writers; i++) {
        gn_text text = { 0 };
        gn_mem_fail_at(1);
        writers[i](&text, toy.sections);
        gn_mem_fail_at(0);
        expect_fails(GN_ERR_MEMORY, "cannot allocate", gn_text_status(&text));
        gn_text_free(&text);
    }
    for (uint64_t n = 1;; n++) {
        gn_text text = { 0 };
        gn_mem_fail_at(n);
        gn_options_help(&text, toy.sections, 72);
        gn_mem_fail_at(0);
        gn_status status = gn_text_status(&text);
        gn_text_free(&text);
        if (status == GN_OK) {
            assert_true(n > 4); // the help and four descriptions were each failed
            break;
        }
        assert_int_equal(status, GN_ERR_MEMORY);
    }
}

// Writes down what it gets; ends the reading at the value "stop".
static gn_status note_line(void *user, const char *key, const char *value)
{
    gn_text_append(user, "%s=%zu:%.5s|", key, strlen(value), value);
    return strcmp(value, "stop") == 0 ? gn_fail(GN_ERR_STATE, "seen enough") : GN_OK;
}

static gn_status scan(gn_text *out, const char *contents)
{
    char folder[GN_PATH_SIZE], path[GN_PATH_SIZE];
    test_temp_folder(folder);
    expect_ok(gn_path_join(path, folder, "run.ini"));
    expect_ok(gn_file_write(path, contents, strlen(contents)));
    gn_status status = gn_options_scan(path, note_line, out);
    test_temp_remove(folder);
    return status;
}

static void any_run_file_can_be_scanned(void **state)
{
    (void)state;
    gn_text out = { 0 };
    char line[600] = "[what]\nlong = ";
    memset(line + strlen(line), 'x', 500);
    expect_ok(scan(&out, line));
    expect_ok(scan(&out, "# why\n[a]\nb = 1\n[what]\nb =\nb = 2 ; 3\n"));
    assert_string_equal(gn_text_data(&out), "what.long=500:xxxxx|a.b=1:1|what.b=0:|what.b=1:2|");
    expect_fails(GN_ERR_STATE, "run.ini:3: seen enough",
                 scan(&out, "[a]\nb = 1\nb = stop\nb = 2\n"));
    expect_fails(GN_ERR_CONFIG, "run.ini:1: not 'key = value'", scan(&out, "?\n"));
    expect_fails(GN_ERR_NOT_FOUND, "no/such", gn_options_scan("no/such", note_line, &out));
    assert_null(strstr(gn_text_data(&out), "stop|a.b=1:2"));
    gn_text_free(&out);
}

TEST_MAIN(defaults_are_what_the_table_says, finds_rows_and_values, integers_are_exact,
          reals_stay_in_their_range, booleans_and_choices_are_words, lists_hold_numbers,
          texts_fit_into_a_run_file, unknown_keys_name_the_nearest, run_files_are_read,
          mistakes_in_run_files_name_their_line, long_lines_are_read_whole,
          any_run_file_can_be_scanned, random_values_survive_a_file,
          comments_of_run_files_fit_a_terminal, damaged_run_files_never_crash,
          json_is_what_jansson_reads, help_is_aligned_and_wrapped,
          long_flags_stand_alone_and_choices_are_listed, markdown_has_a_row_for_each_option,
          missing_memory_is_reported)
