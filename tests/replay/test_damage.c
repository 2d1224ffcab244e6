// Damaged stores of packed records: whatever byte is flipped and wherever the file is cut, opening
// for a run, rolling back, reading every record, sampling, the reader, verify and salvage never
// crash, and never give a slot that was not stored. Mirrored stores: test_verify.c.
//
// Builds with sanitizers make a fifth of the damages.

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "replay/buffer_draw_internal.h"
#include "replay/buffer_internal.h"
#include "replay/reader.h"
#include "replay/salvage.h"
#include "replay/state.h"
#include "replay/verify.h"
#include "tests/replay/mixed.h"

// Nothing here is about power cuts: syncing is left out.
int fsync(int file)
{
    (void)file;
    return 0;
}

int fdatasync(int file)
{
    (void)file;
    return 0;
}

enum { STREAMS = 2, RING = 200, CHUNK = 64, GENERATIONS = 5, KEPT = 2, SLOTS = STREAMS * RING };

typedef struct slot {
    uint32_t stream;
    uint64_t position;
    uint8_t flags;
    int32_t action;
    float reward, priority;
    float record[MIXED_FLOATS];
} slot;

typedef struct contents {
    size_t count;
    slot slot[SLOTS];
} contents;

typedef struct damaged_store {
    mixed kind;
    char folder[GN_PATH_SIZE];
    uint64_t state[GENERATIONS + 1]; // checksums
    contents held[GENERATIONS + 1]; // by each generation
    size_t models;
    uint64_t lost; // a sealed chunk of stream 0, amid the newest generation
    uint64_t body; // where its body begins in the file
} damaged_store;

static gn_status read_record(replay_buffer *buffer, uint32_t stream, uint64_t position,
                             float ret_record[MIXED_FLOATS])
{
    const unsigned char *stored = replay_records_at(buffer->records, stream, position);
    if (stored) {
        replay_record_restore(buffer->fetcher, stored, (unsigned char *)ret_record);
        return GN_OK;
    }
    replay_read read = replay_records_read(buffer->records, stream, position, 1);
    read.to = (unsigned char *)ret_record;
    return replay_fetch(buffer->fetcher, &read, 1);
}

// What the rings hold. Records that cannot be read are left out, and counted.
static contents of_buffer(replay_buffer *buffer, size_t *ret_unreadable)
{
    contents all = { 0 };
    *ret_unreadable = 0;
    for (uint32_t stream = 0; stream < STREAMS; stream++) {
        uint64_t head = buffer->stream[stream].head;
        for (uint64_t at = replay_oldest(&buffer->layout, head); at < head; at++) {
            const replay_step *step = &buffer->step[replay_slot(buffer, stream, at)];
            slot *out = &all.slot[all.count];
            memset(out, 0, sizeof *out);
            out->stream = stream;
            out->position = at;
            out->flags = step->flags;
            out->action = step->action;
            out->reward = step->reward;
            out->priority = step->priority;
            gn_status status = read_record(buffer, stream, at, out->record);
            assert_true(status == GN_OK || status == GN_ERR_CORRUPT);
            all.count += status == GN_OK;
            *ret_unreadable += status != GN_OK;
        }
    }
    return all;
}

static gn_status of_reader(contents *ret_all, replay_reader *reader)
{
    replay_slots slots;
    ret_all->count = 0;
    for (;;) {
        GN_TRY(replay_reader_next(reader, &slots));
        if (slots.count == 0)
            return GN_OK;
        for (size_t i = 0; i < slots.count; i++) {
            slot *out = &ret_all->slot[ret_all->count++];
            memset(out, 0, sizeof *out);
            out->stream = slots.stream;
            out->position = slots.position + i;
            out->flags = slots.flags[i];
            out->action = slots.action[i];
            out->reward = slots.reward[i];
            out->priority = slots.priority ? slots.priority[i] : 0;
            memcpy(out->record, slots.record + i * MIXED_RECORD, MIXED_RECORD);
        }
    }
}

// Whether all these slots were held, in their order, as they are.
static bool held_by(const contents *part, const contents *all)
{
    size_t k = 0;
    for (size_t i = 0; i < all->count && k < part->count; i++)
        k += memcmp(&part->slot[k], &all->slot[i], sizeof(slot)) == 0;
    return k == part->count;
}

// The same of what was salvaged: positions begin anew, and cut episodes end otherwise.
static bool salvaged_from(const contents *part, const contents *all)
{
    size_t k = 0;
    for (size_t i = 0; i < all->count && k < part->count; i++) {
        const slot *a = &all->slot[i], *b = &part->slot[k];
        bool whole = a->flags == b->flags && a->action == b->action && a->reward == b->reward;
        bool cut = b->flags == REPLAY_TRUNCATED && a->action == b->action;
        bool end = b->flags == REPLAY_FINAL && b->action == 0 && b->reward == 0;
        k += a->stream == b->stream && memcmp(a->record, b->record, MIXED_RECORD) == 0 &&
             (whole || cut || end);
    }
    return k == part->count;
}

// --- using what is damaged, in a child; what went wrong is its exit code

enum { FINE = 10, UNSOUND, SILENT_READER, BAD_SALVAGE, BAD_OPEN, BAD_ROLLBACK, SILENT, BAD_SAMPLE };

static int use_reader(const damaged_store *store, bool sound)
{
    static contents read;
    replay_findings findings = { 0 };
    for (uint64_t i = GENERATIONS - KEPT + 1; i <= GENERATIONS; i++) {
        replay_reader *reader;
        replay_generation generation;
        for (int passing = 0; passing < 2; passing++) {
            gn_status status =
                replay_reader_open(&reader, store->folder, passing ? &findings : NULL);
            if (status != GN_OK)
                continue;
            status = replay_reader_begin(reader, i, &generation);
            if (status == GN_OK)
                status = of_reader(&read, reader);
            replay_reader_close(&reader);
            if (status != GN_OK && sound)
                return SILENT_READER;
            if (status == GN_OK && !held_by(&read, &store->held[i]))
                return SILENT_READER;
            if (status == GN_OK && !passing && read.count != store->held[i].count)
                return SILENT_READER;
        }
    }
    replay_findings_free(&findings);
    return FINE;
}

static int use_salvage(const damaged_store *store)
{
    static contents kept;
    char to[GN_PATH_SIZE];
    replay_salvaged salvaged;
    replay_findings none = { 0 };
    replay_verified verified;
    replay_reader *reader;
    replay_generation generation;
    expect_ok(gn_path_join(to, store->folder, "salvaged"));
    gn_status status = replay_salvage(store->folder, to, &salvaged);
    if (status == GN_ERR_CORRUPT || status == GN_ERR_EMPTY)
        return gn_path_exists(to) ? BAD_SALVAGE : FINE;
    if (status != GN_OK || replay_verify(to, &none, &verified) != GN_OK || none.count > 0 ||
        replay_reader_open(&reader, to, NULL) != GN_OK)
        return BAD_SALVAGE;
    bool good = replay_reader_begin(reader, 0, &generation) == GN_OK &&
                of_reader(&kept, reader) == GN_OK && generation.number <= GENERATIONS &&
                salvaged_from(&kept, &store->held[generation.number]);
    replay_reader_close(&reader);
    return good && gn_path_remove(to) == GN_OK ? FINE : BAD_SALVAGE;
}

// Batches of a buffer: every record of a stack is one that was held.
static int use_samples(replay_buffer *buffer, const contents *held)
{
    enum { BATCH = 32, ROUNDS = 4 };
    replay_batch *batch;
    gn_random random = gn_random_stream(1, GN_RANDOM_SAMPLE, 0);
    if (replay_buffer_count(buffer) == 0)
        return FINE;
    expect_ok(replay_batch_create(&batch, replay_buffer_spec(buffer), BATCH, 1));
    for (int round = 0; round < ROUNDS; round++) {
        gn_status status =
            replay_buffer_sample(buffer, &(replay_draw){ { 3 }, 1, 0.9, 0.5 }, &random, batch);
        if (status == GN_ERR_CORRUPT)
            continue;
        if (status != GN_OK)
            return BAD_SAMPLE;
        for (int i = 0; i < BATCH; i++) {
            size_t at = 0;
            while (at < held->count && (held->slot[at].stream != batch->item[i] % STREAMS ||
                                        held->slot[at].position != batch->item[i] / STREAMS))
                at++;
            if (at == held->count || held->slot[at].action != batch->action[i] ||
                memcmp(batch->record + (size_t)i * batch->stride, held->slot[at].record,
                       MIXED_RECORD) != 0)
                return BAD_SAMPLE;
        }
    }
    replay_batch_destroy(&batch);
    return FINE;
}

static int use_buffer(const damaged_store *store, bool sound)
{
    static contents read;
    replay_buffer *buffer = NULL;
    gn_status status =
        replay_buffer_create(&buffer, &store->kind.config, &store->kind.spec, store->folder, "run");
    if (status != GN_OK)
        return !sound && (status == GN_ERR_CORRUPT || status == GN_ERR_STATE) ? FINE : BAD_OPEN;
    for (uint64_t i = GENERATIONS; i > GENERATIONS - KEPT; i--) { // older ones where that one fails
        size_t unreadable = 0;
        status = replay_buffer_rollback(buffer, i, store->state[i]);
        if (status != GN_OK && (sound || replay_buffer_count(buffer) > 0 ||
                                (status != GN_ERR_CORRUPT && status != GN_ERR_NOT_FOUND)))
            return BAD_ROLLBACK;
        if (status != GN_OK)
            continue;
        read = of_buffer(buffer, &unreadable);
        if (!held_by(&read, &store->held[i]) || read.count + unreadable != store->held[i].count ||
            (sound && unreadable > 0))
            return SILENT;
        int result = use_samples(buffer, &store->held[i]);
        if (result != FINE)
            return result;
        break;
    }
    replay_buffer_destroy(&buffer);
    return FINE;
}

// FINE: nothing was found wrong.
static int use_damaged(const damaged_store *store)
{
    replay_findings findings = { 0 };
    replay_verified verified;
    gn_status status = replay_verify(store->folder, &findings, &verified);
    if (status != GN_OK && status != GN_ERR_EMPTY)
        return BAD_OPEN;
    bool sound = status == GN_OK && findings.count == 0;
    replay_findings_free(&findings);
    int result = use_reader(store, sound);
    if (result == FINE)
        result = use_salvage(store);
    if (result == FINE)
        result = use_buffer(store, sound);
    return result == FINE && !sound ? UNSOUND : result;
}

// --- damaging

static void make_store(damaged_store *store, int codec, int64_t quantize, uint64_t seed)
{
    size_t unreadable;
    test_temp_folder(store->folder);
    store->kind.config = feed_config(SLOTS, CHUNK, true);
    store->kind.config.codec = codec;
    store->kind.config.quantize = quantize;
    store->kind.config.cache_mb = 0;
    store->kind.spec = (replay_spec){ STREAMS, MIXED_RECORD, 1 };
    replay_buffer *buffer = mixed_open(&store->kind, store->folder);
    step_feed feed = feed_seed(seed, STREAMS);
    for (uint64_t i = 1; i <= GENERATIONS; i++) {
        mixed_add(&feed, buffer, 150, NULL, NULL);
        mixed_train(&feed, buffer);
        expect_ok(feed_commit(buffer, i, i < KEPT ? 0 : i - KEPT + 1, &store->state[i]));
        store->held[i] = of_buffer(buffer, &unreadable);
        assert_int_equal(unreadable, 0);
    }
    store->lost = (buffer->stream[0].head - RING + CHUNK) / CHUNK;
    uint64_t lost = store->lost * CHUNK;
    replay_harvest(buffer);
    assert_null(replay_records_at(buffer->records, 0, lost));
    store->body = replay_records_read(buffer->records, 0, lost, 1).offset;
    replay_buffer_destroy(&buffer);
    replay_view *view;
    expect_ok(replay_view_open(&view, store->folder, NULL));
    assert_true(view->bodies > 0);
    store->models = view->models;
    replay_view_close(&view);
}

static int run_child(const damaged_store *store)
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(use_damaged(store));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void write_file(const char *path, const void *bytes, size_t size)
{
    int file = open(path, O_WRONLY | O_TRUNC);
    assert_true(file >= 0);
    assert_int_equal(write(file, bytes, size), size);
    close(file);
}

static void damage_is_found_and_never_a_crash_nor_silent(void **state)
{
    (void)state;
    enum { PAGE = 4096, META = 160, FLIPS = 160, CUTS = 15, KINDS = 5 };
    static const struct {
        int codec;
        int64_t quantize;
    } kinds[KINDS] = {
        { REPLAY_NONE, 0 },       { REPLAY_ZSTD_DICT, 0 }, { REPLAY_DELTA, 0 },
        { REPLAY_ZSTD_DICT, 16 }, { REPLAY_PATCH, 0 },
    };
    static damaged_store store;
    size_t models = 0;
    for (int k = 0; k < KINDS; k++) {
        char path[GN_PATH_SIZE];
        unsigned char *whole;
        size_t size, results[2] = { 0 }; // sound, not sound
        make_store(&store, kinds[k].codec, kinds[k].quantize, 20 + (uint64_t)k);
        models += store.models;
        expect_ok(gn_path_join(path, store.folder, "data.mdb"));
        expect_ok(gn_file_read((void **)&whole, &size, path));
        assert_int_equal(run_child(&store), FINE);
        test_rng rng = test_rng_seed((uint64_t)k);
        int flips = mixed_rounds(FLIPS), cuts = mixed_rounds(CUTS);
        for (int i = 0; i < flips + cuts; i++) {
            // a fifth in the meta pages, a quarter in the headers of pages, then cuts
            size_t at = test_rng_below(&rng, size);
            if (i % 5 == 0)
                at = at % 2 * PAGE + test_rng_below(&rng, META);
            else if (i % 4 == 0)
                at = at / PAGE * PAGE + at % 64;
            bool cut = i >= flips;
            unsigned char bit = (unsigned char)(1 << test_rng_below(&rng, 8));
            whole[at] ^= bit;
            write_file(path, whole, cut ? at : size);
            whole[at] ^= bit;
            int result = run_child(&store);
            if (result != FINE && result != UNSOUND)
                fail_msg("kind %d, byte %zu, bit %u%s: result %d", k, at, bit, cut ? ", cut" : "",
                         result);
            results[result - FINE]++;
        }
        assert_true(results[0] > 0 && results[1] > results[0] / 10);
        gn_free(&whole);
        test_temp_remove(store.folder);
    }
    assert_true(models > 0);
}

// What salvage must make of slots: a naive twin, an episode at a time.
static void salvage_naively(contents *ret_kept, const contents *all)
{
    uint64_t next[STREAMS] = { 0 };
    ret_kept->count = 0;
    for (size_t i = 0; i < all->count;) {
        size_t n = 1; // slots of this episode that follow each other
        while (i + n < all->count && all->slot[i + n].stream == all->slot[i].stream &&
               all->slot[i + n].position == all->slot[i].position + n &&
               !(all->slot[i + n - 1].flags & REPLAY_FINAL))
            n++;
        bool whole = all->slot[i + n - 1].flags & REPLAY_FINAL;
        for (size_t k = 0; n > 1 && k < n; k++) {
            slot *out = &ret_kept->slot[ret_kept->count++];
            *out = all->slot[i + k];
            out->position = next[out->stream]++;
            if (!whole && k == n - 2)
                out->flags = REPLAY_TRUNCATED;
            if (!whole && k == n - 1) {
                out->flags = REPLAY_FINAL;
                out->action = 0;
                out->reward = out->priority = 0;
            }
        }
        i += n;
    }
}

// A flipped byte of a body: a run reads all records but those that need it, salvage keeps every
// episode but those of its chunk.
static void a_damaged_record_costs_its_chunk_at_most(void **state)
{
    (void)state;
    static damaged_store store;
    static contents left, expected, kept;
    for (int codec = REPLAY_NONE; codec <= REPLAY_PATCH; codec++) {
        char path[GN_PATH_SIZE], to[GN_PATH_SIZE];
        unsigned char *whole;
        size_t size, unreadable;
        replay_salvaged salvaged;
        replay_reader *reader;
        replay_generation generation;
        make_store(&store, codec, codec == REPLAY_ZSTD ? 8 : 0, 30);
        expect_ok(gn_path_join(path, store.folder, "data.mdb"));
        expect_ok(gn_path_join(to, store.folder, "salvaged"));
        expect_ok(gn_file_read((void **)&whole, &size, path));
        whole[store.body + 5] ^= 4; // of its first record
        write_file(path, whole, size);
        gn_free(&whole);
        left.count = 0;
        const contents *held = &store.held[GENERATIONS];
        for (size_t i = 0; i < held->count; i++)
            if (held->slot[i].stream != 0 || held->slot[i].position / CHUNK != store.lost)
                left.slot[left.count++] = held->slot[i];
        salvage_naively(&expected, &left);
        expect_ok(replay_salvage(store.folder, to, &salvaged));
        expect_ok(replay_reader_open(&reader, to, NULL));
        expect_ok(replay_reader_begin(reader, 0, &generation));
        expect_ok(of_reader(&kept, reader));
        replay_reader_close(&reader);
        assert_int_equal(kept.count, expected.count);
        assert_memory_equal(kept.slot, expected.slot, kept.count * sizeof(slot));
        assert_true(salvaged.episodes > 2 * salvaged.cut);
        replay_buffer *buffer = mixed_open(&store.kind, store.folder);
        expect_ok(replay_buffer_rollback(buffer, GENERATIONS, store.state[GENERATIONS]));
        (void)of_buffer(buffer, &unreadable);
        assert_in_range(unreadable, 1, codec == REPLAY_DELTA ? REPLAY_KEY_DISTANCE : 1);
        replay_buffer_destroy(&buffer);
        test_temp_remove(store.folder);
    }
}

TEST_MAIN(a_damaged_record_costs_its_chunk_at_most, damage_is_found_and_never_a_crash_nor_silent)
