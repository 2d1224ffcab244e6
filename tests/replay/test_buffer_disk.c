// The buffer on disk: what a commit promised is there after kill -9 at any instant, a rollback is
// exact, and contents do not depend on what was abandoned. A buffer in RAM is the twin.

#include <errno.h>
#include <lmdb.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compress.h"
#include "base/mem.h"
#include "replay/buffer.h"
#include "replay/store.h"
#include "tests/replay/feed.h"
#include "tests/support/check.h"

enum { STREAMS = 3, CAPACITY = 300, CHUNK = 16 };

static replay_buffer *open_buffer(const char *folder, bool prioritized)
{
    replay_config config = feed_config(CAPACITY, CHUNK, prioritized);
    replay_buffer *buffer;
    expect_ok(replay_buffer_create(&buffer, &config, &(replay_spec){ STREAMS, FEED_RECORD, 1 },
                                   folder, "run"));
    return buffer;
}

// What two buffers must have in common: `contents` is equal for disk and RAM, `state` names a
// generation on disk.
typedef struct sums {
    uint64_t contents, state;
} sums;

// One round of a run: steps and training, as many as the feed says.
static void feed_round(step_feed *feed, replay_buffer *buffer)
{
    feed_add(feed, buffer, test_rng_below(&feed->rng, 120));
    feed_train(feed, buffer);
}

static sums commit(replay_buffer *buffer, uint64_t generation, uint64_t oldest)
{
    sums sum = { .contents = feed_checksum(buffer) };
    expect_ok(feed_commit(buffer, generation, oldest, &sum.state));
    assert_int_equal(sum.contents, feed_checksum(buffer));
    return sum;
}

static void disk_and_ram_hold_the_same_and_every_kept_generation_comes_back(void **state)
{
    (void)state;
    enum { GENERATIONS = 30, KEPT = 6 };
    for (int prioritized = 0; prioritized < 2; prioritized++) {
        char folder[GN_PATH_SIZE];
        test_temp_folder(folder);
        replay_buffer *disk = open_buffer(folder, prioritized);
        replay_buffer *ram = open_buffer(NULL, prioritized);
        step_feed feed = feed_seed(1, STREAMS), after[GENERATIONS + 1];
        sums sum[GENERATIONS + 1];
        for (uint64_t i = 1; i <= GENERATIONS; i++) {
            step_feed same = feed;
            feed_round(&feed, disk);
            feed_round(&same, ram);
            sum[i] = commit(disk, i, i < KEPT ? 0 : i - KEPT + 1);
            assert_int_equal(sum[i].contents, feed_checksum(ram));
            after[i] = feed;
        }
        feed_round(&feed, disk); // abandoned
        for (uint64_t i = GENERATIONS; i > GENERATIONS - KEPT; i--) {
            if (i % 2 == 0) { // as a resumed run does it
                replay_buffer_destroy(&disk);
                disk = open_buffer(folder, prioritized);
            }
            expect_ok(replay_buffer_rollback(disk, i, sum[i].state));
            assert_int_equal(feed_checksum(disk), sum[i].contents);
        }
        uint64_t oldest = GENERATIONS - KEPT + 1;
        expect_fails(GN_ERR_NOT_FOUND, "no generation", replay_buffer_rollback(disk, 3, 0));
        feed = after[oldest];
        feed_round(&feed, disk);
        sums again = commit(disk, oldest + 1, 0);
        assert_int_equal(again.contents, sum[oldest + 1].contents);
        assert_int_equal(again.state, sum[oldest + 1].state);
        replay_buffer_destroy(&disk);
        replay_buffer_destroy(&ram);
        test_temp_remove(folder);
    }
}

// Chunks about as large as the ring, which is overwritten many times.
static void the_smallest_rings_work_and_old_chunks_go(void **state)
{
    (void)state;
    enum { RINGS = 9, GENERATIONS = 12 };
    for (int64_t ring = 3; ring < RINGS; ring++) {
        replay_config config = feed_config(ring, 1024, true);
        char folder[GN_PATH_SIZE];
        test_temp_folder(folder);
        replay_buffer *disk, *ram;
        expect_ok(replay_buffer_create(&disk, &config, &(replay_spec){ 1, FEED_RECORD, 1 }, folder,
                                       "run"));
        expect_ok(
            replay_buffer_create(&ram, &config, &(replay_spec){ 1, FEED_RECORD, 1 }, NULL, NULL));
        step_feed feed = feed_seed((uint64_t)ring, 1);
        for (uint64_t i = 1; i <= GENERATIONS; i++) {
            step_feed same = feed;
            feed_round(&feed, disk);
            feed_round(&same, ram);
            sums sum = commit(disk, i, i);
            assert_int_equal(sum.contents, feed_checksum(ram));
            expect_ok(replay_buffer_rollback(disk, i, sum.state));
            assert_int_equal(feed_checksum(disk), sum.contents);
        }
        replay_buffer_destroy(&disk);
        replay_buffer_destroy(&ram);
        const replay_layout layout = { .streams = 1,
                                       .record_size = FEED_RECORD,
                                       .capacity = (uint64_t)ring,
                                       .chunk = (uint32_t)ring - 1 };
        unsigned char bytes[1024];
        size_t size;
        replay_store *store;
        expect_ok(replay_store_open(&store, folder, "run", &layout));
        expect_fails(GN_ERR_NOT_FOUND, "chunk 0 of stream 0",
                     replay_store_get_chunk(store, 0, 0, bytes, sizeof bytes, &size));
        replay_store_close(&store);
        test_temp_remove(folder);
    }
}

// Chunks that take long to code, in a ring that has hardly more room: the thread reads records
// where they are, so what comes after a commit must not overwrite those that it holds.
static void what_is_on_its_way_is_not_overwritten(void **state)
{
    (void)state;
    enum { RING = 1500, GENERATIONS = 4 };
    replay_config config = feed_config(RING, 1024, false);
    config.compression = 19;
    char folder[GN_PATH_SIZE];
    test_temp_folder(folder);
    replay_buffer *disk;
    expect_ok(
        replay_buffer_create(&disk, &config, &(replay_spec){ 1, FEED_RECORD, 1 }, folder, "run"));
    step_feed feed = feed_seed(1, 1);
    for (uint64_t i = 1; i <= GENERATIONS; i++) {
        uint64_t state_sum;
        feed_add(&feed, disk, 3 * RING);
        uint64_t contents = feed_checksum(disk);
        expect_ok(replay_buffer_commit(disk, i, i));
        step_feed abandoned = feed;
        feed_add(&abandoned, disk, RING);
        expect_ok(replay_buffer_await(disk, &state_sum));
        expect_ok(replay_buffer_rollback(disk, i, state_sum));
        assert_int_equal(feed_checksum(disk), contents);
    }
    replay_buffer_destroy(&disk);
    test_temp_remove(folder);
}

// More than a ring of packed records before the first commit: most of their chunks are overwritten
// before they are written.
static void chunks_that_are_overwritten_before_their_commit_are_no_loss(void **state)
{
    (void)state;
    replay_config config = feed_config(40, 16, true);
    config.codec = REPLAY_NONE;
    const replay_spec spec = { 1, FEED_RECORD, 1 };
    char folder[GN_PATH_SIZE];
    test_temp_folder(folder);
    replay_buffer *disk, *ram;
    expect_ok(replay_buffer_create(&disk, &config, &spec, folder, "run"));
    expect_ok(replay_buffer_create(&ram, &config, &spec, NULL, NULL));
    step_feed feed = feed_seed(13, 1), same = feed;
    for (uint64_t i = 1; i <= 8; i++) {
        feed_add(&feed, disk, 16 * i);
        feed_add(&same, ram, 16 * i);
        sums sum = commit(disk, i, i);
        assert_int_equal(sum.contents, feed_checksum(ram));
        expect_ok(replay_buffer_rollback(disk, i, sum.state));
        assert_int_equal(feed_checksum(disk), sum.contents);
    }
    replay_buffer_destroy(&disk);
    replay_buffer_destroy(&ram);
    test_temp_remove(folder);
}

static void nothing_is_added_before_the_rollback_that_is_due(void **state)
{
    (void)state;
    char folder[GN_PATH_SIZE];
    unsigned char record[FEED_RECORD] = { 0 };
    test_temp_folder(folder);
    replay_buffer *buffer = open_buffer(folder, true);
    step_feed feed = feed_seed(2, STREAMS);
    feed_round(&feed, buffer);
    uint64_t checksum = commit(buffer, 1, 0).state, other;
    replay_buffer_destroy(&buffer);
    buffer = open_buffer(folder, true);
    expect_fails(GN_ERR_STATE, "roll back", replay_buffer_begin(buffer, 0, record));
    expect_fails(GN_ERR_STATE, "roll back", feed_commit(buffer, 2, 0, &other));
    expect_ok(replay_buffer_rollback(buffer, 1, checksum));
    feed_round(&feed, buffer);
    uint64_t before = feed_checksum(buffer);
    expect_fails(GN_ERR_NOT_FOUND, "no generation 7", replay_buffer_rollback(buffer, 7, 0));
    assert_int_equal(feed_checksum(buffer), before);
    expect_fails(GN_ERR_CORRUPT, "generation 1 has checksum",
                 replay_buffer_rollback(buffer, 1, checksum + 1));
    assert_int_equal(replay_buffer_count(buffer), 0);
    expect_fails(GN_ERR_STATE, "roll back", replay_buffer_begin(buffer, 0, record));
    expect_ok(replay_buffer_rollback(buffer, 1, checksum));
    gn_blob blob = { 0 };
    replay_buffer_save(buffer, &blob);
    assert_int_equal(gn_blob_status(&blob), GN_ERR_STATE);
    expect_fails(GN_ERR_STATE, "rolled back, not loaded", replay_buffer_load(buffer, &blob));
    gn_blob_free(&blob);
    replay_buffer_destroy(&buffer);
    test_temp_remove(folder);
}

static void chunks_without_any_generation_are_removed(void **state)
{
    (void)state;
    enum { SIZE = 300, PUTS = 16000 };
    const replay_layout layout = { .streams = STREAMS,
                                   .record_size = FEED_RECORD,
                                   .capacity = CAPACITY / STREAMS,
                                   .chunk = CHUNK };
    static unsigned char bytes[SIZE];
    char folder[GN_PATH_SIZE];
    size_t size;
    test_temp_folder(folder);
    replay_store *store;
    expect_ok(replay_store_open(&store, folder, "run", &layout));
    for (uint64_t chunk = 0; chunk < PUTS; chunk++) // until the queue is written
        expect_ok(replay_store_put_chunk(store, chunk, 0, bytes, SIZE, NULL, 0));
    expect_ok(replay_store_get_chunk(store, 0, 0, bytes, SIZE, &size));
    replay_store_close(&store);
    replay_buffer *buffer = open_buffer(folder, false);
    replay_buffer_destroy(&buffer);
    expect_ok(replay_store_open(&store, folder, "run", &layout));
    expect_fails(GN_ERR_NOT_FOUND, "chunk 0 of stream 0",
                 replay_store_get_chunk(store, 0, 0, bytes, SIZE, &size));
    replay_store_close(&store);
    test_temp_remove(folder);
}

// --- contents

static void digest_database(MDB_txn *txn, MDB_dbi database, gn_digest *digest)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    assert_int_equal(mdb_cursor_open(txn, database, &cursor), 0);
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        gn_digest_add(digest, &key.mv_size, sizeof key.mv_size);
        gn_digest_add(digest, key.mv_data, key.mv_size);
        gn_digest_add(digest, &value.mv_size, sizeof value.mv_size);
        gn_digest_add(digest, value.mv_data, value.mv_size);
    }
    mdb_cursor_close(cursor);
}

// All entries of a store, as mdb_dump would list them.
static void digest_store(const char *folder, char ret_text[33])
{
    static const char *const names[] = { "about", "body", "chunk", "model", "generation" };
    enum { NAMES = sizeof names / sizeof *names };
    MDB_env *env;
    MDB_txn *txn;
    gn_digest *digest;
    expect_ok(gn_digest_create(&digest));
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, NAMES), 0);
    assert_int_equal(mdb_env_open(env, folder, MDB_RDONLY, 0), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    for (size_t i = 0; i < NAMES; i++) {
        MDB_dbi database;
        assert_int_equal(mdb_dbi_open(txn, names[i], 0, &database), 0);
        digest_database(txn, database, digest);
    }
    mdb_txn_abort(txn);
    mdb_env_close(env);
    gn_digest_text(digest, ret_text);
    gn_digest_destroy(&digest);
}

static void what_was_abandoned_leaves_no_trace(void **state)
{
    (void)state;
    enum { GENERATIONS = 25 };
    char straight[GN_PATH_SIZE], winding[GN_PATH_SIZE], expected[33], found[33];
    test_temp_folder(straight);
    test_temp_folder(winding);
    replay_buffer *a = open_buffer(straight, true), *b = open_buffer(winding, true);
    step_feed feed = feed_seed(3, STREAMS);
    for (uint64_t i = 1; i <= GENERATIONS; i++) {
        step_feed same = feed, future;
        feed_round(&feed, a);
        uint64_t checksum = commit(a, i, i - 1).state;
        feed_round(&same, b);
        commit(b, i, i - 1);
        if (i % 4 != 0)
            continue;
        future = feed_seed(100 + i, STREAMS);
        memcpy(future.running, same.running, sizeof future.running);
        for (uint64_t later = i + 1; later < i + 4; later++) {
            feed_round(&future, b);
            commit(b, later, i);
        }
        feed_round(&future, b);
        replay_buffer_destroy(&b);
        b = open_buffer(winding, true);
        expect_ok(replay_buffer_rollback(b, i, checksum));
    }
    replay_buffer_destroy(&a);
    replay_buffer_destroy(&b);
    digest_store(straight, expected);
    digest_store(winding, found);
    assert_string_equal(found, expected);
    test_temp_remove(straight);
    test_temp_remove(winding);
}

static void a_cleared_buffer_is_a_new_one(void **state)
{
    (void)state;
    char fresh[GN_PATH_SIZE], cleared[GN_PATH_SIZE], expected[33], found[33];
    test_temp_folder(fresh);
    test_temp_folder(cleared);
    replay_buffer *a = open_buffer(fresh, true), *b = open_buffer(cleared, true);
    step_feed feed = feed_seed(11, STREAMS), other = feed_seed(12, STREAMS);
    for (uint64_t i = 1; i <= 5; i++) {
        feed_round(&other, b);
        commit(b, 100 * i, 0);
    }
    replay_buffer_destroy(&b);
    b = open_buffer(cleared, true); // a rollback is due: clearing does as well
    expect_ok(replay_buffer_clear(b));
    assert_int_equal(feed_checksum(a), feed_checksum(b));
    for (uint64_t i = 1; i <= 5; i++) {
        step_feed same = feed;
        feed_round(&feed, a);
        feed_round(&same, b);
        assert_int_equal(commit(a, i, 0).state, commit(b, i, 0).state);
    }
    replay_buffer_destroy(&a);
    replay_buffer_destroy(&b);
    digest_store(fresh, expected);
    digest_store(cleared, found);
    assert_string_equal(found, expected);
    test_temp_remove(fresh);
    test_temp_remove(cleared);
}

// --- kill -9

typedef struct promise {
    uint64_t generation;
    sums sum;
} promise;

// The child: a run that goes on from `from` until it is killed, and says what it committed.
static void run_until_killed(const char *folder, promise from, step_feed feed, int out)
{
    replay_buffer *buffer = open_buffer(folder, true);
    if (from.generation > 0)
        expect_ok(replay_buffer_rollback(buffer, from.generation, from.sum.state));
    for (;;) {
        feed_round(&feed, buffer);
        from.generation++;
        from.sum = commit(buffer, from.generation, from.generation - 1);
        if (write(out, &from, sizeof from) != sizeof from)
            _exit(1);
    }
}

// Starts a run, kills it some time after its second promise, returns the last it made.
static promise kill_a_run(const char *folder, promise from, step_feed feed, test_rng *rng)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        run_until_killed(folder, from, feed, ends[1]);
    }
    close(ends[1]);
    promise last = from;
    for (uint64_t heard = 1 + test_rng_below(rng, 4); heard > 0; heard--)
        assert_int_equal(read(ends[0], &last, sizeof last), sizeof last);
    volatile uint64_t spin = test_rng_below(rng, 3000000); // up to about a round
    while (spin > 0)
        spin--;
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    while (read(ends[0], &last, sizeof last) == sizeof last)
        ;
    close(ends[0]);
    return last;
}

static void promised_generations_survive_kill_9(void **state)
{
    (void)state;
    enum { KILLS = 20 };
    char folder[GN_PATH_SIZE];
    test_temp_folder(folder);
    replay_buffer *twin = open_buffer(NULL, true);
    test_rng rng = test_rng_seed(4);
    step_feed feed = feed_seed(4, STREAMS);
    promise last = { 0 };
    for (int kills = 0; kills < KILLS; kills++) {
        uint64_t generation = last.generation;
        last = kill_a_run(folder, last, feed, &rng);
        for (; generation < last.generation; generation++)
            feed_round(&feed, twin);
        assert_int_equal(feed_checksum(twin), last.sum.contents);
        replay_buffer *buffer = open_buffer(folder, true);
        expect_ok(replay_buffer_rollback(buffer, last.generation, last.sum.state));
        assert_int_equal(feed_checksum(buffer), last.sum.contents);
        replay_buffer_destroy(&buffer);
    }
    replay_buffer_destroy(&twin);
    test_temp_remove(folder);
}

// --- a full disk

// The child: adds and commits until the disk is full, makes room, and waits for what failed. Says
// the checksum of the last commit.
static int run_on_a_full_disk(const char *folder, int out)
{
    replay_buffer *buffer = open_buffer(folder, true);
    char path[GN_PATH_SIZE];
    struct stat about;
    struct rlimit limit, full;
    expect_ok(gn_path_join(path, folder, "data.mdb"));
    stat(path, &about);
    getrlimit(RLIMIT_FSIZE, &limit);
    full = limit;
    full.rlim_cur = (rlim_t)about.st_size + 100000;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &full);
    step_feed feed = feed_seed(5, STREAMS);
    uint64_t checksum = 0;
    int failures = 0;
    for (uint64_t generation = 1; generation <= 40; generation++) {
        feed_round(&feed, buffer);
        gn_status status = feed_commit(buffer, generation, 0, &checksum);
        if (status == GN_ERR_FULL) {
            failures++;
            setrlimit(RLIMIT_FSIZE, &limit);
            status = replay_buffer_await(buffer, &checksum);
            if (status == GN_ERR_FULL) // tried again, in vain, before there was room
                status = replay_buffer_await(buffer, &checksum);
        }
        if (status != GN_OK)
            return 2;
    }
    replay_buffer_destroy(&buffer);
    return failures == 0 || write(out, &checksum, sizeof checksum) != sizeof checksum ? 3 : 0;
}

static void a_full_disk_fails_the_commit_which_can_be_tried_again(void **state)
{
    (void)state;
    char folder[GN_PATH_SIZE];
    test_temp_folder(folder);
    replay_buffer *twin = open_buffer(NULL, true);
    step_feed feed = feed_seed(5, STREAMS);
    for (int generation = 1; generation <= 40; generation++)
        feed_round(&feed, twin);
    uint64_t contents = feed_checksum(twin), checksum = 0;
    replay_buffer *buffer = open_buffer(folder, true);
    replay_buffer_destroy(&buffer);
    int status, ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(run_on_a_full_disk(folder, ends[1]));
    close(ends[1]);
    assert_int_equal(read(ends[0], &checksum, sizeof checksum), sizeof checksum);
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    buffer = open_buffer(folder, true);
    expect_ok(replay_buffer_rollback(buffer, 40, checksum));
    assert_int_equal(feed_checksum(buffer), contents);
    replay_buffer_destroy(&buffer);
    replay_buffer_destroy(&twin);
    test_temp_remove(folder);
}

// --- memory

static void saved_in_a_checkpoint_a_ram_buffer_comes_back(void **state)
{
    (void)state;
    for (int prioritized = 0; prioritized < 2; prioritized++) {
        replay_buffer *buffer = open_buffer(NULL, prioritized);
        replay_buffer *loaded = open_buffer(NULL, prioritized);
        step_feed feed = feed_seed(6, STREAMS);
        for (int round = 0; round < 12; round++) {
            gn_blob blob = { 0 };
            replay_buffer_save(buffer, &blob);
            expect_ok(gn_blob_status(&blob));
            expect_ok(replay_buffer_load(loaded, &blob));
            assert_int_equal(blob.cursor, blob.size);
            assert_int_equal(feed_checksum(loaded), feed_checksum(buffer));
            assert_int_equal(replay_buffer_count(loaded), replay_buffer_count(buffer));
            step_feed same = feed;
            feed_round(&same, loaded);
            feed_round(&feed, buffer);
            assert_int_equal(feed_checksum(loaded), feed_checksum(buffer));
            gn_blob_free(&blob);
        }
        uint64_t checksum;
        expect_fails(GN_ERR_STATE, "RAM only", feed_commit(buffer, 1, 0, &checksum));
        expect_fails(GN_ERR_STATE, "RAM only", replay_buffer_rollback(buffer, 1, 0));
        replay_buffer_destroy(&buffer);
        replay_buffer_destroy(&loaded);
    }
}

static void a_damaged_save_is_an_error_and_leaves_an_empty_buffer(void **state)
{
    (void)state;
    enum {
        COUNTERS = 135
    }; // bytes of the first three sections: the checkpoint's checksum covers them
    replay_buffer *buffer = open_buffer(NULL, true), *loaded = open_buffer(NULL, true);
    step_feed feed = feed_seed(7, STREAMS);
    for (int round = 0; round < 6; round++)
        feed_round(&feed, buffer);
    gn_blob blob = { 0 };
    replay_buffer_save(buffer, &blob);
    expect_ok(gn_blob_status(&blob));
    size_t size = blob.size;
    test_rng rng = test_rng_seed(7);
    for (int round = 0; round < 3000; round++) {
        bool cut = round % 10 == 0;
        size_t at = test_rng_below(&rng, round % 3 == 0 ? COUNTERS : size);
        unsigned char bit = (unsigned char)(1 << test_rng_below(&rng, 8));
        blob.data[at] ^= bit;
        gn_blob in = { .data = blob.data, .size = cut ? at : size };
        if (replay_buffer_load(loaded, &in) != GN_OK)
            assert_int_equal(replay_buffer_count(loaded), 0);
        else if (at >= COUNTERS || cut) // a bit that zstd does not use
            assert_int_equal(feed_checksum(loaded), feed_checksum(buffer));
        step_feed same = feed_seed(8, STREAMS);
        if (replay_buffer_count(loaded) == 0)
            feed_round(&same, loaded);
        feed_train(&same, loaded);
        blob.data[at] ^= bit;
    }
    expect_ok(replay_buffer_load(loaded, &(gn_blob){ .data = blob.data, .size = size }));
    assert_int_equal(feed_checksum(loaded), feed_checksum(buffer));
    gn_blob_free(&blob);
    replay_buffer_destroy(&buffer);
    replay_buffer_destroy(&loaded);
}

static void adding_to_disk_allocates_nothing_of_ours(void **state)
{
    (void)state;
    char folder[GN_PATH_SIZE];
    test_temp_folder(folder);
    replay_buffer *buffer = open_buffer(folder, true);
    step_feed feed = feed_seed(9, STREAMS);
    uint64_t allocations = gn_mem_allocations();
    feed_add(&feed, buffer, 20000);
    assert_int_equal(gn_mem_allocations(), allocations);
    replay_buffer_destroy(&buffer);
    test_temp_remove(folder);
}

TEST_MAIN(disk_and_ram_hold_the_same_and_every_kept_generation_comes_back,
          the_smallest_rings_work_and_old_chunks_go, what_is_on_its_way_is_not_overwritten,
          chunks_that_are_overwritten_before_their_commit_are_no_loss,
          nothing_is_added_before_the_rollback_that_is_due,
          chunks_without_any_generation_are_removed, what_was_abandoned_leaves_no_trace,
          a_cleared_buffer_is_a_new_one, promised_generations_survive_kill_9,
          a_full_disk_fails_the_commit_which_can_be_tried_again,
          saved_in_a_checkpoint_a_ram_buffer_comes_back,
          a_damaged_save_is_an_error_and_leaves_an_empty_buffer,
          adding_to_disk_allocates_nothing_of_ours)
