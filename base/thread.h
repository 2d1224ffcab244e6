// A worker: one background thread that runs one job at a time, in the order they were given.

#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include "base/status.h"

typedef struct gn_worker gn_worker;

gn_status gn_worker_create(gn_worker **ret_worker);

// Waits for the running job, then ends the thread. NULL-safe.
void gn_worker_destroy(gn_worker **worker);

// Waits until the worker is idle, then hands it the next job.
// Errors: the status and text of the job before, where nobody waited for it; then the new job is
// not started.
gn_status gn_worker_start(gn_worker *worker, gn_status (*job)(void *user), void *user);

// Waits until the worker is idle. Returns the status of the last job and records its error text in
// the calling thread; a failure is reported once.
gn_status gn_worker_wait(gn_worker *worker);

// Seconds on the monotonic clock.
double gn_seconds(void);

#endif
