// Verifying and salvaging: sound stores have no findings, every kind of damage has one, a damaged
// byte never crashes the process nor passes for data, and what is salvaged verifies clean.

#include "replay/verify.h"

#include <fcntl.h>
#include <lmdb.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "replay/salvage.h"
#include "tests/replay/contents.h"

enum { STREAMS = 2, CAPACITY = 200, CHUNK = 16 };

static void make_store(const char *folder, uint64_t seed, bool prioritized, uint64_t generations)
{
    replay_config config = feed_config(CAPACITY, CHUNK, prioritized);
    replay_buffer *buffer;
    step_feed feed = feed_seed(seed, STREAMS);
    uint64_t checksum;
    expect_ok(replay_buffer_create(&buffer, &config, &(replay_spec){ STREAMS, FEED_RECORD, 1 },
                                   folder, "run"));
    for (uint64_t i = 1; i <= generations; i++) {
        feed_add(&feed, buffer, 30 + test_rng_below(&feed.rng, 60));
        feed_train(&feed, buffer);
        expect_ok(feed_commit(buffer, i, i < 3 ? 0 : i - 2, &checksum));
    }
    replay_buffer_destroy(&buffer);
}

static void expect_sound(const char *folder, uint64_t generations, uint64_t steps)
{
    replay_findings findings = { 0 };
    replay_verified verified;
    expect_ok(replay_verify(folder, &findings, &verified));
    if (findings.count > 0)
        fail_msg("%s", findings.line[0]);
    assert_int_equal(verified.generations, generations);
    assert_int_equal(verified.steps, steps);
}

static uint64_t count_steps(const contents *all)
{
    uint64_t steps = 0;
    for (size_t i = 0; i < all->count; i++)
        steps += replay_has_step(all->slot[i].flags);
    return steps;
}

static void every_store_a_buffer_writes_is_sound(void **state)
{
    (void)state;
    static contents all;
    for (uint64_t seed = 0; seed < 20; seed++) {
        char folder[GN_PATH_SIZE];
        test_temp_folder(folder);
        make_store(folder, seed, seed % 2, 1 + seed % 8);
        expect_ok(read_generation(&all, folder, 0));
        expect_sound(folder, seed % 8 < 3 ? 1 + seed % 8 : 3, count_steps(&all));
        test_temp_remove(folder);
    }
}

// --- salvage

static void sibling(char ret_path[GN_PATH_SIZE], const char *folder)
{
    expect_ok(gn_path_join(ret_path, folder, "salvaged"));
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
            slot_contents *out = &ret_kept->slot[ret_kept->count++];
            *out = all->slot[i + k];
            out->position = next[out->stream]++;
            if (!whole && k == n - 2)
                out->flags = REPLAY_TRUNCATED;
            if (!whole && k == n - 1) {
                out->flags = REPLAY_FINAL;
                out->action = 0;
                out->reward = 0;
                out->priority = 0;
            }
        }
        i += n;
    }
}

// Salvages a store and compares with what a reader that passes over damage makes of it.
static void expect_salvage(const char *folder, uint64_t *ret_cut)
{
    static contents all, kept, found;
    char to[GN_PATH_SIZE];
    replay_findings findings = { 0 };
    replay_reader *reader;
    replay_generation generation;
    replay_salvaged salvaged;
    sibling(to, folder);
    expect_ok(replay_reader_open(&reader, folder, &findings));
    expect_ok(replay_reader_begin(reader, 0, &generation));
    expect_ok(contents_of_reader(&all, reader));
    replay_reader_close(&reader);
    replay_findings_free(&findings);
    salvage_naively(&kept, &all);
    expect_ok(replay_salvage(folder, to, &salvaged));
    expect_ok(read_generation(&found, to, 0));
    assert_true(same_contents(&found, &kept));
    assert_int_equal(salvaged.generation, generation.number);
    assert_int_equal(salvaged.steps, count_steps(&kept));
    assert_int_equal(salvaged.lost, generation.slots - kept.count);
    expect_sound(to, 1, salvaged.steps);
    expect_ok(gn_path_remove(to));
    *ret_cut = salvaged.cut;
}

static void a_sound_store_is_salvaged_whole(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        char folder[GN_PATH_SIZE];
        uint64_t cut;
        test_temp_folder(folder);
        make_store(folder, 100 + seed, seed % 2, 1 + seed % 8);
        expect_salvage(folder, &cut);
        assert_true(cut <= STREAMS); // the episodes that were running
        test_temp_remove(folder);
    }
}

// The chunks behind the buffer's back.
static MDB_txn *open_chunks(const char *folder, MDB_env **ret_env, MDB_dbi *ret_chunks)
{
    MDB_txn *txn;
    assert_int_equal(mdb_env_create(ret_env), 0);
    assert_int_equal(mdb_env_set_maxdbs(*ret_env, 3), 0);
    assert_int_equal(mdb_env_open(*ret_env, folder, 0, 0644), 0);
    assert_int_equal(mdb_txn_begin(*ret_env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "chunk", MDB_INTEGERKEY, ret_chunks), 0);
    return txn;
}

static void remove_chunk(const char *folder, uint64_t chunk, uint64_t stream)
{
    MDB_env *env;
    MDB_dbi chunks;
    uint64_t number = chunk * STREAMS + stream;
    MDB_val key = { sizeof number, &number };
    MDB_txn *txn = open_chunks(folder, &env, &chunks);
    assert_int_equal(mdb_del(txn, chunks, &key, NULL), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

// Where the key of the middle chunk lies in the data file: a page begins with its number.
static size_t offset_of_a_key(const char *folder)
{
    enum { PAGE = 4096 };
    MDB_stat stat;
    MDB_env *env;
    MDB_dbi chunks;
    MDB_cursor *cursor;
    MDB_val key, value;
    uint64_t page;
    MDB_txn *txn = open_chunks(folder, &env, &chunks);
    assert_int_equal(mdb_cursor_open(txn, chunks, &cursor), 0);
    assert_int_equal(mdb_stat(txn, chunks, &stat), 0);
    for (size_t i = 0; i <= stat.ms_entries / 2; i++)
        assert_int_equal(mdb_cursor_get(cursor, &key, &value, MDB_NEXT), 0);
    size_t inside = (uintptr_t)key.mv_data % PAGE;
    memcpy(&page, (unsigned char *)key.mv_data - inside, sizeof page);
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    return page * PAGE + inside;
}

static void a_missing_chunk_is_found_and_cuts_an_episode(void **state)
{
    (void)state;
    uint64_t most_cut = 0;
    for (uint64_t stream = 0; stream < STREAMS; stream++) {
        for (uint64_t chunk = 0; chunk < 3; chunk++) {
            char folder[GN_PATH_SIZE], expected[64];
            uint64_t cut;
            test_temp_folder(folder);
            make_store(folder, 7, true, 3); // nothing was evicted yet
            remove_chunk(folder, chunk, stream);
            replay_findings findings = { 0 };
            replay_verified verified;
            static contents all;
            expect_ok(replay_verify(folder, &findings, &verified));
            snprintf(expected, sizeof expected, "generation 3: chunk %d of stream %d: is missing",
                     (int)chunk, (int)stream);
            assert_in_range(findings.count, 1, 3); // one a generation that needs it
            assert_string_equal(findings.line[findings.count - 1], expected);
            replay_findings_free(&findings);
            expect_fails(GN_ERR_CORRUPT, "is missing", read_generation(&all, folder, 3));
            expect_salvage(folder, &cut);
            most_cut = cut > most_cut ? cut : most_cut;
            test_temp_remove(folder);
        }
    }
    assert_true(most_cut > STREAMS);
}

// The first stream ends with its only chunk: what the state says of it must be passed over with it.
static void a_stream_that_is_missing_leaves_the_next(void **state)
{
    (void)state;
    char folder[GN_PATH_SIZE];
    unsigned char record[FEED_RECORD] = { 0 };
    replay_config config = feed_config(CAPACITY, CHUNK, true);
    replay_buffer *buffer;
    replay_findings findings = { 0 };
    replay_verified verified;
    uint64_t checksum, cut;
    test_temp_folder(folder);
    expect_ok(replay_buffer_create(&buffer, &config, &(replay_spec){ STREAMS, FEED_RECORD, 1 },
                                   folder, "run"));
    for (uint32_t stream = 0; stream < STREAMS; stream++) {
        expect_ok(replay_buffer_begin(buffer, stream, record));
        for (int i = 1; i < CHUNK; i++)
            expect_ok(replay_buffer_add(buffer, stream, i, 1, i == CHUNK - 1, false, record));
    }
    expect_ok(feed_commit(buffer, 1, 0, &checksum));
    replay_buffer_destroy(&buffer);
    remove_chunk(folder, 0, 0);
    expect_ok(replay_verify(folder, &findings, &verified));
    assert_int_equal(findings.count, 1);
    assert_int_equal(verified.steps, CHUNK - 1);
    replay_findings_free(&findings);
    expect_salvage(folder, &cut);
    assert_int_equal(cut, 0);
    test_temp_remove(folder);
}

// The walk meets the chunks out of order and still finds all but one.
static void a_damaged_key_loses_one_chunk(void **state)
{
    (void)state;
    char folder[GN_PATH_SIZE], path[GN_PATH_SIZE];
    unsigned char *file;
    size_t size;
    uint64_t cut;
    replay_findings findings = { 0 };
    replay_verified before, after;
    test_temp_folder(folder);
    make_store(folder, 7, true, 3);
    expect_ok(gn_path_join(path, folder, "data.mdb"));
    expect_ok(replay_verify(folder, &findings, &before));
    expect_ok(gn_file_read((void **)&file, &size, path));
    file[offset_of_a_key(folder) + 6] ^= 1;
    expect_ok(gn_file_write(path, file, size));
    expect_ok(replay_verify(folder, &findings, &after));
    assert_in_range(findings.count, 3, 5); // the order, the checksum, one a generation
    assert_non_null(strstr(findings.line[0], "has keys out of order"));
    assert_int_equal(after.chunks, before.chunks);
    assert_int_equal(after.slots, before.slots - CHUNK);
    expect_salvage(folder, &cut);
    replay_findings_free(&findings);
    gn_free(&file);
    test_temp_remove(folder);
}

static void a_salvage_that_cannot_be_leaves_nothing(void **state)
{
    (void)state;
    char folder[GN_PATH_SIZE], to[GN_PATH_SIZE];
    replay_salvaged salvaged;
    replay_buffer *buffer;
    replay_config config = feed_config(CAPACITY, CHUNK, true);
    test_temp_folder(folder);
    sibling(to, folder);
    expect_fails(GN_ERR_NOT_FOUND, "data.mdb", replay_salvage(folder, to, &salvaged));
    expect_fails(GN_ERR_EXISTS, "must be a new folder", replay_salvage(to, folder, &salvaged));
    expect_ok(replay_buffer_create(&buffer, &config, &(replay_spec){ STREAMS, FEED_RECORD, 1 },
                                   folder, "run"));
    uint64_t checksum;
    expect_ok(feed_commit(buffer, 1, 0, &checksum));
    replay_buffer_destroy(&buffer);
    expect_fails(GN_ERR_EMPTY, "no step is readable", replay_salvage(folder, to, &salvaged));
    assert_false(gn_path_exists(to));
    expect_ok(gn_path_remove(folder));
    make_store(folder, 3, true, 3);
    gn_status status = GN_ERR_MEMORY;
    uint64_t live = gn_mem_live();
    for (uint64_t n = 1; status != GN_OK; n++) {
        gn_mem_fail_at(n);
        status = replay_salvage(folder, to, &salvaged);
        gn_mem_fail_at(0);
        assert_true(status == GN_OK || (status == GN_ERR_MEMORY && !gn_path_exists(to)));
        assert_int_equal(gn_mem_live(), live);
    }
    test_temp_remove(folder);
}

// --- contents that no buffer writes

// A store of one stream with these slots in the tail, priorities 1 where there is a step; the rest
// as the vector says.
typedef struct wrong_contents {
    const char *finding; // part of it
    uint8_t flags[6];
    size_t count;
    float reward; // of slot 1
    float priority; // of the last slot
    uint64_t too_many; // bytes at the end
    uint64_t sealed; // chunks the state speaks of
} wrong_contents;

static void write_contents(const char *folder, const wrong_contents *wrong)
{
    enum { SLOTS = 8, RECORD = 4 };
    const replay_layout layout = {
        .streams = 1, .record_size = RECORD, .capacity = SLOTS, .chunk = SLOTS - 1
    };
    uint8_t flags[SLOTS] = { 0 };
    int32_t action[SLOTS] = { 0 };
    float reward[SLOTS] = { 0 };
    unsigned char record[SLOTS * RECORD] = { 0 }, plain[1024], coded[1024];
    float priority[SLOTS];
    double max_priority = 1, alpha = 0.6;
    size_t size, n = wrong->count;
    const replay_columns columns = { flags, action, reward, record, NULL, RECORD };
    const replay_chunk_about about = { 0 };
    replay_stream stream = { n, wrong->sealed };
    gn_compressor *compressor;
    replay_store *store;
    gn_blob blob = { 0 };
    memcpy(flags, wrong->flags, n);
    reward[1] = wrong->reward;
    for (size_t i = 0; i < n; i++)
        priority[i] = replay_has_step(flags[i]);
    priority[n - 1] = wrong->priority;
    expect_ok(gn_compressor_create(&compressor, 1));
    gn_blob_write(&blob, "streams", &stream, sizeof stream);
    gn_blob_write(&blob, "max priority", &max_priority, sizeof max_priority);
    gn_blob_write(&blob, "alpha", &alpha, sizeof alpha);
    gn_blob_write(&blob, "contents", NULL, 0);
    expect_ok(
        replay_chunk_encode(compressor, &columns, n, &about, plain, coded, sizeof coded, &size));
    gn_blob_write(&blob, "slots", coded, size);
    expect_ok(gn_compress(compressor, priority, n * sizeof *priority, coded, sizeof coded, &size));
    gn_blob_write(&blob, "priorities", coded, size);
    if (wrong->too_many > 0)
        gn_blob_write(&blob, "more", coded, wrong->too_many);
    expect_ok(gn_blob_status(&blob));
    expect_ok(replay_store_open(&store, folder, "run", &layout));
    expect_ok(replay_store_commit(store, 5, blob.data, blob.size, 0, NULL));
    replay_store_close(&store);
    gn_compressor_destroy(&compressor);
    gn_blob_free(&blob);
}

static void contents_that_make_no_sense_are_found(void **state)
{
    (void)state;
    enum { STEP = 0, END = REPLAY_TERMINATED, CUT = REPLAY_TRUNCATED, LAST = REPLAY_FINAL };
    enum { OPEN = REPLAY_OPEN };
    static const wrong_contents vectors[] = {
        { NULL, { STEP, STEP, OPEN }, .count = 3 },
        { NULL, { STEP, END | CUT, LAST, STEP, CUT, LAST }, .count = 6 },
        { "slot 2: does not follow", { STEP, END, STEP, OPEN }, .count = 4 },
        { "slot 2: does not follow", { STEP, CUT, OPEN }, .count = 3 },
        { "slot 2: does not follow", { STEP, STEP, LAST }, .count = 3 },
        { "slot 1: does not follow", { OPEN, STEP, OPEN }, .count = 3 },
        { "slot 3: does not follow", { STEP, END, LAST, LAST }, .count = 4 },
        { "slot 1: the last one has a step", { STEP, STEP }, .count = 2, .priority = 1 },
        { "slot 1: unknown flags", { STEP, 5, OPEN }, .count = 3 },
        { "slot 1: unknown flags", { STEP, 16, OPEN }, .count = 3 },
        { "slot 1: the reward is not finite", { STEP, STEP, OPEN }, .count = 3, .reward = NAN },
        { "slot 1: action or reward without a step", { END, LAST, OPEN }, .count = 3, .reward = 1 },
        { "slot 2: a priority without a step", { STEP, STEP, OPEN }, .count = 3, .priority = 1 },
        { "slot 2: the priority is negative", { STEP, STEP, OPEN }, .count = 3, .priority = -2 },
        { "slot 2: a priority without a step", { STEP, STEP, OPEN }, .count = 3, .priority = -1 },
        { "slot 2: the priority is negative", { STEP, STEP, OPEN }, .count = 3, .priority = NAN },
        { "bytes too many", { STEP, STEP, OPEN }, .count = 3, .too_many = 5 },
        { "slots in 1 chunks", { STEP, STEP, OPEN }, .count = 3, .sealed = 1 },
    };
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        char folder[GN_PATH_SIZE], to[GN_PATH_SIZE];
        replay_findings findings = { 0 };
        replay_verified verified;
        replay_salvaged salvaged;
        test_temp_folder(folder);
        sibling(to, folder);
        write_contents(folder, &vectors[i]);
        expect_ok(replay_verify(folder, &findings, &verified));
        bool found = findings.count > 0 && strncmp(findings.line[0], "generation 5: ", 14) == 0;
        if (vectors[i].finding ? !found || !strstr(findings.line[0], vectors[i].finding)
                               : findings.count > 0)
            fail_msg("vector %zu: %s", i, findings.count ? findings.line[0] : "nothing found");
        if (replay_salvage(folder, to, &salvaged) == GN_OK)
            expect_sound(to, 1, salvaged.steps);
        replay_findings_free(&findings);
        test_temp_remove(folder);
    }
}

// --- damage

typedef struct damaged_store {
    char folder[GN_PATH_SIZE];
    contents generation[9]; // what it held before
} damaged_store;

enum { SOUND = 10, FOUND, SILENT, BAD_SALVAGE }; // a sanitizer exits with 1

// Every slot that was salvaged must have been there, in its order, but for where it was cut.
static bool salvaged_from(const contents *kept, const contents *all)
{
    size_t k = 0;
    for (size_t i = 0; i < all->count && k < kept->count; i++) {
        const slot_contents *a = &all->slot[i], *b = &kept->slot[k];
        k += a->stream == b->stream && memcmp(a->record, b->record, FEED_RECORD) == 0 &&
             (a->flags == b->flags || b->flags == REPLAY_FINAL || b->flags == REPLAY_TRUNCATED);
    }
    return k == kept->count;
}

// In a child: verifies a store that may be damaged, and salvages it.
static int use_damaged(void *arg)
{
    static contents kept;
    damaged_store *store = arg;
    char to[GN_PATH_SIZE];
    replay_findings findings = { 0 }, none = { 0 };
    replay_verified verified;
    replay_salvaged salvaged;
    gn_status status = replay_verify(store->folder, &findings, &verified);
    if (status != GN_OK && status != GN_ERR_EMPTY)
        return BAD_SALVAGE;
    uint64_t newest = 8;
    if (status == GN_OK && findings.count == 0 &&
        (read_generation(&kept, store->folder, 0) != GN_OK ||
         !same_contents(&kept, &store->generation[newest])))
        return SILENT;
    sibling(to, store->folder);
    status = replay_salvage(store->folder, to, &salvaged);
    if (status == GN_OK) {
        bool good = replay_verify(to, &none, &verified) == GN_OK && none.count == 0 &&
                    read_generation(&kept, to, 0) == GN_OK && salvaged.generation <= newest &&
                    salvaged_from(&kept, &store->generation[salvaged.generation]);
        if (!good || gn_path_remove(to) != GN_OK)
            return BAD_SALVAGE;
    } else if (status != GN_ERR_CORRUPT && status != GN_ERR_EMPTY) {
        return BAD_SALVAGE;
    }
    return findings.count == 0 ? SOUND : FOUND;
}

static void make_damaged_store(damaged_store *store)
{
    test_temp_folder(store->folder);
    replay_config config = feed_config(CAPACITY, CHUNK, true);
    replay_buffer *buffer;
    step_feed feed = feed_seed(11, STREAMS);
    uint64_t checksum;
    expect_ok(replay_buffer_create(&buffer, &config, &(replay_spec){ STREAMS, FEED_RECORD, 1 },
                                   store->folder, "run"));
    for (uint64_t i = 1; i <= 8; i++) {
        feed_add(&feed, buffer, 60);
        feed_train(&feed, buffer);
        expect_ok(feed_commit(buffer, i, i < 3 ? 0 : i - 2, &checksum));
        contents_of_buffer(&store->generation[i], buffer);
    }
    replay_buffer_destroy(&buffer);
}

static void damage_is_found_and_never_a_crash_nor_silent(void **state)
{
    (void)state;
    enum { PAGE = 4096, META = 160, FLIPS = 500, CUTS = 40 };
    static damaged_store store;
    char path[GN_PATH_SIZE];
    unsigned char *whole;
    size_t size, results[2] = { 0 }; // sound, found
    make_damaged_store(&store);
    expect_ok(gn_path_join(path, store.folder, "data.mdb"));
    expect_ok(gn_file_read((void **)&whole, &size, path));
    test_rng rng = test_rng_seed(2);
    for (size_t i = 0; i < 2 * META + FLIPS + CUTS; i++) {
        // every byte of both meta pages, then anywhere, headers of pages more often; then cuts
        size_t at = i < META ? i : i < 2 * META ? PAGE + i - META : test_rng_below(&rng, size);
        if (i >= 2 * META && i % 2 == 0)
            at = at / PAGE * PAGE + at % 64;
        bool cut = i >= 2 * META + FLIPS;
        unsigned char bit = (unsigned char)(1 << test_rng_below(&rng, 8));
        int file = open(path, O_WRONLY | O_TRUNC);
        whole[at] ^= bit;
        assert_int_equal(write(file, whole, cut ? at : size), cut ? at : size);
        whole[at] ^= bit;
        close(file);
        int result = run_job(use_damaged, &store);
        if (result != SOUND && result != FOUND)
            fail_msg("byte %zu, bit %u%s: result %d", at, bit, cut ? ", cut" : "", result);
        results[result - SOUND]++;
    }
    assert_true(results[0] > 0 && results[1] > results[0] / 10);
    gn_free(&whole);
    test_temp_remove(store.folder);
}

// A leaf page that lost a node: the nodes beside it are still read.
static void damage_to_one_part_leaves_the_others(void **state)
{
    (void)state;
    static damaged_store store;
    static contents kept;
    char path[GN_PATH_SIZE], to[GN_PATH_SIZE];
    unsigned char *whole;
    size_t size, salvages = 0, partial = 0;
    make_damaged_store(&store);
    sibling(to, store.folder);
    expect_ok(gn_path_join(path, store.folder, "data.mdb"));
    expect_ok(gn_file_read((void **)&whole, &size, path));
    for (size_t page = 2; page < size / 4096; page++) {
        size_t at = page * 4096 + 9; // pad of the page: no matter; its first nodes' offsets: damage
        for (size_t byte = at; byte <= at + 14; byte += byte == at ? 8 : 2) {
            whole[byte] ^= 0x40;
            expect_ok(gn_file_write(path, whole, size));
            whole[byte] ^= 0x40;
            replay_salvaged salvaged;
            if (replay_salvage(store.folder, to, &salvaged) != GN_OK)
                continue;
            expect_ok(read_generation(&kept, to, 0));
            salvages++;
            partial += salvaged.generation == 8 && salvaged.lost > STREAMS;
            expect_ok(gn_path_remove(to));
        }
    }
    assert_true(salvages > 0 && partial > 0);
    gn_free(&whole);
    test_temp_remove(store.folder);
}

TEST_MAIN(every_store_a_buffer_writes_is_sound, a_sound_store_is_salvaged_whole,
          a_missing_chunk_is_found_and_cuts_an_episode, a_stream_that_is_missing_leaves_the_next,
          a_damaged_key_loses_one_chunk, a_salvage_that_cannot_be_leaves_nothing,
          contents_that_make_no_sense_are_found, damage_is_found_and_never_a_crash_nor_silent,
          damage_to_one_part_leaves_the_others)
