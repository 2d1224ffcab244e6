// Catch: three numbers a copy, drawn when a record is asked for.

#include "envs/pixel/catch.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "envs/saved_state.h"

static const env_field catch_fields[] = { { 0 } };

// One copy. All fields are multiples of 8 bytes: no padding in saved bytes. The flicker of the
// current frame are the CATCH_PIXELS words at the stream's position.
typedef struct catch_copy {
    uint64_t row, column; // of the ball
    uint64_t paddle; // column
    gn_random random;
} catch_copy;

typedef struct catch_env {
    catch_config options;
    uint32_t flicker; // of 2^24
    uint32_t copies;
    catch_copy copy[];
} catch_env;

const gn_option catch_options[] = {
    GN_OPTION_INT(catch_config, rows, "21", 2, CATCH_SIDE, "rows of the grid; must divide 84"),
    GN_OPTION_INT(catch_config, columns, "21", 2, CATCH_SIDE,
                  "columns of the grid; must divide 84, at most twice the rows less 1"),
    GN_OPTION_REAL(catch_config, noise, "0", 0, 1,
                   "share of pixels that show random greys, other ones in each frame"),
    GN_OPTION_INT(catch_config, stack, "4", 1, 16, "frames in an observation"),
    { 0 },
};

static gn_status check_side(const char *name, int64_t cells)
{
    if (CATCH_SIDE % cells == 0)
        return GN_OK;
    return gn_fail(GN_ERR_CONFIG, "catch.%s: %lld does not divide the %d pixels of a frame", name,
                   (long long)cells, CATCH_SIDE);
}

// The paddle starts in the middle and has rows - 1 steps to reach either side.
static gn_status check_grid(const catch_config *config)
{
    GN_TRY(check_side("rows", config->rows));
    GN_TRY(check_side("columns", config->columns));
    if (config->columns / 2 > config->rows - 1)
        return gn_fail(GN_ERR_CONFIG,
                       "catch.columns: %lld are too many to cross in the %lld steps of an episode",
                       (long long)config->columns, (long long)config->rows - 1);
    return GN_OK;
}

static gn_status catch_create(void **ret_env, const void *config, const env_context *context)
{
    const catch_config *options = config;
    GN_TRY(check_grid(options));
    catch_env *env;
    GN_TRY(gn_alloc(&env, 1, sizeof *env + context->copies * sizeof *env->copy));
    env->options = *options;
    env->flicker = (uint32_t)(options->noise * (1 << 24));
    env->copies = context->copies;
    for (uint32_t i = 0; i < env->copies; i++)
        env->copy[i].random = gn_random_stream(context->seed, context->purpose, i);
    *ret_env = env;
    return GN_OK;
}

static void catch_destroy(void *env)
{
    gn_free(&env);
}

static void catch_spec(const void *object, env_spec *ret_spec)
{
    const catch_env *env = object;
    uint32_t stack = (uint32_t)env->options.stack;
    *ret_spec = (env_spec){
        .copies = env->copies,
        .actions = CATCH_ACTIONS,
        .dtype = ENV_UINT8,
        .rank = 3,
        .shape = { stack, CATCH_SIDE, CATCH_SIDE },
        .observation_elements = (size_t)stack * CATCH_PIXELS,
        .observation_size = (size_t)stack * CATCH_PIXELS,
        .record_size = CATCH_PIXELS,
        .stack = stack,
    };
}

static void leave_frame(const catch_env *env, catch_copy *copy)
{
    if (env->flicker > 0)
        gn_random_seek(&copy->random, copy->random.position + CATCH_PIXELS);
}

static void catch_reset(void *object, const uint32_t *index, size_t n)
{
    catch_env *env = object;
    for (size_t i = 0; i < n; i++) {
        assert(index[i] < env->copies);
        catch_copy *copy = &env->copy[index[i]];
        leave_frame(env, copy);
        copy->row = 0;
        copy->column = gn_random_below(&copy->random, (uint32_t)env->options.columns);
        copy->paddle = (uint64_t)env->options.columns / 2;
    }
}

static void catch_step(void *object, const int32_t *action, float *ret_reward,
                       uint8_t *ret_terminated, uint8_t *ret_truncated)
{
    catch_env *env = object;
    uint64_t bottom = (uint64_t)env->options.rows - 1, right = (uint64_t)env->options.columns - 1;
    for (uint32_t i = 0; i < env->copies; i++) {
        catch_copy *copy = &env->copy[i];
        assert(copy->row < bottom && action[i] >= 0 && action[i] < CATCH_ACTIONS);
        leave_frame(env, copy);
        copy->row++;
        if (action[i] == CATCH_LEFT && copy->paddle > 0)
            copy->paddle--;
        if (action[i] == CATCH_RIGHT && copy->paddle < right)
            copy->paddle++;
        int landed = copy->row == bottom;
        ret_reward[i] = !landed ? 0 : copy->paddle == copy->column ? 1 : -1;
        ret_terminated[i] = landed;
        ret_truncated[i] = 0;
    }
}

static void draw_cell(const catch_env *env, uint64_t row, uint64_t column, int grey,
                      unsigned char *frame)
{
    size_t height = CATCH_SIDE / (size_t)env->options.rows;
    size_t width = CATCH_SIDE / (size_t)env->options.columns;
    for (size_t y = row * height; y < (row + 1) * height; y++)
        memset(frame + y * CATCH_SIDE + column * width, grey, width);
}

// A word a pixel: 24 bits decide whether it flickers, 8 are the grey.
static void draw_flicker(const catch_env *env, gn_random random, unsigned char *frame)
{
    for (size_t i = 0; i < CATCH_PIXELS; i++) {
        uint32_t word = gn_random_u32(&random);
        if (word >> 8 < env->flicker)
            frame[i] = (unsigned char)word;
    }
}

static void catch_record(const void *object, unsigned char *ret_record)
{
    const catch_env *env = object;
    for (uint32_t i = 0; i < env->copies; i++) {
        const catch_copy *copy = &env->copy[i];
        unsigned char *frame = ret_record + (size_t)i * CATCH_PIXELS;
        memset(frame, 0, CATCH_PIXELS);
        draw_cell(env, (uint64_t)env->options.rows - 1, copy->paddle, CATCH_PADDLE, frame);
        draw_cell(env, copy->row, copy->column, CATCH_BALL, frame);
        if (env->flicker > 0)
            draw_flicker(env, copy->random, frame);
    }
}

static void catch_decode(const void *object, const unsigned char *record, size_t stride, size_t n,
                         void *ret_observation)
{
    const catch_env *env = object;
    unsigned char *out = ret_observation;
    size_t size = (size_t)env->options.stack * CATCH_PIXELS;
    for (size_t i = 0; i < n; i++)
        memcpy(out + i * size, record + i * stride, size);
}

static void catch_save(const void *object, gn_blob *out)
{
    const catch_env *env = object;
    saved_options_write(out, "catch", &env->options, sizeof env->options);
    gn_blob_write(out, "catch.copies", env->copy, env->copies * sizeof *env->copy);
}

static gn_status check_copies(const void *object, const void *copies)
{
    const catch_env *env = object;
    const catch_copy *copy = copies;
    uint64_t rows = (uint64_t)env->options.rows, columns = (uint64_t)env->options.columns;
    for (uint32_t i = 0; i < env->copies; i++) {
        if (copy[i].row >= rows - 1 || copy[i].column >= columns || copy[i].paddle >= columns)
            return gn_fail(GN_ERR_CORRUPT, "catch.copies: ball or paddle of copy %u is outside", i);
    }
    return GN_OK;
}

static gn_status catch_load(void *object, gn_blob *in)
{
    catch_env *env = object;
    GN_TRY(saved_options_check(in, "catch", catch_options, &env->options, sizeof env->options));
    return saved_copies_read(in, "catch.copies", env, env->copy, env->copies * sizeof *env->copy,
                             check_copies);
}

const env_class catch_class = {
    .name = "catch",
    .summary = "catch a falling ball with a paddle, seen as 84 x 84 pixels",
    .options = catch_options,
    .config_size = sizeof(catch_config),
    .fields = catch_fields,
    .create = catch_create,
    .destroy = catch_destroy,
    .spec = catch_spec,
    .reset = catch_reset,
    .step = catch_step,
    .record = catch_record,
    .decode = catch_decode,
    .save = catch_save,
    .load = catch_load,
};
