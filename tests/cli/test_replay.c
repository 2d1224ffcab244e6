// gannet replay: what it says of a real run, also while the run trains, what it exports, and what
// it refuses.

#define _GNU_SOURCE // memmem

#include <jansson.h>
#include <math.h>
#include <sched.h>

#include "market/table.h"
#include "replay/reader.h"
#include "rl/run_folder.h"
#include "rl/snapshot.h"
#include "shim/arrow.h"
#include "tests/cli/command.h"
#include "tests/rl/compare_runs.h"

// Trains a small run to its end in `folder`, below which it stands as "run".
static void train(const small_run *small, int kind)
{
    command_words words = small_train(small, kind, "run");
    EXPECT_EXIT(0, run_command(words.word));
}

static void enter(small_run *small)
{
    small_run_open(small);
    small_run_market(small);
    assert_int_equal(chdir(small->folder), 0);
}

static void leave(const small_run *small)
{
    assert_int_equal(chdir("/"), 0);
    test_temp_remove(small->folder);
}

static json_t *parse(command_result result)
{
    json_t *root = json_loads(result.out, 0, NULL);
    assert_non_null(root);
    return root;
}

static json_int_t integer(const json_t *root, const char *key)
{
    const json_t *value = json_object_get(root, key);
    if (!json_is_integer(value))
        fail_msg("%s is no integer", key);
    return json_integer_value(value);
}

static double number(const json_t *root, const char *object, const char *key)
{
    const json_t *value = json_object_get(json_object_get(root, object), key);
    if (!json_is_number(value))
        fail_msg("%s.%s is no number", object, key);
    return json_number_value(value);
}

// --- a naive decode of the newest generation, beside which outputs are put

enum { STEPS_MAX = 600 };

typedef struct naive_step {
    int32_t stream, action;
    int64_t step, episode;
    float reward;
    bool terminated, truncated;
    float priority;
    uint32_t record[4];
} naive_step;

typedef struct naive_run {
    size_t steps, ended, running;
    naive_step step[STEPS_MAX];
} naive_run;

static void decode_naively(naive_run *run, const char *folder)
{
    replay_reader *reader;
    replay_generation generation;
    replay_slots slots;
    int64_t episode = -1;
    bool begins = true;
    *run = (naive_run){ 0 };
    expect_ok(replay_reader_open(&reader, folder, NULL));
    expect_ok(replay_reader_begin(reader, 0, &generation));
    for (uint32_t stream = 0;;) {
        expect_ok(replay_reader_next(reader, &slots));
        if (slots.count == 0)
            break;
        begins = begins || slots.stream != stream;
        stream = slots.stream;
        for (size_t i = 0; i < slots.count; i++) {
            run->running += slots.flags[i] == REPLAY_OPEN;
            if (slots.flags[i] & (REPLAY_FINAL | REPLAY_OPEN)) {
                begins = true;
                continue;
            }
            episode += begins;
            begins = false;
            assert_true(run->steps < STEPS_MAX);
            naive_step *step = &run->step[run->steps++];
            step->stream = (int32_t)stream;
            step->step = (int64_t)(slots.position + i);
            step->episode = episode;
            step->action = slots.action[i];
            step->reward = slots.reward[i];
            step->terminated = slots.flags[i] & REPLAY_TERMINATED;
            step->truncated = slots.flags[i] & REPLAY_TRUNCATED;
            step->priority = slots.priority[i];
            run->ended += step->terminated || step->truncated;
            memcpy(step->record, slots.record + i * sizeof step->record, sizeof step->record);
        }
    }
    replay_reader_close(&reader);
}

static void stat_says_what_the_buffer_holds(void **state)
{
    (void)state;
    static naive_run naive;
    small_run small;
    enter(&small);
    train(&small, COMMAND_TRADING);
    decode_naively(&naive, "run/replay");
    double sum = 0, least = INFINITY, most = -INFINITY, most_priority = 0;
    for (size_t i = 0; i < naive.steps; i++) {
        double reward = naive.step[i].reward;
        double priority = (double)naive.step[i].priority;
        sum += reward;
        least = reward < least ? reward : least;
        most = reward > most ? reward : most;
        most_priority = priority > most_priority ? priority : most_priority;
    }
    command_result result = RUN("replay", "stat", "run", "--json");
    EXPECT_EXIT(0, result);
    json_t *root = parse(result);
    assert_int_equal(integer(root, "steps"), naive.steps);
    assert_int_equal(integer(root, "slots"), 600);
    assert_int_equal(integer(root, "capacity"), 600);
    assert_int_equal(integer(root, "streams"), 2);
    assert_int_equal(integer(root, "record_bytes"), 16);
    assert_int_equal(integer(root, "generation"), 4000);
    assert_true(number(root, "episodes", "ended") == naive.ended);
    assert_true(number(root, "episodes", "running") == naive.running);
    assert_true(fabs(number(root, "reward", "mean") - sum / (double)naive.steps) < 1e-9);
    assert_true(fabs(number(root, "reward", "min") - least) < 1e-9);
    assert_true(fabs(number(root, "reward", "max") - most) < 1e-9);
    assert_true(fabs(number(root, "priority", "max") - most_priority) < 1e-9);
    assert_true(number(root, "age", "max") == 300);
    assert_int_equal(integer(root, "raw_bytes"), integer(root, "chunks") * 64 * 25);
    assert_in_range(integer(root, "chunk_bytes"), 1, integer(root, "disk_bytes"));
    json_decref(root);

    result = RUN("replay", "stat", "run/replay");
    EXPECT_EXIT(0, result);
    assert_non_null(strstr(result.out, "slots          600 of 600 (100 %) in 2 streams\n"));
    assert_non_null(strstr(result.out, "\npriority "));
    assert_non_null(strstr(result.out, "records        16 bytes; in RAM, here a column of"));
    for (const char *line = result.out; *line; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= 80);
    assert_string_equal(result.err, "");
    leave(&small);
}

// --- export

static void expect_column(const struct ArrowSchema *schema, size_t i, const char *name,
                          const char *format)
{
    assert_string_equal(schema->children[i]->name, name);
    assert_string_equal(schema->children[i]->format, format);
}

static bool bit_of(const struct ArrowArray *column, size_t row)
{
    const uint8_t *bits = column->buffers[1];
    return bits[row / 8] >> row % 8 & 1;
}

#define VALUE(type, column, row) (((const type *)batch.children[column]->buffers[1])[row])

static void expect_rows(const char *path, const naive_run *naive)
{
    struct ArrowArrayStream stream;
    struct ArrowSchema schema;
    struct ArrowArray batch;
    static const char *const columns[][2] = {
        { "stream", "i" }, { "step", "l" },       { "episode", "l" },     { "action", "i" },
        { "reward", "f" }, { "terminated", "b" }, { "truncated", "b" },   { "priority", "g" },
        { "bar", "I" },    { "exposure", "f" },   { "open_return", "f" }, { "holding", "f" },
    };
    expect_ok(arrow_read(&stream, path, NULL));
    assert_int_equal(stream.get_schema(&stream, &schema), 0);
    assert_int_equal(stream.get_next(&stream, &batch), 0);
    assert_int_equal(schema.n_children, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        expect_column(&schema, i, columns[i][0], columns[i][1]);
    assert_int_equal(batch.length, naive->steps);
    for (size_t row = 0; row < naive->steps; row++) {
        const naive_step *step = &naive->step[row];
        assert_int_equal(VALUE(int32_t, 0, row), step->stream);
        assert_int_equal(VALUE(int64_t, 1, row), step->step);
        assert_int_equal(VALUE(int64_t, 2, row), step->episode);
        assert_int_equal(VALUE(int32_t, 3, row), step->action);
        assert_true(VALUE(float, 4, row) == step->reward);
        assert_true(bit_of(batch.children[5], row) == step->terminated);
        assert_true(bit_of(batch.children[6], row) == step->truncated);
        assert_true(VALUE(double, 7, row) == (double)step->priority);
        for (size_t field = 0; field < 4; field++)
            assert_int_equal(VALUE(uint32_t, 8 + field, row), step->record[field]);
    }
    batch.release(&batch);
    schema.release(&schema);
    stream.release(&stream);
}

static void an_export_reads_back_as_the_steps(void **state)
{
    (void)state;
    static naive_run naive;
    small_run small;
    char expected[64];
    enter(&small);
    train(&small, COMMAND_TRADING);
    decode_naively(&naive, "run/replay");
    assert_true(naive.ended > 3);
    command_result result = RUN("replay", "export", "run", "--to", "steps.parquet");
    EXPECT_EXIT(0, result);
    snprintf(expected, sizeof expected, "steps.parquet: %zu steps\n", naive.steps);
    assert_string_equal(result.out, expected);
    expect_rows("steps.parquet", &naive);
    EXPECT_EXIT(0, RUN("replay", "export", "run/replay", "--to", "steps.arrow"));
    expect_rows("steps.arrow", &naive);
    EXPECT_EXIT(0, RUN("replay", "export", "run", "--to", "steps.csv"));
    file_bytes csv = read_bytes("steps.csv");
    assert_int_equal(count_lines(csv.data), 1 + naive.steps);
    gn_free(&csv.data);
    leave(&small);
}

static void cartpole_has_its_own_columns_and_uniform_replay_no_priority(void **state)
{
    (void)state;
    static const char header[] =
        "stream,step,episode,action,reward,terminated,truncated,x,x_velocity,angle,"
        "angular_velocity\n";
    small_run small;
    enter(&small);
    command_words words = small_train(&small, COMMAND_CARTPOLE, "run");
    ADD_WORDS(&words, "--replay.prioritized=false", "--replay.path=steps", "--replay.quantize=8");
    EXPECT_EXIT(0, run_command(words.word));
    EXPECT_EXIT(0, RUN("replay", "export", "run", "--to", "steps.csv"));
    file_bytes csv = read_bytes("steps.csv");
    assert_memory_equal(csv.data, header, sizeof header - 1);
    gn_free(&csv.data);
    command_result result = RUN("replay", "stat", "run/steps");
    EXPECT_EXIT(0, result);
    assert_null(strstr(result.out, "priority"));
    assert_non_null(strstr(result.out, "records        16 bytes as 12 (floats of 8 bits); in RAM"));
    leave(&small);
}

static void frames_are_no_columns(void **state)
{
    (void)state;
    static const char header[] =
        "stream,step,episode,action,reward,terminated,truncated,priority\n";
    small_run small;
    enter(&small);
    command_words words = small_train(&small, COMMAND_CARTPOLE, "run");
    ADD_WORDS(&words, "--env=catch", "--catch.stack=1", "--steps=300");
    EXPECT_EXIT(0, run_command(words.word));
    EXPECT_EXIT(0, RUN("replay", "export", "run", "--to", "steps.csv"));
    file_bytes csv = read_bytes("steps.csv");
    assert_memory_equal(csv.data, header, sizeof header - 1);
    assert_int_equal(count_lines(csv.data), 1 + 304); // rounds are whole
    gn_free(&csv.data);
    command_result result = RUN("replay", "stat", "run");
    EXPECT_EXIT(0, result);
    assert_non_null(strstr(result.out, "7056 bytes; packed one by one, codec patch"));
    json_t *root = parse(RUN("replay", "stat", "run", "--json"));
    assert_string_equal(json_string_value(json_object_get(root, "codec")), "patch");
    assert_int_equal(integer(root, "raw_record_bytes"), 7056);
    json_decref(root);
    leave(&small);
}

// --- a run that trains

static pid_t start(const char *const *words)
{
    char *arguments[COMMAND_ARGUMENTS + 2] = { getenv("GANNET_COMMAND") };
    FILE *out = tmpfile();
    sigset_t mask;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    for (size_t i = 0; words[i]; i++)
        arguments[i + 1] = (char *)words[i];
    pid_t child = fork();
    assert_true(child >= 0 && out);
    if (child == 0)
        command_exec(arguments, &(command_plan){ 0 }, out, out, &mask);
    fclose(out);
    return child;
}

// Whether a checkpoint is there or being written; then a generation was committed.
static bool has_checkpoint(const char *folder)
{
    char **names = NULL;
    size_t count = 0;
    bool any = gn_folder_list(&names, &count, folder) == GN_OK && count > 0;
    gn_free(&names);
    return any;
}

static void a_run_that_trains_is_looked_at_and_does_not_notice(void **state)
{
    (void)state;
    static const char *const looks[][6] = {
        { "replay", "stat", "run" },
        { "replay", "verify", "run" },
        { "replay", "export", "run", "--to", "live.parquet" },
        { "replay", "verify", "run", "--salvage", "live" },
    };
    enum { LOOKS = sizeof looks / sizeof *looks };
    small_run small;
    int status = 0;
    size_t seen = 0, live = 0;
    enter(&small);
    command_words words = small_train(&small, COMMAND_TRADING, "run");
    ADD_WORDS(&words, "--steps=100000", "--checkpoint.every=500", "--eval.every=50000");
    pid_t child = start(words.word), ended = 0;
    while (ended == 0 && !has_checkpoint("run/checkpoints")) {
        sched_yield();
        ended = waitpid(child, &status, WNOHANG);
    }
    for (; seen < 2 * LOOKS; seen++) {
        EXPECT_EXIT(0, run_command(looks[seen % LOOKS]));
        if (ended == 0)
            ended = waitpid(child, &status, WNOHANG);
        live += ended == 0;
        expect_ok(gn_path_remove("live"));
    }
    if (ended == 0)
        assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    print_message("%zu of %zu looks while the run trained\n", live, seen);
    assert_true(live > 0);
    assert_int_equal(rename("run", "watched"), 0);
    EXPECT_EXIT(0, run_command(words.word));
    expect_same_outcome("run", "watched");
    expect_same_replay("run", "watched");
    leave(&small);
}

// --- damage

static void a_damaged_store_is_named_and_salvaged(void **state)
{
    (void)state;
    small_run small;
    enter(&small);
    train(&small, COMMAND_TRADING);
    EXPECT_EXIT(0, RUN("replay", "verify", "run"));
    replay_reader *reader;
    expect_ok(replay_reader_open(&reader, "run/replay", NULL));
    const replay_view *view = replay_reader_view(reader);
    file_bytes file = read_bytes("run/replay/data.mdb");
    const replay_value *value = &view->chunk[view->chunks - 1];
    const unsigned char *at = memmem(file.data, file.size, value->bytes, value->size);
    size_t offset = (size_t)(at - (unsigned char *)file.data) + value->size / 2;
    char named[64];
    snprintf(named, sizeof named, "chunk %d of stream %d: its checksum does not match\n",
             (int)(value->key / 2), (int)(value->key % 2));
    replay_reader_close(&reader);
    gn_free(&file.data);
    flip_byte("run/replay/data.mdb", offset);

    command_result result = RUN("replay", "verify", "run", "--salvage", "saved");
    EXPECT_EXIT(1, result);
    assert_memory_equal(result.out, named, strlen(named));
    assert_non_null(strstr(result.out, "\ndamaged: 1 finding in "));
    assert_non_null(strstr(result.out, "\nsaved: "));
    assert_string_equal(result.err, "");
    EXPECT_EXIT(0, RUN("replay", "verify", "saved"));
    EXPECT_EXIT(0, RUN("replay", "stat", "saved"));
    result = RUN("replay", "verify", "run", "--json");
    EXPECT_EXIT(1, result);
    json_t *root = parse(result);
    assert_true(json_is_false(json_object_get(root, "sound")));
    assert_int_equal(json_array_size(json_object_get(root, "findings")), 1);
    json_decref(root);
    result = RUN("replay", "stat", "run");
    EXPECT_EXIT(1, result);
    named[strlen(named) - 1] = '\0';
    assert_non_null(strstr(result.err, named));
    EXPECT_EXIT(1, RUN("replay", "export", "run", "--to", "steps.csv"));
    assert_false(gn_path_exists("steps.csv"));
    leave(&small);
}

static void expect_misfit(const char *line)
{
    command_result result = RUN("replay", "verify", "run");
    EXPECT_EXIT(1, result);
    assert_memory_equal(result.out, line, strlen(line));
    assert_non_null(strstr(result.out, "\nsound, but not what the checkpoints of the run need: "));
    EXPECT_EXIT(0, RUN("replay", "verify", "run/replay"));
}

// Sound by itself, but an older copy, of another run, or of another past.
static void a_store_that_is_not_the_runs_is_told(void **state)
{
    (void)state;
    small_run small;
    rl_snapshot snapshot;
    enter(&small);
    command_words words = small_train(&small, COMMAND_TRADING, "run");
    ADD_WORDS(&words, "--steps=2000", "--checkpoint.keep=1");
    EXPECT_EXIT(0, run_command(words.word));
    file_bytes older = read_bytes("run/replay/data.mdb");
    EXPECT_EXIT(0, RUN("resume", "run", "--steps", "4000"));
    EXPECT_EXIT(0, RUN("replay", "verify", "run"));

    expect_ok(rl_snapshot_read(&snapshot, "run/checkpoints", 4000));
    snapshot.info.replay_checksum ^= 1;
    expect_ok(rl_snapshot_write("run/checkpoints", &snapshot.info, snapshot.weights,
                                snapshot.weights_size, NULL, 1));
    rl_snapshot_free(&snapshot);
    expect_misfit("checkpoint 4000: was written with another generation 4000\n");

    expect_ok(gn_file_write("run/replay/data.mdb", older.data, older.size));
    gn_free(&older.data);
    expect_misfit("checkpoint 4000: the store has no generation 4000\n");

    words = small_train(&small, COMMAND_TRADING, "other");
    ADD_WORDS(&words, "--seed=2");
    EXPECT_EXIT(0, run_command(words.word));
    expect_ok(gn_path_remove("run/replay"));
    assert_int_equal(rename("other/replay", "run/replay"), 0);
    expect_misfit("the store belongs to run ");
    command_result result = RUN("replay", "verify", "run", "--json");
    EXPECT_EXIT(1, result);
    json_t *root = parse(result);
    assert_true(json_is_true(json_object_get(root, "sound")));
    assert_true(json_is_false(json_object_get(root, "fits_checkpoints")));
    assert_int_equal(json_array_size(json_object_get(root, "misfits")), 1);
    json_decref(root);
    leave(&small);
}

static void wrong_usage_is_two_and_failure_is_one(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *words[7], *error;
    } vectors[] = {
        { 2, { "replay" }, "replay what? the verbs are stat, verify, export, demo, bench" },
        { 2, { "replay", "show", "run" }, "replay 'show': the verbs are" },
        { 2, { "replay", "stat" }, "which run? gannet replay stat PATH" },
        { 2, { "replay", "stat", "run", "run" }, "not expected here" },
        { 2, { "replay", "stat", "run", "--to", "x" }, "--to: unknown flag" },
        { 2, { "replay", "export", "run" }, "--to FILE is missing" },
        { 1, { "replay", "stat", "nowhere" }, "nowhere: neither the folder of a run" },
        { 1, { "replay", "verify", "cache" }, "cache: neither the folder of a run" },
        { 1, { "replay", "verify", "run", "--salvage", "cache" }, "--salvage cache: exists" },
        { 1, { "replay", "export", "run", "--to", "no/steps.csv" }, "cannot write no/steps.csv" },
        { 2, { "replay", "export", "run", "--to", "steps.doc" }, "--to: 'steps.doc' does not end" },
        { 1,
          { "replay", "export", "alone", "--to", "steps.csv" },
          "alone: no run.ini in the folder above" },
        { 1, { "replay", "stat", "ram" }, "keeps its steps in RAM" },
        { 1, { "replay", "verify", "empty" }, "nothing was written yet" },
        { 1, { "replay", "verify", "noise" }, NULL },
    };
    small_run small;
    enter(&small);
    train(&small, COMMAND_TRADING);
    command_words words = small_train(&small, COMMAND_CARTPOLE, "ram");
    ADD_WORDS(&words, "--replay.path=none", "--steps=200");
    EXPECT_EXIT(0, run_command(words.word));
    EXPECT_EXIT(0, RUN("replay", "verify", "run", "--salvage", "alone"));
    expect_ok(gn_folder_create("empty"));
    expect_ok(gn_folder_create("noise"));
    write_text("empty/data.mdb", "");
    write_text("noise/data.mdb", "this is no store");
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        command_result result = run_command(vectors[i].words);
        EXPECT_EXIT(vectors[i].status, result);
        if (vectors[i].error &&
            (!strstr(result.err, vectors[i].error) || count_lines(result.err) != 1))
            fail_msg("\"%s\" is not in: %s", vectors[i].error, result.err);
        if (!vectors[i].error && !strstr(result.out, "damaged: 1 finding"))
            fail_msg("%s", result.out);
    }
    leave(&small);
}

TEST_MAIN(stat_says_what_the_buffer_holds, an_export_reads_back_as_the_steps,
          cartpole_has_its_own_columns_and_uniform_replay_no_priority, frames_are_no_columns,
          a_run_that_trains_is_looked_at_and_does_not_notice, a_damaged_store_is_named_and_salvaged,
          a_store_that_is_not_the_runs_is_told, wrong_usage_is_two_and_failure_is_one)
