/* The open streams that have no end of their own, so that a shutdown can end them. */
#ifndef CHAPERONE_CONTROLPLANE_RPC_STREAMS_H
#define CHAPERONE_CONTROLPLANE_RPC_STREAMS_H

#include <pthread.h>
#include <stdbool.h>

#include "base/rpc/rpc.h"

/* A member of its owner's struct, from add to remove. */
struct streams_entry {
    struct rpc_stream *stream; /* borrows */
    const char *sidecar;       /* borrows; NULL: an operator's */
    struct streams_entry *previous, *next;
};

struct streams {
    pthread_mutex_t mutex;
    struct streams_entry *first;
    bool draining;
};

void streams_init(struct streams *streams);
void streams_finish(struct streams *streams); /* all were removed */

/* False: draining, nothing was added. `sidecar`, whose stream it is (NULL: an operator's), is
 * borrowed until remove. */
bool streams_add(struct streams *streams, struct streams_entry *entry, struct rpc_stream *stream,
                 const char *sidecar);
/* Finishes those of this sidecar. */
void streams_end_of(struct streams *streams, const char *sidecar, const struct rpc_status *status);
/* In on_end. */
void streams_remove(struct streams *streams, struct streams_entry *entry);
/* Finishes all with UNAVAILABLE. `for_good`: none is added any more. */
void streams_drain(struct streams *streams, bool for_good);

#endif
