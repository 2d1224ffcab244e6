// A bars file under test: a folder of its own, a cache in it, and what was opened.

#ifndef TESTS_MARKET_OPENED_BARS_H
#define TESTS_MARKET_OPENED_BARS_H

#include <string.h>

#include "market/bars.h"
#include "tests/support/check.h"

// A folder for the test's file and cache, and a configuration at its defaults.
typedef struct scene {
    char folder[GN_PATH_SIZE], path[GN_PATH_SIZE];
    market_config config;
    market_bars *bars;
} scene;

static inline void set_up(scene *ret_s)
{
    *ret_s = (scene){ 0 };
    test_temp_folder(ret_s->folder);
    const gn_option_section sections[] = { { "market", "", market_options, &ret_s->config },
                                           { 0 } };
    gn_options_reset(sections);
    expect_ok(gn_path_join(ret_s->config.cache, ret_s->folder, "cache"));
}

static inline void tear_down(scene *s)
{
    market_bars_destroy(&s->bars);
    test_temp_remove(s->folder);
}

// Whether some finding contains `part`.
static inline bool finds(const scene *s, const char *part)
{
    const market_finding *findings;
    size_t count = market_bars_findings(s->bars, &findings);
    for (size_t i = 0; i < count; i++)
        if (strstr(findings[i].text, part))
            return true;
    return false;
}

static inline void expect_finding(const scene *s, const char *part)
{
    if (!finds(s, part))
        fail_msg("no finding contains \"%s\"", part);
}

static inline size_t finding_count(const scene *s)
{
    const market_finding *findings;
    return market_bars_findings(s->bars, &findings);
}

static inline const market_bars_view *view(const scene *s)
{
    return market_bars_get(s->bars);
}

#endif
