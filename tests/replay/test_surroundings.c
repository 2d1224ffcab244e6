// Bad surroundings of a packed store: folders that cannot be written, another process, options of
// another run, a truncated file, a disk that is full for a while. Each is one clear error, and the
// buffer goes on once it is gone.

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "replay/reader.h"
#include "replay/verify.h"
#include "tests/replay/mixed.h"

static mixed packed_kind(void)
{
    mixed self;
    self.config = feed_config(400, 64, true);
    self.config.codec = REPLAY_ZSTD_DICT;
    self.config.cache_mb = 1;
    self.spec = (replay_spec){ 2, MIXED_RECORD, 4 };
    return self;
}

static gn_status try_open(const mixed *kind, const char *folder, const char *owner)
{
    replay_buffer *buffer = NULL;
    uint64_t live = gn_mem_live();
    gn_status status = replay_buffer_create(&buffer, &kind->config, &kind->spec, folder, owner);
    if (status != GN_OK) {
        assert_null(buffer);
        assert_int_equal(gn_mem_live(), live);
    }
    replay_buffer_destroy(&buffer);
    return status;
}

static void folders_that_cannot_be_written_are_named(void **state)
{
    (void)state;
    mixed kind = packed_kind();
    gn_status status = try_open(&kind, "/proc/gannet", "run");
    assert_true(status == GN_ERR_NOT_FOUND || status == GN_ERR_IO);
    assert_non_null(strstr(gn_error_text(), "/proc/gannet"));
    expect_fails(GN_ERR_EXISTS, "/dev/null", try_open(&kind, "/dev/null/store", "run"));
}

static void a_folder_that_is_read_only_is_an_error(void **state)
{
    (void)state;
    if (!test_obey_permissions())
        skip();
    mixed kind = packed_kind();
    char folder[GN_PATH_SIZE], inside[GN_PATH_SIZE];
    test_temp_folder(folder);
    expect_ok(gn_path_join(inside, folder, "store"));
    chmod(folder, 0555);
    expect_fails(GN_ERR_IO, "denied", try_open(&kind, inside, "run"));
    chmod(folder, 0755);
    expect_ok(try_open(&kind, inside, "run"));
    chmod(inside, 0555);
    expect_ok(try_open(&kind, inside, "run")); // its files are there
    chmod(inside, 0755);
    test_disobey_permissions();
    test_temp_remove(folder);
}

// To read a store is to register in its lock.mdb.
static void a_lock_file_that_cannot_be_written_is_named(void **state)
{
    (void)state;
    if (!test_obey_permissions())
        skip();
    mixed kind = packed_kind();
    char folder[GN_PATH_SIZE], lock[GN_PATH_SIZE], data[GN_PATH_SIZE];
    test_temp_folder(folder);
    expect_ok(try_open(&kind, folder, "run"));
    expect_ok(gn_path_join(lock, folder, "lock.mdb"));
    expect_ok(gn_path_join(data, folder, "data.mdb"));
    assert_int_equal(chmod(data, 0444) | chmod(lock, 0444), 0);
    replay_reader *reader;
    gn_status status = replay_reader_open(&reader, folder, NULL);
    test_disobey_permissions();
    expect_fails(GN_ERR_IO, "lock.mdb: open for writing", status);
    test_temp_remove(folder);
}

static void other_options_are_named_beside_the_stores(void **state)
{
    (void)state;
    char folder[GN_PATH_SIZE];
    test_temp_folder(folder);
    mixed kind = packed_kind(), other;
    expect_ok(try_open(&kind, folder, "run"));
    expect_fails(GN_ERR_STATE, "its owner is 'run', not 'another'",
                 try_open(&kind, folder, "another"));
    const char *both = "belongs to another run or to other options: its layout is '2 streams, 200 "
                       "slots a stream, 64 slots a chunk, 768 bytes a record, coded as zstd-dict, "
                       "0 bits a float', not '";
    static const struct {
        int codec;
        const char *name;
    } codecs[] = { { REPLAY_RAM, "a column" },
                   { REPLAY_NONE, "none" },
                   { REPLAY_ZSTD, "zstd" },
                   { REPLAY_DELTA, "delta" },
                   { REPLAY_PATCH, "patch" } };
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++) {
        char part[64];
        other = kind;
        other.config.codec = codecs[i].codec;
        other.config.cache_mb = codecs[i].codec != REPLAY_RAM;
        snprintf(part, sizeof part, "coded as %s, 0 bits a float'", codecs[i].name);
        expect_fails(GN_ERR_STATE, both, try_open(&other, folder, "run"));
        assert_non_null(strstr(gn_error_text(), part));
    }
    other = kind;
    other.config.quantize = 8;
    expect_fails(GN_ERR_STATE, both, try_open(&other, folder, "run"));
    assert_non_null(strstr(gn_error_text(), "8 bits a float'"));
    other = kind;
    other.config.chunk = 65;
    expect_fails(GN_ERR_STATE, "not '2 streams, 200 slots a stream, 65 slots a chunk",
                 try_open(&other, folder, "run"));
    other = kind;
    other.spec.record_size -= 4;
    expect_fails(GN_ERR_STATE, "64 slots a chunk, 764 bytes", try_open(&other, folder, "run"));
    other = kind;
    other.config.compression = 9; // does not change what bytes mean
    expect_ok(try_open(&other, folder, "run"));
    test_temp_remove(folder);
}

static void fill(replay_buffer *buffer, uint64_t seed, uint64_t *ret_state)
{
    step_feed feed = feed_seed(seed, 2);
    mixed_add(&feed, buffer, 600, NULL, NULL);
    expect_ok(feed_commit(buffer, 1, 0, ret_state));
}

static void a_truncated_file_is_damaged(void **state)
{
    (void)state;
    char folder[GN_PATH_SIZE], path[GN_PATH_SIZE];
    struct stat about;
    uint64_t checksum;
    test_temp_folder(folder);
    expect_ok(gn_path_join(path, folder, "data.mdb"));
    mixed kind = packed_kind();
    replay_buffer *buffer = mixed_open(&kind, folder);
    fill(buffer, 1, &checksum);
    replay_buffer_destroy(&buffer);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(truncate(path, about.st_size / 4096 / 2 * 4096), 0);
    expect_fails(GN_ERR_CORRUPT, "data.mdb", try_open(&kind, folder, "run"));
    assert_int_equal(truncate(path, 5000), 0);
    expect_fails(GN_ERR_CORRUPT, "5000 bytes are no LMDB file", try_open(&kind, folder, "run"));
    assert_true(gn_path_exists(path)); // what is left is not for us to remove
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_size, 5000);
    test_temp_remove(folder);
}

// Flips a byte of a generation in every place where the file has it.
static void damage_generation(const char *folder, uint64_t generation)
{
    replay_view *view;
    expect_ok(replay_view_open(&view, folder, NULL));
    const replay_value *value = replay_value_find(view->generation, view->generations, generation);
    assert_non_null(value);
    void *bytes, *file;
    size_t size = value->size, file_size;
    expect_ok(gn_alloc(&bytes, size, 1));
    memcpy(bytes, value->bytes, size);
    replay_view_close(&view);
    char path[GN_PATH_SIZE];
    expect_ok(gn_path_join(path, folder, "data.mdb"));
    expect_ok(gn_file_read(&file, &file_size, path));
    unsigned char *all = file;
    for (size_t at = 0; at + size <= file_size; at++)
        if (memcmp(all + at, bytes, size) == 0)
            all[at] ^= 1;
    expect_ok(gn_file_write(path, file, file_size));
    gn_free(&bytes);
    gn_free(&file);
}

// A run goes back to the newest sound generation; an older one that is damaged but still kept must
// not stop what is committed after.
static void an_old_damaged_generation_stops_no_commit(void **state)
{
    (void)state;
    char folder[GN_PATH_SIZE];
    test_temp_folder(folder);
    replay_buffer *buffer;
    uint64_t checksum, contents;
    step_feed feed = feed_seed(5, 2);
    replay_config config = feed_config(400, 64, true);
    const replay_spec spec = { 2, FEED_RECORD, 1 };
    expect_ok(replay_buffer_create(&buffer, &config, &spec, folder, "run"));
    for (uint64_t generation = 1; generation <= 2; generation++) {
        feed_add(&feed, buffer, 300);
        expect_ok(replay_buffer_commit(buffer, generation, 1));
        expect_ok(replay_buffer_await(buffer, &checksum));
    }
    replay_buffer_destroy(&buffer);
    damage_generation(folder, 1);
    expect_ok(replay_buffer_create(&buffer, &config, &spec, folder, "run"));
    expect_ok(replay_buffer_rollback(buffer, 2, checksum));
    feed_add(&feed, buffer, 300);
    contents = feed_checksum(buffer);
    expect_ok(replay_buffer_commit(buffer, 3, 1));
    expect_ok(replay_buffer_await(buffer, &checksum));
    replay_buffer_destroy(&buffer);
    expect_ok(replay_buffer_create(&buffer, &config, &spec, folder, "run"));
    expect_ok(replay_buffer_rollback(buffer, 3, checksum));
    assert_int_equal(feed_checksum(buffer), contents);
    replay_buffer_destroy(&buffer);
    test_temp_remove(folder);
}

// The child is started before there are threads; it opens the store when told.
static void a_second_process_is_refused(void **state)
{
    (void)state;
    char folder[GN_PATH_SIZE], byte = 0;
    int ends[2], status;
    mixed kind = packed_kind();
    test_temp_folder(folder);
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        close(ends[1]);
        if (read(ends[0], &byte, 1) != 1)
            _exit(1);
        gn_status opened = try_open(&kind, folder, "run");
        _exit(opened == GN_ERR_BUSY && strstr(gn_error_text(), folder) ? 0 : 2);
    }
    close(ends[0]);
    replay_buffer *buffer = mixed_open(&kind, folder);
    assert_int_equal(write(ends[1], &byte, 1), 1);
    close(ends[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    uint64_t checksum;
    fill(buffer, 1, &checksum);
    replay_buffer_destroy(&buffer);
    test_temp_remove(folder);
}

// --- a full disk

typedef struct full_disk {
    replay_buffer *buffer;
    struct rlimit limit; // that is put back
    int failures;
    int patience; // failures until there is room again
} full_disk;

// While the disk is full everything that is there can be sampled.
static bool sample_and_make_room(void *user, gn_status status)
{
    full_disk *self = user;
    step_feed aside = feed_seed(77, 2);
    // A short write is EIO to LMDB; what was the reason is asked afterwards, when there may be
    // room.
    bool room = self->failures > 0 && self->failures % self->patience == 0;
    if ((status != GN_ERR_FULL && !(room && status == GN_ERR_IO)) ||
        !strstr(gn_error_text(), "data.mdb"))
        _exit(2);
    replay_batch *batch;
    gn_random random = gn_random_stream(test_rng_next(&aside.rng), GN_RANDOM_SAMPLE, 0);
    expect_ok(replay_batch_create(&batch, replay_buffer_spec(self->buffer), 64, 1));
    expect_ok(
        replay_buffer_sample(self->buffer, &(replay_draw){ { 3 }, 1, 0.9, 0.5 }, &random, batch));
    replay_batch_destroy(&batch);
    if (++self->failures % self->patience == 0)
        setrlimit(RLIMIT_FSIZE, &self->limit);
    return true;
}

// The child: says nothing but whether all went well.
static int run_on_a_full_disk(const mixed *kind, const char *folder, uint64_t expected)
{
    char path[GN_PATH_SIZE];
    struct stat about;
    uint64_t checksum;
    full_disk self = { .patience = 3 };
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &self.limit);
    self.buffer = mixed_open(kind, folder);
    expect_ok(gn_path_join(path, folder, "data.mdb"));
    step_feed feed = feed_seed(3, kind->spec.streams);
    for (int round = 0; round < 4; round++) { // full again and again
        struct rlimit full = self.limit;
        stat(path, &about);
        full.rlim_cur = (rlim_t)about.st_size + 30000;
        setrlimit(RLIMIT_FSIZE, &full);
        mixed_add(&feed, self.buffer, 1500, sample_and_make_room, &self);
        setrlimit(RLIMIT_FSIZE, &self.limit);
    }
    gn_status status;
    while ((status = feed_commit(self.buffer, 1, 0, &checksum)) == GN_ERR_FULL)
        ;
    expect_ok(status);
    bool good = feed_checksum(self.buffer) == expected && self.failures > 0;
    expect_ok(replay_buffer_rollback(self.buffer, 1, checksum));
    good &= feed_checksum(self.buffer) == expected;
    replay_buffer_destroy(&self.buffer);
    return good ? 0 : 3;
}

static void a_full_disk_fails_adding_which_goes_on_when_there_is_room(void **state)
{
    (void)state;
    for (int codec = REPLAY_NONE; codec <= REPLAY_PATCH; codec++) {
        char folder[GN_PATH_SIZE];
        int status;
        mixed kind = packed_kind();
        kind.config.codec = codec;
        kind.config.capacity = 8000; // nothing is evicted: the file must grow
        test_temp_folder(folder);
        replay_buffer *twin = mixed_open_twin(&kind);
        step_feed feed = feed_seed(3, kind.spec.streams);
        mixed_add(&feed, twin, 4 * 1500, NULL, NULL);
        uint64_t expected = feed_checksum(twin);
        replay_buffer_destroy(&twin);
        fflush(NULL);
        pid_t child = fork();
        if (child == 0)
            _exit(run_on_a_full_disk(&kind, folder, expected));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        replay_findings findings = { 0 };
        replay_verified verified;
        expect_ok(replay_verify(folder, &findings, &verified));
        assert_int_equal(findings.count, 0);
        test_temp_remove(folder);
    }
}

TEST_MAIN(folders_that_cannot_be_written_are_named, a_folder_that_is_read_only_is_an_error,
          a_lock_file_that_cannot_be_written_is_named, other_options_are_named_beside_the_stores,
          a_truncated_file_is_damaged, an_old_damaged_generation_stops_no_commit,
          a_second_process_is_refused, a_full_disk_fails_adding_which_goes_on_when_there_is_room)
