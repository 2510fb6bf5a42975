/* What a protocol may ask for: the table of it, and what is small enough to be answered here. */
#include <stdio.h>

#include "base/crypto/crypto.h"
#include "sidecar/session_internal.h"

static void link_ask(struct protocol_link *link, const Chaperone__V1__Prediction *prediction,
                     char *const *locks, size_t lock_count)
{
    session_hold_ask(session_of(link), prediction, locks, lock_count);
}

static bool link_withdraw(struct protocol_link *link, const char *why, bool forget)
{
    return session_hold_withdraw(session_of(link), why, forget);
}

static bool link_is_held(struct protocol_link *link)
{
    return session_hold_is_open(session_of(link));
}

static const struct protocol_masks *link_masks(struct protocol_link *link)
{
    return session_masks(session_of(link));
}

static bool link_outcome(struct protocol_link *link, Chaperone__V1__Outcome *outcome)
{
    struct session *s = session_of(link);
    if (outcome->status == CHAPERONE__V1__STATUS__FAILED) {
        s->shared->metrics->outcomes_failed++;
    } else if (outcome->status == CHAPERONE__V1__STATUS__UNKNOWN) {
        s->shared->metrics->outcomes_unknown++;
    }
    return session_record_outcome(s, outcome);
}

static bool link_message(struct protocol_link *link, Chaperone__V1__Message *message)
{
    return session_record_message(session_of(link), message);
}

static void link_opened(struct protocol_link *link)
{
    struct session *s = session_of(link);
    session_set_state(s, SESSION_OPEN);
    log_event(s->shared->log, LOG_INFO, "session_opened", log_text("session", s->id),
              log_text("identity", s->opened->identity->subject), log_text("resource", s->resource),
              log_text("database", s->opened->database),
              log_text("agent_address", s->agent_address));
}

static bool link_publish_key(struct protocol_link *link, struct bytes key)
{
    struct session *s = session_of(link);
    return directory_publish(s->shared->directory, &s->entry, key) == OK;
}

static bool link_signal_key(struct protocol_link *link, struct bytes key)
{
    struct session *other = directory_find_key(session_of(link)->shared->directory, key);
    if (other == NULL || other->state == SESSION_CLOSED) {
        return false;
    }
    other->origin->protocol->on_signal(other->protocol);
    return true;
}

static int64_t link_monotonic_ns(struct protocol_link *link)
{
    return clock_monotonic(session_of(link)->shared->clock);
}

static bool link_random(struct protocol_link *link, uint8_t *out, size_t size)
{
    (void)link;
    const struct crypto_random random = crypto_random_system();
    return crypto_random_fill(&random, out, size) == OK;
}

static void link_set_end(struct protocol_link *link, const char *reason, const char *error)
{
    struct session *s = session_of(link);
    if (s->end_reason == NULL) {
        s->end_reason = reason;
        (void)snprintf(s->end_error, sizeof(s->end_error), "%s", error == NULL ? "" : error);
    }
}

const struct protocol_link_ops session_link_ops = {
    .to_agent = session_link_to_agent,
    .to_target = session_link_to_target,
    .to_second = session_link_to_second,
    .identify = session_link_identify,
    .connect_target = session_link_connect_target,
    .leave_target = session_link_leave_target,
    .connect_second = session_link_connect_second,
    .is_proxy = session_link_is_proxy,
    .choose = session_link_choose,
    .has_tls = session_link_has_tls,
    .start_tls = session_link_start_tls,
    .alpn = session_link_alpn,
    .end_point_hash = session_link_end_point_hash,
    .decide = session_link_decide,
    .prepare = session_link_prepare,
    .needs_body = session_link_needs_body,
    .denies = session_link_denies,
    .ask = link_ask,
    .withdraw = link_withdraw,
    .is_held = link_is_held,
    .settle = session_link_settle,
    .masks = link_masks,
    .outcome = link_outcome,
    .message = link_message,
    .opened = link_opened,
    .publish_key = link_publish_key,
    .signal_key = link_signal_key,
    .monotonic_ns = link_monotonic_ns,
    .random = link_random,
    .set_end = link_set_end,
};
