/* The life of a held operation: its states, its clocks, and what is recorded of it. */
#include "sidecar/session_hold.h"

#include <stdio.h>

#include "sidecar/session_internal.h"

/* ---- life ----------------------------------------------------------------------------------- */

static struct ev_loop *ev_of(const struct session *s)
{
    return loop_ev(s->shared->loop);
}

static void offer_again(void *context)
{
    session_event(context, PROTOCOL_MORE);
}

void session_hold_change(struct session *s, enum hold_state state)
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

void session_hold_stop(struct session *s)
{
    struct session_hold *h = &s->hold;
    control_call_cancel(h->call);
    h->call = NULL;
    ev_timer_stop(ev_of(s), &h->expiry);
    ev_timer_stop(ev_of(s), &h->again);
}

void session_hold_clear(struct session *s)
{
    struct session_hold *h = &s->hold;
    session_hold_stop(s);
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
    session_hold_change(s, HOLD_NONE);
}

void session_hold_resolve(struct session *s, bool approved, const char *end, const char *why)
{
    struct session_hold *h = &s->hold;
    if (!is_open(h)) {
        return;
    }
    session_hold_stop(s);
    h->end = end;
    (void)snprintf(h->why, sizeof(h->why), "%s", why);
    session_hold_change(s, approved ? HOLD_APPROVED : HOLD_REFUSED);
    loop_defer(s->shared->loop, &h->later);
}

static void on_expiry(struct ev_loop *ev, struct ev_timer *w, int events)
{
    (void)ev;
    (void)events;
    struct session *s = w->data;
    bool in_transaction = s->hold.is_in_transaction;
    session_hold_resolve(s, false, "expired",
                         in_transaction
                             ? "nobody decided in the time that an open transaction may wait"
                             : "nobody decided in time");
}

static void on_again(struct ev_loop *ev, struct ev_timer *w, int events)
{
    (void)ev;
    (void)events;
    session_hold_send_request(w->data);
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

bool session_hold_record(struct session *s, const char *state, uint64_t *out_sequence)
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
