// The n-th allocation fails, for every n, in all that a replay buffer and its store do: nothing
// leaks, nothing crashes, and what failed is as if it had not been tried, or empty where that is
// documented. Allocations of the background thread count too.

#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "replay/reader.h"
#include "replay/salvage.h"
#include "replay/sampler.h"
#include "replay/store.h"
#include "replay/verify.h"
#include "tests/replay/mixed.h"

// Nothing here is about power cuts: syncing is left out.
int fsync(int file)
{
    (void)file;
    return 0;
}

int fdatasync(int file)
{
    (void)file;
    return 0;
}

typedef struct variant {
    int codec;
    bool on_disk;
    int64_t quantize;
} variant;

static const variant variants[] = {
    { REPLAY_RAM, false, 0 },      { REPLAY_RAM, true, 0 },    { REPLAY_ZSTD_DICT, false, 0 },
    { REPLAY_ZSTD_DICT, true, 0 }, { REPLAY_DELTA, true, 16 }, { REPLAY_NONE, true, 0 },
    { REPLAY_PATCH, true, 0 },
};
enum { VARIANTS = sizeof variants / sizeof *variants, STEPS = 500 };

static mixed kind_of(const variant *of)
{
    mixed self;
    self.config = feed_config(600, 64, true);
    self.config.codec = of->codec;
    self.config.quantize = of->quantize;
    self.config.priority = REPLAY_RANK;
    self.config.durability = REPLAY_DURABLE_NONE;
    self.config.cache_mb = of->codec != REPLAY_RAM;
    self.spec = (replay_spec){ 2, MIXED_RECORD, 2 };
    return self;
}

// A try at which the n-th allocation fails; whether one did.
typedef bool (*attempt)(const variant *of, const char *folder, uint64_t n);

static void try_all(attempt one, bool in_ram, bool on_disk)
{
    for (size_t v = 0; v < VARIANTS; v++) {
        if (!(variants[v].on_disk ? on_disk : in_ram))
            continue;
        bool failed = true;
        uint64_t live = gn_mem_live(), n = 1;
        for (; failed; n++) {
            char folder[GN_PATH_SIZE];
            test_temp_folder(folder);
            failed = one(&variants[v], folder, n);
            gn_mem_fail_at(0);
            assert_int_equal(gn_mem_live(), live);
            test_temp_remove(folder);
        }
        assert_true(n > 2);
    }
}

static bool create(const variant *of, const char *folder, uint64_t n)
{
    mixed kind = kind_of(of);
    replay_buffer *buffer = NULL;
    const char *where = of->on_disk ? folder : NULL;
    gn_mem_fail_at(n);
    gn_status status = replay_buffer_create(&buffer, &kind.config, &kind.spec, where, "run");
    gn_mem_fail_at(0);
    if (status != GN_OK) {
        assert_int_equal(status, GN_ERR_MEMORY);
        assert_null(buffer);
        expect_ok(replay_buffer_create(&buffer, &kind.config, &kind.spec, where, "run"));
    }
    replay_buffer_destroy(&buffer);
    return status != GN_OK;
}

static bool count_failure(void *user, gn_status status)
{
    assert_int_equal(status, GN_ERR_MEMORY);
    ++*(int *)user;
    return true;
}

static uint64_t contents_of(const mixed *kind, const step_feed *from, size_t steps)
{
    step_feed feed = *from;
    replay_buffer *twin = mixed_open_twin(kind);
    mixed_add(&feed, twin, steps, NULL, NULL);
    uint64_t checksum = feed_checksum(twin);
    replay_buffer_destroy(&twin);
    return checksum;
}

// Adds until chunks are sealed, commits or saves, and goes on.
static bool add_and_commit(const variant *of, const char *folder, uint64_t n)
{
    mixed kind = kind_of(of);
    step_feed feed = feed_seed(1, kind.spec.streams);
    uint64_t expected = contents_of(&kind, &feed, STEPS), state;
    replay_buffer *buffer = mixed_open(&kind, of->on_disk ? folder : NULL);
    int failures = 0;
    gn_mem_fail_at(n);
    mixed_add(&feed, buffer, STEPS, count_failure, &failures);
    gn_status status;
    if (of->on_disk) {
        while ((status = replay_buffer_commit(buffer, 1, 0)) != GN_OK)
            count_failure(&failures, status);
        while ((status = replay_buffer_await(buffer, &state)) != GN_OK)
            count_failure(&failures, status);
    } else {
        gn_blob blob = { 0 };
        for (replay_buffer_save(buffer, &blob); gn_blob_status(&blob) != GN_OK;
             replay_buffer_save(buffer, &blob)) {
            count_failure(&failures, gn_blob_status(&blob));
            gn_blob_free(&blob);
        }
        gn_blob_free(&blob);
    }
    gn_mem_fail_at(0);
    assert_int_equal(feed_checksum(buffer), expected);
    if (of->on_disk) {
        expect_ok(replay_buffer_rollback(buffer, 1, state));
        assert_int_equal(feed_checksum(buffer), expected);
    }
    replay_buffer_destroy(&buffer);
    return failures > 0;
}

static uint64_t make_store(const mixed *kind, const char *folder)
{
    step_feed feed = feed_seed(1, kind->spec.streams);
    uint64_t state;
    replay_buffer *buffer = mixed_open(kind, folder);
    mixed_add(&feed, buffer, STEPS, NULL, NULL);
    expect_ok(feed_commit(buffer, 1, 0, &state));
    mixed_add(&feed, buffer, STEPS / 2, NULL, NULL);
    uint64_t later;
    expect_ok(feed_commit(buffer, 2, 0, &later));
    replay_buffer_destroy(&buffer);
    return state;
}

// As it was, or empty and to be rolled back again.
static bool rollback(const variant *of, const char *folder, uint64_t n)
{
    mixed kind = kind_of(of);
    step_feed feed = feed_seed(1, kind.spec.streams);
    uint64_t expected = contents_of(&kind, &feed, STEPS), state = make_store(&kind, folder);
    replay_buffer *buffer = mixed_open(&kind, folder);
    expect_ok(replay_buffer_rollback(buffer, 1, state));
    for (int i = 0; i < STEPS; i++) // those that are there
        feed_draw(&feed);
    mixed_add(&feed, buffer, 1, NULL, NULL);
    uint64_t before = feed_checksum(buffer);
    gn_mem_fail_at(n);
    gn_status status = replay_buffer_rollback(buffer, 1, state);
    gn_mem_fail_at(0);
    if (status != GN_OK) {
        assert_int_equal(status, GN_ERR_MEMORY);
        feed_step step = { .stream = 0, .begins = true };
        if (replay_buffer_count(buffer) == 0)
            expect_fails(GN_ERR_STATE, "roll back", mixed_put(buffer, &step));
        else
            assert_int_equal(feed_checksum(buffer), before);
        expect_ok(replay_buffer_rollback(buffer, 1, state));
    }
    assert_int_equal(feed_checksum(buffer), expected);
    replay_buffer_destroy(&buffer);
    return status != GN_OK;
}

// RAM only: a load that fails leaves the buffer empty.
static bool load(const variant *of, const char *folder, uint64_t n)
{
    (void)folder;
    mixed kind = kind_of(of);
    step_feed feed = feed_seed(1, kind.spec.streams);
    replay_buffer *buffer = mixed_open(&kind, NULL), *loaded = mixed_open(&kind, NULL);
    mixed_add(&feed, buffer, STEPS, NULL, NULL);
    gn_blob blob = { 0 };
    replay_buffer_save(buffer, &blob);
    expect_ok(gn_blob_status(&blob));
    gn_blob in = blob;
    gn_mem_fail_at(n);
    gn_status status = replay_buffer_load(loaded, &in);
    gn_mem_fail_at(0);
    if (status != GN_OK) {
        assert_int_equal(status, GN_ERR_MEMORY);
        assert_int_equal(replay_buffer_count(loaded), 0);
        in = blob;
        expect_ok(replay_buffer_load(loaded, &in));
    }
    assert_int_equal(feed_checksum(loaded), feed_checksum(buffer));
    gn_blob_free(&blob);
    replay_buffer_destroy(&loaded);
    replay_buffer_destroy(&buffer);
    return status != GN_OK;
}

static bool sample_ahead(const variant *of, const char *folder, uint64_t n)
{
    enum { BATCH = 32, ROUNDS = 6, AHEAD = 2 };
    mixed kind = kind_of(of);
    step_feed feed = feed_seed(1, kind.spec.streams);
    replay_buffer *buffer = mixed_open(&kind, of->on_disk ? folder : NULL);
    mixed_add(&feed, buffer, STEPS, NULL, NULL);
    gn_random random = gn_random_stream(1, GN_RANDOM_SAMPLE, 0);
    replay_sampler *sampler = NULL;
    const replay_batch *batch;
    const replay_draw draw = { { 3 }, 1, 0.9, 0.5 };
    bool failed = false;
    gn_mem_fail_at(n);
    gn_status status = replay_sampler_create(&sampler, buffer, BATCH, 1, AHEAD);
    for (int i = 0; i < ROUNDS && status == GN_OK; i++)
        status = replay_sampler_next(sampler, BATCH, &draw, &random, &batch);
    if (status != GN_OK) {
        assert_int_equal(status, GN_ERR_MEMORY);
        failed = true;
    }
    gn_mem_fail_at(0);
    int told = 0; // a batch that was on its way may have failed, too
    while (sampler &&
           (status = replay_sampler_next(sampler, BATCH, &draw, &random, &batch)) != GN_OK)
        count_failure(&told, status);
    assert_true(told <= 1);
    replay_sampler_destroy(&sampler);
    replay_buffer_destroy(&buffer);
    return failed;
}

static gn_status read_all(const char *folder)
{
    replay_reader *reader;
    replay_generation generation;
    replay_slots slots = { .count = 1 };
    GN_TRY(replay_reader_open(&reader, folder, NULL));
    gn_status status = replay_reader_begin(reader, 0, &generation);
    while (status == GN_OK && slots.count > 0)
        status = replay_reader_next(reader, &slots);
    replay_reader_close(&reader);
    return status;
}

static bool read_verify_and_salvage(const variant *of, const char *folder, uint64_t n)
{
    mixed kind = kind_of(of);
    char to[GN_PATH_SIZE];
    replay_findings findings = { 0 };
    replay_verified verified;
    replay_salvaged salvaged;
    expect_ok(gn_path_join(to, folder, "salvaged"));
    make_store(&kind, folder);
    gn_mem_fail_at(n);
    gn_status reading = read_all(folder);
    gn_mem_fail_at(n);
    gn_status verifying = replay_verify(folder, &findings, &verified);
    gn_mem_fail_at(n);
    gn_status salvaging = replay_salvage(folder, to, &salvaged);
    gn_mem_fail_at(0);
    assert_true(reading == GN_OK || reading == GN_ERR_MEMORY);
    assert_true(verifying == GN_OK || verifying == GN_ERR_MEMORY);
    assert_int_equal(findings.count, 0);
    assert_true(salvaging == GN_OK || (salvaging == GN_ERR_MEMORY && !gn_path_exists(to)));
    if (salvaging == GN_OK)
        expect_ok(read_all(to));
    return reading != GN_OK || verifying != GN_OK || salvaging != GN_OK;
}

static void creating(void **state)
{
    (void)state;
    try_all(create, true, true);
}

static void adding_committing_and_saving(void **state)
{
    (void)state;
    try_all(add_and_commit, true, true);
}

static void rolling_back_and_loading(void **state)
{
    (void)state;
    try_all(rollback, false, true);
    try_all(load, true, false);
}

static void sampling_ahead(void **state)
{
    (void)state;
    try_all(sample_ahead, true, true);
}

static void reading_verifying_and_salvaging(void **state)
{
    (void)state;
    try_all(read_verify_and_salvage, false, true);
}

TEST_MAIN(creating, adding_committing_and_saving, rolling_back_and_loading, sampling_ahead,
          reading_verifying_and_salvaging)
