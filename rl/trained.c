#include "rl/trained.h"

#include <inttypes.h>

#include "base/file.h"
#include "base/mem.h"
#include "envs/vec_env.h"
#include "nn/safetensors.h"
#include "rl/snapshot.h"

struct rl_trained {
    rl_learner *learner;
    rl_snapshot_info info;
    rl_weights which;
};

// The environment is needed only to know its shapes. A trained network acts one observation at a
// time, wherever it was trained: on the CPU.
static gn_status create_learner(rl_learner **ret_learner, const rl_config *config,
                                const env_market *market)
{
    const env_class *class = NULL;
    const void *env_config = NULL;
    GN_TRY(rl_config_env(config, &class, &env_config));
    const env_context context = { .copies = 1, .mode = ENV_EVALUATE, .market = market };
    vec_env *env = NULL;
    GN_TRY(vec_env_create(&env, class, env_config, &context));
    gn_status status =
        rl_learner_create(ret_learner, config, vec_env_spec(env), (device){ .kind = DEVICE_CPU });
    vec_env_destroy(&env);
    return status;
}

static gn_status read_weights(rl_trained *trained, const char *folder, uint64_t step)
{
    rl_snapshot snapshot = { 0 };
    GN_TRY(rl_snapshot_read(&snapshot, folder, step));
    gn_status status =
        nn_safetensors_decode(rl_learner_layout(trained->learner), snapshot.weights,
                              snapshot.weights_size, rl_learner_parameters(trained->learner));
    rl_snapshot_free(&snapshot);
    trained->info = snapshot.info;
    return status;
}

// Newest first; damaged ones are passed over. GN_ERR_EMPTY if there is none at all.
static gn_status read_newest(rl_trained *trained, const char *folder, const gn_log *log)
{
    uint64_t *steps = NULL;
    size_t count = 0;
    GN_TRY(rl_snapshot_list(&steps, &count, folder));
    gn_status status = GN_ERR_EMPTY;
    for (size_t i = count; i-- > 0;) {
        status = read_weights(trained, folder, steps[i]);
        if (status != GN_ERR_CORRUPT && status != GN_ERR_NOT_FOUND)
            break;
        gn_log_warning(log, "weights of step %" PRIu64 " are damaged: %s", steps[i],
                       gn_error_text());
    }
    gn_free(&steps);
    return status;
}

static gn_status open_trained(rl_trained *trained, const rl_config *config, const char *folder,
                              rl_weights which, const env_market *market, const gn_log *log)
{
    char path[GN_PATH_SIZE];
    GN_TRY(create_learner(&trained->learner, config, market));
    gn_status status = GN_ERR_EMPTY;
    if (which == RL_WEIGHTS_BEST) {
        trained->which = RL_WEIGHTS_BEST;
        GN_TRY(gn_path_join(path, folder, "best"));
        status = read_newest(trained, path, log);
    }
    if (status == GN_ERR_EMPTY || status == GN_ERR_CORRUPT || status == GN_ERR_NOT_FOUND) {
        trained->which = RL_WEIGHTS_LAST;
        GN_TRY(gn_path_join(path, folder, "checkpoints"));
        status = read_newest(trained, path, log);
    }
    if (status == GN_ERR_EMPTY)
        return gn_fail(GN_ERR_NOT_FOUND, "%s: no weights were written yet", folder);
    return status;
}

gn_status rl_trained_open(rl_trained **ret_trained, const rl_config *config, const char *folder,
                          rl_weights which, const env_market *market, const gn_log *log)
{
    rl_trained *trained = NULL;
    GN_TRY(gn_alloc(&trained, 1, sizeof *trained));
    gn_status status = open_trained(trained, config, folder, which, market, log);
    if (status == GN_OK)
        *ret_trained = trained;
    else
        rl_trained_close(&trained);
    return status;
}

void rl_trained_close(rl_trained **trained)
{
    if (!*trained)
        return;
    rl_learner_destroy(&(*trained)->learner);
    gn_free(trained);
}

rl_policy rl_trained_policy(rl_trained *trained)
{
    return rl_greedy_policy(trained->learner);
}

const char *rl_trained_run(const rl_trained *trained)
{
    return trained->info.run;
}

uint64_t rl_trained_step(const rl_trained *trained)
{
    return trained->info.step;
}

rl_weights rl_trained_which(const rl_trained *trained)
{
    return trained->which;
}
