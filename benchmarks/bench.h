// What benchmarks share: samples within a time budget after a warm-up, reported as one JSON line
// {name, unit, median, min, max, samples, commit, cpu} on stdout.
//
//     bench run = bench_begin("replay.sample", "batches/s", 2);
//     while (bench_next(&run)) {
//         ... BATCHES batches ...
//         bench_sample(&run, BATCHES / bench_elapsed(&run));
//     }
//     bench_report(&run);
//
// A sample should take 10 ms or more.

#ifndef BENCHMARKS_BENCH_H
#define BENCHMARKS_BENCH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum { BENCH_SAMPLES_MAX = 1024, BENCH_SAMPLES_MIN = 5 };

typedef struct bench {
    const char *name, *unit;
    double budget_s;
    double begun, started; // seconds: of the first counted sample, of the current one
    size_t warmups, samples;
    double sample[BENCH_SAMPLES_MAX];
} bench;

bench bench_begin(const char *name, const char *unit, double budget_s);

// Starts the clock of the next sample; false when the budget is spent.
bool bench_next(bench *run);

// Seconds since bench_next.
double bench_elapsed(const bench *run);

// Records the value of this sample in the unit of the benchmark; warm-up samples are dropped.
void bench_sample(bench *run, double value);

// Prints the JSON line. `run->name` may be anything without quotes.
void bench_report(bench *run);

// The budget in seconds of a program whose only flag is --seconds S; 1 without it. Anything else
// ends the program with its usage.
double bench_seconds(int count, char **argument);

// Lets this thread, and those it creates from now on, run on every core the machine has.
void bench_free_cores(void);

// Ends the program with the error text on stderr if a call of the library failed.
void bench_need(gn_status status);

#endif
