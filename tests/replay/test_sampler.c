// Sampling ahead against a twin that draws each batch at the call that has to draw it and keeps it
// until it is due: lags, caches, sizes that change, priorities in between, checkpoints, damage.

#include "replay/sampler.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "replay/buffer_draw_internal.h"
#include "replay/buffer_internal.h"
#include "tests/replay/packed_twin.h"

enum { STREAMS = 2, STACK = 3, LARGEST = 300, AHEAD = 5 };

typedef struct storage {
    int codec;
    bool disk;
    int64_t cache_mb;
} storage;

static const storage storages[] = {
    { REPLAY_RAM, false, 0 },       { REPLAY_NONE, false, 0 }, { REPLAY_ZSTD, true, 0 },
    { REPLAY_ZSTD_DICT, false, 1 }, { REPLAY_DELTA, true, 1 }, { REPLAY_DELTA, false, 0 },
    { REPLAY_PATCH, true, 1 },
};
enum { STORAGES = sizeof storages / sizeof *storages };

// A sampler, and the twin: a buffer of all records in RAM with the batches it drew.
typedef struct ahead_run {
    storage of;
    int64_t lag;
    replay_config config;
    replay_spec spec;
    char folder[GN_PATH_SIZE];
    replay_buffer *buffer, *twin;
    replay_sampler *sampler;
    replay_batch *due[AHEAD + 1]; // of the twin; batch t is due[t % (lag + 1)]
    uint64_t drawn, returned, generation;
    gn_random random, same;
    step_feed feed;
} ahead_run;

static void open_sampler(ahead_run *run)
{
    expect_ok(replay_buffer_create(&run->buffer, &run->config, &run->spec,
                                   run->of.disk ? run->folder : NULL, "run"));
    expect_ok(replay_sampler_create(&run->sampler, run->buffer, LARGEST, 1, run->lag));
}

static void open_run(ahead_run *run, storage of, int64_t lag, uint64_t seed)
{
    *run = (ahead_run){ .of = of, .lag = lag, .spec = { STREAMS, TWIN_RECORD, STACK } };
    run->feed = feed_seed(seed, STREAMS);
    run->random = run->same = gn_random_stream(seed, GN_RANDOM_SAMPLE, 0);
    run->config = feed_config(60, 4, true);
    run->config.durability = 2;
    run->config.codec = REPLAY_RAM;
    expect_ok(replay_buffer_create(&run->twin, &run->config, &run->spec, NULL, NULL));
    run->config.codec = of.codec;
    run->config.cache_mb = of.cache_mb;
    if (of.disk)
        test_temp_folder(run->folder);
    open_sampler(run);
    for (int64_t i = 0; i <= lag; i++)
        expect_ok(replay_batch_create(&run->due[i], &run->spec, LARGEST, 1));
}

static void close_run(ahead_run *run)
{
    replay_sampler_destroy(&run->sampler);
    replay_buffer_destroy(&run->buffer);
    replay_buffer_destroy(&run->twin);
    for (int64_t i = 0; i <= run->lag; i++)
        replay_batch_destroy(&run->due[i]);
    if (run->of.disk)
        test_temp_remove(run->folder);
}

static void add_steps(ahead_run *run, uint64_t n)
{
    for (; n > 0; n--) {
        unsigned char record[TWIN_RECORD];
        feed_step step = feed_draw(&run->feed);
        twin_record(&step, record);
        for (int i = 0; i < 2; i++) {
            replay_buffer *to = i ? run->twin : run->buffer;
            if (step.begins)
                expect_ok(replay_buffer_begin(to, step.stream, record));
            else
                expect_ok(replay_buffer_add(to, step.stream, step.action, step.reward,
                                            step.terminated, step.truncated, record));
        }
    }
}

// The batch that is due, by the twin's account.
static const replay_batch *twin_next(ahead_run *run, size_t size, const replay_draw *draw)
{
    uint64_t slots = (uint64_t)run->lag + 1;
    while (run->drawn - run->returned <= (uint64_t)run->lag) {
        replay_batch *batch = run->due[run->drawn++ % slots];
        batch->size = size;
        expect_ok(replay_buffer_sample(run->twin, draw, &run->same, batch));
    }
    return run->due[run->returned++ % slots];
}

static void next_batch(ahead_run *run)
{
    float priority[LARGEST];
    size_t size = 1 + test_rng_below(&run->feed.rng, LARGEST);
    const replay_draw draw = {
        { 1 + (int64_t)test_rng_below(&run->feed.rng, 3) }, 1, 0.9, test_rng_unit(&run->feed.rng)
    };
    const replay_batch *batch, *expected = twin_next(run, size, &draw);
    expect_ok(replay_sampler_next(run->sampler, size, &draw, &run->random, &batch));
    expect_same_batch(batch, expected);
    assert_int_equal(run->random.position, run->same.position);
    for (size_t i = 0; i < batch->size; i++)
        priority[i] = (float)(5 * test_rng_unit(&run->feed.rng));
    expect_ok(replay_buffer_set_priorities(run->buffer, batch->item, priority, batch->size));
    expect_ok(replay_buffer_set_priorities(run->twin, batch->item, priority, batch->size));
}

// Ends with batches in flight and goes on in a new buffer and sampler; the twin is not told.
static void start_again(ahead_run *run)
{
    gn_blob blob = { 0 }, again = { 0 };
    uint64_t checksum;
    replay_sampler_save(run->sampler, &blob);
    if (run->of.disk)
        expect_ok(feed_commit(run->buffer, ++run->generation, 0, &checksum));
    else
        replay_buffer_save(run->buffer, &blob);
    expect_ok(gn_blob_status(&blob));
    replay_sampler_destroy(&run->sampler);
    replay_buffer_destroy(&run->buffer);
    open_sampler(run);
    expect_ok(replay_sampler_load(run->sampler, &blob));
    if (run->of.disk)
        expect_ok(replay_buffer_rollback(run->buffer, run->generation, checksum));
    else
        expect_ok(replay_buffer_load(run->buffer, &blob));
    assert_int_equal(blob.cursor, blob.size);
    replay_sampler_save(run->sampler, &again);
    if (!run->of.disk)
        replay_buffer_save(run->buffer, &again);
    assert_int_equal(again.size, blob.size);
    assert_memory_equal(again.data, blob.data, blob.size);
    gn_blob_free(&blob);
    gn_blob_free(&again);
}

static void run_ahead(storage of, int64_t lag, bool interrupted, uint64_t seed)
{
    enum { ROUNDS = 60, CALM = 6, STORM = 120 };
    ahead_run run;
    uint64_t checksum;
    open_run(&run, of, lag, seed);
    add_steps(&run, STORM);
    for (int round = 0; round < ROUNDS; round++) {
        next_batch(&run);
        // At times the ring is written over twice before the next call, whatever is being read.
        add_steps(&run, test_rng_below(&run.feed.rng, round % 5 ? CALM : STORM));
        if (of.disk && round % 7 == 0) {
            run.generation++;
            expect_ok(replay_buffer_commit(run.buffer, run.generation, run.generation));
        }
        if (interrupted && test_rng_below(&run.feed.rng, 8) == 0)
            start_again(&run);
    }
    if (of.disk)
        expect_ok(replay_buffer_await(run.buffer, &checksum));
    assert_int_equal(feed_checksum(run.buffer), feed_checksum(run.twin));
    assert_int_equal(replay_sampler_measure(run.sampler).ahead, lag);
    close_run(&run);
}

static void batches_are_those_drawn_so_many_calls_before(void **state)
{
    (void)state;
    static const int64_t lags[] = { 0, 1, 2, AHEAD };
    for (size_t i = 0; i < STORAGES; i++)
        for (size_t l = 0; l < 4; l++)
            run_ahead(storages[i], lags[l], false, 10 * i + l);
}

static void a_checkpoint_with_batches_in_flight_continues_the_same(void **state)
{
    (void)state;
    static const int64_t lags[] = { 0, 1, 2, AHEAD };
    for (size_t i = 0; i < STORAGES; i++)
        for (size_t l = 0; l < 4; l++)
            run_ahead(storages[i], lags[l], true, 100 + 10 * i + l);
}

// --- priorities

// A step that gets all the weight is drawn by the call that draws next, and returned L calls later.
static void priorities_count_from_the_next_draw_on(void **state)
{
    (void)state;
    enum { SIZE = 64 };
    for (int64_t lag = 0; lag <= 3; lag++) {
        ahead_run run;
        open_run(&run, storages[1], lag, 5);
        add_steps(&run, 30);
        const replay_draw draw = { { 1 }, 1, 0.9, 0.5 };
        const replay_batch *batch;
        expect_ok(replay_sampler_next(run.sampler, SIZE, &draw, &run.random, &batch));
        uint64_t chosen = batch->item[SIZE / 2];
        expect_ok(replay_buffer_set_priorities(run.buffer, &chosen, &(float){ 1e30F }, 1));
        for (int64_t call = 1; call <= lag + 1; call++) {
            size_t times = 0;
            expect_ok(replay_sampler_next(run.sampler, SIZE, &draw, &run.random, &batch));
            for (size_t i = 0; i < SIZE; i++)
                times += batch->item[i] == chosen;
            assert_int_equal(times == SIZE, call == lag + 1);
        }
        close_run(&run);
    }
}

// --- failures

// Flips a byte of a packed record in the file. Returns whether it lies there already.
static bool damage_item(const ahead_run *run, uint64_t item)
{
    uint32_t stream = (uint32_t)(item % STREAMS);
    char path[GN_PATH_SIZE];
    unsigned char byte;
    replay_harvest(run->buffer);
    if (replay_records_at(run->buffer->records, stream, item / STREAMS))
        return false;
    replay_read read = replay_records_read(run->buffer->records, stream, item / STREAMS, 1);
    off_t at = (off_t)(read.offset + read.place[read.index].end - 1);
    expect_ok(gn_path_join(path, run->folder, "data.mdb"));
    int file = open(path, O_RDWR);
    assert_int_equal(pread(file, &byte, 1, at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(file, &byte, 1, at), 1);
    close(file);
    return true;
}

static bool batch_reads(const ahead_run *run, const replay_batch *batch, uint64_t item)
{
    unsigned char record[TWIN_RECORD];
    memcpy(record,
           replay_records_at(run->twin->records, (uint32_t)(item % STREAMS), item / STREAMS),
           sizeof record);
    for (size_t i = 0; i < batch->size; i++)
        for (size_t s = 0; s < STACK; s++)
            if (memcmp(batch->record + i * batch->stride + s * TWIN_RECORD, record,
                       sizeof record) == 0 ||
                memcmp(batch->next_record[0] + i * batch->stride + s * TWIN_RECORD, record,
                       sizeof record) == 0)
                return true;
    return false;
}

static void damage_is_reported_by_the_call_that_returns_the_batch(void **state)
{
    (void)state;
    enum { SIZE = 2 };
    static const int64_t lags[] = { 0, 1, 2, AHEAD };
    const storage of = { REPLAY_ZSTD, true, 0 };
    for (size_t l = 0; l < 4; l++) {
        ahead_run run;
        uint64_t checksum, item = 0;
        open_run(&run, of, lags[l], 7);
        add_steps(&run, 50);
        expect_ok(feed_commit(run.buffer, 1, 0, &checksum));
        while (
            !replay_has_step(
                run.buffer->step[replay_slot(run.buffer, item % STREAMS, item / STREAMS)].flags) ||
            item / STREAMS < 5 || !damage_item(&run, item))
            item++;
        char named[64];
        snprintf(named, sizeof named, "replay: item %llu", (unsigned long long)item);
        const replay_draw draw = { { 1 }, 1, 0.9, 0.5 };
        const replay_batch *batch, *expected;
        int calls = 0;
        while (expected = twin_next(&run, SIZE, &draw), !batch_reads(&run, expected, item)) {
            expect_ok(replay_sampler_next(run.sampler, SIZE, &draw, &run.random, &batch));
            expect_same_batch(batch, expected);
            calls++;
        }
        assert_true(calls > 0);
        batch = NULL;
        expect_fails(GN_ERR_CORRUPT, named,
                     replay_sampler_next(run.sampler, SIZE, &draw, &run.random, &batch));
        assert_null(batch);
        while (lags[l] > 0 && (expected = twin_next(&run, SIZE, &draw),
                               !batch_reads(&run, expected, item))) { // given up: on with the next
            expect_ok(replay_sampler_next(run.sampler, SIZE, &draw, &run.random, &batch));
            expect_same_batch(batch, expected);
        }
        close_run(&run);
    }
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    ahead_run run;
    replay_sampler *sampler = NULL;
    const replay_batch *batch;
    const replay_draw draw = { { 1 }, 1, 0.9, 0.5 };
    open_run(&run, storages[1], 2, 9);
    expect_fails(GN_ERR_ARG, "65 batches ahead: must be at most 64",
                 replay_sampler_create(&sampler, run.buffer, 8, 1, 65));
    expect_fails(GN_ERR_EMPTY, "no step was added yet",
                 replay_sampler_next(run.sampler, 4, &draw, &run.random, &batch));
    add_steps(&run, 30);
    expect_fails(GN_ERR_ARG, "batch of 301 steps",
                 replay_sampler_next(run.sampler, LARGEST + 1, &draw, &run.random, &batch));
    for (int i = 0; i < 4; i++)
        next_batch(&run);
    gn_blob blob = { 0 };
    replay_sampler_save(run.sampler, &blob);
    expect_ok(gn_blob_status(&blob));
    expect_ok(replay_sampler_create(&sampler, run.twin, LARGEST, 1, 1));
    expect_fails(GN_ERR_CORRUPT, "2 saved batches: must be 1", replay_sampler_load(sampler, &blob));
    replay_sampler_destroy(&sampler);
    blob.cursor = 0;
    expect_ok(replay_sampler_create(&sampler, run.twin, 8, 1, 2));
    expect_fails(GN_ERR_CORRUPT, "at most 8, 1", replay_sampler_load(sampler, &blob));
    replay_sampler_destroy(&sampler);
    blob.cursor = 0;
    blob.size--;
    expect_fails(GN_ERR_CORRUPT, "", replay_sampler_load(run.sampler, &blob));
    expect_ok(replay_sampler_next(run.sampler, 4, &draw, &run.random, &batch)); // none is drawn:
    assert_int_equal(batch->size, 4); // three are
    gn_blob_free(&blob);
    close_run(&run);
}

TEST_MAIN(batches_are_those_drawn_so_many_calls_before,
          a_checkpoint_with_batches_in_flight_continues_the_same,
          priorities_count_from_the_next_draw_on,
          damage_is_reported_by_the_call_that_returns_the_batch, what_makes_no_sense_is_refused)
