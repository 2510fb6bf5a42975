#include "controlplane/rpc/watchers.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "controlplane/rpc/watchers_internal.h"

struct watchers *watchers_create(const struct watchers_options *options)
{
    struct watchers *w = calloc(1, sizeof(*w));
    if (w != NULL) {
        pthread_condattr_t attributes;
        (void)pthread_condattr_init(&attributes);
        (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        w->with = *options;
        (void)pthread_mutex_init(&w->mutex, NULL);
        (void)pthread_cond_init(&w->answered, &attributes);
        (void)pthread_condattr_destroy(&attributes);
    }
    return w;
}

void watchers_destroy(struct watchers *watchers)
{
    if (watchers != NULL) {
        (void)pthread_cond_destroy(&watchers->answered);
        (void)pthread_mutex_destroy(&watchers->mutex);
        free(watchers);
    }
}

/* --- policy ------------------------------------------------------------------------------------
 */

static ProtobufCBinaryData binary(struct bytes b)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)b.data, .len = b.size};
}

/* With the mutex held, so that revisions reach a sidecar in their order. */
static void send_policy(struct watcher *w, const struct publication *p)
{
    if (p->revision <= w->sent_revision) {
        return;
    }
    Chaperone__V1__PolicyBundle bundle = CHAPERONE__V1__POLICY_BUNDLE__INIT;
    Chaperone__V1__WatchResponse push = CHAPERONE__V1__WATCH_RESPONSE__INIT;
    bundle.revision = p->revision;
    bundle.document = binary(p->document);
    bundle.signature = binary(bytes_of(p->signature, sizeof(p->signature)));
    bundle.hash = (char *)(uintptr_t)p->hash;
    bundle.public_key = binary(bytes_of(p->public_key, sizeof(p->public_key)));
    push.push_case = CHAPERONE__V1__WATCH_RESPONSE__PUSH_POLICY;
    push.policy = &bundle;
    const struct store_sidecar_news news = {
        .sidecar = w->sidecar, .policy_revision = p->revision, .policy_state = "delivered"};
    /* Before it is sent: the answer writes its own state over this one. */
    news_add(w->all->with.news, &news);
    enum err e = rpc_stream_send(w->stream, &push.base);
    if (e == OK) {
        w->sent_revision = p->revision;
        return;
    }
    log_event(w->all->with.log, LOG_WARN, "policy_not_sent", log_text("sidecar", w->sidecar),
              log_text("error", err_name(e)));
    /* It connects again, and gets the policy then. */
    rpc_stream_finish(w->stream, RPC_UNAVAILABLE, "the policy could not be sent");
}

void watchers_push_policy(struct watchers *watchers)
{
    (void)pthread_mutex_lock(&watchers->mutex);
    const struct publication *p = publisher_current(watchers->with.publisher);
    for (struct watcher *w = watchers->first; p != NULL && w != NULL; w = w->next) {
        send_policy(w, p);
    }
    (void)pthread_mutex_unlock(&watchers->mutex);
    publication_release(p);
}

/* --- who is there ------------------------------------------------------------------------------
 */

struct watcher *watchers_add(struct watchers *watchers, const char *sidecar,
                             struct rpc_stream *stream, int64_t now_ns)
{
    struct watcher *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        return NULL;
    }
    w->all = watchers;
    w->stream = stream;
    w->since_ns = now_ns;
    (void)snprintf(w->sidecar, sizeof(w->sidecar), "%s", sidecar);
    (void)pthread_mutex_lock(&watchers->mutex);
    w->next = watchers->first;
    if (w->next != NULL) {
        w->next->previous = w;
    }
    watchers->first = w;
    const struct publication *p = publisher_current(watchers->with.publisher);
    if (p != NULL) {
        send_policy(w, p);
    }
    (void)pthread_mutex_unlock(&watchers->mutex);
    publication_release(p);
    return w;
}

void watchers_remove(struct watcher *watcher)
{
    struct watchers *all = watcher->all;
    (void)pthread_mutex_lock(&all->mutex);
    if (watcher->previous != NULL) {
        watcher->previous->next = watcher->next;
    } else {
        all->first = watcher->next;
    }
    if (watcher->next != NULL) {
        watcher->next->previous = watcher->previous;
    }
    watchers_lose_orders(watcher);
    (void)pthread_mutex_unlock(&all->mutex);
    free(watcher);
}

const char *watchers_sidecar(const struct watcher *watcher)
{
    return watcher->sidecar;
}

struct watcher *watchers_find(struct watchers *watchers, const char *sidecar)
{
    struct watcher *w = watchers->first;
    while (w != NULL && strcmp(w->sidecar, sidecar) != 0) {
        w = w->next;
    }
    return w;
}

bool watchers_is_connected(struct watchers *watchers, const char *sidecar)
{
    (void)pthread_mutex_lock(&watchers->mutex);
    bool connected = watchers_find(watchers, sidecar) != NULL;
    (void)pthread_mutex_unlock(&watchers->mutex);
    return connected;
}

int64_t watchers_connected_since(struct watchers *watchers, const char *sidecar)
{
    (void)pthread_mutex_lock(&watchers->mutex);
    const struct watcher *w = watchers_find(watchers, sidecar);
    int64_t since = w == NULL ? 0 : w->since_ns;
    (void)pthread_mutex_unlock(&watchers->mutex);
    return since;
}

void watchers_note_seen(struct watchers *watchers, int64_t now_ns)
{
    (void)pthread_mutex_lock(&watchers->mutex);
    for (const struct watcher *w = watchers->first; w != NULL; w = w->next) {
        const struct store_sidecar_news news = {.sidecar = w->sidecar, .seen_ns = now_ns};
        news_add(watchers->with.news, &news);
    }
    (void)pthread_mutex_unlock(&watchers->mutex);
}
