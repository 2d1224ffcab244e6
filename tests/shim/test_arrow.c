// The Arrow shim: what is written reads back, types are those all values have, and every failure is
// one line that names the path.

#include "shim/arrow.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tests/support/check.h"

typedef struct scene {
    char folder[GN_PATH_SIZE], path[GN_PATH_SIZE];
} scene;

static void set_up(scene *ret_s)
{
    *ret_s = (scene){ 0 };
    test_temp_folder(ret_s->folder);
}

static void tear_down(scene *s)
{
    test_temp_remove(s->folder);
}

static const char *file(scene *s, const char *name, const void *contents, size_t size)
{
    expect_ok(gn_path_join(s->path, s->folder, name));
    expect_ok(gn_file_write(s->path, contents, size));
    return s->path;
}

// A file that was read: one batch and its schema.
typedef struct table {
    struct ArrowArrayStream stream;
    struct ArrowSchema schema;
    struct ArrowArray batch;
} table;

static void take(table *t)
{
    assert_int_equal(t->stream.get_schema(&t->stream, &t->schema), 0);
    assert_int_equal(t->stream.get_next(&t->stream, &t->batch), 0);
    assert_non_null(t->batch.release);
}

static void drop(table *t)
{
    t->stream.release(&t->stream); // the batch outlives its stream
    assert_int_equal(t->batch.n_children, t->schema.n_children);
    t->batch.release(&t->batch);
    t->schema.release(&t->schema);
}

static const void *values(const table *t, int column)
{
    return t->batch.children[column]->buffers[1];
}

static const char *format(const table *t, int column)
{
    return t->schema.children[column]->format;
}

// --- Reading ------------------------------------------------------------------------------------

static void columns_get_the_type_all_their_values_have(void **state)
{
    (void)state;
    static const char text[] = "a,b,c,d,e,f\n"
                               "1,1,2024-01-01T00:00:00Z,x,2024-01-01,\n"
                               "2,2.5,2024-01-01T00:15:00Z,y,2024-01-02,\n";
    scene s;
    set_up(&s);
    table t;
    expect_ok(arrow_read(&t.stream, file(&s, "a.csv", text, sizeof text - 1), NULL));
    take(&t);
    assert_string_equal(format(&t, 0), "l");
    assert_string_equal(format(&t, 1), "g");
    assert_string_equal(format(&t, 2), "tss:UTC");
    assert_string_equal(format(&t, 3), "u");
    assert_string_equal(format(&t, 4), "tdD");
    assert_string_equal(format(&t, 5), "n");
    assert_string_equal(t.schema.children[3]->name, "d");
    assert_int_equal(t.batch.length, 2);
    assert_int_equal(((const int64_t *)values(&t, 0))[1], 2);
    assert_true(((const double *)values(&t, 1))[1] == 2.5);
    assert_int_equal(((const int64_t *)values(&t, 2))[1], 1704068100);
    drop(&t);
    expect_ok(arrow_read(&t.stream, s.path, (const char *const[]){ "a", "c", NULL }));
    take(&t);
    assert_string_equal(format(&t, 0), "u");
    assert_string_equal(format(&t, 1), "g");
    assert_string_equal(format(&t, 2), "u");
    drop(&t);
    tear_down(&s);
}

// The type of a column must not be guessed from the first block: here the fraction comes megabytes
// later.
static void types_are_told_from_the_whole_file(void **state)
{
    (void)state;
    enum { ROWS = 1000000 };
    scene s;
    set_up(&s);
    expect_ok(gn_path_join(s.path, s.folder, "long.csv"));
    FILE *out = fopen(s.path, "w");
    fputs("a\n", out);
    for (int i = 0; i < ROWS; i++)
        fputs(i == ROWS - 1 ? "0.5\n" : "100\n", out);
    fclose(out);
    table t;
    expect_ok(arrow_read(&t.stream, s.path, NULL));
    take(&t);
    assert_string_equal(format(&t, 0), "g");
    drop(&t);
    tear_down(&s);
}

static void reads_compressed_text(void **state)
{
    (void)state;
    // "a,b\n1,2\n", by gzip and by zstd.
    static const unsigned char gzip[] = { 0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00,
                                          0x00, 0x00, 0x03, 0x4b, 0xd4, 0x49, 0xe2,
                                          0x32, 0xd4, 0x31, 0xe2, 0x02, 0x00, 0x7b,
                                          0x07, 0x97, 0x0a, 0x08, 0x00, 0x00, 0x00 };
    static const unsigned char zstd[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x08, 0x41, 0x00, 0x00,
                                          0x61, 0x2c, 0x62, 0x0a, 0x31, 0x2c, 0x32, 0x0a };
    scene s;
    set_up(&s);
    const char *paths[] = { "a.csv.gz", "a.csv.zst" };
    for (int i = 0; i < 2; i++) {
        table t;
        expect_ok(arrow_read(&t.stream,
                             i == 0 ? file(&s, paths[i], gzip, sizeof gzip)
                                    : file(&s, paths[i], zstd, sizeof zstd),
                             NULL));
        take(&t);
        assert_int_equal(((const int64_t *)values(&t, 1))[0], 2);
        drop(&t);
    }
    tear_down(&s);
}

// --- Writing and reading back -------------------------------------------------------------------

// A batch of one double and one text column whose memory is the caller's.
typedef struct source {
    struct ArrowSchema schema, child[2], *children[2];
    struct ArrowArray batch, column[2], *columns[2];
    const void *none[1], *numbers[2], *texts[3];
} source;

static void release_schema(struct ArrowSchema *schema)
{
    schema->release = NULL;
}

static void release_array(struct ArrowArray *array)
{
    array->release = NULL;
}

static void make_source(source *s)
{
    static const double number[] = { 0.1, -2, 1e300 };
    static const int32_t offset[] = { 0, 1, 3, 6 };
    *s = (source){ 0 };
    s->child[0] = (struct ArrowSchema){ .format = "g", .name = "x", .release = release_schema };
    s->child[1] = (struct ArrowSchema){ .format = "u", .name = "name", .release = release_schema };
    s->numbers[1] = number;
    s->texts[1] = offset;
    s->texts[2] = "abbccc";
    for (int i = 0; i < 2; i++) {
        s->children[i] = &s->child[i];
        s->columns[i] = &s->column[i];
        s->column[i] = (struct ArrowArray){ .length = 3,
                                            .n_buffers = 2 + i,
                                            .buffers = i ? s->texts : s->numbers,
                                            .release = release_array };
    }
    s->schema = (struct ArrowSchema){ .format = "+s",
                                      .name = "",
                                      .n_children = 2,
                                      .children = s->children,
                                      .release = release_schema };
    s->batch = (struct ArrowArray){ .length = 3,
                                    .n_buffers = 1,
                                    .buffers = s->none,
                                    .n_children = 2,
                                    .children = s->columns,
                                    .release = release_array };
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    const char *names[] = { "a.csv", "a.parquet", "a.arrow" };
    for (int i = 0; i < 4; i++) {
        source in;
        make_source(&in);
        expect_ok(gn_path_join(s.path, s.folder, names[i < 3 ? i : 2]));
        if (i < 3)
            expect_ok(arrow_write(s.path, &in.schema, &in.batch));
        table t;
        expect_ok(i < 3 ? arrow_read(&t.stream, s.path, NULL) : arrow_map(&t.stream, s.path));
        take(&t);
        assert_int_equal(t.batch.length, 3);
        const double *x = values(&t, 0);
        assert_true(x[0] == 0.1 && x[1] == -2 && x[2] == 1e300);
        assert_string_equal(format(&t, 1), "u");
        assert_memory_equal(t.batch.children[1]->buffers[2], "abbccc", 6);
        drop(&t);
    }
    tear_down(&s);
}

static void written_csv_is_plain(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    source in;
    make_source(&in);
    expect_ok(gn_path_join(s.path, s.folder, "a.csv"));
    expect_ok(arrow_write(s.path, &in.schema, &in.batch));
    assert_true(in.schema.release == NULL && in.batch.release == NULL); // consumed
    void *text;
    size_t size;
    expect_ok(gn_file_read(&text, &size, s.path));
    assert_string_equal(text, "x,name\n0.1,a\n-2,bb\n1e+300,ccc\n");
    gn_free(&text);
    tear_down(&s);
}

// --- Failures -----------------------------------------------------------------------------------

static void failures_are_one_line_with_the_path(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    struct ArrowArrayStream stream;
    expect_ok(gn_path_join(s.path, s.folder, "none.csv"));
    expect_fails(GN_ERR_NOT_FOUND, s.path, arrow_read(&stream, s.path, NULL));
    expect_fails(GN_ERR_NOT_FOUND, s.path, arrow_map(&stream, s.path));
    expect_fails(GN_ERR_EMPTY, "a.csv: the file is empty",
                 arrow_read(&stream, file(&s, "a.csv", "", 0), NULL));
    expect_fails(GN_ERR_UNSUPPORTED, "a.doc: the ending is none of",
                 arrow_read(&stream, file(&s, "a.doc", "x", 1), NULL));
    expect_fails(GN_ERR_UNSUPPORTED, "a.parquet.gz: the ending",
                 arrow_read(&stream, file(&s, "a.parquet.gz", "x", 1), NULL));
    expect_fails(GN_ERR_FORMAT, "Row #3: Expected 2 columns, got 3: 5,6,7",
                 arrow_read(&stream, file(&s, "a.csv", "a,b\n1,2\n5,6,7\n", 14), NULL));
    expect_fails(GN_ERR_FORMAT, s.path,
                 arrow_read(&stream, file(&s, "a.parquet", "no parquet at all", 17), NULL));
    expect_fails(GN_ERR_FORMAT, s.path, arrow_map(&stream, file(&s, "a.arrow", "not arrow", 9)));
    assert_null(strchr(gn_error_text(), '\n'));
    file(&s, "a.csv.gz", "this is not gzip", 16);
    assert_int_not_equal(arrow_read(&stream, s.path, NULL), GN_OK);
    assert_non_null(strstr(gn_error_text(), s.path));
    source in;
    make_source(&in);
    expect_ok(gn_path_join(s.path, s.folder, "a.xls"));
    expect_fails(GN_ERR_UNSUPPORTED, "a.xls: the ending is none of .csv, .parquet, .arrow",
                 arrow_write(s.path, &in.schema, &in.batch));
    make_source(&in);
    expect_ok(gn_path_join(s.path, s.folder, "no/folder.csv"));
    expect_fails(GN_ERR_NOT_FOUND, s.path, arrow_write(s.path, &in.schema, &in.batch));
    tear_down(&s);
}

// Any truncation, and any flipped byte, is either noticed or harmless: no crash, no sanitizer
// report.
static void damaged_files_never_crash(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    const char *names[] = { "a.parquet", "a.arrow" };
    test_rng rng = test_rng_seed(1);
    for (int kind = 0; kind < 2; kind++) {
        source in;
        make_source(&in);
        expect_ok(gn_path_join(s.path, s.folder, names[kind]));
        expect_ok(arrow_write(s.path, &in.schema, &in.batch));
        void *good;
        size_t size;
        expect_ok(gn_file_read(&good, &size, s.path));
        for (int round = 0; round < 300; round++) {
            size_t kept = round % 2 ? size : test_rng_below(&rng, size);
            unsigned char damaged[8192];
            assert_true(size <= sizeof damaged);
            memcpy(damaged, good, size);
            if (kept == size)
                damaged[test_rng_below(&rng, size)] ^=
                    (unsigned char)(1 + test_rng_below(&rng, 255));
            table t;
            if (arrow_read(&t.stream, file(&s, names[kind], damaged, kept), NULL) == GN_OK) {
                t.stream.release(&t.stream);
                assert_int_equal(kept, size); // a truncated file is always noticed
            }
        }
        gn_free(&good);
    }
    tear_down(&s);
}

static void a_failing_disk_is_reported(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    const char *names[] = { "a.csv", "a.parquet", "a.arrow" };
    for (int i = 0; i < 3; i++) {
        source in;
        make_source(&in);
        expect_ok(gn_path_join(s.path, s.folder, names[i]));
        gn_file_fail_at(1, ENOSPC);
        gn_status status = arrow_write(s.path, &in.schema, &in.batch);
        gn_file_fail_at(0, 0);
        expect_fails(GN_ERR_FULL, s.path, status);
    }
    tear_down(&s);
}

static void names_its_version(void **state)
{
    (void)state;
    assert_non_null(strchr(arrow_version(), '.'));
}

TEST_MAIN(columns_get_the_type_all_their_values_have, types_are_told_from_the_whole_file,
          reads_compressed_text, what_is_written_reads_back, written_csv_is_plain,
          failures_are_one_line_with_the_path, damaged_files_never_crash,
          a_failing_disk_is_reported, names_its_version)
