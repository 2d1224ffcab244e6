// Packed records, on disk and in RAM, with every codec, quantised or not, against a naive twin and
// against a buffer that keeps all records in RAM: random steps, draws, priorities, commits,
// rollbacks, saves and loads, in rings that wrap many times.

#include "base/mem.h"
#include "replay/buffer_internal.h"
#include "tests/replay/packed_twin.h"

enum { BATCH = 24, HORIZONS = 3, CODECS = 7 };

typedef struct packed_case {
    int codec;
    bool disk;
    uint32_t stack, streams;
    int64_t chunk, quantize;
    uint64_t ring; // 0: short, and another one each time
} packed_case;

// What is gone back to.
typedef struct moment {
    stack_twin twin;
    step_feed feed;
    gn_blob mirrored, packed; // packed: RAM only
    uint64_t generation, checksum, contents;
} moment;

typedef struct double_run {
    replay_config config;
    replay_spec spec;
    stack_twin twin;
    step_feed feed;
    gn_random random;
    char folder[GN_PATH_SIZE];
    bool disk;
    replay_buffer *packed, *mirrored;
    replay_batch *a[HORIZONS + 1], *b[HORIZONS + 1]; // of as many horizons
    moment then;
} double_run;

static double_run the_run; // large

static void open_packed(double_run *run)
{
    expect_ok(replay_buffer_create(&run->packed, &run->config, &run->spec,
                                   run->disk ? run->folder : NULL, "run"));
}

static void open_run(double_run *run, const packed_case *of, uint64_t seed)
{
    memset(run, 0, sizeof *run);
    run->feed = feed_seed(seed, of->streams);
    run->random = gn_random_stream(seed, GN_RANDOM_SAMPLE, 0);
    run->spec = (replay_spec){ of->streams, TWIN_RECORD, of->stack };
    run->twin.streams = of->streams;
    run->twin.stack = of->stack;
    uint64_t ring = of->stack + 2 + test_rng_below(&run->feed.rng, 40);
    run->twin.ring = of->ring ? of->ring : ring;
    run->disk = of->disk;
    run->config = feed_config((int64_t)(run->twin.ring * of->streams), of->chunk, seed % 3 != 0);
    run->config.priority = seed % 3 == 1 ? REPLAY_RANK : REPLAY_PROPORTIONAL;
    run->config.durability = 2;
    run->config.quantize = of->quantize;
    run->config.codec = REPLAY_RAM;
    expect_ok(replay_buffer_create(&run->mirrored, &run->config, &run->spec, NULL, NULL));
    run->config.codec = of->codec;
    run->config.cache_mb = of->codec == REPLAY_RAM ? 0 : (int64_t)(seed % 2);
    if (run->disk)
        test_temp_folder(run->folder);
    open_packed(run);
    for (uint32_t h = 1; h <= HORIZONS; h++) {
        expect_ok(replay_batch_create(&run->a[h], &run->spec, BATCH, h));
        expect_ok(replay_batch_create(&run->b[h], &run->spec, BATCH, h));
    }
}

static void close_run(double_run *run)
{
    replay_buffer_destroy(&run->packed);
    replay_buffer_destroy(&run->mirrored);
    for (uint32_t h = 1; h <= HORIZONS; h++) {
        replay_batch_destroy(&run->a[h]);
        replay_batch_destroy(&run->b[h]);
    }
    gn_blob_free(&run->then.mirrored);
    gn_blob_free(&run->then.packed);
    if (run->disk)
        test_temp_remove(run->folder);
}

static gn_status put_step(replay_buffer *buffer, const feed_step *step, const unsigned char *record)
{
    if (step->begins)
        return replay_buffer_begin(buffer, step->stream, record);
    return replay_buffer_add(buffer, step->stream, step->action, step->reward, step->terminated,
                             step->truncated, record);
}

// What a record comes back as: within half a step of what was added.
static void quantized_record(const unsigned char *record, int bits, unsigned char *ret_record)
{
    enum { FLOATS = TWIN_RECORD / sizeof(float) };
    unsigned char bytes[2 * sizeof(float) + TWIN_RECORD];
    float from[FLOATS], to[FLOATS], step;
    memcpy(from, record, sizeof from);
    expect_ok(replay_quantize(from, FLOATS, bits, bytes));
    replay_dequantize(bytes, FLOATS, bits, to);
    memcpy(&step, bytes + sizeof(float), sizeof step);
    for (size_t i = 0; i < FLOATS; i++)
        assert_true(fabsf(to[i] - from[i]) <= step / 2 * 1.001F + fabsf(from[i]) * 0x1p-23F);
    memcpy(ret_record, to, sizeof to);
}

// A record with a number that is none is refused, and can be given again.
static void refuse_a_step(double_run *run, const feed_step *step, const unsigned char *record)
{
    unsigned char bad[TWIN_RECORD];
    const float nan = NAN;
    uint64_t before = feed_checksum(run->packed);
    memcpy(bad, record, sizeof bad);
    memcpy(bad + sizeof nan * test_rng_below(&run->feed.rng, TWIN_RECORD / sizeof nan), &nan,
           sizeof nan);
    expect_fails(GN_ERR_NUMERIC, "is nan", put_step(run->packed, step, bad));
    assert_int_equal(feed_checksum(run->packed), before);
    assert_int_equal(replay_buffer_count(run->packed), twin_count(&run->twin));
}

static void add_steps(double_run *run, uint64_t n)
{
    for (; n > 0; n--) {
        unsigned char record[TWIN_RECORD], back[TWIN_RECORD];
        feed_step step = feed_draw(&run->feed);
        twin_record(&step, record);
        memcpy(back, record, sizeof back);
        if (run->config.quantize) {
            quantized_record(record, (int)run->config.quantize, back);
            if (test_rng_below(&run->feed.rng, 20) == 0)
                refuse_a_step(run, &step, record);
        }
        expect_ok(put_step(run->packed, &step, record));
        expect_ok(put_step(run->mirrored, &step, record));
        twin_add(&run->twin, &step, back);
    }
}

static void draw_and_learn(double_run *run)
{
    static const int64_t steps[] = { 1, 3, 5 };
    float priority[BATCH];
    uint32_t horizons = test_rng_below(&run->feed.rng, 2) ? 1 : HORIZONS;
    replay_draw draw = { .horizons = horizons,
                         .gamma = test_rng_unit(&run->feed.rng),
                         .beta = test_rng_unit(&run->feed.rng) };
    for (uint32_t h = 0; h < horizons; h++)
        draw.n_step[h] = steps[test_rng_below(&run->feed.rng, 3)];
    gn_random same = run->random;
    replay_batch *a = run->a[horizons], *b = run->b[horizons];
    expect_ok(replay_buffer_sample(run->packed, &draw, &run->random, a));
    expect_ok(replay_buffer_sample(run->mirrored, &draw, &same, b));
    assert_int_equal(run->random.position, same.position);
    expect_same_batch(a, b);
    for (size_t i = 0; i < BATCH; i++) {
        twin_check_row(&run->twin, &draw, a, i);
        priority[i] = (float)(3 * test_rng_unit(&run->feed.rng));
    }
    expect_ok(replay_buffer_set_priorities(run->packed, a->item, priority, BATCH));
    expect_ok(replay_buffer_set_priorities(run->mirrored, a->item, priority, BATCH));
}

static void remember(double_run *run)
{
    moment *then = &run->then;
    gn_blob_clear(&then->mirrored);
    gn_blob_clear(&then->packed);
    then->contents = feed_checksum(run->packed);
    assert_int_equal(feed_checksum(run->mirrored), then->contents);
    if (run->disk) {
        then->generation++;
        expect_ok(feed_commit(run->packed, then->generation, then->generation, &then->checksum));
    } else {
        replay_buffer_save(run->packed, &then->packed);
        expect_ok(gn_blob_status(&then->packed));
    }
    replay_buffer_save(run->mirrored, &then->mirrored);
    expect_ok(gn_blob_status(&then->mirrored));
    then->twin = run->twin;
    then->feed = run->feed;
}

// The feed goes on elsewhere: what comes is another future.
static void go_back(double_run *run)
{
    moment *then = &run->then;
    test_rng rng = run->feed.rng;
    if (then->mirrored.size == 0)
        return;
    if (test_rng_below(&rng, 2)) {
        replay_buffer_destroy(&run->packed);
        open_packed(run);
    }
    if (run->disk) {
        expect_ok(replay_buffer_rollback(run->packed, then->generation, then->checksum));
    } else {
        then->packed.cursor = 0;
        expect_ok(replay_buffer_load(run->packed, &then->packed));
        assert_int_equal(then->packed.cursor, then->packed.size);
        gn_blob again = { 0 };
        replay_buffer_save(run->packed, &again);
        expect_ok(gn_blob_status(&again));
        assert_int_equal(again.size, then->packed.size);
        assert_memory_equal(again.data, then->packed.data, again.size);
        gn_blob_free(&again);
    }
    then->mirrored.cursor = 0;
    expect_ok(replay_buffer_load(run->mirrored, &then->mirrored));
    assert_int_equal(feed_checksum(run->packed), then->contents);
    run->twin = then->twin;
    run->feed = then->feed;
    run->feed.rng = rng;
}

static void run_case(const packed_case *of, uint64_t seed)
{
    enum { ROUNDS = 60, ADDS = 16 };
    double_run *run = &the_run;
    open_run(run, of, seed);
    for (int round = 0; round < ROUNDS; round++) {
        add_steps(run, test_rng_below(&run->feed.rng, ADDS));
        assert_int_equal(replay_buffer_count(run->packed), twin_count(&run->twin));
        if (replay_buffer_count(run->packed) > 0)
            draw_and_learn(run);
        if (test_rng_below(&run->feed.rng, 6) == 0)
            remember(run);
        if (test_rng_below(&run->feed.rng, run->disk ? 25 : 10) == 0)
            go_back(run);
    }
    assert_int_equal(feed_checksum(run->packed), feed_checksum(run->mirrored));
}

static void run_cases(bool disk, int64_t quantize, int first_stack)
{
    static const uint32_t stacks[] = { 1, 2, 4 }, streams[] = { 1, 3 };
    static const int64_t chunks[] = { 1, 2, 3, 7, 64 };
    uint64_t seed = 0;
    for (int codec = REPLAY_RAM; codec < CODECS; codec++)
        for (int s = first_stack; s < 3; s++)
            for (int n = 0; n < 2; n++)
                for (int c = disk && n == s % 2; c < 5; c += disk ? 2 : 1) { // disks are slow
                    packed_case of = { codec, disk, stacks[s], streams[n], chunks[c], quantize, 0 };
                    run_case(&of, seed++);
                    close_run(&the_run);
                }
}

static void packed_in_ram_draws_what_the_twin_holds(void **state)
{
    (void)state;
    run_cases(false, 0, 0);
}

static void packed_on_disk_draws_what_the_twin_holds(void **state)
{
    (void)state;
    run_cases(true, 0, 0);
}

static void quantised_records_come_back_the_same_wherever_they_lie(void **state)
{
    (void)state;
    run_cases(false, 8, 1);
    run_cases(true, 16, 2);
}

static void records_coded_with_models_do_too(void **state)
{
    (void)state;
    for (int disk = 0; disk < 2; disk++)
        for (uint64_t seed = 0; seed < 4; seed++) {
            int codec = seed % 2 ? REPLAY_PATCH : REPLAY_ZSTD_DICT;
            packed_case of = { codec, disk, 4, 1, 64, 0, 230 };
            run_case(&of, seed);
            remember(&the_run); // its writer has nothing left to do
            assert_true(replay_writer_models(the_run.packed->writer) > 0);
            go_back(&the_run);
            draw_and_learn(&the_run);
            close_run(&the_run);
        }
}

TEST_MAIN(records_coded_with_models_do_too, packed_in_ram_draws_what_the_twin_holds,
          packed_on_disk_draws_what_the_twin_holds,
          quantised_records_come_back_the_same_wherever_they_lie)
