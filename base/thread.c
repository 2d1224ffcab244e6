// One background thread with one slot for a job: starting waits for the slot, so jobs run in the
// order they were given and there is no queue.

#include "base/thread.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "base/mem.h"

struct gn_worker {
    pthread_t thread;
    pthread_mutex_t mutex; // guards everything below
    pthread_cond_t changed; // job given, job done, or stopping
    gn_status (*job)(void *); // NULL: idle
    void *user;
    bool stopping;
    gn_status status; // of the last job, until somebody was told
    char error[1024]; // its text: gn_error_text belongs to a thread
};

static void *run_jobs(void *argument)
{
    gn_worker *worker = argument;
    pthread_mutex_lock(&worker->mutex);
    for (;;) {
        while (worker->job == NULL && !worker->stopping)
            pthread_cond_wait(&worker->changed, &worker->mutex);
        if (worker->job == NULL)
            break;
        pthread_mutex_unlock(&worker->mutex);
        gn_status status = worker->job(worker->user); // nobody changes job and user meanwhile
        pthread_mutex_lock(&worker->mutex);
        worker->status = status;
        if (status != GN_OK)
            snprintf(worker->error, sizeof worker->error, "%s", gn_error_text());
        worker->job = NULL;
        pthread_cond_broadcast(&worker->changed);
    }
    pthread_mutex_unlock(&worker->mutex);
    return NULL;
}

// Under the mutex: waits until the worker is idle and reports the last job's failure once.
static gn_status wait_idle(gn_worker *worker)
{
    while (worker->job != NULL)
        pthread_cond_wait(&worker->changed, &worker->mutex);
    gn_status status = worker->status;
    worker->status = GN_OK;
    return status == GN_OK ? GN_OK : gn_fail(status, "%s", worker->error);
}

gn_status gn_worker_create(gn_worker **ret_worker)
{
    gn_worker *worker = NULL;
    GN_TRY(gn_alloc(&worker, 1, sizeof *worker));
    pthread_mutex_init(&worker->mutex, NULL);
    pthread_cond_init(&worker->changed, NULL);
    int error = pthread_create(&worker->thread, NULL, run_jobs, worker);
    if (error != 0) {
        pthread_cond_destroy(&worker->changed);
        pthread_mutex_destroy(&worker->mutex);
        gn_free(&worker);
        return gn_fail_errno(error, "cannot start a worker thread");
    }
    *ret_worker = worker;
    return GN_OK;
}

void gn_worker_destroy(gn_worker **worker)
{
    if (*worker == NULL)
        return;
    pthread_mutex_lock(&(*worker)->mutex);
    (*worker)->stopping = true;
    pthread_cond_broadcast(&(*worker)->changed);
    pthread_mutex_unlock(&(*worker)->mutex);
    pthread_join((*worker)->thread, NULL);
    pthread_cond_destroy(&(*worker)->changed);
    pthread_mutex_destroy(&(*worker)->mutex);
    gn_free(worker);
}

gn_status gn_worker_start(gn_worker *worker, gn_status (*job)(void *user), void *user)
{
    pthread_mutex_lock(&worker->mutex);
    gn_status status = wait_idle(worker);
    if (status == GN_OK) {
        worker->job = job;
        worker->user = user;
        pthread_cond_broadcast(&worker->changed);
    }
    pthread_mutex_unlock(&worker->mutex);
    return status;
}

gn_status gn_worker_wait(gn_worker *worker)
{
    pthread_mutex_lock(&worker->mutex);
    gn_status status = wait_idle(worker);
    pthread_mutex_unlock(&worker->mutex);
    return status;
}

double gn_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
