// `--replay.device cuda` through the whole command: the run is the one that draws on the CPU, byte
// for byte, also where it goes on on the other. Run as tests/replay/test_buffer_device.c is.

#include "tests/cli/command.h"
#include "tests/rl/compare_runs.h"
#include "tests/support/need_device.h"

static void train(const small_run *small, int kind, const char *folder, const char *where)
{
    command_words words = small_train(small, kind, folder);
    ADD_WORDS(&words, "--replay.prioritized=true", "--replay.evict_lowest=0.2",
              "--replay.alpha_final=0.3", "--replay.device", where);
    EXPECT_EXIT(0, run_command(words.word));
}

static void a_run_is_the_same_on_both(void **state)
{
    (void)state;
    need_device();
    small_run small;
    char here[GN_PATH_SIZE], there[GN_PATH_SIZE];
    small_run_open(&small);
    small_run_market(&small);
    for (int kind = COMMAND_CARTPOLE; kind <= COMMAND_TRADING; kind++) {
        run_path(here, small.folder, kind ? "here-trading" : "here");
        run_path(there, small.folder, kind ? "there-trading" : "there");
        train(&small, kind, here, "cpu");
        train(&small, kind, there, "cuda");
        expect_same_outcome(here, there);
        expect_same_replay(here, there);
        EXPECT_EXIT(0, RUN("resume", here, "--steps=5000", "--replay.device=cuda:0"));
        EXPECT_EXIT(0, RUN("resume", there, "--steps=5000", "--replay.device=cpu"));
        expect_same_outcome(here, there);
        expect_same_replay(here, there);
    }
    test_temp_remove(small.folder);
}

static void a_bench_tells_of_its_memory(void **state)
{
    (void)state;
    need_device();
    command_result result = RUN("replay", "bench", "--replay.prioritized=true", "--seconds=0.2",
                                "--replay.capacity=20000", "--replay.device=cuda");
    EXPECT_EXIT(0, result);
    assert_non_null(strstr(result.out, "on the device"));
}

TEST_MAIN(a_run_is_the_same_on_both, a_bench_tells_of_its_memory)
