/* What watchers.c (who is there, policies) and watchers_orders.c share. */
#ifndef CHAPERONE_CONTROLPLANE_RPC_WATCHERS_INTERNAL_H
#define CHAPERONE_CONTROLPLANE_RPC_WATCHERS_INTERNAL_H

#include <pthread.h>

#include "controlplane/rpc/watchers.h"

struct awaited;

struct watcher {
    struct watchers *all;
    struct watcher *previous, *next;
    struct rpc_stream *stream;
    char sidecar[CA_ID_SIZE];
    int64_t since_ns;       /* wall clock */
    uint64_t sent_revision; /* 0: none */
};

struct watchers {
    struct watchers_options with;
    pthread_mutex_t mutex;
    pthread_cond_t answered; /* by the monotonic clock */
    struct watcher *first;   /* the newest first */
    struct awaited *awaited; /* answers to orders */
};

/* All with the mutex held. */
struct watcher *watchers_find(struct watchers *watchers, const char *sidecar);
/* This one goes away and answers no more. */
void watchers_lose_orders(struct watcher *watcher);

#endif
