// The options of the replay buffer: their table, what of them is refused, and the layout they come
// to.

#include <math.h>
#include <string.h>

#include "replay/buffer_internal.h"
#include "replay/codec.h"
#include "replay/quantize.h"

static const char *const durability_names[] = { "commit", "batch", "none", NULL };
static const char *const priority_names[] = { "proportional", "rank", NULL };
static const char *const weight_max_names[] = { "batch", "buffer", NULL };

const gn_option replay_options[] = {
    GN_OPTION_TEXT(replay_config, path, "replay",
                   "folder of the replay store, relative to the run; none keeps steps in RAM"),
    GN_OPTION_INT(replay_config, capacity, "100000", 1, 1e12,
                  "slots over all environments: steps plus one an episode; each environment needs "
                  "2 more than an observation has records"),
    GN_OPTION_INT(replay_config, chunk, "1024", 1, 1048576,
                  "slots a chunk, at most; always below the slots of an environment"),
    GN_OPTION_CHOICE(
        replay_config, codec, "auto", replay_codec_names,
        "how records are kept: all in RAM, or packed one by one; auto packs large ones"),
    GN_OPTION_INT(replay_config, compression, "0", 0, 19,
                  "zstd level; 0: 1 for columns, 3 for packed records, 9 for those where it pays"),
    GN_OPTION_INT(replay_config, quantize, "0", 0, 16,
                  "bits of each float of a record, 8 or 16; 0 keeps records exactly"),
    GN_OPTION_CHOICE(replay_config, durability, "commit", durability_names,
                     "what is synced: every commit; all but its last page; nothing"),
    GN_OPTION_INT(replay_config, cache_mb, "0", 0, 1e6,
                  "MB of decoded records that are kept; only where they are packed"),
    GN_OPTION_INT(replay_config, ahead, "-1", -1, 64,
                  "batches drawn ahead of their use; -1: 2 where records are packed, else 0"),
    GN_OPTION_BOOL(replay_config, prioritized, "false",
                   "sample in proportion to priorities instead of uniformly"),
    GN_OPTION_CHOICE(replay_config, priority, "proportional", priority_names,
                     "what a step's weight is a power of: its priority, or 1 / its rank"),
    GN_OPTION_REAL(replay_config, alpha, "0.6", 0, 1,
                   "exponent of the priorities at the start of the run"),
    GN_OPTION_REAL(replay_config, alpha_final, "-1", -1, 1,
                   "exponent of the priorities at the end of the run, 0 to 1; -1: as at the start"),
    GN_OPTION_REAL(replay_config, beta, "0.4", 0, 1,
                   "exponent of the importance weights at the start of the run"),
    GN_OPTION_REAL(replay_config, beta_final, "1", 0, 1,
                   "exponent of the importance weights at the end of the run"),
    GN_OPTION_REAL(replay_config, priority_epsilon, "1e-6", 0, 1, "added to every priority"),
    GN_OPTION_REAL(replay_config, uniform, "0", 0, 0.999,
                   "share of prioritized draws that are uniform instead"),
    GN_OPTION_REAL(replay_config, evict_lowest, "0", 0, 0.9,
                   "share of the steps of a full buffer that are not drawn: the lowest priorities"),
    GN_OPTION_CHOICE(replay_config, weight_max, "batch", weight_max_names,
                     "largest importance weight is 1 over the batch or over the whole buffer"),
    GN_OPTION_TEXT(replay_config, device, "cpu",
                   "where steps are drawn and priorities updated: cpu, cuda or cuda:N; the results "
                   "are the same"),
    { 0 },
};

replay_layout replay_config_layout(const replay_config *config, const replay_spec *spec)
{
    enum { LARGE = 1024, RAW_BYTES = 12 << 20, RAW_BYTES_MOST = 18 << 20, LEAST = 128 };
    replay_layout layout = { .streams = spec->streams,
                             .record_size = spec->record_size,
                             .capacity = (uint64_t)config->capacity / spec->streams,
                             .quantized = (uint32_t)config->quantize };
    if (config->quantize)
        layout.record_size = (uint32_t)replay_quantized_size(spec->record_size / sizeof(float),
                                                             (int)config->quantize);
    replay_codec codec = (replay_codec)config->codec;
    if (codec == REPLAY_AUTO)
        codec = layout.record_size < LARGE ? REPLAY_RAM : REPLAY_PATCH;
    layout.packed = codec == REPLAY_RAM ? 0 : 1 + (uint32_t)(codec - REPLAY_NONE);
    // Below the ring: a chunk is complete before its first slot is overwritten. Raw chunks are in
    // RAM; with many streams they may take more, for a model is trained on one of them.
    uint64_t chunk = (uint64_t)config->chunk;
    if (layout.packed) {
        uint64_t slot_size = (REPLAY_JOBS + 2 * (uint64_t)spec->streams) * layout.record_size;
        uint64_t usual = RAW_BYTES / slot_size, most = RAW_BYTES_MOST / slot_size;
        if (usual < LEAST)
            usual = most < LEAST ? most : LEAST;
        chunk = chunk < usual ? chunk : usual;
        chunk = chunk > 0 ? chunk : 1;
    }
    layout.chunk = (uint32_t)(chunk < layout.capacity ? chunk : layout.capacity - 1);
    return layout;
}

// Two steps of each stream: one may leave while the stream begins an episode and adds none.
static gn_status check_evict_lowest(const replay_config *config, const replay_spec *spec)
{
    const double least = 2;
    double stack = spec->stack ? spec->stack : 1, share = config->evict_lowest;
    double kept = (double)(config->capacity / spec->streams) - (stack - 1);
    if (share > 0 && !config->prioritized)
        return gn_fail(GN_ERR_CONFIG,
                       "replay.evict_lowest: %g needs priorities (replay.prioritized)", share);
    if (share > 0 && share * kept > kept - least)
        return gn_fail(GN_ERR_CONFIG,
                       "replay.evict_lowest: %g leaves fewer than 2 of the %.0f steps that "
                       "replay.capacity keeps of each environment; must be 0 to %.4f",
                       share, kept, fmax(0, floor((1 - least / kept) * 1e4) / 1e4));
    return GN_OK;
}

gn_status replay_config_open_device(const replay_config *config, const cuda_runtime **ret_cuda,
                                    int *ret_index)
{
    *ret_cuda = NULL;
    *ret_index = 0;
    if (strcmp(config->device, "cpu") == 0)
        return GN_OK;
    if (!cuda_parse_name(config->device, ret_index))
        return gn_fail(GN_ERR_CONFIG, "replay.device: '%s' is none of cpu, cuda, cuda:N",
                       config->device);
    if (!config->prioritized)
        return GN_OK;
    gn_status status = cuda_open(ret_cuda, NULL, *ret_index);
    return status == GN_OK ? GN_OK : gn_fail_within(status, "replay.device: %s", config->device);
}

gn_status replay_config_check(const replay_config *config, const replay_spec *spec)
{
    const cuda_runtime *cuda;
    int index;
    uint32_t streams = spec->streams;
    if (streams == 0 || spec->record_size == 0)
        return gn_fail(GN_ERR_ARG,
                       "replay buffer of %u streams, %u bytes a record: must be above 0", streams,
                       spec->record_size);
    // Besides the records of one observation a final slot and an open one: else there is no step to
    // draw where an episode has just begun.
    int64_t least = 2 + (spec->stack ? spec->stack : 1);
    if (config->capacity / streams < least || config->capacity / streams > UINT32_MAX)
        return gn_fail(GN_ERR_CONFIG,
                       "replay.capacity: %lld must be %lld to %.0f for %u environment%s, %lld "
                       "slots or more each: 2 more than an observation has records",
                       (long long)config->capacity, (long long)least * streams,
                       fmin(1e12, 0x1p32 * streams - 1), streams, gn_plural(streams),
                       (long long)least);
    GN_TRY(gn_options_check("replay", replay_options, config));
    if (config->alpha_final < 0 && config->alpha_final != -1)
        return gn_fail(GN_ERR_CONFIG, "replay.alpha_final: %g must be 0 to 1, or -1",
                       config->alpha_final);
    GN_TRY(check_evict_lowest(config, spec));
    if (config->quantize != 0 && config->quantize != 8 && config->quantize != 16)
        return gn_fail(GN_ERR_CONFIG, "replay.quantize: %lld must be 0, 8 or 16",
                       (long long)config->quantize);
    if (config->quantize && spec->record_size % sizeof(float))
        return gn_fail(GN_ERR_CONFIG, "replay.quantize: records of %u bytes are no floats",
                       spec->record_size);
    if (config->cache_mb > 0 && !replay_config_layout(config, spec).packed)
        return gn_fail(GN_ERR_CONFIG,
                       "replay.cache_mb: %lld: records of %u bytes are not packed (replay.codec), "
                       "so nothing is decoded; must be 0",
                       (long long)config->cache_mb, spec->record_size);
    return replay_config_open_device(config, &cuda, &index);
}
