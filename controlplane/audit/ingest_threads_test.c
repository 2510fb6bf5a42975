#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "controlplane/audit/ingest_threads.h"

enum { CALLERS = 6, CALLS = 500, NICENESS = 5 };

static void read_niceness(void *context)
{
    *(int *)context = getpriority(PRIO_PROCESS, 0);
}

static void test_works_at_a_lower_priority_than_its_caller(void **state)
{
    (void)state;
    struct ingest_threads *t = NULL;
    int before = getpriority(PRIO_PROCESS, 0), during = 0;
    int expected = before + NICENESS > 19 ? 19 : before + NICENESS;
    assert_int_equal(ingest_threads_create(1, NICENESS, &t), OK);
    ingest_threads_run(t, read_niceness, &during);
    assert_int_equal(during, expected);
    assert_int_equal(getpriority(PRIO_PROCESS, 0), before);
    ingest_threads_destroy(t);
    assert_int_equal(ingest_threads_create(1, 0, &t), OK);
    ingest_threads_run(t, read_niceness, &during);
    assert_int_equal(during, before);
    ingest_threads_destroy(t);
}

struct caller {
    struct ingest_threads *threads;
    pthread_t thread;
    atomic_int *total;
    int own; /* not atomic: run has returned when it is read */
};

static void count(void *context)
{
    struct caller *c = context;
    c->own++;
    (void)atomic_fetch_add(c->total, 1);
}

static void *call_often(void *context)
{
    struct caller *c = context;
    for (int i = 0; i < CALLS; i++) {
        ingest_threads_run(c->threads, count, c);
        if (c->own != i + 1) {
            return c;
        }
    }
    return NULL;
}

static void test_returns_when_the_work_is_done(void **state)
{
    (void)state;
    static struct caller callers[CALLERS];
    struct ingest_threads *t = NULL;
    atomic_int total;
    atomic_init(&total, 0);
    assert_int_equal(ingest_threads_create(3, 1, &t), OK);
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){.threads = t, .total = &total};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call_often, &callers[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        void *failed = NULL;
        (void)pthread_join(callers[i].thread, &failed);
        assert_null(failed);
    }
    assert_int_equal(atomic_load(&total), CALLERS * CALLS);
    ingest_threads_destroy(t);
}

struct meeting {
    struct ingest_threads *threads;
    pthread_barrier_t *barrier;
    pthread_t thread;
};

static void meet(void *context)
{
    (void)pthread_barrier_wait(((struct meeting *)context)->barrier);
}

static void *bring_one(void *context)
{
    ingest_threads_run(((struct meeting *)context)->threads, meet, context);
    return NULL;
}

static void read_self(void *context)
{
    *(pthread_t *)context = pthread_self();
}

/* One caller keeps to one thread, whatever others were used before. */
static void test_the_one_that_was_idle_last_works(void **state)
{
    (void)state;
    struct meeting meetings[CALLERS];
    pthread_barrier_t barrier;
    struct ingest_threads *t = NULL;
    assert_int_equal(ingest_threads_create(CALLERS, 0, &t), OK);
    assert_int_equal(pthread_barrier_init(&barrier, NULL, CALLERS), 0);
    for (int i = 0; i < CALLERS; i++) { /* as many at once: all of them have begun */
        meetings[i] = (struct meeting){.threads = t, .barrier = &barrier};
        assert_int_equal(pthread_create(&meetings[i].thread, NULL, bring_one, &meetings[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        (void)pthread_join(meetings[i].thread, NULL);
    }
    pthread_t first, next;
    ingest_threads_run(t, read_self, &first);
    for (int i = 0; i < CALLS; i++) {
        ingest_threads_run(t, read_self, &next);
        assert_true(pthread_equal(first, next) != 0);
    }
    ingest_threads_destroy(t);
    (void)pthread_barrier_destroy(&barrier);
}

static void test_bounds(void **state)
{
    (void)state;
    struct ingest_threads *t = NULL;
    assert_int_equal(ingest_threads_create(0, 1, &t), ERR_INVALID);
    assert_int_equal(ingest_threads_create(1, -1, &t), ERR_INVALID);
    assert_int_equal(ingest_threads_create(1, INGEST_NICENESS_MAX + 1, &t), ERR_INVALID);
    assert_null(t);
    ingest_threads_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_works_at_a_lower_priority_than_its_caller),
        cmocka_unit_test(test_returns_when_the_work_is_done),
        cmocka_unit_test(test_the_one_that_was_idle_last_works),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
