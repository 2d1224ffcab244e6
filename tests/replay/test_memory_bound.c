// A buffer much larger than what it may take of memory: 200,000 incompressible frames of 84x84, 1.4
// GB on disk, sampled while it is written and after, opened again, and read from outside. Mapped
// pages of the file count too, also those that are mapped for an instant.

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "replay/reader.h"
#include "replay/sampler.h"
#include "tests/replay/feed.h"
#include "tests/replay/frames.h"

enum { FRAMES = 200000, BATCH = 32, LIMIT_MB = 512 };

static double status_mb(const char *name)
{
    char line[256];
    double kb = -1;
    FILE *file = fopen("/proc/self/status", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0)
            sscanf(line + strlen(name) + 1, "%lf", &kb);
    fclose(file);
    assert_true(kb >= 0);
    return kb / 1024;
}

typedef struct peak {
    double anon, file; // MB, where their sum was largest
} peak;

static void look(peak *most)
{
    double anon = status_mb("RssAnon"), file = status_mb("RssFile");
    if (anon + file > most->anon + most->file)
        *most = (peak){ anon, file };
}

static void sample(replay_sampler *sampler, gn_random *random, int batches, peak *most)
{
    const replay_batch *batch;
    for (int i = 0; i < batches; i++) {
        expect_ok(replay_sampler_next(sampler, BATCH, &(replay_draw){ { 3 }, 1, 0.99, 0.5 }, random,
                                      &batch));
        if (i % 100 == 0)
            look(most);
    }
}

// Forgets the most that was resident so far.
static void forget_peak(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "w");
    assert_non_null(file);
    assert_true(fputs("5", file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void assert_peak(const char *of)
{
    double mb = status_mb("VmHWM");
    print_message("%s: at most %.0f MB\n", of, mb);
    assert_true(mb < LIMIT_MB);
}

static void open_again(const char *folder, uint64_t generation, uint64_t checksum)
{
    replay_config config = feed_config(FRAMES, 1024, true);
    replay_buffer *buffer;
    forget_peak();
    expect_ok(
        replay_buffer_create(&buffer, &config, &(replay_spec){ 1, FRAME_SIZE, 4 }, folder, "run"));
    expect_ok(replay_buffer_rollback(buffer, generation, checksum));
    assert_peak("opened again");
    replay_buffer_destroy(&buffer);
}

static void read_all(const char *folder)
{
    replay_reader *reader;
    replay_generation generation;
    replay_slots slots;
    uint64_t count = 0;
    forget_peak();
    expect_ok(replay_reader_open(&reader, folder, NULL));
    expect_ok(replay_reader_begin(reader, 0, &generation));
    do {
        expect_ok(replay_reader_next(reader, &slots));
        count += slots.count;
    } while (slots.count > 0);
    assert_int_equal(count, FRAMES);
    assert_peak("read from outside");
    replay_reader_close(&reader);
}

static void memory_stays_below_its_bound(void **state)
{
    (void)state;
    enum { AT_A_TIME = 2000, EPISODE = 500, BATCHES = 4000 };
    char folder[GN_PATH_SIZE];
    unsigned char *frame;
    uint8_t *starts;
    peak most = { 0 };
    uint64_t checksum;
    test_temp_folder(folder);
    expect_ok(gn_alloc(&frame, AT_A_TIME, FRAME_SIZE));
    expect_ok(gn_alloc(&starts, AT_A_TIME, 1));
    replay_config config = feed_config(FRAMES, 1024, true);
    replay_buffer *buffer;
    replay_sampler *sampler;
    expect_ok(
        replay_buffer_create(&buffer, &config, &(replay_spec){ 1, FRAME_SIZE, 4 }, folder, "run"));
    expect_ok(replay_sampler_create(&sampler, buffer, BATCH, 1, -1));
    gn_random random = gn_random_stream(1, GN_RANDOM_SAMPLE, 0);
    for (uint64_t at = 0; at < FRAMES + AT_A_TIME; at++) {
        if (at % AT_A_TIME == 0)
            frames_noise(at, AT_A_TIME, frame, starts);
        const unsigned char *next = frame + at % AT_A_TIME * FRAME_SIZE;
        bool begins = at % EPISODE == 0, ends = at % EPISODE == EPISODE - 1;
        expect_ok(begins ? replay_buffer_begin(buffer, 0, next)
                         : replay_buffer_add(buffer, 0, 1, 1, ends, false, next));
        if (at % AT_A_TIME == AT_A_TIME - 1) {
            expect_ok(replay_buffer_commit(buffer, at, at));
            sample(sampler, &random, 20, &most);
        }
    }
    expect_ok(replay_buffer_await(buffer, &checksum));
    sample(sampler, &random, BATCHES, &most);
    replay_buffer_stats stats;
    expect_ok(replay_buffer_measure(buffer, &stats));
    print_message("at most %.0f MB anonymous and %.0f MB of files; %.0f MB on disk\n", most.anon,
                  most.file, (double)stats.disk_bytes / 1e6);
    assert_true(stats.disk_bytes > (uint64_t)FRAMES * FRAME_SIZE);
    assert_true(most.anon + most.file < LIMIT_MB);
    replay_sampler_destroy(&sampler);
    replay_buffer_destroy(&buffer);
    gn_free(&frame);
    gn_free(&starts);
    open_again(folder, FRAMES + AT_A_TIME - 1, checksum);
    read_all(folder);
    test_temp_remove(folder);
}

TEST_MAIN(memory_stays_below_its_bound)
