/* Ends that overtook their requests: an agent that goes away at once, while its request is under
 * way on another connection's thread. Without them the request would wait for a decision that
 * nobody needs. The newest so many are known; a restart forgets them. */
#ifndef CHAPERONE_CONTROLPLANE_APPROVALS_EARLY_H
#define CHAPERONE_CONTROLPLANE_APPROVALS_EARLY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/uuid.h"

enum { EARLY_MAX = 256, EARLY_SIDECAR_SIZE = 64 };

struct early {
    struct {
        char sidecar[EARLY_SIDECAR_SIZE], id[UUID_TEXT_SIZE];
    } items[EARLY_MAX];
    size_t next;
};

/* What is too long to be one is not kept. */
void early_add(struct early *early, const char *sidecar, const char *id);
/* Whether it was there; it is not any more. */
bool early_take(struct early *early, const char *sidecar, const char *id);

#endif
