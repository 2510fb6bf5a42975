/* AuditIngest: a sidecar's records come in, and are acknowledged when they are durable. The stream
 * is the one of the certificate's sidecar, whatever the records say. */
#include <stdio.h>
#include <stdlib.h>

#include "api/sidecar.pb-c.h"
#include "controlplane/rpc/services_internal.h"

struct ship {
    struct services *services;
    struct streams_entry entry;
    char sidecar[CA_ID_SIZE];
};

/* What a refused batch is to a sidecar: DATA_LOSS and its like never help when tried again;
 * UNAVAILABLE may. */
static enum rpc_code code_of(enum err e)
{
    switch (e) {
    case ERR_LIMIT:
    case ERR_INVALID: return RPC_INVALID_ARGUMENT;
    case ERR_EXISTS: return RPC_DATA_LOSS;
    case ERR_DENIED: return RPC_PERMISSION_DENIED;
    case ERR_NOT_FOUND: return RPC_FAILED_PRECONDITION;
    default: return RPC_UNAVAILABLE;
    }
}

static void refuse(struct ship *s, struct rpc_stream *stream, enum err e,
                   const struct err_text *why)
{
    enum rpc_code code = code_of(e);
    log_event(s->services->with.log, LOG_ERROR,
              code == RPC_UNAVAILABLE ? "audit_append_failed" : "audit_batch_refused",
              log_text("sidecar", s->sidecar), log_text("error", err_name(e)),
              log_text("reason", why->text));
    rpc_stream_finish(stream, code,
                      code == RPC_UNAVAILABLE ? "the records cannot be stored now" : why->text);
}

/* The sidecar may ship it again and again: it is recorded once. */
static void record_finding(struct ship *s, const struct audit_refusal *refusal,
                           const struct err_text *why)
{
    if (refusal->kind != NULL) {
        enum err e =
            findings_record(s->services->findings, &(struct finding){.kind = refusal->kind,
                                                                     .sidecar = s->sidecar,
                                                                     .first = refusal->first,
                                                                     .last = refusal->last,
                                                                     .detail = why->text});
        (void)e; /* logged; the batch is refused, and comes again */
    }
}

struct taking {
    struct ship *ship;
    const Chaperone__V1__ShipRequest *request;
    struct store_audit_last last;
    struct audit_refusal refusal;
    struct err_text why;
    enum err err;
};

static void take(void *context)
{
    struct taking *t = context;
    t->err = audit_ingest_append(&t->ship->services->ingest, t->ship->sidecar, t->request->records,
                                 t->request->n_records, &t->last, &t->refusal, &t->why);
}

/* The next batch is read when this has returned: a slow disk slows the sidecars, and fills no
 * memory. */
static void on_message(void *context, struct rpc_stream *stream, const ProtobufCMessage *message)
{
    struct ship *s = context;
    struct taking t = {.ship = s, .request = (const Chaperone__V1__ShipRequest *)message};
    ingest_threads_run(s->services->ingest_threads, take, &t);
    if (t.err != OK) {
        record_finding(s, &t.refusal, &t.why);
        refuse(s, stream, t.err, &t.why);
        return;
    }
    Chaperone__V1__ShipResponse response = CHAPERONE__V1__SHIP_RESPONSE__INIT;
    response.sequence = t.last.sequence;
    enum err e = rpc_stream_send(stream, &response.base);
    if (e != OK && e != ERR_CLOSED) {
        rpc_stream_finish(stream, RPC_RESOURCE_EXHAUSTED, "acknowledgements are not read");
    }
}

static void on_half_close(void *context, struct rpc_stream *stream)
{
    (void)context;
    rpc_stream_finish(stream, RPC_OK, "");
}

static void on_end(void *context, struct rpc_stream *stream, const struct rpc_status *status)
{
    (void)status;
    struct ship *s = context;
    streams_remove(&s->services->streams, &s->entry);
    rpc_stream_release(stream);
    free(s);
}

void ship_open(const struct call *call, struct rpc_stream *stream,
               struct rpc_stream_events *out_events, void **out_context,
               struct rpc_status *out_status)
{
    struct ship *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        rpc_status_set(out_status, RPC_RESOURCE_EXHAUSTED, "no memory");
        return;
    }
    s->services = call->services;
    (void)snprintf(s->sidecar, sizeof(s->sidecar), "%s", call->caller->sidecar);
    if (!streams_add(&call->services->streams, &s->entry, stream, s->sidecar)) {
        rpc_status_set(out_status, RPC_UNAVAILABLE, "the control plane is shutting down");
        free(s);
        return;
    }
    *out_events = (struct rpc_stream_events){
        .on_message = on_message, .on_half_close = on_half_close, .on_end = on_end};
    *out_context = s;
    rpc_status_set(out_status, RPC_OK, "%s", "");
}

void ship_resume(const struct call *call, const ProtobufCMessage *request,
                 ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    (void)request;
    struct store_audit_last last = {0};
    enum err e = store_audit_last(call->services->with.store, call->caller->sidecar, &last);
    if (e != OK) {
        log_event(call->services->with.log, LOG_ERROR, "store_failed", log_text("at", "resume"),
                  log_text("error", err_name(e)));
        rpc_status_set(out_status, RPC_UNAVAILABLE, "the control plane cannot read its store");
        return;
    }
    Chaperone__V1__ResumeResponse response = CHAPERONE__V1__RESUME_RESPONSE__INIT;
    response.sequence = last.sequence;
    if (last.sequence > 0) {
        response.hash = (ProtobufCBinaryData){.data = last.hash, .len = sizeof(last.hash)};
    }
    services_reply(&response.base, out_reply, out_status);
}
