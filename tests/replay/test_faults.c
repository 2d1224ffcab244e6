// Failures of the system under a run: the n-th write, sync, growth of the file or of the map fails,
// once or until it is lifted, in runs of every kind. Each failure is told with its cause, nothing
// that was promised is lost, and what failed can be tried again.
//
// The functions the store writes with are defined here, and so replaced in LMDB as well.

#undef _FILE_OFFSET_BITS // LMDB calls pwrite, not pwrite64
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"
#include "replay/store.h"
#include "replay/verify.h"
#include "tests/replay/mixed.h"

// --- the system

// METAS: the small write that ends a transaction.
enum { WRITES = 1, SYNCS = 2, SIZES = 4, MAPS = 8, METAS = 16, META_SIZE = 512 };

static struct {
    _Atomic bool armed;
    _Atomic long left; // calls that still work
    _Atomic int hits; // calls that failed
    unsigned calls; // which
    int error; // 0: a write is short
    bool late; // the first write that fails was done all the same
    bool lasting; // until disarmed
} fault;

static _Atomic int syncs; // of the file's data, and writes that sync by themselves

static void arm(unsigned calls, int error, bool late, bool lasting, long left)
{
    fault.calls = calls;
    fault.error = error;
    fault.late = late;
    fault.lasting = lasting;
    fault.left = left;
    fault.hits = 0;
    fault.armed = true;
}

static bool hits(unsigned call)
{
    if (!fault.armed || !(fault.calls & call))
        return false;
    long left = fault.left--;
    if (left > 0 || (left < 0 && !fault.lasting))
        return false;
    fault.hits++;
    errno = fault.error;
    return true;
}

ssize_t pwrite(int file, const void *bytes, size_t size, off_t offset)
{
    bool hit = hits(size < META_SIZE ? WRITES | METAS : WRITES);
    syncs += (fcntl(file, F_GETFL) & O_DSYNC) != 0;
    if (hit && fault.late && fault.hits == 1)
        (void)syscall(SYS_pwrite64, file, bytes, size, offset);
    errno = fault.error;
    if (hit && fault.error != 0)
        return -1;
    return syscall(SYS_pwrite64, file, bytes, hit ? size / 2 : size, offset);
}

ssize_t write(int file, const void *bytes, size_t size)
{
    bool hit = hits(WRITES);
    if (hit && fault.error != 0)
        return -1;
    return syscall(SYS_write, file, bytes, hit ? size / 2 : size);
}

ssize_t writev(int file, const struct iovec *part, int parts)
{
    bool hit = hits(WRITES);
    if (hit && fault.error != 0)
        return -1;
    return syscall(SYS_writev, file, part, hit ? (parts + 1) / 2 - (parts == 1) : parts);
}

// Nothing here is about power cuts: syncing is left out.
int fsync(int file)
{
    (void)file;
    return hits(SYNCS) ? -1 : 0;
}

int fdatasync(int file)
{
    (void)file;
    syncs++;
    return hits(SYNCS) ? -1 : 0;
}

int ftruncate(int file, off_t size)
{
    return hits(SIZES) ? -1 : (int)syscall(SYS_ftruncate, file, size);
}

int posix_fallocate64(int file, off64_t from, off64_t size)
{
    if (hits(SIZES))
        return fault.error ? fault.error : ENOSPC;
    return syscall(SYS_fallocate, file, 0, from, size) == 0 ? 0 : errno;
}

void *mmap(void *at, size_t size, int protection, int flags, int file, off_t offset)
{
    if (file >= 0 && hits(MAPS))
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, at, size, protection, flags, file, offset); // NOLINT
}

// --- a trial

enum { GENERATIONS = 8 };

typedef struct failing {
    const char *name;
    unsigned calls;
    int error;
    gn_status status; // of what is told first
    long calls_most; // that a trial makes, about
    bool late;
} failing;

static const failing failings[] = {
    { "a full disk", WRITES | SIZES, ENOSPC, GN_ERR_FULL, 90, false },
    { "a quota", WRITES | SIZES, EDQUOT, GN_ERR_FULL, 90, false },
    { "a broken disk", WRITES, EIO, GN_ERR_IO, 90, false },
    { "a short write", WRITES, 0, GN_ERR_IO, 90, false },
    { "a short write on a full disk", WRITES | SIZES, 0, GN_ERR_FULL, 90, false },
    { "a commit that fails at its end", METAS, EIO, GN_ERR_IO, 12, false },
    { "a commit that fails after its end", METAS, EIO, GN_ERR_IO, 12, true },
    { "a broken sync", SYNCS, EIO, GN_ERR_IO, 20, false },
    { "a sync on a full disk", SYNCS, ENOSPC, GN_ERR_FULL, 20, false },
    { "no memory for the map", MAPS, ENOMEM, GN_ERR_MEMORY, 3, false },
};
enum { FAILINGS = sizeof failings / sizeof *failings };

typedef struct trial {
    const failing *failing;
    int told, patience; // failures so far; after how many the condition goes
    bool gives_up; // at the first failure
} trial;

static bool refused(void *user, gn_status status)
{
    trial *self = user;
    bool told = status == self->failing->status ||
                (self->failing->error == 0 && status == GN_ERR_FULL); // LMDB's guess as well
    if (self->told == 0 && !told)
        fail_msg("%s: told as '%s'", self->failing->name, gn_error_text());
    if (status != GN_ERR_FULL && status != GN_ERR_IO && status != GN_ERR_MEMORY)
        fail_msg("%s: then told as '%s'", self->failing->name, gn_error_text());
    assert_true(fault.hits > 0);
    self->told++;
    if (self->told >= self->patience)
        fault.armed = false;
    return !self->gives_up;
}

static replay_buffer *open_refused(const mixed *kind, const char *folder, trial *self)
{
    replay_buffer *buffer = NULL;
    gn_status status;
    while ((status = replay_buffer_create(&buffer, &kind->config, &kind->spec, folder, "run")) !=
           GN_OK) {
        assert_null(buffer);
        if (!refused(self, status))
            return NULL;
    }
    return buffer;
}

static bool roll_back(replay_buffer *buffer, uint64_t generation, uint64_t state, trial *self)
{
    gn_status status;
    while ((status = replay_buffer_rollback(buffer, generation, state)) != GN_OK) {
        assert_int_equal(replay_buffer_count(buffer), 0);
        if (!refused(self, status))
            return false;
    }
    return true;
}

static bool commit(replay_buffer *buffer, uint64_t generation, uint64_t *ret_state, trial *self)
{
    gn_status status;
    while ((status = replay_buffer_commit(buffer, generation, 0)) != GN_OK)
        if (!refused(self, status))
            return false;
    while ((status = replay_buffer_await(buffer, ret_state)) != GN_OK)
        if (!refused(self, status))
            return false;
    return true;
}

typedef struct run {
    uint64_t promised, state[GENERATIONS + 1]; // checksum of each generation
    step_feed feed;
} run;

// Goes on from what was promised; whether to the end.
static bool go_on(const mixed *kind, const char *folder, run *self, trial *with)
{
    replay_buffer *buffer = open_refused(kind, folder, with);
    if (!buffer)
        return false;
    bool whole =
        self->promised == 0 || roll_back(buffer, self->promised, self->state[self->promised], with);
    step_feed feed = self->feed;
    while (whole && self->promised < GENERATIONS) {
        uint64_t next = self->promised + 1;
        whole = mixed_round(&feed, buffer, refused, with) &&
                commit(buffer, next, &self->state[next], with);
        if (whole) {
            self->promised = next;
            self->feed = feed;
        }
    }
    replay_buffer_destroy(&buffer); // while the condition lasts where it gave up
    return whole;
}

static void expect_sound(const char *folder)
{
    replay_findings findings = { 0 };
    replay_verified verified;
    gn_status status = replay_verify(folder, &findings, &verified);
    if (status == GN_ERR_EMPTY || status == GN_ERR_NOT_FOUND)
        return; // it failed before anything was written
    expect_ok(status);
    if (findings.count > 0)
        fail_msg("%s", findings.line[0]);
}

// What a generation holds, as a run without failures in RAM has it.
static void expect_generation(const mixed *kind, const char *folder, uint64_t seed, const run *self,
                              uint64_t generation)
{
    replay_buffer *twin = mixed_open_twin(kind), *buffer = mixed_open(kind, folder);
    step_feed feed = feed_seed(seed, kind->spec.streams);
    for (uint64_t i = 0; i < generation; i++)
        mixed_round(&feed, twin, NULL, NULL);
    expect_ok(replay_buffer_rollback(buffer, generation, self->state[generation]));
    assert_int_equal(feed_checksum(buffer), feed_checksum(twin));
    replay_buffer_destroy(&buffer);
    replay_buffer_destroy(&twin);
}

static int count_open_files(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

// Whether the failure came about.
static bool try_failure(uint64_t number, test_rng *rng)
{
    char folder[GN_PATH_SIZE];
    test_temp_folder(folder);
    mixed kind = mixed_draw(rng, number);
    run self = { .feed = feed_seed(number, kind.spec.streams) };
    trial with = { .failing = &failings[number % FAILINGS],
                   .patience = 1 + (int)test_rng_below(rng, 3),
                   .gives_up = test_rng_below(rng, 2) };
    uint64_t live = gn_mem_live(), reached;
    int files = count_open_files();
    // A short write once could be anything: only a disk that stays full is told as one.
    bool stays = with.failing->error == 0 && with.failing->calls & SIZES;
    arm(with.failing->calls, with.failing->error, with.failing->late,
        stays || with.failing->late || test_rng_below(rng, 3) > 0,
        (long)test_rng_below(rng, (uint64_t)with.failing->calls_most));
    if (!go_on(&kind, folder, &self, &with)) {
        fault.armed = false;
        expect_sound(folder);
        reached = self.promised;
        if (reached > 0)
            expect_generation(&kind, folder, number, &self, reached);
        trial none = { .failing = with.failing };
        if (reached == 0) { // generations nobody was told of
            replay_buffer *buffer = mixed_open(&kind, folder);
            expect_ok(replay_buffer_clear(buffer));
            replay_buffer_destroy(&buffer);
        }
        assert_true(go_on(&kind, folder, &self, &none));
        assert_int_equal(none.told, 0);
    }
    bool came = fault.hits > 0;
    fault.armed = false;
    expect_sound(folder);
    expect_generation(&kind, folder, number, &self, 1 + number % GENERATIONS);
    assert_int_equal(count_open_files(), files);
    assert_int_equal(gn_mem_live(), live);
    test_temp_remove(folder);
    return came && with.told > 0;
}

static void every_failure_is_told_and_nothing_promised_is_lost(void **state)
{
    (void)state;
    int failures = mixed_rounds(200), came[FAILINGS] = { 0 };
    test_rng rng = test_rng_seed(9);
    uint64_t trials = 0;
    for (int all = 0; all < failures; trials++) {
        bool one = try_failure(trials, &rng);
        came[trials % FAILINGS] += one;
        all += one;
    }
    for (int i = 0; i < FAILINGS; i++)
        assert_true(came[i] > 0);
    printf("%d failures in %llu trials\n", failures, (unsigned long long)trials);
}

// A hundred commits without chunks: twice synced, once, never.
static void durability_decides_what_is_synced(void **state)
{
    (void)state;
    enum { COMMITS = 100 };
    static const int expected[] = { 2 * COMMITS, COMMITS, 0 };
    for (int durability = REPLAY_DURABLE_COMMIT; durability <= REPLAY_DURABLE_NONE; durability++) {
        char folder[GN_PATH_SIZE];
        uint64_t checksum;
        test_temp_folder(folder);
        replay_config config = feed_config(100, 16, false);
        config.durability = durability;
        replay_buffer *buffer;
        expect_ok(replay_buffer_create(&buffer, &config, &(replay_spec){ 1, FEED_RECORD, 1 },
                                       folder, "run"));
        int before = syncs;
        for (uint64_t i = 1; i <= COMMITS; i++)
            expect_ok(feed_commit(buffer, i, i, &checksum));
        assert_int_equal(syncs - before, expected[durability]);
        replay_buffer_destroy(&buffer);
        test_temp_remove(folder);
    }
}

TEST_MAIN(durability_decides_what_is_synced, every_failure_is_told_and_nothing_promised_is_lost)
