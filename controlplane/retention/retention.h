/* Erases the content of sessions when it was kept for as long as the configuration says.
 *
 * A run goes over the resources that sessions were on. For each it takes some sessions at a time:
 * those that ended long enough ago and that no legal hold is about; records in the journal that
 * their content is erased; and then erases it (store.h says what stays). What is not recorded is
 * not erased. When a session ended is what its sidecar's clock said: its last record must have
 * arrived as long ago, so that a clock that was wrong takes nothing away. Of several control planes
 * on one store the one that has STORE_DUTY_ERASE does it.
 *
 * After a run, blobs that no row names are deleted (store_blobs_sweep), by each control plane.
 *
 * A thread runs at once, then every hour, and when the configuration changes. */
#ifndef CHAPERONE_CONTROLPLANE_RETENTION_RETENTION_H
#define CHAPERONE_CONTROLPLANE_RETENTION_RETENTION_H

#include "base/clock.h"
#include "base/log.h"
#include "controlplane/audit/journal.h"
#include "controlplane/config.h"
#include "controlplane/store/store.h"

enum {
    RETENTION_SESSIONS_MAX = 100, /* in one record of the journal, and erased after it */
    RETENTION_LOOK_MAX = 4096,    /* that are looked at for them */
    RETENTION_EVERY_S = 3600,
    RETENTION_BLOB_WAITS_S = 3600, /* for its row, before it is taken for left over */
};

/* How long content of this resource is kept: of the first rule that matches; 0: for ever. */
int64_t retention_keep(const struct config *config, const char *resource);

struct retention_options {
    struct store *store; /* borrows; so the others */
    struct journal *journal;
    struct clock clock;
    const struct log *log;
};

/* One whole run; `*out_erased` (written in any case) says how many sessions were erased.
 * ERR_DENIED: another control plane has the duty. */
enum err retention_run(const struct retention_options *options, const struct config *config,
                       size_t *out_erased, struct err_text *why) MUST_USE;

struct retention;

/* Starts the thread. Takes a reference of `config`. Returns owned. */
enum err retention_start(const struct retention_options *options, const struct config *config,
                         struct retention **out) MUST_USE;
/* Another configuration: a run begins with it, now or after the one under way. */
void retention_configure(struct retention *retention, const struct config *config);
/* Takes NULL. Waits for what is under way, which stops after its next step. */
void retention_stop(struct retention *retention);

#endif
