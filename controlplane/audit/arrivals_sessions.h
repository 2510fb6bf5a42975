/* Inside of arrivals: the sessions of which every record was seen, by the rules of completeness/.
 * Not thread-safe. */
#ifndef CHAPERONE_CONTROLPLANE_AUDIT_ARRIVALS_SESSIONS_H
#define CHAPERONE_CONTROLPLANE_AUDIT_ARRIVALS_SESSIONS_H

#include "controlplane/audit/arrivals.h"

enum {
    /* Open ones and those that ended: 20 MB. A session beyond is read again when it ends. */
    ARRIVALS_SESSIONS_MAX = 1 << 16,
    /* Ended ones: what arrives between two looks of the watch. */
    ARRIVALS_ENDED_MAX = 1 << 13,
    /* Operations of a session under way at one time: they are looked for one by one. */
    ARRIVALS_OPERATIONS_MAX = 64,
};

struct arrivals_sessions;

/* Returns owned; NULL when memory is short. */
struct arrivals_sessions *arrivals_sessions_create(void) MUST_USE;
void arrivals_sessions_destroy(struct arrivals_sessions *sessions); /* takes NULL */

/* As arrivals_add. Without memory it forgets. */
void arrivals_sessions_add(struct arrivals_sessions *sessions, const char *sidecar,
                           const struct arrival *items, size_t count);
bool arrivals_sessions_take_whole(struct arrivals_sessions *sessions, const char *sidecar,
                                  const char *session);

#endif
