#include "controlplane/approvals/approvals.h"

#include <stdlib.h>
#include <time.h>

#include "controlplane/approvals/approvals_internal.h"

/* ---- messages -------------------------------------------------------------------------------- */

static void *unpack_alloc(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void unpack_free(void *arena, void *memory)
{
    (void)arena;
    (void)memory; /* all of it goes with the arena */
}

enum err approvals_unpack(const struct store_approval *stored, struct arena *arena,
                          const Chaperone__V1__HeldOperation **out)
{
    ProtobufCAllocator allocator = {
        .alloc = unpack_alloc, .free = unpack_free, .allocator_data = arena};
    const Chaperone__V1__HeldOperation *message =
        chaperone__v1__held_operation__unpack(&allocator, stored->held.size, stored->held.data);
    if (message == NULL || message->identity == NULL || message->intent == NULL ||
        message->terms == NULL) {
        return ERR_IO;
    }
    *out = message;
    return OK;
}

enum err approvals_of_stored(const struct store_approval *stored, struct arena *arena,
                             struct approvals_held *out)
{
    const Chaperone__V1__HeldOperation *message = NULL;
    enum err err = approvals_unpack(stored, arena, &message);
    if (err == OK) {
        *out = (struct approvals_held){.stored = *stored, .message = *message};
    }
    return err;
}

enum err approvals_load(struct approvals *a, const char *id, struct arena *arena,
                        struct approvals_held *out, struct err_text *why)
{
    struct store_approval stored;
    enum err err = store_approval_get(a->with.store, id, arena, &stored);
    if (err == ERR_NOT_FOUND || err == ERR_EXISTS || (err == OK && strcmp(stored.id, id) != 0)) {
        return err_set(why, ERR_NOT_FOUND, "no held operation \"%.64s\" is known", id);
    }
    return err == OK ? approvals_of_stored(&stored, arena, out) : err;
}

enum err approvals_get(struct approvals *a, const char *id, struct arena *arena,
                       const Chaperone__V1__HeldOperation **out, struct err_text *why)
{
    struct store_approval stored;
    enum err err = store_approval_get(a->with.store, id, arena, &stored);
    if (err == ERR_NOT_FOUND) {
        return err_set(why, err, "no held operation \"%.64s\" is known", id);
    }
    if (err == ERR_EXISTS) {
        return err_set(why, ERR_INVALID, "several held operations begin with \"%.64s\"", id);
    }
    return err == OK ? approvals_unpack(&stored, arena, out) : err;
}

bool approvals_is_told(const Chaperone__V1__HeldOperation *held)
{
    return held->state != CHAPERONE__V1__APPROVAL_STATE__WAITING &&
           (held->state != CHAPERONE__V1__APPROVAL_STATE__APPROVED || held->standing[0] == '\0');
}

Chaperone__V1__ApprovalDecided approvals_tell(const Chaperone__V1__HeldOperation *held)
{
    Chaperone__V1__ApprovalDecided decided = CHAPERONE__V1__APPROVAL_DECIDED__INIT;
    decided.id = held->id;
    decided.state = held->state;
    decided.digest = held->digest;
    decided.decision = held->n_decisions == 0 ? NULL : held->decisions[held->n_decisions - 1];
    decided.standing = held->standing;
    decided.expires_unix_ns = held->expires_unix_ns;
    return decided;
}

struct store_audit_opened approvals_about(const Chaperone__V1__HeldOperation *held)
{
    return (struct store_audit_opened){.identity = bytes_of_string(held->identity->subject),
                                       .resource = bytes_of_string(held->resource),
                                       .protocol = bytes_of_string(held->protocol),
                                       .database = bytes_of_string(held->database)};
}

/* ---- changes --------------------------------------------------------------------------------- */

enum err approvals_pack(struct approvals_held *held, struct arena *arena)
{
    size_t size = chaperone__v1__held_operation__get_packed_size(&held->message);
    if (size > STORE_HELD_SIZE_MAX) {
        return ERR_LIMIT;
    }
    uint8_t *data = arena_alloc(arena, size + 1);
    if (data == NULL) {
        return ERR_NO_MEMORY;
    }
    held->stored.held = bytes_of(data, chaperone__v1__held_operation__pack(&held->message, data));
    return OK;
}

struct changing {
    struct store *store;
    struct store_approval_change change;
    uint64_t cursor;
};

static enum err write_change(void *context, const struct store_audit_write *audit)
{
    struct changing *c = context;
    c->change.audit = audit;
    return store_approval_change(c->store, &c->change, &c->cursor);
}

void approvals_tell_change(struct approvals *a, const struct approvals_held *held, uint64_t cursor,
                           bool by_sidecar)
{
    a->with.on_changed(a->with.context, &held->message, cursor, by_sidecar);
    approvals_wake(a);
}

void approvals_wake(struct approvals *a)
{
    (void)pthread_mutex_lock(&a->mutex);
    a->is_changed = true;
    (void)pthread_cond_signal(&a->wake);
    (void)pthread_mutex_unlock(&a->mutex);
}

enum err approvals_change(struct approvals *a, struct approvals_held *held,
                          const struct approvals_write *write, struct arena *arena)
{
    struct changing c = {.store = a->with.store,
                         .change = {.approval = &held->stored,
                                    .decision = write->decision,
                                    .standing = write->standing}};
    held->message.version = held->stored.version + 1;
    held->stored.version = held->message.version;
    held->stored.state = (enum store_approval_state)held->message.state;
    held->stored.ended_ns = held->message.ended_unix_ns;
    enum err err = approvals_pack(held, arena);
    if (err == OK) {
        err = write->entry_count == 0
                  ? write_change(&c, NULL)
                  : journal_append_with(a->with.journal, write->entries, write->entry_count,
                                        write_change, &c, NULL);
    }
    if (err == OK) {
        approvals_tell_change(a, held, c.cursor, write->by_sidecar);
    }
    return err;
}

void approvals_set_end(struct approvals_held *held, Chaperone__V1__ApprovalState state,
                       const char *reason, int64_t now_ns)
{
    held->message.state = state;
    held->message.end_reason = (char *)(uintptr_t)reason;
    held->message.ended_unix_ns = now_ns;
    held->stored.due_ns = 0;
}

/* ---- time ------------------------------------------------------------------------------------ */

enum err approvals_expire(struct approvals *a, struct approvals_held *held, int64_t now_ns,
                          struct arena *arena)
{
    static const struct approvals_write alone = {.by_sidecar = false};
    if (held->stored.due_ns == 0 || held->stored.due_ns > now_ns) {
        return OK;
    }
    bool is_waiting = held->stored.state == STORE_APPROVAL_WAITING;
    approvals_set_end(held, CHAPERONE__V1__APPROVAL_STATE__EXPIRED,
                      is_waiting ? "not enough people agreed in time"
                                 : "it was approved, and not used in time",
                      now_ns);
    enum err err = approvals_change(a, held, &alone, arena);
    return err == OK ? ERR_CLOSED : err;
}

enum {
    DUE_AT_ONCE = 32,
    ARENA_BLOCK = 64 << 10,
    DUE_ARENA_CAP = DUE_AT_ONCE * STORE_HELD_SIZE_MAX + (1 << 20),
};

/* The timer's own: what is due, and one of it at a time. */
struct timer {
    struct approvals *a;
    struct arena *list, *one;
};

static bool expire_one(const struct timer *t, const struct store_approval *due, int64_t now)
{
    struct approvals_held held;
    arena_reset(t->one);
    enum err err = approvals_of_stored(due, t->one, &held);
    if (err == OK) {
        err = approvals_expire(t->a, &held, now, t->one);
    }
    if (err == ERR_CLOSED || err == ERR_EXISTS) { /* it, or somebody was faster */
        return true;
    }
    log_event(t->a->with.log, LOG_ERROR, "approval_not_expired", log_text("id", due->id),
              log_text("error", err_name(err)));
    return false;
}

/* False: more may be due. */
static bool expire_some(const struct timer *t)
{
    struct store_approval *due = NULL;
    size_t count = 0, ended = 0;
    int64_t now = approvals_now(t->a);
    arena_reset(t->list);
    enum err err =
        store_approval_list_due(t->a->with.store, now, DUE_AT_ONCE, t->list, &due, &count);
    if (err != OK) {
        log_event(t->a->with.log, LOG_ERROR, "store_failed", log_text("at", "approvals_due"),
                  log_text("error", err_name(err)));
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        ended += expire_one(t, &due[i], now);
    }
    return count < DUE_AT_ONCE || ended == 0;
}

/* With the mutex held. Until something may be due, but not longer than a second: the wall clock may
 * be set meanwhile. What is due and could not be ended is tried again soon. Where nothing waits for
 * its time: until there is something. */
static void await_due(struct approvals *a)
{
    const int64_t second = 1000000000;
    int64_t due = 0;
    enum err err = store_approval_next_due(a->with.store, &due);
    if (err == ERR_NOT_FOUND) {
        while (!a->closing && !a->is_changed) {
            (void)pthread_cond_wait(&a->wake, &a->mutex);
        }
        return;
    }
    int64_t left = err == OK ? due - approvals_now(a) : second;
    left = left <= 0 ? second / 10 : left > second ? second : left;
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + left;
    until.tv_sec += (time_t)(ns / second);
    until.tv_nsec = ns % second;
    while (!a->closing && !a->is_changed &&
           pthread_cond_timedwait(&a->wake, &a->mutex, &until) == 0) {
    }
}

static void timer_run(const struct timer *t)
{
    struct approvals *a = t->a;
    (void)pthread_mutex_lock(&a->mutex);
    while (!a->closing) {
        a->is_changed = false;
        (void)pthread_mutex_unlock(&a->mutex);
        while (!expire_some(t)) {
        }
        (void)pthread_mutex_lock(&a->mutex);
        if (!a->closing) {
            await_due(a);
        }
    }
    (void)pthread_mutex_unlock(&a->mutex);
}

static void *timer_main(void *context)
{
    struct approvals *a = context;
    const struct timer t = {.a = a, .list = a->due, .one = a->due_one};
    timer_run(&t);
    return NULL;
}

/* ---- life ------------------------------------------------------------------------------------ */

enum err approvals_create(const struct approvals_options *options, struct approvals **out)
{
    struct approvals *a = calloc(1, sizeof(*a));
    pthread_condattr_t attributes;
    if (a == NULL) {
        return ERR_NO_MEMORY;
    }
    a->with = *options;
    (void)pthread_mutex_init(&a->requests, NULL);
    (void)pthread_mutex_init(&a->mutex, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&a->wake, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    a->due = arena_create(ARENA_BLOCK, DUE_ARENA_CAP);
    a->due_one = arena_create(ARENA_BLOCK, APPROVALS_ARENA_CAP);
    a->timer_runs =
        a->due != NULL && a->due_one != NULL && pthread_create(&a->timer, NULL, timer_main, a) == 0;
    if (!a->timer_runs) {
        approvals_destroy(a);
        return ERR_NO_MEMORY;
    }
    *out = a;
    return OK;
}

void approvals_destroy(struct approvals *approvals)
{
    if (approvals == NULL) {
        return;
    }
    if (approvals->timer_runs) {
        (void)pthread_mutex_lock(&approvals->mutex);
        approvals->closing = true;
        (void)pthread_cond_signal(&approvals->wake);
        (void)pthread_mutex_unlock(&approvals->mutex);
        (void)pthread_join(approvals->timer, NULL);
    }
    arena_destroy(approvals->due);
    arena_destroy(approvals->due_one);
    (void)pthread_cond_destroy(&approvals->wake);
    (void)pthread_mutex_destroy(&approvals->mutex);
    (void)pthread_mutex_destroy(&approvals->requests);
    free(approvals);
}
