// gannet replay bench: what a replay buffer with these options does on this machine.

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/thread.h"
#include "cli/replay_input.h"
#include "cli/replay_verbs.h"
#include "replay/sampler.h"
#include "rl/option_use.h"

enum { TIMES_MAX = 1 << 16, FLOATS_SIZE = 328, FRAME_STACK = 4, BATCH = 256, SOME = 1024 };

typedef struct bench_options {
    replay_input_kind input;
    int64_t record, stack, batch;
    double seconds;
} bench_options;

// Times of one thing, sorted once complete.
typedef struct bench_times {
    double us[TIMES_MAX];
    size_t count;
} bench_times;

typedef struct bench_result {
    double adds_per_s, add_us[2], add_stalled_s; // median, 99 %
    double sample_us[2], update_us[2], waited_us; // update: a batch drawn ahead, and priorities
    double commit_s, stood_still_s; // in the background; meanwhile the loop that adds
    int64_t ahead;
    replay_buffer_stats stats;
    double ram_step, disk_step;
} bench_result;

typedef struct bench_state {
    const bench_options *options;
    const replay_config *config;
    replay_input *input;
    replay_buffer *buffer;
    replay_batch *batch;
    replay_sampler *sampler;
    bench_times times;
    float *priority; // [batch]
} bench_state;

// --- options

static gn_status whole(const cli_request *request, const char *flag, int64_t least, int64_t most,
                       int64_t *value)
{
    const char *text = cli_verb_value(request, flag);
    char *end;
    if (!text)
        return GN_OK;
    long long read = strtoll(text, &end, 10);
    if (*text == '\0' || *end != '\0' || read < least || read > most)
        return gn_fail(GN_ERR_ARG, "%s %s: must be a whole number from %lld to %lld", flag, text,
                       (long long)least, (long long)most);
    *value = read;
    return GN_OK;
}

static gn_status find_input(const cli_request *request, replay_input_kind *kind)
{
    const char *name = cli_verb_value(request, "--input");
    size_t i = 0;
    while (name && i < REPLAY_INPUTS && strcmp(name, replay_input_names[i]) != 0)
        i++;
    if (i == REPLAY_INPUTS)
        return gn_fail(GN_ERR_ARG, "--input %s: must be catch, scene, chart, floats or noise",
                       name);
    *kind = (replay_input_kind)i;
    return GN_OK;
}

// Options of a buffer that mean nothing here.
static gn_status check_replay(const cli_request *request, replay_input_kind input)
{
    static const char *const of_a_run[] = { "replay.alpha_final", "replay.beta_final" };
    replay_config *config = request->user;
    const gn_option_section set[] = { { "replay", "", replay_options, config }, { 0 } };
    GN_TRY(rl_option_use_check_set(set, request->line.option, request->line.options));
    for (size_t i = 0; i < 2 * request->line.options; i += 2)
        for (size_t k = 0; k < sizeof of_a_run / sizeof *of_a_run; k++)
            if (strcmp(request->line.option[i], of_a_run[k]) == 0)
                return gn_fail(GN_ERR_ARG, "%s: changes nothing here, where no run has an end",
                               of_a_run[k]);
    if (config->quantize && input != REPLAY_INPUT_FLOATS)
        return gn_fail(GN_ERR_ARG, "replay.quantize: records of %s are no floats",
                       replay_input_names[input]);
    return GN_OK;
}

static gn_status read_options(bench_options *ret_options, const cli_request *request)
{
    bench_options options = { .record = FLOATS_SIZE, .batch = BATCH, .seconds = 2 };
    const char *seconds = cli_verb_value(request, "--seconds");
    char *end;
    GN_TRY(find_input(request, &options.input));
    GN_TRY(check_replay(request, options.input));
    bool frames = replay_input_frames(options.input);
    if (frames && cli_verb_value(request, "--record"))
        return gn_fail(GN_ERR_ARG, "--record: frames have their own size; use --input floats or "
                                   "noise");
    options.stack = frames ? FRAME_STACK : 1;
    GN_TRY(whole(request, "--record", 1, 1 << 24, &options.record));
    GN_TRY(whole(request, "--stack", 1, 64, &options.stack));
    GN_TRY(whole(request, "--batch", 1, 65536, &options.batch));
    if (seconds) {
        options.seconds = strtod(seconds, &end);
        if (*seconds == '\0' || *end != '\0' || !(options.seconds > 0 && options.seconds <= 3600))
            return gn_fail(GN_ERR_ARG, "--seconds %s: must be above 0 and at most 3600", seconds);
    }
    *ret_options = options;
    return GN_OK;
}

// --- times

static void note(bench_times *times, double seconds)
{
    if (times->count < TIMES_MAX)
        times->us[times->count++] = seconds * 1e6;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// ret_us: median and 99th percentile.  Starts anew.
static void take(bench_times *times, double ret_us[2])
{
    size_t n = times->count;
    qsort(times->us, n, sizeof *times->us, by_value);
    ret_us[0] = n > 0 ? times->us[n / 2] : 0;
    ret_us[1] = n > 0 ? times->us[n * 99 / 100] : 0;
    times->count = 0;
}

// --- measuring

static gn_status go_on(void)
{
    return cli_replay_interrupted() ? gn_fail(GN_ERR_STATE, "interrupted") : GN_OK;
}

// Adds one step; the time it took is without making it.
static gn_status add(bench_state *self, double *spent)
{
    replay_input_step step = replay_input_next(self->input);
    double begin = gn_seconds();
    GN_TRY(replay_input_put(self->buffer, &step));
    double took = gn_seconds() - begin;
    note(&self->times, took);
    *spent += took;
    return GN_OK;
}

// Fills the buffer, or as much as the time allows.
static gn_status measure_adding(bench_state *self, bench_result *result)
{
    double spent = 0;
    int64_t slots = 0;
    for (; slots < self->config->capacity && spent < self->options->seconds; slots++) {
        GN_TRY(add(self, &spent));
        if (slots % SOME == 0)
            GN_TRY(go_on());
    }
    GN_TRY(replay_buffer_measure(self->buffer, &result->stats));
    result->add_stalled_s = result->stats.stalled_s;
    result->adds_per_s = (double)slots / spent;
    take(&self->times, result->add_us);
    return GN_OK;
}

static gn_status measure_sampling(bench_state *self, bench_result *result)
{
    const replay_draw draw = { { 1 }, 1, 0.99, self->config->beta };
    gn_random random = gn_random_stream(1, GN_RANDOM_SAMPLE, 0);
    double end = gn_seconds() + self->options->seconds;
    for (double begin = gn_seconds(); begin < end; begin = gn_seconds()) {
        GN_TRY(replay_buffer_sample(self->buffer, &draw, &random, self->batch));
        note(&self->times, gn_seconds() - begin);
        GN_TRY(go_on());
    }
    take(&self->times, result->sample_us);
    return GN_OK;
}

// As a learner does: a batch, drawn ahead where that is on, then its priorities.
static gn_status measure_updating(bench_state *self, bench_result *result)
{
    const replay_draw draw = { { 1 }, 1, 0.99, self->config->beta };
    gn_random random = gn_random_stream(2, GN_RANDOM_SAMPLE, 0);
    size_t n = (size_t)self->options->batch;
    double end = gn_seconds() + self->options->seconds;
    GN_TRY(replay_sampler_create(&self->sampler, self->buffer, n, 1, -1));
    for (double begin = gn_seconds(); begin < end; begin = gn_seconds()) {
        const replay_batch *batch;
        GN_TRY(replay_sampler_next(self->sampler, n, &draw, &random, &batch));
        for (size_t i = 0; i < n; i++)
            self->priority[i] = (float)gn_random_unit(&random);
        GN_TRY(replay_buffer_set_priorities(self->buffer, batch->item, self->priority, n));
        note(&self->times, gn_seconds() - begin);
        GN_TRY(go_on());
    }
    replay_sampler_stats stats = replay_sampler_measure(self->sampler);
    result->ahead = stats.ahead;
    result->waited_us = stats.batches > 0 ? stats.waited_s * 1e6 / (double)stats.batches : 0;
    replay_sampler_destroy(&self->sampler);
    take(&self->times, result->update_us);
    return GN_OK;
}

typedef struct bench_commit {
    replay_buffer *buffer;
    double done; // when it was durable
} bench_commit;

static gn_status await_commit(void *user)
{
    bench_commit *commit = user;
    uint64_t checksum;
    gn_status status = replay_buffer_await(commit->buffer, &checksum);
    __atomic_store(&commit->done, &(double){ gn_seconds() }, __ATOMIC_RELEASE);
    return status;
}

static double done_at(bench_commit *commit)
{
    double done;
    __atomic_load(&commit->done, &done, __ATOMIC_ACQUIRE);
    return done;
}

// Commits and goes on adding, at most a step every 10 us, until it is durable: at full speed the
// loop would wait for the codec and not for the commit.
static gn_status commit_while_adding(bench_state *self, bench_result *result, bench_commit *commit,
                                     gn_worker *worker)
{
    replay_buffer_stats before, after;
    double spent = 0, begin = gn_seconds();
    const double pace = 1e-5;
    GN_TRY(replay_buffer_measure(self->buffer, &before));
    GN_TRY(replay_buffer_commit(self->buffer, 1, 1));
    double call_s = gn_seconds() - begin;
    GN_TRY(gn_worker_start(worker, await_commit, commit));
    gn_status status = GN_OK;
    for (double due = begin; done_at(commit) == 0 && status == GN_OK;) {
        if (gn_seconds() < due)
            continue;
        status = add(self, &spent);
        due += pace;
    }
    gn_status awaited = gn_worker_wait(worker);
    GN_TRY(status);
    GN_TRY(awaited);
    GN_TRY(replay_buffer_measure(self->buffer, &after));
    result->commit_s = done_at(commit) - begin;
    result->stood_still_s = call_s + after.stalled_s - before.stalled_s;
    return GN_OK;
}

static gn_status measure_commit(bench_state *self, bench_result *result)
{
    bench_commit commit = { .buffer = self->buffer };
    gn_worker *worker = NULL;
    GN_TRY(gn_worker_create(&worker));
    gn_status status = commit_while_adding(self, result, &commit, worker);
    gn_worker_destroy(&worker);
    return status;
}

static gn_status build(bench_state *self, const char *folder)
{
    const bench_options *options = self->options;
    GN_TRY(replay_input_create(&self->input, options->input, (size_t)options->record, 1));
    const replay_spec spec = { 1, (uint32_t)replay_input_record_size(self->input),
                               (uint32_t)options->stack };
    bool on_disk = strcmp(self->config->path, "none") != 0;
    GN_TRY(
        replay_buffer_create(&self->buffer, self->config, &spec, on_disk ? folder : NULL, "bench"));
    GN_TRY(gn_alloc(&self->priority, (size_t)options->batch, sizeof *self->priority));
    return replay_batch_create(&self->batch, &spec, (size_t)options->batch, 1);
}

static gn_status measure(bench_state *self, bench_result *result)
{
    bool on_disk = strcmp(self->config->path, "none") != 0;
    GN_TRY(measure_adding(self, result));
    GN_TRY(measure_sampling(self, result));
    GN_TRY(measure_updating(self, result));
    if (on_disk)
        GN_TRY(measure_commit(self, result));
    GN_TRY(replay_buffer_measure(self->buffer, &result->stats));
    double steps = (double)result->stats.steps;
    result->ram_step = (double)result->stats.ram_bytes / steps;
    result->disk_step = (double)result->stats.disk_bytes / steps;
    return GN_OK;
}

// --- printing

// Three digits, or all before the point.
static void number(gn_text *out, double value, const char *unit)
{
    gn_text_append(out, value >= 100 ? "%.0f %s" : "%.3g %s", value, unit);
}

static void times_row(gn_text *out, const char *label, const double us[2])
{
    cli_row(out, label);
    number(out, us[0], "us, 99 % below");
    gn_text_append(out, " ");
    number(out, us[1], "us");
}

static gn_status print_result(const bench_state *self, const bench_result *r)
{
    gn_text out = { 0 };
    const replay_buffer_stats *stats = &r->stats;
    cli_row(&out, "records");
    gn_text_append(&out, "%s, %zu bytes, observations of %lld; batches of %lld\n",
                   replay_input_names[self->options->input], replay_input_record_size(self->input),
                   (long long)self->options->stack, (long long)self->options->batch);
    cli_row(&out, "steps");
    gn_text_append(&out, "%" PRIu64 " of %" PRIu64 " slots\n", stats->steps, stats->capacity);
    times_row(&out, "add", r->add_us);
    gn_text_append(&out, "; %.0f steps/s, waited %.3g s\n", r->adds_per_s, r->add_stalled_s);
    times_row(&out, "sample", r->sample_us);
    gn_text_append(&out, "\n");
    times_row(&out, self->config->prioritized ? "sample, update" : "sample ahead", r->update_us);
    gn_text_append(&out, "; %lld ahead, waited ", (long long)r->ahead);
    number(&out, r->waited_us, "us\n");
    cli_row(&out, "commit");
    if (stats->disk_bytes == 0) {
        gn_text_append(&out, "none: in RAM only\n");
    } else {
        number(&out, 1e3 * r->commit_s, "ms in the background; adding stood still for ");
        number(&out, 1e3 * r->stood_still_s, "ms\n");
    }
    cli_row(&out, "in RAM");
    cli_bytes(&out, stats->ram_bytes);
    gn_text_append(&out, ", %.4g bytes a step\n", r->ram_step);
    cli_row(&out, "on disk");
    cli_bytes(&out, stats->disk_bytes);
    gn_text_append(&out, ", %.4g bytes a step\n", r->disk_step);
    if (stats->device_bytes > 0) {
        cli_row(&out, "on the device");
        cli_bytes(&out, stats->device_bytes);
        gn_text_append(&out, "\n");
    }
    return cli_print(&out);
}

static gn_status print_json(const bench_state *self, const bench_result *r)
{
    json_t *root = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:b, s:s}", "input", replay_input_names[self->options->input],
        "record_bytes", (json_int_t)replay_input_record_size(self->input), "stack",
        (json_int_t)self->options->stack, "batch", (json_int_t)self->options->batch, "steps",
        (json_int_t)r->stats.steps, "prioritized", self->config->prioritized, "device",
        self->config->device);
    const struct {
        const char *name;
        double value;
    } values[] = {
        { "adds_per_s", r->adds_per_s },
        { "add_us_median", r->add_us[0] },
        { "add_us_p99", r->add_us[1] },
        { "add_stalled_s", r->add_stalled_s },
        { "sample_us_median", r->sample_us[0] },
        { "sample_us_p99", r->sample_us[1] },
        { "update_us_median", r->update_us[0] },
        { "update_us_p99", r->update_us[1] },
        { "ahead_waited_us", r->waited_us },
        { "commit_s", r->commit_s },
        { "commit_stood_still_s", r->stood_still_s },
        { "ram_bytes_a_step", r->ram_step },
        { "disk_bytes_a_step", r->disk_step },
        { "device_bytes", (double)r->stats.device_bytes },
    };
    for (size_t i = 0; root && i < sizeof values / sizeof *values; i++)
        json_object_set_new(root, values[i].name, json_real(values[i].value));
    return cli_print_json(root);
}

static gn_status bench_in(const cli_request *request, const bench_options *options,
                          const char *folder)
{
    bench_state *self = NULL;
    bench_result result = { 0 };
    GN_TRY(gn_alloc(&self, 1, sizeof *self));
    self->options = options;
    self->config = request->user;
    gn_status status = build(self, folder);
    if (status == GN_OK)
        status = measure(self, &result);
    if (status == GN_OK)
        status = cli_verb_value(request, "--json") ? print_json(self, &result)
                                                   : print_result(self, &result);
    replay_sampler_destroy(&self->sampler);
    replay_batch_destroy(&self->batch);
    replay_buffer_destroy(&self->buffer);
    replay_input_destroy(&self->input);
    gn_free(&self->priority);
    gn_free(&self);
    return status;
}

gn_status cli_replay_bench(cli_request *request)
{
    char folder[GN_PATH_SIZE];
    bench_options options;
    if (request->line.positionals > 0)
        return gn_fail(GN_ERR_ARG, "'%s': bench works on a buffer of its own",
                       request->line.positional[0]);
    GN_TRY(read_options(&options, request));
    GN_TRY(cli_replay_scratch(request, folder));
    gn_status status = bench_in(request, &options, folder);
    return cli_replay_discard(folder, status);
}
