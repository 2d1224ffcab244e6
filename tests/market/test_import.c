// What import accepts, what it says about it, and what it refuses with which words.

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "market/time_text.h"
#include "tests/market/opened_bars.h"

// Opens a file with these contents.
static gn_status open_text(scene *s, const char *name, const char *contents)
{
    market_bars_destroy(&s->bars);
    expect_ok(gn_path_join(s->path, s->folder, name));
    expect_ok(gn_file_write(s->path, contents, strlen(contents)));
    return market_bars_open(&s->bars, s->path, &s->config, NULL);
}

// --- What is accepted ---------------------------------------------------------------------------

static void reads_columns_by_their_usual_names(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    expect_ok(open_text(&s, "a.csv",
                        "Timestamp,OPEN,High,low,Close,Volume\n"
                        "2024-08-03T18:15:00Z,1,3,0.5,2,10\n"
                        "2024-08-03T18:30:00Z,2,2.5,1.5,2.25,20\n"));
    const market_bars_view *v = view(&s);
    assert_int_equal(v->count, 2);
    assert_true(v->time_ns[0] == INT64_C(1722708900000000000));
    assert_true(v->open[1] == 2 && v->high[1] == 2.5 && v->low[1] == 1.5 && v->close[1] == 2.25);
    assert_true(v->volume[0] == 10 && v->volume[1] == 20);
    assert_true(v->spacing_ns == INT64_C(900000000000) && !v->close_only);
    assert_int_equal(strlen(v->hash), 32);
    tear_down(&s);
}

static void reads_columns_by_configured_names(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    strcpy(s.config.time_column, "when");
    strcpy(s.config.open_column, "a");
    strcpy(s.config.high_column, "b");
    strcpy(s.config.low_column, "c");
    strcpy(s.config.close_column, "d");
    strcpy(s.config.volume_column, "e");
    const char *text = "When,a,b,c,d,e,close\n2024-01-01,1,1,1,1,7,9\n2024-01-02,1,1,1,1,8,9\n";
    expect_ok(open_text(&s, "a.csv", text));
    assert_true(view(&s)->close[0] == 1 && view(&s)->volume[1] == 8);
    strcpy(s.config.low_column, "x");
    expect_fails(GN_ERR_FORMAT,
                 "no column \"x\" (market.low_column); the file has the columns When,",
                 open_text(&s, "a.csv", text));
    tear_down(&s);
}

static void reads_every_kind_of_text_file(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    s.config.layout = MARKET_CLOSE_ONLY;
    expect_ok(open_text(&s, "b.tsv", "time\tprice\n2024-01-01\t1\n2024-01-02\t2\n"));
    expect_ok(open_text(&s, "c.txt", "time;price\n2024-01-01;1\n2024-01-02;2\n"));
    expect_ok(open_text(&s, "d.CSV",
                        "\xEF\xBB\xBF"
                        "time,price\r\n2024-01-01,1\r\n2024-01-02,2\r\n"));
    assert_true(view(&s)->close[1] == 2 && view(&s)->close_only);
    tear_down(&s);
}

static void blanks_after_commas_do_not_matter(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    expect_ok(open_text(&s, "a.csv",
                        "symbol, time , open, high, low, close\n"
                        "X, 13.01.2024, 1, 3, 0.5, 2\nX, 14.01.2024, 2, 2.5, 1.5, 2.25\n"));
    assert_true(view(&s)->time_ns[0] == INT64_C(1705104000000000000));
    assert_true(view(&s)->open[1] == 2 && view(&s)->close[1] == 2.25);
    tear_down(&s);
}

static void close_only_bars_have_one_price(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    s.config.layout = MARKET_CLOSE_ONLY;
    expect_ok(open_text(&s, "a.csv", "Date,Price\n2024-01-01,5\n2024-01-02,6\n"));
    const market_bars_view *v = view(&s);
    assert_true(v->close_only && v->open[1] == 6 && v->high[1] == 6 && v->low[1] == 6);
    assert_true(v->volume[0] == 0);
    expect_finding(&s, "no volume: it is 0 in every bar");
    expect_ok(open_text(&s, "b.csv", "Date,Price,Volume\n2024-01-01,5,\n2024-01-02,6,\n"));
    expect_finding(&s, "no volume");
    tear_down(&s);
}

static void puts_newest_first_into_order_and_says_so(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    s.config.layout = MARKET_CLOSE_ONLY;
    expect_ok(open_text(&s, "a.csv",
                        "time,close,volume\n2024-01-03,3,30\n2024-01-02,2,20\n"
                        "2024-01-01,1,10\n"));
    const market_bars_view *v = view(&s);
    assert_true(v->close[0] == 1 && v->close[2] == 3 && v->volume[0] == 10);
    expect_finding(&s, "row 1: the newest row comes first; all 3 rows were put into time order");
    tear_down(&s);
}

static void tells_which_of_several_columns_it_reads(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    s.config.layout = MARKET_CLOSE_ONLY;
    expect_ok(open_text(&s, "a.csv",
                        "date,unix,close,volume\n2024-01-01,1704067200,1,1\n"
                        "2024-01-02,1704153600,1,1\n"));
    expect_finding(&s, "time is read from column unix, not from date (market.time_column chooses)");
    assert_int_equal(finding_count(&s), 2); // and the calendar
    strcpy(s.config.time_column, "date");
    expect_ok(open_text(&s, "a.csv",
                        "date,unix,close,volume\n2024-01-01,1704067200,1,1\n"
                        "2024-01-02,1704153600,1,1\n"));
    assert_int_equal(finding_count(&s), 1);
    tear_down(&s);
}

static void reports_gaps(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    s.config.layout = MARKET_CLOSE_ONLY;
    expect_ok(open_text(&s, "a.csv",
                        "time,close,volume\n2024-01-01,1,1\n2024-01-02,1,1\n"
                        "2024-01-05,1,1\n2024-01-06,1,1\n2024-01-08,1,1\n"
                        "2024-01-09,1,1\n"));
    expect_finding(&s, "2 gaps: steps above the spacing of 1 day, the longest 3 days, the first "
                       "before 2024-01-05T00:00:00Z");
    tear_down(&s);
}

static void configured_bars_per_year_stand(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    s.config.layout = MARKET_CLOSE_ONLY;
    s.config.bars_per_year = 1234;
    expect_ok(open_text(&s, "a.csv", "time,close,volume\n2024-01-01,1,1\n2024-01-02,1,1\n"));
    assert_true(view(&s)->bars_per_year == 1234);
    assert_int_equal(finding_count(&s), 0);
    tear_down(&s);
}

// --- Times --------------------------------------------------------------------------------------

static void expect_time(scene *s, const char *first, const char *second, const char *wanted)
{
    char contents[256], time[40];
    snprintf(contents, sizeof contents, "time,close\n%s,1\n%s,1\n", first, second);
    expect_ok(open_text(s, "t.csv", contents));
    market_time_format_iso(view(s)->time_ns[0], time);
    assert_string_equal(time, wanted);
}

static void reads_unix_times_of_every_unit(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    s.config.layout = MARKET_CLOSE_ONLY;
    const char *wanted = "2024-01-01T00:00:00Z";
    expect_time(&s, "1704067200", "1704067260", wanted);
    expect_time(&s, "1704067200000", "1704067260000", wanted);
    expect_time(&s, "1704067200000000", "1704067260000000", wanted);
    expect_time(&s, "1704067200000000000", "1704067260000000000", wanted);
    expect_time(&s, "1704067200.5", "1704067260.5", "2024-01-01T00:00:00.5Z");
    s.config.time_format = MARKET_TIME_UNIX;
    expect_time(&s, "0", "60", "1970-01-01T00:00:00Z");
    tear_down(&s);
}

static void numbers_that_are_dates_are_no_unix_times(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    s.config.layout = MARKET_CLOSE_ONLY;
    expect_fails(GN_ERR_FORMAT, "row 1: time 20240803 is no Unix time between 1980 and 2100",
                 open_text(&s, "a.csv", "time,close\n20240803,1\n20240804,1\n"));
    expect_fails(GN_ERR_FORMAT, "row 1: time 202408031815 is no Unix time",
                 open_text(&s, "a.csv", "time,close\n202408031815,1\n202408031830,1\n"));
    expect_fails(GN_ERR_FORMAT, "row 1: time 20240803181500 is no Unix time",
                 open_text(&s, "a.csv", "time,close\n20240803181500,1\n20240803183000,1\n"));
    tear_down(&s);
}

static void decides_day_or_month_first_only_on_proof(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    s.config.layout = MARKET_CLOSE_ONLY;
    const char *ambiguous = "time,close\n03.04.2024 10:00,1\n04.04.2024 10:00,1\n";
    expect_fails(GN_ERR_FORMAT,
                 "column time: no row tells day from month; pass --market.time_format day-first or "
                 "month-first",
                 open_text(&s, "a.csv", ambiguous));
    s.config.time_format = MARKET_TIME_DAY_FIRST;
    expect_time(&s, "03.04.2024 10:00", "04.04.2024 10:00", "2024-04-03T10:00:00Z");
    s.config.time_format = MARKET_TIME_MONTH_FIRST;
    expect_time(&s, "03/04/2024", "04/04/2024", "2024-03-04T00:00:00Z");
    s.config.time_format = MARKET_TIME_AUTO;
    expect_time(&s, "12/01/2024", "13/01/2024", "2024-01-12T00:00:00Z");
    expect_finding(&s, "row 2: time is day-first, which this row proves");
    expect_time(&s, "01/12/2024", "01/13/2024", "2024-01-12T00:00:00Z");
    expect_finding(&s, "row 2: time is month-first, which this row proves");
    expect_fails(GN_ERR_FORMAT, "row 2: time \"14/13/2024\" is not a time",
                 open_text(&s, "a.csv", "time,close\n13/01/2024,1\n14/13/2024,1\n"));
    tear_down(&s);
}

static void names_the_row_that_is_no_time(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    s.config.layout = MARKET_CLOSE_ONLY;
    expect_fails(GN_ERR_FORMAT, "row 2: time \"2024-02-30\" is not a time",
                 open_text(&s, "a.csv", "time,close\n2024-01-01,1\n2024-02-30,1\n"));
    expect_fails(GN_ERR_FORMAT, "row 2: time is missing",
                 open_text(&s, "a.csv", "time,close\n2024-01-01,1\n,1\n"));
    expect_fails(GN_ERR_FORMAT, "row 1: time \"noon\" is not a time",
                 open_text(&s, "a.csv", "time,close\nnoon,1\nnight,1\n"));
    expect_fails(GN_ERR_FORMAT, "times of day without dates",
                 open_text(&s, "a.csv", "time,close\n10:00:00,1\n11:00:00,1\n"));
    expect_fails(GN_ERR_FORMAT, "that market.time_format as given can read",
                 open_text(&s, "a.csv", "time,close\ntrue,1\nfalse,1\n"));
    s.config.time_format = MARKET_TIME_UNIX;
    expect_fails(GN_ERR_FORMAT, "column time holds text",
                 open_text(&s, "a.csv", "time,close\nx,1\ny,1\n"));
    s.config.time_format = MARKET_TIME_ISO;
    expect_fails(GN_ERR_FORMAT, "row 1: time \"1/2/2024\" is not a time with the year first",
                 open_text(&s, "a.csv", "time,close\n1/2/2024,1\n2/2/2024,1\n"));
    tear_down(&s);
}

static void evenly_spaced_rows_need_no_times(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    s.config.layout = MARKET_CLOSE_ONLY;
    expect_fails(GN_ERR_FORMAT, "pass --market.time_format none --market.spacing SECONDS",
                 open_text(&s, "a.csv", "close,volume\n1,1\n2,1\n"));
    s.config.time_format = MARKET_TIME_NONE;
    s.config.spacing = 900;
    expect_ok(open_text(&s, "a.csv", "close,volume\n1,1\n2,1\n3,1\n"));
    assert_true(view(&s)->time_ns[2] == INT64_C(1800000000000));
    expect_finding(&s, "no times are read: bars lie 900 s apart from 1970 on");
    tear_down(&s);
}

// --- What is refused ----------------------------------------------------------------------------

static void refuses_files_without_bars(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    expect_fails(GN_ERR_EMPTY, "a.csv: the file is empty", open_text(&s, "a.csv", ""));
    expect_fails(GN_ERR_EMPTY, "0 rows of data; at least 2 are needed",
                 open_text(&s, "a.csv", "time,open,high,low,close\n"));
    expect_fails(GN_ERR_EMPTY, "1 row of data; at least 2 are needed",
                 open_text(&s, "a.csv", "time,open,high,low,close\n2024-01-01,1,1,1,1\n"));
    expect_fails(GN_ERR_UNSUPPORTED, "a.xls: the ending is none of .csv,",
                 open_text(&s, "a.xls", "x"));
    expect_fails(GN_ERR_FORMAT, "a.parquet", open_text(&s, "a.parquet", "this is no parquet"));
    expect_fails(GN_ERR_FORMAT, "a.arrow", open_text(&s, "a.arrow", "this is no arrow file"));
    expect_ok(gn_path_join(s.path, s.folder, "none.csv"));
    expect_fails(GN_ERR_NOT_FOUND, "none.csv", market_bars_open(&s.bars, s.path, &s.config, NULL));
    expect_fails(GN_ERR_IO, "directory", market_bars_open(&s.bars, s.folder, &s.config, NULL));
    tear_down(&s);
}

static void refuses_missing_and_doubtful_columns(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    expect_fails(GN_ERR_FORMAT,
                 "no open column; name it with --market.open_column, or for prices without OHLC "
                 "pass --market.layout close-only; the file has the columns time, close",
                 open_text(&s, "a.csv", "time,close\n2024-01-01,1\n2024-01-02,1\n"));
    expect_fails(
        GN_ERR_FORMAT, "no low column; name it with --market.low_column",
        open_text(&s, "a.csv", "time,open,high,close\n2024-01-01,1,1,1\n2024-01-02,1,1,1\n"));
    expect_fails(GN_ERR_FORMAT, "columns close and Close both look like the close column",
                 open_text(&s, "a.csv",
                           "time,open,high,low,close,Close\n2024-01-01,1,1,1,1,1\n"
                           "2024-01-02,1,1,1,1,1\n"));
    s.config.layout = MARKET_CLOSE_ONLY;
    expect_fails(GN_ERR_FORMAT, "no close column; name it with --market.close_column; the file",
                 open_text(&s, "a.csv", "time,adj close\n2024-01-01,1\n2024-01-02,1\n"));
    tear_down(&s);
}

// One bad row among good ones.
static void expect_row_refused(scene *s, const char *row, const char *part)
{
    char contents[512];
    snprintf(contents, sizeof contents,
             "time,open,high,low,close,volume\n2024-01-01,2,3,1,2,5\n%s\n2024-01-03,2,3,1,2,5\n",
             row);
    expect_fails(GN_ERR_FORMAT, part, open_text(s, "a.csv", contents));
}

static void refuses_bad_rows_by_number_and_value(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    expect_row_refused(&s, "2024-01-02,2,3,1,-1,5",
                       "row 2 (2024-01-02T00:00:00Z): close -1 is not above 0");
    expect_row_refused(&s, "2024-01-02,2,3,0,2,5", "row 2 (2024-01-02T00:00:00Z): low 0 is not");
    expect_row_refused(&s, "2024-01-02,2,1,3,2,5", ": high 1 is below low 3");
    expect_row_refused(&s, "2024-01-02,4,3,1,2,5", ": open 4 lies outside low 1 to high 3");
    expect_row_refused(&s, "2024-01-02,2,3,1,0.5,5", ": close 0.5 lies outside low 1 to high 3");
    expect_row_refused(&s, "2024-01-02,2,3,1,3.0000000000000004,5",
                       ": close 3.0000000000000004 lies outside low 1 to high 3");
    expect_row_refused(&s, "2024-01-02,2,3,1,2,-5", ": volume -5 is not a finite number");
    expect_row_refused(&s, "2024-01-02,2,inf,1,2,5",
                       ": high is inf; prices are finite and above 0");
    expect_row_refused(&s, "2024-01-02,2,3,1,,5", "row 2: close is missing");
    expect_row_refused(&s, "2024-01-02,2,3,1,NaN,5", "row 2: close is missing");
    expect_row_refused(&s, "2024-01-02,2,3,1,2,", "row 2: volume is missing");
    expect_row_refused(&s, "2024-01-02,2,3,one,2,5", "row 2: low \"one\" is not a number");
    expect_row_refused(&s, "2024-01-02,2,3,0x1p0,2,5", "row 2: low \"0x1p0\" is not a number");
    expect_row_refused(&s, "2024-01-01,2,3,1,2,5",
                       "row 2 (2024-01-01T00:00:00Z): the row before "
                       "has the same time");
    expect_row_refused(&s, "2024-01-02,2,3,1,2", "Row #3: Expected 6 columns, got 5");
    tear_down(&s);
}

static void a_number_does_not_end_at_a_nul(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    s.config.layout = MARKET_CLOSE_ONLY;
    static const char text[] = "time,price\n2024-01-01,1\0002\n2024-01-02,2\n";
    expect_ok(gn_path_join(s.path, s.folder, "a.csv"));
    expect_ok(gn_file_write(s.path, text, sizeof text - 1));
    expect_fails(GN_ERR_FORMAT, "row 1: price \"1",
                 market_bars_open(&s.bars, s.path, &s.config, NULL));
    tear_down(&s);
}

static void refuses_rows_out_of_order(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    s.config.layout = MARKET_CLOSE_ONLY;
    expect_fails(GN_ERR_FORMAT,
                 "row 3 (2024-01-02T00:00:00Z): not in the order of the rows before,"
                 " which run oldest first",
                 open_text(&s, "a.csv",
                           "time,close\n2024-01-01,1\n2024-01-03,1\n2024-01-02,1\n"
                           "2024-01-04,1\n"));
    expect_fails(GN_ERR_FORMAT,
                 "row 3 (2024-01-03T00:00:00Z): not in the order of the rows before,"
                 " which run newest first",
                 open_text(&s, "a.csv",
                           "time,close\n2024-01-04,1\n2024-01-02,1\n2024-01-03,1\n"
                           "2024-01-01,1\n"));
    expect_fails(GN_ERR_FORMAT, "row 2 (2024-01-04T00:00:00Z): the row before has the same time",
                 open_text(&s, "a.csv", "time,close\n2024-01-04,1\n2024-01-04,1\n2024-01-01,1\n"));
    expect_fails(GN_ERR_FORMAT, "row 2 (2250-01-01T00:00:00Z): more than 292 years after the first",
                 open_text(&s, "a.csv", "time,close\n1700-01-01,1\n2250-01-01,1\n"));
    tear_down(&s);
}

static void values_of_newest_first_files_are_named_by_their_row_in_the_file(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    s.config.layout = MARKET_CLOSE_ONLY;
    expect_fails(GN_ERR_FORMAT, "row 1 (2024-01-03T00:00:00Z): close -3 is not above 0",
                 open_text(&s, "a.csv", "time,close\n2024-01-03,-3\n2024-01-02,2\n2024-01-01,1\n"));
    tear_down(&s);
}

// --- Exchanged volumes --------------------------------------------------------------------------

static void exchanged_volumes_are_found_and_swapped_on_request(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    const char *text = "time,open,high,low,close,volume,Volume USD\n"
                       "2024-01-01,100,101,99,100,5,500\n"
                       "2024-01-02,100,101,99,100,600,6\n"
                       "2024-01-03,100,101,99,100,0,0\n"
                       "2024-01-04,100,101,99,100,700,7.01\n"
                       "2024-01-05,100,101,99,100,8,9\n"; // neither: left alone
    expect_ok(open_text(&s, "a.csv", text));
    expect_finding(&s,
                   "row 2: volume and Volume USD are exchanged here and in 2 rows in all; kept; "
                   "--market.swapped_volume swap exchanges them back");
    const double kept[] = { 5, 600, 0, 700, 8 }, swapped[] = { 5, 6, 0, 7.01, 8 };
    assert_memory_equal(view(&s)->volume, kept, sizeof kept);
    s.config.swapped_volume = MARKET_VOLUME_SWAP;
    expect_ok(open_text(&s, "a.csv", text));
    expect_finding(&s, "2 rows in all; exchanged back (market.swapped_volume)");
    assert_memory_equal(view(&s)->volume, swapped, sizeof swapped);
    tear_down(&s);
}

// --- Columns in memory --------------------------------------------------------------------------

static void columns_in_memory_are_checked_like_files(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    const int64_t day = INT64_C(86400000000000);
    const int64_t time[] = { 4 * day, 5 * day, 6 * day }; // from a Monday on
    const double open[] = { 1, 2, 3 }, high[] = { 2, 3, 4 }, low[] = { 1, 1, 1 };
    const double close[] = { 2, 3, 4 }, bad[] = { 2, -3, 4 };
    expect_ok(market_bars_create(&s.bars, "m", 3, time, open, high, low, close, NULL, &s.config));
    assert_true(view(&s)->open[2] == 3 && view(&s)->volume[2] == 0 && !view(&s)->close_only);
    market_bars_destroy(&s.bars);
    expect_ok(market_bars_create(&s.bars, "m", 3, time, NULL, NULL, NULL, close, close, &s.config));
    assert_true(view(&s)->open[2] == 4 && view(&s)->volume[2] == 4 && view(&s)->close_only);
    expect_finding(&s, "too short to tell the calendar: 365 bars a year assume");
    market_bars_destroy(&s.bars);
    expect_fails(GN_ERR_FORMAT, "m: row 2 (1970-01-06T00:00:00Z): close -3 is not above 0",
                 market_bars_create(&s.bars, "m", 3, time, NULL, NULL, NULL, bad, NULL, &s.config));
    expect_fails(
        GN_ERR_EMPTY, "m: 1 bar;",
        market_bars_create(&s.bars, "m", 1, time, NULL, NULL, NULL, close, NULL, &s.config));
    expect_fails(
        GN_ERR_ARG, "m: time_ns and close must be there",
        market_bars_create(&s.bars, "m", 3, time, open, NULL, NULL, close, NULL, &s.config));
    assert_null(s.bars);
    tear_down(&s);
}

static void every_failing_allocation_is_reported_and_leaks_nothing(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    const char *text = "date,unix,open,high,low,close,volume,Volume USD\n"
                       "x,1704067200,1,1,1,1,5,5\ny,1704067260,1,1,1,1,6,6\n";
    gn_status status = GN_ERR_MEMORY;
    uint64_t live = gn_mem_live();
    for (uint64_t n = 1; status != GN_OK; n++) {
        test_temp_remove(s.config.cache);
        gn_mem_fail_at(n);
        status = open_text(&s, "a.csv", text);
        gn_mem_fail_at(0);
        if (status != GN_OK) {
            assert_int_equal(status, GN_ERR_MEMORY);
            assert_true(gn_mem_live() == live);
        }
    }
    tear_down(&s);
}

TEST_MAIN(reads_columns_by_their_usual_names, reads_columns_by_configured_names,
          reads_every_kind_of_text_file, blanks_after_commas_do_not_matter,
          close_only_bars_have_one_price, puts_newest_first_into_order_and_says_so,
          tells_which_of_several_columns_it_reads, reports_gaps, configured_bars_per_year_stand,
          reads_unix_times_of_every_unit, numbers_that_are_dates_are_no_unix_times,
          decides_day_or_month_first_only_on_proof, names_the_row_that_is_no_time,
          evenly_spaced_rows_need_no_times, refuses_files_without_bars,
          refuses_missing_and_doubtful_columns, refuses_bad_rows_by_number_and_value,
          a_number_does_not_end_at_a_nul, refuses_rows_out_of_order,
          values_of_newest_first_files_are_named_by_their_row_in_the_file,
          exchanged_volumes_are_found_and_swapped_on_request,
          columns_in_memory_are_checked_like_files,
          every_failing_allocation_is_reported_and_leaks_nothing)
