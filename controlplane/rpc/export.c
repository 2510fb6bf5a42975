/* Log.Export: a thread for each, which waits while its reader is slow. */
#include <stdatomic.h>
#include <stdlib.h>

#include "api/log.pb-c.h"
#include "controlplane/evidence/export.h"
#include "controlplane/rpc/describe.h"
#include "controlplane/rpc/services_internal.h"

enum {
    QUEUE_HIGH = 4 << 20, /* what waits to be sent before the thread waits */
    EXPORTS_MAX = 8,      /* at the same time: each reads the store for minutes */
    REASON_MAX = 1024,
    /* How long the records up to now may take to get into a checkpoint: a few of its intervals and
     * the witnesses' answers. In steps, to see that nobody waits any more. */
    AWAIT_STEPS = 40,
    AWAIT_STEP_NS = 250000000,
};

struct exporting {
    struct services *services;
    struct streams_entry entry;
    struct rpc_stream *stream;
    struct actor actor;                    /* who exports */
    Chaperone__V1__ExportRequest *request; /* owned; NULL until it arrived */
    pthread_t thread;                      /* runs when `running` */
    bool running;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool closed; /* guarded: nobody reads any more */
};

/* --- on the export's own thread ----------------------------------------------------------------
 */

static bool is_closed(struct exporting *x)
{
    (void)pthread_mutex_lock(&x->mutex);
    bool closed = x->closed;
    (void)pthread_mutex_unlock(&x->mutex);
    return closed;
}

static bool on_part(void *context, const Chaperone__V1__ExportPart *part)
{
    struct exporting *x = context;
    (void)pthread_mutex_lock(&x->mutex);
    while (!x->closed && rpc_stream_queued(x->stream) > QUEUE_HIGH) {
        (void)pthread_cond_wait(&x->changed, &x->mutex);
    }
    bool open = !x->closed;
    (void)pthread_mutex_unlock(&x->mutex);
    return open && rpc_stream_send(x->stream, &part->base) == OK;
}

/* Its records are not those that were signed. */
static bool has_halted(struct keeper *keeper)
{
    struct keeper_status status;
    keeper_read_status(keeper, &status);
    return status.state == KEEPER_ROLLED_BACK || status.state == KEEPER_FORKED ||
           status.state == KEEPER_FOREIGN;
}

static enum err get_checkpoint(void *context, uint64_t size, struct arena *arena,
                               Chaperone__V1__Checkpoint *out)
{
    struct exporting *x = context;
    struct keeper *keeper = x->services->with.keeper;
    struct keeper_checkpoint found;
    enum err e = ERR_TIMEOUT;
    for (int step = 0; e == ERR_TIMEOUT && step < AWAIT_STEPS && !is_closed(x); step++) {
        e = keeper_await(keeper, size, AWAIT_STEP_NS, arena, &found);
    }
    if (e == ERR_TIMEOUT || e == ERR_NOT_FOUND) {
        /* The log stands still: what was signed can be proved, and its time is in it. */
        e = keeper_latest(keeper, arena, &found);
    }
    if (e == ERR_NOT_FOUND && has_halted(keeper)) {
        e = ERR_DENIED;
    }
    return e == OK ? log_fill_checkpoint(keeper, &found, arena, out) : e;
}

static enum err get_tile(void *context, uint64_t size, const struct tlog_tile *tile,
                         struct buffer *out)
{
    struct exporting *x = context;
    return keeper_read_tile(x->services->with.keeper, size, tile, out);
}

/* Before the first record goes out. */
static enum err record(const struct exporting *x)
{
    char object[DESCRIBE_SIZE];
    Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
    describe_search(x->request->filter, object);
    action.action = (char *)(uintptr_t) "export";
    action.object = object;
    action.reason = x->request->reason;
    action.by = x->actor.by;
    action.from = x->actor.from;
    return services_record_own(x->services, &action);
}

/* What is wrong with the records is no outage, which one would wait for the end of. */
static void say_failure(struct exporting *x, enum err e, const struct err_text *why)
{
    struct keeper_status status;
    struct err_text text = *why;
    if (e == ERR_DENIED) {
        keeper_read_status(x->services->with.keeper, &status);
        (void)err_set(&text, e, "the log has stopped: %s", status.detail);
    } else if (text.text[0] == '\0') {
        (void)err_set(&text, e, "the audit log cannot be read now");
    }
    log_event(x->services->with.log, LOG_ERROR, "audit_export_failed",
              log_text("error", err_name(e)), log_text("reason", text.text));
    rpc_stream_finish(x->stream, e == ERR_DENIED || e == ERR_IO ? RPC_DATA_LOSS : RPC_UNAVAILABLE,
                      text.text);
}

static void finish(struct exporting *x, enum err e, const struct err_text *why)
{
    if (e == OK) {
        rpc_stream_finish(x->stream, RPC_OK, "");
    } else if (e == ERR_INVALID) {
        rpc_stream_finish(x->stream, RPC_INVALID_ARGUMENT, why->text);
    } else if (e != ERR_CLOSED) {
        say_failure(x, e, why);
    } else {
        rpc_stream_finish(x->stream, RPC_UNAVAILABLE, "the export was broken off");
    }
}

static void *run(void *context)
{
    struct exporting *x = context;
    struct err_text why = {.text = ""};
    if (record(x) != OK) {
        struct rpc_status status;
        services_set_unrecorded(&status);
        rpc_stream_finish(x->stream, status.code, status.message);
        return NULL;
    }
    const struct export_options options = {
        .store = x->services->with.store,
        .log = {.checkpoint = get_checkpoint, .tile = get_tile, .context = x},
        .clock = x->services->with.clock,
        .made_by = x->actor.by->subject,
        .version = x->services->with.version,
        .on_part = on_part,
        .context = x};
    finish(x, export_run(&options, x->request, &why), &why);
    return NULL;
}

/* --- on the runtime's threads ------------------------------------------------------------------
 */

static const char *mistake_in(const Chaperone__V1__ExportRequest *request)
{
    if (request->filter == NULL) {
        return "a filter is needed, which may be empty";
    }
    return strlen(request->reason) > REASON_MAX ? "the reason has more than 1024 bytes" : NULL;
}

static void on_message(void *context, struct rpc_stream *stream, const ProtobufCMessage *message)
{
    struct exporting *x = context;
    const char *mistake = x->request != NULL
                              ? "one request is expected"
                              : mistake_in((const Chaperone__V1__ExportRequest *)message);
    if (mistake != NULL) {
        rpc_stream_finish(stream, RPC_INVALID_ARGUMENT, mistake);
        return;
    }
    x->request = (Chaperone__V1__ExportRequest *)rpc_reply_copy(message);
    x->running = x->request != NULL && pthread_create(&x->thread, NULL, run, x) == 0;
    if (!x->running) {
        rpc_stream_finish(stream, RPC_RESOURCE_EXHAUSTED, "no memory for an export");
    }
}

static void on_drained(void *context, struct rpc_stream *stream)
{
    (void)stream;
    struct exporting *x = context;
    (void)pthread_mutex_lock(&x->mutex);
    (void)pthread_cond_broadcast(&x->changed);
    (void)pthread_mutex_unlock(&x->mutex);
}

static void on_half_close(void *context, struct rpc_stream *stream)
{
    if (((struct exporting *)context)->request == NULL) {
        rpc_stream_finish(stream, RPC_INVALID_ARGUMENT, "one request is expected");
    }
}

static void destroy(struct exporting *x)
{
    if (x->request != NULL) {
        chaperone__v1__export_request__free_unpacked(x->request, NULL);
    }
    actor_finish(&x->actor);
    (void)pthread_cond_destroy(&x->changed);
    (void)pthread_mutex_destroy(&x->mutex);
    free(x);
}

static void on_end(void *context, struct rpc_stream *stream, const struct rpc_status *status)
{
    (void)status;
    struct exporting *x = context;
    struct services *services = x->services;
    (void)pthread_mutex_lock(&x->mutex);
    x->closed = true;
    (void)pthread_cond_broadcast(&x->changed);
    (void)pthread_mutex_unlock(&x->mutex);
    if (x->running) {
        (void)pthread_join(x->thread, NULL);
    }
    streams_remove(&services->streams, &x->entry);
    rpc_stream_release(stream);
    destroy(x);
    atomic_fetch_sub(&services->exports, 1);
}

static struct exporting *create(const struct call *call, struct rpc_stream *stream)
{
    struct exporting *x = calloc(1, sizeof(*x));
    if (x != NULL && actor_init(&x->actor, call) != OK) {
        free(x);
        x = NULL;
    }
    if (x != NULL) {
        x->services = call->services;
        x->stream = stream;
        (void)pthread_mutex_init(&x->mutex, NULL);
        (void)pthread_cond_init(&x->changed, NULL);
    }
    return x;
}

void log_export(const struct call *call, struct rpc_stream *stream,
                struct rpc_stream_events *out_events, void **out_context,
                struct rpc_status *out_status)
{
    struct services *services = call->services;
    if (atomic_fetch_add(&services->exports, 1) >= EXPORTS_MAX) {
        atomic_fetch_sub(&services->exports, 1);
        rpc_status_set(out_status, RPC_RESOURCE_EXHAUSTED,
                       "%d exports are under way; try again later", EXPORTS_MAX);
        return;
    }
    struct exporting *x = create(call, stream);
    if (x == NULL || !streams_add(&services->streams, &x->entry, stream, NULL)) {
        rpc_status_set(out_status, RPC_UNAVAILABLE, "the control plane is shutting down");
        if (x != NULL) {
            destroy(x);
        }
        atomic_fetch_sub(&services->exports, 1);
        return;
    }
    services_log_action(call, "audit_export", "", "ok");
    *out_events = (struct rpc_stream_events){.on_message = on_message,
                                             .on_drained = on_drained,
                                             .on_half_close = on_half_close,
                                             .on_end = on_end};
    *out_context = x;
    rpc_status_set(out_status, RPC_OK, "%s", "");
}
