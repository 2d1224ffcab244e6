// Slots go into a ring of a chunk and two more: the last two slots can still be changed when an
// episode has to end there. Full chunks go through the writer of a buffer (replay/writer.h).

#include "replay/salvage.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/blob.h"
#include "base/file.h"
#include "base/mem.h"
#include "replay/reader.h"
#include "replay/state.h"

enum { CHANGEABLE = 2, COMPRESSION = 3 };

typedef struct salvage {
    replay_reader *reader;
    replay_store *store;
    replay_writer *writer;
    replay_layout layout;
    replay_generation generation;
    uint32_t chunk;
    uint64_t ring; // chunk + CHANGEABLE
    replay_columns columns; // [ring] the newest slots of the stream being written
    float *priority; // [ring]
    replay_staged staged; // the new generation
    size_t priorities; // staged
    uint64_t start; // position where the episode being written began
    replay_salvaged result;
} salvage;

static gn_status allocate(salvage *self)
{
    const replay_layout *layout = &self->layout;
    const replay_writer_config writing = { *layout, COMPRESSION, COMPRESSION, false };
    size_t n = layout->chunk;
    self->chunk = layout->chunk;
    self->ring = n + CHANGEABLE;
    GN_TRY(replay_columns_create(&self->columns, self->ring, layout->record_size, true, false));
    GN_TRY(gn_alloc(&self->priority, self->ring, sizeof *self->priority));
    GN_TRY(gn_alloc(&self->staged.stream, layout->streams, sizeof *self->staged.stream));
    GN_TRY(gn_alloc(&self->staged.tail, layout->streams, sizeof *self->staged.tail));
    if (self->generation.prioritized)
        GN_TRY(gn_alloc(&self->staged.priority, self->generation.slots,
                        sizeof *self->staged.priority));
    for (uint32_t i = 0; i < layout->streams; i++)
        GN_TRY(replay_columns_create(&self->staged.tail[i], n, layout->record_size, true, false));
    return replay_writer_create(&self->writer, &writing, self->store);
}

static void release(salvage *self)
{
    replay_writer_destroy(&self->writer);
    replay_reader_close(&self->reader);
    replay_store_close(&self->store);
    replay_columns_free(&self->columns);
    gn_free(&self->priority);
    for (uint32_t i = 0; self->staged.tail && i < self->layout.streams; i++)
        replay_columns_free(&self->staged.tail[i]);
    gn_free(&self->staged.stream);
    gn_free(&self->staged.tail);
    gn_free(&self->staged.priority);
}

// --- writing

// Moves the first n slots that are not sealed out of the ring, and their priorities.
static void copy_out(salvage *self, uint32_t stream, size_t n, replay_columns *ret_columns)
{
    uint64_t first = self->staged.stream[stream].sealed * self->chunk;
    size_t size = self->columns.record_size;
    for (size_t i = 0; i < n; i++) {
        size_t at = (first + i) % self->ring;
        ret_columns->flags[i] = self->columns.flags[at];
        ret_columns->action[i] = self->columns.action[at];
        ret_columns->reward[i] = self->columns.reward[at];
        memcpy(ret_columns->record + i * size, self->columns.record + at * size, size);
        if (self->staged.priority)
            self->staged.priority[self->priorities++] = self->priority[at];
    }
}

static gn_status seal_chunk(salvage *self, uint32_t stream)
{
    replay_job *job;
    replay_stream *at = &self->staged.stream[stream];
    while (replay_writer_is_full(self->writer)) {
        GN_TRY(replay_writer_wait_oldest(self->writer));
        while ((job = replay_writer_harvest(self->writer)) != NULL)
            replay_writer_give(self->writer, job);
    }
    job = replay_writer_take(self->writer);
    copy_out(self, stream, self->chunk, &job->columns);
    job->stream = stream;
    job->chunk = at->sealed;
    GN_TRY(replay_writer_seal(self->writer, job));
    at->sealed++;
    return GN_OK;
}

// Ends the episode being written before its own end, if one is: its last slot becomes the final
// one.
static void cut_episode(salvage *self, uint32_t stream)
{
    replay_stream *at = &self->staged.stream[stream];
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
        self->priority[last] = 0;
        self->columns.flags[(at->head - 2) % self->ring] = REPLAY_TRUNCATED;
        self->result.episodes++;
        self->result.cut++;
    }
    self->start = at->head;
}

static void append_slot(salvage *self, const replay_slots *slots, size_t i)
{
    size_t at = self->staged.stream[slots->stream].head++ % self->ring;
    size_t record_size = self->columns.record_size;
    bool step = replay_has_step(slots->flags[i]);
    bool weighs = step && slots->priority && slots->priority[i] > 0 && isfinite(slots->priority[i]);
    self->columns.flags[at] = slots->flags[i];
    self->columns.action[at] = step ? slots->action[i] : 0;
    self->columns.reward[at] = step ? slots->reward[i] : 0;
    self->priority[at] = weighs ? slots->priority[i] : 0;
    memcpy(self->columns.record + at * record_size, slots->stored + i * record_size, record_size);
    self->result.steps += step;
}

static gn_status take_slot(salvage *self, const replay_slots *slots, size_t i)
{
    uint32_t stream = slots->stream;
    uint8_t flags = slots->flags[i];
    replay_stream *at = &self->staged.stream[stream];
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
    replay_stream *at = &self->staged.stream[stream];
    cut_episode(self, stream);
    while (at->head - at->sealed * self->chunk >= self->chunk)
        GN_TRY(seal_chunk(self, stream));
    copy_out(self, stream, at->head - at->sealed * self->chunk, &self->staged.tail[stream]);
    self->start = 0;
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
    uint64_t checksum;
    self->staged.generation = self->staged.oldest = self->generation.number;
    self->staged.max_priority = self->generation.max_priority;
    self->staged.alpha = self->generation.alpha;
    GN_TRY(replay_writer_commit(self->writer, &self->staged));
    return replay_writer_await(self->writer, &checksum);
}

static gn_status write_store(salvage *self, const char *to)
{
    const replay_view *view = replay_reader_view(self->reader);
    GN_TRY(begin_newest(self));
    self->layout = view->layout;
    GN_TRY(replay_store_open(&self->store, to, view->owner, &view->layout));
    GN_TRY(allocate(self));
    GN_TRY(copy_slots(self));
    if (self->result.steps == 0)
        return gn_fail(GN_ERR_EMPTY, "%s: no step is readable", view->path);
    uint64_t kept = 0;
    for (uint32_t i = 0; i < view->layout.streams; i++)
        kept += self->staged.stream[i].head;
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
