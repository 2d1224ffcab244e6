#include "cli/training.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "base/thread.h"
#include "cli/cli.h"

static volatile sig_atomic_t stop_signal; // what a handler can reach

static void on_signal(int number)
{
    stop_signal = number;
}

static void format_duration(double seconds, char ret_text[32])
{
    if (!(seconds < 360000))
        snprintf(ret_text, 32, "--:--");
    else if (seconds >= 3600)
        snprintf(ret_text, 32, "%d:%02d:%02d", (int)(seconds / 3600), (int)(seconds / 60) % 60,
                 (int)seconds % 60);
    else
        snprintf(ret_text, 32, "%d:%02d", (int)(seconds / 60), (int)seconds % 60);
}

static void format_number(double value, char ret_text[32])
{
    if (isnan(value))
        snprintf(ret_text, 32, "-");
    else
        snprintf(ret_text, 32, "%.4g", value);
}

// "42 % 42000/100000 61200/s ep 812 ret 23.1 loss 0.012 eps 0.40 ETA 0:01", cut at the width.
// columns.
static void print_progress(const rl_progress *progress)
{
    char mean_return[32], loss[32], left[32];
    double share = (double)progress->steps / (double)progress->total_steps;
    format_number(progress->mean_return, mean_return);
    format_number(progress->loss, loss);
    format_duration(
        ((double)progress->total_steps - (double)progress->steps) / progress->steps_per_s, left);
    char line[256];
    snprintf(line, sizeof line,
             "%3.0f %% %" PRIu64 "/%" PRIu64 " %.0f/s ep %" PRIu64
             " ret %s loss %s eps %.2f ETA %s",
             100 * fmin(share, 1), progress->steps, progress->total_steps, progress->steps_per_s,
             progress->episodes, mean_return, loss, progress->epsilon, left);
    fprintf(stderr, "%.*s", CLI_WIDTH - 1, line); // one column is left for the cursor
}

// One line drawn over itself on a terminal, a line every few seconds elsewhere.
static void show(void *user, const rl_progress *progress)
{
    const double line_interval = 10;
    double *last_line = user;
    if (isatty(STDERR_FILENO)) {
        fprintf(stderr, "\r");
        print_progress(progress);
        fprintf(stderr, "\033[K");
        return;
    }
    double now = gn_seconds();
    if (now - *last_line < line_interval)
        return;
    *last_line = now;
    print_progress(progress);
    fprintf(stderr, "\n");
}

rl_hooks cli_training_hooks(void)
{
    static double last_line; // when the last plain line was printed
    struct sigaction action = { .sa_handler = on_signal };
    sigemptyset(&action.sa_mask);
    action.sa_flags = (int)(SA_RESTART | SA_RESETHAND); // a second signal ends the process at once
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    last_line = gn_seconds();
    return (
        rl_hooks){ .log = &cli_log, .progress = show, .user = &last_line, .stop = &stop_signal };
}

static void end_progress(const rl_trainer *trainer)
{
    rl_progress progress = rl_trainer_progress(trainer);
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
    print_progress(&progress);
    fprintf(stderr, "\n");
}

static int report_failure(gn_status status, const rl_trainer *trainer, const char *folder)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
    int exit_status = cli_fail(status);
    uint64_t step = rl_trainer_checkpoint(trainer);
    if (status == GN_ERR_CORRUPT)
        fprintf(stderr, "gannet: training stopped; what is damaged: gannet replay verify %s\n",
                folder);
    else if (step)
        fprintf(stderr,
                "gannet: training stopped; to go on from the last checkpoint: "
                "gannet resume %s\n",
                folder);
    else
        fprintf(stderr, "gannet: training stopped before its first checkpoint\n");
    return exit_status;
}

int cli_training_run(rl_trainer *trainer, const char *folder)
{
    rl_progress before = rl_trainer_progress(trainer);
    if (before.steps >= before.total_steps) {
        fprintf(stderr,
                "gannet: nothing to do: the run has its %" PRIu64 " step%s "
                "(--steps N trains on)\n",
                before.steps, gn_plural(before.steps));
        return 0;
    }
    gn_status status = rl_trainer_run(trainer);
    if (status != GN_OK)
        return report_failure(status, trainer, folder);
    end_progress(trainer);
    rl_progress progress = rl_trainer_progress(trainer);
    if (stop_signal && progress.steps < progress.total_steps) {
        fprintf(stderr, "gannet: stopped at step %" PRIu64 "; to go on: gannet resume %s\n",
                progress.steps, folder);
        return 128 + stop_signal;
    }
    fprintf(stderr, "gannet: done in %.1f s; to measure it: gannet eval %s\n", progress.seconds,
            folder);
    return 0;
}
