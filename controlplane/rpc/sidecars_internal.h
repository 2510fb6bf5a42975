/* Of Administration.RevokeSidecar: what is done here, and at other control planes. */
#ifndef CHAPERONE_CONTROLPLANE_RPC_SIDECARS_INTERNAL_H
#define CHAPERONE_CONTROLPLANE_RPC_SIDECARS_INTERNAL_H

#include "controlplane/rpc/services_internal.h"

enum { SIDECARS_OBJECT_SIZE = CA_ID_SIZE + 16 };

/* The order that a revoked sidecar gets: its host is told neither who revoked it nor why. */
struct watchers_order sidecars_order(const char *id, int64_t ordered_ns);
/* "sidecar 0192..." */
void sidecars_describe(const char *sidecar, char out[SIDECARS_OBJECT_SIZE]);
/* What the sidecar said to the order: `action` is as of the kill switch, but for `by` and `from`.
 * Strings are borrowed from the arguments, lists are in the arena. */
enum err sidecars_fill_end(const struct watchers_order *order, const struct watchers_answer *answer,
                           int64_t now_ns, const char *object, struct arena *arena,
                           Chaperone__V1__Action *action) MUST_USE;
/* Ends the sidecar's streams here, and withdraws what it has asked people about. */
void sidecars_close(struct services *services, const struct store_sidecar *sidecar);

/* sidecars_elsewhere.c: waits until another control plane, which has the sidecar, has recorded what
 * it said to the order. `*out_why` (in the arena) is what it did not confirm, or NULL. ERR_TIMEOUT:
 * there is no such record in time. */
enum err sidecars_await_elsewhere(const struct call *call, const char *sidecar, int64_t since_ns,
                                  struct arena *arena, const char **out_why) MUST_USE;

#endif
