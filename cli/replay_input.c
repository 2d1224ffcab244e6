#include "cli/replay_input.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "envs/pixel/catch.h"
#include "envs/trading/chart.h"
#include "envs/vec_env.h"
#include "market/generate.h"

enum { EPISODE = 250, MARKET_BARS = 20000, POSITIONS = 3 };
enum { FIRST_BARS = MARKET_BARS - TRADING_CHART_BARS - EPISODE - 1 }; // where it may begin

const char *const replay_input_names[] = { "catch", "scene", "chart", "floats", "noise", NULL };

struct replay_input {
    replay_input_kind kind;
    size_t record_size;
    gn_random random;
    size_t step; // of the episode
    bool running;
    unsigned char *record; // [record_size]
    vec_env *game; // catch, scene
    unsigned char *scene; // [record_size] behind the game
    market_bars *bars; // chart
    uint64_t bar, entry;
    float exposure;
};

static gn_status create_game(replay_input *input, uint64_t seed)
{
    catch_config config;
    const gn_option_section sections[] = {
        { .name = "catch", .options = catch_options, .values = &config }, { 0 }
    };
    const env_context context = { .copies = 1, .seed = seed, .purpose = GN_RANDOM_ENV };
    gn_options_reset(sections);
    config.stack = 1;
    GN_TRY(vec_env_create(&input->game, &catch_class, &config, &context));
    vec_env_reset(input->game);
    return GN_OK;
}

static gn_status create_market(replay_input *input, uint64_t seed)
{
    market_generate_config config;
    market_config reading;
    market_generated market;
    const gn_option_section sections[] = {
        { .name = "generate", .options = market_generate_options, .values = &config },
        { .name = "market", .options = market_options, .values = &reading },
        { 0 },
    };
    gn_options_reset(sections);
    config.bars = MARKET_BARS;
    config.seed = (int64_t)seed;
    GN_TRY(market_generate(&market, &config));
    gn_status status = market_bars_create(&input->bars, "generated market", market.count,
                                          market.time_ns, market.open, market.high, market.low,
                                          market.close, market.volume, &reading);
    market_generated_free(&market);
    return status;
}

static gn_status build(replay_input *input, size_t record_size, uint64_t seed)
{
    input->record_size = replay_input_frames(input->kind) ? CATCH_PIXELS : record_size;
    input->random = gn_random_stream(seed, GN_RANDOM_ENV, (uint32_t)input->kind);
    if (input->record_size == 0 ||
        (input->kind == REPLAY_INPUT_FLOATS && record_size % sizeof(float)))
        return gn_fail(GN_ERR_ARG,
                       "records of %zu bytes: must be above 0, of floats a multiple of 4",
                       record_size);
    GN_TRY(gn_alloc(&input->record, input->record_size, 1));
    if (input->kind == REPLAY_INPUT_SCENE)
        GN_TRY(gn_alloc(&input->scene, input->record_size, 1));
    if (input->kind <= REPLAY_INPUT_SCENE)
        return create_game(input, seed);
    return input->kind == REPLAY_INPUT_CHART ? create_market(input, seed) : GN_OK;
}

gn_status replay_input_create(replay_input **ret_input, replay_input_kind kind, size_t record_size,
                              uint64_t seed)
{
    replay_input *input = NULL;
    GN_TRY(gn_alloc(&input, 1, sizeof *input));
    input->kind = kind;
    gn_status status = build(input, record_size, seed);
    if (status == GN_OK)
        *ret_input = input;
    else
        replay_input_destroy(&input);
    return status;
}

void replay_input_destroy(replay_input **input)
{
    if (!*input)
        return;
    vec_env_destroy(&(*input)->game);
    market_bars_destroy(&(*input)->bars);
    gn_free(&(*input)->scene);
    gn_free(&(*input)->record);
    gn_free(input);
}

size_t replay_input_record_size(const replay_input *input)
{
    return input->record_size;
}

// --- steps

static replay_input_step play(replay_input *self)
{
    const vec_env_step_view *view = vec_env_last(self->game);
    replay_input_step step = { .begins = !self->running, .record = view->record };
    if (step.begins)
        return step;
    step.action = (int32_t)gn_random_below(&self->random, CATCH_ACTIONS);
    vec_env_step(self->game, &step.action); // an action in range never fails
    step.reward = view->reward[0];
    step.terminated = view->terminated[0];
    step.record = step.terminated ? view->final_record : view->record;
    return step;
}

static void draw_noise(replay_input *self, unsigned char *ret_record)
{
    for (size_t i = 0; i < self->record_size; i++)
        ret_record[i] = (unsigned char)gn_random_u32(&self->random);
}

static replay_input_step play_before_scene(replay_input *self)
{
    replay_input_step step = play(self);
    if (step.begins)
        draw_noise(self, self->scene);
    for (size_t i = 0; i < self->record_size; i++)
        self->record[i] = step.record[i] ? step.record[i] : self->scene[i];
    step.record = self->record;
    return step;
}

// A position is held until another one is drawn; what the account shows is without costs.
static replay_input_step trade(replay_input *self)
{
    const market_bars_view *bars = market_bars_get(self->bars);
    replay_input_step step = { .begins = !self->running, .record = self->record };
    if (step.begins) {
        self->bar = self->entry =
            TRADING_CHART_BARS +
            gn_random_below(&self->random, MARKET_BARS - EPISODE - 2 * TRADING_CHART_BARS);
        self->exposure = 0;
    } else {
        step.action = (int32_t)(self->exposure + 1);
        if (gn_random_below(&self->random, 8) == 0) {
            step.action = (int32_t)gn_random_below(&self->random, POSITIONS);
            self->exposure = (float)(step.action - 1);
            self->entry = self->bar;
        }
        self->bar++;
        double change = log(bars->close[self->bar] / bars->close[self->bar - 1]);
        step.reward = self->exposure * (float)change;
        step.terminated = self->step + 1 == EPISODE;
    }
    double profit = log(bars->close[self->bar] / bars->close[self->entry]);
    const float account[TRADING_CHART_ACCOUNT] = {
        self->exposure,
        self->exposure * (float)(10 * profit),
        self->exposure == 0 ? 0 : logf(1 + (float)(self->bar - self->entry)) / 5,
    };
    trading_chart_draw(bars, self->bar, account, self->record);
    return step;
}

// What an episode of records without meaning does.
static replay_input_step step_of(replay_input *self)
{
    replay_input_step step = { .begins = !self->running, .record = self->record };
    if (step.begins)
        return step;
    step.action = (int32_t)gn_random_below(&self->random, POSITIONS);
    step.reward = (float)gn_random_uniform(&self->random, -1, 1);
    step.terminated = self->step + 1 == EPISODE;
    return step;
}

static replay_input_step walk(replay_input *self)
{
    for (size_t i = 0; i < self->record_size; i += sizeof(float)) {
        float value;
        memcpy(&value, self->record + i, sizeof value);
        value += (float)gn_random_uniform(&self->random, -0.1, 0.1);
        memcpy(self->record + i, &value, sizeof value);
    }
    return step_of(self);
}

static replay_input_step draw(replay_input *self)
{
    draw_noise(self, self->record);
    return step_of(self);
}

replay_input_step replay_input_next(replay_input *input)
{
    static replay_input_step (*const make[REPLAY_INPUTS])(replay_input *) = {
        [REPLAY_INPUT_CATCH] = play,  [REPLAY_INPUT_SCENE] = play_before_scene,
        [REPLAY_INPUT_CHART] = trade, [REPLAY_INPUT_FLOATS] = walk,
        [REPLAY_INPUT_NOISE] = draw,
    };
    replay_input_step step = make[input->kind](input);
    input->step = step.begins ? 0 : input->step + 1;
    input->running = !step.terminated;
    return step;
}

gn_status replay_input_put(replay_buffer *buffer, const replay_input_step *step)
{
    if (step->begins)
        return replay_buffer_begin(buffer, 0, step->record);
    return replay_buffer_add(buffer, 0, step->action, step->reward, step->terminated, false,
                             step->record);
}

gn_status replay_input_fill(replay_input *input, replay_buffer *const *buffer, size_t buffers,
                            size_t n)
{
    for (size_t i = 0; i < n; i++) {
        replay_input_step step = replay_input_next(input);
        for (size_t k = 0; k < buffers; k++)
            GN_TRY(replay_input_put(buffer[k], &step));
    }
    return GN_OK;
}

replay_config replay_input_config(int64_t capacity, replay_codec codec)
{
    replay_config config;
    const gn_option_section sections[] = {
        { .name = "replay", .options = replay_options, .values = &config }, { 0 }
    };
    gn_options_reset(sections);
    config.capacity = capacity;
    config.codec = codec;
    return config;
}
