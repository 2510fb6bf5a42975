#include "sidecar/session_hold.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/crypto/crypto.h"
#include "sidecar/session_internal.h"

/* ---- what is approved ----------------------------------------------------------------------- */

static void hash_text(struct crypto_sha256 *h, const char *text)
{
    size_t size = strlen(text);
    uint8_t length[4] = {(uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8),
                         (uint8_t)size};
    crypto_sha256_update(h, bytes_of(length, sizeof(length)));
    crypto_sha256_update(h, bytes_of(text, size));
}

/* SHA-256 over each of these, with its length before it. */
static void make_digest(const struct session *s, const uint8_t operation[32], uint8_t out[32])
{
    const Chaperone__V1__SessionOpened *o = s->opened;
    struct crypto_sha256 h;
    crypto_sha256_init(&h);
    hash_text(&h, "chaperone approval v1");
    crypto_sha256_update(&h, bytes_of(operation, 32));
    hash_text(&h, o->identity == NULL ? "" : o->identity->issuer);
    hash_text(&h, o->identity == NULL ? "" : o->identity->subject);
    for (size_t i = 0; i < o->n_on_behalf_of; i++) {
        hash_text(&h, o->on_behalf_of[i]->subject);
    }
    hash_text(&h, s->resource);
    hash_text(&h, o->target_address);
    hash_text(&h, o->database);
    hash_text(&h, o->target_user);
    hash_text(&h, s->shared->policy == NULL ? "" : policy_hash(s->shared->policy));
    crypto_sha256_finish(&h, out);
}

/* ---- life ----------------------------------------------------------------------------------- */

static struct ev_loop *ev_of(const struct session *s)
{
    return loop_ev(s->shared->loop);
}

static void offer_again(void *context)
{
    session_event(context, PROTOCOL_MORE);
}

static void change(struct session *s, enum hold_state state)
{
    static const char *const names[] = {"none",    "predicting", "asking",
                                        "waiting", "approved",   "refused"};
    log_event(s->shared->log, LOG_DEBUG, "hold_state", log_text("session", s->id),
              log_text("approval", s->hold.id), log_text("from", names[s->hold.state]),
              log_text("to", names[state]));
    s->hold.state = state;
}

static bool is_open(const struct session_hold *h)
{
    return h->state == HOLD_PREDICTING || h->state == HOLD_ASKING || h->state == HOLD_WAITING;
}

bool session_hold_is_open(const struct session *s)
{
    return is_open(&s->hold);
}

/* Nothing of it goes on; how it ended stays. */
static void stop(struct session *s)
{
    struct session_hold *h = &s->hold;
    control_call_cancel(h->call);
    h->call = NULL;
    ev_timer_stop(ev_of(s), &h->expiry);
    ev_timer_stop(ev_of(s), &h->again);
}

static void clear(struct session *s)
{
    struct session_hold *h = &s->hold;
    stop(s);
    loop_cancel_deferred(s->shared->loop, &h->later);
    if (h->held != NULL) {
        chaperone__v1__held_operation__free_unpacked(h->held, NULL);
        h->held = NULL;
    }
    if (h->decided != NULL) {
        chaperone__v1__approval_decided__free_unpacked(h->decided, NULL);
        h->decided = NULL;
    }
    h->end = NULL;
    h->is_by_agent = false;
    h->why[0] = '\0';
    h->read_meanwhile = 0;
    h->is_of_before = false;
    change(s, HOLD_NONE);
}

/* It is decided: the agent's message is offered again at the end of this turn. */
static void resolve(struct session *s, bool approved, const char *end, const char *why)
{
    struct session_hold *h = &s->hold;
    if (!is_open(h)) {
        return;
    }
    stop(s);
    h->end = end;
    (void)snprintf(h->why, sizeof(h->why), "%s", why);
    change(s, approved ? HOLD_APPROVED : HOLD_REFUSED);
    loop_defer(s->shared->loop, &h->later);
}

static void on_expiry(struct ev_loop *ev, struct ev_timer *w, int events)
{
    (void)ev;
    (void)events;
    struct session *s = w->data;
    bool in_transaction = s->hold.is_in_transaction;
    resolve(s, false, "expired",
            in_transaction ? "nobody decided in the time that an open transaction may wait"
                           : "nobody decided in time");
}

static void send_request(struct session *s);

static void on_again(struct ev_loop *ev, struct ev_timer *w, int events)
{
    (void)ev;
    (void)events;
    send_request(w->data);
}

void session_hold_init(struct session *s)
{
    struct session_hold *h = &s->hold;
    ev_init(&h->expiry, on_expiry);
    h->expiry.data = s;
    ev_init(&h->again, on_again);
    h->again.data = s;
    h->later = (struct loop_deferred){.fn = offer_again, .context = s};
}

/* ---- records -------------------------------------------------------------------------------- */

static bool record(struct session *s, const char *state, uint64_t *out_sequence)
{
    const struct session_hold *h = &s->hold;
    const Chaperone__V1__Prediction *prediction = h->held->prediction;
    const Chaperone__V1__Decision *decision = h->decided == NULL ? NULL : h->decided->decision;
    Chaperone__V1__Approval m = CHAPERONE__V1__APPROVAL__INIT;
    m.id = (char *)h->id;
    m.operation = h->operation;
    m.state = (char *)state;
    m.digest = (ProtobufCBinaryData){sizeof(h->digest), (uint8_t *)h->digest};
    if (decision != NULL) {
        m.decided_by = decision->by;
        m.reason = decision->reason;
        m.from = decision->from;
        m.approve = decision->approve;
        m.is_linked = decision->is_linked;
    }
    if (h->why[0] != '\0' && m.reason[0] == '\0') {
        m.reason = (char *)h->why;
    }
    if (h->decided != NULL) {
        m.standing = h->decided->standing;
    }
    m.people = h->held->terms->people;
    m.n_groups = h->held->terms->n_groups;
    m.groups = h->held->terms->groups;
    if (prediction != NULL) {
        m.plan = prediction->plan;
        m.estimated_rows = prediction->estimated_rows;
        m.has_exact_rows = prediction->has_exact;
        m.exact_rows = prediction->exact_rows;
    }
    m.n_locks = h->held->n_locks;
    m.locks = h->held->locks;
    return session_record_approval(s, &m, out_sequence);
}

static void tell_end(struct session *s, Chaperone__V1__ApprovalState state)
{
    if (s->hold.is_of_before) {
        return; /* it was used up by asking for it */
    }
    control_end_approval(s->shared->control, s->hold.id, state, s->hold.why);
}

static Chaperone__V1__ApprovalState end_state(const struct session_hold *h)
{
    return strcmp(h->end, "expired") == 0 ? CHAPERONE__V1__APPROVAL_STATE__EXPIRED
                                          : CHAPERONE__V1__APPROVAL_STATE__WITHDRAWN;
}

static bool is_told(const struct session_hold *h)
{
    return strcmp(h->end, "expired") == 0 || strcmp(h->end, "withdrawn") == 0;
}

/* It will not be decided by the protocol any more: its records are completed here. */
static void forget(struct session *s)
{
    struct session_hold *h = &s->hold;
    Chaperone__V1__Outcome outcome = CHAPERONE__V1__OUTCOME__INIT;
    outcome.operation = h->operation;
    outcome.intent_sequence = h->intent_sequence;
    outcome.status = CHAPERONE__V1__STATUS__NOT_EXECUTED;
    outcome.error = h->why;
    outcome.approval = h->id;
    if (strcmp(h->end, "waiting") != 0) { /* what the agent was sent away from waits on */
        (void)record(s, h->end, NULL);
    }
    (void)session_record_outcome(s, &outcome);
    if (is_told(h)) {
        tell_end(s, end_state(h));
    }
    clear(s);
}

void session_hold_abandon(struct session *s, const char *why)
{
    struct session_hold *h = &s->hold;
    if (h->state == HOLD_NONE) {
        return;
    }
    stop(s);
    if (h->state != HOLD_REFUSED) { /* also one that was approved and is not released any more */
        h->end = "withdrawn";
        (void)snprintf(h->why, sizeof(h->why), "%s", why);
    }
    forget(s);
}

bool session_hold_withdraw(struct session *s, const char *why, bool forgets)
{
    struct session_hold *h = &s->hold;
    if (h->state == HOLD_NONE) {
        return false;
    }
    if (forgets) {
        session_hold_abandon(s, why);
        return true;
    }
    if (h->state == HOLD_APPROVED) { /* it has not left yet */
        change(s, HOLD_WAITING);
    }
    if (is_open(h)) {
        h->is_by_agent = true;
        resolve(s, false, "withdrawn", why);
    }
    return true;
}

/* ---- asking --------------------------------------------------------------------------------- */

static void say_who(const struct policy_hold *terms, char out[HOLD_WHO_SIZE])
{
    int n = terms->people == 1 ? snprintf(out, HOLD_WHO_SIZE, "one of ")
                               : snprintf(out, HOLD_WHO_SIZE, "%u people of ", terms->people);
    for (size_t i = 0; i < terms->group_count && n > 0 && n < HOLD_WHO_SIZE; i++) {
        n += snprintf(out + n, (size_t)(HOLD_WHO_SIZE - n), "%s%s", i == 0 ? "" : ", ",
                      terms->groups[i]);
    }
}

static void fill_terms(const struct policy_hold *terms, Chaperone__V1__HoldTerms *out,
                       Chaperone__V1__StandingTerms *standing)
{
    out->n_groups = terms->group_count;
    out->groups = (char **)(uintptr_t)terms->groups;
    out->people = terms->people;
    out->excludes_requester = terms->excludes_requester;
    out->needs_reason = terms->needs_reason;
    out->is_retry = terms->is_retry;
    out->retry_window_s = terms->retry_window_s;
    out->forbids_linked = terms->forbids_linked;
    if (terms->has_standing) {
        standing->seconds_max = terms->standing_s_max;
        standing->uses_max = terms->standing_uses_max;
        out->standing = standing;
    }
}

/* Returns owned; NULL: no memory. */
static ProtobufCMessage *copy_message(const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = malloc(size + 1);
    if (packed == NULL) {
        return NULL;
    }
    (void)protobuf_c_message_pack(message, packed);
    ProtobufCMessage *copy = protobuf_c_message_unpack(message->descriptor, NULL, size, packed);
    bytes_wipe(packed, size); /* an agent's values may be in it */
    free(packed);
    return copy;
}

/* All that people are shown; a copy, because policy and message may be gone when it is sent. */
static Chaperone__V1__HeldOperation *describe(struct session *s, Chaperone__V1__Intent *intent,
                                              const struct protocol_binding *binding,
                                              const struct policy_hold *terms)
{
    Chaperone__V1__HeldOperation m = CHAPERONE__V1__HELD_OPERATION__INIT;
    Chaperone__V1__HoldTerms t = CHAPERONE__V1__HOLD_TERMS__INIT;
    Chaperone__V1__StandingTerms standing = CHAPERONE__V1__STANDING_TERMS__INIT;
    const Chaperone__V1__SessionOpened *o = s->opened;
    fill_terms(terms, &t, &standing);
    m.id = s->hold.id;
    m.session = s->id;
    m.operation = s->operations + 1;
    m.identity = o->identity;
    m.n_on_behalf_of = o->n_on_behalf_of;
    m.on_behalf_of = o->on_behalf_of;
    m.n_reasons = o->n_reasons;
    m.reasons = o->reasons;
    m.resource = (char *)s->resource;
    m.protocol = (char *)s->origin->protocol->name;
    m.database = o->database;
    m.target_user = o->target_user;
    m.intent = intent;
    m.terms = &t;
    m.digest = (ProtobufCBinaryData){sizeof(s->hold.digest), s->hold.digest};
    m.shape = (char *)(uintptr_t)binding->shape;
    return (Chaperone__V1__HeldOperation *)copy_message(&m.base);
}

static void cannot_be_held(struct protocol_verdict *verdict, const char *why)
{
    *verdict = (struct protocol_verdict){.rule = "recorder", .message = why};
}

static void start_clock(struct session *s, const struct policy_hold *terms)
{
    struct session_hold *h = &s->hold;
    int64_t lifetime = h->is_in_transaction ? terms->in_transaction_s : terms->lifetime_s;
    h->view.lifetime_s = lifetime;
    ev_timer_set(&h->expiry, (double)lifetime, 0.0);
    ev_timer_start(ev_of(s), &h->expiry);
}

void session_hold_start(struct session *s, Chaperone__V1__Intent *intent,
                        struct protocol_binding *binding, const struct policy_verdict *policy,
                        struct protocol_verdict *verdict)
{
    struct session_hold *h = &s->hold;
    const struct policy_hold *terms = policy->hold;
    enum durability level = DURABILITY_HOST;
    if (h->state != HOLD_NONE || uuid_make_v7(s->shared->clock, h->id) != OK ||
        !binding->make(binding)) {
        cannot_be_held(verdict, "the operation cannot be held for approval now");
        return;
    }
    memcpy(h->operation_digest, binding->digest, sizeof(h->operation_digest));
    make_digest(s, h->operation_digest, h->digest);
    intent->approval = h->id;
    intent->rule = (char *)policy->rule;
    intent->verdict = CHAPERONE__V1__VERDICT__HOLD;
    intent->policy_hash = (char *)policy_hash(s->shared->policy);
    intent->policy_revision = policy_revision(s->shared->policy);
    h->held = describe(s, intent, binding, terms);
    if (h->held == NULL) {
        cannot_be_held(verdict, "out of memory");
        return;
    }
    h->is_retry = terms->is_retry;
    h->is_in_transaction = binding->may_hold_locks;
    say_who(terms, h->who);
    (void)snprintf(h->message, sizeof(h->message), "%s",
                   policy->message == NULL ? "" : policy->message);
    if (!session_record_intent(s, intent, policy, verdict, &level)) {
        clear(s);
        return;
    }
    h->operation = verdict->operation;
    h->intent_sequence = verdict->intent_sequence;
    h->held->operation = h->operation;
    h->view = (struct protocol_hold){.id = h->id,
                                     .is_new = true,
                                     .tells = !terms->is_retry,
                                     .who = h->who,
                                     .message = h->message,
                                     .explains = terms->explains,
                                     .runs_dry = terms->runs_dry};
    start_clock(s, terms);
    change(s, HOLD_PREDICTING);
    s->shared->metrics->operations_held++;
    verdict->hold = &h->view;
    log_event(s->shared->log, LOG_INFO, "operation_held", log_text("session", s->id),
              log_text("approval", h->id), log_text("rule", policy->rule));
}

static bool add_prediction(Chaperone__V1__HeldOperation *held, const Chaperone__V1__Prediction *p,
                           char *const *locks, size_t lock_count)
{
    held->prediction = (Chaperone__V1__Prediction *)copy_message(&p->base);
    held->locks = lock_count == 0 ? NULL : calloc(lock_count, sizeof(*held->locks));
    for (size_t i = 0; held->locks != NULL && i < lock_count; i++) {
        char *lock = bytes_to_string(bytes_of_string(locks[i]));
        if (lock == NULL) {
            return false;
        }
        held->locks[held->n_locks++] = lock;
    }
    return held->prediction != NULL;
}

void session_hold_ask(struct session *s, const Chaperone__V1__Prediction *prediction,
                      char *const *locks, size_t lock_count)
{
    struct session_hold *h = &s->hold;
    if (h->state != HOLD_PREDICTING) {
        return; /* it ended meanwhile */
    }
    if (!add_prediction(h->held, prediction, locks, lock_count) || !record(s, "requested", NULL)) {
        resolve(s, false, "withdrawn", "the request for approval could not be made");
        return;
    }
    change(s, HOLD_ASKING);
    send_request(s);
}

/* ---- the answer ----------------------------------------------------------------------------- */

static const char *name_of(const Chaperone__V1__Decision *d)
{
    if (d == NULL || d->by == NULL) {
        return "somebody";
    }
    return d->by->name[0] != '\0' ? d->by->name : d->by->subject;
}

/* What was approved before it was asked for (a standing approval) has the digest of another
 * operation; the control plane has compared shape, identity and target. */
static bool covers(const struct session_hold *h, const Chaperone__V1__ApprovalDecided *decided)
{
    return decided->standing[0] != '\0' ||
           (decided->digest.len == sizeof(h->digest) &&
            memcmp(decided->digest.data, h->digest, sizeof(h->digest)) == 0);
}

static void say_denied(const Chaperone__V1__ApprovalDecided *d, char *out, size_t size)
{
    const char *reason = d->decision == NULL ? "" : d->decision->reason;
    (void)snprintf(out, size, "denied by %.80s%s%.150s", name_of(d->decision),
                   reason[0] == '\0' ? "" : ": ", reason);
}

static void take_decision(struct session *s, const Chaperone__V1__ApprovalDecided *decided)
{
    struct session_hold *h = &s->hold;
    char why[HOLD_WHY_SIZE] = "";
    if (!is_open(h) || decided->state == CHAPERONE__V1__APPROVAL_STATE__WAITING) {
        return;
    }
    h->decided = (Chaperone__V1__ApprovalDecided *)copy_message(&decided->base);
    switch (decided->state) {
    case CHAPERONE__V1__APPROVAL_STATE__APPROVED:
        if (h->decided == NULL || !covers(h, decided)) {
            resolve(s, false, "withdrawn", "the approval is for another operation");
        } else {
            resolve(s, true, "approved", "");
        }
        break;
    case CHAPERONE__V1__APPROVAL_STATE__DENIED:
        say_denied(decided, why, sizeof(why));
        resolve(s, false, "denied", why);
        break;
    case CHAPERONE__V1__APPROVAL_STATE__EXPIRED:
        resolve(s, false, "expired", "nobody decided in time");
        break;
    default: resolve(s, false, "withdrawn", "it was withdrawn at the control plane"); break;
    }
}

void session_take_decision(struct session *s, const Chaperone__V1__ApprovalDecided *decided)
{
    if (s->state != SESSION_CLOSED && strcmp(s->hold.id, decided->id) == 0) {
        take_decision(s, decided);
    }
}

/* Decision, release and outcome are found under the id that people saw. */
static void take_id(struct session_hold *h, const Chaperone__V1__ApprovalDecided *decided)
{
    if (decided->id[0] != '\0' && strcmp(decided->id, h->id) != 0) {
        (void)snprintf(h->id, sizeof(h->id), "%s", decided->id);
        h->is_of_before = true;
    }
}

/* The agent is sent away: it comes again when it is approved. */
static void send_away(struct session *s)
{
    char why[HOLD_WHY_SIZE];
    (void)snprintf(why, sizeof(why), "it waits for approval by %.150s; run it again then",
                   s->hold.who);
    resolve(s, false, "waiting", why);
}

static void on_reply(void *context, const struct rpc_status *status,
                     const Chaperone__V1__ApprovalDecided *decided)
{
    struct session *s = context;
    struct session_hold *h = &s->hold;
    char why[HOLD_WHY_SIZE];
    h->call = NULL;
    if (status->code == RPC_OK && h->is_retry) {
        take_id(h, decided);
    }
    if (status->code == RPC_OK && decided->state != CHAPERONE__V1__APPROVAL_STATE__WAITING) {
        take_decision(s, decided);
    } else if (status->code == RPC_OK && h->is_retry) {
        send_away(s);
    } else if (status->code == RPC_OK) {
        change(s, HOLD_WAITING);
    } else if (!h->is_retry &&
               (status->code == RPC_UNAVAILABLE || status->code == RPC_DEADLINE_EXCEEDED)) {
        session_timer_start(s, &h->again, HOLD_ASK_AGAIN_MS, HOLD_ASK_AGAIN_MS);
    } else {
        (void)snprintf(why, sizeof(why), "nobody can be asked for approval: %.200s",
                       status->message);
        resolve(s, false, "withdrawn", why);
    }
}

static void send_request(struct session *s)
{
    struct session_hold *h = &s->hold;
    Chaperone__V1__RequestApprovalRequest m = CHAPERONE__V1__REQUEST_APPROVAL_REQUEST__INIT;
    m.held = h->held;
    m.lifetime_ms = (int64_t)(ev_timer_remaining(ev_of(s), &h->expiry) * 1000.0);
    if (h->state != HOLD_ASKING || m.lifetime_ms <= 0) {
        return;
    }
    enum err e = control_request_approval(s->shared->control, &m, on_reply, s, &h->call);
    if (e != OK) {
        resolve(s, false, "withdrawn", "the request for approval could not be sent");
    }
}

/* ---- decided again -------------------------------------------------------------------------- */

bool session_hold_is_about(const struct session *s, struct protocol_binding *binding)
{
    return s->hold.state != HOLD_NONE && binding != NULL && binding->make(binding) &&
           memcmp(binding->digest, s->hold.operation_digest, sizeof(binding->digest)) == 0;
}

static void fill_verdict(struct session *s, struct protocol_verdict *out)
{
    const struct session_hold *h = &s->hold;
    (void)snprintf(s->approval, sizeof(s->approval), "%s", h->id);
    (void)snprintf(s->refusal, sizeof(s->refusal), "%s", h->why);
    (void)snprintf(s->rule, sizeof(s->rule), "%s", h->held->intent->rule);
    *out = (struct protocol_verdict){.operation = h->operation,
                                     .intent_sequence = h->intent_sequence,
                                     .rule = s->rule,
                                     .message = s->refusal,
                                     .approval = s->approval,
                                     .is_withdrawn = h->is_by_agent};
}

/* For its outcome. */
static struct session_release *make_release(const struct session_hold *h)
{
    const Chaperone__V1__Prediction *p = h->held->prediction;
    struct session_release *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return NULL;
    }
    r->operation = h->operation;
    (void)snprintf(r->approval, sizeof(r->approval), "%s", h->id);
    if (p != NULL && (p->has_exact || p->estimated_rows > 0)) {
        r->has_predicted_rows = true;
        r->predicted_rows = p->has_exact ? p->exact_rows : (uint64_t)p->estimated_rows;
    }
    return r;
}

static void withdraw_now(struct session_hold *h, const char *why)
{
    h->end = "withdrawn";
    (void)snprintf(h->why, sizeof(h->why), "%s", why);
}

static bool release(struct session *s, const struct policy_verdict *policy,
                    struct protocol_verdict *verdict, uint64_t *out_sequence)
{
    struct session_hold *h = &s->hold;
    struct session_release *released = make_release(h);
    bool may = policy->effect != POLICY_DENY && released != NULL;
    if (!may) {
        withdraw_now(h, released == NULL ? "out of memory" : "the policy denies it now");
    }
    fill_verdict(s, verdict);
    bool recorded = record(s, h->end, out_sequence);
    tell_end(s, may && recorded ? CHAPERONE__V1__APPROVAL_STATE__USED
                                : CHAPERONE__V1__APPROVAL_STATE__WITHDRAWN);
    if (!recorded) {
        *verdict = (struct protocol_verdict){
            .rule = "recorder", .message = "the operation cannot be recorded, so it is not done"};
    }
    verdict->allowed = may && recorded;
    if (verdict->allowed) {
        released->next = s->released;
        s->released = released;
    } else {
        free(released);
    }
    clear(s);
    return verdict->allowed;
}

static void refuse(struct session *s, struct protocol_verdict *verdict)
{
    struct session_hold *h = &s->hold;
    fill_verdict(s, verdict);
    if (strcmp(h->end, "waiting") != 0) {
        (void)record(s, h->end, NULL);
    }
    if (is_told(h)) {
        tell_end(s, end_state(h));
    }
    clear(s);
}

bool session_hold_continue(struct session *s, const struct policy_verdict *policy,
                           struct protocol_verdict *verdict, uint64_t *out_sequence, bool *out_new)
{
    struct session_hold *h = &s->hold;
    uint8_t digest[32];
    *out_new = false;
    make_digest(s, h->operation_digest, digest);
    bool is_other = memcmp(digest, h->digest, sizeof(digest)) != 0;
    /* A rule's hours may have begun: its approvers are other people. */
    is_other = is_other ||
               (policy->effect == POLICY_HOLD && strcmp(policy->rule, h->held->intent->rule) != 0);
    if (h->state != HOLD_REFUSED && is_other) {
        session_hold_abandon(s, "the policy has changed");
        *out_new = true;
        return false;
    }
    switch (h->state) {
    case HOLD_APPROVED: return release(s, policy, verdict, out_sequence);
    case HOLD_REFUSED: refuse(s, verdict); return false;
    default:
        h->view.is_new = false;
        *verdict = (struct protocol_verdict){.hold = &h->view};
        return false;
    }
}

/* ---- from outside --------------------------------------------------------------------------- */

void session_look_again(struct session *s)
{
    session_verdicts_forget(s); /* the policy that gave them may go away */
    if (s->state != SESSION_CLOSED && s->hold.state != HOLD_NONE) {
        loop_defer(s->shared->loop, &s->hold.later);
    }
}

const char *session_awaited_approval(const struct session *s)
{
    bool waits = s->hold.state == HOLD_ASKING || s->hold.state == HOLD_WAITING;
    return waits && !s->hold.is_retry ? s->hold.id : NULL;
}
