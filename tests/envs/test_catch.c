// Catch: a player who sees only pixels and never misses, the picture, the flicker, what is refused.

#include "envs/pixel/catch.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "envs/vec_env.h"
#include "tests/support/check.h"

static gn_status create(vec_env **ret_env, const catch_config *config, uint32_t copies,
                        uint64_t seed)
{
    const env_context context = { .copies = copies, .seed = seed, .purpose = GN_RANDOM_ENV };
    return vec_env_create(ret_env, &catch_class, config, &context);
}

static vec_env *create_ok(const catch_config *config, uint32_t copies, uint64_t seed)
{
    vec_env *env;
    expect_ok(create(&env, config, copies, seed));
    return env;
}

static const catch_config defaults = { .rows = 21, .columns = 21, .stack = 1 };

static const unsigned char *frame_of(const vec_env *env, uint32_t copy)
{
    return vec_env_last(env)->record + (size_t)copy * CATCH_PIXELS;
}

// Column of the first pixel of this grey, or -1.
static int find(const unsigned char *frame, unsigned char grey)
{
    const unsigned char *pixel = memchr(frame, grey, CATCH_PIXELS);
    return pixel ? (int)((pixel - frame) % CATCH_SIDE) : -1;
}

static int32_t look_and_move(const unsigned char *frame)
{
    int ball = find(frame, CATCH_BALL), paddle = find(frame, CATCH_PADDLE);
    return ball < paddle ? CATCH_LEFT : ball > paddle ? CATCH_RIGHT : CATCH_STAY;
}

static void a_player_who_sees_the_pixels_never_misses(void **state)
{
    (void)state;
    enum { COPIES = 50 };
    static const int grids[][2] = { { 21, 21 }, { 84, 84 }, { 12, 6 }, { 2, 3 }, { 14, 21 } };
    for (size_t g = 0; g < sizeof grids / sizeof *grids; g++) {
        catch_config config = { .rows = grids[g][0], .columns = grids[g][1], .stack = 1 };
        vec_env *env = create_ok(&config, COPIES, 1);
        const vec_env_step_view *last = vec_env_last(env);
        for (int64_t step = 1; step <= 5 * (config.rows - 1); step++) {
            int32_t action[COPIES];
            for (uint32_t i = 0; i < COPIES; i++)
                action[i] = look_and_move(frame_of(env, i));
            expect_ok(vec_env_step(env, action));
            bool lands = step % (config.rows - 1) == 0;
            for (uint32_t i = 0; i < COPIES; i++) {
                assert_int_equal(last->terminated[i], lands);
                assert_int_equal(last->truncated[i], 0);
                assert_true(last->reward[i] == lands);
                assert_true(!lands || last->episode_return[i] == 1);
            }
        }
        vec_env_destroy(&env);
    }
}

static void a_ball_beside_the_paddle_is_missed(void **state)
{
    (void)state;
    enum { COPIES = 400 };
    vec_env *env = create_ok(&defaults, COPIES, 2);
    static int32_t stay[COPIES];
    static bool under[COPIES];
    uint64_t seen[21] = { 0 };
    for (uint32_t i = 0; i < COPIES; i++) {
        stay[i] = CATCH_STAY;
        int column = find(frame_of(env, i), CATCH_BALL) / 4;
        seen[column]++;
        under[i] = column == 10;
    }
    for (int column = 0; column < 21; column++)
        assert_true(seen[column] > 5 && seen[column] < 40); // 19 are expected
    for (int step = 0; step < 20; step++)
        expect_ok(vec_env_step(env, stay));
    for (uint32_t i = 0; i < COPIES; i++)
        assert_true(vec_env_last(env)->reward[i] == (under[i] ? 1 : -1));
    vec_env_destroy(&env);
}

// The picture of a 3 x 2 grid: cells of 28 x 42 pixels.
static void a_frame_shows_ball_and_paddle_and_nothing_else(void **state)
{
    (void)state;
    static const int32_t moves[][1] = { { CATCH_LEFT }, { CATCH_LEFT } };
    const catch_config config = { .rows = 3, .columns = 2, .stack = 1 };
    for (uint64_t seed = 0; seed < 4; seed++) {
        vec_env *env = create_ok(&config, 1, seed);
        int ball = find(frame_of(env, 0), CATCH_BALL) / 42;
        for (int row = 0; row <= 2; row++) {
            const unsigned char *frame =
                row < 2 ? frame_of(env, 0) : vec_env_last(env)->final_record;
            int paddle = row == 0; // starts in column 1, then stays at the edge
            for (int y = 0; y < 84; y++) {
                for (int x = 0; x < 84; x++) {
                    bool is_ball = y / 28 == row && x / 42 == ball;
                    bool is_paddle = y / 28 == 2 && x / 42 == paddle;
                    int expected = is_ball ? CATCH_BALL : is_paddle ? CATCH_PADDLE : 0;
                    assert_int_equal(frame[y * 84 + x], expected);
                }
            }
            if (row < 2)
                expect_ok(vec_env_step(env, moves[row]));
        }
        vec_env_destroy(&env);
    }
}

static void noise_flickers_that_share_of_the_pixels_anew_each_frame(void **state)
{
    (void)state;
    enum { FRAMES = 200 };
    static unsigned char before[CATCH_PIXELS];
    static const double shares[] = { 0.05, 0.5, 1 };
    for (size_t s = 0; s < sizeof shares / sizeof *shares; s++) {
        catch_config config = defaults;
        config.noise = shares[s];
        vec_env *env = create_ok(&config, 1, 3);
        double grey = 0, same = 0;
        uint64_t value[256] = { 0 };
        for (int i = 0; i < FRAMES; i++) {
            const unsigned char *frame = frame_of(env, 0);
            for (int k = 0; k < CATCH_PIXELS; k++) {
                grey += frame[k] != 0 && frame[k] != CATCH_BALL && frame[k] != CATCH_PADDLE;
                same += frame[k] != 0 && frame[k] == before[k];
                value[frame[k]]++;
            }
            memcpy(before, frame, sizeof before);
            expect_ok(vec_env_step(env, (int32_t[]){ CATCH_STAY }));
        }
        double pixels = (double)FRAMES * CATCH_PIXELS;
        double expected = shares[s] * 253 / 256; // three greys are the picture's own
        assert_true(fabs(grey / pixels - expected) < 0.003);
        assert_true(same / pixels < shares[s] * shares[s] / 256 + 0.005); // but for the picture
        for (int v = 1; v < 255; v++) {
            double found = (double)value[v] / pixels * 256 / shares[s];
            assert_true(v == CATCH_PADDLE || fabs(found - 1) < 0.2);
        }
        vec_env_destroy(&env);
    }
}

static void copies_flicker_each_in_its_own_way_and_as_often_as_asked_the_same(void **state)
{
    (void)state;
    catch_config config = defaults;
    config.noise = 0.5;
    vec_env *env = create_ok(&config, 2, 4), *twin = create_ok(&config, 2, 4);
    assert_true(memcmp(frame_of(env, 0), frame_of(env, 1), CATCH_PIXELS) != 0);
    assert_memory_equal(frame_of(env, 0), frame_of(twin, 0), 2 * CATCH_PIXELS);
    unsigned char again[2 * CATCH_PIXELS];
    catch_class.record(vec_env_object(env), again);
    assert_memory_equal(again, frame_of(env, 0), sizeof again);
    vec_env_destroy(&env);
    vec_env_destroy(&twin);
}

static void grids_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    vec_env *env = NULL;
    catch_config config = defaults;
    config.rows = 20;
    expect_fails(GN_ERR_CONFIG, "catch.rows: 20 does not divide the 84 pixels of a frame",
                 create(&env, &config, 1, 0));
    config = defaults;
    config.columns = 10;
    expect_fails(GN_ERR_CONFIG, "catch.columns: 10 does not divide", create(&env, &config, 1, 0));
    config = (catch_config){ .rows = 7, .columns = 14, .stack = 1 };
    expect_fails(GN_ERR_CONFIG, "catch.columns: 14 are too many to cross in the 6 steps",
                 create(&env, &config, 1, 0));
    config = defaults;
    config.stack = 17;
    expect_fails(GN_ERR_CONFIG, "catch.stack: 17 is not in 1 .. 16", create(&env, &config, 1, 0));
    assert_null(env);
}

static void expect_refused(gn_blob *blob, const catch_config *config, const char *part)
{
    vec_env *other = create_ok(config, 1, 5);
    gn_blob in = { .data = blob->data, .size = blob->size };
    expect_fails(GN_ERR_CONFIG, part, vec_env_load(other, &in));
    vec_env_destroy(&other);
}

static void a_state_of_other_options_is_refused(void **state)
{
    (void)state;
    catch_config config = defaults;
    vec_env *env = create_ok(&config, 1, 5);
    gn_blob blob = { 0 };
    vec_env_save(env, &blob);
    config.rows = 28;
    expect_refused(&blob, &config, "catch.rows: 21 in the saved state, 28 here");
    config = defaults;
    config.columns = 7;
    expect_refused(&blob, &config, "catch.columns: 21 in the saved state, 7 here");
    config = defaults;
    config.noise = 0.25;
    expect_refused(&blob, &config, "catch.noise: 0 in the saved state, 0.25 here");
    config = defaults;
    config.stack = 4;
    expect_refused(&blob, &config, "catch: stacks of 1 records in the saved state, 4 here");
    gn_blob_free(&blob);
    vec_env_destroy(&env);
}

static void a_ball_outside_the_grid_is_corrupt(void **state)
{
    (void)state;
    vec_env *env = create_ok(&defaults, 1, 6);
    for (size_t field = 0; field < 3; field++) {
        gn_blob blob = { 0 };
        vec_env_save(env, &blob);
        const size_t copy_size = 3 * sizeof(uint64_t) + sizeof(gn_random);
        memset(blob.data + blob.size - copy_size + field * sizeof(uint64_t), 0xff, 8);
        gn_blob in = { .data = blob.data, .size = blob.size };
        expect_fails(GN_ERR_CORRUPT, "copy 0 is outside", vec_env_load(env, &in));
        gn_blob_free(&blob);
    }
    vec_env_destroy(&env);
}

TEST_MAIN(a_player_who_sees_the_pixels_never_misses, a_ball_beside_the_paddle_is_missed,
          a_frame_shows_ball_and_paddle_and_nothing_else,
          noise_flickers_that_share_of_the_pixels_anew_each_frame,
          copies_flicker_each_in_its_own_way_and_as_often_as_asked_the_same,
          grids_that_do_not_fit_are_refused, a_state_of_other_options_is_refused,
          a_ball_outside_the_grid_is_corrupt)
