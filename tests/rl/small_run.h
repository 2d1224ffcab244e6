// What the tests of rl/ share: options from a list, a folder with a small generated market, files
// read whole.

#ifndef TESTS_RL_SMALL_RUN_H
#define TESTS_RL_SMALL_RUN_H

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "market/generate.h"
#include "rl/config.h"
#include "tests/support/check.h"

// A folder of the test's own; release with test_temp_remove(small.folder).
typedef struct small_run {
    char folder[GN_PATH_SIZE];
    char data[GN_PATH_SIZE], cache[GN_PATH_SIZE]; // a market of 600 bars, once made
} small_run;

static inline void small_run_open(small_run *small)
{
    test_temp_folder(small->folder);
    expect_ok(gn_path_join(small->data, small->folder, "market.csv"));
    expect_ok(gn_path_join(small->cache, small->folder, "cache"));
}

static inline void small_run_market(const small_run *small)
{
    market_generate_config config;
    const gn_option_section sections[] = {
        { .name = "generate", .options = market_generate_options, .values = &config }, { 0 }
    };
    market_generated market;
    gn_options_reset(sections);
    config.bars = 600;
    expect_ok(market_generate(&market, &config));
    expect_ok(market_generated_write(&market, small->data));
    market_generated_free(&market);
}

// Options of a run: "section.key", "value", ..., NULL.
static inline rl_config *config_of(const char *const *flag)
{
    rl_config *config = NULL;
    size_t flags = 0;
    while (flag[2 * flags])
        flags++;
    expect_ok(rl_config_create(&config));
    expect_ok(rl_config_resolve(config, NULL, flag, flags));
    return config;
}

#define CONFIG_OF(...) config_of((const char *const[]){ __VA_ARGS__, NULL })

static inline void set_option(rl_config *config, const char *key, const char *value)
{
    expect_ok(gn_options_set(config->sections, key, value));
}

typedef struct file_bytes {
    void *data;
    size_t size;
} file_bytes;

static inline file_bytes read_bytes(const char *path)
{
    file_bytes bytes = { 0 };
    expect_ok(gn_file_read(&bytes.data, &bytes.size, path));
    return bytes;
}

static inline void write_text(const char *path, const char *text)
{
    expect_ok(gn_file_write(path, text, strlen(text)));
}

static inline void flip_byte(const char *path, size_t at)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, (long)at, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_not_equal(byte, EOF);
    assert_int_equal(fseek(file, (long)at, SEEK_SET), 0);
    assert_int_not_equal(fputc(byte ^ 0x20, file), EOF);
    assert_int_equal(fclose(file), 0);
}

// Of a log that keeps what it is told in a gn_text.
static inline void keep_line(void *user, gn_log_level level, const char *line)
{
    gn_text_append(user, "%d %s\n", level, line);
}

#endif
