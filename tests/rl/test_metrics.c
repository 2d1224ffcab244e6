// metrics.jsonl: what a line looks like, when it reaches the file, and cutting on reopen.

#include "rl/metrics.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>

#include "tests/rl/small_run.h"

static void path_of(char ret_path[GN_PATH_SIZE], const small_run *small)
{
    expect_ok(gn_path_join(ret_path, small->folder, "metrics.jsonl"));
}

static void write_line(rl_metrics *metrics, uint64_t step)
{
    rl_metrics_begin(metrics, "train", step);
    rl_metrics_number(metrics, "loss", 0.5);
    expect_ok(rl_metrics_end(metrics));
}

static void expect_text(const char *path, const char *text)
{
    file_bytes found = read_bytes(path);
    assert_string_equal(found.data, text);
    gn_free(&found.data);
}

static void a_line_is_a_json_object_with_timing_last(void **state)
{
    (void)state;
    small_run small;
    char path[GN_PATH_SIZE];
    rl_metrics *metrics = NULL;
    small_run_open(&small);
    path_of(path, &small);
    expect_ok(rl_metrics_open(&metrics, path, 0));
    rl_metrics_begin(metrics, "eval", 12);
    rl_metrics_text(metrics, "split", "test");
    rl_metrics_number(metrics, "return", -2.5);
    rl_metrics_timing(metrics, &(rl_timing){ 1.25, 1000, 0.5, 0, 0.25, 2 });
    expect_ok(rl_metrics_end(metrics));
    expect_ok(rl_metrics_flush(metrics));
    expect_text(path, "{\"type\":\"eval\",\"step\":12,\"split\":\"test\",\"return\":-2.5,"
                      "\"timing\":{\"seconds\":1.250000e+00,\"steps_per_s\":1.000000e+03,"
                      "\"replay_stalled\":5.000000e-01,\"replay_waited\":0.000000e+00,"
                      "\"cache_hit_rate\":2.500000e-01,\"cache_saved\":2.000000e+00}}\n");
    rl_metrics_close(&metrics);
    test_temp_remove(small.folder);
}

// The length of the file, which checkpoints hold, does not depend on how fast the run was.
static void timings_have_one_width(void **state)
{
    (void)state;
    static const double timings[][2] = { { 0, 0 }, { 1e-9, 1e9 }, { 123456.789, 0.001 } };
    small_run small;
    char path[GN_PATH_SIZE];
    rl_metrics *metrics = NULL;
    uint64_t before = 0, after = 0, width = 0;
    small_run_open(&small);
    path_of(path, &small);
    expect_ok(rl_metrics_open(&metrics, path, 0));
    for (int i = 0; i < 3; i++) {
        rl_metrics_begin(metrics, "train", 1);
        rl_metrics_timing(metrics, &(rl_timing){ timings[i][0], timings[i][1], timings[i][0], 0, 1,
                                                 timings[i][1] });
        expect_ok(rl_metrics_end(metrics));
        expect_ok(rl_metrics_sync(metrics, &after));
        assert_true(width == 0 || after - before == width);
        width = after - before;
        before = after;
    }
    rl_metrics_close(&metrics);
    test_temp_remove(small.folder);
}

static void numbers_read_back_exactly_and_others_become_null(void **state)
{
    (void)state;
    static const double numbers[] = { 0.1,          1.0 / 3, -1e-300,  1e300,    0,
                                      123456789012, NAN,     INFINITY, -INFINITY };
    enum { COUNT = sizeof numbers / sizeof *numbers };
    small_run small;
    char path[GN_PATH_SIZE];
    rl_metrics *metrics = NULL;
    small_run_open(&small);
    path_of(path, &small);
    expect_ok(rl_metrics_open(&metrics, path, 0));
    for (size_t i = 0; i < COUNT; i++) {
        rl_metrics_begin(metrics, "x", i);
        rl_metrics_number(metrics, "value", numbers[i]);
        expect_ok(rl_metrics_end(metrics));
    }
    expect_ok(rl_metrics_flush(metrics));

    file_bytes text = read_bytes(path);
    char *rest = text.data;
    for (size_t i = 0; i < COUNT; i++) {
        json_t *line = json_loads(strtok_r(rest, "\n", &rest), 0, NULL);
        const json_t *value = json_object_get(line, "value");
        assert_int_equal(json_integer_value(json_object_get(line, "step")), i);
        if (isfinite(numbers[i]))
            assert_true(json_number_value(value) == numbers[i]);
        else
            assert_true(json_is_null(value));
        json_decref(line);
    }
    gn_free(&text.data);
    rl_metrics_close(&metrics);
    test_temp_remove(small.folder);
}

static void lines_reach_the_file_on_flush(void **state)
{
    (void)state;
    small_run small;
    char path[GN_PATH_SIZE];
    rl_metrics *metrics = NULL;
    uint64_t length = 0;
    small_run_open(&small);
    path_of(path, &small);
    expect_ok(rl_metrics_open(&metrics, path, 0));
    write_line(metrics, 1);
    expect_text(path, "");
    expect_ok(rl_metrics_flush(metrics));
    expect_text(path, "{\"type\":\"train\",\"step\":1,\"loss\":0.5}\n");
    write_line(metrics, 2);
    expect_ok(rl_metrics_sync(metrics, &length));
    file_bytes text = read_bytes(path);
    assert_int_equal(text.size, length);
    gn_free(&text.data);

    write_line(metrics, 3); // closed before it was flushed: gone
    rl_metrics_close(&metrics);
    text = read_bytes(path);
    assert_int_equal(text.size, length);
    gn_free(&text.data);
    test_temp_remove(small.folder);
}

static void many_lines_flush_themselves_without_allocating(void **state)
{
    (void)state;
    enum { LINES = 10000 };
    small_run small;
    char path[GN_PATH_SIZE];
    rl_metrics *metrics = NULL;
    uint64_t length = 0;
    small_run_open(&small);
    path_of(path, &small);
    expect_ok(rl_metrics_open(&metrics, path, 0));
    uint64_t before = gn_mem_allocations();
    for (uint64_t i = 0; i < LINES; i++)
        write_line(metrics, i);
    assert_int_equal(gn_mem_allocations(), before);
    expect_ok(rl_metrics_sync(metrics, &length));

    file_bytes text = read_bytes(path);
    size_t lines = 0;
    for (size_t i = 0; i < text.size; i++)
        lines += ((const char *)text.data)[i] == '\n';
    assert_int_equal(lines, LINES);
    assert_int_equal(text.size, length);
    gn_free(&text.data);
    rl_metrics_close(&metrics);
    test_temp_remove(small.folder);
}

static void reopening_cuts_what_came_after_the_checkpoint(void **state)
{
    (void)state;
    small_run small;
    char path[GN_PATH_SIZE];
    rl_metrics *metrics = NULL;
    uint64_t at_checkpoint = 0, at_end = 0;
    small_run_open(&small);
    path_of(path, &small);
    expect_ok(rl_metrics_open(&metrics, path, 0));
    write_line(metrics, 1);
    expect_ok(rl_metrics_sync(metrics, &at_checkpoint));
    write_line(metrics, 2);
    expect_ok(rl_metrics_sync(metrics, &at_end));
    rl_metrics_close(&metrics);

    expect_ok(rl_metrics_open(&metrics, path, at_checkpoint));
    write_line(metrics, 3);
    expect_ok(rl_metrics_sync(metrics, &at_end));
    expect_text(path, "{\"type\":\"train\",\"step\":1,\"loss\":0.5}\n"
                      "{\"type\":\"train\",\"step\":3,\"loss\":0.5}\n");
    rl_metrics_close(&metrics);

    expect_fails(GN_ERR_CORRUPT, "its checkpoint was made at",
                 rl_metrics_open(&metrics, path, at_end + 1));
    assert_null(metrics);
    test_temp_remove(small.folder);
}

static void a_full_disk_is_reported(void **state)
{
    (void)state;
    small_run small;
    char path[GN_PATH_SIZE];
    rl_metrics *metrics = NULL;
    uint64_t length = 0;
    small_run_open(&small);
    path_of(path, &small);
    expect_ok(rl_metrics_open(&metrics, path, 0));
    for (uint64_t n = 1; n <= 2; n++) { // the write, then the fsync
        write_line(metrics, n);
        gn_file_fail_at(n, ENOSPC);
        expect_fails(GN_ERR_FULL, "metrics.jsonl", rl_metrics_sync(metrics, &length));
        gn_file_fail_at(0, 0);
    }
    rl_metrics_close(&metrics);
    test_temp_remove(small.folder);
}

TEST_MAIN(a_line_is_a_json_object_with_timing_last, timings_have_one_width,
          numbers_read_back_exactly_and_others_become_null, lines_reach_the_file_on_flush,
          many_lines_flush_themselves_without_allocating,
          reopening_cuts_what_came_after_the_checkpoint, a_full_disk_is_reported)
