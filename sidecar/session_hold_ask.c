/* People are asked through the control plane, and say yes or no. */
#include <stdio.h>
#include <stdlib.h>

#include "sidecar/session_internal.h"

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
    if (!session_hold_is_open(s) || decided->state == CHAPERONE__V1__APPROVAL_STATE__WAITING) {
        return;
    }
    h->decided = (Chaperone__V1__ApprovalDecided *)session_hold_copy(&decided->base);
    switch (decided->state) {
    case CHAPERONE__V1__APPROVAL_STATE__APPROVED:
        if (h->decided == NULL || !covers(h, decided)) {
            session_hold_resolve(s, false, "withdrawn", "the approval is for another operation");
        } else {
            session_hold_resolve(s, true, "approved", "");
        }
        break;
    case CHAPERONE__V1__APPROVAL_STATE__DENIED:
        say_denied(decided, why, sizeof(why));
        session_hold_resolve(s, false, "denied", why);
        break;
    case CHAPERONE__V1__APPROVAL_STATE__EXPIRED:
        session_hold_resolve(s, false, "expired", "nobody decided in time");
        break;
    default:
        session_hold_resolve(s, false, "withdrawn", "it was withdrawn at the control plane");
        break;
    }
}

void session_take_decision(struct session *s, const Chaperone__V1__ApprovalDecided *decided)
{
    if (s->state != SESSION_CLOSED && strcmp(s->hold.id, decided->id) == 0) {
        take_decision(s, decided);
    }
}

/* ---- asking --------------------------------------------------------------------------------- */

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
    session_hold_resolve(s, false, "waiting", why);
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
        session_hold_change(s, HOLD_WAITING);
    } else if (!h->is_retry &&
               (status->code == RPC_UNAVAILABLE || status->code == RPC_DEADLINE_EXCEEDED)) {
        session_timer_start(s, &h->again, HOLD_ASK_AGAIN_MS, HOLD_ASK_AGAIN_MS);
    } else {
        (void)snprintf(why, sizeof(why), "nobody can be asked for approval: %.200s",
                       status->message);
        session_hold_resolve(s, false, "withdrawn", why);
    }
}

void session_hold_send_request(struct session *s)
{
    struct session_hold *h = &s->hold;
    Chaperone__V1__RequestApprovalRequest m = CHAPERONE__V1__REQUEST_APPROVAL_REQUEST__INIT;
    m.held = h->held;
    m.lifetime_ms = (int64_t)(ev_timer_remaining(loop_ev(s->shared->loop), &h->expiry) * 1000.0);
    if (h->state != HOLD_ASKING || m.lifetime_ms <= 0) {
        return;
    }
    enum err e = control_request_approval(s->shared->control, &m, on_reply, s, &h->call);
    if (e != OK) {
        session_hold_resolve(s, false, "withdrawn", "the request for approval could not be sent");
    }
}

static bool add_prediction(Chaperone__V1__HeldOperation *held, const Chaperone__V1__Prediction *p,
                           char *const *locks, size_t lock_count)
{
    held->prediction = (Chaperone__V1__Prediction *)session_hold_copy(&p->base);
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
    if (!add_prediction(h->held, prediction, locks, lock_count) ||
        !session_hold_record(s, "requested", NULL)) {
        session_hold_resolve(s, false, "withdrawn", "the request for approval could not be made");
        return;
    }
    session_hold_change(s, HOLD_ASKING);
    session_hold_send_request(s);
}
