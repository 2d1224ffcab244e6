#include "rl/trainer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "rl/evaluate.h"
#include "rl/schedule.h"
#include "rl/trainer_state.h"
#include "shim/cuda.h"
#include "shim/device.h"
#include "shim/torch.h"

enum { KEPT_LINE = 256 }; // bytes of a message that is kept for later

static const double progress_interval = 0.2; // seconds

// Where evaluations take place: the validation split, or episodes of their own.
static gn_status open_arena(rl_trainer *trainer, rl_arena *ret_arena)
{
    const rl_config *config = trainer->config;
    *ret_arena =
        (rl_arena){ .seed = (uint64_t)config->run.seed, .episodes = config->eval.episodes };
    GN_TRY(rl_config_env(config, &ret_arena->kind, &ret_arena->config));
    return rl_dataset_market(trainer->dataset, MARKET_VALIDATION, &ret_arena->market);
}

static gn_status open_environment(rl_trainer *trainer)
{
    const rl_config *config = trainer->config;
    const env_class *class = NULL;
    const void *env_config = NULL;
    const env_market *market = NULL;
    GN_TRY(rl_config_env(config, &class, &env_config));
    GN_TRY(rl_dataset_open(&trainer->dataset, config, trainer->hooks.log));
    GN_TRY(rl_dataset_market(trainer->dataset, MARKET_TRAIN, &market));
    const env_context context = { .copies = (uint32_t)config->train.envs,
                                  .seed = (uint64_t)config->run.seed,
                                  .purpose = GN_RANDOM_ENV,
                                  .mode = ENV_TRAIN,
                                  .market = market };
    GN_TRY(vec_env_create(&trainer->env, class, env_config, &context));
    rl_arena arena;
    if (config->eval.every > 0) {
        GN_TRY(open_arena(trainer, &arena));
        GN_TRY(rl_arena_check(&arena));
    }
    return rl_config_name(config, rl_dataset_hash(trainer->dataset), trainer->name);
}

static replay_spec stored_steps(const env_spec *spec)
{
    return (replay_spec){ .streams = spec->copies,
                          .record_size = (uint32_t)spec->record_size,
                          .stack = spec->stack };
}

// One device a run: a thread has one CUDA context at a time.
static gn_status check_replay_device(const rl_config *config, device on)
{
    int index;
    if (on.kind == DEVICE_CUDA && cuda_parse_name(config->replay.device, &index) &&
        index != on.index)
        return gn_fail(GN_ERR_CONFIG, "replay.device: %s is device %d; the run is on %d",
                       config->replay.device, index, on.index);
    return GN_OK;
}

// Everything that does not touch the run's folder. log: told on what the networks compute.
static gn_status open_parts(rl_trainer *trainer, const gn_log *log)
{
    const rl_config *config = trainer->config;
    device on;
    GN_TRY(rl_config_check(config));
    GN_TRY(device_resolve(&on, config->run.device, config->network.encoder > 0, log));
    GN_TRY(check_replay_device(config, on));
    // The only threaded operation is Adam's; at these sizes waking threads costs more than it
    // saves.
    GN_TRY(torch_set_threads(1));
    GN_TRY(open_environment(trainer));
    const env_spec *spec = vec_env_spec(trainer->env);
    const replay_spec stored = stored_steps(spec);
    GN_TRY(replay_config_check(&config->replay, &stored));
    gn_status status = rl_learner_create(&trainer->learner, config, spec, on);
    if (status == GN_ERR_MEMORY)
        return gn_fail_within(status, "network.hidden, train.batch: too large for the memory");
    GN_TRY(status);
    GN_TRY(rl_actor_create(&trainer->actor, config, trainer->env, trainer->learner));
    GN_TRY(gn_alloc(&trainer->action, spec->copies, sizeof *trainer->action));
    trainer->sample = gn_random_stream((uint64_t)config->run.seed, GN_RANDOM_SAMPLE, 0);
    trainer->counters.best_metric = NAN;
    trainer->counters.last_loss = trainer->counters.last_cut = NAN;
    trainer->counters.batch = rl_batch_size_start(&config->train);
    return gn_worker_create(&trainer->worker);
}

static gn_status open_buffer(rl_trainer *trainer)
{
    const replay_config *replay = &trainer->config->replay;
    const replay_spec stored = stored_steps(vec_env_spec(trainer->env));
    char path[GN_PATH_SIZE];
    trainer->on_disk = strcmp(replay->path, "none") != 0;
    GN_TRY(rl_run_folder_replay(rl_run_folder_path(trainer->folder), trainer->config, path));
    GN_TRY(replay_buffer_create(&trainer->buffer, replay, &stored, trainer->on_disk ? path : NULL,
                                trainer->name));
    return replay_sampler_create(&trainer->sampler, trainer->buffer,
                                 rl_batch_size_largest(&trainer->config->train), 1, -1);
}

// Puts environment and buffer at the start of a run.
static gn_status begin(rl_trainer *trainer)
{
    const env_spec *spec = vec_env_spec(trainer->env);
    vec_env_reset(trainer->env);
    const unsigned char *record = vec_env_last(trainer->env)->record;
    for (uint32_t i = 0; i < spec->copies; i++)
        GN_TRY(replay_buffer_begin(trainer->buffer, i, record + i * spec->record_size));
    return GN_OK;
}

// A new run never writes into a store that is there already.
static gn_status refuse_old_replay(const rl_trainer *trainer, const char *folder)
{
    char path[GN_PATH_SIZE];
    GN_TRY(rl_run_folder_replay(folder, trainer->config, path));
    if (gn_path_exists(path))
        return gn_fail(GN_ERR_EXISTS, "replay.path: %s exists; a new run needs a new folder", path);
    return GN_OK;
}

static gn_status open_files(rl_trainer *trainer)
{
    GN_TRY(open_buffer(trainer));
    GN_TRY(rl_metrics_open(&trainer->metrics, rl_run_folder_metrics(trainer->folder), 0));
    return begin(trainer);
}

static void keep_line(void *user, gn_log_level level, const char *line)
{
    (void)level;
    snprintf(user, KEPT_LINE, "%s", line);
}

// On what it computes is said once nothing is refused any more: a refusal is one line.
static gn_status create(rl_trainer *trainer, const char *folder)
{
    char line[KEPT_LINE] = "";
    const gn_log kept = { keep_line, line };
    GN_TRY(open_parts(trainer, &kept));
    GN_TRY(rl_run_folder_check_new(folder));
    GN_TRY(refuse_old_replay(trainer, folder));
    GN_TRY(rl_run_folder_create(&trainer->folder, folder, trainer->config));
    gn_status status = open_files(trainer);
    if (status != GN_OK)
        rl_run_folder_discard(trainer->folder);
    else if (line[0])
        gn_log_info(trainer->hooks.log, "%s", line);
    return status;
}

static gn_status resume(rl_trainer *trainer, const char *folder, uint64_t from)
{
    GN_TRY(rl_run_folder_open(&trainer->folder, folder));
    GN_TRY(open_parts(trainer, NULL));
    GN_TRY(rl_trainer_check_name(trainer));
    GN_TRY(open_buffer(trainer));
    bool restored = false;
    GN_TRY(rl_trainer_restore(trainer, from, &restored));
    if (!restored)
        GN_TRY(begin(trainer));
    return rl_run_folder_write(trainer->folder, trainer->config);
}

static gn_status allocate(rl_trainer **ret_trainer, const rl_config *config, const rl_hooks *hooks)
{
    GN_TRY(gn_alloc(ret_trainer, 1, sizeof **ret_trainer));
    (*ret_trainer)->config = config;
    if (hooks)
        (*ret_trainer)->hooks = *hooks;
    return GN_OK;
}

gn_status rl_trainer_create(rl_trainer **ret_trainer, const rl_config *config, const char *folder,
                            const rl_hooks *hooks)
{
    rl_trainer *trainer = NULL;
    GN_TRY(allocate(&trainer, config, hooks));
    gn_status status = create(trainer, folder);
    if (status == GN_OK)
        *ret_trainer = trainer;
    else
        rl_trainer_destroy(&trainer);
    return status;
}

gn_status rl_trainer_resume(rl_trainer **ret_trainer, const rl_config *config, const char *folder,
                            uint64_t from, const rl_hooks *hooks)
{
    rl_trainer *trainer = NULL;
    GN_TRY(allocate(&trainer, config, hooks));
    gn_status status = resume(trainer, folder, from);
    if (status == GN_OK)
        *ret_trainer = trainer;
    else
        rl_trainer_destroy(&trainer);
    return status;
}

void rl_trainer_destroy(rl_trainer **trainer)
{
    rl_trainer *self = *trainer;
    if (!self)
        return;
    gn_worker_destroy(&self->worker);
    gn_free(&self->staged.weights);
    gn_blob_free(&self->staged.state);
    rl_metrics_close(&self->metrics);
    replay_sampler_destroy(&self->sampler);
    replay_buffer_destroy(&self->buffer);
    rl_actor_destroy(&self->actor);
    rl_learner_destroy(&self->learner);
    vec_env_destroy(&self->env);
    rl_dataset_close(&self->dataset);
    rl_run_folder_close(&self->folder);
    gn_free(&self->action);
    gn_free(trainer);
}

// Share of the run that is done.
static double progress_now(const rl_trainer *trainer)
{
    return (double)trainer->counters.steps / (double)trainer->config->train.steps;
}

static double epsilon_now(const rl_trainer *trainer)
{
    return rl_actor_epsilon(&trainer->config->agent, progress_now(trainer));
}

static double beta_now(const rl_trainer *trainer)
{
    const replay_config *replay = &trainer->config->replay;
    return rl_linear(replay->beta, replay->beta_final, progress_now(trainer));
}

// Weighs the priorities by the exponent of now. In steps of a hundredth of the run, for every step
// of the buffer is weighed anew.
static gn_status follow_alpha(rl_trainer *trainer)
{
    const replay_config *replay = &trainer->config->replay;
    double progress = floor(100 * progress_now(trainer)) / 100;
    if (!replay->prioritized || replay->alpha_final < 0)
        return GN_OK;
    return replay_buffer_set_alpha(trainer->buffer,
                                   rl_linear(replay->alpha, replay->alpha_final, progress));
}

static gn_status note_episode(rl_trainer *trainer, uint32_t copy)
{
    const vec_env_step_view *last = vec_env_last(trainer->env);
    rl_counters *counters = &trainer->counters;
    counters->recent_return[counters->episodes % RL_RETURN_WINDOW] = last->episode_return[copy];
    counters->episodes++;
    rl_metrics *metrics = trainer->metrics;
    rl_metrics_begin(metrics, "episode", counters->steps);
    rl_metrics_number(metrics, "episode", (double)counters->episodes);
    rl_metrics_number(metrics, "copy", copy);
    rl_metrics_number(metrics, "return", last->episode_return[copy]);
    rl_metrics_number(metrics, "length", (double)last->episode_length[copy]);
    return rl_metrics_end(metrics);
}

// The reward as it is learned from, and kept.
static float shape_reward(const rl_agent_config *agent, float reward)
{
    double shaped = agent->reward_scale * reward, most = agent->reward_clip;
    return (float)(most > 0 ? fmin(fmax(shaped, -most), most) : shaped);
}

static gn_status remember(rl_trainer *trainer, uint32_t copy)
{
    const vec_env_step_view *last = vec_env_last(trainer->env);
    size_t record_size = vec_env_spec(trainer->env)->record_size;
    const unsigned char *record = last->record + copy * record_size;
    const unsigned char *final_record = last->final_record + copy * record_size;
    bool terminated = last->terminated[copy], truncated = last->truncated[copy];
    bool ended = terminated || truncated;
    float reward = shape_reward(&trainer->config->agent, last->reward[copy]);
    GN_TRY(replay_buffer_add(trainer->buffer, copy, trainer->action[copy], reward, terminated,
                             truncated, ended ? final_record : record));
    if (!ended)
        return GN_OK;
    GN_TRY(replay_buffer_begin(trainer->buffer, copy, record));
    return note_episode(trainer, copy);
}

static gn_status collect(rl_trainer *trainer)
{
    uint32_t copies = vec_env_spec(trainer->env)->copies;
    for (int64_t i = 0; i < trainer->config->train.every; i++) {
        GN_TRY(rl_actor_choose(trainer->actor, progress_now(trainer), trainer->action));
        GN_TRY(vec_env_step(trainer->env, trainer->action));
        trainer->counters.steps += copies;
        for (uint32_t copy = 0; copy < copies; copy++)
            GN_TRY(remember(trainer, copy));
    }
    return GN_OK;
}

static gn_status learn(rl_trainer *trainer)
{
    rl_counters *counters = &trainer->counters;
    const rl_train_config *train = &trainer->config->train;
    rl_batch_size *batch = &counters->batch;
    rl_update_plan plan = { .beta = beta_now(trainer) };
    rl_batch_size_follow(batch, train, progress_now(trainer));
    GN_TRY(follow_alpha(trainer));
    for (int64_t i = 0; i < train->updates; i++) {
        rl_update update;
        plan.batch = batch->steps;
        plan.measure = rl_batch_size_measures(train, counters->updates);
        GN_TRY(rl_learner_update(trainer->learner, trainer->sampler, trainer->env, &plan,
                                 &trainer->sample, &update));
        if (update.half_square > 0)
            rl_batch_size_measure(batch, train, update.half_square,
                                  update.gradient_norm * update.gradient_norm);
        counters->updates++;
        counters->loss_count++;
        counters->loss_sum += update.loss;
        counters->q_sum += update.mean_q;
        counters->norm_sum += update.gradient_norm;
        counters->cut_sum += update.target_cut;
    }
    return GN_OK;
}

rl_progress rl_trainer_progress(const rl_trainer *trainer)
{
    const rl_counters *counters = &trainer->counters;
    uint64_t recent = counters->episodes < RL_RETURN_WINDOW ? counters->episodes : RL_RETURN_WINDOW;
    double sum = 0;
    for (uint64_t i = 0; i < recent; i++)
        sum += counters->recent_return[i];
    double seconds = trainer->started > 0 ? gn_seconds() - trainer->started : 0;
    double steps = (double)(counters->steps - trainer->started_steps);
    return (rl_progress){
        .steps = counters->steps,
        .total_steps = (uint64_t)trainer->config->train.steps,
        .episodes = counters->episodes,
        .updates = counters->updates,
        .epsilon = epsilon_now(trainer),
        .mean_return = recent ? sum / (double)recent : NAN,
        .loss = counters->loss_count ? counters->loss_sum / (double)counters->loss_count
                                     : counters->last_loss,
        .best_metric = counters->best_metric,
        .seconds = seconds,
        .steps_per_s = seconds > 0 ? steps / seconds : 0,
    };
}

static gn_status write_timing(rl_trainer *trainer, const rl_progress *progress)
{
    replay_buffer_stats stats;
    GN_TRY(replay_buffer_measure(trainer->buffer, &stats));
    uint64_t looked_up = stats.cache_hits + stats.cache_misses;
    const rl_timing timing = {
        .seconds = progress->seconds,
        .steps_per_s = progress->steps_per_s,
        .replay_stalled = stats.stalled_s,
        .replay_waited = replay_sampler_measure(trainer->sampler).waited_s,
        .cache_hit_rate = looked_up ? (double)stats.cache_hits / (double)looked_up : 0,
        .cache_saved = stats.saved_s,
    };
    rl_metrics_timing(trainer->metrics, &timing);
    return GN_OK;
}

static double mean_of(double sum, uint64_t count)
{
    return count > 0 ? sum / (double)count : (double)NAN;
}

static gn_status write_train_line(rl_trainer *trainer)
{
    rl_counters *counters = &trainer->counters;
    rl_progress progress = rl_trainer_progress(trainer);
    uint64_t updates = counters->loss_count;
    rl_metrics *metrics = trainer->metrics;
    rl_metrics_begin(metrics, "train", counters->steps);
    rl_metrics_number(metrics, "episodes", (double)counters->episodes);
    rl_metrics_number(metrics, "updates", (double)counters->updates);
    rl_metrics_number(metrics, "mean_return", progress.mean_return);
    rl_metrics_number(metrics, "epsilon", progress.epsilon);
    rl_metrics_number(metrics, "loss", progress.loss);
    rl_metrics_number(metrics, "mean_q", mean_of(counters->q_sum, updates));
    rl_metrics_number(metrics, "gradient_norm", mean_of(counters->norm_sum, updates));
    if (nn_head_is_bounded(&trainer->config->head)) {
        counters->last_cut = mean_of(counters->cut_sum, updates);
        rl_metrics_number(metrics, "target_cut", counters->last_cut);
    }
    rl_metrics_number(metrics, "batch", (double)counters->batch.steps);
    if (trainer->config->train.batch_schedule == RL_BATCH_AUTO)
        rl_metrics_number(metrics, "noise_scale", rl_batch_size_noise_scale(&counters->batch));
    GN_TRY(write_timing(trainer, &progress));
    counters->last_loss = progress.loss;
    counters->loss_sum = counters->q_sum = counters->norm_sum = counters->cut_sum = 0;
    counters->loss_count = 0;
    GN_TRY(rl_metrics_end(metrics));
    return rl_metrics_flush(metrics);
}

static void write_eval_line(rl_trainer *trainer, const rl_result *result, bool market)
{
    rl_metrics *metrics = trainer->metrics;
    rl_metrics_begin(metrics, "eval", trainer->counters.steps);
    rl_metrics_text(metrics, "split", market ? market_split_names[MARKET_VALIDATION] : "none");
    rl_metrics_number(metrics, "episodes", (double)result->episodes);
    rl_metrics_number(metrics, "return", result->mean_return);
    rl_metrics_number(metrics, "length", result->mean_length);
    if (!market)
        return;
    rl_metrics_number(metrics, "total_return", result->performance.total_return);
    rl_metrics_number(metrics, "sharpe", result->performance.sharpe);
    rl_metrics_number(metrics, "max_drawdown", result->performance.max_drawdown);
    rl_metrics_number(metrics, "trades", (double)result->trades);
    rl_metrics_number(metrics, "costs", result->costs);
}

// Greedy evaluation on the validation split; the weights are kept if they are the best so far.
static gn_status evaluate(rl_trainer *trainer)
{
    const rl_config *config = trainer->config;
    rl_arena arena;
    GN_TRY(open_arena(trainer, &arena));
    const rl_policy policy = rl_greedy_policy(trainer->learner);
    rl_result result;
    GN_TRY(rl_evaluate(&result, &arena, &policy));
    write_eval_line(trainer, &result, arena.market != NULL);
    GN_TRY(rl_metrics_end(trainer->metrics));

    double metric =
        config->eval.metric == RL_METRIC_SHARPE ? result.performance.sharpe : result.mean_return;
    rl_counters *counters = &trainer->counters;
    if (!(metric > counters->best_metric) && !isnan(counters->best_metric))
        return GN_OK;
    counters->best_metric = metric;
    return rl_trainer_write_weights(trainer, rl_run_folder_best(trainer->folder));
}

// Whether a multiple of `every` lies in (before, now]; never for 0.
static bool is_due(uint64_t before, uint64_t now, int64_t every)
{
    return every > 0 && now / (uint64_t)every != before / (uint64_t)every;
}

static gn_status run_round(rl_trainer *trainer)
{
    const rl_config *config = trainer->config;
    uint64_t before = trainer->counters.steps;
    GN_TRY(collect(trainer));
    uint64_t now = trainer->counters.steps;
    if (now >= (uint64_t)config->train.starts) {
        GN_TRY(learn(trainer));
        if (is_due(before, now, config->agent.target_every))
            GN_TRY(rl_learner_update_target(trainer->learner));
    }
    if (is_due(before, now, config->train.log_every))
        GN_TRY(write_train_line(trainer));
    if (is_due(before, now, config->eval.every))
        GN_TRY(evaluate(trainer));
    if (is_due(before, now, config->checkpoint.every))
        GN_TRY(rl_trainer_write_checkpoint(trainer));
    return GN_OK;
}

static void show_progress(rl_trainer *trainer)
{
    if (!trainer->hooks.progress)
        return;
    double now = gn_seconds();
    if (now - trainer->shown < progress_interval)
        return;
    trainer->shown = now;
    rl_progress progress = rl_trainer_progress(trainer);
    trainer->hooks.progress(trainer->hooks.user, &progress);
}

static gn_status run_rounds(rl_trainer *trainer)
{
    uint64_t total = (uint64_t)trainer->config->train.steps;
    trainer->started = gn_seconds();
    trainer->started_steps = trainer->counters.steps;
    bool stopped = false;
    while (trainer->counters.steps < total && !stopped) {
        GN_TRY(run_round(trainer));
        show_progress(trainer);
        stopped = trainer->hooks.stop && *trainer->hooks.stop;
    }
    if (trainer->staged_step != trainer->counters.steps)
        GN_TRY(rl_trainer_write_checkpoint(trainer));
    return rl_trainer_finish_checkpoint(trainer);
}

// Where numbers went wrong the parameters are still those of before.
static void keep_last_good(rl_trainer *trainer)
{
    const char *folder = rl_run_folder_last_good(trainer->folder);
    if (rl_trainer_write_weights(trainer, folder) != GN_OK)
        gn_log_warning(trainer->hooks.log, "%s", gn_error_text());
    else
        gn_log_info(trainer->hooks.log, "the last good weights are in %s/%" PRIu64, folder,
                    trainer->counters.steps);
}

// Values beyond a head's range cannot be learned, and nothing else would show it.
static void tell_of_cut(const rl_trainer *trainer)
{
    const double much = 0.05;
    const nn_head_config *head = &trainer->config->head;
    if (trainer->counters.last_cut > much)
        gn_log_warning(trainer->hooks.log,
                       "head.v_min %g, head.v_max %g: cut off %.0f %% of what the last targets "
                       "say; what lies beyond is not learned",
                       head->v_min, head->v_max, 100 * trainer->counters.last_cut);
}

gn_status rl_trainer_run(rl_trainer *trainer)
{
    gn_status status = run_rounds(trainer);
    if (status == GN_OK) {
        tell_of_cut(trainer);
        return GN_OK;
    }
    char reason[1024];
    snprintf(reason, sizeof reason, "%s", gn_error_text());
    // The snapshot in the background may still become whole.
    if (rl_trainer_finish_checkpoint(trainer) != GN_OK)
        gn_log_warning(trainer->hooks.log, "%s", gn_error_text());
    if (status == GN_ERR_NUMERIC)
        keep_last_good(trainer);
    return gn_fail(status, "%s", reason);
}

uint64_t rl_trainer_checkpoint(const rl_trainer *trainer)
{
    return trainer->durable_step;
}
