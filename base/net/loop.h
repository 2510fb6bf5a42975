/* The one event loop of a process (libev), with two doors: from other threads, and to the end
 * of the turn.
 *
 * All functions but `loop_post` belong to the loop's own thread. */
#ifndef CHAPERONE_BASE_NET_LOOP_H
#define CHAPERONE_BASE_NET_LOOP_H

#include <stdbool.h>

#include "base/err.h"

struct ev_loop;
struct loop;

typedef void loop_fn(void *context);

enum err loop_create(struct loop **out) MUST_USE;
/* Posted functions that have not run are run first, so that what they own is released; they cannot
 * post any more. */
void loop_destroy(struct loop *loop); /* takes NULL */

struct ev_loop *loop_ev(struct loop *loop); /* borrows */

void loop_run(struct loop *loop); /* until loop_stop */
void loop_stop(struct loop *loop);

/* Thread-safe: runs `fn(context)` on the loop's thread soon, in the order of the posts. ERR_CLOSED
 * when the loop was destroyed meanwhile: only who holds it may still ask. */
enum err loop_post(struct loop *loop, loop_fn *fn, void *context) MUST_USE;

/* For a thread that may outlive the loop: hold it before the thread is started, release it there
 * at its end. Thread-safe. */
void loop_hold(struct loop *loop);
void loop_release(struct loop *loop);

/* A function to be called once at the end of this turn, before the loop waits again. The
 * caller's memory; must stay until it was called or cancelled. Deferring it again while it
 * waits does nothing. */
struct loop_deferred {
    loop_fn *fn;
    void *context;
    struct loop_deferred *next, *previous;
    bool waiting;
};

void loop_defer(struct loop *loop, struct loop_deferred *d);
void loop_cancel_deferred(struct loop *loop, struct loop_deferred *d);

#endif
