// Whether two folders hold the same run: weights, state, metrics and replay, byte for byte.

#ifndef TESTS_RL_COMPARE_RUNS_H
#define TESTS_RL_COMPARE_RUNS_H

#include <lmdb.h>

#include "rl/snapshot.h"
#include "tests/rl/small_run.h"

// ret_path = run/name.
static inline void run_path(char ret_path[GN_PATH_SIZE], const char *run, const char *name)
{
    expect_ok(gn_path_join(ret_path, run, name));
}

// Step of the newest snapshot in run/name; fails where there is none.
static inline uint64_t newest_step(const char *run, const char *name)
{
    char path[GN_PATH_SIZE];
    uint64_t *steps = NULL;
    size_t count = 0;
    run_path(path, run, name);
    expect_ok(rl_snapshot_list(&steps, &count, path));
    assert_true(count > 0);
    uint64_t newest = steps[count - 1];
    gn_free(&steps);
    return newest;
}

static inline void expect_same_file(const char *run_a, const char *run_b, const char *name)
{
    char path_a[GN_PATH_SIZE], path_b[GN_PATH_SIZE];
    run_path(path_a, run_a, name);
    run_path(path_b, run_b, name);
    file_bytes a = read_bytes(path_a), b = read_bytes(path_b);
    if (a.size != b.size || memcmp(a.data, b.data, a.size) != 0)
        fail_msg("%s and %s differ", path_a, path_b);
    gn_free(&a.data);
    gn_free(&b.data);
}

// metrics.jsonl without the "timing" objects, which end their lines; release with gn_free.
static inline char *metrics_without_timing(const char *run)
{
    char path[GN_PATH_SIZE];
    run_path(path, run, "metrics.jsonl");
    char *text = read_bytes(path).data, *from = text, *to = text;
    while (*from) {
        size_t line = strcspn(from, "\n"), kept = line;
        char *timing = strstr(from, ",\"timing\":{");
        if (timing && timing < from + line)
            kept = (size_t)(timing - from);
        memmove(to, from, kept);
        to += kept;
        if (kept < line)
            *to++ = '}';
        *to++ = '\n';
        from += line + (from[line] == '\n');
    }
    *to = '\0';
    return text;
}

static inline void expect_same_metrics(const char *run_a, const char *run_b)
{
    char *a = metrics_without_timing(run_a), *b = metrics_without_timing(run_b);
    size_t at = 0, line = 1;
    for (; a[at] && a[at] == b[at]; at++)
        line += a[at] == '\n';
    if (a[at] != b[at])
        fail_msg("metrics of %s and %s differ in line %zu", run_a, run_b, line);
    gn_free(&a);
    gn_free(&b);
}

// The newest snapshot in the folder `name` of both runs.
static inline void expect_same_snapshot(const char *run_a, const char *run_b, const char *name)
{
    static const char *const files[] = { "manifest.json", "weights.safetensors", "train.bin.zst" };
    unsigned long long step = newest_step(run_a, name);
    assert_int_equal(newest_step(run_b, name), step);
    for (int i = 0; i < 3; i++) {
        char file[64], path[GN_PATH_SIZE];
        snprintf(file, sizeof file, "%s/%llu/%s", name, step, files[i]);
        run_path(path, run_a, file);
        if (gn_path_exists(path)) // best weights have no state
            expect_same_file(run_a, run_b, file);
    }
}

// The newest checkpoint, the newest best weights, and the metrics.
static inline void expect_same_outcome(const char *run_a, const char *run_b)
{
    expect_same_snapshot(run_a, run_b, "checkpoints");
    expect_same_snapshot(run_a, run_b, "best");
    expect_same_metrics(run_a, run_b);
}

// --- the replay store, walked with LMDB itself

#define EXPECT_LMDB(call) assert_string_equal(mdb_strerror(call), mdb_strerror(0))

static inline MDB_txn *open_replay(const char *run, MDB_env **ret_env)
{
    char path[GN_PATH_SIZE];
    MDB_txn *txn = NULL;
    run_path(path, run, "replay");
    EXPECT_LMDB(mdb_env_create(ret_env));
    EXPECT_LMDB(mdb_env_set_maxdbs(*ret_env, 16));
    EXPECT_LMDB(mdb_env_open(*ret_env, path, MDB_RDONLY | MDB_NOLOCK, 0));
    EXPECT_LMDB(mdb_txn_begin(*ret_env, NULL, MDB_RDONLY, &txn));
    return txn;
}

static inline void expect_same_value(MDB_val a, MDB_val b, const char *what)
{
    if (a.mv_size != b.mv_size || memcmp(a.mv_data, b.mv_data, a.mv_size) != 0)
        fail_msg("replay: %s differs", what);
}

// All keys and values of one database; returns how many. name NULL: the names of the others.
static inline size_t expect_same_database(MDB_txn *txn_a, MDB_txn *txn_b, const char *name)
{
    MDB_dbi a, b;
    MDB_cursor *cursor_a = NULL, *cursor_b = NULL;
    MDB_val key_a, key_b, value_a, value_b;
    size_t count = 0;
    EXPECT_LMDB(mdb_dbi_open(txn_a, name, 0, &a));
    EXPECT_LMDB(mdb_dbi_open(txn_b, name, 0, &b));
    EXPECT_LMDB(mdb_cursor_open(txn_a, a, &cursor_a));
    EXPECT_LMDB(mdb_cursor_open(txn_b, b, &cursor_b));
    for (;; count++) {
        int code = mdb_cursor_get(cursor_a, &key_a, &value_a, MDB_NEXT);
        assert_int_equal(mdb_cursor_get(cursor_b, &key_b, &value_b, MDB_NEXT), code);
        if (code == MDB_NOTFOUND)
            break;
        EXPECT_LMDB(code);
        expect_same_value(key_a, key_b, "a key");
        if (name) {
            expect_same_value(value_a, value_b, name);
            continue;
        }
        char database[64];
        snprintf(database, sizeof database, "%.*s", (int)key_a.mv_size, (char *)key_a.mv_data);
        count += expect_same_database(txn_a, txn_b, database);
    }
    mdb_cursor_close(cursor_a);
    mdb_cursor_close(cursor_b);
    return count;
}

static inline void expect_same_replay(const char *run_a, const char *run_b)
{
    MDB_env *env_a = NULL, *env_b = NULL;
    MDB_txn *a = open_replay(run_a, &env_a), *b = open_replay(run_b, &env_b);
    assert_true(expect_same_database(a, b, NULL) > 5);
    mdb_txn_abort(a);
    mdb_txn_abort(b);
    mdb_env_close(env_a);
    mdb_env_close(env_b);
}

#endif
