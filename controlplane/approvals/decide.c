/* A person's word. */
#include <stdio.h>

#include "base/uuid.h"
#include "controlplane/approvals/approvals_internal.h"

static const int64_t second_ns = 1000000000;

struct deciding {
    struct approvals *a;
    const struct approvals_person *person;
    const Chaperone__V1__DecideRequest *request;
    struct arena *arena;
    int64_t now;
    struct err_text *why;
    struct approvals_held held;
    Chaperone__V1__Decision decision;
    Chaperone__V1__Identity by;
    struct store_standing standing; /* to be made when its id is not "" */
    char standing_id[UUID_TEXT_SIZE];
};

static char *text_of(const char *s)
{
    return (char *)(uintptr_t)(s == NULL ? "" : s);
}

/* ---- checks ---------------------------------------------------------------------------------- */

static const char *state_name(Chaperone__V1__ApprovalState state)
{
    switch (state) {
    case CHAPERONE__V1__APPROVAL_STATE__APPROVED: return "it is approved already";
    case CHAPERONE__V1__APPROVAL_STATE__DENIED: return "it is denied already";
    case CHAPERONE__V1__APPROVAL_STATE__EXPIRED: return "its time has passed";
    case CHAPERONE__V1__APPROVAL_STATE__WITHDRAWN: return "it was withdrawn";
    case CHAPERONE__V1__APPROVAL_STATE__USED: return "it was released already";
    default: return "it is in an unknown state";
    }
}

static enum err check(struct deciding *d)
{
    const Chaperone__V1__HeldOperation *held = &d->held.message;
    enum err err = terms_check_person(held, d->person, d->request, d->why);
    if (err != OK) {
        return err;
    }
    err = approvals_expire(d->a, &d->held, d->now, d->arena);
    if (err != OK && err != ERR_CLOSED) {
        return err;
    }
    if (held->state != CHAPERONE__V1__APPROVAL_STATE__WAITING) {
        return err_set(d->why, ERR_CLOSED, "this operation does not wait any more: %s",
                       state_name(held->state));
    }
    if (d->request->expect_version != 0 && d->request->expect_version != held->version) {
        return err_set(
            d->why, ERR_EXISTS, "it has changed: its version is %llu, and you decided about %llu",
            (unsigned long long)held->version, (unsigned long long)d->request->expect_version);
    }
    return d->request->standing == NULL
               ? OK
               : terms_check_standing(held, d->request->standing, d->now, d->why);
}

static enum err check_request(const Chaperone__V1__DecideRequest *request, struct err_text *why)
{
    if (strlen(request->reason) > APPROVALS_REASON_MAX) {
        return err_set(why, ERR_INVALID, "a reason has at most %d bytes", APPROVALS_REASON_MAX);
    }
    if (strlen(request->idempotency_key) > APPROVALS_KEY_MAX) {
        return err_set(why, ERR_INVALID, "an idempotency key has at most %d bytes",
                       APPROVALS_KEY_MAX);
    }
    if (request->standing != NULL && !request->approve) {
        return err_set(why, ERR_INVALID, "only what is approved can be approved for later, too");
    }
    return OK;
}

/* ---- the operation after it ------------------------------------------------------------------ */

enum err approvals_name_person(const Chaperone__V1__HoldTerms *terms,
                               const struct approvals_person *person, struct arena *arena,
                               Chaperone__V1__Identity *out)
{
    chaperone__v1__identity__init(out);
    out->issuer = text_of(person->issuer);
    out->subject = text_of(person->subject);
    out->name = text_of(person->name);
    out->assurance = CHAPERONE__V1__ASSURANCE__VERIFIED;
    out->groups = arena_alloc(arena, terms->n_groups * sizeof(char *));
    if (out->groups == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < terms->n_groups; i++) {
        for (size_t k = 0; k < person->group_count; k++) {
            if (strcmp(terms->groups[i], person->groups[k]) == 0) {
                out->groups[out->n_groups++] = terms->groups[i];
                break;
            }
        }
    }
    return OK;
}

static enum err fill_decision(struct deciding *d)
{
    Chaperone__V1__HeldOperation *held = &d->held.message;
    enum err err = approvals_name_person(held->terms, d->person, d->arena, &d->by);
    Chaperone__V1__Decision **all = arena_alloc(d->arena, (held->n_decisions + 1) * sizeof(*all));
    if (err != OK || all == NULL) {
        return ERR_NO_MEMORY;
    }
    chaperone__v1__decision__init(&d->decision);
    d->decision.by = &d->by;
    d->decision.approve = d->request->approve;
    d->decision.reason = d->request->reason;
    d->decision.time_unix_ns = d->now;
    d->decision.from = text_of(d->person->from);
    d->decision.is_linked = d->person->is_linked;
    if (held->n_decisions > 0) {
        memcpy(all, held->decisions, held->n_decisions * sizeof(*all));
    }
    all[held->n_decisions++] = &d->decision;
    held->decisions = all;
    return OK;
}

/* The least of what each of them allowed. */
static void count_standing(struct deciding *d)
{
    const Chaperone__V1__Standing *asked = d->request->standing;
    struct store_approval *s = &d->held.stored;
    if (asked == NULL) {
        return;
    }
    if (s->standing_votes == 0 || asked->until_unix_ns < s->standing_until_ns) {
        s->standing_until_ns = asked->until_unix_ns;
    }
    if (s->standing_votes == 0 || s->standing_uses == 0 ||
        (asked->uses != 0 && asked->uses < s->standing_uses)) {
        s->standing_uses = asked->uses;
    }
    s->standing_votes++;
}

/* Only where every one of those who approved said so. */
static enum err make_standing(struct deciding *d)
{
    const struct store_approval *s = &d->held.stored;
    if (s->standing_votes < d->held.message.terms->people || s->standing_until_ns <= d->now) {
        return OK;
    }
    enum err err = uuid_make_v7(&d->a->with.clock, d->standing_id);
    if (err == OK) {
        d->standing = (struct store_standing){.id = d->standing_id,
                                              .approval = s->id,
                                              .created_ns = d->now,
                                              .until_ns = s->standing_until_ns,
                                              .uses_max = s->standing_uses};
        terms_make_key(&d->held.message, d->standing.key);
        d->held.message.stands_as = d->standing_id;
    }
    return err;
}

static enum err apply(struct deciding *d)
{
    Chaperone__V1__HeldOperation *held = &d->held.message;
    enum err err = fill_decision(d);
    if (err != OK) {
        return err;
    }
    if (!d->request->approve) {
        approvals_set_end(&d->held, CHAPERONE__V1__APPROVAL_STATE__DENIED, "a person said no",
                          d->now);
        return OK;
    }
    count_standing(d);
    if (!terms_are_met(held)) {
        return OK;
    }
    held->state = CHAPERONE__V1__APPROVAL_STATE__APPROVED;
    if (held->terms->is_retry) {
        held->expires_unix_ns = d->now + held->terms->retry_window_s * second_ns;
        d->held.stored.due_ns = held->expires_unix_ns;
    } else {
        d->held.stored.due_ns = held->expires_unix_ns + APPROVALS_RELEASE_S * second_ns;
    }
    return make_standing(d);
}

/* ---- the record ------------------------------------------------------------------------------ */

static void fill_record(const struct deciding *d, const char *state, Chaperone__V1__Approval *out)
{
    chaperone__v1__approval__init(out);
    out->id = d->held.message.id;
    out->operation = d->held.message.operation;
    out->state = text_of(state);
    out->decided_by = (Chaperone__V1__Identity *)(uintptr_t)&d->by;
    out->reason = d->request->reason;
    out->digest = d->held.message.digest;
    out->from = text_of(d->person->from);
    out->approve = d->request->approve;
    out->people = d->held.message.terms->people;
    out->is_linked = d->person->is_linked;
}

static enum err store_decided(struct deciding *d)
{
    const Chaperone__V1__HeldOperation *held = &d->held.message;
    Chaperone__V1__Approval decided, standing;
    const struct store_audit_opened about = approvals_about(held);
    const struct journal_entry entries[] = {
        {.session = held->session, .about = &about, .approval = &decided},
        {.session = held->session, .about = &about, .approval = &standing},
    };
    const struct store_decision decision = {.issuer = d->person->issuer,
                                            .subject = d->person->subject,
                                            .key = d->request->idempotency_key,
                                            .time_ns = d->now};
    bool has_standing = d->standing.id != NULL;
    fill_record(d, "decided", &decided);
    fill_record(d, "standing", &standing);
    standing.standing = d->standing_id;
    standing.expires_unix_ns = d->standing.until_ns;
    const struct approvals_write write = {.decision = &decision,
                                          .standing = has_standing ? &d->standing : NULL,
                                          .entries = entries,
                                          .entry_count = has_standing ? 2 : 1};
    return approvals_change(d->a, &d->held, &write, d->arena);
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* ERR_NOT_FOUND: this was not said before. */
static enum err answer_again(const struct deciding *d, const Chaperone__V1__HeldOperation **out)
{
    const struct store_decision said = {.issuer = d->person->issuer,
                                        .subject = d->person->subject,
                                        .key = d->request->idempotency_key};
    struct store_approval then = {.id = d->request->id};
    enum err err =
        store_approval_answer(d->a->with.store, d->request->id, &said, d->arena, &then.held);
    return err == OK ? approvals_unpack(&then, d->arena, out) : err;
}

static enum err decide_once(struct deciding *d, const Chaperone__V1__HeldOperation **out)
{
    enum err err = answer_again(d, out);
    if (err != ERR_NOT_FOUND) {
        return err;
    }
    err = approvals_load(d->a, d->request->id, d->arena, &d->held, d->why);
    if (err == OK) {
        err = check(d);
    }
    if (err == OK) {
        err = apply(d);
    }
    if (err == OK) {
        err = store_decided(d);
    }
    if (err != OK) {
        return err;
    }
    /* What it points to is in the arena, the caller's, or `d`'s own: read again to be one. */
    return approvals_unpack(&d->held.stored, d->arena, out);
}

enum err approvals_decide(struct approvals *approvals, const struct approvals_person *person,
                          const Chaperone__V1__DecideRequest *request, struct arena *arena,
                          const Chaperone__V1__HeldOperation **out, struct err_text *why)
{
    struct err_text own = {.text = ""};
    enum err err = check_request(request, why);
    if (err != OK) {
        return err;
    }
    /* ERR_EXISTS without a sentence: somebody else's word came between, and may have changed what
     * this one means. */
    for (int i = 0; i < APPROVALS_TRIES; i++) {
        struct deciding d = {.a = approvals,
                             .person = person,
                             .request = request,
                             .arena = arena,
                             .now = approvals_now(approvals),
                             .why = &own};
        err = decide_once(&d, out);
        if (err != ERR_EXISTS || own.text[0] != '\0') {
            break;
        }
    }
    return err == OK ? OK : err_set(why, err, "%s", own.text);
}
