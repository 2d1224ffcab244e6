// Run folders written by hand: what a plot reads, without training.

#ifndef TESTS_REPORT_RUN_FILES_H
#define TESTS_REPORT_RUN_FILES_H

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "tests/support/check.h"

static inline void put_file(const char *folder, const char *name, const char *text)
{
    char path[GN_PATH_SIZE];
    expect_ok(gn_folder_create(folder));
    expect_ok(gn_path_join(path, folder, name));
    expect_ok(gn_file_write(path, text, strlen(text)));
}

// options: more lines of run.ini, "" for none.
static inline void put_run(const char *folder, const char *agent, int seed, const char *options,
                           const char *metrics)
{
    gn_text ini = { 0 };
    gn_text_append(&ini, "# what\n[run]\nenv = cartpole\nagent = %s\nseed = %d\n%s", agent, seed,
                   options);
    put_file(folder, "run.ini", gn_text_data(&ini));
    put_file(folder, "metrics.jsonl", metrics);
    gn_text_free(&ini);
}

// One episode at each of the steps 10, 20, ... 10 * n, all with this return.
static inline void put_flat_run(const char *folder, const char *agent, int seed,
                                const char *options, int n, double value)
{
    gn_text lines = { 0 };
    for (int i = 1; i <= n; i++)
        gn_text_append(&lines,
                       "{\"type\":\"episode\",\"step\":%d,\"episode\":%d,\"copy\":0,\"return\":%g,"
                       "\"length\":10}\n",
                       10 * i, i, value);
    put_run(folder, agent, seed, options, gn_text_data(&lines));
    gn_text_free(&lines);
}

#endif
