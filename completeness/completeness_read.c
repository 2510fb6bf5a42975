/* What is needed of a record. */
#include <inttypes.h>
#include <stdio.h>

#include "completeness/completeness_internal.h"

static void read_heartbeat(const Chaperone__V1__Record *r, struct fact *f)
{
    const Chaperone__V1__Heartbeat *h = r->heartbeat;
    uint8_t key[CRYPTO_ED25519_PUBLIC_SIZE];
    char head[128];
    uint8_t message[sizeof(head) + CRYPTO_SHA256_SIZE];
    int length = snprintf(head, sizeof(head), "chaperone heartbeat v1\n%s\n%" PRIu64 "\n",
                          r->sidecar, r->sequence);
    f->kind = FACT_HEARTBEAT;
    f->open_sessions = h->open_sessions;
    if (length < 0 || (size_t)length >= sizeof(head) ||
        crypto_ed25519_public_from_der(bytes_of(h->public_key.data, h->public_key.len), key) !=
            OK) {
        return;
    }
    memcpy(message, head, (size_t)length);
    memcpy(message + length, f->previous, sizeof(f->previous));
    f->is_signed = crypto_ed25519_verify(bytes_of(key, sizeof(key)),
                                         bytes_of(message, (size_t)length + sizeof(f->previous)),
                                         bytes_of(h->signature.data, h->signature.len));
    crypto_sha256_of(bytes_of(key, sizeof(key)), f->key);
}

static void read_event(const Chaperone__V1__Record *r, struct fact *f)
{
    switch (r->event_case) {
    case CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED:
        f->kind = FACT_OPENED;
        f->is_refused = r->session_opened->verdict == CHAPERONE__V1__VERDICT__DENY;
        break;
    case CHAPERONE__V1__RECORD__EVENT_SESSION_CLOSED: f->kind = FACT_CLOSED; break;
    case CHAPERONE__V1__RECORD__EVENT_INTENT:
        f->kind = FACT_INTENT;
        f->operation = r->intent->operation;
        f->is_forwarded = r->intent->verdict != CHAPERONE__V1__VERDICT__DENY &&
                          r->intent->verdict != CHAPERONE__V1__VERDICT__HOLD;
        break;
    case CHAPERONE__V1__RECORD__EVENT_APPROVAL:
        f->kind = strcmp(r->approval->state, "approved") == 0 ? FACT_RELEASED : FACT_OTHER;
        f->operation = r->approval->operation;
        break;
    case CHAPERONE__V1__RECORD__EVENT_OUTCOME:
        f->kind = FACT_OUTCOME;
        f->operation = r->outcome->operation;
        break;
    case CHAPERONE__V1__RECORD__EVENT_HEARTBEAT: read_heartbeat(r, f); break;
    case CHAPERONE__V1__RECORD__EVENT_LOSS:
        f->kind = FACT_LOSS;
        f->lost_first = r->loss->first_sequence;
        f->lost_last = r->loss->last_sequence;
        break;
    default: break;
    }
}

static void hash_record(struct bytes record, uint8_t *out)
{
    static const uint8_t leaf = 0; /* RFC 6962 section 2.1 */
    struct crypto_sha256 hash;
    crypto_sha256_init(&hash);
    crypto_sha256_update(&hash, bytes_of(&leaf, 1));
    crypto_sha256_update(&hash, record);
    crypto_sha256_finish(&hash, out);
}

bool completeness_read_fact(const Chaperone__V1__Record *r, struct bytes record, struct fact *f)
{
    *f = (struct fact){.sequence = r->sequence, .time_ns = r->time_unix_ns};
    if (r->sidecar[0] == '\0' || strlen(r->sidecar) >= COMPLETENESS_ID_SIZE || r->sequence == 0 ||
        r->sequence == UINT64_MAX || r->previous.len != sizeof(f->previous) ||
        strlen(r->session) >= sizeof(f->session)) {
        return false;
    }
    memcpy(f->previous, r->previous.data, sizeof(f->previous));
    (void)snprintf(f->session, sizeof(f->session), "%s", r->session);
    hash_record(record, f->hash);
    read_event(r, f);
    return true;
}
