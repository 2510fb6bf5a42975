#include <stdlib.h>

#include "base/net/loop.h"
#include "sidecar/audit/recorder_internal.h"

struct mailbox *mailbox_create(struct recorder *recorder)
{
    struct mailbox *m = calloc(1, sizeof(*m));
    if (m != NULL) {
        m->recorder = recorder;
        atomic_store(&m->references, 1);
    }
    return m;
}

void mailbox_release(struct mailbox *m)
{
    if (m != NULL && atomic_fetch_sub(&m->references, 1) == 1) {
        free(m);
    }
}

void mailbox_close(struct mailbox *m)
{
    m->recorder = NULL;
    mailbox_release(m);
}

uint64_t recorder_last_sequence(const struct recorder *r)
{
    return spool_committed(r->spool);
}

bool recorder_is_durable(const struct recorder *r, uint64_t sequence, enum durability level)
{
    uint64_t fleet = spool_acknowledged(r->spool);
    if (sequence <= fleet) {
        return true; /* the strongest of the three */
    }
    switch (level) {
    case DURABILITY_PROCESS: return sequence <= spool_committed(r->spool);
    case DURABILITY_HOST: return sequence <= spool_synced(r->spool);
    case DURABILITY_FLEET: return false;
    }
    return false;
}

static void waiter_remove(struct recorder *r, struct recorder_waiter *w)
{
    struct waiters *list = &r->waiters[w->level];
    if (w->previous == NULL) {
        list->first = w->next;
    } else {
        w->previous->next = w->next;
    }
    if (w->next == NULL) {
        list->last = w->previous;
    } else {
        w->next->previous = w->previous;
    }
    w->next = NULL;
    w->previous = NULL;
    w->waiting = false;
    atomic_fetch_sub(&r->awaited, 1);
    if (w->level == DURABILITY_FLEET) {
        atomic_fetch_sub(&r->fleet_awaited, 1);
    }
}

/* Nearly always the highest number so far, so the search is short. */
static void waiter_insert(struct recorder *r, struct recorder_waiter *w)
{
    struct waiters *list = &r->waiters[w->level];
    struct recorder_waiter *before = list->last;
    while (before != NULL && before->sequence > w->sequence) {
        before = before->previous;
    }
    w->previous = before;
    w->next = before == NULL ? list->first : before->next;
    if (w->next == NULL) {
        list->last = w;
    } else {
        w->next->previous = w;
    }
    if (before == NULL) {
        list->first = w;
    } else {
        before->next = w;
    }
    w->waiting = true;
    atomic_fetch_add(&r->awaited, 1);
    if (w->level == DURABILITY_FLEET) {
        atomic_fetch_add(&r->fleet_awaited, 1);
    }
}

/* A callback may do anything to the list, so each turn looks at the first one anew, and only as
 * often as there were waiters: who waits for a failed disk again waits for its next try. */
static void call_list(struct recorder *r, struct waiters *list, enum err failed)
{
    size_t count = 0;
    for (const struct recorder_waiter *w = list->first; w != NULL; w = w->next) {
        count++;
    }
    for (; count > 0 && list->first != NULL; count--) {
        struct recorder_waiter *w = list->first;
        bool is_reached = recorder_is_durable(r, w->sequence, w->level);
        if (!is_reached && failed == OK) {
            break;
        }
        waiter_remove(r, w);
        w->fn(w->context, is_reached ? OK : failed);
    }
}

static void call_waiters(struct recorder *r)
{
    call_list(r, &r->waiters[DURABILITY_PROCESS], OK);
    call_list(r, &r->waiters[DURABILITY_HOST], spool_sync_state(r->spool));
    call_list(r, &r->waiters[DURABILITY_FLEET], OK);
}

void recorder_fail_waiters(struct recorder *r)
{
    for (int level = DURABILITY_PROCESS; level <= DURABILITY_FLEET; level++) {
        call_list(r, &r->waiters[level], ERR_IO);
    }
}

static void on_mail(void *context)
{
    struct mailbox *m = context;
    atomic_store(&m->posted, false);
    if (m->recorder != NULL) {
        call_waiters(m->recorder);
    }
    mailbox_release(m);
}

void recorder_on_spool_change(void *recorder)
{
    struct recorder *r = recorder;
    struct mailbox *m = r->mailbox;
    /* In one order with what changed: this sees the waiter, or recorder_wait sees the change. */
    if (r->loop == NULL || atomic_load(&r->awaited) == 0 || atomic_exchange(&m->posted, true)) {
        return;
    }
    atomic_fetch_add(&m->references, 1);
    if (loop_post(r->loop, on_mail, m) != OK) {
        atomic_store(&m->posted, false); /* the next change tries again */
        mailbox_release(m);
    }
}

void recorder_wait(struct recorder *r, struct recorder_waiter *w)
{
    waiter_insert(r, w);
    if (recorder_is_durable(r, w->sequence, w->level)) {
        recorder_on_spool_change(r);
    } else if (w->level == DURABILITY_HOST) {
        spool_request_sync(r->spool, w->sequence);
    } else if (w->level == DURABILITY_FLEET && r->on_notice != NULL) {
        r->on_notice(r->notice_context); /* ship now, not when a batch is full */
    }
}

void recorder_cancel_wait(struct recorder *r, struct recorder_waiter *w)
{
    if (w->waiting) {
        waiter_remove(r, w);
    }
}
