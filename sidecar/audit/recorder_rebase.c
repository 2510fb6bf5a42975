/* When the stream here does not go on where the control plane's ends: new numbers for what it does
 * not have. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sidecar/audit/recorder_internal.h"

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

/* ---- new numbers ---- */

/* An intent's old number and its new one; outcomes refer to them. */
struct renumbered {
    uint64_t before, now;
};

struct rebase {
    struct recorder *recorder;
    struct renumbered *all;
    size_t count, capacity;
};

static enum err note(struct rebase *b, uint64_t before, uint64_t now)
{
    if (b->count == b->capacity) {
        size_t capacity = b->capacity == 0 ? 256 : 2 * b->capacity;
        struct renumbered *all = reallocarray(b->all, capacity, sizeof(*all));
        if (all == NULL) {
            return ERR_NO_MEMORY;
        }
        b->all = all;
        b->capacity = capacity;
    }
    b->all[b->count++] = (struct renumbered){.before = before, .now = now};
    return OK;
}

static int compare(const void *key, const void *element)
{
    uint64_t before = ((const struct renumbered *)element)->before;
    uint64_t wanted = *(const uint64_t *)key;
    return wanted < before ? -1 : wanted > before;
}

static void translate(const struct rebase *b, Chaperone__V1__Outcome *outcome)
{
    const struct renumbered *r = b->count == 0 ? NULL
                                               : bsearch(&outcome->intent_sequence, b->all,
                                                         b->count, sizeof(*b->all), compare);
    if (r != NULL) {
        outcome->intent_sequence = r->now;
    }
}

static enum err carry_over(struct rebase *b, const struct segment_frame *f)
{
    Chaperone__V1__Record *old =
        chaperone__v1__record__unpack(NULL, f->record.size, f->record.data);
    if (old == NULL) {
        return ERR_NO_MEMORY; /* its hash holds, so it is a record */
    }
    /* On the stack, as the recorder fills in fields that it does not own. */
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    uint64_t sequence = 0;
    enum err result = OK;
    record.session = old->session;
    record.event_case = old->event_case;
    record.intent = old->intent; /* whichever it is: a union of pointers */
    if (old->event_case == CHAPERONE__V1__RECORD__EVENT_OUTCOME) {
        translate(b, old->outcome);
    }
    if (old->event_case == CHAPERONE__V1__RECORD__EVENT_HEARTBEAT) {
        /* Its signature covers the old number. */
        result = recorder_put_heartbeat(b->recorder, old->heartbeat->open_sessions,
                                        old->time_unix_ns, &sequence);
    } else {
        result = recorder_put(b->recorder, &record, old->time_unix_ns, &sequence);
    }
    if (result == OK && old->event_case == CHAPERONE__V1__RECORD__EVENT_INTENT) {
        result = note(b, f->sequence, sequence);
    }
    chaperone__v1__record__free_unpacked(old, NULL);
    return result;
}

static enum err copy_all(struct rebase *b, struct spool_reader *reader, uint64_t *out_copied)
{
    struct segment_frame f;
    uint64_t copied = 0;
    while (spool_reader_next(reader, &f)) {
        enum err result = carry_over(b, &f);
        if (result != OK) {
            return result;
        }
        copied++;
        spool_reader_release(reader);
    }
    *out_copied = copied;
    return OK;
}

static enum err say_so(struct recorder *r, uint64_t first, uint64_t last, uint64_t copied,
                       const char *reason)
{
    char text[256];
    uint64_t missing = last - first + 1 > copied ? last - first + 1 - copied : 0;
    (void)snprintf(text, sizeof(text),
                   "%s: of these numbers %" PRIu64 " could not be read, %" PRIu64
                   " records were given other ones",
                   reason, missing, copied);
    enum err result = recorder_put_loss(r, first, last, text);
    if (result == OK) {
        r->lost += missing;
    }
    return result;
}

enum err recorder_rebase(struct recorder *r, uint64_t sequence, const uint8_t *hash, uint64_t from,
                         const char *reason)
{
    struct rebase b = {.recorder = r};
    struct spool_reader *reader = NULL;
    uint64_t copied = 0;
    int64_t time = r->time;
    uint64_t lost = r->lost;
    if (from == 0 || (r->losses.count > 0 && recorder_put_losses(r) != OK)) {
        return from == 0 ? ERR_INVALID : ERR_FULL;
    }
    uint64_t last = spool_committed(r->spool);
    enum err result = spool_reader_create(r->spool, from - 1, &reader);
    if (result != OK) {
        return result;
    }
    result = spool_rebase_begin(r->spool, sequence + 1, hash);
    if (result != OK) {
        goto out;
    }
    result = copy_all(&b, reader, &copied);
    if (result == OK && from <= last) {
        result = say_so(r, from, last, copied, reason);
    }
    if (result == OK) {
        result = spool_rebase_commit(r->spool);
    }
    if (result != OK) {
        spool_rebase_abort(r->spool);
        r->time = time;
        r->lost = lost;
        goto out;
    }
    r->last_heartbeat = 0;
    recorder_fail_waiters(r);
    log_event(r->log, LOG_ERROR, "audit_records_renumbered",
              log_number("behind", (int64_t)sequence), log_number("first", (int64_t)from),
              log_number("last", (int64_t)last), log_number("carried_over", (int64_t)copied),
              log_text("reason", reason));
out:
    spool_reader_destroy(reader);
    free(b.all);
    return result;
}
