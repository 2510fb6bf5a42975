/* Takes in what sidecars ship: checks each record, appends it, tells the feed.
 *
 * What is acknowledged is durable. Records are kept as the bytes they came as. Thread-safe; a
 * sidecar's own batches must come one after the other. */
#ifndef CHAPERONE_CONTROLPLANE_AUDIT_INGEST_H
#define CHAPERONE_CONTROLPLANE_AUDIT_INGEST_H

#include <protobuf-c/protobuf-c.h>

#include "base/clock.h"
#include "controlplane/audit/arrivals.h"
#include "controlplane/audit/feed.h"
#include "controlplane/store/store.h"

struct audit_ingest {
    struct store *store;       /* borrows */
    struct audit_feed *feed;   /* borrows; may be NULL */
    struct arrivals *arrivals; /* borrows; may be NULL */
    struct clock clock;
};

/* What a refused batch says about its stream. */
struct audit_refusal {
    /* "malformed", "foreign" (of another sidecar, or what only the control plane records), "gap",
     * "rewritten", "bad_signature": Finding.kind; NULL: nothing, the store or memory failed. */
    const char *kind;
    uint64_t first, last; /* records that it is about; missing ones of a gap; 0: not known */
};

/* A batch of canonical records of the sidecar that the client certificate names
 * (ShipRequest.records), in order of sequence. `*out_last` is what may be acknowledged: all up to
 * it is durable.
 *
 * A batch with a wrong record is refused from that record on; those before it are kept. `why` says
 * which sequence and what is wrong:
 *   ERR_LIMIT      a record is larger than AUDIT_RECORD_SIZE_MAX
 *   ERR_INVALID    malformed, a gap, or not chained to the record before it
 *   ERR_EXISTS     another record is known under this sequence: the stream was rewritten
 *   ERR_DENIED     of another sidecar, a heartbeat not signed with the enrolled key, or the sidecar
 *                  was revoked
 *   ERR_NOT_FOUND  a heartbeat of a sidecar that is not enrolled
 * All others are the store's: nothing is wrong with the records, they may be sent again.
 * `*out_refusal` (may be NULL) is written where it fails. */
enum err audit_ingest_append(const struct audit_ingest *ingest, const char *sidecar,
                             const ProtobufCBinaryData *records, size_t count,
                             struct store_audit_last *out_last, struct audit_refusal *out_refusal,
                             struct err_text *why) MUST_USE;

#endif
