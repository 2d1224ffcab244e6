// The cache: an import happens once, a changed file or option is another entry, and nothing damaged
// is ever used.

#define _GNU_SOURCE // memmem

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "market/bars.h"
#include "market/features.h"
#include "market/generate.h"
#include "tests/support/check.h"

// A file of generated bars, its cache, and the lines logged so far.
typedef struct scene {
    char folder[GN_PATH_SIZE], path[GN_PATH_SIZE];
    market_config config;
    market_features_config features;
    char lines[16][256];
    int infos, warnings;
    gn_log log;
} scene;

static void keep_line(void *user, gn_log_level level, const char *line)
{
    scene *s = user;
    snprintf(s->lines[(s->infos + s->warnings) % 16], 256, "%s", line);
    *(level == GN_LOG_INFO ? &s->infos : &s->warnings) += 1;
}

static const char *last_line(const scene *s)
{
    return s->lines[(s->infos + s->warnings - 1) % 16];
}

static void write_bars(scene *s, int64_t bars)
{
    market_generate_config config;
    const gn_option_section sections[] = { { "generate", "", market_generate_options, &config },
                                           { 0 } };
    gn_options_reset(sections);
    config.bars = bars;
    market_generated market;
    expect_ok(market_generate(&market, &config));
    expect_ok(market_generated_write(&market, s->path));
    market_generated_free(&market);
}

static void set_up(scene *ret_s)
{
    *ret_s = (scene){ 0 };
    test_temp_folder(ret_s->folder);
    const gn_option_section sections[] = {
        { "market", "", market_options, &ret_s->config },
        { "features", "", market_features_options, &ret_s->features },
        { 0 },
    };
    gn_options_reset(sections);
    expect_ok(gn_path_join(ret_s->config.cache, ret_s->folder, "a/cache"));
    expect_ok(gn_path_join(ret_s->path, ret_s->folder, "bars.csv"));
    ret_s->log = (gn_log){ keep_line, ret_s };
    write_bars(ret_s, 1000);
}

static void tear_down(scene *s)
{
    test_temp_remove(s->folder);
}

// Number of cache entries; ret_path (may be NULL) is the one whose name starts with `kind`.
static size_t entries(const scene *s, const char *kind, char *ret_path)
{
    char **names;
    size_t count;
    expect_ok(gn_folder_list(&names, &count, s->config.cache));
    for (size_t i = 0; ret_path && i < count; i++)
        if (strncmp(names[i], kind, strlen(kind)) == 0)
            expect_ok(gn_path_join(ret_path, s->config.cache, names[i]));
    gn_free(&names);
    return count;
}

static void open_and_close(scene *s)
{
    market_bars *bars;
    market_features *features;
    expect_ok(market_bars_open(&bars, s->path, &s->config, &s->log));
    expect_ok(market_features_open(&features, bars, &s->features, s->config.cache, &s->log));
    assert_true(market_bars_get(bars)->count >= 1000);
    assert_int_equal(market_features_get(features)->warmup, 256);
    market_features_destroy(&features);
    market_bars_destroy(&bars);
}

static void the_second_open_imports_nothing(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    open_and_close(&s);
    assert_int_equal(s.infos, 2); // imported, computed
    assert_int_equal(entries(&s, "bars", NULL), 2);
    open_and_close(&s);
    assert_int_equal(s.infos, 2);
    assert_int_equal(s.warnings, 0);
    assert_int_equal(entries(&s, "bars", NULL), 2);
    tear_down(&s);
}

static void findings_and_facts_come_from_the_cache_too(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    static const char text[] = "time,open,high,low,close,Adj Close\n2024-01-03,1,1,1,1,1\n"
                               "2024-01-02,1,2,1,1,1\n2024-01-01,1,1,1,1,1\n";
    expect_ok(gn_file_write(s.path, text, sizeof text - 1));
    char hash[33] = "";
    for (int round = 0; round < 2; round++) {
        market_bars *bars;
        expect_ok(market_bars_open(&bars, s.path, &s.config, &s.log));
        const market_finding *findings;
        assert_int_equal(market_bars_findings(bars, &findings), 4);
        assert_non_null(strstr(findings[0].text, "Adj Close"));
        assert_non_null(strstr(findings[1].text, "no volume"));
        assert_non_null(strstr(findings[2].text, "time order"));
        assert_non_null(strstr(findings[3].text, "too short to tell the calendar"));
        const market_bars_view *view = market_bars_get(bars);
        assert_true(view->bars_per_year == 365 && view->high[1] == 2);
        assert_int_equal(view->spacing_ns, INT64_C(86400000000000));
        if (round == 1)
            assert_string_equal(view->hash, hash);
        strcpy(hash, view->hash);
        market_bars_destroy(&bars);
    }
    assert_int_equal(s.warnings, 4); // logged when imported, not again
    tear_down(&s);
}

static void a_changed_file_or_option_is_another_entry(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    open_and_close(&s);
    write_bars(&s, 1001);
    open_and_close(&s);
    assert_int_equal(entries(&s, "bars", NULL), 4);
    s.config.bars_per_year = 100;
    open_and_close(&s); // the same columns: their features are there
    assert_int_equal(entries(&s, "bars", NULL), 5);
    strcpy(s.features.list, "return_64,volatility_16");
    open_and_close(&s);
    assert_int_equal(entries(&s, "bars", NULL), 6);
    tear_down(&s);
}

// The same columns have the same hash, from a file or from memory, and so the same features.
static void bars_in_memory_share_the_features_of_a_file(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    market_bars *bars, *copy;
    market_features *features;
    expect_ok(market_bars_open(&bars, s.path, &s.config, NULL));
    const market_bars_view *v = market_bars_get(bars);
    expect_ok(market_bars_create(&copy, "copy", v->count, v->time_ns, v->open, v->high, v->low,
                                 v->close, v->volume, &s.config));
    assert_string_equal(market_bars_get(copy)->hash, v->hash);
    expect_ok(market_features_open(&features, bars, &s.features, s.config.cache, &s.log));
    market_features_destroy(&features);
    expect_ok(market_features_open(&features, copy, &s.features, s.config.cache, &s.log));
    assert_int_equal(s.infos, 1);
    market_features_destroy(&features);
    market_bars_destroy(&copy);
    market_bars_destroy(&bars);
    tear_down(&s);
}

// --- Damage -------------------------------------------------------------------------------------

static void damage_is_noticed_and_repaired(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    open_and_close(&s);
    test_rng rng = test_rng_seed(1);
    const char *kinds[] = { "bars", "features" };
    int repaired = 0;
    for (int round = 0; round < 200; round++) {
        char entry[GN_PATH_SIZE];
        void *contents;
        size_t size;
        entries(&s, kinds[round % 2], entry);
        expect_ok(gn_file_read(&contents, &size, entry));
        if (round % 4 < 2)
            ((unsigned char *)contents)[test_rng_below(&rng, size)] ^=
                (unsigned char)(1 << test_rng_below(&rng, 8));
        else
            size = test_rng_below(&rng, size);
        expect_ok(gn_file_write(entry, contents, size));

        int before = s.infos + s.warnings;
        open_and_close(&s); // what it opens is whole: see the checks there
        if (s.warnings > repaired) {
            assert_non_null(strstr(last_line(&s), round % 2 ? "computed" : "imported"));
            assert_int_equal(s.infos + s.warnings, before + 2);
            repaired = s.warnings;
        } else {
            assert_true(round % 4 < 2); // no truncation passes; a flipped byte of padding may
        }
        gn_free(&contents);
    }
    assert_true(repaired > 190);
    tear_down(&s);
}

static void every_column_byte_is_covered(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    market_bars *bars;
    char entry[GN_PATH_SIZE];
    expect_ok(market_bars_open(&bars, s.path, &s.config, NULL));
    double close = market_bars_get(bars)->close[500];
    market_bars_destroy(&bars);
    entries(&s, "bars", entry);
    void *contents;
    size_t size;
    expect_ok(gn_file_read(&contents, &size, entry));
    char *at = memmem(contents, size, &close, sizeof close);
    assert_non_null(at);
    at[0] ^= 1; // the last bit of one price
    expect_ok(gn_file_write(entry, contents, size));
    expect_ok(market_bars_open(&bars, s.path, &s.config, &s.log));
    assert_non_null(strstr(s.lines[0], "the contents do not have their checksum; imported again"));
    assert_true(market_bars_get(bars)->close[500] == close);
    market_bars_destroy(&bars);
    gn_free(&contents);
    tear_down(&s);
}

// --- Failing folders and company ----------------------------------------------------------------

static void a_cache_that_cannot_be_written_is_an_error(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    market_bars *bars = NULL;
    strcpy(s.config.cache, s.path); // a file, not a folder
    expect_fails(GN_ERR_EXISTS, "market.cache: ", market_bars_open(&bars, s.path, &s.config, NULL));
    expect_ok(gn_path_join(s.config.cache, s.folder, "full"));
    expect_ok(gn_folder_create(s.config.cache));
    gn_file_fail_at(1, ENOSPC);
    gn_status status = market_bars_open(&bars, s.path, &s.config, NULL);
    gn_file_fail_at(0, 0);
    expect_fails(GN_ERR_FULL, "market.cache: cannot write ", status);
    assert_int_equal(entries(&s, "bars", NULL), 0); // no left-over
    assert_null(bars);
    tear_down(&s);
}

static void a_read_only_cache_is_an_error(void **state)
{
    (void)state;
    if (!test_obey_permissions())
        skip();
    scene s;
    set_up(&s);
    market_bars *bars = NULL;
    expect_ok(gn_path_join(s.config.cache, s.folder, "read-only"));
    expect_ok(gn_folder_create(s.config.cache));
    assert_int_equal(chmod(s.config.cache, 0500), 0);
    gn_status status = market_bars_open(&bars, s.path, &s.config, NULL);
    test_disobey_permissions();
    expect_fails(GN_ERR_IO, "market.cache: cannot write ", status);
    assert_null(bars);
    assert_int_equal(chmod(s.config.cache, 0700), 0);
    tear_down(&s);
}

static void the_default_folder_is_the_users_cache(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    char wanted[GN_PATH_SIZE];
    market_bars *bars;
    s.config.cache[0] = '\0';
    setenv("XDG_CACHE_HOME", s.folder, 1);
    expect_ok(market_bars_open(&bars, s.path, &s.config, NULL));
    market_bars_destroy(&bars);
    expect_ok(gn_path_join(wanted, s.folder, "gannet"));
    assert_true(gn_path_is_folder(wanted));
    unsetenv("XDG_CACHE_HOME");
    setenv("HOME", s.folder, 1);
    expect_ok(market_bars_open(&bars, s.path, &s.config, NULL));
    market_bars_destroy(&bars);
    expect_ok(gn_path_join(wanted, s.folder, ".cache/gannet"));
    assert_true(gn_path_is_folder(wanted));
    unsetenv("HOME");
    expect_fails(GN_ERR_CONFIG, "market.cache: neither XDG_CACHE_HOME nor HOME is set",
                 market_bars_open(&bars, s.path, &s.config, NULL));
    tear_down(&s);
}

static void processes_may_import_at_once(void **state)
{
    (void)state;
    enum { PROCESSES = 6 };
    scene s;
    set_up(&s);
    pid_t child[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        child[i] = fork();
        assert_true(child[i] >= 0);
        if (child[i] > 0)
            continue;
        market_bars *bars;
        gn_status status = market_bars_open(&bars, s.path, &s.config, NULL);
        _exit(status != GN_OK || market_bars_get(bars)->count != 1000);
    }
    for (int i = 0; i < PROCESSES; i++) {
        int result;
        assert_int_equal(waitpid(child[i], &result, 0), child[i]);
        assert_true(WIFEXITED(result) && WEXITSTATUS(result) == 0);
    }
    assert_int_equal(entries(&s, "bars", NULL), 1);
    tear_down(&s);
}

// Whoever has an entry mapped keeps its contents when another process replaces the file.
static void mapped_bars_outlive_their_entry(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    market_bars *bars;
    char entry[GN_PATH_SIZE];
    expect_ok(market_bars_open(&bars, s.path, &s.config, NULL));
    const market_bars_view *view = market_bars_get(bars);
    double last = view->close[view->count - 1];
    entries(&s, "bars", entry);
    expect_ok(gn_file_write(entry, "", 0));
    test_temp_remove(s.config.cache);
    assert_true(view->close[view->count - 1] == last);
    market_bars_destroy(&bars);
    tear_down(&s);
}

TEST_MAIN(the_second_open_imports_nothing, findings_and_facts_come_from_the_cache_too,
          a_changed_file_or_option_is_another_entry, bars_in_memory_share_the_features_of_a_file,
          damage_is_noticed_and_repaired, every_column_byte_is_covered,
          a_cache_that_cannot_be_written_is_an_error, a_read_only_cache_is_an_error,
          the_default_folder_is_the_users_cache, processes_may_import_at_once,
          mapped_bars_outlive_their_entry)
