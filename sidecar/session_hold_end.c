/* How a held operation ends: given up, or decided again by the protocol, which releases or refuses
 * it. */
#include <stdio.h>
#include <stdlib.h>

#include "sidecar/session_internal.h"

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

/* ---- given up ------------------------------------------------------------------------------- */

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
        (void)session_hold_record(s, h->end, NULL);
    }
    (void)session_record_outcome(s, &outcome);
    if (is_told(h)) {
        tell_end(s, end_state(h));
    }
    session_hold_clear(s);
}

void session_hold_abandon(struct session *s, const char *why)
{
    struct session_hold *h = &s->hold;
    if (h->state == HOLD_NONE) {
        return;
    }
    session_hold_stop(s);
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
        session_hold_change(s, HOLD_WAITING);
    }
    if (session_hold_is_open(s)) {
        h->is_by_agent = true;
        session_hold_resolve(s, false, "withdrawn", why);
    }
    return true;
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
    bool recorded = session_hold_record(s, h->end, out_sequence);
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
    session_hold_clear(s);
    return verdict->allowed;
}

static void refuse(struct session *s, struct protocol_verdict *verdict)
{
    struct session_hold *h = &s->hold;
    fill_verdict(s, verdict);
    if (strcmp(h->end, "waiting") != 0) {
        (void)session_hold_record(s, h->end, NULL);
    }
    if (is_told(h)) {
        tell_end(s, end_state(h));
    }
    session_hold_clear(s);
}

bool session_hold_continue(struct session *s, const struct policy_verdict *policy,
                           struct protocol_verdict *verdict, uint64_t *out_sequence, bool *out_new)
{
    struct session_hold *h = &s->hold;
    uint8_t digest[32];
    *out_new = false;
    session_hold_digest(s, h->operation_digest, digest);
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
