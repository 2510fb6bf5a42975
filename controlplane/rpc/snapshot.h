/* The configuration in force with the verifier that belongs to it: what one call works with from
 * its beginning to its end, whatever a reload does meanwhile.
 *
 * Immutable, shared by reference count. Two snapshots whose identity providers are configured
 * alike share one verifier, so a reload does not forget the issuers' keys. */
#ifndef CHAPERONE_CONTROLPLANE_RPC_SNAPSHOT_H
#define CHAPERONE_CONTROLPLANE_RPC_SNAPSHOT_H

#include "controlplane/config.h"
#include "controlplane/grants/grants.h"
#include "controlplane/identity/identity.h"

struct snapshot;

/* Takes `config`, also on failure. `before` is the one that it replaces; may be NULL. ERR_INVALID:
 * `why` names the identity provider. Returns owned. */
enum err snapshot_create(struct config *config, const struct snapshot *before,
                         const struct clock *clock, const struct identity_fetcher *fetcher,
                         struct snapshot **out, struct err_text *why) MUST_USE;
struct snapshot *snapshot_retain(struct snapshot *snapshot) MUST_USE;
void snapshot_release(struct snapshot *snapshot); /* takes NULL */

const struct config *snapshot_config(const struct snapshot *snapshot);
struct identity_verifier *snapshot_verifier(const struct snapshot *snapshot);

/* What a verified identity is to grants and roles. Borrows from it. */
struct grants_who snapshot_who(const struct identity *identity);

#endif
