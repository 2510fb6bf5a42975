/* Sidecar.Watch: policies and orders go out, acknowledgements come in. */
#include <stdio.h>
#include <stdlib.h>

#include "api/sidecar.pb-c.h"
#include "controlplane/rpc/services_internal.h"

struct watch {
    struct services *services;
    struct streams_entry entry;
    struct watcher *watcher;
    char sidecar[CA_ID_SIZE];
};

static void on_hello(struct watch *w, const Chaperone__V1__Hello *hello)
{
    log_event(w->services->with.log, LOG_INFO, "sidecar_connected", log_text("sidecar", w->sidecar),
              log_number("policy_revision", (int64_t)hello->policy_revision),
              log_number("open_sessions", (int64_t)hello->n_open_sessions));
    blocks_repeat(w->services, w->watcher);
    approvals_push_again(w->services, w->watcher, w->sidecar, hello->held, hello->n_held);
}

static void on_policy_ack(const struct watch *w, const Chaperone__V1__PolicyAck *ack,
                          char state[NEWS_STATE_SIZE])
{
    (void)snprintf(state, NEWS_STATE_SIZE, "active");
    if (!ack->active) {
        (void)snprintf(state, NEWS_STATE_SIZE, "rejected: %.200s", ack->error);
        log_event(w->services->with.log, LOG_ERROR, "policy_rejected",
                  log_text("sidecar", w->sidecar), log_number("revision", (int64_t)ack->revision),
                  log_text("reason", state));
    }
}

static void on_order_done(const struct watch *w, const Chaperone__V1__OrderDone *done)
{
    if (!watchers_order_done(w->watcher, done)) {
        blocks_record_late(w->services, w->sidecar, done);
    }
}

/* Another control plane on the same store may have published since: a sidecar that comes from there
 * is not given an older policy than it has. */
static void refresh_policy(struct services *services)
{
    bool changed = false;
    enum err e =
        services->with.is_shared ? publisher_refresh(services->with.publisher, &changed) : OK;
    if (e != OK) {
        log_event(services->with.log, LOG_WARN, "news_not_read", log_text("of", "policy"),
                  log_text("error", err_name(e)));
    }
    if (changed) {
        watchers_push_policy(services->watchers);
    }
}

static bool is_published(const struct watch *w, uint64_t revision)
{
    const struct publication *newest = publisher_current(w->services->with.publisher);
    bool was = newest != NULL && revision <= newest->revision;
    publication_release(newest);
    return was;
}

/* What was never published cannot be in use. */
static bool was_published(const struct watch *w, uint64_t revision)
{
    if (!is_published(w, revision)) {
        refresh_policy(w->services);
    }
    return is_published(w, revision);
}

static void on_message(void *context, struct rpc_stream *stream, const ProtobufCMessage *message)
{
    struct watch *w = context;
    const Chaperone__V1__WatchRequest *request = (const Chaperone__V1__WatchRequest *)message;
    struct store_sidecar_news news = {.sidecar = w->sidecar, .seen_ns = services_now(w->services)};
    char state[NEWS_STATE_SIZE];
    if (request->hello != NULL) {
        on_hello(w, request->hello);
    }
    if (request->policy != NULL && !was_published(w, request->policy->revision)) {
        rpc_stream_finish(stream, RPC_INVALID_ARGUMENT, "this revision was never published");
        return;
    }
    if (request->policy != NULL) {
        on_policy_ack(w, request->policy, state);
        news.policy_revision = request->policy->revision;
        news.policy_state = state;
    }
    if (request->done != NULL) {
        on_order_done(w, request->done);
    }
    news_add(w->services->news, &news);
}

static void on_half_close(void *context, struct rpc_stream *stream)
{
    (void)context;
    rpc_stream_finish(stream, RPC_OK, "");
}

static void on_end(void *context, struct rpc_stream *stream, const struct rpc_status *status)
{
    struct watch *w = context;
    watchers_remove(w->watcher);
    streams_remove(&w->services->streams, &w->entry);
    const struct store_sidecar_news news = {.sidecar = w->sidecar,
                                            .seen_ns = services_now(w->services)};
    news_add(w->services->news, &news);
    log_event(w->services->with.log, LOG_INFO, "sidecar_disconnected",
              log_text("sidecar", w->sidecar), log_text("status", rpc_code_name(status->code)));
    rpc_stream_release(stream);
    free(w);
}

void watch_open(const struct call *call, struct rpc_stream *stream,
                struct rpc_stream_events *out_events, void **out_context,
                struct rpc_status *out_status)
{
    struct watch *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        rpc_status_set(out_status, RPC_RESOURCE_EXHAUSTED, "no memory");
        return;
    }
    w->services = call->services;
    (void)snprintf(w->sidecar, sizeof(w->sidecar), "%s", call->caller->sidecar);
    if (!streams_add(&call->services->streams, &w->entry, stream, w->sidecar)) {
        rpc_status_set(out_status, RPC_UNAVAILABLE, "the control plane is shutting down");
        free(w);
        return;
    }
    /* It may have been revoked since it was let in, and its streams been ended: not this one. */
    if (!access_is_still_enrolled(call->services->with.store, w->sidecar, out_status)) {
        streams_remove(&call->services->streams, &w->entry);
        free(w);
        return;
    }
    refresh_policy(call->services);
    w->watcher =
        watchers_add(call->services->watchers, w->sidecar, stream, services_now(call->services));
    if (w->watcher == NULL) {
        rpc_status_set(out_status, RPC_RESOURCE_EXHAUSTED, "no memory");
        streams_remove(&call->services->streams, &w->entry);
        free(w);
        return;
    }
    *out_events = (struct rpc_stream_events){
        .on_message = on_message, .on_half_close = on_half_close, .on_end = on_end};
    *out_context = w;
    rpc_status_set(out_status, RPC_OK, "%s", "");
}
