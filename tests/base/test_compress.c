// Compression: what goes in comes out, damage is noticed; sums equal the published ones.

#include "base/compress.h"

#include <string.h>

#include "base/mem.h"
#include "tests/support/check.h"

typedef struct frame {
    gn_compressor *compressor;
    unsigned char *data, *back, *bytes;
    size_t size, frame_size;
} frame;

// Text-like data of `size` bytes and its frame.
static frame make_frame(size_t size, int level)
{
    frame f = { .size = size };
    expect_ok(gn_compressor_create(&f.compressor, level));
    expect_ok(gn_alloc(&f.data, size, 1));
    expect_ok(gn_alloc(&f.back, size, 1));
    expect_ok(gn_alloc(&f.bytes, gn_compress_bound(size), 1));
    test_rng rng = test_rng_seed(size);
    for (size_t i = 0; i < size; i++)
        f.data[i] = (unsigned char)(test_rng_below(&rng, 4) * test_rng_below(&rng, 8));
    expect_ok(
        gn_compress(f.compressor, f.data, size, f.bytes, gn_compress_bound(size), &f.frame_size));
    return f;
}

static void free_frame(frame *f)
{
    gn_compressor_destroy(&f->compressor);
    assert_null(f->compressor);
    gn_free(&f->data);
    gn_free(&f->back);
    gn_free(&f->bytes);
}

static void data_comes_back(void **state)
{
    (void)state;
    for (int level = 1; level <= 19; level += 6)
        for (size_t size = 0; size < 300000; size = 3 * size + 1) {
            frame f = make_frame(size, level);
            uint64_t content = 1;
            expect_ok(gn_decompressed_size(f.bytes, f.frame_size, &content));
            assert_int_equal(content, size);
            expect_ok(gn_decompress(f.compressor, f.bytes, f.frame_size, f.back, size));
            assert_memory_equal(f.back, f.data, size);
            assert_true(size < 1000 || f.frame_size < size * 3 / 4);
            free_frame(&f);
        }
}

static void the_same_data_gives_the_same_bytes(void **state)
{
    (void)state;
    frame a = make_frame(50000, 3), b = make_frame(50000, 3);
    unsigned char *again = NULL;
    size_t size = 0;
    expect_ok(gn_alloc(&again, gn_compress_bound(50000), 1));
    expect_ok(gn_compress(a.compressor, a.data, 50000, again, gn_compress_bound(50000), &size));
    assert_int_equal(a.frame_size, b.frame_size);
    assert_int_equal(a.frame_size, size);
    assert_memory_equal(a.bytes, b.bytes, size);
    assert_memory_equal(a.bytes, again, size);
    gn_free(&again);
    free_frame(&a);
    free_frame(&b);
}

// Some bits of a frame mean nothing to its content (a reserved bit, a match that may as well start
// elsewhere): such a flip may go unnoticed, but then the data is right.
static void no_flipped_bit_gives_wrong_data(void **state)
{
    (void)state;
    enum { SIZE = 2000 };
    frame f = make_frame(SIZE, 3);
    size_t unnoticed = 0;
    for (size_t bit = 0; bit < 8 * f.frame_size; bit++) {
        f.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        if (gn_decompress(f.compressor, f.bytes, f.frame_size, f.back, SIZE) == GN_OK) {
            assert_memory_equal(f.back, f.data, SIZE);
            unnoticed++;
        }
        f.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    assert_true(unnoticed < 8 * f.frame_size / 100);
    expect_ok(gn_decompress(f.compressor, f.bytes, f.frame_size, f.back, SIZE));
    free_frame(&f);
}

static void truncation_and_trailing_bytes_are_noticed(void **state)
{
    (void)state;
    enum { SIZE = 500 };
    frame f = make_frame(SIZE, 3);
    for (size_t size = 0; size < f.frame_size; size++)
        expect_fails(GN_ERR_CORRUPT,
                     "zstd: ", gn_decompress(f.compressor, f.bytes, size, f.back, SIZE));
    expect_ok(gn_grow(&f.bytes, f.frame_size, 2 * f.frame_size, 1));
    memcpy(f.bytes + f.frame_size, f.bytes, f.frame_size);
    for (size_t more = 1; more <= f.frame_size; more++)
        expect_fails(GN_ERR_CORRUPT, "zstd: ",
                     gn_decompress(f.compressor, f.bytes, f.frame_size + more, f.back, SIZE));
    // An empty frame would change nothing and be passed over.
    frame empty = make_frame(0, 3);
    assert_true(empty.frame_size <= f.frame_size);
    memcpy(f.bytes + f.frame_size, empty.bytes, empty.frame_size);
    expect_fails(
        GN_ERR_CORRUPT, "zstd: the frame has",
        gn_decompress(f.compressor, f.bytes, f.frame_size + empty.frame_size, f.back, SIZE));
    free_frame(&empty);
    free_frame(&f);
}

static void wrong_arguments_are_named(void **state)
{
    (void)state;
    gn_compressor *none = NULL;
    gn_compressor_destroy(&none);
    expect_fails(GN_ERR_ARG, "level 0 is outside [1, 19]", gn_compressor_create(&none, 0));
    expect_fails(GN_ERR_ARG, "level 20 is outside [1, 19]", gn_compressor_create(&none, 20));
    assert_null(none);
    gn_mem_fail_at(1);
    expect_fails(GN_ERR_MEMORY, "cannot allocate", gn_compressor_create(&none, 3));

    frame f = make_frame(100, 3);
    size_t size = 5;
    expect_fails(
        GN_ERR_ARG, "is below the bound",
        gn_compress(f.compressor, f.data, 100, f.bytes, gn_compress_bound(100) - 1, &size));
    assert_int_equal(size, 5);
    expect_fails(GN_ERR_CORRUPT, "holds 100 bytes, not 99",
                 gn_decompress(f.compressor, f.bytes, f.frame_size, f.back, 99));
    uint64_t content = 5;
    expect_fails(GN_ERR_CORRUPT, "not a frame", gn_decompressed_size("garbage", 7, &content));
    assert_int_equal(content, 5);
    free_frame(&f);
}

// Records that share most of their bytes, and a dictionary of them.
enum { RECORDS = 200, RECORD_SIZE = 700, ROOM = 20000 };

static void make_records(unsigned char record[RECORDS][RECORD_SIZE], size_t sizes[RECORDS])
{
    test_rng rng = test_rng_seed(9), same = test_rng_seed(10);
    for (size_t j = 0; j < RECORD_SIZE; j++)
        record[0][j] = (unsigned char)test_rng_next(&same);
    for (size_t i = 0; i < RECORDS; i++) {
        sizes[i] = RECORD_SIZE;
        memcpy(record[i], record[0], RECORD_SIZE);
        for (int k = 0; k < 9; k++)
            record[i][test_rng_below(&rng, RECORD_SIZE)] = (unsigned char)test_rng_next(&rng);
    }
}

static void records_come_back_with_and_without_a_dictionary(void **state)
{
    (void)state;
    static unsigned char record[RECORDS][RECORD_SIZE], bytes[ROOM], again[ROOM];
    size_t sizes[RECORDS], size = 0, size_again = 0, written = 0;
    make_records(record, sizes);
    expect_ok(gn_dictionary_train(record, sizes, RECORDS, bytes, ROOM, &size));
    expect_ok(gn_dictionary_train(record, sizes, RECORDS, again, ROOM, &size_again));
    assert_int_equal(size, size_again);
    assert_memory_equal(bytes, again, size);
    assert_true(size < RECORDS * RECORD_SIZE / GN_DICTIONARY_SHARE + 600);

    gn_dictionary *dictionary = NULL;
    expect_ok(gn_dictionary_create(&dictionary, bytes, size, 3));
    assert_memory_equal(gn_dictionary_bytes(dictionary, &size_again), bytes, size);
    assert_int_equal(size, size_again);
    gn_compressor *compressor = NULL;
    unsigned char out[RECORD_SIZE], back[RECORD_SIZE];
    expect_ok(gn_compressor_create(&compressor, 3));
    for (size_t i = 0; i < RECORDS; i++) {
        expect_ok(gn_compress_record(compressor, dictionary, record[i], RECORD_SIZE, out,
                                     RECORD_SIZE - 1, &written));
        assert_true(written > 0 && written < RECORD_SIZE / 3);
        expect_ok(gn_decompress_record(compressor, dictionary, out, written, back, RECORD_SIZE));
        assert_memory_equal(back, record[i], RECORD_SIZE);
        for (size_t cut = 0; cut < written; cut++)
            expect_fails(GN_ERR_CORRUPT, "zstd: ",
                         gn_decompress_record(compressor, dictionary, out, cut, back, RECORD_SIZE));
        expect_fails(
            GN_ERR_CORRUPT, "zstd: ",
            gn_decompress_record(compressor, dictionary, out, written, back, RECORD_SIZE - 1));
        // Noise to zstd without a dictionary: does not fit, and that is said by 0.
        expect_ok(gn_compress_record(compressor, NULL, record[i], RECORD_SIZE, out, RECORD_SIZE - 1,
                                     &written));
        assert_int_equal(written, 0);
    }
    memset(record[1], 7, RECORD_SIZE);
    expect_ok(gn_compress_record(compressor, NULL, record[1], RECORD_SIZE, out, 40, &written));
    assert_true(written > 0);
    expect_ok(gn_decompress_record(compressor, NULL, out, written, back, RECORD_SIZE));
    assert_memory_equal(back, record[1], RECORD_SIZE);
    gn_compressor_destroy(&compressor);
    gn_dictionary_destroy(&dictionary);
    assert_null(dictionary);
    gn_dictionary_destroy(&dictionary);
}

static void no_dictionary_without_samples(void **state)
{
    (void)state;
    static unsigned char record[RECORDS][RECORD_SIZE], bytes[ROOM];
    size_t sizes[RECORDS] = { 0 }, size = 5;
    expect_fails(GN_ERR_EMPTY, "0 samples",
                 gn_dictionary_train(record, sizes, 0, bytes, ROOM, &size));
    expect_fails(GN_ERR_EMPTY, "200 samples of 0 bytes",
                 gn_dictionary_train(record, sizes, RECORDS, bytes, ROOM, &size));
    make_records(record, sizes);
    expect_fails(GN_ERR_EMPTY, "31 samples",
                 gn_dictionary_train(record, sizes, 31, bytes, ROOM, &size));
    expect_fails(GN_ERR_EMPTY, "none of 600 bytes",
                 gn_dictionary_train(record, sizes, RECORDS, bytes, 600, &size));
    assert_int_equal(size, 5);

    gn_dictionary *none = NULL;
    expect_ok(gn_dictionary_train(record, sizes, RECORDS, bytes, ROOM, &size));
    expect_fails(GN_ERR_ARG, "level 20", gn_dictionary_create(&none, bytes, size, 20));
    expect_fails(GN_ERR_CORRUPT, "0 bytes are none", gn_dictionary_create(&none, bytes, 0, 3));
    expect_fails(GN_ERR_CORRUPT, "are none", gn_dictionary_create(&none, record, 700, 3));
    memset(bytes + 8, 0xFF, 100);
    expect_fails(GN_ERR_CORRUPT, "are damaged", gn_dictionary_create(&none, bytes, size, 3));
    assert_null(none);
}

static void packed_bytes_come_back(void **state)
{
    (void)state;
    unsigned char bytes[5000];
    void *packed, *back;
    size_t packed_size, size;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i / 50);
    expect_ok(gn_pack(bytes, sizeof bytes, &packed, &packed_size));
    assert_true(packed_size < sizeof bytes / 4);
    expect_ok(gn_unpack(packed, packed_size, &back, &size));
    assert_int_equal(size, sizeof bytes);
    assert_memory_equal(back, bytes, size);
    gn_free(&back);
    for (size_t cut = 0; cut < packed_size; cut++)
        assert_int_equal(gn_unpack(packed, cut, &back, &size), GN_ERR_CORRUPT);
    gn_free(&packed);
    expect_ok(gn_pack(bytes, 0, &packed, &packed_size));
    expect_fails(GN_ERR_CORRUPT, "must be 1 to", gn_unpack(packed, packed_size, &back, &size));
    gn_free(&packed);
}

// Values of no input from the XXH3 specification (seed 0).
static void sums_are_xxh3(void **state)
{
    (void)state;
    assert_true(gn_checksum("", 0) == 0x2D06800538D394C2);
    gn_digest *digest = NULL;
    char text[33];
    expect_ok(gn_digest_create(&digest));
    gn_digest_text(digest, text);
    assert_string_equal(text, "99aa06d3014798d86001c324468d497f");
    gn_digest_destroy(&digest);
    assert_null(digest);
    gn_digest_destroy(&digest);
}

static void a_digest_does_not_depend_on_the_blocks(void **state)
{
    (void)state;
    frame f = make_frame(10000, 1);
    gn_digest *whole = NULL, *parts = NULL;
    char whole_text[33], parts_text[33];
    expect_ok(gn_digest_create(&whole));
    expect_ok(gn_digest_create(&parts));
    gn_digest_add(whole, f.data, f.size);
    test_rng rng = test_rng_seed(5);
    for (size_t at = 0, size; at < f.size; at += size) {
        size = test_rng_below(&rng, 700);
        if (size > f.size - at)
            size = f.size - at;
        gn_digest_add(parts, f.data + at, size);
    }
    gn_digest_text(whole, whole_text);
    gn_digest_text(parts, parts_text);
    assert_string_equal(whole_text, parts_text);

    uint64_t sum = gn_checksum(f.data, f.size);
    f.data[5000] ^= 1;
    assert_true(gn_checksum(f.data, f.size) != sum);
    gn_digest_destroy(&whole);
    gn_digest_destroy(&parts);
    free_frame(&f);
}

TEST_MAIN(data_comes_back, the_same_data_gives_the_same_bytes, no_flipped_bit_gives_wrong_data,
          truncation_and_trailing_bytes_are_noticed, wrong_arguments_are_named,
          records_come_back_with_and_without_a_dictionary, no_dictionary_without_samples,
          packed_bytes_come_back, sums_are_xxh3, a_digest_does_not_depend_on_the_blocks)
