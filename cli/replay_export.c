// gannet replay export: a replay buffer as a table, for pandas, polars or duckdb, one row a step,
// stream by stream, oldest first:
//
//     stream, step        environment copy, and the slot's position in its stream
//     episode             numbered from 0 in the order of the rows
//     action, reward, terminated, truncated
//     priority            only where sampling is prioritized and alpha is not 0
//     bar, exposure, ...  the numbers of the record the step was taken from; none of a picture
//
// Memory: all columns at once, 36 bytes a slot and those numbers, and what the writer needs beside
// them.

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "cli/replay_verbs.h"
#include "market/table.h"
#include "replay/buffer.h"
#include "replay/reader.h"

enum { FIELD_SIZE = 4, FIELDS_MAX = 64 }; // bytes of a field; fields of a record

// The table under construction. A column is [slots], of which `rows` are filled.
typedef struct export_table {
    int32_t *stream, *action;
    int64_t *step, *episode;
    float *reward;
    uint8_t *terminated, *truncated; // bits
    double *priority; // NULL: none
    uint32_t *field[FIELDS_MAX]; // bits of each field of the record
    const env_field *fields;
    size_t field_count; // 0: records are no numbers
    size_t record_size;
    uint64_t rows;
    int64_t episodes;
} export_table;

static gn_status find_fields(export_table *table, const replay_reader *reader,
                             const rl_config *config)
{
    const env_class *class;
    const void *env_config;
    GN_TRY(rl_config_env(config, &class, &env_config));
    table->fields = class->fields;
    while (class->fields[table->field_count].name)
        table->field_count++;
    table->record_size = replay_reader_record_size(reader);
    if (table->field_count > FIELDS_MAX ||
        (table->field_count > 0 && table->field_count * FIELD_SIZE != table->record_size))
        return gn_fail(GN_ERR_STATE, "%s: records of %zu bytes; those of %s have %zu",
                       replay_reader_view(reader)->path, table->record_size, class->name,
                       table->field_count * FIELD_SIZE);
    return GN_OK;
}

static gn_status allocate(export_table *table, uint64_t slots, bool priorities)
{
    GN_TRY(gn_alloc(&table->stream, slots, sizeof *table->stream));
    GN_TRY(gn_alloc(&table->step, slots, sizeof *table->step));
    GN_TRY(gn_alloc(&table->episode, slots, sizeof *table->episode));
    GN_TRY(gn_alloc(&table->action, slots, sizeof *table->action));
    GN_TRY(gn_alloc(&table->reward, slots, sizeof *table->reward));
    GN_TRY(gn_alloc(&table->terminated, slots / 8 + 1, 1));
    GN_TRY(gn_alloc(&table->truncated, slots / 8 + 1, 1));
    if (priorities)
        GN_TRY(gn_alloc(&table->priority, slots, sizeof *table->priority));
    for (size_t i = 0; i < table->field_count; i++)
        GN_TRY(gn_alloc(&table->field[i], slots, FIELD_SIZE));
    return GN_OK;
}

static void release(export_table *table)
{
    gn_free(&table->stream);
    gn_free(&table->step);
    gn_free(&table->episode);
    gn_free(&table->action);
    gn_free(&table->reward);
    gn_free(&table->terminated);
    gn_free(&table->truncated);
    gn_free(&table->priority);
    for (size_t i = 0; i < FIELDS_MAX; i++)
        gn_free(&table->field[i]);
}

static void set_bit(uint8_t *bits, uint64_t row, bool value)
{
    bits[row / 8] |= (uint8_t)(value << row % 8);
}

static void add_step(export_table *table, const replay_slots *slots, size_t i)
{
    uint64_t row = table->rows++;
    uint8_t flags = slots->flags[i];
    const unsigned char *record = slots->record + i * table->record_size;
    table->stream[row] = (int32_t)slots->stream;
    table->step[row] = (int64_t)(slots->position + i);
    table->episode[row] = table->episodes - 1;
    table->action[row] = slots->action[i];
    table->reward[row] = slots->reward[i];
    set_bit(table->terminated, row, flags & REPLAY_TERMINATED);
    set_bit(table->truncated, row, flags & REPLAY_TRUNCATED);
    if (table->priority)
        table->priority[row] = (double)slots->priority[i];
    for (size_t f = 0; f < table->field_count; f++)
        memcpy(&table->field[f][row], record + table->fields[f].offset, FIELD_SIZE);
}

static gn_status collect(export_table *table, replay_reader *reader)
{
    replay_slots slots;
    bool running = false;
    uint32_t stream = 0;
    for (;;) {
        GN_TRY(replay_reader_next(reader, &slots));
        if (slots.count == 0)
            return GN_OK;
        running = running && slots.stream == stream;
        stream = slots.stream;
        for (size_t i = 0; i < slots.count; i++) {
            bool step = replay_has_step(slots.flags[i]);
            table->episodes += step && !running;
            if (step)
                add_step(table, &slots, i);
            running = step;
        }
    }
}

static gn_status write_table(const export_table *table, const char *path)
{
    market_column columns[MARKET_TABLE_COLUMNS] = {
        { .name = "stream", .format = MARKET_FORMAT_INT32, .data = table->stream },
        { .name = "step", .format = MARKET_FORMAT_INT64, .data = table->step },
        { .name = "episode", .format = MARKET_FORMAT_INT64, .data = table->episode },
        { .name = "action", .format = MARKET_FORMAT_INT32, .data = table->action },
        { .name = "reward", .format = MARKET_FORMAT_FLOAT, .data = table->reward },
        { .name = "terminated", .format = MARKET_FORMAT_BOOL, .data = table->terminated },
        { .name = "truncated", .format = MARKET_FORMAT_BOOL, .data = table->truncated },
    };
    size_t count = 7;
    if (table->priority)
        columns[count++] = (market_column){ .name = "priority",
                                            .format = MARKET_FORMAT_DOUBLE,
                                            .data = table->priority };
    for (size_t f = 0; f < table->field_count; f++) {
        bool whole = table->fields[f].type == ENV_FIELD_U32;
        columns[count++] =
            (market_column){ .name = table->fields[f].name,
                             .format = whole ? MARKET_FORMAT_UINT32 : MARKET_FORMAT_FLOAT,
                             .data = table->field[f] };
    }
    return market_table_write(path, columns, count, table->rows, "");
}

// Writes the newest generation to `path`, atomically.
static gn_status export_to(replay_reader *reader, const rl_config *config, const char *path,
                           uint64_t *ret_steps)
{
    replay_generation generation;
    export_table table = { 0 };
    GN_TRY(find_fields(&table, reader, config));
    GN_TRY(replay_reader_begin(reader, 0, &generation));
    gn_status status = allocate(&table, generation.slots, generation.prioritized);
    if (status == GN_OK)
        status = collect(&table, reader);
    if (status == GN_OK)
        status = write_table(&table, path);
    if (status == GN_OK)
        *ret_steps = table.rows;
    release(&table);
    return status;
}

static gn_status export_store(const char *folder, const rl_config *config, const char *to)
{
    replay_reader *reader;
    uint64_t steps = 0;
    GN_TRY(replay_reader_open(&reader, folder, NULL));
    gn_status status = export_to(reader, config, to, &steps);
    replay_reader_close(&reader);
    if (status != GN_OK)
        return status;
    gn_text out = { 0 };
    gn_text_append(&out, "%s: ", to);
    cli_counted(&out, steps, "step");
    gn_text_append(&out, "\n");
    return cli_print(&out);
}

gn_status cli_replay_export(cli_request *request)
{
    char folder[GN_PATH_SIZE];
    const char *to;
    rl_config *config = NULL;
    GN_TRY(cli_verb_table(request, &to));
    GN_TRY(cli_replay_find(request, folder, &config));
    gn_status status = export_store(folder, config, to);
    rl_config_destroy(&config);
    return status;
}
