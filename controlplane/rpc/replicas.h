/* Other control planes on the same store: what they did is done here, too.
 *
 * Records wake tails and searches; decisions go to the sidecars that are connected here, a policy
 * likewise, and orders to end sessions. And the others are told which sidecars are connected here:
 * each is seen, in the store, every few seconds.
 *
 * The store tells that something happened, a thread looks what it was: what is missed (the
 * database was away) is looked for when it is back. */
#ifndef CHAPERONE_CONTROLPLANE_RPC_REPLICAS_H
#define CHAPERONE_CONTROLPLANE_RPC_REPLICAS_H

#include <stdbool.h>

#include "base/err.h"

struct services;
struct store_sidecar;
struct replicas;

enum {
    REPLICAS_SEEN_EVERY_S = 5,
    /* Not heard for so long: it is connected to none. */
    REPLICAS_SEEN_FOR_S = 20,
    /* An order is older only where the control plane that gave it died: nobody waits for it. */
    REPLICAS_ORDER_S = 60,
    /* What an order at another control plane's sidecar takes, with a way there and back. */
    REPLICAS_ORDER_WAIT_MS = 5000,
    REPLICAS_POLL_MS = 50,
};

/* Starts the thread. Borrows the services, which have everything but this. Returns owned. */
enum err replicas_create(struct services *services, struct replicas **out) MUST_USE;
void replicas_destroy(struct replicas *replicas); /* takes NULL */

/* An order or a block that was set here, and is carried out here by who set it. */
void replicas_know(struct replicas *replicas, const char *block);

/* Whether another control plane on the same store says that it is connected to it. */
bool replicas_has_seen(const struct services *services, const struct store_sidecar *sidecar);
/* Whether the sidecar is connected, here or to another one that said so. */
bool replicas_is_connected(struct services *services, const char *sidecar);

#endif
