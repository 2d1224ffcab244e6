#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "envs/trading/trading.h"
#include "market/time_text.h"
#include "rl/run_folder.h"
#include "rl/trained.h"

static const cli_flag flags[] = {
    { "--split", "NAME", NULL, "train, validation, test or all (default test)" },
    { "--data", "FILE", NULL, "evaluate on these bars instead of the run's" },
    { "--weights", "WHICH", NULL,
      "best: best in evaluation on the validation split (default); last: newest checkpoint" },
    { "--episodes", "N", NULL, "episodes, where the environment is not a market" },
    { "--json", NULL, NULL, "print one JSON object; fractions, not percent" },
    { 0 },
};

static const char usage[] =
    "gannet eval DIR [--split NAME] [--data FILE] [--weights WHICH] [--json]\n"
    "                   [--episodes N] [--market.KEY VALUE ...]";
static const char about[] =
    "Runs a trained agent greedily, without exploration, and prints its figures. On a market it is "
    "one pass over the bars of a split, beside baselines that trade the same bars at the same "
    "costs. docs/trading.md defines every figure. The options below say how the file of --data is "
    "read where it is not like the run's.";

// What is evaluated and what came out.
typedef struct evaluation {
    rl_config *config;
    gn_option_section market[2]; // how bars are read; ends with {0}
    rl_dataset *dataset;
    rl_trained *trained;
    market_split split;
    rl_arena arena;
    bool other_bars; // not those of the run, as far as can be told
    const char *doubt; // what to say of them
    rl_result agent;
    rl_result baseline[RL_BASELINE_COUNT];
} evaluation;

static gn_status parse_choice(const char *flag, const char *text, const char *const *names,
                              int *ret_index)
{
    for (int i = 0; names[i]; i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret_index = i;
            return GN_OK;
        }
    }
    gn_text known = { 0 };
    for (int i = 0; names[i]; i++)
        gn_text_append(&known, "%s%s", i ? ", " : "", names[i]);
    gn_status status =
        gn_fail(GN_ERR_ARG, "%s: '%s' is none of %s", flag, text, gn_text_data(&known));
    gn_text_free(&known);
    return status;
}

// Splits are shares of a file: those of another file may overlap the bars the agent was trained on.
// run: the options as they are in the folder, whatever the command line says.
static gn_status check_bars(evaluation *self, const rl_config *run, bool told)
{
    char name[33];
    GN_TRY(rl_config_name(run, rl_dataset_hash(self->dataset), name));
    self->other_bars = strcmp(name, rl_trained_run(self->trained)) != 0;
    if (!self->other_bars)
        return GN_OK;
    self->doubt = told ? "NOT THE BARS OF THE RUN" : "NOT THE RUN AS IT WAS TRAINED";
    gn_log_warning(&cli_log,
                   "%s: %s; where the times overlap, training has seen what is tested here",
                   self->config->run.data,
                   told ? "not the bars the run was trained on"
                        : "these bars, or options in run.ini, are not those of the training");
    return GN_OK;
}

// Flags that only markets know, or only the others.
static gn_status check_flags(const evaluation *self, const cli_line *line)
{
    const char *env = self->config->run.env;
    if (self->arena.kind->needs_market && cli_value(line, flags, "--episodes"))
        return gn_fail(GN_ERR_ARG,
                       "--episodes: environment %s is evaluated in one pass over the bars of a "
                       "split",
                       env);
    if (!self->arena.kind->needs_market && cli_value(line, flags, "--split"))
        return gn_fail(GN_ERR_ARG, "--split: environment %s has no bars to split", env);
    return GN_OK;
}

static gn_status set(const gn_option_section *sections, const char *key, const char *value)
{
    return value ? gn_options_set(sections, key, value) : GN_OK;
}

// The options of the run, then what the command line says.
static gn_status read_options(evaluation *self, const cli_line *line)
{
    const gn_option_section *all = self->config->sections;
    GN_TRY(rl_run_folder_read(line->positional[0], self->config));
    for (size_t i = 0; i < line->options; i++)
        GN_TRY(set(self->market, line->option[2 * i], line->option[2 * i + 1]));
    GN_TRY(rl_config_env(self->config, &self->arena.kind, &self->arena.config));
    GN_TRY(check_flags(self, line));
    GN_TRY(set(all, "eval.episodes", cli_value(line, flags, "--episodes")));
    GN_TRY(set(all, "run.data", cli_value(line, flags, "--data")));
    GN_TRY(rl_config_check(self->config));
    self->arena.seed = (uint64_t)self->config->run.seed;
    self->arena.episodes = self->config->eval.episodes;
    return GN_OK;
}

// What the folder says, for comparison.
static gn_status compare_bars(evaluation *self, const cli_line *line)
{
    rl_config *run = NULL;
    GN_TRY(rl_config_create(&run));
    gn_status status = rl_run_folder_read(line->positional[0], run);
    if (status == GN_OK)
        status = check_bars(self, run, cli_value(line, flags, "--data") || line->options > 0);
    rl_config_destroy(&run);
    return status;
}

static gn_status prepare(evaluation *self, const cli_line *line)
{
    static const char *const weights_names[] = { "best", "last", NULL };
    const char *split = cli_value(line, flags, "--split");
    const char *weights = cli_value(line, flags, "--weights");
    int split_index = MARKET_TEST, which = RL_WEIGHTS_BEST;
    if (line->positionals == 0)
        return gn_fail(GN_ERR_ARG, "which run? gannet eval DIR");
    if (split)
        GN_TRY(parse_choice("--split", split, market_split_names, &split_index));
    if (weights)
        GN_TRY(parse_choice("--weights", weights, weights_names, &which));
    self->split = (market_split)split_index;
    self->arena = (rl_arena){ .final = true };
    GN_TRY(read_options(self, line));
    GN_TRY(rl_dataset_open(&self->dataset, self->config, &cli_log));
    GN_TRY(rl_dataset_market(self->dataset, self->split, &self->arena.market));
    GN_TRY(rl_trained_open(&self->trained, self->config, line->positional[0], (rl_weights)which,
                           self->arena.market, &cli_log));
    return self->arena.market ? compare_bars(self, line) : GN_OK;
}

static gn_status measure(evaluation *self)
{
    const rl_policy policy = rl_trained_policy(self->trained);
    GN_TRY(rl_evaluate(&self->agent, &self->arena, &policy));
    if (!self->arena.market)
        return GN_OK;
    return rl_evaluate_baselines(self->baseline, &self->arena, &self->agent);
}

static uint64_t split_bars(const evaluation *self)
{
    const market_range *range = &self->arena.market->range;
    return range->end - range->first;
}

// JSON has no infinity: a CAGR of a few lucky bars is null.
static json_t *number_json(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *result_json(const rl_result *result, bool market)
{
    const market_performance *performance = &result->performance;
    if (!market)
        return json_pack("{s:f, s:f, s:f, s:f, s:I}", "mean_return", result->mean_return,
                         "min_return", result->min_return, "max_return", result->max_return,
                         "mean_length", result->mean_length, "episodes",
                         (json_int_t)result->episodes);
    return json_pack("{s:f, s:o, s:f, s:f, s:f, s:f, s:o, s:I, s:f, s:f, s:f, s:b}", "total_return",
                     performance->total_return, "cagr", number_json(performance->cagr),
                     "volatility", performance->volatility, "sharpe", performance->sharpe,
                     "sortino", performance->sortino, "max_drawdown", performance->max_drawdown,
                     "calmar", number_json(performance->calmar), "trades",
                     (json_int_t)result->trades, "turnover", result->turnover, "costs",
                     result->costs, "exposure", result->exposure, "ruined", result->ruined);
}

static gn_status print_json(const evaluation *self)
{
    const env_market *market = self->arena.market;
    json_t *root = json_object();
    if (market) {
        const trading_config *trading = self->arena.config;
        json_t *baselines = json_object();
        for (size_t i = 0; i < RL_BASELINE_COUNT; i++)
            json_object_set_new(baselines, rl_baselines[i].name,
                                result_json(&self->baseline[i], true));
        json_object_set_new(root, "split", json_string(market_split_names[self->split]));
        json_object_set_new(root, "bars", json_integer((json_int_t)self->agent.performance.bars));
        json_object_set_new(root, "bars_per_year", json_real(market->bars->bars_per_year));
        json_object_set_new(root, "optimistic_fills",
                            json_boolean(trading->fill == TRADING_SAME_CLOSE));
        json_object_set_new(root, "bars_of_the_run", json_boolean(!self->other_bars));
        json_object_set_new(root, "agent", result_json(&self->agent, true));
        json_object_set_new(root, "baselines", baselines);
    } else {
        json_object_set_new(root, "env", json_string(self->config->run.env));
        json_object_set_new(root, "agent", result_json(&self->agent, false));
    }
    json_object_set_new(root, "weights_step",
                        json_integer((json_int_t)rl_trained_step(self->trained)));
    return cli_print_json(root);
}

// A number in a column of `width` characters: with fewer decimals, or an exponent, where it is
// long.
static void table_number(gn_text *out, double value, int width, int decimals)
{
    char text[64];
    while (snprintf(text, sizeof text, "%.*f", decimals, value) >= width && decimals > 0)
        decimals--;
    if ((int)strlen(text) >= width)
        snprintf(text, sizeof text, "%.0e", value);
    gn_text_append(out, "%*s", width, text);
}

static void table_row(gn_text *out, const char *label, const rl_result *result)
{
    const market_performance *performance = &result->performance;
    gn_text_append(out, "%-15s", label);
    table_number(out, 100 * performance->total_return, 9, 2);
    table_number(out, 100 * performance->cagr, 9, 2);
    table_number(out, performance->sharpe, 7, 2);
    table_number(out, performance->sortino, 8, 2);
    table_number(out, 100 * performance->max_drawdown, 6, 1);
    table_number(out, (double)result->trades, 7, 0);
    table_number(out, result->turnover, 7, 0);
    table_number(out, 100 * result->costs, 6, 1);
    table_number(out, 100 * result->exposure, 6, 0);
    gn_text_append(out, "\n");
}

static void table_head(gn_text *out, const evaluation *self)
{
    const env_market *market = self->arena.market;
    const trading_config *trading = self->arena.config;
    const market_range *range = &market->range;
    char first[40], last[40];
    market_time_format_iso(market->bars->time_ns[range->first], first);
    market_time_format_iso(market->bars->time_ns[range->end - 1], last);
    gn_text_append(out, "%s\nsplit %s: %llu bar%s, %.10s to %.10s, %g bars a year\n",
                   self->config->run.data, market_split_names[self->split],
                   (unsigned long long)split_bars(self), gn_plural(split_bars(self)), first, last,
                   market->bars->bars_per_year);
    gn_text_append(out,
                   "costs in bps: fee %g, half spread %g, slippage %g, funding %g, borrow %g\n",
                   trading->fee_bps, trading->half_spread_bps, trading->slippage_bps,
                   trading->funding_bps, trading->borrow_bps);
    gn_text_append(out, "weights of step %llu (%s)\n",
                   (unsigned long long)rl_trained_step(self->trained),
                   rl_trained_which(self->trained) == RL_WEIGHTS_BEST ? "best in evaluation"
                                                                      : "last checkpoint");
    if (self->other_bars)
        gn_text_append(out, "%s: training may have seen some of these times\n", self->doubt);
    if (trading->fill == TRADING_SAME_CLOSE)
        gn_text_append(out, "OPTIMISTIC: orders fill at the close they were decided at\n");
    static const char columns[] = "%-15s%9s%9s%7s%8s%6s%7s%7s%6s%6s\n";
    gn_text_append(out, "\n");
    gn_text_append(out, columns, "", "return", "CAGR", "Sharpe", "Sortino", "max", "trades",
                   "turn-", "costs", "expo-");
    gn_text_append(out, columns, "", "%", "%", "", "", "DD %", "", "over", "%", "sure%");
}

static void table_ruins(gn_text *out, const evaluation *self)
{
    static const char ruined[] = "%s was ruined before the end of the split\n";
    if (self->agent.ruined)
        gn_text_append(out, ruined, self->config->run.agent);
    for (size_t i = 0; i < RL_BASELINE_COUNT; i++)
        if (self->baseline[i].ruined)
            gn_text_append(out, ruined, rl_baselines[i].label);
}

static gn_status print_table(const evaluation *self)
{
    gn_text out = { 0 };
    const rl_result *agent = &self->agent;
    if (self->arena.market) {
        table_head(&out, self);
        table_row(&out, self->config->run.agent, agent);
        for (size_t i = 0; i < RL_BASELINE_COUNT; i++)
            table_row(&out, rl_baselines[i].label, &self->baseline[i]);
        table_ruins(&out, self);
    } else {
        gn_text_append(&out,
                       "%s, %llu greedy episode%s, weights of step %llu\n"
                       "mean return %.2f (%.2f to %.2f), mean length %.1f\n",
                       self->config->run.env, (unsigned long long)agent->episodes,
                       gn_plural(agent->episodes),
                       (unsigned long long)rl_trained_step(self->trained), agent->mean_return,
                       agent->min_return, agent->max_return, agent->mean_length);
    }
    return cli_print(&out);
}

static void find_market(evaluation *self)
{
    const gn_option_section *section = self->config->sections;
    while (strcmp(section->name, "market") != 0)
        section++;
    self->market[0] = *section;
}

static gn_status run(evaluation *self, const cli_line *line)
{
    GN_TRY(prepare(self, line));
    GN_TRY(measure(self));
    return cli_value(line, flags, "--json") ? print_json(self) : print_table(self);
}

int cmd_eval(int argc, char **argv)
{
    evaluation self = { 0 };
    cli_line line;
    gn_status status = rl_config_create(&self.config);
    if (status == GN_OK) {
        find_market(&self);
        status = cli_parse(&line, argc, argv, flags, self.market, 1);
    }
    if (status == GN_OK)
        status = line.help ? cli_help(usage, about, flags, self.market) : run(&self, &line);
    int exit_status = status == GN_OK ? 0 : cli_fail(status);
    rl_trained_close(&self.trained);
    rl_dataset_close(&self.dataset);
    rl_config_destroy(&self.config);
    return exit_status;
}
