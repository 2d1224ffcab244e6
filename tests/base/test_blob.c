// Saved sections: they come back as written, and nothing else is believed.

#include "base/blob.h"

#include <string.h>

#include "base/mem.h"
#include "tests/support/check.h"

static gn_blob reader_of(const gn_blob *written)
{
    return (gn_blob){ .data = written->data, .size = written->size };
}

static void write_sample(gn_blob *blob)
{
    uint64_t position = 77;
    gn_blob_write(blob, "position", &position, sizeof position);
    gn_blob_write(blob, "empty", NULL, 0);
    gn_blob_write(blob, "weights", (float[]){ 1, 2, 3 }, 3 * sizeof(float));
}

static void read_sample(gn_blob *blob)
{
    uint64_t position;
    float weights[3];
    gn_blob_read(blob, "position", &position, sizeof position);
    gn_blob_read(blob, "empty", NULL, 0);
    gn_blob_read(blob, "weights", weights, sizeof weights);
    if (gn_blob_status(blob) == GN_OK) {
        assert_int_equal(position, 77);
        assert_memory_equal(weights, ((float[]){ 1, 2, 3 }), sizeof weights);
    }
}

static void sections_come_back(void **state)
{
    (void)state;
    gn_blob written = { 0 };
    write_sample(&written);
    expect_ok(gn_blob_status(&written));
    gn_blob blob = reader_of(&written);
    assert_int_equal(gn_blob_next_size(&blob, "position"), 8);
    read_sample(&blob);
    expect_ok(gn_blob_status(&blob));
    assert_int_equal(blob.cursor, blob.size);
    gn_blob_free(&written);
}

static void sections_can_be_read_in_place(void **state)
{
    (void)state;
    gn_blob written = { 0 };
    write_sample(&written);
    gn_blob blob = reader_of(&written);
    size_t size = 0;
    uint64_t position = 0;
    const void *bytes = gn_blob_next(&blob, "position", &size);
    assert_int_equal(size, sizeof position);
    memcpy(&position, bytes, size);
    assert_int_equal(position, 77);
    assert_non_null(gn_blob_next(&blob, "empty", &size));
    assert_int_equal(size, 0);
    assert_null(gn_blob_next(&blob, "position", &size));
    expect_fails(GN_ERR_CORRUPT, "section 'weights' where 'position' belongs",
                 gn_blob_status(&blob));
    gn_blob_free(&written);
}

static void the_bytes_are_as_documented(void **state)
{
    (void)state;
    gn_blob blob = { 0 };
    gn_blob_write(&blob, "ab", "xyz", 3);
    assert_int_equal(blob.size, 4 + 2 + 8 + 3);
    assert_memory_equal(blob.data, "\2\0\0\0ab\3\0\0\0\0\0\0\0xyz", blob.size);
    gn_blob_free(&blob);
}

static void another_name_or_size_is_refused(void **state)
{
    (void)state;
    gn_blob written = { 0 };
    write_sample(&written);
    uint32_t small = 5;
    gn_blob blob = reader_of(&written);
    gn_blob_read(&blob, "position", &small, sizeof small);
    expect_fails(GN_ERR_CORRUPT, "section 'position' has 8 bytes, not 4", gn_blob_status(&blob));
    assert_int_equal(small, 0);

    uint64_t value = 5;
    blob = reader_of(&written);
    gn_blob_read(&blob, "cursor", &value, sizeof value);
    expect_fails(GN_ERR_CORRUPT, "section 'position' where 'cursor' belongs",
                 gn_blob_status(&blob));
    assert_int_equal(value, 0);
    value = 5;
    gn_blob_read(&blob, "position", &value, sizeof value); // sticky
    assert_int_equal(value, 0);

    blob = reader_of(&written);
    assert_int_equal(gn_blob_next_size(&blob, "empty"), 0);
    expect_fails(GN_ERR_CORRUPT, "where 'empty' belongs", gn_blob_status(&blob));
    gn_blob_free(&written);
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    gn_blob written = { 0 };
    write_sample(&written);
    for (size_t size = 0; size < written.size; size++) {
        // A block of its own, so that the address sanitizer sees any read past the end.
        unsigned char *part = NULL;
        expect_ok(gn_alloc(&part, size, 1));
        memcpy(part, written.data, size);
        gn_blob blob = { .data = part, .size = size };
        read_sample(&blob);
        expect_fails(GN_ERR_CORRUPT, "saved state: ends inside section", gn_blob_status(&blob));
        gn_free(&part);
    }
    gn_blob_free(&written);
}

static void a_size_near_the_end_of_all_sizes_is_refused(void **state)
{
    (void)state;
    for (uint64_t below = 0; below < 40; below++) {
        gn_blob written = { 0 };
        gn_blob_write(&written, "ab", "xyz", 3);
        uint64_t size = UINT64_MAX - below;
        memcpy(written.data + 6, &size, sizeof size);
        gn_blob blob = reader_of(&written);
        assert_int_equal(gn_blob_next_size(&blob, "ab"), 0);
        expect_fails(GN_ERR_CORRUPT, "ends inside section 'ab'", gn_blob_status(&blob));
        gn_blob_free(&written);
    }
}

static void damaged_heads_never_crash(void **state)
{
    (void)state;
    gn_blob written = { 0 };
    write_sample(&written);
    unsigned char *original = NULL;
    expect_ok(gn_alloc(&original, written.size, 1));
    memcpy(original, written.data, written.size);
    test_rng rng = test_rng_seed(3);
    for (int round = 0; round < 20000; round++) {
        memcpy(written.data, original, written.size);
        for (uint64_t flips = 1 + test_rng_below(&rng, 4); flips > 0; flips--)
            written.data[test_rng_below(&rng, 40)] = (unsigned char)test_rng_next(&rng);
        gn_blob blob = reader_of(&written);
        uint64_t size = gn_blob_next_size(&blob, "position");
        assert_true(size <= written.size);
        unsigned char bytes[64] = { 0 };
        gn_blob_read(&blob, "position", bytes, size < sizeof bytes ? size : sizeof bytes);
        gn_blob_read(&blob, "empty", NULL, 0);
    }
    gn_free(&original);
    gn_blob_free(&written);
}

static void a_cleared_blob_allocates_nothing(void **state)
{
    (void)state;
    gn_blob blob = { 0 };
    for (int i = 0; i < 1000; i++)
        write_sample(&blob);
    uint64_t made = gn_mem_allocations();
    size_t size = blob.size;
    gn_blob_clear(&blob);
    assert_int_equal(blob.size, 0);
    for (int i = 0; i < 1000; i++)
        write_sample(&blob);
    assert_int_equal(blob.size, size);
    assert_int_equal(gn_mem_allocations(), made);
    gn_blob_free(&blob);
}

static void a_failed_allocation_stays(void **state)
{
    (void)state;
    gn_blob blob = { 0 };
    gn_mem_fail_at(1);
    write_sample(&blob);
    expect_fails(GN_ERR_MEMORY, "cannot allocate", gn_blob_status(&blob));
    assert_int_equal(blob.size, 0);
    gn_blob_free(&blob);
    expect_ok(gn_blob_status(&blob));
}

TEST_MAIN(sections_come_back, sections_can_be_read_in_place, the_bytes_are_as_documented,
          another_name_or_size_is_refused, every_truncation_is_refused,
          a_size_near_the_end_of_all_sizes_is_refused, damaged_heads_never_crash,
          a_cleared_blob_allocates_nothing, a_failed_allocation_stays)
