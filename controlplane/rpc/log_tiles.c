/* Log.ReadTiles: files of the log's directory, in the order in which they were asked for; no more
 * is read while the reader is slow. */
#include <pthread.h>
#include <stdlib.h>

#include "api/log.pb-c.h"
#include "controlplane/rpc/services_internal.h"

enum {
    QUEUE_HIGH = 4 << 20,
    PATHS_MAX = 65536, /* of one request: the tiles of 16 million records */
    BUNDLE_CAP = 256 * (65535 + 2),
};

struct reading_tiles {
    struct services *services;
    struct streams_entry entry;
    struct rpc_stream *stream;
    pthread_mutex_t mutex;                    /* guards the rest */
    Chaperone__V1__ReadTilesRequest *request; /* owned; NULL until it arrived */
    size_t next;
    bool done;
};

/* ERR_INVALID: it is no path of a tile that this tree has. */
static enum err send_tile(struct reading_tiles *r, const char *path)
{
    Chaperone__V1__Tile message = CHAPERONE__V1__TILE__INIT;
    struct tlog_tile tile;
    struct buffer data;
    buffer_init(&data, BUNDLE_CAP);
    enum err e = tlog_tile_parse_path(bytes_of_string(path), &tile);
    if (e == OK) {
        e = keeper_read_tile(r->services->with.keeper, r->request->size, &tile, &data);
    }
    if (e == OK) {
        struct bytes b = buffer_bytes(&data);
        message.path = (char *)(uintptr_t)path;
        message.data = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)b.data, .len = b.size};
        e = rpc_stream_send(r->stream, &message.base);
    }
    buffer_finish(&data);
    return e;
}

static void fail(struct reading_tiles *r, enum err e, const char *path)
{
    r->done = true;
    if (e == ERR_INVALID) {
        rpc_stream_finish(r->stream, RPC_INVALID_ARGUMENT,
                          "a path is not that of a tile of this tree");
    } else if (e != ERR_CLOSED) {
        log_event(r->services->with.log, LOG_ERROR, "log_read_failed", log_text("at", path),
                  log_text("error", err_name(e)));
        rpc_stream_finish(r->stream, RPC_UNAVAILABLE, "a tile cannot be read now");
    }
}

/* With the mutex held. */
static void send_more(struct reading_tiles *r)
{
    while (!r->done && r->next < r->request->n_paths &&
           rpc_stream_queued(r->stream) <= QUEUE_HIGH) {
        const char *path = r->request->paths[r->next++];
        enum err e = send_tile(r, path);
        if (e != OK) {
            fail(r, e,
                 tlog_tile_parse_path(bytes_of_string(path), &(struct tlog_tile){0}) == OK ? path
                                                                                           : "?");
        }
    }
    if (!r->done && r->next == r->request->n_paths) {
        r->done = true;
        rpc_stream_finish(r->stream, RPC_OK, "");
    }
}

/* Only of trees that are published: what is beyond them may still change. */
static void begin(struct reading_tiles *r, const ProtobufCMessage *message)
{
    const Chaperone__V1__ReadTilesRequest *request =
        (const Chaperone__V1__ReadTilesRequest *)message;
    struct keeper_status status;
    keeper_read_status(r->services->with.keeper, &status);
    r->done = true;
    if (r->request != NULL) {
        rpc_stream_finish(r->stream, RPC_INVALID_ARGUMENT, "one request is expected");
    } else if (request->n_paths > PATHS_MAX) {
        rpc_stream_finish(r->stream, RPC_INVALID_ARGUMENT, "at most 65536 paths are read at once");
    } else if (request->size > status.published) {
        rpc_stream_finish(r->stream, RPC_NOT_FOUND, "no checkpoint has so many records yet");
    } else {
        r->request = (Chaperone__V1__ReadTilesRequest *)rpc_reply_copy(message);
        r->done = r->request == NULL;
        if (r->done) {
            rpc_stream_finish(r->stream, RPC_RESOURCE_EXHAUSTED, "no memory");
        }
    }
}

static void on_message(void *context, struct rpc_stream *stream, const ProtobufCMessage *message)
{
    struct reading_tiles *r = context;
    (void)stream;
    (void)pthread_mutex_lock(&r->mutex);
    begin(r, message);
    if (!r->done) {
        send_more(r);
    }
    (void)pthread_mutex_unlock(&r->mutex);
}

static void on_drained(void *context, struct rpc_stream *stream)
{
    struct reading_tiles *r = context;
    (void)stream;
    (void)pthread_mutex_lock(&r->mutex);
    if (r->request != NULL && !r->done) {
        send_more(r);
    }
    (void)pthread_mutex_unlock(&r->mutex);
}

static void on_half_close(void *context, struct rpc_stream *stream)
{
    struct reading_tiles *r = context;
    (void)pthread_mutex_lock(&r->mutex);
    if (r->request == NULL && !r->done) {
        r->done = true;
        rpc_stream_finish(stream, RPC_INVALID_ARGUMENT, "one request is expected");
    }
    (void)pthread_mutex_unlock(&r->mutex);
}

static void destroy(struct reading_tiles *r)
{
    if (r->request != NULL) {
        protobuf_c_message_free_unpacked(&r->request->base, NULL);
    }
    (void)pthread_mutex_destroy(&r->mutex);
    free(r);
}

static void on_end(void *context, struct rpc_stream *stream, const struct rpc_status *status)
{
    struct reading_tiles *r = context;
    (void)status;
    streams_remove(&r->services->streams, &r->entry);
    rpc_stream_release(stream);
    destroy(r);
}

void log_read_tiles(const struct call *call, struct rpc_stream *stream,
                    struct rpc_stream_events *out_events, void **out_context,
                    struct rpc_status *out_status)
{
    struct reading_tiles *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        rpc_status_set(out_status, RPC_RESOURCE_EXHAUSTED, "no memory");
        return;
    }
    r->services = call->services;
    r->stream = stream;
    (void)pthread_mutex_init(&r->mutex, NULL);
    if (!streams_add(&call->services->streams, &r->entry, stream, NULL)) {
        rpc_status_set(out_status, RPC_UNAVAILABLE, "the control plane is shutting down");
        destroy(r);
        return;
    }
    *out_events = (struct rpc_stream_events){.on_message = on_message,
                                             .on_drained = on_drained,
                                             .on_half_close = on_half_close,
                                             .on_end = on_end};
    *out_context = r;
    rpc_status_set(out_status, RPC_OK, "%s", "");
}
