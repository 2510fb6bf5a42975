/* When the stream here does not go on where the control plane's ends: new numbers for what it does
 * not have. */
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

/* ---- chaining anew ---- */

/* An intent's old number and its new one; outcomes refer to them. */
struct renumbered {
    uint64_t before, now;
};

enum {
    /* A gap of up to so many numbers is filled with a Loss record for each, so that what is behind
     * it keeps its numbers; a wider one with a single record. */
    GAP_FILLED = 64,
    GAPS = 64, /* remembered, to know a Loss record that says the same */
};

struct gap {
    uint64_t first, last;
    bool is_counted; /* when the spool was opened */
};

struct rebase {
    struct recorder *recorder;
    const char *reason;
    struct renumbered *all;
    size_t count, capacity;
    uint64_t next; /* old number that comes next when nothing is missing */
    uint64_t copied, missing;
    struct gap gaps[GAPS];
    size_t gap_count;
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

/* In the place of what cannot be read. `time` is that of the record behind it; 0: now. */
static enum err fill_gap(struct rebase *b, uint64_t last, int64_t time)
{
    struct recorder *r = b->recorder;
    const uint8_t *previous;
    bool keeps_numbers = spool_next(r->spool, &previous) == b->next && last - b->next < GAP_FILLED;
    enum err result = OK;
    if (b->gap_count < GAPS) {
        b->gaps[b->gap_count++] = (struct gap){.first = b->next, .last = last};
    }
    b->missing += last - b->next + 1;
    while (result == OK && b->next <= last) {
        uint64_t until = keeps_numbers ? b->next : last;
        result = recorder_put_loss(r, b->next, until, b->reason, time);
        b->next = until + 1;
    }
    return result;
}

/* Opening has recorded and counted what it found to be missing, each time: it need not be said
 * again. */
static bool is_said(struct rebase *b, const Chaperone__V1__Loss *loss)
{
    for (size_t i = 0; i < b->gap_count; i++) {
        struct gap *g = &b->gaps[i];
        if (loss->first_sequence >= g->first && loss->last_sequence <= g->last) {
            b->missing -= g->is_counted ? 0 : loss->last_sequence - loss->first_sequence + 1;
            g->is_counted = true;
            return true;
        }
    }
    return false;
}

static enum err put_again(struct rebase *b, Chaperone__V1__Record *old, uint64_t *out_sequence)
{
    /* On the stack, as the recorder fills in fields that it does not own. */
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    if (old->event_case == CHAPERONE__V1__RECORD__EVENT_HEARTBEAT) {
        /* Its signature covers the chain. */
        return recorder_put_heartbeat(b->recorder, old->heartbeat->open_sessions, old->time_unix_ns,
                                      out_sequence);
    }
    if (old->event_case == CHAPERONE__V1__RECORD__EVENT_OUTCOME) {
        translate(b, old->outcome);
    }
    record.session = old->session;
    record.event_case = old->event_case;
    record.intent = old->intent; /* whichever it is: a union of pointers */
    return recorder_put(b->recorder, &record, old->time_unix_ns, out_sequence);
}

static enum err carry_over(struct rebase *b, const struct segment_frame *f)
{
    uint64_t sequence = 0;
    enum err result = OK;
    Chaperone__V1__Record *old =
        chaperone__v1__record__unpack(NULL, f->record.size, f->record.data);
    if (old == NULL) {
        return ERR_NO_MEMORY; /* its hash holds, so it is a record */
    }
    if (f->sequence > b->next) {
        result = fill_gap(b, f->sequence - 1, old->time_unix_ns);
    }
    b->next = f->sequence + 1;
    if (result == OK && old->event_case == CHAPERONE__V1__RECORD__EVENT_LOSS &&
        is_said(b, old->loss)) {
        goto out;
    }
    if (result == OK) {
        result = put_again(b, old, &sequence);
        b->copied++;
    }
    if (result == OK && old->event_case == CHAPERONE__V1__RECORD__EVENT_INTENT) {
        result = note(b, f->sequence, sequence);
    }
out:
    chaperone__v1__record__free_unpacked(old, NULL);
    return result;
}

static enum err copy_all(struct rebase *b, struct spool_reader *reader, uint64_t last)
{
    struct segment_frame f;
    enum err result = OK;
    enum spool_read read = SPOOL_RECORD;
    while (result == OK && (read = spool_reader_next(reader, &f)) == SPOOL_RECORD) {
        result = carry_over(b, &f);
        spool_reader_release(reader);
    }
    if (read == SPOOL_UNREADABLE) {
        return ERR_UNAVAILABLE; /* it is there: no Loss may stand in its place */
    }
    return result == OK && b->next <= last ? fill_gap(b, last, 0) : result;
}

enum err recorder_rebase(struct recorder *r, uint64_t sequence, const uint8_t *hash, uint64_t from,
                         const char *reason)
{
    struct rebase b = {.recorder = r, .reason = reason, .next = from};
    struct spool_reader *reader = NULL;
    int64_t time = r->time;
    if (from == 0) {
        return ERR_INVALID;
    }
    enum err result = recorder_put_losses(r);
    uint64_t last = spool_committed(r->spool);
    if (result == OK) {
        result = spool_reader_create(r->spool, from - 1, &reader);
    }
    if (result == OK) {
        result = spool_rebase_begin(r->spool, sequence + 1, hash);
    }
    if (result != OK) {
        goto out;
    }
    result = copy_all(&b, reader, last);
    if (result == OK) {
        result = spool_rebase_commit(r->spool);
    }
    if (result != OK) {
        spool_rebase_abort(r->spool);
        r->time = time;
        goto out;
    }
    r->lost += b.missing;
    r->last_heartbeat = 0;
    recorder_fail_waiters(r);
    log_event(r->log, LOG_ERROR, "audit_records_chained_anew",
              log_number("behind", (int64_t)sequence), log_number("first", (int64_t)from),
              log_number("last", (int64_t)last), log_number("carried_over", (int64_t)b.copied),
              log_text("reason", reason));
out:
    spool_reader_destroy(reader);
    free(b.all);
    return result;
}
