/* One export job: a thread that reads the log in the order of its positions and sends what
 * matches.
 *
 * At least once: the store keeps a cursor ("export/NAME"), which moves only after the destination
 * has taken the records before it; a restart, another control plane, or a failure goes on from
 * there. One batch is in memory at a time. The ingest only wakes the thread. */
#ifndef CHAPERONE_CONTROLPLANE_EXPORT_JOB_H
#define CHAPERONE_CONTROLPLANE_EXPORT_JOB_H

#include "base/log.h"
#include "controlplane/audit/feed.h"
#include "controlplane/export/sink.h"

struct export_job;

enum export_state {
    EXPORT_STARTING,
    EXPORT_STANDBY, /* another control plane on the same store does it */
    EXPORT_RUNNING,
    EXPORT_WAITING, /* for its time */
    EXPORT_FAILING, /* it tries again; the reason is in `error` */
};
const char *export_state_name(enum export_state state);

struct export_status {
    const struct config_export *config; /* valid as long as the job */
    enum export_state state;
    uint64_t position;     /* all up to here has been sent, or did not match */
    uint64_t records;      /* sent since this process began */
    uint64_t omitted;      /* of these: too large, unreadable, refused: a line says so instead */
    uint64_t failures;     /* since this process began */
    int64_t sent_ns;       /* when the last ones were taken; 0: none yet */
    int64_t next_ns;       /* of EXPORT_WAITING */
    struct err_text error; /* why it last failed; stays */
    int64_t error_ns;      /* when; 0: never */
};

/* All borrowed. */
struct export_job_options {
    const struct config_export *config;
    struct store *store;
    const struct vault *vault;
    struct audit_feed *feed;
    struct clock clock;
    const struct log *log;
};

/* Returns owned, and runs. */
enum err export_job_start(const struct export_job_options *options,
                          struct export_job **out) MUST_USE;
/* Asks it to end: returns at once. */
void export_job_cancel(struct export_job *job);
/* Cancels, waits, frees. Takes NULL. */
void export_job_stop(struct export_job *job);

void export_job_status(struct export_job *job, struct export_status *out);

#endif
