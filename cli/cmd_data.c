// gannet data: look at a market file, import it, compute its features, generate a market.

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/verbs.h"
#include "market/bars.h"
#include "market/calendar.h"
#include "market/features.h"
#include "market/generate.h"
#include "market/time_text.h"

// Options of all verbs.
typedef struct data_options {
    market_config market;
    market_features_config features;
    market_generate_config generate;
} data_options;

static gn_status open_file(market_bars **ret_bars, const cli_request *request, const gn_log *log)
{
    const data_options *options = request->user;
    if (request->line.positionals == 0)
        return gn_fail(GN_ERR_ARG, "which file? (--help shows the usage)");
    return market_bars_open(ret_bars, request->line.positional[0], &options->market, log);
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

static gn_status print_info(const summary *s)
{
    gn_text out = { 0 };
    cli_row(&out, "bars");
    gn_text_append(&out, "%llu%s\n", (unsigned long long)s->bars->count,
                   s->bars->close_only ? ", close only" : "");
    cli_row(&out, "first");
    gn_text_append(&out, "%s\n", s->first);
    cli_row(&out, "last");
    gn_text_append(&out, "%s\n", s->last);
    cli_row(&out, "spacing");
    gn_text_append(&out, "%s\n", s->spacing);
    cli_row(&out, "bars a year");
    gn_text_append(&out, "%g\n", s->bars->bars_per_year);
    cli_row(&out, "gaps");
    if (s->gaps.count)
        gn_text_append(&out, "%llu, the longest %s\n", (unsigned long long)s->gaps.count,
                       s->longest);
    else
        gn_text_append(&out, "none\n");
    cli_row(&out, "price");
    gn_text_append(&out, "%.10g to %.10g\n", s->low, s->high);
    cli_row(&out, "volume");
    gn_text_append(&out, "%.6g in all, none in %llu bar%s\n", s->volume,
                   (unsigned long long)s->without_volume, gn_plural(s->without_volume));
    cli_row(&out, "hash");
    gn_text_append(&out, "%s\n", s->bars->hash);
    for (size_t i = 0; i < s->finding_count; i++) {
        enum { COLUMN = 15 };
        cli_row(&out, i == 0 ? "findings" : "");
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

static gn_status run_info(cli_request *request)
{
    market_bars *bars = NULL;
    GN_TRY(open_file(&bars, request, NULL)); // the findings are part of the result
    summary s = summarize(bars);
    gn_status status = cli_verb_value(request, "--json") ? print_info_json(&s) : print_info(&s);
    market_bars_destroy(&bars);
    return status;
}

// --- import, features, generate -----------------------------------------------------------------

static gn_status run_import(cli_request *request)
{
    market_bars *bars = NULL;
    GN_TRY(open_file(&bars, request, &cli_log));
    gn_text out = { 0 };
    gn_text_append(&out, "%s\n", market_bars_cached(bars));
    market_bars_destroy(&bars);
    return cli_print(&out);
}

static gn_status run_features(cli_request *request)
{
    const char *path;
    market_bars *bars = NULL;
    market_features *features = NULL;
    const data_options *options = request->user;
    gn_text out = { 0 };
    GN_TRY(cli_verb_table(request, &path));
    GN_TRY(open_file(&bars, request, &cli_log));
    gn_status status =
        market_features_open(&features, bars, &options->features, options->market.cache, &cli_log);
    if (status == GN_OK)
        status = market_features_write(features, bars, path);
    if (status == GN_OK) {
        const market_features_view *view = market_features_get(features);
        gn_text_append(&out,
                       "%s: %u feature%s of %llu bars; the first %llu are warm-up, left out\n",
                       path, view->columns, gn_plural(view->columns),
                       (unsigned long long)view->rows, (unsigned long long)view->warmup);
        status = cli_print(&out);
    }
    market_features_destroy(&features);
    market_bars_destroy(&bars);
    return status;
}

static gn_status run_generate(cli_request *request)
{
    const char *path;
    market_generated market;
    const data_options *options = request->user;
    gn_text out = { 0 };
    GN_TRY(cli_verb_table(request, &path));
    if (request->line.positionals)
        return gn_fail(GN_ERR_ARG, "'%s': generate reads no file", request->line.positional[0]);
    GN_TRY(market_generate(&market, &options->generate));
    gn_status status = market_generated_write(&market, path);
    if (status == GN_OK) {
        gn_text_append(&out, "%s: %llu bars\n", path, (unsigned long long)market.count);
        status = cli_print(&out);
    }
    market_generated_free(&market);
    return status;
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

static const cli_verb verbs[] = {
    { "info", "gannet data info FILE [--json] [--market.KEY VALUE ...]",
      "Says what a bars file holds (.csv, .tsv, .parquet, .arrow, also .csv.gz and .csv.zst), and "
      "everything that is remarkable about it.",
      info_flags, MARKET, run_info, NULL },
    { "import", "gannet data import FILE [--market.KEY VALUE ...]",
      "Checks a bars file, puts it into the cache and prints where: an Arrow file other tools can "
      "open.",
      no_flags, MARKET, run_import, NULL },
    { "features", "gannet data features FILE --to OUT [--features.list NAMES]",
      "Writes the features an agent sees, one row a bar, as .csv, .parquet or .arrow.", to_flags,
      MARKET | FEATURES, run_features, print_feature_table },
    { "generate", "gannet data generate --to OUT [--generate.KEY VALUE ...]",
      "Writes a synthetic market with trends, mean reversion and noise, as .csv, .parquet or "
      ".arrow.",
      to_flags, GENERATE, run_generate, NULL },
    { 0 },
};

int cmd_data(int argc, char **argv)
{
    data_options options;
    const gn_option_section sections[] = {
        { "market", "how a bars file is read", market_options, &options.market },
        { "features", "what the agent sees", market_features_options, &options.features },
        { "generate", "the synthetic market", market_generate_options, &options.generate },
        { 0 },
    };
    return cli_verbs_run("data", verbs, sections, &options, argc, argv);
}
