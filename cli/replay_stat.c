// gannet replay stat: what a replay buffer holds and the bytes it takes.

#include <inttypes.h>
#include <jansson.h>
#include <math.h>

#include "cli/replay_verbs.h"
#include "replay/codec.h"
#include "replay/reader.h"

typedef struct spread {
    double min, max, sum;
} spread;

typedef struct summary {
    const replay_view *view;
    replay_generation generation;
    uint64_t steps, ended, running; // episodes ended, running
    spread reward, priority, age; // age in slots
    size_t record_size; // as it was added
    uint64_t chunk_bytes, raw_bytes; // of all chunks, as stored and as they would be
} summary;

static void widen(spread *s, double value)
{
    s->min = value < s->min ? value : s->min;
    s->max = value > s->max ? value : s->max;
    s->sum += value;
}

static void add_slots(summary *s, const replay_slots *slots)
{
    for (size_t i = 0; i < slots->count; i++) {
        uint8_t flags = slots->flags[i];
        s->running += (flags & REPLAY_OPEN) != 0;
        s->ended += (flags & (REPLAY_TERMINATED | REPLAY_TRUNCATED)) != 0;
        if (!replay_has_step(flags))
            continue;
        s->steps++;
        widen(&s->reward, slots->reward[i]);
        widen(&s->age, (double)(slots->head - slots->position - i));
        if (slots->priority)
            widen(&s->priority, (double)slots->priority[i]);
    }
}

static gn_status summarize(summary *ret_summary, replay_reader *reader)
{
    const spread none = { INFINITY, -INFINITY, 0 };
    summary s = { .view = replay_reader_view(reader),
                  .reward = none,
                  .priority = none,
                  .age = none,
                  .record_size = replay_reader_record_size(reader) };
    const replay_layout *layout = &s.view->layout;
    replay_slots slots;
    GN_TRY(replay_reader_begin(reader, 0, &s.generation));
    do {
        GN_TRY(replay_reader_next(reader, &slots));
        add_slots(&s, &slots);
    } while (slots.count > 0);
    for (size_t i = 0; i < s.view->chunks; i++)
        s.chunk_bytes += s.view->chunk[i].size;
    for (size_t i = 0; i < s.view->bodies; i++)
        s.chunk_bytes += s.view->body[i].size;
    for (size_t i = 0; i < s.view->models; i++)
        s.chunk_bytes += s.view->model[i].size;
    s.raw_bytes = s.view->chunks *
                  (replay_chunk_scratch(layout->chunk, false) + layout->chunk * s.record_size);
    *ret_summary = s;
    return GN_OK;
}

static void spread_row(gn_text *out, const char *label, const spread *s, uint64_t steps)
{
    cli_row(out, label);
    if (steps == 0)
        gn_text_append(out, "none\n");
    else
        gn_text_append(out, "%.6g to %.6g, mean %.6g\n", s->min, s->max, s->sum / (double)steps);
}

static void bytes_row(gn_text *out, const char *label, uint64_t bytes)
{
    cli_row(out, label);
    cli_bytes(out, bytes);
    gn_text_append(out, ", ");
}

// How records are kept, as the option replay.codec calls it.
static const char *codec_name(const replay_layout *layout)
{
    const char *name = layout->packed ? replay_codec_name(layout->packed - 1) : "ram";
    return name ? name : "unknown";
}

static void records_row(gn_text *out, const summary *s)
{
    const replay_layout *layout = &s->view->layout;
    cli_row(out, "records");
    cli_counted(out, s->record_size, "byte");
    if (layout->quantized)
        gn_text_append(out, " as %u (floats of %u bits)", layout->record_size, layout->quantized);
    if (!layout->packed) {
        gn_text_append(out, "; in RAM, here a column of their chunk\n");
        return;
    }
    gn_text_append(out, "; packed one by one, codec %s", codec_name(layout));
    if (s->view->models > 0) {
        gn_text_append(out, ", ");
        cli_counted(out, s->view->models, "model");
    }
    gn_text_append(out, "\n");
}

static gn_status print_stat(const summary *s)
{
    const replay_layout *layout = &s->view->layout;
    uint64_t capacity = layout->streams * layout->capacity;
    gn_text out = { 0 };
    cli_row(&out, "steps");
    gn_text_append(&out, "%" PRIu64 "\n", s->steps);
    cli_row(&out, "episodes");
    gn_text_append(&out, "%" PRIu64 " ended, %" PRIu64 " running\n", s->ended, s->running);
    cli_row(&out, "slots");
    gn_text_append(&out, "%" PRIu64 " of %" PRIu64 " (%.0f %%) in ", s->generation.slots, capacity,
                   100 * (double)s->generation.slots / (double)capacity);
    cli_counted(&out, layout->streams, "stream");
    gn_text_append(&out, "\n");
    cli_row(&out, "generations");
    gn_text_append(&out, "%zu, the newest is %" PRIu64 "\n", s->view->generations,
                   s->generation.number);
    spread_row(&out, "reward", &s->reward, s->steps);
    if (s->generation.prioritized)
        spread_row(&out, "priority", &s->priority, s->steps);
    spread_row(&out, "age in slots", &s->age, s->steps);
    records_row(&out, s);
    cli_row(&out, "chunks");
    gn_text_append(&out, "%zu of %u slots\n", s->view->chunks, layout->chunk);
    if (s->view->chunks > 0) {
        bytes_row(&out, "compressed to", s->chunk_bytes);
        gn_text_append(&out, "%.2f times smaller than raw records\n",
                       (double)s->raw_bytes / (double)s->chunk_bytes);
    }
    bytes_row(&out, "on disk", s->view->file_bytes);
    if (s->steps > 0)
        gn_text_append(&out, "%.4g bytes a step\n", (double)s->view->file_bytes / (double)s->steps);
    else
        gn_text_append(&out, "no step yet\n");
    return cli_print(&out);
}

static json_t *spread_json(const spread *s, uint64_t steps)
{
    if (steps == 0)
        return json_null();
    return json_pack("{s:f, s:f, s:f}", "min", s->min, "max", s->max, "mean",
                     s->sum / (double)steps);
}

static gn_status print_stat_json(const summary *s)
{
    const replay_layout *layout = &s->view->layout;
    json_t *generations = json_array();
    for (size_t i = 0; i < s->view->generations; i++)
        json_array_append_new(generations, json_integer((json_int_t)s->view->generation[i].key));
    json_t *root = json_pack(
        "{s:I, s:{s:I, s:I}, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:I, s:I, s:I, s:I}", "steps",
        (json_int_t)s->steps, "episodes", "ended", (json_int_t)s->ended, "running",
        (json_int_t)s->running, "slots", (json_int_t)s->generation.slots, "capacity",
        (json_int_t)(layout->streams * layout->capacity), "streams", (json_int_t)layout->streams,
        "record_bytes", (json_int_t)layout->record_size, "generation",
        (json_int_t)s->generation.number, "generations", generations, "reward",
        spread_json(&s->reward, s->steps), "age", spread_json(&s->age, s->steps), "chunks",
        (json_int_t)s->view->chunks, "chunk_bytes", (json_int_t)s->chunk_bytes, "raw_bytes",
        (json_int_t)s->raw_bytes, "disk_bytes", (json_int_t)s->view->file_bytes);
    if (root && s->generation.prioritized)
        json_object_set_new(root, "priority", spread_json(&s->priority, s->steps));
    if (root)
        json_object_update_new(
            root, json_pack("{s:I, s:s, s:I, s:I}", "raw_record_bytes", (json_int_t)s->record_size,
                            "codec", codec_name(layout), "quantize", (json_int_t)layout->quantized,
                            "models", (json_int_t)s->view->models));
    return cli_print_json(root);
}

gn_status cli_replay_stat(cli_request *request)
{
    char folder[GN_PATH_SIZE];
    replay_reader *reader;
    summary s;
    GN_TRY(cli_replay_find(request, folder, NULL));
    GN_TRY(replay_reader_open(&reader, folder, NULL));
    gn_status status = summarize(&s, reader);
    if (status == GN_OK)
        status = cli_verb_value(request, "--json") ? print_stat_json(&s) : print_stat(&s);
    replay_reader_close(&reader);
    return status;
}
