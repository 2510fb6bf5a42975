/* Ships the audit records: resume, batches with several under way, acknowledgements.
 *
 * A thread of its own reads the spool and serialises, so that the loop's thread pays nothing. It
 * sleeps until there is a record, gathers for a moment unless somebody waits for DURABILITY_FLEET,
 * and after every loss of the connection asks the control plane where to go on. */
#ifndef CHAPERONE_SIDECAR_CONTROL_UPLINK_H
#define CHAPERONE_SIDECAR_CONTROL_UPLINK_H

#include "base/log.h"
#include "sidecar/audit/recorder.h"
#include "sidecar/control/mail.h"
#include "sidecar/control/tunnel.h"

struct uplink;

enum {
    UPLINK_BATCH_RECORDS = 2048, /* the control plane commits once for each batch */
    UPLINK_BATCH_BYTES = 1 << 20,
    UPLINK_WINDOW = 8,          /* batches that are not acknowledged yet */
    UPLINK_GATHER_MS = 20,      /* more records make a better batch */
    UPLINK_GATHER_BUSY_MS = 50, /* the same, when the last time brought UPLINK_BUSY_RECORDS */
    UPLINK_BUSY_RECORDS = 256,
    UPLINK_ACKNOWLEDGE_MS = 60000, /* without an answer for so long the stream is given up */
};

/* Borrows the recorder and the log until uplink_stop. Returns owned. The loop's thread, as the
 * rest. */
enum err uplink_create(struct loop *loop, struct recorder *recorder, const struct log *log,
                       struct uplink **out) MUST_USE;
/* Ships through this tunnel from now on (retains it); NULL: not at all. */
void uplink_use(struct uplink *uplink, struct tunnel *tunnel);
/* Stops the thread. Takes NULL. */
void uplink_stop(struct uplink *uplink);

bool uplink_is_shipping(struct uplink *uplink);
bool uplink_has_diverged(struct uplink *uplink);

#endif
