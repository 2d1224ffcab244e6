// Running the real command: arguments in, exit status and both outputs back.

#ifndef TESTS_CLI_COMMAND_H
#define TESTS_CLI_COMMAND_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/thread.h"
#include "tests/rl/small_run.h"

enum { COMMAND_ARGUMENTS = 80, COMMAND_OUTPUT = 1 << 17 };

// How a command is run; {0} is to its end.
typedef struct command_plan {
    int signal; // sent ...
    double after; // ... after this many seconds,
    const char *exists; // or as soon as there is this path
    rlim_t file_size; // largest file it may write; 0 for no limit
    const char *out; // file for its standard output instead of the result
} command_plan;

typedef struct command_result {
    int status; // of exit, or 1000 + signal
    char *out, *err; // valid until the next command
} command_result;

// Waits for the child, sending the signal of the plan when it is time.
static inline int command_wait(pid_t child, const command_plan *plan)
{
    sigset_t child_ended;
    int status = 0;
    double begin = gn_seconds();
    bool sent = plan->signal == 0;
    sigemptyset(&child_ended);
    sigaddset(&child_ended, SIGCHLD);
    while (waitpid(child, &status, WNOHANG) == 0) {
        bool due =
            plan->exists ? gn_path_exists(plan->exists) : gn_seconds() - begin >= plan->after;
        if (!sent && due) {
            kill(child, plan->signal);
            sent = true;
        }
        sigtimedwait(&child_ended, NULL,
                     &(struct timespec){ .tv_nsec = sent ? 100000000 : 500000 });
    }
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

// In the child: outputs to the files, then the command, which ends with the test at the latest.
static inline _Noreturn void command_exec(char **words, const command_plan *plan, FILE *out,
                                          FILE *err, const sigset_t *mask)
{
    const struct rlimit limit = { plan->file_size, plan->file_size };
    int null = open("/dev/null", O_RDONLY);
    bool ready = null >= 0 && dup2(null, 0) == 0 && dup2(fileno(out), 1) == 1 &&
                 dup2(fileno(err), 2) == 2 && sigprocmask(SIG_SETMASK, mask, NULL) == 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (plan->file_size)
        ready = ready && setrlimit(RLIMIT_FSIZE, &limit) == 0;
    if (ready)
        execv(words[0], words);
    _exit(127);
}

static inline void command_read(FILE *file, char ret_text[COMMAND_OUTPUT])
{
    rewind(file);
    size_t size = fread(ret_text, 1, COMMAND_OUTPUT - 1, file);
    assert_true(size < COMMAND_OUTPUT - 1);
    ret_text[size] = '\0';
    fclose(file);
}

// arguments end with NULL.
static inline command_result run_planned(const command_plan *plan, const char *const *arguments)
{
    static char out_text[COMMAND_OUTPUT], err_text[COMMAND_OUTPUT];
    char *words[COMMAND_ARGUMENTS + 2] = { getenv("GANNET_COMMAND") };
    sigset_t child_ended, mask;
    if (!words[0])
        fail_msg("GANNET_COMMAND names no command");
    size_t count = 1;
    for (; *arguments; arguments++) {
        assert_true(count <= COMMAND_ARGUMENTS);
        words[count++] = (char *)*arguments;
    }
    FILE *out = plan->out ? fopen(plan->out, "r+") : tmpfile(), *err = tmpfile();
    assert_true(out && err);
    sigemptyset(&child_ended);
    sigaddset(&child_ended, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child_ended, &mask);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        command_exec(words, plan, out, err, &mask);
    command_result result = { .status = command_wait(child, plan),
                              .out = out_text,
                              .err = err_text };
    sigprocmask(SIG_SETMASK, &mask, NULL);
    if (plan->out)
        fclose(out);
    else
        command_read(out, out_text);
    command_read(err, err_text);
    return result;
}

static inline command_result run_command(const char *const *arguments)
{
    return run_planned(&(command_plan){ 0 }, arguments);
}

#define RUN(...) run_command((const char *const[]){ __VA_ARGS__, NULL })

#define EXPECT_EXIT(wanted, result) expect_exit(wanted, result, __FILE__, __LINE__)
static inline void expect_exit(int wanted, command_result result, const char *file, int line)
{
    if (result.status == wanted)
        return;
    print_error("exit status %d, not %d; stderr:\n%s\n", result.status, wanted, result.err);
    _fail(file, line);
}

static inline size_t count_lines(const char *text)
{
    size_t lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

// --- small runs

enum { COMMAND_CARTPOLE, COMMAND_TRADING };

// A list of arguments under construction.
typedef struct command_words {
    const char *word[COMMAND_ARGUMENTS + 1]; // ends with NULL
    size_t count;
} command_words;

static inline void add_words(command_words *words, const char *const *more)
{
    for (; *more; more++) {
        assert_true(words->count < COMMAND_ARGUMENTS);
        words->word[words->count++] = *more;
    }
    words->word[words->count] = NULL;
}

#define ADD_WORDS(words, ...) add_words(words, (const char *const[]){ __VA_ARGS__, NULL })

// `gannet train` of a run that takes a moment.
static inline command_words small_train(const small_run *small, int kind, const char *folder)
{
    command_words words = { 0 };
    ADD_WORDS(&words, "train", "--out", folder, "--agent=dueling-dqn", "--train.batch=16",
              "--network.hidden=16", "--train.starts=100", "--train.log_every=150",
              "--agent.target_every=100", "--eval.every=500", "--checkpoint.every=300",
              "--replay.capacity=600", "--replay.chunk=64", "--train.envs=2", "--steps");
    if (kind == COMMAND_TRADING)
        ADD_WORDS(&words, "4000", "--data", small->data, "--market.cache", small->cache,
                  "--trading.window=4", "--trading.episode_bars=60",
                  "--features.list=return,return_4,rsi");
    else
        ADD_WORDS(&words, "4000", "--env", "cartpole", "--eval.episodes=2");
    return words;
}

#endif
