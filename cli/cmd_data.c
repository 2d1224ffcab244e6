// gannet data: look at a market file, import it, compute its features, generate a market. Each is a
// row of a table with the options it takes, so that an option which would change nothing is
// refused.

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "market/bars.h"
#include "market/calendar.h"
#include "market/features.h"
#include "market/generate.h"
#include "market/time_text.h"

// What a verb works on.
typedef struct request {
    const cli_line *line;
    const cli_flag *flags;
    market_config market;
    market_features_config features;
    market_generate_config generate;
} request;

static gn_status open_file(market_bars **ret_bars, const request *self, const gn_log *log)
{
    if (self->line->positionals == 0)
        return gn_fail(GN_ERR_ARG, "which file? (--help shows the usage)");
    return market_bars_open(ret_bars, self->line->positional[0], &self->market, log);
}

static gn_status target(const request *self, const char **ret_path)
{
    *ret_path = cli_value(self->line, self->flags, "--to");
    return *ret_path ? GN_OK : gn_fail(GN_ERR_ARG, "--to FILE is missing: where to write");
}

// --- info ---------------------------------------------------------------------------------------

typedef struct summary {
    const market_bars_view *bars;
    const market_finding *findings;
    size_t finding_count;
    market_gaps gaps;
    double low, high, volume;
    uint64_t without_volume;
    char first[40], last[40], spacing[32], longest[32];
} summary;

static summary summarize(const market_bars *bars)
{
    const market_bars_view *v = market_bars_get(bars);
    summary s = { .bars = v, .low = v->low[0], .high = v->high[0] };
    s.finding_count = market_bars_findings(bars, &s.findings);
    s.gaps = market_calendar_gaps(v->time_ns, v->count, v->spacing_ns);
    for (uint64_t t = 0; t < v->count; t++) {
        s.low = v->low[t] < s.low ? v->low[t] : s.low;
        s.high = v->high[t] > s.high ? v->high[t] : s.high;
        s.volume += v->volume[t];
        s.without_volume += v->volume[t] == 0;
    }
    market_time_format_iso(v->time_ns[0], s.first);
    market_time_format_iso(v->time_ns[v->count - 1], s.last);
    market_time_format_span(v->spacing_ns, s.spacing);
    market_time_format_span(s.gaps.largest_ns, s.longest);
    return s;
}

static void row(gn_text *out, const char *label)
{
    gn_text_append(out, "%-14s ", label);
}

static gn_status print_info(const summary *s)
{
    gn_text out = { 0 };
    row(&out, "bars");
    gn_text_append(&out, "%llu%s\n", (unsigned long long)s->bars->count,
                   s->bars->close_only ? ", close only" : "");
    row(&out, "first");
    gn_text_append(&out, "%s\n", s->first);
    row(&out, "last");
    gn_text_append(&out, "%s\n", s->last);
    row(&out, "spacing");
    gn_text_append(&out, "%s\n", s->spacing);
    row(&out, "bars a year");
    gn_text_append(&out, "%g\n", s->bars->bars_per_year);
    row(&out, "gaps");
    if (s->gaps.count)
        gn_text_append(&out, "%llu, the longest %s\n", (unsigned long long)s->gaps.count,
                       s->longest);
    else
        gn_text_append(&out, "none\n");
    row(&out, "price");
    gn_text_append(&out, "%.10g to %.10g\n", s->low, s->high);
    row(&out, "volume");
    gn_text_append(&out, "%.6g in all, none in %llu bars\n", s->volume,
                   (unsigned long long)s->without_volume);
    row(&out, "hash");
    gn_text_append(&out, "%s\n", s->bars->hash);
    for (size_t i = 0; i < s->finding_count; i++) {
        enum { COLUMN = 15 };
        row(&out, i == 0 ? "findings" : "");
        gn_text_append_wrapped(&out, s->findings[i].text, COLUMN, COLUMN, CLI_WIDTH);
        gn_text_append(&out, "\n");
    }
    return cli_print(&out);
}

static gn_status print_info_json(const summary *s)
{
    json_t *findings = json_array();
    for (size_t i = 0; i < s->finding_count; i++)
        json_array_append_new(findings, json_string(s->findings[i].text));
    json_t *root = json_pack(
        "{s:I, s:b, s:s, s:s, s:f, s:f, s:{s:I, s:f}, s:{s:f, s:f}, s:{s:f, s:I}, s:s, s:o}",
        "bars", (json_int_t)s->bars->count, "close_only", s->bars->close_only, "first", s->first,
        "last", s->last, "spacing_s", (double)s->bars->spacing_ns * 1e-9, "bars_per_year",
        s->bars->bars_per_year, "gaps", "count", (json_int_t)s->gaps.count, "longest_s",
        (double)s->gaps.largest_ns * 1e-9, "price", "low", s->low, "high", s->high, "volume",
        "total", s->volume, "bars_without", (json_int_t)s->without_volume, "hash", s->bars->hash,
        "findings", findings);
    return cli_print_json(root);
}

static gn_status run_info(const request *self)
{
    market_bars *bars = NULL;
    GN_TRY(open_file(&bars, self, NULL)); // the findings are part of the result
    summary s = summarize(bars);
    gn_status status =
        cli_value(self->line, self->flags, "--json") ? print_info_json(&s) : print_info(&s);
    market_bars_destroy(&bars);
    return status;
}

// --- import, features, generate -----------------------------------------------------------------

static gn_status run_import(const request *self)
{
    market_bars *bars = NULL;
    GN_TRY(open_file(&bars, self, &cli_log));
    gn_text out = { 0 };
    gn_text_append(&out, "%s\n", market_bars_cached(bars));
    market_bars_destroy(&bars);
    return cli_print(&out);
}

static gn_status run_features(const request *self)
{
    const char *path;
    market_bars *bars = NULL;
    market_features *features = NULL;
    gn_text out = { 0 };
    GN_TRY(target(self, &path));
    GN_TRY(open_file(&bars, self, &cli_log));
    gn_status status =
        market_features_open(&features, bars, &self->features, self->market.cache, &cli_log);
    if (status == GN_OK)
        status = market_features_write(features, bars, path);
    if (status == GN_OK) {
        const market_features_view *view = market_features_get(features);
        gn_text_append(&out, "%s: %u features of %llu bars; the first %llu are warm-up, left out\n",
                       path, view->columns, (unsigned long long)view->rows,
                       (unsigned long long)view->warmup);
        status = cli_print(&out);
    }
    market_features_destroy(&features);
    market_bars_destroy(&bars);
    return status;
}

static gn_status run_generate(const request *self)
{
    const char *path;
    market_generated market;
    gn_text out = { 0 };
    GN_TRY(target(self, &path));
    if (self->line->positionals)
        return gn_fail(GN_ERR_ARG, "'%s': generate reads no file", self->line->positional[0]);
    GN_TRY(market_generate(&market, &self->generate));
    gn_status status = market_generated_write(&market, path);
    if (status == GN_OK) {
        gn_text_append(&out, "%s: %llu bars\n", path, (unsigned long long)market.count);
        status = cli_print(&out);
    }
    market_generated_free(&market);
    return status;
}

// --- The table ----------------------------------------------------------------------------------

static const cli_flag info_flags[] = {
    { "--json", NULL, NULL, "print one JSON object" },
    { 0 },
};
static const cli_flag to_flags[] = {
    { "--to", "OUT", NULL, "file to write; its ending decides the format" },
    { 0 },
};
static const cli_flag no_flags[] = { { 0 } };

enum { MARKET = 1, FEATURES = 2, GENERATE = 4 }; // sections

static const struct {
    const char *name, *usage, *about;
    const cli_flag *flags;
    int sections;
    gn_status (*run)(const request *self);
} verbs[] = {
    { "info", "gannet data info FILE [--json] [--market.KEY VALUE ...]",
      "Says what a bars file holds (.csv, .tsv, .parquet, .arrow, also .csv.gz and .csv.zst), and "
      "everything that is remarkable about it.",
      info_flags, MARKET, run_info },
    { "import", "gannet data import FILE [--market.KEY VALUE ...]",
      "Checks a bars file, puts it into the cache and prints where: an Arrow file other tools can "
      "open.",
      no_flags, MARKET, run_import },
    { "features", "gannet data features FILE --to OUT [--features.list NAMES]",
      "Writes the features an agent sees, one row a bar, as .csv, .parquet or .arrow.", to_flags,
      MARKET | FEATURES, run_features },
    { "generate", "gannet data generate --to OUT [--generate.KEY VALUE ...]",
      "Writes a synthetic market with trends, mean reversion and noise, as .csv, .parquet or "
      ".arrow.",
      to_flags, GENERATE, run_generate },
};
enum { VERBS = sizeof verbs / sizeof *verbs };

static gn_status print_verbs(void)
{
    gn_text out = { 0 };
    gn_text_append(&out, "usage: gannet data VERB [...]\n\n");
    for (size_t i = 0; i < VERBS; i++)
        gn_text_append(&out, "  %s\n", verbs[i].usage);
    gn_text_append(&out, "\n`gannet data VERB --help` tells more.\n");
    return cli_print(&out);
}

static gn_status print_feature_table(void)
{
    enum { COLUMN = 24 };
    gn_text out = { 0 };
    gn_text_append(&out, "\nfeatures, with their default N (c: close, t: the bar)\n");
    for (const market_feature *f = market_feature_table; f->name; f++) {
        char name[COLUMN];
        if (f->period)
            snprintf(name, sizeof name, "%s_%zu", f->name, f->period);
        else
            snprintf(name, sizeof name, "%s", f->name);
        gn_text_append(&out, "  %-*s", COLUMN - 2, name);
        gn_text_append_wrapped(&out, f->formula, COLUMN, COLUMN, CLI_WIDTH);
        gn_text_append(&out, "\n");
    }
    return cli_print(&out);
}

static gn_status run_verb(size_t verb, int argc, char **argv)
{
    request self = { .flags = verbs[verb].flags };
    const gn_option_section all[] = {
        { "market", "how a bars file is read", market_options, &self.market },
        { "features", "what the agent sees", market_features_options, &self.features },
        { "generate", "the synthetic market", market_generate_options, &self.generate },
    };
    gn_option_section sections[4] = { 0 };
    size_t count = 0;
    for (int i = 0; i < 3; i++)
        if (verbs[verb].sections >> i & 1)
            sections[count++] = all[i];
    gn_options_reset(sections);
    cli_line line;
    GN_TRY(cli_parse(&line, argc, argv, self.flags, sections, 1));
    if (line.help) {
        GN_TRY(cli_help(verbs[verb].usage, verbs[verb].about, self.flags, sections));
        return verbs[verb].sections & FEATURES ? print_feature_table() : GN_OK;
    }
    for (size_t i = 0; i < line.options; i++)
        GN_TRY(gn_options_set(sections, line.option[2 * i], line.option[2 * i + 1]));
    self.line = &line;
    return verbs[verb].run(&self);
}

int cmd_data(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    size_t verb = 0;
    while (verb < VERBS && strcmp(name, verbs[verb].name) != 0)
        verb++;
    gn_status status;
    if (verb < VERBS)
        status = run_verb(verb, argc - 1, argv + 1);
    else if (strcmp(name, "--help") == 0)
        status = print_verbs();
    else
        status =
            gn_fail(GN_ERR_ARG, "data '%s': the verbs are info, import, features, generate", name);
    return status == GN_OK ? 0 : cli_fail(status);
}
