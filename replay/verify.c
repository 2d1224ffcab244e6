#include "replay/verify.h"

#include <inttypes.h>
#include <math.h>

#include "replay/reader.h"

typedef struct verification {
    replay_reader *reader;
    replay_findings *findings;
    uint64_t generation;
    replay_verified result;
    // The slot before, in the same stream.
    bool has_before;
    uint32_t stream;
    uint64_t position;
    uint8_t flags;
} verification;

// Damage becomes a finding; what is no damage stays an error.
static gn_status note(replay_findings *findings, gn_status status)
{
    if (status != GN_ERR_CORRUPT)
        return status;
    replay_findings_add(findings, "%s", gn_error_text());
    return GN_OK;
}

// What is wrong with a slot by itself, or NULL.
static const char *slot_problem(const replay_slots *slots, size_t i)
{
    uint8_t flags = slots->flags[i];
    bool step = replay_has_step(flags);
    if (!replay_flags_fit(flags))
        return "unknown flags";
    if (!isfinite(slots->reward[i]))
        return "the reward is not finite";
    if (!step && (slots->action[i] != 0 || slots->reward[i] != 0))
        return "action or reward without a step";
    if (slots->priority && slots->priority[i] != REPLAY_EVICTED &&
        !(slots->priority[i] >= 0 && isfinite(slots->priority[i])))
        return "the priority is negative or not finite";
    if (slots->priority && !step && slots->priority[i] != 0)
        return "a priority without a step";
    return NULL;
}

// What is wrong with its place, or NULL.
static const char *place_problem(const verification *self, const replay_slots *slots, size_t i)
{
    uint8_t flags = slots->flags[i];
    uint64_t position = slots->position + i;
    if (self->has_before && self->stream == slots->stream && self->position + 1 == position &&
        !replay_may_follow(self->flags, flags))
        return "does not follow the one before";
    if (position + 1 == slots->head && replay_has_step(flags))
        return "the last one has a step";
    return NULL;
}

static void check_slots(verification *self, const replay_slots *slots)
{
    for (size_t i = 0; i < slots->count; i++) {
        const char *problem = slot_problem(slots, i);
        if (!problem)
            problem = place_problem(self, slots, i);
        if (problem)
            replay_findings_add(self->findings,
                                "generation %" PRIu64 ": stream %u: slot %" PRIu64 ": %s",
                                self->generation, slots->stream, slots->position + i, problem);
        self->has_before = true;
        self->stream = slots->stream;
        self->position = slots->position + i;
        self->flags = slots->flags[i];
        self->result.steps += replay_has_step(slots->flags[i]);
    }
    self->result.slots += slots->count;
}

static gn_status check_generation(verification *self, uint64_t number)
{
    replay_generation generation;
    replay_slots slots = { 0 };
    self->generation = number;
    self->has_before = false;
    gn_status status = replay_reader_begin(self->reader, number, &generation);
    if (status != GN_OK)
        return note(self->findings, status);
    self->result.slots = self->result.steps = 0;
    do {
        status = replay_reader_next(self->reader, &slots);
        if (status != GN_OK)
            return note(self->findings, status);
        check_slots(self, &slots);
    } while (slots.count > 0);
    return GN_OK;
}

// What no chunk leads to: bodies that have none, and models that are not used.
static void check_others(verification *self, const replay_view *view)
{
    const void *data;
    size_t size;
    for (size_t i = 0; i < view->bodies; i++)
        if (!replay_value_find(view->chunk, view->chunks, view->body[i].key))
            replay_findings_add(self->findings, "body %" PRIu64 ": has no chunk",
                                view->body[i].key);
    for (size_t i = 0; i < view->models; i++)
        if (replay_value_read(&view->model[i], &data, &size) != GN_OK)
            replay_findings_add(self->findings, "model %" PRIu64 ": %s", view->model[i].key,
                                gn_error_text());
}

static gn_status check_all(verification *self)
{
    const replay_view *view = replay_reader_view(self->reader);
    replay_slots slots;
    check_others(self, view);
    for (size_t i = 0; i < view->chunks; i++)
        GN_TRY(note(self->findings, replay_reader_chunk(self->reader, i, &slots)));
    for (size_t i = 0; i < view->generations; i++)
        GN_TRY(check_generation(self, view->generation[i].key));
    self->result.chunks = view->chunks;
    self->result.generations = view->generations;
    return GN_OK;
}

gn_status replay_verify(const char *folder, replay_findings *findings,
                        replay_verified *ret_verified)
{
    verification self = { .findings = findings };
    gn_status status = replay_reader_open(&self.reader, folder, findings);
    if (status == GN_OK)
        status = check_all(&self);
    else
        status = note(findings, status);
    replay_reader_close(&self.reader);
    if (status == GN_OK)
        *ret_verified = self.result;
    return status;
}
