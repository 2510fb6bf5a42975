/* Whether the record of one session is complete, by the rules of completeness/. */
#ifndef CHAPERONE_CONTROLPLANE_WATCH_SESSION_CHECK_H
#define CHAPERONE_CONTROLPLANE_WATCH_SESSION_CHECK_H

#include "controlplane/watch/findings.h"

/* Reads the session's records and records what is missing of it: its end, and outcomes of its
 * operations (one finding for all of them). It must be certain that no more of them come. */
enum err session_check(struct store *store, struct findings *findings, const char *sidecar,
                       const char *session) MUST_USE;

#endif
