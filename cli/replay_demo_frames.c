// gannet replay demo frames: how small frames become, and what reading one costs.

#include <stdio.h>

#include "base/file.h"
#include "cli/replay_demo.h"
#include "replay/store_view.h"

enum { SLOTS = 4096, CHUNK = 256, BATCH = 256, ROUNDS = 8, CODECS = 5 };

static const replay_codec codecs[CODECS] = { REPLAY_NONE, REPLAY_ZSTD, REPLAY_ZSTD_DICT,
                                             REPLAY_DELTA, REPLAY_PATCH };
static const char *const codec_names[CODECS] = { "none", "zstd", "zstd-dict", "delta", "patch" };
static const replay_draw draw = { .n_step = { 1 }, .horizons = 1, .gamma = 0.99 };

typedef struct demo_pair {
    replay_input *input;
    replay_buffer *raw, *packed; // all in RAM; on disk
    replay_batch *expected, *batch;
} demo_pair;

static gn_status open_pair(demo_pair *self, replay_input_kind kind, replay_codec codec,
                           const char *folder)
{
    GN_TRY(replay_input_create(&self->input, kind, 0, 1));
    const replay_spec spec = { 1, (uint32_t)replay_input_record_size(self->input), 1 };
    replay_config config = replay_input_config(SLOTS, REPLAY_RAM);
    GN_TRY(replay_buffer_create(&self->raw, &config, &spec, NULL, NULL));
    config = replay_input_config(SLOTS, codec);
    config.chunk = CHUNK;
    config.cache_mb = 0;
    GN_TRY(replay_buffer_create(&self->packed, &config, &spec, folder, "demo"));
    GN_TRY(replay_batch_create(&self->expected, &spec, BATCH, 1));
    return replay_batch_create(&self->batch, &spec, BATCH, 1);
}

static void close_pair(demo_pair *self)
{
    replay_batch_destroy(&self->expected);
    replay_batch_destroy(&self->batch);
    replay_buffer_destroy(&self->raw);
    replay_buffer_destroy(&self->packed);
    replay_input_destroy(&self->input);
}

// Fills both, then draws the same batches from both.
static gn_status measure_pair(demo_pair *self, demo_report *report, const char *name,
                              double *ret_us)
{
    uint64_t checksum;
    replay_buffer *const both[] = { self->raw, self->packed };
    gn_random one = gn_random_stream(2, GN_RANDOM_SAMPLE, 0), two = one;
    bool same = true;
    GN_TRY(replay_input_fill(self->input, both, 2, SLOTS));
    GN_TRY(replay_buffer_commit(self->packed, 1, 1));
    GN_TRY(replay_buffer_await(self->packed, &checksum));
    for (int i = 0; i < ROUNDS && same; i++) {
        GN_TRY(replay_buffer_sample(self->raw, &draw, &one, self->expected));
        GN_TRY(replay_buffer_sample(self->packed, &draw, &two, self->batch));
        same = demo_same_batch(self->expected, self->batch);
    }
    demo_expect(report, same, "%s gives other bytes than were put", name);
    GN_TRY(demo_time_batches(self->packed, &draw, self->batch, ROUNDS, ret_us));
    *ret_us /= 2 * BATCH; // the frame and the next one
    return GN_OK;
}

// Bytes of the records in a store, with their models and the chunks that say where they are.
static gn_status stored_bytes(const char *folder, double *ret_bytes)
{
    replay_view *view;
    uint64_t bytes = 0;
    GN_TRY(replay_view_open(&view, folder, NULL));
    for (size_t i = 0; i < view->chunks; i++)
        bytes += view->chunk[i].size;
    for (size_t i = 0; i < view->bodies; i++)
        bytes += view->body[i].size;
    for (size_t i = 0; i < view->models; i++)
        bytes += view->model[i].size;
    *ret_bytes = (double)bytes / ((double)view->chunks * view->layout.chunk);
    replay_view_close(&view);
    return GN_OK;
}

// One codec on one kind of frames.  ret_share: % of raw.
static gn_status measure(const demo_setting *setting, demo_report *report, replay_input_kind kind,
                         size_t codec, double *ret_share, double *ret_us)
{
    char folder[GN_PATH_SIZE], name[64];
    demo_pair self = { 0 };
    double bytes = 0;
    snprintf(name, sizeof name, "%s-%s", replay_input_names[kind], codec_names[codec]);
    GN_TRY(gn_path_join(folder, setting->folder, name));
    gn_status status =
        open_pair(&self, kind, setting->without ? REPLAY_NONE : codecs[codec], folder);
    double record_size = self.input ? (double)replay_input_record_size(self.input) : 1;
    if (status == GN_OK)
        status = measure_pair(&self, report, name, ret_us);
    close_pair(&self);
    if (status == GN_OK)
        status = stored_bytes(folder, &bytes);
    *ret_share = 100 * bytes / record_size;
    return status;
}

static gn_status run_frames(const demo_setting *setting, demo_report *report)
{
    static const struct {
        replay_input_kind kind;
        const char *share, *time;
        size_t best; // codec for such frames,
        double most; // and what it leaves at most, % of raw
    } inputs[] = {
        { REPLAY_INPUT_CATCH, "Catch: % of the raw bytes", "Catch: us a random frame", 4, 1 },
        { REPLAY_INPUT_CHART, "chart: % of the raw bytes", "chart: us a random frame", 4, 8 },
        { REPLAY_INPUT_SCENE, "scene: % of the raw bytes", "scene: us a random frame", 3, 15 },
    };
    for (size_t k = 0; k < sizeof inputs / sizeof *inputs; k++) {
        double share[CODECS], us[CODECS];
        size_t best = inputs[k].best;
        for (size_t codec = 0; codec < CODECS; codec++)
            GN_TRY(measure(setting, report, inputs[k].kind, codec, &share[codec], &us[codec]));
        demo_row(report, inputs[k].share, share);
        demo_row(report, inputs[k].time, us);
        demo_expect(report, share[best] < inputs[k].most,
                    "%s leaves %.3g %% of %s, not below %g %%", codec_names[best], share[best],
                    replay_input_names[inputs[k].kind], inputs[k].most);
    }
    return GN_OK;
}

const replay_demo demo_frames = {
    .name = "frames",
    .summary = "what each codec leaves of a frame, and what reading it costs",
    .says = "4096 frames each of Catch, of charts of a generated market, and of Catch before a "
            "scene of noise that stays for an episode are packed one by one on disk by each codec; "
            "sizes count models and the table of places. Frames are read back in random "
            "order without a cache, and must be the very bytes that were put.",
    .column = { "none", "zstd", "zstd-dict", "delta", "patch" },
    .run = run_frames,
};
