// A ring of items and two counters: items put and items finished. The thread works on item
// `finished`; the owner writes item `put`.

#include "base/queue.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/thread.h"

struct gn_queue {
    pthread_t thread;
    pthread_mutex_t mutex; // guards everything below but `finished`, which is also read without
    pthread_cond_t changed;
    gn_queue_work work;
    void *user;
    void **item; // [depth], of ticket t: (t - 1) % depth
    size_t depth;
    uint64_t put;
    _Atomic uint64_t finished;
    bool working, failed, stopping;
    bool dropping; // nothing is begun meanwhile
    gn_status status; // of the failure
    char error[1024];
    double stalled;
};

static void *work_off(void *argument)
{
    gn_queue *queue = argument;
    pthread_mutex_lock(&queue->mutex);
    while (!queue->stopping) {
        uint64_t next = queue->finished;
        if (next == queue->put || queue->failed || queue->dropping) {
            pthread_cond_wait(&queue->changed, &queue->mutex);
            continue;
        }
        queue->working = true;
        pthread_mutex_unlock(&queue->mutex);
        gn_status status = queue->work(queue->user, queue->item[next % queue->depth]);
        pthread_mutex_lock(&queue->mutex);
        queue->working = false;
        if (status == GN_OK) {
            queue->finished = next + 1;
        } else {
            queue->failed = true;
            queue->status = status;
            snprintf(queue->error, sizeof queue->error, "%s", gn_error_text());
        }
        pthread_cond_broadcast(&queue->changed);
    }
    pthread_mutex_unlock(&queue->mutex);
    return NULL;
}

gn_status gn_queue_create(gn_queue **ret_queue, size_t depth, gn_queue_work work, void *user)
{
    gn_queue *queue;
    GN_TRY(gn_alloc(&queue, 1, sizeof *queue));
    gn_status status = gn_alloc(&queue->item, depth, sizeof *queue->item);
    if (status != GN_OK) {
        gn_free(&queue);
        return status;
    }
    queue->depth = depth;
    queue->work = work;
    queue->user = user;
    pthread_mutex_init(&queue->mutex, NULL);
    pthread_cond_init(&queue->changed, NULL);
    int error = pthread_create(&queue->thread, NULL, work_off, queue);
    if (error != 0) {
        pthread_cond_destroy(&queue->changed);
        pthread_mutex_destroy(&queue->mutex);
        gn_free(&queue->item);
        gn_free(&queue);
        return gn_fail_errno(error, "cannot start a queue's thread");
    }
    *ret_queue = queue;
    return GN_OK;
}

void gn_queue_destroy(gn_queue **queue)
{
    gn_queue *self = *queue;
    if (!self)
        return;
    pthread_mutex_lock(&self->mutex);
    self->stopping = true;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
    pthread_join(self->thread, NULL);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->mutex);
    gn_free(&self->item);
    gn_free(queue);
}

// Under the mutex: hands out a failure and lets the thread try again.
static gn_status report(gn_queue *queue)
{
    if (!queue->failed)
        return GN_OK;
    queue->failed = false;
    pthread_cond_broadcast(&queue->changed);
    return gn_fail(queue->status, "%s", queue->error);
}

gn_status gn_queue_put(gn_queue *queue, void *item, uint64_t *ret_ticket)
{
    pthread_mutex_lock(&queue->mutex);
    if (queue->put - queue->finished == queue->depth && !queue->failed) {
        double since = gn_seconds();
        while (queue->put - queue->finished == queue->depth && !queue->failed)
            pthread_cond_wait(&queue->changed, &queue->mutex);
        queue->stalled += gn_seconds() - since;
    }
    gn_status status = report(queue);
    if (status == GN_OK) {
        queue->item[queue->put++ % queue->depth] = item;
        *ret_ticket = queue->put;
        pthread_cond_broadcast(&queue->changed);
    }
    pthread_mutex_unlock(&queue->mutex);
    return status;
}

gn_status gn_queue_wait(gn_queue *queue, uint64_t ticket)
{
    if (queue->finished >= ticket)
        return GN_OK;
    pthread_mutex_lock(&queue->mutex);
    while (queue->finished < ticket && !queue->failed)
        pthread_cond_wait(&queue->changed, &queue->mutex);
    gn_status status = queue->finished >= ticket ? GN_OK : report(queue);
    pthread_mutex_unlock(&queue->mutex);
    return status;
}

uint64_t gn_queue_finished(const gn_queue *queue)
{
    return queue->finished;
}

void gn_queue_drop(gn_queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    queue->dropping = true;
    while (queue->working)
        pthread_cond_wait(&queue->changed, &queue->mutex);
    queue->dropping = queue->failed = false;
    queue->finished = queue->put;
    pthread_cond_broadcast(&queue->changed); // who waits for what was dropped
    pthread_mutex_unlock(&queue->mutex);
}

double gn_queue_stalled(const gn_queue *queue)
{
    return queue->stalled;
}
