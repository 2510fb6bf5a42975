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
    if (r->loop == NULL || atomic_exchange(&m->posted, true)) {
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

/* ---- the uplink's side ---- */

void recorder_on_notice(struct recorder *r, void (*fn)(void *context), void *context)
{
    r->on_notice = fn;
    r->notice_context = context;
}

bool recorder_want_notice(struct recorder *r, uint64_t sequence)
{
    atomic_store(&r->notice_wanted, true);
    if (spool_committed(r->spool) > sequence) {
        atomic_store(&r->notice_wanted, false);
        return true;
    }
    return false;
}

bool recorder_is_fleet_awaited(const struct recorder *r)
{
    return atomic_load(&r->fleet_awaited) > 0;
}

void recorder_acknowledge(struct recorder *r, uint64_t sequence, const uint8_t *hash)
{
    spool_acknowledge(r->spool, sequence, hash);
    recorder_on_spool_change(r);
}

enum err recorder_continue_after(struct recorder *r, uint64_t sequence, const uint8_t *hash)
{
    if (sequence <= spool_committed(r->spool)) {
        return ERR_EXISTS;
    }
    enum err result = spool_start_segment(r->spool, sequence + 1, hash);
    if (result == OK) {
        spool_acknowledge(r->spool, sequence, hash);
        recorder_on_spool_change(r);
    }
    return result;
}

enum { BATCH_RECORDS = 256 };

struct recorder_reader {
    struct spool_reader *spool;
    struct bytes records[BATCH_RECORDS];
    uint64_t sequences[BATCH_RECORDS];
    uint8_t last_hash[RECORDER_HASH_SIZE];
};

enum err recorder_reader_create(struct recorder *r, uint64_t sequence, struct recorder_reader **out)
{
    struct recorder_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err result = spool_reader_create(r->spool, sequence, &reader->spool);
    if (result != OK) {
        free(reader);
        return result;
    }
    *out = reader;
    return OK;
}

void recorder_reader_destroy(struct recorder_reader *reader)
{
    if (reader != NULL) {
        spool_reader_destroy(reader->spool);
        free(reader);
    }
}

enum err recorder_reader_next(struct recorder_reader *reader, size_t max_count, size_t max_bytes,
                              struct recorder_batch *out)
{
    size_t count = 0;
    size_t bytes = 0;
    struct segment_frame f;
    spool_reader_release(reader->spool);
    while (count < max_count && count < BATCH_RECORDS && spool_reader_next(reader->spool, &f)) {
        if (count > 0 && f.record.size > max_bytes - bytes) {
            spool_reader_unread(reader->spool);
            break;
        }
        reader->records[count] = f.record;
        reader->sequences[count] = f.sequence;
        count++;
        memcpy(reader->last_hash, f.hash, RECORDER_HASH_SIZE);
        bytes += f.record.size;
        if (bytes >= max_bytes) {
            break;
        }
    }
    if (count == 0) {
        return ERR_NOT_FOUND;
    }
    *out = (struct recorder_batch){.records = reader->records,
                                   .sequences = reader->sequences,
                                   .count = count,
                                   .last_hash = reader->last_hash};
    return OK;
}

uint64_t recorder_reader_position(const struct recorder_reader *reader)
{
    return spool_reader_position(reader->spool);
}

enum err recorder_find_hash(struct recorder *r, uint64_t sequence, uint8_t *out)
{
    struct spool_reader *reader = NULL;
    struct segment_frame f;
    if (sequence == 0 || spool_reader_create(r->spool, sequence - 1, &reader) != OK) {
        return ERR_NOT_FOUND;
    }
    enum err result = ERR_NOT_FOUND;
    if (spool_reader_next(reader, &f) && f.sequence == sequence) {
        memcpy(out, f.hash, RECORDER_HASH_SIZE);
        result = OK;
    }
    spool_reader_destroy(reader);
    return result;
}
