// Axes of any range, numbers as people write them, pictures that stay whole whatever is drawn.

#include "report/line_chart.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/svg.h"
#include "tests/support/check.h"

static void expect_axis(double low, double high, size_t most, double first, double step,
                        size_t count)
{
    line_chart_ticks ticks = line_chart_ticks_of(low, high, most);
    assert_float_equal(ticks.first, first, 1e-9 * step);
    assert_float_equal(ticks.step, step, 1e-9 * step);
    assert_int_equal(ticks.count, count);
}

static void places_round_ticks(void **state)
{
    (void)state;
    expect_axis(0, 20000, 9, 0, 5000, 5);
    expect_axis(13, 487, 8, 0, 100, 6);
    expect_axis(-1, 1, 8, -1, 0.5, 5);
    expect_axis(0.0012, 0.0019, 8, 0.0012, 0.0001, 8);
    expect_axis(-350, -20, 8, -350, 50, 8);
    expect_axis(-1, 1, 3, -1, 1, 3);
}

// Whatever the ends: few ticks, all different, in order, around what is shown.
static void expect_sound(double low, double high)
{
    line_chart_ticks ticks = line_chart_ticks_of(low, high, 8);
    assert_true(isfinite(ticks.low) && isfinite(ticks.high) && ticks.low < ticks.high);
    assert_true(ticks.count >= 2 && ticks.count <= 8);
    char last[LINE_CHART_NUMBER_SIZE] = "", text[LINE_CHART_NUMBER_SIZE];
    for (size_t i = 0; i < ticks.count; i++) {
        if (i > 0)
            assert_true(line_chart_tick(&ticks, i) > line_chart_tick(&ticks, i - 1));
        line_chart_tick_text(text, &ticks, line_chart_tick(&ticks, i));
        assert_string_not_equal(text, last);
        snprintf(last, sizeof last, "%s", text);
    }
    if (isfinite(low) && isfinite(high) && fabs(low) < 1e300 && fabs(high) < 1e300 && low <= high)
        assert_true(ticks.low <= low + 1e-6 * ticks.step && ticks.high >= high - 1e-6 * ticks.step);
}

static void makes_an_axis_of_any_range(void **state)
{
    (void)state;
    const double value[] = { 0,    -0.0,  1,        -1,   500,        1e-300,   -1e-300, 1e300,
                             1e-5, 1e15,  -1.7e308, NAN,  1.7e308,    INFINITY, 0.1,     -INFINITY,
                             3e9,  1e-18, 5e-324,   1e12, 1e9 + 1e-7, 1e9,      0.3,     -77 };
    enum { VALUES = sizeof value / sizeof *value };
    for (size_t i = 0; i < VALUES; i++)
        for (size_t j = 0; j < VALUES; j++)
            expect_sound(value[i], value[j]);
    test_rng rng = test_rng_seed(3);
    for (int i = 0; i < 20000; i++) {
        double low = (test_rng_unit(&rng) - 0.5) * pow(10, 40 * test_rng_unit(&rng) - 20);
        expect_sound(low, low + test_rng_unit(&rng) * pow(10, 40 * test_rng_unit(&rng) - 20));
    }
}

static void expect_tick(double low, double high, double value, const char *wanted)
{
    line_chart_ticks ticks = line_chart_ticks_of(low, high, 8);
    char text[LINE_CHART_NUMBER_SIZE];
    line_chart_tick_text(text, &ticks, value);
    assert_string_equal(text, wanted);
}

static void expect_number(double value, const char *wanted)
{
    char text[LINE_CHART_NUMBER_SIZE];
    line_chart_number_text(text, value);
    assert_string_equal(text, wanted);
}

static void writes_numbers_as_people_do(void **state)
{
    (void)state;
    expect_tick(0, 100000, 50000, "50k");
    expect_tick(0, 3e6, 1e6, "1.0M");
    expect_tick(0, 5e6, 1e6, "1M");
    expect_tick(0, 500, 200, "200");
    expect_tick(-0.2, 0.1, -0.05, "-0.05");
    expect_tick(0, 1e-6, 2e-7, "2.0e-7");
    expect_tick(1000, 1010, 1002, "1002");
    expect_tick(0, 1e20, 4e19, "4.0e19");
    expect_number(0, "0");
    expect_number(19870, "19.87k");
    expect_number(1234.4, "1234");
    expect_number(203.44, "203.4");
    expect_number(1e6, "1M");
    expect_number(999999, "1M");
    expect_number(-0.01234, "-0.01234");
    expect_number(3e-9, "3e-9");
    expect_number(NAN, "-");
}

static size_t count_of(const gn_text *text, const char *part)
{
    size_t count = 0;
    for (const char *at = gn_text_data(text); (at = strstr(at, part)) != NULL; at++)
        count++;
    return count;
}

static void interrupts_lines_and_bands_at_gaps(void **state)
{
    (void)state;
    const double x[] = { 0, 1, 2, 3, 4, 5, 6 }, y[] = { 1, 2, NAN, 3, NAN, 4, 5 };
    const double low[] = { 0, 1, 1, 1, 1, 3, 4 }, high[] = { 2, 3, 3, 3, 3, 5, INFINITY };
    const line_chart_series line = {
        .label = "a", .n = 7, .x = x, .y = y, .low = low, .high = high
    };
    gn_text out = { 0 };
    line_chart_draw(&out, &(line_chart){ "t", "x", "y", NULL, 1, &line });
    expect_ok(gn_text_status(&out));
    assert_int_equal(count_of(&out, "<polyline"), 2);
    assert_int_equal(count_of(&out, "<circle"), 1);
    assert_int_equal(count_of(&out, "<polygon"), 1);
    assert_null(strstr(out.data, "nan"));
    assert_null(strstr(out.data, "inf\""));
    gn_text_free(&out);
}

static void draws_what_is_degenerate(void **state)
{
    (void)state;
    const double x[] = { 5, 6 }, nothing[] = { NAN, INFINITY }, huge[] = { -1.7e308, 1.7e308 };
    const line_chart_series line[] = { { .label = "none", .n = 0 },
                                       { .label = "one", .n = 1, .x = x, .y = x },
                                       { .label = "nan", .n = 2, .x = x, .y = nothing },
                                       { .label = "huge", .n = 2, .x = x, .y = huge } };
    for (size_t i = 0; i < sizeof line / sizeof *line; i++) {
        gn_text out = { 0 };
        line_chart_draw(&out, &(line_chart){ "", "", "", "", 1, &line[i] });
        expect_ok(gn_text_status(&out));
        assert_null(strstr(out.data, "nan,"));
        assert_non_null(strstr(out.data, "</svg>"));
        gn_text_free(&out);
    }
    gn_text out = { 0 };
    line_chart_draw(&out, &(line_chart){ "", "", "", NULL, 0, NULL });
    assert_non_null(strstr(gn_text_data(&out), "</svg>"));
    gn_text_free(&out);
}

static void cuts_and_escapes_text(void **state)
{
    (void)state;
    char longest[400] = "<&\"'>\x01\xff";
    memset(longest + 7, 'w', sizeof longest - 8);
    const line_chart_series line = { .label = longest };
    gn_text out = { 0 };
    line_chart_draw(&out, &(line_chart){ longest, longest, longest, longest, 1, &line });
    assert_non_null(
        strstr(gn_text_data(&out), "&lt;&amp;&quot;&#39;&gt;\xEF\xBF\xBD\xEF\xBF\xBDw"));
    assert_non_null(strstr(gn_text_data(&out), "w\xE2\x80\xA6</text>"));
    gn_text_free(&out);
}

static void replaces_what_is_not_utf8(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "gr\xC3\xBC\xC3\x9F\x65", "gr\xC3\xBC\xC3\x9F\x65" },
        { "\xF0\x9F\x90\xA6", "\xF0\x9F\x90\xA6" },
        { "\xC0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD" }, // too long a form
        { "\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" }, // half a surrogate
        { "\xE2\x80", "\xEF\xBF\xBD\xEF\xBF\xBD" }, // torn
        { "a\x1b[0m", "a\xEF\xBF\xBD[0m" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gn_text out = { 0 };
        svg_utf8(&out, cases[i][0]);
        assert_string_equal(gn_text_data(&out), cases[i][1]);
        assert_int_equal(svg_characters(cases[i][0]), svg_characters(cases[i][1]));
        gn_text_free(&out);
    }
}

TEST_MAIN(places_round_ticks, makes_an_axis_of_any_range, writes_numbers_as_people_do,
          interrupts_lines_and_bands_at_gaps, draws_what_is_degenerate, cuts_and_escapes_text,
          replaces_what_is_not_utf8)
