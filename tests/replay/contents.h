// Contents of a buffer as plain arrays: taken from the rings of a buffer, or through a reader, to
// be compared.

#ifndef TESTS_REPLAY_CONTENTS_H
#define TESTS_REPLAY_CONTENTS_H

#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "replay/buffer_internal.h"
#include "replay/reader.h"
#include "tests/replay/feed.h"

enum { CONTENTS_MAX = 2048 };

typedef struct slot_contents {
    uint32_t stream;
    uint64_t position;
    uint8_t flags;
    int32_t action;
    float reward;
    float priority; // 0 in uniform mode
    unsigned char record[FEED_RECORD];
} slot_contents;

typedef struct contents {
    size_t count;
    slot_contents slot[CONTENTS_MAX];
} contents;

static inline void contents_record(const replay_buffer *buffer, uint32_t stream, uint64_t position,
                                   unsigned char *ret_record)
{
    const unsigned char *stored = replay_records_at(buffer->records, stream, position);
    if (stored) {
        memcpy(ret_record, stored, FEED_RECORD);
        return;
    }
    replay_read read = replay_records_read(buffer->records, stream, position, 1);
    read.to = ret_record;
    expect_ok(replay_fetch(buffer->fetcher, &read, 1));
}

// The rings themselves, slot by slot.
static inline void contents_of_buffer(contents *ret_contents, const replay_buffer *buffer)
{
    ret_contents->count = 0;
    for (uint32_t stream = 0; stream < buffer->streams; stream++) {
        uint64_t head = buffer->stream[stream].head;
        for (uint64_t at = replay_tail(buffer, stream); at < head; at++) {
            uint64_t slot = replay_slot(buffer, stream, at);
            assert_true(ret_contents->count < CONTENTS_MAX);
            slot_contents *out = &ret_contents->slot[ret_contents->count++];
            memset(out, 0, sizeof *out);
            out->stream = stream;
            out->position = at;
            out->flags = buffer->step[slot].flags;
            out->action = buffer->step[slot].action;
            out->reward = buffer->step[slot].reward;
            out->priority = buffer->step[slot].priority;
            contents_record(buffer, stream, at, out->record);
        }
    }
}

// What is left of a generation to read. On failure what was read before it.
static inline gn_status contents_of_reader(contents *ret_contents, replay_reader *reader)
{
    replay_slots slots;
    ret_contents->count = 0;
    for (;;) {
        GN_TRY(replay_reader_next(reader, &slots));
        if (slots.count == 0)
            return GN_OK;
        for (size_t i = 0; i < slots.count; i++) {
            assert_true(ret_contents->count < CONTENTS_MAX);
            slot_contents *out = &ret_contents->slot[ret_contents->count++];
            memset(out, 0, sizeof *out);
            out->stream = slots.stream;
            out->position = slots.position + i;
            out->flags = slots.flags[i];
            out->action = slots.action[i];
            out->reward = slots.reward[i];
            out->priority = slots.priority ? slots.priority[i] : 0;
            memcpy(out->record, slots.record + i * FEED_RECORD, FEED_RECORD);
        }
    }
}

static inline bool same_contents(const contents *a, const contents *b)
{
    return a->count == b->count && memcmp(a->slot, b->slot, a->count * sizeof *a->slot) == 0;
}

// Opens, reads one generation and closes.
static inline gn_status read_generation(contents *ret_contents, const char *folder, uint64_t number)
{
    replay_reader *reader;
    replay_generation generation;
    GN_TRY(replay_reader_open(&reader, folder, NULL));
    gn_status status = replay_reader_begin(reader, number, &generation);
    if (status == GN_OK)
        status = contents_of_reader(ret_contents, reader);
    replay_reader_close(&reader);
    return status;
}

// Exit status of a child that runs the job, or 1000 + signal. A store must not be read in the
// process that writes it, and a crash must not end the test.
static inline int run_job(int (*job)(void *), void *arg)
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(job(arg));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

#endif
