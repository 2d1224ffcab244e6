// The trading environment: walks N accounts along one market. Rules and their reasons are in
// docs/trading.md; the money is in account.c.

#include "envs/trading/trading.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/compress.h"
#include "base/mem.h"
#include "base/text.h"
#include "envs/saved_state.h"
#include "envs/trading/chart.h"

// What a step can lose at most, as a share of equity: keeps the logarithm finite at ruin.
static const double least_ratio = 0.01;

typedef struct trading_record {
    uint32_t bar; // last closed bar
    float account[TRADING_ACCOUNT_FEATURES];
} trading_record;

static const env_field trading_fields[] = {
    { "bar", ENV_FIELD_U32, offsetof(trading_record, bar) },
    { "exposure", ENV_FIELD_F32, offsetof(trading_record, account[0]) },
    { "open_return", ENV_FIELD_F32, offsetof(trading_record, account[1]) },
    { "holding", ENV_FIELD_F32, offsetof(trading_record, account[2]) },
    { 0 },
};

// One copy. All fields are multiples of 8 bytes: no padding in saved bytes.
typedef struct trading_copy {
    trading_account account;
    double equity; // marked at the close of `bar`
    uint64_t bar, last_bar;
    gn_random random;
    trading_record record;
} trading_copy;

typedef struct trading {
    const market_bars_view *bars;
    const float *features; // [bars, columns]
    size_t row_size; // bytes of a feature row
    trading_observation observation;
    uint64_t window; // feature rows, or bars of the chart
    uint64_t episode_bars;
    uint64_t first_bar, last_bar; // observable
    env_mode mode;
    trading_fill fill;
    trading_reward reward;
    trading_costs costs;
    double capital, reward_scale, ruin_equity;
    int leveraged; // only then positions are liquidated within a bar
    double maintenance;
    uint32_t actions;
    double exposure[GN_OPTION_LIST_MAX];
    uint64_t identity; // of options and market, so that a saved state finds its own
    uint32_t copies;
    trading_copy copy[];
} trading;

_Static_assert((int)TRADING_ACCOUNT_FEATURES == (int)TRADING_CHART_ACCOUNT, "a chart shows them");

static const char *const observation_names[] = { "features", "chart", NULL };
static const char *const fill_names[] = { "next-open", "same-close", NULL };
static const char *const reward_names[] = { "log-return", "simple-return", NULL };

const gn_option trading_options[] = {
    GN_OPTION_LIST(trading_config, exposures, "-1,0,1", GN_OPTION_LIST_MAX, -100, 100,
                   "target exposure of each action, as a share of equity; negative is short"),
    GN_OPTION_CHOICE(trading_config, observation, "features", observation_names,
                     "what is seen of the market: rows of features, or a chart of the last 28 bars "
                     "as 84 x 84 pixels"),
    GN_OPTION_INT(trading_config, window, "16", 1, 4096, "bars in an observation of features"),
    GN_OPTION_CHOICE(trading_config, fill, "next-open", fill_names,
                     "price of a fill; same-close is optimistic: it trades at the price it saw"),
    GN_OPTION_REAL(trading_config, fee_bps, "5", 0, 1000, "fee, in bps of the traded notional"),
    GN_OPTION_REAL(trading_config, half_spread_bps, "0.5", 0, 1000,
                   "half of the bid-ask spread, in bps of the price"),
    GN_OPTION_REAL(trading_config, slippage_bps, "0.5", 0, 1000,
                   "slippage, in bps of the price, always against the trader"),
    GN_OPTION_REAL(trading_config, funding_bps, "0", -100, 100,
                   "funding a bar, in bps of the notional: longs pay and shorts receive"),
    GN_OPTION_REAL(trading_config, borrow_bps, "0", 0, 100,
                   "borrowing cost a bar, in bps of the notional of a short position"),
    GN_OPTION_REAL(trading_config, capital, "10000", 1e-6, 1e15,
                   "cash at the start of an episode, in the currency of the prices"),
    GN_OPTION_INT(trading_config, episode_bars, "1000", 0, 1e9,
                  "bars of a training episode; 0 runs to the end of the range"),
    GN_OPTION_CHOICE(trading_config, reward, "log-return", reward_names,
                     "what a step earns: the log or the simple return of equity"),
    GN_OPTION_REAL(trading_config, reward_scale, "100", 1e-6, 1e6, "factor of the reward"),
    GN_OPTION_REAL(trading_config, ruin, "0.1", 0, 0.99,
                   "share of the capital at which an episode terminates"),
    GN_OPTION_REAL(trading_config, leverage, "1", 1, 100, "largest exposure allowed"),
    GN_OPTION_REAL(
        trading_config, maintenance_margin, "0.005", 0, 0.5,
        "share of the notional at which a position is liquidated, if leverage is above 1"),
    { 0 },
};

uint64_t trading_first_bar(const market_range *range, int64_t window)
{
    return range->first + (uint64_t)window - 1;
}

static int64_t bars_observed(const trading_config *config)
{
    return config->observation == TRADING_CHART ? TRADING_CHART_BARS : config->window;
}

static gn_status check_exposures(const trading_config *config, const trading_costs *costs)
{
    const gn_option_list *list = &config->exposures;
    double concession = costs->half_spread + costs->slippage;
    double unit_cost = concession + costs->fee * (1 + concession);
    int distinct = 0;
    for (size_t i = 0; i < list->count; i++) {
        double exposure = list->value[i];
        if (!(fabs(exposure) <= config->leverage))
            return gn_fail(GN_ERR_CONFIG, "trading.exposures: %g is beyond trading.leverage %g",
                           exposure, config->leverage);
        if (fabs(exposure) * unit_cost >= 1)
            return gn_fail(GN_ERR_CONFIG,
                           "trading.exposures: %g costs the whole account to trade (%g %% of the "
                           "notional); lower it, or fee_bps, half_spread_bps, slippage_bps",
                           exposure, 100 * unit_cost);
        distinct |= exposure != list->value[0];
    }
    if (!distinct)
        return gn_fail(GN_ERR_CONFIG, "trading.exposures: needs at least 2 distinct values");
    return GN_OK;
}

// Narrows the range to bars with whole feature rows.
static gn_status check_market(market_range *ret_range, const trading_config *config,
                              const env_market *market)
{
    if (!market)
        return gn_fail(GN_ERR_ARG, "trading: needs a market");
    market_range range = market->range;
    uint64_t count = market->bars->count;
    if (market->features->rows != count)
        return gn_fail(GN_ERR_ARG, "trading: %llu feature rows are not those of %llu bars",
                       (unsigned long long)market->features->rows, (unsigned long long)count);
    if (range.first > range.end || range.end > count || count > UINT32_MAX)
        return gn_fail(GN_ERR_ARG, "trading: bars %llu to %llu are not a range of %llu bars",
                       (unsigned long long)range.first, (unsigned long long)range.end,
                       (unsigned long long)count);
    if (range.first < market->features->warmup)
        range.first = market->features->warmup;
    uint64_t bars = range.end > range.first ? range.end - range.first : 0;
    long long observed = bars_observed(config);
    if (bars < (uint64_t)observed + 2)
        return gn_fail(GN_ERR_CONFIG,
                       "trading.%s: %lld bar%s and a step need %lld bars, the range has %llu",
                       config->observation == TRADING_CHART ? "observation" : "window", observed,
                       gn_plural((uint64_t)observed), observed + 2, (unsigned long long)bars);
    *ret_range = range;
    return GN_OK;
}

// Checksum of everything that a saved state means something for.
static gn_status identify(uint64_t *ret_identity, const trading_config *config,
                          const env_context *context)
{
    trading_config values = *config;
    const gn_option_section sections[] = {
        { .name = "trading", .options = trading_options, .values = &values },
        { 0 },
    };
    const env_market *market = context->market;
    gn_text text = { 0 };
    gn_options_json(&text, sections);
    gn_text_append(&text, " %s %s %llu %llu %d", market->bars->hash, market->features->hash,
                   (unsigned long long)market->range.first, (unsigned long long)market->range.end,
                   context->mode);
    gn_status status = gn_text_status(&text);
    if (status == GN_OK)
        *ret_identity = gn_checksum(text.data, text.size);
    gn_text_free(&text);
    return status;
}

static gn_status trading_create(void **ret_env, const void *options, const env_context *context)
{
    const trading_config *config = options;
    const double bps = 1e-4;
    const trading_costs costs = {
        .fee = config->fee_bps * bps,
        .half_spread = config->half_spread_bps * bps,
        .slippage = config->slippage_bps * bps,
        .funding = config->funding_bps * bps,
        .borrow = config->borrow_bps * bps,
    };
    market_range range = { 0 };
    uint64_t identity = 0;
    GN_TRY(check_exposures(config, &costs));
    GN_TRY(check_market(&range, config, context->market));
    GN_TRY(identify(&identity, config, context));

    trading *env;
    GN_TRY(gn_alloc(&env, 1, sizeof *env + context->copies * sizeof *env->copy));
    const market_features_view *features = context->market->features;
    env->bars = context->market->bars;
    env->features = features->data;
    env->row_size = features->columns * sizeof *features->data;
    env->observation = (trading_observation)config->observation;
    env->window = (uint64_t)bars_observed(config);
    env->episode_bars = (uint64_t)config->episode_bars;
    env->first_bar = trading_first_bar(&range, bars_observed(config));
    env->last_bar = range.end - 1;
    env->mode = context->mode;
    env->fill = (trading_fill)config->fill;
    env->reward = (trading_reward)config->reward;
    env->costs = costs;
    env->capital = config->capital;
    env->reward_scale = config->reward_scale;
    env->ruin_equity = config->ruin * config->capital;
    env->leveraged = config->leverage > 1;
    env->maintenance = config->maintenance_margin;
    env->actions = (uint32_t)config->exposures.count;
    memcpy(env->exposure, config->exposures.value, sizeof env->exposure);
    env->identity = identity;
    env->copies = context->copies;
    for (uint32_t i = 0; i < env->copies; i++)
        env->copy[i].random = gn_random_stream(context->seed, context->purpose, i);
    *ret_env = env;
    return GN_OK;
}

static void trading_destroy(void *env)
{
    gn_free(&env);
}

static void trading_spec(const void *object, env_spec *ret_spec)
{
    const trading *env = object;
    env_spec spec = {
        .copies = env->copies,
        .actions = env->actions,
        .record_size = sizeof(trading_record),
        .stack = 1,
    };
    if (env->observation == TRADING_CHART) {
        spec.dtype = ENV_UINT8;
        spec.rank = 3;
        spec.shape[0] = 1;
        spec.shape[1] = spec.shape[2] = TRADING_CHART_SIDE;
        spec.observation_elements = spec.observation_size = TRADING_CHART_PIXELS;
    } else {
        spec.dtype = ENV_FLOAT32;
        spec.window = (uint32_t)env->window;
        spec.features = (uint32_t)(env->row_size / sizeof(float));
        spec.rank = 1;
        spec.observation_elements = (size_t)spec.window * spec.features + TRADING_ACCOUNT_FEATURES;
        spec.shape[0] = (uint32_t)spec.observation_elements;
        spec.observation_size = spec.observation_elements * sizeof(float);
    }
    *ret_spec = spec;
}

// Finite at ruin too: an open position was entered with equity above 0, and counts as having lost
// 99 % of it at most.
static void record_copy(const trading *env, trading_copy *copy)
{
    const trading_account *account = &copy->account;
    copy->record = (trading_record){ .bar = (uint32_t)copy->bar };
    if (account->units == 0)
        return;
    double equity = fmax(copy->equity, least_ratio * account->entry_equity);
    copy->record.account[0] = (float)(account->units * env->bars->close[copy->bar] / equity);
    copy->record.account[1] = (float)(10 * log(equity / account->entry_equity));
    copy->record.account[2] = (float)(log1p((double)account->bars_held) / 5);
}

// Training starts anywhere a whole episode fits; where none does, at the first bar.
static void reset_copy(const trading *env, trading_copy *copy)
{
    uint64_t steps = env->last_bar - env->first_bar;
    copy->bar = env->first_bar;
    copy->last_bar = env->last_bar;
    if (env->mode == ENV_TRAIN) {
        uint64_t least = env->episode_bars ? env->episode_bars : 1;
        if (least < steps)
            copy->bar += gn_random_below(&copy->random, (uint32_t)(steps - least + 1));
        if (env->episode_bars && env->episode_bars < steps)
            copy->last_bar = copy->bar + env->episode_bars;
    }
    trading_account_open(&copy->account, env->capital);
    copy->equity = env->capital;
    record_copy(env, copy);
}

static void trading_reset(void *object, const uint32_t *index, size_t n)
{
    trading *env = object;
    for (size_t i = 0; i < n; i++) {
        assert(index[i] < env->copies);
        reset_copy(env, &env->copy[index[i]]);
    }
}

// Closes the position if bar `bar` traded through its liquidation price, at that price or, where
// the bar opened beyond it, at the open.
static int liquidate(const trading *env, trading_account *account, uint64_t bar)
{
    double limit = trading_account_liquidation_price(account, env->maintenance);
    if (limit == 0)
        return 0;
    double open = env->bars->open[bar];
    double price;
    if (account->units > 0) {
        if (env->bars->low[bar] > limit)
            return 0;
        price = fmin(open, limit);
    } else {
        if (env->bars->high[bar] < limit)
            return 0;
        price = fmax(open, limit);
    }
    trading_account_fill(account, &env->costs, 0, price);
    return 1;
}

static float reward_of(const trading *env, double ratio)
{
    ratio = fmax(ratio, least_ratio);
    double earned = env->reward == TRADING_LOG_RETURN ? log(ratio) : ratio - 1;
    return (float)(env->reward_scale * earned);
}

static void step_copy(const trading *env, trading_copy *copy, double target, float *ret_reward,
                      uint8_t *ret_terminated, uint8_t *ret_truncated)
{
    assert(copy->bar < copy->last_bar);
    const market_bars_view *bars = env->bars;
    trading_account *account = &copy->account;
    uint64_t next = copy->bar + 1;
    double price = env->fill == TRADING_NEXT_OPEN ? bars->open[next] : bars->close[copy->bar];
    trading_account_fill(account, &env->costs, target, price);
    int liquidated = env->leveraged && liquidate(env, account, next);
    trading_account_close_bar(account, &env->costs, bars->close[next]);

    double before = copy->equity;
    copy->equity = trading_account_equity(account, bars->close[next]);
    copy->bar = next;
    *ret_reward = reward_of(env, copy->equity / before);
    *ret_terminated = liquidated || copy->equity <= env->ruin_equity;
    *ret_truncated = !*ret_terminated && next == copy->last_bar;
    record_copy(env, copy);
}

static void trading_step(void *object, const int32_t *action, float *ret_reward,
                         uint8_t *ret_terminated, uint8_t *ret_truncated)
{
    trading *env = object;
    for (uint32_t i = 0; i < env->copies; i++) {
        assert(action[i] >= 0 && (uint32_t)action[i] < env->actions);
        step_copy(env, &env->copy[i], env->exposure[action[i]], &ret_reward[i], &ret_terminated[i],
                  &ret_truncated[i]);
    }
}

static void trading_write_records(const void *object, unsigned char *ret_record)
{
    const trading *env = object;
    for (uint32_t i = 0; i < env->copies; i++)
        memcpy(ret_record + i * sizeof(trading_record), &env->copy[i].record,
               sizeof(trading_record));
}

static void write_features(const trading *env, const trading_record *record, unsigned char *out)
{
    size_t window_size = env->window * env->row_size;
    const unsigned char *features = (const unsigned char *)env->features;
    memcpy(out, features + (record->bar + 1 - env->window) * env->row_size, window_size);
    memcpy(out + window_size, record->account, sizeof record->account);
}

static void trading_decode(const void *object, const unsigned char *record, size_t stride, size_t n,
                           void *ret_observation)
{
    const trading *env = object;
    unsigned char *out = ret_observation;
    env_spec spec;
    trading_spec(env, &spec);
    for (size_t i = 0; i < n; i++, out += spec.observation_size) {
        trading_record decoded;
        memcpy(&decoded, record + i * stride, sizeof decoded);
        assert(decoded.bar >= env->first_bar && decoded.bar <= env->last_bar);
        if (env->observation == TRADING_CHART)
            trading_chart_draw(env->bars, decoded.bar, decoded.account, out);
        else
            write_features(env, &decoded, out);
    }
}

static void trading_save(const void *object, gn_blob *out)
{
    const trading *env = object;
    gn_blob_write(out, "trading.identity", &env->identity, sizeof env->identity);
    gn_blob_write(out, "trading.copies", env->copy, env->copies * sizeof *env->copy);
}

static gn_status check_copies(const void *object, const void *copies)
{
    const trading *env = object;
    const trading_copy *copy = copies;
    for (uint32_t i = 0; i < env->copies; i++) {
        if (copy[i].bar < env->first_bar || copy[i].bar > copy[i].last_bar ||
            copy[i].last_bar > env->last_bar || copy[i].record.bar != copy[i].bar)
            return gn_fail(GN_ERR_CORRUPT, "trading.copies: copy %u stands at bar %llu", i,
                           (unsigned long long)copy[i].bar);
    }
    return GN_OK;
}

static gn_status trading_load(void *object, gn_blob *in)
{
    trading *env = object;
    uint64_t identity;
    gn_blob_read(in, "trading.identity", &identity, sizeof identity);
    GN_TRY(gn_blob_status(in));
    if (identity != env->identity)
        return gn_fail(GN_ERR_CONFIG, "trading: the saved state is of other options, bars, "
                                      "features or another range");
    return saved_copies_read(in, "trading.copies", env, env->copy, env->copies * sizeof *env->copy,
                             check_copies);
}

trading_state trading_state_of(const void *object, uint32_t index)
{
    const trading *env = object;
    assert(index < env->copies);
    const trading_copy *copy = &env->copy[index];
    return (trading_state){
        .bar = copy->bar,
        .equity = copy->equity,
        .capital = env->capital,
        .account = &copy->account,
    };
}

const env_class trading_class = {
    .name = "trading",
    .summary = "trade one market with target exposures",
    .options = trading_options,
    .config_size = sizeof(trading_config),
    .fields = trading_fields,
    .needs_market = 1,
    .create = trading_create,
    .destroy = trading_destroy,
    .spec = trading_spec,
    .reset = trading_reset,
    .step = trading_step,
    .record = trading_write_records,
    .decode = trading_decode,
    .save = trading_save,
    .load = trading_load,
};
