/* Approvals.Watch: a thread for each, which reads from the store what a cursor has not seen, waits
 * until something changes, and waits while its reader is slow. */
#include <stdlib.h>

#include "controlplane/rpc/services_internal.h"

enum {
    QUEUE_HIGH = 4 << 20, /* what waits to be sent before the thread waits */
    WATCHES_MAX = 64,     /* at the same time; each is a thread */
    PAGE = 256,
    PAGE_BYTES = 256 << 10,
    ARENA_BLOCK = 64 << 10,
    ARENA_CAP = 256 << 20,
};

struct watching {
    struct services *services;
    struct streams_entry entry;
    struct rpc_stream *stream;
    unsigned roles;
    struct arena *groups_arena; /* owned, with the groups */
    const char **groups;
    size_t group_count;
    Chaperone__V1__WatchApprovalsRequest *request; /* owned; NULL until it arrived */
    struct audit_subscription *subscription;
    pthread_t thread;
    bool runs;
    struct arena *arena; /* the thread's own */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool closed;      /* guarded: nobody reads any more */
    uint64_t arrived; /* guarded: the newest cursor that was told */
};

/* --- on the watch's own thread -----------------------------------------------------------------
 */

static bool await_room(struct watching *w)
{
    (void)pthread_mutex_lock(&w->mutex);
    while (!w->closed && rpc_stream_queued(w->stream) > QUEUE_HIGH) {
        (void)pthread_cond_wait(&w->changed, &w->mutex);
    }
    bool open = !w->closed;
    (void)pthread_mutex_unlock(&w->mutex);
    return open;
}

static bool await_change(struct watching *w, uint64_t cursor)
{
    (void)pthread_mutex_lock(&w->mutex);
    while (!w->closed && w->arrived <= cursor) {
        (void)pthread_cond_wait(&w->changed, &w->mutex);
    }
    bool open = !w->closed;
    (void)pthread_mutex_unlock(&w->mutex);
    return open;
}

/* ERR_CLOSED: nobody reads any more. What its reader may not see is not sent. */
static enum err send(struct watching *w, const struct store_approval *stored, uint64_t cursor,
                     bool *out_sent)
{
    const Chaperone__V1__HeldOperation *held = NULL;
    Chaperone__V1__ApprovalEvent event = CHAPERONE__V1__APPROVAL_EVENT__INIT;
    enum err e = approvals_unpack(stored, w->arena, &held);
    *out_sent = false;
    if (e != OK || !services_may_see(w->roles, w->groups, w->group_count, held)) {
        return e;
    }
    event.cursor = cursor;
    event.approval = (Chaperone__V1__HeldOperation *)(uintptr_t)held;
    e = await_room(w) ? rpc_stream_send(w->stream, &event.base) : ERR_CLOSED;
    *out_sent = e == OK;
    return e;
}

/* Without it a reader that is sent nothing, and comes again, would not know what it has missed. */
static enum err send_cursor(struct watching *w, uint64_t cursor)
{
    Chaperone__V1__ApprovalEvent event = CHAPERONE__V1__APPROVAL_EVENT__INIT;
    event.cursor = cursor;
    return await_room(w) ? rpc_stream_send(w->stream, &event.base) : ERR_CLOSED;
}

/* All that waits, oldest first. The last one has the cursor to go on from: a reader that goes away
 * before it begins again. `*out_told`: the reader has that cursor. */
static enum err send_waiting(struct watching *w, uint64_t cursor, bool *out_told)
{
    const struct store_approval_filter filter = {.limit = APPROVALS_WAITING_MAX,
                                                 .max_bytes = SIZE_MAX};
    struct arena *list = arena_create(ARENA_BLOCK, ARENA_CAP);
    struct store_approval *items = NULL;
    size_t count = 0;
    enum err e = list == NULL
                     ? ERR_NO_MEMORY
                     : store_approval_list(w->services->with.store, &filter, list, &items, &count);
    for (size_t i = count; e == OK && i > 0; i--) {
        const struct store_approval *item = &items[i - 1];
        arena_reset(w->arena);
        if (item->state == STORE_APPROVAL_WAITING || i == 1) {
            e = send(w, item, i == 1 ? cursor : w->request->after, out_told);
        }
    }
    arena_destroy(list);
    return e;
}

static enum err send_changes(struct watching *w, uint64_t *cursor)
{
    struct store_approval *items = NULL;
    size_t count = 0;
    bool sent = false;
    enum err e = OK;
    do {
        arena_reset(w->arena);
        e = store_approval_events(w->services->with.store, *cursor, PAGE, PAGE_BYTES, w->arena,
                                  &items, &count);
        for (size_t i = 0; e == OK && i < count; i++) {
            e = send(w, &items[i], items[i].cursor, &sent);
            *cursor = items[i].cursor;
        }
    } while (e == OK && count > 0);
    return e;
}

static enum err follow(struct watching *w)
{
    uint64_t newest = 0, cursor = w->request->after;
    enum err e = store_approval_cursor(w->services->with.store, &newest);
    if (e == OK && !w->request->from_now && cursor > newest) {
        return ERR_NOT_FOUND;
    }
    bool begins = w->request->from_now || w->request->only_waiting, told = !begins;
    if (begins) {
        cursor = newest;
    }
    if (e == OK && w->request->only_waiting) {
        e = send_waiting(w, newest, &told);
    }
    if (e == OK && !told) {
        e = send_cursor(w, newest);
    }
    do {
        e = e == OK ? send_changes(w, &cursor) : e;
    } while (e == OK && await_change(w, cursor));
    return e;
}

static void *run(void *context)
{
    struct watching *w = context;
    enum err e = follow(w);
    if (e == ERR_NOT_FOUND) {
        rpc_stream_finish(w->stream, RPC_OUT_OF_RANGE,
                          "there is no such cursor here: begin again without one");
    } else if (e != OK && e != ERR_CLOSED) {
        log_event(w->services->with.log, LOG_ERROR, "store_failed",
                  log_text("at", "approval_watch"), log_text("error", err_name(e)));
        rpc_stream_finish(w->stream, RPC_UNAVAILABLE, "the approvals cannot be read now");
    }
    return NULL;
}

/* --- on the runtime's threads ------------------------------------------------------------------
 */

static void on_arrived(void *context, uint64_t cursor)
{
    struct watching *w = context;
    (void)pthread_mutex_lock(&w->mutex);
    if (cursor > w->arrived) {
        w->arrived = cursor;
        (void)pthread_cond_broadcast(&w->changed);
    }
    (void)pthread_mutex_unlock(&w->mutex);
}

static enum err begin(struct watching *w, const ProtobufCMessage *message)
{
    w->request = (Chaperone__V1__WatchApprovalsRequest *)rpc_reply_copy(message);
    enum err e = w->request == NULL ? ERR_NO_MEMORY
                                    : audit_subscribe(w->services->approvals_feed, on_arrived, w,
                                                      &w->subscription);
    if (e == OK) {
        w->runs = pthread_create(&w->thread, NULL, run, w) == 0;
        e = w->runs ? OK : ERR_NO_MEMORY;
    }
    return e;
}

static void on_message(void *context, struct rpc_stream *stream, const ProtobufCMessage *message)
{
    struct watching *w = context;
    if (w->request != NULL) {
        rpc_stream_finish(stream, RPC_INVALID_ARGUMENT, "one request is expected");
    } else if (begin(w, message) != OK) {
        rpc_stream_finish(stream, RPC_RESOURCE_EXHAUSTED, "no memory for a watch");
    }
}

static void on_drained(void *context, struct rpc_stream *stream)
{
    (void)stream;
    struct watching *w = context;
    (void)pthread_mutex_lock(&w->mutex);
    (void)pthread_cond_broadcast(&w->changed);
    (void)pthread_mutex_unlock(&w->mutex);
}

static void on_half_close(void *context, struct rpc_stream *stream)
{
    if (((struct watching *)context)->request == NULL) {
        rpc_stream_finish(stream, RPC_INVALID_ARGUMENT, "one request is expected");
    }
}

static void destroy(struct watching *w)
{
    if (w->request != NULL) {
        protobuf_c_message_free_unpacked(&w->request->base, NULL);
    }
    (void)pthread_cond_destroy(&w->changed);
    (void)pthread_mutex_destroy(&w->mutex);
    arena_destroy(w->groups_arena);
    arena_destroy(w->arena);
    free(w);
}

static void on_end(void *context, struct rpc_stream *stream, const struct rpc_status *status)
{
    (void)status;
    struct watching *w = context;
    struct services *services = w->services;
    (void)pthread_mutex_lock(&w->mutex);
    w->closed = true;
    (void)pthread_cond_broadcast(&w->changed);
    (void)pthread_mutex_unlock(&w->mutex);
    if (w->runs) {
        (void)pthread_join(w->thread, NULL);
    }
    audit_unsubscribe(w->subscription);
    streams_remove(&services->streams, &w->entry);
    rpc_stream_release(stream);
    destroy(w);
    atomic_fetch_sub(&services->approval_watches, 1);
}

static enum err copy_groups(struct watching *w, const struct identity *who)
{
    w->groups = arena_alloc(w->groups_arena, (who->group_count + 1) * sizeof(*w->groups));
    for (size_t i = 0; w->groups != NULL && i < who->group_count; i++) {
        w->groups[i] = arena_copy_string(w->groups_arena, bytes_of_string(who->groups[i]));
        if (w->groups[i] == NULL) {
            return ERR_NO_MEMORY;
        }
    }
    w->group_count = who->group_count;
    return w->groups == NULL ? ERR_NO_MEMORY : OK;
}

static struct watching *create(const struct call *call, struct rpc_stream *stream)
{
    struct watching *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        return NULL;
    }
    w->services = call->services;
    w->stream = stream;
    w->roles = call->caller->roles;
    (void)pthread_mutex_init(&w->mutex, NULL);
    (void)pthread_cond_init(&w->changed, NULL);
    w->arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    w->groups_arena = arena_create(1024, 1 << 20);
    if (w->arena == NULL || w->groups_arena == NULL || copy_groups(w, call->caller->who) != OK) {
        destroy(w);
        return NULL;
    }
    return w;
}

void approvals_watch(const struct call *call, struct rpc_stream *stream,
                     struct rpc_stream_events *out_events, void **out_context,
                     struct rpc_status *out_status)
{
    struct services *services = call->services;
    if (services_record(call, "approvals_watch", "", "") != OK) {
        services_set_unrecorded(out_status);
        return;
    }
    if (atomic_fetch_add(&services->approval_watches, 1) >= WATCHES_MAX) {
        atomic_fetch_sub(&services->approval_watches, 1);
        rpc_status_set(out_status, RPC_RESOURCE_EXHAUSTED, "%d watch already; try again later",
                       WATCHES_MAX);
        return;
    }
    struct watching *w = create(call, stream);
    if (w == NULL || !streams_add(&services->streams, &w->entry, stream, NULL)) {
        rpc_status_set(out_status, RPC_UNAVAILABLE, "the control plane is shutting down");
        if (w != NULL) {
            destroy(w);
        }
        atomic_fetch_sub(&services->approval_watches, 1);
        return;
    }
    services_log_action(call, "approval_watch", "", "ok");
    *out_events = (struct rpc_stream_events){.on_message = on_message,
                                             .on_drained = on_drained,
                                             .on_half_close = on_half_close,
                                             .on_end = on_end};
    *out_context = w;
    rpc_status_set(out_status, RPC_OK, "%s", "");
}
