/* What is heard of sidecars (that they are there, how far they are with the policy), on its way to
 * the store.
 *
 * A thousand sidecars acknowledge a policy at the same moment: a transaction for each would take
 * longer than all the rest of a push. A thread writes what has come meanwhile, in its order, in one
 * transaction. What a crash loses of it, sidecars say again when they connect. Thread-safe. */
#ifndef CHAPERONE_CONTROLPLANE_RPC_NEWS_H
#define CHAPERONE_CONTROLPLANE_RPC_NEWS_H

#include "base/log.h"
#include "controlplane/store/store.h"

enum {
    NEWS_WAITING_MAX = 4096, /* more than that waits for the store */
    NEWS_STATE_SIZE = 256,   /* of a policy's state, with its terminator */
};

struct news;

/* Borrows both. Returns owned. */
enum err news_create(struct store *store, const struct log *log, struct news **out) MUST_USE;
/* Takes NULL. Writes what is waiting; nothing may be added any more. */
void news_destroy(struct news *n);

/* Copies. Blocks while too much is waiting. `seen_ns` 0: it was not heard itself. */
void news_add(struct news *n, const struct store_sidecar_news *one);

/* Waits until the store has all that was added before; then what it says is true. */
void news_flush(struct news *n);

#endif
