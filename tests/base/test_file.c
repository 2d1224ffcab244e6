// Files: whole reads, writes that are all or nothing, folders, locks.

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "tests/support/check.h"

static char folder[GN_PATH_SIZE];

// Path of a name in the test's folder; valid until the fourth call after this one.
static const char *at(const char *name)
{
    static char paths[4][GN_PATH_SIZE];
    static size_t next;
    char *path = paths[next++ % 4];
    expect_ok(gn_path_join(path, folder, name));
    return path;
}

static void expect_contents(const char *path, const void *data, size_t size)
{
    void *found = NULL;
    size_t found_size = 0;
    expect_ok(gn_file_read(&found, &found_size, path));
    assert_int_equal(found_size, size);
    assert_memory_equal(found, data, size);
    assert_int_equal(((char *)found)[size], '\0');
    gn_free(&found);
}

static void paths_join_by_one_slash(void **state)
{
    (void)state;
    char path[GN_PATH_SIZE] = "before";
    expect_ok(gn_path_join(path, "a", "b"));
    assert_string_equal(path, "a/b");
    expect_ok(gn_path_join(path, "a/", "b"));
    assert_string_equal(path, "a/b");
    expect_ok(gn_path_join(path, "/", "b"));
    assert_string_equal(path, "/b");
    expect_ok(gn_path_join(path, "", "b"));
    assert_string_equal(path, "b");
    expect_ok(gn_path_join(path, path, "c")); // in place
    assert_string_equal(path, "b/c");
    char name[GN_PATH_SIZE];
    memset(name, 'x', sizeof name);
    name[GN_PATH_SIZE - 1] = '\0';
    expect_fails(GN_ERR_ARG, "longer than 4095 bytes", gn_path_join(path, "a", name));
    assert_string_equal(path, "b/c");
}

static void files_come_back_whole(void **state)
{
    (void)state;
    test_temp_folder(folder);
    static unsigned char data[100000];
    test_rng rng = test_rng_seed(1);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)test_rng_next(&rng);
    for (size_t size = 0; size <= sizeof data; size = 3 * size + 1) {
        expect_ok(gn_file_write(at("data"), data, size));
        expect_contents(at("data"), data, size);
    }
    assert_false(gn_path_exists(at("data.tmp")));
    test_temp_remove(folder);
}

// Such a file says that it has no bytes.
static void files_of_unknown_size_are_read(void **state)
{
    (void)state;
    void *data = NULL;
    size_t size = 0;
    expect_ok(gn_file_read(&data, &size, "/proc/self/maps"));
    assert_true(size > 1000);
    assert_int_equal(strlen(data), size);
    gn_free(&data);
}

static void errors_name_the_path(void **state)
{
    (void)state;
    test_temp_folder(folder);
    void *data = &folder;
    size_t size = 5;
    expect_fails(GN_ERR_NOT_FOUND, at("none"), gn_file_read(&data, &size, at("none")));
    expect_fails(GN_ERR_IO, folder, gn_file_read(&data, &size, folder));
    assert_ptr_equal(data, &folder);
    assert_int_equal(size, 5);
    expect_fails(GN_ERR_NOT_FOUND, at("none/file: "), gn_file_write(at("none/file"), "x", 1));
    expect_fails(GN_ERR_NOT_FOUND, at("none"), gn_path_sync(at("none")));
    expect_fails(GN_ERR_NOT_FOUND, at("none"), gn_path_rename(at("none"), at("other")));
    char **names = NULL;
    expect_fails(GN_ERR_NOT_FOUND, at("none"), gn_folder_list(&names, &size, at("none")));
    expect_ok(gn_file_write(at("file"), "x", 1));
    expect_fails(GN_ERR_IO, at("file"), gn_folder_list(&names, &size, at("file")));
    expect_fails(GN_ERR_EXISTS, at("file"), gn_folder_create(at("file")));
    expect_fails(GN_ERR_EXISTS, at("file"), gn_folder_create(at("file/below")));
    int lock = -1;
    expect_fails(GN_ERR_NOT_FOUND, at("none/lock"), gn_file_lock(&lock, at("none/lock")));
    assert_int_equal(lock, -1);
    assert_null(names);
    test_temp_remove(folder);
}

// Fails the n-th write, fsync or rename for every n until the call succeeds. The path always holds
// the old contents or, where only the last sync failed, the new ones.
static void a_failed_write_keeps_the_old_contents(void **state)
{
    (void)state;
    static const int errors[] = { ENOSPC, EDQUOT, EIO };
    test_temp_folder(folder);
    for (size_t e = 0; e < sizeof errors / sizeof *errors; e++) {
        gn_status expected = errors[e] == EIO ? GN_ERR_IO : GN_ERR_FULL;
        expect_ok(gn_file_write(at("data"), "old", 3));
        uint64_t n = 1;
        for (;; n++) {
            gn_file_fail_at(n, errors[e]);
            gn_status status = gn_file_write(at("data"), "newer", 5);
            gn_file_fail_at(0, 0);
            if (status == GN_OK)
                break;
            expect_fails(expected, n < 4 ? at("data") : folder, status);
            expect_contents(at("data"), n < 4 ? "old" : "newer", n < 4 ? 3 : 5);
            assert_false(gn_path_exists(at("data.tmp")));
        }
        assert_int_equal(n, 5); // write, fsync, rename and the folder's fsync were each failed
        expect_contents(at("data"), "newer", 5);
    }
    test_temp_remove(folder);
}

static void all_operations_fail_after_the_first(void **state)
{
    (void)state;
    test_temp_folder(folder);
    gn_file_fail_at(2, ENOSPC);
    int file = open(at("data"), O_WRONLY | O_CREAT, 0600);
    expect_ok(gn_file_write_all(file, "a", 1, at("data")));
    expect_fails(GN_ERR_FULL, at("data"), gn_file_write_all(file, "b", 1, at("data")));
    expect_fails(GN_ERR_FULL, at("data"), gn_path_sync(at("data")));
    expect_fails(GN_ERR_FULL, at("data"), gn_path_rename(at("data"), at("to")));
    gn_file_fail_at(0, 0);
    expect_ok(gn_file_write_all(file, "c", 1, at("data")));
    close(file);
    expect_contents(at("data"), "ac", 2);
    test_temp_remove(folder);
}

static void a_temp_file_left_behind_does_no_harm(void **state)
{
    (void)state;
    test_temp_folder(folder);
    expect_ok(gn_file_write(at("data.tmp"), "longer than what follows", 24));
    expect_ok(gn_file_write(at("data"), "short", 5));
    expect_contents(at("data"), "short", 5);
    assert_false(gn_path_exists(at("data.tmp")));
    test_temp_remove(folder);
}

static void a_full_disk_is_told(void **state)
{
    (void)state;
    int file = open("/dev/full", O_WRONLY);
    if (file < 0) {
        print_message("SKIP: no /dev/full here\n");
        skip();
    }
    expect_fails(GN_ERR_FULL, "x.bin: cannot write", gn_file_write_all(file, "a", 1, "x.bin"));
    close(file);
}

static void rename_replaces(void **state)
{
    (void)state;
    test_temp_folder(folder);
    expect_ok(gn_file_write(at("a"), "a", 1));
    expect_ok(gn_file_write(at("b"), "bb", 2));
    expect_ok(gn_path_rename(at("a"), at("b")));
    expect_contents(at("b"), "a", 1);
    assert_false(gn_path_exists(at("a")));
    test_temp_remove(folder);
}

static void temporary_folders_are_each_another(void **state)
{
    (void)state;
    test_temp_folder(folder);
    char first[GN_PATH_SIZE], second[GN_PATH_SIZE];
    expect_ok(gn_folder_create_temporary(first, folder));
    expect_ok(gn_folder_create_temporary(second, folder));
    assert_string_not_equal(first, second);
    assert_memory_equal(first, folder, strlen(folder));
    assert_true(gn_path_is_folder(first) && gn_path_is_folder(second));
    expect_fails(GN_ERR_NOT_FOUND, at("none"), gn_folder_create_temporary(first, at("none")));
    assert_string_equal(first, "");
    test_temp_remove(folder);
}

static void folders_are_made_with_parents_and_removed_whole(void **state)
{
    (void)state;
    test_temp_folder(folder);
    expect_ok(gn_folder_create(at("a/b//c/")));
    expect_ok(gn_folder_create(at("a/b/c")));
    assert_true(gn_path_is_folder(at("a/b/c")));
    expect_ok(gn_file_write(at("a/b/file"), "x", 1));
    assert_false(gn_path_is_folder(at("a/b/file")));
    expect_ok(gn_folder_create(at("kept")));
    expect_ok(gn_file_write(at("kept/file"), "x", 1));
    assert_int_equal(symlink(at("kept"), at("a/link")), 0);
    expect_ok(gn_path_remove(at("a")));
    assert_false(gn_path_exists(at("a")));
    assert_true(gn_path_exists(at("kept/file"))); // the link went, not what it names
    expect_ok(gn_path_remove(at("a")));
    expect_ok(gn_path_remove(at("kept/file")));
    assert_false(gn_path_exists(at("kept/file")));
    test_temp_remove(folder);
}

static void lists_are_sorted(void **state)
{
    (void)state;
    test_temp_folder(folder);
    char **names = NULL;
    size_t count = 9;
    expect_ok(gn_folder_list(&names, &count, folder));
    assert_int_equal(count, 0);
    gn_free(&names);
    static const char *const sorted[] = { "10", "9", "B", "a", "\xc3\xa9" };
    static const int order[] = { 3, 0, 4, 2, 1 };
    for (size_t i = 0; i < 5; i++)
        expect_ok(gn_file_write(at(sorted[order[i]]), "", 0));
    expect_ok(gn_folder_list(&names, &count, folder));
    assert_int_equal(count, 5);
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(names[i], sorted[i]);
    gn_free(&names);
    test_temp_remove(folder);
}

static void missing_memory_leaves_nothing_behind(void **state)
{
    (void)state;
    test_temp_folder(folder);
    expect_ok(gn_file_write(at("data"), "x", 1));
    uint64_t live = gn_mem_live();
    for (uint64_t n = 1;; n++) {
        char **names = NULL;
        size_t count;
        gn_mem_fail_at(n);
        gn_status status = gn_folder_list(&names, &count, folder);
        gn_mem_fail_at(0);
        gn_free(&names);
        assert_int_equal(gn_mem_live(), live);
        if (status == GN_OK)
            break;
        assert_int_equal(status, GN_ERR_MEMORY);
    }
    for (uint64_t n = 1;; n++) {
        void *data = NULL;
        size_t size;
        gn_mem_fail_at(n);
        gn_status status = gn_file_read(&data, &size, "/proc/self/maps"); // grows
        gn_mem_fail_at(0);
        gn_free(&data);
        assert_int_equal(gn_mem_live(), live);
        if (status == GN_OK)
            break;
        assert_int_equal(status, GN_ERR_MEMORY);
    }
    test_temp_remove(folder);
}

// Status of locking `path` in a child process that ends at once.
static int lock_in_child(const char *path)
{
    pid_t child = fork();
    if (child == 0) {
        int lock = -1;
        _exit((int)gn_file_lock(&lock, path));
    }
    int result = 0;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result));
    return WEXITSTATUS(result);
}

static void locks_exclude_each_other(void **state)
{
    (void)state;
    test_temp_folder(folder);
    int lock = -1, second = -1;
    gn_file_unlock(&lock); // none
    assert_int_equal(lock_in_child(at("lock")), GN_OK); // the child's end released it
    expect_ok(gn_file_lock(&lock, at("lock")));
    assert_true(lock >= 0);
    assert_int_equal(lock_in_child(at("lock")), GN_ERR_BUSY);
    expect_fails(GN_ERR_BUSY, at("lock"), gn_file_lock(&second, at("lock")));
    assert_int_equal(second, -1);
    gn_file_unlock(&lock);
    assert_int_equal(lock, -1);
    assert_int_equal(lock_in_child(at("lock")), GN_OK);
    expect_ok(gn_file_lock(&second, at("lock")));
    gn_file_unlock(&second);
    test_temp_remove(folder);
}

TEST_MAIN(paths_join_by_one_slash, files_come_back_whole, files_of_unknown_size_are_read,
          errors_name_the_path, a_failed_write_keeps_the_old_contents,
          all_operations_fail_after_the_first, a_temp_file_left_behind_does_no_harm,
          a_full_disk_is_told, rename_replaces, temporary_folders_are_each_another,
          folders_are_made_with_parents_and_removed_whole, lists_are_sorted,
          missing_memory_leaves_nothing_behind, locks_exclude_each_other)
