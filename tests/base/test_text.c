// Growing text: appending, wrapping, numbers, sticky errors.

#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/support/check.h"

static void expect_text(gn_text *text, const char *expected)
{
    expect_ok(gn_text_status(text));
    assert_string_equal(gn_text_data(text), expected);
    assert_int_equal(text->size, strlen(expected));
    gn_text_free(text);
    assert_null(text->data);
}

static void appends_as_printf_does(void **state)
{
    (void)state;
    gn_text text = { 0 };
    assert_string_equal(gn_text_data(&text), "");
    gn_text_append(&text, "%s = %d", "window", 16);
    gn_text_append(&text, "%s", "");
    gn_text_append_bytes(&text, ", more", 4);
    expect_text(&text, "window = 16, mo");
}

static void random_appends_equal_a_plain_array(void **state)
{
    (void)state;
    enum { SIZE = 20000 };
    static char twin[SIZE + 1];
    size_t size = 0;
    gn_text text = { 0 };
    test_rng rng = test_rng_seed(1);
    while (size < SIZE - 600) {
        char piece[600];
        size_t length = test_rng_below(&rng, sizeof piece);
        memset(piece, (int)('a' + test_rng_below(&rng, 26)), length);
        if (test_rng_below(&rng, 2) == 0)
            gn_text_append(&text, "%.*s", (int)length, piece);
        else
            gn_text_append_bytes(&text, piece, length);
        memcpy(twin + size, piece, length);
        size += length;
    }
    expect_text(&text, twin);
}

static void wraps_words_into_lines(void **state)
{
    (void)state;
    gn_text text = { 0 };
    gn_text_append_wrapped(&text, "a bb  ccc dddd", 0, 0, 6);
    expect_text(&text, "a bb\nccc\ndddd");

    gn_text_append_wrapped(&text, "a bb ccc", 0, 0, 8);
    expect_text(&text, "a bb ccc");
    gn_text_append_wrapped(&text, "a bb ccc", 0, 0, 7);
    expect_text(&text, "a bb\nccc");

    gn_text_append(&text, "  --x  ");
    gn_text_append_wrapped(&text, "one two three", 7, 9, 16);
    expect_text(&text, "  --x    one two\n         three");
}

static void a_line_already_past_the_indent_is_ended(void **state)
{
    (void)state;
    gn_text text = { 0 };
    gn_text_append(&text, "--long-flag");
    gn_text_append_wrapped(&text, "one two", 11, 4, 8);
    expect_text(&text, "--long-flag\n    one\n    two");
}

static void a_word_wider_than_a_line_stands_alone(void **state)
{
    (void)state;
    gn_text text = { 0 };
    gn_text_append_wrapped(&text, "a incomprehensible b", 0, 2, 6);
    expect_text(&text, "  a\n  incomprehensible\n  b");
    gn_text_append_wrapped(&text, "", 0, 2, 6);
    expect_text(&text, "  ");
}

static void numbers_are_short(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        { 0, "0" },
        { 0.1, "0.1" },
        { -2.5, "-2.5" },
        { 100000, "100000" },
        { 1e12, "1e12" },
        { 1e-5, "1e-5" },
        { 0.1 + 0.2, "0.30000000000000004" },
        { 1.0 / 3, "0.3333333333333333" },
        { INFINITY, "inf" },
        { -INFINITY, "-inf" },
        { 123456789012.0, "123456789012" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gn_text text = { 0 };
        gn_text_append_number(&text, cases[i].value);
        expect_text(&text, cases[i].text);
    }
}

static void numbers_read_back_exactly(void **state)
{
    (void)state;
    test_rng rng = test_rng_seed(2);
    for (int round = 0; round < 20000; round++) {
        uint64_t bits = test_rng_next(&rng);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (isnan(value))
            continue;
        gn_text text = { 0 };
        gn_text_append_number(&text, value);
        double back = strtod(gn_text_data(&text), NULL);
        assert_memory_equal(&back, &value, sizeof value);
        gn_text_free(&text);
    }
}

static void one_is_singular(void **state)
{
    (void)state;
    gn_text text = { 0 };
    for (uint64_t n = 0; n <= 2; n++)
        gn_text_append(&text, "%d step%s, ", (int)n, gn_plural(n));
    assert_string_equal(gn_text_data(&text), "0 steps, 1 step, 2 steps, ");
    gn_text_free(&text);
}

static void a_distance_counts_edits(void **state)
{
    (void)state;
    static const struct {
        const char *typed, *word;
        size_t distance;
    } cases[] = { { "seed", "seed", 0 }, { "", "seed", 4 },          { "seed", "", 4 },
                  { "sed", "seed", 1 },  { "kitten", "sitting", 3 }, { "seeds", "seed", 1 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(gn_text_distance(cases[i].typed, cases[i].word), cases[i].distance);
}

static void a_failure_stays(void **state)
{
    (void)state;
    gn_text text = { 0 };
    gn_text_append(&text, "kept");
    gn_mem_fail_at(1);
    gn_text_append(&text, "%1000s", "");
    gn_mem_fail_at(0);
    gn_text_append(&text, "x");
    gn_text_append_wrapped(&text, "x y", 0, 2, 10);
    gn_text_append_number(&text, 1);
    expect_fails(GN_ERR_MEMORY, "cannot allocate", gn_text_status(&text));
    assert_string_equal(gn_text_data(&text), "kept");
    gn_text_free(&text);
    expect_ok(gn_text_status(&text));
}

TEST_MAIN(appends_as_printf_does, random_appends_equal_a_plain_array, wraps_words_into_lines,
          a_line_already_past_the_indent_is_ended, a_word_wider_than_a_line_stands_alone,
          numbers_are_short, numbers_read_back_exactly, one_is_singular, a_distance_counts_edits,
          a_failure_stays)
