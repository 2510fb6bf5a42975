#include "base/net/loop.h"

#include <ev.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct task {
    struct task *next;
    loop_fn *fn;
    void *context;
};

struct loop {
    struct ev_loop *ev;
    struct ev_async wake;
    struct ev_prepare turn_end;
    struct loop_deferred deferred; /* head of a ring */
    _Atomic int references;        /* the owner's, and one for each loop_hold */
    pthread_mutex_t mutex;         /* guards what follows */
    struct task *first, **last;
    bool closed; /* nothing is posted any more */
};

static void tasks_run(struct loop *loop)
{
    (void)pthread_mutex_lock(&loop->mutex);
    struct task *t = loop->first;
    loop->first = NULL;
    loop->last = &loop->first;
    (void)pthread_mutex_unlock(&loop->mutex);
    while (t != NULL) {
        struct task *next = t->next;
        t->fn(t->context);
        free(t);
        t = next;
    }
}

static void on_wake(struct ev_loop *ev, struct ev_async *w, int events)
{
    (void)ev;
    (void)events;
    tasks_run(w->data);
}

static void deferred_run(struct loop *loop)
{
    struct loop_deferred *head = &loop->deferred;
    while (head->next != head) {
        struct loop_deferred *d = head->next;
        loop_cancel_deferred(loop, d);
        d->fn(d->context);
    }
}

static void on_turn_end(struct ev_loop *ev, struct ev_prepare *w, int events)
{
    (void)ev;
    (void)events;
    deferred_run(w->data);
}

enum err loop_create(struct loop **out)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    if (loop == NULL) {
        return ERR_NO_MEMORY;
    }
    loop->ev = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    if (loop->ev == NULL) {
        free(loop);
        return ERR_IO;
    }
    atomic_init(&loop->references, 1);
    (void)pthread_mutex_init(&loop->mutex, NULL);
    loop->last = &loop->first;
    loop->deferred.next = &loop->deferred;
    loop->deferred.previous = &loop->deferred;
    ev_async_init(&loop->wake, on_wake);
    loop->wake.data = loop;
    ev_async_start(loop->ev, &loop->wake);
    ev_prepare_init(&loop->turn_end, on_turn_end);
    loop->turn_end.data = loop;
    ev_prepare_start(loop->ev, &loop->turn_end);
    *out = loop;
    return OK;
}

void loop_hold(struct loop *loop)
{
    (void)atomic_fetch_add(&loop->references, 1);
}

void loop_release(struct loop *loop)
{
    if (atomic_fetch_sub(&loop->references, 1) == 1) {
        (void)pthread_mutex_destroy(&loop->mutex);
        free(loop);
    }
}

void loop_destroy(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&loop->mutex);
    loop->closed = true;
    (void)pthread_mutex_unlock(&loop->mutex);
    tasks_run(loop);
    deferred_run(loop);
    ev_async_stop(loop->ev, &loop->wake);
    ev_prepare_stop(loop->ev, &loop->turn_end);
    ev_loop_destroy(loop->ev);
    loop_release(loop);
}

struct ev_loop *loop_ev(struct loop *loop)
{
    return loop->ev;
}

void loop_run(struct loop *loop)
{
    (void)ev_run(loop->ev, 0);
}

void loop_stop(struct loop *loop)
{
    ev_break(loop->ev, EVBREAK_ALL);
}

enum err loop_post(struct loop *loop, loop_fn *fn, void *context)
{
    struct task *t = malloc(sizeof(*t));
    if (t == NULL) {
        return ERR_NO_MEMORY;
    }
    *t = (struct task){.fn = fn, .context = context};
    (void)pthread_mutex_lock(&loop->mutex);
    bool closed = loop->closed;
    if (!closed) {
        *loop->last = t;
        loop->last = &t->next;
        ev_async_send(loop->ev, &loop->wake); /* with the lock: the loop may be destroyed after */
    }
    (void)pthread_mutex_unlock(&loop->mutex);
    if (closed) {
        free(t);
        return ERR_CLOSED;
    }
    return OK;
}

void loop_defer(struct loop *loop, struct loop_deferred *d)
{
    if (d->waiting) {
        return;
    }
    struct loop_deferred *head = &loop->deferred;
    d->waiting = true;
    d->previous = head->previous;
    d->next = head;
    head->previous->next = d;
    head->previous = d;
}

void loop_cancel_deferred(struct loop *loop, struct loop_deferred *d)
{
    (void)loop;
    if (d->waiting) {
        d->waiting = false;
        d->previous->next = d->next;
        d->next->previous = d->previous;
    }
}
