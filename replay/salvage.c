// Slots go into a ring of a chunk and two more: the last two slots can still be changed when an
// episode has to end there.

#include "replay/salvage.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/blob.h"
#include "base/file.h"
#include "base/mem.h"
#include "replay/buffer_internal.h"
#include "replay/reader.h"

enum { CHANGEABLE = 2, COMPRESSION = 3 };

typedef struct salvage {
    replay_reader *reader;
    replay_store *store;
    gn_compressor *compressor;
    replay_generation generation;
    uint32_t chunk;
    uint64_t ring; // chunk + CHANGEABLE
    replay_columns columns; // [ring] the newest slots of the stream being written
    double *weight; // [ring]
    double *run; // [chunk] weights of a chunk
    unsigned char *plain, *coded;
    size_t coded_size;
    replay_stream *stream; // [streams] of the new store
    uint64_t start; // position where the episode being written began
    gn_blob tails, weights; // sections of the new state
    replay_salvaged result;
} salvage;

static gn_status allocate(salvage *self, const replay_layout *layout)
{
    size_t n = layout->chunk, record_size = layout->record_size;
    self->chunk = layout->chunk;
    self->ring = n + CHANGEABLE;
    self->columns.record_size = record_size;
    size_t bound = replay_chunk_bound(n, record_size);
    self->coded_size = gn_compress_bound(n * sizeof *self->run);
    self->coded_size = self->coded_size < bound ? bound : self->coded_size;
    GN_TRY(gn_alloc(&self->columns.flags, self->ring, sizeof *self->columns.flags));
    GN_TRY(gn_alloc(&self->columns.action, self->ring, sizeof *self->columns.action));
    GN_TRY(gn_alloc(&self->columns.reward, self->ring, sizeof *self->columns.reward));
    GN_TRY(gn_alloc(&self->columns.record, self->ring, record_size));
    GN_TRY(gn_alloc(&self->weight, self->ring, sizeof *self->weight));
    GN_TRY(gn_alloc(&self->run, n, sizeof *self->run));
    GN_TRY(gn_alloc(&self->plain, replay_chunk_scratch(n, record_size), 1));
    GN_TRY(gn_alloc(&self->coded, self->coded_size, 1));
    GN_TRY(gn_alloc(&self->stream, layout->streams, sizeof *self->stream));
    return gn_compressor_create(&self->compressor, COMPRESSION);
}

static void release(salvage *self)
{
    replay_reader_close(&self->reader);
    replay_store_close(&self->store);
    gn_compressor_destroy(&self->compressor);
    gn_free(&self->columns.flags);
    gn_free(&self->columns.action);
    gn_free(&self->columns.reward);
    gn_free(&self->columns.record);
    gn_free(&self->weight);
    gn_free(&self->run);
    gn_free(&self->plain);
    gn_free(&self->coded);
    gn_free(&self->stream);
    gn_blob_free(&self->tails);
    gn_blob_free(&self->weights);
}

// --- writing

// Encodes n slots from the first that is not sealed, and their weights.
static gn_status encode_slots(salvage *self, uint32_t stream, size_t n, size_t *ret_size)
{
    size_t size;
    uint64_t first = self->stream[stream].sealed * self->chunk;
    if (self->generation.prioritized) {
        for (size_t i = 0; i < n; i++)
            self->run[i] = self->weight[(first + i) % self->ring];
        GN_TRY(gn_compress(self->compressor, self->run, n * sizeof *self->run, self->coded,
                           self->coded_size, &size));
        gn_blob_write(&self->weights, "weights", self->coded, size);
    }
    return replay_chunk_encode(self->compressor, &self->columns, self->ring, first % self->ring, n,
                               first, self->plain, self->coded, self->coded_size, ret_size);
}

static gn_status seal_chunk(salvage *self, uint32_t stream)
{
    size_t size;
    replay_stream *at = &self->stream[stream];
    GN_TRY(encode_slots(self, stream, self->chunk, &size));
    GN_TRY(replay_store_put_chunk(self->store, at->sealed, stream, self->coded, size));
    at->sealed++;
    return GN_OK;
}

// Ends the episode being written before its own end, if one is: its last slot becomes the final
// one.
static void cut_episode(salvage *self, uint32_t stream)
{
    replay_stream *at = &self->stream[stream];
    uint64_t slots = at->head - self->start;
    if (slots == 0)
        return;
    uint64_t last = (at->head - 1) % self->ring;
    self->result.steps -= replay_has_step(self->columns.flags[last]);
    if (slots == 1) { // no step leads to this record
        at->head--;
    } else {
        self->columns.flags[last] = REPLAY_FINAL;
        self->columns.action[last] = 0;
        self->columns.reward[last] = 0;
        self->weight[last] = 0;
        self->columns.flags[(at->head - 2) % self->ring] = REPLAY_TRUNCATED;
        self->result.episodes++;
        self->result.cut++;
    }
    self->start = at->head;
}

static void append_slot(salvage *self, const replay_slots *slots, size_t i)
{
    size_t at = self->stream[slots->stream].head++ % self->ring;
    size_t record_size = self->columns.record_size;
    bool step = replay_has_step(slots->flags[i]);
    bool weighs = step && slots->weight && slots->weight[i] > 0 && isfinite(slots->weight[i]);
    self->columns.flags[at] = slots->flags[i];
    self->columns.action[at] = step ? slots->action[i] : 0;
    self->columns.reward[at] = step ? slots->reward[i] : 0;
    self->weight[at] = weighs ? slots->weight[i] : 0;
    memcpy(self->columns.record + at * record_size, slots->record + i * record_size, record_size);
    self->result.steps += step;
}

static gn_status take_slot(salvage *self, const replay_slots *slots, size_t i)
{
    uint32_t stream = slots->stream;
    uint8_t flags = slots->flags[i];
    replay_stream *at = &self->stream[stream];
    if (!replay_flags_fit(flags) || !isfinite(slots->reward[i])) {
        cut_episode(self, stream);
        return GN_OK;
    }
    if (at->head > self->start &&
        !replay_may_follow(self->columns.flags[(at->head - 1) % self->ring], flags))
        cut_episode(self, stream);
    if (at->head == self->start && flags & REPLAY_FINAL)
        return GN_OK; // its steps are gone
    append_slot(self, slots, i);
    if (flags & REPLAY_OPEN)
        cut_episode(self, stream);
    if (flags & REPLAY_FINAL) {
        self->start = at->head;
        self->result.episodes++;
    }
    bool full = at->head - at->sealed * self->chunk == self->ring;
    return full ? seal_chunk(self, stream) : GN_OK;
}

static gn_status end_stream(salvage *self, uint32_t stream)
{
    replay_stream *at = &self->stream[stream];
    cut_episode(self, stream);
    while (at->head - at->sealed * self->chunk >= self->chunk)
        GN_TRY(seal_chunk(self, stream));
    size_t size, rest = at->head - at->sealed * self->chunk;
    self->start = 0;
    if (rest == 0)
        return GN_OK;
    GN_TRY(encode_slots(self, stream, rest, &size));
    gn_blob_write(&self->tails, "slots", self->coded, size);
    return GN_OK;
}

// --- the whole

// The newest generation that can be read.
static gn_status begin_newest(salvage *self)
{
    const replay_view *view = replay_reader_view(self->reader);
    gn_status status = gn_fail(GN_ERR_EMPTY, "%s: no generation was committed yet", view->path);
    for (size_t i = view->generations; i-- > 0;) {
        status = replay_reader_begin(self->reader, view->generation[i].key, &self->generation);
        if (status != GN_ERR_CORRUPT)
            break;
    }
    return status;
}

static gn_status copy_slots(salvage *self)
{
    uint32_t streams = replay_reader_view(self->reader)->layout.streams, stream = 0;
    replay_slots slots;
    uint64_t next = 0; // position after the last slot
    for (;;) {
        GN_TRY(replay_reader_next(self->reader, &slots));
        while (stream < (slots.count ? slots.stream : streams))
            GN_TRY(end_stream(self, stream++));
        if (slots.count == 0)
            return GN_OK;
        if (slots.position != next)
            cut_episode(self, stream);
        for (size_t i = 0; i < slots.count; i++)
            GN_TRY(take_slot(self, &slots, i));
        next = slots.position + slots.count;
    }
}

static gn_status commit(salvage *self)
{
    uint32_t streams = replay_reader_view(self->reader)->layout.streams;
    const gn_blob *parts[] = { &self->tails, &self->weights };
    gn_blob state = { 0 };
    gn_blob_write(&state, "streams", self->stream, streams * sizeof *self->stream);
    gn_blob_write(&state, "max priority", &self->generation.max_priority,
                  sizeof self->generation.max_priority);
    gn_status status = gn_blob_status(&state);
    for (size_t i = 0; i < 2 && status == GN_OK; i++) {
        status = gn_blob_status(parts[i]);
        if (status == GN_OK)
            status = gn_grow(&state.data, state.size, state.size + parts[i]->size, 1);
        if (status == GN_OK && parts[i]->size > 0)
            memcpy(state.data + state.size, parts[i]->data, parts[i]->size);
        state.size += parts[i]->size;
    }
    if (status == GN_OK)
        status = replay_store_commit(self->store, self->generation.number, state.data, state.size,
                                     self->generation.number, NULL);
    gn_blob_free(&state);
    return status;
}

static gn_status write_store(salvage *self, const char *to)
{
    const replay_view *view = replay_reader_view(self->reader);
    GN_TRY(begin_newest(self));
    GN_TRY(allocate(self, &view->layout));
    GN_TRY(replay_store_open(&self->store, to, view->owner, &view->layout));
    GN_TRY(copy_slots(self));
    if (self->result.steps == 0)
        return gn_fail(GN_ERR_EMPTY, "%s: no step is readable", view->path);
    uint64_t kept = 0;
    for (uint32_t i = 0; i < view->layout.streams; i++)
        kept += self->stream[i].head;
    self->result.generation = self->generation.number;
    self->result.lost = self->generation.slots - kept;
    return commit(self);
}

gn_status replay_salvage(const char *from, const char *to, replay_salvaged *ret_salvaged)
{
    salvage self = { 0 };
    replay_findings findings = { 0 };
    if (gn_path_exists(to))
        return gn_fail(GN_ERR_EXISTS, "%s: exists; must be a new folder", to);
    gn_status status = replay_reader_open(&self.reader, from, &findings);
    if (status == GN_OK)
        status = write_store(&self, to);
    if (status == GN_OK)
        *ret_salvaged = self.result;
    release(&self);
    replay_findings_free(&findings);
    if (status != GN_OK)
        (void)gn_path_remove(to);
    return status;
}
