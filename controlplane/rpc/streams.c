#include "controlplane/rpc/streams.h"

#include <string.h>

void streams_init(struct streams *streams)
{
    *streams = (struct streams){.first = NULL};
    (void)pthread_mutex_init(&streams->mutex, NULL);
}

void streams_finish(struct streams *streams)
{
    (void)pthread_mutex_destroy(&streams->mutex);
}

bool streams_add(struct streams *streams, struct streams_entry *entry, struct rpc_stream *stream,
                 const char *sidecar)
{
    (void)pthread_mutex_lock(&streams->mutex);
    bool open = !streams->draining;
    if (open) {
        *entry =
            (struct streams_entry){.stream = stream, .sidecar = sidecar, .next = streams->first};
        if (entry->next != NULL) {
            entry->next->previous = entry;
        }
        streams->first = entry;
    }
    (void)pthread_mutex_unlock(&streams->mutex);
    return open;
}

void streams_remove(struct streams *streams, struct streams_entry *entry)
{
    (void)pthread_mutex_lock(&streams->mutex);
    if (entry->previous != NULL) {
        entry->previous->next = entry->next;
    } else {
        streams->first = entry->next;
    }
    if (entry->next != NULL) {
        entry->next->previous = entry->previous;
    }
    (void)pthread_mutex_unlock(&streams->mutex);
}

void streams_drain(struct streams *streams, bool for_good)
{
    (void)pthread_mutex_lock(&streams->mutex);
    streams->draining = streams->draining || for_good;
    for (struct streams_entry *e = streams->first; e != NULL; e = e->next) {
        rpc_stream_finish(e->stream, RPC_UNAVAILABLE, "the control plane restarts; connect again");
    }
    (void)pthread_mutex_unlock(&streams->mutex);
}

void streams_end_of(struct streams *streams, const char *sidecar, const struct rpc_status *status)
{
    (void)pthread_mutex_lock(&streams->mutex);
    for (struct streams_entry *e = streams->first; e != NULL; e = e->next) {
        if (e->sidecar != NULL && strcmp(e->sidecar, sidecar) == 0) {
            rpc_stream_finish_status(e->stream, status);
        }
    }
    (void)pthread_mutex_unlock(&streams->mutex);
}
