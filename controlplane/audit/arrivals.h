/* What the ingest saw of the records that it appended, for the watch, which would else read each of
 * them again: where the log has only what sessions did, and which sessions ended with an outcome
 * for everything.
 *
 * It says only what is certain. Of what another control plane appended, of what was there before
 * this process, and of what a cap pushed out it says nothing, and the stored records decide.
 * Thread-safe. Memory: the sessions that are open and those that ended lately, up to a cap. */
#ifndef CHAPERONE_CONTROLPLANE_AUDIT_ARRIVALS_H
#define CHAPERONE_CONTROLPLANE_AUDIT_ARRIVALS_H

#include "controlplane/store/store.h"

struct arrivals;

/* A record that was appended. Borrows. */
struct arrival {
    const struct store_audit_record *record;
    uint64_t operation; /* of an intent, an approval or an outcome */
    bool is_forwarded;  /* the intent goes to the target, the approval releases it */
};

/* Returns owned; NULL when memory is short. */
struct arrivals *arrivals_create(void) MUST_USE;
void arrivals_destroy(struct arrivals *arrivals); /* takes NULL */

/* Records of a stream in their order, without a gap, that are durable at `first_position` and the
 * positions behind it. A stream's own batches come one after the other. */
void arrivals_add(struct arrivals *arrivals, const char *sidecar, const struct arrival *items,
                  size_t count, uint64_t first_position);

/* The kinds that arrivals_pass stops at. */
uint32_t arrivals_noted_kinds(void);
/* Returns the greatest position that is known to be reached from `after` without a record of those
 * kinds; `after` itself where nothing is known. `*out_until`: the last one before more is known; 0:
 * nothing is. Forgets what lies before. */
uint64_t arrivals_pass(struct arrivals *arrivals, uint64_t after, uint64_t *out_until);

/* Whether the session was seen from its beginning to its end, and has an outcome for each
 * operation that was forwarded. It is forgotten: the second time the answer is no. */
bool arrivals_take_whole(struct arrivals *arrivals, const char *sidecar, const char *session);

#endif
