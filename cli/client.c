#include "cli/client.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/rpc/rpc_tls.h"
#include "cli/servers.h"
#include "cli/text_file.h"

enum {
    CA_MAX = 1 << 20,
    /* How long a cancelled call may take to say so; it is local work only. */
    CANCEL_MS = 2000,
};

struct client {
    struct rpc_runtime *runtime;
    struct rpc_credentials *credentials;
    struct rpc_channel *channel;
    char *authorization; /* "Bearer ..." */
    int interrupt_fd;
    int done_fd; /* an eventfd: the call that is waited for has ended */
};

static enum err read_ca(const char *path, struct buffer *out, struct err_text *error)
{
    if (path == NULL) {
        buffer_init(out, CA_MAX);
        return OK;
    }
    enum err e = text_file_read(path, CA_MAX, out, error);
    if (e == OK && buffer_size(out) == 0) {
        e = err_set(error, ERR_INVALID, "%s: expected certificates (PEM), found nothing", path);
    }
    return e;
}

static enum err connect_channel(struct client *c, const struct client_options *options,
                                struct err_text *error)
{
    struct buffer ca;
    enum err e = read_ca(options->ca_file, &ca, error);
    if (e == OK) {
        e = rpc_credentials_client(buffer_bytes(&ca), (struct bytes){0}, (struct bytes){0},
                                   &c->credentials);
        if (e != OK) {
            (void)err_set(error, e, "%s: expected certificates (PEM)",
                          options->ca_file == NULL ? "the system's roots" : options->ca_file);
        }
    }
    buffer_finish(&ca);
    if (e == OK) {
        char server[SERVERS_ADDRESS_SIZE];
        servers_choose(options->server, server);
        struct rpc_channel_options channel = {.target = server,
                                              .credentials = c->credentials,
                                              /* A development stack is waited for at its start. */
                                              .max_backoff_ms = 1000};
        e = rpc_channel_create(c->runtime, &channel, &c->channel);
        if (e != OK) {
            (void)err_set(error, e, "%s: no address of a control plane", options->server);
        }
    }
    return e;
}

enum err client_open(const struct client_options *options, struct client **out,
                     struct err_text *error)
{
    struct client *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return err_set(error, ERR_NO_MEMORY, "out of memory");
    }
    c->interrupt_fd = options->interrupt_fd;
    c->done_fd = eventfd(0, EFD_CLOEXEC);
    enum err e = c->done_fd < 0 ? err_set(error, ERR_IO, "eventfd: %s", strerror(errno)) : OK;
    if (e == OK) {
        e = client_set_token(c, options->token);
    }
    if (e == OK) {
        e = rpc_runtime_create(1, NULL, &c->runtime);
    }
    if (e == OK) {
        e = connect_channel(c, options, error);
    }
    if (e != OK) {
        client_close(c);
        return e;
    }
    *out = c;
    return OK;
}

static void wipe_token(struct client *c)
{
    if (c->authorization != NULL) {
        bytes_wipe(c->authorization, strlen(c->authorization));
        free(c->authorization);
        c->authorization = NULL;
    }
}

void client_close(struct client *c)
{
    if (c == NULL) {
        return;
    }
    rpc_channel_destroy(c->channel);
    rpc_credentials_destroy(c->credentials);
    rpc_runtime_destroy(c->runtime);
    wipe_token(c);
    if (c->done_fd >= 0) {
        (void)close(c->done_fd);
    }
    free(c);
}

enum err client_set_token(struct client *c, const char *token)
{
    static const char scheme[] = "Bearer ";
    size_t size = sizeof(scheme) + strlen(token);
    char *authorization = malloc(size);
    if (authorization == NULL) {
        return ERR_NO_MEMORY;
    }
    (void)snprintf(authorization, size, "%s%s", scheme, token);
    wipe_token(c);
    c->authorization = authorization;
    return OK;
}

static void signal_done(struct client *c)
{
    uint64_t one = 1;
    while (write(c->done_fd, &one, sizeof(one)) < 0 && errno == EINTR) {
    }
}

static void clear_done(struct client *c)
{
    uint64_t count = 0;
    while (read(c->done_fd, &count, sizeof(count)) < 0 && errno == EINTR) {
    }
}

enum waited { WAITED_DONE, WAITED_INTERRUPTED, WAITED_TIMEOUT };

static enum waited wait_done(struct client *c, bool interruptible, int timeout_ms)
{
    struct pollfd fds[] = {{.fd = c->done_fd, .events = POLLIN},
                           {.fd = interruptible ? c->interrupt_fd : -1, .events = POLLIN}};
    for (;;) {
        int n = poll(fds, 2, timeout_ms);
        if (n == 0) {
            return WAITED_TIMEOUT;
        }
        if (n > 0 && fds[0].revents != 0) {
            clear_done(c);
            return WAITED_DONE;
        }
        if (n > 0 && fds[1].revents != 0) {
            return WAITED_INTERRUPTED;
        }
    }
}

/* One call or stream, shared with the runtime's thread: the last of the two frees it. A call that
 * does not end after its cancellation, because it prints into a pipe that nobody reads, is left
 * to the process's end. */
struct pending {
    struct client *client;
    atomic_int holders;
    client_message_fn *on_message;
    void *context;
    atomic_bool stopped; /* by on_message */
    struct rpc_status status;
    ProtobufCMessage *reply;
};

static struct pending *pending_create(struct client *c, client_message_fn *on_message,
                                      void *context)
{
    struct pending *p = calloc(1, sizeof(*p));
    if (p != NULL) {
        p->client = c;
        p->on_message = on_message;
        p->context = context;
        atomic_init(&p->holders, 2);
        atomic_init(&p->stopped, false);
    }
    return p;
}

static void pending_release(struct pending *p)
{
    if (atomic_fetch_sub(&p->holders, 1) == 1) {
        if (p->reply != NULL) {
            protobuf_c_message_free_unpacked(p->reply, NULL);
        }
        free(p);
    }
}

static void on_reply(void *context, const struct rpc_status *status, const ProtobufCMessage *reply)
{
    struct pending *p = context;
    p->status = *status;
    p->status.details = (struct bytes){0};
    if (reply != NULL) {
        p->reply = rpc_reply_copy(reply);
        if (p->reply == NULL) {
            rpc_status_set(&p->status, RPC_RESOURCE_EXHAUSTED, "out of memory");
        }
    }
    signal_done(p->client);
    pending_release(p);
}

static void set_end(struct client_end *out, enum rpc_code code, const char *message)
{
    *out = (struct client_end){.status = {.code = code}};
    (void)snprintf(out->status.message, sizeof(out->status.message), "%s", message);
}

static struct rpc_call_options call_options(const struct client *c, struct rpc_metadata *metadata,
                                            struct client_wait wait)
{
    *metadata =
        (struct rpc_metadata){.name = "authorization", .value = bytes_of_string(c->authorization)};
    return (struct rpc_call_options){.deadline_ms = wait.deadline_ms,
                                     .wait_for_ready = wait.for_server,
                                     .metadata = metadata,
                                     .metadata_count = 1};
}

void client_call(struct client *c, const ProtobufCServiceDescriptor *service, const char *method,
                 const ProtobufCMessage *request, struct client_wait wait,
                 ProtobufCMessage **out_reply, struct client_end *out_end)
{
    struct pending *p = pending_create(c, NULL, NULL);
    struct rpc_metadata metadata;
    struct rpc_call_options options = call_options(c, &metadata, wait);
    struct rpc_call *call = NULL;
    *out_reply = NULL;
    set_end(out_end, RPC_RESOURCE_EXHAUSTED, "out of memory");
    if (p == NULL ||
        rpc_call_start(c->channel, service, method, request, &options, on_reply, p, &call) != OK) {
        free(p);
        return;
    }
    bool ended = true;
    if (wait_done(c, true, -1) == WAITED_INTERRUPTED) {
        out_end->interrupted = true;
        rpc_call_cancel(call);
        ended = wait_done(c, false, CANCEL_MS) == WAITED_DONE;
    }
    rpc_call_release(call);
    if (ended) {
        out_end->status = p->status;
        *out_reply = p->reply;
        p->reply = NULL;
    }
    pending_release(p);
}

static void stream_message(void *context, struct rpc_stream *stream,
                           const ProtobufCMessage *message)
{
    struct pending *p = context;
    if (!atomic_load(&p->stopped) && !p->on_message(p->context, message)) {
        atomic_store(&p->stopped, true);
        rpc_stream_cancel(stream);
    }
}

static void stream_end(void *context, struct rpc_stream *stream, const struct rpc_status *status)
{
    struct pending *p = context;
    (void)stream;
    p->status = *status;
    p->status.details = (struct bytes){0};
    signal_done(p->client);
    pending_release(p);
}

void client_stream(struct client *c, const ProtobufCServiceDescriptor *service, const char *method,
                   const ProtobufCMessage *request, client_message_fn *on_message, void *context,
                   struct client_end *out_end)
{
    static const struct rpc_stream_events events = {.on_message = stream_message,
                                                    .on_end = stream_end};
    struct pending *p = pending_create(c, on_message, context);
    struct rpc_metadata metadata;
    struct rpc_call_options options = call_options(c, &metadata, (struct client_wait){0});
    struct rpc_stream *stream = NULL;
    set_end(out_end, RPC_RESOURCE_EXHAUSTED, "out of memory");
    if (p == NULL ||
        rpc_stream_open(c->channel, service, method, &options, &events, p, &stream) != OK) {
        free(p);
        return;
    }
    /* A failure to send is the stream's end, which says why. */
    if (rpc_stream_send(stream, request) == OK) {
        rpc_stream_half_close(stream);
    }
    bool ended = true;
    if (wait_done(c, true, -1) == WAITED_INTERRUPTED) {
        out_end->interrupted = true;
        rpc_stream_cancel(stream);
        ended = wait_done(c, false, CANCEL_MS) == WAITED_DONE;
    }
    rpc_stream_release(stream);
    if (ended) {
        out_end->status = p->status;
        if (atomic_load(&p->stopped)) {
            set_end(out_end, RPC_OK, "");
        }
    } else {
        /* It is stuck in a callback that uses the caller's context. */
        _exit(130);
    }
    pending_release(p);
}
