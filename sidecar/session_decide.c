/* Whether an operation may go: the policy is asked, people where it says so, and the intent is
 * recorded before anything of it leaves. */
#include "sidecar/session_internal.h"

/* What needs approval where nothing can wait for it. */
static void deny_hold(struct policy_verdict *policy)
{
    policy->effect = POLICY_DENY;
    policy->message = "it needs approval, and cannot wait for it in this form; send it as a "
                      "statement of its own, with values of at most 64 KiB";
}

static bool decide_held(struct session *s, Chaperone__V1__Intent *intent,
                        const struct policy_verdict *policy, struct protocol_verdict *verdict,
                        bool *out_new)
{
    uint64_t sequence = 0;
    bool allowed = session_hold_continue(s, policy, verdict, &sequence, out_new);
    if (allowed) {
        session_apply_obligations(intent, policy, verdict);
        enum durability level = (enum durability)policy->durability;
        session_wait_for_record(s, sequence, level < DURABILITY_HOST ? DURABILITY_HOST : level);
        s->shared->metrics->operations_allowed++;
    } else if (!*out_new && verdict->hold == NULL) {
        s->shared->metrics->operations_refused++;
    }
    return allowed;
}

static bool record_decision(struct session *s, Chaperone__V1__Intent *intent,
                            const struct policy_verdict *policy, struct protocol_verdict *verdict)
{
    enum durability level = DURABILITY_PROCESS;
    bool recorded = session_record_intent(s, intent, policy, verdict, &level);
    if (recorded && verdict->allowed) {
        s->shared->metrics->operations_allowed++;
        session_wait_for_record(s, verdict->intent_sequence, level);
    } else {
        s->shared->metrics->operations_refused++;
    }
    return recorded && verdict->allowed;
}

bool session_link_prepare(struct protocol_link *link, Chaperone__V1__Intent *intent,
                          struct protocol_verdict *verdict)
{
    struct session *s = session_of(link);
    struct policy_verdict policy;
    session_ask_policy(s, intent, &policy);
    session_hold_abandon(s, "it is another operation now");
    if (policy.effect == POLICY_HOLD) {
        policy.effect = POLICY_ALLOW;
    }
    return record_decision(s, intent, &policy, verdict);
}

bool session_link_needs_body(struct protocol_link *link, const Chaperone__V1__Intent *intent)
{
    return session_needs_body(session_of(link), intent);
}

bool session_link_denies(struct protocol_link *link, const Chaperone__V1__Intent *intent)
{
    struct policy_verdict policy;
    session_ask_policy(session_of(link), intent, &policy);
    return policy.effect == POLICY_DENY;
}

bool session_link_decide(struct protocol_link *link, Chaperone__V1__Intent *intent,
                         struct protocol_binding *binding, struct protocol_verdict *verdict)
{
    struct session *s = session_of(link);
    struct policy_verdict policy;
    bool is_new = true;
    session_ask_policy(s, intent, &policy);
    if (session_hold_is_about(s, binding)) {
        bool allowed = decide_held(s, intent, &policy, verdict, &is_new);
        if (!is_new) {
            arena_reset(s->shared->scratch);
            return allowed;
        }
    } else if (intent->verdict != CHAPERONE__V1__VERDICT__ALLOW) {
        /* Messages are decided in their order: the one that was held is not what it was. What the
         * protocol itself allows (a cancel) comes beside them. */
        session_hold_abandon(s, "it is another operation now");
    }
    if (policy.effect == POLICY_HOLD && binding != NULL) {
        session_hold_start(s, intent, binding, &policy, verdict);
        if (verdict->hold != NULL) {
            /* Also where it was not bytes of the agent that led here: it is offered again. */
            s->sides[SIDE_AGENT].waiting = true;
            session_wait_for_record(s, verdict->intent_sequence, DURABILITY_HOST);
        }
        return false;
    }
    if (policy.effect == POLICY_HOLD) {
        deny_hold(&policy);
    }
    int64_t retry_after_ms = session_take_rate(s, &policy);
    bool allowed = record_decision(s, intent, &policy, verdict);
    verdict->retry_after_ms = retry_after_ms;
    return allowed;
}

/* All that is recorded, since there is no intent to wait for. */
void session_link_settle(struct protocol_link *link)
{
    struct session *s = session_of(link);
    if (s->is_unsettled) {
        session_wait_for_record(s, recorder_last_sequence(s->shared->recorder), DURABILITY_HOST);
    }
}
