#include "base/rpc/testing/echo_service.h"

#include <stdlib.h>
#include <time.h>

struct echo_stream {
    struct echo_service *service;
    uint64_t received, sent;
    uint32_t count, size;
    uint8_t *payload;
};

struct bytes echo_details(void)
{
    static const uint8_t status[] = "\x08\x09\x12\x0estatic details";
    return bytes_of(status, sizeof(status) - 1);
}

static void set_status(struct rpc_status *status, const Chaperone__Rpc__Test__EchoRequest *request)
{
    rpc_status_set(status, (enum rpc_code)request->code, "%s",
                   request->code == 0 ? "" : request->text);
    if (request->details)
        status->details = echo_details();
}

/* ---- unary ---------------------------------------------------------------------------- */

static void wait_ms(const struct rpc_peer *peer, uint32_t ms)
{
    const struct timespec step = {.tv_nsec = 1000000};
    for (uint32_t i = 0; i < ms && !peer->is_cancelled(peer); i++)
        (void)nanosleep(&step, NULL);
}

static ProtobufCMessage *make_reply(const struct rpc_peer *peer,
                                    const Chaperone__Rpc__Test__EchoRequest *request)
{
    Chaperone__Rpc__Test__EchoReply reply = CHAPERONE__RPC__TEST__ECHO_REPLY__INIT;
    reply.text = request->text;
    reply.payload = request->payload;
    reply.peer = (char *)peer->address;
    if (request->metadata_name[0] != '\0') {
        struct bytes value = peer->metadata(peer, request->metadata_name);
        reply.metadata.data = (uint8_t *)value.data;
        reply.metadata.len = value.size;
    }
    char *certificate =
        peer->certificate_pem.size == 0 ? NULL : bytes_to_string(peer->certificate_pem);
    if (certificate != NULL)
        reply.certificate_pem = certificate;
    reply.has_deadline = peer->deadline_unix_ns != INT64_MAX;
    ProtobufCMessage *copy = rpc_reply_copy(&reply.base);
    free(certificate);
    return copy;
}

static void handle_unary(void *context, const struct rpc_peer *peer,
                         const ProtobufCMessage *message, ProtobufCMessage **out_reply,
                         struct rpc_status *out_status)
{
    struct echo_service *service = context;
    const Chaperone__Rpc__Test__EchoRequest *request =
        (const Chaperone__Rpc__Test__EchoRequest *)message;
    (void)atomic_fetch_add(&service->blocked, 1);
    wait_ms(peer, request->delay_ms);
    (void)atomic_fetch_sub(&service->blocked, 1);
    if (peer->is_cancelled(peer))
        (void)atomic_fetch_add(&service->cancelled, 1);
    set_status(out_status, request);
    if (out_status->code == RPC_OK)
        *out_reply = make_reply(peer, request);
}

static void handle_stats(void *context, const struct rpc_peer *peer,
                         const ProtobufCMessage *message, ProtobufCMessage **out_reply,
                         struct rpc_status *out_status)
{
    (void)peer;
    (void)message;
    struct echo_service *service = context;
    Chaperone__Rpc__Test__StatsReply reply = CHAPERONE__RPC__TEST__STATS_REPLY__INIT;
    reply.cancelled = atomic_load(&service->cancelled);
    reply.open = atomic_load(&service->open);
    *out_reply = rpc_reply_copy(&reply.base);
    rpc_status_set(out_status, RPC_OK, "%s", "");
}

/* ---- streams -------------------------------------------------------------------------- */

static void on_end(void *context, struct rpc_stream *stream, const struct rpc_status *status)
{
    struct echo_stream *s = context;
    if (status->code == RPC_CANCELLED)
        (void)atomic_fetch_add(&s->service->cancelled, 1);
    (void)atomic_fetch_sub(&s->service->open, 1);
    free(s->payload);
    free(s);
    rpc_stream_release(stream);
}

static void send_more(void *context, struct rpc_stream *stream)
{
    struct echo_stream *s = context;
    Chaperone__Rpc__Test__EchoReply reply = CHAPERONE__RPC__TEST__ECHO_REPLY__INIT;
    reply.payload.data = s->payload;
    reply.payload.len = s->size;
    while (s->sent < s->count) {
        reply.sequence = s->sent + 1;
        enum err e = rpc_stream_send(stream, &reply.base);
        if (e != OK)
            return; /* ERR_LIMIT: again when it has drained; ERR_CLOSED: on_end comes */
        s->sent++;
    }
    rpc_stream_finish(stream, RPC_OK, "");
}

static void on_count(void *context, struct rpc_stream *stream, const ProtobufCMessage *message)
{
    struct echo_stream *s = context;
    const Chaperone__Rpc__Test__EchoRequest *request =
        (const Chaperone__Rpc__Test__EchoRequest *)message;
    if (request->code != 0) {
        struct rpc_status status;
        set_status(&status, request);
        rpc_stream_finish_status(stream, &status);
        return;
    }
    s->count = request->count;
    s->size = request->size;
    s->payload = calloc(1, s->size + 1);
    if (s->payload == NULL)
        rpc_stream_finish(stream, RPC_RESOURCE_EXHAUSTED, "no memory");
    else
        send_more(s, stream);
}

static void hold(struct echo_service *service)
{
    const struct timespec step = {.tv_nsec = 1000000};
    while (atomic_load(&service->hold))
        (void)nanosleep(&step, NULL);
}

static void on_upload(void *context, struct rpc_stream *stream, const ProtobufCMessage *message)
{
    (void)stream;
    (void)message;
    struct echo_stream *s = context;
    s->received++;
    (void)atomic_fetch_add(&s->service->received, 1);
    hold(s->service);
}

static void on_uploaded(void *context, struct rpc_stream *stream)
{
    struct echo_stream *s = context;
    Chaperone__Rpc__Test__EchoReply reply = CHAPERONE__RPC__TEST__ECHO_REPLY__INIT;
    (void)atomic_fetch_add(&s->service->uploaded, 1);
    reply.sequence = s->received;
    enum err e = rpc_stream_send(stream, &reply.base);
    rpc_stream_finish(stream, e == OK ? RPC_OK : RPC_INTERNAL, err_name(e));
}

static void on_echo(void *context, struct rpc_stream *stream, const ProtobufCMessage *message)
{
    struct echo_stream *s = context;
    const Chaperone__Rpc__Test__EchoRequest *request =
        (const Chaperone__Rpc__Test__EchoRequest *)message;
    if (request->code != 0) {
        struct rpc_status status;
        set_status(&status, request);
        rpc_stream_finish_status(stream, &status);
        return;
    }
    Chaperone__Rpc__Test__EchoReply reply = CHAPERONE__RPC__TEST__ECHO_REPLY__INIT;
    hold(s->service);
    reply.sequence = ++s->received;
    reply.text = request->text;
    reply.payload = request->payload;
    if (rpc_stream_send(stream, &reply.base) == ERR_LIMIT) {
        rpc_stream_finish(stream, RPC_RESOURCE_EXHAUSTED, "the client does not read");
        (void)atomic_fetch_add(&s->service->overflows, 1);
    }
}

static void on_echo_end(void *context, struct rpc_stream *stream)
{
    (void)context;
    rpc_stream_finish(stream, RPC_OK, "");
}

static void open_stream(struct echo_service *service, const struct rpc_stream_events *events,
                        struct rpc_stream_events *out_events, void **out_context,
                        struct rpc_status *out_status)
{
    struct echo_stream *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        rpc_status_set(out_status, RPC_RESOURCE_EXHAUSTED, "no memory");
        return;
    }
    s->service = service;
    (void)atomic_fetch_add(&service->open, 1);
    *out_events = *events;
    *out_context = s;
    rpc_status_set(out_status, RPC_OK, "%s", "");
}

static void handle_server_stream(void *context, const struct rpc_peer *peer,
                                 struct rpc_stream *stream, struct rpc_stream_events *out_events,
                                 void **out_context, struct rpc_status *out_status)
{
    static const struct rpc_stream_events events = {
        .on_message = on_count, .on_drained = send_more, .on_end = on_end};
    (void)peer;
    (void)stream;
    open_stream(context, &events, out_events, out_context, out_status);
}

static void handle_client_stream(void *context, const struct rpc_peer *peer,
                                 struct rpc_stream *stream, struct rpc_stream_events *out_events,
                                 void **out_context, struct rpc_status *out_status)
{
    static const struct rpc_stream_events events = {
        .on_message = on_upload, .on_half_close = on_uploaded, .on_end = on_end};
    (void)peer;
    (void)stream;
    open_stream(context, &events, out_events, out_context, out_status);
}

/* Refuses a client that says so in its metadata: "x-refuse". */
static void handle_bidi(void *context, const struct rpc_peer *peer, struct rpc_stream *stream,
                        struct rpc_stream_events *out_events, void **out_context,
                        struct rpc_status *out_status)
{
    static const struct rpc_stream_events events = {
        .on_message = on_echo, .on_half_close = on_echo_end, .on_end = on_end};
    (void)stream;
    if (peer->metadata(peer, "x-refuse").size > 0) {
        rpc_status_set(out_status, RPC_PERMISSION_DENIED, "refused as you wished");
        return;
    }
    open_stream(context, &events, out_events, out_context, out_status);
}

enum err echo_service_add(struct echo_service *service, struct rpc_server *server)
{
    static const struct rpc_method methods[] = {
        {.name = "Unary", .unary = handle_unary},
        {.name = "ServerStream", .stream = handle_server_stream},
        {.name = "ClientStream", .stream = handle_client_stream},
        {.name = "Bidi", .stream = handle_bidi},
        {.name = "Stats", .unary = handle_stats},
        {.name = NULL},
    };
    return rpc_server_add(server, &chaperone__rpc__test__echo__descriptor, methods, service);
}
