// gannet replay: look into the replay buffer of a run, check it, take its steps out. It reads from
// outside and never disturbs the run, which may be training meanwhile.

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/replay_export.h"
#include "replay/buffer.h"
#include "replay/reader.h"
#include "replay/salvage.h"
#include "replay/verify.h"
#include "rl/run_folder.h"

// What a verb works on.
typedef struct request {
    const cli_line *line;
    const cli_flag *flags;
    char folder[GN_PATH_SIZE]; // of the store
    rl_config *config;
    bool has_config; // of the run, from its run.ini
    bool found_damage; // verify: exit status 1
} request;

static gn_status find_run(request *self, const char *path)
{
    GN_TRY(rl_run_folder_read(path, self->config));
    self->has_config = true;
    if (strcmp(self->config->replay.path, "none") == 0)
        return gn_fail(GN_ERR_NOT_FOUND, "%s: the run keeps its steps in RAM (replay.path = none)",
                       path);
    return rl_run_folder_replay(path, self->config, self->folder);
}

// path: the folder of a run or of a store; run.ini is read where it is needed to find the store or
// to understand it.
static gn_status find_store(request *self, const char *path, bool needs_config)
{
    char file[GN_PATH_SIZE], run[GN_PATH_SIZE];
    GN_TRY(gn_path_join(file, path, "run.ini"));
    if (gn_path_exists(file))
        return find_run(self, path);
    GN_TRY(gn_path_join(file, path, "data.mdb"));
    if (!gn_path_exists(file))
        return gn_fail(GN_ERR_NOT_FOUND,
                       "%s: neither the folder of a run (no run.ini) nor of a replay store (no "
                       "data.mdb)",
                       path);
    snprintf(self->folder, sizeof self->folder, "%s", path);
    GN_TRY(gn_path_join(run, path, ".."));
    GN_TRY(gn_path_join(file, run, "run.ini"));
    self->has_config = needs_config && gn_path_exists(file);
    return self->has_config ? rl_run_folder_read(run, self->config) : GN_OK;
}

// "3 chunks", "1 chunk".
static void counted(gn_text *out, uint64_t n, const char *what)
{
    gn_text_append(out, "%" PRIu64 " %s%s", n, what, n == 1 ? "" : "s");
}

static void row(gn_text *out, const char *label)
{
    gn_text_append(out, "%-14s ", label);
}

// --- stat ---------------------------------------------------------------------------------------

typedef struct spread {
    double min, max, sum;
} spread;

typedef struct summary {
    const replay_view *view;
    replay_generation generation;
    uint64_t steps, ended, running; // episodes ended, running
    spread reward, priority, age; // age in slots
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
    summary s = {
        .view = replay_reader_view(reader), .reward = none, .priority = none, .age = none
    };
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
    for (size_t i = 0; i < s.view->dictionaries; i++)
        s.chunk_bytes += s.view->dictionary[i].size;
    s.raw_bytes = s.view->chunks *
                  replay_chunk_scratch(layout->chunk, replay_reader_record_size(reader), false);
    *ret_summary = s;
    return GN_OK;
}

static void spread_row(gn_text *out, const char *label, const spread *s, uint64_t steps)
{
    row(out, label);
    if (steps == 0)
        gn_text_append(out, "none\n");
    else
        gn_text_append(out, "%.6g to %.6g, mean %.6g\n", s->min, s->max, s->sum / (double)steps);
}

static void bytes_row(gn_text *out, const char *label, uint64_t bytes)
{
    static const char *const unit[] = { "bytes", "kB", "MB", "GB", "TB" };
    double size = (double)bytes;
    size_t i = 0;
    for (; size >= 1000 && i < 4; i++)
        size /= 1000;
    row(out, label);
    gn_text_append(out, "%.4g %s, ", size, unit[i]);
}

static gn_status print_stat(const summary *s)
{
    const replay_layout *layout = &s->view->layout;
    uint64_t capacity = layout->streams * layout->capacity;
    gn_text out = { 0 };
    row(&out, "steps");
    gn_text_append(&out, "%" PRIu64 "\n", s->steps);
    row(&out, "episodes");
    gn_text_append(&out, "%" PRIu64 " ended, %" PRIu64 " running\n", s->ended, s->running);
    row(&out, "slots");
    gn_text_append(&out, "%" PRIu64 " of %" PRIu64 " (%.0f %%) in ", s->generation.slots, capacity,
                   100 * (double)s->generation.slots / (double)capacity);
    counted(&out, layout->streams, "stream");
    gn_text_append(&out, "\n");
    row(&out, "generations");
    gn_text_append(&out, "%zu, the newest is %" PRIu64 "\n", s->view->generations,
                   s->generation.number);
    spread_row(&out, "reward", &s->reward, s->steps);
    if (s->generation.prioritized)
        spread_row(&out, "priority", &s->priority, s->steps);
    spread_row(&out, "age in slots", &s->age, s->steps);
    row(&out, "chunks");
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
    return cli_print_json(root);
}

static gn_status run_stat(request *self)
{
    replay_reader *reader;
    summary s;
    GN_TRY(replay_reader_open(&reader, self->folder, NULL));
    gn_status status = summarize(&s, reader);
    if (status == GN_OK)
        status =
            cli_value(self->line, self->flags, "--json") ? print_stat_json(&s) : print_stat(&s);
    replay_reader_close(&reader);
    return status;
}

// --- verify -------------------------------------------------------------------------------------

static gn_status print_verify(const replay_findings *findings, const replay_verified *verified,
                              const char *to, const replay_salvaged *salvaged)
{
    gn_text out = { 0 };
    for (size_t i = 0; i < REPLAY_FINDINGS_KEPT && findings->line[i]; i++)
        gn_text_append(&out, "%s\n", findings->line[i]);
    if (findings->count > REPLAY_FINDINGS_KEPT)
        gn_text_append(&out, "... and %" PRIu64 " more\n", findings->count - REPLAY_FINDINGS_KEPT);
    if (findings->count == 0) {
        gn_text_append(&out, "sound: ");
    } else {
        gn_text_append(&out, "damaged: ");
        counted(&out, findings->count, "finding");
        gn_text_append(&out, " in ");
    }
    counted(&out, verified->chunks, "chunk");
    gn_text_append(&out, ", ");
    counted(&out, verified->generations, "generation");
    gn_text_append(&out, "; %" PRIu64 " steps can be read\n", verified->steps);
    if (to) {
        gn_text_append(&out, "%s: %" PRIu64 " steps of generation %" PRIu64 "; ", to,
                       salvaged->steps, salvaged->generation);
        counted(&out, salvaged->episodes, "episode");
        gn_text_append(&out, ", %" PRIu64 " of them cut; ", salvaged->cut);
        counted(&out, salvaged->lost, "slot");
        gn_text_append(&out, " lost\n");
    }
    return cli_print(&out);
}

static gn_status print_verify_json(const replay_findings *findings, const replay_verified *verified,
                                   const char *to, const replay_salvaged *salvaged)
{
    json_t *lines = json_array();
    for (size_t i = 0; i < REPLAY_FINDINGS_KEPT && findings->line[i]; i++)
        json_array_append_new(lines, json_string(findings->line[i]));
    json_t *root =
        json_pack("{s:b, s:I, s:o, s:I, s:I, s:I, s:I}", "sound", findings->count == 0,
                  "finding_count", (json_int_t)findings->count, "findings", lines, "chunks",
                  (json_int_t)verified->chunks, "generations", (json_int_t)verified->generations,
                  "slots", (json_int_t)verified->slots, "steps", (json_int_t)verified->steps);
    if (root && to)
        json_object_set_new(
            root, "salvaged",
            json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "folder", to, "generation",
                      (json_int_t)salvaged->generation, "steps", (json_int_t)salvaged->steps,
                      "episodes", (json_int_t)salvaged->episodes, "cut", (json_int_t)salvaged->cut,
                      "lost", (json_int_t)salvaged->lost));
    return cli_print_json(root);
}

static gn_status run_verify(request *self)
{
    replay_findings findings = { 0 };
    replay_verified verified;
    replay_salvaged salvaged = { 0 };
    gn_text reason = { 0 }; // of a failed salvage: what was found is printed all the same
    const char *to = cli_value(self->line, self->flags, "--salvage");
    if (to && gn_path_exists(to))
        return gn_fail(GN_ERR_EXISTS, "--salvage %s: exists; must be a new folder", to);
    gn_status status = replay_verify(self->folder, &findings, &verified), saved = GN_OK;
    if (status == GN_OK && to) {
        saved = replay_salvage(self->folder, to, &salvaged);
        if (saved != GN_OK)
            gn_text_append(&reason, "--salvage %s: %s", to, gn_error_text());
        to = saved == GN_OK ? to : NULL;
    }
    if (status == GN_OK)
        status = cli_value(self->line, self->flags, "--json")
                     ? print_verify_json(&findings, &verified, to, &salvaged)
                     : print_verify(&findings, &verified, to, &salvaged);
    if (status == GN_OK && saved != GN_OK)
        status = gn_fail(saved, "%s", gn_text_data(&reason));
    self->found_damage = findings.count > 0;
    gn_text_free(&reason);
    replay_findings_free(&findings);
    return status;
}

// --- export -------------------------------------------------------------------------------------

static gn_status run_export(request *self)
{
    replay_reader *reader;
    uint64_t steps;
    const char *to = cli_value(self->line, self->flags, "--to");
    if (!to)
        return gn_fail(GN_ERR_ARG, "--to FILE is missing: where to write");
    if (!self->has_config)
        return gn_fail(GN_ERR_NOT_FOUND,
                       "%s: the run.ini that says what its records mean is not there",
                       self->folder);
    GN_TRY(replay_reader_open(&reader, self->folder, NULL));
    gn_status status = cli_replay_export(reader, self->config, to, &steps);
    replay_reader_close(&reader);
    if (status != GN_OK)
        return status;
    gn_text out = { 0 };
    gn_text_append(&out, "%s: %" PRIu64 " steps\n", to, steps);
    return cli_print(&out);
}

// --- The table ----------------------------------------------------------------------------------

static const cli_flag stat_flags[] = {
    { "--json", NULL, NULL, "print one JSON object" },
    { 0 },
};
static const cli_flag verify_flags[] = {
    { "--json", NULL, NULL, "print one JSON object" },
    { "--salvage", "DIR", NULL, "write what can be read into a new store in this folder" },
    { 0 },
};
static const cli_flag export_flags[] = {
    { "--to", "FILE", NULL, "file to write: .parquet, .csv or .arrow" },
    { 0 },
};

static const struct {
    const char *name, *usage, *about;
    const cli_flag *flags;
    bool needs_config; // uses run.ini where there is one
    gn_status (*run)(request *self);
} verbs[] = {
    { "stat", "gannet replay stat PATH [--json]",
      "Says what a replay buffer holds: steps and episodes, rewards, priorities, ages, and the "
      "bytes "
      "they take. PATH is the folder of a run or of its replay store; a run may be training there.",
      stat_flags, true, run_stat },
    { "verify", "gannet replay verify PATH [--salvage DIR] [--json]",
      "Checks every page, checksum, chunk, flag and priority of every kept generation. Exit status "
      "0 "
      "if all is sound, 1 with a line for each finding. PATH is the folder of a run or of its "
      "replay "
      "store.",
      verify_flags, false, run_verify },
    { "export", "gannet replay export PATH --to FILE",
      "Writes the steps of the newest generation as a table, one row a step: stream, step, "
      "episode, "
      "action, reward, terminated, truncated, priority, and the numbers of the record. PATH is the "
      "folder of a run or of its replay store.",
      export_flags, true, run_export },
};
enum { VERBS = sizeof verbs / sizeof *verbs };

static gn_status print_verbs(void)
{
    gn_text out = { 0 };
    gn_text_append(&out, "usage: gannet replay VERB PATH [...]\n\n");
    for (size_t i = 0; i < VERBS; i++)
        gn_text_append(&out, "  %s\n", verbs[i].usage);
    gn_text_append(&out, "\n`gannet replay VERB --help` tells more.\n");
    return cli_print(&out);
}

static gn_status run_verb(request *self, size_t verb, int argc, char **argv)
{
    cli_line line;
    self->flags = verbs[verb].flags;
    self->line = &line;
    GN_TRY(cli_parse(&line, argc, argv, self->flags, NULL, 1));
    if (line.help)
        return cli_help(verbs[verb].usage, verbs[verb].about, self->flags, NULL);
    if (line.positionals == 0)
        return gn_fail(GN_ERR_ARG, "which run? gannet replay %s PATH", verbs[verb].name);
    GN_TRY(rl_config_create(&self->config));
    gn_status status = find_store(self, line.positional[0], verbs[verb].needs_config);
    if (status == GN_OK)
        status = verbs[verb].run(self);
    rl_config_destroy(&self->config);
    return status;
}

int cmd_replay(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    request self = { 0 };
    size_t verb = 0;
    while (verb < VERBS && strcmp(name, verbs[verb].name) != 0)
        verb++;
    gn_status status;
    if (verb < VERBS)
        status = run_verb(&self, verb, argc - 1, argv + 1);
    else if (strcmp(name, "--help") == 0)
        status = print_verbs();
    else
        status = gn_fail(GN_ERR_ARG, "replay '%s': the verbs are stat, verify, export", name);
    return status == GN_OK ? self.found_damage : cli_fail(status);
}
