// Targets, loss, priorities and gradients of every head with its options against golden values of
// a plain PyTorch program, tests/rl/torch_twin.py, which was written from the papers and knows
// nothing of this code. What is compared is one update, composed here of the functions of nn/ and
// rl/choice.h so that all its parts can be seen, and what rl_learner_update reports of the same
// one.
//
//     test_torch_twin --export FOLDER    writes each case for the program: NAME.json (options,
//                                        batch, what is drawn, what is found), NAME.online,
//                                        NAME.target and NAME.gradient (.safetensors)

#include <math.h>

#include <jansson.h>

#include "nn/head.h"
#include "nn/noise.h"
#include "nn/safetensors.h"
#include "rl/choice.h"
#include "tests/rl/small_learner.h"
#include "tests/rl/twin_cases.h"

// WIDEST: outputs an action, and floats of a target.
enum { ROWS = 16, INPUTS = 6, ACTIONS = 3, WIDEST = 51, EPISODES = 24 };

static const char golden_path[] = "tests/golden/torch_twin.json";
static const double tolerance = 1e-5;

// --- what is learned from: a record numbers an observation of random features

static void features_spec(const void *env, env_spec *ret_spec)
{
    chain_spec(env, ret_spec);
    ret_spec->actions = ACTIONS;
    ret_spec->shape[0] = INPUTS;
    ret_spec->observation_elements = INPUTS;
    ret_spec->observation_size = INPUTS * sizeof(float);
}

static void features_decode(const void *env, const unsigned char *record, size_t stride, size_t n,
                            void *ret_observation)
{
    (void)env;
    float *out = ret_observation;
    for (size_t i = 0; i < n; i++) {
        test_rng rng = test_rng_seed(record[i * stride]);
        for (int f = 0; f < INPUTS; f++)
            *out++ = (float)(2 * test_rng_unit(&rng) - 1);
    }
}

static const env_class features_class = {
    .name = "features",
    .config_size = 1,
    .create = chain_create,
    .destroy = chain_destroy,
    .spec = features_spec,
    .reset = chain_reset,
    .record = chain_record,
    .decode = features_decode,
};

// Episodes of 1 to 4 steps, two of three terminated, the others truncated; all priorities differ.
// The record of a slot is its number, which is also the name of the step taken from it.
static void add_episodes(bench *b)
{
    test_rng rng = test_rng_seed(7);
    unsigned char record = 0;
    for (int episode = 0; episode < EPISODES; episode++, record++) {
        expect_ok(replay_buffer_begin(b->buffer, 0, &record));
        for (int left = episode % 4; left >= 0; left--) {
            bool terminated = left == 0 && episode % 3 > 0, truncated = left == 0 && !terminated;
            int32_t action = (int32_t)test_rng_below(&rng, ACTIONS);
            float reward = (float)(8 * test_rng_unit(&rng) - 4);
            float priority = (float)(0.1 + 3 * test_rng_unit(&rng));
            uint64_t item = record++;
            expect_ok(
                replay_buffer_add(b->buffer, 0, action, reward, terminated, truncated, &record));
            expect_ok(replay_buffer_set_priorities(b->buffer, &item, &priority, 1));
        }
    }
}

// --- one update

enum { ONLINE, TARGET, NETWORKS };
enum { HERE, NEXT, MOMENTS };

// Quantile fractions: of sampled steps for the online network and for the target network, of what
// followed for the target network, and those an action is chosen by.
enum { DRAWN_HERE, DRAWN_TARGET_HERE, DRAWN_NEXT, EVEN, FRACTION_SETS };
static const char *const fraction_names[] = { "here", "target_here", "next", "even" };

typedef struct twin {
    bench b;
    nn_head head;
    nn_net *net;
    replay_batch *batch;
    nn_noise *noise[NETWORKS]; // NULL unless layers are noisy
    float *parameter[NETWORKS], *gradient; // [layout->size]
    float observation[MOMENTS][ROWS * INPUTS];
    float fraction[FRACTION_SETS][ROWS * WIDEST];

    // What is found. goal: [ROWS, goal_width]; of a mixture [weights, means, deviations] of the
    // components that have weight.
    double loss, mean_q, gradient_norm;
    float goal[ROWS * WIDEST], error[ROWS];
    size_t goal_width;
    int disagreements; // rows where double learning chooses another action
    rl_update update; // what rl_learner_update reports
} twin;

static bool implicit(const twin *t)
{
    return t->head.config.kind == NN_HEAD_IMPLICIT_QUANTILE;
}

// Outputs an action with one of the sets of fractions.
static size_t width_of(const twin *t, int set)
{
    const nn_head_config *head = &t->head.config;
    if (!implicit(t))
        return t->head.width;
    return (size_t)(set == DRAWN_HERE ? head->quantiles
                    : set == EVEN     ? head->acting_quantiles
                                      : head->target_quantiles);
}

static void draw_fractions(twin *t)
{
    gn_random here = gn_random_stream(1, GN_RANDOM_FRACTION, 0);
    gn_random next = gn_random_stream(1, GN_RANDOM_FRACTION, 1);
    for (int set = 0; implicit(t) && set < FRACTION_SETS; set++) {
        size_t width = width_of(t, set);
        if (set == DRAWN_TARGET_HERE && !t->b.config->agent.munchausen)
            continue;
        for (size_t i = 0; i < ROWS * width; i++)
            t->fraction[set][i] = set == EVEN
                                      ? ((float)(i % width) + 0.5f) / (float)width
                                      : (float)gn_random_unit(set == DRAWN_HERE ? &here : &next);
    }
}

// Initial numbers, moved so far that networks often disagree about the best action, and gains,
// shifts and deviations are all different. With this seed no two best values, and no input of a
// ReLU and 0, are closer than 1e-5, so that rounding decides nothing.
static void fill_parameters(twin *t, int network)
{
    const nn_layout *layout = rl_learner_layout(t->b.learner);
    gn_random random = gn_random_stream(16, GN_RANDOM_TEST, (uint32_t)network);
    expect_ok(gn_alloc(&t->parameter[network], layout->size, sizeof(float)));
    nn_layout_initialise(layout, &random, t->parameter[network]);
    for (uint32_t s = 0; s < layout->slice_count; s++)
        for (size_t i = 0; i < nn_slice_size(&layout->slice[s]); i++)
            t->parameter[network][layout->slice[s].offset + i] +=
                (float)gn_random_uniform(&random, -0.6, 0.6);
}

// The learner's networks become those of the case: its target by way of its online network.
static void twin_open(twin *t, const twin_case *c)
{
    *t = (twin){ .b = bench_open(&features_class, c->flag) };
    rl_learner *learner = t->b.learner;
    const nn_layout *layout = rl_learner_layout(learner);
    const rl_agent_config *agent = &t->b.config->agent;
    gn_random random = t->b.random; // the sampler draws the same
    add_episodes(&t->b);
    expect_ok(nn_head_create(&t->head, &t->b.config->head));
    expect_ok(nn_net_create(&t->net, layout, ROWS, WIDEST));
    expect_ok(gn_alloc(&t->gradient, layout->size, sizeof(float)));
    for (int network = TARGET; network >= ONLINE; network--) {
        fill_parameters(t, network);
        memcpy(rl_learner_parameters(learner), t->parameter[network], layout->size * sizeof(float));
        if (network == TARGET)
            expect_ok(rl_learner_update_target(learner));
        gn_random stream = gn_random_stream(1, GN_RANDOM_NOISE, (uint32_t)network);
        if (agent->noisy) {
            expect_ok(nn_noise_create(&t->noise[network], layout));
            nn_noise_draw(t->noise[network], &stream);
        }
    }
    draw_fractions(t);
    expect_ok(replay_batch_create(&t->batch, &(replay_spec){ 1, 1, 1 }, ROWS, 1));
    expect_ok(replay_buffer_sample(
        t->b.buffer, &(replay_draw){ { agent->n_step }, 1, agent->gamma, 1 }, &random, t->batch));
    features_decode(NULL, t->batch->record, t->batch->stride, ROWS, t->observation[HERE]);
    features_decode(NULL, t->batch->next_record[0], t->batch->stride, ROWS, t->observation[NEXT]);
}

static void twin_close(twin *t)
{
    for (int network = 0; network < NETWORKS; network++) {
        nn_noise_destroy(&t->noise[network]);
        gn_free(&t->parameter[network]);
    }
    gn_free(&t->gradient);
    replay_batch_destroy(&t->batch);
    nn_net_destroy(&t->net);
    bench_close(&t->b);
}

static const float *noisy_parameters(twin *t, int network)
{
    const float *parameter = t->parameter[network];
    return t->noise[network] ? nn_noise_apply(t->noise[network], parameter) : parameter;
}

// Outputs of a network and their expected returns.
static void forward(twin *t, int network, int moment, int set, float *ret_out, float *ret_value)
{
    const nn_risk mean = { .kind = NN_RISK_MEAN };
    size_t width = width_of(t, set);
    nn_fractions fractions = { 0 };
    if (implicit(t))
        fractions = (nn_fractions){ t->fraction[set], width };
    expect_ok(nn_net_forward(t->net, noisy_parameters(t, network), t->observation[moment], ROWS,
                             fractions, ret_out));
    nn_head_values(&t->head, ret_out, ROWS * ACTIONS, width, &mean, t->b.config->agent.rescale,
                   ret_value);
}

// Fills t->goal as the head has it.
static void compute_goals(twin *t)
{
    const rl_agent_config *agent = &t->b.config->agent;
    float next_out[ROWS * ACTIONS * WIDEST], out[ROWS * ACTIONS * WIDEST];
    float value[ROWS * ACTIONS], old[ROWS * ACTIONS], reward[ROWS];
    float policy[ROWS * ACTIONS], bonus[ROWS * ACTIONS], old_policy[ACTIONS], log_policy[ACTIONS];
    forward(t, TARGET, NEXT, DRAWN_NEXT, next_out, value);
    if (implicit(t))
        forward(t, TARGET, NEXT, EVEN, out, value);
    if (agent->double_q) {
        memcpy(old, value, sizeof old);
        forward(t, ONLINE, NEXT, EVEN, out, value);
        for (int i = 0; i < ROWS * ACTIONS; i += ACTIONS)
            t->disagreements +=
                rl_choice_argmax(old + i, ACTIONS) != rl_choice_argmax(value + i, ACTIONS);
    }
    if (agent->munchausen)
        forward(t, TARGET, HERE, DRAWN_TARGET_HERE, out, old);
    for (int i = 0; i < ROWS; i++) {
        const float *row = value + i * ACTIONS;
        reward[i] = t->batch->reward[i];
        if (!agent->munchausen) {
            rl_choice_greedy(row, ACTIONS, policy + i * ACTIONS);
            continue;
        }
        rl_choice_softmax(old + i * ACTIONS, ACTIONS, agent->munchausen_temperature, old_policy,
                          log_policy);
        reward[i] += (float)(agent->munchausen_alpha *
                             fmax(log_policy[t->batch->action[i]], agent->munchausen_clip));
        rl_choice_softmax(row, ACTIONS, agent->munchausen_temperature, policy + i * ACTIONS,
                          log_policy);
        for (int a = 0; a < ACTIONS; a++)
            bonus[i * ACTIONS + a] = -log_policy[a];
    }
    const nn_backup backup = { .n = ROWS,
                               .actions = ACTIONS,
                               .width = width_of(t, DRAWN_NEXT),
                               .out = next_out,
                               .reward = reward,
                               .discount = t->batch->discount,
                               .policy = policy,
                               .bonus = agent->munchausen ? bonus : NULL,
                               .rescale = agent->rescale };
    nn_head_target(&t->head, &backup, t->goal);
}

// Leaves out the places of a mixture's target that have no weight.
static void pack_goals(twin *t)
{
    t->goal_width = nn_head_target_width(&t->head, ACTIONS);
    if (t->head.config.kind != NN_HEAD_GAUSSIAN_MIXTURE)
        return;
    size_t places = t->goal_width / 3, count = 0;
    for (size_t i = 0; i < ROWS; i++) {
        float row[WIDEST];
        memcpy(row, t->goal + i * 3 * places, 3 * places * sizeof *row);
        for (size_t part = 0; part < 3; part++)
            for (size_t k = 0; k < places; k++)
                if (row[k] != 0)
                    t->goal[count++] = row[part * places + k];
    }
    t->goal_width = count / ROWS;
}

static void compute_update(twin *t)
{
    float out[ROWS * ACTIONS * WIDEST], chosen[ROWS * WIDEST], grad[ROWS * WIDEST];
    float value[ROWS * ACTIONS];
    size_t width = width_of(t, DRAWN_HERE);
    const nn_layout *layout = rl_learner_layout(t->b.learner);
    compute_goals(t);
    forward(t, ONLINE, HERE, DRAWN_HERE, out, value);
    for (size_t i = 0; i < ROWS; i++) {
        size_t taken = i * ACTIONS + (size_t)t->batch->action[i];
        memcpy(chosen + i * width, out + taken * width, width * sizeof *out);
        t->mean_q += value[taken] / ROWS;
    }
    const nn_head_batch batch = { .n = ROWS,
                                  .width = width,
                                  .target_width = nn_head_target_width(&t->head, ACTIONS),
                                  .out = chosen,
                                  .target = t->goal,
                                  .fraction = implicit(t) ? t->fraction[DRAWN_HERE] : NULL,
                                  .weight = t->batch->weight,
                                  .ret_error = t->error,
                                  .ret_grad = grad };
    t->loss = nn_head_loss(&t->head, &batch);
    expect_ok(nn_net_backward(t->net, noisy_parameters(t, ONLINE), t->observation[HERE],
                              t->batch->action, grad, ROWS, t->gradient));
    if (t->noise[ONLINE])
        nn_noise_backward(t->noise[ONLINE], t->gradient);
    for (size_t i = 0; i < layout->size; i++)
        t->gradient_norm += (double)t->gradient[i] * t->gradient[i];
    t->gradient_norm = sqrt(t->gradient_norm);
    pack_goals(t);
    t->update = update(&t->b);
}

// --- against the golden values

static double number(const json_t *object, const char *key)
{
    const json_t *found = json_object_get(object, key);
    if (!json_is_number(found))
        fail_msg("%s: no number '%s'", golden_path, key);
    return json_number_value(found);
}

static void expect_close(const char *name, const char *what, double found, double expected,
                         double floor)
{
    if (!(fabs(found - expected) <= tolerance * fmax(fabs(expected), floor)))
        fail_msg("%s, %s: %.9g, must be %.9g", name, what, found, expected);
}

// Golden values of an array are its size, its Euclidean norm and some of its numbers, evenly
// spread. Their error is measured by the root of the mean square where they are below it.
static void expect_array(const char *name, const json_t *golden, const char *what,
                         const float *found, size_t size)
{
    const json_t *array = json_object_get(golden, what), *some = json_object_get(array, "some");
    size_t count = json_array_size(some);
    double square = 0;
    if (count == 0 || (size_t)number(array, "size") != size)
        fail_msg("%s, %s: another size than in %s", name, what, golden_path);
    for (size_t i = 0; i < size; i++)
        square += (double)found[i] * found[i];
    expect_close(name, what, sqrt(square), number(array, "norm"), 0);
    for (size_t i = 0; i < count; i++)
        expect_close(name, what, found[i * size / count],
                     json_number_value(json_array_get(some, i)), sqrt(square / (double)size));
}

// Values of the rows cancel in mean_q: differences count relative to 0.1 at least.
static void expect_golden(const twin *t, const char *name, const json_t *golden)
{
    const nn_layout *layout = rl_learner_layout(t->b.learner);
    const json_t *slices = json_object_get(golden, "gradient");
    if (!golden)
        fail_msg("%s: no case '%s'", golden_path, name);
    expect_array(name, golden, "target", t->goal, ROWS * t->goal_width);
    expect_array(name, golden, "error", t->error, ROWS);
    expect_close(name, "loss", t->loss, number(golden, "loss"), 0);
    expect_close(name, "mean_q", t->mean_q, number(golden, "mean_q"), 0.1);
    expect_close(name, "gradient_norm", t->gradient_norm, number(golden, "gradient_norm"), 0);
    expect_close(name, "the learner's loss", t->update.loss, number(golden, "loss"), 0);
    expect_close(name, "the learner's mean_q", t->update.mean_q, number(golden, "mean_q"), 0.1);
    expect_close(name, "the learner's gradient_norm", t->update.gradient_norm,
                 number(golden, "gradient_norm"), 0);
    assert_int_equal(json_object_size(slices), layout->slice_count);
    for (uint32_t i = 0; i < layout->slice_count; i++) {
        const nn_slice *slice = &layout->slice[i];
        expect_array(name, slices, slice->name, t->gradient + slice->offset, nn_slice_size(slice));
    }
}

static void an_update_is_that_of_plain_pytorch(void **state)
{
    (void)state;
    json_error_t error;
    json_t *golden = json_load_file(golden_path, 0, &error);
    const json_t *cases = json_object_get(golden, "cases");
    twin_case c;
    twin t;
    size_t count = 0;
    if (!golden)
        fail_msg("%s:%d: %s", golden_path, error.line, error.text);
    for (; case_at(count, &c); count++) {
        twin_open(&t, &c);
        compute_update(&t);
        expect_golden(&t, c.name, json_object_get(cases, c.name));
        assert_true(t.disagreements > 0 || !t.b.config->agent.double_q);
        twin_close(&t);
    }
    assert_int_equal(count, json_object_size(cases));
    json_decref(golden);
}

// --- export

// A member of an object: [[..], [..]], or one list where columns is 0.
static void append_floats(gn_text *out, const char *name, const float *value, size_t rows,
                          size_t columns)
{
    gn_text_append(out, ",\n\"%s\": [", name);
    for (size_t i = 0; i < rows * (columns + (columns == 0)); i++) {
        bool first = columns && i % columns == 0, last = columns && i % columns == columns - 1;
        gn_text_append(out, "%s%s%.9g%s", i ? ", " : "", first ? "\n[" : "", value[i],
                       last ? "]" : "");
    }
    gn_text_append(out, "]");
}

// The normal numbers e behind count factors f(e) = sign(e) sqrt(|e|), `stride` apart, times
// `scale`.
static void append_normals(gn_text *out, const char *name, const float *factor, size_t stride,
                           double scale, size_t count)
{
    gn_text_append(out, "\"%s\": [", name);
    for (size_t i = 0; i < count; i++) {
        double f = factor[i * stride] * scale;
        gn_text_append(out, "%s%.17g", i ? ", " : "", copysign(f * f, f));
    }
    gn_text_append(out, "]");
}

// The standard normal numbers of each noisy layer, of its inputs and of its outputs. With
// deviations of 1 around 0 the bias is f(e) of the outputs, and a column of the weights that of the
// inputs times one of them.
static void append_noise(gn_text *out, const twin *t, int network)
{
    const nn_layout *layout = rl_learner_layout(t->b.learner);
    const char *separator = "";
    float *unit = NULL;
    expect_ok(gn_alloc(&unit, layout->size, sizeof *unit));
    for (uint32_t i = 0; i < layout->slice_count; i++)
        for (size_t j = 0; j < nn_slice_size(&layout->slice[i]); j++)
            unit[layout->slice[i].offset + j] = layout->slice[i].kind == NN_SLICE_DEVIATION;
    const float *noisy = t->noise[network] ? nn_noise_apply(t->noise[network], unit) : NULL;
    gn_text_append(out, ",\n\"%s_noise\": {", network == ONLINE ? "online" : "target");
    for (uint32_t i = 0; noisy && i < layout->layer_count; i++) {
        const nn_layer *layer = &layout->layer[i];
        const nn_slice *slice = layout->slice + layer->slice; // "layer0.weight", "layer0.bias"
        if (!layer->noisy)
            continue;
        const float *weight = noisy + slice[0].offset, *bias = noisy + slice[1].offset;
        size_t largest = 0;
        for (size_t j = 1; j < layer->outputs; j++)
            largest = fabsf(bias[j]) > fabsf(bias[largest]) ? j : largest;
        gn_text_append(out, "%s\n\"%.*s\": {", separator, (int)strcspn(slice->name, "."),
                       slice->name);
        append_normals(out, "inputs", weight + largest, layer->outputs, 1 / (double)bias[largest],
                       layer->inputs);
        gn_text_append(out, ", ");
        append_normals(out, "outputs", bias, 1, 1, layer->outputs);
        gn_text_append(out, "}");
        separator = ",";
    }
    gn_text_append(out, "}");
    gn_free(&unit);
}

static void compose_case(gn_text *out, const twin *t, const char *name)
{
    const replay_batch *batch = t->batch;
    gn_text_append(out, "{\"name\": \"%s\",\n\"options\": ", name);
    gn_options_json(out, t->b.config->sections);
    gn_text_append(out, ",\n\"actions\": %d", ACTIONS);
    append_floats(out, "observation", t->observation[HERE], ROWS, INPUTS);
    append_floats(out, "next_observation", t->observation[NEXT], ROWS, INPUTS);
    gn_text_append(out, ",\n\"action\": [");
    for (int i = 0; i < ROWS; i++)
        gn_text_append(out, "%s%d", i ? ", " : "", batch->action[i]);
    gn_text_append(out, "]");
    append_floats(out, "reward", batch->reward, ROWS, 0);
    append_floats(out, "discount", batch->discount, ROWS, 0);
    append_floats(out, "weight", batch->weight, ROWS, 0);
    gn_text_append(out, ",\n\"fractions\": {\"set\": \"%s\"", implicit(t) ? "drawn" : "none");
    for (int set = 0; implicit(t) && set < FRACTION_SETS; set++)
        append_floats(out, fraction_names[set], t->fraction[set], ROWS, width_of(t, set));
    gn_text_append(out, "}");
    append_noise(out, t, ONLINE);
    append_noise(out, t, TARGET);
    gn_text_append(out, ",\n\"found\": {\"loss\": %.17g, \"mean_q\": %.17g", t->loss, t->mean_q);
    gn_text_append(out, ", \"gradient_norm\": %.17g", t->gradient_norm);
    gn_text_append(out, ", \"learner_loss\": %.17g, \"learner_mean_q\": %.17g", t->update.loss,
                   t->update.mean_q);
    gn_text_append(out, ", \"learner_gradient_norm\": %.17g", t->update.gradient_norm);
    append_floats(out, "target", t->goal, ROWS, t->goal_width);
    append_floats(out, "error", t->error, ROWS, 0);
    gn_text_append(out, "}}\n");
}

static void export_weights(const char *folder, const char *name, const char *what,
                           const nn_layout *layout, const float *parameter)
{
    char file[128], path[GN_PATH_SIZE];
    void *bytes = NULL;
    size_t size;
    snprintf(file, sizeof file, "%s.%s.safetensors", name, what);
    expect_ok(gn_path_join(path, folder, file));
    expect_ok(nn_safetensors_encode(layout, parameter, &bytes, &size));
    expect_ok(gn_file_write(path, bytes, size));
    gn_free(&bytes);
}

static void export_case(const char *folder, const twin *t, const char *name)
{
    const nn_layout *layout = rl_learner_layout(t->b.learner);
    char file[128], path[GN_PATH_SIZE];
    gn_text text = { 0 };
    compose_case(&text, t, name);
    expect_ok(gn_text_status(&text));
    snprintf(file, sizeof file, "%s.json", name);
    expect_ok(gn_path_join(path, folder, file));
    expect_ok(gn_file_write(path, text.data, text.size));
    gn_text_free(&text);
    export_weights(folder, name, "online", layout, t->parameter[ONLINE]);
    export_weights(folder, name, "target", layout, t->parameter[TARGET]);
    export_weights(folder, name, "gradient", layout, t->gradient);
}

static void export_cases(const char *folder)
{
    twin_case c;
    twin t;
    expect_ok(gn_folder_create(folder));
    for (size_t i = 0; case_at(i, &c); i++) {
        twin_open(&t, &c);
        compute_update(&t);
        export_case(folder, &t, c.name);
        twin_close(&t);
    }
}

int main(int argc, char **argv)
{
    const CMUnitTestFunction tests[] = { an_update_is_that_of_plain_pytorch };
    if (argc == 3 && strcmp(argv[1], "--export") == 0) {
        export_cases(argv[2]);
        return 0;
    }
    return test_main(__FILE__, "an_update_is_that_of_plain_pytorch", tests, 1);
}
