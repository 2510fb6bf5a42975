/* Records as a sidecar writes them: numbered and chained. */
#include <stdlib.h>

#include "base/crypto/crypto.h"
#include "controlplane/testing/fixture.h"

static ProtobufCBinaryData add(struct records *r, Chaperone__V1__Record *record)
{
    const struct clock clock = clock_system();
    static const uint8_t leaf = 0;
    record->sidecar = (char *)(uintptr_t)r->sidecar;
    record->sequence = r->sequence + 1;
    record->previous = (ProtobufCBinaryData){.data = r->hash, .len = sizeof(r->hash)};
    record->time_unix_ns = clock_wall(&clock);
    size_t size = protobuf_c_message_get_packed_size(&record->base);
    uint8_t *data = malloc(size);
    assert_int_equal(protobuf_c_message_pack(&record->base, data), size);
    struct crypto_sha256 hash;
    crypto_sha256_init(&hash);
    crypto_sha256_update(&hash, bytes_of(&leaf, 1));
    crypto_sha256_update(&hash, bytes_of(data, size));
    crypto_sha256_finish(&hash, r->hash);
    r->sequence++;
    return (ProtobufCBinaryData){.data = data, .len = size};
}

ProtobufCBinaryData records_opened(struct records *r, const char *session, const char *subject)
{
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__SessionOpened opened = CHAPERONE__V1__SESSION_OPENED__INIT;
    Chaperone__V1__Identity identity = CHAPERONE__V1__IDENTITY__INIT;
    identity.subject = (char *)(uintptr_t)subject;
    opened.identity = &identity;
    opened.verdict = CHAPERONE__V1__VERDICT__ALLOW;
    opened.resource = (char *)(uintptr_t) "orders";
    opened.protocol = (char *)(uintptr_t) "postgres";
    record.session = (char *)(uintptr_t)session;
    record.event_case = CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED;
    record.session_opened = &opened;
    return add(r, &record);
}

ProtobufCBinaryData records_intent(struct records *r, const char *session, const char *text)
{
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
    intent.operation = r->sequence;
    intent.verdict = CHAPERONE__V1__VERDICT__ALLOW;
    intent.text = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)text, .len = strlen(text)};
    record.session = (char *)(uintptr_t)session;
    record.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
    record.intent = &intent;
    return add(r, &record);
}

ProtobufCBinaryData records_closed(struct records *r, const char *session)
{
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__SessionClosed closed = CHAPERONE__V1__SESSION_CLOSED__INIT;
    closed.reason = (char *)(uintptr_t) "agent_disconnected";
    record.session = (char *)(uintptr_t)session;
    record.event_case = CHAPERONE__V1__RECORD__EVENT_SESSION_CLOSED;
    record.session_closed = &closed;
    return add(r, &record);
}

void fixture_ship(struct sidecar *s, ProtobufCBinaryData *records, size_t count)
{
    Chaperone__V1__ShipRequest request = CHAPERONE__V1__SHIP_REQUEST__INIT;
    request.records = records;
    request.n_records = count;
    struct listening *l =
        listen_to(s->channel, &chaperone__v1__audit_ingest__descriptor, "Ship", NULL);
    listening_send(l, &request.base);
    (void)listening_await(l, 0);
    listening_half_close(l);
    assert_int_equal(listening_end(l).code, RPC_OK);
    listening_finish(l);
    for (size_t i = 0; i < count; i++) {
        free(records[i].data);
    }
}
