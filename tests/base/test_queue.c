// The queue: order, bounded depth, failures told once and tried again, dropping, waiters in other
// threads, and random operations against a model. Logs are plain (not atomic): the thread sanitizer
// sees a missing hand-over.

#include "base/queue.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "tests/support/check.h"

enum { ITEMS = 2000 };

typedef struct item {
    int number;
    int failures; // how often working on it fails
} item;

// What a queue of the tests works for.
typedef struct works {
    int done[ITEMS], count; // the thread's until it is idle or its items are waited for
    _Atomic int failed; // attempts
    _Atomic int put; // puts that returned
    size_t depth; // 0: not checked
    bool overfull; // more was put than fits
    _Atomic bool begun; // the thread has taken an item
    _Atomic bool gate; // work goes on once it is set
} works;

static gn_status note(void *user, void *of)
{
    works *self = user;
    item *next = of;
    self->begun = true;
    while (!self->gate)
        sched_yield();
    if (self->depth > 0 && (size_t)self->put > (size_t)self->count + self->depth)
        self->overfull = true;
    if (next->failures > 0) {
        next->failures--;
        self->failed++;
        return gn_fail(GN_ERR_FULL, "item %d: no space left", next->number);
    }
    self->done[self->count++] = next->number;
    return GN_OK;
}

static gn_queue *open_queue(size_t depth, works *self)
{
    gn_queue *queue = NULL;
    expect_ok(gn_queue_create(&queue, depth, note, self));
    return queue;
}

static void items_are_worked_off_in_order_and_never_more_than_fit(void **state)
{
    (void)state;
    for (size_t depth = 1; depth <= 9; depth += 4) {
        works self = { .depth = depth };
        gn_queue *queue = open_queue(depth, &self);
        static item items[ITEMS];
        uint64_t ticket = 0;
        for (int i = 0; i < ITEMS; i++) {
            items[i] = (item){ .number = i };
            if ((size_t)i == depth) // this many fit while nothing is finished
                self.gate = true;
            expect_ok(gn_queue_put(queue, &items[i], &ticket));
            self.put++;
            assert_int_equal(ticket, i + 1);
            assert_true(gn_queue_finished(queue) <= ticket);
            assert_true(gn_queue_finished(queue) + depth >= ticket);
        }
        expect_ok(gn_queue_wait(queue, ticket));
        expect_ok(gn_queue_wait(queue, 1));
        assert_int_equal(gn_queue_finished(queue), ITEMS);
        assert_int_equal(self.count, ITEMS);
        assert_false(self.overfull);
        for (int i = 0; i < ITEMS; i++)
            assert_int_equal(self.done[i], i);
        assert_true(gn_queue_stalled(queue) >= 0);
        gn_queue_destroy(&queue);
        assert_null(queue);
        gn_queue_destroy(&queue);
    }
}

static void a_failure_is_told_once_and_the_item_tried_again(void **state)
{
    (void)state;
    works self = { .gate = true };
    gn_queue *queue = open_queue(4, &self);
    item items[] = { { 0, 2 }, { 1, 0 }, { 2, 1 }, { 3, 0 } };
    uint64_t ticket = 0, other = 77;
    expect_ok(gn_queue_put(queue, &items[0], &ticket));
    expect_fails(GN_ERR_FULL, "item 0: no space left", gn_queue_wait(queue, ticket));
    expect_fails(GN_ERR_FULL, "item 0: no space left", gn_queue_wait(queue, ticket));
    expect_ok(gn_queue_wait(queue, ticket));
    expect_ok(gn_queue_put(queue, &items[2], &ticket));
    while (self.failed < 3)
        sched_yield();
    while (gn_queue_put(queue, &items[1], &other) == GN_OK) // until it was told
        assert_int_equal(other, ++ticket);
    assert_non_null(strstr(gn_error_text(), "item 2: no space left"));
    expect_ok(gn_queue_put(queue, &items[3], &other));
    assert_int_equal(other, ticket + 1); // the one that failed was not put
    expect_ok(gn_queue_wait(queue, other));
    assert_int_equal(self.count, other);
    assert_int_equal(self.done[0], 0);
    assert_int_equal(self.done[1], 2);
    assert_int_equal(self.done[self.count - 1], 3);
    items[1].failures = 1;
    expect_ok(gn_queue_put(queue, &items[1], &ticket));
    expect_fails(GN_ERR_FULL, "item 1: no space left", gn_queue_wait(queue, ticket));
    expect_ok(gn_queue_wait(queue, ticket));
    gn_queue_destroy(&queue);
}

// A full queue whose first item fails: the put that waits for room is told.
static void a_put_that_waits_is_told_of_the_failure(void **state)
{
    (void)state;
    works self = { .gate = true };
    gn_queue *queue = open_queue(1, &self);
    item items[] = { { 0, 1 }, { 1, 0 } };
    uint64_t ticket = 0;
    expect_ok(gn_queue_put(queue, &items[0], &ticket));
    expect_fails(GN_ERR_FULL, "item 0", gn_queue_put(queue, &items[1], &ticket));
    assert_int_equal(ticket, 1);
    expect_ok(gn_queue_put(queue, &items[1], &ticket));
    expect_ok(gn_queue_wait(queue, ticket));
    assert_int_equal(self.count, 2);
    gn_queue_destroy(&queue);
}

// --- dropping

typedef struct opened_late {
    works *self;
    gn_queue *queue;
    _Atomic bool begun;
} opened_late;

// Opens the gate once dropping has begun, as good as it can be told from outside.
static void *open_late(void *of)
{
    enum { YIELDS = 200 };
    opened_late *late = of;
    while (!late->begun)
        sched_yield();
    for (int i = 0; i < YIELDS; i++)
        sched_yield();
    late->self->gate = true;
    return NULL;
}

static void dropping_forgets_what_was_not_begun(void **state)
{
    (void)state;
    enum { ROUNDS = 50, WAITING = 8 };
    int forgot = 0;
    for (int round = 0; round < ROUNDS; round++) {
        works self = { 0 };
        gn_queue *queue = open_queue(WAITING, &self);
        item items[WAITING + 1];
        uint64_t ticket;
        for (int i = 0; i < WAITING; i++) {
            items[i] = (item){ i, i == 3 && round % 2 };
            expect_ok(gn_queue_put(queue, &items[i], &ticket));
        }
        opened_late late = { &self, queue, false };
        pthread_t opener;
        assert_int_equal(pthread_create(&opener, NULL, open_late, &late), 0);
        while (!self.begun)
            sched_yield();
        late.begun = true;
        gn_queue_drop(queue);
        assert_int_equal(gn_queue_finished(queue), WAITING);
        int worked = self.count;
        forgot += worked < 3;
        for (int i = 0; i < worked; i++)
            assert_int_equal(self.done[i], i);
        pthread_join(opener, NULL);
        items[WAITING] = (item){ .number = 100 };
        expect_ok(gn_queue_put(queue, &items[WAITING], &ticket)); // a failure is forgotten, too
        assert_int_equal(ticket, WAITING + 1);
        expect_ok(gn_queue_wait(queue, ticket));
        assert_int_equal(self.count, worked + 1);
        assert_int_equal(self.done[worked], 100);
        gn_queue_destroy(&queue);
    }
    assert_true(forgot > ROUNDS / 2);
}

static void a_dropped_failure_is_not_told(void **state)
{
    (void)state;
    works self = { .gate = true };
    gn_queue *queue = open_queue(3, &self);
    item items[] = { { 0, 1 }, { 1, 0 } };
    uint64_t ticket;
    expect_ok(gn_queue_put(queue, &items[0], &ticket));
    while (self.failed == 0)
        sched_yield();
    gn_queue_drop(queue);
    expect_ok(gn_queue_put(queue, &items[1], &ticket));
    expect_ok(gn_queue_wait(queue, ticket));
    assert_int_equal(self.count, 1);
    assert_int_equal(self.done[0], 1);
    gn_queue_destroy(&queue);
}

typedef struct waiter {
    gn_queue *queue;
    uint64_t tickets; // waits for each from 1 to this
    pthread_t thread;
    _Atomic bool begun;
    int told; // failures
} waiter;

static void *wait_for_all(void *of)
{
    waiter *self = of;
    self->begun = true;
    for (uint64_t ticket = 1; ticket <= self->tickets; ticket++)
        while (gn_queue_wait(self->queue, ticket) != GN_OK)
            self->told++;
    return NULL;
}

static void start_waiter(waiter *self, gn_queue *queue, uint64_t tickets)
{
    *self = (waiter){ .queue = queue, .tickets = tickets };
    assert_int_equal(pthread_create(&self->thread, NULL, wait_for_all, self), 0);
}

static void a_drop_ends_the_waiting_of_others(void **state)
{
    (void)state;
    enum { WAITING = 4, ROUNDS = 50 };
    for (int round = 0; round < ROUNDS; round++) {
        works self = { 0 };
        gn_queue *queue = open_queue(WAITING, &self);
        item items[WAITING];
        uint64_t ticket;
        waiter other;
        for (int i = 0; i < WAITING; i++) {
            items[i] = (item){ i, 0 };
            expect_ok(gn_queue_put(queue, &items[i], &ticket));
        }
        start_waiter(&other, queue, WAITING);
        while (!other.begun || !self.begun)
            sched_yield();
        opened_late late = { &self, queue, true };
        pthread_t opener;
        assert_int_equal(pthread_create(&opener, NULL, open_late, &late), 0);
        gn_queue_drop(queue);
        pthread_join(other.thread, NULL);
        pthread_join(opener, NULL);
        gn_queue_destroy(&queue);
    }
}

static void destroying_ends_after_the_item_being_worked_on(void **state)
{
    (void)state;
    enum { WAITING = 6, ROUNDS = 30 };
    int early = 0;
    for (int round = 0; round < ROUNDS; round++) {
        works self = { 0 };
        uint64_t live = gn_mem_live(), ticket;
        gn_queue *queue = open_queue(WAITING, &self);
        item items[WAITING];
        for (int i = 0; i < WAITING; i++) {
            items[i] = (item){ i, round % 2 };
            expect_ok(gn_queue_put(queue, &items[i], &ticket));
        }
        opened_late late = { &self, queue, false };
        pthread_t opener;
        assert_int_equal(pthread_create(&opener, NULL, open_late, &late), 0);
        while (!self.begun)
            sched_yield();
        late.begun = true;
        gn_queue_destroy(&queue);
        pthread_join(opener, NULL);
        early += self.count < WAITING;
        if (round % 2)
            assert_int_equal(self.count, 0); // a failed one is not tried again
        assert_int_equal(gn_mem_live(), live);
    }
    assert_true(early > ROUNDS / 2 + ROUNDS / 5);
}

// --- others wait

static void waiters_in_other_threads_are_woken_and_each_failure_told_once(void **state)
{
    (void)state;
    enum { WAITERS = 4, PUTS = 500 };
    works self = { .gate = true };
    gn_queue *queue = open_queue(3, &self);
    static item items[PUTS];
    waiter others[WAITERS];
    int told = 0, failures = 0;
    test_rng rng = test_rng_seed(5);
    for (int i = 0; i < WAITERS; i++)
        start_waiter(&others[i], queue, PUTS);
    for (int i = 0; i < PUTS; i++) {
        uint64_t ticket;
        items[i] = (item){ i, test_rng_below(&rng, 4) == 0 };
        failures += items[i].failures;
        while (gn_queue_put(queue, &items[i], &ticket) != GN_OK)
            told++;
    }
    for (int i = 0; i < WAITERS; i++) {
        pthread_join(others[i].thread, NULL);
        told += others[i].told;
    }
    assert_int_equal(self.count, PUTS);
    assert_int_equal(told, failures);
    assert_int_equal(self.failed, failures);
    for (int i = 0; i < PUTS; i++)
        assert_int_equal(self.done[i], i);
    gn_queue_destroy(&queue);
}

// --- a model

// What must be: the log is the items put and not dropped, in order, up to what was waited for.
typedef struct model {
    int kept[ITEMS], count; // numbers of the items put and not dropped
    uint64_t put; // tickets
    int told;
} model;

static void check_prefix(const works *self, const model *expected)
{
    assert_true(self->count <= expected->count);
    for (int i = 0; i < self->count; i++)
        assert_int_equal(self->done[i], expected->kept[i]);
}

static void drop_and_check(gn_queue *queue, const works *self, model *expected)
{
    gn_queue_drop(queue);
    assert_int_equal(gn_queue_finished(queue), expected->put);
    check_prefix(self, expected);
    expected->count = self->count;
    expected->told = self->failed;
}

static void random_operations_agree_with_a_model(void **state)
{
    (void)state;
    enum { ROUNDS = 60, OPERATIONS = 300 };
    static item items[ITEMS];
    test_rng rng = test_rng_seed(6);
    for (int round = 0; round < ROUNDS; round++) {
        works self = { .gate = true };
        model expected = { 0 };
        gn_queue *queue = open_queue(1 + test_rng_below(&rng, 6), &self);
        for (int i = 0; i < OPERATIONS; i++) {
            uint64_t ticket, choice = test_rng_below(&rng, 40);
            if (choice < 24) {
                items[i] = (item){ i, test_rng_below(&rng, 8) == 0 ? 1 + i % 2 : 0 };
                while (gn_queue_put(queue, &items[i], &ticket) != GN_OK)
                    expected.told++;
                assert_int_equal(ticket, ++expected.put);
                expected.kept[expected.count++] = i;
            } else if (choice < 39) {
                while (gn_queue_wait(queue, expected.put) != GN_OK)
                    expected.told++;
                assert_int_equal(self.count, expected.count);
                assert_int_equal(self.failed, expected.told);
                check_prefix(&self, &expected);
            } else {
                drop_and_check(queue, &self, &expected);
            }
            assert_true(gn_queue_finished(queue) <= expected.put);
        }
        gn_queue_destroy(&queue);
        check_prefix(&self, &expected);
    }
}

static void creating_without_memory_leaves_nothing(void **state)
{
    (void)state;
    works self = { .gate = true };
    uint64_t live = gn_mem_live();
    for (uint64_t n = 1; n <= 2; n++) {
        gn_queue *queue = NULL;
        gn_mem_fail_at(n);
        expect_fails(GN_ERR_MEMORY, "allocate", gn_queue_create(&queue, 3, note, &self));
        assert_null(queue);
        assert_int_equal(gn_mem_live(), live);
    }
}

TEST_MAIN(items_are_worked_off_in_order_and_never_more_than_fit,
          a_failure_is_told_once_and_the_item_tried_again, a_put_that_waits_is_told_of_the_failure,
          dropping_forgets_what_was_not_begun, a_dropped_failure_is_not_told,
          a_drop_ends_the_waiting_of_others, destroying_ends_after_the_item_being_worked_on,
          waiters_in_other_threads_are_woken_and_each_failure_told_once,
          random_operations_agree_with_a_model, creating_without_memory_leaves_nothing)
