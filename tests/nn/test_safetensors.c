#include "nn/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/support/check.h"

static const nn_spec spec = {
    .inputs = 4, .actions = 2, .hidden_layers = 1, .hidden = { 3 }, .dueling = true
};

typedef struct fixture {
    nn_layout layout;
    float *parameter, *decoded;
    void *bytes;
    size_t size;
} fixture;

static fixture set_up(void)
{
    fixture f;
    expect_ok(nn_layout_create(&f.layout, &spec));
    expect_ok(gn_alloc(&f.parameter, f.layout.size, sizeof(float)));
    expect_ok(gn_alloc(&f.decoded, f.layout.size, sizeof(float)));
    gn_random random = gn_random_stream(1, GN_RANDOM_TEST, 0);
    nn_layout_initialise(&f.layout, &random, f.parameter);
    expect_ok(nn_safetensors_encode(&f.layout, f.parameter, &f.bytes, &f.size));
    return f;
}

static void tear_down(fixture *f)
{
    gn_free(&f->parameter);
    gn_free(&f->decoded);
    gn_free(&f->bytes);
}

static void round_trip(void **state)
{
    (void)state;
    fixture f = set_up();
    memset(f.decoded, 0xff, f.layout.size * sizeof *f.decoded);
    expect_ok(nn_safetensors_decode(&f.layout, f.bytes, f.size, f.decoded));
    assert_memory_equal(f.decoded, f.parameter, f.layout.size * sizeof *f.decoded);
    tear_down(&f);
}

static void bytes_are_what_the_format_says(void **state)
{
    (void)state;
    fixture f = set_up();
    const char *expected = "{\"layer0.weight\":{\"dtype\":\"F32\",\"shape\":[4,3],"
                           "\"data_offsets\":[0,48]},"
                           "\"layer0.bias\":{\"dtype\":\"F32\",\"shape\":[3],"
                           "\"data_offsets\":[48,60]},"
                           "\"head.weight\":{\"dtype\":\"F32\",\"shape\":[3,3],"
                           "\"data_offsets\":[60,96]},"
                           "\"head.bias\":{\"dtype\":\"F32\",\"shape\":[3],"
                           "\"data_offsets\":[96,108]}}";
    uint64_t length;
    memcpy(&length, f.bytes, sizeof length);
    assert_int_equal(length, (strlen(expected) + 7) / 8 * 8);
    assert_int_equal(f.size, 8 + length + 108);
    const char *header = (const char *)f.bytes + 8;
    assert_memory_equal(header, expected, strlen(expected));
    assert_memory_equal(header + length, f.parameter, 48);
    tear_down(&f);
}

static void python_reads_it(void **state)
{
    (void)state;
    if (system("python3 -c pass 2>/dev/null") != 0) {
        print_message("python3 is missing\n");
        skip();
    }
    fixture f = set_up();
    char folder[GN_PATH_SIZE], path[GN_PATH_SIZE], command[2 * GN_PATH_SIZE], line[256];
    test_temp_folder(folder);
    expect_ok(gn_path_join(path, folder, "weights.safetensors"));
    expect_ok(gn_file_write(path, f.bytes, f.size));
    snprintf(command, sizeof command, "python3 tests/nn/read_safetensors.py '%s'", path);
    FILE *output = popen(command, "r");
    assert_non_null(output);
    for (uint32_t i = 0; i < f.layout.slice_count; i++) {
        const nn_slice *slice = &f.layout.slice[i];
        char name[NN_SLICE_NAME_SIZE], shape[32], expected[32];
        double total, sum = 0;
        assert_non_null(fgets(line, sizeof line, output));
        assert_int_equal(sscanf(line, "%31s %31s %lf", name, shape, &total), 3);
        assert_string_equal(name, slice->name);
        snprintf(expected, sizeof expected, slice->rank == 2 ? "%ux%u" : "%u", slice->shape[0],
                 slice->shape[1]);
        assert_string_equal(shape, expected);
        for (size_t j = 0; j < nn_slice_size(slice); j++)
            sum += f.parameter[slice->offset + j];
        assert_float_equal(total, sum, 1e-4);
    }
    assert_int_equal(pclose(output), 0);
    test_temp_remove(folder);
    tear_down(&f);
}

// A file with this header and 108 bytes of data.
static gn_status decode_header(fixture *f, const char *header)
{
    unsigned char bytes[1024] = { 0 };
    uint64_t length = strlen(header);
    memcpy(bytes, &length, sizeof length);
    memcpy(bytes + 8, header, length);
    return nn_safetensors_decode(&f->layout, bytes, 8 + length + 108, f->decoded);
}

#define SLICE(name, shape, offsets) \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define FIRST SLICE("layer0.weight", "[4,3]", "[0,48]") ","
#define MIDDLE \
    SLICE("layer0.bias", "[3]", "[48,60]") "," SLICE("head.weight", "[3,3]", "[60,96]") ","
#define LAST SLICE("head.bias", "[3]", "[96,108]")

static void refuses_another_network(void **state)
{
    (void)state;
    fixture f = set_up();
    expect_ok(decode_header(&f, "{\"__metadata__\":{\"a\":\"b\"}," FIRST MIDDLE LAST "}"));
    expect_fails(GN_ERR_FORMAT, "layer0.weight is missing", decode_header(&f, "{" MIDDLE LAST "}"));
    expect_fails(
        GN_ERR_FORMAT, "the network has no layer1.bias",
        decode_header(&f, "{" FIRST MIDDLE LAST "," SLICE("layer1.bias", "[3]", "[96,108]") "}"));
    expect_fails(GN_ERR_FORMAT, "head.bias has shape [4], must be [3]",
                 decode_header(&f, "{" FIRST MIDDLE SLICE("head.bias", "[4]", "[92,108]") "}"));
    expect_fails(GN_ERR_FORMAT, "head.bias has shape [1, 3], must be [3]",
                 decode_header(&f, "{" FIRST MIDDLE SLICE("head.bias", "[1,3]", "[96,108]") "}"));
    expect_fails(GN_ERR_CORRUPT, "head.bias lies at 97..109",
                 decode_header(&f, "{" FIRST MIDDLE SLICE("head.bias", "[3]", "[97,109]") "}"));
    expect_fails(GN_ERR_CORRUPT, "head.bias lies at -12..0",
                 decode_header(&f, "{" FIRST MIDDLE SLICE("head.bias", "[3]", "[-12,0]") "}"));
    expect_fails(GN_ERR_CORRUPT, "head.bias has no dtype, shape and data_offsets",
                 decode_header(&f, "{" FIRST MIDDLE "\"head.bias\":[]}"));
    expect_fails(GN_ERR_FORMAT, "head.bias has type F16",
                 decode_header(&f, "{" FIRST MIDDLE "\"head.bias\":{\"dtype\":\"F16\","
                                   "\"shape\":[3],\"data_offsets\":[96,102]}}"));
    expect_fails(GN_ERR_CORRUPT, "header is not a JSON object", decode_header(&f, "[]"));
    expect_fails(GN_ERR_CORRUPT, "header is not a JSON object", decode_header(&f, "{"));
    tear_down(&f);
}

// Every cut and every flipped bit of the header: an error or the same parameters, never a crash;
// and on an error the output is untouched.
static void damage_is_found(void **state)
{
    (void)state;
    fixture f = set_up();
    size_t bytes = f.layout.size * sizeof(float);
    unsigned char *copy;
    uint64_t length;
    memcpy(&length, f.bytes, sizeof length);
    for (size_t size = 0; size < f.size; size++) {
        expect_ok(gn_alloc(&copy, size, 1)); // of exactly this size, for the address sanitizer
        memcpy(copy, f.bytes, size);
        expect_fails(GN_ERR_CORRUPT,
                     "safetensors: ", nn_safetensors_decode(&f.layout, copy, size, f.decoded));
        gn_free(&copy);
    }
    expect_ok(gn_alloc(&copy, f.size, 1));
    for (size_t bit = 0; bit < 8 * (8 + length); bit++) {
        memcpy(copy, f.bytes, f.size);
        copy[bit / 8] ^= (unsigned char)(1 << bit % 8);
        memset(f.decoded, 0, bytes);
        if (nn_safetensors_decode(&f.layout, copy, f.size, f.decoded) == GN_OK) {
            assert_memory_equal(f.decoded, f.parameter, bytes);
        } else {
            for (size_t i = 0; i < f.layout.size; i++)
                assert_true(f.decoded[i] == 0);
        }
    }
    gn_free(&copy);
    tear_down(&f);
}

TEST_MAIN(round_trip, bytes_are_what_the_format_says, python_reads_it, refuses_another_network,
          damage_is_found)
