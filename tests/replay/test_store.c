// The store: what is refused, what stays and what goes, a full disk, and damaged files. Where a
// failure might take the process with it, a child tries.

#include "replay/store.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "replay/chunk.h"
#include "tests/support/check.h"

static const replay_layout layout = { .streams = 2, .record_size = 8, .capacity = 64, .chunk = 16 };

enum { CHUNK_MAX = 1024, BIG_CHUNK = 30000, STATE = 3000 };

// Bytes of chunk or state number `seed`: all different, not compressible.
static void fill(unsigned char *bytes, size_t size, uint64_t seed)
{
    test_rng rng = test_rng_seed(seed);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)test_rng_next(&rng);
}

static size_t chunk_size(uint64_t chunk, uint32_t stream)
{
    return 20 + (chunk * 37 + stream * 11) % 200;
}

static gn_status try_put(replay_store *store, uint64_t chunk, uint32_t stream)
{
    unsigned char bytes[CHUNK_MAX];
    size_t size = chunk_size(chunk, stream);
    fill(bytes, size, 2 * chunk + stream);
    return replay_store_put_chunk(store, chunk, stream, bytes, size, NULL, 0);
}

static void put(replay_store *store, uint64_t chunk, uint32_t stream)
{
    expect_ok(try_put(store, chunk, stream));
}

// Reads a chunk and compares it with what was put.
static gn_status get(replay_store *store, uint64_t chunk, uint32_t stream, bool *ret_same)
{
    unsigned char found[CHUNK_MAX], expected[CHUNK_MAX];
    size_t size;
    GN_TRY(replay_store_get_chunk(store, chunk, stream, found, CHUNK_MAX, &size));
    fill(expected, chunk_size(chunk, stream), 2 * chunk + stream);
    *ret_same = size == chunk_size(chunk, stream) && memcmp(found, expected, size) == 0;
    return GN_OK;
}

static void expect_chunk(replay_store *store, uint64_t chunk, uint32_t stream, bool there)
{
    bool same = false;
    if (there)
        expect_ok(get(store, chunk, stream, &same));
    else
        expect_fails(GN_ERR_NOT_FOUND, "chunk", get(store, chunk, stream, &same));
    assert_true(same == there);
}

static gn_status commit(replay_store *store, uint64_t generation, uint64_t oldest,
                        const uint64_t *first_chunk)
{
    unsigned char state[STATE];
    fill(state, STATE, 1000 + generation);
    return replay_store_commit(store, generation, state, STATE, oldest, first_chunk);
}

static gn_status get_state(replay_store *store, uint64_t generation, bool *ret_same)
{
    unsigned char expected[STATE];
    void *state;
    size_t size;
    fill(expected, STATE, 1000 + generation);
    GN_TRY(replay_store_get_generation(store, generation, &state, &size));
    *ret_same = size == STATE && memcmp(state, expected, STATE) == 0;
    gn_free(&state);
    return GN_OK;
}

static void expect_state(replay_store *store, uint64_t generation)
{
    bool same = false;
    expect_ok(get_state(store, generation, &same));
    assert_true(same);
}

static replay_store *open_store(const char *folder)
{
    replay_store *store;
    expect_ok(replay_store_open(&store, folder, "run", &layout));
    return store;
}

static void commits_keep_what_kept_generations_need(void **state)
{
    (void)state;
    char folder[GN_PATH_SIZE];
    test_temp_folder(folder);
    replay_store *store = open_store(folder);
    expect_fails(GN_ERR_ARG, "generation 0: must be above 0", commit(store, 0, 0, NULL));
    for (uint64_t chunk = 0; chunk < 10; chunk++) {
        put(store, chunk, 0);
        put(store, chunk, 1);
        expect_ok(commit(store, 10 * (chunk + 1), 0, NULL));
    }
    expect_ok(commit(store, 200, 85, (uint64_t[]){ 3, 5 }));
    replay_store_close(&store);
    store = open_store(folder);
    uint64_t there[2];
    size_t count;
    expect_ok(replay_store_generations(store, there, 2, &count));
    assert_int_equal(count, 3);
    assert_int_equal(there[0], 90);
    assert_int_equal(there[1], 100);
    expect_state(store, 90);
    expect_state(store, 200);
    for (uint64_t chunk = 0; chunk < 10; chunk++) {
        expect_chunk(store, chunk, 0, chunk >= 3);
        expect_chunk(store, chunk, 1, chunk >= 5);
    }
    void *bytes;
    size_t size;
    expect_fails(GN_ERR_NOT_FOUND, "no generation 80; there are 90, 100, 200",
                 replay_store_get_generation(store, 80, &bytes, &size));
    expect_fails(GN_ERR_ARG, "generation 200: must be above 200", commit(store, 200, 0, NULL));
    expect_fails(GN_ERR_ARG, "oldest generation 202", commit(store, 201, 202, NULL));

    put(store, 10, 0); // queued, not written
    expect_ok(replay_store_rollback(store, 100, (uint64_t[]){ 8, 9 }, 0));
    expect_ok(commit(store, 101, 0, NULL));
    expect_ok(replay_store_generations(store, NULL, 0, &count));
    assert_int_equal(count, 3);
    for (uint64_t chunk = 0; chunk < 11; chunk++) {
        expect_chunk(store, chunk, 0, chunk >= 3 && chunk < 8);
        expect_chunk(store, chunk, 1, chunk >= 5 && chunk < 9);
    }
    replay_store_close(&store);
    test_temp_remove(folder);
}

static void the_map_grows_by_itself(void **state)
{
    (void)state;
    enum { CHUNKS = 600 }; // 18 MB: many times the queue and the first map
    const replay_layout big = {
        .streams = 1, .record_size = 1000, .capacity = 64, .chunk = BIG_CHUNK / 1000
    };
    static unsigned char bytes[BIG_CHUNK], found[BIG_CHUNK];
    char folder[GN_PATH_SIZE];
    test_temp_folder(folder);
    replay_store *store;
    expect_ok(replay_store_open(&store, folder, "run", &big));
    for (uint64_t chunk = 0; chunk < CHUNKS; chunk++) {
        fill(bytes, BIG_CHUNK, chunk);
        expect_ok(replay_store_put_chunk(store, chunk, 0, bytes, BIG_CHUNK, NULL, 0));
    }
    expect_ok(commit(store, 1, 0, NULL));
    uint64_t size;
    expect_ok(replay_store_size(store, &size));
    assert_true(size > (uint64_t)CHUNKS * BIG_CHUNK);
    replay_store_close(&store);
    expect_ok(replay_store_open(&store, folder, "run", &big));
    for (uint64_t chunk = 0; chunk < CHUNKS; chunk++) {
        size_t found_size;
        fill(bytes, BIG_CHUNK, chunk);
        expect_ok(replay_store_get_chunk(store, chunk, 0, found, BIG_CHUNK, &found_size));
        assert_int_equal(found_size, BIG_CHUNK);
        assert_memory_equal(found, bytes, BIG_CHUNK);
    }
    expect_fails(GN_ERR_ARG, "must be at most",
                 replay_store_put_chunk(store, 0, 0, bytes, 2 * BIG_CHUNK, NULL, 0));
    expect_fails(GN_ERR_ARG, "below 1", replay_store_put_chunk(store, 0, 1, bytes, 1, NULL, 0));
    replay_store_close(&store);
    test_temp_remove(folder);
}

static void strangers_are_refused(void **state)
{
    (void)state;
    char folder[GN_PATH_SIZE];
    test_temp_folder(folder);
    replay_store *store = open_store(folder), *other;
    expect_fails(GN_ERR_BUSY, "writer.lock", replay_store_open(&other, folder, "run", &layout));
    replay_store_close(&store);
    expect_fails(GN_ERR_STATE, "owner is 'run', not 'another'",
                 replay_store_open(&other, folder, "another", &layout));
    replay_layout wide = layout;
    wide.record_size = 9;
    expect_fails(GN_ERR_STATE, "16 slots a chunk, 8 bytes a record",
                 replay_store_open(&other, folder, "run", &wide));
    expect_fails(GN_ERR_ARG, "32 characters at most",
                 replay_store_open(&other, folder, "123456789 123456789 123456789 123", &layout));
    test_temp_remove(folder);

    char path[GN_PATH_SIZE];
    test_temp_folder(folder);
    expect_ok(gn_path_join(path, folder, "data.mdb"));
    static unsigned char noise[3 * 4096];
    fill(noise, sizeof noise, 1);
    expect_ok(gn_file_write(path, noise, sizeof noise));
    expect_fails(GN_ERR_CORRUPT, "is no meta page",
                 replay_store_open(&other, folder, "run", &layout));
    expect_ok(gn_file_write(path, noise, 100));
    expect_fails(GN_ERR_CORRUPT, "100 bytes are no LMDB file",
                 replay_store_open(&other, folder, "run", &layout));
    test_temp_remove(folder);
}

// --- a full disk

// In a child: no file may grow by more than 40 kB from here on.
static void fill_the_disk(const char *data_path)
{
    struct stat about;
    assert_int_equal(stat(data_path, &about), 0);
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = (rlim_t)about.st_size + 40000;
    setrlimit(RLIMIT_FSIZE, &limit);
    signal(SIGXFSZ, SIG_IGN);
}

static void free_the_disk(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_FSIZE, &limit);
}

// Commits until the disk is full. Returns 0 if what a full disk must do happened.
static int commit_on_a_full_disk(const char *folder, const char *data_path, bool free_again)
{
    replay_store *store;
    if (replay_store_open(&store, folder, "run", &layout) != GN_OK)
        return 1;
    fill_the_disk(data_path);
    for (uint64_t generation = 2; generation < 1000; generation++) {
        for (uint64_t chunk = 10 * generation; chunk < 10 * generation + 10; chunk++)
            put(store, chunk, 0);
        gn_status status = commit(store, generation, 0, NULL);
        if (status == GN_OK)
            continue;
        if (status != GN_ERR_FULL)
            return 2;
        if (!free_again)
            return 0;
        free_the_disk(); // the chunks are still queued
        if (commit(store, generation, 0, NULL) != GN_OK)
            return 3;
        replay_store_close(&store);
        return 0;
    }
    return 4;
}

enum { QUEUED = 50000 }; // more than the queue holds

// Puts chunks until the queue must be written, which fails, and puts again when there is room.
static int put_on_a_full_disk(const char *folder, const char *data_path)
{
    replay_store *store;
    int failures = 0;
    if (replay_store_open(&store, folder, "run", &layout) != GN_OK)
        return 1;
    fill_the_disk(data_path);
    for (uint64_t chunk = 0; chunk < QUEUED; chunk++) {
        gn_status status = try_put(store, chunk, 0);
        if (status == GN_ERR_FULL) {
            failures++;
            free_the_disk();
            status = try_put(store, chunk, 0);
        }
        if (status != GN_OK)
            return 2;
    }
    if (failures != 1 || commit(store, 1, 0, NULL) != GN_OK)
        return 3;
    replay_store_close(&store);
    return 0;
}

static int run_in_child(int (*job)(void *arg), void *arg)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(job(arg));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

typedef struct full_disk {
    const char *folder, *path;
    bool free_again, queue;
} full_disk;

static int full_disk_job(void *arg)
{
    full_disk *disk = arg;
    if (disk->queue)
        return put_on_a_full_disk(disk->folder, disk->path);
    return commit_on_a_full_disk(disk->folder, disk->path, disk->free_again);
}

static void a_full_disk_is_an_error_and_loses_no_commit(void **state)
{
    (void)state;
    for (int free_again = 0; free_again < 2; free_again++) {
        char folder[GN_PATH_SIZE], path[GN_PATH_SIZE];
        test_temp_folder(folder);
        expect_ok(gn_path_join(path, folder, "data.mdb"));
        replay_store *store = open_store(folder);
        put(store, 0, 0);
        expect_ok(commit(store, 1, 0, NULL));
        replay_store_close(&store);
        full_disk disk = { folder, path, free_again, false };
        assert_int_equal(run_in_child(full_disk_job, &disk), 0);
        store = open_store(folder);
        uint64_t there[1000];
        size_t count;
        expect_ok(replay_store_generations(store, there, 1000, &count));
        for (size_t i = 0; i < count; i++) {
            expect_state(store, there[i]);
            for (uint64_t chunk = 10 * there[i]; i > 0 && chunk < 10 * there[i] + 10; chunk++)
                expect_chunk(store, chunk, 0, true);
        }
        expect_chunk(store, 0, 0, true);
        replay_store_close(&store);
        test_temp_remove(folder);
    }
}

static void a_full_disk_refuses_a_chunk_which_can_be_put_again(void **state)
{
    (void)state;
    char folder[GN_PATH_SIZE], path[GN_PATH_SIZE];
    test_temp_folder(folder);
    expect_ok(gn_path_join(path, folder, "data.mdb"));
    replay_store *store = open_store(folder);
    replay_store_close(&store);
    full_disk disk = { folder, path, true, true };
    assert_int_equal(run_in_child(full_disk_job, &disk), 0);
    store = open_store(folder);
    for (uint64_t chunk = 0; chunk < QUEUED; chunk++)
        expect_chunk(store, chunk, 0, true);
    replay_store_close(&store);
    test_temp_remove(folder);
}

// --- damage

enum { KEPT_FROM = 30, CHUNKS = 60 };

// A store with history: a free list, branch pages, overflow pages, values inside of leaves.
static void make_worn_store(const char *folder)
{
    replay_store *store = open_store(folder);
    for (uint64_t chunk = 0; chunk < CHUNKS; chunk++) {
        put(store, chunk, 0);
        put(store, chunk, 1);
        uint64_t first = chunk < KEPT_FROM ? 0 : KEPT_FROM;
        expect_ok(
            commit(store, chunk + 1, chunk < 5 ? 0 : chunk - 4, (uint64_t[]){ first, first }));
    }
    replay_store_close(&store);
}

enum { ALL_THERE = 0, CLEAN_ERROR = 1, WRONG_DATA = 2 };

// Opens a store that may be damaged, reads everything and goes on with it.
static int use_store(void *folder)
{
    replay_store *store;
    bool same = true;
    if (replay_store_open(&store, folder, "run", &layout) != GN_OK)
        return CLEAN_ERROR;
    for (uint64_t key = 2 * KEPT_FROM; key < 2 * CHUNKS; key++) {
        if (get(store, key / 2, key % 2, &same) != GN_OK)
            return CLEAN_ERROR;
        if (!same)
            return WRONG_DATA;
    }
    for (uint64_t generation = CHUNKS - 4; generation < CHUNKS; generation++) {
        if (get_state(store, generation, &same) != GN_OK)
            return CLEAN_ERROR;
        if (!same)
            return WRONG_DATA;
    }
    put(store, CHUNKS, 0);
    if (commit(store, CHUNKS + 1, 0, NULL) != GN_OK ||
        replay_store_rollback(store, CHUNKS, (uint64_t[]){ CHUNKS, CHUNKS }, 0) != GN_OK)
        return CLEAN_ERROR;
    bool read = get_state(store, CHUNKS, &same) == GN_OK;
    replay_store_close(&store);
    return !read ? CLEAN_ERROR : same ? ALL_THERE : WRONG_DATA;
}

static void a_damaged_file_is_an_error_never_a_crash(void **state)
{
    (void)state;
    enum { PAGE = 4096, META = 160, FLIPS = 500, CUTS = 20 };
    char folder[GN_PATH_SIZE], path[GN_PATH_SIZE];
    test_temp_folder(folder);
    make_worn_store(folder);
    expect_ok(gn_path_join(path, folder, "data.mdb"));
    unsigned char *whole;
    size_t size;
    expect_ok(gn_file_read((void **)&whole, &size, path));
    test_rng rng = test_rng_seed(1);
    size_t found[3] = { 0 };
    for (size_t i = 0; i < 2 * META + FLIPS + CUTS; i++) {
        // every byte of both meta pages, then anywhere, headers of pages more often; then cuts
        size_t at = i < META ? i : i < 2 * META ? PAGE + i - META : test_rng_below(&rng, size);
        if (i >= 2 * META && i % 2 == 0)
            at = at / PAGE * PAGE + at % 64;
        bool cut = i >= 2 * META + FLIPS;
        unsigned char bit = (unsigned char)(1 << test_rng_below(&rng, 8));
        int file = open(path, O_WRONLY | O_TRUNC);
        whole[at] ^= bit;
        assert_int_equal(write(file, whole, cut ? at : size), cut ? at : size);
        whole[at] ^= bit;
        close(file);
        int result = run_in_child(use_store, folder);
        if (result > CLEAN_ERROR)
            fail_msg("byte %zu, bit %u%s: result %d", at, bit, cut ? ", cut" : "", result);
        found[result]++;
    }
    assert_true(found[ALL_THERE] > 0 && found[CLEAN_ERROR] > found[ALL_THERE] / 10);
    gn_free(&whole);
    test_temp_remove(folder);
}

// --- syncing

static int synced; // calls of fdatasync, LMDB's too: this one stands in for the library's

int fdatasync(int file);
int fdatasync(int file)
{
    synced++;
    return (int)syscall(SYS_fdatasync, file);
}

static void what_durability_promises_is_synced_and_no_more(void **state)
{
    (void)state;
    static const replay_durability durability[] = { REPLAY_DURABLE_NONE, REPLAY_DURABLE_BATCH,
                                                    REPLAY_DURABLE_COMMIT, REPLAY_DURABLE_NONE };
    char folder[GN_PATH_SIZE];
    replay_store *store;
    test_temp_folder(folder);
    expect_ok(replay_store_open(&store, folder, "run", &layout));
    for (uint64_t i = 0; i < sizeof durability / sizeof *durability; i++) {
        replay_store_set_durability(store, durability[i]);
        for (int committed = 0; committed < 2; committed++) {
            synced = 0;
            put(store, 2 * i + (uint64_t)committed, 0);
            expect_ok(committed ? commit(store, i + 1, 0, NULL) : replay_store_flush(store));
            assert_int_equal(synced > 0, durability[i] != REPLAY_DURABLE_NONE);
        }
    }
    replay_store_close(&store);
    test_temp_remove(folder);
}

TEST_MAIN(what_durability_promises_is_synced_and_no_more, commits_keep_what_kept_generations_need,
          the_map_grows_by_itself, strangers_are_refused,
          a_full_disk_is_an_error_and_loses_no_commit,
          a_full_disk_refuses_a_chunk_which_can_be_put_again,
          a_damaged_file_is_an_error_never_a_crash)
