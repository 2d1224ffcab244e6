#define _GNU_SOURCE // sched_setaffinity
#include "benchmarks/bench.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"

enum { WARMUPS = 2, LINE_SIZE = 256 };

double bench_seconds(int count, char **argument)
{
    if (count == 3 && strcmp(argument[1], "--seconds") == 0)
        return atof(argument[2]);
    if (count == 1)
        return 1;
    fprintf(stderr, "usage: %s [--seconds S]\n", argument[0]);
    exit(2);
}

bench bench_begin(const char *name, const char *unit, double budget_s)
{
    return (bench){ .name = name, .unit = unit, .budget_s = budget_s };
}

bool bench_next(bench *run)
{
    double now = gn_seconds();
    if (run->samples == 0)
        run->begun = now;
    bool enough = run->samples >= BENCH_SAMPLES_MIN && now - run->begun > run->budget_s;
    if (enough || run->samples == BENCH_SAMPLES_MAX)
        return false;
    run->started = gn_seconds();
    return true;
}

double bench_elapsed(const bench *run)
{
    return gn_seconds() - run->started;
}

void bench_sample(bench *run, double value)
{
    if (run->warmups < WARMUPS)
        run->warmups++;
    else
        run->sample[run->samples++] = value;
}

// First line that `file` gives with the prefix, without prefix and newline.
static void find_line(FILE *file, const char *prefix, char *ret_line)
{
    char line[LINE_SIZE];
    strcpy(ret_line, "unknown");
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, prefix, strlen(prefix)) != 0)
            continue;
        line[strcspn(line, "\n")] = '\0';
        strcpy(ret_line, line + strlen(prefix));
        return;
    }
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

void bench_report(bench *run)
{
    char commit[LINE_SIZE], cpu[LINE_SIZE];
    FILE *git = popen("git describe --always --dirty --abbrev=12 2>/dev/null", "r");
    find_line(git, "", commit);
    if (git)
        pclose(git);
    FILE *cpuinfo = fopen("/proc/cpuinfo", "r");
    find_line(cpuinfo, "model name\t: ", cpu);
    if (cpuinfo)
        fclose(cpuinfo);

    size_t n = run->samples;
    qsort(run->sample, n, sizeof *run->sample, compare);
    double median = (run->sample[(n - 1) / 2] + run->sample[n / 2]) / 2;
    printf("{\"name\": \"%s\", \"unit\": \"%s\", \"median\": %.6g, \"min\": %.6g, \"max\": %.6g, "
           "\"samples\": %zu, \"commit\": \"%s\", \"cpu\": \"%s\"}\n",
           run->name, run->unit, median, run->sample[0], run->sample[n - 1], n, commit, cpu);
    fflush(stdout);
}

void bench_free_cores(void)
{
    cpu_set_t all;
    memset(&all, 0xff, sizeof all);
    sched_setaffinity(0, sizeof all, &all);
}

void bench_need(gn_status status)
{
    if (status == GN_OK)
        return;
    fprintf(stderr, "%s: %s\n", gn_status_text(status), gn_error_text());
    exit(1);
}
