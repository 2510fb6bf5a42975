/* Makes a sidecar's stream as the recorder writes it: numbered, chained, its heartbeats signed. */
#ifndef CHAPERONE_CONTROLPLANE_AUDIT_STREAM_MAKER_H
#define CHAPERONE_CONTROLPLANE_AUDIT_STREAM_MAKER_H

#include "api/audit.pb-c.h"
#include "base/arena.h"
#include "base/crypto/crypto.h"

struct stream_maker {
    const char *sidecar;
    struct arena *arena;              /* borrows; holds all bytes that are made */
    const struct crypto_ed25519 *key; /* borrows; for heartbeats only */
    uint64_t sequence;                /* of the newest record */
    uint8_t hash[CRYPTO_SHA256_SIZE]; /* of it */
    int64_t time_ns;                  /* of the next one */
    int64_t step_ns;                  /* between two; a second, if it is not set */
    uint32_t open_sessions;           /* as its heartbeats say */
};

struct stream_maker stream_maker_start(const char *sidecar, struct arena *arena);

/* Fills in sidecar, sequence, previous and time of `record` (its session and event are set), and
 * gives its canonical bytes. */
ProtobufCBinaryData stream_maker_add(struct stream_maker *m, Chaperone__V1__Record *record);

ProtobufCBinaryData stream_maker_opened(struct stream_maker *m, const char *session,
                                        const char *identity, const char *resource,
                                        Chaperone__V1__Verdict verdict);
/* `table` may be NULL. */
ProtobufCBinaryData stream_maker_intent(struct stream_maker *m, const char *session,
                                        const char *text, const char *table,
                                        Chaperone__V1__Verdict verdict);
ProtobufCBinaryData stream_maker_outcome(struct stream_maker *m, const char *session,
                                         uint64_t rows);
ProtobufCBinaryData stream_maker_closed(struct stream_maker *m, const char *session,
                                        const char *reason);
ProtobufCBinaryData stream_maker_heartbeat(struct stream_maker *m);

#endif
