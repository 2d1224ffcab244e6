// Windows against a naive history, and bytes that become floats where they lie.

#include "envs/observe.h"

#include <string.h>

#include "base/mem.h"
#include "tests/support/check.h"

static void a_window_holds_the_last_records_of_its_episode(void **state)
{
    (void)state;
    enum { RECORD = 3, STACK_MAX = 5, STEPS = 40 };
    test_rng rng = test_rng_seed(1);
    for (uint32_t stack = 1; stack <= STACK_MAX; stack++) {
        const env_spec spec = { .record_size = RECORD, .stack = stack };
        unsigned char history[STEPS][RECORD], window[STACK_MAX][RECORD];
        assert_int_equal(env_window_size(&spec), stack * RECORD);
        for (int begun = 0, now = 0; now < STEPS; now++) {
            for (int i = 0; i < RECORD; i++)
                history[now][i] = (unsigned char)test_rng_next(&rng);
            if (now == 0 || test_rng_below(&rng, 6) == 0) {
                begun = now;
                env_window_begin(&spec, history[now], window[0]);
            } else {
                env_window_push(&spec, history[now], window[0]);
            }
            for (int k = 0; k < (int)stack; k++) {
                int at = now - (int)stack + 1 + k;
                assert_memory_equal(window[k], history[at < begun ? begun : at], RECORD);
            }
        }
    }
}

// An environment of which only decode is used: its observation is its record.
static void copy_rows(const void *env, const unsigned char *record, size_t stride, size_t n,
                      void *ret_observation)
{
    const env_spec *spec = env;
    for (size_t i = 0; i < n; i++)
        memcpy((unsigned char *)ret_observation + i * spec->observation_size, record + i * stride,
               spec->observation_size);
}

static const env_class copying = { .decode = copy_rows };

static void bytes_become_floats_of_0_to_1(void **state)
{
    (void)state;
    enum { ROWS = 3, STRIDE = 1100, GUARD = 4 };
    static unsigned char record[ROWS * STRIDE];
    test_rng rng = test_rng_seed(2);
    for (size_t i = 0; i < sizeof record; i++)
        record[i] = (unsigned char)test_rng_next(&rng);
    for (size_t elements = 1; elements < STRIDE; elements += elements < 20 ? 1 : 59) {
        const env_spec spec = { .dtype = ENV_UINT8,
                                .observation_elements = elements,
                                .observation_size = elements };
        float *value = NULL;
        expect_ok(gn_alloc(&value, ROWS * elements + GUARD, sizeof *value));
        env_decode_float(&copying, &spec, &spec, record, STRIDE, ROWS, value);
        for (size_t row = 0; row < ROWS; row++)
            for (size_t i = 0; i < elements; i++)
                assert_true(value[row * elements + i] == (float)record[row * STRIDE + i] / 255.0f);
        for (size_t i = 0; i < GUARD; i++)
            assert_true(value[ROWS * elements + i] == 0);
        gn_free(&value);
    }
}

static void floats_stay_as_they_are(void **state)
{
    (void)state;
    const float record[] = { 1, -2.5f, 3e38f, 4, 5, 6 };
    const env_spec spec = { .observation_elements = 2, .observation_size = 2 * sizeof(float) };
    float value[4];
    env_decode_float(&copying, &spec, &spec, (const unsigned char *)record, sizeof(float), 2,
                     value);
    const float expected[] = { 1, -2.5f, -2.5f, 3e38f }; // rows may overlap
    assert_memory_equal(value, expected, sizeof expected);
}

TEST_MAIN(a_window_holds_the_last_records_of_its_episode, bytes_become_floats_of_0_to_1,
          floats_stay_as_they_are)
