// Copies with automatic reset: bookkeeping around a class's step. All arrays of the N copies lie in
// one block, which is also what save writes.

#include "envs/vec_env.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "envs/observe.h"

struct vec_env {
    const env_class *class;
    void *object;
    env_spec spec;
    vec_env_step_view view; // points into the block

    unsigned char *block;
    size_t block_size;
    double *ended_return, *running_return; // [N]
    uint64_t *ended_length, *running_length; // [N]
    float *reward; // [N]
    uint32_t *ended; // [N], copies whose episode just ended
    uint8_t *terminated, *truncated; // [N]
    unsigned char *record, *final_record; // [N, record_size]
    unsigned char *window; // [N, stack, record_size]; the records themselves where stack is 1
};

// The next array of the block; only counts while there is no block yet.
static void *carve(vec_env *env, size_t size)
{
    void *array = env->block ? env->block + env->block_size : NULL;
    env->block_size += (size + GN_MEM_ALIGNMENT - 1) / GN_MEM_ALIGNMENT * GN_MEM_ALIGNMENT;
    return array;
}

static void carve_all(vec_env *env)
{
    size_t n = env->spec.copies;
    env->block_size = 0;
    env->ended_return = carve(env, n * sizeof *env->ended_return);
    env->running_return = carve(env, n * sizeof *env->running_return);
    env->ended_length = carve(env, n * sizeof *env->ended_length);
    env->running_length = carve(env, n * sizeof *env->running_length);
    env->reward = carve(env, n * sizeof *env->reward);
    env->ended = carve(env, n * sizeof *env->ended);
    env->terminated = carve(env, n);
    env->truncated = carve(env, n);
    env->record = carve(env, n * env->spec.record_size);
    env->final_record = carve(env, n * env->spec.record_size);
    env->window = env->record;
    if (env->spec.stack > 1)
        env->window = carve(env, n * env_window_size(&env->spec));
    env->view = (vec_env_step_view){
        .reward = env->reward,
        .terminated = env->terminated,
        .truncated = env->truncated,
        .record = env->record,
        .final_record = env->final_record,
        .episode_return = env->ended_return,
        .episode_length = env->ended_length,
    };
}

static gn_status check_number(const char *section, const gn_option *option, double value)
{
    if (value >= option->min && value <= option->max)
        return GN_OK;
    return gn_fail(GN_ERR_CONFIG, "%s.%s: %g is not in %g .. %g", section, option->key, value,
                   option->min, option->max);
}

// A struct filled by hand is held to the ranges of the option table too.
static gn_status check_config(const env_class *kind, const char *config)
{
    for (const gn_option *option = kind->options; option && option->key; option++) {
        const void *field = config + option->offset;
        if (option->type == GN_OPTION_TYPE_INT)
            GN_TRY(check_number(kind->name, option, (double)*(const int64_t *)field));
        if (option->type == GN_OPTION_TYPE_REAL)
            GN_TRY(check_number(kind->name, option, *(const double *)field));
        if (option->type == GN_OPTION_TYPE_LIST) {
            const gn_option_list *list = field;
            if (list->count < 1 || list->count > option->most)
                return gn_fail(GN_ERR_CONFIG, "%s.%s: %zu numbers are not in 1 .. %zu", kind->name,
                               option->key, list->count, option->most);
            for (size_t i = 0; i < list->count; i++)
                GN_TRY(check_number(kind->name, option, list->value[i]));
        }
    }
    return GN_OK;
}

gn_status vec_env_create(vec_env **ret_env, const env_class *kind, const void *config,
                         const env_context *context)
{
    enum { MAX_COPIES = 1 << 24 };
    if (context->copies < 1 || context->copies > MAX_COPIES)
        return gn_fail(GN_ERR_ARG, "%s: %u copies are not in 1 .. %d", kind->name, context->copies,
                       MAX_COPIES);
    GN_TRY(check_config(kind, config));
    vec_env *env;
    GN_TRY(gn_alloc(&env, 1, sizeof *env));
    env->class = kind;
    gn_status status = kind->create(&env->object, config, context);
    if (status != GN_OK)
        goto fail;
    kind->spec(env->object, &env->spec);
    assert(env->spec.stack >= 1);
    carve_all(env);
    status = gn_alloc(&env->block, 1, env->block_size);
    if (status != GN_OK)
        goto fail;
    carve_all(env);
    vec_env_reset(env);
    *ret_env = env;
    return GN_OK;
fail:
    vec_env_destroy(&env);
    return status;
}

void vec_env_destroy(vec_env **env)
{
    if (!*env)
        return;
    if ((*env)->object)
        (*env)->class->destroy((*env)->object);
    gn_free(&(*env)->block);
    gn_free(env);
}

const env_spec *vec_env_spec(const vec_env *env)
{
    return &env->spec;
}

const void *vec_env_object(const vec_env *env)
{
    return env->object;
}

const unsigned char *vec_env_window(const vec_env *env, uint32_t copy)
{
    assert(copy < env->spec.copies);
    return env->window + copy * env_window_size(&env->spec);
}

// Takes the current records into the windows; `begins` where they are the first of an episode.
static void extend_window(vec_env *env, uint32_t copy, int begins)
{
    unsigned char *window = env->window + copy * env_window_size(&env->spec);
    const unsigned char *record = env->record + copy * env->spec.record_size;
    if (begins)
        env_window_begin(&env->spec, record, window);
    else
        env_window_push(&env->spec, record, window);
}

void vec_env_reset(vec_env *env)
{
    memset(env->block, 0, env->block_size);
    for (uint32_t i = 0; i < env->spec.copies; i++)
        env->ended[i] = i;
    env->class->reset(env->object, env->ended, env->spec.copies);
    env->class->record(env->object, env->record);
    for (uint32_t i = 0; i < env->spec.copies && env->spec.stack > 1; i++)
        extend_window(env, i, 1);
}

// Starts the next episode of the copies that ended, keeping how the last one ended.
static void finish_episodes(vec_env *env, size_t ended)
{
    size_t record_size = env->spec.record_size;
    for (size_t i = 0; i < ended; i++) {
        uint32_t copy = env->ended[i];
        memcpy(env->final_record + copy * record_size, env->record + copy * record_size,
               record_size);
        env->ended_return[copy] = env->running_return[copy];
        env->ended_length[copy] = env->running_length[copy];
        env->running_return[copy] = 0;
        env->running_length[copy] = 0;
    }
    env->class->reset(env->object, env->ended, ended);
    env->class->record(env->object, env->record);
}

gn_status vec_env_step(vec_env *env, const int32_t *action)
{
    for (uint32_t i = 0; i < env->spec.copies; i++) {
        if (action[i] < 0 || (uint32_t)action[i] >= env->spec.actions)
            return gn_fail(GN_ERR_ARG, "%s: action %d of copy %u is not in 0 .. %u",
                           env->class->name, action[i], i, env->spec.actions - 1);
    }
    env->class->step(env->object, action, env->reward, env->terminated, env->truncated);
    env->class->record(env->object, env->record);
    size_t ended = 0;
    for (uint32_t i = 0; i < env->spec.copies; i++) {
        env->running_return[i] += (double)env->reward[i];
        env->running_length[i]++;
        if (env->terminated[i] || env->truncated[i])
            env->ended[ended++] = i;
    }
    if (ended > 0)
        finish_episodes(env, ended);
    for (uint32_t i = 0; i < env->spec.copies && env->spec.stack > 1; i++)
        extend_window(env, i, env->terminated[i] || env->truncated[i]);
    return GN_OK;
}

const vec_env_step_view *vec_env_last(const vec_env *env)
{
    return &env->view;
}

void vec_env_observe(const vec_env *env, void *ret_observation)
{
    vec_env_decode(env, env->window, env_window_size(&env->spec), env->spec.copies,
                   ret_observation);
}

void vec_env_decode(const vec_env *env, const unsigned char *record, size_t stride, size_t n,
                    void *ret_observation)
{
    env->class->decode(env->object, record, stride, n, ret_observation);
}

void vec_env_decode_float(const vec_env *env, const unsigned char *record, size_t stride, size_t n,
                          float *ret_observation)
{
    env_decode_float(env->class, env->object, &env->spec, record, stride, n, ret_observation);
}

void vec_env_save(const vec_env *env, gn_blob *out)
{
    gn_blob_write(out, "vec_env.copies", &env->spec.copies, sizeof env->spec.copies);
    gn_blob_write(out, "vec_env.stack", &env->spec.stack, sizeof env->spec.stack);
    gn_blob_write(out, "vec_env", env->block, env->block_size);
    env->class->save(env->object, out);
}

gn_status vec_env_load(vec_env *env, gn_blob *in)
{
    uint32_t copies, stack;
    gn_blob_read(in, "vec_env.copies", &copies, sizeof copies);
    gn_blob_read(in, "vec_env.stack", &stack, sizeof stack);
    GN_TRY(gn_blob_status(in));
    if (copies != env->spec.copies)
        return gn_fail(GN_ERR_CONFIG, "%s: %u copies in the saved state, %u here", env->class->name,
                       copies, env->spec.copies);
    if (stack != env->spec.stack)
        return gn_fail(GN_ERR_CONFIG, "%s: stacks of %u records in the saved state, %u here",
                       env->class->name, stack, env->spec.stack);
    unsigned char *loaded;
    GN_TRY(gn_alloc(&loaded, 1, env->block_size));
    gn_blob_read(in, "vec_env", loaded, env->block_size);
    gn_status status = gn_blob_status(in);
    if (status == GN_OK)
        status = env->class->load(env->object, in);
    if (status == GN_OK)
        memcpy(env->block, loaded, env->block_size);
    gn_free(&loaded);
    return status;
}
