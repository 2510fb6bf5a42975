/* What people decided goes out to the sidecar that waits for it. */
#include "controlplane/rpc/watchers_internal.h"

static void send(struct watcher *w, const Chaperone__V1__ApprovalDecided *decided)
{
    Chaperone__V1__WatchResponse push = CHAPERONE__V1__WATCH_RESPONSE__INIT;
    push.push_case = CHAPERONE__V1__WATCH_RESPONSE__PUSH_DECIDED;
    push.decided = (Chaperone__V1__ApprovalDecided *)(uintptr_t)decided;
    enum err e = rpc_stream_send(w->stream, &push.base);
    if (e == OK || e == ERR_CLOSED) {
        return; /* closed: it connects again and says what it waits for */
    }
    log_event(w->all->with.log, LOG_WARN, "decision_not_sent", log_text("sidecar", w->sidecar),
              log_text("approval", decided->id), log_text("error", err_name(e)));
    rpc_stream_finish(w->stream, RPC_UNAVAILABLE, "a decision could not be sent");
}

void watchers_send_decided(struct watchers *watchers, const char *sidecar,
                           const Chaperone__V1__ApprovalDecided *decided)
{
    (void)pthread_mutex_lock(&watchers->mutex);
    for (struct watcher *w = watchers->first; w != NULL; w = w->next) {
        /* Also on a stream that is about to end: which one the sidecar reads is not known here. */
        if (strcmp(w->sidecar, sidecar) == 0) {
            send(w, decided);
        }
    }
    (void)pthread_mutex_unlock(&watchers->mutex);
}

void watchers_tell_decided(struct watcher *watcher, const Chaperone__V1__ApprovalDecided *decided)
{
    (void)pthread_mutex_lock(&watcher->all->mutex);
    send(watcher, decided);
    (void)pthread_mutex_unlock(&watcher->all->mutex);
}
