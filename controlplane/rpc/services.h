/* The control plane's gRPC services (api/sidecar.proto, api/operator.proto).
 *
 * They borrow what they work on and add who may call what (access.h). Calls may be under way on any
 * thread until the rpc_server they were added to has shut down; `services_destroy` comes after. */
#ifndef CHAPERONE_CONTROLPLANE_RPC_SERVICES_H
#define CHAPERONE_CONTROLPLANE_RPC_SERVICES_H

#include "base/log.h"
#include "base/rpc/rpc.h"
#include "controlplane/audit/feed.h"
#include "controlplane/audit/journal.h"
#include "controlplane/ca/ca.h"
#include "controlplane/credentials/vault.h"
#include "controlplane/export/export.h"
#include "controlplane/policy/publisher.h"
#include "controlplane/rpc/snapshot.h"
#include "controlplane/store/store.h"
#include "controlplane/tlog/keeper.h"

struct services;

/* All borrowed. */
struct services_options {
    struct store *store;
    bool is_shared; /* other control planes work on it, too */
    int ingest_niceness;
    const struct vault *vault;
    struct bytes masking_key; /* for OpenSession; a secret */
    const struct ca *ca;
    struct bytes server_ca_pem; /* what our own server certificate is checked with */
    struct publisher *publisher;
    struct audit_feed *feed;
    struct exports *exports;
    struct keeper *keeper; /* of the transparency log */
    struct clock clock;
    const struct log *log;
    const char *version;
};

/* Returns owned. Takes `snapshot`, also on failure. */
enum err services_create(const struct services_options *options, struct snapshot *snapshot,
                         struct services **out) MUST_USE;
void services_destroy(struct services *services); /* takes NULL */

/* Borrowed: for what else is to be recorded as the control plane's own. */
struct journal *services_journal(struct services *services);

/* Before the server starts. */
enum err services_add_to(struct services *services, struct rpc_server *server) MUST_USE;

/* Calls that begin from now on work with it. Takes it. */
void services_replace_snapshot(struct services *services, struct snapshot *snapshot);
/* Returns owned: the one in force. */
struct snapshot *services_snapshot(struct services *services) MUST_USE;

/* To be called once a minute. */
void services_tend(struct services *services);

/* Gives the publisher's current policy to every connected sidecar. */
void services_push_policy(struct services *services);

/* Ends the same streams as drain does, but lets new ones begin: for a new listener. */
void services_disconnect(struct services *services);

/* Ends the streams that have no end of their own (Watch, Tail, Ship), so that a server can shut
 * down: their peers connect again, elsewhere or later. New ones are refused. */
void services_drain(struct services *services);

#endif
