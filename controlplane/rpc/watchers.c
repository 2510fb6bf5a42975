#include "controlplane/rpc/watchers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "api/sidecar.pb-c.h"
#include "controlplane/ca/ca.h"

struct watcher {
    struct watchers *all;
    struct watcher *previous, *next;
    struct rpc_stream *stream;
    char sidecar[CA_ID_SIZE];
    uint64_t sent_revision; /* 0: none */
};

enum order_state { ORDER_SENT, ORDER_DONE, ORDER_LOST };

/* Lives on the stack of the one who waits. */
struct order {
    struct order *next;
    const char *id;
    struct watcher *watcher;
    enum order_state state;
    struct err_text error; /* "": none */
};

struct watchers {
    struct watchers_options with;
    pthread_mutex_t mutex;
    pthread_cond_t answered;
    struct watcher *first; /* the newest first */
    struct order *orders;
};

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
                             struct rpc_stream *stream)
{
    struct watcher *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        return NULL;
    }
    w->all = watchers;
    w->stream = stream;
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
    for (struct order *o = all->orders; o != NULL; o = o->next) {
        if (o->watcher == watcher && o->state == ORDER_SENT) {
            o->state = ORDER_LOST;
        }
    }
    (void)pthread_cond_broadcast(&all->answered);
    (void)pthread_mutex_unlock(&all->mutex);
    free(watcher);
}

/* With the mutex held. */
static struct watcher *find(struct watchers *watchers, const char *sidecar)
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
    bool connected = find(watchers, sidecar) != NULL;
    (void)pthread_mutex_unlock(&watchers->mutex);
    return connected;
}

/* --- orders ------------------------------------------------------------------------------------
 */

static enum err send_kill(struct watcher *w, const struct watchers_kill *kill)
{
    Chaperone__V1__KillSession message = CHAPERONE__V1__KILL_SESSION__INIT;
    Chaperone__V1__WatchResponse push = CHAPERONE__V1__WATCH_RESPONSE__INIT;
    message.order = (char *)(uintptr_t)kill->order;
    message.session = (char *)(uintptr_t)kill->session;
    message.ordered_by = (char *)(uintptr_t)kill->ordered_by;
    message.reason = (char *)(uintptr_t)kill->reason;
    push.push_case = CHAPERONE__V1__WATCH_RESPONSE__PUSH_KILL;
    push.kill = &message;
    return rpc_stream_send(w->stream, &push.base) == OK ? OK : ERR_UNAVAILABLE;
}

static struct timespec deadline_after(int64_t timeout_ns)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t ns = t.tv_nsec + timeout_ns % 1000000000;
    t.tv_sec += (time_t)(timeout_ns / 1000000000 + ns / 1000000000);
    t.tv_nsec = ns % 1000000000;
    return t;
}

/* With the mutex held. */
static void await(struct watchers *watchers, struct order *order, int64_t timeout_ns)
{
    const struct timespec deadline = deadline_after(timeout_ns > 0 ? timeout_ns : 0);
    order->next = watchers->orders;
    watchers->orders = order;
    int rc = 0;
    while (order->state == ORDER_SENT && rc != ETIMEDOUT) {
        rc = pthread_cond_timedwait(&watchers->answered, &watchers->mutex, &deadline);
    }
    struct order **link = &watchers->orders;
    while (*link != order) {
        link = &(*link)->next;
    }
    *link = order->next;
}

enum err watchers_kill(struct watchers *watchers, const struct watchers_kill *kill,
                       int64_t timeout_ns, struct err_text *why)
{
    struct order order = {.id = kill->order, .state = ORDER_SENT};
    (void)pthread_mutex_lock(&watchers->mutex);
    order.watcher = find(watchers, kill->sidecar);
    enum err e = order.watcher == NULL ? ERR_UNAVAILABLE : send_kill(order.watcher, kill);
    if (e == OK) {
        await(watchers, &order, timeout_ns);
    }
    (void)pthread_mutex_unlock(&watchers->mutex);
    if (e != OK) {
        return err_set(why, e, "the session's sidecar is not connected");
    }
    switch (order.state) {
    case ORDER_SENT: return err_set(why, ERR_TIMEOUT, "the sidecar did not confirm in time");
    case ORDER_LOST: return err_set(why, ERR_CLOSED, "the sidecar went away before it confirmed");
    case ORDER_DONE: break;
    }
    return order.error.text[0] == '\0' ? OK : err_set(why, ERR_INVALID, "%s", order.error.text);
}

void watchers_order_done(struct watcher *watcher, const char *order, const char *error)
{
    struct watchers *all = watcher->all;
    (void)pthread_mutex_lock(&all->mutex);
    for (struct order *o = all->orders; o != NULL; o = o->next) {
        if (o->watcher == watcher && o->state == ORDER_SENT && strcmp(o->id, order) == 0) {
            (void)snprintf(o->error.text, sizeof(o->error.text), "%.400s", error);
            o->state = ORDER_DONE;
        }
    }
    (void)pthread_cond_broadcast(&all->answered);
    (void)pthread_mutex_unlock(&all->mutex);
}
