// Log lines reach the sink formatted, with their level; without a sink nothing happens.

#include "base/log.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/check.h"

typedef struct sink {
    char line[2000];
    gn_log_level level;
    int count;
} sink;

static void keep(void *user, gn_log_level level, const char *line)
{
    sink *kept = user;
    kept->level = level;
    kept->count++;
    snprintf(kept->line, sizeof kept->line, "%s", line);
}

static void lines_reach_the_sink(void **state)
{
    (void)state;
    sink kept = { 0 };
    const gn_log log = { keep, &kept };
    gn_log_info(&log, "step %d of %s", 7, "run");
    assert_string_equal(kept.line, "step 7 of run");
    assert_int_equal(kept.level, GN_LOG_INFO);
    gn_log_warning(&log, "no device: using %s", "cpu");
    assert_string_equal(kept.line, "no device: using cpu");
    assert_int_equal(kept.level, GN_LOG_WARNING);
    assert_int_equal(kept.count, 2);
}

static void long_lines_are_cut(void **state)
{
    (void)state;
    sink kept = { 0 };
    const gn_log log = { keep, &kept };
    gn_log_info(&log, "%1500d", 1);
    assert_int_equal(strlen(kept.line), 1023);
}

static void no_sink_is_silence(void **state)
{
    (void)state;
    const gn_log none = { 0 };
    gn_log_info(NULL, "unheard");
    gn_log_warning(&none, "unheard");
}

TEST_MAIN(lines_reach_the_sink, long_lines_are_cut, no_sink_is_silence)
