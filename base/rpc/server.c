#include "base/rpc/server.h"

#include <grpc/grpc_security.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/rpc/client.h"
#include "base/rpc/health.h"
#include "base/rpc/reflection.h"

enum {
    /* Calls of one connection at once; what a client asks for beyond waits in the client. */
    RPC_MAX_CONCURRENT_CALLS = 1000,
    /* A peer that connects and says nothing. */
    RPC_HANDSHAKE_TIMEOUT_MS = 10 * 1000,
    /* A client may ping this often; one that pings more is disconnected by gRPC. */
    RPC_MIN_PING_INTERVAL_MS = 900,
    /* What gRPC holds for all connections of a server together; beyond, it reads no more and then
     * ends calls. 32 of the largest messages. */
    RPC_SERVER_MEMORY = 512 << 20,
    /* For clients to acknowledge what they were sent, when the calls have ended. */
    RPC_GOODBYE_MS = 1000,
    /* Calls that can be accepted at once before one of them was looked at. */
    RPC_ACCEPT_SLOTS = 16,
};

struct service {
    const ProtobufCServiceDescriptor *descriptor;
    const struct rpc_method *methods;
    void *context;
};

enum server_state { SERVER_CREATED, SERVER_STARTED, SERVER_STOPPED };

struct rpc_server {
    struct rpc_event stopped_event; /* first: gRPC's word that the last call has gone */
    struct rpc_runtime *runtime;
    grpc_server *core;
    int port;
    struct service services[RPC_MAX_SERVICES];
    size_t service_count;
    struct rpc_health *health;
    struct rpc_reflection *reflection; /* NULL: not served */

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    enum server_state state;
    bool core_stopped;
    size_t calls, slots;
};

struct rpc_runtime *rpc_server_runtime(struct rpc_server *server)
{
    return server->runtime;
}

int rpc_server_port(const struct rpc_server *server)
{
    return server->port;
}

static grpc_server *create_core(const struct rpc_server_options *options)
{
    int keepalive = rpc_option_ms(options->keepalive_ms, RPC_DEFAULT_KEEPALIVE_MS);
    grpc_resource_quota *quota = grpc_resource_quota_create("rpc_server");
    grpc_resource_quota_resize(quota, RPC_SERVER_MEMORY);
    grpc_arg args[] = {
        rpc_arg_number(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
                       rpc_option_size(options->max_message, RPC_DEFAULT_MAX_MESSAGE)),
        {.type = GRPC_ARG_POINTER,
         .key = (char *)GRPC_ARG_RESOURCE_QUOTA,
         .value.pointer = {.p = quota, .vtable = grpc_resource_quota_arg_vtable()}},
        rpc_arg_number(GRPC_ARG_MAX_METADATA_SIZE, RPC_MAX_METADATA),
        rpc_arg_number(GRPC_ARG_MAX_CONCURRENT_STREAMS, RPC_MAX_CONCURRENT_CALLS),
        rpc_arg_number(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, RPC_HANDSHAKE_TIMEOUT_MS),
        rpc_arg_number(GRPC_ARG_HTTP2_BDP_PROBE, 0),
        rpc_arg_number(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, RPC_STREAM_WINDOW),
        rpc_arg_number(GRPC_ARG_KEEPALIVE_TIME_MS, keepalive),
        rpc_arg_number(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, RPC_KEEPALIVE_TIMEOUT_MS),
        rpc_arg_number(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        rpc_arg_number(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
        rpc_arg_number(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                       RPC_MIN_PING_INTERVAL_MS),
        /* A second server on the same port must fail, not take half of the connections. */
        rpc_arg_number(GRPC_ARG_ALLOW_REUSEPORT, 0),
        /* Identity only: gRPC 1.51 does not bound what a message decompresses to. */
        rpc_arg_number(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1),
    };
    grpc_channel_args list = {.num_args = sizeof(args) / sizeof(args[0]), .args = args};
    grpc_server *core = grpc_server_create(&list, NULL);
    grpc_resource_quota_unref(quota);
    return core;
}

static int listen_on(grpc_server *core, const struct rpc_server_options *options)
{
    if (options->credentials != NULL)
        return grpc_server_add_http2_port(core, options->address, options->credentials->server);
    grpc_server_credentials *plain = grpc_insecure_server_credentials_create();
    int port = grpc_server_add_http2_port(core, options->address, plain);
    grpc_server_credentials_release(plain);
    return port;
}

static void on_stopped(struct rpc_event *event, bool ok)
{
    (void)ok;
    struct rpc_server *server = (struct rpc_server *)event;
    (void)pthread_mutex_lock(&server->mutex);
    server->core_stopped = true;
    (void)pthread_cond_broadcast(&server->changed);
    (void)pthread_mutex_unlock(&server->mutex);
}

static void init_server(struct rpc_server *server, struct rpc_runtime *runtime)
{
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&server->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    (void)pthread_mutex_init(&server->mutex, NULL);
    server->stopped_event.done = on_stopped;
    server->runtime = runtime;
}

static enum err add_own_services(struct rpc_server *server, bool reflection)
{
    server->health = rpc_health_create();
    if (server->health == NULL)
        return ERR_NO_MEMORY;
    enum err e = rpc_health_serve(server->health, server);
    if (e == OK && reflection)
        e = rpc_reflection_create(server, &server->reflection);
    if (e == OK && reflection)
        e = rpc_reflection_serve(server->reflection);
    return e;
}

enum err rpc_server_create(struct rpc_runtime *runtime, const struct rpc_server_options *options,
                           struct rpc_server **out, struct err_text *why)
{
    if (options->address == NULL ||
        (options->credentials != NULL && options->credentials->server == NULL))
        return err_set(why, ERR_INVALID, "a server needs an address, and a server's credentials");
    struct rpc_server *server = calloc(1, sizeof(*server));
    if (server == NULL)
        return err_set(why, ERR_NO_MEMORY, "no memory for a server");
    init_server(server, runtime);
    server->core = create_core(options);
    grpc_server_register_completion_queue(server->core, rpc_runtime_queue(runtime), NULL);
    enum err e = add_own_services(server, options->reflection);
    if (e != OK) {
        rpc_server_destroy(server);
        return err_set(why, e, "no memory for a server");
    }
    server->port = listen_on(server->core, options);
    if (server->port <= 0) {
        rpc_server_destroy(server);
        return err_set(
            why, ERR_IO,
            "cannot listen on %s: it is in use, not an address of this host, not "
            "permitted, or not of the form HOST:PORT or unix:PATH%s",
            options->address,
            options->credentials == NULL ? "" : "; or the certificate and key are not usable PEM");
    }
    if (strncmp(options->address, "unix", 4) == 0) /* also unix-abstract: */
        server->port = 0;                          /* gRPC says 1 */
    *out = server;
    return OK;
}

enum err rpc_server_start(struct rpc_server *server, struct err_text *why)
{
    if (server->state != SERVER_CREATED)
        return err_set(why, ERR_INVALID, "a server starts once");
    (void)pthread_mutex_lock(&server->mutex);
    server->state = SERVER_STARTED;
    (void)pthread_mutex_unlock(&server->mutex);
    grpc_server_start(server->core);
    for (size_t i = 0; i < RPC_ACCEPT_SLOTS; i++) {
        (void)pthread_mutex_lock(&server->mutex);
        server->slots++;
        (void)pthread_mutex_unlock(&server->mutex);
        enum err e = rpc_server_accept(server, server->core);
        if (e != OK) {
            rpc_server_slot_closed(server);
            return err_set(why, e, "the server cannot accept calls: %s", err_name(e));
        }
    }
    return OK;
}

/* ---- services ------------------------------------------------------------------------- */

enum err rpc_server_add(struct rpc_server *server, const ProtobufCServiceDescriptor *service,
                        const struct rpc_method *methods, void *context)
{
    if (server->state != SERVER_CREATED)
        return ERR_INVALID;
    if (server->service_count == RPC_MAX_SERVICES)
        return ERR_LIMIT;
    for (const struct rpc_method *m = methods; m->name != NULL; m++) {
        if (protobuf_c_service_descriptor_get_method_by_name(service, m->name) == NULL)
            return ERR_NOT_FOUND;
        if ((m->unary == NULL) == (m->stream == NULL))
            return ERR_INVALID;
    }
    for (size_t i = 0; i < server->service_count; i++) {
        if (strcmp(server->services[i].descriptor->name, service->name) == 0)
            return ERR_EXISTS;
    }
    enum err e = rpc_health_set(server->health, service->name, true);
    if (e != OK)
        return e;
    server->services[server->service_count++] =
        (struct service){.descriptor = service, .methods = methods, .context = context};
    return OK;
}

enum err rpc_server_describe(struct rpc_server *server, struct bytes descriptor_set)
{
    if (server->state != SERVER_CREATED)
        return ERR_INVALID;
    return server->reflection == NULL ? OK
                                      : rpc_reflection_describe(server->reflection, descriptor_set);
}

void rpc_server_set_health(struct rpc_server *server, const char *service, bool serving)
{
    enum err e = rpc_health_set(server->health, service, serving);
    if (e != OK)
        log_event(rpc_runtime_log(server->runtime), LOG_ERROR, "rpc_health_not_set",
                  log_text("service", service), log_text("error", err_name(e)));
}

const char *rpc_server_service(const struct rpc_server *server, size_t i)
{
    return i < server->service_count ? server->services[i].descriptor->name : NULL;
}

static const struct service *find_service(const struct rpc_server *server, struct bytes name)
{
    for (size_t i = 0; i < server->service_count; i++) {
        if (bytes_equal_string(name, server->services[i].descriptor->name))
            return &server->services[i];
    }
    return NULL;
}

bool rpc_server_find(const struct rpc_server *server, struct bytes path, struct rpc_target *out)
{
    if (path.size < 2 || path.data[0] != '/')
        return false;
    const uint8_t *start = path.data + 1;
    const uint8_t *slash = memchr(start, '/', path.size - 1);
    if (slash == NULL)
        return false;
    const struct service *s = find_service(server, bytes_of(start, (size_t)(slash - start)));
    if (s == NULL)
        return false;
    struct bytes name = bytes_of(slash + 1, path.size - (size_t)(slash + 1 - path.data));
    for (const struct rpc_method *m = s->methods; m->name != NULL; m++) {
        if (!bytes_equal_string(name, m->name))
            continue;
        out->method = protobuf_c_service_descriptor_get_method_by_name(s->descriptor, m->name);
        out->handler = m;
        out->context = s->context;
        return true;
    }
    return false;
}

/* ---- shutdown ------------------------------------------------------------------------- */

bool rpc_server_entered(struct rpc_server *server)
{
    (void)pthread_mutex_lock(&server->mutex);
    server->calls++;
    bool welcome = server->state == SERVER_STARTED;
    (void)pthread_mutex_unlock(&server->mutex);
    return welcome;
}

void rpc_server_left(struct rpc_server *server)
{
    (void)pthread_mutex_lock(&server->mutex);
    server->calls--;
    (void)pthread_cond_broadcast(&server->changed);
    (void)pthread_mutex_unlock(&server->mutex);
}

void rpc_server_slot_closed(struct rpc_server *server)
{
    (void)pthread_mutex_lock(&server->mutex);
    server->slots--;
    (void)pthread_cond_broadcast(&server->changed);
    (void)pthread_mutex_unlock(&server->mutex);
}

/* With the mutex held. Our own calls are counted beside gRPC's word: a callback may still run
 * when gRPC is done with its call. */
static bool is_quiet(const struct rpc_server *server)
{
    return server->core_stopped && server->calls == 0 && server->slots == 0;
}

static bool has_no_calls(const struct rpc_server *server)
{
    return server->calls == 0;
}

/* None for less than 0. */
static struct timespec after_ms(int ms)
{
    struct timespec t;
    if (ms < 0)
        ms = 0;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (long)(ms % 1000) * 1000000L;
    if (t.tv_nsec >= 1000000000L) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000L;
    }
    return t;
}

/* With the mutex held: until the condition is true, or the time has come. */
static void wait_until(struct rpc_server *server, bool (*is_true)(const struct rpc_server *),
                       struct timespec until)
{
    int rc = 0;
    while (!is_true(server) && rc == 0)
        rc = pthread_cond_timedwait(&server->changed, &server->mutex, &until);
}

/* gRPC's own shutdown comes after the open calls have ended, not before: once it has begun, gRPC
 * closes a connection with the last call, and what the client has not taken yet is lost. Begun
 * afterwards, it asks each client to acknowledge all that it was sent. */
void rpc_server_shutdown(struct rpc_server *server, int grace_ms)
{
    (void)pthread_mutex_lock(&server->mutex);
    bool before = server->state == SERVER_STOPPED;
    server->state = SERVER_STOPPED;
    (void)pthread_mutex_unlock(&server->mutex);
    if (before)
        return;
    if (server->health != NULL)
        rpc_health_stop(server->health);
    int goodbye_ms = grace_ms < RPC_GOODBYE_MS ? grace_ms : RPC_GOODBYE_MS;
    (void)pthread_mutex_lock(&server->mutex);
    wait_until(server, has_no_calls, after_ms(grace_ms));
    bool in_time = has_no_calls(server);
    (void)pthread_mutex_unlock(&server->mutex);

    grpc_server_shutdown_and_notify(server->core, rpc_runtime_queue(server->runtime),
                                    &server->stopped_event);
    (void)pthread_mutex_lock(&server->mutex);
    if (in_time)
        wait_until(server, is_quiet, after_ms(goodbye_ms));
    if (!is_quiet(server)) {
        (void)pthread_mutex_unlock(&server->mutex);
        grpc_server_cancel_all_calls(server->core);
        (void)pthread_mutex_lock(&server->mutex);
    }
    while (!is_quiet(server))
        (void)pthread_cond_wait(&server->changed, &server->mutex);
    (void)pthread_mutex_unlock(&server->mutex);
}

void rpc_server_destroy(struct rpc_server *server)
{
    if (server == NULL)
        return;
    rpc_server_shutdown(server, 0);
    grpc_server_destroy(server->core);
    rpc_reflection_destroy(server->reflection);
    rpc_health_destroy(server->health);
    (void)pthread_cond_destroy(&server->changed);
    (void)pthread_mutex_destroy(&server->mutex);
    free(server);
}
