// Run folders into curves: what is read, what is one group, where curves end, what is refused.

#include "report/curves.h"

#include <math.h>
#include <unistd.h>

#include "report/curves_page.h"
#include "tests/report/run_files.h"

static char folder[GN_PATH_SIZE];

static void enter(void)
{
    test_temp_folder(folder);
    assert_int_equal(chdir(folder), 0);
}

static void leave(void)
{
    assert_int_equal(chdir("/"), 0);
    test_temp_remove(folder);
}

#define FOLDERS(...) \
    (const char *const[]){ __VA_ARGS__ }, \
        sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *)

static const curves_config returns = { .metric = "return", .points = 5, .window = 1 };

static void reads_names_of_metrics(void **state)
{
    (void)state;
    enter();
    static const char *const cases[][4] = {
        { "return", "episode", "return", "return" },
        { "eval", "eval", "return", "eval" },
        { "eval.return", "eval", "return", "eval" },
        { "loss", "train", "loss", "loss" },
        { "train.loss", "train", "loss", "loss" },
        { "eval.sharpe", "eval", "sharpe", "eval.sharpe" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run_metric metric;
        char name[RUN_METRIC_NAME_SIZE];
        expect_ok(run_metric_parse(&metric, cases[i][0]));
        assert_string_equal(metric.line, cases[i][1]);
        assert_string_equal(metric.field, cases[i][2]);
        run_metric_name(name, &metric);
        assert_string_equal(name, cases[i][3]);
    }
    run_metric metric;
    static const char *const bad[] = { "", ".", "a.", ".a" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_fails(GN_ERR_ARG, bad[i], run_metric_parse(&metric, bad[i]));
    assert_true(run_metric_listed("return, mean_return", "return"));
    assert_false(run_metric_listed("mean_return, returns", "return"));
    leave();
}

static void interpolates_between_lines_and_skips_null(void **state)
{
    (void)state;
    enter();
    put_run("a", "dqn", 1, "",
            "{\"type\":\"train\",\"step\":10,\"loss\":null}\n"
            "{\"type\":\"train\",\"step\":20,\"loss\":1}\n"
            "{\"type\":\"eval\",\"step\":20,\"return\":7}\n"
            "{\"type\":\"train\",\"step\":30,\"loss\":null}\n"
            "{\"type\":\"train\",\"step\":40,\"loss\":3}\n");
    gn_text fields = { 0 };
    run_series *series = NULL;
    run_metric metric;
    expect_ok(run_metric_parse(&metric, "loss"));
    expect_ok(run_series_read(&series, "a//", &metric, &fields));
    assert_string_equal(series->path, "a");
    assert_string_equal(gn_text_data(&fields), "loss, eval");
    assert_int_equal(series->points, 2);
    assert_true(isnan(run_series_at(series, 19)));
    assert_true(run_series_at(series, 20) == 1 && run_series_at(series, 30) == 2);
    assert_true(run_series_at(series, 40) == 3 && run_series_at(series, 400) == 3);
    assert_string_equal(run_series_option(series, "run.agent"), "dqn");
    assert_null(run_series_option(series, "agent"));
    run_series_destroy(&series);
    gn_text_free(&fields);
    leave();
}

// Copies of an environment end episodes at the same step: none of them is lost.
static void smooths_over_episodes_of_one_step(void **state)
{
    (void)state;
    enter();
    put_run("a", "dqn", 1, "",
            "{\"type\":\"episode\",\"step\":10,\"return\":1}\n"
            "{\"type\":\"episode\",\"step\":10,\"return\":2}\n"
            "{\"type\":\"episode\",\"step\":10,\"return\":6}\n"
            "{\"type\":\"episode\",\"step\":20,\"return\":10}\n");
    curves *figure = NULL;
    const curves_config config = { .metric = "return", .points = 2, .window = 2 };
    expect_ok(curves_read(&figure, FOLDERS("a"), &config));
    assert_int_equal(figure->group[0].points, 2);
    assert_true(figure->group[0].iqm[0] == 4 && figure->group[0].iqm[1] == 8);
    assert_true(figure->group[0].mean.iqm == 6);
    assert_non_null(strstr(figure->y_label, "mean of the last 2 episodes"));
    assert_non_null(strstr(figure->note, "no band"));
    curves_destroy(&figure);
    leave();
}

static void groups_seeds_and_names_what_differs(void **state)
{
    (void)state;
    enter();
    put_flat_run("a1", "dqn", 1, "[agent]\ndouble_q = false\n[checkpoint]\nkeep = 3\n", 5, 1);
    put_flat_run("a2", "dqn", 2, "[agent]\ndouble_q = false\n[checkpoint]\nkeep = 9\n", 5, 2);
    put_flat_run("a3", "dqn", 3, "device = cpu\n[agent]\ndouble_q = false\n", 5, 9);
    put_flat_run("b1", "double-dqn", 1, "[agent]\ndouble_q = true\n", 5, 4);
    curves *figure = NULL;
    expect_ok(curves_read(&figure, FOLDERS("a1", "b1", "a2", "a3"), &returns));
    assert_int_equal(figure->groups, 2);
    assert_string_equal(figure->title, "cartpole");
    const curves_group *dqn = &figure->group[0], *double_dqn = &figure->group[1];
    assert_string_equal(dqn->label, "dqn");
    assert_string_equal(double_dqn->label, "double-dqn");
    assert_int_equal(dqn->runs, 3);
    assert_string_equal(dqn->run[1]->path, "a2");
    assert_int_equal(figure->keys, 2);
    assert_string_equal(figure->key[1], "agent.double_q");
    for (size_t i = 0; i < dqn->points; i++) {
        assert_float_equal(dqn->iqm[i], (1 + 2 + 9) / 3., 1e-12);
        assert_true(dqn->low[i] == 1 && dqn->high[i] == 9);
    }
    assert_true(isnan(double_dqn->final.low));
    assert_non_null(strstr(figure->note, "no band, and nothing said of other seeds: double-dqn."));
    assert_non_null(strstr(figure->note, "Fewer than 4 seeds, so the interval is weak: dqn."));
    curves_destroy(&figure);
    leave();
}

static void names_options_where_presets_do_not_tell(void **state)
{
    (void)state;
    enter();
    put_flat_run("a", "dqn", 1, "[agent]\nn_step = 1\n", 5, 1);
    put_flat_run("b", "dqn", 1, "[agent]\nn_step = 3\n", 5, 1);
    put_flat_run("c", "dqn", 1, "", 5, 1);
    put_flat_run("d", "dqn", 1, "[features]\nlist = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1\n", 5,
                 1);
    curves *figure = NULL;
    expect_ok(curves_read(&figure, FOLDERS("a", "b"), &returns));
    assert_string_equal(figure->title, "dqn on cartpole");
    assert_string_equal(figure->group[0].label, "agent.n_step 1");
    assert_string_equal(figure->group[1].label, "agent.n_step 3");
    curves_destroy(&figure);
    expect_ok(curves_read(&figure, FOLDERS("c", "d"), &returns));
    assert_string_equal(figure->group[0].label, "features.list unset");
    assert_non_null(strstr(figure->group[1].label, "features.list \xE2\x80\xA6"
                                                   "aaa"));
    curves_destroy(&figure);
    expect_ok(curves_read(&figure, FOLDERS("c"), &returns));
    assert_string_equal(figure->group[0].label, "dqn");
    curves_destroy(&figure);
    leave();
}

static void ends_with_the_shortest_run_of_a_group(void **state)
{
    (void)state;
    enter();
    put_flat_run("a1", "dqn", 1, "", 10, 1);
    put_flat_run("a2", "dqn", 2, "", 4, 3);
    put_flat_run("b1", "iqn", 1, "", 10, 1);
    curves *figure = NULL;
    expect_ok(curves_read(&figure, FOLDERS("a1", "a2", "b1"), &returns));
    assert_true(figure->group[0].step[figure->group[0].points - 1] == 40);
    assert_true(figure->group[1].step[figure->group[1].points - 1] == 100);
    assert_string_equal(figure->group[0].shortest->path, "a2");
    assert_null(figure->group[1].shortest);
    assert_non_null(strstr(figure->note, "dqn ends at step 40 with its shortest, a2."));
    curves_destroy(&figure);
    leave();
}

static void refuses_what_makes_no_curve(void **state)
{
    (void)state;
    enter();
    curves *figure = NULL;
    put_flat_run("a1", "dqn", 1, "", 5, 1);
    put_flat_run("copy", "dqn", 1, "", 5, 1);
    put_flat_run("fresh", "dqn", 2, "", 0, 0);
    put_flat_run("late", "dqn", 3, "", 0, 0);
    put_file("late", "metrics.jsonl", "{\"type\":\"episode\",\"step\":900,\"return\":1}\n");
    put_file("bare", "run.ini", "[run]\nseed = 1\n");
    put_file("strange", "run.ini", "no option here\n");
    expect_fails(GN_ERR_ARG, "0 runs", curves_read(&figure, NULL, 0, &returns));
    expect_fails(GN_ERR_ARG, "a1: is given twice",
                 curves_read(&figure, FOLDERS("a1", "a1/"), &returns));
    expect_fails(GN_ERR_ARG, "copy: is the same run as a1",
                 curves_read(&figure, FOLDERS("a1", "copy"), &returns));
    expect_fails(GN_ERR_EMPTY, "fresh: no episode has ended yet",
                 curves_read(&figure, FOLDERS("a1", "fresh"), &returns));
    expect_fails(GN_ERR_EMPTY, "late: its first value is at step 900",
                 curves_read(&figure, FOLDERS("a1", "late"), &returns));
    expect_fails(GN_ERR_NOT_FOUND, "nowhere: is not the folder of a run",
                 curves_read(&figure, FOLDERS("nowhere"), &returns));
    expect_fails(GN_ERR_NOT_FOUND, "bare: has no metrics.jsonl",
                 curves_read(&figure, FOLDERS("bare"), &returns));
    expect_fails(GN_ERR_CONFIG, "strange/run.ini:1",
                 curves_read(&figure, FOLDERS("strange"), &returns));
    expect_fails(
        GN_ERR_ARG, "there is: episode.episode, episode.copy, return, episode.length",
        curves_read(&figure, FOLDERS("a1"), &(curves_config){ .metric = "los", .points = 5 }));
    expect_fails(
        GN_ERR_EMPTY, "a1: no evaluation yet",
        curves_read(&figure, FOLDERS("a1"), &(curves_config){ .metric = "eval", .points = 5 }));
    assert_null(figure);
    leave();
}

static void names_the_line_that_is_broken(void **state)
{
    (void)state;
    enter();
    static const char *const cases[][2] = {
        { "{\"type\":\"eval\",\"step\":1}\n{\"type\":\n", "a/metrics.jsonl:2: not JSON" },
        { "[1]\n", "a/metrics.jsonl:1: not a line of metrics" },
        { "{\"type\":\"episode\"}\n", "a/metrics.jsonl:1: not a line of metrics" },
        { "\n", "a/metrics.jsonl:1: not JSON" },
        { "{\"type\":\"episode\",\"step\":9,\"return\":1}\n"
          "{\"type\":\"episode\",\"step\":8,\"return\":1}\n",
          "a/metrics.jsonl:2: step 8 comes after step 9" },
    };
    curves *figure = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_run("a", "dqn", 1, "", cases[i][0]);
        expect_fails(GN_ERR_FORMAT, cases[i][1], curves_read(&figure, FOLDERS("a"), &returns));
    }
    put_run("a", "dqn", 1, "",
            "{\"type\":\"episode\",\"step\":9,\"return\":5}\n{\"type\":\"episode\",\"st");
    expect_ok(curves_read(&figure, FOLDERS("a"), &returns)); // still being written
    assert_int_equal(figure->group[0].points, 1);
    assert_true(figure->group[0].final.iqm == 5);
    curves_destroy(&figure);
    leave();
}

static void survives_every_failed_allocation(void **state)
{
    (void)state;
    enter();
    put_flat_run("a1", "dqn", 1, "", 5, 1);
    put_flat_run("a2", "dqn", 2, "", 5, 2);
    put_flat_run("b1", "iqn", 1, "[agent]\nn_step = 3\n", 3, 2);
    uint64_t live = gn_mem_live();
    gn_status status = GN_ERR_MEMORY;
    for (uint64_t n = 1; status != GN_OK; n++) {
        curves *figure = NULL;
        gn_text page = { 0 };
        gn_mem_fail_at(n);
        status = curves_read(&figure, FOLDERS("a1", "a2", "b1"), &returns);
        if (status == GN_OK)
            status = curves_html(&page, figure);
        gn_mem_fail_at(0);
        assert_true(status == GN_OK || status == GN_ERR_MEMORY);
        gn_text_free(&page);
        curves_destroy(&figure);
        assert_int_equal(gn_mem_live(), live);
    }
    leave();
}

TEST_MAIN(reads_names_of_metrics, interpolates_between_lines_and_skips_null,
          smooths_over_episodes_of_one_step, groups_seeds_and_names_what_differs,
          names_options_where_presets_do_not_tell, ends_with_the_shortest_run_of_a_group,
          refuses_what_makes_no_curve, names_the_line_that_is_broken,
          survives_every_failed_allocation)
