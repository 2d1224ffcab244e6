// The header is composed as text, so that equal parameters give equal bytes, and read by jansson.
// A reader trusts nothing: all slices are checked before the first float is written.

#include "nn/safetensors.h"

#include <jansson.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the format is little-endian");

enum { PREFIX = sizeof(uint64_t) };

static void write_shape(gn_text *out, const nn_slice *slice, const char *between)
{
    for (uint32_t d = 0; d < slice->rank; d++)
        gn_text_append(out, "%s%u", d ? between : "", slice->shape[d]);
}

static void write_header(gn_text *header, const nn_layout *layout)
{
    size_t begin = 0;
    gn_text_append(header, "{");
    for (uint32_t i = 0; i < layout->slice_count; i++) {
        const nn_slice *slice = &layout->slice[i];
        size_t end = begin + nn_slice_size(slice) * sizeof(float);
        gn_text_append(header, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[", i ? "," : "",
                       slice->name);
        write_shape(header, slice, ",");
        gn_text_append(header, "],\"data_offsets\":[%zu,%zu]}", begin, end);
        begin = end;
    }
    gn_text_append(header, "}");
    while (header->status == GN_OK && header->size % PREFIX)
        gn_text_append(header, " ");
}

gn_status nn_safetensors_encode(const nn_layout *layout, const float *parameter, void **ret_bytes,
                                size_t *ret_size)
{
    gn_text header = { 0 };
    write_header(&header, layout);
    size_t size = PREFIX + header.size + layout->parameters * sizeof(float);
    unsigned char *bytes;
    gn_status status = gn_text_status(&header);
    if (status == GN_OK)
        status = gn_alloc(&bytes, size, 1);
    if (status == GN_OK) {
        unsigned char *end = bytes + PREFIX + header.size;
        memcpy(bytes, &(uint64_t){ header.size }, PREFIX);
        memcpy(bytes + PREFIX, header.data, header.size);
        for (uint32_t i = 0; i < layout->slice_count; i++) {
            size_t slice_bytes = nn_slice_size(&layout->slice[i]) * sizeof(float);
            memcpy(end, parameter + layout->slice[i].offset, slice_bytes);
            end += slice_bytes;
        }
        *ret_bytes = bytes;
        *ret_size = size;
    }
    gn_text_free(&header);
    return status;
}

static gn_status check_shape(const nn_slice *slice, json_t *shape)
{
    size_t rank = json_array_size(shape), d;
    json_t *item;
    bool same = rank == slice->rank;
    gn_text found = { 0 }, wanted = { 0 };
    json_array_foreach(shape, d, item)
    {
        same = same && d < slice->rank && json_integer_value(item) == slice->shape[d];
        gn_text_append(&found, "%s%lld", d ? ", " : "", (long long)json_integer_value(item));
    }
    write_shape(&wanted, slice, ", ");
    gn_status status = GN_OK;
    if (!same)
        status = gn_fail(GN_ERR_FORMAT, "safetensors: %s has shape [%s], must be [%s]", slice->name,
                         gn_text_data(&found), gn_text_data(&wanted));
    gn_text_free(&found);
    gn_text_free(&wanted);
    return status;
}

// Checks the entry of one slice and finds where its data begins.
static gn_status find_slice(const nn_slice *slice, json_t *root, size_t data_size,
                            size_t *ret_begin)
{
    const char *type;
    json_t *shape;
    json_int_t begin, end;
    json_t *entry = json_object_get(root, slice->name);
    if (!entry)
        return gn_fail(GN_ERR_FORMAT, "safetensors: %s is missing", slice->name);
    if (json_unpack(entry, "{s:s, s:o, s:[I, I!]}", "dtype", &type, "shape", &shape, "data_offsets",
                    &begin, &end) != 0)
        return gn_fail(GN_ERR_CORRUPT, "safetensors: %s has no dtype, shape and data_offsets",
                       slice->name);
    if (strcmp(type, "F32") != 0)
        return gn_fail(GN_ERR_FORMAT, "safetensors: %s has type %s, must be F32", slice->name,
                       type);
    GN_TRY(check_shape(slice, shape));
    size_t bytes = nn_slice_size(slice) * sizeof(float);
    if (begin < 0 || end < begin || (uint64_t)end > data_size || (uint64_t)(end - begin) != bytes)
        return gn_fail(GN_ERR_CORRUPT,
                       "safetensors: %s lies at %lld..%lld, not %zu bytes in 0..%zu", slice->name,
                       (long long)begin, (long long)end, bytes, data_size);
    *ret_begin = (size_t)begin;
    return GN_OK;
}

static gn_status check_names(const nn_layout *layout, json_t *root)
{
    const char *name;
    json_t *entry;
    json_object_foreach(root, name, entry)
    {
        bool known = strcmp(name, "__metadata__") == 0;
        for (uint32_t i = 0; i < layout->slice_count && !known; i++)
            known = strcmp(name, layout->slice[i].name) == 0;
        if (!known)
            return gn_fail(GN_ERR_FORMAT, "safetensors: the network has no %s", name);
    }
    return GN_OK;
}

static gn_status read_slices(const nn_layout *layout, json_t *root, const unsigned char *data,
                             size_t data_size, float *ret_parameter)
{
    size_t begin[sizeof layout->slice / sizeof *layout->slice];
    GN_TRY(check_names(layout, root));
    for (uint32_t i = 0; i < layout->slice_count; i++)
        GN_TRY(find_slice(&layout->slice[i], root, data_size, &begin[i]));
    if (data_size != layout->parameters * sizeof(float))
        return gn_fail(GN_ERR_CORRUPT, "safetensors: %zu bytes of data, must be %zu", data_size,
                       layout->parameters * sizeof(float));
    memset(ret_parameter, 0, layout->size * sizeof *ret_parameter);
    for (uint32_t i = 0; i < layout->slice_count; i++)
        memcpy(ret_parameter + layout->slice[i].offset, data + begin[i],
               nn_slice_size(&layout->slice[i]) * sizeof(float));
    return GN_OK;
}

gn_status nn_safetensors_decode(const nn_layout *layout, const void *bytes, size_t size,
                                float *ret_parameter)
{
    uint64_t length = 0;
    if (size >= PREFIX)
        memcpy(&length, bytes, PREFIX);
    if (size < PREFIX || length > size - PREFIX)
        return gn_fail(GN_ERR_CORRUPT, "safetensors: a header of %llu bytes in a file of %zu bytes",
                       (unsigned long long)length, size);
    const char *header = (const char *)bytes + PREFIX;
    json_error_t error;
    json_t *root = json_loadb(header, length, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(root)) {
        json_decref(root);
        return gn_fail(GN_ERR_CORRUPT, "safetensors: the header is not a JSON object");
    }
    gn_status status = read_slices(layout, root, (const unsigned char *)header + length,
                                   size - PREFIX - length, ret_parameter);
    json_decref(root);
    return status;
}
