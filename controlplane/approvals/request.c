/* What sidecars ask for, and give up. */
#include <stdio.h>

#include "base/uuid.h"
#include "controlplane/approvals/approvals_internal.h"

static const int64_t second_ns = 1000000000;

struct request {
    struct approvals *a;
    const char *sidecar;
    const Chaperone__V1__RequestApprovalRequest *message;
    const Chaperone__V1__HeldOperation *held; /* of it */
    struct arena *arena;
    int64_t now;
    Chaperone__V1__ApprovalDecided *out;
    struct err_text *why;
};

static const struct approvals_write by_sidecar = {.by_sidecar = true};

static void answer(const struct request *r, const struct approvals_held *held)
{
    *r->out = approvals_tell(&held->message);
}

/* ---- it is known already --------------------------------------------------------------------- */

static enum err answer_same_id(const struct request *r, struct approvals_held *held)
{
    bool is_same = strcmp(held->stored.sidecar, r->sidecar) == 0 &&
                   bytes_equal(bytes_of(held->stored.digest, STORE_HASH_SIZE),
                               bytes_of(r->held->digest.data, r->held->digest.len));
    if (!is_same) {
        return err_set(r->why, ERR_EXISTS, "another operation is known under this id");
    }
    enum err err = approvals_expire(r->a, held, r->now, r->arena);
    if (err == OK) {
        err = approvals_end_revoked(r->a, held, r->now, r->arena);
    }
    if (err == OK || err == ERR_CLOSED) {
        answer(r, held);
    }
    return err == ERR_CLOSED ? OK : err;
}

/* The answer to this request got lost, after it had used up an approval that was there before. */
static enum err answer_used_by(const struct request *r, const struct store_approval *stored)
{
    struct approvals_held held;
    enum err err = approvals_of_stored(stored, r->arena, &held);
    bool is_revoked = false;
    if (err == OK && strcmp(stored->sidecar, r->sidecar) != 0) {
        err = err_set(r->why, ERR_EXISTS, "another operation is known under this id");
    }
    if (err == OK) {
        err = approvals_is_revoked(r->a, &held, r->arena, &is_revoked);
    }
    if (err == OK) {
        answer(r, &held);
        r->out->state = is_revoked ? CHAPERONE__V1__APPROVAL_STATE__WITHDRAWN
                                   : CHAPERONE__V1__APPROVAL_STATE__APPROVED;
    }
    return err;
}

/* ---- retry mode ------------------------------------------------------------------------------ */

/* Uses it up. It is the one that came again who releases it. */
static enum err claim(const struct request *r, struct approvals_held *held)
{
    approvals_set_end(held, CHAPERONE__V1__APPROVAL_STATE__USED, "the agent came again", r->now);
    held->stored.used_by = r->held->id;
    held->stored.sidecar = r->sidecar;
    held->stored.session = r->held->session;
    held->message.sidecar = (char *)(uintptr_t)r->sidecar;
    held->message.session = r->held->session;
    held->message.operation = r->held->operation;
    enum err err = approvals_change(r->a, held, &by_sidecar, r->arena);
    if (err == OK) {
        answer(r, held);
        r->out->state = CHAPERONE__V1__APPROVAL_STATE__APPROVED;
    }
    return err;
}

/* ERR_NOT_FOUND: nothing that was asked before answers it. */
static enum err answer_from_before(const struct request *r)
{
    struct store_approval stored;
    struct approvals_held held;
    enum err err =
        store_approval_same(r->a->with.store, r->held->digest.data, r->held->identity->issuer,
                            r->held->identity->subject, r->held->resource, r->arena, &stored);
    if (err == OK) {
        err = approvals_of_stored(&stored, r->arena, &held);
    }
    if (err == OK) {
        err = approvals_expire(r->a, &held, r->now, r->arena);
    }
    if (err == OK) {
        err = approvals_end_revoked(r->a, &held, r->now, r->arena);
    }
    if (err != OK) {
        return err == ERR_CLOSED ? ERR_NOT_FOUND : err;
    }
    if (!held.message.terms->is_retry) {
        return ERR_NOT_FOUND;
    }
    if (held.message.state == CHAPERONE__V1__APPROVAL_STATE__APPROVED) {
        return claim(r, &held);
    }
    if (held.message.state == CHAPERONE__V1__APPROVAL_STATE__DENIED &&
        r->now >= held.message.ended_unix_ns + held.message.terms->retry_window_s * second_ns) {
        return ERR_NOT_FOUND; /* people may be asked again */
    }
    answer(r, &held);
    return OK;
}

/* ---- a new one ------------------------------------------------------------------------------- */

static enum err make(const struct request *r, struct approvals_held *out)
{
    struct approvals_held held = {.message = *r->held};
    Chaperone__V1__HeldOperation *m = &held.message;
    static char nothing[] = "";
    m->state = CHAPERONE__V1__APPROVAL_STATE__WAITING;
    m->version = 1;
    m->sidecar = (char *)(uintptr_t)r->sidecar;
    m->requested_unix_ns = r->now;
    m->expires_unix_ns = r->now + r->message->lifetime_ms * 1000000;
    m->ended_unix_ns = 0;
    m->end_reason = nothing;
    m->n_decisions = 0;
    m->decisions = NULL;
    m->standing = nothing;
    m->stands_as = nothing;
    held.stored = (struct store_approval){.id = m->id,
                                          .state = STORE_APPROVAL_WAITING,
                                          .version = 1,
                                          .sidecar = r->sidecar,
                                          .session = m->session,
                                          .issuer = m->identity->issuer,
                                          .identity = m->identity->subject,
                                          .resource = m->resource,
                                          .requested_ns = r->now,
                                          .due_ns = m->expires_unix_ns,
                                          .used_by = ""};
    memcpy(held.stored.digest, m->digest.data, STORE_HASH_SIZE);
    if (chaperone__v1__held_operation__get_packed_size(m) > APPROVALS_REQUEST_SIZE_MAX) {
        return err_set(r->why, ERR_LIMIT, "an operation of at most %d bytes can be held",
                       APPROVALS_REQUEST_SIZE_MAX);
    }
    *out = held;
    return OK;
}

struct adding {
    const struct request *r;
    const struct approvals_held *held;
    const char *standing;
    uint64_t cursor;
};

static enum err write_new(void *context, const struct store_audit_write *audit)
{
    static const struct store_approval_limits limits = {.waiting_max = APPROVALS_WAITING_MAX,
                                                        .session_max = APPROVALS_SESSION_MAX};
    struct adding *adding = context;
    return store_approval_add(adding->r->a->with.store, &adding->held->stored, &limits,
                              adding->standing, audit, &adding->cursor);
}

static enum err add_waiting(const struct request *r, struct approvals_held *held)
{
    struct adding adding = {.r = r, .held = held};
    enum err err = approvals_pack(held, r->arena);
    if (err == OK) {
        err = write_new(&adding, NULL);
    }
    if (err == ERR_LIMIT) {
        return err_set(r->why, err,
                       "too many operations wait for a decision (%d, and %d of a session)",
                       APPROVALS_WAITING_MAX, APPROVALS_SESSION_MAX);
    }
    if (err == OK) {
        approvals_tell_change(r->a, held, adding.cursor, true);
        answer(r, held);
    }
    return err;
}

/* Each use is counted and recorded in the transaction that lets it through. */
static enum err add_standing(const struct request *r, struct approvals_held *held,
                             const struct store_standing *standing)
{
    static char standing_used[] = "standing_used";
    struct adding adding = {.r = r, .held = held, .standing = standing->id};
    Chaperone__V1__Approval approval = CHAPERONE__V1__APPROVAL__INIT;
    const struct store_audit_opened session = approvals_about(&held->message);
    const struct journal_entry entry = {
        .session = held->message.session, .about = &session, .approval = &approval};
    held->message.state = CHAPERONE__V1__APPROVAL_STATE__APPROVED;
    held->message.standing = (char *)(uintptr_t)standing->id;
    held->stored.state = STORE_APPROVAL_APPROVED;
    held->stored.due_ns += APPROVALS_RELEASE_S * second_ns;
    approval.id = held->message.id;
    approval.operation = held->message.operation;
    approval.state = standing_used;
    approval.digest = held->message.digest;
    approval.standing = held->message.standing;
    approval.expires_unix_ns = standing->until_ns;
    enum err err = approvals_pack(held, r->arena);
    if (err == OK) {
        err = journal_append_with(r->a->with.journal, &entry, 1, write_new, &adding, r->why);
    }
    if (err == OK) {
        approvals_tell_change(r->a, held, adding.cursor, true);
        answer(r, held);
    }
    return err;
}

static enum err add_new(const struct request *r)
{
    struct approvals_held held;
    struct store_standing standing;
    uint8_t key[STORE_HASH_SIZE];
    enum err err = make(r, &held);
    if (err != OK) {
        return err;
    }
    if (early_take(&r->a->early, r->sidecar, held.message.id)) {
        answer(r, &held);
        r->out->state = CHAPERONE__V1__APPROVAL_STATE__WITHDRAWN;
        return OK;
    }
    if (held.message.terms->standing == NULL || held.message.shape[0] == '\0') {
        return add_waiting(r, &held);
    }
    terms_make_key(&held.message, key);
    err = store_standing_find(r->a->with.store, key, r->now, r->arena, &standing);
    if (err == OK) {
        struct approvals_held released = held;
        err = add_standing(r, &released, &standing);
    }
    /* ERR_DENIED: its last use went to somebody else meanwhile. */
    return err == ERR_NOT_FOUND || err == ERR_DENIED ? add_waiting(r, &held) : err;
}

/* One that was let in before it was revoked asks nobody after that, and uses nothing that stands.
 */
static enum err add_unless_revoked(const struct request *r)
{
    enum err err = add_new(r);
    return err == ERR_CLOSED ? err_set(r->why, ERR_DENIED, "this sidecar has been revoked") : err;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static enum err request_once(const struct request *r)
{
    struct store_approval stored;
    struct approvals_held held;
    enum err err = store_approval_get(r->a->with.store, r->held->id, r->arena, &stored);
    if (err == OK) {
        err = approvals_of_stored(&stored, r->arena, &held);
        return err == OK ? answer_same_id(r, &held) : err;
    }
    if (err == ERR_NOT_FOUND) {
        err = store_approval_used_by(r->a->with.store, r->held->id, r->arena, &stored);
        if (err == OK) {
            return answer_used_by(r, &stored);
        }
    }
    if (err == ERR_NOT_FOUND && r->held->terms->is_retry) {
        err = answer_from_before(r);
    }
    return err == ERR_NOT_FOUND ? add_unless_revoked(r) : err;
}

enum err approvals_request(struct approvals *approvals, const char *sidecar,
                           const Chaperone__V1__RequestApprovalRequest *request,
                           struct arena *arena, Chaperone__V1__ApprovalDecided *out,
                           struct err_text *why)
{
    struct err_text own = {.text = ""};
    const struct request r = {.a = approvals,
                              .sidecar = sidecar,
                              .message = request,
                              .held = request->held,
                              .arena = arena,
                              .now = approvals_now(approvals),
                              .out = out,
                              .why = &own};
    enum err err = terms_check_request(request->held, request->lifetime_ms, why);
    if (err != OK) {
        return err;
    }
    (void)pthread_mutex_lock(&approvals->requests);
    /* ERR_EXISTS without a sentence: a person's word came between. */
    for (int i = 0; i < APPROVALS_TRIES; i++) {
        err = request_once(&r);
        if (err != ERR_EXISTS || own.text[0] != '\0') {
            break;
        }
    }
    (void)pthread_mutex_unlock(&approvals->requests);
    return err == OK ? OK : err_set(why, err, "%s", own.text);
}

/* ---- the end --------------------------------------------------------------------------------- */

static bool may_end_so(Chaperone__V1__ApprovalState before, Chaperone__V1__ApprovalState after)
{
    return before == CHAPERONE__V1__APPROVAL_STATE__APPROVED ||
           (before == CHAPERONE__V1__APPROVAL_STATE__WAITING &&
            after != CHAPERONE__V1__APPROVAL_STATE__USED);
}

static enum err end_once(struct approvals *a, const char *sidecar,
                         const Chaperone__V1__EndApprovalRequest *request, struct arena *arena,
                         struct err_text *why)
{
    struct approvals_held held;
    enum err err = approvals_load(a, request->id, arena, &held, why);
    if (err != OK) {
        return err;
    }
    if (strcmp(held.stored.sidecar, sidecar) != 0) {
        return err_set(why, ERR_DENIED, "this held operation is another sidecar's");
    }
    if (held.message.state == request->state) {
        return OK;
    }
    if (may_end_so(held.message.state, request->state)) {
        approvals_set_end(&held, request->state, request->reason, approvals_now(a));
        return approvals_change(a, &held, &by_sidecar, arena);
    }
    if (request->state == CHAPERONE__V1__APPROVAL_STATE__USED) {
        return err_set(why, ERR_CLOSED, "this operation is not approved");
    }
    return OK; /* it has ended before */
}

static enum err end_tried(struct approvals *a, const char *sidecar,
                          const Chaperone__V1__EndApprovalRequest *request, struct arena *arena,
                          struct err_text *why)
{
    enum err err = ERR_EXISTS;
    for (int i = 0; i < APPROVALS_TRIES && err == ERR_EXISTS; i++) {
        arena_reset(arena);
        err = end_once(a, sidecar, request, arena, why);
    }
    return err;
}

enum err approvals_end(struct approvals *approvals, const char *sidecar,
                       const Chaperone__V1__EndApprovalRequest *request, struct err_text *why)
{
    bool is_an_end = request->state == CHAPERONE__V1__APPROVAL_STATE__USED ||
                     request->state == CHAPERONE__V1__APPROVAL_STATE__EXPIRED ||
                     request->state == CHAPERONE__V1__APPROVAL_STATE__WITHDRAWN;
    if (!is_an_end || strlen(request->reason) > APPROVALS_REASON_MAX) {
        return err_set(why, ERR_INVALID, "expected USED, EXPIRED or WITHDRAWN, and a short reason");
    }
    struct arena *arena = arena_create(16 << 10, APPROVALS_ARENA_CAP);
    if (arena == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err err = end_tried(approvals, sidecar, request, arena, why);
    if (err == ERR_NOT_FOUND && request->state != CHAPERONE__V1__APPROVAL_STATE__USED) {
        /* Its request may be under way: once more without one, and then it is kept for it. */
        (void)pthread_mutex_lock(&approvals->requests);
        err = end_tried(approvals, sidecar, request, arena, why);
        if (err == ERR_NOT_FOUND) {
            early_add(&approvals->early, sidecar, request->id);
            err = OK;
        }
        (void)pthread_mutex_unlock(&approvals->requests);
    }
    arena_destroy(arena);
    return err;
}

static bool is_any_of(const char *id, char *const *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(id, ids[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Nobody waits for it any more. */
static bool is_forsaken(const struct approvals *approvals, const struct store_approval *stored,
                        struct arena *arena, char *const *waits_for, size_t count)
{
    const Chaperone__V1__HeldOperation *held = NULL;
    int64_t latest =
        clock_wall(&approvals->with.clock) - APPROVALS_FORSAKEN_S * INT64_C(1000000000);
    return stored->requested_ns < latest && !is_any_of(stored->id, waits_for, count) &&
           approvals_unpack(stored, arena, &held) == OK && !held->terms->is_retry;
}

enum err approvals_forsake(struct approvals *approvals, const char *sidecar, char *const *waits_for,
                           size_t count)
{
    const struct store_approval_filter filter = {
        .sidecar = sidecar, .limit = APPROVALS_WAITING_MAX, .max_bytes = APPROVALS_ARENA_CAP / 4};
    struct store_approval *items = NULL;
    size_t found = 0;
    struct arena *arena = arena_create(16 << 10, APPROVALS_ARENA_CAP);
    enum err err = arena == NULL
                       ? ERR_NO_MEMORY
                       : store_approval_list(approvals->with.store, &filter, arena, &items, &found);
    for (size_t i = 0; err == OK && i < found; i++) {
        if (is_forsaken(approvals, &items[i], arena, waits_for, count)) {
            Chaperone__V1__EndApprovalRequest end = CHAPERONE__V1__END_APPROVAL_REQUEST__INIT;
            end.id = (char *)(uintptr_t)items[i].id;
            end.state = CHAPERONE__V1__APPROVAL_STATE__WITHDRAWN;
            end.reason = (char *)"its sidecar has started anew";
            err = approvals_end(approvals, sidecar, &end, NULL);
            err = err == ERR_CLOSED || err == ERR_EXISTS ? OK : err; /* somebody was faster */
        }
    }
    arena_destroy(arena);
    return err;
}
