#include "benchmarks/frame_source.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "benchmarks/bench.h"
#include "envs/pixel/catch.h"
#include "envs/trading/chart.h"
#include "envs/vec_env.h"
#include "market/generate.h"

enum { ROW = 1 + FRAME_BYTES, EPISODE = 500, BARS = 100000 };

typedef enum source_kind { SOURCE_CATCH, SOURCE_CHART, SOURCE_NOISE, SOURCE_FILE } source_kind;

struct frame_source {
    source_kind kind;
    char name[64];
    gn_random random;
    uint64_t slot; // slots handed out
    bool running; // an episode is
    // catch
    vec_env *env;
    // chart
    market_generated market;
    market_bars_view bars;
    // file
    FILE *file;
    uint64_t rows;
    unsigned char row[2][ROW]; // the current one, and the one after it
    unsigned char frame[FRAME_BYTES];
};

static void open_catch(frame_source *source)
{
    catch_config config;
    const gn_option_section sections[] = {
        { .name = "catch", .options = catch_options, .values = &config },
        { 0 },
    };
    const env_context context = { .copies = 1, .seed = 1, .purpose = GN_RANDOM_ENV };
    gn_options_reset(sections);
    bench_need(vec_env_create(&source->env, &catch_class, &config, &context));
}

static void open_chart(frame_source *source)
{
    market_generate_config config;
    const gn_option_section sections[] = {
        { .name = "generate", .options = market_generate_options, .values = &config },
        { 0 },
    };
    gn_options_reset(sections);
    config.bars = BARS;
    bench_need(market_generate(&source->market, &config));
    const market_generated *market = &source->market;
    source->bars = (market_bars_view){ .count = market->count,
                                       .open = market->open,
                                       .high = market->high,
                                       .low = market->low,
                                       .close = market->close,
                                       .volume = market->volume };
}

// Row by row: a file held in memory would count as memory of the benchmark.
static void read_row(frame_source *source, uint64_t index)
{
    if (index % source->rows == 0)
        rewind(source->file);
    if (fread(source->row[index % 2], ROW, 1, source->file) != 1)
        bench_need(gn_fail(GN_ERR_IO, "frames: cannot read row %llu", (unsigned long long)index));
}

static void open_file(frame_source *source, const char *path)
{
    source->file = fopen(path, "rb");
    if (!source->file)
        bench_need(gn_fail_errno(errno, "%s", path));
    fseek(source->file, 0, SEEK_END);
    source->rows = (uint64_t)ftell(source->file) / ROW;
    if (source->rows < 2)
        bench_need(gn_fail(GN_ERR_FORMAT, "%s: fewer than two rows of %d bytes", path, ROW));
    source->rows -= source->rows % 2; // rows alternate between two places
    read_row(source, 0);
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    base += strncmp(base, "frames-", 7) == 0 ? 7 : 0;
    snprintf(source->name, sizeof source->name, "%.*s", (int)strcspn(base, "."), base);
}

frame_source *frame_source_open(const char *what)
{
    static const char *const kinds[] = { "catch", "chart", "noise" };
    frame_source *source;
    bench_need(gn_alloc(&source, 1, sizeof *source));
    source->random = gn_random_stream(1, GN_RANDOM_TEST, 0);
    source->kind = SOURCE_FILE;
    for (int i = 0; i < SOURCE_FILE; i++)
        if (strcmp(what, kinds[i]) == 0)
            source->kind = (source_kind)i;
    snprintf(source->name, sizeof source->name, "%s", what);
    if (source->kind == SOURCE_CATCH)
        open_catch(source);
    if (source->kind == SOURCE_CHART)
        open_chart(source);
    if (source->kind == SOURCE_FILE)
        open_file(source, what);
    return source;
}

void frame_source_close(frame_source **source)
{
    vec_env_destroy(&(*source)->env);
    market_generated_free(&(*source)->market);
    if ((*source)->file)
        fclose((*source)->file);
    gn_free(source);
}

const char *frame_source_name(const frame_source *source)
{
    return source->name;
}

// --- slots

static void add_catch(frame_source *source, replay_buffer *buffer, uint32_t stream)
{
    const vec_env_step_view *last = vec_env_last(source->env);
    if (!source->running) {
        bench_need(replay_buffer_begin(buffer, stream, last->record));
        source->running = true;
        return;
    }
    int32_t action = (int32_t)gn_random_below(&source->random, vec_env_spec(source->env)->actions);
    bench_need(vec_env_step(source->env, &action));
    bool ended = last->terminated[0] || last->truncated[0];
    bench_need(replay_buffer_add(buffer, stream, action, last->reward[0], last->terminated[0],
                                 last->truncated[0], ended ? last->final_record : last->record));
    source->running = !ended;
}

static const unsigned char *next_frame(frame_source *source, bool *ret_begins, bool *ret_ends)
{
    uint64_t at = source->slot++;
    *ret_begins = at % EPISODE == 0;
    *ret_ends = at % EPISODE == EPISODE - 1;
    if (source->kind == SOURCE_CHART) {
        const float account[TRADING_CHART_ACCOUNT] = { 0 };
        uint64_t bars = source->bars.count - TRADING_CHART_BARS;
        trading_chart_draw(&source->bars, TRADING_CHART_BARS + at % bars, account, source->frame);
        return source->frame;
    }
    if (source->kind == SOURCE_NOISE) {
        for (size_t i = 0; i < FRAME_BYTES; i += sizeof(uint64_t)) {
            uint64_t noise = gn_random_u64(&source->random);
            memcpy(source->frame + i, &noise, sizeof noise);
        }
        return source->frame;
    }
    read_row(source, at + 1);
    *ret_begins = source->row[at % 2][0] || at % source->rows == 0;
    *ret_ends = source->row[(at + 1) % 2][0] || (at + 1) % source->rows == 0;
    return source->row[at % 2] + 1;
}

void frame_source_add(frame_source *source, replay_buffer *buffer, uint32_t stream)
{
    if (source->kind == SOURCE_CATCH) {
        add_catch(source, buffer, stream);
        return;
    }
    bool begins, ends;
    const unsigned char *frame = next_frame(source, &begins, &ends);
    if (begins)
        bench_need(replay_buffer_begin(buffer, stream, frame));
    else
        bench_need(replay_buffer_add(buffer, stream, 0, 0, false, ends, frame));
}
