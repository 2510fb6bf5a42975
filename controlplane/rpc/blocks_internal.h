/* Of Sessions.Block, Lift and ListBlocks: what they have in common. */
#ifndef CHAPERONE_CONTROLPLANE_RPC_BLOCKS_INTERNAL_H
#define CHAPERONE_CONTROLPLANE_RPC_BLOCKS_INTERNAL_H

#include "api/operator.pb-c.h"
#include "controlplane/rpc/services_internal.h"

enum {
    BLOCKS_ARENA_BLOCK = 64 << 10,
    BLOCKS_ARENA_CAP = 256 << 20,
};

/* What is blocked or lifted: exactly one of the three. */
struct blocks_meant {
    const char *identity, *resource;
    bool everything;
};

bool blocks_is_one(const struct blocks_meant *m);
/* No text is longer than BLOCKS_TEXT_MAX. */
bool blocks_fits(const struct blocks_meant *m, const char *reason);
/* The store failed: logs it, and answers with "unavailable". */
void blocks_fail(const struct call *call, const char *at, enum err e,
                 struct rpc_status *out_status);

#endif
