/* One call that a server has accepted: who asks, and for a unary method the handler's answer. */
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/rpc/server.h"
#include "base/rpc/stream.h"

struct call_event {
    struct rpc_event event;
    struct server_call *call;
};

struct server_call {
    struct rpc_peer peer; /* first: a peer's functions find their call by it */
    struct rpc_job job;
    struct rpc_server *server;
    grpc_server *core_server;
    struct rpc_target target;
    atomic_size_t references; /* the events under way, and the accepting */

    grpc_call *core;
    grpc_call_details details;
    grpc_metadata_array metadata;
    char *address;
    char *certificate; /* PEM, or NULL */

    struct call_event accepted, received, closed, answered;
    grpc_byte_buffer *request, *reply;
    grpc_metadata *trailing;
    size_t trailing_count;
    grpc_slice text;
    int cancelled; /* gRPC's word, valid when `closed` was done */
    atomic_bool gone;
    bool keeps_slot; /* there was no memory for the next call: this one's is used again */
};

static void init_call(struct server_call *c, struct rpc_server *server, grpc_server *core);
static enum err request_call(struct server_call *c);

/* ---- peer ----------------------------------------------------------------------------- */

static struct bytes find_metadata(const struct rpc_peer *peer, const char *name)
{
    return rpc_metadata_find(&((const struct server_call *)peer)->metadata, name);
}

static bool is_cancelled(const struct rpc_peer *peer)
{
    return atomic_load(&((const struct server_call *)peer)->gone);
}

/* Returns owned; NULL when the client gave no certificate (or memory is short: then it is
 * nobody, which is the safe side). */
static char *read_certificate(grpc_call *core, size_t *out_size)
{
    grpc_auth_context *context = grpc_call_auth_context(core);
    if (context == NULL)
        return NULL;
    char *pem = NULL;
    /* gRPC fills it in from a certificate that was checked against the CA, as the server's
     * credentials ask for (rpc_tls.c). */
    grpc_auth_property_iterator i =
        grpc_auth_context_find_properties_by_name(context, GRPC_X509_PEM_CERT_PROPERTY_NAME);
    const grpc_auth_property *p = grpc_auth_property_iterator_next(&i);
    if (p != NULL) {
        pem = bytes_to_string(bytes_of(p->value, p->value_length));
        *out_size = pem == NULL ? 0 : p->value_length;
    }
    grpc_auth_context_release(context);
    return pem;
}

static int64_t unix_ns(gpr_timespec deadline)
{
    gpr_timespec t = gpr_convert_clock_type(deadline, GPR_CLOCK_REALTIME);
    if (t.tv_sec >= INT64_MAX / 1000000000 - 1)
        return INT64_MAX;
    return t.tv_sec * 1000000000 + t.tv_nsec;
}

static void fill_peer(struct server_call *c)
{
    size_t size = 0;
    c->address = grpc_call_get_peer(c->core);
    c->certificate = read_certificate(c->core, &size);
    c->peer.address = c->address;
    c->peer.metadata = find_metadata;
    c->peer.is_cancelled = is_cancelled;
    c->peer.certificate_pem = bytes_of(c->certificate, size);
    c->peer.deadline_unix_ns = unix_ns(c->details.deadline);
}

/* ---- life ----------------------------------------------------------------------------- */

static void free_call(struct server_call *c)
{
#ifndef __clang_analyzer__ /* it cannot count references */
    free(c);
#endif
}

/* Takes what is left of a call. A slot that is lost is never had again: with the last one the
 * server would take no calls any more. */
static void accept_again(struct server_call *c)
{
    struct rpc_server *server = c->server;
    init_call(c, server, c->core_server);
    if (request_call(c) != OK) {
        grpc_metadata_array_destroy(&c->metadata);
        grpc_call_details_destroy(&c->details);
        free_call(c);
        rpc_server_slot_closed(server);
    }
}

static void release(struct server_call *c)
{
    if (atomic_fetch_sub(&c->references, 1) > 1)
        return;
    struct rpc_server *server = c->server;
    bool entered = c->core != NULL;
    if (c->request != NULL)
        grpc_byte_buffer_destroy(c->request);
    if (c->reply != NULL)
        grpc_byte_buffer_destroy(c->reply);
    rpc_metadata_free(c->trailing, c->trailing_count);
    grpc_slice_unref(c->text);
    grpc_metadata_array_destroy(&c->metadata);
    grpc_call_details_destroy(&c->details);
    if (c->core != NULL)
        grpc_call_unref(c->core);
    gpr_free(c->address);
    free(c->certificate);
    if (c->keeps_slot)
        accept_again(c);
    else
        free_call(c);
    if (entered)
        rpc_server_left(server);
}

static void start(struct server_call *c, struct call_event *e, const grpc_op *ops, size_t count)
{
    (void)atomic_fetch_add(&c->references, 1);
    if (grpc_call_start_batch(c->core, ops, count, &e->event, NULL) == GRPC_CALL_OK)
        return;
    log_event(rpc_runtime_log(rpc_server_runtime(c->server)), LOG_ERROR, "rpc_batch_refused",
              log_number("operation", ops[0].op));
    (void)grpc_call_cancel(c->core, NULL);
    release(c);
}

static void on_closed(struct rpc_event *event, bool ok)
{
    (void)ok;
    struct server_call *c = ((struct call_event *)event)->call;
    if (c->cancelled)
        atomic_store(&c->gone, true);
    release(c);
}

static void on_answered(struct rpc_event *event, bool ok)
{
    (void)ok; /* the client has gone: nobody is left to tell */
    release(((struct call_event *)event)->call);
}

/* ---- unary ---------------------------------------------------------------------------- */

/* `reply` is borrowed; NULL unless the status is OK. */
static void answer(struct server_call *c, const struct rpc_status *status,
                   const ProtobufCMessage *reply)
{
    struct rpc_status said = *status;
    if (reply != NULL) {
        c->reply = rpc_message_pack(reply);
        if (c->reply == NULL)
            rpc_status_set(&said, RPC_RESOURCE_EXHAUSTED, "no memory for the reply");
    }
    struct rpc_metadata details = {.name = RPC_STATUS_DETAILS, .value = said.details};
    /* Without memory for the details the status is still true. */
    if (said.details.size > 0 && rpc_metadata_to_core(&details, 1, &c->trailing) == OK)
        c->trailing_count = 1;
    c->text = grpc_slice_from_copied_string(said.message);
    grpc_op ops[3] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        {.op = GRPC_OP_SEND_STATUS_FROM_SERVER,
         .data.send_status_from_server = {.trailing_metadata_count = c->trailing_count,
                                          .trailing_metadata = c->trailing,
                                          .status = (grpc_status_code)said.code,
                                          .status_details = &c->text}},
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = c->reply},
    };
    start(c, &c->answered, ops, c->reply != NULL ? 3 : 2);
}

static void handle_unary(struct server_call *c)
{
    struct rpc_status status;
    rpc_status_set(&status, RPC_INTERNAL, "the handler gave no answer");
    ProtobufCMessage *request = rpc_message_unpack(c->target.method->input, c->request);
    if (request == NULL) {
        rpc_status_set(&status, RPC_INTERNAL, "the request is malformed or too large");
        answer(c, &status, NULL);
        return;
    }
    ProtobufCMessage *reply = NULL;
    c->target.handler->unary(c->target.context, &c->peer, request, &reply, &status);
    protobuf_c_message_free_unpacked(request, NULL);
    if (status.code == RPC_OK && reply == NULL)
        rpc_status_set(&status, RPC_INTERNAL, "the handler gave no reply");
    answer(c, &status, status.code == RPC_OK ? reply : NULL);
    if (reply != NULL)
        protobuf_c_message_free_unpacked(reply, NULL);
}

static void run_job(struct rpc_job *job)
{
    struct server_call *c = (struct server_call *)((char *)job - offsetof(struct server_call, job));
    handle_unary(c);
    release(c);
}

static void on_received(struct rpc_event *event, bool ok)
{
    struct server_call *c = ((struct call_event *)event)->call;
    if (ok && c->request != NULL) {
        rpc_runtime_run(rpc_server_runtime(c->server), &c->job);
        return; /* the job releases */
    }
    /* "Request cardinality violation", gRPC's doc/statuscodes.md; or it was cancelled. */
    struct rpc_status status;
    rpc_status_set(&status, RPC_UNIMPLEMENTED, "the call carried no request message");
    answer(c, &status, NULL);
    release(c);
}

static void watch_end(struct server_call *c)
{
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                  .data.recv_close_on_server.cancelled = &c->cancelled};
    start(c, &c->closed, &op, 1);
}

static void refuse(struct server_call *c, const struct rpc_status *status)
{
    watch_end(c);
    answer(c, status, NULL);
}

static void begin_unary(struct server_call *c)
{
    watch_end(c);
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &c->request};
    start(c, &c->received, &op, 1);
}

/* ---- stream --------------------------------------------------------------------------- */

static void on_stream_gone(void *owner)
{
    release(owner);
}

static void begin_stream(struct server_call *c)
{
    const struct log *log = rpc_runtime_log(rpc_server_runtime(c->server));
    struct rpc_stream *stream =
        rpc_stream_accept(c->core, c->target.method, log, &c->gone, on_stream_gone, c);
    struct rpc_status status;
    if (stream == NULL) {
        rpc_status_set(&status, RPC_RESOURCE_EXHAUSTED, "no memory for a stream");
        refuse(c, &status);
        return;
    }
    (void)atomic_fetch_add(&c->references, 1); /* the stream's, until on_stream_gone */
    struct rpc_stream_events events = {.on_message = NULL};
    void *context = NULL;
    rpc_status_set(&status, RPC_OK, "%s", "");
    c->target.handler->stream(c->target.context, &c->peer, stream, &events, &context, &status);
    if (status.code == RPC_OK)
        rpc_stream_serve(stream, &events, context);
    else
        rpc_stream_refuse(stream, &status);
}

/* ---- accept --------------------------------------------------------------------------- */

static void begin(struct server_call *c, bool welcome)
{
    struct bytes path = rpc_slice_bytes(&c->details.method);
    struct rpc_status status;
    if (!welcome) {
        rpc_status_set(&status, RPC_UNAVAILABLE, "the server shuts down");
        refuse(c, &status);
        return;
    }
    if (c->keeps_slot) { /* it must end soon */
        rpc_status_set(&status, RPC_RESOURCE_EXHAUSTED, "no memory for one more call");
        refuse(c, &status);
        return;
    }
    if (!rpc_server_find(c->server, path, &c->target)) {
        rpc_status_set(&status, RPC_UNIMPLEMENTED, "unknown method %.*s",
                       path.size > 200 ? 200 : (int)path.size, (const char *)path.data);
        refuse(c, &status);
        return;
    }
    fill_peer(c);
    if (c->target.handler->unary != NULL)
        begin_unary(c);
    else
        begin_stream(c);
}

static void on_accepted(struct rpc_event *event, bool ok)
{
    struct server_call *c = ((struct call_event *)event)->call;
    struct rpc_server *server = c->server;
    if (!ok) { /* the server shuts down */
        release(c);
        rpc_server_slot_closed(server);
        return;
    }
    bool welcome = rpc_server_entered(server);
    c->keeps_slot = rpc_server_accept(server, c->core_server) != OK;
    begin(c, welcome);
    release(c);
}

static void init_call(struct server_call *c, struct rpc_server *server, grpc_server *core)
{
    memset(c, 0, sizeof(*c));
    c->server = server;
    c->core_server = core;
    c->job.run = run_job;
    atomic_init(&c->references, 1);
    atomic_init(&c->gone, false);
    c->accepted = (struct call_event){.event.done = on_accepted, .call = c};
    c->received = (struct call_event){.event.done = on_received, .call = c};
    c->closed = (struct call_event){.event.done = on_closed, .call = c};
    c->answered = (struct call_event){.event.done = on_answered, .call = c};
    c->text = grpc_empty_slice();
    grpc_call_details_init(&c->details);
    grpc_metadata_array_init(&c->metadata);
}

static enum err request_call(struct server_call *c)
{
    grpc_completion_queue *queue = rpc_runtime_queue(rpc_server_runtime(c->server));
    return grpc_server_request_call(c->core_server, &c->core, &c->details, &c->metadata, queue,
                                    queue, &c->accepted.event) == GRPC_CALL_OK
               ? OK
               : ERR_INTERNAL;
}

enum err rpc_server_accept(struct rpc_server *server, grpc_server *core)
{
    struct server_call *c = malloc(sizeof(*c));
    if (c == NULL)
        return ERR_NO_MEMORY;
    init_call(c, server, core);
    enum err e = request_call(c);
    if (e != OK)
        release(c);
    return e;
}
