#include "controlplane/audit/stream_maker.h"

#include <stdlib.h>
#include <string.h>

#include "controlplane/audit/record.h"

struct stream_maker stream_maker_start(const char *sidecar, struct arena *arena)
{
    return (struct stream_maker){.sidecar = sidecar,
                                 .arena = arena,
                                 .time_ns = INT64_C(1700000001000000000),
                                 .step_ns = 1000000000};
}

/* A literal for a field of protobuf-c, which takes no const. */
static char *text_of(struct stream_maker *m, const char *text)
{
    char *copy = arena_copy_string(m->arena, bytes_of_string(text));
    if (copy == NULL) {
        abort();
    }
    return copy;
}

ProtobufCBinaryData stream_maker_add(struct stream_maker *m, Chaperone__V1__Record *record)
{
    record->sidecar = text_of(m, m->sidecar);
    record->sequence = ++m->sequence;
    record->previous.data = m->hash;
    record->previous.len = sizeof(m->hash);
    record->time_unix_ns = m->time_ns;
    m->time_ns += m->step_ns;
    size_t size = chaperone__v1__record__get_packed_size(record);
    uint8_t *bytes = arena_alloc(m->arena, size);
    if (bytes == NULL) {
        abort();
    }
    (void)chaperone__v1__record__pack(record, bytes);
    audit_record_hash(bytes_of(bytes, size), m->hash);
    return (ProtobufCBinaryData){.data = bytes, .len = size};
}

static Chaperone__V1__Record record_of(struct stream_maker *m, const char *session,
                                       Chaperone__V1__Record__EventCase event)
{
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    record.session = text_of(m, session);
    record.event_case = event;
    return record;
}

ProtobufCBinaryData stream_maker_opened(struct stream_maker *m, const char *session,
                                        const char *identity, const char *resource,
                                        Chaperone__V1__Verdict verdict)
{
    Chaperone__V1__Record record =
        record_of(m, session, CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED);
    Chaperone__V1__SessionOpened opened = CHAPERONE__V1__SESSION_OPENED__INIT;
    Chaperone__V1__Identity who = CHAPERONE__V1__IDENTITY__INIT;
    Chaperone__V1__Delegate delegates[2] = {CHAPERONE__V1__DELEGATE__INIT,
                                            CHAPERONE__V1__DELEGATE__INIT};
    Chaperone__V1__Delegate *chain[2] = {&delegates[0], &delegates[1]};
    who.subject = text_of(m, identity);
    delegates[0].subject = text_of(m, "ann");
    delegates[1].subject = text_of(m, "deployer");
    opened.identity = &who;
    opened.on_behalf_of = chain;
    opened.n_on_behalf_of = 2;
    opened.resource = text_of(m, resource);
    opened.protocol = text_of(m, "postgres");
    opened.database = text_of(m, "shop");
    opened.verdict = verdict;
    record.session_opened = &opened;
    return stream_maker_add(m, &record);
}

ProtobufCBinaryData stream_maker_intent(struct stream_maker *m, const char *session,
                                        const char *text, const char *table,
                                        Chaperone__V1__Verdict verdict)
{
    Chaperone__V1__Record record = record_of(m, session, CHAPERONE__V1__RECORD__EVENT_INTENT);
    Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
    Chaperone__V1__Object objects[2] = {CHAPERONE__V1__OBJECT__INIT, CHAPERONE__V1__OBJECT__INIT};
    Chaperone__V1__Object *list[2] = {&objects[0], &objects[1]};
    objects[0].kind = text_of(m, "function");
    objects[0].name = text_of(m, "now");
    objects[1].kind = text_of(m, "table");
    objects[1].name = text_of(m, table);
    intent.objects = list;
    intent.n_objects = table == NULL ? 1 : 2;
    intent.text.data = (uint8_t *)text_of(m, text);
    intent.text.len = strlen(text);
    intent.verdict = verdict;
    record.intent = &intent;
    return stream_maker_add(m, &record);
}

ProtobufCBinaryData stream_maker_outcome(struct stream_maker *m, const char *session, uint64_t rows)
{
    Chaperone__V1__Record record = record_of(m, session, CHAPERONE__V1__RECORD__EVENT_OUTCOME);
    Chaperone__V1__Outcome outcome = CHAPERONE__V1__OUTCOME__INIT;
    outcome.status = CHAPERONE__V1__STATUS__SUCCESS;
    outcome.rows = rows;
    record.outcome = &outcome;
    return stream_maker_add(m, &record);
}

ProtobufCBinaryData stream_maker_closed(struct stream_maker *m, const char *session,
                                        const char *reason)
{
    Chaperone__V1__Record record =
        record_of(m, session, CHAPERONE__V1__RECORD__EVENT_SESSION_CLOSED);
    Chaperone__V1__SessionClosed closed = CHAPERONE__V1__SESSION_CLOSED__INIT;
    closed.reason = text_of(m, reason);
    record.session_closed = &closed;
    return stream_maker_add(m, &record);
}

ProtobufCBinaryData stream_maker_heartbeat(struct stream_maker *m)
{
    Chaperone__V1__Record record = record_of(m, "", CHAPERONE__V1__RECORD__EVENT_HEARTBEAT);
    Chaperone__V1__Heartbeat heartbeat = CHAPERONE__V1__HEARTBEAT__INIT;
    uint8_t key[CRYPTO_ED25519_PUBLIC_SIZE], der[CRYPTO_ED25519_DER_SIZE];
    uint8_t signature[CRYPTO_ED25519_SIGNATURE_SIZE];
    struct buffer text;
    buffer_init(&text, 4096);
    crypto_ed25519_public(m->key, key);
    if (crypto_ed25519_public_to_der(key, der) != OK ||
        buffer_append_format(&text, "chaperone heartbeat v1\n%s\n%llu\n", m->sidecar,
                             (unsigned long long)m->sequence + 1) != OK ||
        buffer_append(&text, bytes_of(m->hash, sizeof(m->hash))) != OK ||
        crypto_ed25519_sign(m->key, buffer_bytes(&text), signature) != OK) {
        abort();
    }
    buffer_finish(&text);
    heartbeat.open_sessions = m->open_sessions;
    heartbeat.signature = (ProtobufCBinaryData){.data = signature, .len = sizeof(signature)};
    heartbeat.public_key = (ProtobufCBinaryData){.data = der, .len = sizeof(der)};
    record.heartbeat = &heartbeat;
    return stream_maker_add(m, &record);
}
