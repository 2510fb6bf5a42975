#include "base/rpc/health.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/rpc/proto/health.pb-c.h"

typedef Grpc__Health__V1__HealthCheckRequest Request;
typedef Grpc__Health__V1__HealthCheckResponse Response;
typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus Status;

#define SERVING GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
#define NOT_SERVING GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING
#define SERVICE_UNKNOWN GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN
/* Longer than the name of any service; what a client asks to watch is kept. */
enum { SERVICE_NAME_SIZE = 256 };

/* Not sent yet. */
#define NOTHING GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__UNKNOWN

struct entry {
    struct entry *next;
    bool serving;
    char service[];
};

struct watch {
    struct watch *previous, *next;
    struct rpc_health *health;
    struct rpc_stream *stream;
    char *service; /* NULL until the request has come */
    Status said;
};

/* The mutex is taken before a stream's own, never inside of one. */
struct rpc_health {
    pthread_mutex_t mutex;
    struct entry *entries;
    struct watch *watches;
    bool stopped;
};

struct rpc_health *rpc_health_create(void)
{
    struct rpc_health *health = calloc(1, sizeof(*health));
    if (health == NULL)
        return NULL;
    (void)pthread_mutex_init(&health->mutex, NULL);
    if (rpc_health_set(health, "", true) != OK) {
        rpc_health_destroy(health);
        return NULL;
    }
    return health;
}

void rpc_health_destroy(struct rpc_health *health)
{
    if (health == NULL)
        return;
    while (health->entries != NULL) {
        struct entry *e = health->entries;
        health->entries = e->next;
        free(e);
    }
    (void)pthread_mutex_destroy(&health->mutex);
    free(health);
}

/* ---- with the mutex held -------------------------------------------------------------- */

static struct entry *find(const struct rpc_health *health, const char *service)
{
    for (struct entry *e = health->entries; e != NULL; e = e->next) {
        if (strcmp(e->service, service) == 0)
            return e;
    }
    return NULL;
}

static Status look_up(const struct rpc_health *health, const char *service)
{
    const struct entry *e = find(health, service);
    if (e == NULL)
        return SERVICE_UNKNOWN;
    return e->serving && !health->stopped ? SERVING : NOT_SERVING;
}

static enum err put(struct rpc_health *health, const char *service, bool serving)
{
    struct entry *e = find(health, service);
    if (e == NULL) {
        size_t size = strlen(service) + 1;
        e = calloc(1, sizeof(*e) + size);
        if (e == NULL)
            return ERR_NO_MEMORY;
        memcpy(e->service, service, size);
        e->next = health->entries;
        health->entries = e;
    }
    e->serving = serving;
    return OK;
}

static void say(struct watch *w)
{
    Response response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    response.status = look_up(w->health, w->service);
    if (response.status != w->said && rpc_stream_send(w->stream, &response.base) == OK)
        w->said = response.status;
}

/* One answer waits at most: a slow watcher gets the newest when it has read the one before. */
static void tell(struct watch *w)
{
    if (w->service != NULL && rpc_stream_queued(w->stream) == 0)
        say(w);
}

/* ---- the service ---------------------------------------------------------------------- */

static void handle_check(void *context, const struct rpc_peer *peer,
                         const ProtobufCMessage *message, ProtobufCMessage **out_reply,
                         struct rpc_status *out_status)
{
    (void)peer;
    struct rpc_health *health = context;
    Response response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    (void)pthread_mutex_lock(&health->mutex);
    response.status = look_up(health, ((const Request *)message)->service);
    (void)pthread_mutex_unlock(&health->mutex);
    if (response.status == SERVICE_UNKNOWN) {
        rpc_status_set(out_status, RPC_NOT_FOUND, "unknown service");
        return;
    }
    *out_reply = rpc_reply_copy(&response.base);
    if (*out_reply == NULL)
        rpc_status_set(out_status, RPC_RESOURCE_EXHAUSTED, "no memory");
    else
        rpc_status_set(out_status, RPC_OK, "%s", "");
}

static void on_request(void *context, struct rpc_stream *stream, const ProtobufCMessage *message)
{
    struct watch *w = context;
    struct bytes name = bytes_of_string(((const Request *)message)->service);
    if (name.size >= SERVICE_NAME_SIZE) {
        rpc_stream_finish(stream, RPC_INVALID_ARGUMENT, "no service has so long a name");
        return;
    }
    char *service = bytes_to_string(name);
    if (service == NULL) {
        rpc_stream_finish(stream, RPC_RESOURCE_EXHAUSTED, "no memory");
        return;
    }
    (void)pthread_mutex_lock(&w->health->mutex);
    free(w->service); /* a second request: the newest counts */
    w->service = service;
    tell(w);
    (void)pthread_mutex_unlock(&w->health->mutex);
}

static void on_drained(void *context, struct rpc_stream *stream)
{
    (void)stream;
    struct watch *w = context;
    (void)pthread_mutex_lock(&w->health->mutex);
    tell(w);
    (void)pthread_mutex_unlock(&w->health->mutex);
}

static void on_end(void *context, struct rpc_stream *stream, const struct rpc_status *status)
{
    (void)status;
    struct watch *w = context;
    struct rpc_health *health = w->health;
    (void)pthread_mutex_lock(&health->mutex);
    if (w->previous != NULL)
        w->previous->next = w->next;
    else
        health->watches = w->next;
    if (w->next != NULL)
        w->next->previous = w->previous;
    (void)pthread_mutex_unlock(&health->mutex);
    free(w->service);
    free(w);
    rpc_stream_release(stream);
}

static void handle_watch(void *context, const struct rpc_peer *peer, struct rpc_stream *stream,
                         struct rpc_stream_events *out_events, void **out_context,
                         struct rpc_status *out_status)
{
    (void)peer;
    struct rpc_health *health = context;
    struct watch *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        rpc_status_set(out_status, RPC_RESOURCE_EXHAUSTED, "no memory");
        return;
    }
    w->health = health;
    w->stream = stream;
    w->said = NOTHING;
    (void)pthread_mutex_lock(&health->mutex);
    bool stopped = health->stopped;
    if (!stopped) {
        w->next = health->watches;
        if (w->next != NULL)
            w->next->previous = w;
        health->watches = w;
    }
    (void)pthread_mutex_unlock(&health->mutex);
    if (stopped) {
        free(w);
        rpc_status_set(out_status, RPC_UNAVAILABLE, "the server shuts down");
        return;
    }
    *out_events = (struct rpc_stream_events){
        .on_message = on_request, .on_drained = on_drained, .on_end = on_end};
    *out_context = w;
    rpc_status_set(out_status, RPC_OK, "%s", "");
}

enum err rpc_health_serve(struct rpc_health *health, struct rpc_server *server)
{
    static const struct rpc_method methods[] = {
        {.name = "Check", .unary = handle_check},
        {.name = "Watch", .stream = handle_watch},
        {.name = NULL},
    };
    return rpc_server_add(server, &grpc__health__v1__health__descriptor, methods, health);
}

/* ---- changes -------------------------------------------------------------------------- */

enum err rpc_health_set(struct rpc_health *health, const char *service, bool serving)
{
    (void)pthread_mutex_lock(&health->mutex);
    enum err e = put(health, service, serving);
    for (struct watch *w = health->watches; w != NULL; w = w->next)
        tell(w);
    (void)pthread_mutex_unlock(&health->mutex);
    return e;
}

void rpc_health_stop(struct rpc_health *health)
{
    (void)pthread_mutex_lock(&health->mutex);
    health->stopped = true;
    for (struct watch *w = health->watches; w != NULL; w = w->next) {
        if (w->service != NULL)
            say(w); /* behind what waits: it is the last one */
        rpc_stream_finish(w->stream, RPC_UNAVAILABLE, "the server shuts down");
    }
    (void)pthread_mutex_unlock(&health->mutex);
}
