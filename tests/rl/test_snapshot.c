// Snapshots: what was written comes back, nothing damaged passes, and no failure harms another.

#include "rl/snapshot.h"

#include <errno.h>
#include <math.h>

#include "tests/rl/small_run.h"

enum { WEIGHTS = 500, LEVEL = 3 };

static void fill(unsigned char *bytes, size_t size, uint64_t seed)
{
    test_rng rng = test_rng_seed(seed);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)test_rng_below(&rng, 256);
}

static rl_snapshot_info info_of(uint64_t step)
{
    rl_snapshot_info info = { .step = step,
                              .replay_checksum = ~step,
                              .metric = 0.1 * (double)step };
    snprintf(info.run, sizeof info.run, "%032d", 7);
    return info;
}

// A snapshot whose contents follow from its step.
static gn_status write_snapshot(const char *folder, uint64_t step, bool with_state)
{
    unsigned char weights[WEIGHTS];
    uint64_t words[64];
    gn_blob state = { 0 };
    rl_snapshot_info info = info_of(step);
    fill(weights, sizeof weights, step);
    fill((unsigned char *)words, sizeof words, step + 1);
    gn_blob_write(&state, "words", words, sizeof words);
    gn_status status = gn_blob_status(&state);
    if (status == GN_OK)
        status = rl_snapshot_write(folder, &info, weights, sizeof weights,
                                   with_state ? &state : NULL, LEVEL);
    gn_blob_free(&state);
    return status;
}

static void expect_snapshot(const char *folder, uint64_t step, bool with_state)
{
    unsigned char weights[WEIGHTS];
    uint64_t words[64], found[64];
    rl_snapshot snapshot;
    rl_snapshot_info info = info_of(step);
    fill(weights, sizeof weights, step);
    fill((unsigned char *)words, sizeof words, step + 1);
    expect_ok(rl_snapshot_read(&snapshot, folder, step));
    assert_int_equal(snapshot.info.step, step);
    assert_string_equal(snapshot.info.run, info.run);
    assert_int_equal(snapshot.info.replay_checksum, info.replay_checksum);
    assert_true(snapshot.info.metric == info.metric);
    assert_int_equal(snapshot.weights_size, sizeof weights);
    assert_memory_equal(snapshot.weights, weights, sizeof weights);
    if (with_state) {
        gn_blob_read(&snapshot.state, "words", found, sizeof found);
        expect_ok(gn_blob_status(&snapshot.state));
        assert_memory_equal(found, words, sizeof words);
    } else {
        assert_int_equal(snapshot.state.size, 0);
    }
    rl_snapshot_free(&snapshot);
}

static void expect_steps(const char *folder, const uint64_t *steps, size_t count)
{
    uint64_t *found = NULL;
    size_t found_count = 0;
    expect_ok(rl_snapshot_list(&found, &found_count, folder));
    assert_int_equal(found_count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(found[i], steps[i]);
    gn_free(&found);
}

#define EXPECT_STEPS(folder, ...) \
    expect_steps(folder, (const uint64_t[]){ __VA_ARGS__ }, \
                 sizeof(const uint64_t[]){ __VA_ARGS__ } / sizeof(uint64_t))

static void what_was_written_is_read(void **state)
{
    (void)state;
    small_run small;
    small_run_open(&small);
    expect_ok(write_snapshot(small.folder, 0, true));
    expect_ok(write_snapshot(small.folder, 25000, true));
    expect_ok(write_snapshot(small.folder, 9, false));
    expect_snapshot(small.folder, 0, true);
    expect_snapshot(small.folder, 25000, true);
    expect_snapshot(small.folder, 9, false);
    expect_ok(write_snapshot(small.folder, 9, true)); // replaces
    expect_snapshot(small.folder, 9, true);
    test_temp_remove(small.folder);
}

static void no_metric_yet_stays_none(void **state)
{
    (void)state;
    small_run small;
    rl_snapshot snapshot;
    rl_snapshot_info info = info_of(1);
    info.metric = NAN;
    small_run_open(&small);
    expect_ok(rl_snapshot_write(small.folder, &info, "w", 1, NULL, LEVEL));
    expect_ok(rl_snapshot_read(&snapshot, small.folder, 1));
    assert_true(isnan(snapshot.info.metric));
    rl_snapshot_free(&snapshot);
    expect_fails(GN_ERR_NOT_FOUND, "manifest.json", rl_snapshot_read(&snapshot, small.folder, 2));
    test_temp_remove(small.folder);
}

static const char *const parts[] = { "manifest.json", "weights.safetensors", "train.bin.zst" };
enum { PARTS = 3 };

static void part_path(char ret_path[GN_PATH_SIZE], const small_run *small, const char *part)
{
    char folder[GN_PATH_SIZE];
    expect_ok(gn_path_join(folder, small->folder, "5"));
    expect_ok(gn_path_join(ret_path, folder, part));
}

// Every byte of the manifest, every 7th of the others.
static void no_flipped_byte_passes(void **state)
{
    (void)state;
    small_run small;
    small_run_open(&small);
    expect_ok(write_snapshot(small.folder, 5, true));
    for (int part = 0; part < PARTS; part++) {
        char path[GN_PATH_SIZE];
        part_path(path, &small, parts[part]);
        file_bytes original = read_bytes(path);
        for (size_t at = 0; at < original.size; at += part == 0 ? 1 : 7) {
            rl_snapshot snapshot;
            flip_byte(path, at);
            expect_fails(GN_ERR_CORRUPT, parts[part], rl_snapshot_read(&snapshot, small.folder, 5));
            flip_byte(path, at);
        }
        gn_free(&original.data);
    }
    expect_snapshot(small.folder, 5, true);
    test_temp_remove(small.folder);
}

static void no_truncated_or_missing_part_passes(void **state)
{
    (void)state;
    small_run small;
    rl_snapshot snapshot;
    small_run_open(&small);
    for (int part = 0; part < PARTS; part++) {
        char path[GN_PATH_SIZE];
        part_path(path, &small, parts[part]);
        expect_ok(write_snapshot(small.folder, 5, true));
        file_bytes original = read_bytes(path);
        for (size_t size = 0; size < original.size; size += 1 + original.size / 40) {
            expect_ok(gn_file_write(path, original.data, size));
            expect_fails(GN_ERR_CORRUPT, parts[part], rl_snapshot_read(&snapshot, small.folder, 5));
        }
        gn_free(&original.data);
        expect_ok(gn_path_remove(path));
        expect_fails(GN_ERR_NOT_FOUND, parts[part], rl_snapshot_read(&snapshot, small.folder, 5));
    }
    test_temp_remove(small.folder);
}

static void another_steps_snapshot_does_not_pass(void **state)
{
    (void)state;
    small_run small;
    char from[GN_PATH_SIZE], to[GN_PATH_SIZE];
    rl_snapshot snapshot;
    small_run_open(&small);
    expect_ok(gn_path_join(from, small.folder, "5"));
    expect_ok(gn_path_join(to, small.folder, "6"));
    expect_ok(write_snapshot(small.folder, 5, true));
    expect_ok(gn_path_rename(from, to));
    expect_fails(GN_ERR_CORRUPT, "not the manifest of step 6",
                 rl_snapshot_read(&snapshot, small.folder, 6));
    test_temp_remove(small.folder);
}

static void lists_ascending_and_removes_what_is_asked(void **state)
{
    (void)state;
    static const uint64_t steps[] = { 1000, 9, 200, 30 };
    small_run small;
    char folder[GN_PATH_SIZE], leftover[GN_PATH_SIZE], other[GN_PATH_SIZE];
    small_run_open(&small);
    expect_ok(gn_path_join(folder, small.folder, "checkpoints"));
    expect_steps(folder, NULL, 0); // no folder, no snapshots
    expect_ok(rl_snapshot_rotate(folder, 1));
    expect_ok(rl_snapshot_prune(folder, 1));
    for (size_t i = 0; i < 4; i++)
        expect_ok(write_snapshot(folder, steps[i], false));
    expect_ok(gn_path_join(leftover, folder, "2000.tmp"));
    expect_ok(gn_path_join(other, folder, "notes"));
    expect_ok(gn_folder_create(leftover));
    expect_ok(gn_folder_create(other));
    EXPECT_STEPS(folder, 9, 30, 200, 1000);

    expect_ok(rl_snapshot_prune(folder, 29));
    EXPECT_STEPS(folder, 9, 30, 200, 1000);
    expect_ok(rl_snapshot_prune(folder, 199));
    EXPECT_STEPS(folder, 30, 200, 1000);
    expect_ok(rl_snapshot_remove_after(folder, 200));
    EXPECT_STEPS(folder, 30, 200);
    expect_ok(rl_snapshot_rotate(folder, 2));
    EXPECT_STEPS(folder, 30, 200);
    assert_false(gn_path_exists(leftover));
    assert_true(gn_path_exists(other));
    expect_ok(rl_snapshot_rotate(folder, 1));
    EXPECT_STEPS(folder, 200);
    expect_ok(rl_snapshot_remove(folder, 200));
    expect_steps(folder, NULL, 0);
    test_temp_remove(small.folder);
}

// The n-th write, sync or rename fails, for every n: no new snapshot and the old ones whole, or,
// where only the last sync of the folder failed, both.
static void a_failed_write_harms_no_snapshot(void **state)
{
    (void)state;
    small_run small;
    gn_status status = GN_ERR_FULL;
    uint64_t n = 0;
    small_run_open(&small);
    expect_ok(write_snapshot(small.folder, 5, true));
    while (status != GN_OK) {
        uint64_t live = gn_mem_live();
        gn_file_fail_at(++n, ENOSPC);
        status = write_snapshot(small.folder, 6, true);
        gn_file_fail_at(0, 0);
        assert_int_equal(gn_mem_live(), live);
        expect_snapshot(small.folder, 5, true);
        if (status != GN_OK) {
            uint64_t *steps = NULL;
            size_t count = 0;
            assert_int_equal(status, GN_ERR_FULL);
            expect_ok(rl_snapshot_list(&steps, &count, small.folder));
            if (count == 2)
                expect_snapshot(small.folder, 6, true);
            else
                assert_int_equal(count, 1);
            gn_free(&steps);
            expect_ok(rl_snapshot_remove(small.folder, 6));
        }
    }
    assert_true(n > 9);
    EXPECT_STEPS(small.folder, 5, 6);
    expect_snapshot(small.folder, 6, true);
    test_temp_remove(small.folder);
}

static void a_failed_allocation_is_an_error(void **state)
{
    (void)state;
    small_run small;
    rl_snapshot snapshot;
    gn_status status = GN_ERR_MEMORY;
    small_run_open(&small);
    uint64_t live = gn_mem_live();
    for (uint64_t n = 1; status != GN_OK; n++) {
        gn_mem_fail_at(n);
        status = write_snapshot(small.folder, 5, true);
        gn_mem_fail_at(0);
        assert_true(status == GN_OK || status == GN_ERR_MEMORY);
        assert_int_equal(gn_mem_live(), live);
    }
    status = GN_ERR_MEMORY;
    for (uint64_t n = 1; status != GN_OK; n++) {
        gn_mem_fail_at(n);
        status = rl_snapshot_read(&snapshot, small.folder, 5);
        gn_mem_fail_at(0);
        assert_true(status == GN_OK || status == GN_ERR_MEMORY);
        if (status != GN_OK)
            assert_int_equal(gn_mem_live(), live);
    }
    rl_snapshot_free(&snapshot);
    assert_int_equal(gn_mem_live(), live);
    test_temp_remove(small.folder);
}

TEST_MAIN(what_was_written_is_read, no_metric_yet_stays_none, no_flipped_byte_passes,
          no_truncated_or_missing_part_passes, another_steps_snapshot_does_not_pass,
          lists_ascending_and_removes_what_is_asked, a_failed_write_harms_no_snapshot,
          a_failed_allocation_is_an_error)
