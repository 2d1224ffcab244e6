// Returns over several horizons in one draw, from steps that are stored once: CartPole with random
// actions, whose reward is 1 a step, so that every return is known.

#include <math.h>
#include <stdio.h>

#include "envs/classic/cartpole.h"
#include "envs/vec_env.h"
#include "replay/buffer.h"

enum { COPIES = 4, STEPS = 2000, BATCH = 256, HORIZONS = 4 };

static const double discount = 0.9;
static const replay_draw draw = { .n_step = { 1, 3, 5, 10 }, .horizons = HORIZONS, .gamma = 0.9 };

// A stream of the buffer for each copy of the environment.
static gn_status play(vec_env *env, replay_buffer *buffer)
{
    const vec_env_step_view *last = vec_env_last(env);
    size_t size = vec_env_spec(env)->record_size;
    gn_random random = gn_random_stream(1, GN_RANDOM_EXPLORE, 0);
    vec_env_reset(env);
    for (uint32_t i = 0; i < COPIES; i++)
        GN_TRY(replay_buffer_begin(buffer, i, last->record + i * size));
    for (int step = 0; step < STEPS; step++) {
        int32_t action[COPIES];
        for (uint32_t i = 0; i < COPIES; i++)
            action[i] = (int32_t)gn_random_below(&random, 2);
        GN_TRY(vec_env_step(env, action));
        for (uint32_t i = 0; i < COPIES; i++) {
            bool ended = last->terminated[i] || last->truncated[i];
            const unsigned char *now = last->record + i * size;
            GN_TRY(replay_buffer_add(buffer, i, action[i], last->reward[i], last->terminated[i],
                                     last->truncated[i],
                                     ended ? last->final_record + i * size : now));
            if (ended)
                GN_TRY(replay_buffer_begin(buffer, i, now));
        }
    }
    return GN_OK;
}

// With a reward of 1 a step, k steps return (1 - gamma^k) / (1 - gamma), and the discount is
// gamma^k, or 0 where the pole fell, after which only the return tells k.
static bool is_right(double reward, double factor, int64_t n)
{
    double k = round(log(1 - reward * (1 - discount)) / log(discount));
    double expected = (1 - pow(discount, k)) / (1 - discount);
    bool ended = factor == 0;
    return fabs(reward - expected) < 1e-4 && k >= 1 && k <= (double)n &&
           (ended || fabs(factor - pow(discount, k)) < 1e-4);
}

static gn_status show(replay_buffer *buffer, replay_batch *batch)
{
    gn_random random = gn_random_stream(1, GN_RANDOM_SAMPLE, 0);
    GN_TRY(replay_buffer_sample(buffer, &draw, &random, batch));
    printf("steps  mean return  episodes ended within\n");
    for (uint32_t h = 0; h < HORIZONS; h++) {
        double sum = 0;
        int ended = 0;
        for (size_t i = 0; i < BATCH; i++) {
            double reward = (double)batch->reward[h * BATCH + i];
            double factor = (double)batch->discount[h * BATCH + i];
            if (!is_right(reward, factor, draw.n_step[h]))
                return gn_fail(GN_ERR_CORRUPT, "%lld steps return %g, discounted by %g",
                               (long long)draw.n_step[h], reward, factor);
            sum += reward;
            ended += factor == 0;
        }
        printf("%5lld  %11.3f  %15d of %d\n", (long long)draw.n_step[h], sum / BATCH, ended, BATCH);
    }
    return GN_OK;
}

static gn_status run(vec_env *env)
{
    replay_config config;
    replay_buffer *buffer = NULL;
    replay_batch *batch = NULL;
    const gn_option_section sections[] = {
        { .name = "replay", .options = replay_options, .values = &config },
        { 0 },
    };
    const replay_spec spec = { COPIES, (uint32_t)vec_env_spec(env)->record_size, 1 };
    gn_options_reset(sections);
    gn_status status = replay_buffer_create(&buffer, &config, &spec, NULL, NULL);
    if (status == GN_OK)
        status = replay_batch_create(&batch, &spec, BATCH, HORIZONS);
    if (status == GN_OK)
        status = play(env, buffer);
    if (status == GN_OK)
        status = show(buffer, batch);
    replay_batch_destroy(&batch);
    replay_buffer_destroy(&buffer);
    return status;
}

int main(void)
{
    vec_env *env = NULL;
    cartpole_config config;
    const gn_option_section sections[] = {
        { .name = "cartpole", .options = cartpole_options, .values = &config },
        { 0 },
    };
    const env_context context = { .copies = COPIES, .seed = 1, .purpose = GN_RANDOM_ENV };
    gn_options_reset(sections);
    gn_status status = vec_env_create(&env, &cartpole_class, &config, &context);
    if (status == GN_OK)
        status = run(env);
    vec_env_destroy(&env);
    if (status != GN_OK)
        fprintf(stderr, "replay_n_step: %s\n", gn_error_text());
    return status == GN_OK ? 0 : 1;
}
