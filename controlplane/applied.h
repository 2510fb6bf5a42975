/* The configuration as it was applied, in the store: what auditors and later replicas read. */
#ifndef CHAPERONE_CONTROLPLANE_APPLIED_H
#define CHAPERONE_CONTROLPLANE_APPLIED_H

#include "controlplane/config.h"
#include "controlplane/store/store.h"

/* Identity providers, resources, credentials (references only: a config has no secrets), grants and
 * roles, as written in the file; replaces what was there. */
enum err applied_store(struct store *store, const struct config *config, int64_t now_ns,
                       struct err_text *why) MUST_USE;

#endif
