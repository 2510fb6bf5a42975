/* The gRPC C core, made usable from C with protobuf-c.
 *
 * A service is a `ProtobufCServiceDescriptor` that protoc-c generates; a method is named as in
 * the .proto file. One `rpc_runtime` owns the completion queue and its threads; channels,
 * servers, calls and streams belong to it.
 *
 * Threads: every callback runs on a thread of the runtime; callbacks of one call or stream
 * never run at the same time as each other. A callback must not block for long, except a
 * unary handler of a server, which may (the runtime has as many threads as it was given).
 * All functions may be called from any thread, also from inside a callback, but for those that
 * block: rpc_call_wait, rpc_server_shutdown and the destroys of runtime and server.
 *
 * What a peer can make us hold is bounded: a message by `max_message` (and its unpacked form by 64
 * times that, 256 MiB at most), metadata by 64 KiB, a stream's queue by RPC_STREAM_QUEUE_CAP, a
 * connection's calls at once by 1,000, gRPC's memory for one server by 512 MiB. A message type that
 * contains itself must not be received from a peer that is not trusted: protobuf-c does not bound
 * the depth. Compression is not spoken, because what it unpacks to is not bounded either.
 *
 * Messages passed to a callback are borrowed: valid until it returns. Messages passed to a
 * function are serialised before it returns. */
#ifndef CHAPERONE_BASE_RPC_RPC_H
#define CHAPERONE_BASE_RPC_RPC_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/log.h"

/* The canonical codes of gRPC (grpc/status.h, same numbers). */
enum rpc_code {
    RPC_OK = 0,
    RPC_CANCELLED = 1,
    RPC_UNKNOWN = 2,
    RPC_INVALID_ARGUMENT = 3,
    RPC_DEADLINE_EXCEEDED = 4,
    RPC_NOT_FOUND = 5,
    RPC_ALREADY_EXISTS = 6,
    RPC_PERMISSION_DENIED = 7,
    RPC_RESOURCE_EXHAUSTED = 8,
    RPC_FAILED_PRECONDITION = 9,
    RPC_ABORTED = 10,
    RPC_OUT_OF_RANGE = 11,
    RPC_UNIMPLEMENTED = 12,
    RPC_INTERNAL = 13,
    RPC_UNAVAILABLE = 14,
    RPC_DATA_LOSS = 15,
    RPC_UNAUTHENTICATED = 16,
};

const char *rpc_code_name(enum rpc_code code); /* "PERMISSION_DENIED" */

enum { RPC_MESSAGE_SIZE = 512 };

struct rpc_status {
    enum rpc_code code;
    char message[RPC_MESSAGE_SIZE];
    /* grpc-status-details-bin: a serialized google.rpc.Status, or nothing. Borrowed: valid until
     * the callback returns. */
    struct bytes details;
};

/* Names are lower case; a name that ends in "-bin" may have any bytes as its value. */
struct rpc_metadata {
    const char *name;
    struct bytes value;
};

/* ---- runtime -------------------------------------------------------------------------- */

struct rpc_runtime;

/* 1 thread for a sidecar; for a server whose handlers block, as many as may block at once (one
 * more is started, so that everything else goes on meanwhile). Returns owned. `log` is borrowed,
 * may be NULL. ERR_INVALID for 0 or more than 256 threads. */
enum err rpc_runtime_create(size_t threads, const struct log *log,
                            struct rpc_runtime **out) MUST_USE;
/* Waits for all calls to end: cancels those that are still open. Channels and servers must be
 * destroyed before. Takes NULL. */
void rpc_runtime_destroy(struct rpc_runtime *runtime);

/* ---- credentials ---------------------------------------------------------------------- */

/* Made by base/rpc/rpc_tls.h (the OpenSSL processes only); NULL everywhere means plaintext. */
struct rpc_credentials;

/* ---- client --------------------------------------------------------------------------- */

struct rpc_channel;

struct rpc_channel_options {
    const char *target;    /* "127.0.0.1:7443", "dns:///host:7443", "unix:/path" */
    const char *authority; /* the name that is checked and sent; NULL: from target */
    const struct rpc_credentials *credentials;
    int keepalive_ms;   /* a ping this often, also without calls; at least 1 s; 0: 30 s */
    size_t max_message; /* bytes received in one message; 0: 16 MiB */
    int max_backoff_ms; /* of reconnection; 0: 5 s */
};

enum err rpc_channel_create(struct rpc_runtime *runtime, const struct rpc_channel_options *options,
                            struct rpc_channel **out) MUST_USE;
void rpc_channel_destroy(struct rpc_channel *channel); /* takes NULL; open calls go on to end */

struct rpc_call_options {
    int deadline_ms;     /* 0: none */
    bool wait_for_ready; /* else UNAVAILABLE at once when there is no connection */
    const struct rpc_metadata *metadata;
    size_t metadata_count;
};

/* A started unary call; only for `rpc_call_cancel`, and released by the caller. */
struct rpc_call;
void rpc_call_cancel(struct rpc_call *call);
void rpc_call_release(struct rpc_call *call); /* takes NULL; does not cancel */

/* `reply` is NULL unless the code is RPC_OK. Called exactly once. */
typedef void rpc_reply_fn(void *context, const struct rpc_status *status,
                          const ProtobufCMessage *reply);

/* `out_call` may be NULL. On failure the callback is not called: ERR_NOT_FOUND (the service has no
 * such method), ERR_INVALID (not its request type; metadata that HTTP/2 cannot carry),
 * ERR_NO_MEMORY. Whatever the network does comes as a status. */
enum err rpc_call_start(struct rpc_channel *channel, const ProtobufCServiceDescriptor *service,
                        const char *method, const ProtobufCMessage *request,
                        const struct rpc_call_options *options, rpc_reply_fn *on_reply,
                        void *context, struct rpc_call **out_call) MUST_USE;

/* Blocks until it is answered; not from inside a callback. `*out_reply` is owned when the code is
 * RPC_OK (free with protobuf_c_message_free_unpacked), else NULL. Both outputs may be NULL. The
 * status has no details: they end with the call; use rpc_call_start for them. */
enum rpc_code rpc_call_wait(struct rpc_channel *channel, const ProtobufCServiceDescriptor *service,
                            const char *method, const ProtobufCMessage *request,
                            const struct rpc_call_options *options, ProtobufCMessage **out_reply,
                            struct rpc_status *out_status);

/* A stream of either kind or both, as a client or as a server sees it. */
struct rpc_stream;

struct rpc_stream_events {
    /* A message of the other side. The next one is read when this returns (backpressure). None
     * comes after this side has cancelled or finished. May be NULL. */
    void (*on_message)(void *context, struct rpc_stream *stream, const ProtobufCMessage *message);
    /* Everything sent so far has left: a good moment to send more. May be NULL. */
    void (*on_drained)(void *context, struct rpc_stream *stream);
    /* Server: the client has said its last message; not called for one that has gone (but Node's
     * client says so also before it cancels). Client: not called. May be NULL. */
    void (*on_half_close)(void *context, struct rpc_stream *stream);
    /* The last callback, always called exactly once; status as the client got it (server: OK,
     * CANCELLED, or what was given to finish). The stream may be released inside. */
    void (*on_end)(void *context, struct rpc_stream *stream, const struct rpc_status *status);
};

/* Errors as of rpc_call_start. */
enum err rpc_stream_open(struct rpc_channel *channel, const ProtobufCServiceDescriptor *service,
                         const char *method, const struct rpc_call_options *options,
                         const struct rpc_stream_events *events, void *context,
                         struct rpc_stream **out) MUST_USE;

/* Queues a message; returns ERR_CLOSED after the end, ERR_LIMIT when more than
 * RPC_STREAM_QUEUE_CAP bytes wait to be sent (send again after on_drained), ERR_INVALID when it is
 * not of the method's type. */
enum { RPC_STREAM_QUEUE_CAP = 16 << 20 };
enum err rpc_stream_send(struct rpc_stream *stream, const ProtobufCMessage *message) MUST_USE;
/* Bytes that wait to be sent. */
size_t rpc_stream_queued(struct rpc_stream *stream);
void rpc_stream_half_close(struct rpc_stream *stream); /* client: no more messages from here */
void rpc_stream_cancel(struct rpc_stream *stream);
/* Server: ends the stream after what is queued. The first status counts. */
void rpc_stream_finish(struct rpc_stream *stream, enum rpc_code code, const char *message);
/* The same with details, which are copied. */
void rpc_stream_finish_status(struct rpc_stream *stream, const struct rpc_status *status);
/* Takes NULL. The object is freed when it was released and has ended. */
void rpc_stream_release(struct rpc_stream *stream);

/* ---- server --------------------------------------------------------------------------- */

struct rpc_server;

/* What a handler may know of its caller. Borrowed; for a stream valid until on_end. */
struct rpc_peer {
    const char *address; /* "ipv4:127.0.0.1:51234" */
    /* The first value of a metadata entry; no bytes when it is not there. */
    struct bytes (*metadata)(const struct rpc_peer *peer, const char *name);
    /* The client's certificate, PEM, checked against the CA; no bytes when it gave none. */
    struct bytes certificate_pem;
    int64_t deadline_unix_ns; /* INT64_MAX: none */
    bool (*is_cancelled)(const struct rpc_peer *peer);
};

/* A unary handler returns the status, and for RPC_OK the reply in `*out_reply` (owned, freed by
 * the caller with protobuf_c_message_free_unpacked: allocate with malloc as unpacked messages
 * are, or make it with `rpc_reply_copy`). May block. `details` of the status may borrow static
 * memory only. */
typedef void rpc_unary_fn(void *context, const struct rpc_peer *peer,
                          const ProtobufCMessage *request, ProtobufCMessage **out_reply,
                          struct rpc_status *out_status);

/* A deep copy on the heap of a message built on the stack. NULL when memory is short. */
ProtobufCMessage *rpc_reply_copy(const ProtobufCMessage *message) MUST_USE;
/* Without details; they may be set after it. A message that is too long is cut. */
void rpc_status_set(struct rpc_status *status, enum rpc_code code, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* A new stream. Fills `out_events` and `*out_context` and sets RPC_OK, or refuses with another
 * code: then `stream` is not the handler's, and no callback comes. What is sent from inside goes
 * out when the handler has returned. For a method with one request message, it arrives by
 * on_message, followed by on_half_close. `stream` is owned by the handler: release it in or after
 * on_end. */
typedef void rpc_stream_fn(void *context, const struct rpc_peer *peer, struct rpc_stream *stream,
                           struct rpc_stream_events *out_events, void **out_context,
                           struct rpc_status *out_status);

struct rpc_method {
    const char *name;    /* NULL ends the table */
    rpc_unary_fn *unary; /* exactly one of the two */
    rpc_stream_fn *stream;
};

struct rpc_server_options {
    const char *address; /* "127.0.0.1:7443", "[::]:7443", "unix:/path"; port 0: any free one */
    const struct rpc_credentials *credentials;
    size_t max_message; /* bytes; 0: 16 MiB */
    int keepalive_ms;   /* 0: 30 s */
    bool reflection;    /* serve grpc.reflection.v1alpha (and v1) */
};

enum err rpc_server_create(struct rpc_runtime *runtime, const struct rpc_server_options *options,
                           struct rpc_server **out, struct err_text *why) MUST_USE;
/* Methods that the table does not name answer UNIMPLEMENTED. Borrows all; before start. */
enum err rpc_server_add(struct rpc_server *server, const ProtobufCServiceDescriptor *service,
                        const struct rpc_method *methods, void *context) MUST_USE;
/* For reflection: a serialized FileDescriptorSet, copied. Sets may overlap. ERR_INVALID when it is
 * none. Does nothing when reflection is not served. Before start. */
enum err rpc_server_describe(struct rpc_server *server, struct bytes descriptor_set) MUST_USE;
/* grpc.health.v1 is always served; "" is the whole server. Until it is set: SERVING. */
void rpc_server_set_health(struct rpc_server *server, const char *service, bool serving);
enum err rpc_server_start(struct rpc_server *server, struct err_text *why) MUST_USE;
/* The port that was bound, also before start; 0 for a unix socket. */
int rpc_server_port(const struct rpc_server *server);
/* Tells those who watch the health NOT_SERVING, refuses new calls (UNAVAILABLE), waits until the
 * open ones end or `grace_ms` passed, cancels the rest; then up to one second more (not more than
 * `grace_ms`) until the clients have what they were sent. Every callback has returned when this
 * does. Blocks. */
void rpc_server_shutdown(struct rpc_server *server, int grace_ms);
void rpc_server_destroy(struct rpc_server *server); /* takes NULL; after shutdown */

#endif
