/* Audit.Search and Audit.Tail: a thread for each, which waits while its reader is slow. */
#include <stdatomic.h>
#include <stdlib.h>

#include "api/operator.pb-c.h"
#include "controlplane/audit/search.h"
#include "controlplane/audit/tail.h"
#include "controlplane/rpc/describe.h"
#include "controlplane/rpc/services_internal.h"

enum {
    /* What waits to be sent before the thread waits: a few pages, far below RPC_STREAM_QUEUE_CAP.
     */
    QUEUE_HIGH = 4 << 20,
    /* Searches and tails at the same time; each is a thread. */
    READINGS_MAX = 64,
};

struct reading {
    struct services *services;
    struct streams_entry entry;
    struct rpc_stream *stream;
    bool follows;              /* a tail */
    struct actor actor;        /* who reads */
    ProtobufCMessage *request; /* owned; NULL until it arrived */
    uint64_t position;         /* a search sees the records up to here */
    pthread_t thread;          /* of a search; runs when `searching` */
    bool searching;
    struct audit_tail *tail;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool closed;   /* guarded: nobody reads any more */
    enum err sent; /* of the thread that reads: why an answer could not be sent */
};

/* --- on the reading's own thread ---------------------------------------------------------------
 */

static bool await_room(struct reading *r)
{
    (void)pthread_mutex_lock(&r->mutex);
    while (!r->closed && rpc_stream_queued(r->stream) > QUEUE_HIGH) {
        (void)pthread_cond_wait(&r->changed, &r->mutex);
    }
    bool open = !r->closed;
    (void)pthread_mutex_unlock(&r->mutex);
    return open;
}

static bool on_entries(void *context, const Chaperone__V1__SearchResponse *response)
{
    struct reading *r = context;
    if (!await_room(r)) {
        return false;
    }
    r->sent = rpc_stream_send(r->stream, &response->base);
    return r->sent == OK;
}

/* Half of an answer must not look like all of it. */
static void finish(struct reading *r, enum err e, const struct err_text *why)
{
    e = e == OK && r->sent != ERR_CLOSED ? r->sent : e; /* closed: nobody is there to tell */
    if (e == OK) {
        rpc_stream_finish(r->stream, RPC_OK, "");
    } else if (e == ERR_INVALID) {
        rpc_stream_finish(r->stream, RPC_INVALID_ARGUMENT, why->text);
    } else {
        log_event(r->services->with.log, LOG_ERROR, "audit_search_failed",
                  log_text("error", err_name(e)), log_text("reason", why->text));
        rpc_stream_finish(r->stream, RPC_UNAVAILABLE, "the audit log cannot be read now");
    }
}

static void on_tail_end(void *context, enum err e, const struct err_text *why)
{
    finish(context, e, why);
}

static void *run_search(void *context)
{
    struct reading *r = context;
    struct err_text why = {0};
    enum err e = audit_search_run_to(r->services->with.store,
                                     (const Chaperone__V1__SearchRequest *)r->request, r->position,
                                     on_entries, r, &why);
    finish(r, e, &why);
    return NULL;
}

/* --- on the runtime's threads ------------------------------------------------------------------
 */

static enum err begin(struct reading *r)
{
    if (!r->follows) {
        r->searching = pthread_create(&r->thread, NULL, run_search, r) == 0;
        return r->searching ? OK : ERR_NO_MEMORY;
    }
    static const struct audit_tail_events events = {.on_entries = on_entries,
                                                    .on_end = on_tail_end};
    return audit_tail_start(r->services->with.store, r->services->with.feed,
                            (const Chaperone__V1__SearchRequest *)r->request, &events, r, &r->tail);
}

/* Before the first record goes out. A search does not find itself. */
static enum err record(struct reading *r)
{
    char object[DESCRIBE_SIZE];
    enum err e = store_audit_count(r->services->with.store, &r->position);
    if (e != OK) {
        return e;
    }
    describe_search((const Chaperone__V1__SearchRequest *)r->request, object);
    return services_record_as(r->services, &r->actor, r->follows ? "tail" : "search", object);
}

static void refuse_unrecorded(struct rpc_stream *stream)
{
    struct rpc_status status;
    services_set_unrecorded(&status);
    rpc_stream_finish(stream, status.code, status.message);
}

static void on_message(void *context, struct rpc_stream *stream, const ProtobufCMessage *message)
{
    struct reading *r = context;
    if (r->request != NULL) {
        rpc_stream_finish(stream, RPC_INVALID_ARGUMENT, "one request is expected");
        return;
    }
    r->request = rpc_reply_copy(message);
    if (r->request != NULL && record(r) != OK) {
        refuse_unrecorded(stream);
        return;
    }
    enum err e = r->request == NULL ? ERR_NO_MEMORY : begin(r);
    if (e != OK) {
        rpc_stream_finish(stream, RPC_RESOURCE_EXHAUSTED, "no memory for a search");
    }
}

static void on_drained(void *context, struct rpc_stream *stream)
{
    (void)stream;
    struct reading *r = context;
    (void)pthread_mutex_lock(&r->mutex);
    (void)pthread_cond_broadcast(&r->changed);
    (void)pthread_mutex_unlock(&r->mutex);
}

static void on_half_close(void *context, struct rpc_stream *stream)
{
    if (((struct reading *)context)->request == NULL) {
        rpc_stream_finish(stream, RPC_INVALID_ARGUMENT, "one request is expected");
    }
}

static void destroy(struct reading *r)
{
    if (r->request != NULL) {
        protobuf_c_message_free_unpacked(r->request, NULL);
    }
    actor_finish(&r->actor);
    (void)pthread_cond_destroy(&r->changed);
    (void)pthread_mutex_destroy(&r->mutex);
    free(r);
}

static void on_end(void *context, struct rpc_stream *stream, const struct rpc_status *status)
{
    (void)status;
    struct reading *r = context;
    struct services *services = r->services;
    (void)pthread_mutex_lock(&r->mutex);
    r->closed = true;
    (void)pthread_cond_broadcast(&r->changed);
    (void)pthread_mutex_unlock(&r->mutex);
    if (r->searching) {
        (void)pthread_join(r->thread, NULL);
    }
    audit_tail_stop(r->tail);
    streams_remove(&services->streams, &r->entry);
    rpc_stream_release(stream);
    destroy(r);
    atomic_fetch_sub(&services->readings, 1);
}

static struct reading *create(const struct call *call, struct rpc_stream *stream, bool follows)
{
    struct reading *r = calloc(1, sizeof(*r));
    if (r != NULL && actor_init(&r->actor, call) != OK) {
        free(r);
        r = NULL;
    }
    if (r != NULL) {
        r->services = call->services;
        r->stream = stream;
        r->follows = follows;
        (void)pthread_mutex_init(&r->mutex, NULL);
        (void)pthread_cond_init(&r->changed, NULL);
    }
    return r;
}

static void open_reading(const struct call *call, struct rpc_stream *stream, bool follows,
                         struct rpc_stream_events *out_events, void **out_context,
                         struct rpc_status *out_status)
{
    struct services *services = call->services;
    if (atomic_fetch_add(&services->readings, 1) >= READINGS_MAX) {
        atomic_fetch_sub(&services->readings, 1);
        rpc_status_set(out_status, RPC_RESOURCE_EXHAUSTED,
                       "%d searches are under way; try again later", READINGS_MAX);
        return;
    }
    struct reading *r = create(call, stream, follows);
    if (r == NULL || !streams_add(&services->streams, &r->entry, stream, NULL)) {
        rpc_status_set(out_status, RPC_UNAVAILABLE, "the control plane is shutting down");
        if (r != NULL) {
            destroy(r);
        }
        atomic_fetch_sub(&services->readings, 1);
        return;
    }
    services_log_action(call, follows ? "audit_tail" : "audit_search", "", "ok");
    *out_events = (struct rpc_stream_events){.on_message = on_message,
                                             .on_drained = on_drained,
                                             .on_half_close = on_half_close,
                                             .on_end = on_end};
    *out_context = r;
    rpc_status_set(out_status, RPC_OK, "%s", "");
}

void reading_search(const struct call *call, struct rpc_stream *stream,
                    struct rpc_stream_events *out_events, void **out_context,
                    struct rpc_status *out_status)
{
    open_reading(call, stream, false, out_events, out_context, out_status);
}

void reading_tail(const struct call *call, struct rpc_stream *stream,
                  struct rpc_stream_events *out_events, void **out_context,
                  struct rpc_status *out_status)
{
    open_reading(call, stream, true, out_events, out_context, out_status);
}
