/* The open streams that have no end of their own, so that a shutdown can end them. */
#ifndef CHAPERONE_CONTROLPLANE_RPC_STREAMS_H
#define CHAPERONE_CONTROLPLANE_RPC_STREAMS_H

#include <pthread.h>
#include <stdbool.h>

#include "base/rpc/rpc.h"

/* A member of its owner's struct, from add to remove. */
struct streams_entry {
    struct rpc_stream *stream; /* borrows */
    struct streams_entry *previous, *next;
};

struct streams {
    pthread_mutex_t mutex;
    struct streams_entry *first;
    bool draining;
};

void streams_init(struct streams *streams);
void streams_finish(struct streams *streams); /* all were removed */

/* False: draining, nothing was added. */
bool streams_add(struct streams *streams, struct streams_entry *entry, struct rpc_stream *stream);
/* In on_end. */
void streams_remove(struct streams *streams, struct streams_entry *entry);
/* Finishes all with UNAVAILABLE. `for_good`: none is added any more. */
void streams_drain(struct streams *streams, bool for_good);

#endif
