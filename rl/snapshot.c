#include "rl/snapshot.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compress.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

static const char weights_name[] = "weights.safetensors";
static const char state_name[] = "train.bin.zst";
static const char manifest_name[] = "manifest.json";

static gn_status snapshot_path(char *ret_path, const char *folder, uint64_t step,
                               const char *suffix)
{
    char name[40];
    snprintf(name, sizeof name, "%" PRIu64 "%s", step, suffix);
    return gn_path_join(ret_path, folder, name);
}

static gn_status write_part(const char *folder, const char *name, const void *data, size_t size)
{
    char path[GN_PATH_SIZE];
    GN_TRY(gn_path_join(path, folder, name));
    return gn_file_write(path, data, size);
}

static void manifest_file(gn_text *out, const char *name, const void *data, size_t size)
{
    gn_text_append(out, "    \"%s\": {\"size\": %zu, \"xxh3\": \"%016" PRIx64 "\"}", name, size,
                   gn_checksum(data, size));
}

// The end of a manifest: a checksum of everything before it, so that no byte can change unseen.
enum { SEAL_SIZE = 31 };
static void manifest_seal(char ret_seal[SEAL_SIZE + 1], const void *body, size_t size)
{
    int length = snprintf(ret_seal, SEAL_SIZE + 1, "  \"xxh3\": \"%016" PRIx64 "\"\n}\n",
                          gn_checksum(body, size));
    assert(length == SEAL_SIZE);
    (void)length;
}

static bool manifest_is_whole(const char *text, size_t size)
{
    if (size < SEAL_SIZE)
        return false;
    char seal[SEAL_SIZE + 1];
    manifest_seal(seal, text, size - SEAL_SIZE);
    return memcmp(seal, text + size - SEAL_SIZE, SEAL_SIZE) == 0;
}

static void manifest_text(gn_text *out, const rl_snapshot_info *info, const void *weights,
                          size_t weights_size, const void *frame, size_t frame_size)
{
    gn_text_append(out,
                   "{\n  \"format\": %d,\n  \"step\": %" PRIu64 ",\n  \"run\": \"%s\",\n"
                   "  \"replay_xxh3\": \"%016" PRIx64 "\",\n  \"metric\": ",
                   RL_SNAPSHOT_FORMAT, info->step, info->run, info->replay_checksum);
    if (isfinite(info->metric))
        gn_text_append_number(out, info->metric);
    else
        gn_text_append(out, "null");
    gn_text_append(out, ",\n  \"files\": {\n");
    manifest_file(out, weights_name, weights, weights_size);
    if (frame) {
        gn_text_append(out, ",\n");
        manifest_file(out, state_name, frame, frame_size);
    }
    gn_text_append(out, "\n  },\n");
    char seal[SEAL_SIZE + 1];
    manifest_seal(seal, out->data, out->size);
    gn_text_append(out, "%s", seal);
}

static gn_status compress_state(const gn_blob *state, int level, void **ret_frame, size_t *ret_size)
{
    gn_compressor *compressor = NULL;
    void *frame = NULL;
    size_t capacity = gn_compress_bound(state->size);
    gn_status status = gn_compressor_create(&compressor, level);
    if (status == GN_OK)
        status = gn_alloc(&frame, capacity, 1);
    if (status == GN_OK)
        status = gn_compress(compressor, state->data, state->size, frame, capacity, ret_size);
    gn_compressor_destroy(&compressor);
    if (status != GN_OK) {
        gn_free(&frame);
        return status;
    }
    *ret_frame = frame;
    return GN_OK;
}

static gn_status write_parts(const char *folder, const rl_snapshot_info *info, const void *weights,
                             size_t weights_size, const void *frame, size_t frame_size)
{
    GN_TRY(gn_folder_create(folder));
    GN_TRY(write_part(folder, weights_name, weights, weights_size));
    if (frame)
        GN_TRY(write_part(folder, state_name, frame, frame_size));
    gn_text manifest = { 0 };
    manifest_text(&manifest, info, weights, weights_size, frame, frame_size);
    gn_status status = gn_text_status(&manifest);
    if (status == GN_OK)
        status = write_part(folder, manifest_name, manifest.data, manifest.size);
    gn_text_free(&manifest);
    return status;
}

gn_status rl_snapshot_write(const char *folder, const rl_snapshot_info *info, const void *weights,
                            size_t weights_size, const gn_blob *state, int level)
{
    char path[GN_PATH_SIZE], temporary[GN_PATH_SIZE];
    GN_TRY(snapshot_path(path, folder, info->step, ""));
    GN_TRY(snapshot_path(temporary, folder, info->step, ".tmp"));
    GN_TRY(gn_path_remove(temporary));

    void *frame = NULL;
    size_t frame_size = 0;
    if (state)
        GN_TRY(compress_state(state, level, &frame, &frame_size));
    gn_status status = write_parts(temporary, info, weights, weights_size, frame, frame_size);
    gn_free(&frame);
    if (status == GN_OK)
        status = gn_path_remove(path);
    return status == GN_OK ? gn_path_rename(temporary, path) : status;
}

// The part of a manifest that belongs to one file: checks size and checksum of its bytes.
static gn_status verify_part(const json_t *files, const char *path, const char *name,
                             const void *data, size_t size)
{
    const json_t *entry = json_object_get(files, name);
    const char *checksum = json_string_value(json_object_get(entry, "xxh3"));
    if (!checksum)
        return gn_fail(GN_ERR_CORRUPT, "%s: the manifest does not mention it", path);
    json_int_t expected = json_integer_value(json_object_get(entry, "size"));
    if (expected < 0 || (uint64_t)expected != size)
        return gn_fail(GN_ERR_CORRUPT, "%s: %zu bytes, the manifest says %lld", path, size,
                       (long long)expected);
    if (strtoull(checksum, NULL, 16) != gn_checksum(data, size))
        return gn_fail(GN_ERR_CORRUPT, "%s: its checksum is not the manifest's", path);
    return GN_OK;
}

static gn_status read_part(const json_t *files, const char *folder, const char *name,
                           void **ret_data, size_t *ret_size)
{
    char path[GN_PATH_SIZE];
    GN_TRY(gn_path_join(path, folder, name));
    void *data = NULL;
    size_t size = 0;
    GN_TRY(gn_file_read(&data, &size, path));
    gn_status status = verify_part(files, path, name, data, size);
    if (status != GN_OK) {
        gn_free(&data);
        return status;
    }
    *ret_data = data;
    *ret_size = size;
    return GN_OK;
}

static gn_status read_info(rl_snapshot_info *ret_info, const json_t *root, const char *path,
                           uint64_t step)
{
    json_int_t format = json_integer_value(json_object_get(root, "format"));
    if (format != RL_SNAPSHOT_FORMAT)
        return gn_fail(GN_ERR_CORRUPT, "%s: format %lld, this program reads %d", path,
                       (long long)format, RL_SNAPSHOT_FORMAT);
    const char *run = json_string_value(json_object_get(root, "run"));
    const char *replay = json_string_value(json_object_get(root, "replay_xxh3"));
    const json_t *metric = json_object_get(root, "metric");
    json_int_t said = json_integer_value(json_object_get(root, "step"));
    if (!run || strlen(run) >= sizeof ret_info->run || !replay || (uint64_t)said != step)
        return gn_fail(GN_ERR_CORRUPT, "%s: not the manifest of step %" PRIu64, path, step);
    *ret_info = (rl_snapshot_info){ .step = step,
                                    .replay_checksum = strtoull(replay, NULL, 16),
                                    .metric = json_is_number(metric) ? json_number_value(metric)
                                                                     : (double)NAN };
    memcpy(ret_info->run, run, strlen(run) + 1);
    return GN_OK;
}

static gn_status decompress_state(gn_blob *ret_state, const void *frame, size_t frame_size)
{
    uint64_t size = 0;
    GN_TRY(gn_decompressed_size(frame, frame_size, &size));
    void *data = NULL;
    gn_compressor *compressor = NULL;
    gn_status status = gn_alloc(&data, size, 1);
    if (status == GN_OK)
        status = gn_compressor_create(&compressor, 1);
    if (status == GN_OK)
        status = gn_decompress(compressor, frame, frame_size, data, size);
    gn_compressor_destroy(&compressor);
    if (status != GN_OK) {
        gn_free(&data);
        return status;
    }
    *ret_state = (gn_blob){ .data = data, .size = size, .capacity = size };
    return GN_OK;
}

static gn_status read_parts(rl_snapshot *ret_snapshot, const json_t *root, const char *folder)
{
    const json_t *files = json_object_get(root, "files");
    GN_TRY(read_part(files, folder, weights_name, &ret_snapshot->weights,
                     &ret_snapshot->weights_size));
    if (!json_object_get(files, state_name))
        return GN_OK;
    void *frame = NULL;
    size_t frame_size = 0;
    GN_TRY(read_part(files, folder, state_name, &frame, &frame_size));
    gn_status status = decompress_state(&ret_snapshot->state, frame, frame_size);
    gn_free(&frame);
    return status;
}

// The manifest of folder/STEP, whose path goes to ret_path [GN_PATH_SIZE], parsed and checked.
static gn_status read_manifest(json_t **ret_root, rl_snapshot_info *ret_info, char *ret_path,
                               const char *folder, uint64_t step)
{
    char path[GN_PATH_SIZE];
    GN_TRY(snapshot_path(ret_path, folder, step, ""));
    GN_TRY(gn_path_join(path, ret_path, manifest_name));
    void *manifest = NULL;
    size_t size = 0;
    GN_TRY(gn_file_read(&manifest, &size, path));
    json_t *root = NULL;
    if (manifest_is_whole(manifest, size))
        root = json_loadb(manifest, size, JSON_REJECT_DUPLICATES, NULL);
    gn_free(&manifest);
    if (!root)
        return gn_fail(GN_ERR_CORRUPT, "%s: its checksum is not that of its text", path);
    gn_status status = read_info(ret_info, root, path, step);
    if (status == GN_OK)
        *ret_root = root;
    else
        json_decref(root);
    return status;
}

gn_status rl_snapshot_read_info(rl_snapshot_info *ret_info, const char *folder, uint64_t step)
{
    char path[GN_PATH_SIZE];
    json_t *root = NULL;
    GN_TRY(read_manifest(&root, ret_info, path, folder, step));
    json_decref(root);
    return GN_OK;
}

gn_status rl_snapshot_read(rl_snapshot *ret_snapshot, const char *folder, uint64_t step)
{
    char path[GN_PATH_SIZE];
    json_t *root = NULL;
    rl_snapshot snapshot = { 0 };
    GN_TRY(read_manifest(&root, &snapshot.info, path, folder, step));
    gn_status status = read_parts(&snapshot, root, path);
    json_decref(root);
    if (status != GN_OK) {
        rl_snapshot_free(&snapshot);
        return status;
    }
    *ret_snapshot = snapshot;
    return GN_OK;
}

void rl_snapshot_free(rl_snapshot *snapshot)
{
    gn_free(&snapshot->weights);
    gn_blob_free(&snapshot->state);
}

static bool parse_step(const char *name, uint64_t *ret_step)
{
    char *end = NULL;
    if (name[0] < '0' || name[0] > '9')
        return false;
    *ret_step = strtoull(name, &end, 10);
    return *end == '\0';
}

static int compare_steps(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

gn_status rl_snapshot_list(uint64_t **ret_steps, size_t *ret_count, const char *folder)
{
    char **names = NULL;
    size_t name_count = 0;
    if (gn_path_exists(folder))
        GN_TRY(gn_folder_list(&names, &name_count, folder));
    uint64_t *steps = NULL;
    gn_status status = gn_alloc(&steps, name_count, sizeof *steps);
    if (status == GN_OK) {
        size_t count = 0;
        for (size_t i = 0; i < name_count; i++)
            if (parse_step(names[i], &steps[count]))
                count++;
        if (count)
            qsort(steps, count, sizeof *steps, compare_steps);
        *ret_steps = steps;
        *ret_count = count;
    }
    gn_free(&names);
    return status;
}

gn_status rl_snapshot_remove(const char *folder, uint64_t step)
{
    char path[GN_PATH_SIZE];
    GN_TRY(snapshot_path(path, folder, step, ""));
    return gn_path_remove(path);
}

static gn_status remove_leftovers(const char *folder)
{
    char **names = NULL;
    size_t count = 0;
    GN_TRY(gn_folder_list(&names, &count, folder));
    gn_status status = GN_OK;
    for (size_t i = 0; i < count && status == GN_OK; i++) {
        size_t length = strlen(names[i]);
        if (length < 4 || strcmp(names[i] + length - 4, ".tmp") != 0)
            continue;
        char path[GN_PATH_SIZE];
        status = gn_path_join(path, folder, names[i]);
        if (status == GN_OK)
            status = gn_path_remove(path);
    }
    gn_free(&names);
    return status;
}

// Which snapshots of an ascending list stay: [first, end).
typedef struct kept {
    size_t first, end;
} kept;

// Removes the others: newest first after the kept ones, so that a kill in between leaves no gap,
// then oldest first before them.
static gn_status keep_only(const char *folder, uint64_t argument,
                           kept (*choose)(const uint64_t *steps, size_t count, uint64_t argument))
{
    uint64_t *steps = NULL;
    size_t count = 0;
    GN_TRY(rl_snapshot_list(&steps, &count, folder));
    kept stay = choose(steps, count, argument);
    gn_status status = GN_OK;
    for (size_t i = count; i-- > stay.end && status == GN_OK;)
        status = rl_snapshot_remove(folder, steps[i]);
    for (size_t i = 0; i < stay.first && status == GN_OK; i++)
        status = rl_snapshot_remove(folder, steps[i]);
    gn_free(&steps);
    return status;
}

static kept from_newest_at(const uint64_t *steps, size_t count, uint64_t step)
{
    size_t first = 0;
    while (first + 1 < count && steps[first + 1] <= step)
        first++;
    return (kept){ first, count };
}

static kept up_to(const uint64_t *steps, size_t count, uint64_t step)
{
    size_t end = count;
    while (end > 0 && steps[end - 1] > step)
        end--;
    return (kept){ 0, end };
}

static kept newest(const uint64_t *steps, size_t count, uint64_t keep)
{
    (void)steps;
    return (kept){ count > keep ? count - keep : 0, count };
}

gn_status rl_snapshot_prune(const char *folder, uint64_t step)
{
    if (!gn_path_exists(folder))
        return GN_OK;
    GN_TRY(remove_leftovers(folder));
    return keep_only(folder, step, from_newest_at);
}

gn_status rl_snapshot_remove_after(const char *folder, uint64_t step)
{
    return keep_only(folder, step, up_to);
}

gn_status rl_snapshot_rotate(const char *folder, size_t keep)
{
    if (!gn_path_exists(folder))
        return GN_OK;
    GN_TRY(remove_leftovers(folder));
    return keep_only(folder, keep, newest);
}
