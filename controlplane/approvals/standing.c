/* What people approved for later, and take back. */
#include "controlplane/approvals/approvals_internal.h"

static char *text_of(const char *s)
{
    return (char *)(uintptr_t)(s == NULL ? "" : s);
}

/* ---- messages -------------------------------------------------------------------------------- */

static Chaperone__V1__StandingState state_of(const struct store_standing *s, int64_t now_ns)
{
    if (s->revoked_ns != 0) {
        return CHAPERONE__V1__STANDING_STATE__STANDING_REVOKED;
    }
    if (s->uses_max != 0 && s->uses >= s->uses_max) {
        return CHAPERONE__V1__STANDING_STATE__STANDING_USED_UP;
    }
    return s->until_ns <= now_ns ? CHAPERONE__V1__STANDING_STATE__STANDING_ENDED
                                 : CHAPERONE__V1__STANDING_STATE__STANDS;
}

enum err approvals_unpack_standing(const struct store_standing_item *stored, int64_t now_ns,
                                   struct arena *arena, Chaperone__V1__StandingApproval **out)
{
    const struct store_standing *s = &stored->standing;
    const struct store_approval approval = {.held = stored->held};
    const Chaperone__V1__HeldOperation *held = NULL;
    enum err err = approvals_unpack(&approval, arena, &held);
    Chaperone__V1__StandingApproval *m = arena_alloc(arena, sizeof(*m));
    if (err != OK || m == NULL) {
        return err == OK ? ERR_NO_MEMORY : err;
    }
    chaperone__v1__standing_approval__init(m);
    m->id = text_of(s->id);
    m->approval = (Chaperone__V1__HeldOperation *)(uintptr_t)held;
    m->state = state_of(s, now_ns);
    m->created_unix_ns = s->created_ns;
    m->until_unix_ns = s->until_ns;
    m->uses = s->uses;
    m->uses_max = s->uses_max;
    m->revoked_unix_ns = s->revoked_ns;
    m->revoked_by = text_of(s->revoked_by);
    m->revoke_reason = text_of(s->revoked_because);
    *out = m;
    return OK;
}

/* What is left says whose it is and under which rule. */
static enum err leave_out_statement(Chaperone__V1__StandingApproval *standing, struct arena *arena)
{
    Chaperone__V1__HeldOperation *held = standing->approval;
    Chaperone__V1__Intent *intent = arena_alloc(arena, sizeof(*intent));
    if (intent == NULL) {
        return ERR_NO_MEMORY;
    }
    chaperone__v1__intent__init(intent);
    intent->rule = held->intent->rule;
    intent->on_behalf_of = held->intent->on_behalf_of;
    intent->n_on_behalf_of = held->intent->n_on_behalf_of;
    held->intent = intent;
    held->prediction = NULL;
    held->n_locks = 0;
    held->shape = text_of("");
    return OK;
}

/* ---- the revocation -------------------------------------------------------------------------- */

struct revoking {
    struct approvals *a;
    const struct approvals_person *person;
    const Chaperone__V1__RevokeStandingRequest *request;
    struct arena *arena;
    int64_t now;
    struct err_text *why;
    struct store_standing change; /* what is stored */
    uint8_t key[STORE_HASH_SIZE]; /* of what was loaded last */
};

static enum err load(struct revoking *r, const char *id, Chaperone__V1__StandingApproval **out)
{
    struct store_standing_item stored;
    enum err err = store_standing_get(r->a->with.store, id, r->arena, &stored);
    if (err == ERR_NOT_FOUND) {
        return err_set(r->why, err, "no standing approval \"%.64s\" is known", id);
    }
    if (err == ERR_EXISTS) {
        return err_set(r->why, ERR_INVALID, "several standing approvals begin with \"%.64s\"", id);
    }
    if (err == OK) {
        memcpy(r->key, stored.standing.key, sizeof(r->key));
        err = approvals_unpack_standing(&stored, r->now, r->arena, out);
    }
    return err;
}

/* Two operations that waited at the same time may both have been approved for later. */
static enum err find_another(const struct revoking *r, Chaperone__V1__RevokeStandingResponse *out)
{
    struct store_standing another;
    enum err err = store_standing_find(r->a->with.store, r->key, r->now, r->arena, &another);
    if (err == OK) {
        out->another = text_of(another.id);
    }
    return err == ERR_NOT_FOUND ? OK : err;
}

static enum err write_revoked(void *context, const struct store_audit_write *audit)
{
    const struct revoking *r = context;
    return store_standing_revoke(r->a->with.store, &r->change, audit);
}

/* ERR_NOT_FOUND: it stands no more. */
static enum err store_revoked(struct revoking *r, const Chaperone__V1__StandingApproval *standing)
{
    const Chaperone__V1__HeldOperation *held = standing->approval;
    const struct store_audit_opened about = approvals_about(held);
    Chaperone__V1__Identity by;
    Chaperone__V1__Approval record = CHAPERONE__V1__APPROVAL__INIT;
    const struct journal_entry entry = {
        .session = held->session, .about = &about, .approval = &record};
    enum err err = approvals_name_person(held->terms, r->person, r->arena, &by);
    if (err != OK) {
        return err;
    }
    record.id = held->id;
    record.operation = held->operation;
    record.state = text_of("standing_revoked");
    record.decided_by = &by;
    record.reason = r->request->reason;
    record.digest = held->digest;
    record.from = text_of(r->person->from);
    record.is_linked = r->person->is_linked;
    record.standing = standing->id;
    record.expires_unix_ns = standing->until_unix_ns;
    r->change = (struct store_standing){.id = standing->id,
                                        .revoked_ns = r->now,
                                        .revoked_by = r->person->subject,
                                        .revoked_because = r->request->reason};
    return journal_append_with(r->a->with.journal, &entry, 1, write_revoked, r, r->why);
}

static enum err revoke(struct revoking *r, Chaperone__V1__RevokeStandingResponse *out)
{
    Chaperone__V1__StandingApproval *standing = NULL;
    bool revoked = false;
    enum err err = load(r, r->request->id, &standing);
    if (err == OK) {
        err = terms_check_revoker(standing->approval, r->person, r->why);
    }
    if (err == OK && standing->state == CHAPERONE__V1__STANDING_STATE__STANDS) {
        err = store_revoked(r, standing);
        revoked = err == OK;
        if (err == OK || err == ERR_NOT_FOUND) { /* or somebody was faster */
            err = load(r, standing->id, &standing);
        }
    }
    if (err == OK) {
        err = find_another(r, out);
    }
    if (err == OK) {
        err = leave_out_statement(standing, r->arena);
    }
    if (err == OK) {
        out->standing = standing;
        out->revoked = revoked;
    }
    return err;
}

enum err approvals_revoke_standing(struct approvals *approvals,
                                   const struct approvals_person *person,
                                   const Chaperone__V1__RevokeStandingRequest *request,
                                   struct arena *arena, Chaperone__V1__RevokeStandingResponse *out,
                                   struct err_text *why)
{
    struct err_text own = {.text = ""};
    struct revoking r = {.a = approvals,
                         .person = person,
                         .request = request,
                         .arena = arena,
                         .now = approvals_now(approvals),
                         .why = &own};
    if (strlen(request->reason) > APPROVALS_REASON_MAX) {
        return err_set(why, ERR_INVALID, "a reason has at most %d bytes", APPROVALS_REASON_MAX);
    }
    enum err err = revoke(&r, out);
    return err == OK ? OK : err_set(why, err, "%s", own.text);
}

/* ---- what it let through --------------------------------------------------------------------- */

enum err approvals_is_revoked(struct approvals *a, const struct approvals_held *held,
                              struct arena *arena, bool *out)
{
    struct store_standing_item stored;
    if (held->message.standing[0] == '\0') {
        *out = false;
        return OK;
    }
    enum err err = store_standing_get(a->with.store, held->message.standing, arena, &stored);
    if (err == OK) {
        *out = stored.standing.revoked_ns != 0;
    }
    return err;
}

enum err approvals_end_revoked(struct approvals *a, struct approvals_held *held, int64_t now_ns,
                               struct arena *arena)
{
    static const struct approvals_write nothing = {.entry_count = 0};
    bool is_revoked = false;
    if (held->message.state != CHAPERONE__V1__APPROVAL_STATE__APPROVED) {
        return OK;
    }
    enum err err = approvals_is_revoked(a, held, arena, &is_revoked);
    if (err != OK || !is_revoked) {
        return err;
    }
    approvals_set_end(held, CHAPERONE__V1__APPROVAL_STATE__WITHDRAWN,
                      "the standing approval was revoked", now_ns);
    err = approvals_change(a, held, &nothing, arena);
    return err == OK ? ERR_CLOSED : err;
}
