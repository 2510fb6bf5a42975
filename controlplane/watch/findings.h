/* What the control plane noticed, recorded once: in its journal, which an auditor reads.
 *
 * What was recorded before is read from the journal, so that neither a restart nor another control
 * plane on the same store repeats it. Remembers those of the last FINDINGS_DAYS days, in constant
 * memory; of a sidecar and kind at most FINDINGS_HOURLY_MAX an hour, so that one that keeps on
 * shipping nonsense does not fill the log (all are in the program's own log). Thread-safe. */
#ifndef CHAPERONE_CONTROLPLANE_WATCH_FINDINGS_H
#define CHAPERONE_CONTROLPLANE_WATCH_FINDINGS_H

#include "base/log.h"
#include "controlplane/audit/journal.h"

enum { FINDINGS_DAYS = 30, FINDINGS_HOURLY_MAX = 20 };

struct findings;

/* All borrowed. */
struct findings_options {
    struct store *store;
    struct journal *journal;
    struct clock clock;
    const struct log *log;
};

/* Returns owned. Errors are the store's. */
enum err findings_create(const struct findings_options *options, struct findings **out) MUST_USE;
void findings_destroy(struct findings *findings); /* takes NULL */

/* Two with the same kind, sidecar, session and first record are the same. */
struct finding {
    const char *kind;    /* "gap", "silent", ...: Finding.kind */
    const char *sidecar; /* "": the control plane itself */
    const char *session; /* NULL: of none */
    uint64_t first, last;
    const char *detail; /* for people */
};

/* Also OK: it was recorded before, or there were too many. Others: it is not recorded. */
enum err findings_record(struct findings *findings, const struct finding *finding) MUST_USE;

/* How many were recorded since then, at most as far back as is remembered. */
enum err findings_count(struct findings *findings, int64_t since_ns, uint64_t *out) MUST_USE;

#endif
