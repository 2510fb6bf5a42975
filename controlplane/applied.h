/* The configuration as it was applied, in the store: what auditors and later replicas read. */
#ifndef CHAPERONE_CONTROLPLANE_APPLIED_H
#define CHAPERONE_CONTROLPLANE_APPLIED_H

#include "controlplane/audit/journal.h"
#include "controlplane/config.h"
#include "controlplane/store/store.h"

/* "start" or "reload". */
struct applied_options {
    struct store *store;
    struct journal *journal;
    const char *action;
    const struct config *before; /* in this process; NULL: none */
};

/* Records the configuration (its hash, what changed by name), and then stores its identity
 * providers, resources, credentials (references only: a config has no secrets), grants and roles,
 * as written in the file; replaces what was there. Not recorded: not stored. */
enum err applied_store(const struct applied_options *options, const struct config *config,
                       int64_t now_ns, struct err_text *why) MUST_USE;

#endif
