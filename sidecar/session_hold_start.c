/* The policy holds an operation: what exactly will be approved, what people will see of it, and its
 * intent. */
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
void session_hold_digest(const struct session *s, const uint8_t operation[32], uint8_t out[32])
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

/* ---- what people see ------------------------------------------------------------------------ */

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

ProtobufCMessage *session_hold_copy(const ProtobufCMessage *message)
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
    return (Chaperone__V1__HeldOperation *)session_hold_copy(&m.base);
}

/* ---- held ----------------------------------------------------------------------------------- */

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
    ev_timer_start(loop_ev(s->shared->loop), &h->expiry);
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
    session_hold_digest(s, h->operation_digest, h->digest);
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
        session_hold_clear(s);
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
    session_hold_change(s, HOLD_PREDICTING);
    s->shared->metrics->operations_held++;
    verdict->hold = &h->view;
    log_event(s->shared->log, LOG_INFO, "operation_held", log_text("session", s->id),
              log_text("approval", h->id), log_text("rule", policy->rule));
}
