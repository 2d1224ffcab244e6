// The reader: every kept generation is what the rings held when it was committed, also while a
// writer goes on, which does not notice.

#include "replay/reader.h"

#include <lmdb.h>
#include <stdio.h>
#include <unistd.h>

#include "base/compress.h"
#include "tests/replay/contents.h"

enum { STREAMS = 3, CAPACITY = 300, CHUNK = 16 };

static replay_buffer *open_buffer(const char *folder, int64_t capacity, bool prioritized)
{
    replay_config config = feed_config(capacity, CHUNK, prioritized);
    replay_buffer *buffer;
    expect_ok(replay_buffer_create(&buffer, &config, &(replay_spec){ STREAMS, FEED_RECORD, 1 },
                                   folder, "run"));
    return buffer;
}

static void feed_and_commit(step_feed *feed, replay_buffer *buffer, uint64_t generation,
                            uint64_t oldest)
{
    uint64_t checksum;
    feed_add(feed, buffer, test_rng_below(&feed->rng, 120));
    feed_train(feed, buffer);
    expect_ok(feed_commit(buffer, generation, oldest, &checksum));
}

static void every_kept_generation_reads_as_it_was(void **state)
{
    (void)state;
    enum { GENERATIONS = 20, KEPT = 4 };
    static contents expected[GENERATIONS + 1], found;
    for (int variant = 0; variant < 4; variant++) {
        bool prioritized = variant % 2;
        int64_t capacity = variant < 2 ? CAPACITY : STREAMS * (CHUNK + 2); // chunk about the ring
        char folder[GN_PATH_SIZE];
        test_temp_folder(folder);
        replay_buffer *buffer = open_buffer(folder, capacity, prioritized);
        step_feed feed = feed_seed((uint64_t)variant, STREAMS);
        for (uint64_t i = 1; i <= GENERATIONS; i++) {
            feed_and_commit(&feed, buffer, i, i < KEPT ? 0 : i - KEPT + 1);
            contents_of_buffer(&expected[i], buffer);
        }
        replay_buffer_destroy(&buffer);
        replay_reader *reader;
        replay_generation generation;
        expect_ok(replay_reader_open(&reader, folder, NULL));
        const replay_view *view = replay_reader_view(reader);
        assert_int_equal(view->generations, KEPT);
        assert_int_equal(view->layout.streams, STREAMS);
        assert_int_equal(view->layout.record_size, FEED_RECORD);
        assert_int_equal(view->layout.capacity, capacity / STREAMS);
        assert_int_equal(view->layout.chunk, CHUNK);
        assert_string_equal(view->owner, "run");
        for (uint64_t i = GENERATIONS - KEPT + 1; i <= GENERATIONS; i++) {
            expect_ok(replay_reader_begin(reader, i == GENERATIONS ? 0 : i, &generation));
            assert_int_equal(generation.number, i);
            assert_int_equal(generation.slots, expected[i].count);
            assert_true(generation.prioritized == prioritized);
            expect_ok(contents_of_reader(&found, reader));
            assert_true(same_contents(&found, &expected[i]));
        }
        expect_fails(GN_ERR_NOT_FOUND, "no generation 3",
                     replay_reader_begin(reader, 3, &generation));
        replay_reader_close(&reader);
        test_temp_remove(folder);
    }
}

// --- a store that is being written

typedef struct live_read {
    const char *folder;
    const contents *expected; // of the newest generation when the reader opens
    int opened[2], go_on[2]; // pipes: child to parent, parent to child
} live_read;

// Opens the store, waits until the writer has gone on, then reads.
static int read_late(void *arg)
{
    static contents found;
    const live_read *live = arg;
    replay_reader *reader;
    replay_generation generation;
    char byte = 0;
    bool good = replay_reader_open(&reader, live->folder, NULL) == GN_OK &&
                replay_reader_begin(reader, 0, &generation) == GN_OK &&
                write(live->opened[1], &byte, 1) == 1 && read(live->go_on[0], &byte, 1) == 1 &&
                contents_of_reader(&found, reader) == GN_OK &&
                same_contents(&found, live->expected);
    replay_reader_close(&reader);
    return !good;
}

static void a_reader_keeps_what_it_saw_and_the_writer_goes_on(void **state)
{
    (void)state;
    enum { BEFORE = 5, AFTER = 40 };
    static contents expected, found;
    char folder[GN_PATH_SIZE], twin_folder[GN_PATH_SIZE];
    test_temp_folder(folder);
    test_temp_folder(twin_folder);
    replay_buffer *buffer = open_buffer(folder, CAPACITY, true);
    replay_buffer *twin = open_buffer(twin_folder, CAPACITY, true); // nobody reads it
    step_feed feed = feed_seed(7, STREAMS), same = feed;
    for (uint64_t i = 1; i <= BEFORE; i++)
        feed_and_commit(&feed, buffer, i, i);
    contents_of_buffer(&expected, buffer);
    live_read live = { .folder = folder, .expected = &expected };
    assert_int_equal(pipe(live.opened) | pipe(live.go_on), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(read_late(&live));
    char byte = 0;
    int status;
    close(live.opened[1]); // a child that dies is an end of file, not a wait
    assert_int_equal(read(live.opened[0], &byte, 1), 1);
    for (uint64_t i = BEFORE + 1; i <= AFTER; i++) // all that the reader sees is removed
        feed_and_commit(&feed, buffer, i, i);
    assert_int_equal(write(live.go_on[1], &byte, 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    for (uint64_t i = 1; i <= AFTER; i++)
        feed_and_commit(&same, twin, i, i);
    assert_int_equal(feed_checksum(buffer), feed_checksum(twin));
    contents_of_buffer(&expected, buffer);
    replay_buffer_destroy(&buffer);
    replay_buffer_destroy(&twin);
    expect_ok(read_generation(&found, folder, AFTER));
    assert_true(same_contents(&found, &expected));
    close(live.opened[0]);
    close(live.go_on[0]);
    close(live.go_on[1]);
    test_temp_remove(folder);
    test_temp_remove(twin_folder);
}

static int die_while_reading(void *folder)
{
    replay_reader *reader;
    return replay_reader_open(&reader, folder, NULL) != GN_OK; // not closed
}

// Without the writer's look for dead readers, its file would grow with every commit.
static void a_reader_that_dies_keeps_no_pages(void **state)
{
    (void)state;
    enum { COMMITS = 150 };
    uint64_t bytes[2];
    for (int read = 0; read < 2; read++) {
        char folder[GN_PATH_SIZE];
        test_temp_folder(folder);
        replay_buffer *buffer = open_buffer(folder, CAPACITY, true);
        step_feed feed = feed_seed(8, STREAMS);
        for (uint64_t i = 1; i <= COMMITS; i++) {
            feed_and_commit(&feed, buffer, i, i);
            if (read && i == 5)
                assert_int_equal(run_job(die_while_reading, folder), 0);
        }
        replay_buffer_stats stats;
        expect_ok(replay_buffer_measure(buffer, &stats));
        bytes[read] = stats.disk_bytes;
        replay_buffer_destroy(&buffer);
        test_temp_remove(folder);
    }
    assert_int_equal(bytes[0], bytes[1]);
}

// --- what is refused

// Replaces the layout by what an older program wrote: a sentence.
static void write_old_layout(const char *folder)
{
    static const char text[] = "layout2 streams, 64 slots a stream";
    unsigned char value[sizeof(uint64_t) + sizeof text - 1];
    uint64_t checksum = gn_checksum(text, sizeof text - 1);
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi about;
    MDB_val key = { 6, "layout" }, data = { sizeof value, value };
    memcpy(value, &checksum, sizeof checksum);
    memcpy(value + sizeof checksum, text, sizeof text - 1);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 3), 0);
    assert_int_equal(mdb_env_open(env, folder, 0, 0644), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "about", 0, &about), 0);
    assert_int_equal(mdb_put(txn, about, &key, &data, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void what_is_no_store_is_refused(void **state)
{
    (void)state;
    static contents found;
    char folder[GN_PATH_SIZE], path[GN_PATH_SIZE];
    test_temp_folder(folder);
    expect_ok(gn_path_join(path, folder, "data.mdb"));
    expect_fails(GN_ERR_NOT_FOUND, "data.mdb", read_generation(&found, folder, 0));
    expect_ok(gn_file_write(path, "", 0));
    expect_fails(GN_ERR_EMPTY, "nothing was written yet", read_generation(&found, folder, 0));
    expect_ok(gn_file_write(path, "not a store", 11));
    expect_fails(GN_ERR_CORRUPT, "11 bytes are no LMDB file", read_generation(&found, folder, 0));
    expect_ok(gn_path_remove(path));
    replay_buffer *buffer = open_buffer(folder, CAPACITY, false);
    replay_buffer_destroy(&buffer);
    expect_fails(GN_ERR_EMPTY, "no generation was committed yet",
                 read_generation(&found, folder, 0));
    write_old_layout(folder);
    expect_fails(GN_ERR_STATE, "written by another version", read_generation(&found, folder, 0));
    test_temp_remove(folder);
}

static void failed_allocations_leak_nothing(void **state)
{
    (void)state;
    static contents found;
    char folder[GN_PATH_SIZE];
    test_temp_folder(folder);
    replay_buffer *buffer = open_buffer(folder, CAPACITY, true);
    step_feed feed = feed_seed(9, STREAMS);
    feed_and_commit(&feed, buffer, 1, 0);
    replay_buffer_destroy(&buffer);
    uint64_t live = gn_mem_live(), n = 1;
    for (gn_status status = GN_ERR_MEMORY; status != GN_OK; n++) {
        gn_mem_fail_at(n);
        status = read_generation(&found, folder, 1);
        gn_mem_fail_at(0);
        assert_true(status == GN_OK || status == GN_ERR_MEMORY);
        assert_int_equal(gn_mem_live(), live);
    }
    assert_true(n > 10);
    test_temp_remove(folder);
}

TEST_MAIN(every_kept_generation_reads_as_it_was, a_reader_keeps_what_it_saw_and_the_writer_goes_on,
          a_reader_that_dies_keeps_no_pages, what_is_no_store_is_refused,
          failed_allocations_leak_nothing)
