// A queue: one background thread that works off items in the order they were put, a bounded number
// at a time. Who puts into a full queue waits (back-pressure).
//
// An item that fails stays where it is. The next put or wait reports the failure, once, and lets
// the thread try the item again: a full disk can be mended and nothing is lost.
//
// Threads: put, drop and destroy by one owner; wait and finished by anyone.

#ifndef BASE_QUEUE_H
#define BASE_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct gn_queue gn_queue;

typedef gn_status (*gn_queue_work)(void *user, void *item);

// depth: items put and not finished, at most.  Errors: GN_ERR_MEMORY, GN_ERR_IO.
gn_status gn_queue_create(gn_queue **ret_queue, size_t depth, gn_queue_work work, void *user);

// Ends the thread after the item it works on; what was not begun is dropped. NULL-safe.
void gn_queue_destroy(gn_queue **queue);

// Puts an item; its ticket counts the items put, from 1.
// Errors: those of the work, of an item put before; then this one was not put.
gn_status gn_queue_put(gn_queue *queue, void *item, uint64_t *ret_ticket);

// Waits until the item of a ticket is finished.  Errors: those of the work, of it or one before.
gn_status gn_queue_wait(gn_queue *queue, uint64_t ticket);

// Items finished, in the order they were put: those with tickets up to this one.
uint64_t gn_queue_finished(const gn_queue *queue);

// Waits for the item being worked on and forgets those after it, and any failure. All count as
// finished: who waits for one of them waits no longer.
void gn_queue_drop(gn_queue *queue);

// Seconds that put has waited for room since create.
double gn_queue_stalled(const gn_queue *queue);

#endif
