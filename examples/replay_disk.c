// A replay buffer of frames on disk: filled from a game, committed, reopened as after a crash, and
// sampled ahead of use.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "envs/pixel/catch.h"
#include "envs/vec_env.h"
#include "replay/sampler.h"

enum { STEPS = 5000, BATCH = 32, BATCHES = 100, STACK = 4 };

// Options at their defaults, as `gannet options` prints them.
static void defaults(replay_config *replay, catch_config *game)
{
    const gn_option_section sections[] = {
        { .name = "replay", .options = replay_options, .values = replay },
        { .name = "catch", .options = catch_options, .values = game },
        { 0 },
    };
    gn_options_reset(sections);
}

// Plays at random: every frame is stored once, whatever the stack.
static gn_status play(vec_env *env, replay_buffer *buffer)
{
    const vec_env_step_view *last = vec_env_last(env);
    gn_random random = gn_random_stream(1, GN_RANDOM_EXPLORE, 0);
    GN_TRY(replay_buffer_begin(buffer, 0, last->record));
    for (int step = 0; step < STEPS; step++) {
        int32_t action = (int32_t)gn_random_below(&random, CATCH_ACTIONS);
        GN_TRY(vec_env_step(env, &action));
        bool ended = last->terminated[0] || last->truncated[0];
        GN_TRY(replay_buffer_add(buffer, 0, action, last->reward[0], last->terminated[0],
                                 last->truncated[0], ended ? last->final_record : last->record));
        if (ended)
            GN_TRY(replay_buffer_begin(buffer, 0, last->record));
    }
    return GN_OK;
}

// Fills a buffer in `folder`, makes it durable as generation 1, and closes it.
static gn_status fill(vec_env *env, const replay_config *config, const replay_spec *spec,
                      const char *folder, uint64_t *ret_checksum)
{
    replay_buffer *buffer = NULL;
    GN_TRY(replay_buffer_create(&buffer, config, spec, folder, "example"));
    gn_status status = play(env, buffer);
    if (status == GN_OK)
        status = replay_buffer_commit(buffer, 1, 1); // returns at once: training could go on
    if (status == GN_OK)
        status = replay_buffer_await(buffer, ret_checksum);
    replay_buffer_destroy(&buffer);
    return status;
}

// The game as a network would take it: bytes to numbers from 0 to 1.
static gn_status learn(const vec_env *env, replay_buffer *buffer)
{
    static float observation[BATCH * STACK * CATCH_PIXELS];
    const replay_draw draw = { .n_step = { 3 }, .horizons = 1, .gamma = 0.99 };
    const replay_batch *batch;
    replay_sampler *sampler = NULL;
    gn_random random = gn_random_stream(1, GN_RANDOM_SAMPLE, 0);
    double reward = 0;
    gn_status status = replay_sampler_create(&sampler, buffer, BATCH, 1, 2);
    for (int i = 0; i < BATCHES && status == GN_OK; i++) {
        status = replay_sampler_next(sampler, BATCH, &draw, &random, &batch);
        if (status != GN_OK)
            break;
        vec_env_decode_float(env, batch->record, batch->stride, BATCH, observation);
        for (size_t k = 0; k < BATCH; k++)
            reward += (double)batch->reward[k] / (BATCH * BATCHES);
    }
    if (status == GN_OK)
        printf("%d batches of %d, drawn 2 ahead: waited %.0f us each, mean 3-step return %.3f\n",
               BATCHES, BATCH, replay_sampler_measure(sampler).waited_s * 1e6 / BATCHES, reward);
    replay_sampler_destroy(&sampler);
    return status;
}

static gn_status reopen(const vec_env *env, const replay_config *config, const replay_spec *spec,
                        const char *folder, uint64_t checksum)
{
    replay_buffer *buffer = NULL;
    replay_buffer_stats stats;
    GN_TRY(replay_buffer_create(&buffer, config, spec, folder, "example"));
    gn_status status = replay_buffer_rollback(buffer, 1, checksum);
    if (status == GN_OK)
        status = learn(env, buffer);
    if (status == GN_OK)
        status = replay_buffer_measure(buffer, &stats);
    if (status == GN_OK && stats.steps != STEPS)
        status = gn_fail(GN_ERR_CORRUPT, "%" PRIu64 " steps came back, not %d", stats.steps, STEPS);
    if (status == GN_OK)
        printf("%" PRIu64 " steps came back; %.1f MB of stacked frames take %.2f MB on disk, "
               "%.1f MB of memory\n",
               stats.steps, 2e-6 * STEPS * STACK * CATCH_PIXELS, (double)stats.disk_bytes / 1e6,
               (double)stats.ram_bytes / 1e6);
    replay_buffer_destroy(&buffer);
    return status;
}

static gn_status run(const char *folder)
{
    replay_config config;
    catch_config game;
    vec_env *env = NULL;
    uint64_t checksum = 0;
    const env_context context = { .copies = 1, .seed = 1, .purpose = GN_RANDOM_ENV };
    const replay_spec spec = { 1, CATCH_PIXELS, STACK };
    defaults(&config, &game);
    config.chunk = 128; // raw chunks are in memory: small ones keep it small
    config.cache_mb = 4;
    game.stack = STACK;
    GN_TRY(vec_env_create(&env, &catch_class, &game, &context));
    vec_env_reset(env);
    gn_status status = fill(env, &config, &spec, folder, &checksum);
    if (status == GN_OK)
        status = reopen(env, &config, &spec, folder, checksum);
    vec_env_destroy(&env);
    return status;
}

int main(void)
{
    char folder[GN_PATH_SIZE] = "";
    gn_status status = gn_folder_create_temporary(folder, NULL);
    if (status == GN_OK)
        status = run(folder);
    if (status != GN_OK)
        fprintf(stderr, "replay_disk: %s\n", gn_error_text());
    return gn_path_remove(folder) == GN_OK && status == GN_OK ? 0 : 1;
}
