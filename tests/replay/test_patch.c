// Frames as patches: coded bytes by hand, records of many kinds there and back, and that no bytes,
// coded or of a book, make the decoder leave its record.

#include "replay/patch_internal.h"

#include <stdlib.h>

#include "base/mem.h"
#include "tests/replay/frames.h"
#include "tests/support/check.h"

enum { N = 192, SIZE_MAX_RECORD = FRAME_SIZE, GUARD = 64, GUARD_BYTE = 0xA7 };

// --- books and bytes of their own allocation, so that the address sanitizer sees any other one

static void *copy_of(const void *bytes, size_t size)
{
    void *copy = malloc(size + (size == 0));
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    return copy;
}

// Decodes between guards.
static gn_status decode(const patch_book *book, const void *bytes, size_t size,
                        unsigned char *ret_record)
{
    size_t record_size = patch_book_record_size(book);
    unsigned char *exact = copy_of(bytes, size), *room = malloc(record_size + 2 * GUARD);
    assert_non_null(room);
    memset(room, GUARD_BYTE, record_size + 2 * GUARD);
    gn_status status = patch_decode(book, exact, size, room + GUARD);
    for (size_t i = 0; i < GUARD; i++) {
        assert_int_equal(room[i], GUARD_BYTE);
        assert_int_equal(room[GUARD + record_size + i], GUARD_BYTE);
    }
    memcpy(ret_record, room + GUARD, record_size);
    free(room);
    free(exact);
    return status;
}

// A book by hand: frame f is f everywhere; pattern i is the bytes i, i + 1, i + 2.
static patch_book *make_book(size_t record_size, size_t stride, size_t frames, size_t patterns)
{
    uint64_t pattern[PATCH_PATTERNS];
    patch_book *book = NULL, *created = NULL;
    expect_ok(patch_book_make(&book, record_size, stride, frames));
    for (size_t f = 0; f < frames; f++)
        memset(book->frame + f * record_size, (int)f, record_size);
    for (size_t i = 0; i < patterns; i++)
        pattern[i] = patch_key(i | ((i + 1) & 255) << 8 | ((i + 2) & 255) << 16, 3);
    patch_book_set(book, pattern, patterns);
    size_t size;
    const void *bytes = patch_book_bytes(book, &size);
    void *exact = copy_of(bytes, size);
    assert_true(patch_book_is(exact, size));
    expect_ok(patch_book_create(&created, exact, size));
    free(exact);
    patch_book_destroy(&book);
    assert_null(book);
    return created;
}

// --- by hand

static void patches_are_put_over_their_frame(void **state)
{
    (void)state;
    patch_book *book = make_book(600, 0, 3, 250);
    const unsigned char coded[] = {
        2, // the frame of twos
        5,   8 + 40, // at 5: pattern 40
        0,   2,      91, 92, // at 8: two literal bytes
        1,   0,      4,  PATCH_WIDE, 7, // at 10 + 256 + 4: pattern 192 + 7 - 8
        255, 1,      77, // at 273 + 255
        68,  8, // at 597, the last three: pattern 0
    };
    unsigned char record[600], expected[600];
    memset(expected, 2, sizeof expected);
    memcpy(expected + 5, (unsigned char[]){ 40, 41, 42, 91, 92 }, 5);
    memcpy(expected + 270, (unsigned char[]){ 191, 192, 193 }, 3);
    expected[528] = 77;
    memcpy(expected + 597, (unsigned char[]){ 0, 1, 2 }, 3);
    expect_ok(decode(book, coded, sizeof coded, record));
    assert_memory_equal(record, expected, sizeof record);
    // One further: the last pattern would end behind the record. A frame and a pattern there are
    // not.
    unsigned char wrong[sizeof coded];
    memcpy(wrong, coded, sizeof wrong);
    wrong[sizeof wrong - 2]++;
    expect_fails(GN_ERR_CORRUPT, "are no record", decode(book, wrong, sizeof wrong, record));
    memcpy(wrong, coded, sizeof wrong);
    wrong[0] = 3;
    expect_fails(GN_ERR_CORRUPT, "name no frame", decode(book, wrong, sizeof wrong, record));
    expect_fails(GN_ERR_CORRUPT, "name no frame", decode(book, wrong, 0, record));
    const unsigned char unknown[] = { 0, 0, PATCH_WIDE, 66 };
    expect_fails(GN_ERR_CORRUPT, "are no record", decode(book, unknown, 4, record));
    expect_fails(GN_ERR_CORRUPT, "are no record", decode(book, unknown, 2, record));
    expect_ok(decode(book, coded, 1, record));
    memset(expected, 2, sizeof expected);
    assert_memory_equal(record, expected, sizeof record);
    patch_book_destroy(&book);
}

// Every width there may be: of less than a block of columns, of one, of several and a rest.
static void rows_are_added_to_the_row_above(void **state)
{
    (void)state;
    unsigned char record[1000], expected[1000];
    for (size_t stride = 1; stride < 200; stride += 3) {
        size_t size = stride * 5 - stride / 2;
        patch_book *book = make_book(size, stride, 1, 0);
        const unsigned char coded[] = { 0, (unsigned char)(stride / 2), 2, 9, 11 };
        memset(expected, 0, size);
        for (size_t at = stride / 2; at < size; at += stride) {
            expected[at] = 9;
            if (at + 1 < size)
                expected[at + 1] = 11;
        }
        if (stride == 1) // the second change falls on the column of the first
            for (size_t at = 1; at < size; at++)
                expected[at] = 9 ^ 11;
        expect_ok(decode(book, coded, sizeof coded, record));
        assert_memory_equal(record, expected, size);
        patch_book_destroy(&book);
    }
}

// --- there and back

typedef enum scene { GAME, ROWS, SPARSE, NOISY, SCENES } scene;

// Records of a game; of columns that begin and end, like a chart; of one picture and a few changed
// bytes; of the same and some with much noise.
static void draw(scene what, size_t size, unsigned char *ret_record)
{
    test_rng rng = test_rng_seed(what * 1000 + size);
    unsigned char *frames = NULL;
    uint8_t starts[N];
    expect_ok(gn_alloc(&frames, N, FRAME_SIZE));
    frames_catch(size, 0x5A3C96F00F69C3A5, N, frames, starts);
    for (size_t i = 0; i < N; i++) {
        unsigned char *record = ret_record + i * size;
        memcpy(record, frames + (what == GAME ? i : 0) * FRAME_SIZE, size);
        if (what == ROWS)
            memset(record, 0, size);
        for (size_t k = 0; what == ROWS && k < 20; k++) {
            size_t column = test_rng_below(&rng, 40), to = test_rng_below(&rng, size);
            for (size_t at = column; at < to; at += 40)
                record[at] = 200;
        }
        size_t changes = what == NOISY && i % 9 == 0 ? size / 3 : size / 50;
        for (size_t k = 0; what >= SPARSE && k < changes; k++)
            record[test_rng_below(&rng, size)] = (unsigned char)test_rng_next(&rng);
    }
    gn_free(&frames);
}

// Encodes into exactly as many bytes as it needs: fewer give 0. Returns how many.
static size_t encode(const patch_book *book, const unsigned char *record, unsigned char *ret_bytes)
{
    unsigned char scratch[SIZE_MAX_RECORD];
    enum { MOST = 2 * SIZE_MAX_RECORD, SLACK = 16 }; // room that it wants to see behind a patch
    size_t size = patch_encode(book, record, scratch, ret_bytes, MOST);
    assert_in_range(size, 1, MOST);
    for (size_t less = 0; less < size; less += 1 + less / 3) {
        unsigned char *exact = malloc(less + 1);
        assert_non_null(exact);
        assert_int_equal(patch_encode(book, record, scratch, exact, less), 0);
        free(exact);
    }
    unsigned char *enough = malloc(size + SLACK);
    assert_non_null(enough);
    assert_int_equal(patch_encode(book, record, scratch, enough, size + SLACK), size);
    assert_memory_equal(enough, ret_bytes, size);
    free(enough);
    return size;
}

static patch_book *train(scene what, size_t size, unsigned char *record)
{
    patch_book *book = NULL;
    draw(what, size, record);
    expect_ok(patch_book_train(&book, record, N / 2, size));
    assert_non_null(book);
    assert_int_equal(patch_book_record_size(book), size);
    return book;
}

static void records_come_back(void **state)
{
    (void)state;
    const size_t sizes[] = { 64, 65, 71, 500, 3333, FRAME_SIZE };
    unsigned char *record = NULL, coded[2 * SIZE_MAX_RECORD], back[SIZE_MAX_RECORD];
    expect_ok(gn_alloc(&record, N, FRAME_SIZE));
    for (scene what = GAME; what < SCENES; what++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            patch_book *book = train(what, sizes[s], record);
            size_t sum = 0;
            for (size_t i = 0; i < N; i++) {
                size_t size = encode(book, record + i * sizes[s], coded);
                expect_ok(decode(book, coded, size, back));
                assert_memory_equal(back, record + i * sizes[s], sizes[s]);
                sum += size;
            }
            if (sizes[s] == FRAME_SIZE) {
                assert_int_equal(book->header->stride > 0, what == ROWS);
                assert_true(what == NOISY || sum < N * sizes[s] / 12);
            }
            patch_book_destroy(&book);
        }
    gn_free(&record);
}

static void the_same_records_make_the_same_book(void **state)
{
    (void)state;
    unsigned char *record = NULL;
    expect_ok(gn_alloc(&record, N, FRAME_SIZE));
    for (scene what = GAME; what < SCENES; what++) {
        patch_book *a = train(what, 900, record), *b = train(what, 900, record), *c = NULL;
        size_t size_a, size_b, size_c;
        const void *bytes_a = patch_book_bytes(a, &size_a), *bytes_b = patch_book_bytes(b, &size_b);
        assert_int_equal(size_a, size_b);
        assert_memory_equal(bytes_a, bytes_b, size_a);
        expect_ok(patch_book_create(&c, bytes_a, size_a));
        const void *bytes_c = patch_book_bytes(c, &size_c);
        assert_int_equal(size_a, size_c);
        assert_memory_equal(bytes_a, bytes_c, size_a);
        // What one codes the other does too.
        unsigned char scratch[900], one[900], other[900];
        size_t size = patch_encode(a, record, scratch, one, sizeof one);
        assert_int_equal(patch_encode(c, record, scratch, other, sizeof other), size);
        assert_memory_equal(one, other, size);
        patch_book_destroy(&a);
        patch_book_destroy(&b);
        patch_book_destroy(&c);
    }
    gn_free(&record);
}

static void records_that_make_no_book(void **state)
{
    (void)state;
    unsigned char *record = NULL;
    patch_book *book = NULL;
    expect_ok(gn_alloc(&record, 32, PATCH_FRAMES_SIZE + 1));
    expect_ok(patch_book_train(&book, record, 31, 100));
    assert_null(book);
    expect_ok(patch_book_train(&book, record, 32, 63));
    assert_null(book);
    expect_ok(patch_book_train(&book, record, 32, PATCH_FRAMES_SIZE + 1));
    assert_null(book);
    expect_ok(patch_book_train(&book, record, 32, PATCH_FRAMES_SIZE)); // all 0: nothing to patch
    assert_non_null(book);
    patch_book_destroy(&book);
    patch_book_destroy(&book);
    gn_free(&record);
}

// --- damage

// Decodes whatever it is: a record or an error, and nothing outside (see decode).
static void decode_any(const patch_book *book, const unsigned char *bytes, size_t size)
{
    unsigned char back[SIZE_MAX_RECORD];
    gn_status status = decode(book, bytes, size, back);
    assert_true(status == GN_OK || status == GN_ERR_CORRUPT);
}

static void damaged_records_stay_inside(void **state)
{
    (void)state;
    unsigned char *record = NULL, coded[2 * SIZE_MAX_RECORD];
    test_rng rng = test_rng_seed(5);
    expect_ok(gn_alloc(&record, N, FRAME_SIZE));
    for (scene what = GAME; what < SCENES; what++)
        for (size_t record_size = 70; record_size < 1000; record_size *= 3) {
            patch_book *book = train(what, record_size, record);
            size_t size = encode(book, record + record_size * (N - 1), coded);
            for (size_t cut = 0; cut < size; cut++)
                decode_any(book, coded, cut);
            for (size_t bit = 0; bit < 8 * size; bit++) {
                coded[bit / 8] ^= (unsigned char)(1 << bit % 8);
                decode_any(book, coded, size);
                coded[bit / 8] ^= (unsigned char)(1 << bit % 8);
            }
            for (size_t round = 0; round < 3000; round++) {
                size = test_rng_below(&rng, 200);
                uint64_t high = round % 3 ? 256 : 16; // small: short skips, ids of literals
                for (size_t i = 0; i < size; i++)
                    coded[i] = (unsigned char)test_rng_below(&rng, high);
                if (round % 2)
                    coded[0] = 0;
                decode_any(book, coded, size);
            }
            patch_book_destroy(&book);
        }
    gn_free(&record);
}

// Whether bytes make a book; one that does codes and decodes.
static bool try_book(const unsigned char *bytes, size_t size, test_rng *rng)
{
    patch_book *book = NULL;
    unsigned char *exact = copy_of(bytes, size), coded[64];
    gn_status status = patch_book_create(&book, exact, size);
    free(exact);
    if (status != GN_OK) {
        assert_int_equal(status, GN_ERR_CORRUPT);
        assert_null(book);
        return false;
    }
    for (int round = 0; round < 8; round++) {
        for (size_t i = 0; i < sizeof coded; i++)
            coded[i] = (unsigned char)test_rng_below(rng, round % 2 ? 256 : 12);
        coded[0] = 0;
        if (patch_book_record_size(book) <= SIZE_MAX_RECORD)
            decode_any(book, coded, sizeof coded);
    }
    patch_book_destroy(&book);
    return true;
}

static void damaged_books_are_refused(void **state)
{
    (void)state;
    unsigned char *record = NULL;
    test_rng rng = test_rng_seed(6);
    expect_ok(gn_alloc(&record, N, FRAME_SIZE));
    patch_book *book = train(GAME, 300, record);
    size_t size;
    const void *whole = patch_book_bytes(book, &size);
    unsigned char *bytes = copy_of(whole, size);
    size_t patterns = (size_t)((unsigned char *)book->pattern - book->bytes);
    assert_true(try_book(bytes, size, &rng));
    for (size_t cut = 0; cut < size; cut++)
        assert_false(try_book(bytes, cut, &rng));
    for (size_t bit = 0; bit < 8 * size; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        bool made = try_book(bytes, size, &rng);
        if (bit < 32 || (bit >= 96 && bit < 160)) // magic; how many frames and patterns
            assert_false(made);
        if (bit / 8 >= patterns && bit / 8 % 8 == 7 && bit % 8 > 2) // a length above 7
            assert_false(made);
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    for (size_t round = 0; round < 3000; round++) { // several, of the header above all
        unsigned char *damaged = copy_of(bytes, size);
        for (int k = 0; k < 3; k++)
            damaged[test_rng_below(&rng, round % 2 ? size : sizeof(patch_header))] =
                (unsigned char)test_rng_next(&rng);
        try_book(damaged, size, &rng);
        free(damaged);
    }
    free(bytes);
    patch_book_destroy(&book);
    gn_free(&record);
}

static void failing_allocations_leave_nothing(void **state)
{
    (void)state;
    unsigned char *record = NULL;
    expect_ok(gn_alloc(&record, N, 300));
    draw(ROWS, 300, record);
    patch_book *book = NULL, *again = NULL;
    size_t size, live = gn_mem_live();
    uint64_t n = 1;
    for (;; n++) {
        gn_mem_fail_at(n);
        gn_status status = patch_book_train(&book, record, N, 300);
        gn_mem_fail_at(0);
        if (status == GN_OK)
            break;
        assert_int_equal(status, GN_ERR_MEMORY);
        assert_null(book);
        assert_int_equal(gn_mem_live(), live);
    }
    assert_true(n > 6);
    live = gn_mem_live();
    const void *bytes = patch_book_bytes(book, &size);
    for (n = 1; n <= 3; n++) {
        gn_mem_fail_at(n);
        expect_fails(GN_ERR_MEMORY, "allocate", patch_book_create(&again, bytes, size));
        gn_mem_fail_at(0);
        assert_null(again);
        assert_int_equal(gn_mem_live(), live);
    }
    patch_book_destroy(&book);
    gn_free(&record);
}

TEST_MAIN(patches_are_put_over_their_frame, rows_are_added_to_the_row_above, records_come_back,
          the_same_records_make_the_same_book, records_that_make_no_book,
          damaged_records_stay_inside, damaged_books_are_refused, failing_allocations_leave_nothing)
